/* A worker in virtual time for tests: the real shard, writer, lease and watch on fakes of Kafka,
 * MySQL, Redis and the shops, one clock for all. Included by one test file each. */
#pragma once
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/broker_fake.h"
#include "common/cache_fake.h"
#include "common/flow_load.h"
#include "common/http_client_fake.h"
#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "common/sql_fake.h"
#include "worker/databases.h"
#include "worker/shard.h"

#define TOPIC "price-compare-requests"
enum { WALL_S = 1795560300, LEASE_MS = 15000, SHARDS_MAX = 2 };
static int64_t world_bytes_max; /* of shards that are opened from now on; 0: the usual */

struct world {
    struct loop *loop;
    struct flow_set *set;
    struct broker_fake *broker;
    struct cache_fake *redis;
    struct cache_async *cache;
    struct record_fake *db;
    struct record *eyes; /* a connection of the test's */
    struct http_client *http;
    struct writer *writer;
    struct sql_fake *sql; /* users' databases; those at host `record` are on the record's server */
    struct store_url record_url;
    struct databases *databases;
    struct lease *lease;
    struct watch *watch;
    struct cancels *cancels;
    struct relay *relay;
    struct rng_seeded rng;
    struct shard *shard[SHARDS_MAX];
    struct shard_signs signs[SHARDS_MAX];
    struct broker_consumer *consumer[SHARDS_MAX];
    bool closed[SHARDS_MAX];
    unsigned opening;
    _Atomic int64_t ahead_us;
    int64_t jobs_max;
    struct topic_limits limits; /* none, unless the test puts some; not owned */
};

static int world_open_consumer(void *arg, const char *group, const char *const *topics, size_t n,
                               const struct broker_consumer_events *events,
                               struct broker_consumer **out)
{
    struct world *w = arg;
    int err = broker_fake_consumer_open(w->broker, group, topics, n, events, out);
    for (size_t i = 0; i < n; i++) /* those of other groups keep to themselves */
        if (strcmp(topics[i], TOPIC) == 0)
            w->consumer[w->opening] = *out;
    return err;
}

static void world_closed(void *arg, struct shard *s)
{
    struct world *w = arg;
    for (int i = 0; i < SHARDS_MAX; i++)
        w->closed[i] |= w->shard[i] == s;
}

static void world_fatal(void *arg, const char *why)
{
    (void)arg;
    fail_msg("consumer: %s", why);
}

static int world_open_producer(void *arg, broker_report_fn *report, void *report_arg,
                               struct broker_producer **out)
{
    struct world *w = arg;
    return broker_fake_producer_open(w->broker, report, report_arg, out);
}

static uint64_t world_worker(void *arg)
{
    struct world *w = arg;
    return w->shard[0] ? w->signs[0].worker : 0;
}

static void world_run(struct world *w, int64_t ms)
{
    loop_fake_run_for(w->loop, ms);
}

static void world_shard(struct world *w, unsigned i)
{
    const struct shard_settings s = {.set = w->set,
                                     .loop = w->loop,
                                     .http = w->http,
                                     .cache = w->cache,
                                     .writer = w->writer,
                                     .databases = w->databases,
                                     .lease = w->lease,
                                     .watch = w->watch,
                                     .cancels = w->cancels,
                                     .relay = w->relay,
                                     .limits = &w->limits,
                                     .open = world_open_consumer,
                                     .open_arg = w,
                                     .rng = &w->rng.rng,
                                     .ahead_us = &w->ahead_us,
                                     .shares = lease_shares(w->lease),
                                     .signs = &w->signs[i],
                                     .retention_ms = 86400000,
                                     .jobs_max = w->jobs_max,
                                     .bytes_max = world_bytes_max,
                                     .closed = world_closed,
                                     .fatal = world_fatal,
                                     .arg = w};
    w->opening = i;
    assert_int_equal(shard_open(&s, &w->shard[i]), 0);
}

/* A world with one shard that has all partitions and holds its lease; its flow is `price-compare`,
 * whatever it does. */
