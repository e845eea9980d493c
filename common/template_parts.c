#include "common/template_parts.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_scan.h"

enum { PARTS_MAX = 1000 };

__attribute__((format(printf, 2, 3))) static int fail(struct expr_error *error, const char *format,
                                                      ...)
{
    va_list args;
    if (!error)
        return ERR_EXPRESSION;
    *error = (struct expr_error){0};
    va_start(args, format);
    vsnprintf(error->text, sizeof error->text, format, args);
    va_end(args);
    return ERR_EXPRESSION;
}

/* ---- compile */

void template_parts_fini(struct template_parts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->list[i].text);
        expr_free(p->list[i].hole);
    }
    free(p->list);
    *p = (struct template_parts){0};
}

void template_parts_each_hole(const struct template_parts *p, expr_each_fn *fn, void *arg)
{
    for (size_t i = 0; i < p->n; i++)
        if (p->list[i].hole)
            fn(arg, p->list[i].hole);
}

/* Takes text and hole. */
static int add(struct template_parts *p, char *text, struct expr *hole)
{
    struct template_part *list = NULL;
    if (text || hole)
        list = realloc(p->list, (p->n + 1) * sizeof *list);
    if (!list) {
        free(text);
        expr_free(hole);
        return ERR_NOMEM;
    }
    p->list = list;
    list[p->n++] = (struct template_part){text, hole};
    return 0;
}

/* `$request.x` written as text: a hole was meant. */
static int check_bare(const char *string, const char *at, struct expr_error *error)
{
    size_t name = 0, path = 0;
    while (isalnum((unsigned char)at[1 + name]) || at[1 + name] == '_')
        name++;
    if (expr_var_find(at + 1, name) == VAR_COUNT)
        return 0;
    while (isalnum((unsigned char)at[1 + path]) || (at[1 + path] && strchr("_.[]", at[1 + path])))
        path++;
    fail(error, "`%.*s` outside a hole is text: write `\\(%.*s)`", (int)path + 1, at, (int)path + 1,
         at);
    expr_place(string, (size_t)(at - string), error);
    return ERR_EXPRESSION;
}

/* Text up to the next hole or the end; *at is moved there. */
static int take_text(const char *string, const char **at, struct template_parts *p,
                     struct expr_error *error)
{
    struct buf text;
    const char *s = *at;
    int err = 0;
    buf_init(&text, 0);
    buf_add(&text, "", 0);
    while (*s && !(s[0] == '\\' && s[1] == '(') && !err) {
        bool escaped = s[0] == '\\' && s[1] == '\\' && s[2] == '(';
        if (*s == '$')
            err = check_bare(string, s, error);
        buf_add(&text, escaped ? s + 1 : s, escaped ? 2 : 1);
        s += escaped ? 3 : 1;
    }
    *at = s;
    if (!err)
        err = buf_ok(&text) == 0 ? add(p, buf_take(&text, NULL), NULL) : ERR_NOMEM;
    buf_fini(&text);
    return err;
}

/* Move a place inside a hole to where the hole begins in the string. */
static void shift(const char *string, const char *hole, struct expr_error *error)
{
    struct expr_error start = {0};
    expr_place(string, (size_t)(hole - string), &start);
    if (error->line <= 1)
        error->column = start.column + (error->column ? error->column - 1 : 0);
    error->line = start.line + (error->line ? error->line - 1 : 0);
}

/* *at stands on the `\(`; it is moved behind the `)`. */
static int take_hole(const char *string, const char **at, unsigned visible,
                     struct template_parts *p, struct expr_error *error)
{
    const char *from = *at + 2;
    struct expr *hole = NULL;
    char *source = NULL;
    size_t len = 0;
    int err = expr_scan_hole(from, &len, error);
    if (!err)
        source = strndup(from, len);
    if (!err)
        err = source ? expr_compile(source, visible, &hole, error) : ERR_NOMEM;
    free(source);
    if (err == ERR_EXPRESSION)
        shift(string, from, error);
    if (err)
        return err;
    *at = from + len + 1;
    return add(p, NULL, hole);
}

int template_parts_compile(const char *string, unsigned visible, struct template_parts *out,
                           struct expr_error *error)
{
    struct template_parts p = {0};
    const char *at = string;
    int err = 0;
    while (*at && !err) {
        if (p.n == PARTS_MAX)
            err = fail(error, "more than %d holes and texts in one string", PARTS_MAX);
        else if (at[0] == '\\' && at[1] == '(')
            err = take_hole(string, &at, visible, &p, error);
        else
            err = take_text(string, &at, &p, error);
    }
    if (err)
        template_parts_fini(&p);
    else
        *out = p;
    return err;
}

static bool is_misplaced(unsigned char c, enum template_place place)
{
    if (place == TEMPLATE_PATH)
        return c <= ' ' || c >= 0x7f || c == '#';
    return place == TEMPLATE_HEADER && (c < ' ' || c == 0x7f);
}

