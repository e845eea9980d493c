/* limits_own.h - counts of limits in this process's memory, for the time Redis is away: the same
 * GCRA. Any thread. */
#pragma once
#include "gateway/limits.h"

struct limits_own;
struct limits_rule {
    int64_t step_us, window_us;
};
/* max: names remembered; those that find no place share one count per rule, so that a flood of
 * names never means "no limit". *out: owned (limits_own_close). 0, ERR_NOMEM. */
int limits_own_open(size_t max, struct limits_own **out) must_use;
void limits_own_close(struct limits_own *o); /* NULL is fine */
/* As the script LIMIT: take one, or only look. */
void limits_own_ask(struct limits_own *o, const char *name, struct limits_rule rule, int64_t now_us,
                    bool take, struct limits_state *out);
void limits_own_refund(struct limits_own *o, const char *name, struct limits_rule rule,
                       int64_t now_us);
