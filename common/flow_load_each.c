/* `when` and `for_each`, which calls, saves and others share. */
#include "common/flow_loader.h"

#include <string.h>

static struct expr *read_wanting(struct flow_file *f, const struct yaml_node *n, unsigned visible,
                                 enum use_want want)
{
    struct expr *e = flow_expr_read(f, n, n ? n->key : "", visible);
    if (e && f->uses_n)
        f->uses[f->uses_n - 1].want = want;
    return e;
}

struct expr *flow_when_read(struct flow_file *f, const struct yaml_node *map, unsigned visible)
{
    return read_wanting(f, yaml_get(map, "when"), visible, WANT_TRUTH);
}

/* A literal list is no template: what looks like one would go out as it is. */
static void lint_literal(struct flow_file *f, const struct yaml_node *n)
{
    const char *hole = n->type == YAML_TEXT ? strstr(n->text, "\\(") : NULL;
    if (hole)
        findings_add(f->loader->findings, yaml_place_in(n, (size_t)(hole - n->text)), FINDING_HOLE,
                     "`\\(` in a list of `for_each` stays as it is\nwrite the list as an "
                     "expression, like `'[$request.a, $request.b]'`");
    else if (n->type == YAML_TEXT)
        (void)flow_variables_lint(f, n, 0, true);
    for (const struct yaml_node *c = n->first; c; c = c->next)
        lint_literal(f, c);
}

void flow_each_read(struct flow_file *f, const struct yaml_node *map, unsigned visible,
                    struct flow_each *out)
{
    const struct yaml_node *n = yaml_get(map, "for_each");
    if (!n || n->missing)
        return;
    if (n->type != YAML_LIST) {
        out->expr = read_wanting(f, n, visible, WANT_LIST);
        return;
    }
    lint_literal(f, n);
    out->list = value_json(f->loader, n);
}
