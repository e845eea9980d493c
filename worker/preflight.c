#include "worker/preflight.h"
#include "common/cache.h"
#include "common/cache_url.h"
#include "common/flow_load.h"
#include "common/store.h"
#include "worker/server_line.h"
#include "worker/topics.h"
#include "worker/user_databases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    KAFKA_WAIT_MS = 15000,
    REDIS_WAIT_MS = 2000,
    REDIS_TURN_MS = 20,
    CONNECT_MS = 5000,
    HEAD_ROOM = 64 << 10
};

int preflight_flows(const struct settings *s, struct flow_set **out, char why[PREFLIGHT_WHY])
{
    const struct flow_load_settings load = {
        .flows_dir = s->flows, .upstreams_file = s->upstreams, .secrets_dir = s->secrets};
    struct findings f;
    struct buf text;
    findings_init(&f);
    buf_init(&text, 0);
    int err = flow_load(&load, &f, out);
    findings_print(&f, isatty(STDERR_FILENO) == 1, &text);
    fputs(buf_str(&text), stderr);
    if (err)
        snprintf(why, PREFLIGHT_WHY, "%zu error%s in the flows of %s; mend %s, then start again",
                 f.errors, f.errors == 1 ? "" : "s", s->flows, f.errors == 1 ? "it" : "them");
    buf_fini(&text);
    findings_fini(&f);
    return err;
}

int preflight_only(const struct settings *s, const struct flow_set *set, char why[PREFLIGHT_WHY])
{
    for (size_t i = 0; i < s->only_n; i++) {
        if (flow_by_name(set, s->only[i]))
            continue;
        const char *near = flow_nearest(set, s->only[i]);
        snprintf(why, PREFLIGHT_WHY,
                 "--only (OFFPATH_ONLY): there is no flow \"%.64s\" in %.200s%s%s%s", s->only[i],
                 s->flows, near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
        return ERR_INVALID;
    }
    return 0;
}

/* ---- topics */

static int find_missing(const struct broker_topic *topics, size_t n, char why[PREFLIGHT_WHY])
{
    struct buf names;
    size_t missing = 0;
    buf_init(&names, 600);
    for (size_t i = 0; i < n; i++) {
        if (topics[i].partitions > 0)
            continue;
        if (missing++)
            buf_text(&names, ", ");
        buf_text(&names, topics[i].name);
    }
    if (missing)
        snprintf(why, PREFLIGHT_WHY,
                 "%zu topic%s missing (%s%s): run `offpath-worker topics apply`", missing,
                 missing == 1 ? " is" : "s are", buf_str(&names), names.failed ? ", ..." : "");
    buf_fini(&names);
    return missing ? ERR_SETUP : 0;
}

static int find_missing_of_others(const struct broker_topic *topics, size_t n,
                                  char why[PREFLIGHT_WHY])
{
    for (size_t i = 0; i < n; i++) {
        if (topics[i].partitions > 0)
            continue;
        snprintf(
            why, PREFLIGHT_WHY,
            "topic %s is missing, to which a flow emits: it is of others, ask them to create it",
            topics[i].name);
        return ERR_SETUP;
    }
    return 0;
}

/* A flow's topic and, behind it, its `.retry`: what the one takes comes again in the other. */
static int find_small(const struct flow_set *set, const struct broker_topic *topics,
                      char why[PREFLIGHT_WHY])
{
    for (size_t i = 0; i < 2 * set->flows_n; i++) {
        const struct flow *f = &set->flows[i / 2];
        const struct broker_topic *t = &topics[i];
        if (t->max_message_bytes < 0 || (int64_t)f->request_max + HEAD_ROOM <= t->max_message_bytes)
            continue;
        snprintf(why, PREFLIGHT_WHY,
                 "topic %s takes messages of %lld bytes, flow %s bodies of %zu: raise its "
                 "max.message.bytes or lower request.max_size",
                 t->name, (long long)t->max_message_bytes, f->name, f->request_max);
        return ERR_SETUP;
    }
    return 0;
}

static int64_t longest(const struct broker_topic *topics, size_t n)
{
    int64_t ms = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t one = broker_topic_keeps_ms(&topics[i]);
        ms = one > ms ? one : ms;
    }
    return ms;
}

