/* batcher.h - a bounded queue of items of one size and a thread that hands them over in batches:
 * work a request does not wait for. What finds the queue full is dropped and counted. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/err.h"

struct batcher;

/* Called in the batcher's thread with 1 to batch_max items (lent), oldest first. Returns how many
 * are done, counted from the first; the rest comes again after retry_ms, with what came meanwhile.
 * n = 0: nothing waits, tick_ms have passed. */
typedef size_t batcher_fn(void *arg, const void *items, size_t n);

struct batcher_settings {
    const char *name; /* of the thread, at most 15 characters */
    size_t item_size, queue_max, batch_max;
    int gather_ms; /* each item waits so long for company, and up to twice that; 0: not at all */
    int retry_ms;  /* after a batch that was not done entirely */
    int tick_ms;   /* call fn with nothing at the start and then at least so often; 0: never */
    batcher_fn *fn;
    void *arg;
};

/* Copies the settings, starts the thread. *out: owned (batcher_close). 0, ERR_NOMEM. */
int batcher_open(const struct batcher_settings *s, struct batcher **out) must_use;
/* Copies the item. 0; ERR_FULL: dropped. Any thread; wakes the thread only if it is idle. */
int batcher_put(struct batcher *b, const void *item);
/* Wait until all is handed over, at most wait_ms. How many still wait. Any thread. */
size_t batcher_flush(struct batcher *b, int wait_ms);
/* Ends after the batch in work; what waits is dropped. NULL is fine. */
void batcher_close(struct batcher *b);
