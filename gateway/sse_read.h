/* sse_read.h - reads server-sent events out of bytes as they come (WHATWG HTML, 9.2.6). Pure; a
 * struct belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/buf.h"

enum { SSE_NAME = 32, SSE_ID = 20, SSE_EVENT_MAX = 64 << 20 };

struct sse_event {    /* lent during the callback */
    const char *name; /* "message" without one */
    const char *data; /* lines joined by \n; ends in a 0 that is not counted */
    size_t len;
};
typedef void sse_event_fn(void *arg, const struct sse_event *e);

struct sse_read {
    sse_event_fn *fn;
    void *arg;
    struct buf line, data;
    char name[SSE_NAME]; /* of the event that is being read; one that is longer is cut */
    char last[SSE_ID];   /* Last-Event-ID to come back with: the last event's; "": none. Ids that
                            are no numbers, as a gateway has none, are left out */
    char id[SSE_ID];     /* of the event that is being read */
    int64_t retry_ms;    /* asked for by the server; -1: not */
    bool began, any, cr; /* a byte was read; the event has data; the last byte was a CR */
    bool too_big;        /* an event over SSE_EVENT_MAX, or no memory: nothing more is read */
};

void sse_read_init(struct sse_read *r, sse_event_fn *fn, void *arg);
void sse_read_fini(struct sse_read *r);
/* A connection begins anew: what was half read is forgotten, `last` stays. */
void sse_read_again(struct sse_read *r);
void sse_read_bytes(struct sse_read *r, const char *bytes, size_t len);
