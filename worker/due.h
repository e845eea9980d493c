/* due.h - many deadlines behind one loop timer.
 * A heap of items embedded in their owners: jobs' deadlines, waits before retries, rates. Pure;
 * belongs to its shard's thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

typedef void due_fn(void *arg);
struct due_item {
    int64_t at_ms;
    size_t place; /* in the heap, from 1; 0: not in it */
    due_fn *fn;
    void *arg;
};

struct due {                /* zeroed: empty */
    struct due_item **heap; /* owned array of borrowed items */
    size_t n, cap;
    /* told when an item becomes the earliest, to arm a timer; NULL: nobody */
    void (*earlier)(void *arg, int64_t at_ms);
    void *arg;
};

void due_fini(struct due *d);
/* Arm an item, or move it. 0 or ERR_NOMEM (then it is not armed). */
int due_set(struct due *d, struct due_item *i, int64_t at_ms) must_use;
void due_stop(struct due *d, struct due_item *i); /* fine for one that is not armed */

/* Run what is due, earliest first; an item is disarmed before its fn, which may arm and stop any,
 * and free its own. Returns when the next is due, -1: none. */
int64_t due_run(struct due *d, int64_t now_ms);
int64_t due_next(const struct due *d); /* -1: none */
