/* The loop asks (wish), the clerk does, the answer comes back by loop_post; one wish of a shard at
 * a time, so the fields that cross over need no lock but in that order:
 *
 *   loop: ask --wish--> clerk: wish_take, wish_do --post--> loop: on_answer --> pursue
 *
 * Times count from the moment the statement was sent: the server's lease is never shorter. It goes
 * on while the machine sleeps, and so does the clock by which it is measured. */
#include "worker/lease.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { NAME = 100 };

/* What a shard's loop asks of the clerk, one thing at a time. */
enum wish { WISH_NOTHING, WISH_START, WISH_RENEW, WISH_END };

struct lease_shard {
    struct lease *lease;
    struct loop *loop;
    struct lease_events events;
    struct loop_timer *timer;
    char name[NAME];
    _Atomic uint64_t worker;
    _Atomic int64_t held_since; /* boot ms + 1; 0: not held, or a renewal was missed */
    _Atomic int64_t renewed_ms;
    /* the loop's */
    int64_t asked_ms;
    bool waiting; /* asked, no answer yet */
    bool missed;  /* the last renewal failed: ask at the next tick */
    bool late, fenced, leaving;
    loop_fn *done;
    void *done_arg;
    /* the lock's */
    enum wish wish;
    struct lease_shard *next;
    /* the clerk's from a wish to its answer, then the loop's */
    enum wish did;
    uint64_t of; /* renew, end: this worker; start: the new one */
    int64_t sent_ms;
    int err;
};

struct lease {
    struct clerk *clerk;
    char name[NAME];
    int64_t lease_ms;
    pthread_mutex_t lock;
    struct lease_shard *shards, *current; /* current: the clerk works on it */
    unsigned joined;
    unsigned least; /* the shards of this process */
    _Atomic unsigned shares;
};

static int64_t now_ms(const struct lease_shard *s)
{
    return clock_boot_ms(s->loop->clock);
}

static bool is_fresh(const struct lease_shard *s)
{
    return now_ms(s) - atomic_load(&s->renewed_ms) < s->lease->lease_ms * 2 / 3;
}

/* ---- in the clerk */

/* Renewals first: a start that fails again and again must not keep them waiting. */
static struct lease_shard *wish_take(struct lease *l)
{
    struct lease_shard *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (struct lease_shard *s = l->shards; s; s = s->next)
        if (s->wish != WISH_NOTHING && (!found || s->wish == WISH_RENEW))
            found = s;
    if (found)
        found->did = found->wish;
    l->current = found;
    pthread_mutex_unlock(&l->lock);
    return found;
}

static int wish_do(struct lease *l, struct record *r, struct lease_shard *s)
{
    s->sent_ms = now_ms(s);
    switch (s->did) {
    case WISH_START:
        return r->ops->worker_start(r, s->name, l->lease_ms, &s->of);
    case WISH_RENEW:
        return r->ops->worker_renew(r, s->of, l->lease_ms);
    default:
        return r->ops->worker_end(r, s->of);
    }
}

static void on_answer(void *arg);

/* Whatever comes of it: without an answer the last count holds. */
static void count_shares(struct lease *l, struct record *r)
{
    unsigned n = 0;
    if (r->ops->workers(r, &n) == 0)
        l->shares = n > l->least ? n : l->least;
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct lease *l = arg;
    struct lease_shard *s = wish_take(l);
    if (!s)
        return 0;
    *next_ms = 0;
    int err = wish_do(l, r, s);
    s->err = err;
    if (!err && s->did != WISH_END)
        count_shares(l, r);
    pthread_mutex_lock(&l->lock);
    l->current = NULL;
    s->wish = WISH_NOTHING;
    pthread_mutex_unlock(&l->lock);
    while (loop_post(s->loop, on_answer, s)) /* no memory: an answer must not be lost */
        ;
    return err == ERR_FENCED ? 0 : err;
}

/* ---- in the loop */

static void ask(struct lease_shard *s, enum wish wish)
{
    s->waiting = true;
    s->asked_ms = now_ms(s);
    pthread_mutex_lock(&s->lease->lock);
    s->of = atomic_load(&s->worker);
    s->wish = wish;
    pthread_mutex_unlock(&s->lease->lock);
    clerk_wake(s->lease->clerk);
}

/* Ask for what is due, if nothing is on its way. */
static void pursue(struct lease_shard *s)
{
    if (s->waiting || s->leaving)
        return;
    if (!atomic_load(&s->worker))
        ask(s, WISH_START);
    else if (s->missed || now_ms(s) - s->asked_ms >= s->lease->lease_ms / 5)
        ask(s, WISH_RENEW);
}

/* Tells the shard when it changes. A late lease is also a missed one: watch must not take over. */
static void set_late(struct lease_shard *s)
{
    bool late = atomic_load(&s->worker) && !lease_good(s);
    if (late)
        atomic_store(&s->held_since, 0);
    if (late == s->late)
        return;
    s->late = late;
    s->events.late(s->events.arg, late);
}

static void lose(struct lease_shard *s)
{
    uint64_t worker = atomic_exchange(&s->worker, 0);
    atomic_store(&s->held_since, 0);
    s->fenced = s->late = s->missed = false;
    s->events.lost(s->events.arg, worker);
}

static void unlink_shard(struct lease_shard *s)
{
    struct lease *l = s->lease;
    pthread_mutex_lock(&l->lock);
    struct lease_shard **p = &l->shards;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    pthread_mutex_unlock(&l->lock);
}

static void leave_done(void *arg)
{
    struct lease_shard *s = arg;
    loop_fn *done = s->done;
    void *done_arg = s->done_arg;
    unlink_shard(s);
    loop_timer_free(s->loop, s->timer);
    free(s);
    done(done_arg);
}

