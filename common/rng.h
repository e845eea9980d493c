/* rng.h - randomness as an argument.
 * rng_real draws from the kernel (getrandom) through a per-thread buffer: safe from any thread.
 * rng_seeded repeats the same numbers for the same seed: for tests and virtual time, one thread
 * each. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(struct rng *, void *out, size_t len);
};

struct rng_seeded {
    struct rng rng; /* first: pass &r.rng */
    uint64_t state;
};

struct rng *rng_real(void); /* lent for ever */
void rng_seeded_init(struct rng_seeded *r, uint64_t seed);

static inline void rng_fill(struct rng *r, void *out, size_t len)
{
    r->fill(r, out, len);
}
uint64_t rng_u64(struct rng *r);

/* Even in [0, n]; 0 for n = 0. */
uint64_t rng_upto(struct rng *r, uint64_t n);
