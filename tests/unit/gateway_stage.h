/* gateway_stage.h - a whole gateway on fakes, for tests of accept, jobs and serve: flows from
 * files, Redis and the record in memory, a broker that notes what it got and answers as told. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/cache_fake.h"
#include "common/cache_scripts.h"
#include "common/flow_load.h"
#include "common/loop_fake.h"
#include "common/metrics.h"
#include "common/record_fake.h"
#include "gateway/serve.h"
#include "gateway/streams.h"

enum { STAGE_RECORDS = 64 };

static const char stage_secret[] = "a secret of more than 32 bytes, for tests";
#define STAGE_ISSUER "https://id.example"

struct stage_record { /* what the broker got */
    char topic[64], key[64], value[256], job[ID_TEXT], mac[64], user[300];
};

struct stage {
    struct broker_producer producer; /* first */
    struct clock_stepped clock;
    struct rng_seeded rng;
    struct id_secret secret;
    struct flow_set *flows;
    struct cache_fake *redis;
    struct cache *cache;
    struct record_fake *mysql;
    struct loop *loop; /* of the streams, with a clock of its own */
    struct cache_async *live;
    struct serve serve;
    struct auth_issuer issuer; /* the only one of serve.auth */
    struct jwks *keys;
    struct http_reply reply, late_reply;
    bool late;     /* replies may be left to others */
    unsigned left; /* so many were */
    _Atomic unsigned held;
    sem_t paid;
    /* the broker */
    enum broker_report report;
    bool silent; /* it reports nothing until stage_report */
    void *tag;
    int publish_err;
    struct stage_record got[STAGE_RECORDS];
    size_t got_n;
    int64_t committed, high;
    /* the body of the request being made */
    const char *body;
    int body_err;
    char wire[4096]; /* where a handler finds it */
    const char *client;
};

static void stage_report(struct stage *s, enum broker_report report)
{
    struct broker_delivery d = {.tag = s->tag, .report = report, .why = ""};
    publisher_reports(s->serve.accept.publisher, &d, 1);
}

static int stage_publish(struct broker_producer *p, const struct broker_record *r, void *tag)
{
    struct stage *s = (struct stage *)p;
    if (s->publish_err)
        return s->publish_err;
    assert_true(s->got_n < STAGE_RECORDS);
    struct stage_record *to = &s->got[s->got_n++];
    snprintf(to->topic, sizeof to->topic, "%s", r->topic);
    snprintf(to->key, sizeof to->key, "%.*s", (int)r->key_len, (const char *)r->key);
    snprintf(to->value, sizeof to->value, "%.*s", (int)r->value_len, (const char *)r->value);
    for (size_t i = 0; i < r->headers_n; i++) {
        const struct event_header *h = &r->headers[i];
        if (strcmp(h->name, "offpath-job") == 0)
            snprintf(to->job, sizeof to->job, "%.*s", (int)h->len, (const char *)h->value);
        if (strcmp(h->name, "offpath-user") == 0)
            snprintf(to->user, sizeof to->user, "%.*s", (int)h->len, (const char *)h->value);
        if (strcmp(h->name, "offpath-mac") == 0)
            snprintf(to->mac, sizeof to->mac, "%.*s", (int)h->len, (const char *)h->value);
    }
    s->tag = tag;
    if (s->silent)
        clock_step(&s->clock, 60 * 1000000); /* and no report comes for a minute */
    else
        stage_report(s, s->report);
    return 0;
}

static int stage_partitions(struct broker_producer *p, const char *topic, int wait_ms, int *n)
{
    (void)p;
    (void)topic;
    (void)wait_ms;
    *n = 1;
    return 0;
}

static int stage_lag(struct broker_producer *p, const char *group, struct broker_lag *list,
                     size_t n, int wait_ms)
{
    struct stage *s = (struct stage *)p;
    (void)group;
    (void)wait_ms;
    for (size_t i = 0; i < n; i++) {
        list[i].committed = s->committed;
        list[i].low = 0;
        list[i].high = s->high;
    }
    return 0;
}

