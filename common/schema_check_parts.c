#include <stdlib.h>
#include <string.h>

#include "common/schema_node.h"

/* ---- arrays */

enum { PAIRWISE_MAX = 16 };

static bool unique_pairwise(const struct json *list)
{
    for (const struct json *v = json_first(list); v; v = json_next(v))
        for (const struct json *w = json_first(list); w != v; w = json_next(w))
            if (json_equal(v, w))
                return false;
    return true;
}

static int by_text(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    return strcmp(*x, *y);
}

/* Equal values print equal text: sorting the texts costs less than the square of the items, which
 * a hostile body would choose. 1 unique, 0 not, ERR_NOMEM. */
static int unique_sorted(const struct json *list, size_t n)
{
    struct buf all;
    buf_init(&all, 0);
    size_t *starts = calloc(n, sizeof *starts), i = 0;
    const char **texts = calloc(n, sizeof *texts);
    int rc = ERR_NOMEM;
    if (!starts || !texts)
        goto out;
    for (const struct json *v = json_first(list); v; v = json_next(v)) {
        starts[i++] = all.len;
        json_print_sorted(v, &all);
        buf_char(&all, 0);
    }
    if (buf_ok(&all))
        goto out;
    for (i = 0; i < n; i++)
        texts[i] = all.data + starts[i];
    qsort(texts, n, sizeof *texts, by_text);
    rc = 1;
    for (i = 1; i < n && rc == 1; i++)
        rc = strcmp(texts[i - 1], texts[i]) != 0;
out:
    free(starts);
    free(texts);
    buf_fini(&all);
    return rc;
}

SCHEMA_CHECK(schema_check_unique)
{
    size_t n = json_size(value);
    if (!json_bool(rule->value))
        return true;
    int unique = n <= PAIRWISE_MAX ? unique_pairwise(value) : unique_sorted(value, n);
    if (unique < 0)
        return schema_give_up(run, rule->keyword, path);
    return unique || schema_refuse(run, rule->keyword, path, "must not have equal items");
}

SCHEMA_CHECK(schema_check_prefix)
{
    bool fits = true;
    const struct json *v = json_first(value);
    for (size_t i = 0; v && i < rule->n; i++, v = json_next(v)) {
        struct schema_path below = {path, NULL, i};
        if (schema_fits(run, rule->entries[i].node, v, &below))
            continue;
        fits = false;
        if (!schema_goes_on(run))
            break;
    }
    return fits;
}

SCHEMA_CHECK(schema_check_items)
{
    bool fits = true;
    size_t i = 0;
    for (const struct json *v = json_first(value); v; v = json_next(v), i++) {
        struct schema_path below = {path, NULL, i};
        if (i < rule->min || schema_fits(run, rule->node, v, &below))
            continue;
        fits = false;
        if (!schema_goes_on(run))
            break;
    }
    return fits;
}

SCHEMA_CHECK(schema_check_contains)
{
    size_t n = 0, i = 0;
    for (const struct json *v = json_first(value); v && !run->gave_up; v = json_next(v), i++) {
        struct schema_path below = {path, NULL, i};
        n += schema_fits_quietly(run, rule->node, v, &below);
    }
    if (n < rule->min)
        return schema_refuse(run, rule->keyword, path, "must have at least %zu fitting item%s",
                             rule->min, rule->min == 1 ? "" : "s");
    return n <= rule->max ||
           schema_refuse(run, rule->keyword, path, "must have at most %zu fitting item%s",
                         rule->max, rule->max == 1 ? "" : "s");
}

/* ---- objects */

SCHEMA_CHECK(schema_check_properties)
{
    bool fits = true;
    for (const struct json *v = json_first(value); v; v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        const struct schema_entry *e = schema_entry_find(rule, json_key(v));
        if (!e || schema_fits(run, e->node, v, &below))
            continue;
        fits = false;
        if (!schema_goes_on(run))
            break;
    }
    return fits;
}

/* Does a name match an entry's pattern? Gives up when the pattern's limits end it. */
static bool name_matches(struct schema_run *run, const struct schema_rule *rule,
                         const struct schema_entry *e, const char *name,
                         const struct schema_path *path)
{
    int rc = regex_match(e->regex, name, strlen(name));
    if (rc < 0)
        schema_give_up(run, rule->keyword, path);
    return rc == 1;
}

