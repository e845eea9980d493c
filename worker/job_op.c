/* Operations lent to the writer: each carries its job, and comes back once. */
#include "worker/job_parts.h"

#include <assert.h>
#include <stdlib.h>

/* It is back, in the loop. Who is fenced out is not heard: `lost` follows, and starts all anew; but
 * a job that was given back leaves, whatever came of it. */
static void done(void *arg)
{
    struct job_op *op = arg;
    struct job_run *j = op->job;
    struct log_ids before = job_scope(j);
    bool fenced = *writer_op_status(&op->op) == ERR_FENCED;
    j->writes--;
    if (fenced && j->worker)
        lease_fenced(j->env->lease, j->worker);
    if (j->phase == PHASE_DROPPED) {
        if (op->too_late)
            op->too_late(j, op);
        job_dropped(j);
    } else if (!fenced || j->phase == PHASE_RELEASING) {
        op->back(j, op);
    }
    job_op_free(op);
    log_scope_restore(&before);
}

struct job_op *job_op_new(struct job_run *j, enum writer_kind kind, job_op_fn *back)
{
    struct job_op *op = calloc(1, sizeof *op);
    if (!op)
        return NULL;
    op->op.kind = kind;
    op->op.loop = j->env->loop;
    op->op.done = done;
    op->op.arg = op;
    op->back = back;
    op->op.bytes = sizeof *op;
    op->job = j;
    return op;
}

void job_op_put(struct job_op *op)
{
    bool ends = op->op.kind == WRITE_FINISH || op->op.kind == WRITE_RELEASE;
    assert(!ends || op->job->writes == 0); /* the writer lets kinds pass each other */
    (void)ends;
    op->job->writes++;
    writer_put(op->job->env->writer, &op->op);
}

void job_op_free(struct job_op *op)
{
    if (op->op.kind == WRITE_CLAIM)
        record_claim_fini(&op->op.claim);
    else if (op->op.kind == WRITE_LEDGER)
        record_call_fini(&op->op.ledger.stored);
    else if (op->op.kind == WRITE_POOL)
        record_call_fini(&op->op.pool.stored);
    free(op->tries);
    free(op->text);
    job_ending_free(op->ending);
    job_emits_fini(&op->posts);
    free(op);
}

/* A password that came as plain text is not written down once more. */
static bool holds_plain_text(const struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    return f && f->hash_n && !(j->request && flow_holds_hashes(f, j->request));
}

void job_op_dead(struct job_op *op, enum job_reason reason, const char *upstream)
{
    const struct job_record *r = op->job->record;
    bool hidden = holds_plain_text(op->job);
    op->dead = (struct record_dead){
        .topic = r->topic,
        .reason = reason_code(reason),
        .upstream = upstream,
        .part = r->partition,
        .off = r->offset,
        .key = r->key,
        .key_len = r->key_len,
        .value = hidden ? NULL : r->value,
        .value_len = hidden ? 0 : r->value_len,
        .headers = r->headers,
        .headers_len = r->headers_len,
    };
}
