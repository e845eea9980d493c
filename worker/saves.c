#include "worker/saves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "worker/each.h"
#include "worker/save_emits.h"
#include "worker/weight.h"

/* ---- compute */

struct computing {
    const struct flow *flow;
    const struct expr_vars *vars;
    const struct saves_world *world;
    struct expr_error *error;
    struct json *all;
    size_t statements, bytes;
};

static int add_row(struct computing *c, const struct flow_save *save, const struct expr_vars *vars,
                   struct json *rows)
{
    struct json *params = NULL;
    if (c->statements++ == SAVES_MAX) {
        snprintf(c->error->text, sizeof c->error->text, "more than %d statements to save with",
                 SAVES_MAX);
        return ERR_EXPRESSION;
    }
    int err = sql_template_render(save->sql, vars, &params, c->error);
    if (err)
        return err;
    c->bytes += weight_of_value(params);
    if (c->bytes > SQL_BYTES_MAX) {
        json_free(params);
        return ERR_TOO_LARGE;
    }
    return json_push(rows, params);
}

static int add_items(struct computing *c, const struct flow_save *save, struct json *rows)
{
    const struct json *list = NULL;
    struct json *owned = NULL;
    int err = each_list(&save->each, c->vars, &list, &owned, c->error), index = 0;
    for (const struct json *i = err ? NULL : json_first(list); i && !err; i = json_next(i)) {
        struct expr_vars vars = *c->vars;
        struct json *number = json_new_number(index++);
        vars.value[VAR_ITEM] = i;
        vars.value[VAR_INDEX] = number;
        err = number ? add_row(c, save, &vars, rows) : ERR_NOMEM;
        json_free(number);
    }
    json_free(owned);
    return err;
}

static struct json *entry_new(const struct computing *c, const struct flow_save *save,
                              struct json *rows)
{
    struct json *e = json_new_object();
    bool elsewhere = !save->optional && !c->world->is_own(c->world->arg, save->database);
    if (e && !json_put(e, "database", json_new_text(save->database->name)) &&
        !json_put(e, "sql", json_new_text(sql_template_text(save->sql))) &&
        !json_put(e, "optional", json_new_bool(save->optional)) &&
        !json_put(e, "elsewhere", json_new_bool(elsewhere)))
        return json_put(e, "rows", rows) ? (json_free(e), NULL) : e;
    json_free(e);
    json_free(rows);
    return NULL;
}

static int add_entry(struct computing *c, const struct flow_save *save)
{
    bool wanted = true;
    int err = each_wanted(save->when, c->vars, &wanted, c->error);
    if (err || !wanted)
        return err;
    struct json *rows = json_new_array();
    bool each = save->each.expr || save->each.list;
    if (!rows)
        return ERR_NOMEM;
    err = each ? add_items(c, save, rows) : add_row(c, save, c->vars, rows);
    if (err || !json_size(rows)) {
        json_free(rows);
        return err;
    }
    return json_push(c->all, entry_new(c, save, rows));
}

/* ---- groups */

static const struct database *database_of(const struct flow_set *set, const char *name)
{
    for (size_t i = 0; i < set->databases_n; i++)
        if (strcmp(set->databases[i].name, name) == 0)
            return &set->databases[i];
    return NULL;
}

static bool is_optional(const struct json *entry)
{
    return json_bool(json_get(entry, "optional"));
}

/* Where this database is mentioned first: the step that offpath_applied knows. It must not depend
 * on what is on the record's server today. */
static int place_of(const struct saves *s, const char *name)
{
    int place = 0;
    for (const struct json *e = json_first(json_get(s->document, "saves")); e; e = json_next(e)) {
        if (!is_optional(e) && strcmp(json_text(json_get(e, "database")), name) == 0)
            break;
        place++;
    }
    return place;
}

/* The group this entry belongs to, made if it is the first; all on the record's server are one. */
static struct save_group *group_of(struct saves *s, const struct json *entry,
                                   const struct saves_world *w)
{
    const char *name = json_text(json_get(entry, "database"));
    const struct database *database = database_of(w->set, name);
    bool own = database && !json_bool(json_get(entry, "elsewhere")) && w->is_own(w->arg, database);
    size_t all = s->groups_n + s->optional_n;
    for (size_t i = 0; !is_optional(entry) && i < s->groups_n; i++)
        if (strcmp(s->groups[i].name, name) == 0 || (own && s->groups[i].own))
            return &s->groups[i];
    struct save_group *list = realloc(s->groups, (all + 1) * sizeof *list);
    if (!list)
        return NULL;
    s->groups = list;
    list[all] = (struct save_group){.name = name, .database = database, .own = own, .step = -1};
    if (is_optional(entry))
        s->optional_n++;
    else
        s->groups_n++;
    list[all].step = is_optional(entry) ? -1 : place_of(s, name);
    return &list[all];
}

