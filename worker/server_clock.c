#include "worker/server_clock.h"
#include "common/clock.h"

#include <stdlib.h>

enum { LOOK_MS = 60000, AGAIN_MS = 1000, SLOW_US = 500000 };

struct server_clock {
    struct clerk *clerk;
    const struct clock *clock;
    int64_t slowest_us; /* a longer way is not believed */
    _Atomic int64_t ahead_us;
};

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct server_clock *c = arg;
    int64_t before = clock_wall_us(c->clock), from = clock_mono_us(c->clock), there = 0;
    int err = r->ops->now(r, &there);
    if (err)
        return err;
    /* The answer is from the middle of the round trip, give or take its half: of a server that
     * stood still it says less than the one before. */
    int64_t took = clock_mono_us(c->clock) - from;
    *next_ms = took > SLOW_US ? AGAIN_MS : LOOK_MS;
    if (took > c->slowest_us)
        return 0;
    c->slowest_us = took > SLOW_US ? took : SLOW_US;
    c->ahead_us = there - (before + clock_wall_us(c->clock)) / 2;
    return 0;
}

int server_clock_start(clerk_open_fn *open, void *open_arg, struct loop *loop,
                       struct server_clock **out)
{
    struct server_clock *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->clock = loop ? loop->clock : clock_real();
    c->slowest_us = INT64_MAX;
    const struct clerk_settings s = {
        .open = open, .open_arg = open_arg, .step = step, .arg = c, .loop = loop};
    int err = clerk_start(&s, &c->clerk);
    if (err)
        free(c);
    else
        *out = c;
    return err;
}

void server_clock_stop(struct server_clock *c)
{
    if (!c)
        return;
    clerk_stop(c->clerk);
    free(c);
}

const _Atomic int64_t *server_clock_ahead_us(const struct server_clock *c)
{
    return &c->ahead_us;
}
