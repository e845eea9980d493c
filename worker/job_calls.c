/* The calling phase of a job: begin calls whose `after` have ended, start their items, stop what is
 * open. What the ledger has of an earlier worker is not made again. */
#include "common/log.h"
#include "worker/each.h"
#include "worker/job_parts.h"
#include "worker/plan.h"
#include "worker/weight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Items started in one turn of the loop: each may cost an expression. */
enum { STARTS_MAX = 128 };

static const struct flow_call *call_of(const struct job_run *j, const struct plan_item *i)
{
    return &j->claim.flow->calls[i->call];
}

static void over(struct job_run *j)
{
    if (j->phase == PHASE_CALLING && !j->advancing && !j->writes &&
        plan_is_over(j->claim.flow, j->calls))
        job_run_enter(j, PHASE_FINISHING);
}

static void log_failed(const struct call_run *run)
{
    const struct call_order *o = &run->order;
    const char *why = o->item->code == CALL_BAD_BODY ? run->why : run->tls_why;
    log_info("call-failed", "call", o->call->name, "upstream", o->call->upstream->name, "code",
             call_code((enum call_code)o->item->code), "status", log_number(o->outcome->status),
             "attempts", log_number(o->outcome->attempts), why ? "why" : NULL, why, NULL);
}

/* Perhaps in the middle of another job's work: its end gave this call its turn. */
static void call_over(void *arg, struct call_run *run)
{
    struct job_run *j = arg;
    struct plan_item *i = run->order.item;
    struct log_ids before = job_scope(j);
    if (i->state == ITEM_FAILED)
        log_failed(run);
    *job_call_run(j, i) = NULL;
    j->env->kept += (int64_t)run->result_len;
    job_trees_grow(j, weight_of_value(job_outcome(j, i)->result));
    job_ledger_write(j, i, run->key, run);
    call_run_free(run);
    job_calls_go_on(j);
    log_scope_restore(&before);
}

/* The job would become a dead letter for a reason that may pass: behind an open breaker it waits,
 * and otherwise when too many have gone this way, or nothing
 * more may wait in the outbox. A job that can do without the call does. */
static bool must_wait(void *arg, const struct call_run *run, enum call_code code)
{
    struct job_run *j = arg;
    if (!plan_hangs_on(j->claim.flow, j->calls, run->order.item))
        return false;
    int64_t due_us;
    bool behind = j->env->relay && relay_behind(j->env->relay) && job_again_due(j, &due_us);
    return code == CALL_BREAKER_OPEN || behind ||
           !budget_take(&job_facts(j)->budget, loop_now_ms(j->env->loop));
}

/* ---- the ledger of earlier workers */

/* It is not made again, unless a new round may repeat it. */
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

/* A row that only says `started`: nobody knows how far it came, and now the ledger says so. */
static bool take_known(struct job_run *j, struct plan_item *i, const uint8_t key[CALL_KEY])
{
    const struct record_call *row = known(j, key);
    struct outcome *o = job_outcome(j, i);
    if (!row || outcome_from_ledger(row, i, o))
        return false;
    if (row->outcome == OUTCOME_STARTED) {
        o->attempts = 1;
        o->in_ledger = false;
        i->began = true;
        job_ledger_write(j, i, key, NULL);
    }
    j->kept += row->result_len;
    j->env->kept += (int64_t)row->result_len;
    job_trees_grow(j, weight_of_value(o->result));
    return true;
}

/* ---- one item */

static int render(struct job_run *j, const struct plan_item *i, struct call_request *out,
                  struct expr_error *error)
{
    const struct call_items *c = &j->calls[i->call];
    if (!c->seen && !c->list)
        return call_request_render(call_of(j, i), &j->vars, out, error);
    struct expr_vars vars = j->vars;
    struct json *index = json_new_number(i->index);
    vars.value[VAR_CALLS] = c->seen;
    vars.value[VAR_ITEM] = c->list ? json_at(c->list, (size_t)i->index) : NULL;
    vars.value[VAR_INDEX] = index;
    int err = index ? call_request_render(call_of(j, i), &vars, out, error) : ERR_NOMEM;
    json_free(index);
    return err;
}

