#include "common/template.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/template_parts.h"

enum { VALUE_MAX = 1 << 20 };

/* The literal's tree, as far down as there are holes: what has none is one constant. */
enum kind { CONSTANT, STRING, ARRAY, OBJECT };

struct node {
    enum kind kind;
    char *key;                   /* in an object */
    struct json *constant;       /* CONSTANT */
    struct template_parts parts; /* STRING */
    struct node *items;          /* ARRAY, OBJECT */
    size_t n;
};

struct template
{
    enum template_place place;
    unsigned uses;
    struct node root;
};

struct compiler {
    struct template *t;
    unsigned visible;
    struct template_error *error;
    char pointer[sizeof((struct template_error *)0)->pointer];
};

static void node_fini(struct node *n)
{
    for (size_t i = 0; i < n->n; i++)
        node_fini(&n->items[i]);
    free(n->items);
    free(n->key);
    json_free(n->constant);
    template_parts_fini(&n->parts);
}

/* ---- compile */

static void pointer_add(struct compiler *c, const char *key, size_t index)
{
    char number[24];
    size_t len = strlen(c->pointer), max = sizeof c->pointer - 1;
    snprintf(number, sizeof number, "%zu", index);
    const char *step = key ? key : number;
    if (len < max)
        c->pointer[len++] = '/';
    for (; *step && len + 1 < max; step++) {
        bool special = *step == '~' || *step == '/';
        c->pointer[len++] = special ? '~' : *step;
        if (special)
            c->pointer[len++] = *step == '~' ? '0' : '1';
    }
    c->pointer[len] = 0;
}

static bool has_holes(const struct json *v)
{
    const char *text = json_text(v);
    if (text) /* a $ may have to be complained about */
        return strstr(text, "\\(") || strchr(text, '$');
    for (const struct json *i = json_first(v); i; i = json_next(i)) {
        if (has_holes(i))
            return true;
    }
    return false;
}

static int compile(struct compiler *c, const struct json *v, struct node *n);

static int compile_items(struct compiler *c, const struct json *v, struct node *n)
{
    size_t size = json_size(v), above = strlen(c->pointer);
    int err = 0;
    n->kind = json_is(v, JSON_ARRAY) ? ARRAY : OBJECT;
    n->items = calloc(size, sizeof *n->items);
    if (!n->items)
        return ERR_NOMEM;
    for (const struct json *i = json_first(v); i && !err; i = json_next(i)) {
        struct node *item = &n->items[n->n++];
        pointer_add(c, json_key(i), n->n - 1);
        item->key = json_key(i) ? strdup(json_key(i)) : NULL;
        err = json_key(i) && !item->key ? ERR_NOMEM : compile(c, i, item);
        c->pointer[above] = 0;
    }
    return err;
}

static int compile_string(struct compiler *c, const char *text, struct node *n)
{
    struct expr_error error = {0};
    n->kind = STRING;
    int err = template_parts_compile(text, c->visible, &n->parts, &error);
    if (err == ERR_EXPRESSION && c->error) {
        c->error->expr = error;
        memcpy(c->error->pointer, c->pointer, sizeof c->pointer);
    }
    for (size_t i = 0; !err && i < n->parts.n; i++) {
        if (n->parts.list[i].hole)
            c->t->uses |= expr_uses(n->parts.list[i].hole);
    }
    return err;
}

static int compile(struct compiler *c, const struct json *v, struct node *n)
{
    bool text_place = c->t->place != TEMPLATE_BODY;
    if (json_is(v, JSON_STRING) && (text_place || has_holes(v)))
        return compile_string(c, json_text(v), n);
    if (!text_place && has_holes(v))
        return compile_items(c, v, n);
    n->kind = CONSTANT;
    n->constant = v ? json_copy(v) : json_new_null();
    return n->constant ? 0 : ERR_NOMEM;
}

static int check_literal(const struct json *literal, enum template_place place,
                         struct template_error *error)
{
    enum json_type t = json_type(literal);
    bool scalar = t == JSON_STRING || t == JSON_NUMBER || t == JSON_BOOL;
    if (place == TEMPLATE_BODY || (scalar && (place != TEMPLATE_PATH || t == JSON_STRING)))
        return 0;
    if (error) {
        *error = (struct template_error){0};
        snprintf(error->expr.text, sizeof error->expr.text, "must be a text");
    }
    return ERR_EXPRESSION;
}

int template_compile(const struct json *literal, enum template_place place, unsigned visible,
                     struct template **out, struct template_error *error)
{
    int err = check_literal(literal, place, error);
    if (err)
        return err;
    struct template *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    t->place = place;
    struct compiler c = {.t = t, .visible = visible, .error = error};
    err = compile(&c, literal, &t->root);
    if (err)
        template_free(t);
    else
        *out = t;
    return err;
}

void template_free(struct template *t)
{
    if (!t)
        return;
    node_fini(&t->root);
    free(t);
}

