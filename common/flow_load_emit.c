/* What a flow sends on when it is over, and when it is made again: `emit`, `requeue`, `order`,
 * `notify`. Which flow an `emit` means is known when all files are read. */
#include "common/flow_loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOUR_MS ((int64_t)3600 * 1000)

struct flow_emit_ref { /* where `emit[entry]` of a flow goes; its file is closed meanwhile */
    struct flow *from;
    size_t entry;
    bool topic;        /* of others; else a flow */
    char *name, *file; /* owned */
    unsigned line, column;
};

static const struct yaml_node *top(const struct flow_file *f, const char *key)
{
    return yaml_get(yaml_root(f->yaml), key);
}

/* ---- emit */

static unsigned at_emit(const struct yaml_node *map)
{
    return yaml_get(map, "for_each") ? VARS_SAVE | VARS_ITEM : VARS_SAVE;
}

static void ref_add(struct flow_file *f, const struct yaml_node *n, const char *name, bool topic)
{
    struct flow_loader *l = f->loader;
    struct flow_emit_ref *list = realloc(l->emits, (l->emits_n + 1) * sizeof *list);
    if (!list) {
        l->no_memory = true;
        return;
    }
    struct finding_place at = yaml_place(n);
    l->emits = list;
    list[l->emits_n++] = (struct flow_emit_ref){.from = f->flow,
                                                .entry = f->flow->emits_n,
                                                .topic = topic,
                                                .name = value_copy(l, name),
                                                .file = value_copy(l, at.file),
                                                .line = at.line,
                                                .column = at.column};
}

/* Where it goes: a flow, or a topic of others. */
static void read_target(struct flow_file *f, const struct yaml_node *map, struct flow_emit *e)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *flow = yaml_get(map, "flow"), *topic = yaml_get(map, "topic");
    const struct yaml_node *key = yaml_get(map, "key");
    const char *name = value_text(l, flow), *text = value_text(l, topic);
    if (!flow && !topic)
        findings_add(
            l->findings, yaml_place(map), FINDING_REQUIRED,
            "`emit` does not say where to\nwrite `flow: NAME`, or `topic: NAME` of others");
    if (flow && topic)
        findings_add(l->findings, yaml_place_key(topic), FINDING_VALUE,
                     "`flow` and `topic` in one entry\nleave one out");
    if (flow && key)
        findings_add(l->findings, yaml_place_key(key), FINDING_VALUE,
                     "`key` beside `flow`\nleave it out: the flow's own `request.key` counts");
    if (name)
        ref_add(f, flow, name, false);
    if (!text || !flow_topic_name(l, topic, text))
        return;
    ref_add(f, topic, text, true);
    e->topic = value_copy(l, text);
    e->key = flow_expr_read(f, key, "emit.key", at_emit(map));
}

static void read_entry(struct flow_file *f, const struct yaml_node *map)
{
    struct flow_emit *e = &f->flow->emits[f->flow->emits_n];
    if (!flow_keys_check(f->loader, map, MAP_EMIT))
        return;
    e->when = flow_when_read(f, map, VARS_SAVE);
    flow_each_read(f, map, VARS_SAVE, &e->each);
    read_target(f, map, e);
    if (!yaml_get(map, "value"))
        findings_add(f->loader->findings, yaml_place(map), FINDING_REQUIRED,
                     "`value` is missing\nwrite what is sent, like `value: {id: \\($job.id)}`");
    e->value = flow_template_read(f, yaml_get(map, "value"), TEMPLATE_BODY, at_emit(map));
}

static void read_emits(struct flow_file *f)
{
    const struct yaml_node *list = top(f, "emit");
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    if (list->n > FLOW_EMITS_MAX) {
        findings_add(f->loader->findings, yaml_place_key(list), FINDING_LIMIT,
                     "more than %d entries\nuse `for_each`, or a flow of its own", FLOW_EMITS_MAX);
        return;
    }
    f->flow->emits = value_array(f->loader, list->n, sizeof *f->flow->emits);
    for (const struct yaml_node *m = list->first; m && f->flow->emits; m = m->next) {
        read_entry(f, m);
        f->flow->emits_n++;
    }
}

/* ---- requeue, order */

static void read_requeue(struct flow_file *f)
{
    const struct yaml_node *list = top(f, "requeue");
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    if (list->n > FLOW_REQUEUE_MAX) {
        findings_add(f->loader->findings, yaml_place_key(list), FINDING_LIMIT,
                     "more than %d waits\nmake them longer", FLOW_REQUEUE_MAX);
        return;
    }
    for (const struct yaml_node *n = list->first; n; n = n->next)
        f->flow->requeue_ms[f->flow->requeue_n++] = value_duration(
            f->loader, n, (struct value_range){1000, INT64_C(30) * 24 * HOUR_MS, 1000});
}

