#include "common/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json_pointer.h"
#include "common/schema_node.h"

static void path_print(const struct schema_path *path, char *out, size_t size)
{
    if (!path->up) {
        out[0] = 0;
        return;
    }
    path_print(path->up, out, size);
    if (path->key)
        json_pointer_add(out, size, path->key, strlen(path->key));
    else
        json_pointer_add_index(out, size, path->index);
}

static void problem_print(const char *keyword, const struct schema_path *path, const char *text,
                          struct schema_problem *out)
{
    path_print(path, out->pointer, sizeof out->pointer);
    snprintf(out->keyword, sizeof out->keyword, "%s", keyword);
    snprintf(out->text, sizeof out->text, "%s", text);
}

static void report_add(struct schema_report *report, const char *keyword,
                       const struct schema_path *path, const char *text)
{
    if (report->n < SCHEMA_PROBLEMS_MAX)
        problem_print(keyword, path, text, &report->problems[report->n++]);
}

void schema_report_take(void *arg, const struct schema_problem *p)
{
    struct schema_report *report = arg;
    if (report->n < SCHEMA_PROBLEMS_MAX)
        report->problems[report->n++] = *p;
}

bool schema_refuse(struct schema_run *run, const char *keyword, const struct schema_path *path,
                   const char *format, ...)
{
    char text[sizeof run->report->problems[0].text];
    if (run->quiet > 0 || run->gave_up)
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    report_add(run->report, keyword, path, text);
    return false;
}

bool schema_give_up(struct schema_run *run, const char *keyword, const struct schema_path *path)
{
    if (!run->gave_up)
        report_add(run->report, keyword, path, "takes too much work to check");
    run->gave_up = true;
    return false;
}

static bool rules_fit(struct schema_run *run, const struct schema_node *node,
                      const struct json *value, const struct schema_path *path)
{
    bool fits = true;
    unsigned type = 1u << json_type(value);
    for (size_t i = 0; i < node->n; i++) {
        const struct schema_rule *rule = &node->rules[i];
        if (!(rule->applies & type) || rule->check(run, rule, value, path))
            continue;
        fits = false;
        if (!schema_goes_on(run))
            break;
    }
    return fits && !run->gave_up;
}

bool schema_fits(struct schema_run *run, const struct schema_node *node, const struct json *value,
                 const struct schema_path *path)
{
    if (run->gave_up)
        return false;
    if (run->steps == 0 || run->depth >= SCHEMA_DEPTH_MAX)
        return schema_give_up(run, "", path);
    run->steps--;
    if (node->refuses_all)
        return schema_refuse(run, "false", path, "is not allowed");
    run->depth++;
    bool fits = rules_fit(run, node, value, path);
    run->depth--;
    return fits;
}

bool schema_fits_quietly(struct schema_run *run, const struct schema_node *node,
                         const struct json *value, const struct schema_path *path)
{
    run->quiet++;
    bool fits = schema_fits(run, node, value, path);
    run->quiet--;
    return fits;
}

int schema_check(const struct schema *s, const struct json *value, struct schema_report *report)
{
    struct schema_run run = {.report = report, .steps = SCHEMA_STEPS_MAX};
    report->n = 0;
    return schema_fits(&run, s->root, value, &(struct schema_path){0}) ? 0 : ERR_SCHEMA;
}

/* ---- compile: the nodes; the rules are made in schema_compile.c */

int schema_compile_refuse(struct schema_compiler *c, const char *keyword,
                          const struct schema_path *path, const char *text)
{
    struct schema_problem p;
    problem_print(keyword, path, text, &p);
    c->tell(c->arg, &p);
    return ERR_SCHEMA;
}

/* Of one that is refused here the rest is not looked at: it could be said a thousand times. */
static int refuse_size(struct schema_compiler *c, const struct schema_path *path)
{
    (void)schema_compile_refuse(c, "", path, "the schema is too large or nested too deeply");
    return ERR_TOO_LARGE;
}

bool schema_is_one(const struct json *source)
{
    return json_is(source, JSON_OBJECT) || json_is(source, JSON_BOOL);
}

static struct schema_node *node_find(const struct schema *s, const struct json *source)
{
    struct schema_node *node = s->nodes;
    while (node && node->source != source)
        node = node->made_before;
    return node;
}

static int rule_make(struct schema_compiler *c, struct schema_node *node, const struct json *value,
                     const struct schema_path *up)
{
    const char *name = json_key(value);
    const struct schema_keyword *keyword = schema_keyword_find(name);
    struct schema_path path = {.up = up, .key = name};
    if (!keyword) {
        char hint[160];
        schema_keyword_hint(name, hint, sizeof hint);
        return schema_compile_refuse(c, name, &path, hint);
    }
    struct schema_rule *rule = &node->rules[node->n];
    *rule = (struct schema_rule){.keyword = keyword->name,
                                 .check = keyword->check,
                                 .applies = keyword->applies,
                                 .in_place = keyword->in_place,
                                 .value = value};
    int rc = keyword->compile ? keyword->compile(c, node->source, rule, &path) : 0;
    if (schema_is_over(rc) || !keyword->check)
        schema_rule_fini(rule);
    else
        node->n++; /* a refused one too: circles go through its nodes */
    return rc;
}