static void stage_close(struct broker_producer *p)
{
    (void)p;
}

static const struct broker_producer_ops stage_broker = {.publish = stage_publish,
                                                        .partitions = stage_partitions,
                                                        .lag = stage_lag,
                                                        .close = stage_close};

static int stage_open_record(void *arg, struct record **out, char *why)
{
    return record_fake_open(((struct stage *)arg)->mysql, out, why);
}

static const char stage_call[] = "calls:\n  one:\n    upstream: u\n    request:\n      path: /x\n"
                                 "result: $calls.one.result\n";

static void stage_write(const char *folder, const char *name, const char *text, const char *tail)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fputs(tail, f);
    fclose(f);
}

/* Flows: plain (no key, no cache), cached, hidden (internal), broken (its cache.key fails without
 * `n`) for guests; own (a cache per user) for guests; mine (its key is the user) and scoped (needs
 * the scope `write`) for users; few (limits) and edited (set, hash, wait) for guests. */
static void stage_load(struct stage *s)
{
    char folder[] = "/tmp/offpath-test-XXXXXX", flows[64], upstreams[64], command[128];
    struct findings findings;
    struct buf text = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(flows, sizeof flows, "%s/flows", folder);
    snprintf(upstreams, sizeof upstreams, "%s/upstreams.yaml", folder);
    snprintf(command, sizeof command, "mkdir %s", flows);
    assert_int_equal(system(command), 0);
    stage_write(folder, "upstreams.yaml", "upstreams: {u: {url: 'http://127.0.0.1:9'}}\n", "");
    stage_write(flows, "plain.yaml",
                "flow: plain\ntitle: Plain\naccess: guests\nrequest:\n  max_size: 1KB\n  schema:\n"
                "    type: object\n    required: [n]\n    properties: {n: {type: integer}}\n",
                stage_call);
    stage_write(flows, "cached.yaml",
                "flow: cached\ntitle: Cached\naccess: guests\ndeadline: 12s\nrequest:\n"
                "  key: $request.k // $request.n\n"
                "  schema: {required: [n], properties: {n: {type: integer}, k: {type: string}}}\n"
                "cache: {scope: shared, key: $request.n, ttl: 5m}\n",
                stage_call);
    stage_write(flows, "own.yaml",
                "flow: own\ntitle: Own\naccess: guests\n"
                "cache: {scope: user, key: $request.n, ttl: 5m}\n",
                stage_call);
    stage_write(flows, "hidden.yaml", "flow: hidden\ntitle: Hidden\naccess: internal\n",
                stage_call);
    stage_write(flows, "broken.yaml",
                "flow: broken\ntitle: Broken\naccess: guests\n"
                "cache: {scope: shared, key: '$request.n | tonumber', ttl: 5m}\n",
                stage_call);
    stage_write(flows, "mine.yaml", "flow: mine\ntitle: Mine\nrequest:\n  key: $user.id\n",
                stage_call);
    stage_write(flows, "scoped.yaml", "flow: scoped\ntitle: Scoped\ntoken_scope: write\n",
                stage_call);
    stage_write(flows, "few.yaml",
                "flow: few\ntitle: Few\naccess: guests\nlimits:\n"
                "  - {per: user, count: 2, window: 1m}\n  - {per: flow, count: 100, window: 1h}\n"
                "cache: {scope: shared, key: $request.n, ttl: 5m}\n",
                stage_call);
    stage_write(flows, "counted.yaml",
                "flow: counted\ntitle: Counted\naccess: guests\nlimits:\n"
                "  - {per: user, count: 2, window: 1m}\n  - {per: flow, count: 4, window: 1h}\n",
                stage_call);
    stage_write(flows, "edited.yaml",
                "flow: edited\ntitle: Edited\naccess: guests\nwait: 1s\nrequest:\n"
                "  schema: {properties: {password: {type: string}}}\n"
                "  set: {who: $user.id, n: $request.n + 1}\n  hash: {password: bcrypt}\n",
                stage_call);
    findings_init(&findings);
    int err = flow_load(&(struct flow_load_settings){.flows_dir = flows}, &findings, &s->flows);
    findings_print(&findings, false, &text);
    if (err)
        fail_msg("%s", buf_str(&text));
    buf_fini(&text);
    findings_fini(&findings);
    snprintf(command, sizeof command, "rm -r %s", folder);
    assert_int_equal(system(command), 0);
}