/* The number tells equal requests of a call apart; those before it are rendered already. */
static void find_key(struct job_run *j, const struct plan_item *i, const struct call_request *r,
                     uint8_t key[CALL_KEY])
{
    struct call_items *c = &j->calls[i->call];
    size_t at = (size_t)(i - c->items);
    uint32_t number = 0;
    call_request_key(call_of(j, i), r, 0, key);
    memcpy(&c->same[at], key, sizeof c->same[at]);
    for (size_t k = 0; k < at; k++)
        number += c->same[k] == c->same[at];
    if (number)
        call_request_key(call_of(j, i), r, number, key);
}

/* A request that cannot be made has a key, too. */
static int prepare(struct job_run *j, const struct plan_item *i, struct call_request *request,
                   uint8_t key[CALL_KEY], struct expr_error *error)
{
    const struct call_request none = {.url = (char[]){""}};
    int err = render(j, i, request, error);
    find_key(j, i, err ? &none : request, key);
    return err;
}

static void fail_at_once(struct job_run *j, struct plan_item *i, enum call_code code,
                         const uint8_t key[CALL_KEY])
{
    i->state = ITEM_FAILED;
    i->code = (uint8_t)code;
    job_ledger_write(j, i, key, NULL);
}

static void start_item(struct job_run *j, struct plan_item *i)
{
    const struct flow_call *call = call_of(j, i);
    struct call_items *c = &j->calls[i->call];
    struct call_request request = {0};
    struct expr_error error = {0};
    uint8_t key[CALL_KEY];
    if (prepare(j, i, &request, key, &error)) {
        log_info("call-expression", "call", call->name, "error", expr_error_plain(&error));
        fail_at_once(j, i, CALL_EXPRESSION, key);
        return;
    }
    const struct call_order o = {.call = call,
                                 .item = i,
                                 .outcome = job_outcome(j, i),
                                 .vars = &j->vars,
                                 .calls = c->seen,
                                 .element = c->list ? json_at(c->list, (size_t)i->index) : NULL,
                                 .mark = call->never_again ? job_ledger_mark : NULL,
                                 .job = &j->claim.event.job,
                                 .trace = j->claim.event.trace,
                                 .refill = j->claim.event.refill,
                                 .deadline_ms = j->deadline.place ? j->deadline.at_ms : INT64_MAX,
                                 .kept = &j->kept,
                                 .began_ms = &j->began_ms,
                                 .done = call_over,
                                 .must_wait = must_wait,
                                 .arg = j,
                                 .out = job_call_run(j, i)};
    if (call_run_start(&j->env->calls, &o, &request, key))
        fail_at_once(j, i, CALL_CONNECT, key);
}

/* ---- one call */

/* All of its items at once: also those that wait for others count as the ledger says. */
static void resume(struct job_run *j, struct call_items *c)
{
    for (size_t k = 0; k < c->n; k++) {
        struct call_request request = {0};
        uint8_t key[CALL_KEY];
        /* one that cannot be made fails when it is started */
        int err = prepare(j, &c->items[k], &request, key, NULL);
        (void)take_known(j, &c->items[k], key);
        if (!err)
            call_request_fini(&request);
    }
}

