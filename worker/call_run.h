/* call_run.h - one call on its way: waits for its turn at the upstream, makes its attempts, reads
 * the answer (flow file: calls). It writes nothing to the record; its job does that when it is
 * over. Belongs to its shard's thread.
 *
 *   new -> QUEUED -> FLYING -> over
 *           ^  \       ^  |
 *           |   MARKING   |     (repeat: never, before the first attempt)
 *           +-- PAUSED <--+     (retry)
 */
#pragma once
#include "worker/call_gate.h"
#include "worker/call_request.h"
#include "worker/outcome.h"
#include "worker/tries.h"

enum { CALL_RESULT_MAX = 1 << 20, CALL_RESULTS_MAX = 8 << 20 };

struct call_run;
/* The call is over: item and outcome say how. Take what is wanted, then call_run_free. May be
 * called inside call_run_start. */
typedef void call_run_fn(void *arg, struct call_run *r);

/* It is about to fail with a code that may pass. True: it must not yet, and is made anew when the
 * breaker lets it, or after a while. */
typedef bool call_wait_fn(void *arg, const struct call_run *r, enum call_code code);

struct call_order {
    const struct flow_call *call;
    struct plan_item *item;             /* written when over; lent until then, as all below */
    struct outcome *outcome;            /* the same */
    const struct expr_vars *vars;       /* of the job: request, user, job */
    const struct json *calls, *element; /* its `$calls` and `$item`; NULL: null */
    /* repeat: never. Record that it may be on its way, then call_run_marked. NULL: no need */
    call_run_fn *mark;
    const struct job_id *job;
    const char *trace;   /* traceparent; "" none */
    bool refill;         /* others' calls go first at the upstream */
    int64_t deadline_ms; /* loop time; INT64_MAX: none. The job stops what is open then */
    size_t *kept;        /* bytes of results the job holds; added to */
    int64_t *began_ms;   /* set at the job's first attempt, where it is 0; NULL: nobody asks */
    call_run_fn *done;
    call_wait_fn *must_wait; /* NULL: never */
    void *arg;
    struct call_run **out; /* set before done can be called: where the job finds it to stop it */
};

enum call_phase { CALL_QUEUED, CALL_MARKING, CALL_FLYING, CALL_PAUSED };
struct call_run {
    struct governor_ticket ticket; /* first */
    struct call_env *env;
    struct call_order order;
    struct call_request request;
    uint8_t key[CALL_KEY];
    uint8_t phase, waited;
    bool marked;
    bool reached; /* an attempt may have reached the upstream */
    struct http_exchange *exchange;
    struct due_item pause;
    int64_t begun_ms, since_ms, sent_us; /* first start, of this phase, wall of the attempt */
    int64_t wait_ms;                     /* before the coming attempt */
    struct tries tries;
    unsigned made_before; /* attempts before it was last begun anew */
    const char *why;      /* what made its last answer bad-body, for logs; lent for ever; or NULL */
    char *result;         /* JSON text, printed once; owned, may be taken */
    size_t result_len;
    char *tls_why; /* what the library said of the last attempt if it ended as `tls`; owned */
};

/* request: taken. 0, or ERR_NOMEM: done is not called. */
int call_run_start(struct call_env *env, const struct call_order *o, struct call_request *request,
                   const uint8_t key[CALL_KEY]) must_use;
/* What order.mark began is done, later than in it. marked: it is recorded, make the attempt; else
 * it ends without one, as `connect`. */
void call_run_marked(struct call_run *r, bool marked);
/* Stop it wherever it is; item and outcome say so (deadline: failed, cancelled: cancelled). done is
 * not called; free it. */
void call_run_stop(struct call_run *r, enum call_code code);
void call_run_free(struct call_run *r); /* NULL is fine */

/* For call_gate.c: this ticket's turn has come; open: to end as breaker-open. */
void call_run_turn(struct governor_ticket *t, bool open);
