#include "common/flow_test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/flow_loader.h"

enum { TESTS_MAX = 1000, REPLIES_MAX = 1000, DAY_MS = 24 * 3600 * 1000 };

struct reader {
    struct flow_loader loader; /* for the readers of values */
    const struct flow *flow;
};

static void finding(struct reader *r, struct finding_place at, enum finding_code code,
                    const char *text)
{
    findings_add(r->loader.findings, at, code, "%s", text);
}

/* Is it a map of these keys only? */
static bool keys_check(struct reader *r, const struct yaml_node *map, const char *const *names,
                       size_t n)
{
    if (!value_is(&r->loader, map, YAML_MAP))
        return false;
    for (const struct yaml_node *m = map->first; m; m = m->next) {
        size_t i = 0;
        while (i < n && strcmp(names[i], m->key) != 0)
            i++;
        const char *near = i == n ? nearest_name(m->key, names, n) : NULL;
        if (near)
            findings_add(r->loader.findings, yaml_place_key(m), FINDING_KEY,
                         "unknown key `%.80s` in a test\ndid you mean `%s`?", m->key, near);
        else if (i == n)
            findings_add(r->loader.findings, yaml_place_key(m), FINDING_KEY,
                         "unknown key `%.80s` in a test\nsee docs/flow-file.md, Tests", m->key);
    }
    return true;
}

static char *json_text_of(struct reader *r, const struct yaml_node *n)
{
    struct json *v = value_json(&r->loader, n);
    struct buf text;
    buf_init(&text, 0);
    json_print(v, &text);
    char *out = v ? buf_take(&text, NULL) : NULL;
    buf_fini(&text);
    json_free(v);
    if (!out)
        r->loader.no_memory = true;
    return out;
}

/* ---- replies */

static void read_fails(struct reader *r, const struct yaml_node *n, struct flow_test_reply *out)
{
    static const char *const names[] = {"connect", "dns",     "tls",     "blocked-address",
                                        "reset",   "timeout", "too-big", "bad-body"};
    if (!n)
        return;
    unsigned i = value_choice(&r->loader, n, names, sizeof names / sizeof *names, 0);
    out->code = call_code_parse(names[i]);
    out->hang = out->code == CALL_TIMEOUT;
}

static void read_header(struct reader *r, const struct yaml_node *map, struct flow_test_reply *out)
{
    if (!map || !value_is(&r->loader, map, YAML_MAP) || !map->first)
        return;
    if (map->n > 1)
        finding(r, yaml_place(map), FINDING_LIMIT,
                "more than one header in a reply\nname the one that matters, like `retry-after`");
    out->header.name = value_copy(&r->loader, map->first->key);
    out->header.value = value_copy(&r->loader, map->first->text ? map->first->text : "");
    for (char *p = out->header.name; p && *p; p++)
        if (*p >= 'A' && *p <= 'Z')
            *p = (char)(*p + 'a' - 'A');
}

static void read_reply(struct reader *r, const struct yaml_node *n, const struct flow_call *call,
                       struct flow_test *t)
{
    static const char *const keys[] = {"item", "status", "headers", "body", "delay", "fails"};
    struct flow_loader *l = &r->loader;
    if (!keys_check(r, n, keys, sizeof keys / sizeof *keys))
        return;
    if (t->replies_n == REPLIES_MAX) {
        finding(r, yaml_place(n), FINDING_LIMIT, "more than 1000 replies\nsplit the test");
        return;
    }
    struct flow_test_reply *list =
        realloc(t->replies, (t->replies_n + 1) * sizeof(struct flow_test_reply));
    if (!list) {
        l->no_memory = true;
        return;
    }
    t->replies = list;
    struct flow_test_reply *out = &list[t->replies_n++];
    *out = (struct flow_test_reply){.call = value_copy(l, call->name)};
    const struct yaml_node *body = yaml_get(n, "body");
    out->item = (int32_t)value_number(l, yaml_get(n, "item"), (struct value_range){0, 999, -1});
    out->status = (int)value_number(l, yaml_get(n, "status"), (struct value_range){100, 599, 200});
    out->delay_ms = value_duration(l, yaml_get(n, "delay"), (struct value_range){0, DAY_MS, 0});
    bool raw = body && body->type == YAML_TEXT && call->response == RESPONSE_TEXT;
    out->body = !body ? value_copy(l, "")
                : raw ? value_copy(l, body->whole)
                      : json_text_of(r, body);
    read_header(r, yaml_get(n, "headers"), out);
    read_fails(r, yaml_get(n, "fails"), out);
}

