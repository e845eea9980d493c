/* A desk is one clerk with a queue per kind. It keeps the batch in hand until the record took it,
 * so a failed step simply comes again. */
#include "worker/writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/clock.h"
#include "common/metrics.h"
#include "worker/clerk.h"
#include "worker/savers.h"

enum {
    BATCH_ROWS = 100,
    BATCH_BYTES = 4 << 20,
    THREADS_MAX = 8,
    BUCKETS = 4096,
    BEHIND = 300,
    PASSED_MAX = 4
};

struct queue {
    struct writer_op *first, *last;
    size_t n;
    unsigned passed; /* batches of other kinds while something waited here */
};

/* One thread's work. The queues belong to the writer's lock, the rest to its clerk. */
struct desk {
    struct writer *writer;
    struct clerk *clerk;
    struct queue queues[WRITE_KINDS];
    struct writer_op *batch[BATCH_ROWS];
    size_t batch_at, batch_n, chunk; /* done; all; rows of the next transaction */
    const struct clock *clock;
    struct metric *seconds[WRITE_KINDS], *rows[WRITE_KINDS];
};

/* Jobs by 12 bits of their id. A bucket stays with a desk as long as an op of it waits, so the rows
 * of a job commit in order; one that is empty may move. */
struct bucket {
    unsigned desk;
    size_t waiting;
};

struct writer {
    struct desk desks[THREADS_MAX];
    unsigned n, active; /* desks; those that get new work */
    bool in_loop;
    struct savers *savers;
    atomic_size_t waiting, bytes; /* the desks' */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    struct bucket buckets[BUCKETS];
};

/* ---- batches */

static void take(struct desk *d, struct queue *q)
{
    size_t bytes = 0;
    while (q->first && d->batch_n < BATCH_ROWS &&
           (d->batch_n == 0 || bytes + q->first->bytes <= BATCH_BYTES)) {
        bytes += q->first->bytes;
        d->batch[d->batch_n++] = q->first;
        q->first = q->first->next;
        q->n--;
    }
    if (!q->first)
        q->last = NULL;
}

/* The fullest, or one that was passed over too often; NULL: nothing waits. */
static struct queue *choose(struct desk *d)
{
    struct queue *best = NULL;
    for (int i = 0; i < WRITE_KINDS; i++) {
        struct queue *q = &d->queues[i];
        if (!q->first)
            continue;
        if (q->passed >= PASSED_MAX)
            return q;
        if (!best || q->n > best->n)
            best = q;
    }
    return best;
}

static void batch_next(struct desk *d)
{
    d->batch_at = d->batch_n = 0;
    pthread_mutex_lock(&d->writer->lock);
    struct queue *q = choose(d);
    if (q)
        take(d, q);
    for (int i = 0; i < WRITE_KINDS; i++)
        d->queues[i].passed =
            q == &d->queues[i] || !d->queues[i].first ? 0 : d->queues[i].passed + 1;
    pthread_mutex_unlock(&d->writer->lock);
    d->chunk = d->batch_n;
}

int *writer_op_status(struct writer_op *op)
{
    switch (op->kind) {
    case WRITE_CLAIM:
        return &op->claim.status;
    case WRITE_LEDGER:
        return &op->ledger.status;
    case WRITE_POOL:
        return &op->pool.status;
    case WRITE_FINISH:
        return &op->finish.status;
    default:
        return &op->release.status;
    }
}

static int write_rows(struct record *r, struct writer_op *const *ops, size_t n)
{
    union {
        struct record_claim *claims[BATCH_ROWS];
        struct record_ledger *ledger[BATCH_ROWS];
        struct record_pool *pools[BATCH_ROWS];
        struct record_finish *finishes[BATCH_ROWS];
        struct record_release *releases[BATCH_ROWS];
    } rows;
    switch (ops[0]->kind) {
    case WRITE_CLAIM:
        for (size_t i = 0; i < n; i++)
            rows.claims[i] = &ops[i]->claim;
        return r->ops->claim(r, rows.claims, n);
    case WRITE_LEDGER:
        for (size_t i = 0; i < n; i++)
            rows.ledger[i] = &ops[i]->ledger;
        return r->ops->ledger(r, rows.ledger, n);
    case WRITE_POOL:
        for (size_t i = 0; i < n; i++)
            rows.pools[i] = &ops[i]->pool;
        return r->ops->pool(r, rows.pools, n);
    case WRITE_FINISH:
        for (size_t i = 0; i < n; i++)
            rows.finishes[i] = &ops[i]->finish;
        return r->ops->finish(r, rows.finishes, n);
    default:
        for (size_t i = 0; i < n; i++)
            rows.releases[i] = &ops[i]->release;
        return r->ops->release(r, rows.releases, n);
    }
}

