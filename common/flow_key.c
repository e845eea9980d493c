#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

/* A new key: read it, then name it here and in proto/flow.schema.json, and test that it loads. */
struct key {
    const char *name;
    enum flow_map map;
};
#define KEY(map, name)  \
    {                   \
        name, MAP_##map \
    }

static const struct key keys[] = {
    KEY(FLOW, "flow"),
    KEY(FLOW, "title"),
    KEY(FLOW, "access"),
    KEY(FLOW, "token_scope"),
    KEY(FLOW, "wait"),
    KEY(FLOW, "topic"),
    KEY(FLOW, "request"),
    KEY(FLOW, "cache"),
    KEY(FLOW, "limits"),
    KEY(FLOW, "deadline"),
    KEY(FLOW, "order"),
    KEY(FLOW, "load"),
    KEY(FLOW, "check"),
    KEY(FLOW, "pool"),
    KEY(FLOW, "calls"),
    KEY(FLOW, "need"),
    KEY(FLOW, "result"),
    KEY(FLOW, "save"),
    KEY(FLOW, "emit"),
    KEY(FLOW, "requeue"),
    KEY(FLOW, "notify"),
    KEY(FLOW, "keep"),

    KEY(TOPIC, "name"),
    KEY(TOPIC, "group"),
    KEY(TOPIC, "partitions"),
    KEY(TOPIC, "id"),
    KEY(TOPIC, "user"),

    KEY(REQUEST, "schema"),
    KEY(REQUEST, "max_size"),
    KEY(REQUEST, "set"),
    KEY(REQUEST, "hash"),
    KEY(REQUEST, "key"),

    KEY(CACHE, "key"),
    KEY(CACHE, "scope"),
    KEY(CACHE, "ttl"),
    KEY(CACHE, "partial_ttl"),

    KEY(LIMIT, "per"),
    KEY(LIMIT, "count"),
    KEY(LIMIT, "window"),

    KEY(LOAD, "when"),
    KEY(LOAD, "database"),
    KEY(LOAD, "sql"),
    KEY(LOAD, "max_rows"),

    KEY(CHECK, "when"),
    KEY(CHECK, "that"),
    KEY(CHECK, "else"),

    KEY(POOL, "key"),
    KEY(POOL, "size"),
    KEY(POOL, "ttl"),
    KEY(POOL, "refill"),
    KEY(REFILL, "topic"),
    KEY(REFILL, "group"),
    KEY(REFILL, "fields"),

    KEY(CALL, "when"),
    KEY(CALL, "after"),
    KEY(CALL, "for_each"),
    KEY(CALL, "max_items"),
    KEY(CALL, "parallel"),
    KEY(CALL, "optional"),
    KEY(CALL, "upstream"),
    KEY(CALL, "request"),
    KEY(CALL, "timeout"),
    KEY(CALL, "retry"),
    KEY(CALL, "response"),
    KEY(CALL, "max_response"),
    KEY(CALL, "repeat"),
    KEY(CALL, "ledger"),
    KEY(CALL, "ok"),
    KEY(CALL, "result"),

    KEY(CALL_REQUEST, "method"),
    KEY(CALL_REQUEST, "path"),
    KEY(CALL_REQUEST, "headers"),
    KEY(CALL_REQUEST, "body"),

    KEY(RETRY, "attempts"),
    KEY(RETRY, "backoff"),
    KEY(RETRY, "max"),
    KEY(RETRY, "on"),

    KEY(SAVE, "when"),
    KEY(SAVE, "for_each"),
    KEY(SAVE, "database"),
    KEY(SAVE, "sql"),
    KEY(SAVE, "optional"),

    KEY(EMIT, "when"),
    KEY(EMIT, "for_each"),
    KEY(EMIT, "flow"),
    KEY(EMIT, "topic"),
    KEY(EMIT, "key"),
    KEY(EMIT, "value"),

    KEY(NOTIFY, "done"),
    KEY(NOTIFY, "failed"),

    KEY(UPSTREAMS, "upstreams"),
    KEY(UPSTREAMS, "databases"),
    KEY(UPSTREAM, "url"),
    KEY(UPSTREAM, "headers"),
    KEY(UPSTREAM, "concurrency"),
    KEY(UPSTREAM, "rate"),
    KEY(UPSTREAM, "queue"),
    KEY(UPSTREAM, "breaker"),
    KEY(UPSTREAM, "sign"),
    KEY(UPSTREAM, "tls"),
    KEY(UPSTREAM, "allow_private"),
    KEY(BREAKER, "failures"),
    KEY(BREAKER, "of"),
    KEY(BREAKER, "open"),
    KEY(SIGN, "type"),
    KEY(SIGN, "service"),
    KEY(SIGN, "region"),
    KEY(SIGN, "access_key"),
    KEY(SIGN, "secret_key"),
    KEY(SIGN, "session_token"),
    KEY(TLS, "ca"),
    KEY(TLS, "cert"),
    KEY(TLS, "key"),
    KEY(DATABASE, "host"),
    KEY(DATABASE, "port"),
    KEY(DATABASE, "name"),
    KEY(DATABASE, "user"),
    KEY(DATABASE, "password"),
    KEY(DATABASE, "tls"),
    KEY(DATABASE, "connections"),
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

bool flow_key_at(size_t i, enum flow_map *map, const char **name)
{
    if (i >= KEYS)
        return false;
    *map = keys[i].map;
    *name = keys[i].name;
    return true;
}

bool flow_keys_check(struct flow_loader *l, const struct yaml_node *map, enum flow_map which)
{
    if (!value_is(l, map, YAML_MAP))
        return false;
    for (const struct yaml_node *m = map->first; m; m = m->next)
        if (!key_find(m->key, which))
            key_unknown(l, m, which);
    return true;
}

void flow_key_missing(struct flow_loader *l, const struct yaml_node *map, const char *key,
                      const char *todo)
{
    findings_add(l->findings, yaml_place_key(map), FINDING_REQUIRED, "`%s` is missing\n%s", key,
                 todo);
}
