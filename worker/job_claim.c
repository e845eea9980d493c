/* The claiming phases of a job: wait for the lease, claim, obey the row (protocols: Claim). */
#include "common/log.h"
#include "common/metrics.h"
#include "worker/job_parts.h"
#include "worker/jobs.h"

/* A job that outlived this many dead workers runs alone; after five it is a poison record. */
enum { CRASHES_ALONE = 2, CRASHES_MAX = 5 };

static const char *verdict_name(enum claim_verdict v)
{
    static const char *const names[] = {
        [CLAIM_RUN] = "run",           [CLAIM_FINAL] = "final", [CLAIM_STALE] = "stale",
        [CLAIM_CONFLICT] = "conflict", [CLAIM_WATCH] = "watch",
    };
    return names[v];
}

/* What is in the row and the ledger becomes ours. */
static void take_row(struct job_run *j, struct record_claim *c)
{
    j->worker = c->worker;
    j->seq = c->row.seq;
    for (size_t i = 0; i < c->calls_n; i++)
        if (c->calls[i].seq > j->seq)
            j->seq = c->calls[i].seq;
    j->ledger = c->calls;
    j->ledger_n = c->calls_n;
    c->calls = NULL;
    c->calls_n = 0;
    j->cancel |= c->row.cancel != 0;
    j->claim.event.deadline_us = c->row.deadline_us;
    if (c->row.crashes >= CRASHES_MAX) {
        j->claim.bad = REASON_CRASHED_WORKER;
        j->claim.why = "five workers died while they ran it";
    }
}

/* Jobs that may have killed workers run one at a time, so that they take no others along. */
static void go_on(struct job_run *j, unsigned crashes)
{
    struct job_env *env = j->env;
    bool alone = crashes >= CRASHES_ALONE && crashes < CRASHES_MAX;
    if (alone && env->suspect) {
        job_run_enter(j, PHASE_QUEUED);
        return;
    }
    if (alone)
        env->suspect = j;
    job_run_enter(j, PHASE_LOADING);
}

/* Settled, once its row is given back if that came to us. */
static void settle(struct job_run *j, uint64_t worker)
{
    j->worker = worker;
    job_give_back(j, AFTER_SETTLE);
}

/* A row of ours in another round came by a take-over that was meant for this one. Where that
 * round's record is here, the row is its job's, to run or to give back. Else it is this one's to
 * give back: the record waits elsewhere. The worker it is to be given back from, or 0. */
static uint64_t give_to_round(const struct job_run *j, uint16_t round, uint64_t worker)
{
    struct job_run *other = jobs_find(j->env->jobs, &j->claim.event.job, round);
    if (!other || other->after != AFTER_GO_ON)
        return worker;
    if (!other->worker)
        other->worker = worker;
    return 0;
}

static void claimed(struct job_run *j, struct record_claim *c)
{
    struct job_env *env = j->env;
    enum claim_verdict v = claim_decide(&j->claim, c);
    j->worker = 0;
    metrics_add(env->metrics.verdict[v], 1);
    if (v != CLAIM_RUN && v != CLAIM_FINAL)
        log_info("claim", "verdict", verdict_name(v), "flow", j->claim.flow->name);
    bool mine = c->row.state == JOB_RUNNING && c->row.worker == c->worker;
    switch (v) {
    case CLAIM_RUN:
        take_row(j, c);
        go_on(j, c->row.crashes);
        break;
    case CLAIM_FINAL:
        job_lead_done(j, NULL, 0, 0);
        job_leave(j, true);
        break;
    case CLAIM_STALE:
        settle(j, mine ? give_to_round(j, c->row.round, c->worker) : 0);
        break;
    case CLAIM_CONFLICT:
        /* the row came to us for another body: whose record it is must find it free */
        settle(j, mine ? c->worker : 0);
        break;
    case CLAIM_WATCH:
        if (job_is_wanted(j) && !env->draining)
            job_run_enter(j, PHASE_WATCHING);
        else
            job_leave(j, false);
        break;
    }
}

/* Nothing is known of its row; it may still be ours from before. */
static void claim_refused(struct job_run *j, int err)
{
    log_error("claim-refused", "flow", j->claim.flow->name, "why", err_text(err));
    job_give_up(j);
}

