/* The calling phase of a job: start calls, write each outcome to the ledger, then tell it. */
#include "common/failpoint.h"
#include "common/log.h"
#include "common/metrics.h"
#include "worker/job_run.h"
#include "worker/live.h"

#include <stdlib.h>
#include <string.h>

static void over(struct job_run *j)
{
    if (j->phase == PHASE_CALLING && !j->writes && plan_is_over(j->items, j->calls_n))
        job_run_enter(j, PHASE_FINISHING);
}

/* ---- after the ledger */

static void tell(struct job_run *j, size_t at, const char *result)
{
    struct buf data;
    buf_init(&data, LIVE_DATA_MAX + 1024);
    outcome_print(j->claim.flow, &j->items[at], &j->outcomes[at], result, &data);
    live_publish(j->env->cache, &j->claim.event.job, j->outcomes[at].seq, "call", &data);
    buf_fini(&data);
}

/* Another outcome stood in the ledger: that one counts. */
static const char *stored(struct job_run *j, size_t at, const struct record_call *row)
{
    uint32_t seq = j->outcomes[at].seq;
    if (outcome_from_ledger(row, &j->items[at], &j->outcomes[at]))
        log_warn("ledger-row-broken", "call", row->name);
    else
        log_info("ledger-row-stood", "call", row->name);
    if (j->outcomes[at].seq == 0)
        j->outcomes[at].seq = seq;
    return row->result;
}

static void written(void *arg)
{
    struct job_op *op = arg;
    struct job_run *j = op->job;
    struct record_ledger *l = &op->op.ledger;
    size_t at = op->place;
    struct log_ids before = job_scope(j);
    if (job_op_back(op, l->status)) {
        FAILPOINT("after-ledger");
        const char *result = l->call.result;
        j->outcomes[at].in_ledger = l->status == 0;
        if (l->status == ERR_EXISTS)
            result = stored(j, at, &l->stored);
        else if (l->status)
            log_error("ledger-refused", "call", l->call.name, "why", err_text(l->status));
        tell(j, at, result);
        over(j);
    } else {
        job_op_dropped(j);
    }
    job_op_free(op);
    log_scope_restore(&before);
}

static void print_tries(struct job_op *op, const struct tries *t)
{
    struct buf b;
    buf_init(&b, 4096);
    tries_print(t, &b);
    op->tries = buf_take(&b, &op->op.ledger.call.tries_len);
    op->op.ledger.call.tries = op->tries;
    buf_fini(&b);
}

/* T5 of a call that is over. run: NULL if it never started. */
static void write_ledger(struct job_run *j, size_t at, const uint8_t key[CALL_KEY],
                         struct call_run *run)
{
    struct plan_item *i = &j->items[at];
    struct outcome *o = &j->outcomes[at];
    struct job_op *op = job_op_new(j, WRITE_LEDGER, written);
    if (!op)
        return; /* no memory: as with `ledger: false`, it is told at the end */
    struct record_call *c = &op->op.ledger.call;
    o->seq = ++j->seq;
    op->place = at;
    op->op.ledger.worker = j->worker;
    *c = (struct record_call){.job = j->claim.event.job,
                              .seq = o->seq,
                              .item = i->index,
                              .round = j->claim.event.round,
                              .outcome = outcome_for_ledger(i),
                              .attempts = o->attempts,
                              .status = o->status,
                              .ms = o->ms};
    memcpy(c->ckey, key, CALL_KEY);
    strncat(c->name, j->claim.flow->calls[i->call].name, sizeof c->name - 1);
    strncat(c->reason, call_code((enum call_code)i->code), sizeof c->reason - 1);
    if (run) {
        print_tries(op, &run->tries);
        op->text = run->result;
        c->result = op->text;
        c->result_len = run->result_len;
        run->result = NULL;
    }
    op->op.bytes += c->result_len + c->tries_len;
    FAILPOINT("before-ledger");
    job_op_put(op);
}

