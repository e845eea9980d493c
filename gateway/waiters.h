/* waiters.h - requests that wait for a job's final state: each is woken by the job's `done` in
 * Redis, and looks into the record by itself every second in case that is missed. Waiting threads
 * are counted, so waits never hold all threads. Any thread, but open and close. */
#pragma once
#include "common/cache.h"
#include "common/id.h"

struct waiters;
struct waiter;

enum { WAITERS_LOOK_MS = 1000 };

struct waiters_settings {
    struct loop *loop;         /* borrowed until close; its thread is the caller's */
    struct cache_async *cache; /* of that loop; borrowed until close; NULL: only looks */
    unsigned max;              /* who waits at once */
    int look_ms;               /* WAITERS_LOOK_MS */
};
/* *out: owned (waiters_close). 0, ERR_NOMEM. */
int waiters_open(const struct waiters_settings *s, struct waiters **out) must_use;
/* From now on nobody waits: those who do are woken with ERR_CLOSED. For the drain. */
void waiters_stop(struct waiters *w);
/* The loop no longer runs, nobody waits. NULL is fine. */
void waiters_close(struct waiters *w);

/* Listen for this job, from before it is published. 0; ERR_FULL: too many wait, or it stops. *out:
 * owned (waiter_end). */
int waiter_begin(struct waiters *w, const struct job_id *id, struct waiter **out) must_use;
/* Sleep until the job may have ended, or it is time to look: 0. ERR_TIMEOUT: ms have passed.
 * ERR_CLOSED: wait no longer. */
int waiter_sleep(struct waiter *w, int64_t ms) must_use;
void waiter_end(struct waiter *w); /* NULL is fine */