/* Its items, as many as there are; CALL_OK, or why it fails as a whole. */
static enum call_code expand(struct job_run *j, const struct flow_call *call, struct call_items *c)
{
    size_t n = json_size(c->list);
    size_t others = items_count(j->claim.flow, j->calls) - c->n;
    if (n > call->max_items || others + n > FLOW_ITEMS_MAX) {
        log_info("call-failed", "call", call->name, "code", call_code(CALL_TOO_MANY_ITEMS), "items",
                 log_number((long long)n), "max_items", log_number(call->max_items), "other_calls",
                 log_number((long long)others), "calls_max", log_number(FLOW_ITEMS_MAX));
        c->list = NULL;
        return CALL_TOO_MANY_ITEMS;
    }
    if (items_expand(c, n) == 0) {
        job_grow(j, n * (sizeof *c->items + sizeof(struct outcome) + sizeof(struct call_run *)));
        return CALL_OK;
    }
    c->list = NULL;
    return CALL_EXPRESSION;
}

/* What the call is, now that all before it have ended. *wanted false: `when` says no. */
static enum call_code open_call(struct job_run *j, size_t at, bool *wanted)
{
    const struct flow *f = j->claim.flow;
    const struct flow_call *call = &f->calls[at];
    struct call_items *c = &j->calls[at];
    struct expr_error error = {0};
    if (!call->when && !call->after_n && !flow_call_has_items(call))
        return CALL_OK;
    int err = 0;
    if (call->after_n && flow_call_uses(call) & VAR_BIT(VAR_CALLS)) {
        err = outcome_seen(f, j->calls, call, &c->seen);
        job_grow(j, weight_of_value(c->seen));
    }
    struct expr_vars vars = j->vars;
    vars.value[VAR_CALLS] = c->seen;
    if (!err)
        err = each_wanted(call->when, &vars, wanted, &error);
    if (!err && *wanted && flow_call_has_items(call))
        err = each_list(&call->each, &vars, &c->list, &c->list_owned, &error);
    job_grow(j, weight_of_value(c->list_owned));
    if (err) {
        log_info("call-expression", "call", call->name, "error", expr_error_plain(&error));
        return CALL_EXPRESSION;
    }
    return c->list ? expand(j, call, c) : CALL_OK;
}

static void settle(struct plan_item *i, enum item_state state, enum call_code code)
{
    i->state = (uint8_t)state;
    i->code = (uint8_t)code;
}

/* may_start false: only what the ledger has of it counts. */
static void begin_call(struct job_run *j, size_t at, bool may_start)
{
    struct call_items *c = &j->calls[at];
    bool wanted = true;
    c->begun = true;
    if (plan_is_skipped(j->claim.flow, j->calls, at)) {
        settle(c->items, ITEM_FAILED, CALL_SKIPPED);
        return;
    }
    enum call_code code = open_call(j, at, &wanted);
    if (!wanted) {
        settle(c->items, ITEM_SKIPPED, CALL_OK);
    } else if (code == CALL_OK) {
        if (j->ledger_n)
            resume(j, c);
    } else {
        const struct call_request none = {.url = (char[]){""}};
        uint8_t key[CALL_KEY];
        find_key(j, c->items, &none, key);
        if (!take_known(j, c->items, key) && may_start)
            fail_at_once(j, c->items, code, key);
    }
}

/* ---- all calls */

static bool start_items(struct job_run *j, unsigned *left)
{
    const struct flow *f = j->claim.flow;
    bool any = false;
    for (size_t at = 0; at < f->calls_n; at++) {
        struct call_items *c = &j->calls[at];
        size_t k;
        while (*left && (k = plan_next_item(&f->calls[at], c)) < c->n) {
            start_item(j, &c->items[k]);
            (*left)--;
            any = true;
        }
    }
    return any;
}

/* Begin and start all that may now: what ends at once may let others begin. */
static void advance(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    bool may_start = !j->cancel && !j->past_deadline, more = !j->advancing;
    unsigned left = STARTS_MAX;
    while (more) {
        j->advancing = true;
        more = false;
        for (size_t at = plan_next(f, j->calls, 0); at < f->calls_n;
             at = plan_next(f, j->calls, at + 1)) {
            begin_call(j, at, may_start);
            more = true;
        }
        if (may_start && start_items(j, &left))
            more = true;
        /* without memory to come back, all of it now */
        if (!left && due_set(j->env->due, &j->turn, loop_now_ms(j->env->loop)))
            left = STARTS_MAX;
        j->advancing = false;
    }
}

