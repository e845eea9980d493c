/* sweep.h - looks every 10 s, and at once while there is more, after jobs that are overdue and rows
 * nobody needs any more (protocols: T11): ends what never finished, empties and deletes what is
 * old. Any number of workers may do so at once. One thread with its own connection. Counts in
 * offpath_swept_total. */
#pragma once
#include "common/rng.h"
#include "worker/clerk.h"

struct sweep;
struct sweep_settings {
    clerk_open_fn *open;
    void *open_arg;
    /* Any thread. false: MySQL may have been away for all, so that no lease says who is dead; the
     * sweep waits. A worker that renews later than this one sweeps would lose finished results. */
    bool (*settled)(void *arg);
    int64_t (*retention_ms)(void *arg); /* any thread: the longest of the topics */
    void *arg;
    struct rng *rng;   /* lent; spreads workers over the 10 s, plus or minus 2 */
    struct loop *loop; /* NULL: a thread; set: runs in this loop (virtual time) */
};
/* 0 or ERR_NOMEM. */
int sweep_start(const struct sweep_settings *s, struct sweep **out) must_use;
void sweep_stop(struct sweep *s); /* NULL is fine */
