#include "common/expr_scan.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DEPTH_MAX = 200 };

/* The stack holds the closing bracket each open one waits for; a `"` stands for an open string. */
struct scanner {
    const char *text;
    size_t at;
    char stack[DEPTH_MAX];
    size_t depth;
    unsigned visible;
    struct expr_scan *out;
    struct expr_error *error;
};

static const char *const var_names[VAR_COUNT] = {
    [VAR_REQUEST] = "request", [VAR_USER] = "user",     [VAR_JOB] = "job",
    [VAR_ROWS] = "rows",       [VAR_CALLS] = "calls",   [VAR_ITEM] = "item",
    [VAR_INDEX] = "index",     [VAR_STATUS] = "status", [VAR_HEADERS] = "headers",
    [VAR_BODY] = "body",       [VAR_RESULT] = "result", [VAR_ERROR] = "error",
};

const char *expr_var_name(enum expr_var v)
{
    return var_names[v];
}

static bool same(const char *word, const char *name, size_t len)
{
    return strncmp(word, name, len) == 0 && word[len] == 0;
}

enum expr_var expr_var_find(const char *name, size_t len)
{
    unsigned v = 0;
    while (v < VAR_COUNT && !same(var_names[v], name, len))
        v++;
    return (enum expr_var)v;
}

void expr_place(const char *text, size_t offset, struct expr_error *error)
{
    error->line = error->column = 1;
    for (size_t i = 0; i < offset && text[i]; i++) {
        error->column++;
        if (text[i] == '\n') {
            error->line++;
            error->column = 1;
        }
    }
}

__attribute__((format(printf, 3, 4))) static int refuse(struct scanner *s, size_t at,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(s->error->text, sizeof s->error->text, format, args);
    va_end(args);
    expr_place(s->text, at, s->error);
    return ERR_EXPRESSION;
}

/* Names that reach outside the variables: environment, input, files, output, the machine's zone.
 * And functions of the C library that take seconds for a number. */
static bool is_refused(const char *name, size_t len)
{
    static const char *const names[] = {
        "env",
        "ENV",
        "input",
        "inputs",
        "debug",
        "stderr",
        "import",
        "include",
        "modulemeta",
        "halt",
        "halt_error",
        "localtime",
        "strflocaltime",
        "input_filename",
        "input_line_number",
        "get_search_list",
        "jn",
        "yn",
    };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (same(names[i], name, len))
            return true;
    }
    return false;
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static size_t name_length(const char *p)
{
    size_t n = 0;
    while (is_name_start(p[n]) || isdigit((unsigned char)p[n]))
        n++;
    return n;
}

/* Blanks and comments. jq 1.7 continues a comment behind a backslash and ends it at a carriage
 * return, 1.6 does not: what they read differently is refused. */
static int skip_blank(struct scanner *s)
{
    for (;;) {
        const char *p = s->text + s->at;
        if (isspace((unsigned char)*p)) {
            s->at++;
        } else if (*p == '#') {
            size_t n = strcspn(p, "\r\n");
            if (p[n - 1] == '\\' || (p[n] == '\r' && p[n + 1] != '\n'))
                return refuse(s, s->at, "a comment must not end in a \\ or a lone carriage return");
            s->at += n;
        } else {
            return 0;
        }
    }
}

static int open_bracket(struct scanner *s, char closing)
{
    if (s->depth == DEPTH_MAX)
        return refuse(s, s->at, "nested too deeply");
    s->stack[s->depth++] = closing;
    s->at++;
    return 0;
}

static int close_bracket(struct scanner *s, char c)
{
    if (s->depth == 0 || s->stack[s->depth - 1] != c)
        return refuse(s, s->at, "`%c` closes nothing", c);
    s->depth--;
    s->at++;
    return 0;
}

/* The inside of a string, up to its end or to an interpolation, which leaves the `"` below. */
static int scan_string(struct scanner *s)
{
    const char *text = s->text;
    while (text[s->at] && text[s->at] != '"') {
        if (text[s->at] != '\\') {
            s->at++;
        } else if (text[s->at + 1] == '(') {
            s->at++;
            return open_bracket(s, ')');
        } else {
            s->at += text[s->at + 1] ? 2 : 1;
        }
    }
    if (!text[s->at])
        return refuse(s, s->at, "a string is not closed");
    return close_bracket(s, '"');
}

