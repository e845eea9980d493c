/* clerk.h - a thread that works on the record in steps: it has its own connection, sleeps until it
 * is due or woken, and backs off while MySQL is away (0.1 s doubling to 2 s, then the same step
 * again). Lease, watch, sweep, relay, cancels and each writer thread are clerks.
 * With a loop in the settings there is no thread: the steps run as timers of that loop, so that a
 * whole worker runs in virtual time; everything then belongs to that loop's thread. */
#pragma once
#include "common/loop.h"
#include "common/record.h"

/* 0, ERR_IO, ERR_REFUSED, ERR_SETUP with a line in why[RECORD_WHY]. */
typedef int clerk_open_fn(void *arg, struct record **out, char *why);

enum { CLERK_WAIT = -1, CLERK_BACKOFF_MIN = 100, CLERK_BACKOFF_MAX = 2000 };

struct clerk;
struct clerk_settings {
    clerk_open_fn *open; /* called in the clerk's thread; NULL: the steps need no record */
    void *open_arg;
    /* One step. Set *next_ms: when to be called again, 0 at once, CLERK_WAIT only when woken.
     * Not 0: called again after the back-off, whatever *next_ms says. */
    int (*step)(void *arg, struct record *r, int64_t *next_ms);
    void *arg;         /* of step; lent until clerk_stop */
    struct loop *loop; /* NULL: a thread */
    const char *name;  /* of the log lines record-away, record-back; NULL: says nothing. Lent */
};

/* 0 or ERR_NOMEM. The first step comes at once. */
int clerk_start(const struct clerk_settings *s, struct clerk **out) must_use;
/* Do a step soon, also when it is not due; cuts no back-off short. Any thread; never blocks. */
void clerk_wake(struct clerk *c);
/* The last step (or open) went well. Any thread. */
bool clerk_up(const struct clerk *c);
/* Begins no further step, waits for the one that runs, closes the connection. NULL is fine. Not
 * from a step. */
void clerk_stop(struct clerk *c);
/* As clerk_stop, with a last word before the connection is closed, in the thread of the steps: arg
 * is theirs. Left out where the last step failed or there was none. */
void clerk_stop_after(struct clerk *c, void (*last)(void *arg, struct record *r));
