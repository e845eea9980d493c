#include "common/backoff.h"

int64_t backoff_next(struct backoff *b, struct rng *r)
{
    int64_t step = b->max_ms;
    if (b->tries < 20 && b->min_ms << b->tries < b->max_ms)
        step = b->min_ms << b->tries;
    if (b->tries < 20)
        b->tries++;
    return step - (int64_t)rng_upto(r, (uint64_t)(step / 2));
}
