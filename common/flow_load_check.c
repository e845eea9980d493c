/* `check`: rules about the request and the rows, with what the user is told. */
#include "common/flow_loader.h"

static void read_check(struct flow_file *f, const struct yaml_node *m, struct flow_check *out)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *text = yaml_get(m, "else");
    if (!flow_keys_check(l, m, MAP_CHECK))
        return;
    if (!yaml_get(m, "that"))
        flow_key_missing(l, m, "that", "write what must be true, like `that: $rows.user != []`");
    if (!text)
        flow_key_missing(l, m, "else", "write what the user is told if it is not true");
    out->when = flow_when_read(f, m, VARS_RUN);
    out->that = flow_expr_read(f, yaml_get(m, "that"), "that", VARS_RUN);
    if (value_text(l, text))
        out->message = flow_template_read(f, text, TEMPLATE_TEXT, VARS_RUN);
}

void flow_load_checks(struct flow_file *f, const struct yaml_node *list)
{
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    if (list->n > FLOW_CHECKS_MAX) {
        findings_add(f->loader->findings, yaml_place_key(list), FINDING_LIMIT,
                     "more than %d entries in `check`\njoin some with `and`", FLOW_CHECKS_MAX);
        return;
    }
    f->flow->checks = value_array(f->loader, list->n, sizeof *f->flow->checks);
    for (const struct yaml_node *m = list->first; m && f->flow->checks; m = m->next)
        read_check(f, m, &f->flow->checks[f->flow->checks_n++]);
}
