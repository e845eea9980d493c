#include "common/flow_loader.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/config.h"

enum { LABEL = 120, SIZE_TEXT = 32 };

/* `size`, `requeue[0]`. */
static const char *label(const struct yaml_node *n, char out[LABEL])
{
    const struct yaml_node *list = n->key ? NULL : n->parent;
    const char *name = n->key ? n->key : list && list->key ? list->key : "this";
    if (list)
        snprintf(out, LABEL, "%.80s[%zu]", name, n->index);
    else
        snprintf(out, LABEL, "%.100s", name);
    return out;
}

static void wrong_kind(struct flow_loader *l, const struct yaml_node *n, const char *wanted,
                       const char *todo)
{
    char name[LABEL];
    findings_add(l->findings, yaml_place(n), FINDING_KIND, "`%s` must be %s\n%s", label(n, name),
                 wanted, todo);
}

static void wrong_value(struct flow_loader *l, const struct yaml_node *n, const char *why,
                        const char *todo)
{
    char name[LABEL];
    findings_add(l->findings, yaml_place(n), FINDING_VALUE, "`%s: %.60s` %s\n%s", label(n, name),
                 n->text, why, todo);
}

bool value_is_number(const struct yaml_node *n, double *number)
{
    char *end = NULL;
    *number = n->number;
    if (n->type == YAML_NUMBER)
        return true;
    if (n->type != YAML_TEXT || !n->filled || !n->text[0])
        return false;
    *number = strtod(n->text, &end);
    return *end == 0 && isfinite(*number);
}

bool value_is_quoted_number(const struct yaml_node *n)
{
    size_t len = n->type == YAML_TEXT ? strlen(n->text) : 0;
    return len > 0 && n->quoted && !n->filled && strspn(n->text, "0123456789") == len;
}

int64_t value_number(struct flow_loader *l, const struct yaml_node *n, struct value_range r)
{
    double number;
    char todo[100];
    if (!n || n->missing)
        return r.fallback;
    if (!value_is_number(n, &number)) {
        wrong_kind(l, n, "a number",
                   n->type != YAML_TEXT        ? "write one"
                   : value_is_quoted_number(n) ? "write it without quotes"
                                               : "write digits only");
        return r.fallback;
    }
    if (floor(number) != number || number < (double)r.min || number > (double)r.max) {
        snprintf(todo, sizeof todo, "write a whole number from %lld to %lld", (long long)r.min,
                 (long long)r.max);
        wrong_value(l, n, "is out of range", todo);
        return r.fallback;
    }
    return (int64_t)number;
}

void value_print_duration(int64_t ms, char out[VALUE_DURATION])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    size_t i = 0;
    while (i < 4 && (ms < units[i].ms || ms % units[i].ms))
        i++;
    snprintf(out, VALUE_DURATION, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
}

int64_t value_duration(struct flow_loader *l, const struct yaml_node *n, struct value_range r)
{
    int64_t ms;
    if (!n || n->missing)
        return r.fallback;
    if (!n->text || config_parse_duration(n->text, &ms) != 0) {
        wrong_kind(l, n, "a duration", "write it like 200ms, 3s, 5m, 2h or 30d");
        return r.fallback;
    }
    if (ms < r.min || ms > r.max) {
        char todo[100], min[VALUE_DURATION], max[VALUE_DURATION];
        value_print_duration(r.min, min);
        value_print_duration(r.max, max);
        snprintf(todo, sizeof todo, "write a duration from %s to %s", min, max);
        wrong_value(l, n, "is out of range", todo);
        return r.fallback;
    }
    return ms;
}

static void print_size(int64_t bytes, char out[SIZE_TEXT])
{
    static const char *const units[] = {"B", "KB", "MB", "GB"};
    size_t i = 0;
    for (; i < 3 && bytes && bytes % 1024 == 0; i++)
        bytes /= 1024;
    snprintf(out, SIZE_TEXT, "%lld%s", (long long)bytes, units[i]);
}

int64_t value_size(struct flow_loader *l, const struct yaml_node *n, struct value_range r)
{
    size_t bytes;
    if (!n || n->missing)
        return r.fallback;
    if (!n->text || config_parse_size(n->text, &bytes) != 0) {
        wrong_kind(l, n, "a size", "write it like 16KB or 1MB");
        return r.fallback;
    }
    if (bytes < (size_t)r.min || bytes > (size_t)r.max) {
        char todo[100], min[SIZE_TEXT], max[SIZE_TEXT];
        print_size(r.min, min);
        print_size(r.max, max);
        snprintf(todo, sizeof todo, "write a size from %s to %s", min, max);
        wrong_value(l, n, "is out of range", todo);
        return r.fallback;
    }
    return (int64_t)bytes;
}

