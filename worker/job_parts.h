/* job_parts.h - the inside of a job (job_run.h), for the files job_*.c and jobs.c only.
 *
 *   HELD -> CLAIMING -> LOADING -> POOL -> CALLING -> FINISHING -> SETTLED
 *                          |                           |  ^  |
 *                          +-------------------------> SAVING  (elsewhere; also found at a claim)
 *     ^        |  ^        ^
 *     |        v  |        |
 *     |     WATCHING    QUEUED (jobs that killed workers run one at a time)
 *     +-- DROPPED <- from anywhere: calls stop; once its last write is back it is claimed anew
 *            |       (lease lost), or given back (drain)
 *            +----> RELEASING -> SETTLED; also from where a row came to it that it does not run
 *
 * The moves there are stand in a table of job_run.c.
 * HELD waits for the lease, or for its turn among those of its key. */
#pragma once
#include "common/cache.h"
#include "common/eta.h"
#include "common/overdue.h"
#include "common/log.h"
#include "worker/budget.h"
#include "worker/job_emit.h"
#include "worker/job_run.h"

struct job_op;
struct saves;

enum job_phase {
    PHASE_HELD,
    PHASE_CLAIMING, /* until here nobody knows whose id it is (job_run_join) */
    PHASE_WATCHING,
    PHASE_QUEUED,
    PHASE_LOADING,
    PHASE_POOL,
    PHASE_CALLING,
    PHASE_SAVING,
    PHASE_FINISHING,
    PHASE_DROPPED,
    PHASE_RELEASING,
    PHASE_SETTLED
};

/* What follows its last write, while it is dropped or given back. */
enum after_write {
    AFTER_GO_ON,      /* it is neither */
    AFTER_START_OVER, /* dropped: claimed anew */
    AFTER_GIVE_BACK,  /* dropped: released; released: it leaves, its records are for others */
    AFTER_SETTLE      /* released: its records are done: another body's, or a round that is over */
};

struct job_place { /* a record of the job: settling marks its offset as done */
    struct job_place *next;
    struct partition *partition; /* lent until job_run_lose */
    int64_t offset;
};

struct job_record {    /* the record as it came, for dead letters; one allocation */
    const char *topic; /* its own: the partition may leave while the job runs on */
    int32_t partition;
    int64_t offset;
    const char *key, *value,
        *headers; /* headers as packed by record_headers_pack; key NULL: none */
    size_t key_len, value_len, headers_len;
    size_t bytes; /* of all, for intake, */
    size_t tree;  /* as are those of its value as JSON, which it may become */
};

struct flow_facts { /* per flow: what is the same for all its jobs; made once */
    struct budget budget;
    unsigned uses; /* OR of VAR_BIT of all its expressions */
    struct metric *by_state[5], *seconds, *again;
    struct eta_recent took; /* by jobs that ended well */
    struct overdue overdue;
    int64_t tell_ms, warn_ms; /* when Redis is told of these the next time; the loop's clock */
};

struct job_ending { /* what a job comes to, from when it is computed until it is told */
    enum job_state state;
    enum job_reason reason;
    const struct upstream *culprit; /* of its failure; may be NULL */
    bool called;
    char *result, *calls, *detail; /* JSON text, text; owned; NULL: none */
    char *notice;                  /* of `notify`; owned; NULL: none, or not yet */
    size_t result_len, calls_len;
    struct job_emits emits; /* owned; of a job that runs again: the record that brings it back */
    int64_t due_us;         /* then: when, */
    char topic[250];        /* and where */
    struct saves *saves;    /* counted; NULL: none */
    size_t at;              /* the next of them elsewhere */
    bool recorded;          /* `$save` is in the ledger */
    bool applied;           /* some of them are, or may be */
    bool elsewhere;         /* none is left but on the record's server */
    bool forget;            /* `$save` goes with T6 */
    enum job_state stored;  /* by T6: another than `state` where a cancel came first */
};

struct pool_ask;
struct job_pool {         /* what a job has of its flow's pool (job_pool.c) */
    char *key;            /* owned */
    struct json *item;    /* taken: the job's result; owned */
    struct pool_ask *ask; /* on its way to Redis */
    bool reserved;        /* a refill's place */
    bool idle;            /* a refill with nothing to do */
};

