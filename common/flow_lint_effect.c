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

/* ---- time */

static void lint_wait(struct flow_file *f, int64_t deadline_ms)
{
    char wait[VALUE_DURATION], deadline[VALUE_DURATION];
    value_print_duration(f->flow->wait_ms, wait);
    value_print_duration(deadline_ms, deadline);
    if (f->flow->wait_ms > deadline_ms)
        findings_add(f->loader->findings, yaml_place(yaml_get(yaml_root(f->yaml), "wait")),
                     FINDING_W_DEADLINE,
                     "`wait` of %s is longer than the deadline of %s\nshorten it, or give the flow "
                     "more time",
                     wait, deadline);
}

/* A round that is not due before the deadline is none (job_again_due); its wait begins when the
 * round before it has failed. */
static void lint_requeue(struct flow_file *f, int64_t deadline_ms)
{
    const struct yaml_node *list = yaml_get(yaml_root(f->yaml), "requeue");
    const struct yaml_node *n = f->flow->requeue_n ? list->first : NULL;
    int64_t due_ms = 0;
    for (size_t i = 0; n && due_ms < deadline_ms; i++, n = n->next) {
        char due[VALUE_DURATION], deadline[VALUE_DURATION];
        due_ms += f->flow->requeue_ms[i];
        value_print_duration(due_ms, due);
        value_print_duration(deadline_ms, deadline);
        if (due_ms >= deadline_ms)
            findings_add(f->loader->findings, yaml_place(n), FINDING_W_DEADLINE,
                         "this round is due %s after acceptance at the earliest, and the "
                         "deadline is %s\nshorten the waits, or give the flow more time",
                         due, deadline);
    }
}

void flow_lint_effect(struct flow_file *f)
{
    int64_t deadline_ms = f->flow->deadline_ms;
    if (f->flow->access == ACCESS_INTERNAL)
        lint_internal(f);
    else if (deadline_ms)
        lint_wait(f, deadline_ms);
    if (deadline_ms)
        lint_requeue(f, deadline_ms);
}
