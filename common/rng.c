#include "common/rng.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* One getrandom call per 512 bytes: an id needs 16. */
static void real_fill(struct rng *r, void *out, size_t len)
{
    static _Thread_local struct {
        unsigned char bytes[512];
        size_t left;
    } pool;
    (void)r;
    unsigned char *to = out;
    while (len > 0) {
        if (pool.left == 0) {
            if (getrandom(pool.bytes, sizeof pool.bytes, 0) != (ssize_t)sizeof pool.bytes)
                continue; /* interrupted: again */
            pool.left = sizeof pool.bytes;
        }
        size_t n = len < pool.left ? len : pool.left;
        memcpy(to, pool.bytes + sizeof pool.bytes - pool.left, n);
        pool.left -= n;
        to += n;
        len -= n;
    }
}

struct rng *rng_real(void)
{
    static struct rng real = {real_fill};
    return &real;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t split_mix(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void seeded_fill(struct rng *r, void *out, size_t len)
{
    struct rng_seeded *s = (struct rng_seeded *)(void *)r;
    unsigned char *to = out;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t v = split_mix(&s->state);
        memcpy(to + i, &v, len - i < 8 ? len - i : 8);
    }
}

void rng_seeded_init(struct rng_seeded *r, uint64_t seed)
{
    *r = (struct rng_seeded){{seeded_fill}, seed};
}

uint64_t rng_u64(struct rng *r)
{
    uint64_t v;
    rng_fill(r, &v, sizeof v);
    return v;
}

uint64_t rng_upto(struct rng *r, uint64_t n)
{
    uint64_t v = rng_u64(r);
    if (n == UINT64_MAX)
        return v;
    uint64_t range = n + 1, limit = UINT64_MAX - UINT64_MAX % range;
    while (v >= limit)
        v = rng_u64(r);
    return v % range;
}
