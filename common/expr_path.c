#include "common/expr_path.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_scan.h"

enum { STEPS_MAX = 32, INDEX_DIGITS = 6 };

struct step {
    char *key; /* NULL: an index */
    long index;
};

struct expr_path {
    struct json *literal; /* the whole value, if is_literal */
    bool is_literal;
    enum expr_var var;
    size_t steps_n;
    struct step steps[STEPS_MAX];
};

void expr_path_free(struct expr_path *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->steps_n; i++)
        free(p->steps[i].key);
    json_free(p->literal);
    free(p);
}

static size_t name_length(const char *p)
{
    size_t n = 0;
    while (isalpha((unsigned char)p[n]) || p[n] == '_' || (n > 0 && isdigit((unsigned char)p[n])))
        n++;
    return n;
}

static int add_key(struct expr_path *p, const char *key, size_t len)
{
    char *copy = strndup(key, len);
    if (!copy)
        return ERR_NOMEM;
    p->steps[p->steps_n++] = (struct step){copy, 0};
    return 0;
}

/* "text" without escapes; *at is moved behind it. */
static int read_quoted(struct expr_path *p, const char **at)
{
    const char *from = *at + 1;
    size_t len = strcspn(from, "\"\\");
    if (from[len] != '"')
        return ERR_UNSUPPORTED;
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)from[i] < ' ' || (unsigned char)from[i] >= 0x7f)
            return ERR_UNSUPPORTED; /* not ours to check UTF-8 */
    }
    *at = from + len + 1;
    return add_key(p, from, len);
}

static int read_index(struct expr_path *p, const char **at)
{
    char *end;
    const char *from = *at, *digits = from + (*from == '-');
    size_t n = strspn(digits, "0123456789");
    if (n == 0 || n > INDEX_DIGITS)
        return ERR_UNSUPPORTED;
    p->steps[p->steps_n++] = (struct step){NULL, strtol(from, &end, 10)};
    *at = end;
    return 0;
}

/* One of .name  ."name"  ["name"]  [0]; *at is moved behind it. */
static int read_step(struct expr_path *p, const char **at)
{
    int err = ERR_UNSUPPORTED;
    const char *s = *at;
    if (p->steps_n == STEPS_MAX)
        return err;
    if (s[0] == '.' && s[1] == '"') {
        *at += 1;
        return read_quoted(p, at);
    }
    if (s[0] == '.') {
        size_t len = name_length(s + 1);
        if ((s[1] == 'e' || s[1] == 'E') && isdigit((unsigned char)s[2]))
            return err; /* jq reads .e1 as a number */
        *at += 1 + len;
        return len ? add_key(p, s + 1, len) : err;
    }
    if (s[0] != '[')
        return err;
    *at += 1;
    err = s[1] == '"' ? read_quoted(p, at) : read_index(p, at);
    if (!err && *(*at)++ != ']')
        err = ERR_UNSUPPORTED;
    return err;
}

static int read_path(struct expr_path *p, const char *text, const char *end)
{
    size_t len = name_length(text + 1);
    const char *at = text + 1 + len;
    p->var = expr_var_find(text + 1, len);
    int err = p->var == VAR_COUNT ? ERR_UNSUPPORTED : 0;
    while (!err && at < end)
        err = read_step(p, &at);
    return err;
}

/* A JSON text is a jq program that gives it, but for `\(`, which is no JSON. */
static int read_literal(struct expr_path *p, const char *text, const char *end)
{
    p->is_literal = true;
    if (!strchr("[{\"-0123456789tfn", *text))
        return ERR_UNSUPPORTED;
    int err = json_parse(text, (size_t)(end - text), NULL, &p->literal, NULL);
    return err == 0 || err == ERR_NOMEM ? err : ERR_UNSUPPORTED;
}

int expr_path_compile(const char *text, struct expr_path **out)
{
    const char *end = text + strlen(text);
    while (isspace((unsigned char)*text))
        text++;
    while (end > text && isspace((unsigned char)end[-1]))
        end--;
    if (end == text)
        return ERR_UNSUPPORTED;
    struct expr_path *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    int err = *text == '$' ? read_path(p, text, end) : read_literal(p, text, end);
    if (err)
        expr_path_free(p);
    else
        *out = p;
    return err;
}

static const char *kind_name(const struct json *v)
{
    static const char *const names[] = {
        [JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_NUMBER] = "number",
        [JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
    };
    return names[json_type(v)];
}

static int fail(const struct json *v, const struct step *step, struct expr_error *error)
{
    if (!error)
        return ERR_EXPRESSION;
    error->line = error->column = 0;
    if (step->key)
        snprintf(error->text, sizeof error->text, "Cannot index %s with string \"%s\"",
                 kind_name(v), step->key);
    else
        snprintf(error->text, sizeof error->text, "Cannot index %s with number", kind_name(v));
    return ERR_EXPRESSION;
}

int expr_path_eval(const struct expr_path *p, const struct expr_vars *vars, const struct json **out,
                   struct expr_error *error)
{
    const struct json *v = p->is_literal ? p->literal : vars->value[p->var];
    for (size_t i = 0; i < p->steps_n; i++) {
        const struct step *step = &p->steps[i];
        if (json_is(v, JSON_NULL))
            continue;
        if (!json_is(v, step->key ? JSON_OBJECT : JSON_ARRAY))
            return fail(v, step, error);
        long index = step->index < 0 ? step->index + (long)json_size(v) : step->index;
        v = step->key ? json_get(v, step->key) : index < 0 ? NULL : json_at(v, (size_t)index);
    }
    *out = v;
    return 0;
}
