#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

/* A new key: support it in a reader, then move its name here from LATER to NOW, into
 * proto/flow.schema.json, and test that it loads. */
enum status { NOW, LATER };
struct key {
    const char *name;
    enum flow_map map;
    enum status status;
};
#define KEY(map, name, status)  \
    {                           \
        name, MAP_##map, status \
    }

static const struct key keys[] = {
    KEY(FLOW, "flow", NOW),
    KEY(FLOW, "title", NOW),
    KEY(FLOW, "access", NOW),
    KEY(FLOW, "token_scope", NOW),
    KEY(FLOW, "wait", NOW),
    KEY(FLOW, "topic", NOW),
    KEY(FLOW, "request", NOW),
    KEY(FLOW, "cache", NOW),
    KEY(FLOW, "limits", NOW),
    KEY(FLOW, "deadline", NOW),
    KEY(FLOW, "order", NOW),
    KEY(FLOW, "load", NOW),
    KEY(FLOW, "check", NOW),
    KEY(FLOW, "pool", NOW),
    KEY(FLOW, "calls", NOW),
    KEY(FLOW, "need", NOW),
    KEY(FLOW, "result", NOW),
    KEY(FLOW, "save", NOW),
    KEY(FLOW, "emit", NOW),
    KEY(FLOW, "requeue", NOW),
    KEY(FLOW, "notify", NOW),
    KEY(FLOW, "keep", NOW),

    KEY(TOPIC, "name", NOW),
    KEY(TOPIC, "group", NOW),
    KEY(TOPIC, "partitions", NOW),
    KEY(TOPIC, "id", NOW),
    KEY(TOPIC, "user", NOW),

    KEY(REQUEST, "schema", NOW),
    KEY(REQUEST, "max_size", NOW),
    KEY(REQUEST, "set", NOW),
    KEY(REQUEST, "hash", NOW),
    KEY(REQUEST, "key", NOW),

    KEY(CACHE, "key", NOW),
    KEY(CACHE, "scope", NOW),
    KEY(CACHE, "ttl", NOW),
    KEY(CACHE, "partial_ttl", NOW),

    KEY(LIMIT, "per", NOW),
    KEY(LIMIT, "count", NOW),
    KEY(LIMIT, "window", NOW),

    KEY(LOAD, "when", NOW),
    KEY(LOAD, "database", NOW),
    KEY(LOAD, "sql", NOW),
    KEY(LOAD, "max_rows", NOW),

    KEY(CHECK, "when", NOW),
    KEY(CHECK, "that", NOW),
    KEY(CHECK, "else", NOW),

    KEY(POOL, "key", NOW),
    KEY(POOL, "size", NOW),
    KEY(POOL, "ttl", NOW),
    KEY(POOL, "refill", NOW),
    KEY(REFILL, "topic", NOW),
    KEY(REFILL, "group", NOW),
    KEY(REFILL, "fields", NOW),

    KEY(CALL, "when", NOW),
    KEY(CALL, "after", NOW),
    KEY(CALL, "for_each", NOW),
    KEY(CALL, "max_items", NOW),
    KEY(CALL, "parallel", NOW),
    KEY(CALL, "optional", NOW),
    KEY(CALL, "upstream", NOW),
    KEY(CALL, "request", NOW),
    KEY(CALL, "timeout", NOW),
    KEY(CALL, "retry", NOW),
    KEY(CALL, "response", NOW),
    KEY(CALL, "max_response", NOW),
    KEY(CALL, "repeat", NOW),
    KEY(CALL, "ledger", NOW),
    KEY(CALL, "ok", NOW),
    KEY(CALL, "result", NOW),

    KEY(CALL_REQUEST, "method", NOW),
    KEY(CALL_REQUEST, "path", NOW),
    KEY(CALL_REQUEST, "headers", NOW),
    KEY(CALL_REQUEST, "body", NOW),

    KEY(RETRY, "attempts", NOW),
    KEY(RETRY, "backoff", NOW),
    KEY(RETRY, "max", NOW),
    KEY(RETRY, "on", NOW),

    KEY(SAVE, "when", NOW),
    KEY(SAVE, "for_each", NOW),
    KEY(SAVE, "database", NOW),
    KEY(SAVE, "sql", NOW),
    KEY(SAVE, "optional", NOW),

    KEY(EMIT, "when", NOW),
    KEY(EMIT, "for_each", NOW),
    KEY(EMIT, "flow", NOW),
    KEY(EMIT, "topic", NOW),
    KEY(EMIT, "key", NOW),
    KEY(EMIT, "value", NOW),

    KEY(NOTIFY, "done", NOW),
    KEY(NOTIFY, "failed", NOW),

    KEY(UPSTREAMS, "upstreams", NOW),
    KEY(UPSTREAMS, "databases", NOW),
    KEY(UPSTREAM, "url", NOW),
    KEY(UPSTREAM, "headers", NOW),
    KEY(UPSTREAM, "concurrency", NOW),
    KEY(UPSTREAM, "rate", NOW),
    KEY(UPSTREAM, "queue", NOW),
    KEY(UPSTREAM, "breaker", NOW),
    KEY(UPSTREAM, "sign", NOW),
    KEY(UPSTREAM, "tls", NOW),
    KEY(UPSTREAM, "allow_private", NOW),
    KEY(BREAKER, "failures", NOW),
    KEY(BREAKER, "of", NOW),
    KEY(BREAKER, "open", NOW),
    KEY(SIGN, "type", NOW),
    KEY(SIGN, "service", NOW),
    KEY(SIGN, "region", NOW),
    KEY(SIGN, "access_key", NOW),
    KEY(SIGN, "secret_key", NOW),
    KEY(SIGN, "session_token", NOW),
    KEY(TLS, "ca", NOW),
    KEY(TLS, "cert", NOW),
    KEY(TLS, "key", NOW),
    KEY(DATABASE, "host", NOW),
    KEY(DATABASE, "port", NOW),
    KEY(DATABASE, "name", NOW),
    KEY(DATABASE, "user", NOW),
    KEY(DATABASE, "password", NOW),
    KEY(DATABASE, "tls", NOW),
    KEY(DATABASE, "connections", NOW),
};
enum { KEYS = sizeof keys / sizeof *keys };

