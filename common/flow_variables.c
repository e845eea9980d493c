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

const char *flow_variable_name(enum expr_var v)
{
    return variables[v];
}

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
    bool bad;
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

/* `$calls.a-mart` is a subtraction for jq; the name meant, with its length, if the map has it. */
static size_t dashed_name(const struct lint *l, const struct yaml_node *map,
                          const struct flow_ref *r, char name[SCAN_NAME])
{
    const char *start = l->node->text + r->field_offset[0];
    size_t len = 0;
    while (is_word(start[len]))
        len++;
    if (len >= SCAN_NAME || len == strlen(r->field[0]) || start[-1] != '.')
        return 0;
    memcpy(name, start, len);
    name[len] = 0;
    return yaml_get(map, name) ? len : 0;
}

static void lint_dashed(struct lint *l, const struct flow_ref *r, const char *name)
{
    findings_add(l->file->loader->findings, yaml_place_in(l->node, r->field_offset[0]), FINDING_JQ,
                 "jq reads `%s` as a subtraction\na name with `-` needs quotes: `$%s[\"%s\"]`",
                 name, r->name, name);
    l->bad = true;
}

/* May the call being read see this one? Outside of calls all are seen. */
static bool sees(const struct flow_file *f, const char *name)
{
    const struct yaml_node *after = f->call ? yaml_get(f->call, "after") : NULL;
    for (const struct yaml_node *n = after ? after->first : NULL; n; n = n->next)
        if (n->text && strcmp(n->text, name) == 0)
            return true;
    return !f->call;
}

static void lint_unseen(struct lint *l, const struct flow_ref *r)
{
    struct finding_place at = yaml_place_in(l->node, r->offset);
    if (l->file->call && strcmp(l->file->call->key, r->field[0]) == 0)
        findings_add(l->file->loader->findings, at, FINDING_INVISIBLE,
                     "`$calls.%s` is this very call\nits answer is `$body`, in `ok` and `result`",
                     r->field[0]);
    else
        findings_add(l->file->loader->findings, at, FINDING_INVISIBLE,
                     "`$calls.%s` is not in `after`\nadd `%s` to this call's `after`", r->field[0],
                     r->field[0]);
    l->bad = true;
}

static void lint_all_calls(struct flow_file *f)
{
    const struct yaml_node *after = f->call ? yaml_get(f->call, "after") : NULL;
    for (const struct yaml_node *n = after ? after->first : NULL; n; n = n->next) {
        int place = n->text ? flow_call_place(f, n->text) : -1;
        if (place >= 0 && place < FLOW_CALLS_MAX)
            f->call_read[place] = true;
    }
    f->all_calls_read |= !f->call;
}

static void lint_calls(struct lint *l, const struct flow_ref *r)
{
    char name[SCAN_NAME];
    if (!r->fields) {
        lint_all_calls(l->file);
        return;
    }
    int place = flow_call_place(l->file, r->field[0]);
    if (place >= 0 && !sees(l->file, r->field[0])) {
        lint_unseen(l, r);
    } else if (place >= 0) {
        if (place < FLOW_CALLS_MAX)
            l->file->call_read[place] = true;
    } else {
        l->file->all_calls_read = true; /* which one is meant is not known */
        if (dashed_name(l, l->file->calls, r, name)) {
            lint_dashed(l, r, name);
        } else {
            flow_call_unknown(l->file, yaml_place_in(l->node, r->field_offset[0]), r->field[0]);
            l->bad = true;
        }
    }
}

/* Is this entry of `load` there, and above the one being read? */
static bool is_loaded(const struct flow_file *f, const char *name)
{
    const struct yaml_node *m = f->loads ? f->loads->first : NULL;
    for (; m && m != f->load; m = m->next)
        if (strcmp(m->key, name) == 0)
            return true;
    return false;
}

static void lint_rows(struct lint *l, const struct flow_ref *r)
{
    struct flow_file *f = l->file;
    char name[SCAN_NAME];
    const char *names[FLOW_LOADS_MAX];
    size_t n = 0;
    if (!r->fields || is_loaded(f, r->field[0]))
        return;
    l->bad = true;
    if (dashed_name(l, f->loads, r, name)) {
        lint_dashed(l, r, name);
        return;
    }
    const struct yaml_node *m = f->loads ? f->loads->first : NULL;
    for (; m && m != f->load && n < FLOW_LOADS_MAX; m = m->next)
        names[n++] = m->key;
    const char *near = nearest_name(r->field[0], names, n);
    struct finding_place at = yaml_place_in(l->node, r->field_offset[0]);
    if (near)
        findings_add(f->loader->findings, at, FINDING_ROWS,
                     "`load` has no `%s`\ndid you mean `%s`?", r->field[0], near);
    else
        findings_add(f->loader->findings, at, FINDING_ROWS, "`load` has no `%s`%s\ndeclare it%s",
                     r->field[0], f->load ? " above" : "", f->load ? " above this one" : " there");
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
    /* in a call, whether the one that is named can be seen has a better answer than the variable */
    bool named = v == VAR_CALLS && l->file->call && r->fields;
    if (r->bare)
        lint_bare(l, r);
    else if (r->bound)
        lint_bound(l, r);
    else if (!named && !(l->visible & VAR_BIT(v)))
        lint_invisible(l, r);
    else if (v == VAR_USER)
        lint_user(l, r);
    else if (v == VAR_CALLS)
        lint_calls(l, r);
    else if (v == VAR_ROWS)
        lint_rows(l, r);
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

bool flow_variables_lint(struct flow_file *f, const struct yaml_node *n, unsigned visible,
                         bool template)
{
    /* what a pool's item was made of is not known when it is used */
    if (f->pool && visible & (VAR_BIT(VAR_RESULT) | VAR_BIT(VAR_ERROR)))
        visible &= ~VAR_BIT(VAR_CALLS);
    struct lint l = {.file = f, .node = n, .visible = visible};
    struct flow_scan s;
    struct flow_ref r;
    unsigned bound = bound_names(n->text, template);
    flow_scan_init(&s, n->text, template);
    while (flow_scan_next(&s, &r)) {
        int v = variable_find(r.name);
        if (v < 0 || r.bare || r.bound || !(bound & VAR_BIT(v)))
            lint_ref(&l, &r);
    }
    return !l.bad;
}
