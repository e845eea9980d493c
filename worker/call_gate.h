/* call_gate.h - a shard's governors, one per upstream, with what they need to go on by themselves:
 * a place among the deadlines, the runs that wait, the numbers that are measured. Belongs to its
 * shard's thread. */
#pragma once
#include "common/cache.h"
#include "common/http_client.h"
#include "common/metrics.h"
#include "worker/due.h"
#include "worker/leases.h"

struct call_env;
struct lease_ask; /* a question to Redis (call_leases.h) */

struct call_gate {
    struct governor governor;
    struct leases leases;
    struct lease_ask *slot_ask, *rate_ask, *probe_ask; /* on their way; NULL: none */
    bool probing;                                      /* Redis keeps other shards from it */
    struct due_item look; /* when rate, hold, breaker or a lease may let the next one through */
    struct due_item hold; /* armed while the upstream is held: its end */
    struct call_env *env;
    struct {
        struct metric *by_code[CALL_CODE_COUNT]; /* made when first needed */
        struct metric *seconds, *flying, *queued, *breaker, *held;
    } metrics;
};

struct call_env {             /* what all calls of a shard share */
    struct http_client *http; /* borrowed, as all below */
    const struct clock *clock;
    struct cache_async *cache;     /* where limits are leased; NULL: this shard takes its share */
    uint64_t (*worker)(void *arg); /* whose leases they are; 0: nobody's now */
    struct due *due;
    struct rng *rng;
    /* may a call start now (the lease is good)? */
    bool (*may_start)(void *arg);
    void *arg;
    unsigned calls_max;      /* in flight at all upstreams together (files.h); 0: no limit */
    unsigned shares;         /* as last set */
    struct call_gate *gates; /* owned: by upstream->index */
    size_t gates_n;
    int64_t held; /* bytes of the calls on their way, and of what they send */
};

/* Gates for all upstreams of the set. 0 or ERR_NOMEM. */
int call_gates_open(struct call_env *env, const struct flow_set *set, unsigned shares) must_use;
void call_gates_close(struct call_env *env);
void call_gates_share(struct call_env *env, unsigned shares); /* shards of all workers */
void call_gates_look(struct call_env *env, unsigned shares);  /* the same if it has changed */

/* May this call start now? As governor_ask; what it lacks is asked for. */
enum governor_answer call_gate_ask(struct call_gate *g, struct governor_ticket *t, bool may_start);
/* The upstream asked for a pause (Retry-After), of all workers. */
void call_gate_hold(struct call_gate *g, int64_t ms);
/* Another shard was asked for it. */
void call_gate_heed(struct call_gate *g, int64_t ms);

/* Let start who may now, and end as breaker-open who must. */
void call_gate_pump(struct call_gate *g);
void call_gate_pump_soon(struct call_gate *g); /* the same, from the loop */
void call_gates_pump(struct call_env *env);    /* the lease is good again */

/* The fullest queue in percent of its bound, of refills' calls or of all others'; for intake. */
unsigned call_gates_fill(const struct call_env *env, bool refills);
/* Count an attempt that ended, and free its slot. */
void call_gate_ended(struct call_gate *g, const struct governor_ticket *t, enum call_code code,
                     int64_t ms);
/* Free the slot of one that was not sent. */
void call_gate_left(struct call_gate *g, const struct governor_ticket *t);