static int group_add(struct save_group *g, const struct json *entry, const struct saves_world *w)
{
    const struct json *rows = json_get(entry, "rows");
    size_t n = json_size(rows);
    const struct database *d = database_of(w->set, json_text(json_get(entry, "database")));
    struct sql_statement *list = realloc(g->list, (g->n + n) * sizeof *list);
    if (!list)
        return ERR_NOMEM;
    g->list = list;
    for (const struct json *r = json_first(rows); r; r = json_next(r))
        list[g->n++] = (struct sql_statement){.schema = g->own ? d->schema : NULL,
                                              .text = json_text(json_get(entry, "sql")),
                                              .params = r};
    return 0;
}

static bool is_entry(const struct json *e)
{
    const struct json *rows = json_get(e, "rows");
    bool good = json_text(json_get(e, "database")) && json_text(json_get(e, "sql")) &&
                json_is(rows, JSON_ARRAY) && json_size(rows) > 0;
    for (const struct json *r = good ? json_first(rows) : NULL; r; r = json_next(r))
        good = good && json_is(r, JSON_ARRAY);
    return good;
}

static int add_groups(struct saves *s, bool optional, const struct saves_world *w)
{
    const struct json *list = json_get(s->document, "saves");
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        if (!is_entry(e))
            return ERR_INVALID;
        if (is_optional(e) != optional)
            continue;
        struct save_group *g = group_of(s, e, w);
        if (!g || group_add(g, e, w))
            return ERR_NOMEM;
    }
    return 0;
}

/* The record's own server comes last: it ends the job. */
static void own_last(struct saves *s)
{
    for (size_t i = 0; i < s->groups_n; i++) {
        struct save_group g = s->groups[i];
        if (!g.own)
            continue;
        memmove(&s->groups[i], &s->groups[i + 1], (s->groups_n - i - 1) * sizeof g);
        s->groups[s->groups_n - 1] = g;
        return;
    }
}

/* document: taken. */
static int saves_new(struct json *document, const struct saves_world *w, struct saves **out)
{
    struct saves *s = calloc(1, sizeof *s);
    if (!s) {
        json_free(document);
        return ERR_NOMEM;
    }
    s->refs = 1;
    s->document = document;
    s->bytes = weight_of_value(document);
    int err = add_groups(s, false, w);
    if (!err)
        err = add_groups(s, true, w);
    if (err) {
        saves_put(s);
        return err;
    }
    own_last(s);
    *out = s;
    return 0;
}

int saves_compute(const struct flow *f, const struct expr_vars *vars, const struct saves_world *w,
                  struct saves **out, struct expr_error *error)
{
    struct computing c = {
        .flow = f, .vars = vars, .world = w, .error = error, .all = json_new_array(), .bytes = 0};
    struct json *document = json_new_object();
    int err = c.all && document ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < f->saves_n && !err; i++)
        err = add_entry(&c, &f->saves[i]);
    if (err) {
        json_free(c.all);
        json_free(document);
        return err;
    }
    err = json_put(document, "saves", c.all);
    if (err) {
        json_free(document);
        return err;
    }
    return saves_new(document, w, out);
}

int saves_read(const char *text, size_t len, const struct saves_world *w, struct saves **out)
{
    struct json *document = NULL;
    const struct json_limits limits = {.size_max = SAVES_TEXT_MAX, .depth_max = JSON_DEPTH_KEPT};
    if (json_parse(text, len, &limits, &document, NULL))
        return ERR_INVALID;
    if (json_is(json_get(document, "saves"), JSON_ARRAY))
        return saves_new(document, w, out);
    json_free(document);
    return ERR_INVALID;
}

int saves_print(const struct saves *s, const struct saves_end *end, struct buf *out)
{
    buf_text(out, "{\"saves\":");
    json_print(json_get(s->document, "saves"), out);
    buf_printf(out, ",\"state\":\"%s\",\"result\":", job_state_name(end->state));
    buf_text(out, end->result ? end->result : "null");
    buf_text(out, ",\"calls\":");
    buf_text(out, end->calls ? end->calls : "[]");
    buf_text(out, ",\"emits\":");
    save_emits_print(end->emits, out);
    buf_text(out, ",\"message\":");
    if (end->message)
        json_print_text(end->message, strlen(end->message), out);
    else
        buf_text(out, "null");
    buf_char(out, '}');
    return buf_ok(out);
}

struct saves *saves_get(struct saves *s)
{
    s->refs++;
    return s;
}

void saves_put(struct saves *s)
{
    if (!s || --s->refs > 0)
        return;
    for (size_t i = 0; i < s->groups_n + s->optional_n; i++)
        free(s->groups[i].list);
    free(s->groups);
    json_free(s->document);
    free(s);
}

bool saves_are_elsewhere(const struct saves *s)
{
    return s->groups_n && !s->groups[0].own;
}

const struct save_group *saves_own(const struct saves *s)
{
    const struct save_group *last = s->groups_n ? &s->groups[s->groups_n - 1] : NULL;
    return last && last->own ? last : NULL;
}
