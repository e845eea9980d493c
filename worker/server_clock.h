/* server_clock.h - asks the record for its clock (record_clock.h) on a thread of its own. */
#pragma once
#include "worker/clerk.h"

struct server_clock;

/* loop NULL: a thread. 0 or ERR_NOMEM. The offset is unknown until the first answer. */
int server_clock_start(clerk_open_fn *open, void *open_arg, struct loop *loop,
                       struct server_clock **out) must_use;
void server_clock_stop(struct server_clock *c); /* NULL is fine */
/* For record_clock_now_us: microseconds, lent until stop; any thread may read it. */
const _Atomic int64_t *server_clock_ahead_us(const struct server_clock *c);
