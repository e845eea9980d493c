/* tokens.h - leave to start calls, as a rate gives it: so many from a moment on, a gap between two,
 * each void a while after its own moment (protocols: rate_lease). Pure: time comes in. Belongs to
 * its shard's thread. */
#pragma once
#include <stdint.h>

enum { TOKENS_BATCHES = 8 };

struct tokens { /* zeroed, with a gap: none */
    double gap_us;
    struct tokens_batch {
        double at_us; /* of the first that is left */
        int64_t late_us;
        unsigned n;
    } batch[TOKENS_BATCHES]; /* oldest first */
    unsigned batches;
};

/* n more, the first at at_us. One batch too many takes the place of the oldest. */
void tokens_add(struct tokens *t, int64_t at_us, int64_t late_us, unsigned n);
/* Microseconds until one may be taken; 0 now, -1: none is left. */
int64_t tokens_wait_us(struct tokens *t, int64_t now_us);
void tokens_take(struct tokens *t, int64_t now_us); /* no change if none may be taken */
unsigned tokens_left(struct tokens *t, int64_t now_us);