static struct world *world_new_with(int64_t jobs_max, const struct flow_load_settings *flows,
                                    const char *topic)
{
    struct world *w = calloc(1, sizeof *w);
    struct findings findings;
    struct buf text = {0};
    findings_init(&findings);
    assert_non_null(w);
    int err = flow_load(flows, &findings, &w->set);
    findings_print(&findings, false, &text);
    if (err)
        fail_msg("%s", buf_str(&text));
    buf_fini(&text);
    findings_fini(&findings);
    w->jobs_max = jobs_max;
    rng_seeded_init(&w->rng, 1);
    assert_int_equal(loop_fake_open(WALL_S * INT64_C(1000000), &w->loop), 0);
    const struct clock *clock = loop_fake_clock(w->loop);
    assert_int_equal(broker_fake_open(clock, w->loop, &w->broker), 0);
    assert_int_equal(broker_fake_topic(w->broker, TOPIC, 3), 0);
    assert_int_equal(broker_fake_topic(w->broker, TOPIC ".retry", 3), 0);
    if (topic) { /* of a second flow, in the same group */
        char retry[100];
        snprintf(retry, sizeof retry, "%s.retry", topic);
        assert_int_equal(broker_fake_topic(w->broker, topic, 1), 0);
        assert_int_equal(broker_fake_topic(w->broker, retry, 1), 0);
    }
    for (size_t i = 0; i < w->set->flows_n; i++)
        if (w->set->flows[i].pool.topic)
            assert_int_equal(broker_fake_topic(w->broker, w->set->flows[i].pool.topic, 1), 0);
    assert_int_equal(cache_fake_open(clock, &w->redis), 0);
    assert_int_equal(cache_fake_async_view(w->redis, w->loop, &w->cache), 0);
    assert_int_equal(http_client_fake_open(w->loop, &w->http), 0);
    w->db = record_fake_new(clock);
    assert_int_equal(record_fake_open(w->db, &w->eyes, NULL), 0);
    const struct writer_settings writer = {
        .open = record_fake_open, .open_arg = w->db, .threads = 1, .loop = w->loop};
    const struct lease_settings lease = {.open = record_fake_open,
                                         .open_arg = w->db,
                                         .name = "test",
                                         .lease_ms = LEASE_MS,
                                         .shards = 1,
                                         .loop = w->loop};
    const struct watch_settings watch = {
        .open = record_fake_open, .open_arg = w->db, .lease_ms = LEASE_MS, .loop = w->loop};
    const struct cancels_settings cancels = {
        .open = record_fake_open, .open_arg = w->db, .loop = w->loop};
    w->sql = sql_fake_new();
    record_fake_sql(w->db, w->sql);
    w->record_url = (struct store_url){.host = "record", .user = "op", .port = 3306};
    const struct databases_settings databases = {.set = w->set,
                                                 .open = sql_fake_open,
                                                 .open_arg = w->sql,
                                                 .record = &w->record_url,
                                                 .loop = w->loop};
    assert_int_equal(databases_start(&databases, &w->databases), 0);
    assert_int_equal(writer_start(&writer, &w->writer), 0);
    assert_int_equal(lease_start(&lease, &w->lease), 0);
    assert_int_equal(watch_start(&watch, &w->watch), 0);
    assert_int_equal(cancels_start(&cancels, &w->cancels), 0);
    const struct relay_settings relay = {.open = record_fake_open,
                                         .open_arg = w->db,
                                         .producer = world_open_producer,
                                         .producer_arg = w,
                                         .worker = world_worker,
                                         .worker_arg = w,
                                         .rng = &w->rng.rng,
                                         .loop = w->loop};
    assert_int_equal(relay_start(&relay, &w->relay), 0);
    world_shard(w, 0);
    broker_fake_assign(w->consumer[0]);
    world_run(w, 2000);
    assert_true(w->signs[0].worker != 0);
    return w;
}

static struct world *world_new_of(int64_t jobs_max, const struct flow_load_settings *flows)
{
    return world_new_with(jobs_max, flows, NULL);
}

static struct world *world_new(int64_t jobs_max)
{
    return world_new_of(jobs_max, &(struct flow_load_settings){.flows_dir = "tests/shops/flows"});
}

/* Drains what is open and checks that nothing is left behind. */
static void world_free(struct world *w)
{
    for (int i = 0; i < SHARDS_MAX; i++) {
        if (!w->shard[i])
            continue;
        shard_drain(w->shard[i], 0);
        world_run(w, 20000);
        assert_true(w->closed[i]);
        assert_int_equal(shard_jobs(w->shard[i]), 0);
        shard_free(w->shard[i]);
        w->shard[i] = NULL; /* the relay asks for its worker */
    }
    relay_stop(w->relay);
    cancels_stop(w->cancels);
    watch_stop(w->watch);
    lease_stop(w->lease);
    writer_stop(w->writer, 0);
    databases_stop(w->databases);
    http_client_close(w->http);
    cache_async_close(w->cache);
    cache_fake_close(w->redis);
    w->eyes->ops->close(w->eyes);
    record_fake_free(w->db);
    sql_fake_free(w->sql);
    broker_fake_close(w->broker);
    world_run(w, 10);
    loop_close(w->loop);
    flow_set_put(w->set);
    free(w);
}

/* ---- jobs */

static const struct id_secret world_secret = {{7}};