static void log_failed(const struct call_run *run)
{
    const struct call_order *o = &run->order;
    log_info("call-failed", "call", o->call->name, "upstream", o->call->upstream->name, "code",
             call_code((enum call_code)o->item->code), "status", log_number(o->outcome->status),
             "attempts", log_number(o->outcome->attempts));
}

/* Perhaps in the middle of another job's work: its end gave this call its turn. */
static void call_over(void *arg, struct call_run *run)
{
    struct job_run *j = arg;
    size_t at = (size_t)(run->order.item - j->items);
    struct log_ids before = job_scope(j);
    if (run->order.item->state == ITEM_FAILED)
        log_failed(run);
    j->runs[at] = NULL;
    j->env->kept += (int64_t)run->result_len;
    write_ledger(j, at, run->key, run);
    call_run_free(run);
    over(j);
    log_scope_restore(&before);
}

/* The job would become a dead letter for a reason that may pass: behind an open breaker it waits,
 * and otherwise when too many have gone this way. A job that can do without the call does. */
static bool must_wait(void *arg, const struct call_run *run, enum call_code code)
{
    struct job_run *j = arg;
    size_t at = (size_t)(run->order.item - j->items);
    if (!plan_hangs_on(j->claim.flow, j->items, j->calls_n, at))
        return false;
    return code == CALL_BREAKER_OPEN ||
           !budget_take(&job_facts(j)->budget, loop_now_ms(j->env->loop));
}

/* ---- before it */

/* What an earlier worker wrote: it is not made again, unless a new round may repeat it. */
static const struct record_call *known(const struct job_run *j, const uint8_t key[CALL_KEY])
{
    for (size_t i = 0; i < j->ledger_n; i++) {
        const struct record_call *row = &j->ledger[i];
        bool again = row->outcome == OUTCOME_RETRYABLE && row->round < j->claim.event.round;
        if (memcmp(row->ckey, key, CALL_KEY) == 0 && !again)
            return row;
    }
    return NULL;
}

static void fail_at_once(struct job_run *j, size_t at, enum call_code code)
{
    const struct flow_call *c = &j->claim.flow->calls[j->items[at].call];
    const struct call_request none = {.url = (char[]){""}};
    uint8_t key[CALL_KEY];
    call_request_key(c, &none, 0, key);
    j->items[at].state = ITEM_FAILED;
    j->items[at].code = (uint8_t)code;
    if (!known(j, key))
        write_ledger(j, at, key, NULL);
}

/* What the ledger has counts always; may_start: what it has not is begun. */
static void start_call(struct job_run *j, size_t at, bool may_start)
{
    const struct flow_call *c = &j->claim.flow->calls[j->items[at].call];
    struct call_request request = {0};
    struct expr_error error = {0};
    uint8_t key[CALL_KEY];
    if (call_request_render(c, &j->vars, &request, &error)) {
        if (!may_start)
            return;
        log_info("call-expression", "call", c->name, "error", error.text);
        fail_at_once(j, at, CALL_EXPRESSION);
        return;
    }
    call_request_key(c, &request, 0, key);
    const struct record_call *row = known(j, key);
    bool had = row && outcome_from_ledger(row, &j->items[at], &j->outcomes[at]) == 0;
    if (had) {
        j->kept += row->result_len;
        j->env->kept += (int64_t)row->result_len;
    }
    if (had || !may_start) {
        call_request_fini(&request);
        return;
    }
    const struct call_order o = {.call = c,
                                 .item = &j->items[at],
                                 .outcome = &j->outcomes[at],
                                 .vars = &j->vars,
                                 .job = &j->claim.event.job,
                                 .trace = j->claim.event.trace,
                                 .deadline_ms = j->deadline.place ? j->deadline.at_ms : INT64_MAX,
                                 .kept = &j->kept,
                                 .done = call_over,
                                 .must_wait = must_wait,
                                 .arg = j,
                                 .out = &j->runs[at]};
    if (call_run_start(&j->env->calls, &o, &request, key))
        fail_at_once(j, at, CALL_CONNECT);
}