/* ---- done */

static const struct job_id *id_of(const struct writer_op *op)
{
    switch (op->kind) {
    case WRITE_CLAIM:
        return &op->claim.job.id;
    case WRITE_LEDGER:
        return &op->ledger.call.job;
    case WRITE_POOL:
        return &op->pool.call.job;
    case WRITE_FINISH:
        return &op->finish.id;
    default:
        return &op->release.id;
    }
}

static struct bucket *bucket_of(struct writer *w, const struct writer_op *op)
{
    const uint8_t *b = id_of(op)->b;
    return &w->buckets[(b[14] * 256u + b[15]) % BUCKETS];
}

static void forget(struct desk *d, struct writer_op *const *ops, size_t n)
{
    pthread_mutex_lock(&d->writer->lock);
    for (size_t i = 0; i < n; i++)
        bucket_of(d->writer, ops[i])->waiting--;
    pthread_mutex_unlock(&d->writer->lock);
}

static void signal_idle(struct writer *w, size_t n, size_t bytes)
{
    atomic_fetch_sub(&w->bytes, bytes);
    if (atomic_fetch_sub(&w->waiting, n) != n)
        return;
    pthread_mutex_lock(&w->lock);
    pthread_cond_signal(&w->idle);
    pthread_mutex_unlock(&w->lock);
}

/* In the loop of the ops: one posted call for all of them. */
static void run_chain(void *arg)
{
    for (struct writer_op *op = arg, *next; op; op = next) {
        next = op->next;
        op->done(op->arg);
    }
}

static void post_chain(struct writer_op *first)
{
    static const struct timespec pause = {0, 1000000};
    while (loop_post(first->loop, run_chain, first)) /* no memory: they must not be lost */
        nanosleep(&pause, NULL);
}

/* Gives ops back, each loop its own in order. From then on they are not ours. */
static void deliver(struct desk *d, struct writer_op **ops, size_t n)
{
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++)
        bytes += ops[i]->bytes;
    forget(d, ops, n);
    for (size_t i = 0; i < n; i++) {
        struct writer_op *first = ops[i], *last = ops[i];
        if (!first)
            continue;
        for (size_t k = i + 1; k < n; k++) {
            if (!ops[k] || ops[k]->loop != first->loop)
                continue;
            last = last->next = ops[k];
            ops[k] = NULL;
        }
        last->next = NULL;
        post_chain(first);
    }
    signal_idle(d->writer, n, bytes);
}

/* Repeating cannot help: the data of a row, not the server. */
static bool is_refused(int err)
{
    return err && err != ERR_IO && err != ERR_TIMEOUT && err != ERR_NOMEM && err != ERR_SETUP;
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct desk *d = arg;
    if (d->batch_at == d->batch_n)
        batch_next(d);
    if (d->batch_n == 0)
        return 0;
    *next_ms = 0;
    size_t n = d->batch_n - d->batch_at < d->chunk ? d->batch_n - d->batch_at : d->chunk;
    struct writer_op **ops = d->batch + d->batch_at;
    int64_t from = clock_mono_us(d->clock);
    int err = write_rows(r, ops, n);
    metrics_observe_us(d->seconds[ops[0]->kind], clock_mono_us(d->clock) - from);
    if (is_refused(err) && n > 1) {
        d->chunk = 1; /* one row spoils the batch: each for itself */
        return 0;
    }
    if (err && !is_refused(err))
        return err;
    if (err)
        *writer_op_status(ops[0]) = err;
    metrics_add(d->rows[ops[0]->kind], (int64_t)n);
    d->batch_at += n;
    deliver(d, ops, n);
    return 0;
}

/* ---- */

static void desks_stop(struct writer *w)
{
    for (unsigned i = 0; i < w->n; i++)
        clerk_stop(w->desks[i].clerk);
}

