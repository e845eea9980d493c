#include <stdlib.h>
#include <string.h>

#include "common/schema_node.h"

static const double COUNT_MAX = 9007199254740992.0;

static int refuse(struct schema_compiler *c, const struct schema_rule *rule,
                  const struct schema_path *path, const char *text)
{
    return schema_compile_refuse(c, rule->keyword, path, text);
}

void schema_rule_fini(struct schema_rule *rule)
{
    for (size_t i = 0; i < rule->n; i++)
        regex_free(rule->entries[i].regex);
    free(rule->entries);
    regex_free(rule->regex);
    rule->entries = NULL;
    rule->regex = NULL;
    rule->n = 0;
}

int schema_entry_compare(const void *a, const void *b)
{
    const struct schema_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

const struct schema_entry *schema_entry_find(const struct schema_rule *rule, const char *name)
{
    const struct schema_entry key = {.name = name};
    return bsearch(&key, rule->entries, rule->n, sizeof key, schema_entry_compare);
}

static bool type_bit(const char *name, unsigned *types)
{
    static const struct {
        const char *name;
        unsigned bit;
    } rows[] = {{"null", 1u << JSON_NULL},     {"boolean", 1u << JSON_BOOL},
                {"number", 1u << JSON_NUMBER}, {"string", 1u << JSON_STRING},
                {"array", 1u << JSON_ARRAY},   {"object", 1u << JSON_OBJECT},
                {"integer", SCHEMA_INTEGER}};
    for (size_t i = 0; name && i < sizeof rows / sizeof rows[0]; i++) {
        if (strcmp(rows[i].name, name) == 0 && !(*types & rows[i].bit)) {
            *types |= rows[i].bit;
            return true;
        }
    }
    return false;
}

SCHEMA_COMPILER(schema_compile_type)
{
    (void)siblings;
    bool good = json_is(rule->value, JSON_STRING)
                    ? type_bit(json_text(rule->value), &rule->types)
                    : json_is(rule->value, JSON_ARRAY) && json_first(rule->value);
    if (json_is(rule->value, JSON_ARRAY))
        for (const struct json *v = json_first(rule->value); good && v; v = json_next(v))
            good = type_bit(json_text(v), &rule->types);
    return good ? 0
                : refuse(c, rule, path,
                         "must be null, boolean, number, integer, string, array or object, or a "
                         "list of different ones");
}

SCHEMA_COMPILER(schema_compile_enum)
{
    (void)siblings;
    if (!json_is(rule->value, JSON_ARRAY) || !json_first(rule->value))
        return refuse(c, rule, path, "must be a list of at least one value");
    return 0;
}

SCHEMA_COMPILER(schema_compile_number)
{
    (void)siblings;
    rule->number = json_number(rule->value);
    return json_is(rule->value, JSON_NUMBER) ? 0 : refuse(c, rule, path, "must be a number");
}

SCHEMA_COMPILER(schema_compile_multiple)
{
    (void)siblings;
    rule->number = json_number(rule->value);
    return rule->number > 0 ? 0 : refuse(c, rule, path, "must be a number above 0");
}

/* A count from 0 on; ABSENT is for siblings that may be missing. */
static bool count(const struct json *value, size_t *out)
{
    if (!json_is_integer(value) || json_number(value) < 0 || json_number(value) > COUNT_MAX)
        return false;
    *out = (size_t)json_number(value);
    return true;
}

SCHEMA_COMPILER(schema_compile_count)
{
    (void)siblings;
    if (!count(rule->value, &rule->min))
        return refuse(c, rule, path, "must be a whole number from 0 on");
    rule->max = rule->min;
    return 0;
}

SCHEMA_COMPILER(schema_compile_bool)
{
    (void)siblings;
    return json_is(rule->value, JSON_BOOL) ? 0 : refuse(c, rule, path, "must be true or false");
}

static int compile_regex(struct schema_compiler *c, const struct schema_rule *rule,
                         const char *pattern, const struct schema_path *path, struct regex **out)
{
    char why[REGEX_WHY] = "";
    int rc = regex_compile(pattern, out, why);
    return rc == ERR_INVALID ? refuse(c, rule, path, why) : rc;
}

SCHEMA_COMPILER(schema_compile_pattern)
{
    (void)siblings;
    if (!json_is(rule->value, JSON_STRING))
        return refuse(c, rule, path, "must be a regular expression");
    return compile_regex(c, rule, json_text(rule->value), path, &rule->regex);
}

static bool names_differ(const struct json *list)
{
    if (!json_is(list, JSON_ARRAY))
        return false;
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        if (!json_is(v, JSON_STRING))
            return false;
        for (const struct json *w = json_first(list); w != v; w = json_next(w))
            if (strcmp(json_text(v), json_text(w)) == 0)
                return false;
    }
    return true;
}

