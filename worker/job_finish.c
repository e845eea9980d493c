/* The end of a job: compute, T6, then tell everybody and settle (flow file: Worker, in order). */
#include "common/cache_scripts.h"
#include "common/failpoint.h"
#include "common/log.h"
#include "common/metrics.h"
#include "worker/finish.h"
#include "worker/job_parts.h"
#include "common/live.h"
#include "worker/plan.h"
#include "worker/saves.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REFUSED_RESULTS = 1, REFUSED_BARE = 2 }; /* what is left out of T6 */

void job_ending_fail(struct job_ending *e, enum job_reason reason)
{
    e->state = JOB_FAILED;
    e->reason = reason;
    free(e->result);
    e->result = NULL;
    e->result_len = 0;
    free(e->notice);
    e->notice = NULL;
    job_emits_fini(&e->emits);
    saves_put(e->saves);
    e->saves = NULL;
}

void job_ending_free(struct job_ending *e)
{
    if (!e)
        return;
    free(e->result);
    free(e->calls);
    free(e->detail);
    free(e->notice);
    job_emits_fini(&e->emits);
    saves_put(e->saves);
    free(e);
}

/* ---- compute */

static void print_result(const struct json *v, struct job_ending *e)
{
    struct buf b;
    buf_init(&b, FINISH_RESULT_MAX);
    json_print(v, &b);
    if (buf_ok(&b))
        job_ending_fail(e, REASON_TOO_BIG);
    else
        e->result = buf_take(&b, &e->result_len);
    buf_fini(&b);
}

/* `result` of the flow, from what the calls gave. *v: owned; NULL for null. */
static void compute_result(struct job_run *j, struct job_ending *e, struct json **v)
{
    struct expr *result = j->claim.flow->result;
    struct expr_error error = {0};
    if (j->pool.item) {
        *v = json_copy(j->pool.item);
        print_result(*v, e);
        return;
    }
    if (!result || j->pool.idle)
        return;
    if (expr_eval(result, &j->vars, v, &error)) {
        log_warn("result-expression", "flow", j->claim.flow->name, "error",
                 expr_error_plain(&error));
        job_ending_fail(e, REASON_EXPRESSION);
    } else {
        print_result(*v, e);
    }
}

/* `emit`, which sees the result. */
static void compute_emits(struct job_run *j, struct job_ending *e, const struct json *result)
{
    char why[EMIT_WHY];
    if (e->state == JOB_FAILED || j->claim.event.refill)
        return;
    struct expr_vars vars = j->vars;
    vars.value[VAR_RESULT] = result;
    const struct emit_source s = {.flow = j->claim.flow,
                                  .event = &j->claim.event,
                                  .vars = &vars,
                                  .limits = j->env->limits,
                                  .now_us = job_env_now_us(j->env)};
    int err = job_emit_compute(&s, &e->emits, why);
    if (!err)
        return;
    log_warn("emit", "flow", j->claim.flow->name, "why", why[0] ? why : err_text(err));
    job_ending_fail(e, err == ERR_TOO_LARGE ? REASON_TOO_BIG : REASON_EXPRESSION);
}

/* All that is made of the calls, before any of it is stored. */
static void compute(struct job_run *j, struct job_ending *e)
{
    struct json *calls = NULL, *result = NULL;
    if (job_facts(j)->uses & VAR_BIT(VAR_CALLS) &&
        outcome_variable(j->claim.flow, j->calls, &calls)) {
        job_ending_fail(e, REASON_EXPRESSION);
        return;
    }
    j->vars.value[VAR_CALLS] = calls;
    compute_result(j, e, &result);
    j->vars.value[VAR_RESULT] = result;
    if (e->state != JOB_FAILED)
        job_save_compute(j, e);
    compute_emits(j, e, result);
    if (e->state != JOB_FAILED)
        job_notify_compute(j, e);
    j->vars.value[VAR_CALLS] = j->vars.value[VAR_RESULT] = NULL;
    if (calls)
        job_trees_freed(j);
    json_free(calls);
    json_free(result);
}

/* It never came to its calls. */
static void judge_stopped(struct job_run *j, struct job_ending *e)
{
    e->detail = j->detail;
    j->detail = NULL;
    if (j->stopped) {
        job_ending_fail(e, (enum job_reason)j->stopped);
    } else {
        e->state = j->cancel ? JOB_CANCELLED : JOB_EXPIRED;
        e->reason = j->cancel ? REASON_CANCELLED : REASON_DEADLINE;
    }
}

static void again(struct job_run *j, struct job_ending *e)
{
    int64_t due_us;
    int err = job_again_due(j, &due_us) ? job_again_prepare(j, e, due_us) : 0;
    if (err) /* then it is a dead letter now */
        log_warn("not-again", "flow", j->claim.flow->name, "why",
                 err == ERR_TOO_LARGE ? "its record does not fit .retry" : err_text(err));
}

