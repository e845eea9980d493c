#include "worker/server_clock.h"
#include "common/record_clock.h"

#include <stdlib.h>

struct server_clock {
    struct clerk *clerk;
    struct record_clock clock;
};

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct server_clock *c = arg;
    int err = record_clock_ask(&c->clock, r);
    *next_ms = record_clock_wait_ms(&c->clock);
    return err;
}

int server_clock_start(clerk_open_fn *open, void *open_arg, struct loop *loop,
                       struct server_clock **out)
{
    struct server_clock *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    record_clock_init(&c->clock, loop ? loop->clock : clock_real());
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
    return &c->clock.ahead_us;
}
