#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

enum { TOPIC_MAX = 249 - 6, REQUEST_MAX = 16 << 20, SCOPE_MAX = 200 };
#define SECOND_MS ((int64_t)1000)
#define DAY_MS    (SECOND_MS * 3600 * 24)

static const struct yaml_node *top(struct flow_file *f, const char *key)
{
    return yaml_get(yaml_root(f->yaml), key);
}

/* NULL if there is none, or after a finding. */
static const struct yaml_node *top_map(struct flow_file *f, const char *key)
{
    const struct yaml_node *n = top(f, key);
    return value_is(f->loader, n, YAML_MAP) ? n : NULL;
}

static void read_name(struct flow_file *f)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *n = top(f, "flow");
    const char *text = value_text(l, n);
    if (!n)
        flow_key_missing(l, yaml_root(f->yaml), "flow", "write `flow: NAME`, the file's name");
    if (!n || !text)
        return;
    struct yaml_node as_key = *n;
    as_key.key = text;
    as_key.key_line = n->line;
    as_key.key_column = n->column;
    if (value_name(l, &as_key, true) && strcmp(text, f->flow->name) != 0)
        findings_add(l->findings, yaml_place(n), FINDING_NAME,
                     "the flow is named `%s`, its file `%s`\nuse one name for both", text,
                     f->flow->name);
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static void read_title(struct flow_file *f)
{
    const struct yaml_node *n = top(f, "title");
    const char *text = value_text(f->loader, n);
    if (!n)
        flow_key_missing(f->loader, yaml_root(f->yaml), "title",
                         "write a few words for people, like `title: Compare prices`");
    if (text && (!text[0] || characters(text) > FLOW_TITLE_MAX))
        findings_add(f->loader->findings, yaml_place(n), FINDING_VALUE,
                     "`title` has %s\nwrite a few words for people",
                     text[0] ? "more than 200 characters" : "no text");
    f->flow->title = value_copy(f->loader, text);
}

static void read_access(struct flow_file *f)
{
    static const char *const names[] = {"users", "guests", "internal"};
    const struct yaml_node *n = top(f, "access");
    f->flow->access = (enum flow_access)value_choice(f->loader, n, names, 3, ACCESS_USERS);
}

/* RFC 6749: scope-token. It stands in a header of the 403, too. */
static bool is_scope(const char *s)
{
    size_t n = strlen(s);
    for (const char *p = s; *p; p++)
        if (*p <= 0x20 || *p > 0x7e || *p == '"' || *p == '\\')
            return false;
    return n > 0 && n <= SCOPE_MAX;
}

static void read_token_scope(struct flow_file *f)
{
    const struct yaml_node *n = top(f, "token_scope");
    const char *text = value_text(f->loader, n);
    if (!n || !text)
        return;
    if (!is_scope(text))
        findings_add(f->loader->findings, yaml_place(n), FINDING_VALUE,
                     "`token_scope` is no scope\nwrite one name without spaces, like "
                     "`token_scope: reports.write`");
    else if (f->flow->access == ACCESS_GUESTS)
        findings_add(f->loader->findings, yaml_place(n), FINDING_VALUE,
                     "`token_scope` needs a token\nwrite `access: users`, or leave it out");
    f->flow->token_scope = value_copy(f->loader, text);
}

/* ---- topic */

bool flow_topic_name(struct flow_loader *l, const struct yaml_node *n, const char *text)
{
    size_t len = strlen(text);
    bool good =
        len > 0 && len <= TOPIC_MAX && strcmp(text, ".") != 0 && strcmp(text, "..") != 0 &&
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") == len;
    if (!good)
        findings_add(l->findings, yaml_place(n), FINDING_VALUE,
                     "`%s: %.60s` is no Kafka name\nuse letters, digits, `.`, `_` and `-`, at most "
                     "%d",
                     n->key, text, TOPIC_MAX);
    return good;
}

