/* The clerk goes round: each step takes up to 500 jobs that it has not seen in this round, reads
 * them, judges, takes over, and posts verdicts. A loop may forget a job at any time, also in the
 * middle of that; who finds it forgotten last frees it. */
#include "worker/watch.h"

#include <pthread.h>
#include <stdlib.h>

enum { PERIOD_MS = 1000, STATEMENT_MAX = 500, TAKE_MAX = 100, SEEN_APART_MS = 5000 };

/* A job is in `waiting`, or in `decided` once its verdict is posted; `busy` while the clerk looks
 * at it, which then also frees it if it was forgotten meanwhile. All under the lock, but what is
 * marked as the clerk's. */
struct watched {
    struct watch *watch;
    struct watch_order order;
    bool busy, forgotten, is_decided;
    unsigned round;
    struct watched *prev, *next;
    /* the clerk's; the loop's once decided */
    bool has_verdict;
    enum watch_verdict verdict;
    struct record_watch row;
    int64_t out_ms;             /* since when its worker's lease is seen out; 0: it is not */
    uint64_t out_worker, taker; /* taker: our worker that may take it over now; 0 none */
    uint64_t taken_by;          /* ours that has it, or may: an answer can be lost; 0 none */
};

struct list {
    struct watched *first, *last;
};

struct watch {
    struct clerk *clerk;
    int64_t lease_ms;
    pthread_mutex_t lock;
    struct list waiting, decided;
    struct list orphans; /* taken over, then forgotten: to be released */
    unsigned round;
    /* the clerk's */
    struct watched *batch[STATEMENT_MAX];
    struct record_watch rows[STATEMENT_MAX];
    size_t n;
};

static void append(struct list *l, struct watched *e)
{
    e->prev = l->last;
    e->next = NULL;
    *(l->last ? &l->last->next : &l->first) = e;
    l->last = e;
}

static void detach(struct list *l, struct watched *e)
{
    *(e->prev ? &e->prev->next : &l->first) = e->next;
    *(e->next ? &e->next->prev : &l->last) = e->prev;
}

/* ---- in the clerk */

/* The next of this round, moved to the end. More are left if it comes out full. */
static void batch_take(struct watch *w)
{
    w->n = 0;
    pthread_mutex_lock(&w->lock);
    while (w->n < STATEMENT_MAX && w->waiting.first && w->waiting.first->round != w->round) {
        struct watched *e = w->waiting.first;
        detach(&w->waiting, e);
        append(&w->waiting, e);
        e->round = w->round;
        e->busy = true;
        w->rows[w->n].id = e->order.id;
        w->batch[w->n++] = e;
    }
    pthread_mutex_unlock(&w->lock);
}

static void decide(struct watched *e, enum watch_verdict v)
{
    e->has_verdict = true;
    e->verdict = v;
}

/* Seen out twice, 5 s apart, and our own lease good all the time: MySQL was there for its worker to
 * renew. */
static void judge_lease(struct watch *w, struct watched *e, int64_t now)
{
    if (!e->row.lease_out) {
        e->out_ms = 0;
    } else if (!e->out_ms || e->out_worker != e->row.worker) {
        e->out_ms = now;
        e->out_worker = e->row.worker;
    } else if (now - e->out_ms >= SEEN_APART_MS && lease_held_ms(e->order.lease) >= w->lease_ms) {
        e->taker = lease_worker(e->order.lease);
    }
}

/* It runs. Another round is its own watcher's matter, and ours only if a take-over of this one came
 * too late. */
static void judge_running(struct watch *w, struct watched *e)
{
    bool same = e->row.round == e->order.round;
    bool ours = e->row.worker == lease_worker(e->order.lease);
    if (ours && same)
        e->taken_by = e->row.worker;
    else if (!ours)
        e->taken_by = 0;
    if (ours || e->row.round > e->order.round)
        decide(e, WATCH_CLAIM);
    else if (same) /* +1: 0 says that it was not seen */
        judge_lease(w, e, loop_now_ms(e->order.loop) + 1);
}

/* With the lock: a forgotten one's lease may be gone. */
static void judge(struct watch *w, struct watched *e)
{
    e->taker = 0;
    if (e->forgotten)
        return;
    if (job_is_final(e->row.state))
        decide(e, WATCH_FINAL);
    else if (e->row.state != JOB_RUNNING)
        decide(e, WATCH_CLAIM);
    else
        judge_running(w, e);
}

static void judge_all(struct watch *w)
{
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n; i++) {
        w->batch[i]->row = w->rows[i];
        judge(w, w->batch[i]);
    }
    pthread_mutex_unlock(&w->lock);
}

static bool fits(const struct watched *e, const struct watched *first)
{
    return e->taker && e->taker == first->taker && e->row.worker == first->row.worker;
}