struct job_run {
    struct job_run *chain;       /* the shard's table */
    struct job_run *next, *prev; /* held or queued */
    struct job_env *env;
    struct claim claim;
    char id[ID_TEXT];          /* for log lines */
    struct job_place place;    /* the first of its list; .partition NULL: revoked */
    struct job_record *record; /* owned */
    uint8_t phase;             /* set by set_phase of job_run.c only */
    uint8_t after;             /* enum after_write */
    uint8_t refused;           /* how often the server refused its end */
    bool bad_record;           /* claim.bad came with the record, not from a later look */
    bool past_deadline;        /* it passed while calls were open */
    bool cancel;               /* asked for */
    bool listed;
    unsigned writes; /* operations lent to the writer */
    uint64_t worker; /* claimed under this id, or held since it was; 0: not claimed */
    uint32_t seq;    /* of the last event */
    struct due_item deadline;
    struct watched *watched;
    struct turn turn_of_key; /* from its record to its end */
    /* while it runs */
    struct json *request, *user, *job;
    struct expr_vars vars;
    struct call_items *calls; /* by place in the flow's; NULL: not yet */
    bool advancing;           /* calls are being started: none of them ends the job meanwhile */
    struct due_item turn;     /* there is more to start than one turn of the loop bears */
    int64_t began_ms;         /* when its first attempt was made here, of the loop; 0: none was */
    size_t kept;              /* bytes of results as text, */
    size_t trees, copied;     /* as JSON, and of what else it holds */
    struct json *rows;        /* `$rows`, owned */
    size_t load_at, loaded;   /* the entry being loaded; bytes so far */
    struct due_item again;    /* a database was away */
    int64_t again_ms;
    uint8_t stopped;            /* enum job_reason: why it ends before its calls */
    char *detail;               /* of that, owned */
    struct record_call *ledger; /* as claimed; owned */
    size_t ledger_n;
    struct job_pool pool;
    struct job_ending *ending; /* owned; NULL: not yet */
};

/* Copy what a dead letter would need; headers that do not fit one are left out (claim_decode calls
 * such a record bad). *out: owned (free). 0 or ERR_NOMEM. */
int job_record_copy(const struct broker_record *r, struct job_record **out) must_use;
/* Not DROPPED and what is behind it. j may be gone afterwards. */
void job_run_enter(struct job_run *j, enum job_phase p);
/* A job of the flow ended well (job_eta.c). */
void job_eta_note(struct job_run *j, int64_t took_ms);
/* It ended; expired: at its deadline. called: an attempt was made, here or before. */
void job_overdue_note(struct job_run *j, bool expired, bool called, int64_t took_ms);
int64_t job_env_now_us(const struct job_env *env); /* the record's clock */
/* Whose log lines follow; log_scope_restore with what it returns. */
struct log_ids job_scope(const struct job_run *j);
struct flow_facts *job_facts(const struct job_run *j);
void job_leave(struct job_run *j, bool done); /* frees it */
/* T8 of a row that is ours under j->worker (0: it is not), then it leaves, settled or not. */
void job_give_back(struct job_run *j, enum after_write after);
bool job_is_wanted(const struct job_run *j); /* one of its partitions is ours */
void job_hold(struct job_run *j);
/* For a second: claimed anew then, or given back if its record went elsewhere. */
void job_give_up(struct job_run *j);
void job_held_begin(struct job_run *j); /* job_claim.c */
void job_claim_begin(struct job_run *j);
void job_watch_begin(struct job_run *j);
void job_calls_begin(struct job_run *j); /* job_calls.c */
/* From now on its deadline ends it. False: it has passed, or there is no memory to wait for it. */
bool job_deadline_arm(struct job_run *j) must_use;
/* Something ended: start what waited for it, or finish. */
void job_calls_go_on(struct job_run *j);
/* None is made any more: what the ledger holds counts, the others are skipped. */
void job_calls_skip(struct job_run *j);
void job_calls_stop(struct job_run *j, enum call_code code);
void job_calls_free(struct job_run *j);
/* T5 of a call that is over (job_ledger.c); `ledger: false`: it is told only. run: NULL if it never
 * started. */
void job_ledger_write(struct job_run *j, struct plan_item *i, const uint8_t key[CALL_KEY],
                      struct call_run *run);