bool value_bool(struct flow_loader *l, const struct yaml_node *n, bool fallback)
{
    if (!n || n->missing)
        return fallback;
    if (n->type == YAML_BOOL)
        return n->truth;
    if (n->filled && (strcmp(n->text, "true") == 0 || strcmp(n->text, "false") == 0))
        return n->text[0] == 't';
    wrong_kind(l, n, "true or false", "write one of them, without quotes");
    return fallback;
}

const char *value_text_like(struct flow_loader *l, const struct yaml_node *n, const char *todo)
{
    if (!n || n->missing)
        return NULL;
    if (n->type == YAML_TEXT)
        return n->text;
    wrong_kind(l, n, "text", todo);
    return NULL;
}

const char *value_text(struct flow_loader *l, const struct yaml_node *n)
{
    return value_text_like(l, n, n && n->text ? "quote it" : "write one line");
}

unsigned value_choice(struct flow_loader *l, const struct yaml_node *n, const char *const *names,
                      size_t names_n, unsigned fallback)
{
    char list[300] = "write";
    size_t len = strlen(list);
    for (size_t i = 0; i < names_n && len < sizeof list; i++)
        len += (size_t)snprintf(list + len, sizeof list - len, "%s `%s`",
                                i == 0             ? ""
                                : i + 1 == names_n ? " or"
                                                   : ",",
                                names[i]);
    const char *text = value_text_like(l, n, list);
    for (unsigned i = 0; text && i < names_n; i++)
        if (strcmp(names[i], text) == 0)
            return i;
    if (!text)
        return fallback;
    wrong_value(l, n, "is not known", list);
    return fallback;
}

bool value_is(struct flow_loader *l, const struct yaml_node *n, enum yaml_type type)
{
    if (!n || n->missing)
        return false;
    if (n->type == type)
        return true;
    if (type == YAML_MAP)
        wrong_kind(l, n, "a map", "write `key: value` lines below it");
    else
        wrong_kind(l, n, "a list", "write `[a, b]`, or `- a` lines below it");
    return false;
}

bool value_name(struct flow_loader *l, const struct yaml_node *m, bool flow)
{
    static const char all[] = "abcdefghijklmnopqrstuvwxyz0123456789-_ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    char allowed[sizeof all];
    snprintf(allowed, sizeof allowed, "%.*s", flow ? 37 : (int)sizeof all - 1, all);
    size_t len = strlen(m->key);
    bool letter = strspn(m->key, allowed) > 0 && !strchr("0123456789-_", m->key[0]);
    if (letter && len <= FLOW_NAME_MAX && strspn(m->key, allowed) == len)
        return true;
    findings_add(l->findings, yaml_place_key(m), FINDING_NAME,
                 "`%.80s` is no name\nuse %s and `-`, begin with a letter, at most 63", m->key,
                 flow ? "a-z, 0-9" : "letters, digits, `_`");
    return false;
}

char *value_copy(struct flow_loader *l, const char *text)
{
    char *copy = text ? strdup(text) : NULL;
    if (text && !copy)
        l->no_memory = true;
    return copy;
}

void *value_array(struct flow_loader *l, size_t n, size_t size)
{
    void *array = calloc(n ? n : 1, size);
    if (!array)
        l->no_memory = true;
    return array;
}

struct json *value_json(struct flow_loader *l, const struct yaml_node *n)
{
    struct json *out = yaml_json(n);
    if (!out)
        l->no_memory = true;
    return out;
}

/* One step of a pointer, `~1` and `~0` undone, cut at 255 bytes. */
static const char *pointer_step(const char *p, char out[256])
{
    size_t n = 0;
    for (p++; *p && *p != '/'; p++) {
        char c = *p;
        if (c == '~' && (p[1] == '0' || p[1] == '1'))
            c = *++p == '0' ? '~' : '/';
        if (n < 255)
            out[n++] = c;
    }
    out[n] = 0;
    return p;
}

const struct yaml_node *value_at_pointer(const struct yaml_node *n, const char *pointer)
{
    char step[256];
    while (*pointer == '/') {
        pointer = pointer_step(pointer, step);
        const struct yaml_node *next = NULL;
        if (n->type == YAML_MAP)
            next = yaml_get(n, step);
        if (n->type == YAML_LIST) {
            unsigned long at = strtoul(step, NULL, 10);
            for (next = n->first; next && at; at--)
                next = next->next;
        }
        if (!next)
            return n;
        n = next;
    }
    return n;
}