static void metrics_name(struct desk *d)
{
    static const char *const labels[WRITE_KINDS] = {
        [WRITE_CLAIM] = "kind=\"claim\"",     [WRITE_LEDGER] = "kind=\"ledger\"",
        [WRITE_POOL] = "kind=\"pool\"",       [WRITE_FINISH] = "kind=\"finish\"",
        [WRITE_RELEASE] = "kind=\"release\"",
    };
    for (int i = 0; i < WRITE_KINDS; i++) {
        d->seconds[i] = metrics_histogram("offpath_record_write_seconds", labels[i],
                                          "Time of a transaction that writes a batch.");
        d->rows[i] =
            metrics_counter("offpath_record_rows_total", labels[i], "Rows written to the record.");
    }
}

static int desk_start(struct writer *w, const struct writer_settings *s)
{
    struct desk *d = &w->desks[w->n];
    struct clerk_settings c = {s->open, s->open_arg, step, d, s->loop, "writer"};
    d->writer = w;
    d->clock = s->loop ? s->loop->clock : clock_real();
    metrics_name(d);
    int err = clerk_start(&c, &d->clerk);
    w->n += err == 0;
    return err;
}

int writer_start(const struct writer_settings *s, struct writer **out)
{
    struct writer *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    unsigned n = s->threads < 1 ? 1 : s->threads > THREADS_MAX ? THREADS_MAX : s->threads;
    int err = 0;
    pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->idle);
    w->in_loop = s->loop != NULL;
    w->active = 1;
    while (w->n < n && !err)
        err = desk_start(w, s);
    const struct savers_settings savers = {s->open_saver ? s->open_saver : s->open, s->open_arg,
                                           s->savers, s->loop};
    if (!err)
        err = savers_start(&savers, &w->savers);
    if (err) {
        writer_stop(w, 0);
        return err;
    }
    *out = w;
    return 0;
}

/* Few full batches cost less than many small ones: one more thread works when those that do are
 * three batches behind, and one less when little is left. Between the two nothing changes, or the
 * last thread would live on scraps. */
static void active_set(struct writer *w, size_t waiting)
{
    if (w->active < w->n && waiting > (size_t)BEHIND * w->active)
        w->active++;
    else if (w->active > 1 && waiting < (size_t)BATCH_ROWS / 2 * (w->active - 1))
        w->active--;
}

void writer_put(struct writer *w, struct writer_op *op)
{
    if (op->kind == WRITE_FINISH && op->finish.saves) {
        savers_put(w->savers, op);
        return;
    }
    op->next = NULL;
    size_t waiting = atomic_fetch_add(&w->waiting, 1);
    atomic_fetch_add(&w->bytes, op->bytes);
    pthread_mutex_lock(&w->lock);
    active_set(w, waiting);
    struct bucket *b = bucket_of(w, op);
    if (b->waiting++ == 0)
        b->desk = (unsigned)(b - w->buckets) % w->active;
    struct desk *d = &w->desks[b->desk];
    struct queue *q = &d->queues[op->kind];
    if (q->last)
        q->last->next = op;
    else
        q->first = op;
    q->last = op;
    q->n++;
    pthread_mutex_unlock(&w->lock);
    clerk_wake(d->clerk);
}

bool writer_up(const struct writer *w)
{
    for (unsigned i = 0; i < w->n; i++)
        if (!clerk_up(w->desks[i].clerk))
            return false;
    return true;
}

size_t writer_waiting(const struct writer *w)
{
    return atomic_load(&w->waiting) + savers_waiting(w->savers).ops;
}

size_t writer_waiting_bytes(const struct writer *w)
{
    return atomic_load(&w->bytes) + savers_waiting(w->savers).bytes;
}

static void wait_idle(struct writer *w, int64_t wait_ms)
{
    struct timespec until = clock_until(wait_ms);
    pthread_mutex_lock(&w->lock);
    while (atomic_load(&w->waiting) && !pthread_cond_timedwait(&w->idle, &w->lock, &until))
        ;
    pthread_mutex_unlock(&w->lock);
}

void writer_stop(struct writer *w, int64_t wait_ms)
{
    if (!w)
        return;
    if (!w->in_loop && wait_ms > 0)
        wait_idle(w, wait_ms);
    desks_stop(w);
    savers_stop(w->savers);
    pthread_cond_destroy(&w->idle);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