void job_ledger_mark(void *job, struct call_run *run); /* a call_run_fn: T5 before a call */
void job_pool_begin(struct job_run *j);                /* job_pool.c */
/* Its ending is computed: a refill gives it to the pool. True: job_finish_write follows. */
bool job_pool_put(struct job_run *j);
void job_pool_stop(struct job_run *j);
void job_finish_begin(struct job_run *j); /* job_finish.c: compute, */
void job_finish_write(struct job_run *j); /* and T6 of its ending */
void job_finish_tell(struct job_run *j);  /* all is written: tell everybody and settle */
void job_load_begin(struct job_run *j);   /* job_load.c: `load` and `check`, then the calls */
void job_load_stop(struct job_run *j);    /* its time is over, or it is cancelled */
/* ---- job_save.c. All parameters of `save`, with `$calls` and `$result` in the job's variables. */
void job_save_compute(struct job_run *j, struct job_ending *e);
bool job_save_is_elsewhere(const struct job_ending *e); /* PHASE_SAVING comes before T6 */
void job_save_begin(struct job_run *j);
bool job_save_is_recorded(const struct job_run *j); /* an earlier worker left `$save` */
/* Go on with what an earlier worker recorded; false: it recorded nothing. */
bool job_save_resume(struct job_run *j);
void job_save_add(struct job_op *op); /* what of its ending belongs into T6 */
/* T6 is back because a user's statement was refused: the job fails with that, written anew. */
bool job_save_was_refused(struct job_run *j, struct job_op *op);
void job_save_optional(struct job_run *j); /* T6 is written: what is optional, then it is told */
void job_ending_fail(struct job_ending *e, enum job_reason reason);
void job_ending_free(struct job_ending *e); /* NULL is fine */
/* The text of `notify` for an end as it is now, where there is one (job_notify.c). One that cannot
 * be computed is left out: title and state say enough. */
void job_notify_compute(struct job_run *j, struct job_ending *e);
/* May it run again after this failure, and when? (job_again.c) */
bool job_again_due(const struct job_run *j, int64_t *due_us) must_use;
/* The ending becomes a T7, with its record. Else no change: ERR_NOMEM, ERR_TOO_LARGE (`.retry` or
 * the outbox would not take it), ERR_INVALID (its headers). */
int job_again_prepare(struct job_run *j, struct job_ending *e, int64_t due_us) must_use;
void job_lead_done(struct job_run *j, const char *value, size_t len, int64_t ttl_ms);

/* It holds so much more, to its end. */
static inline void job_grow(struct job_run *j, size_t bytes)
{
    j->copied += bytes;
    j->env->kept += (int64_t)bytes;
}
/* Its results as JSON: one more; all are freed. */
static inline void job_trees_grow(struct job_run *j, size_t bytes)
{
    j->trees += bytes;
    j->env->kept += (int64_t)bytes;
}
static inline void job_trees_freed(struct job_run *j)
{
    j->env->kept -= (int64_t)j->trees;
    j->trees = 0;
}

static inline struct outcome *job_outcome(const struct job_run *j, const struct plan_item *i)
{
    const struct call_items *c = &j->calls[i->call];
    return &c->outcomes[i - c->items];
}
static inline struct call_run **job_call_run(const struct job_run *j, const struct plan_item *i)
{
    const struct call_items *c = &j->calls[i->call];
    return &c->runs[i - c->items];
}

/* An operation for the writer, with its job. j may be gone after either call; op is freed then. */
typedef void job_op_fn(struct job_run *j, struct job_op *op);
struct job_op {
    struct writer_op op; /* first */
    struct job_run *job;
    job_op_fn *back;        /* it is back, and the job waits for it */
    job_op_fn *too_late;    /* it is back, and the job was dropped meanwhile; NULL: nothing to do */
    struct plan_item *item; /* ledger: which call; lent with the job's calls */
    char *tries, *text;     /* owned: what the row borrows */
    struct job_ending *ending; /* owned: what T6 borrows */
    struct record_saves saves; /* of T6 */
    struct record_dead dead;
    struct job_emits posts; /* pool: what it borrows */
};
struct job_op *job_op_new(struct job_run *j, enum writer_kind kind, job_op_fn *back);
void job_op_put(struct job_op *op);  /* taken */
void job_op_free(struct job_op *op); /* one that was not put */
/* Fill op->dead with the job's record, lent with the job. */
void job_op_dead(struct job_op *op, enum job_reason reason, const char *upstream);
void job_dropped(struct job_run *j); /* dropped: it goes on or away, if none is under way */
