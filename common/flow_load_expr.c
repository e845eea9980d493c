#include "common/flow_loader.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One expression, or one string of a template, that jq refused. */
struct refused {
    struct flow_file *file;
    const struct yaml_node *node;
    unsigned visible;
    bool template;
};

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* Byte of line:column in text; the line's first character for an unknown column. */
static size_t text_offset(const char *text, unsigned line, unsigned column)
{
    const char *p = text;
    for (unsigned i = 1; i < line; i++) {
        const char *next = strchr(p, '\n');
        if (!next)
            break;
        p = next + 1;
    }
    if (column == 0)
        p += strspn(p, " \t");
    for (unsigned i = 1; i < column && *p && *p != '\n'; i++)
        p++;
    return (size_t)(p - text);
}

/* `NAME/0 is not defined`, `$NAME is not defined`: the name, with its `$`. */
static bool undefined_name(const char *error, char name[SCAN_NAME])
{
    const char *end = strstr(error, " is not defined");
    if (!end)
        return false;
    const char *start = end;
    while (start > error && start[-1] != ' ')
        start--;
    size_t len = strcspn(start, "/ ");
    if (len == 0 || len >= SCAN_NAME)
        return false;
    memcpy(name, start, len);
    name[len] = 0;
    return true;
}

/* Where a whole word stands in text; NULL if nowhere. */
static const char *word_find(const char *text, const char *word)
{
    size_t len = strlen(word);
    for (const char *p = strstr(text, word); p; p = strstr(p + 1, word)) {
        bool starts = p == text || !(isalnum((unsigned char)p[-1]) || p[-1] == '_');
        if (starts && !isalnum((unsigned char)p[len]) && p[len] != '_')
            return p;
    }
    return NULL;
}

static void jq_undefined(struct refused *r, const char *name, const char *at)
{
    const char *text = r->node->text;
    const char *start = at;
    const char *names[VAR_COUNT];
    struct findings *findings = r->file->loader->findings;
    size_t n = 0;
    while (start > text && is_word(start[-1]))
        start--;
    if (name[0] != '$' && at > start && at[-1] == '-') {
        findings_add(findings, yaml_place_in(r->node, (size_t)(start - text)), FINDING_JQ,
                     "jq reads `%.*s` as a subtraction and knows no `%s`\na name with `-` needs "
                     "quotes: `[\"%.*s\"]`",
                     (int)(at - start) + (int)strlen(name), start, name,
                     (int)(at - start) + (int)strlen(name), start);
        return;
    }
    for (int v = 0; v < VAR_COUNT; v++)
        if (r->visible & VAR_BIT(v))
            names[n++] = flow_variable_name((enum expr_var)v);
    const char *near = name[0] == '$' ? nearest_name(name + 1, names, n) : NULL;
    if (near)
        findings_add(findings, yaml_place_in(r->node, (size_t)(at - text)), FINDING_JQ,
                     "`%s` is not defined\ndid you mean `$%s`?", name, near);
    else
        findings_add(findings, yaml_place_in(r->node, (size_t)(at - text)), FINDING_JQ,
                     "`%s` is not defined\ncheck the name against the reference", name);
}

/* What people write who know other languages. */
static const struct {
    const char *written, *todo;
} idioms[] = {
    {"&&", "jq writes `and`"},
    {"||", "jq writes `or`"},
    {"===", "jq writes `==`"},
    {" ? ", "jq writes `if A then B else C end`"},
    {"'", "jq's strings stand in double quotes"},
};

/* The help for a syntax error, and where it is about when jq does not say. */
static const char *jq_help(const struct refused *r, size_t *offset)
{
    const char *text = r->node->text;
    for (size_t i = 0; !r->template && i < sizeof idioms / sizeof *idioms; i++) {
        const char *at = strstr(text, idioms[i].written);
        if (at) {
            *offset = (size_t)(at - text) + (idioms[i].written[0] == ' ');
            return idioms[i].todo;
        }
    }
    if (word_find(text, "if") && !word_find(text, "else"))
        return "jq 1.6 wants `if A then B else C end`";
    return "mend the expression (jq 1.6)";
}

/* Of `.name` at the start of a text. */
static int field_length(const char *text)
{
    int len = 1;
    while (isalnum((unsigned char)text[len]) || text[len] == '_')
        len++;
    return len > 1 ? len : 0;
}

/* What an expression must not begin with, in a hole as in a key of its own. */
static bool begins_wrong(struct findings *f, const struct yaml_node *n, const char *at)
{
    struct finding_place place = yaml_place_in(n, (size_t)(at - n->text));
    if (at[0] == '.' && !isdigit((unsigned char)at[1]))
        findings_add(f, place, FINDING_DOT,
                     "`.` is not data here\nbegin with a variable, like `$request%.*s`",
                     field_length(at), at);
    else if (strncmp(at, "\\(", 2) == 0)
        findings_add(f, place, FINDING_HOLE, "`\\(` in an expression\nleave `\\(` and `)` out");
    else
        return false;
    return true;
}