static void judge(struct job_run *j, struct job_ending *e)
{
    if (j->claim.bad || j->refused >= REFUSED_RESULTS) {
        job_ending_fail(e, j->claim.bad ? j->claim.bad : REASON_TOO_BIG);
        return;
    }
    bool pooled = j->pool.item || j->pool.idle;
    if (!j->calls && !pooled) {
        judge_stopped(j, e);
        return;
    }
    struct plan_verdict v = {.state = JOB_SUCCEEDED}; /* where no call was wanted */
    if (!pooled)
        plan_judge(j->claim.flow, j->calls, j->past_deadline, &v);
    e->state = v.state;
    e->reason = v.reason;
    e->culprit = v.culprit;
    e->called = v.called;
    if (j->cancel) {
        e->state = JOB_CANCELLED;
        e->reason = REASON_CANCELLED;
    } else if (e->state == JOB_SUCCEEDED || e->state == JOB_PARTIAL) {
        compute(j, e);
    } else if (v.again) {
        again(j, e);
    }
}

/* ---- afterwards */

void job_lead_done(struct job_run *j, const char *value, size_t len, int64_t ttl_ms)
{
    const struct flow *f = j->claim.flow;
    struct cache_async *cache = j->env->cache;
    char hash[65], v[CACHE_HASH_NAME], l[CACHE_HASH_NAME];
    if (!flow_caches_for(f, &j->claim.event.owner) || !cache || !cache_async_up(cache))
        return;
    if (j->claim.event.refill)
        return;
    /* a job that was final when it came has not been read yet */
    if (!j->request && json_parse(j->record->value, j->record->value_len, NULL, &j->request, NULL))
        return;
    j->vars.value[VAR_REQUEST] = j->request;
    const uint8_t *rev = j->claim.event.has_rev ? j->claim.event.rev : f->rev;
    if (flow_cache_hash(f, rev, j->claim.event.owner.b, &j->vars, hash, NULL))
        return;
    cache_hash_name(hash, 'v', v);
    cache_hash_name(hash, 'l', l);
    struct cache_command c = {.script = SCRIPT_LEAD_DONE, .keys = 2};
    cache_arg_text(&c, v);
    cache_arg_text(&c, l);
    cache_arg_text(&c, j->id);
    cache_arg(&c, value ? value : "", value ? len : 0);
    cache_arg_text(&c, log_number(ttl_ms));
    /* Redis away: the value is missed and the lead runs out by itself */
    if (cache_send(cache, &c, NULL, NULL))
        return;
}

static const char *message_of(const struct job_ending *e)
{
    return e->detail ? e->detail : e->notice;
}

/* `done` has one. */
static uint32_t number_of(const struct job_run *j, const struct job_ending *e)
{
    return j->seq + (e->state != JOB_QUEUED);
}

static void to_cache(struct job_run *j, enum job_state state, const char *result)
{
    int64_t ttl_ms = finish_cache_ms(j->claim.flow, state);
    struct buf value;
    buf_init(&value, FINISH_RESULT_MAX + 1024);
    if (ttl_ms > 0)
        finish_print_cached(j->claim.flow, state, result, job_env_now_us(j->env), &value);
    bool some = ttl_ms > 0 && !buf_ok(&value);
    job_lead_done(j, some ? value.data : NULL, some ? value.len : 0, some ? ttl_ms : 1);
    buf_fini(&value);
}

static void tell(struct job_run *j, const struct job_ending *e)
{
    struct buf data;
    enum job_state state = e->stored;
    const char *reason = reason_code(state == e->state ? e->reason : REASON_CANCELLED);
    const char *message = state == e->state ? message_of(e) : NULL;
    buf_init(&data, 64);
    live_print_state(state, &data);
    live_publish(j->env->cache, &j->claim.event.job, number_of(j, e), "done", &data);
    buf_fini(&data);
    const struct live_job l = {.id = &j->claim.event.job,
                               .owner = &j->claim.event.owner,
                               .flow = j->claim.flow->name,
                               .title = j->claim.flow->title,
                               .message = message,
                               .state = state,
                               .finished_us = job_env_now_us(j->env)};
    live_publish_job(j->env->cache, &l);
    log_info("job-finished", "flow", j->claim.flow->name, "state", job_state_name(state), "reason",
             reason);
}

static void count(struct job_run *j, enum job_state state)
{
    struct flow_facts *facts = job_facts(j);
    int64_t took_us = job_env_now_us(j->env) - j->claim.event.created_us;
    if (state == JOB_SUCCEEDED || state == JOB_PARTIAL) {
        budget_earn(&facts->budget);
        if (!j->claim.event.refill)
            job_eta_note(j, took_us / 1000);
    }
    job_overdue_note(j, state == JOB_EXPIRED, j->ending->called, took_us / 1000);
    metrics_add(facts->by_state[state - JOB_SUCCEEDED], 1);
    metrics_observe_us(facts->seconds, took_us);
}

/* ---- T6 */

/* Its data will never do (too much for a packet, say): the job fails without its results, then
 * without its dead letter, too; then every second anew. */
