/* The saves of a job (protocols: Save): those on other servers one by one, with what was computed
 * in the ledger first; those on the record's own go along with T6; what is optional follows it. */
#include "common/failpoint.h"
#include "common/log.h"
#include "common/metrics.h"
#include "worker/job_sql.h"
#include "worker/save_emits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GRACE_US = 10 * 1000000 }; /* behind the deadline */

static void apply(struct job_run *j);

/* ---- compute */

void job_save_compute(struct job_run *j, struct job_ending *e)
{
    struct expr_error error = {0};
    struct saves_world w = job_saves_world(j);
    if (!j->claim.flow->saves_n || j->claim.event.refill)
        return;
    int err = saves_compute(j->claim.flow, &j->vars, &w, &e->saves, &error);
    if (!err) {
        job_grow(j, e->saves->bytes); /* they may wait for a database as long as it takes */
        return;
    }
    log_warn("save-expression", "flow", j->claim.flow->name, "error",
             err == ERR_EXPRESSION ? expr_error_plain(&error) : err_text(err));
    job_ending_fail(e, err == ERR_TOO_LARGE ? REASON_TOO_BIG : REASON_EXPRESSION);
}

bool job_save_is_elsewhere(const struct job_ending *e)
{
    return e->saves && !e->elsewhere && saves_are_elsewhere(e->saves);
}

/* ---- the end */

/* All that is to be done elsewhere is done; T6 follows. */
static void elsewhere_done(struct job_run *j)
{
    j->ending->elsewhere = true;
    job_run_enter(j, PHASE_FINISHING);
}

static void fail(struct job_run *j, enum job_reason reason, const char *database, const char *why)
{
    log_warn("save-failed", "flow", j->claim.flow->name, "database", database, "why", why);
    job_ending_fail(j->ending, reason);
    j->ending->forget = !j->ending->applied;
    elsewhere_done(j);
}

static enum job_reason reason_of(int err)
{
    return err == ERR_EXISTS ? REASON_CONFLICT : REASON_SAVE_FAILED;
}

bool job_save_was_refused(struct job_run *j, struct job_op *op)
{
    const struct record_finish *f = &op->op.finish;
    if (!f->saves || !f->saves->err)
        return false;
    char why[RECORD_WHY];
    snprintf(why, sizeof why, "%s", f->saves->why);
    enum job_reason reason = reason_of(f->saves->err);
    j->ending = op->ending;
    op->ending = NULL;
    fail(j, reason, "of the record's server", why);
    return true;
}

void job_save_add(struct job_op *op)
{
    const struct job_ending *e = op->ending;
    const struct save_group *own = e->saves ? saves_own(e->saves) : NULL;
    if (!own && !e->forget)
        return;
    op->saves = (struct record_saves){
        .list = own ? own->list : NULL, .n = own ? own->n : 0, .forget = e->forget};
    op->op.finish.saves = &op->saves;
    op->op.bytes += own ? e->saves->bytes : 0;
}

/* ---- on other servers */

static bool is_too_late(const struct job_run *j)
{
    int64_t at = j->claim.event.deadline_us;
    return at && job_env_now_us(j->env) > at + GRACE_US;
}

static void again(void *arg)
{
    struct job_run *j = arg;
    struct log_ids before = job_scope(j);
    apply(j);
    log_scope_restore(&before);
}

static void applied(struct job_run *j, struct job_sql *s)
{
    int err = s->op.status;
    if (err == 0 || err == ERR_OUTCOME_UNKNOWN)
        j->ending->applied = true;
    if (err == 0) {
        FAILPOINT("after-applied");
        j->again_ms = 0;
        j->ending->at++;
        apply(j);
    } else if (is_too_late(j) || !job_sql_again(j, err, again)) {
        fail(j, reason_of(err), s->op.database->name, s->op.why);
    }
}

static bool put(struct job_run *j, struct saves *saves, size_t at, job_sql_fn *back,
                job_sql_fn *too_late)
{
    const struct save_group *g = &saves->groups[at];
    struct job_sql *s = job_sql_new(j, SQL_APPLY, back);
    if (!s)
        return false;
    s->too_late = too_late;
    s->saves = saves_get(saves);
    s->at = at;
    s->op.database = g->database;
    s->op.list = g->list;
    s->op.n = g->n;
    s->op.step = g->step;
    job_sql_put(s);
    return true;
}

/* The next transaction. */
static void apply(struct job_run *j)
{
    struct job_ending *e = j->ending;
    const struct save_group *g = &e->saves->groups[e->at];
    if (e->at == e->saves->groups_n || g->own)
        elsewhere_done(j);
    else if (!g->database)
        fail(j, REASON_SAVE_FAILED, g->name, "it is not in upstreams.yaml any more");
    else if (!put(j, e->saves, e->at, applied, NULL))
        job_run_restart(j);
}

/* ---- the row */

static char *text_of(const struct json *v, size_t *len)
{
    struct buf b;
    buf_init(&b, 0);
    json_print(v, &b);
    char *text = buf_ok(&b) ? NULL : buf_take(&b, len);
    buf_fini(&b);
    return text;
}

