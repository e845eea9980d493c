/* cache_gather.h - calls of many threads share round trips: while a few are on their way, those who
 * come wait and travel together in the next. Alone a call goes at once, so it costs nothing at low
 * load; under load a trip's packets and wake-ups are shared by all in it. Any thread. */
#pragma once
#include "common/cache.h"

/* trips: on their way at once. inner: taken (closed with *out, also on failure). What is larger
 * than a trip goes by itself. 0 or ERR_NOMEM. */
int cache_gather_open(struct cache *inner, unsigned trips, struct cache **out) must_use;
unsigned cache_gather_waiting(struct cache *c); /* calls that wait for a trip now; for tests */