static void jq_error(struct refused *r, const struct expr_error *e)
{
    char name[SCAN_NAME];
    const char *at = NULL;
    struct findings *findings = r->file->loader->findings;
    if (!r->node->text) {
        findings_add(findings, yaml_place(r->node), FINDING_JQ, "%s\nmend the value", e->text);
        return;
    }
    if (undefined_name(e->text, name))
        at = word_find(r->node->text, name);
    if (at) {
        jq_undefined(r, name, at);
        return;
    }
    size_t offset = text_offset(r->node->text, e->line, e->column);
    bool begins = strstr(e->text, "begin with a variable") || strstr(e->text, "leave out `\\(`");
    if (begins && begins_wrong(findings, r->node, r->node->text + offset))
        return;
    const char *help = "mend the expression (jq 1.6)";
    if (strstr(e->text, "syntax error"))
        help = jq_help(r, &offset);
    else if (strstr(e->text, "is not allowed"))
        help = "data comes from variables like `$request`; `now` is the job's creation";
    else if (strstr(e->text, "at most 8 KB"))
        help = "make it shorter, or let a call's `result` do a part";
    findings_add(findings, yaml_place_in(r->node, offset), FINDING_JQ, "%s\n%s", e->text, help);
}

/* ---- reading */

static struct flow_use *use_add(struct flow_file *f, const struct yaml_node *n, const char *what,
                                unsigned visible)
{
    struct flow_use *u = f->uses_n < FLOW_USES_MAX ? &f->uses[f->uses_n++] : NULL;
    if (u)
        *u = (struct flow_use){.node = n, .what = what, .visible = visible};
    else
        findings_add(f->loader->findings, yaml_place(n), FINDING_LIMIT,
                     "too many expressions in one file\nsplit the flow");
    return u;
}

static bool expr_shape(struct flow_file *f, const struct yaml_node *n)
{
    struct findings *findings = f->loader->findings;
    const char *text = n->text ? n->text + strspn(n->text, " \n\t") : NULL;
    if (!text)
        findings_add(findings, yaml_place(n), FINDING_KIND,
                     "`%s` must be an expression\none that starts with `[` or `{` needs single "
                     "quotes or a `|` block",
                     n->key);
    else if (!*text)
        findings_add(findings, yaml_place(n), FINDING_KIND,
                     "`%s` is empty\nwrite an expression, like `$request.id`", n->key);
    else if (strncmp(text, "\\(", 2) == 0)
        findings_add(findings, yaml_place_in(n, (size_t)(text - n->text)), FINDING_HOLE,
                     "`%s` is an expression already\nleave `\\(` and `)` out", n->key);
    else
        return !begins_wrong(findings, n, text);
    return false;
}

struct expr *flow_expr_read(struct flow_file *f, const struct yaml_node *n, const char *what,
                            unsigned visible)
{
    struct expr *out = NULL;
    struct expr_error error = {0};
    if (!n || n->missing)
        return NULL;
    if (!expr_shape(f, n)) {
        f->all_calls_read = true; /* who knows */
        return NULL;
    }
    if (!flow_variables_lint(f, n, visible, false))
        return NULL; /* jq would say the same less well */
    int err = expr_compile(n->text, visible | EXPR_LATER, &out, &error);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        jq_error(&(struct refused){f, n, visible, false}, &error);
    struct flow_use *u = out ? use_add(f, n, what, visible) : NULL;
    if (u)
        u->expr = out;
    return out;
}

/* All strings of a literal. */
static bool lint_literal(struct flow_file *f, const struct yaml_node *n, unsigned visible)
{
    bool good = n->type != YAML_TEXT || flow_variables_lint(f, n, visible, true);
    for (const struct yaml_node *c = n->first; c; c = c->next)
        good &= lint_literal(f, c, visible);
    return good;
}

/* A path and a header are one line: a block's last newline is none of theirs. NULL: no memory. */
static struct json *literal_of(struct flow_file *f, const struct yaml_node *n,
                               enum template_place place)
{
    bool line = place == TEMPLATE_PATH || place == TEMPLATE_HEADER;
    if (!line || n->type != YAML_TEXT)
        return value_json(f->loader, n);
    struct json *text = json_new_text(n->text);
    if (!text)
        f->loader->no_memory = true;
    return text;
}

