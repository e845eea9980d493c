/* savers.h - the threads that end jobs which save in users' databases on the record's server (T6
 * with user SQL): one job per transaction, on connections of their own, so that a slow user table
 * delays no other job's end. What is locked or away goes to the end of the queue and is tried again
 * until it is through: nothing is dropped. Operations are the writer's, of kind WRITE_FINISH. */
#pragma once
#include "worker/clerk.h"
#include "worker/writer.h"

enum { SAVERS = 8 };

struct savers;
struct savers_settings {
    clerk_open_fn *open;
    void *open_arg;
    unsigned threads;  /* SAVERS */
    struct loop *loop; /* NULL; set: timers of this loop instead (virtual time) */
};
int savers_start(const struct savers_settings *s, struct savers **out) must_use;
/* Not given back yet. Any thread. */
struct savers_waiting {
    size_t ops, bytes;
};
struct savers_waiting savers_waiting(const struct savers *s);
void savers_put(struct savers *s, struct writer_op *op); /* any thread; never blocks */
/* Waits for the statements under way. Operations still open are not called back. NULL is fine. */
void savers_stop(struct savers *s);
