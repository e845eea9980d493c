/* A step deletes what was acknowledged; when at most a half of what may be taken at once is on its
 * way it takes the next rows.
 * Reports come in the producer's thread and only note ids. */
#include "worker/relay.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/metrics.h"

enum { PERIOD_MS = 1000, JITTER_MS = 400, ACKED_MAX = 20000, COUNT_MS = 5000 };
enum { LAST_MS = 2000 }; /* for the last reports, and for the last deletes */
/* The tag of a publish: the row's id, how many KB it has, and whether a shard put it: nothing waits
 * for those. */
enum { ID_BITS = 48, KB_MAX = (1 << 15) - 1 };
#define PUT_BIT ((uint64_t)1 << 63)

static uint64_t id_of(uint64_t tag)
{
    return tag & (((uint64_t)1 << ID_BITS) - 1);
}

static size_t kb_of(uint64_t tag)
{
    return (size_t)((tag & ~PUT_BIT) >> ID_BITS);
}

struct relay {
    struct clerk *clerk; /* the lock's */
    struct relay_settings s;
    struct broker_producer *producer;
    struct metric *relayed;
    bool full;                   /* the last take brought all it can: more may be due */
    int64_t next_ms, counted_ms; /* of the next take; of the last count */
    _Atomic bool behind;
    pthread_mutex_t lock;
    uint64_t acked[ACKED_MAX];
    size_t acked_n;     /* published: acknowledged, not deleted yet */
    size_t out, out_kb; /* taken, without a report */
};

/* In the producer's thread. A row that finds no room is published again in 30 s. */
static void on_report(void *arg, const struct broker_delivery *list, size_t n)
{
    struct relay *r = arg;
    const struct broker_delivery *failed = NULL;
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < n; i++) {
        uint64_t tag = (uint64_t)(uintptr_t)list[i].tag;
        r->out -= !(tag & PUT_BIT);
        r->out_kb -= kb_of(tag);
        if (list[i].report != REPORT_PERSISTED)
            failed = failed ? failed : &list[i];
        else if (r->acked_n < ACKED_MAX)
            r->acked[r->acked_n++] = id_of(tag);
    }
    if ((r->out == 0 || r->acked_n) && r->clerk)
        clerk_wake(r->clerk);
    pthread_mutex_unlock(&r->lock);
    if (failed) /* one of a batch; they are taken again */
        log_warn("relay-unacknowledged", "outbox",
                 log_number((long long)id_of((uint64_t)(uintptr_t)failed->tag)), "why",
                 failed->why ? failed->why : "");
}

