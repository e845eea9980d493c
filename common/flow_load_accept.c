#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

/* What the gateway does with a request: wait, limits, request.set, request.hash. */

enum { LIMITS_MAX = 8, LIMIT_COUNT_MAX = 1000000, WAIT_MAX_MS = 30000 };
static const int64_t WINDOW_MIN_MS = 100, WINDOW_MAX_MS = 30LL * 86400 * 1000;

static size_t members_of(const struct yaml_node *n)
{
    size_t count = 0;
    for (const struct yaml_node *m = n->first; m; m = m->next)
        count++;
    return count;
}

/* More than max: a finding, and the rest is not read. */
static size_t count_members(struct flow_loader *l, const struct yaml_node *n, size_t max)
{
    size_t count = members_of(n);
    if (count <= max)
        return count;
    findings_add(l->findings, yaml_place(n), FINDING_VALUE,
                 "`%s` has %zu entries\nwrite at most %zu", n->key, count, max);
    return max;
}

/* ---- limits */

static const struct yaml_node *limit_part(struct flow_file *f, const struct yaml_node *entry,
                                          const char *key, const char *todo)
{
    const struct yaml_node *n = yaml_get(entry, key);
    if (!n)
        findings_add(f->loader->findings, yaml_place(entry), FINDING_REQUIRED,
                     "`%s` is missing\n%s", key, todo);
    return n;
}

static void read_limit(struct flow_file *f, const struct yaml_node *entry, struct flow_limit *out)
{
    static const char *const names[] = {"user", "key", "flow"};
    struct flow_loader *l = f->loader;
    if (!flow_keys_check(l, entry, MAP_LIMIT))
        return;
    const struct yaml_node *per =
        limit_part(f, entry, "per", "write what is counted: `per: user`, `key` or `flow`");
    const struct yaml_node *count =
        limit_part(f, entry, "count", "write how many may come at once, like `count: 5`");
    const struct yaml_node *window =
        limit_part(f, entry, "window", "write in which time they come back, like `window: 1m`");
    out->per = (enum limit_per)value_choice(l, per, names, 3, LIMIT_USER);
    out->count = (unsigned)value_number(l, count, (struct value_range){1, LIMIT_COUNT_MAX, 1});
    out->window_ms = value_duration(
        l, window, (struct value_range){WINDOW_MIN_MS, WINDOW_MAX_MS, WINDOW_MIN_MS});
    if (out->per == LIMIT_KEY && per && !f->flow->key)
        findings_add(l->findings, yaml_place(per), FINDING_VALUE,
                     "`per: key` needs `request.key`: without it each job has a key of its "
                     "own\nwrite `request.key`, or count `per: user`");
}

static void read_limits(struct flow_file *f)
{
    struct flow *flow = f->flow;
    const struct yaml_node *list = yaml_get(yaml_root(f->yaml), "limits");
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    size_t n = count_members(f->loader, list, LIMITS_MAX);
    flow->limits = value_array(f->loader, n, sizeof *flow->limits);
    if (!flow->limits)
        return;
    for (const struct yaml_node *e = list->first; e && flow->limits_n < n; e = e->next)
        read_limit(f, e, &flow->limits[flow->limits_n++]);
}

/* ---- request.set and request.hash */

static void read_set(struct flow_file *f, const struct yaml_node *map, unsigned visible)
{
    struct flow *flow = f->flow;
    if (!value_is(f->loader, map, YAML_MAP))
        return;
    size_t n = count_members(f->loader, map, FLOW_FIELDS_MAX);
    flow->set = value_array(f->loader, n, sizeof *flow->set);
    if (!flow->set)
        return;
    for (const struct yaml_node *m = map->first; m && flow->set_n < n; m = m->next) {
        struct flow_set_field *to = &flow->set[flow->set_n++];
        to->name = value_copy(f->loader, m->key);
        to->expr = flow_expr_read(f, m, "request.set", visible);
    }
}

/* `string` or `[string]`. */
static bool is_text_type(const struct yaml_node *type)
{
    if (type && type->type == YAML_LIST && type->n == 1)
        type = type->first;
    return type && type->text && strcmp(type->text, "string") == 0;
}

/* A field whose schema says something else than text could never be hashed. Where that cannot be
 * told, the gateway refuses what is no text, and the worker what is no hash. */
static void check_hashed(struct flow_file *f, const struct yaml_node *m)
{
    const struct yaml_node *field = yaml_get(flow_fields(f->schema), m->key);
    const struct yaml_node *type = yaml_get(field, "type");
    if (is_text_type(type) || (!type && flow_schema_is_open(field ? field : f->schema)))
        return;
    findings_add(f->loader->findings, yaml_place_key(m), FINDING_HASH,
                 "`%s` is hashed, and the schema does not say that it is text\nwrite `%s: {type: "
                 "string, maxLength: 72}` in request.schema.properties",
                 m->key, m->key);
}

static void read_hash(struct flow_file *f, const struct yaml_node *map)
{
    static const char *const names[] = {"bcrypt", "yescrypt"};
    struct flow *flow = f->flow;
    if (!value_is(f->loader, map, YAML_MAP))
        return;
    size_t n = count_members(f->loader, map, FLOW_FIELDS_MAX);
    flow->hash = value_array(f->loader, n, sizeof *flow->hash);
    if (!flow->hash)
        return;
    for (const struct yaml_node *m = map->first; m && flow->hash_n < n; m = m->next) {
        struct flow_hash_field *to = &flow->hash[flow->hash_n++];
        to->name = value_copy(f->loader, m->key);
        to->kind = (enum password_kind)value_choice(f->loader, m, names, 2, PASSWORD_BCRYPT);
        check_hashed(f, m);
    }
}

void flow_load_edit(struct flow_file *f, const struct yaml_node *request, unsigned visible)
{
    read_set(f, yaml_get(request, "set"), visible);
    read_hash(f, yaml_get(request, "hash"));
}

void flow_load_accept(struct flow_file *f)
{
    f->flow->wait_ms = value_duration(f->loader, yaml_get(yaml_root(f->yaml), "wait"),
                                      (struct value_range){0, WAIT_MAX_MS, 0});
    read_limits(f);
}

/* ---- plain text that would get out before it is hashed */

static void lint_hash_use(struct flow_file *f, const struct flow_use *u)
{
    struct flow_scan s;
    struct flow_ref r;
    flow_scan_init(&s, u->node->text, false);
    while (flow_scan_next(&s, &r)) {
        if (strcmp(r.name, "request") != 0 || r.bound)
            continue;
        if (!r.fields)
            findings_add(f->loader->findings, yaml_place_in(u->node, r.offset), FINDING_HASH,
                         "`%s` takes `$request` as a whole, with what `request.hash` hides\nname "
                         "the fields it needs, like `$request.id`",
                         u->what);
        else if (flow_hashes(f->flow, r.field[0]))
            findings_add(f->loader->findings, yaml_place_in(u->node, r.field_offset[0]),
                         FINDING_HASH,
                         "`%s` is computed before `%s` is hashed, and would tell it\nleave "
                         "`$request.%s` out",
                         u->what, r.field[0], r.field[0]);
    }
}

void flow_lint_hash(struct flow_file *f)
{
    for (size_t i = 0; f->flow->hash_n && i < f->uses_n; i++)
        if (f->uses[i].expr &&
            (f->uses[i].want == WANT_SCALAR || strcmp(f->uses[i].what, "request.set") == 0))
            lint_hash_use(f, &f->uses[i]);
}
