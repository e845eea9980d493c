#include "worker/trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker_fake.h"
#include "common/cache_fake.h"
#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "worker/databases.h"
#include "worker/shard.h"
#include "worker/trial_pool.h"

enum {
    BEGIN_S = 1767225600, /* 2026-01-01 */
    LEASE_MS = 15000,
    CONSUMERS_MAX = 4,
    JOIN_MS = 2000,
    AFTER_MS = 3000, /* events, commits */
    HELD_MS = 31000, /* so long what is sent on is its worker's */
    DAY_MS = 24 * 3600 * 1000
};

struct trial {
    struct flow_set *set;
    const struct flow *flow;
    const char *only[1];
    struct loop *loop;
    struct broker_fake *broker;
    struct cache_fake *redis;
    struct cache_async *cache;
    struct record_fake *db;
    struct record *eyes;
    struct http_client *http;
    struct writer *writer;
    struct sql_fake *sql; /* all of users' databases, each on a server of its own */
    struct databases *databases;
    struct lease *lease;
    struct watch *watch;
    struct cancels *cancels;
    struct rng_seeded rng;
    struct shard *shard;
    struct shard_signs signs;
    struct broker_consumer *consumers[CONSUMERS_MAX];
    size_t consumers_n;
    bool closed, failed;
    _Atomic int64_t ahead_us;
};

static int open_consumer(void *arg, const char *group, const char *const *topics, size_t n,
                         const struct broker_consumer_events *events, struct broker_consumer **out)
{
    struct trial *t = arg;
    if (t->consumers_n == CONSUMERS_MAX)
        return ERR_FULL;
    int err = broker_fake_consumer_open(t->broker, group, topics, n, events, out);
    if (!err)
        t->consumers[t->consumers_n++] = *out;
    return err;
}

static void on_closed(void *arg, struct shard *s)
{
    struct trial *t = arg;
    (void)s;
    t->closed = true;
}

static void on_fatal(void *arg, const char *why)
{
    struct trial *t = arg;
    (void)why;
    t->failed = true;
}

/* ---- open */

/* Topics of all flows: what one sends on goes to another's. One that is there already is fine. */
static int open_topics(struct trial *t)
{
    int err = 0;
    for (size_t i = 0; i < t->set->flows_n && err != ERR_NOMEM; i++) {
        const struct flow *f = &t->set->flows[i];
        char retry[300];
        snprintf(retry, sizeof retry, "%s.retry", f->topic.name);
        err = broker_fake_topic(t->broker, f->topic.name, (int)f->topic.partitions);
        if (err != ERR_NOMEM)
            err = broker_fake_topic(t->broker, retry, (int)f->topic.partitions);
        if (err != ERR_NOMEM && f->pool.topic)
            err = broker_fake_topic(t->broker, f->pool.topic, 1);
        for (size_t k = 0; k < f->emits_n && err != ERR_NOMEM; k++)
            if (f->emits[k].topic)
                err = broker_fake_topic(t->broker, f->emits[k].topic, 1);
    }
    return err == ERR_NOMEM ? err : 0;
}

static int open_servers(struct trial *t)
{
    int err = loop_fake_open(BEGIN_S * INT64_C(1000000), &t->loop);
    const struct clock *clock = err ? NULL : loop_fake_clock(t->loop);
    if (!err)
        err = broker_fake_open(clock, t->loop, &t->broker);
    if (!err)
        err = open_topics(t);
    if (!err)
        err = cache_fake_open(clock, &t->redis);
    if (!err)
        err = cache_fake_async_view(t->redis, t->loop, &t->cache);
    if (!err)
        err = http_client_fake_open(t->loop, &t->http);
    if (!err)
        t->db = record_fake_new(clock);
    if (!err)
        t->sql = sql_fake_new();
    if (!err && (!t->db || !t->sql))
        err = ERR_NOMEM;
    return err ? err : record_fake_open(t->db, &t->eyes, NULL);
}

static int open_record(struct trial *t)
{
    const struct writer_settings writer = {
        .open = record_fake_open, .open_arg = t->db, .threads = 1, .loop = t->loop};
    const struct lease_settings lease = {.open = record_fake_open,
                                         .open_arg = t->db,
                                         .name = "trial",
                                         .lease_ms = LEASE_MS,
                                         .shards = 1,
                                         .loop = t->loop};
    const struct watch_settings watch = {
        .open = record_fake_open, .open_arg = t->db, .lease_ms = LEASE_MS, .loop = t->loop};
    const struct cancels_settings cancels = {
        .open = record_fake_open, .open_arg = t->db, .loop = t->loop};
    static const struct store_url record = {.port = 0};
    const struct databases_settings databases = {.set = t->set,
                                                 .open = sql_fake_open,
                                                 .open_arg = t->sql,
                                                 .record = &record,
                                                 .loop = t->loop};
    int err = writer_start(&writer, &t->writer);
    if (!err)
        err = databases_start(&databases, &t->databases);
    if (!err)
        err = lease_start(&lease, &t->lease);
    if (!err)
        err = watch_start(&watch, &t->watch);
    return err ? err : cancels_start(&cancels, &t->cancels);
}

