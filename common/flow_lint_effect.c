/* Keys that say something right, and can have no effect in this flow. */
#include "common/flow_loader.h"

static void lint_http_only(struct flow_file *f, const struct yaml_node *n)
{
    if (n)
        findings_add(f->loader->findings, yaml_place_key(n), FINDING_W_EFFECT,
                     "`%s` is for requests over HTTP, and `access: internal` takes none\nleave it "
                     "out",
                     n->key);
}

/* Warnings, not errors: a flow that is to be removed becomes `internal` first, and what is under
 * way still goes by these (a shared job is nobody's, a field that was set is there). */
static void lint_internal(struct flow_file *f)
{
    static const char *const keys[] = {"token_scope", "wait", "limits", "cache"};
    const struct yaml_node *root = yaml_root(f->yaml);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        lint_http_only(f, yaml_get(root, keys[i]));
    lint_http_only(f, yaml_get(yaml_get(root, "request"), "set"));
}

void flow_lint_effect(struct flow_file *f)
{
    if (f->flow->access == ACCESS_INTERNAL)
        lint_internal(f);
}