static void read_order(struct flow_file *f)
{
    static const char *const names[] = {"none", "key"};
    const struct yaml_node *n = top(f, "order");
    struct flow *flow = f->flow;
    flow->ordered = value_choice(f->loader, n, names, 2, 0) == 1;
    if (!flow->ordered)
        return;
    if (!yaml_get(top(f, "request"), "key"))
        findings_add(f->loader->findings, yaml_place(n), FINDING_ORDER,
                     "`order: key` without `request.key`\nwrite what the jobs are ordered by, like "
                     "`key: $request.id`");
    if (flow->deadline_ms == 0)
        findings_add(f->loader->findings, yaml_place(n), FINDING_ORDER,
                     "`order: key` with `deadline: none`\ngive the flow a deadline: the next job "
                     "of a key waits for the one before");
    if (flow->requeue_n)
        findings_add(f->loader->findings, yaml_place(n), FINDING_ORDER,
                     "`order: key` with `requeue`\nleave one out: a job that waits for its next "
                     "round would hold back its key");
}

/* ---- notify */

static void read_notify(struct flow_file *f)
{
    const struct yaml_node *map = top(f, "notify");
    if (!flow_keys_check(f->loader, map, MAP_NOTIFY))
        return;
    const struct yaml_node *done = yaml_get(map, "done"), *failed = yaml_get(map, "failed");
    if (value_text(f->loader, done))
        f->flow->notify.done = flow_template_read(f, done, TEMPLATE_TEXT, VARS_SAVE);
    if (value_text(f->loader, failed))
        f->flow->notify.failed =
            flow_template_read(f, failed, TEMPLATE_TEXT, VARS_END | VAR_BIT(VAR_ERROR));
}

void flow_load_emit(struct flow_file *f)
{
    read_emits(f);
    read_requeue(f);
    read_order(f);
    read_notify(f);
}

/* ---- all flows */

static struct finding_place place_of(const struct flow_emit_ref *r)
{
    return (struct finding_place){r->file, r->line, r->column};
}

static void flow_unknown(struct flow_loader *l, const struct flow_emit_ref *r)
{
    const char *near = flow_nearest(l->set, r->name);
    if (near)
        findings_add(l->findings, place_of(r), FINDING_FLOW,
                     "no flow is named `%.80s`\ndid you mean `%s`?", r->name, near);
    else
        findings_add(l->findings, place_of(r), FINDING_FLOW,
                     "no flow is named `%.80s`\nput its file into this folder, or write `topic` if "
                     "others read it",
                     r->name);
}

struct walk {
    const struct flow_loader *l;
    const struct flow *goal;
    bool seen[FLOWS_MAX];
    const struct flow *path[FLOWS_MAX]; /* to the goal */
    size_t n;
};

/* Over entries that are always done. */
static bool leads_to_goal(struct walk *w, const struct flow *at)
{
    size_t number = (size_t)(at - w->l->set->flows);
    if (w->seen[number])
        return false;
    w->seen[number] = true;
    w->path[w->n++] = at;
    if (at == w->goal)
        return true;
    for (size_t i = 0; i < at->emits_n; i++)
        if (at->emits[i].flow && !at->emits[i].when && leads_to_goal(w, at->emits[i].flow))
            return true;
    w->n--;
    return false;
}

static void cycle_found(struct flow_loader *l, const struct flow_emit_ref *r, const struct walk *w)
{
    char path[600];
    size_t len = (size_t)snprintf(path, sizeof path, "`%s`", r->from->name);
    for (size_t i = 0; i < w->n && len < sizeof path; i++)
        len += (size_t)snprintf(path + len, sizeof path - len, " starts `%s`", w->path[i]->name);
    findings_add(l->findings, place_of(r), FINDING_EMIT_CYCLE,
                 "%s: this never ends\ngive one of these entries a `when`", path);
}

static void lint_cycle(struct flow_loader *l, const struct flow_emit_ref *r)
{
    const struct flow_emit *e = &r->from->emits[r->entry];
    struct walk *w = e->flow && !e->when ? value_array(l, 1, sizeof *w) : NULL;
    if (!w)
        return;
    w->l = l;
    w->goal = r->from;
    if (leads_to_goal(w, e->flow))
        cycle_found(l, r, w);
    free(w);
}

/* A topic of ours is no topic of others: the record would miss its id and its owner. */
static void lint_topic(struct flow_loader *l, const struct flow_emit_ref *r)
{
    const struct flow *reader = flow_by_topic(l->set, r->name);
    if (reader)
        findings_add(l->findings, place_of(r), FINDING_TOPIC,
                     "the flow `%s` reads `%s`\nwrite `flow: %s`", reader->name, r->name,
                     reader->name);
}

static void resolve(struct flow_loader *l, const struct flow_emit_ref *r)
{
    struct flow_emit *e = &r->from->emits[r->entry];
    e->flow = flow_by_name(l->set, r->name);
    if (!e->flow && !flow_has_file(l, r->name))
        flow_unknown(l, r);
}

void flow_load_emit_end(struct flow_loader *l)
{
    for (size_t i = 0; i < l->emits_n && !l->no_memory; i++) {
        if (l->emits[i].topic)
            lint_topic(l, &l->emits[i]);
        else
            resolve(l, &l->emits[i]);
    }
    for (size_t i = 0; i < l->emits_n && !l->no_memory; i++)
        lint_cycle(l, &l->emits[i]);
    for (size_t i = 0; i < l->emits_n; i++) {
        free(l->emits[i].name);
        free(l->emits[i].file);
    }
    free(l->emits);
    l->emits = NULL;
    l->emits_n = 0;
}