void job_calls_go_on(struct job_run *j)
{
    if (j->phase == PHASE_CALLING)
        advance(j);
    over(j);
}

static void next_turn(void *arg)
{
    struct job_run *j = arg;
    struct log_ids before = job_scope(j);
    job_calls_go_on(j);
    log_scope_restore(&before);
}

static void deadline(void *arg)
{
    struct job_run *j = arg;
    struct log_ids before = job_scope(j);
    j->past_deadline = true;
    if (j->phase == PHASE_QUEUED) {
        job_run_enter(j, PHASE_LOADING); /* makes no call, so it need not run alone */
    } else if (j->phase == PHASE_LOADING) {
        job_load_stop(j);
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

void job_calls_begin(struct job_run *j)
{
    if (items_new(j->claim.flow, &j->calls)) {
        job_run_restart(j);
        return;
    }
    j->turn = (struct due_item){.fn = next_turn, .arg = j};
    j->past_deadline = !job_deadline_arm(j);
    advance(j);
    if (j->cancel || j->past_deadline)
        job_calls_stop(j, j->cancel ? CALL_CANCELLED : CALL_DEADLINE);
    over(j);
}

/* ---- none is made any more */

/* The rows of one call as its items; false: it has none. */
static bool take_rows(struct job_run *j, const char *name, struct call_items *c)
{
    size_t n = 0;
    for (size_t i = 0; i < j->ledger_n; i++)
        n += strcmp(j->ledger[i].name, name) == 0;
    if (!n || items_expand(c, n))
        return false;
    n = 0;
    for (size_t i = 0; i < j->ledger_n; i++) {
        const struct record_call *row = &j->ledger[i];
        if (strcmp(row->name, name) != 0)
            continue;
        size_t at = n++;
        for (; at > 0 && c->items[at - 1].index > row->item; at--) {
            c->items[at] = c->items[at - 1];
            c->outcomes[at] = c->outcomes[at - 1];
        }
        c->items[at] = (struct plan_item){.call = c->items[at].call, .index = row->item};
        c->outcomes[at] = (struct outcome){0};
        if (outcome_from_ledger(row, &c->items[at], &c->outcomes[at]))
            settle(&c->items[at], ITEM_SKIPPED, CALL_SKIPPED);
    }
    return true;
}

void job_calls_skip(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    if (items_new(f, &j->calls))
        return; /* then `calls` is empty */
    for (size_t i = 0; i < f->calls_n; i++) {
        j->calls[i].begun = true;
        if (!take_rows(j, f->calls[i].name, &j->calls[i]))
            settle(j->calls[i].items, ITEM_SKIPPED, CALL_SKIPPED);
    }
}

void job_calls_stop(struct job_run *j, enum call_code code)
{
    due_stop(j->env->due, &j->turn);
    for (size_t at = 0; j->calls && at < j->claim.flow->calls_n; at++) {
        struct call_items *c = &j->calls[at];
        for (size_t k = 0; k < c->n; k++) {
            struct call_run *run = c->runs[k];
            c->runs[k] = NULL;
            if (run) {
                call_run_stop(run, code);
                call_run_free(run);
            } else if (c->items[k].state < ITEM_SUCCEEDED) {
                c->items[k].state = code == CALL_CANCELLED ? ITEM_CANCELLED : ITEM_FAILED;
                c->items[k].code = (uint8_t)code;
            }
        }
    }
}

void job_calls_free(struct job_run *j)
{
    if (j->calls)
        items_free(j->claim.flow, j->calls);
    j->calls = NULL;
    job_trees_freed(j);
    j->env->kept -= (int64_t)(j->kept + j->copied);
    j->kept = j->copied = 0;
}