static void refused(struct job_run *j)
{
    log_error("finish-refused", "flow", j->claim.flow->name);
    if (j->refused == REFUSED_BARE) {
        job_give_up(j);
        return;
    }
    j->refused++;
    job_run_enter(j, PHASE_FINISHING);
}

void job_finish_tell(struct job_run *j)
{
    tell(j, j->ending);
    job_leave(j, true);
}

/* T7 is written; or a cancel came first, and the job ends here. */
static void queued_again(struct job_run *j, const struct record_finish *f)
{
    FAILPOINT("after-again");
    if (f->stored == JOB_CANCELLED) {
        j->cancel = true;
        job_run_enter(j, PHASE_FINISHING);
        return;
    }
    metrics_add(job_facts(j)->again, 1);
    job_overdue_note(j, false, false, 0);
    log_info("job-again", "flow", j->claim.flow->name, "round",
             log_number(j->claim.event.round + 1), "in_ms",
             log_number((f->due_us - job_env_now_us(j->env)) / 1000));
    job_leave(j, true);
}

static void ended(struct job_run *j, struct job_ending *e)
{
    FAILPOINT("after-finish");
    if (e->stored == e->state)
        job_emits_publish(&e->emits, j->env->relay);
    count(j, e->stored);
    to_cache(j, e->stored, e->stored == e->state ? e->result : NULL);
    job_save_optional(j);
}

static void finished(struct job_run *j, struct job_op *op)
{
    const struct record_finish *f = &op->op.finish;
    if (f->status == 0 && f->state == JOB_QUEUED) {
        queued_again(j, f);
    } else if (f->status == 0) {
        j->ending = op->ending;
        op->ending = NULL;
        j->ending->stored = f->stored;
        ended(j, j->ending);
    } else if (job_save_was_refused(j, op)) {
        log_debug("finish-anew", "flow", j->claim.flow->name);
    } else if (f->status == ERR_CONFLICT) {
        job_run_restart(j); /* ended or taken over meanwhile: the row decides */
    } else {
        refused(j);
    }
}

static void dead_letter(struct job_run *j, struct job_op *op, const struct job_ending *e)
{
    job_op_dead(op, e->reason, e->culprit ? e->culprit->name : "");
    op->op.finish.dead = &op->dead;
    op->op.bytes += j->record->bytes;
}

static void print_calls(struct job_run *j, struct job_ending *e)
{
    struct buf b;
    buf_init(&b, FINISH_CALLS_MAX);
    finish_print_calls(j->claim.flow, j->calls, &b);
    e->calls = buf_take(&b, &e->calls_len);
    buf_fini(&b);
}

/* What the job comes to, before any of it is stored. NULL without memory. */
static struct job_ending *conclude(struct job_run *j)
{
    struct job_ending *e = calloc(1, sizeof *e);
    if (!e)
        return NULL;
    if (j->refused < REFUSED_RESULTS)
        print_calls(j, e); /* before the results move to `$calls` */
    judge(j, e);
    return e;
}

void job_finish_write(struct job_run *j)
{
    struct job_ending *e = j->ending;
    struct job_op *op = job_op_new(j, WRITE_FINISH, finished);
    if (!op) {
        job_run_restart(j);
        return;
    }
    if (e->state == JOB_FAILED || e->state == JOB_EXPIRED)
        job_notify_compute(j, e);
    op->ending = e; /* the job may start over while it is written */
    j->ending = NULL;
    struct record_finish *f = &op->op.finish;
    f->worker = j->worker;
    f->id = j->claim.event.job;
    f->state = e->state;
    f->flow = j->claim.flow->name;
    f->reason = reason_code(e->reason);
    f->seq = number_of(j, e);
    f->due_us = e->due_us;
    f->sweep_at_us = job_sweep_at_us(e->due_us, j->claim.event.deadline_us, j->env->retention_ms);
    f->keep_ms = j->claim.flow->keep_ms;
    f->calls = e->calls;
    f->calls_len = e->calls_len;
    f->detail = message_of(e);
    f->result = e->result;
    f->result_len = e->result_len;
    f->posts = e->emits.posts;
    f->posts_n = e->emits.n;
    f->post_ids = e->emits.ids;
    bool called = e->called || j->claim.event.refill; /* one that came too late is nobody's loss */
    if (j->refused < REFUSED_BARE && finish_is_dead(e->state, e->reason, called))
        dead_letter(j, op, e);
    job_save_add(op);
    op->op.bytes += f->calls_len + f->result_len + e->emits.bytes;
    FAILPOINT("before-finish");
    job_op_put(op);
}

void job_finish_begin(struct job_run *j)
{
    if (!j->ending)
        j->ending = conclude(j);
    if (!j->ending)
        job_run_restart(j);
    else if (job_save_is_elsewhere(j->ending))
        job_run_enter(j, PHASE_SAVING);
    else if (!job_pool_put(j))
        job_finish_write(j);
}