static char *read_topic_text(struct flow_file *f, const struct yaml_node *map, const char *key)
{
    char fallback[FLOW_NAME_MAX + 16];
    const struct yaml_node *n = yaml_get(map, key);
    const char *text = value_text(f->loader, n);
    snprintf(fallback, sizeof fallback, "offpath.%s", f->flow->name);
    bool good = text && flow_topic_name(f->loader, n, text);
    return value_copy(f->loader, good ? text : fallback);
}

static bool is_retry_topic_of(const char *topic, const char *of)
{
    size_t len = strlen(of);
    return strncmp(topic, of, len) == 0 && strcmp(topic + len, ".retry") == 0;
}

/* A flow's topic, and the topic of its retries, which is added, have one reader each. */
static void check_topic(struct flow_file *f, const struct yaml_node *map)
{
    const struct flow_set *set = f->loader->set;
    const struct yaml_node *name = yaml_get(map, "name");
    const char *own = f->flow->topic.name;
    for (size_t i = 0; own && i + 1 < set->flows_n; i++) {
        const char *other = set->flows[i].topic.name;
        const char *refills = set->flows[i].pool.topic;
        bool same = other && (strcmp(own, other) == 0 || is_retry_topic_of(own, other) ||
                              is_retry_topic_of(other, own));
        if (!same && refills && (strcmp(own, refills) == 0 || is_retry_topic_of(refills, own))) {
            same = true;
            other = refills;
        }
        if (same)
            findings_add(f->loader->findings, yaml_place(name ? name : yaml_root(f->yaml)),
                         FINDING_TOPIC,
                         "the flow `%s` reads `%s`\ngive each flow a topic of its own; `.retry` "
                         "behind its name is taken too",
                         set->flows[i].name, other);
    }
}

static void read_topic(struct flow_file *f)
{
    const struct yaml_node *map = top(f, "topic");
    flow_keys_check(f->loader, map, MAP_TOPIC);
    f->flow->topic.name = read_topic_text(f, map, "name");
    f->flow->topic.group = read_topic_text(f, map, "group");
    check_topic(f, map);
    f->flow->topic.partitions = (unsigned)value_number(f->loader, yaml_get(map, "partitions"),
                                                       (struct value_range){1, 10000, 6});
    /* the job they are to make does not exist yet: they see the record alone */
    f->flow->topic.id = flow_expr_read(f, yaml_get(map, "id"), "topic.id", VAR_BIT(VAR_REQUEST));
    f->flow->topic.user =
        flow_expr_read(f, yaml_get(map, "user"), "topic.user", VAR_BIT(VAR_REQUEST));
}

/* ---- request and cache */

static void schema_finding(void *arg, const struct schema_problem *p)
{
    struct flow_file *f = arg;
    if (!f->schema)
        return; /* ours, which is right */
    const struct yaml_node *n = value_at_pointer(f->schema, p->pointer);
    const struct yaml_node *keyword = yaml_get(n, p->keyword);
    bool here = n->key && strcmp(n->key, p->keyword) == 0;
    struct finding_place at = keyword ? yaml_place_key(keyword)
                              : here  ? yaml_place_key(n)
                                      : yaml_place(n);
    const char *what = p->keyword[0] ? p->keyword : n->key ? n->key : "this";
    findings_add(f->loader->findings, at, FINDING_SCHEMA, "`%s`: %s\nmend the schema", what,
                 p->text);
}

static struct json *schema_default(struct flow_loader *l)
{
    struct json *out = json_new_object();
    if (!out || json_put(out, "type", json_new_text("object")) != 0)
        l->no_memory = true;
    return out;
}

static void read_schema(struct flow_file *f, const struct yaml_node *request)
{
    f->schema = yaml_get(request, "schema");
    if (f->schema && !value_is(f->loader, f->schema, YAML_MAP))
        f->schema = NULL;
    f->flow->schema_source =
        f->schema ? value_json(f->loader, f->schema) : schema_default(f->loader);
    if (!f->flow->schema_source)
        return;
    int err = schema_compile(f->flow->schema_source, &f->flow->schema, schema_finding, f);
    if (err && !(err == ERR_SCHEMA && f->schema))
        f->loader->no_memory = true;
}