/* The compiler stops at the first problem; a run shows all, so each string is tried alone. */
static void template_errors(struct flow_file *f, const struct yaml_node *n,
                            enum template_place place, unsigned visible)
{
    struct template *t = NULL;
    struct template_error error = {0};
    struct json *text = n->type == YAML_TEXT ? value_json(f->loader, n) : NULL;
    if (text && template_compile(text, place, visible, &t, &error) == ERR_EXPRESSION) {
        jq_error(&(struct refused){f, n, visible, true}, &error.expr);
    }
    template_free(t);
    json_free(text);
    for (const struct yaml_node *c = n->first; c; c = c->next)
        template_errors(f, c, place, visible);
}

struct template *flow_template_read(struct flow_file *f, const struct yaml_node *n,
                                    enum template_place place, unsigned visible)
{
    struct template *out = NULL;
    struct template_error error = {0};
    if (!n || !lint_literal(f, n, visible))
        return NULL;
    struct json *literal = literal_of(f, n, place);
    if (!literal)
        return NULL;
    size_t before = f->loader->findings->errors;
    int err = template_compile(literal, place, visible | EXPR_LATER, &out, &error);
    json_free(literal);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        template_errors(f, n, place, visible);
    if (err == ERR_EXPRESSION && f->loader->findings->errors == before)
        findings_add(f->loader->findings, yaml_place(value_at_pointer(n, error.pointer)),
                     FINDING_JQ, "%s\nmend the value", error.expr.text);
    struct flow_use *u = out ? use_add(f, n, n->key ? n->key : "body", visible) : NULL;
    if (u) {
        u->template = out;
        u->text = place != TEMPLATE_BODY;
        u->place = place;
    }
    return out;
}

struct sql_template *flow_sql_read(struct flow_file *f, const struct yaml_node *n, unsigned visible)
{
    struct sql_template *out = NULL;
    struct expr_error error = {0};
    if (!flow_variables_lint(f, n, visible, true))
        return NULL;
    int err = sql_template_compile(n->text, visible | EXPR_LATER, &out, &error);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        jq_error(&(struct refused){f, n, visible, true}, &error);
    struct flow_use *u = out ? use_add(f, n, "sql", visible) : NULL;
    if (u)
        u->sql = out;
    return out;
}

/* ---- what was left to jq */

struct left {
    struct flow_file *files;
    size_t files_n;
    struct expr **list; /* of all uses */
    size_t n, cap;
    bool no_memory;
};

static void left_add(void *arg, struct expr *e)
{
    struct left *l = arg;
    if (expr_is_ready(e))
        return;
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct expr **list = realloc(l->list, cap * sizeof(struct expr *));
        if (!list) {
            l->no_memory = true;
            return;
        }
        l->list = list;
        l->cap = cap;
    }
    l->list[l->n++] = e;
}

static void use_each(const struct flow_use *u, expr_each_fn *fn, void *arg)
{
    if (u->expr)
        fn(arg, u->expr);
    else if (u->template)
        template_each_hole(u->template, fn, arg);
    else if (u->sql)
        sql_template_each_hole(u->sql, fn, arg);
}

struct sought {
    const struct expr *expr;
    bool found;
};

static void seek(void *arg, struct expr *e)
{
    struct sought *s = arg;
    s->found |= s->expr == e;
}

/* Once per use: a template is compiled again, string by string, for the place of each mistake. */
static void use_broken(struct flow_file *f, struct flow_use *u, const struct expr_error *error)
{
    struct sql_template *sql = NULL;
    struct expr_error again = {0};
    u->broken = true;
    if (u->expr) {
        jq_error(&(struct refused){f, u->node, u->visible, false}, error);
    } else if (u->template) {
        template_errors(f, u->node, u->place, u->visible);
    } else {
        if (sql_template_compile(u->node->text, u->visible, &sql, &again) == ERR_EXPRESSION)
            jq_error(&(struct refused){f, u->node, u->visible, true}, &again);
        sql_template_free(sql);
    }
}

static void left_wrong(void *arg, struct expr *e, const struct expr_error *error)
{
    const struct left *l = arg;
    for (size_t i = 0; i < l->files_n; i++)
        for (size_t k = 0; k < l->files[i].uses_n; k++) {
            struct sought s = {e, false};
            struct flow_use *u = &l->files[i].uses[k];
            use_each(u, seek, &s);
            if (s.found && !u->broken)
                use_broken(&l->files[i], u, error);
        }
}

void flow_compile(struct flow_loader *loader, struct flow_file *files, size_t n)
{
    struct left l = {.files = files, .files_n = n};
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < files[i].uses_n; k++)
            use_each(&files[i].uses[k], left_add, &l);
    if (l.no_memory || expr_compile_later(l.list, l.n, left_wrong, &l) != 0)
        loader->no_memory = true;
    free(l.list);
}