static const char *const places[] = {
    [MAP_FLOW] = "at the top level of a flow file",
    [MAP_TOPIC] = "in topic",
    [MAP_REQUEST] = "in request",
    [MAP_CACHE] = "in cache",
    [MAP_LIMIT] = "in limits[]",
    [MAP_LOAD] = "in load.NAME",
    [MAP_CHECK] = "in check[]",
    [MAP_POOL] = "in pool",
    [MAP_REFILL] = "in pool.refill",
    [MAP_CALL] = "in calls.NAME",
    [MAP_CALL_REQUEST] = "in calls.NAME.request",
    [MAP_RETRY] = "in calls.NAME.retry",
    [MAP_SAVE] = "in save[]",
    [MAP_EMIT] = "in emit[]",
    [MAP_NOTIFY] = "in notify",
    [MAP_UPSTREAMS] = "at the top level of upstreams.yaml",
    [MAP_UPSTREAM] = "in upstreams.NAME (upstreams.yaml)",
    [MAP_BREAKER] = "in upstreams.NAME.breaker (upstreams.yaml)",
    [MAP_SIGN] = "in upstreams.NAME.sign (upstreams.yaml)",
    [MAP_TLS] = "in upstreams.NAME.tls (upstreams.yaml)",
    [MAP_DATABASE] = "in databases.NAME (upstreams.yaml)",
};

static const char *const reserved[] = {"stream", "bytes", "delay", "webhook", "version"};

static bool is_reserved(const char *name)
{
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++)
        if (strcmp(reserved[i], name) == 0)
            return true;
    return false;
}

static const struct key *key_find(const char *name, enum flow_map map)
{
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].map == map && strcmp(keys[i].name, name) == 0)
            return &keys[i];
    return NULL;
}

static bool is_upstreams(enum flow_map map)
{
    return map >= MAP_UPSTREAMS;
}

/* Where else this very key belongs, "in request or in cache", in the file of map's kind or else in
 * the other; false if nowhere. */
static bool key_elsewhere(const char *name, enum flow_map map, char *out, size_t size)
{
    size_t len = 0;
    for (int other = 0; other < 2 && len == 0; other++)
        for (size_t i = 0; i < KEYS && len < size; i++)
            if (is_upstreams(keys[i].map) == (is_upstreams(map) != (other == 1)) &&
                strcmp(keys[i].name, name) == 0)
                len += (size_t)snprintf(out + len, size - len, "%s%s", len ? " or " : "",
                                        places[keys[i].map]);
    return len > 0;
}

static size_t key_names(enum flow_map map, const char *names[KEYS])
{
    size_t n = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (keys[i].map == map)
            names[n++] = keys[i].name;
    return n;
}

static void print_names(const char *const *names, size_t n, char *out, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < n && len < size; i++)
        len += (size_t)snprintf(out + len, size - len, " `%s`", names[i]);
}

static void key_unknown(struct flow_loader *l, const struct yaml_node *member, enum flow_map map)
{
    struct finding_place at = yaml_place_key(member);
    const char *names[KEYS];
    char list[400] = "";
    size_t n = key_names(map, names);
    const char *near = nearest_name(member->key, names, n);
    if (is_reserved(member->key))
        findings_add(l->findings, at, FINDING_UNSUPPORTED,
                     "`%s` is reserved for a later version\nremove it", member->key);
    else if (key_elsewhere(member->key, map, list, sizeof list))
        findings_add(l->findings, at, FINDING_KEY, "unknown key `%s` %s\n`%s` belongs %s",
                     member->key, places[map], member->key, list);
    else if (near)
        findings_add(l->findings, at, FINDING_KEY, "unknown key `%s` %s\ndid you mean `%s`?",
                     member->key, places[map], near);
    else {
        print_names(names, n, list, sizeof list);
        findings_add(l->findings, at, FINDING_KEY, "unknown key `%.100s` %s\nit takes%s",
                     member->key, places[map], list);
    }
}

bool flow_key_at(size_t i, enum flow_map *map, const char **name, bool *supported)
{
    if (i >= KEYS)
        return false;
    *map = keys[i].map;
    *name = keys[i].name;
    *supported = keys[i].status == NOW;
    return true;
}

bool flow_keys_check(struct flow_loader *l, const struct yaml_node *map, enum flow_map which)
{
    if (!value_is(l, map, YAML_MAP))
        return false;
    for (const struct yaml_node *m = map->first; m; m = m->next) {
        const struct key *key = key_find(m->key, which);
        if (!key)
            key_unknown(l, m, which);
        else if (key->status == LATER)
            findings_add(l->findings, yaml_place_key(m), FINDING_UNSUPPORTED,
                         "`%s` %s is not supported yet\nleave it out for now", m->key,
                         places[which]);
    }
    return true;
}

void flow_key_missing(struct flow_loader *l, const struct yaml_node *map, const char *key,
                      const char *todo)
{
    findings_add(l->findings, yaml_place_key(map), FINDING_REQUIRED, "`%s` is missing\n%s", key,
                 todo);
}
