#include "common/flow_loader.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static const char *const variables[VAR_COUNT] = {
    [VAR_REQUEST] = "request", [VAR_USER] = "user",     [VAR_JOB] = "job",
    [VAR_ROWS] = "rows",       [VAR_CALLS] = "calls",   [VAR_ITEM] = "item",
    [VAR_INDEX] = "index",     [VAR_STATUS] = "status", [VAR_HEADERS] = "headers",
    [VAR_BODY] = "body",       [VAR_RESULT] = "result", [VAR_ERROR] = "error",
};

static int variable_find(const char *name)
{
    for (int v = 0; v < VAR_COUNT; v++)
        if (strcmp(variables[v], name) == 0)
            return v;
    return -1;
}

static void print_variables(unsigned visible, char *out, size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (int v = 0; v < VAR_COUNT && len < size; v++)
        if (visible & VAR_BIT(v))
            len += (size_t)snprintf(out + len, size - len, " `$%s`", variables[v]);
}

/* One expression, or one string of a template, under the lint of its variables. */
struct lint {
    struct flow_file *file;
    const struct yaml_node *node;
    unsigned visible;
    bool template;
    bool bad; /* a finding was made: do not compile, it would say the same less well */
};

static void lint_bare(struct lint *l, const struct flow_ref *r)
{
    char path[SCAN_NAME * 2 + 2];
    snprintf(path, sizeof path, "%s%s%s", r->name, r->fields ? "." : "",
             r->fields ? r->field[0] : "");
    findings_add(l->file->loader->findings, yaml_place_in(l->node, r->offset), FINDING_BARE,
                 "`$%s` outside `\\( )` goes out as this very text\nwrite `\\($%s)`", path, path);
    l->bad = true;
}

static void lint_invisible(struct lint *l, const struct flow_ref *r)
{
    char list[200];
    print_variables(l->visible, list, sizeof list);
    findings_add(l->file->loader->findings, yaml_place_in(l->node, r->offset), FINDING_INVISIBLE,
                 "`$%s` cannot be seen here\nvisible:%s", r->name, list);
    l->bad = true;
}

static void lint_user(struct lint *l, const struct flow_ref *r)
{
    if (l->file->shared)
        findings_add(l->file->loader->findings, yaml_place_in(l->node, r->offset), FINDING_CACHE,
                     "`$user` in a flow whose cache is shared by everybody\nuse `cache.scope: "
                     "user`, or leave `$user` out");
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-';
}

/* `$calls.a-mart` is a subtraction for jq; the name meant, with its length, if a call has it. */
static size_t dashed_name(const struct lint *l, const struct flow_ref *r, char name[SCAN_NAME])
{
    const char *start = l->node->text + r->field_offset[0];
    size_t len = 0;
    while (is_word(start[len]))
        len++;
    if (len >= SCAN_NAME || len == strlen(r->field[0]) || start[-1] != '.')
        return 0;
    memcpy(name, start, len);
    name[len] = 0;
    return yaml_get(l->file->calls, name) ? len : 0;
}

static void lint_dashed(struct lint *l, const struct flow_ref *r, const char *name)
{
    findings_add(l->file->loader->findings, yaml_place_in(l->node, r->field_offset[0]), FINDING_JQ,
                 "jq reads `%s` as a subtraction\na name with `-` needs quotes: `$calls[\"%s\"]`",
                 name, name);
    l->bad = true;
}

static void lint_call_unknown(struct lint *l, const struct flow_ref *r)
{
    const char *names[FLOW_CALLS_MAX];
    size_t n = 0;
    for (const struct yaml_node *c = l->file->calls ? l->file->calls->first : NULL;
         c && n < FLOW_CALLS_MAX; c = c->next)
        names[n++] = c->key;
    const char *near = nearest_name(r->field[0], names, n);
    struct finding_place at = yaml_place_in(l->node, r->field_offset[0]);
    if (near)
        findings_add(l->file->loader->findings, at, FINDING_CALL,
                     "no call is named `%s`\ndid you mean `%s`?", r->field[0], near);
    else
        findings_add(l->file->loader->findings, at, FINDING_CALL,
                     "no call is named `%s`\ndeclare it in `calls`", r->field[0]);
    l->bad = true;
}

static void lint_calls(struct lint *l, const struct flow_ref *r)
{
    char name[SCAN_NAME];
    if (!r->fields) {
        l->file->all_calls_read = true;
        return;
    }
    size_t at = 0;
    for (const struct yaml_node *c = l->file->calls ? l->file->calls->first : NULL; c;
         c = c->next, at++)
        if (strcmp(c->key, r->field[0]) == 0) {
            if (at < FLOW_CALLS_MAX)
                l->file->call_read[at] = true;
            return;
        }
    l->file->all_calls_read = true; /* which one is meant is not known */
    if (dashed_name(l, r, name))
        lint_dashed(l, r, name);
    else
        lint_call_unknown(l, r);
}

static void lint_bound(struct lint *l, const struct flow_ref *r)
{
    findings_add(l->file->loader->findings, yaml_place_in(l->node, r->offset), FINDING_INVISIBLE,
                 "`$%s` is a name of the flow language\nuse another one for a variable of your own",
                 r->name);
    l->bad = true;
}

