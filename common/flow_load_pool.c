/* `pool`: its keys, the schema of what a refill has, and what the parts that a refill runs may use.
 */
#include "common/flow_loader.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { SIZE_MAX_ITEMS = 1000, FIELDS_MAX = 32 };
#define SECOND_MS ((int64_t)1000)
#define DAY_MS    (SECOND_MS * 3600 * 24)

/* ---- the refills' topic */

static bool reads(const struct flow *f, const char *topic)
{
    size_t len = f->topic.name ? strlen(f->topic.name) : 0;
    bool own = len && strncmp(topic, f->topic.name, len) == 0 &&
               (topic[len] == 0 || strcmp(topic + len, ".retry") == 0);
    return own || (f->pool.topic && strcmp(topic, f->pool.topic) == 0);
}

static void read_topic(struct flow_file *f, const struct yaml_node *map)
{
    struct flow_loader *l = f->loader;
    const struct flow_set *set = l->set;
    const struct yaml_node *n = yaml_get(map, "topic");
    const char *text = value_text(l, n);
    if (!n)
        flow_key_missing(l, map, "topic",
                         "write where the records that ask for items go, like "
                         "`topic: templates.refill`");
    if (!text || !flow_topic_name(l, n, text))
        return;
    for (size_t i = 0; i < set->flows_n; i++)
        if (reads(&set->flows[i], text))
            findings_add(l->findings, yaml_place(n), FINDING_TOPIC,
                         "the flow `%s` reads `%s`\ngive the refills a topic of their own",
                         set->flows[i].name, text);
    f->flow->pool.topic = value_copy(l, text);
}

static void read_group(struct flow_file *f, const struct yaml_node *map)
{
    const struct yaml_node *n = yaml_get(map, "group");
    const char *text = value_text(f->loader, n);
    bool good = text && flow_topic_name(f->loader, n, text);
    f->flow->pool.group = value_copy(f->loader, good ? text : f->flow->topic.group);
}

/* ---- what a refill has of the request */

static bool has_field(const struct flow *f, const char *name)
{
    for (size_t i = 0; i < f->pool.fields_n; i++)
        if (f->pool.fields[i] && strcmp(f->pool.fields[i], name) == 0)
            return true;
    return false;
}

static void field_unknown(struct flow_file *f, const struct yaml_node *n)
{
    const char *near = flow_nearest_field(f->schema, n->text);
    findings_add(f->loader->findings, yaml_place(n), FINDING_POOL,
                 "request.schema has no field `%.80s`\n%s%s%s", n->text,
                 near ? "did you mean `" : "add it to `properties`", near ? near : "",
                 near ? "`?" : "");
}

/* The list, after what is wrong with it was told; NULL: nothing to read. */
static const struct yaml_node *fields_list(struct flow_loader *l, const struct yaml_node *map)
{
    const struct yaml_node *list = yaml_get(map, "fields");
    if (!list || (value_is(l, list, YAML_LIST) && list->n == 0))
        findings_add(l->findings, list ? yaml_place(list) : yaml_place_key(map), FINDING_REQUIRED,
                     "`fields` is missing\nwrite which fields of the request a refill has, like "
                     "`fields: [id]`");
    if (!list || list->type != YAML_LIST)
        return NULL;
    if (list->n <= FIELDS_MAX)
        return list;
    findings_add(l->findings, yaml_place_key(list), FINDING_LIMIT,
                 "more than %d fields\na refill needs few: what is different in each request "
                 "cannot be made before",
                 FIELDS_MAX);
    return NULL;
}

static void read_field(struct flow_file *f, const struct yaml_node *n)
{
    const struct yaml_node *fields = flow_fields(f->schema);
    const char *text = value_text(f->loader, n);
    if (text && fields && !yaml_get(fields, text) && !flow_schema_is_open(f->schema))
        field_unknown(f, n);
    else if (text && !has_field(f->flow, text))
        f->flow->pool.fields[f->flow->pool.fields_n++] = value_copy(f->loader, text);
}

static void read_fields(struct flow_file *f, const struct yaml_node *map)
{
    const struct yaml_node *list = fields_list(f->loader, map);
    if (!list)
        return;
    f->flow->pool.fields = value_array(f->loader, list->n ? list->n : 1, sizeof(char *));
    for (const struct yaml_node *n = list->first; n && f->flow->pool.fields; n = n->next)
        read_field(f, n);
}

/* ---- of request.schema, as much as is about these fields; each owned, NULL: no memory */

static struct json *fields_properties(const struct flow *f)
{
    const struct json *all = json_get(f->schema_source, "properties");
    struct json *out = json_new_object();
    int err = out ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < f->pool.fields_n && !err; i++) {
        const struct json *p = json_get(all, f->pool.fields[i]);
        err = p ? json_put(out, f->pool.fields[i], json_copy(p)) : 0;
    }
    if (!err)
        return out;
    json_free(out);
    return NULL;
}

static struct json *fields_required(const struct flow *f)
{
    const struct json *required = json_get(f->schema_source, "required");
    struct json *out = json_new_array();
    int err = out ? 0 : ERR_NOMEM;
    for (const struct json *n = required ? json_first(required) : NULL; n && !err; n = json_next(n))
        if (json_text(n) && has_field(f, json_text(n)))
            err = json_push(out, json_copy(n));
    if (!err)
        return out;
    json_free(out);
    return NULL;
}

