/* The worker in virtual time with a flow of the test's own, at an upstream that answers by rule:
 * GET or POST /NAME/N gives {"name":"NAME","n":"N"}, or fails if the test said so. */
#pragma once
#pragma GCC diagnostic ignored "-Wunused-function" /* not all of the world is needed everywhere */
#include "shard_world.h"

#include <unistd.h>
#include "common/json.h"

#define BASE "http://127.0.0.1:9900/up"
enum { BAD_MAX = 8, HOUR_US = 1000000000 };

struct rule {
    const char *bad[BAD_MAX]; /* paths that answer `status` */
    int status;
    int64_t delay_ms;
    char body[200];
};

static void decide(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    struct rule *rule = arg;
    const char *path = r->url + strlen(BASE), *last = strrchr(path, '/') + 1;
    reply->delay_ms = rule->delay_ms;
    for (int i = 0; i < BAD_MAX && rule->bad[i]; i++)
        if (strcmp(rule->bad[i], path) == 0)
            reply->status = rule->status;
    snprintf(rule->body, sizeof rule->body, "{\"name\":\"%.*s\",\"n\":\"%s\"}",
             (int)strcspn(path + 1, "/"), path + 1, last);
    reply->body = rule->body;
}

static void write_file(const char *dir, const char *name, const char *text, char path[100])
{
    snprintf(path, 100, "%s/%s", dir, name);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* The flow's file from `need` and `calls` on; the rest is as in the price comparison. */
static struct world *world_at(const char *upstream, const char *calls, struct rule *rule)
{
    static const char head[] =
        "flow: price-compare\ntitle: T\naccess: guests\n"
        "topic: {name: " TOPIC ", group: price-compare-consumer-group, partitions: 3}\n"
        "deadline: 1h\n";
    char dir[] = "/tmp/test_shard_calls-XXXXXX", flow[100], upstreams[100], text[4000],
         outside[1000];
    assert_non_null(mkdtemp(dir));
    assert_in_range(snprintf(text, sizeof text, "%s%s", head, calls), 1, sizeof text - 1);
    write_file(dir, "price-compare.yaml", text, flow);
    char beside[] = "/tmp/test_shard_upstreams-XXXXXX";
    assert_non_null(mkdtemp(beside));
    snprintf(outside, sizeof outside,
             "upstreams:\n  up: {url: '" BASE "', %s}\n"
             "databases:\n"
             "  own: {host: record, name: own, user: op}\n"
             "  also: {host: record, name: also, user: op}\n"
             "  far: {host: far, name: far, user: f, connections: 2}\n"
             "  away: {host: away, name: away, user: a}\n",
             upstream);
    write_file(beside, "upstreams.yaml", outside, upstreams);
    struct world *w = world_new_of(
        0, &(struct flow_load_settings){.flows_dir = dir, .upstreams_file = upstreams});
    unlink(flow);
    unlink(upstreams);
    rmdir(dir);
    rmdir(beside);
    if (rule)
        http_client_fake_decide(w->http, decide, rule);
    return w;
}

static struct world *world_of(const char *calls, struct rule *rule)
{
    return world_at("concurrency: 2000, breaker: off", calls, rule);
}

static struct event put_job(struct world *w, const char *value)
{
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    world_put(w, &e, value, 0);
    return e;
}

static struct seen run_job(struct world *w, const char *value)
{
    struct event e = put_job(w, value);
    return world_final(w, &e.job);
}

/* How often this path was asked for; "*": all. */
static size_t asked(struct world *w, const char *path)
{
    size_t n = 0;
    for (size_t i = 0; i < http_client_fake_calls(w->http); i++)
        n += path[0] == '*' ||
             strcmp(http_client_fake_call(w->http, i)->url + strlen(BASE), path) == 0;
    return n;
}

/* When this path was asked for first. */
static int64_t asked_at(struct world *w, const char *path)
{
    for (size_t i = 0; i < http_client_fake_calls(w->http); i++)
        if (strcmp(http_client_fake_call(w->http, i)->url + strlen(BASE), path) == 0)
            return http_client_fake_call(w->http, i)->at_ms;
    fail_msg("%s was not asked for", path);
    return -1;
}

static size_t published(struct world *w, const char *part)
{
    const char *channel, *text;
    size_t n = 0;
    for (size_t i = 0; (text = cache_fake_published(w->redis, i, &channel)); i++)
        n += strncmp(channel, "op:j:", 5) == 0 && strstr(text, part);
    return n;
}

static void assert_has(const char *text, const char *part)
{
    if (!text || !strstr(text, part))
        fail_msg("no %s in %s", part, text ? text : "nothing");
}

/* ---- what a dead worker leaves: claimed, and these rows of another job in the ledger */

static void leave_rows(struct world *w, const struct event *e, const struct record_call *rows,
                       size_t n)
{
    uint64_t dead;
    struct record_claim claim = {.job = {.id = e->job,
                                         .flow = "price-compare",
                                         .created_us = e->created_us,
                                         .deadline_us = e->deadline_us,
                                         .sweep_at_us = e->deadline_us + 600000000}};
    struct record_claim *claims[] = {&claim};
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "dead", LEASE_MS, &dead), 0);
    claim.worker = dead;
    assert_int_equal(w->eyes->ops->claim(w->eyes, claims, 1), 0);
    record_claim_fini(&claim);
    for (size_t i = 0; i < n; i++) {
        struct record_ledger ledger = {.worker = dead, .call = rows[i]}, *ledgers[] = {&ledger};
        ledger.call.job = e->job;
        assert_int_equal(w->eyes->ops->ledger(w->eyes, ledgers, 1), 0);
        record_call_fini(&ledger.stored);
    }
    record_fake_expire(w->db, dead);
}

/* Another worker declares this one dead, and dies itself. */
static void lose_lease(struct world *w, const struct job_id *id)
{
    uint64_t before = w->signs[0].worker, other;
    bool taken = false;
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "other", LEASE_MS, &other), 0);
    record_fake_expire(w->db, before);
    assert_int_equal(w->eyes->ops->take_over(w->eyes, before, other, id, 1, &taken), 0);
    record_fake_expire(w->db, other);
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}
