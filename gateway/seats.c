#include "gateway/seats.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "common/metrics.h"
#include "gateway/shares.h"

enum { EMPTY, WAITS, SERVES, HELD, ENDED };
enum { LINE = 64, UNKNOWN = -1 };
enum {
    LOOK_MS = 250,
    PRESSED_MS = 20,       /* while somebody waits for a thread */
    SILENT_US = 50 * 1000, /* a client that opens a connection has something to ask */
    IDLE_US = 500 * 1000,  /* one that asks again and again is not idle */
    ASK_US = 250 * 1000,   /* so often busy connections are asked to end */
    CHECK_US =
        200 * 1000 /* and those that wait for how long they have: each look, unless pressed */
};

struct seat {
    _Alignas(LINE) _Atomic int state; /* written with each request: no line of the CPU's cache
                                       * belongs to two threads */
    struct seats *all;
    _Atomic unsigned waits; /* so often it began to wait: the watch sees whether this is another */
    _Atomic bool silent;    /* it has sent no request yet */
    _Atomic int64_t read;   /* bytes of its requests, or UNKNOWN */
    const void *connection; /* this and the next: of whoever has the seat, or HELD it */
    struct share *counted;  /* to its address; NULL: not yet */
    bool crowded, late;     /* why it is ENDED */
    int fd;                 /* UNKNOWN: not looked for yet, or not found */
    unsigned seen;          /* the watch's own, as the next: of waits */
    int64_t since_us;       /* seen since; -1: does not wait, or is not to be closed now */
    int64_t begun_us;       /* its header was, as far as seen; -1: not yet */
    int64_t came;           /* what counts as read where that is UNKNOWN; -1: not yet */
};

struct seats {
    struct seats_settings s;
    struct shares *shares; /* each address its share of connections; NULL: no limit */
    pthread_mutex_t lock;  /* over it */
    struct metric *crowded, *gave_way, *late;
    _Atomic unsigned to_end; /* so many answers shall end their connections */
    int64_t asked_us;        /* the watch's own, as all below */
    int64_t checked_us;
    struct socket_peer *peers;
    size_t peers_n;
    bool listed;
    struct seat list[];
};

int seats_new(const struct seats_settings *settings, struct seats **out)
{
    size_t size = sizeof(struct seats) + settings->n * sizeof(struct seat);
    struct seats *s = aligned_alloc(LINE, size);
    if (!s)
        return ERR_NOMEM;
    memset(s, 0, size);
    s->s = *settings;
    pthread_mutex_init(&s->lock, NULL);
    s->asked_us = s->checked_us = -ASK_US;
    s->peers = calloc((size_t)settings->below, sizeof *s->peers);
    unsigned each = settings->per_address;
    if (!s->peers || (each && shares_new(each, &s->shares) != 0)) {
        seats_free(s);
        return ERR_NOMEM;
    }
    for (unsigned i = 0; i < settings->n; i++)
        s->list[i].all = s;
    s->crowded = metrics_counter("offpath_http_crowded_total", "",
                                 "Connections refused because their address had too many.");
    s->gave_way = metrics_counter("offpath_http_gave_way_total", "",
                                  "Idle connections closed because others waited for a thread.");
    s->late = metrics_counter("offpath_http_slow_headers_total", "",
                              "Connections ended because a header came too slowly.");
    *out = s;
    return 0;
}

void seats_free(struct seats *s)
{
    if (!s)
        return;
    shares_free(s->shares);
    pthread_mutex_destroy(&s->lock);
    free(s->peers);
    free(s);
}

struct seat *seats_at(struct seats *s, unsigned i)
{
    return &s->list[i];
}

/* ---- the connection's thread */

static void begin_to_wait(struct seat *t)
{
    atomic_fetch_add_explicit(&t->waits, 1, memory_order_relaxed);
    atomic_store_explicit(&t->state, WAITS, memory_order_release);
}

void seat_take(struct seat *t, const void *connection)
{
    t->connection = connection;
    t->counted = NULL;
    t->crowded = t->late = false;
    t->fd = UNKNOWN;
    atomic_store_explicit(&t->read, 0, memory_order_relaxed);
    atomic_store_explicit(&t->silent, true, memory_order_relaxed);
    begin_to_wait(t);
}

/* Who waits does so no more, unless it is ENDED. */
static void stand_up(struct seat *t, int to)
{
    int was = WAITS;
    while (!atomic_compare_exchange_weak(&t->state, &was, to) && was != ENDED) {
        if (was == HELD)
            sched_yield();
        else if (was != WAITS)
            return;
        was = WAITS;
    }
}

/* False: the address has all it may have, and t->counted stays NULL. */
static bool count_to(struct seat *t, const char *address)
{
    static const struct owner nobody;
    struct seats *s = t->all;
    pthread_mutex_lock(&s->lock);
    bool fits = shares_enter(s->shares, &nobody, address, &t->counted) == 0;
    pthread_mutex_unlock(&s->lock);
    return fits;
}

