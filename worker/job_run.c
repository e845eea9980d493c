#include "worker/job_parts.h"
#include "common/failpoint.h"
#include "common/job_value.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/live.h"
#include "common/record_clock.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { VALUE_DEPTH = 64 };

struct log_ids job_scope(const struct job_run *j)
{
    return log_scope(j->id, j->claim.event.request);
}

int64_t job_env_now_us(const struct job_env *env)
{
    return record_clock_now_us(env->calls.clock, env->ahead_us);
}

/* ---- phases */

#define TO(phase) (1u << PHASE_##phase)
/* A job is dropped from anywhere; it is given back only from where its row may be ours and it does
 * not run. */
static const unsigned moves[] = {
    [PHASE_HELD] = TO(HELD) | TO(CLAIMING) | TO(DROPPED) | TO(RELEASING) | TO(SETTLED),
    [PHASE_CLAIMING] = TO(HELD) | TO(WATCHING) | TO(QUEUED) | TO(LOADING) | TO(DROPPED) |
                       TO(RELEASING) | TO(SETTLED),
    [PHASE_WATCHING] = TO(HELD) | TO(DROPPED) | TO(RELEASING) | TO(SETTLED),
    [PHASE_QUEUED] = TO(LOADING) | TO(DROPPED),
    [PHASE_LOADING] = TO(POOL) | TO(CALLING) | TO(SAVING) | TO(FINISHING) | TO(DROPPED),
    [PHASE_POOL] = TO(CALLING) | TO(FINISHING) | TO(DROPPED),
    [PHASE_CALLING] = TO(FINISHING) | TO(DROPPED),
    [PHASE_SAVING] = TO(FINISHING) | TO(DROPPED),
    [PHASE_FINISHING] =
        TO(HELD) | TO(SAVING) | TO(FINISHING) | TO(DROPPED) | TO(RELEASING) | TO(SETTLED),
    [PHASE_DROPPED] = TO(HELD) | TO(DROPPED) | TO(RELEASING) | TO(SETTLED),
    [PHASE_RELEASING] = TO(SETTLED),
    [PHASE_SETTLED] = 0,
};

static void set_phase(struct job_run *j, enum job_phase p)
{
    bool may = (moves[j->phase] >> p & 1u) != 0;
    assert(may);
    (void)may;
    j->phase = (uint8_t)p;
    if (p != PHASE_DROPPED && p != PHASE_RELEASING)
        j->after = AFTER_GO_ON;
}

/* ---- lists */

static void list_push(struct job_list *l, struct job_run *j)
{
    j->next = NULL;
    j->prev = l->tail;
    if (l->tail)
        l->tail->next = j;
    else
        l->head = j;
    l->tail = j;
    j->listed = true;
}

static void list_remove(struct job_list *l, struct job_run *j)
{
    if (!j->listed)
        return;
    if (j->prev)
        j->prev->next = j->next;
    else
        l->head = j->next;
    if (j->next)
        j->next->prev = j->prev;
    else
        l->tail = j->prev;
    j->listed = false;
}

void job_hold(struct job_run *j)
{
    set_phase(j, PHASE_HELD);
    list_push(&j->env->held, j);
}

static void unlist(struct job_run *j)
{
    list_remove(j->phase == PHASE_QUEUED ? &j->env->queued : &j->env->held, j);
}

struct flow_facts *job_facts(const struct job_run *j)
{
    return &j->env->facts[j->claim.flow - j->env->set->flows];
}

/* ---- leaving what it does */

static void next_suspect(struct job_run *j)
{
    struct job_env *env = j->env;
    if (env->suspect != j)
        return;
    env->suspect = NULL;
    struct job_run *next = env->queued.head;
    if (next) {
        env->suspect = next;
        job_run_enter(next, PHASE_LOADING);
    }
}

static void run_free(struct job_run *j)
{
    job_calls_free(j);
    for (size_t i = 0; i < j->ledger_n; i++)
        record_call_fini(&j->ledger[i]);
    free(j->ledger);
    j->ledger = NULL;
    j->ledger_n = 0;
    job_ending_free(j->ending);
    j->ending = NULL;
    job_pool_stop(j);
    free(j->detail);
    j->detail = NULL;
    json_free(j->rows);
    json_free(j->request);
    json_free(j->user);
    json_free(j->job);
    j->rows = j->request = j->user = j->job = NULL;
    j->vars = (struct expr_vars){0};
}

static void stop(struct job_run *j)
{
    unlist(j);
    if (j->watched)
        watch_remove(j->env->watch, j->watched);
    j->watched = NULL;
    due_stop(j->env->due, &j->deadline);
    due_stop(j->env->due, &j->again);
    job_calls_stop(j, CALL_CANCELLED);
    run_free(j);
    next_suspect(j);
}

