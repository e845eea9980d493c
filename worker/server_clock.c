#include "worker/server_clock.h"
#include "common/clock.h"

#include <stdlib.h>

enum { LOOK_MS = 60000 };

struct server_clock {
    struct clerk *clerk;
    const struct clock *clock;
    _Atomic int64_t ahead_us;
};

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct server_clock *c = arg;
    int64_t before = clock_wall_us(c->clock), there = 0;
    int err = r->ops->now(r, &there);
    if (err)
        return err;
    /* the answer is from the middle of the round trip */
    c->ahead_us = there - (before + clock_wall_us(c->clock)) / 2;
    *next_ms = LOOK_MS;
    return 0;
}

int server_clock_start(clerk_open_fn *open, void *open_arg, struct loop *loop,
                       struct server_clock **out)
{
    struct server_clock *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->clock = loop ? loop->clock : clock_real();
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
