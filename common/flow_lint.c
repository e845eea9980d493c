#include "common/flow_loader.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Each expression may take 100 ms with each example. */
enum { EXAMPLES_RUN = 20 };

/* ---- $request.x against the schema */

bool flow_schema_is_open(const struct yaml_node *schema)
{
    static const char *const keywords[] = {"$ref",
                                           "allOf",
                                           "anyOf",
                                           "oneOf",
                                           "if",
                                           "not",
                                           "const",
                                           "enum",
                                           "patternProperties",
                                           "dependentSchemas"};
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++)
        if (yaml_get(schema, keywords[i]))
            return true;
    return false;
}

static bool is_closed(const struct yaml_node *schema)
{
    const struct yaml_node *more = yaml_get(schema, "additionalProperties");
    return more && more->type == YAML_BOOL && !more->truth;
}

const struct yaml_node *flow_fields(const struct yaml_node *schema)
{
    const struct yaml_node *properties = yaml_get(schema, "properties");
    return properties && properties->type == YAML_MAP ? properties : NULL;
}

const char *flow_nearest_field(const struct yaml_node *schema, const char *typed)
{
    const char *names[200];
    size_t n = 0;
    const struct yaml_node *fields = flow_fields(schema);
    for (const struct yaml_node *p = fields ? fields->first : NULL; p && n < 200; p = p->next)
        names[n++] = p->key;
    return nearest_name(typed, names, n);
}

static void field_unknown(struct flow_file *f, struct finding_place at, const char *field,
                          const struct yaml_node *schema)
{
    const char *near = flow_nearest_field(schema, field);
    bool closed = is_closed(schema);
    findings_add(f->loader->findings, at, closed ? FINDING_FIELD : FINDING_W_FIELD,
                 "request.schema %s `%s`\n%s%s%s", closed ? "forbids" : "does not name", field,
                 near ? "did you mean `" : "add it to `properties`", near ? near : "",
                 near ? "`?" : "");
}

static void lint_field(struct flow_file *f, const struct yaml_node *n, const struct flow_ref *r)
{
    const struct yaml_node *schema = f->schema;
    if (r->fields && flow_sets(f->flow, r->field[0]))
        return; /* the gateway writes it */
    for (size_t i = 0; i < r->fields; i++) {
        const struct yaml_node *fields = flow_fields(schema);
        const struct yaml_node *field = yaml_get(fields, r->field[i]);
        bool silent = !fields && !is_closed(schema);
        if (flow_schema_is_open(schema) || silent)
            return;
        if (!field) {
            field_unknown(f, yaml_place_in(n, r->field_offset[i]), r->field[i], schema);
            return;
        }
        schema = field;
        if (schema->type != YAML_MAP)
            return;
    }
}

static void lint_fields_of(struct flow_file *f, const struct yaml_node *n, bool template)
{
    struct flow_scan s;
    struct flow_ref r;
    if (n->text) {
        flow_scan_init(&s, n->text, template);
        while (flow_scan_next(&s, &r))
            if (!r.bare && strcmp(r.name, "request") == 0)
                lint_field(f, n, &r);
    }
    for (const struct yaml_node *c = n->first; c; c = c->next)
        lint_fields_of(f, c, template);
}

static bool is_required(const struct yaml_node *schema, const char *field)
{
    const struct yaml_node *list = yaml_get(schema, "required");
    for (const struct yaml_node *c = list ? list->first : NULL; c; c = c->next)
        if (c->text && strcmp(c->text, field) == 0)
            return true;
    return false;
}

static void lint_key(struct flow_file *f, const struct flow_use *u)
{
    struct flow_scan s;
    struct flow_ref r;
    if (strstr(u->node->text, "//") || flow_schema_is_open(f->schema))
        return;
    flow_scan_init(&s, u->node->text, false);
    while (flow_scan_next(&s, &r))
        if (strcmp(r.name, "request") == 0 && r.fields && !is_required(f->schema, r.field[0]) &&
            !flow_sets(f->flow, r.field[0]) && yaml_get(flow_fields(f->schema), r.field[0]))
            findings_add(
                f->loader->findings, yaml_place_in(u->node, r.field_offset[0]),
                FINDING_W_OPTIONAL_KEY,
                "`%s` needs `%s`, which the schema does not require\nadd it to `required`, "
                "or give a default: `$request.%s // \"none\"`",
                u->what, r.field[0], r.field[0]);
}

