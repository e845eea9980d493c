#include "common/sql_template.h"

#include <stdlib.h>
#include <string.h>

#include "common/template_parts.h"

struct sql_template {
    char *text;
    struct template_parts parts;
    size_t holes;
    unsigned uses;
};

static int join(struct sql_template *t)
{
    struct buf text;
    buf_init(&text, 0);
    for (size_t i = 0; i < t->parts.n; i++) {
        const struct template_part *p = &t->parts.list[i];
        buf_text(&text, p->hole ? "?" : p->text);
        t->holes += p->hole != NULL;
        t->uses |= p->hole ? expr_uses(p->hole) : 0;
    }
    int err = buf_ok(&text) ? ERR_NOMEM : 0;
    if (!err)
        t->text = buf_take(&text, NULL);
    buf_fini(&text);
    return err;
}

int sql_template_compile(const char *text, unsigned visible, struct sql_template **out,
                         struct expr_error *error)
{
    struct sql_scan scan;
    sql_scan(text, &scan);
    struct sql_template *t = calloc(1, sizeof *t);
    char *statement = strndup(text, scan.end);
    int err = t && statement ? 0 : ERR_NOMEM;
    if (!err)
        err = template_parts_compile(statement, visible, &t->parts, error);
    if (!err)
        err = join(t);
    free(statement);
    if (err)
        sql_template_free(t);
    else
        *out = t;
    return err;
}

void sql_template_free(struct sql_template *t)
{
    if (!t)
        return;
    template_parts_fini(&t->parts);
    free(t->text);
    free(t);
}

void sql_template_each_hole(const struct sql_template *t, expr_each_fn *fn, void *arg)
{
    template_parts_each_hole(&t->parts, fn, arg);
}

const char *sql_template_text(const struct sql_template *t)
{
    return t->text;
}

size_t sql_template_holes(const struct sql_template *t)
{
    return t->holes;
}

unsigned sql_template_uses(const struct sql_template *t)
{
    return t->uses;
}

static struct json *as_text(const struct json *v)
{
    struct buf text;
    buf_init(&text, 0);
    json_print(v, &text);
    struct json *out = buf_ok(&text) ? NULL : json_new_text_n(buf_str(&text), text.len);
    buf_fini(&text);
    return out;
}

static struct json *parameter(const struct json *v)
{
    if (json_is(v, JSON_ARRAY) || json_is(v, JSON_OBJECT))
        return as_text(v);
    return v ? json_copy(v) : json_new_null();
}

int sql_template_render(const struct sql_template *t, const struct expr_vars *vars,
                        struct json **out, struct expr_error *error)
{
    struct json *all = json_new_array();
    int err = all ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < t->parts.n && !err; i++) {
        const struct json *v = NULL;
        struct json *owned = NULL;
        if (!t->parts.list[i].hole)
            continue;
        err = expr_view(t->parts.list[i].hole, vars, &v, &owned, error);
        if (!err)
            err = json_push(all, parameter(v));
        json_free(owned);
    }
    if (err)
        json_free(all);
    else
        *out = all;
    return err;
}