static struct event world_event(struct world *w, const char *user)
{
    struct event e = {.ours = true, .flow = "price-compare"};
    if (user) {
        e.owner = owner_of("", user);
        snprintf(e.sub, sizeof e.sub, "%s", user);
    }
    e.job = id_new(&world_secret, &e.owner, loop_fake_clock(w->loop), &w->rng.rng);
    e.created_us = clock_wall_us(loop_fake_clock(w->loop));
    e.deadline_us = e.created_us + 12000000;
    return e;
}

static void world_put(struct world *w, const struct event *e, const char *value, int partition)
{
    static struct event_headers headers;
    struct broker_record r = {.topic = TOPIC,
                              .partition = partition,
                              .timestamp_ms = clock_wall_us(loop_fake_clock(w->loop)) / 1000,
                              .key = "42",
                              .key_len = 2,
                              .value = value,
                              .value_len = strlen(value)};
    if (e) {
        assert_int_equal(event_encode(e, &headers), 0);
        r.headers = headers.list;
        r.headers_n = headers.n;
    }
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
}

static inline struct job_id world_job(struct world *w)
{
    struct event e = world_event(w, NULL);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    return e.job;
}

struct seen { /* a row as the gateway would read it; owned: seen_fini */
    struct record_job job;
    struct record_call *calls;
    size_t n;
};

static bool seen_read(struct world *w, const struct job_id *id, struct seen *s)
{
    return w->eyes->ops->read(w->eyes, id, &s->job, &s->calls, &s->n) == 0;
}

static void seen_fini(struct seen *s)
{
    record_job_fini(&s->job);
    for (size_t i = 0; i < s->n; i++)
        record_call_fini(&s->calls[i]);
    free(s->calls);
}

static inline const struct record_call *seen_call(const struct seen *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->calls[i].name, name) == 0)
            return &s->calls[i];
    return NULL;
}

static enum job_state world_state(struct world *w, const struct job_id *id)
{
    struct seen s;
    if (!seen_read(w, id, &s))
        return JOB_NONE;
    enum job_state state = s.job.state;
    seen_fini(&s);
    return state;
}

struct awaited {
    struct world *w;
    const struct job_id *id;
};

static bool world_is_final(void *arg)
{
    struct awaited *a = arg;
    return job_is_final(world_state(a->w, a->id));
}

/* Runs until the job is final; its row. */
static inline struct seen world_final(struct world *w, const struct job_id *id)
{
    struct awaited a = {w, id};
    struct seen s;
    assert_true(loop_fake_run_until(w->loop, world_is_final, &a, 120000));
    world_run(w, 3000); /* events, commits */
    assert_true(seen_read(w, id, &s));
    return s;
}

static inline int64_t world_committed(struct world *w, int partition)
{
    return broker_fake_committed(w->broker, "price-compare-consumer-group", TOPIC, partition);
}

/* The row of a job that so many workers died of, the last one just now. */
static inline void world_crashes(struct world *w, const struct event *e, int n)
{
    uint64_t worker = 0;
    for (int i = 0; i <= n; i++) { /* claimed by one, taken over by n more */
        uint64_t next;
        bool taken = false;
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "mortal", 15000, &next), 0);
        struct record_claim c = {.job = {.id = e->job,
                                         .flow = "price-compare",
                                         .created_us = e->created_us,
                                         .deadline_us = e->deadline_us,
                                         .sweep_at_us = e->deadline_us},
                                 .worker = next},
                            *list[] = {&c};
        if (i == 0) {
            assert_int_equal(w->eyes->ops->claim(w->eyes, list, 1), 0);
            record_claim_fini(&c);
        } else {
            record_fake_expire(w->db, worker);
            assert_int_equal(w->eyes->ops->take_over(w->eyes, worker, next, &e->job, 1, &taken), 0);
        }
        worker = next;
    }
    record_fake_expire(w->db, worker);
}

/* ---- shops */

#define A_MART  "http://127.0.0.1:9900/a-mart/*"
#define B_SHOP  "http://127.0.0.1:9900/b-shop/*"
#define C_STORE "http://127.0.0.1:9900/c-store/*"
#define A_BODY  "{\"price\":18900,\"currency\":\"KRW\"}"
#define B_BODY  "{\"items\":[{\"salePrice\":19200,\"cur\":\"KRW\"}]}"
#define C_BODY  "{\"total\":\"17450\",\"currency\":\"KRW\"}"

static void world_reply(struct world *w, const char *shop, struct http_fake_reply r)
{
    http_client_fake_script(w->http, NULL, shop, &r);
}

/* All three answer well after so many ms. */
static inline void world_shops(struct world *w, int64_t ms)
{
    world_reply(w, A_MART, (struct http_fake_reply){.body = A_BODY, .delay_ms = ms});
    world_reply(w, B_SHOP, (struct http_fake_reply){.body = B_BODY, .delay_ms = ms + 10});
    world_reply(w, C_STORE, (struct http_fake_reply){.body = C_BODY, .delay_ms = ms + 20});
}