/* `for_each: $request.a.b`: does the schema bound the list? */
static void lint_items(struct flow_file *f, const struct flow_use *u)
{
    struct flow_scan s;
    struct flow_ref r;
    const struct yaml_node *schema = f->schema;
    flow_scan_init(&s, u->node->text, false);
    if (!flow_scan_next(&s, &r) || strcmp(r.name, "request") != 0 || !r.fields || r.offset > 0 ||
        u->node->text[r.end])
        return;
    for (size_t i = 0; i < r.fields && schema; i++) {
        if (flow_schema_is_open(schema))
            return;
        schema = yaml_get(flow_fields(schema), r.field[i]);
    }
    if (schema && schema->type == YAML_MAP && !flow_schema_is_open(schema) &&
        !yaml_get(schema, "maxItems"))
        findings_add(f->loader->findings, yaml_place_key(schema), FINDING_W_ITEMS,
                     "`%s` has no bound, and `for_each` takes each of its elements\nadd "
                     "`maxItems`",
                     r.field[r.fields - 1]);
}

static void lint_schema(struct flow_file *f)
{
    for (size_t i = 0; i < f->uses_n; i++) {
        const struct flow_use *u = &f->uses[i];
        lint_fields_of(f, u->node, u->expr == NULL);
        if (u->want == WANT_SCALAR)
            lint_key(f, u);
        if (u->want == WANT_LIST)
            lint_items(f, u);
    }
}

/* ---- time */

static void print_seconds(int64_t ms, char out[32])
{
    snprintf(out, 32, "%gs", (double)ms / 1000.0);
}

/* All attempts and the waits between them, when every attempt runs into its time-out. */
static int64_t retried_ms(const struct flow_call *c)
{
    int64_t total = c->timeout_ms;
    bool slow = c->retry.codes & 1u << CALL_TIMEOUT;
    for (unsigned i = 1; i < c->retry.attempts; i++) {
        double wait = fmin((double)c->retry.max_ms, (double)c->retry.backoff_ms * pow(2, i));
        total += (int64_t)wait + (slow ? c->timeout_ms : 0);
    }
    return total;
}

static void lint_time(struct flow_file *f, const struct yaml_node *node, const struct flow_call *c)
{
    const struct yaml_node *timeout = yaml_get(node, "timeout");
    const struct yaml_node *retry = yaml_get(node, "retry");
    char deadline[32], time[32];
    int64_t all = retried_ms(c);
    print_seconds(f->flow->deadline_ms, deadline);
    if (f->flow->deadline_ms == 0)
        findings_add(f->loader->findings, yaml_place_key(node), FINDING_W_NEVER,
                     "a call in a flow with `deadline: none`\ngive the flow a deadline");
    else if (c->timeout_ms > f->flow->deadline_ms) {
        print_seconds(c->timeout_ms, time);
        findings_add(f->loader->findings, timeout ? yaml_place(timeout) : yaml_place_key(node),
                     FINDING_W_DEADLINE,
                     "the timeout%s of %s is longer than the deadline of %s\nshorten it, or give "
                     "the flow more time",
                     timeout ? "" : " (the default)", time, deadline);
    } else if (all > f->flow->deadline_ms) {
        print_seconds(all, time);
        findings_add(f->loader->findings, retry ? yaml_place_key(retry) : yaml_place_key(node),
                     FINDING_W_DEADLINE,
                     "%u attempts can take %s, the deadline is %s\nfewer attempts, or a shorter "
                     "timeout",
                     c->retry.attempts, time, deadline);
    }
}

