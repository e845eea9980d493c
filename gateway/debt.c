#include "gateway/debt.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "common/clock.h"
#include "gateway/http_write.h"

enum { NONE, OWED, AWAITED };
enum { UNKNOWN = -1, NOT_FOUND = -2 }; /* in place of a descriptor */

struct owed {
    struct http_due due; /* first */
    struct debt *debt;
};

void debt_init(struct debt *d, const struct debt_terms *terms)
{
    *d = (struct debt){.terms = *terms, .fd = UNKNOWN};
    sem_init(&d->paid, 0, 0);
}

void debt_fini(struct debt *d)
{
    sem_destroy(&d->paid);
}

/* Never waits: it may be the client's thread, with the reports of others behind it. */
static void send_now(struct debt *d, struct buf *b, bool close)
{
    ssize_t n = send(d->fd, b->data, b->len, MSG_NOSIGNAL | MSG_DONTWAIT);
    bool whole = n == (ssize_t)b->len, full = n >= 0 || errno == EAGAIN;
    if (!whole && full) {
        d->sent = n > 0 ? (size_t)n : 0;
        d->rest = *b;
        *b = (struct buf){0};
    }
    d->over = !whole || close;
    if (d->over) /* its thread reads the end, and closes it */
        shutdown(d->fd, whole || full ? SHUT_RD : SHUT_RDWR);
}

static void write_reply(const struct owed *o)
{
    static _Thread_local struct http_date date;
    struct debt *d = o->debt;
    struct buf out = {0};
    const struct http_write w = {http_date_now(&date), o->due.q.id, false};
    http_write_reply(&o->due.reply, &w, &out);
    if (buf_ok(&out) == 0) {
        send_now(d, &out, o->due.reply.close);
    } else {
        d->over = true;
        shutdown(d->fd, SHUT_RDWR);
    }
    buf_fini(&out);
}

/* Behind the release the connection's thread may be gone, and the server with it. */
static void pay(struct http_due *due)
{
    struct owed *o = (struct owed *)due;
    struct debt *d = o->debt;
    struct seat *seat = d->terms.seat;
    due->reply.close =
        due->reply.close || atomic_load(d->terms.closing) || (seat && seat_gives_way(seat));
    write_reply(o);
    if (seat)
        seat_wait(seat);
    atomic_fetch_sub(d->terms.in_flight, 1);
    if (atomic_exchange(&d->state, NONE) == AWAITED)
        sem_post(&d->paid);
    http_reply_fini(&due->reply);
    free(o);
}

static bool find(struct debt *d, const struct socket_ends *ends)
{
    if (d->requests < 2)
        return false;
    if (d->fd == UNKNOWN && socket_of_peer_below(ends, d->terms.below, &d->fd) != 0)
        d->fd = NOT_FOUND; /* not looked for again */
    return d->fd >= 0;
}

struct http_due *debt_take(struct debt *d, const struct socket_ends *ends,
                           const struct http_request *q)
{
    struct owed *o = find(d, ends) ? malloc(sizeof *o) : NULL;
    if (!o)
        return NULL;
    *o = (struct owed){.due.pay = pay, .debt = d};
    o->due.q.public_url = q->public_url;
    memcpy(o->due.q.id, q->id, sizeof q->id);
    http_reply_init(&o->due.reply);
    atomic_store(&d->state, OWED);
    return &o->due;
}

static void settle(struct debt *d)
{
    int was = OWED;
    if (atomic_load_explicit(&d->state, memory_order_acquire) == NONE ||
        !atomic_compare_exchange_strong(&d->state, &was, AWAITED))
        return;
    while (sem_wait(&d->paid) != 0 && errno == EINTR)
        continue;
}

/* As long as the reader takes something; where the server closes, once. */
static void send_rest(struct debt *d)
{
    int64_t until_ms = clock_mono_ms(clock_real()) + d->terms.stall_ms;
    while (d->sent < d->rest.len) {
        struct pollfd p = {.fd = d->fd, .events = POLLOUT};
        int64_t left_ms = until_ms - clock_mono_ms(clock_real());
        if (left_ms <= 0)
            break;
        (void)poll(&p, 1, (int)left_ms);
        ssize_t n =
            send(d->fd, d->rest.data + d->sent, d->rest.len - d->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            break;
        if (n <= 0)
            continue;
        d->sent += (size_t)n;
        if (!atomic_load(d->terms.closing))
            until_ms = clock_mono_ms(clock_real()) + d->terms.stall_ms;
    }
    if (d->sent < d->rest.len)
        shutdown(d->fd, SHUT_RDWR);
    buf_fini(&d->rest);
    d->rest = (struct buf){0};
    d->sent = 0;
}

bool debt_settle(struct debt *d)
{
    settle(d);
    d->requests++;
    return !d->over;
}

void debt_end(struct debt *d)
{
    settle(d);
    send_rest(d);
    d->fd = UNKNOWN;
    d->requests = 0;
    d->over = false;
}