int preflight_topics(const struct broker_settings *b, const struct flow_set *set,
                     struct preflight_topics *out, char why[PREFLIGHT_WHY])
{
    size_t most = TOPICS_EACH * set->flows_n + topics_of_others(set, NULL);
    struct broker_topic *topics = calloc(most ? most : 1, sizeof *topics);
    if (!topics)
        return ERR_NOMEM;
    size_t ours = topics_wanted(set, topics), n = ours + topics_of_others(set, topics + ours);
    int err = n ? broker_describe(b, topics, n, KAFKA_WAIT_MS) : 0;
    if (err) {
        char away[SERVER_AWAY];
        server_away(b->servers, "kafka", away);
        snprintf(why, PREFLIGHT_WHY, "Kafka %s", away);
        err = ERR_SETUP;
    } else {
        err = find_missing(topics, ours, why);
    }
    if (!err)
        err = find_missing_of_others(topics + ours, n - ours, why);
    if (!err)
        err = find_small(set, topics, why);
    if (!err)
        out->retention_ms = longest(topics, ours);
    if (!err)
        err = topic_limits_init(&out->limits, topics, n);
    for (size_t i = 0; !err && i < ours; i++)
        topic_warnings_add(&out->warnings, &topics[i]);
    free(topics);
    return err;
}

int preflight_record(const struct record_settings *r, char why[PREFLIGHT_WHY])
{
    struct record *record = NULL;
    char text[STORE_WHY] = "";
    int err = record_mysql_open(r, &record, text);
    if (err) {
        snprintf(why, PREFLIGHT_WHY, "%s", text[0] ? text : err_text(err));
        return ERR_SETUP;
    }
    record->ops->close(record);
    return 0;
}

int preflight_databases(const struct settings *s, const struct flow_set *set, FILE *away,
                        char why[PREFLIGHT_WHY])
{
    static const struct sql_settings connect = {CONNECT_MS, CONNECT_MS};
    const struct user_databases users = {
        .set = set, .only = s->only, .only_n = s->only_n, .record = s->mysql, .connect = &connect};
    return user_databases_check(&users, away, why);
}

/* ---- check */

static int try_kafka(const struct config *c, const struct flow_set *set, bool json, FILE *out)
{
    const struct broker_settings b = {.servers = config_text(c, "kafka"),
                                      .client_id = "offpath-check",
                                      .properties = config_text(c, "kafka-properties")};
    struct broker_topic any = {.name = "offpath-check"};
    struct preflight_topics topics = {0};
    char why[PREFLIGHT_WHY] = "", away[SERVER_AWAY];
    bool up = broker_describe(&b, &any, 1, KAFKA_WAIT_MS) == 0;
    if (!up)
        server_away(b.servers, "kafka", away);
    server_line(out, json, "server", "kafka", up ? NULL : away);
    if (!up || !set)
        return up ? 0 : ERR_SETUP;
    int err = preflight_topics(&b, set, &topics, why);
    server_line(out, json, "server", "topics", err ? why : NULL);
    topic_limits_fini(&topics.limits);
    return err;
}

/* It connects in the background: asked for as long as a command may take. */
static bool redis_answers(const struct config *c)
{
    const struct cache_settings s = {
        .url = config_text(c, "redis"), .wait_ms = REDIS_WAIT_MS, .connections = 1};
    const struct timespec pause = {.tv_nsec = REDIS_TURN_MS * 1000000L};
    struct cache *cache = NULL;
    if (cache_redis_open(&s, clock_real(), &cache))
        return false;
    bool up = cache_up(cache);
    for (int ms = 0; !up && ms < REDIS_WAIT_MS; ms += REDIS_TURN_MS) {
        nanosleep(&pause, NULL);
        up = cache_up(cache);
    }
    cache_close(cache);
    return up;
}

/* Its URL may hold a password: the host alone is told. */
static int try_redis(const struct config *c, bool json, FILE *out)
{
    const char *url = config_text(c, "redis"), *what = NULL;
    struct cache_address address;
    char away[SERVER_AWAY], at[200];
    if (!url)
        return 0;
    bool valid = cache_url_check(url, &address, &what) == 0, up = valid && redis_answers(c);
    if (!valid) {
        snprintf(away, sizeof away, "%s; write redis://host:port", what);
    } else if (!up) {
        snprintf(at, sizeof at, "%.180s:%d", address.host, address.port);
        server_away(at, "redis", away);
    }
    server_line(out, json, "server", "redis", up ? NULL : away);
    return up ? 0 : ERR_SETUP;
}

static int try_mysql(const struct config *c, bool json, FILE *out)
{
    const struct record_settings r = {
        .url = config_text(c, "mysql"), .connect_ms = CONNECT_MS, .io_ms = CONNECT_MS};
    char why[PREFLIGHT_WHY] = "";
    int err = r.url ? preflight_record(&r, why) : 0;
    if (r.url)
        server_line(out, json, "server", "mysql", err ? why : NULL);
    return err;
}

int preflight_servers(const struct config *c, const struct flow_set *set, bool json, FILE *out)
{
    int kafka = config_text(c, "kafka") ? try_kafka(c, set, json, out) : 0;
    int redis = try_redis(c, json, out), mysql = try_mysql(c, json, out);
    return kafka || redis || mysql ? ERR_SETUP : 0;
}