static void lint_calls(struct flow_file *f)
{
    size_t i = 0;
    const struct yaml_node *node = f->flow->calls_n ? f->calls->first : NULL;
    for (; node && i < f->flow->calls_n; node = node->next, i++) {
        if (f->flow->calls[i].timeout_ms)
            lint_time(f, node, &f->flow->calls[i]);
        if (!f->all_calls_read && !f->call_read[i])
            findings_add(f->loader->findings, yaml_place_key(node), FINDING_W_UNREAD,
                         "nobody reads `$calls[\"%s\"]`\nuse it in `result`, or remove the call",
                         node->key);
    }
}

/* ---- examples */

struct example {
    struct flow_file *file;
    const struct yaml_node *node;
    unsigned number;
    struct json *request, *user, *job;
    struct expr_vars vars;
};

static void example_schema(struct example *x)
{
    struct schema_report report = {.n = 0};
    if (schema_check(x->file->flow->schema, x->request, &report) == 0)
        return;
    for (size_t i = 0; i < report.n; i++) {
        const struct schema_problem *p = &report.problems[i];
        findings_add(x->file->loader->findings, yaml_place(value_at_pointer(x->node, p->pointer)),
                     FINDING_EXAMPLE, "this example breaks its schema: %s%s%s\nmend one of them",
                     p->pointer, p->pointer[0] ? " " : "", p->text);
    }
}

/* What the worker would make of the value. */
static int check_want(const struct flow_use *u, const struct json *v, struct expr_error *error)
{
    if (u->want == WANT_TRUTH && !json_is(v, JSON_BOOL) && !json_is(v, JSON_NULL))
        snprintf(error->text, sizeof error->text, "`when` is neither true nor false");
    else if (u->want == WANT_LIST && !json_is(v, JSON_ARRAY))
        snprintf(error->text, sizeof error->text, "`for_each` is no array");
    else
        return 0;
    return ERR_EXPRESSION;
}

static int run_use(const struct flow_use *u, const struct expr_vars *vars, struct json **value,
                   struct expr_error *error)
{
    if (u->sql)
        return sql_template_render(u->sql, vars, value, error);
    if (u->expr)
        return expr_eval(u->expr, vars, value, error);
    if (!u->text)
        return template_render(u->template, vars, value, error);
    struct buf out;
    buf_init(&out, 0);
    int err = template_render_text(u->template, vars, &out, error);
    buf_fini(&out);
    return err;
}

static void example_run(struct example *x, const struct flow_use *u)
{
    struct expr_error error = {0};
    struct json *value = NULL;
    unsigned known = VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_USER) | VAR_BIT(VAR_JOB);
    unsigned uses = u->expr  ? expr_uses(u->expr)
                    : u->sql ? sql_template_uses(u->sql)
                             : template_uses(u->template);
    if (u->broken || uses & ~known)
        return;
    int err = run_use(u, &x->vars, &value, &error);
    if (!err)
        err = check_want(u, value, &error);
    json_free(value);
    if (err == ERR_NOMEM)
        x->file->loader->no_memory = true;
    else if (err)
        findings_add(x->file->loader->findings, yaml_place(u->node), FINDING_EXAMPLE_RUN,
                     "example %u makes this fail: %s\nmend the expression or the example",
                     x->number, error.text);
}

/* Keys have rules of their own, so they run through the code that makes them. */
static void example_keys(struct example *x)
{
    struct flow *flow = x->file->flow;
    struct expr_error error = {0};
    const struct yaml_node *root = yaml_root(x->file->yaml);
    static const uint8_t owner[16];
    char hash[65];
    struct buf key;
    buf_init(&key, 0);
    if (flow->key && expr_is_ready(flow->key) &&
        flow_record_key(flow, "", &x->vars, &key, &error) == ERR_EXPRESSION)
        findings_add(x->file->loader->findings,
                     yaml_place(yaml_get(yaml_get(root, "request"), "key")), FINDING_EXAMPLE_RUN,
                     "example %u makes this fail: %s\nmend the expression or the example",
                     x->number, error.text);
    buf_clear(&key);
    if (flow->pool.key && expr_is_ready(flow->pool.key) &&
        flow_pool_key(flow, &x->vars, &key, &error) == ERR_EXPRESSION)
        findings_add(x->file->loader->findings, yaml_place(yaml_get(x->file->pool, "key")),
                     FINDING_EXAMPLE_RUN,
                     "example %u makes this fail: %s\nmend the expression or the example",
                     x->number, error.text);
    if (flow->cache.key && expr_is_ready(flow->cache.key) &&
        flow_cache_hash(flow, flow->rev, owner, &x->vars, hash, &error) == ERR_EXPRESSION)
        findings_add(x->file->loader->findings,
                     yaml_place(yaml_get(yaml_get(root, "cache"), "key")), FINDING_EXAMPLE_RUN,
                     "example %u makes this fail: %s\nmend the expression or the example",
                     x->number, error.text);
    buf_fini(&key);
}