/* Also from lease_leave, so done must not run inside. */
static void leave_go_on(struct lease_shard *s)
{
    if (atomic_load(&s->worker))
        ask(s, WISH_END);
    else
        while (loop_post(s->loop, leave_done, s))
            ;
}

static void answered(struct lease_shard *s)
{
    uint64_t worker = atomic_load(&s->worker);
    if (s->did == WISH_START && !s->err) {
        atomic_store(&s->worker, s->of);
        atomic_store(&s->renewed_ms, s->sent_ms);
        atomic_store(&s->held_since, s->sent_ms + 1);
        if (!s->leaving)
            s->events.held(s->events.arg, s->of);
    } else if (s->did == WISH_RENEW && s->of == worker && !s->err) {
        atomic_store(&s->renewed_ms, s->sent_ms);
        s->missed = false;
        if (!atomic_load(&s->held_since))
            atomic_store(&s->held_since, s->sent_ms + 1);
    } else if (s->did == WISH_RENEW && s->of == worker && s->err == ERR_FENCED) {
        s->fenced = true;
    } else if (s->did == WISH_RENEW) {
        s->missed = true;
        atomic_store(&s->held_since, 0);
    }
}

static void on_answer(void *arg)
{
    struct lease_shard *s = arg;
    s->waiting = false;
    if (s->did == WISH_END) {
        leave_done(s);
        return;
    }
    answered(s);
    if (s->leaving) {
        leave_go_on(s);
        return;
    }
    if (s->fenced && atomic_load(&s->worker))
        lose(s);
    set_late(s);
    if (!s->missed && s->did != WISH_START) /* else at the next tick */
        pursue(s);
}

static void on_tick(void *arg)
{
    struct lease_shard *s = arg;
    if (s->fenced && atomic_load(&s->worker))
        lose(s);
    set_late(s);
    pursue(s);
}

/* ---- */

int lease_join(struct lease *l, struct loop *loop, const struct lease_events *e,
               struct lease_shard **out)
{
    struct lease_shard *s = calloc(1, sizeof *s);
    struct loop_timer *timer = s ? loop_timer_new(loop, on_tick, s) : NULL;
    if (!timer) {
        free(s);
        return ERR_NOMEM;
    }
    s->lease = l;
    s->loop = loop;
    s->events = *e;
    s->timer = timer;
    pthread_mutex_lock(&l->lock);
    snprintf(s->name, sizeof s->name, "%.80s.%u", l->name, l->joined++);
    s->next = l->shards;
    l->shards = s;
    pthread_mutex_unlock(&l->lock);
    loop_timer_set(loop, timer, l->lease_ms / 15, l->lease_ms / 15);
    pursue(s);
    *out = s;
    return 0;
}

uint64_t lease_worker(const struct lease_shard *s)
{
    return atomic_load(&s->worker);
}

bool lease_good(const struct lease_shard *s)
{
    return atomic_load(&s->worker) && !s->fenced && is_fresh(s);
}

int64_t lease_held_ms(const struct lease_shard *s)
{
    int64_t since = atomic_load(&s->held_since);
    return since && is_fresh(s) ? now_ms(s) - since + 1 : 0; /* no tick may have seen it yet */
}

bool lease_settled(struct lease *l)
{
    bool settled = false;
    pthread_mutex_lock(&l->lock);
    for (const struct lease_shard *s = l->shards; s && !settled; s = s->next)
        settled = lease_held_ms(s) >= l->lease_ms;
    pthread_mutex_unlock(&l->lock);
    return settled;
}

void lease_fenced(struct lease_shard *s, uint64_t worker)
{
    if (!worker || worker != atomic_load(&s->worker) || s->leaving)
        return;
    s->fenced = true;
    atomic_store(&s->held_since, 0);
    loop_timer_set(s->loop, s->timer, 0, s->lease->lease_ms / 15);
}

void lease_leave(struct lease_shard *s, loop_fn *done, void *arg)
{
    struct lease *l = s->lease;
    s->leaving = true;
    s->done = done;
    s->done_arg = arg;
    loop_timer_stop(s->loop, s->timer);
    pthread_mutex_lock(&l->lock);
    if (l->current != s && s->wish != WISH_NOTHING) { /* not begun: MySQL may be away for long */
        s->wish = WISH_NOTHING;
        s->waiting = false;
    }
    pthread_mutex_unlock(&l->lock);
    if (!s->waiting)
        leave_go_on(s);
}

int lease_start(const struct lease_settings *settings, struct lease **out)
{
    struct lease *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    struct clerk_settings c = {settings->open, settings->open_arg, step, l, settings->loop,
                               "lease"};
    snprintf(l->name, sizeof l->name, "%s", settings->name);
    l->lease_ms = settings->lease_ms > 0 ? settings->lease_ms : 15000;
    l->least = settings->shards ? settings->shards : 1;
    l->shares = l->least;
    pthread_mutex_init(&l->lock, NULL);
    int err = clerk_start(&c, &l->clerk);
    if (err) {
        pthread_mutex_destroy(&l->lock);
        free(l);
        return err;
    }
    *out = l;
    return 0;
}

const _Atomic unsigned *lease_shares(const struct lease *l)
{
    return &l->shares;
}

bool lease_up(const struct lease *l)
{
    return clerk_up(l->clerk);
}

void lease_stop(struct lease *l)
{
    if (!l)
        return;
    clerk_stop(l->clerk);
    while (l->shards) { /* loops that ended without leaving */
        struct lease_shard *s = l->shards;
        l->shards = s->next;
        free(s);
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}