SCHEMA_CHECK(schema_check_patterns)
{
    bool fits = true;
    for (const struct json *v = json_first(value); v && (fits || schema_goes_on(run));
         v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        for (size_t i = 0; i < rule->n && !run->gave_up; i++)
            if (name_matches(run, rule, &rule->entries[i], json_key(v), &below) &&
                !schema_fits(run, rule->entries[i].node, v, &below))
                fits = false;
        if (run->gave_up)
            return false;
    }
    return fits;
}

static bool is_additional(struct schema_run *run, const struct schema_rule *rule, const char *name,
                          const struct schema_path *path)
{
    if (rule->properties && schema_entry_find(rule->properties, name))
        return false;
    const struct schema_rule *patterns = rule->patterns;
    for (size_t i = 0; patterns && i < patterns->n; i++)
        if (name_matches(run, patterns, &patterns->entries[i], name, path))
            return false;
    return true;
}

SCHEMA_CHECK(schema_check_additional)
{
    bool fits = true;
    for (const struct json *v = json_first(value); v; v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        if (!is_additional(run, rule, json_key(v), &below))
            continue;
        if (rule->node->refuses_all)
            fits = schema_refuse(run, rule->keyword, &below, "is not known here");
        else if (!schema_fits(run, rule->node, v, &below))
            fits = false;
        if (!fits && !schema_goes_on(run))
            break;
    }
    return fits && !run->gave_up;
}

SCHEMA_CHECK(schema_check_names)
{
    bool fits = true;
    for (const struct json *v = json_first(value); v && (fits || schema_goes_on(run));
         v = json_next(v)) {
        struct schema_path below = {path, json_key(v), 0};
        struct json *name = json_new_text(json_key(v));
        if (!name)
            return schema_give_up(run, rule->keyword, &below);
        if (!schema_fits_quietly(run, rule->node, name, &below))
            fits = schema_refuse(run, rule->keyword, &below, "its name is not allowed");
        json_free(name);
    }
    return fits;
}

SCHEMA_CHECK(schema_check_required)
{
    bool fits = true;
    for (const struct json *v = json_first(rule->value); v && (fits || schema_goes_on(run));
         v = json_next(v)) {
        struct schema_path below = {path, json_text(v), 0};
        if (!json_get(value, json_text(v)))
            fits = schema_refuse(run, rule->keyword, &below, "is required");
    }
    return fits;
}

SCHEMA_CHECK(schema_check_dependent_required)
{
    bool fits = true;
    for (size_t i = 0; i < rule->n; i++) {
        const struct schema_entry *e = &rule->entries[i];
        if (!json_get(value, e->name))
            continue;
        for (const struct json *v = json_first(e->list); v; v = json_next(v)) {
            struct schema_path below = {path, json_text(v), 0};
            if (!json_get(value, json_text(v)))
                fits = schema_refuse(run, rule->keyword, &below, "is required with %s", e->name);
        }
    }
    return fits;
}

SCHEMA_CHECK(schema_check_dependent_schemas)
{
    bool fits = true;
    for (size_t i = 0; i < rule->n && (fits || schema_goes_on(run)); i++)
        if (json_get(value, rule->entries[i].name) &&
            !schema_fits(run, rule->entries[i].node, value, path))
            fits = false;
    return fits;
}

/* ---- combinations */

SCHEMA_CHECK(schema_check_all)
{
    bool fits = true;
    for (size_t i = 0; i < rule->n && (fits || schema_goes_on(run)); i++)
        if (!schema_fits(run, rule->entries[i].node, value, path))
            fits = false;
    return fits;
}

SCHEMA_CHECK(schema_check_any)
{
    for (size_t i = 0; i < rule->n; i++)
        if (schema_fits_quietly(run, rule->entries[i].node, value, path))
            return true;
    return schema_refuse(run, rule->keyword, path, "must fit one of %zu alternatives", rule->n);
}

SCHEMA_CHECK(schema_check_one)
{
    size_t n = 0;
    for (size_t i = 0; i < rule->n; i++)
        n += schema_fits_quietly(run, rule->entries[i].node, value, path);
    return n == 1 ||
           schema_refuse(run, rule->keyword, path,
                         "must fit exactly one of %zu alternatives, it fits %zu", rule->n, n);
}

SCHEMA_CHECK(schema_check_not)
{
    return !schema_fits_quietly(run, rule->node, value, path) ||
           schema_refuse(run, rule->keyword, path, "has a form that is not allowed");
}

SCHEMA_CHECK(schema_check_if)
{
    const struct schema_node *branch =
        schema_fits_quietly(run, rule->node, value, path) ? rule->then_node : rule->else_node;
    return !branch || schema_fits(run, branch, value, path);
}
