#include "gateway/publish.h"

#include <errno.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "common/failpoint.h"

/* A request that gives up leaves its waiter to the report, which is sure to come later:
 * WAITING -> REPORTED (the request frees it) or WAITING -> LEFT (the report frees it). */
enum { WAITING, REPORTED, LEFT };
enum { AWAIT_STEP_MS = 10 };

struct waiter {
    struct publish_call call; /* first */
    sem_t reported;
    _Atomic int state;
    int err;
};

struct publisher {
    struct broker_producer *calm, *busy;
    int wait_ms;
    size_t queue_max;
    _Atomic size_t open;
};

int publisher_open(int wait_ms, size_t queue_max, struct publisher **out)
{
    struct publisher *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    p->wait_ms = wait_ms;
    p->queue_max = queue_max;
    *out = p;
    return 0;
}

void publisher_use(struct publisher *p, struct broker_producer *calm, struct broker_producer *busy)
{
    p->calm = calm;
    p->busy = busy;
}

struct broker_producer *publisher_producer(struct publisher *p)
{
    return p->calm;
}

void publisher_close(struct publisher *p)
{
    if (!p)
        return;
    broker_producer_close(p->calm);
    broker_producer_close(p->busy);
    free(p);
}

bool publisher_up(struct publisher *p)
{
    return broker_producer_up(p->calm) && (!p->busy || broker_producer_up(p->busy));
}

int publisher_await(struct publisher *p, int wait_ms)
{
    struct timespec pause = {0, AWAIT_STEP_MS * 1000000L};
    for (int waited = 0; !publisher_up(p); waited += AWAIT_STEP_MS) {
        if (waited >= wait_ms)
            return ERR_TIMEOUT;
        nanosleep(&pause, NULL);
    }
    return 0;
}

size_t publisher_flush(struct publisher *p, int wait_ms)
{
    size_t left = broker_flush(p->calm, wait_ms);
    return left + (p->busy ? broker_flush(p->busy, left ? 0 : wait_ms) : 0);
}

size_t publisher_open_count(struct publisher *p)
{
    return atomic_load(&p->open);
}

static int outcome(enum broker_report report)
{
    if (report == REPORT_PERSISTED)
        return 0;
    return report == REPORT_NOT_PERSISTED ? ERR_NOT_DURABLE : ERR_OUTCOME_UNKNOWN;
}

void publisher_reports(void *arg, const struct broker_delivery *list, size_t n)
{
    struct publisher *p = arg;
    for (size_t i = 0; i < n; i++) {
        struct publish_call *call = list[i].tag;
        atomic_fetch_sub(&p->open, 1);
        call->reported(call, outcome(list[i].report));
    }
}

int publish_start(struct publisher *p, const struct broker_record *r, struct publish_call *call)
{
    size_t open = atomic_fetch_add(&p->open, 1);
    if (open >= p->queue_max) {
        atomic_fetch_sub(&p->open, 1);
        return ERR_OVERLOADED;
    }
    int err = broker_publish(p->busy && open >= PUBLISH_BUSY_FROM ? p->busy : p->calm, r, call);
    if (err) {
        atomic_fetch_sub(&p->open, 1);
        return err == ERR_FULL ? ERR_OVERLOADED : err == ERR_TOO_LARGE ? err : ERR_NOT_DURABLE;
    }
    FAILPOINT("after-publish");
    return 0;
}

/* ---- waiting for it */

static void waiter_free(struct waiter *w)
{
    sem_destroy(&w->reported);
    free(w);
}

static void waiter_reported(struct publish_call *call, int err)
{
    struct waiter *w = (struct waiter *)call;
    w->err = err;
    if (atomic_exchange(&w->state, REPORTED) == LEFT)
        waiter_free(w);
    else
        sem_post(&w->reported); /* the last touch: the request frees it from here on */
}

static struct waiter *waiter_new(void)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (w && sem_init(&w->reported, 0, 0) != 0) {
        free(w);
        return NULL;
    }
    if (w)
        w->call.reported = waiter_reported;
    return w;
}

static bool wait_report(struct waiter *w, int wait_ms)
{
    struct timespec until = clock_until(wait_ms);
    while (sem_clockwait(&w->reported, CLOCK_MONOTONIC, &until) != 0)
        if (errno != EINTR)
            return false;
    return true;
}

int publish_wait(struct publisher *p, const struct broker_record *r)
{
    struct waiter *w = waiter_new();
    if (!w)
        return ERR_OVERLOADED;
    int err = publish_start(p, r, &w->call);
    if (err)
        goto out;
    if (!wait_report(w, p->wait_ms) && atomic_exchange(&w->state, LEFT) == WAITING)
        return ERR_OUTCOME_UNKNOWN; /* the report frees it */
    /* reported, or reported in the very moment the wait ran out: then its post is still to come */
    while (atomic_load(&w->state) == LEFT && sem_wait(&w->reported) != 0)
        continue;
    err = w->err;
out:
    waiter_free(w);
    return err;
}