size_t template_misplaced(const char *string, enum template_place place)
{
    struct expr_error error;
    const char *p = string;
    while (*p && !is_misplaced((unsigned char)*p, place)) {
        size_t len = 0;
        bool hole = p[0] == '\\' && p[1] == '(';
        bool escaped = p[0] == '\\' && p[1] == '\\' && p[2] == '(';
        if (hole && expr_scan_hole(p + 2, &len, &error))
            return SIZE_MAX; /* no template either, which says why */
        p += hole ? len + 3 : escaped ? 3 : 1;
    }
    return *p ? (size_t)(p - string) : SIZE_MAX;
}

/* ---- render */

struct renderer {
    enum template_place place;
    struct buf *out;
    struct expr_error *error;
    const struct expr *hole; /* the one being rendered, for messages */
    size_t segment;          /* where the path segment being written begins in out */
    bool from_hole;          /* a hole took part in it */
    bool query;              /* behind the ? */
};

/* A segment of the path is complete: one that a hole made empty or to dots would change the path.
 */
static int end_segment(struct renderer *r)
{
    const char *s = buf_str(r->out) + r->segment;
    size_t len = r->out->len - r->segment;
    bool dots = (len == 1 && s[0] == '.') || (len == 2 && s[0] == '.' && s[1] == '.');
    if (r->from_hole && !r->query && !r->out->failed && (len == 0 || dots))
        return fail(r->error, "a hole makes the path segment `%.*s`", (int)len, s);
    r->segment = r->out->len + 1;
    r->from_hole = false;
    return 0;
}

static int put_path_text(struct renderer *r, const char *text)
{
    int err = 0;
    for (; *text && !err; text++) {
        if (!r->query && strchr("/?#", *text))
            err = end_segment(r);
        r->query = r->query || *text == '?' || *text == '#';
        buf_char(r->out, *text);
    }
    return err;
}

static void put_encoded(struct renderer *r, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    for (const unsigned char *p = (const unsigned char *)text; *p; p++) {
        char code[3] = {'%', digits[*p >> 4], digits[*p & 15]};
        if (isalnum(*p) || strchr("-._~", *p))
            buf_char(r->out, (char)*p);
        else
            buf_add(r->out, code, 3);
    }
}

static int put_text(struct renderer *r, const char *text)
{
    if (r->place == TEMPLATE_PATH) {
        put_encoded(r, text);
        return 0;
    }
    for (const char *p = text; r->place == TEMPLATE_HEADER && *p; p++) {
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            return fail(r->error, "`%.100s` gives a control character; a header takes none",
                        expr_source(r->hole));
    }
    buf_text(r->out, text);
    return 0;
}

static int put_scalar(struct renderer *r, const struct json *v)
{
    static const char *const kinds[] = {
        [JSON_NULL] = "null", [JSON_ARRAY] = "an array", [JSON_OBJECT] = "an object"};
    switch (json_type(v)) {
    case JSON_STRING:
        return put_text(r, json_text(v));
    case JSON_NUMBER: {
        char text[40];
        struct buf number;
        buf_init(&number, sizeof text);
        json_print(v, &number);
        snprintf(text, sizeof text, "%s", buf_str(&number));
        buf_fini(&number);
        return put_text(r, text);
    }
    case JSON_BOOL:
        buf_text(r->out, json_bool(v) ? "true" : "false");
        return 0;
    default:
        return fail(r->error, "`%.100s` gives %s; in a text only string, number or boolean can go",
                    expr_source(r->hole), kinds[json_type(v)]);
    }
}

static int put_segments(struct renderer *r, const struct json *array)
{
    int err = 0;
    const struct json *i = json_first(array);
    while (i && !err) {
        err = put_scalar(r, i);
        i = json_next(i);
        if (i && !err)
            err = end_segment(r);
        if (i)
            buf_char(r->out, '/');
        r->from_hole = true;
    }
    return err;
}

static int put_hole(struct renderer *r, struct expr *hole, const struct expr_vars *vars)
{
    const struct json *v = NULL;
    struct json *owned = NULL;
    int err = expr_view(hole, vars, &v, &owned, r->error);
    if (err)
        return err;
    r->hole = hole;
    r->from_hole = true;
    if (r->place == TEMPLATE_PATH && json_is(v, JSON_ARRAY))
        err = put_segments(r, v);
    else
        err = put_scalar(r, v);
    json_free(owned);
    return err;
}

int template_parts_render(const struct template_parts *p, enum template_place place,
                          const struct expr_vars *vars, struct buf *out, struct expr_error *error)
{
    struct renderer r = {.place = place, .out = out, .error = error, .segment = out->len};
    int err = 0;
    for (size_t i = 0; i < p->n && !err; i++) {
        if (p->list[i].hole)
            err = put_hole(&r, p->list[i].hole, vars);
        else if (place == TEMPLATE_PATH)
            err = put_path_text(&r, p->list[i].text);
        else
            buf_text(out, p->list[i].text);
    }
    if (!err && place == TEMPLATE_PATH && !r.query)
        err = end_segment(&r);
    return err ? err : buf_ok(out);
}