void job_leave(struct job_run *j, bool done)
{
    struct job_env *env = j->env;
    stop(j);
    set_phase(j, PHASE_SETTLED);
    turns_leave(&env->turns, &j->turn_of_key, done);
    FAILPOINT("before-settle");
    env->gone(env->arg, j, done);
    job_run_free(j);
}

void job_run_free(struct job_run *j)
{
    for (struct job_place *p = j->place.next; p;) {
        struct job_place *next = p->next;
        free(p);
        p = next;
    }
    free(j->record);
    free(j);
}

/* As it came; what was claimed is claimed anew. */
static void reset(struct job_run *j)
{
    j->worker = 0;
    j->past_deadline = false;
    j->stopped = REASON_NONE;
    j->seq = 0;
    if (!j->bad_record)
        j->claim.bad = REASON_NONE;
}

static void start_over(struct job_run *j)
{
    reset(j);
    if (job_is_wanted(j))
        job_run_enter(j, PHASE_HELD);
    else
        job_leave(j, false);
}

/* ---- giving back */

static void released(struct job_run *j, struct job_op *op)
{
    (void)op;
    job_leave(j, j->after == AFTER_SETTLE);
}

void job_give_back(struct job_run *j, enum after_write after)
{
    struct job_op *op = j->worker ? job_op_new(j, WRITE_RELEASE, released) : NULL;
    if (!op) {
        job_leave(j, after == AFTER_SETTLE);
        return;
    }
    set_phase(j, PHASE_RELEASING);
    j->after = (uint8_t)after;
    op->op.release = (struct record_release){.worker = j->worker, .id = j->claim.event.job};
    job_op_put(op);
}

void job_dropped(struct job_run *j)
{
    if (j->writes)
        return;
    if (j->after == AFTER_GIVE_BACK)
        job_give_back(j, AFTER_GIVE_BACK);
    else
        start_over(j);
}

static void drop(struct job_run *j, enum after_write after)
{
    stop(j);
    set_phase(j, PHASE_DROPPED);
    j->after = (uint8_t)after;
    job_dropped(j);
}

/* ---- load */

/* A refill has some fields of a request. */
static int keep_fields(struct job_run *j)
{
    struct json *fields = NULL;
    int err = flow_pool_fields(j->claim.flow, j->request, &fields);
    if (err)
        return err;
    json_free(j->request);
    j->request = fields;
    return 0;
}

/* The request as JSON that fits its schema; else the record is a dead letter. */
static void load_request(struct job_run *j)
{
    const struct json_limits limits = {.size_max = 16 << 20, .depth_max = VALUE_DEPTH};
    struct schema_report report;
    struct claim *c = &j->claim;
    const struct schema *schema = c->event.refill ? c->flow->pool.schema : c->flow->schema;
    if (json_parse(j->record->value, j->record->value_len, &limits, &j->request, NULL)) {
        c->bad = REASON_BAD_EVENT;
        c->why = "its value is not JSON";
    } else if (c->event.refill && keep_fields(j)) {
        c->bad = REASON_BAD_EVENT;
        c->why = "its value is no object";
    } else if (schema && schema_check(schema, j->request, &report)) {
        c->bad = REASON_BAD_EVENT;
        c->why = "its value does not fit the schema";
    } else if (!flow_holds_hashes(c->flow, j->request)) {
        c->bad = REASON_BAD_EVENT;
        c->why = "its value holds plain text where a hash belongs";
    }
}

static void load_begin(struct job_run *j)
{
    unsigned uses = job_facts(j)->uses;
    bool broken = j->claim.bad != REASON_NONE;
    if (!broken)
        load_request(j);
    if (!broken && job_save_is_recorded(j))
        j->claim.bad = REASON_NONE; /* what the file asks of a request now comes too late */
    if (j->claim.bad) {
        metrics_add(j->env->metrics.bad, 1);
        log_warn("bad-record", "flow", j->claim.flow->name, "why", j->claim.why, "partition",
                 log_number(j->record->partition), "offset", log_number(j->record->offset));
        job_calls_skip(j);
        job_run_enter(j, PHASE_FINISHING);
        return;
    }
    FAILPOINT("claimed"); /* behind the look at `bad`: who killed five workers kills no sixth */
    j->user = uses & VAR_BIT(VAR_USER) ? job_value_user(&j->claim.event) : NULL;
    j->job = uses & VAR_BIT(VAR_JOB) ? job_value(&j->claim.event, j->claim.flow->name) : NULL;
    j->vars.value[VAR_REQUEST] = j->request;
    j->vars.value[VAR_USER] = j->user;
    j->vars.value[VAR_JOB] = j->job;
    j->vars.created_us = j->claim.event.created_us;
    if (!job_save_resume(j))
        job_load_begin(j);
}

