/* record_clock.h - how far the record's clock is ahead of ours: deadlines are stamped in its time
 * (protocols: MySQL). Ours is the one that nobody sets (clock_boot_us): if the machine's date
 * jumps, no job is late for it. An answer that took more than half a second replaces only one that
 * took longer, and is asked for again a second later; a good one holds for a minute. One thread
 * asks; any may read `ahead_us`. */
#pragma once
#include <stdatomic.h>
#include "common/clock.h"
#include "common/record.h"

#define RECORD_CLOCK_UNKNOWN INT64_MIN

struct record_clock {
    const struct clock *clock;
    int64_t slowest_us;       /* a longer way is not believed */
    int64_t due_us;           /* when to ask again, on the monotonic clock */
    _Atomic int64_t ahead_us; /* RECORD_CLOCK_UNKNOWN until the first answer */
};
/* The record's time, by the clock that was given to init; unknown: the machine's. */
static inline int64_t record_clock_now_us(const struct clock *clock,
                                          const _Atomic int64_t *ahead_us)
{
    int64_t ahead = atomic_load(ahead_us);
    return ahead == RECORD_CLOCK_UNKNOWN ? clock_wall_us(clock) : clock_boot_us(clock) + ahead;
}

void record_clock_init(struct record_clock *c, const struct clock *clock); /* due at once */
/* Ask this connection. 0, or what it failed with: all stays as it was. */
int record_clock_ask(struct record_clock *c, struct record *r) must_use;
int64_t record_clock_wait_ms(const struct record_clock *c); /* until it is due; 0: now */