static struct schema_rule *rule_find(const struct schema_node *node, schema_check_fn *check)
{
    for (size_t i = 0; i < node->n; i++)
        if (node->rules[i].check == check)
            return &node->rules[i];
    return NULL;
}

static int rules_make(struct schema_compiler *c, struct schema_node *node,
                      const struct schema_path *path)
{
    int rc = 0;
    size_t n = json_size(node->source);
    node->rules = calloc(n ? n : 1, sizeof *node->rules);
    if (!node->rules)
        return ERR_NOMEM;
    for (const struct json *v = json_first(node->source); !schema_is_over(rc) && v;
         v = json_next(v))
        rc = schema_both(rc, rule_make(c, node, v, path));
    struct schema_rule *additional = rule_find(node, schema_check_additional);
    if (additional) {
        additional->properties = rule_find(node, schema_check_properties);
        additional->patterns = rule_find(node, schema_check_patterns);
    }
    return rc;
}

int schema_node_make(struct schema_compiler *c, const struct json *source,
                     const struct schema_path *path, struct schema_node **out)
{
    struct schema *s = c->schema;
    struct schema_node *node = node_find(s, source);
    *out = node;
    if (node)
        return 0;
    if (!schema_is_one(source))
        return schema_compile_refuse(c, "", path, "must be a schema: an object, true or false");
    if (s->nodes_n == SCHEMA_NODES_MAX || c->nest == SCHEMA_NEST_MAX)
        return refuse_size(c, path);
    node = calloc(1, sizeof *node);
    if (!node)
        return ERR_NOMEM;
    node->source = source;
    node->refuses_all = json_is(source, JSON_BOOL) && !json_bool(source);
    node->made_before = s->nodes; /* known before its rules: they may refer to it */
    s->nodes = node;
    s->nodes_n++;
    *out = node;
    c->nest++;
    int rc = rules_make(c, node, path);
    c->nest--;
    return rc;
}

/* ---- compile: no circle may come back to a node without going into the value */

/* Told at the place in the source where `target` stands. */
static bool refuse_at(struct schema_compiler *c, const struct json *at, const struct json *target,
                      const struct schema_path *path)
{
    if (at == target) {
        (void)schema_compile_refuse(c, "$ref", path,
                                    "refers to itself without going into the value");
        return true;
    }
    size_t index = 0;
    for (const struct json *v = json_first(at); v; v = json_next(v)) {
        struct schema_path below = {path, json_key(v), index++};
        if (refuse_at(c, v, target, &below))
            return true;
    }
    return false;
}

static int circles_from(struct schema_compiler *c, struct schema_node *node);

static int circles_in(struct schema_compiler *c, const struct schema_rule *rule)
{
    int rc = schema_both(circles_from(c, rule->node), circles_from(c, rule->then_node));
    rc = schema_both(rc, circles_from(c, rule->else_node));
    for (size_t i = 0; i < rule->n; i++)
        rc = schema_both(rc, circles_from(c, rule->entries[i].node));
    return rc;
}

static int circles_from(struct schema_compiler *c, struct schema_node *node)
{
    int rc = 0;
    if (!node || node->mark == SCHEMA_DONE)
        return 0;
    if (node->mark == SCHEMA_VISITING) {
        node->mark = SCHEMA_DONE; /* told once, however many ways lead back to it */
        (void)refuse_at(c, c->schema->source, node->source, &(struct schema_path){0});
        return ERR_SCHEMA;
    }
    node->mark = SCHEMA_VISITING;
    for (size_t i = 0; i < node->n; i++)
        if (node->rules[i].in_place)
            rc = schema_both(rc, circles_in(c, &node->rules[i]));
    node->mark = SCHEMA_DONE;
    return rc;
}

static int refuse_circles(struct schema_compiler *c)
{
    int rc = 0;
    for (struct schema_node *node = c->schema->nodes; node; node = node->made_before)
        rc = schema_both(rc, circles_from(c, node));
    return rc;
}

int schema_compile(const struct json *source, struct schema **out, schema_tell_fn *tell, void *arg)
{
    struct schema *s = calloc(1, sizeof *s);
    struct schema_compiler c = {.schema = s, .tell = tell, .arg = arg};
    int rc = ERR_NOMEM;
    if (!s)
        return rc;
    s->source = json_copy(source);
    if (s->source)
        rc = schema_node_make(&c, s->source, &(struct schema_path){0}, &s->root);
    if (!schema_is_over(rc))
        rc = schema_both(rc, refuse_circles(&c));
    if (rc)
        schema_free(s);
    else
        *out = s;
    return rc == ERR_TOO_LARGE ? ERR_SCHEMA : rc;
}

void schema_free(struct schema *s)
{
    if (!s)
        return;
    for (struct schema_node *node = s->nodes, *next; node; node = next) {
        next = node->made_before;
        for (size_t i = 0; i < node->n; i++)
            schema_rule_fini(&node->rules[i]);
        free(node->rules);
        free(node);
    }
    json_free(s->source);
    free(s);
}