unsigned template_uses(const struct template *t)
{
    return t->uses;
}

static void each_hole(const struct node *n, expr_each_fn *fn, void *arg)
{
    template_parts_each_hole(&n->parts, fn, arg);
    for (size_t i = 0; i < n->n; i++)
        each_hole(&n->items[i], fn, arg);
}

void template_each_hole(const struct template *t, expr_each_fn *fn, void *arg)
{
    each_hole(&t->root, fn, arg);
}

/* ---- render to JSON text */

static int print_string(const struct node *n, const struct expr_vars *vars, struct buf *out,
                        struct expr_error *error)
{
    struct buf text;
    const struct json *v = NULL;
    struct json *owned = NULL;
    int err = 0;
    if (template_parts_is_hole(&n->parts)) {
        err = expr_view(n->parts.list[0].hole, vars, &v, &owned, error);
        if (!err)
            json_print(v, out);
        json_free(owned);
        return err;
    }
    buf_init(&text, VALUE_MAX);
    err = template_parts_render(&n->parts, TEMPLATE_BODY, vars, &text, error);
    if (!err)
        json_print_text(buf_str(&text), text.len, out);
    buf_fini(&text);
    return err;
}

static int print(const struct node *n, const struct expr_vars *vars, struct buf *out,
                 struct expr_error *error)
{
    int err = 0;
    if (n->kind == CONSTANT) {
        json_print(n->constant, out);
        return 0;
    }
    if (n->kind == STRING)
        return print_string(n, vars, out, error);
    buf_char(out, n->kind == ARRAY ? '[' : '{');
    for (size_t i = 0; i < n->n && !err; i++) {
        if (i > 0)
            buf_char(out, ',');
        if (n->items[i].key) {
            json_print_text(n->items[i].key, strlen(n->items[i].key), out);
            buf_char(out, ':');
        }
        err = print(&n->items[i], vars, out, error);
    }
    buf_char(out, n->kind == ARRAY ? ']' : '}');
    return err;
}

/* ---- render to a value */

static int make(const struct node *n, const struct expr_vars *vars, struct json **out,
                struct expr_error *error);

static int make_string(const struct template_parts *p, enum template_place place,
                       const struct expr_vars *vars, struct json **out, struct expr_error *error)
{
    struct buf text;
    if (place == TEMPLATE_BODY && template_parts_is_hole(p))
        return expr_eval(p->list[0].hole, vars, out, error);
    buf_init(&text, VALUE_MAX);
    int err = template_parts_render(p, place, vars, &text, error);
    struct json *made = err ? NULL : json_new_text_n(buf_str(&text), text.len);
    buf_fini(&text);
    if (made)
        *out = made;
    return err ? err : made ? 0 : ERR_NOMEM;
}

static int make_items(const struct node *n, const struct expr_vars *vars, struct json **out,
                      struct expr_error *error)
{
    struct json *all = n->kind == ARRAY ? json_new_array() : json_new_object();
    int err = all ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < n->n && !err; i++) {
        struct json *item = NULL;
        err = make(&n->items[i], vars, &item, error);
        if (!err)
            err = n->kind == ARRAY ? json_push(all, item) : json_put(all, n->items[i].key, item);
    }
    if (err)
        json_free(all);
    else
        *out = all;
    return err;
}

static int make(const struct node *n, const struct expr_vars *vars, struct json **out,
                struct expr_error *error)
{
    if (n->kind == STRING)
        return make_string(&n->parts, TEMPLATE_BODY, vars, out, error);
    if (n->kind != CONSTANT)
        return make_items(n, vars, out, error);
    struct json *made = json_copy(n->constant);
    if (!made)
        return ERR_NOMEM;
    *out = made;
    return 0;
}

static int too_deep(struct expr_error *error)
{
    if (error) {
        *error = (struct expr_error){0};
        snprintf(error->text, sizeof error->text,
                 "the value is nested too deeply (%d levels at most)", JSON_DEPTH_VALUE);
    }
    return ERR_EXPRESSION;
}

int template_render(struct template *t, const struct expr_vars *vars, struct json **out,
                    struct expr_error *error)
{
    if (t->place != TEMPLATE_BODY && t->root.kind == STRING)
        return make_string(&t->root.parts, t->place, vars, out, error);
    struct json *made = NULL;
    int err = make(&t->root, vars, &made, error);
    if (!err && json_is_deeper(made, JSON_DEPTH_VALUE)) {
        json_free(made);
        return too_deep(error);
    }
    if (!err)
        *out = made;
    return err;
}

int template_render_text(struct template *t, const struct expr_vars *vars, struct buf *out,
                         struct expr_error *error)
{
    int err = t->place != TEMPLATE_BODY && t->root.kind == STRING
                  ? template_parts_render(&t->root.parts, t->place, vars, out, error)
                  : print(&t->root, vars, out, error);
    return err ? err : buf_ok(out);
}