/* T4 for those of one dead worker that one of ours may have. */
static int take_over(struct watch *w, struct record *r, size_t from)
{
    struct watched *first = w->batch[from], *list[TAKE_MAX];
    struct job_id ids[TAKE_MAX] = {first->order.id};
    bool taken[TAKE_MAX] = {false};
    uint64_t dead = first->row.worker, taker = first->taker;
    size_t n = 0;
    for (size_t i = from; i < w->n && n < TAKE_MAX; i++) {
        if (!fits(w->batch[i], first))
            continue;
        list[n] = w->batch[i];
        ids[n++] = w->batch[i]->order.id;
    }
    int err = r->ops->take_over(r, dead, taker, ids, n, taken);
    /* locked: no reason to let those of others wait */
    bool refused = err == ERR_CONFLICT || err == ERR_FENCED || err == ERR_TIMEOUT;
    for (size_t i = from; err == ERR_TIMEOUT && i < w->n; i++)
        if (w->batch[i]->row.worker == dead) /* nor those beyond the first TAKE_MAX */
            w->batch[i]->taker = 0;
    for (size_t i = 0; i < n; i++) {
        list[i]->taker = 0;
        if (!err && taken[i]) {
            decide(list[i], WATCH_CLAIM);
            list[i]->row.worker = taker;
        } else if (err == ERR_CONFLICT) /* it lives */
            list[i]->out_ms = 0;
        if (err != ERR_CONFLICT) /* or may be: a lost answer that was asked for again says no */
            list[i]->taken_by = taker;
    }
    return refused ? 0 : err;
}

/* Nobody waits for it any more. Taken over it must not stay ours, or nobody would run it. */
static void drop(struct watch *w, struct watched *e)
{
    if (e->taken_by)
        append(&w->orphans, e);
    else
        free(e);
}

static int orphans_release(struct watch *w, struct record *r)
{
    struct record_release rows[TAKE_MAX], *list[TAKE_MAX];
    struct watched *of[TAKE_MAX];
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    for (struct watched *e = w->orphans.first; e && n < TAKE_MAX; e = e->next) {
        rows[n] = (struct record_release){e->taken_by, e->order.id, 0};
        list[n] = &rows[n];
        of[n++] = e;
    }
    pthread_mutex_unlock(&w->lock);
    int err = n ? r->ops->release(r, list, n) : 0;
    if (err)
        return err;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < n; i++) {
        detach(&w->orphans, of[i]);
        free(of[i]);
    }
    pthread_mutex_unlock(&w->lock);
    return 0;
}

static void on_decided(void *arg);

static void batch_give_back(struct watch *w)
{
    size_t n = 0;
    pthread_mutex_lock(&w->lock);
    for (size_t i = 0; i < w->n; i++) {
        struct watched *e = w->batch[i];
        e->busy = false;
        if (e->forgotten) {
            drop(w, e);
        } else if (e->has_verdict) {
            detach(&w->waiting, e);
            append(&w->decided, e);
            e->is_decided = true;
            w->batch[n++] = e;
        }
    }
    pthread_mutex_unlock(&w->lock);
    for (size_t i = 0; i < n; i++)
        while (loop_post(w->batch[i]->order.loop, on_decided, w->batch[i]))
            ;
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct watch *w = arg;
    int err = orphans_release(w, r);
    batch_take(w);
    if (!err && w->n)
        err = r->ops->watch(r, w->rows, w->n);
    if (!err)
        judge_all(w);
    for (size_t i = 0; i < w->n && !err; i++)
        if (w->batch[i]->taker)
            err = take_over(w, r, i);
    *next_ms = w->n == STATEMENT_MAX ? 0 : PERIOD_MS;
    if (w->n < STATEMENT_MAX)
        w->round++;
    batch_give_back(w);
    return err;
}

/* ---- in the loop */

static void on_decided(void *arg)
{
    struct watched *e = arg;
    struct watch *w = e->watch;
    pthread_mutex_lock(&w->lock);
    detach(&w->decided, e);
    bool forgotten = e->forgotten;
    if (forgotten)
        drop(w, e);
    pthread_mutex_unlock(&w->lock);
    if (forgotten)
        return;
    e->order.decided(e->order.arg, e->verdict, &e->row);
    free(e);
}

int watch_add(struct watch *w, const struct watch_order *o, struct watched **out)
{
    struct watched *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->watch = w;
    e->order = *o;
    pthread_mutex_lock(&w->lock);
    e->round = w->round - 1;
    append(&w->waiting, e);
    pthread_mutex_unlock(&w->lock);
    *out = e;
    return 0;
}

void watch_remove(struct watch *w, struct watched *e)
{
    pthread_mutex_lock(&w->lock);
    bool mine = !e->is_decided && !e->busy;
    e->forgotten = true;
    if (!e->is_decided)
        detach(&w->waiting, e);
    if (mine)
        drop(w, e);
    pthread_mutex_unlock(&w->lock);
}

/* ---- */

int watch_start(const struct watch_settings *s, struct watch **out)
{
    struct watch *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    struct clerk_settings c = {s->open, s->open_arg, step, w, s->loop, NULL};
    w->lease_ms = s->lease_ms > 0 ? s->lease_ms : 15000;
    w->round = 1;
    pthread_mutex_init(&w->lock, NULL);
    int err = clerk_start(&c, &w->clerk);
    if (err) {
        pthread_mutex_destroy(&w->lock);
        free(w);
        return err;
    }
    *out = w;
    return 0;
}

static void list_free(struct list *l)
{
    while (l->first) {
        struct watched *e = l->first;
        l->first = e->next;
        free(e);
    }
}

void watch_stop(struct watch *w)
{
    if (!w)
        return;
    clerk_stop(w->clerk);
    list_free(&w->waiting);
    list_free(&w->decided);
    list_free(&w->orphans);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