static void claim_back(struct job_run *j, struct job_op *op)
{
    if (op->op.claim.status)
        claim_refused(j, op->op.claim.status);
    else
        claimed(j, &op->op.claim);
}

/* What came to us all the same is given back with the job. */
static void claim_too_late(struct job_run *j, struct job_op *op)
{
    if (j->after == AFTER_GIVE_BACK && !op->op.claim.status &&
        claim_decide(&j->claim, &op->op.claim) == CLAIM_RUN)
        j->worker = op->op.claim.worker;
}

void job_claim_begin(struct job_run *j)
{
    struct job_op *op = job_op_new(j, WRITE_CLAIM, claim_back);
    if (!op) {
        job_hold(j); /* the shard's tick tries again */
        return;
    }
    op->too_late = claim_too_late;
    struct record_claim *c = &op->op.claim;
    claim_refill(&j->claim, job_env_now_us(j->env));
    claim_columns(&j->claim, j->env->retention_ms, &c->job);
    c->worker = lease_worker(j->env->lease);
    c->round = j->claim.event.round;
    c->part = j->record->partition;
    c->off = j->record->offset;
    job_op_dead(op, REASON_NEVER_FINISHED, "");
    c->late = &op->dead;
    job_op_put(op);
}

/* Who had the turn has ended; or has left with its partition, which this one may be losing in the
 * same moment: then it waits for the shard's next look. */
static void turn_came(void *arg, bool ended)
{
    struct job_run *j = arg;
    if (ended)
        job_run_enter(j, PHASE_HELD);
}

/* Refills of one key go one by one, and jobs of one partition and key where the file says so.
 * Without memory a refill goes on, its pool counts too; a job stays held. A record without a key
 * has no order. */
static bool has_turn(struct job_run *j)
{
    struct buf key;
    bool ordered = j->claim.flow->ordered && j->record->key;
    bool first = !ordered;
    if (!j->claim.event.refill && !ordered)
        return true;
    if (j->turn_of_key.lane)
        return turn_has(&j->turn_of_key);
    buf_init(&key, 0);
    buf_printf(&key, "%s ", j->claim.flow->name);
    if (ordered)
        buf_printf(&key, "%d ", (int)j->record->partition);
    buf_add(&key, j->record->key, j->record->key_len);
    j->turn_of_key.fn = turn_came;
    j->turn_of_key.arg = j;
    if (buf_ok(&key) || turns_enter(&j->env->turns, &j->turn_of_key, key.data, key.len, &first))
        first = !ordered;
    buf_fini(&key);
    return first;
}

void job_held_begin(struct job_run *j)
{
    struct job_env *env = j->env;
    bool turn = has_turn(j);
    if (turn && !env->draining && lease_worker(env->lease) && lease_good(env->lease))
        job_run_enter(j, PHASE_CLAIMING);
    else
        job_hold(j);
}

/* ---- watch */

static void decided(void *arg, enum watch_verdict v, const struct record_watch *row)
{
    struct job_run *j = arg;
    j->watched = NULL;
    struct log_ids before = job_scope(j);
    if (row->state == JOB_RUNNING && row->worker == lease_worker(j->env->lease))
        j->worker = row->round == j->claim.event.round
                        ? row->worker /* taken over: whoever forgets the job gives it back */
                        : give_to_round(j, row->round, row->worker);
    if (v == WATCH_CLAIM || row->state == JOB_EXPIRED) {
        job_run_enter(j,
                      PHASE_HELD); /* the sweep's end: the claim keeps the record for redriving */
    } else {
        job_lead_done(j, NULL, 0, 0);
        job_leave(j, true);
    }
    log_scope_restore(&before);
}

void job_watch_begin(struct job_run *j)
{
    const struct watch_order o = {.id = j->claim.event.job,
                                  .round = j->claim.event.round,
                                  .lease = j->env->lease,
                                  .loop = j->env->loop,
                                  .decided = decided,
                                  .arg = j};
    if (watch_add(j->env->watch, &o, &j->watched))
        job_run_enter(j, PHASE_HELD); /* no memory: claim again, the row decides */
}