static int open_shard(struct trial *t)
{
    const struct shard_settings s = {.set = t->set,
                                     .only = t->only,
                                     .only_n = 1,
                                     .loop = t->loop,
                                     .http = t->http,
                                     .cache = t->cache,
                                     .writer = t->writer,
                                     .databases = t->databases,
                                     .lease = t->lease,
                                     .watch = t->watch,
                                     .cancels = t->cancels,
                                     .open = open_consumer,
                                     .open_arg = t,
                                     .rng = &t->rng.rng,
                                     .ahead_us = &t->ahead_us,
                                     .shares = lease_shares(t->lease),
                                     .signs = &t->signs,
                                     .retention_ms = DAY_MS,
                                     .closed = on_closed,
                                     .fatal = on_fatal,
                                     .arg = t};
    return shard_open(&s, &t->shard);
}

int trial_open(struct flow_set *set, const struct flow *f, struct trial **out)
{
    struct trial *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    t->set = flow_set_get(set);
    t->flow = f;
    t->only[0] = f->name;
    rng_seeded_init(&t->rng, 1);
    int err = open_servers(t);
    if (!err)
        err = open_record(t);
    if (!err)
        err = open_shard(t);
    for (size_t i = 0; i < t->consumers_n && !err; i++)
        broker_fake_assign(t->consumers[i]);
    if (!err)
        loop_fake_run_for(t->loop, JOIN_MS);
    if (!err && (t->failed || !t->signs.worker))
        err = ERR_BUG;
    if (err)
        trial_close(t);
    else
        *out = t;
    return err;
}

struct sql_fake *trial_sql(struct trial *t)
{
    return t->sql;
}

struct http_client *trial_http(struct trial *t)
{
    return t->http;
}

/* ---- close */

static bool is_closed(void *arg)
{
    return ((const struct trial *)arg)->closed;
}

static void close_shard(struct trial *t)
{
    shard_drain(t->shard, 0);
    if (loop_fake_run_until(t->loop, is_closed, t, 60000))
        shard_free(t->shard);
}

void trial_close(struct trial *t)
{
    if (!t)
        return;
    if (t->shard)
        close_shard(t);
    if (t->cancels)
        cancels_stop(t->cancels);
    if (t->watch)
        watch_stop(t->watch);
    if (t->lease)
        lease_stop(t->lease);
    writer_stop(t->writer, 0);
    databases_stop(t->databases);
    http_client_close(t->http);
    if (t->cache)
        cache_async_close(t->cache);
    cache_fake_close(t->redis);
    if (t->eyes)
        t->eyes->ops->close(t->eyes);
    if (t->db)
        record_fake_free(t->db);
    sql_fake_free(t->sql);
    broker_fake_close(t->broker);
    if (t->loop) {
        loop_fake_run_for(t->loop, 10);
        loop_close(t->loop);
    }
    flow_set_put(t->set);
    free(t);
}

/* ---- a job */

struct awaited {
    struct trial *t;
    const struct job_id *id;
    unsigned round; /* that was put last */
    int64_t due_us; /* of a later one; 0: final */
};

static bool has_ended(void *arg)
{
    struct awaited *a = arg;
    struct trial_end e = {0};
    struct record *r = a->t->eyes;
    if (r->ops->read(r, a->id, &e.job, &e.calls, &e.calls_n))
        return false;
    bool final = job_is_final(e.job.state);
    bool later = e.job.state == JOB_QUEUED && e.job.round > a->round;
    a->due_us = later ? e.job.retry_at_us : 0;
    a->round = later ? e.job.round : a->round;
    trial_end_fini(&e);
    return final || later;
}

static struct event event_of(struct trial *t, const struct trial_job *job)
{
    static const struct id_secret secret = {{1}};
    const struct clock *clock = loop_fake_clock(t->loop);
    struct event e = {.ours = true, .refill = job->refill, .created_us = clock_wall_us(clock)};
    snprintf(e.flow, sizeof e.flow, "%s", t->flow->name);
    if (job->user) {
        e.owner = owner_of("", job->user);
        snprintf(e.sub, sizeof e.sub, "%s", job->user);
    }
    e.job = id_new(&secret, &e.owner, clock, &t->rng.rng);
    if (t->flow->deadline_ms && !job->refill)
        e.deadline_us = e.created_us + t->flow->deadline_ms * 1000;
    memcpy(e.rev, t->flow->rev, sizeof e.rev);
    e.has_rev = true;
    return e;
}