static struct json *fields_schema(const struct flow *f)
{
    const struct json *defs = json_get(f->schema_source, "$defs");
    struct json *out = json_new_object();
    int err = out ? 0 : ERR_NOMEM;
    if (!err && defs)
        err = json_put(out, "$defs", json_copy(defs));
    if (!err)
        err = json_put(out, "type", json_new_text("object"));
    if (!err)
        err = json_put(out, "properties", fields_properties(f));
    if (!err)
        err = json_put(out, "required", fields_required(f));
    if (!err)
        return out;
    json_free(out);
    return NULL;
}

static void schema_finding(void *arg, const struct schema_problem *p)
{
    const struct flow_file *f = arg;
    findings_add(f->loader->findings, yaml_place_key(f->pool), FINDING_POOL,
                 "the fields of a refill have no schema of their own: %s\nkeep what they refer to "
                 "in `$defs`",
                 p->text);
}

static void make_schema(struct flow_file *f)
{
    struct flow *flow = f->flow;
    if (!flow->schema || !f->schema)
        return; /* told already, or there is none */
    struct json *source = fields_schema(flow);
    int err = source ? schema_compile(source, &flow->pool.schema, schema_finding, f) : ERR_NOMEM;
    json_free(source);
    if (err && err != ERR_SCHEMA)
        f->loader->no_memory = true;
}

void flow_load_pool(struct flow_file *f)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *map = f->pool, *key = yaml_get(map, "key");
    const struct yaml_node *refill = yaml_get(map, "refill");
    struct flow *flow = f->flow;
    if (!flow_keys_check(l, map, MAP_POOL))
        return;
    if (!key)
        flow_key_missing(l, map, "key", "write what its items are for, like `key: $request.id`");
    if (!refill)
        flow_key_missing(l, map, "refill",
                         "write how it is filled: `refill: {topic: NAME, fields: [..]}`");
    flow->pool.key = flow_expr_read(f, key, "pool.key", VARS_JOB);
    if (flow->pool.key)
        f->uses[f->uses_n - 1].want = WANT_SCALAR;
    flow->pool.size = (unsigned)value_number(l, yaml_get(map, "size"),
                                             (struct value_range){1, SIZE_MAX_ITEMS, 4});
    flow->pool.ttl_ms =
        value_duration(l, yaml_get(map, "ttl"),
                       (struct value_range){SECOND_MS, POOL_TTL_DAYS * DAY_MS, 30 * DAY_MS});
    if (!flow_keys_check(l, refill, MAP_REFILL))
        return;
    read_topic(f, refill);
    read_group(f, refill);
    read_fields(f, refill);
    make_schema(f);
}

/* ---- what a refill runs */

static void lint_ref(struct flow_file *f, const struct yaml_node *n, const struct flow_ref *r)
{
    struct finding_place at = yaml_place_in(n, r->offset);
    if (r->bare || r->bound)
        return;
    if (strcmp(r->name, "user") == 0)
        findings_add(f->loader->findings, at, FINDING_POOL,
                     "`$user`: a refill runs this too, and has no user\nleave it out, or out of "
                     "refills: `when: $job.refill | not`");
    else if (strcmp(r->name, "request") == 0 && !r->fields)
        findings_add(f->loader->findings, at, FINDING_POOL,
                     "`$request` as a whole: a refill has only some fields\nwrite which one, like "
                     "`$request.%s`",
                     f->flow->pool.fields_n ? f->flow->pool.fields[0] : "id");
    else if (strcmp(r->name, "request") == 0 && !has_field(f->flow, r->field[0]))
        findings_add(f->loader->findings, at, FINDING_POOL,
                     "`$request.%s`: a refill runs this too, and does not have it\nadd it to "
                     "pool.refill.fields, or keep this out of refills: `when: $job.refill | not`",
                     r->field[0]);
}

static void lint_strings(struct flow_file *f, const struct yaml_node *n, bool template)
{
    struct flow_scan s;
    struct flow_ref r;
    if (n->text) {
        flow_scan_init(&s, n->text, template);
        while (flow_scan_next(&s, &r))
            lint_ref(f, n, &r);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next)
        lint_strings(f, c, template);
}

/* Whatever of it was compiled. */
static void lint_part(struct flow_file *f, const struct yaml_node *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < f->uses_n; i++)
        if (f->uses[i].node == n) {
            lint_strings(f, n, f->uses[i].expr == NULL);
            return;
        }
    for (const struct yaml_node *c = n->first; c; c = c->next)
        lint_part(f, c);
}

static bool is_no_refills(const struct yaml_node *entry)
{
    static const char want[] = "$job.refill|not";
    const struct yaml_node *when = yaml_get(entry, "when");
    size_t at = 0;
    for (const char *c = when && when->text ? when->text : ""; *c; c++)
        if (!isspace((unsigned char)*c) && *c != want[at++])
            return false;
    return at == sizeof want - 1;
}

void flow_lint_pool(struct flow_file *f)
{
    const struct yaml_node *root = yaml_root(f->yaml);
    enum { PARTS = 3 };
    const struct yaml_node *entries[PARTS] = {f->loads, yaml_get(root, "check"), f->calls};
    if (!f->pool || !f->flow->pool.fields_n)
        return; /* without fields there is a finding already */
    for (size_t i = 0; i < PARTS; i++)
        for (const struct yaml_node *e = entries[i] ? entries[i]->first : NULL; e; e = e->next)
            if (!is_no_refills(e))
                lint_part(f, e);
    lint_part(f, yaml_get(f->pool, "key"));
    lint_part(f, yaml_get(root, "result"));
}