static void deadline(void *arg)
{
    struct job_run *j = arg;
    struct log_ids before = job_scope(j);
    j->late = true;
    if (j->phase == PHASE_QUEUED) {
        job_run_enter(j, PHASE_LOADING); /* makes no call, so it need not run alone */
    } else {
        job_calls_stop(j, CALL_DEADLINE);
        over(j);
    }
    log_scope_restore(&before);
}

bool job_deadline_arm(struct job_run *j)
{
    int64_t at = j->claim.event.deadline_us;
    due_stop(j->env->due, &j->deadline);
    if (!at)
        return true;
    int64_t left_ms = (at - job_env_now_us(j->env)) / 1000;
    if (left_ms <= 0)
        return false;
    j->deadline = (struct due_item){.fn = deadline, .arg = j};
    return due_set(j->env->due, &j->deadline, loop_now_ms(j->env->loop) + left_ms) == 0;
}

static bool make_room(struct job_run *j)
{
    size_t n = plan_size(j->claim.flow), some = n ? n : 1;
    j->items = calloc(some, sizeof *j->items);
    j->outcomes = calloc(some, sizeof *j->outcomes);
    j->runs = calloc(some, sizeof(struct call_run *));
    if (!j->items || !j->outcomes || !j->runs)
        return false;
    j->calls_n = n;
    plan_init(j->claim.flow, j->items);
    return true;
}

void job_calls_skip(struct job_run *j)
{
    if (!make_room(j))
        return; /* then `calls` is empty */
    for (size_t i = 0; i < j->calls_n; i++) {
        const struct record_call *row = NULL;
        for (size_t k = 0; k < j->ledger_n && !row; k++)
            if (strcmp(j->ledger[k].name, j->claim.flow->calls[j->items[i].call].name) == 0)
                row = &j->ledger[k];
        if (row && outcome_from_ledger(row, &j->items[i], &j->outcomes[i]) == 0)
            continue;
        j->items[i].state = ITEM_SKIPPED;
        j->items[i].code = CALL_SKIPPED;
    }
}

void job_calls_begin(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    if (!make_room(j)) {
        job_run_restart(j);
        return;
    }
    j->late = !job_deadline_arm(j);
    bool may_start = !j->cancel && !j->late;
    size_t at = plan_next(f, j->items, j->calls_n, 0);
    j->writes++; /* so that a call that ends at once does not finish the job while others start */
    for (; at < j->calls_n; at = plan_next(f, j->items, j->calls_n, at + 1))
        start_call(j, at, may_start);
    j->writes--;
    if (!may_start)
        job_calls_stop(j, j->cancel ? CALL_CANCELLED : CALL_DEADLINE);
    over(j);
}

void job_calls_stop(struct job_run *j, enum call_code code)
{
    for (size_t i = 0; i < j->calls_n; i++) {
        struct call_run *run = j->runs[i];
        j->runs[i] = NULL;
        if (run) {
            call_run_stop(run, code);
            call_run_free(run);
        } else if (!item_is_over(&j->items[i])) {
            j->items[i].state = code == CALL_CANCELLED ? ITEM_CANCELLED : ITEM_FAILED;
            j->items[i].code = (uint8_t)code;
        }
    }
}

void job_calls_free(struct job_run *j)
{
    for (size_t i = 0; i < j->calls_n; i++) {
        call_run_free(j->runs[i]);
        outcome_fini(&j->outcomes[i]);
    }
    j->env->kept -= (int64_t)j->kept;
    j->kept = 0;
    free(j->items);
    free(j->outcomes);
    free(j->runs);
    j->items = NULL;
    j->outcomes = NULL;
    j->runs = NULL;
    j->calls_n = 0;
}