/* A lost answer: the same ids again, deleting twice is no change. */
static int delete_acked(struct relay *r, struct record *record)
{
    uint64_t ids[RECORD_OUTBOX_ROWS];
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (; n < r->acked_n && n < RECORD_OUTBOX_ROWS; n++)
        ids[n] = r->acked[n];
    pthread_mutex_unlock(&r->lock);
    if (n)
        FAILPOINT("before-outbox-delete");
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

static int publish(struct relay *r, const struct record_post *p, uint64_t tag)
{
    struct event_header headers[BROKER_HEADERS_MAX];
    size_t n = 0;
    if (p->headers_len &&
        record_headers_unpack(p->headers, p->headers_len, headers, BROKER_HEADERS_MAX, &n)) {
        log_error("outbox-unreadable", "outbox", log_number((long long)id_of(tag)));
        return ERR_INVALID; /* stays: an operator must look */
    }
    struct broker_record b = {.topic = p->topic,
                              .partition = -1,
                              .key = p->key,
                              .key_len = p->key_len,
                              .value = p->value,
                              .value_len = p->value_len,
                              .headers = headers,
                              .headers_n = n};
    int err = broker_publish(r->producer, &b, (void *)(uintptr_t)tag);
    if (err)
        log_warn("relay-failed", "topic", p->topic, "why", err_text(err));
    return err;
}

static size_t bytes_of(const struct record_outbox *o)
{
    return o->key_len + o->value_len + o->headers_len;
}

static void publish_taken(struct relay *r, const struct record_outbox *o)
{
    size_t kb = bytes_of(o) >> 10;
    uint64_t tag = o->id | (uint64_t)(kb < KB_MAX ? kb : KB_MAX) << ID_BITS;
    const struct record_post p = {.topic = o->topic,
                                  .key = o->key,
                                  .key_len = o->key_len,
                                  .value = o->value,
                                  .value_len = o->value_len,
                                  .headers = o->headers,
                                  .headers_len = o->headers_len};
    pthread_mutex_lock(&r->lock);
    r->out++;
    r->out_kb += kb_of(tag);
    pthread_mutex_unlock(&r->lock);
    if (publish(r, &p, tag) == 0)
        return;
    pthread_mutex_lock(&r->lock);
    r->out--;
    r->out_kb -= kb_of(tag);
    pthread_mutex_unlock(&r->lock);
}

void relay_put(struct relay *r, const struct record_post *p, uint64_t id)
{
    /* refused: it is taken in 30 s, as any other */
    if (publish(r, p, id | PUT_BIT))
        return;
}

bool relay_behind(const struct relay *r)
{
    return r->behind;
}

static int64_t now_ms_of(const struct relay *r)
{
    return clock_mono_ms(r->s.loop ? r->s.loop->clock : clock_real());
}

/* Counted only while rows come faster than they go. */
static int look_behind(struct relay *r, struct record *record)
{
    int64_t now_ms = now_ms_of(r);
    size_t due = 0;
    if (r->full && now_ms - r->counted_ms < COUNT_MS)
        return 0;
    int err = r->full ? record->ops->outbox_due(record, RELAY_DUE_MAX + 1, &due) : 0;
    if (err)
        return err;
    bool behind = due > RELAY_DUE_MAX;
    if (behind != r->behind)
        log_warn(behind ? "outbox-behind" : "outbox-caught-up", "due", log_number((long long)due));
    r->behind = behind;
    r->counted_ms = now_ms;
    return 0;
}

static int take(struct relay *r, struct record *record)
{
    struct record_outbox *rows = NULL;
    size_t n = 0, bytes = 0;
    uint64_t worker = r->s.worker(r->s.worker_arg);
    int err = worker ? record->ops->outbox_take(record, worker, &rows, &n) : 0;
    if (err)
        return err == ERR_FENCED ? 0 : err; /* the shard will have another id soon */
    for (size_t i = 0; i < n; i++) {
        publish_taken(r, &rows[i]);
        bytes += bytes_of(&rows[i]);
    }
    r->full = n >= RECORD_OUTBOX_ROWS || bytes >= RECORD_OUTBOX_BYTES;
    record_outbox_free(rows, n);
    return look_behind(r, record);
}

/* One that Kafka cannot take keeps its place until its time is over; the others go on. */
static bool has_room(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    bool has = r->out <= RECORD_OUTBOX_ROWS / 2 && r->out_kb <= RECORD_OUTBOX_BYTES / 2 / 1024;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static bool has_acked(struct relay *r)
{
    pthread_mutex_lock(&r->lock);
    bool has = r->acked_n > 0;
    pthread_mutex_unlock(&r->lock);
    return has;
}

static int step(void *arg, struct record *record, int64_t *next_ms)
{
    struct relay *r = arg;
    int64_t now_ms = now_ms_of(r);
    int err = delete_acked(r, record);
    if (!err && has_room(r) && (r->full || now_ms >= r->next_ms)) {
        r->full = false;
        r->next_ms = now_ms + PERIOD_MS - JITTER_MS / 2 + (int64_t)rng_upto(r->s.rng, JITTER_MS);
        err = take(r, record);
    }
    if (has_acked(r) || (r->full && has_room(r)))
        *next_ms = 0;
    else if (r->next_ms > now_ms)
        *next_ms = r->next_ms - now_ms;
    else
        *next_ms = PERIOD_MS; /* some are still out: the last report wakes */
    return err;
}

/* Behind the last step: nothing is published any more. */
static void finish(void *arg, struct record *record)
{
    struct relay *r = arg;
    (void)broker_flush(r->producer, LAST_MS);
    int64_t until_ms = now_ms_of(r) + LAST_MS;
    while (has_acked(r) && now_ms_of(r) <= until_ms)
        if (delete_acked(r, record))
            break;
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
    r->counted_ms = -COUNT_MS;
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
    clerk_stop_after(clerk, finish);
    relay_free(r);
}