/* What `$save` holds becomes the ending. */
static int read_row(struct job_run *j, struct job_ending *e, const struct record_call *row)
{
    struct saves_world w = job_saves_world(j);
    struct saves *saves = NULL;
    int err = saves_read(row->result ? row->result : "", row->result_len, &w, &saves);
    if (err)
        return err;
    const struct json *d = saves->document;
    const char *state = json_text(json_get(d, "state"));
    const char *message = json_text(json_get(d, "message"));
    job_emits_fini(&e->emits); /* before what it points into */
    saves_put(e->saves);
    free(e->result);
    free(e->calls);
    free(e->notice);
    e->saves = saves;
    job_grow(j, saves->bytes);
    e->result = text_of(json_get(d, "result"), &e->result_len);
    e->calls = text_of(json_get(d, "calls"), &e->calls_len);
    e->notice = message ? strdup(message) : NULL;
    if (!state || !e->result || !e->calls)
        return ERR_INVALID;
    err = save_emits_read(json_get(d, "emits"), &e->emits);
    return err ? err : job_state_parse(state, &e->state);
}

/* False: it cannot be read, and the job fails. */
static bool take_row(struct job_run *j, const struct record_call *row)
{
    struct job_ending *e = j->ending;
    if (read_row(j, e, row)) {
        fail(j, REASON_SAVE_FAILED, "", "what was to be saved cannot be read");
        return false;
    }
    e->reason = REASON_NONE;
    e->recorded = true;
    return true;
}

static void written(struct job_run *j, struct job_op *op)
{
    const struct record_ledger *l = &op->op.ledger;
    if (l->status == 0) {
        FAILPOINT("after-save");
        j->ending->recorded = true;
        apply(j);
    } else if (l->status == ERR_EXISTS) {
        if (take_row(j, &l->stored))
            apply(j);
    } else if (l->status == ERR_CONFLICT) { /* a cancel came first */
        job_ending_fail(j->ending, REASON_CANCELLED);
        j->ending->state = JOB_CANCELLED;
        elsewhere_done(j);
    } else {
        fail(j, REASON_TOO_BIG, "", err_text(l->status));
    }
}

static void write_row(struct job_run *j)
{
    const struct job_ending *e = j->ending;
    struct job_op *op = job_op_new(j, WRITE_LEDGER, written);
    struct buf text;
    if (!op) {
        job_run_restart(j);
        return;
    }
    const struct saves_end end = {e->state, e->result, e->calls, e->notice, &e->emits};
    buf_init(&text, SAVES_TEXT_MAX);
    if (saves_print(e->saves, &end, &text)) {
        buf_fini(&text);
        job_op_free(op);
        fail(j, REASON_TOO_BIG, "", "what is to be saved is too big together");
        return;
    }
    struct record_call *c = &op->op.ledger.call;
    *c = (struct record_call){.job = j->claim.event.job,
                              .name = RECORD_SAVE,
                              .item = -1,
                              .round = j->claim.event.round,
                              .outcome = OUTCOME_OK};
    memcpy(c->ckey, RECORD_SAVE "\0\0", sizeof c->ckey); /* one per job */
    op->op.ledger.worker = j->worker;
    op->text = buf_take(&text, &c->result_len);
    c->result = op->text;
    op->op.bytes += c->result_len;
    FAILPOINT("before-save");
    job_op_put(op);
}

void job_save_begin(struct job_run *j)
{
    j->again_ms = 0;
    if (j->ending->recorded)
        apply(j);
    else
        write_row(j);
}

static const struct record_call *row_of(const struct job_run *j)
{
    for (size_t i = 0; i < j->ledger_n; i++)
        if (strcmp(j->ledger[i].name, RECORD_SAVE) == 0)
            return &j->ledger[i];
    return NULL;
}

bool job_save_is_recorded(const struct job_run *j)
{
    return row_of(j) != NULL;
}

bool job_save_resume(struct job_run *j)
{
    const struct record_call *row = row_of(j);
    if (!row)
        return false;
    struct job_ending *e = calloc(1, sizeof *e);
    if (!e) {
        job_run_restart(j);
        return true;
    }
    log_info("save-resumed", "flow", j->claim.flow->name);
    e->called = true;
    e->applied = true; /* perhaps: who recorded it did not say */
    j->ending = e;
    if (take_row(j, row))
        job_run_enter(j, PHASE_SAVING);
    return true;
}

/* ---- optional ones, behind T6 */

static void optional_next(struct job_run *j, struct saves *saves, size_t at);

static void optional_failed(const struct job_run *j, const char *database, const char *why)
{
    char labels[120];
    snprintf(labels, sizeof labels, "flow=\"%s\"", j->claim.flow->name);
    metrics_add(metrics_counter("offpath_optional_saves_failed_total", labels,
                                "Optional saves that were not done."),
                1);
    log_warn("optional-save-failed", "flow", j->claim.flow->name, "database", database, "why", why);
}

static void optional_done(struct job_run *j, struct job_sql *s)
{
    if (s->op.status)
        optional_failed(j, s->op.database->name, s->op.why[0] ? s->op.why : err_text(s->op.status));
}

static void optional_back(struct job_run *j, struct job_sql *s)
{
    optional_done(j, s);
    optional_next(j, s->saves, s->at + 1);
}

static void optional_next(struct job_run *j, struct saves *saves, size_t at)
{
    for (; at < saves->groups_n + saves->optional_n; at++) {
        const struct save_group *g = &saves->groups[at];
        if (g->database && put(j, saves, at, optional_back, optional_done))
            return;
        optional_failed(j, g->name, "it cannot be tried");
    }
    job_finish_tell(j);
}

void job_save_optional(struct job_run *j)
{
    const struct job_ending *e = j->ending;
    if (e->saves && e->stored == e->state)
        optional_next(j, e->saves, e->saves->groups_n);
    else
        job_finish_tell(j);
}
