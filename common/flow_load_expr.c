#include "common/flow_loader.h"

#include <ctype.h>
#include <stdio.h>
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
    const char *help = "mend the expression (jq 1.6)";
    if (strstr(e->text, "syntax error"))
        help = jq_help(r, &offset);
    findings_add(findings, yaml_place_in(r->node, offset), FINDING_JQ, "%s\n%s", e->text, help);
}

/* ---- reading */

static struct flow_use *use_add(struct flow_file *f, const struct yaml_node *n, const char *what)
{
    struct flow_use *u = f->uses_n < FLOW_USES_MAX ? &f->uses[f->uses_n++] : NULL;
    if (u)
        *u = (struct flow_use){.node = n, .what = what};
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
    else if (text[0] == '.' && !isdigit((unsigned char)text[1]))
        findings_add(findings, yaml_place_in(n, (size_t)(text - n->text)), FINDING_DOT,
                     "`.` is not data here\nbegin with a variable, like `$request%s`",
                     is_word(text[1]) ? text : "");
    else
        return true;
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
    int err = expr_compile(n->text, visible, &out, &error);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        jq_error(&(struct refused){f, n, visible, false}, &error);
    struct flow_use *u = out ? use_add(f, n, what) : NULL;
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
    struct json *literal = value_json(f->loader, n);
    if (!literal)
        return NULL;
    size_t before = f->loader->findings->errors;
    int err = template_compile(literal, place, visible, &out, &error);
    json_free(literal);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        template_errors(f, n, place, visible);
    if (err == ERR_EXPRESSION && f->loader->findings->errors == before)
        findings_add(f->loader->findings, yaml_place(value_at_pointer(n, error.pointer)),
                     FINDING_JQ, "%s\nmend the value", error.expr.text);
    struct flow_use *u = out ? use_add(f, n, n->key ? n->key : "body") : NULL;
    if (u) {
        u->template = out;
        u->text = place != TEMPLATE_BODY;
    }
    return out;
}

struct sql_template *flow_sql_read(struct flow_file *f, const struct yaml_node *n, unsigned visible)
{
    struct sql_template *out = NULL;
    struct expr_error error = {0};
    if (!flow_variables_lint(f, n, visible, true))
        return NULL;
    int err = sql_template_compile(n->text, visible, &out, &error);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        jq_error(&(struct refused){f, n, visible, true}, &error);
    struct flow_use *u = out ? use_add(f, n, "sql") : NULL;
    if (u)
        u->sql = out;
    return out;
}