static int put(struct trial *t, const struct trial_job *job, const struct event *e)
{
    static struct event_headers headers; /* too large for the stack; one thread */
    int err = event_encode(e, &headers);
    const struct broker_record r = {.topic =
                                        job->refill ? t->flow->pool.topic : t->flow->topic.name,
                                    .timestamp_ms = e->created_us / 1000,
                                    .key = "trial",
                                    .key_len = 5,
                                    .value = job->request,
                                    .value_len = strlen(job->request),
                                    .headers = headers.list,
                                    .headers_n = headers.n};
    return err ? err : broker_fake_put(t->broker, &r);
}

static int put_again(struct trial *t, const struct record_outbox *row)
{
    enum { HEADERS_MAX = 255 };
    static struct event_header headers[HEADERS_MAX];
    struct broker_record r = {.topic = row->topic,
                              .partition = -1,
                              .timestamp_ms = clock_wall_us(loop_fake_clock(t->loop)) / 1000,
                              .key = row->key,
                              .key_len = row->key_len,
                              .value = row->value,
                              .value_len = row->value_len,
                              .headers = headers};
    int err =
        record_headers_unpack(row->headers, row->headers_len, headers, HEADERS_MAX, &r.headers_n);
    if (!err)
        err = broker_fake_put(t->broker, &r);
    return err ? err : t->eyes->ops->outbox_delete(t->eyes, &row->id, 1);
}

/* As the relay does when a later round is due. */
static int send_again(struct trial *t)
{
    struct record_outbox *rows = NULL;
    char retry[300];
    size_t n = 0;
    snprintf(retry, sizeof retry, "%s.retry", t->flow->topic.name);
    int err = t->eyes->ops->outbox_take(t->eyes, t->signs.worker, &rows, &n);
    for (size_t i = 0; i < n && !err; i++)
        if (strcmp(rows[i].topic, retry) == 0)
            err = put_again(t, &rows[i]);
    if (rows)
        record_outbox_free(rows, n);
    return err;
}

static int play(struct trial *t, const struct job_id *id)
{
    struct awaited a = {.t = t, .id = id};
    int64_t end_ms = loop_now_ms(t->loop) + DAY_MS;
    int err = 0;
    while (!err && loop_now_ms(t->loop) < end_ms &&
           loop_fake_run_until(t->loop, has_ended, &a, end_ms - loop_now_ms(t->loop)) && a.due_us) {
        int64_t wait_us = a.due_us - clock_wall_us(loop_fake_clock(t->loop));
        loop_fake_run_for(t->loop, wait_us > 0 ? (wait_us + 999) / 1000 : 0);
        err = send_again(t);
    }
    return err;
}

static bool is_emitted(const struct flow *f, const char *topic)
{
    for (size_t i = 0; i < f->emits_n; i++) {
        const struct flow_emit *e = &f->emits[i];
        if (strcmp(topic, e->topic ? e->topic : e->flow->topic.name) == 0)
            return true;
    }
    return false;
}

static int read_sent(struct trial *t, struct trial_end *out)
{
    struct record_outbox *rows = NULL;
    size_t n = 0, kept = 0;
    if (t->flow->emits_n == 0 && !t->flow->pool.topic)
        return 0;
    loop_fake_run_for(t->loop, HELD_MS);
    int err = t->eyes->ops->outbox_take(t->eyes, t->signs.worker, &rows, &n);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        struct record_outbox row = rows[i];
        if (!is_emitted(t->flow, row.topic))
            continue;
        rows[i] = rows[kept];
        rows[kept++] = row;
    }
    out->sent = rows;
    out->sent_n = n; /* all are freed; those behind `kept` are of no emit */
    out->emits_n = kept;
    return 0;
}

int trial_run(struct trial *t, const struct trial_job *job, struct trial_end *out)
{
    struct event e = event_of(t, job);
    struct trial_pool pool = {.redis = t->redis, .flow = t->flow};
    int64_t begin = loop_now_ms(t->loop);
    int err = trial_pool_begin(&pool, &e, job);
    if (!err)
        err = put(t, job, &e);
    if (!err)
        err = play(t, &e.job);
    if (!err) {
        int64_t ms = loop_now_ms(t->loop) - begin;
        loop_fake_run_for(t->loop, AFTER_MS);
        *out = (struct trial_end){.begin_ms = begin, .ms = ms};
        err = trial_pool_end(&pool, &out->items);
    }
    if (!err)
        err = read_sent(t, out);
    if (!err && t->eyes->ops->read(t->eyes, &e.job, &out->job, &out->calls, &out->calls_n))
        err = ERR_NOT_FOUND;
    trial_pool_fini(&pool);
    return err;
}

void trial_end_fini(struct trial_end *e)
{
    record_job_fini(&e->job);
    for (size_t i = 0; i < e->calls_n; i++)
        record_call_fini(&e->calls[i]);
    free(e->calls);
    if (e->sent)
        record_outbox_free(e->sent, e->sent_n);
    json_free(e->items);
    *e = (struct trial_end){0};
}