static int scan_variable(struct scanner *s)
{
    size_t from = s->at++;
    int err = skip_blank(s);
    if (err)
        return err;
    const char *name = s->text + s->at;
    size_t len = name_length(name);
    s->at += len;
    if (len == 3 && same("ENV", name, len))
        return refuse(s, from, "$ENV is not allowed in a flow");
    if (len > 2 && strncmp(name, "__", 2) == 0 && !same("__loc__", name, len))
        return refuse(s, from, "names that begin with $__ are jq's own");
    enum expr_var v = expr_var_find(name, len);
    if (v == VAR_COUNT)
        return 0; /* bound in the expression, else jq says so */
    if (!(s->visible & VAR_BIT(v)))
        return refuse(s, from, "$%s is not visible here", var_names[v]);
    s->out->uses |= VAR_BIT(v);
    return 0;
}

/* A name that is no field: a function, a keyword, or a key as in {env: 1}, which is harmless. */
static int scan_name(struct scanner *s)
{
    size_t from = s->at, len = name_length(s->text + from);
    const char *name = s->text + from;
    s->at += len;
    int err = skip_blank(s);
    if (err)
        return err;
    const char *next = s->text + s->at;
    if (next[0] == ':' && next[1] != ':' && s->depth > 0 && s->stack[s->depth - 1] == '}')
        return 0;
    if (is_refused(name, len))
        return refuse(s, from, "`%.*s` is not allowed in a flow", (int)len, name);
    s->out->uses_now |= same("now", name, len);
    return 0;
}

static int scan_token(struct scanner *s)
{
    const char *p = s->text + s->at;
    if (strchr("([{", *p))
        return open_bracket(s, *p == '(' ? ')' : *p == '[' ? ']' : '}');
    if (*p == '"')
        return open_bracket(s, '"');
    if (strchr(")]}", *p))
        return close_bracket(s, *p);
    if (*p == '$')
        return scan_variable(s);
    if (*p == '.' || *p == '@') { /* a field or a format: its name is no function */
        s->at += 1 + name_length(p + 1);
        return 0;
    }
    if (is_name_start(*p))
        return scan_name(s);
    s->at++;
    return 0;
}

static int scan_start(struct scanner *s)
{
    int err = skip_blank(s);
    const char *p = s->text + s->at;
    if (err)
        return err;
    if (!*p)
        return refuse(s, s->at, "the expression is empty");
    if (*p == '.')
        return refuse(s, s->at, "`.` is no data here: begin with a variable, as in $request.x");
    if (p[0] == '\\' && p[1] == '(')
        return refuse(s, s->at, "this is an expression already: leave out `\\(` and `)`");
    return 0;
}

static bool in_string(const struct scanner *s)
{
    return s->depth > 0 && s->stack[s->depth - 1] == '"';
}

/* To the end of the text, or until the brackets are down to `depth`. */
static int scan_to(struct scanner *s, size_t depth)
{
    int err = 0;
    do {
        err = in_string(s) ? scan_string(s) : scan_token(s);
        if (s->depth == depth && depth != SIZE_MAX)
            return err;
        if (!err && !in_string(s))
            err = skip_blank(s);
    } while (!err && s->text[s->at]);
    if (!err && in_string(s))
        err = refuse(s, s->at, "a string is not closed");
    else if (!err && s->depth > 0)
        err = refuse(s, s->at, "`%c` is missing", s->stack[s->depth - 1]);
    return err;
}

int expr_scan(const char *text, unsigned visible, struct expr_scan *out, struct expr_error *error)
{
    struct expr_error ignored;
    struct expr_scan found = {0};
    struct scanner s = {
        .text = text, .visible = visible, .out = &found, .error = error ? error : &ignored};
    int err = scan_start(&s);
    if (!err)
        err = scan_to(&s, SIZE_MAX);
    if (!err)
        *out = found;
    return err;
}

int expr_scan_hole(const char *text, size_t *len, struct expr_error *error)
{
    struct expr_scan ignored = {0};
    struct scanner s = {.text = text, .visible = ~0u, .out = &ignored, .error = error};
    s.stack[s.depth++] = ')';
    int err = skip_blank(&s);
    if (!err && !text[s.at])
        err = refuse(&s, s.at, "`)` is missing");
    if (!err)
        err = scan_to(&s, 0);
    if (!err)
        *len = s.at - 1;
    return err;
}