static void read_replies(struct reader *r, const struct yaml_node *map, struct flow_test *t)
{
    const char *names[FLOW_CALLS_MAX];
    if (!map || !value_is(&r->loader, map, YAML_MAP))
        return;
    for (size_t i = 0; i < r->flow->calls_n; i++)
        names[i] = r->flow->calls[i].name;
    for (const struct yaml_node *m = map->first; m; m = m->next) {
        const struct flow_call *call = flow_call_of(r->flow, m->key);
        const char *near = call ? NULL : nearest_name(m->key, names, r->flow->calls_n);
        if (!call)
            findings_add(r->loader.findings, yaml_place_key(m), FINDING_CALL,
                         "no call is named `%.80s`\n%s%s%s", m->key,
                         near ? "did you mean `" : "name a call of the flow", near ? near : "",
                         near ? "`?" : "");
        else if (m->type != YAML_LIST)
            read_reply(r, m, call, t);
        else
            for (const struct yaml_node *c = m->first; c; c = c->next)
                read_reply(r, c, call, t);
    }
}

/* ---- rows */

static void read_rows(struct reader *r, const struct yaml_node *map, struct flow_test *t)
{
    const char *names[FLOW_LOADS_MAX];
    if (!map || !value_is(&r->loader, map, YAML_MAP))
        return;
    for (size_t i = 0; i < r->flow->loads_n; i++)
        names[i] = r->flow->loads[i].name;
    t->rows = value_array(&r->loader, map->n, sizeof *t->rows);
    for (const struct yaml_node *m = map->first; m && t->rows; m = m->next) {
        const struct flow_load *load = NULL;
        for (size_t i = 0; i < r->flow->loads_n && !load; i++)
            load = strcmp(r->flow->loads[i].name, m->key) == 0 ? &r->flow->loads[i] : NULL;
        const char *near = load ? NULL : nearest_name(m->key, names, r->flow->loads_n);
        if (!load)
            findings_add(r->loader.findings, yaml_place_key(m), FINDING_ROWS,
                         "nothing of this name is loaded\n%s%s%s",
                         near ? "did you mean `" : "name an entry of `load`", near ? near : "",
                         near ? "`?" : "");
        else if (value_is(&r->loader, m, YAML_LIST))
            t->rows[t->rows_n++] = (struct flow_test_rows){load, json_text_of(r, m)};
    }
}

/* ---- pool */

static void read_pool(struct reader *r, const struct yaml_node *test, struct flow_test *t)
{
    const struct yaml_node *list = yaml_get(test, "pool"), *refill = yaml_get(test, "refill");
    const struct yaml_node *user = yaml_get(test, "user");
    if (!list && !refill)
        return;
    if (!r->flow->pool.topic) {
        finding(r, yaml_place_key(list ? list : refill), FINDING_KEY,
                "the flow has no pool\nleave this out of its tests");
        return;
    }
    t->refill = value_bool(&r->loader, refill, false);
    if (t->refill && user)
        finding(r, yaml_place_key(user), FINDING_KEY, "a refill is nobody's\nleave `user` out");
    if (!list || !value_is(&r->loader, list, YAML_LIST))
        return;
    if (list->n > r->flow->pool.size) {
        findings_add(r->loader.findings, yaml_place(list), FINDING_VALUE,
                     "more items than the pool keeps\nits `size` is %u", r->flow->pool.size);
        return;
    }
    t->items = value_array(&r->loader, list->n ? list->n : 1, sizeof *t->items);
    for (const struct yaml_node *n = list->first; n && t->items; n = n->next)
        t->items[t->items_n++] = json_text_of(r, n);
}

