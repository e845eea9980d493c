/* `load` and `save`: which database, and a statement whose holes become parameters. */
#include "common/flow_loader.h"

#include <stdio.h>
#include <string.h>

enum { STATEMENTS_MAX = 2000 };

static const struct database *read_database(struct flow_file *f, const struct yaml_node *map)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *n = yaml_get(map, "database");
    const char *name = value_text(l, n);
    const char *names[DATABASES_MAX];
    if (!n)
        flow_key_missing(l, map, "database",
                         "write `database: NAME`, an entry of `databases` in upstreams.yaml");
    if (!name || l->databases_unread)
        return NULL;
    for (size_t i = 0; i < l->set->databases_n; i++) {
        names[i] = l->set->databases[i].name;
        if (names[i] && strcmp(names[i], name) == 0)
            return &l->set->databases[i];
    }
    const char *near = l->no_memory ? NULL : nearest_name(name, names, l->set->databases_n);
    if (near)
        findings_add(l->findings, yaml_place(n), FINDING_DATABASE,
                     "no database is named `%.80s`\ndid you mean `%s`?", name, near);
    else
        findings_add(l->findings, yaml_place(n), FINDING_DATABASE,
                     "no database is named `%.80s`\ndeclare it under `databases` in "
                     "upstreams.yaml",
                     name);
    return NULL;
}

/* ---- the statement */

static const char *const problems[] = {
    [SQL_QUOTED_HOLE] = ("a hole inside quotes or a comment stays text\n"
                         "write it without quotes: it becomes a parameter"),
    [SQL_SEVERAL] = "several statements in one `sql`\nwrite one entry for each",
    [SQL_MARK] = "`?` is the place of a parameter\nwrite a hole, like `\\($request.id)`",
    [SQL_OPEN] = "a quote or comment is not closed\nclose it",
    [SQL_EMPTY] = "`sql` holds no statement\nwrite one",
};

static bool is_one_of(const char *verb, const char *const *verbs)
{
    for (; *verbs; verbs++)
        if (strcmp(verb, *verbs) == 0)
            return true;
    return false;
}

/* What changes or commits by itself would not be part of the transaction it stands in. */
static bool verb_fits(struct flow_file *f, const struct yaml_node *n, const struct sql_scan *s,
                      bool load)
{
    static const char *const reads[] = {"SELECT", NULL};
    static const char *const writes[] = {"INSERT", "UPDATE", "DELETE", "REPLACE", NULL};
    if (is_one_of(s->verb, load ? reads : writes))
        return true;
    findings_add(f->loader->findings, yaml_place_in(n, s->verb_offset), FINDING_SQL,
                 load ? "`load` reads: `%s` is no SELECT\nwrite a SELECT, or use `save`"
                      : "`save` takes no %s\nwrite an INSERT, UPDATE, DELETE or REPLACE",
                 s->verb);
    return false;
}

static struct sql_template *read_sql(struct flow_file *f, const struct yaml_node *map, bool load,
                                     unsigned visible)
{
    const struct yaml_node *n = yaml_get(map, "sql");
    struct sql_scan scan;
    if (!n)
        flow_key_missing(f->loader, map, "sql",
                         load ? "write a SELECT" : "write an INSERT, UPDATE, DELETE or REPLACE");
    if (!n || !value_text(f->loader, n))
        return NULL;
    sql_scan(n->text, &scan);
    if (scan.problem)
        findings_add(f->loader->findings, yaml_place_in(n, scan.offset), FINDING_SQL, "%s",
                     problems[scan.problem]);
    if (scan.problem || !verb_fits(f, n, &scan, load))
        return NULL;
    return flow_sql_read(f, n, visible);
}

/* ---- load */

static void read_load(struct flow_file *f, const struct yaml_node *m, struct flow_load *out)
{
    struct flow_loader *l = f->loader;
    unsigned visible = m == f->loads->first ? VARS_JOB : VARS_RUN;
    const struct value_range rows = {1, FLOW_ROWS_MAX, 100};
    *out = (struct flow_load){.name = value_copy(l, m->key)};
    if (!flow_keys_check(l, m, MAP_LOAD))
        return;
    out->when = flow_when_read(f, m, visible);
    out->database = read_database(f, m);
    out->sql = read_sql(f, m, true, visible);
    out->max_rows = (unsigned)value_number(l, yaml_get(m, "max_rows"), rows);
}

void flow_load_loads(struct flow_file *f)
{
    if (!value_is(f->loader, f->loads, YAML_MAP))
        return;
    if (f->loads->n > FLOW_LOADS_MAX) {
        findings_add(f->loader->findings, yaml_place_key(f->loads), FINDING_LIMIT,
                     "more than %d entries in `load`\nsplit the flow", FLOW_LOADS_MAX);
        return;
    }
    f->flow->loads = value_array(f->loader, f->loads->n, sizeof *f->flow->loads);
    for (const struct yaml_node *m = f->loads->first; m && f->flow->loads; m = m->next) {
        value_name(f->loader, m, false);
        f->load = m;
        read_load(f, m, &f->flow->loads[f->flow->loads_n++]);
    }
    f->load = NULL;
}

/* ---- save */

static void read_save(struct flow_file *f, const struct yaml_node *m, struct flow_save *out)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *each = yaml_get(m, "for_each");
    if (!flow_keys_check(l, m, MAP_SAVE))
        return;
    out->when = flow_when_read(f, m, VARS_SAVE);
    flow_each_read(f, m, VARS_SAVE, &out->each);
    if (out->each.list && each->n > STATEMENTS_MAX)
        findings_add(l->findings, yaml_place(each), FINDING_LIMIT,
                     "%zu elements, and a job saves with at most %d statements\nshorten the list",
                     each->n, STATEMENTS_MAX);
    out->database = read_database(f, m);
    out->sql = read_sql(f, m, false, VARS_SAVE | (each ? VARS_ITEM : 0));
    out->optional = value_bool(l, yaml_get(m, "optional"), false);
}

/* The entry that makes it two; what is optional is no part of the promise. */
static void lint_databases(struct flow_file *f, const struct yaml_node *list)
{
    const struct database *first = NULL;
    const struct flow_save *s = f->flow->saves;
    for (const struct yaml_node *m = list->first; m; m = m->next, s++) {
        if (!s->database || s->optional)
            continue;
        if (!first)
            first = s->database;
        if (s->database == first)
            continue;
        findings_add(f->loader->findings, yaml_place(yaml_get(m, "database")), FINDING_W_DATABASES,
                     "`save` writes to `%s` and to `%s`: two transactions\nif one can be done "
                     "without, make it `optional`",
                     first->name, s->database->name);
        return;
    }
}

void flow_load_saves(struct flow_file *f, const struct yaml_node *list)
{
    if (!value_is(f->loader, list, YAML_LIST))
        return;
    if (list->n > FLOW_SAVES_MAX) {
        findings_add(f->loader->findings, yaml_place_key(list), FINDING_LIMIT,
                     "more than %d entries in `save`\nuse `for_each`, or split the flow",
                     FLOW_SAVES_MAX);
        return;
    }
    f->flow->saves = value_array(f->loader, list->n, sizeof *f->flow->saves);
    for (const struct yaml_node *m = list->first; m && f->flow->saves; m = m->next)
        read_save(f, m, &f->flow->saves[f->flow->saves_n++]);
    if (f->flow->saves)
        lint_databases(f, list);
}