bool seat_serve(struct seat *t, const char *address)
{
    stand_up(t, SERVES);
    atomic_store_explicit(&t->silent, false, memory_order_relaxed);
    if (t->crowded)
        return false;
    if (!t->all->shares || t->counted || count_to(t, address))
        return true;
    metrics_add(t->all->crowded, 1);
    return false;
}

void seat_read(struct seat *t, size_t n)
{
    int64_t read = atomic_load_explicit(&t->read, memory_order_relaxed);
    read = n == 0 || read == UNKNOWN ? UNKNOWN : read + (int64_t)n;
    atomic_store_explicit(&t->read, read, memory_order_relaxed);
}

void seat_wait(struct seat *t)
{
    if (!seat_is_ended(t))
        begin_to_wait(t);
}

void seat_leave(struct seat *t)
{
    struct seats *s = t->all;
    stand_up(t, SERVES);
    if (t->counted) {
        pthread_mutex_lock(&s->lock);
        shares_leave(s->shares, t->counted);
        pthread_mutex_unlock(&s->lock);
    }
    atomic_store_explicit(&t->state, EMPTY, memory_order_release);
}

bool seat_gives_way(struct seat *t)
{
    unsigned n = atomic_load_explicit(&t->all->to_end, memory_order_relaxed);
    while (n && !atomic_compare_exchange_weak(&t->all->to_end, &n, n - 1))
        continue;
    return n || seat_is_ended(t);
}

bool seat_is_ended(const struct seat *t)
{
    int state;
    while ((state = atomic_load_explicit(&t->state, memory_order_acquire)) == HELD)
        sched_yield();
    return state == ENDED;
}

bool seat_is_late(const struct seat *t)
{
    return seat_is_ended(t) && t->late;
}

/* ---- the watch */

static bool hold(struct seat *t)
{
    int was = WAITS;
    return atomic_load_explicit(&t->state, memory_order_relaxed) == WAITS &&
           atomic_compare_exchange_strong(&t->state, &was, HELD);
}

static bool is_silent(const struct seat *t)
{
    return atomic_load_explicit(&t->silent, memory_order_relaxed);
}

static void let_go(struct seat *t, bool ended)
{
    atomic_store_explicit(&t->state, ended ? ENDED : WAITS, memory_order_release);
}

/* Once for all that one look closes. */
static void list_peers(struct seats *s, int port)
{
    size_t max = (size_t)s->s.below;
    if (!s->listed)
        s->peers_n = sockets_of_port(port, s->s.below, s->peers, max);
    s->listed = true;
}

/* -1: none, or more than one. */
static int descriptor_of(const struct seats *s, const struct socket_ends *ends)
{
    int fd = -1;
    for (size_t i = 0; i < s->peers_n; i++) {
        const struct socket_peer *p = &s->peers[i];
        if (p->port != ends->peer_port || strcmp(p->address, ends->peer) != 0)
            continue;
        if (fd >= 0)
            return -1;
        fd = p->fd;
    }
    return fd;
}

/* Of a connection that is HELD. The list may be older than it, and its descriptor another's by now:
 * so that is asked. From then on it stays: it is closed behind `leave` only. */
static int find_descriptor(struct seats *s, struct seat *t, int port)
{
    struct socket_ends ends;
    if (t->fd == UNKNOWN && s->s.ends(t->connection, &ends)) {
        list_peers(s, port);
        int fd = descriptor_of(s, &ends);
        t->fd = fd >= 0 && socket_is_of(fd, &ends) ? fd : UNKNOWN;
    }
    return t->fd;
}

/* Whoever has sent something that is not read yet is not idle. */
static bool end(int fd)
{
    int unread = 0;
    return fd >= 0 && ioctl(fd, FIONREAD, &unread) == 0 && unread == 0 &&
           shutdown(fd, SHUT_RD) == 0;
}

/* Who has sent no request has an address all the same. Was it one too many, and closed? */
static bool count(struct seats *s, struct seat *t, int port)
{
    struct socket_ends ends;
    bool ended = false;
    if (!hold(t))
        return false;
    if (!t->counted && s->s.ends(t->connection, &ends) && !count_to(t, ends.peer))
        ended = t->crowded = end(find_descriptor(s, t, port));
    let_go(t, ended);
    if (ended)
        metrics_add(s->crowded, 1);
    return ended;
}

struct view {
    unsigned taken, ended; /* ended: of those taken, free in a moment */
};

