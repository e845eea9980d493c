/* backoff.h - how long to wait before the next try to connect: doubling from min to max, the upper
 * half random so that many programs do not come back at once. Pure; one thread. */
#pragma once
#include <stdint.h>
#include "common/rng.h"

struct backoff {
    int64_t min_ms, max_ms;
    unsigned tries; /* since the last success */
};

/* The wait before the next try, between half of the step and the step. */
int64_t backoff_next(struct backoff *b, struct rng *r);

static inline void backoff_reset(struct backoff *b)
{
    b->tries = 0;
}
