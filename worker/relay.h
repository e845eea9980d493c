/* relay.h - publishes what is due in op_outbox and deletes it after the broker's acknowledgement
 * (protocols: T10); and what a shard has just committed there, at once. A row whose publish is not
 * acknowledged is taken again 30 s later, by whoever comes first: consumers drop the repetition by
 * the id of the job. One thread with its own connection, and a producer of its own. It takes
 * 200 rows, or 16 MB, once at most a half of that is still on its way. */
#pragma once
#include "common/broker.h"
#include "common/rng.h"
#include "worker/clerk.h"

struct relay;
struct relay_settings {
    clerk_open_fn *open;
    void *open_arg;
    /* Opens the producer whose reports go to the relay; broker_kafka_producer_open in the worker.
     * The relay owns it. */
    int (*producer)(void *arg, broker_report_fn *report, void *report_arg,
                    struct broker_producer **out);
    void *producer_arg;
    uint64_t (*worker)(void *arg); /* an id of ours to hold rows with (lease_worker); 0: wait */
    void *worker_arg;
    struct rng *rng;   /* lent; every 1 s, plus or minus 0.2 */
    struct loop *loop; /* NULL: a thread; set: runs in this loop (virtual time) */
};
/* 0, ERR_NOMEM, or what the producer's opening gave. Counts in offpath_relayed_total. */
int relay_start(const struct relay_settings *s, struct relay **out) must_use;
/* Publish a row of op_outbox that was committed just now and is ours for 30 s; deleted after the
 * acknowledgement, else taken when it is due. p: borrowed. Any thread; never blocks. */
void relay_put(struct relay *r, const struct record_post *p, uint64_t id);
/* More rows are due than RELAY_DUE_MAX: do not add any that can wait. Any thread. */
enum { RELAY_DUE_MAX = 100000 };
bool relay_behind(const struct relay *r);
/* Waits up to 2 s for the reports of what is on its way and deletes what was acknowledged, so that
 * nobody publishes it again in 30 s; then it leaves the rest to others. Behind the last relay_put.
 * NULL is fine. */
void relay_stop(struct relay *r);
