/* Before the calls of a job: `load`, then `check` (flow file: load, check). A database that is away
 * is waited for until the deadline; a connection is held for one SELECT only. */
#include "common/log.h"
#include "worker/each.h"
#include "worker/job_sql.h"
#include "worker/weight.h"

#include <stdlib.h>
#include <string.h>

static void next(struct job_run *j);

/* It ends before its calls. */
static void end(struct job_run *j, enum job_reason reason)
{
    j->stopped = (uint8_t)reason;
    job_run_enter(j, PHASE_FINISHING);
}

/* Nothing keeps it from its calls. */
static void through(struct job_run *j)
{
    job_run_enter(j, j->claim.flow->pool.key ? PHASE_POOL : PHASE_CALLING);
}

static void expression_failed(struct job_run *j, const char *where, const struct expr_error *e)
{
    log_warn("load-expression", "flow", j->claim.flow->name, "where", where, "error",
             expr_error_plain(e));
    end(j, REASON_EXPRESSION);
}

static bool is_over(const struct job_run *j)
{
    return j->past_deadline || j->cancel;
}

/* ---- check */

static int refuse(struct job_run *j, const struct flow_check *c, struct expr_error *error)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    int err = c->message ? template_render_text(c->message, &j->vars, &text, error) : 0;
    if (!err)
        j->detail = buf_take(&text, NULL);
    buf_fini(&text);
    return err;
}

/* 0, ERR_EXPRESSION, ERR_NOMEM; *good false: it refuses, and its message is the job's detail. */
static int check_one(struct job_run *j, const struct flow_check *c, bool *good,
                     struct expr_error *error)
{
    const struct json *v = NULL;
    struct json *owned = NULL;
    bool wanted = true;
    int err = each_wanted(c->when, &j->vars, &wanted, error);
    if (err || !wanted)
        return err;
    err = expr_view(c->that, &j->vars, &v, &owned, error);
    *good = !err && json_bool(v);
    json_free(owned);
    return err || *good ? err : refuse(j, c, error);
}

static void check(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    struct expr_error error = {0};
    bool good = true;
    size_t n = 0;
    while (n < f->checks_n && good) {
        if (check_one(j, &f->checks[n++], &good, &error)) {
            expression_failed(j, "check", &error);
            return;
        }
    }
    if (!good) {
        log_info("refused", "flow", f->name, "check", log_number((long long)n));
        end(j, REASON_REFUSED);
        return;
    }
    through(j);
}

/* ---- load */

static void load_failed(struct job_run *j, const char *why)
{
    log_warn("load-failed", "flow", j->claim.flow->name, "load",
             j->claim.flow->loads[j->load_at].name, "why", why);
    end(j, REASON_LOAD_FAILED);
}

/* rows: taken. */
static bool keep(struct job_run *j, struct json *rows)
{
    size_t bytes = weight_of_value(rows);
    job_grow(j, bytes);
    j->loaded += bytes;
    return json_put(j->rows, j->claim.flow->loads[j->load_at].name, rows) == 0;
}

static void again(void *arg)
{
    struct job_run *j = arg;
    struct log_ids before = job_scope(j);
    next(j);
    log_scope_restore(&before);
}

static void loaded(struct job_run *j, struct job_sql *s)
{
    struct json *rows = s->op.rows;
    s->op.rows = NULL;
    if (is_over(j)) {
        json_free(rows);
        end(j, REASON_NONE);
    } else if (s->op.status == 0) {
        bool kept = keep(j, rows);
        j->again_ms = 0;
        if (!kept || j->loaded > SQL_BYTES_MAX) {
            load_failed(j, "its rows are too big together");
            return;
        }
        j->load_at++;
        next(j);
    } else if (!job_sql_again(j, s->op.status, again)) {
        load_failed(j, s->op.why);
    }
}

static int ask(struct job_run *j, const struct flow_load *l, struct expr_error *error)
{
    struct job_sql *s = job_sql_new(j, SQL_LOAD, loaded);
    int err = s ? sql_template_render(l->sql, &j->vars, &s->params, error) : ERR_NOMEM;
    if (err) {
        if (s)
            job_sql_free(s);
        return err;
    }
    s->one = (struct sql_statement){.text = sql_template_text(l->sql), .params = s->params};
    s->op.database = l->database;
    s->op.list = &s->one;
    s->op.n = 1;
    s->op.rows_max = l->max_rows;
    job_sql_put(s);
    return 0;
}

/* The next entry; *asked: an answer comes. */
static int load_one(struct job_run *j, const struct flow_load *l, bool *asked,
                    struct expr_error *error)
{
    bool wanted = true;
    int err = each_wanted(l->when, &j->vars, &wanted, error);
    *asked = !err && wanted;
    if (!err && !wanted) {
        struct json *none = json_new_array();
        return none && keep(j, none) ? 0 : ERR_NOMEM;
    }
    return err ? err : ask(j, l, error);
}

static void next(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    for (; j->load_at < f->loads_n; j->load_at++) {
        struct expr_error error = {0};
        bool asked;
        int err = load_one(j, &f->loads[j->load_at], &asked, &error);
        if (err == ERR_NOMEM) {
            job_run_restart(j);
            return;
        }
        if (err) {
            expression_failed(j, f->loads[j->load_at].name, &error);
            return;
        }
        if (asked)
            return;
    }
    check(j);
}

void job_load_begin(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    if (!f->loads_n && !f->checks_n) {
        through(j);
        return;
    }
    j->rows = json_new_object();
    if (!j->rows) {
        job_run_restart(j);
        return;
    }
    j->vars.value[VAR_ROWS] = j->rows;
    j->load_at = 0;
    j->loaded = 0;
    j->again_ms = 0;
    j->past_deadline |= !job_deadline_arm(j);
    if (is_over(j))
        end(j, REASON_NONE);
    else
        next(j);
}

void job_load_stop(struct job_run *j)
{
    due_stop(j->env->due, &j->again);
    if (!j->writes)
        end(j, REASON_NONE);
}
