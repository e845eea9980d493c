#include "worker/preflight.h"
#include "common/cache_url.h"
#include "common/flow_load.h"
#include "common/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { KAFKA_WAIT_MS = 15000, HEAD_ROOM = 64 << 10 };
#define UNLIMITED_MS (INT64_C(90) * 24 * 3600 * 1000)

int preflight_settings(const struct settings *s, char why[PREFLIGHT_WHY])
{
    struct cache_address redis;
    struct store_url mysql;
    const char *what = "";
    char text[STORE_WHY] = "";
    if (cache_url_parse(s->redis, &redis, &what)) {
        snprintf(why, PREFLIGHT_WHY, "--redis (OFFPATH_REDIS): %s; write redis://host:port", what);
        return ERR_INVALID;
    }
    if (store_url_parse(s->mysql, &mysql, text)) {
        snprintf(why, PREFLIGHT_WHY, "--mysql (OFFPATH_MYSQL): %s", text);
        return ERR_INVALID;
    }
    return 0;
}

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
        snprintf(why, PREFLIGHT_WHY, "--only (OFFPATH_ONLY): there is no flow \"%.64s\" in %s",
                 s->only[i], s->flows);
        return ERR_INVALID;
    }
    return 0;
}

/* ---- topics */

static void name_topics(const struct flow_set *set, struct broker_topic *topics)
{
    for (size_t i = 0; i < set->flows_n; i++) {
        const char *name = set->flows[i].topic.name;
        snprintf(topics[2 * i].name, sizeof topics->name, "%s", name);
        snprintf(topics[2 * i + 1].name, sizeof topics->name, "%s.retry", name);
    }
}

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

static int find_small(const struct flow_set *set, const struct broker_topic *topics,
                      char why[PREFLIGHT_WHY])
{
    for (size_t i = 0; i < set->flows_n; i++) {
        const struct flow *f = &set->flows[i];
        const struct broker_topic *t = &topics[2 * i];
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
        int64_t one = topics[i].retention_ms < 0 ? UNLIMITED_MS : topics[i].retention_ms;
        ms = one > ms ? one : ms;
    }
    return ms;
}

int preflight_topics(const struct broker_settings *b, const struct flow_set *set,
                     int64_t *retention_ms, char why[PREFLIGHT_WHY])
{
    size_t n = set->flows_n * 2;
    struct broker_topic *topics = calloc(n ? n : 1, sizeof *topics);
    if (!topics)
        return ERR_NOMEM;
    name_topics(set, topics);
    int err = n ? broker_describe(b, topics, n, KAFKA_WAIT_MS) : 0;
    if (err) {
        snprintf(why, PREFLIGHT_WHY, "Kafka does not answer at %.200s: start it, or mend --kafka",
                 b->servers);
        err = ERR_SETUP;
    } else {
        err = find_missing(topics, n, why);
    }
    if (!err)
        err = find_small(set, topics, why);
    if (!err)
        *retention_ms = longest(topics, n);
    free(topics);
    return err;
}

int preflight_record(const struct record_settings *r, char why[PREFLIGHT_WHY])
{
    struct record *record = NULL;
    char text[STORE_WHY] = "";
    if (record_mysql_open(r, &record, text)) {
        snprintf(why, PREFLIGHT_WHY, "MySQL: %s", text);
        return ERR_SETUP;
    }
    record->ops->close(record);
    return 0;
}
