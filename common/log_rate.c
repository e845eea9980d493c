#include "common/log_rate.h"

#include <stddef.h>
#include <string.h>

enum { STEP_US = 1000000 / LOG_RATE_PER_S, PROBES = 16 };

/* FNV-1a; event names are ours, nobody chooses them to collide. */
static uint32_t hash(const char *name, size_t len)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 16777619u;
    return h;
}

static struct log_rate_event *find(struct log_rate *r, const char *event)
{
    size_t len = strnlen(event, LOG_RATE_NAME - 1);
    uint32_t h = hash(event, len);
    for (uint32_t i = 0; i < PROBES; i++) {
        struct log_rate_event *e = &r->events[(h + i) % LOG_RATE_EVENTS];
        if (!e->name[0])
            memcpy(e->name, event, len);
        if (strncmp(e->name, event, LOG_RATE_NAME - 1) == 0)
            return e;
    }
    return &r->events[LOG_RATE_EVENTS];
}

/* A token bucket kept as one moment: each line moves it on by a step, and it may lie at most a
 * burst ahead. */
bool log_rate_take(struct log_rate *r, const char *event, int64_t now_us, uint64_t *suppressed)
{
    struct log_rate_event *e = find(r, event);
    int64_t from = e->full_at_us > now_us ? e->full_at_us : now_us;
    if (from + STEP_US - now_us > (int64_t)LOG_RATE_BURST * STEP_US) {
        e->suppressed++;
        return false;
    }
    e->full_at_us = from + STEP_US;
    *suppressed = e->suppressed;
    e->suppressed = 0;
    return true;
}
