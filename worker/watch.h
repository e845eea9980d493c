/* watch.h - follows jobs that run at another worker, so that a rebalance repeats no call
 * (protocols: 7.2, T4). One thread with its own connection reads all of them once a second, 500 per
 * statement. A job whose worker's lease is out, seen twice at least 5 s apart, is taken over if our
 * own lease has been held for 15 s without a miss. The verdict comes in the shard's loop, once.
 * Bounded by the caller: watched jobs count as jobs of the shard. */
#pragma once
#include "worker/lease.h"

struct watch;
struct watched;

enum watch_verdict {
    WATCH_FINAL, /* it ended there: settle its record */
    /* queued, gone, in a later round, or taken over (row->worker is then our id): claim it (again).
     * Who does not want a job taken over must release it (T8): nobody else will run it. */
    WATCH_CLAIM
};

struct watch_settings {
    clerk_open_fn *open;
    void *open_arg;
    int64_t lease_ms;  /* 15000: own lease held so long before a take-over */
    struct loop *loop; /* NULL: a thread; set: runs in this loop (virtual time) */
};
/* 0 or ERR_NOMEM. */
int watch_start(const struct watch_settings *s, struct watch **out) must_use;
/* After the loops of all shards have ended; what is left is dropped. NULL is fine. */
void watch_stop(struct watch *w);

struct watch_order {
    struct job_id id;
    uint16_t round;            /* that it was asked for in */
    struct lease_shard *lease; /* of the shard that asks; lent until the verdict or watch_remove */
    struct loop *loop;         /* the same shard's */
    /* v, and the row as it was seen last (lent during the call) */
    void (*decided)(void *arg, enum watch_verdict v, const struct record_watch *row);
    void *arg;
};
/* Follow a job; belongs to the shard's loop. 0 or ERR_NOMEM. *out: lent until `decided` is called
 * or watch_remove. */
int watch_add(struct watch *w, const struct watch_order *o, struct watched **out) must_use;
/* Forget it: `decided` will not come; taken over in this very moment, it is released again. The
 * shard's loop. Before lease_leave for all. */
void watch_remove(struct watch *w, struct watched *e);