/* An expression that must give a scalar; its rules are run with the examples. */
static struct expr *read_key(struct flow_file *f, const struct yaml_node *n, const char *what)
{
    struct expr *key = flow_expr_read(f, n, what, VARS_JOB);
    if (key)
        f->uses[f->uses_n - 1].want = WANT_SCALAR;
    return key;
}

static void read_request(struct flow_file *f)
{
    const struct yaml_node *map = top(f, "request");
    flow_keys_check(f->loader, map, MAP_REQUEST);
    read_schema(f, map);
    f->flow->request_max = (size_t)value_size(f->loader, yaml_get(map, "max_size"),
                                              (struct value_range){1, REQUEST_MAX, 64 << 10});
    flow_load_edit(f, map, VARS_JOB);
    f->flow->key = read_key(f, yaml_get(map, "key"), "request.key");
}

static void read_cache(struct flow_file *f)
{
    const struct yaml_node *map = top(f, "cache");
    const struct value_range ttl = {SECOND_MS, 365 * DAY_MS, 0};
    const struct value_range partial = {0, 365 * DAY_MS, 0};
    if (!flow_keys_check(f->loader, map, MAP_CACHE))
        return;
    if (!yaml_get(map, "key"))
        flow_key_missing(f->loader, map, "key",
                         "write what the cache is keyed by, like "
                         "`key: $request.id`");
    if (!yaml_get(map, "ttl"))
        flow_key_missing(f->loader, map, "ttl", "write how long a result is kept, like `ttl: 5m`");
    f->flow->cache.scope = f->shared ? SCOPE_SHARED : SCOPE_USER;
    f->flow->cache.key = read_key(f, yaml_get(map, "key"), "cache.key");
    f->flow->cache.ttl_ms = value_duration(f->loader, yaml_get(map, "ttl"), ttl);
    f->flow->cache.partial_ttl_ms =
        value_duration(f->loader, yaml_get(map, "partial_ttl"), partial);
}

/* Before anything else: whether $user may be used depends on it. */
static void read_cache_scope(struct flow_file *f)
{
    static const char *const names[] = {"user", "shared"};
    f->shared = value_choice(f->loader, yaml_get(top(f, "cache"), "scope"), names, 2, 0) == 1;
}

/* ---- the rest */

static int64_t read_deadline(struct flow_file *f)
{
    const struct yaml_node *n = top(f, "deadline");
    if (n && n->text && strcmp(n->text, "none") == 0)
        return 0;
    return value_duration(f->loader, n, (struct value_range){100, 365 * DAY_MS, 300 * SECOND_MS});
}

static int read_need(struct flow_file *f)
{
    const struct yaml_node *n = top(f, "need");
    if (!n || (n->text && strcmp(n->text, "all") == 0))
        return FLOW_NEED_ALL;
    return (int)value_number(f->loader, n, (struct value_range){0, 100000, 0});
}

void flow_load_flow(struct flow_file *f)
{
    read_cache_scope(f);
    f->calls = top_map(f, "calls");
    f->loads = top_map(f, "load");
    f->pool = top_map(f, "pool");
    read_name(f);
    read_title(f);
    read_access(f);
    read_token_scope(f);
    read_topic(f);
    read_request(f);
    read_cache(f);
    flow_load_accept(f);
    f->flow->deadline_ms = read_deadline(f);
    flow_load_loads(f);
    flow_load_checks(f, top(f, "check"));
    flow_load_pool(f);
    flow_load_calls(f);
    f->flow->need = read_need(f);
    f->flow->result = flow_expr_read(f, top(f, "result"), "result", VARS_END);
    flow_load_saves(f, top(f, "save"));
    f->flow->keep_ms =
        value_duration(f->loader, top(f, "keep"),
                       (struct value_range){60 * SECOND_MS, 3650 * DAY_MS, 90 * DAY_MS});
    flow_load_emit(f);
}