static void stage_read(void *arg, struct stream_read *r)
{
    struct stage *s = arg;
    struct reader *reader = s->serve.accept.reader;
    r->err = r->rows ? reader_progress(reader, r->rows, r->n)
                     : reader_list_now(reader, &r->list, &r->now_us);
    assert_int_equal(loop_post(s->loop, r->done, r), 0);
}

static void stage_title(void *arg, const char *flow, char out[FEED_TITLE])
{
    const struct flow *f = flow_by_name(((struct stage *)arg)->flows, flow);
    snprintf(out, FEED_TITLE, "%s", f ? f->title : "");
}

static void stage_enter(void *arg, const struct accept *a)
{
    struct stage *s = arg;
    assert_ptr_equal(a, &s->serve.accept);
    atomic_fetch_add(&s->held, 1);
}

static void stage_leave(void *arg, const struct accept *a)
{
    (void)a;
    atomic_fetch_sub(&((struct stage *)arg)->held, 1);
}

enum { STAGE_STREAMS = 3, STAGE_STREAMS_EACH = 2 };
static void stage_streams(struct stage *s)
{
    assert_int_equal(loop_fake_open(clock_wall_us(&s->clock.clock), &s->loop), 0);
    assert_int_equal(cache_fake_async_view(s->redis, s->loop, &s->live), 0);
    assert_int_equal(streams_open(&(struct streams_settings){.loop = s->loop,
                                                             .cache = s->live,
                                                             .read = stage_read,
                                                             .read_arg = s,
                                                             .title = stage_title,
                                                             .title_arg = s,
                                                             .max = STAGE_STREAMS,
                                                             .each = STAGE_STREAMS_EACH,
                                                             .bytes_max = STREAMS_BYTES},
                                  &s->serve.streams),
                     0);
}

static void stage_wire(struct stage *s)
{
    struct accept *a = &s->serve.accept;
    static const int partitions[] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    assert_int_equal(sizeof partitions / sizeof partitions[0], s->flows->flows_n);
    struct registrar_settings rows = {
        .open = stage_open_record, .arg = s, .clock = &s->clock.clock, .retry_ms = 1};
    struct reader_settings reads = {.open = stage_open_record,
                                    .arg = s,
                                    .connections = 2,
                                    .wait_ms = 20,
                                    .rest_ms = 0,
                                    .clock = &s->clock.clock};
    struct admission_settings lag = {.producer = &s->producer,
                                     .flows = s->flows,
                                     .partitions = partitions,
                                     .clock = &s->clock.clock,
                                     .floor = 10};
    assert_int_equal(publisher_open(1000, 100, &a->publisher), 0);
    publisher_use(a->publisher, &s->producer, NULL);
    assert_int_equal(marks_open(s->cache, 0, &a->marks), 0);
    assert_int_equal(registrar_open(&rows, &a->registrar), 0);
    assert_int_equal(reader_open(&reads, &a->reader), 0);
    assert_int_equal(admission_open(&lag, &a->admission), 0);
    assert_int_equal(
        limits_open(&(struct limits_settings){s->cache, &s->clock.clock, 2, 4}, &a->limits), 0);
    assert_int_equal(hasher_open(2, 2, &a->hasher), 0);
    assert_int_equal(waiters_open(&(struct waiters_settings){.max = 2, .look_ms = 5}, &a->waiters),
                     0);
    assert_int_equal(passages_open(&(struct passages_settings){.marks = a->marks,
                                                               .publisher = a->publisher,
                                                               .clock = &s->clock.clock,
                                                               .wait_ms = 1000,
                                                               .tick_ms = 5,
                                                               .errands = 2,
                                                               .enter = stage_enter,
                                                               .leave = stage_leave,
                                                               .arg = s},
                                   &a->passages),
                     0);
    a->served = serve_metrics_new();
    a->flows = s->flows;
    a->secret = &s->secret;
    a->clock = &s->clock.clock;
    a->rng = &s->rng.rng;
    a->metrics = accept_metrics_new(s->flows);
    s->serve.jobs = (struct jobs){.flows = s->flows,
                                  .reader = a->reader,
                                  .marks = a->marks,
                                  .cache = s->cache,
                                  .secret = &s->secret,
                                  .clock = &s->clock.clock,
                                  .retention_ms = 1000};
    s->issuer.rules = (struct token_rules){.issuer = STAGE_ISSUER, .algorithms = 1u << JOSE_HS256};
    s->serve.auth = (struct auth){&s->issuer, 1, &s->clock.clock};
    assert_int_equal(jwks_of_secret(stage_secret, strlen(stage_secret), &s->keys), 0);
    assert_int_equal(
        keyring_open(&(struct keyring_settings){.fixed = jwks_get(s->keys)}, &s->issuer.keys), 0);
    s->serve.rng = &s->rng.rng;
}

