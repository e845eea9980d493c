#include "common/record_clock.h"

enum { LOOK_US = 60000000, AGAIN_US = 1000000, SLOW_US = 500000 };

void record_clock_init(struct record_clock *c, const struct clock *clock)
{
    *c = (struct record_clock){.clock = clock,
                               .slowest_us = INT64_MAX,
                               .due_us = clock_mono_us(clock),
                               .ahead_us = RECORD_CLOCK_UNKNOWN};
}

int record_clock_ask(struct record_clock *c, struct record *r)
{
    int64_t before = clock_boot_us(c->clock), there = 0;
    int err = r->ops->now(r, &there);
    if (err)
        return err;
    /* The answer is from the middle of the round trip, give or take its half: of a server that
     * stood still it says less than the one before. */
    int64_t after = clock_boot_us(c->clock), took = after - before;
    c->due_us = clock_mono_us(c->clock) + (took > SLOW_US ? AGAIN_US : LOOK_US);
    if (took > c->slowest_us)
        return 0;
    c->slowest_us = took > SLOW_US ? took : SLOW_US;
    atomic_store(&c->ahead_us, there - (before + after) / 2);
    return 0;
}

int64_t record_clock_wait_ms(const struct record_clock *c)
{
    int64_t us = c->due_us - clock_mono_us(c->clock);
    return us > 0 ? (us + 999) / 1000 : 0;
}
