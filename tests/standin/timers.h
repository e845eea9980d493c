/* timers.h - a heap of due times. A timer is embedded in its owner. Belongs to one thread. */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct timer {
    int64_t due;  /* us, monotonic */
    size_t place; /* in the heap, from 1; 0: not set */
};

struct timers {
    struct timer **heap; /* owned; [1..count] */
    size_t count, cap;
};

void timer_set(struct timers *t, struct timer *timer, int64_t due); /* also when set already */
void timer_stop(struct timers *t, struct timer *timer);             /* fine if not set */
/* The next one due at now, taken out; or NULL. */
struct timer *timers_take(struct timers *t, int64_t now);
/* us until the next is due, at least 0; a minute if there is none. */
int64_t timers_wait(const struct timers *t, int64_t now);