/* Since when does each wait? */
static struct view look_around(struct seats *s, int64_t now_us)
{
    struct view v = {0, 0};
    for (unsigned i = 0; i < s->s.n; i++) {
        struct seat *t = &s->list[i];
        int state = atomic_load_explicit(&t->state, memory_order_acquire);
        unsigned waits = atomic_load_explicit(&t->waits, memory_order_relaxed);
        v.taken += state != EMPTY;
        v.ended += state == ENDED;
        if (state != WAITS || t->since_us < 0 || t->seen != waits) {
            t->since_us = state == WAITS ? now_us : -1;
            t->begun_us = t->came = -1;
        }
        t->seen = waits;
    }
    return v;
}

static bool close_crowded(struct seats *s, int port)
{
    bool any = false;
    for (unsigned i = 0; s->shares && i < s->s.n; i++)
        any |= s->list[i].since_us >= 0 && is_silent(&s->list[i]) && count(s, &s->list[i], port);
    return any;
}

/* Does it still wait as it was seen to, HELD? */
static bool hold_seen(struct seat *t)
{
    if (!hold(t))
        return false;
    bool same = atomic_load_explicit(&t->waits, memory_order_relaxed) == t->seen;
    if (!same)
        let_go(t, false);
    return same;
}

/* Has more come than its requests were? */
static bool has_begun(struct seat *t, int fd)
{
    int64_t came = fd >= 0 ? socket_received(fd) : -1;
    int64_t read = atomic_load_explicit(&t->read, memory_order_relaxed);
    if (came >= 0 && t->came < 0)
        t->came = came;
    return came > (read == UNKNOWN ? t->came : read);
}

static bool is_over(int64_t since_us, int limit_ms, int64_t now_us)
{
    return limit_ms && now_us - since_us >= (int64_t)limit_ms * 1000;
}

static void end_in_time(struct seats *s, struct seat *t, int port, int64_t now_us)
{
    bool silent = is_silent(t), late = false, ended = false;
    if (!hold_seen(t))
        return;
    int fd = find_descriptor(s, t, port);
    if (!has_begun(t, fd)) {
        t->begun_us = -1;
        ended = is_over(t->since_us, silent ? s->s.header_ms : s->s.idle_ms, now_us) && end(fd);
    } else {
        if (t->begun_us < 0)
            t->begun_us = silent ? t->since_us : now_us;
        late = is_over(t->begun_us, s->s.header_ms, now_us) && shutdown(fd, SHUT_RD) == 0;
        t->late = late;
    }
    let_go(t, ended || late);
    if (late)
        metrics_add(s->late, 1);
}

/* Who has waited from one look to the next, and longer. */
static void end_late(struct seats *s, int port, int64_t now_us)
{
    if (now_us - s->checked_us < CHECK_US)
        return;
    s->checked_us = now_us;
    for (unsigned i = 0; i < s->s.n; i++)
        if (s->list[i].since_us >= 0 && s->list[i].since_us < now_us)
            end_in_time(s, &s->list[i], port, now_us);
}

static bool close_idle(struct seats *s, struct seat *t, int port)
{
    if (!hold_seen(t))
        return false;
    bool ended = end(find_descriptor(s, t, port));
    let_go(t, ended);
    if (ended)
        metrics_add(s->gave_way, 1);
    return ended;
}

/* Who is the first to be closed: silent ones before idle ones, the longest first. NULL: nobody. */
static struct seat *longest(struct seats *s, int64_t now_us)
{
    struct seat *found = NULL;
    bool found_silent = false;
    for (unsigned i = 0; i < s->s.n; i++) {
        struct seat *t = &s->list[i];
        bool silent = is_silent(t);
        if (t->since_us < 0 || now_us - t->since_us < (silent ? SILENT_US : IDLE_US) ||
            (found && (silent == found_silent ? t->since_us >= found->since_us : found_silent)))
            continue;
        found = t;
        found_silent = silent;
    }
    return found;
}

/* For so many that wait. */
static void make_room(struct seats *s, size_t waiting, int port, int64_t now_us)
{
    for (struct seat *t; waiting && (t = longest(s, now_us)) != NULL; t->since_us = -1)
        waiting -= close_idle(s, t, port);
    if (waiting && now_us - s->asked_us < ASK_US)
        return;
    s->asked_us = now_us;
    atomic_store(&s->to_end, (unsigned)waiting);
}

/* One thing at a time: whoever is one too many makes room enough for a start. */
int seats_look(struct seats *s, int port, int64_t now_us)
{
    s->listed = false;
    const struct view v = look_around(s, now_us);
    end_late(s, port, now_us);
    if (close_crowded(s, port))
        return PRESSED_MS;
    if (v.taken == s->s.n)
        list_peers(s, port);
    if (v.taken < s->s.n || s->peers_n <= v.taken) {
        atomic_store_explicit(&s->to_end, 0, memory_order_relaxed);
        return LOOK_MS;
    }
    size_t waiting = s->peers_n - v.taken;
    make_room(s, waiting > v.ended ? waiting - v.ended : 0, port, now_us);
    return PRESSED_MS;
}