static bool is_set(const struct flow_use *u)
{
    return strcmp(u->what, "request.set") == 0;
}

/* What all other expressions see is the request with its fields set, which comes first here too. */
static void example_set(struct example *x)
{
    const struct flow *flow = x->file->flow;
    const char *field;
    struct expr_error error;
    bool whole = true;
    for (size_t i = 0; i < x->file->uses_n; i++)
        if (is_set(&x->file->uses[i]))
            example_run(x, &x->file->uses[i]);
    for (size_t i = 0; i < flow->set_n; i++)
        whole = whole && flow->set[i].expr;
    if (whole && flow_set_fields(flow, &x->vars, x->request, &field, &error) == ERR_NOMEM)
        x->file->loader->no_memory = true;
}

static void example_uses(struct example *x)
{
    const struct flow_file *f = x->file;
    example_set(x);
    example_keys(x);
    for (size_t i = 0; i < f->uses_n; i++)
        if (f->uses[i].want != WANT_SCALAR && !is_set(&f->uses[i]))
            example_run(x, &f->uses[i]);
}

static int example_init(struct example *x)
{
    static const struct {
        const char *name, *text;
    } job[] = {{"id", "01990c5e-0000-7000-8000-000000000000"},
               {"created_at", "2026-01-01T00:00:00.000000Z"},
               {"deadline", "2026-01-01T00:05:00.000000Z"}};
    int err = 0;
    x->request = value_json(x->file->loader, x->node);
    x->user = json_new_object();
    x->job = json_new_object();
    if (!x->request || !x->user || !x->job)
        return ERR_NOMEM;
    err |= json_put(x->user, "id", x->file->shared ? json_new_null() : json_new_text("example"));
    for (size_t i = 0; i < sizeof job / sizeof *job; i++)
        err |= json_put(x->job, job[i].name, json_new_text(job[i].text));
    err |= json_put(x->job, "flow", json_new_text(x->file->flow->name));
    err |= json_put(x->job, "refill", json_new_bool(false));
    x->vars.value[VAR_REQUEST] = x->request;
    x->vars.value[VAR_USER] = x->user;
    x->vars.value[VAR_JOB] = x->job;
    x->vars.created_us = 1767225600000000;
    return err ? ERR_NOMEM : 0;
}

static void lint_example(struct flow_file *f, const struct yaml_node *node, unsigned number)
{
    struct example x = {.file = f, .node = node, .number = number};
    if (example_init(&x) != 0) {
        f->loader->no_memory = true;
    } else {
        example_schema(&x);
        if (number <= EXAMPLES_RUN)
            example_uses(&x);
    }
    json_free(x.request);
    json_free(x.user);
    json_free(x.job);
}

void flow_lint(struct flow_file *f)
{
    const struct yaml_node *examples = yaml_get(f->schema, "examples");
    unsigned number = 1;
    lint_schema(f);
    flow_lint_pool(f);
    flow_lint_hash(f);
    lint_calls(f);
    flow_lint_effect(f);
    if (!f->flow->schema || !examples || examples->type != YAML_LIST)
        return;
    for (const struct yaml_node *e = examples->first; e; e = e->next)
        lint_example(f, e, number++);
}
