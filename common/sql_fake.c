#include "common/sql_fake.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"

enum { RULES_MAX = 128 };

struct rule {
    const char *part, *rows;
    int err, times; /* times 0: no error */
    bool lose;
    void (*fn)(void *arg);
    void *arg;
};

struct line {
    char *text; /* "SCHEMA: TEXT PARAMETERS" */
    size_t schema_len, params_at;
    struct line *next;
};

struct applied {
    char schema[65];
    struct job_id job;
    int step;
    struct applied *next;
};

struct sql_fake {
    pthread_mutex_t lock;
    struct rule rules[RULES_MAX];
    size_t rules_n;
    struct line *saved, *asked;
    struct applied *applied;
    size_t swept;
    const char *down; /* "": all */
};

struct connection {
    struct sql sql; /* first */
    struct sql_fake *fake;
    const struct database *database;
};

struct sql_fake *sql_fake_new(void)
{
    struct sql_fake *f = calloc(1, sizeof *f);
    if (f)
        pthread_mutex_init(&f->lock, NULL);
    return f;
}

static void lines_free(struct line *l)
{
    for (struct line *next; l; l = next) {
        next = l->next;
        free(l->text);
        free(l);
    }
}

void sql_fake_free(struct sql_fake *f)
{
    if (!f)
        return;
    lines_free(f->saved);
    lines_free(f->asked);
    for (struct applied *a = f->applied, *next; a; a = next) {
        next = a->next;
        free(a);
    }
    pthread_mutex_destroy(&f->lock);
    free(f);
}

/* ---- rules */

static struct rule *rule_of(struct sql_fake *f, const char *part)
{
    for (size_t i = 0; i < f->rules_n; i++)
        if (strcmp(f->rules[i].part, part) == 0)
            return &f->rules[i];
    if (f->rules_n == RULES_MAX)
        abort(); /* a test with more needs a larger table */
    struct rule *r = &f->rules[f->rules_n++];
    *r = (struct rule){.part = part};
    return r;
}

static struct rule *rule_for(struct sql_fake *f, const char *text)
{
    for (size_t i = 0; i < f->rules_n; i++)
        if (strstr(text, f->rules[i].part))
            return &f->rules[i];
    return NULL;
}

void sql_fake_rows(struct sql_fake *f, const char *part, const char *rows)
{
    pthread_mutex_lock(&f->lock);
    rule_of(f, part)->rows = rows;
    pthread_mutex_unlock(&f->lock);
}

void sql_fake_fail(struct sql_fake *f, const char *part, int err, int times)
{
    pthread_mutex_lock(&f->lock);
    struct rule *r = rule_of(f, part);
    r->err = err;
    r->times = times;
    pthread_mutex_unlock(&f->lock);
}

void sql_fake_lose(struct sql_fake *f, const char *part)
{
    pthread_mutex_lock(&f->lock);
    rule_of(f, part)->lose = true;
    pthread_mutex_unlock(&f->lock);
}

void sql_fake_hook(struct sql_fake *f, const char *part, void (*fn)(void *arg), void *arg)
{
    pthread_mutex_lock(&f->lock);
    struct rule *r = rule_of(f, part);
    r->fn = fn;
    r->arg = arg;
    pthread_mutex_unlock(&f->lock);
}

void sql_fake_down(struct sql_fake *f, const char *schema, bool down)
{
    pthread_mutex_lock(&f->lock);
    f->down = !down ? NULL : schema ? schema : "";
    pthread_mutex_unlock(&f->lock);
}

static bool is_down(const struct sql_fake *f, const char *schema)
{
    return f->down && (!*f->down || strcmp(f->down, schema) == 0);
}

static int fault(struct sql_fake *f, const char *schema, const char *text)
{
    if (is_down(f, schema))
        return ERR_IO;
    struct rule *r = rule_for(f, text);
    if (!r || r->times == 0)
        return 0;
    if (r->times > 0)
        r->times--;
    return r->err;
}