static int stage_setup(void **state)
{
    struct stage *s = calloc(1, sizeof *s);
    s->producer.ops = &stage_broker;
    s->report = REPORT_PERSISTED;
    memset(s->secret.b, 7, sizeof s->secret.b);
    clock_stepped_init(&s->clock, 1795561200LL * 1000000);
    rng_seeded_init(&s->rng, 1);
    metrics_reset();
    stage_load(s);
    assert_int_equal(cache_fake_open(&s->clock.clock, &s->redis), 0);
    assert_int_equal(cache_fake_view(s->redis, &s->cache), 0);
    s->mysql = record_fake_new(&s->clock.clock);
    http_reply_init(&s->reply);
    sem_init(&s->paid, 0, 0);
    stage_wire(s);
    stage_streams(s);
    *state = s;
    return 0;
}

static int stage_teardown(void **state)
{
    struct stage *s = *state;
    struct accept *a = &s->serve.accept;
    streams_close(s->serve.streams);
    cache_async_close(s->live);
    loop_fake_run_for(s->loop, 1); /* what was posted frees itself */
    loop_close(s->loop);
    admission_close(a->admission);
    limits_close(a->limits);
    hasher_close(a->hasher);
    waiters_close(a->waiters);
    reader_close(a->reader);
    registrar_close(a->registrar);
    marks_close(a->marks);
    publisher_close(a->publisher);
    passages_close(a->passages);
    keyring_close(s->issuer.keys);
    jwks_put(s->keys);
    cache_close(s->cache);
    cache_fake_close(s->redis);
    record_fake_free(s->mysql);
    http_reply_fini(&s->reply);
    flow_set_put(s->flows);
    free(a->metrics);
    free(a->served);
    sem_destroy(&s->paid);
    free(s);
    metrics_reset(); /* gauges point into what is gone now */
    return 0;
}

static struct stage *stage_now; /* read_body has no argument of its own */

static int stage_read_body(struct http_request *q, size_t max, char **body, size_t *len)
{
    (void)q;
    if (stage_now->body_err)
        return stage_now->body_err;
    if (strlen(stage_now->body) > max)
        return ERR_TOO_LARGE;
    snprintf(stage_now->wire, sizeof stage_now->wire, "%s", stage_now->body);
    *body = stage_now->wire;
    *len = strlen(stage_now->body);
    return 0;
}

static void stage_pay(struct http_due *due)
{
    struct stage *s = stage_now;
    assert_int_equal(atomic_load(&s->held), 0); /* what it held is let go before */
    s->late_reply = due->reply;
    free(due);
    sem_post(&s->paid);
}

