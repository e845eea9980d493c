#include "worker/savers.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/metrics.h"

struct saver {
    struct savers *savers;
    struct clerk *clerk;
    bool idle; /* with the lock */
};

struct savers {
    pthread_mutex_t lock; /* of the queue and who is idle */
    struct writer_op *first, *last;
    atomic_size_t ops, bytes; /* not given back */
    struct saver list[SAVERS];
    unsigned n;
    struct metric *seconds;
    const struct clock *clock;
};

static void push(struct savers *s, struct writer_op *op)
{
    op->next = NULL;
    if (s->last)
        s->last->next = op;
    else
        s->first = op;
    s->last = op;
}

static struct writer_op *take(struct saver *v)
{
    struct savers *s = v->savers;
    pthread_mutex_lock(&s->lock);
    struct writer_op *op = s->first;
    if (op)
        s->first = op->next;
    if (!s->first)
        s->last = NULL;
    v->idle = !op;
    pthread_mutex_unlock(&s->lock);
    return op;
}

static void give_back(struct savers *s, struct writer_op *op)
{
    static const struct timespec pause = {0, 1000000};
    atomic_fetch_sub(&s->ops, 1);
    atomic_fetch_sub(&s->bytes, op->bytes);
    while (loop_post(op->loop, op->done, op->arg)) /* no memory: it must not be lost */
        nanosleep(&pause, NULL);
}

static bool may_help(int err)
{
    return err == ERR_IO || err == ERR_TIMEOUT || err == ERR_NOMEM || err == ERR_SETUP;
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct saver *v = arg;
    struct writer_op *op = take(v);
    if (!op)
        return 0;
    *next_ms = 0;
    struct record_finish *rows[] = {&op->finish};
    int64_t from = clock_mono_us(v->savers->clock);
    int err = r->ops->finish(r, rows, 1);
    metrics_observe_us(v->savers->seconds, clock_mono_us(v->savers->clock) - from);
    if (may_help(err)) {
        pthread_mutex_lock(&v->savers->lock);
        push(v->savers, op); /* behind those that may have better luck */
        pthread_mutex_unlock(&v->savers->lock);
        return err;
    }
    if (err)
        op->finish.status = err;
    give_back(v->savers, op);
    return 0;
}

int savers_start(const struct savers_settings *settings, struct savers **out)
{
    struct savers *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    unsigned n = settings->threads < 1 || settings->threads > SAVERS ? SAVERS : settings->threads;
    int err = 0;
    pthread_mutex_init(&s->lock, NULL);
    s->clock = settings->loop ? settings->loop->clock : clock_real();
    s->seconds = metrics_histogram("offpath_record_write_seconds", "kind=\"save\"",
                                   "Time of a transaction that writes a batch.");
    while (s->n < n && !err) {
        struct saver *v = &s->list[s->n];
        v->savers = s;
        const struct clerk_settings c = {
            settings->open, settings->open_arg, step, v, settings->loop, "saver"};
        err = clerk_start(&c, &v->clerk);
        s->n += err == 0;
    }
    if (err)
        savers_stop(s);
    else
        *out = s;
    return err;
}

struct savers_waiting savers_waiting(const struct savers *s)
{
    return (struct savers_waiting){atomic_load(&s->ops), atomic_load(&s->bytes)};
}

void savers_put(struct savers *s, struct writer_op *op)
{
    struct clerk *wake = NULL;
    atomic_fetch_add(&s->ops, 1);
    atomic_fetch_add(&s->bytes, op->bytes);
    pthread_mutex_lock(&s->lock);
    push(s, op);
    for (unsigned i = 0; i < s->n && !wake; i++) {
        if (!s->list[i].idle)
            continue;
        s->list[i].idle = false;
        wake = s->list[i].clerk;
    }
    pthread_mutex_unlock(&s->lock);
    if (wake)
        clerk_wake(wake);
}

void savers_stop(struct savers *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n; i++)
        clerk_stop(s->list[i].clerk);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
