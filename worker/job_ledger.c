/* What the calls of a job leave in the ledger: a row before a call that must not be repeated, a row
 * when a call is over; whoever waits for a call goes on behind its row. */
#include "common/failpoint.h"
#include "common/log.h"
#include "worker/job_parts.h"
#include "common/live.h"

#include <stdlib.h>
#include <string.h>

static void tell(struct job_run *j, const struct plan_item *i, const char *result)
{
    const struct outcome *o = job_outcome(j, i);
    struct buf data;
    buf_init(&data, LIVE_DATA_MAX + 1024);
    outcome_print(j->claim.flow, i, o, result, &data);
    live_publish(j->env->cache, &j->claim.event.job, o->seq, "call", &data);
    buf_fini(&data);
}

/* Another outcome stood in the ledger: that one counts. */
static const char *stored(struct job_run *j, struct plan_item *i, const struct record_call *row)
{
    struct outcome *o = job_outcome(j, i);
    uint32_t seq = o->seq;
    if (outcome_from_ledger(row, i, o))
        log_warn("ledger-row-broken", "call", row->name);
    else
        log_info("ledger-row-stood", "call", row->name);
    if (o->seq == 0)
        o->seq = seq;
    return row->result;
}

static void written(struct job_run *j, struct job_op *op)
{
    const struct record_ledger *l = &op->op.ledger;
    FAILPOINT("after-ledger");
    const char *result = l->call.result;
    op->item->unsaved = false;
    job_outcome(j, op->item)->in_ledger = l->status == 0;
    if (l->status == ERR_EXISTS)
        result = stored(j, op->item, &l->stored);
    else if (l->status)
        log_error("ledger-refused", "call", l->call.name, "why", err_text(l->status));
    tell(j, op->item, result);
    job_calls_go_on(j);
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

static struct job_op *row_new(struct job_run *j, struct plan_item *i, const uint8_t key[CALL_KEY],
                              job_op_fn *back)
{
    struct job_op *op = job_op_new(j, WRITE_LEDGER, back);
    if (!op)
        return NULL;
    op->item = i;
    op->op.ledger.worker = j->worker;
    struct record_call *c = &op->op.ledger.call;
    *c = (struct record_call){.job = j->claim.event.job,
                              .item = i->index,
                              .round = j->claim.event.round,
                              .outcome = OUTCOME_STARTED};
    memcpy(c->ckey, key, CALL_KEY);
    strncat(c->name, j->claim.flow->calls[i->call].name, sizeof c->name - 1);
    return op;
}

void job_ledger_write(struct job_run *j, struct plan_item *i, const uint8_t key[CALL_KEY],
                      struct call_run *run)
{
    struct outcome *o = job_outcome(j, i);
    struct job_op *op = NULL;
    if (j->claim.flow->calls[i->call].unrecorded)
        tell(j, i, run ? run->result : NULL);
    else
        op = row_new(j, i, key, written);
    if (!op)
        return; /* no memory: it is told at the end */
    struct record_call *c = &op->op.ledger.call;
    i->unsaved = true;
    o->seq = ++j->seq;
    c->seq = o->seq;
    c->outcome = outcome_for_ledger(i);
    c->attempts = o->attempts;
    c->status = o->status;
    c->ms = o->ms;
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

/* ---- repeat: never */

/* It ended already, elsewhere or before: nothing is sent. */
static void ended_before(struct job_run *j, struct plan_item *i, const struct record_call *row)
{
    struct call_run **run = job_call_run(j, i);
    call_run_stop(*run, CALL_UNKNOWN);
    call_run_free(*run);
    *run = NULL;
    tell(j, i, stored(j, i, row));
    job_calls_go_on(j);
}

static void marked(struct job_run *j, struct job_op *op)
{
    const struct record_ledger *l = &op->op.ledger;
    FAILPOINT("after-mark");
    struct call_run *run = *job_call_run(j, op->item);
    if (!run)
        job_calls_go_on(j); /* stopped meanwhile */
    else if (l->status == ERR_EXISTS)
        ended_before(j, op->item, &l->stored);
    else
        call_run_marked(run, l->status == 0);
}

void job_ledger_mark(void *arg, struct call_run *run)
{
    struct job_run *j = arg;
    struct job_op *op = row_new(j, run->order.item, run->key, marked);
    if (!op) {
        call_run_marked(run, false);
        return;
    }
    FAILPOINT("before-mark");
    job_op_put(op);
}
