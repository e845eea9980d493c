/* waiting.h - what waits for jobs to go on: requests with `wait`, and live streams, on one loop in
 * a thread of its own, with one connection to Redis that listens for all. Belongs to the main
 * thread.
 */
#pragma once
#include "gateway/streams.h"
#include "gateway/waiters.h"

struct waiting;
struct waiting_settings {
    const struct cache_settings *redis; /* borrowed until open returns */
    struct reader *reader;              /* borrowed until close; streams read the record by it */
    unsigned waiters, streams;          /* at once */
    unsigned streams_each;              /* of one client; 0: a share */
    feed_title_fn *title;
    void *title_arg;
};
/* *out: owned (waiting_close). 0, ERR_INVALID (the URL), ERR_NOMEM. */
int waiting_open(const struct waiting_settings *s, struct waiting **out) must_use;
struct waiters *waiting_waiters(struct waiting *w); /* lent with w */
struct streams *waiting_streams(struct waiting *w);
void waiting_close(struct waiting *w); /* nobody waits; NULL is fine */