/* ---- what was done */

static int line_add(struct line **list, const char *schema, const struct sql_statement *q)
{
    struct buf text;
    struct line *l = calloc(1, sizeof *l);
    buf_init(&text, 0);
    buf_printf(&text, "%s: %s ", schema, q->text);
    size_t params_at = text.len;
    json_print(q->params, &text);
    if (!l || buf_ok(&text)) {
        free(l);
        buf_fini(&text);
        return ERR_NOMEM;
    }
    l->schema_len = strlen(schema);
    l->params_at = params_at;
    l->text = buf_take(&text, NULL);
    l->next = *list;
    *list = l;
    return 0;
}

static size_t lines_with(struct sql_fake *f, struct line *const *list, const char *part)
{
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    for (const struct line *l = *list; l; l = l->next)
        n += strstr(l->text, part) != NULL;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* {schema, sql, params} */
static struct json *line_value(const struct line *l)
{
    struct json *v = json_new_object(), *params = NULL;
    const char *sql = l->text + l->schema_len + 2, *end = l->text + l->params_at;
    if (!v || json_parse(end, strlen(end), NULL, &params, NULL)) {
        json_free(v);
        return NULL;
    }
    int err = json_put(v, "schema", json_new_text_n(l->text, l->schema_len));
    err |= json_put(v, "sql", json_new_text_n(sql, (size_t)(end - 1 - sql)));
    err |= json_put(v, "params", params);
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

/* The list has the newest first. */
static int statements_push(const struct line *l, struct json *list)
{
    int err = l->next ? statements_push(l->next, list) : 0;
    return err ? err : json_push(list, line_value(l));
}

int sql_fake_statements(struct sql_fake *f, struct json **out)
{
    struct json *list = json_new_array();
    pthread_mutex_lock(&f->lock);
    int err = !list ? ERR_NOMEM : f->saved ? statements_push(f->saved, list) : 0;
    pthread_mutex_unlock(&f->lock);
    if (err)
        json_free(list);
    else
        *out = list;
    return err ? ERR_NOMEM : 0;
}

size_t sql_fake_saved(struct sql_fake *f, const char *part)
{
    return lines_with(f, &f->saved, part);
}

size_t sql_fake_asked(struct sql_fake *f, const char *part)
{
    return lines_with(f, &f->asked, part);
}

size_t sql_fake_swept(struct sql_fake *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->swept;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* ---- statements */

static bool was_applied(const struct sql_fake *f, const char *schema, const struct job_id *job,
                        int step)
{
    for (const struct applied *a = f->applied; a; a = a->next)
        if (a->step == step && id_equal(&a->job, job) && strcmp(a->schema, schema) == 0)
            return true;
    return false;
}

static int mark(struct sql_fake *f, const char *schema, const struct job_id *job, int step)
{
    struct applied *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NOMEM;
    snprintf(a->schema, sizeof a->schema, "%s", schema);
    a->job = *job;
    a->step = step;
    a->next = f->applied;
    f->applied = a;
    return 0;
}

static const char *schema_of(const struct sql_statement *q, const char *fallback)
{
    return q->schema ? q->schema : fallback;
}

static int faults(struct sql_fake *f, const char *schema, const struct sql_statement *q, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        err = fault(f, schema_of(&q[i], schema), q[i].text);
    return err;
}

/* The answer of COMMIT is lost: a rule for one of them says so, once. */
static bool loses(struct sql_fake *f, const struct sql_statement *q, size_t n)
{
    bool lost = false;
    for (size_t i = 0; i < n; i++) {
        struct rule *r = rule_for(f, q[i].text);
        lost |= r && r->lose;
        if (r)
            r->lose = false;
    }
    return lost;
}

static int save(struct sql_fake *f, const char *schema, const struct sql_statement *q, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        err = line_add(&f->saved, schema_of(&q[i], schema), &q[i]);
    return err;
}

/* All or nothing: faults are found before anything is noted. */
static int transact(struct sql_fake *f, const char *schema, const struct job_id *job, int step,
                    const struct sql_statement *q, size_t n)
{
    if (is_down(f, schema))
        return ERR_IO;
    if (step >= 0 && was_applied(f, schema, job, step))
        return 0;
    int err = faults(f, schema, q, n);
    if (!err && step >= 0)
        err = mark(f, schema, job, step);
    if (!err)
        err = save(f, schema, q, n);
    if (err)
        return err;
    return loses(f, q, n) ? ERR_OUTCOME_UNKNOWN : 0;
}

static void call_hooks(struct sql_fake *f, const struct sql_statement *q, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        pthread_mutex_lock(&f->lock);
        struct rule *r = rule_for(f, q[i].text), hook = r ? *r : (struct rule){0};
        pthread_mutex_unlock(&f->lock);
        if (hook.fn)
            hook.fn(hook.arg);
    }
}

int sql_fake_apply(struct sql_fake *f, const char *schema, const struct job_id *job, int step,
                   const struct sql_statement *q, size_t n)
{
    call_hooks(f, q, n);
    pthread_mutex_lock(&f->lock);
    int err = transact(f, schema, job, step, q, n);
    pthread_mutex_unlock(&f->lock);
    return err;
}

static const char *schema_name(const struct connection *c)
{
    return c->database->schema;
}

static struct connection *of(const struct sql *s)
{
    return (struct connection *)(uintptr_t)s;
}

static int rows_of(const char *text, unsigned rows_max, struct json **out)
{
    struct json *rows = NULL;
    if (json_parse(text, strlen(text), NULL, &rows, NULL))
        return ERR_REFUSED;
    if (json_size(rows) > rows_max) {
        json_free(rows);
        return ERR_TOO_LARGE;
    }
    *out = rows;
    return 0;
}

static int do_select(struct sql *sql, const struct sql_statement *q, unsigned rows_max,
                     struct json **rows)
{
    struct connection *c = of(sql);
    struct sql_fake *f = c->fake;
    call_hooks(f, q, 1);
    pthread_mutex_lock(&f->lock);
    int err = line_add(&f->asked, schema_name(c), q);
    if (!err)
        err = fault(f, schema_name(c), q->text);
    if (!err) {
        const struct rule *r = rule_for(f, q->text);
        err = rows_of(r && r->rows ? r->rows : "[]", rows_max, rows);
    }
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int do_apply(struct sql *sql, const struct job_id *job, int step,
                    const struct sql_statement *q, size_t n)
{
    return sql_fake_apply(of(sql)->fake, schema_name(of(sql)), job, step, q, n);
}

static int do_look(struct sql *sql, bool applied)
{
    (void)applied;
    return of(sql)->fake->down ? ERR_IO : 0;
}

static int do_prepare(struct sql *sql)
{
    return do_look(sql, true);
}

static int do_sweep(struct sql *sql, bool *more)
{
    struct connection *c = of(sql);
    pthread_mutex_lock(&c->fake->lock);
    int err = fault(c->fake, schema_name(c), "offpath_applied");
    c->fake->swept += !err;
    pthread_mutex_unlock(&c->fake->lock);
    *more = false;
    return err;
}

static const char *do_why(const struct sql *sql)
{
    (void)sql;
    return "as the test said";
}

static void do_close(struct sql *sql)
{
    free(of(sql));
}

static const struct sql_ops ops = {.close = do_close,
                                   .select = do_select,
                                   .apply = do_apply,
                                   .look = do_look,
                                   .prepare = do_prepare,
                                   .sweep = do_sweep,
                                   .why = do_why};

int sql_fake_open(void *arg, const struct database *d, struct sql **out)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->sql.ops = &ops;
    c->fake = arg;
    c->database = d;
    *out = &c->sql;
    return 0;
}
