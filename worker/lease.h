/* lease.h - keeps the op_worker row of each shard alive (protocols: T1), on one thread with its own
 * connection. The shard's loop asks for each renewal, so that a stuck loop loses its lease; the id
 * of the row is the fence: after `lost` nothing of the old id can be written any more (T0).
 *
 *   join -> held(id) -> [late(true) .. late(false)]* -> lost(id) -> held(new id) ... leave -> done
 *
 * All calls on a shard belong to its loop's thread, but those marked "any thread". */
#pragma once
#include "common/loop.h"
#include "worker/clerk.h"

struct lease;
struct lease_shard;

struct lease_settings {
    clerk_open_fn *open;
    void *open_arg;
    const char *name;  /* of the process, "host:pid"; copied. A shard gets ".0", ".1", ... */
    int64_t lease_ms;  /* 15000. Renewed each fifth of it, late after two thirds */
    unsigned shards;   /* that will join */
    struct loop *loop; /* NULL: a thread; set: runs in this loop (virtual time) */
};
/* 0 or ERR_NOMEM. */
int lease_start(const struct lease_settings *s, struct lease **out) must_use;
bool lease_up(const struct lease *l); /* the last renewal went through; any thread */
/* A shard of this process has held its lease for a whole lease time without a miss: who is alive
 * has had the time to renew, too. Before it, nobody's lease says that he is dead. Any thread. */
bool lease_settled(struct lease *l);
/* Shards of all workers that are alive, as last counted: when a shard registers, before its `held`,
 * and at each renewal. At least those of this process. Lent until lease_stop. */
const _Atomic unsigned *lease_shares(const struct lease *l);
/* All shards have left, or their loops have ended: what they asked for is not answered any more. */
void lease_stop(struct lease *l);

struct lease_events { /* run in the shard's loop, never inside a call below */
    void *arg;
    void (*held)(void *arg, uint64_t worker); /* registered: claim with this id from now on */
    /* true: not renewed for 10 s (or the loop stood still so long): start no call and no claim;
     * false: renewed again, go on. Between them lease_good says the same. */
    void (*late)(void *arg, bool late);
    /* Declared dead: drop all jobs of this id without writing; `held` follows with a new one. */
    void (*lost)(void *arg, uint64_t worker);
};

/* Registers the shard that runs in `loop` (both lent until done of lease_leave). Asks by a timer of
 * that loop. 0 or ERR_NOMEM; *out: owned, ends with lease_leave. MySQL away: tried until it is
 * back. */
int lease_join(struct lease *l, struct loop *loop, const struct lease_events *e,
               struct lease_shard **out) must_use;

/* Id to write with; 0: none now. Any thread. */
uint64_t lease_worker(const struct lease_shard *s);
/* May a call or a claim be started now? Reads the clock: also true only if this very moment is
 * within 10 s of the last renewal. */
bool lease_good(const struct lease_shard *s);
/* For how long the lease has been held without a missed renewal; 0: it is not. Any thread. */
int64_t lease_held_ms(const struct lease_shard *s);

/* A write of `worker` came back with ERR_FENCED: the same as if T1 had found it. Other ids than the
 * present one: nothing. `lost` follows. */
void lease_fenced(struct lease_shard *s, uint64_t worker);

/* Ends the shard's row (state 1), after its last write is done and its jobs are released; then
 * done(arg) in its loop, and the shard is freed. MySQL away: done comes anyway, after the first
 * try. No event but done comes after this call. */
void lease_leave(struct lease_shard *s, loop_fn *done, void *arg);