SCHEMA_COMPILER(schema_compile_names)
{
    (void)siblings;
    return names_differ(rule->value) ? 0
                                     : refuse(c, rule, path, "must be a list of different names");
}

SCHEMA_COMPILER(schema_compile_node)
{
    (void)siblings;
    return schema_node_make(c, rule->value, path, &rule->node);
}

static int make_entries(struct schema_rule *rule)
{
    size_t n = json_size(rule->value);
    rule->entries = calloc(n ? n : 1, sizeof *rule->entries);
    return rule->entries ? 0 : ERR_NOMEM;
}

SCHEMA_COMPILER(schema_compile_nodes)
{
    (void)siblings;
    if (!json_is(rule->value, JSON_ARRAY) || !json_first(rule->value))
        return refuse(c, rule, path, "must be a list of at least one schema");
    int rc = make_entries(rule);
    for (const struct json *v = json_first(rule->value); !schema_is_over(rc) && v;
         v = json_next(v)) {
        struct schema_path below = {path, NULL, rule->n};
        rc = schema_both(rc, schema_node_make(c, v, &below, &rule->entries[rule->n++].node));
    }
    return rc;
}

SCHEMA_COMPILER(schema_compile_map)
{
    (void)siblings;
    if (!json_is(rule->value, JSON_OBJECT))
        return refuse(c, rule, path, "must be a map of schemas");
    int rc = make_entries(rule);
    for (const struct json *v = json_first(rule->value); !schema_is_over(rc) && v;
         v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        rule->entries[rule->n].name = json_key(v);
        rc = schema_both(rc, schema_node_make(c, v, &below, &rule->entries[rule->n++].node));
    }
    if (!schema_is_over(rc))
        qsort(rule->entries, rule->n, sizeof *rule->entries, schema_entry_compare);
    return rc;
}

SCHEMA_COMPILER(schema_compile_patterns)
{
    int rc = schema_compile_map(c, siblings, rule, path);
    for (size_t i = 0; !schema_is_over(rc) && i < rule->n; i++) {
        struct schema_entry *e = &rule->entries[i];
        struct schema_path below = {path, e->name, 0};
        rc = schema_both(rc, compile_regex(c, rule, e->name, &below, &e->regex));
    }
    return rc;
}

SCHEMA_COMPILER(schema_compile_items)
{
    if (json_is(rule->value, JSON_ARRAY))
        return refuse(c, rule, path, "must be one schema; write `prefixItems` for a list of them");
    rule->min = json_size(json_get(siblings, "prefixItems"));
    return schema_node_make(c, rule->value, path, &rule->node);
}

SCHEMA_COMPILER(schema_compile_contains)
{
    rule->min = 1;
    rule->max = SIZE_MAX;
    count(json_get(siblings, "minContains"), &rule->min); /* refused where they stand */
    count(json_get(siblings, "maxContains"), &rule->max);
    return schema_node_make(c, rule->value, path, &rule->node);
}

static int sibling_node(struct schema_compiler *c, const struct json *siblings, const char *name,
                        const struct schema_path *path, struct schema_node **out)
{
    const struct json *value = json_get(siblings, name);
    struct schema_path at = {path->up, name, 0};
    if (!value || !schema_is_one(value)) /* refused where it stands */
        return 0;
    return schema_node_make(c, value, &at, out);
}

SCHEMA_COMPILER(schema_compile_if)
{
    int rc = schema_node_make(c, rule->value, path, &rule->node);
    if (!schema_is_over(rc))
        rc = schema_both(rc, sibling_node(c, siblings, "then", path, &rule->then_node));
    if (!schema_is_over(rc))
        rc = schema_both(rc, sibling_node(c, siblings, "else", path, &rule->else_node));
    return rc;
}

/* then, else: checked by `if`, and without it by nobody; but they must be right. */
SCHEMA_COMPILER(schema_compile_branch)
{
    (void)siblings;
    return schema_node_make(c, rule->value, path, &rule->node);
}

SCHEMA_COMPILER(schema_compile_dependent)
{
    (void)siblings;
    if (!json_is(rule->value, JSON_OBJECT))
        return refuse(c, rule, path, "must be a map of lists of names");
    int rc = make_entries(rule);
    for (const struct json *v = json_first(rule->value); !schema_is_over(rc) && v;
         v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        if (names_differ(v))
            rule->entries[rule->n++] = (struct schema_entry){.name = json_key(v), .list = v};
        else
            rc = refuse(c, rule, &below, "must be a list of different names");
    }
    return rc;
}

SCHEMA_COMPILER(schema_compile_dialect)
{
    (void)siblings;
    const char *text = json_text(rule->value);
    if (!text || strncmp(text, "https://json-schema.org/draft/2020-12/schema", 44) != 0)
        return refuse(c, rule, path,
                      "must be https://json-schema.org/draft/2020-12/schema, or be left out");
    return 0;
}
