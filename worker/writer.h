/* writer.h - the threads that write to the record for all shards of a process.
 * Each thread has its own connection; a job keeps its thread while an operation of it waits, so its
 * ledger rows commit in order. The second thread works only when the first is three batches behind.
 * Operations of different kinds may pass each other: a job puts its finish or release when nothing
 * else of it waits.
 * A finish that saves in users' databases goes to the savers instead (savers.h).
 * A batch is all that waits of the fullest kind, up to 100 rows and 4 MB, taken when the thread is
 * free: no timer. An operation is embedded in its owner's struct and lent to the writer until its
 * done callback, which runs in the loop of the shard that asked. MySQL away: operations wait and
 * are tried again (0.1 s doubling to 2 s) until it is back; nothing is dropped. A row that the
 * server refuses for good fails alone: its status is then ERR_REFUSED, ERR_TOO_LARGE or another
 * error that is not in record.h's list, and the rest of its batch is written. Bounded by the
 * callers: jobs in flight bound the operations. */
#pragma once
#include "common/loop.h"
#include "common/record.h"
#include "worker/clerk.h"

enum writer_kind {
    WRITE_CLAIM,
    WRITE_LEDGER,
    WRITE_POOL,
    WRITE_FINISH,
    WRITE_RELEASE,
    WRITE_KINDS
};

struct writer_op {
    enum writer_kind kind;
    struct loop *loop; /* where done runs */
    loop_fn *done;     /* arg: the argument below; look at the row's status then */
    void *arg;
    union {
        struct record_claim claim;
        struct record_ledger ledger;
        struct record_pool pool;
        struct record_finish finish;
        struct record_release release;
    };
    size_t bytes;           /* weight for the 4 MB limit, and intake's; stays until done */
    struct writer_op *next; /* the writer's */
};
int *writer_op_status(struct writer_op *op); /* its row's; lent with it */

struct writer;
struct writer_settings {
    /* open a connection of a writer, of a saver (NULL: as a writer's); tests pass one that gives a
     * fake */
    clerk_open_fn *open, *open_saver;
    void *open_arg;
    unsigned threads;  /* 2 */
    unsigned savers;   /* 0: SAVERS */
    struct loop *loop; /* NULL; set: they are timers of this loop instead (virtual time) */
};
int writer_start(const struct writer_settings *s, struct writer **out) must_use;
void writer_put(struct writer *w, struct writer_op *op); /* any thread; never blocks */
bool writer_up(const struct writer *w);                  /* last operation went through */
/* Operations not done, the savers' too, and what they weigh: for intake's limits. Any thread. */
size_t writer_waiting(const struct writer *w);
size_t writer_waiting_bytes(const struct writer *w);
/* Finish what waits (at most wait_ms, and what a statement under way takes; the savers only what
 * they are at), stop the threads. Operations still open are not called back. With a loop: stops at
 * once. NULL is fine. */
void writer_stop(struct writer *w, int64_t wait_ms);