/* ---- expect */

static void read_want(struct reader *r, const struct yaml_node *m, struct flow_test_want *w)
{
    char text[2048];
    struct expr_error error = {0};
    *w = (struct flow_test_want){.path = value_copy(&r->loader, m->key),
                                 .value = value_json(&r->loader, m),
                                 .line = m->key_line,
                                 .column = m->key_column};
    int n = snprintf(text, sizeof text, "$body | (%s\n)", m->key);
    int err = n < (int)sizeof text
                  ? expr_compile(text, VAR_BIT(VAR_BODY) | EXPR_LATER, &w->expr, &error)
                  : ERR_TOO_LARGE;
    if (err == ERR_NOMEM)
        r->loader.no_memory = true;
    else if (err)
        findings_add(r->loader.findings, yaml_place_key(m), FINDING_JQ,
                     "%s\nwrite a path into what happened, like `.state` or `.result.id`",
                     err == ERR_TOO_LARGE ? "the expression is too long" : error.text);
}

static void read_wants(struct reader *r, const struct yaml_node *test, struct flow_test *t)
{
    const struct yaml_node *map = yaml_get(test, "expect");
    if (!map || !map->first) {
        finding(r, map ? yaml_place(map) : yaml_place(test), FINDING_REQUIRED,
                "the test expects nothing\nwrite `expect: {.state: succeeded}`, or more");
        return;
    }
    if (!value_is(&r->loader, map, YAML_MAP))
        return;
    t->wants = value_array(&r->loader, map->n, sizeof *t->wants);
    for (const struct yaml_node *m = map->first; m && t->wants; m = m->next)
        read_want(r, m, &t->wants[t->wants_n++]);
}

/* ---- all expectations, compiled together */

struct wants {
    const char *path;
    struct findings *findings;
    struct flow_tests *tests;
};

static void want_wrong(void *arg, struct expr *e, const struct expr_error *error)
{
    const struct wants *w = arg;
    for (size_t i = 0; i < w->tests->n; i++)
        for (size_t k = 0; k < w->tests->list[i].wants_n; k++) {
            const struct flow_test_want *want = &w->tests->list[i].wants[k];
            if (want->expr == e)
                findings_add(w->findings, (struct finding_place){w->path, want->line, want->column},
                             FINDING_JQ,
                             "%s\nwrite a path into what happened, like `.state` or `.result.id`",
                             error->text);
        }
}

static int compile_wants(struct reader *r, const char *path, struct flow_tests *t)
{
    struct wants w = {path, r->loader.findings, t};
    size_t n = 0, filled = 0;
    for (size_t i = 0; i < t->n; i++)
        n += t->list[i].wants_n;
    struct expr **list = calloc(n ? n : 1, sizeof(struct expr *));
    if (!list)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->n; i++)
        for (size_t k = 0; k < t->list[i].wants_n; k++)
            if (t->list[i].wants[k].expr)
                list[filled++] = t->list[i].wants[k].expr;
    int err = expr_compile_later(list, filled, want_wrong, &w);
    free(list);
    return err;
}

/* ---- tests */

static void read_test(struct reader *r, const struct yaml_node *n, struct flow_test *t)
{
    static const char *const keys[] = {"name", "request", "user",    "refill",
                                       "rows", "pool",    "replies", "expect"};
    struct flow_loader *l = &r->loader;
    if (!keys_check(r, n, keys, sizeof keys / sizeof *keys))
        return;
    const struct yaml_node *request = yaml_get(n, "request");
    const char *name = value_text(l, yaml_get(n, "name"));
    t->line = n->line;
    if (!name && !yaml_get(n, "name"))
        finding(r, yaml_place(n), FINDING_REQUIRED, "`name` is missing\nsay what is tried");
    t->name = value_copy(l, name ? name : "?");
    t->user = value_copy(l, value_text(l, yaml_get(n, "user")));
    if (request)
        t->request = json_text_of(r, request);
    else
        finding(r, yaml_place(n), FINDING_REQUIRED,
                "`request` is missing\nwrite what a client would send");
    read_rows(r, yaml_get(n, "rows"), t);
    read_pool(r, n, t);
    read_replies(r, yaml_get(n, "replies"), t);
    read_wants(r, n, t);
}

