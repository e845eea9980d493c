/* The order of calls: `after` names others, and none may lead back to where it started. */
#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

int flow_call_place(const struct flow_file *f, const char *name)
{
    int at = 0;
    for (const struct yaml_node *c = f->calls ? f->calls->first : NULL; c; c = c->next, at++)
        if (strcmp(c->key, name) == 0)
            return at;
    return -1;
}

void flow_call_unknown(struct flow_file *f, struct finding_place at, const char *name)
{
    const char *names[FLOW_CALLS_MAX];
    size_t n = 0;
    for (const struct yaml_node *c = f->calls ? f->calls->first : NULL; c && n < FLOW_CALLS_MAX;
         c = c->next)
        names[n++] = c->key;
    const char *near = nearest_name(name, names, n);
    if (near)
        findings_add(f->loader->findings, at, FINDING_CALL,
                     "no call is named `%.80s`\ndid you mean `%s`?", name, near);
    else
        findings_add(f->loader->findings, at, FINDING_CALL,
                     "no call is named `%.80s`\ndeclare it in `calls`", name);
}

static bool has(const struct flow_call *c, int place)
{
    for (size_t i = 0; i < c->after_n; i++)
        if (c->after[i] == place)
            return true;
    return false;
}

void flow_load_after(struct flow_file *f, const struct yaml_node *list, struct flow_call *call)
{
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    call->after = value_array(f->loader, FLOW_CALLS_MAX, sizeof *call->after);
    for (const struct yaml_node *n = list->first; n && call->after; n = n->next) {
        const char *name = value_text(f->loader, n);
        int place = name ? flow_call_place(f, name) : -1;
        if (place < 0) {
            if (name)
                flow_call_unknown(f, yaml_place(n), name);
        } else if (has(call, place)) {
            findings_add(f->loader->findings, yaml_place(n), FINDING_VALUE,
                         "`%s` stands twice in `after`\nremove one", name);
        } else {
            call->after[call->after_n++] = (uint8_t)place;
            f->call_read[place] = true; /* to wait for it is a use */
        }
    }
}

/* ---- cycles */

struct walk {
    const struct flow *flow;
    size_t goal;
    bool seen[FLOW_CALLS_MAX];
    uint8_t path[FLOW_CALLS_MAX]; /* from a call of the goal's `after` to the goal */
    size_t n;
};

static bool leads_to_goal(struct walk *w, size_t at)
{
    if (w->seen[at])
        return false;
    w->seen[at] = true;
    w->path[w->n++] = (uint8_t)at;
    if (at == w->goal)
        return true;
    const struct flow_call *c = &w->flow->calls[at];
    for (size_t i = 0; i < c->after_n; i++)
        if (leads_to_goal(w, c->after[i]))
            return true;
    w->n--;
    return false;
}

static bool is_cycle(struct walk *w)
{
    const struct flow_call *c = &w->flow->calls[w->goal];
    for (size_t i = 0; i < c->after_n; i++)
        if (leads_to_goal(w, c->after[i]))
            return true;
    return false;
}

static void cycle_found(struct flow_file *f, const struct yaml_node *call, const struct walk *w)
{
    char path[600];
    size_t len = (size_t)snprintf(path, sizeof path, "`%s`", call->key);
    for (size_t i = 0; i < w->n && len < sizeof path; i++)
        len += (size_t)snprintf(path + len, sizeof path - len, " after `%s`",
                                f->flow->calls[w->path[i]].name);
    findings_add(f->loader->findings, yaml_place_key(yaml_get(call, "after")), FINDING_CYCLE,
                 "%s: none of them can start\nremove one of these from `after`", path);
}

/* ---- once, behind something that is forgotten */

/* A call before this one, over any number of others, that leaves no row; NULL: none. */
static const struct flow_call *unrecorded_before(const struct flow *f, const struct flow_call *c,
                                                 bool seen[FLOW_CALLS_MAX])
{
    const struct flow_call *found = NULL;
    for (size_t i = 0; i < c->after_n && !found; i++) {
        const struct flow_call *before = &f->calls[c->after[i]];
        if (seen[c->after[i]])
            continue;
        seen[c->after[i]] = true;
        found = before->unrecorded ? before : unrecorded_before(f, before, seen);
    }
    return found;
}

/* After a crash it would be asked again, might answer otherwise, and what is made of the answer
 * would be another call for the ledger. */
static void lint_once(struct flow_file *f, const struct yaml_node *node, const struct flow_call *c)
{
    bool seen[FLOW_CALLS_MAX] = {false};
    const struct flow_call *before = c->never_again ? unrecorded_before(f->flow, c, seen) : NULL;
    if (before)
        findings_add(f->loader->findings, yaml_place_key(yaml_get(node, "after")), FINDING_VALUE,
                     "`repeat: never` behind `%s`, whose answer is not recorded\nleave `ledger: "
                     "false` out of `%s`",
                     before->name, before->name);
}

/* Each call is in one finding at most: mending that one shows what is left. */
void flow_lint_after(struct flow_file *f)
{
    bool told[FLOW_CALLS_MAX] = {false};
    size_t at = 0;
    const struct yaml_node *node = f->flow->calls_n ? f->calls->first : NULL;
    for (; node && at < f->flow->calls_n; node = node->next, at++) {
        struct walk w = {.flow = f->flow, .goal = at};
        lint_once(f, node, &f->flow->calls[at]);
        if (told[at] || f->loader->no_memory || !is_cycle(&w))
            continue;
        cycle_found(f, node, &w);
        for (size_t i = 0; i < w.n; i++)
            told[w.path[i]] = true;
    }
}
