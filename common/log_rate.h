/* log_rate.h - how often one event may be written: 50 at once, then 5 per second.
 * A fixed table of events; what finds no place in it shares one allowance. Pure: the time comes in.
 * The caller locks. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { LOG_RATE_BURST = 50, LOG_RATE_PER_S = 5, LOG_RATE_EVENTS = 256, LOG_RATE_NAME = 48 };

struct log_rate {
    struct log_rate_event {
        char name[LOG_RATE_NAME]; /* "" = free */
        int64_t full_at_us;       /* when its allowance is full again; 0 = full */
        uint64_t suppressed;      /* since the last line that was written */
    } events[LOG_RATE_EVENTS + 1];
};

/* May a line of this event be written at now_us (monotonic)? If so *suppressed is how many were
 * not since the last. */
bool log_rate_take(struct log_rate *r, const char *event, int64_t now_us, uint64_t *suppressed);