static void read_all(struct reader *r, const struct yaml_node *root, struct flow_tests *out)
{
    static const char *const keys[] = {"tests"};
    if (!keys_check(r, root, keys, 1))
        return;
    const struct yaml_node *list = yaml_get(root, "tests");
    if (!list || !list->first) {
        finding(r, yaml_place(root), FINDING_REQUIRED,
                "no tests here\nwrite `tests:` and a list below it");
        return;
    }
    if (!value_is(&r->loader, list, YAML_LIST))
        return;
    if (list->n > TESTS_MAX) {
        finding(r, yaml_place(list), FINDING_LIMIT, "more than 1000 tests\nsplit the file");
        return;
    }
    out->list = value_array(&r->loader, list->n, sizeof *out->list);
    for (const struct yaml_node *n = list->first; n && out->list; n = n->next)
        read_test(r, n, &out->list[out->n++]);
}

/* `NAME` of dir/NAME.test.yaml. */
static const struct flow *flow_of(const char *path, const struct flow_set *set)
{
    char name[FLOW_NAME_MAX + 1];
    const char *slash = strrchr(path, '/'), *stem = slash ? slash + 1 : path;
    const char *end = strstr(stem, ".test.");
    if (!end || (size_t)(end - stem) >= sizeof name)
        return NULL;
    snprintf(name, sizeof name, "%.*s", (int)(end - stem), stem);
    return flow_by_name(set, name);
}

int flow_tests_read(const char *path, const struct flow_set *set, struct findings *findings,
                    const struct flow **flow, struct flow_tests *out)
{
    size_t before = findings->errors;
    struct reader r = {.loader = {.findings = findings}, .flow = flow_of(path, set)};
    struct yaml *y = NULL;
    *out = (struct flow_tests){0};
    *flow = r.flow;
    if (!r.flow) {
        finding(&r, (struct finding_place){path, 0, 0}, FINDING_NAME,
                "there is no flow for this test\nname it like its flow, NAME.test.yaml");
        return ERR_INVALID;
    }
    int err = yaml_read(path, findings, &y);
    if (!err)
        read_all(&r, yaml_root(y), out);
    yaml_close(y);
    if (!err && compile_wants(&r, path, out))
        err = ERR_NOMEM;
    findings_sort(findings);
    return err == ERR_NOMEM || r.loader.no_memory ? ERR_NOMEM
           : findings->errors > before            ? ERR_INVALID
                                                  : 0;
}

static void test_free(struct flow_test *t)
{
    for (size_t i = 0; i < t->replies_n; i++) {
        free(t->replies[i].call);
        free(t->replies[i].body);
        free(t->replies[i].header.name);
        free(t->replies[i].header.value);
    }
    for (size_t i = 0; i < t->wants_n; i++) {
        free(t->wants[i].path);
        expr_free(t->wants[i].expr);
        json_free(t->wants[i].value);
    }
    for (size_t i = 0; i < t->rows_n; i++)
        free(t->rows[i].rows);
    for (size_t i = 0; i < t->items_n; i++)
        free(t->items[i]);
    free(t->items);
    free(t->rows);
    free(t->replies);
    free(t->wants);
    free(t->name);
    free(t->request);
    free(t->user);
}

void flow_tests_free(struct flow_tests *t)
{
    for (size_t i = 0; i < t->n; i++)
        test_free(&t->list[i]);
    free(t->list);
    *t = (struct flow_tests){0};
}
