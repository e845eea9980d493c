/* listen.h - reads a stream of events from a gateway, as `send` and `jobs watch` do. Main thread;
 * each struct listen has a loop of its own. */
#pragma once
#include "gateway/sse_read.h"

enum { LISTEN_TICK_MS = 1000 };

struct listen;
struct listen_settings { /* all borrowed until listen_close */
    const char *url;     /* "http://127.0.0.1:8480", without a / at its end */
    const char *token;   /* NULL or "": a guest */
    sse_event_fn *event;
    void (*tick)(void *arg); /* each LISTEN_TICK_MS */
    void *arg;               /* of both */
};
/* 0, ERR_NOMEM. */
int listen_open(const struct listen_settings *s, struct listen **out) must_use;
void listen_close(struct listen *l); /* NULL is fine */

enum listen_end {
    LISTEN_ENDED,   /* or broken, or silent: events may have come; connect again */
    LISTEN_REFUSED, /* what is asked offers no stream now */
};
/* Connects, and goes on behind the last event of the time before; until the stream ends, no event
 * came for quiet_ms or the whole took most_ms. */
enum listen_end listen_to(struct listen *l, const char *path, int64_t quiet_ms, int64_t most_ms);
/* How long the server asked to wait before the next time; -1: it did not. */
int64_t listen_retry_ms(const struct listen *l);