static struct http_due *stage_defer(struct http_request *q)
{
    struct http_due *due = calloc(1, sizeof *due);
    assert_non_null(due);
    memcpy(due->q.id, q->id, sizeof q->id);
    due->q.public_url = q->public_url;
    due->pay = stage_pay;
    http_reply_init(&due->reply);
    return due;
}

static void stage_await(struct stage *s)
{
    struct timespec until;
    timespec_get(&until, TIME_UTC); /* ThreadSanitizer knows no sem_clockwait */
    until.tv_sec += 10;
    assert_int_equal(sem_timedwait(&s->paid, &until), 0);
    http_reply_fini(&s->reply);
    s->reply = s->late_reply;
    s->left++;
}

/* One request through serve_request; headers: "Name: value" lines or NULL. The reply stays in s. */
static int stage_ask(struct stage *s, const char *method, const char *path, const char *headers)
{
    struct http_header list[20];
    char text[2000], *p = text;
    size_t n = 0;
    list[n++] = (struct http_header){"Host", "h"};
    snprintf(text, sizeof text, "%s", headers ? headers : "");
    while (*p && n < 20) {
        char *colon = strchr(p, ':'), *end = p + strcspn(p, "\n");
        *colon = 0;
        if (*end)
            *end++ = 0;
        list[strcmp(p, "Host") == 0 ? 0 : n++] = (struct http_header){p, colon + 2};
        p = end;
    }
    struct http_request q = {.method = method,
                             .path = path,
                             .version = "1.1",
                             .client = s->client ? s->client : "192.0.2.1",
                             .headers = list,
                             .headers_n = n,
                             .public_url = "",
                             .read_body = stage_read_body,
                             .defer = s->late ? stage_defer : NULL};
    char clean[256];
    snprintf(clean, sizeof clean, "%s", path);
    char *query = strchr(clean, '?');
    if (query) {
        *query++ = 0;
        q.path = clean;
        q.query = query;
    }
    stage_now = s;
    http_reply_clear(&s->reply);
    if (s->serve.cors)
        cors_begin(s->serve.cors, &q, &s->reply);
    serve_request(&s->serve, &q, &s->reply);
    if (s->reply.deferred)
        stage_await(s);
    return s->reply.status;
}

/* "Authorization: Bearer ..." of this user for ten minutes; lent until the next call. */
static inline const char *stage_token(struct stage *s, const char *user, const char *scope)
{
    static char header[1000];
    struct buf token = {0};
    struct token_wish w = {STAGE_ISSUER, NULL, user, scope, 600};
    const struct jose_key *key = jwks_find(s->keys, JOSE_HS256, "");
    assert_int_equal(token_make(&w, key, clock_wall_us(&s->clock.clock), &token), 0);
    snprintf(header, sizeof header, "Authorization: Bearer %s", buf_str(&token));
    buf_fini(&token);
    return header;
}

static int stage_post(struct stage *s, const char *flow, const char *body, const char *headers)
{
    char path[100], all[1500];
    snprintf(path, sizeof path, "/v1/flows/%s/jobs", flow);
    snprintf(all, sizeof all, "Content-Length: %zu%s%s", strlen(body), headers ? "\n" : "",
             headers ? headers : "");
    s->body = body;
    return stage_ask(s, "POST", path, all);
}

/* The text of a member of the reply; lent until the next call. */
static const char *stage_member(struct stage *s, const char *key)
{
    static char text[300];
    struct json *v = NULL;
    assert_int_equal(json_parse(buf_str(&s->reply.body), s->reply.body.len, NULL, &v, NULL), 0);
    const char *found = json_text(json_get(v, key));
    snprintf(text, sizeof text, "%s", found ? found : "");
    json_free(v);
    return text;
}

static void stage_flush(struct stage *s)
{
    assert_int_equal(marks_flush(s->serve.accept.marks, 5000), 0);
    assert_int_equal(registrar_flush(s->serve.accept.registrar, 5000), 0);
}