static void lint_ref(struct lint *l, const struct flow_ref *r)
{
    int v = variable_find(r->name);
    if (v < 0)
        return;
    if (r->bare)
        lint_bare(l, r);
    else if (r->bound)
        lint_bound(l, r);
    else if (!(l->visible & VAR_BIT(v)))
        lint_invisible(l, r);
    else if (v == VAR_USER)
        lint_user(l, r);
    else if (v == VAR_CALLS)
        lint_calls(l, r);
}

/* Names the expression binds itself (`. as $item | ...`): one finding, where it does. */
static unsigned bound_names(const char *text, bool template)
{
    struct flow_scan s;
    struct flow_ref r;
    unsigned bound = 0;
    flow_scan_init(&s, text, template);
    while (flow_scan_next(&s, &r)) {
        int v = variable_find(r.name);
        if (v >= 0 && r.bound)
            bound |= VAR_BIT(v);
    }
    return bound;
}

static void lint_text(struct lint *l)
{
    struct flow_scan s;
    struct flow_ref r;
    unsigned bound = bound_names(l->node->text, l->template);
    flow_scan_init(&s, l->node->text, l->template);
    while (flow_scan_next(&s, &r)) {
        int v = variable_find(r.name);
        if (v < 0 || r.bare || r.bound || !(bound & VAR_BIT(v)))
            lint_ref(l, &r);
    }
}

/* ---- jq's own errors */

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

static void jq_undefined(struct lint *l, const char *name, const char *at)
{
    const char *text = l->node->text;
    const char *start = at;
    const char *names[VAR_COUNT];
    struct findings *findings = l->file->loader->findings;
    size_t n = 0;
    while (start > text && is_word(start[-1]))
        start--;
    if (name[0] != '$' && at > start && at[-1] == '-') {
        findings_add(findings, yaml_place_in(l->node, (size_t)(start - text)), FINDING_JQ,
                     "jq reads `%.*s` as a subtraction and knows no `%s`\na name with `-` needs "
                     "quotes: `[\"%.*s\"]`",
                     (int)(at - start) + (int)strlen(name), start, name,
                     (int)(at - start) + (int)strlen(name), start);
        return;
    }
    for (int v = 0; v < VAR_COUNT; v++)
        if (l->visible & VAR_BIT(v))
            names[n++] = variables[v];
    const char *near = name[0] == '$' ? nearest_name(name + 1, names, n) : NULL;
    if (near)
        findings_add(findings, yaml_place_in(l->node, (size_t)(at - text)), FINDING_JQ,
                     "`%s` is not defined\ndid you mean `$%s`?", name, near);
    else
        findings_add(findings, yaml_place_in(l->node, (size_t)(at - text)), FINDING_JQ,
                     "`%s` is not defined\ncheck the name against the reference", name);
}

static void jq_error(struct lint *l, const struct expr_error *e)
{
    char name[SCAN_NAME];
    const char *at = NULL;
    if (!l->node->text) {
        findings_add(l->file->loader->findings, yaml_place(l->node), FINDING_JQ,
                     "%s\nmend the value", e->text);
        return;
    }
    if (undefined_name(e->text, name))
        at = word_find(l->node->text, name);
    if (at) {
        jq_undefined(l, name, at);
        return;
    }
    size_t offset = text_offset(l->node->text, e->line, e->column);
    findings_add(l->file->loader->findings, yaml_place_in(l->node, offset), FINDING_JQ,
                 "%s\nmend the expression (jq 1.6)", e->text);
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
    struct lint l = {.file = f, .node = n, .visible = visible};
    lint_text(&l);
    int err = l.bad ? 0 : expr_compile(n->text, visible, &out, &error);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err)
        jq_error(&l, &error);
    struct flow_use *u = out ? use_add(f, n, what) : NULL;
    if (u)
        u->expr = out;
    return out;
}

/* All strings of a literal. */
static bool lint_literal(struct flow_file *f, const struct yaml_node *n, unsigned visible)
{
    bool bad = false;
    if (n->type == YAML_TEXT) {
        struct lint l = {.file = f, .node = n, .visible = visible, .template = true};
        lint_text(&l);
        bad = l.bad;
    }
    for (const struct yaml_node *c = n->first; c; c = c->next)
        bad |= lint_literal(f, c, visible);
    return bad;
}

struct template *flow_template_read(struct flow_file *f, const struct yaml_node *n,
                                    enum template_place place, unsigned visible)
{
    struct template *out = NULL;
    struct template_error error = {0};
    if (!n || lint_literal(f, n, visible))
        return NULL;
    struct json *literal = value_json(f->loader, n);
    if (!literal)
        return NULL;
    int err = template_compile(literal, place, visible, &out, &error);
    json_free(literal);
    if (err == ERR_NOMEM)
        f->loader->no_memory = true;
    else if (err) {
        struct lint l = {.file = f, .node = value_at_pointer(n, error.pointer), .visible = visible};
        jq_error(&l, &error.expr);
    }
    struct flow_use *u = out ? use_add(f, n, n->key ? n->key : "body") : NULL;
    if (u) {
        u->template = out;
        u->text = place != TEMPLATE_BODY;
    }
    return out;
}
