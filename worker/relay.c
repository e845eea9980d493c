/* A step deletes what was acknowledged; when nothing is on its way it takes the next rows. Reports
 * come in the producer's thread and only note ids. */
#include "worker/relay.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/log.h"
#include "common/metrics.h"

enum { PERIOD_MS = 1000, JITTER_MS = 400, ROWS_MAX = 200 };

struct relay {
    struct clerk *clerk; /* the lock's */
    struct relay_settings s;
    struct broker_producer *producer;
    struct metric *relayed;
    bool full; /* the last take brought all it can: more may be due */
    pthread_mutex_t lock;
    uint64_t acked[ROWS_MAX];
    size_t acked_n, out; /* published: acknowledged, not deleted yet; without a report */
};

/* The tag of a publish is the row's id. In the producer's thread. */
static void on_report(void *arg, const struct broker_delivery *list, size_t n)
{
    struct relay *r = arg;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++) {
        r->out--;
        if (list[i].report == REPORT_PERSISTED && r->acked_n < ROWS_MAX)
            r->acked[r->acked_n++] = (uint64_t)(uintptr_t)list[i].tag;
    }
    if (r->out == 0 && r->clerk)
        clerk_wake(r->clerk);
    pthread_mutex_unlock(&r->lock);
}

/* A lost answer: the same ids again, deleting twice is no change. */
static int delete_acked(struct relay *r, struct record *record)
{
    uint64_t ids[ROWS_MAX];
    pthread_mutex_lock(&r->lock);
    size_t n = r->acked_n;
    for (size_t i = 0; i < n; i++)
        ids[i] = r->acked[i];
    pthread_mutex_unlock(&r->lock);
    int err = n ? record->ops->outbox_delete(record, ids, n) : 0;
    if (err || n == 0)
        return err;
    metrics_add(r->relayed, (int64_t)n);
    pthread_mutex_lock(&r->lock);
    r->acked_n -= n;
    for (size_t i = 0; i < r->acked_n; i++)
        r->acked[i] = r->acked[i + n];
    pthread_mutex_unlock(&r->lock);
    return 0;
}

static void publish(struct relay *r, const struct record_outbox *o)
{
    struct event_header headers[64];
    size_t n = 0;
    if (o->headers_len && record_headers_unpack(o->headers, o->headers_len, headers, 64, &n)) {
        log_error("outbox-unreadable", "outbox", log_number((long long)o->id));
        return; /* stays: an operator must look */
    }
    struct broker_record b = {.topic = o->topic,
                              .partition = -1,
                              .key = o->key,
                              .key_len = o->key_len,
                              .value = o->value,
                              .value_len = o->value_len,
                              .headers = headers,
                              .headers_n = n};
    pthread_mutex_lock(&r->lock);
    r->out++;
    pthread_mutex_unlock(&r->lock);
    int err = broker_publish(r->producer, &b, (void *)(uintptr_t)o->id);
    if (!err)
        return;
    log_warn("relay-failed", "topic", o->topic, "why", err_text(err));
    pthread_mutex_lock(&r->lock);
    r->out--;
    pthread_mutex_unlock(&r->lock);
}

static int take(struct relay *r, struct record *record)
{
    struct record_outbox *rows = NULL;
    size_t n = 0;
    uint64_t worker = r->s.worker(r->s.worker_arg);
    int err = worker ? record->ops->outbox_take(record, worker, &rows, &n) : 0;
    if (err)
        return err == ERR_FENCED ? 0 : err; /* the shard will have another id soon */
    for (size_t i = 0; i < n; i++)
        publish(r, &rows[i]);
    r->full = n >= ROWS_MAX;
    record_outbox_free(rows, n);
    return 0;
}

static bool idle(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    bool is = r->out == 0 && r->acked_n == 0;
    pthread_mutex_unlock(&r->lock);
    return is;
}

static int step(void *arg, struct record *record, int64_t *next_ms)
{
    struct relay *r = arg;
    int err = delete_acked(r, record);
    if (!err && idle(r)) {
        r->full = false;
        err = take(r, record);
    }
    *next_ms = PERIOD_MS - JITTER_MS / 2 + (int64_t)rng_upto(r->s.rng, JITTER_MS);
    if (r->full && idle(r)) /* all reports are in */
        *next_ms = 0;
    return err;
}

static struct clerk *clerk_set(struct relay *r, struct clerk *clerk)
{
    pthread_mutex_lock(&r->lock);
    struct clerk *old = r->clerk;
    r->clerk = clerk;
    pthread_mutex_unlock(&r->lock);
    return old;
}

static void relay_free(struct relay *r)
{
    broker_producer_close(r->producer);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

int relay_start(const struct relay_settings *settings, struct relay **out)
{
    struct relay *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->s = *settings;
    r->relayed = metrics_counter("offpath_relayed_total", "", "Outbox rows published.");
    pthread_mutex_init(&r->lock, NULL);
    int err = settings->producer(settings->producer_arg, on_report, r, &r->producer);
    struct clerk_settings c = {settings->open, settings->open_arg, step, r, settings->loop, NULL};
    struct clerk *clerk = NULL;
    if (!err)
        err = clerk_start(&c, &clerk);
    if (err) {
        relay_free(r);
        return err;
    }
    clerk_set(r, clerk);
    *out = r;
    return 0;
}

void relay_stop(struct relay *r)
{
    if (!r)
        return;
    struct clerk *clerk = clerk_set(r, NULL); /* reports of the closing producer wake nobody */
    clerk_stop(clerk);
    relay_free(r);
}
