/* job_run.h - one job in a worker, from its record to its final state (flow file: Worker, in
 * order): what its shard sees of it. Driven by events of the shard's loop: rows written, calls
 * over, time passed, cancelled, lease lost. Belongs to its shard's thread. Its phases are in
 * job_parts.h.
 */
#pragma once
#include "worker/call_run.h"
#include "worker/claim.h"
#include "worker/turns.h"
#include "worker/watch.h"
#include "worker/writer.h"

struct partition;
struct databases;
struct relay;
struct topic_limits;
struct flow_facts;
struct job_run;
struct jobs;

struct job_list { /* jobs in order of arrival */
    struct job_run *head, *tail;
};

struct job_env { /* what all jobs of a shard share; borrowed parts outlive the jobs */
    struct call_env calls;
    struct due *due;
    struct loop *loop;
    struct writer *writer;
    struct databases *databases; /* NULL: no flow uses any */
    struct cache_async *cache;   /* NULL: none */
    struct lease_shard *lease;
    struct watch *watch;
    const struct flow_set *set;
    struct flow_facts *facts;          /* by place in set->flows */
    struct relay *relay;               /* NULL: what is emitted goes out with T10 */
    const struct topic_limits *limits; /* NULL: Kafka's defaults */
    int64_t retention_ms;
    const _Atomic int64_t *ahead_us; /* of the record's clock (record_clock.h) */
    const struct jobs *jobs;         /* all of the shard (jobs.h) */
    struct job_list held, queued;
    struct turns turns;      /* refills of a key; jobs of a key where that is their order */
    int64_t kept;            /* bytes that jobs hold besides their records */
    struct job_run *suspect; /* the one of `queued` that runs now */
    bool draining;           /* nothing is claimed any more */
    /* It is over here: mark its records as done if `done`, forget and free it. */
    void (*gone)(void *arg, struct job_run *j, bool done);
    void *arg;
    struct {
        struct metric *verdict[5]; /* by enum claim_verdict */
        struct metric *bad, *restarted;
    } metrics;
};

/* What a shard's settings say; the shard itself and its callbacks are still missing. */
struct shard_settings;
void job_env_fill(struct job_env *env, const struct shard_settings *s, struct due *due);
/* 0 or ERR_NOMEM. The facts of a set's flows; freed by job_env_close. */
int job_env_open(struct job_env *env) must_use;
void job_env_close(struct job_env *env);
/* The lease is held (again): claim what is held back, start what waits. */
void job_env_resume(struct job_env *env);
/* What jobs come to hold besides job_run_bytes, for intake. */
int64_t job_env_bytes(const struct job_env *env);

/* A job from a record of that partition: once the caller knows it, job_run_begin sets it off.
 * *out: lent until `gone`. 0 or ERR_NOMEM. */
int job_run_new(struct job_env *env, const struct claim *c, struct partition *p,
                const struct broker_record *r, struct job_run **out) must_use;
void job_run_begin(struct job_run *j); /* j may be gone afterwards, as after all below */
void job_run_free(struct job_run *j);  /* one that never began; others end by themselves */
const char *job_run_id(const struct job_run *j);
int64_t job_run_bytes(const struct job_run *j); /* from when it comes in, for intake */

/* Another record with its id and round came. 0: it is one more of this job, or of another body and
 * done. ERR_FULL: nobody knows yet, offer it again. ERR_NOMEM. */
int job_run_join(struct job_run *j, const struct claim *c, struct partition *p,
                 int64_t offset) must_use;
void job_run_done(struct job_run *j); /* mark its records as done */
/* This partition is gone: its records are others'. Of a job whose last it was: job_run_abandon. */
void job_run_lose(struct job_run *j, const struct partition *p);
/* Its records are gone: forget it unless it is claimed. */
void job_run_abandon(struct job_run *j);
/* Stop calls, forget everything, claim anew: the lease was lost. */
void job_run_restart(struct job_run *j);
/* Its owner asked to cancel it. */
void job_run_cancel(struct job_run *j);
/* Give it back (T8): the drain's time is over. `gone` follows. */
void job_run_release(struct job_run *j);