static void tell_running(struct job_run *j)
{
    struct buf data;
    buf_init(&data, 64);
    live_print_state(JOB_RUNNING, &data);
    live_publish(j->env->cache, &j->claim.event.job, 0, "state", &data);
    buf_fini(&data);
    const struct live_job l = {.id = &j->claim.event.job,
                               .owner = &j->claim.event.owner,
                               .flow = j->claim.flow->name,
                               .title = j->claim.flow->title,
                               .state = JOB_RUNNING};
    live_publish_job(j->env->cache, &l);
}

/* ---- the one place where a job moves */

static void begin(struct job_run *j, enum job_phase p)
{
    set_phase(j, p);
    switch (p) {
    case PHASE_HELD:
        job_held_begin(j);
        break;
    case PHASE_CLAIMING:
        job_claim_begin(j);
        break;
    case PHASE_WATCHING:
        job_watch_begin(j);
        break;
    case PHASE_QUEUED:
        list_push(&j->env->queued, j);
        if (!job_deadline_arm(j))
            job_run_enter(j, PHASE_LOADING);
        break;
    case PHASE_LOADING:
        tell_running(j);
        load_begin(j);
        break;
    case PHASE_POOL:
        job_pool_begin(j);
        break;
    case PHASE_CALLING:
        job_calls_begin(j);
        break;
    case PHASE_SAVING:
        due_stop(j->env->due, &j->deadline);
        job_save_begin(j);
        break;
    case PHASE_FINISHING:
        due_stop(j->env->due, &j->deadline);
        job_finish_begin(j);
        break;
    case PHASE_DROPPED:
    case PHASE_RELEASING:
    case PHASE_SETTLED:
        break; /* these have functions of their own */
    }
}

/* Often inside another job's work: the end of one starts the next that waits. */
void job_run_enter(struct job_run *j, enum job_phase p)
{
    struct log_ids before = job_scope(j);
    unlist(j);
    begin(j, p);
    log_scope_restore(&before);
}

/* ---- from outside */

int job_run_new(struct job_env *env, const struct claim *c, struct partition *p,
                const struct broker_record *r, struct job_run **out)
{
    struct job_run *j = calloc(1, sizeof *j);
    int err = j ? job_record_copy(r, &j->record) : ERR_NOMEM;
    if (err) {
        free(j);
        return err;
    }
    j->env = env;
    j->claim = *c;
    j->bad_record = c->bad != REASON_NONE;
    j->place = (struct job_place){NULL, p, r->offset};
    id_format(&c->event.job, j->id);
    *out = j;
    return 0;
}

void job_run_begin(struct job_run *j)
{
    job_run_enter(j, PHASE_HELD);
}

const char *job_run_id(const struct job_run *j)
{
    return j->id;
}

void job_env_resume(struct job_env *env)
{
    struct job_list held = env->held;
    env->held = (struct job_list){0};
    for (struct job_run *j = held.head; j;) {
        struct job_run *next = j->next;
        j->listed = false;
        job_run_enter(j, PHASE_HELD);
        j = next;
    }
    call_gates_pump(&env->calls);
}

void job_run_restart(struct job_run *j)
{
    if (j->phase == PHASE_HELD || j->phase == PHASE_RELEASING)
        return; /* it is nowhere yet; or it leaves anyway */
    metrics_add(j->env->metrics.restarted, 1);
    j->worker = 0;
    drop(j, j->phase == PHASE_DROPPED ? (enum after_write)j->after : AFTER_START_OVER);
}

/* Its row may be ours: who forgets the job must give the row back, or nobody would run it. */
static void forget(struct job_run *j)
{
    stop(j);
    job_give_back(j, AFTER_GIVE_BACK);
}

void job_give_up(struct job_run *j)
{
    uint64_t worker = j->worker;
    stop(j);
    reset(j);
    j->worker = worker;
    if (job_is_wanted(j))
        job_hold(j);
    else
        forget(j);
}

void job_run_abandon(struct job_run *j)
{
    if (j->phase == PHASE_HELD || j->phase == PHASE_WATCHING)
        forget(j);
}

void job_run_release(struct job_run *j)
{
    if (j->phase == PHASE_FINISHING || j->phase == PHASE_RELEASING)
        return; /* its last write is on its way */
    drop(j, AFTER_GIVE_BACK);
}

void job_run_cancel(struct job_run *j)
{
    bool before = j->cancel;
    j->cancel = true;
    if (before)
        return;
    if (j->phase == PHASE_LOADING)
        job_load_stop(j);
    if (j->phase != PHASE_CALLING)
        return;
    job_calls_stop(j, CALL_CANCELLED);
    if (!j->writes)
        job_run_enter(j, PHASE_FINISHING);
}
