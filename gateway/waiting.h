/* waiting.h - the waiters of a gateway with what they need: a loop in a thread of its own, with one
 * connection to Redis that listens for all. Belongs to the main thread. */
#pragma once
#include "gateway/waiters.h"

struct waiting;
/* max: requests that wait at once. *out: owned (waiting_close). 0, ERR_INVALID (the URL),
 * ERR_NOMEM. */
int waiting_open(const struct cache_settings *redis, unsigned max, struct waiting **out) must_use;
struct waiters *waiting_waiters(struct waiting *w); /* lent with w */
void waiting_close(struct waiting *w);              /* nobody waits; NULL is fine */
