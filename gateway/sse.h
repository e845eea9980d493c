/* sse.h - server-sent events as text. Pure; any thread. */
#pragma once
#include <stdint.h>
#include "common/buf.h"

/* One event; data: JSON text, printed in one line. Appended to out. */
void sse_event(struct buf *out, uint64_t id, const char *event, const char *data, size_t len);
/* A comment, which clients ignore: it keeps the connection open. */
void sse_beat(struct buf *out);
/* How long a client shall wait before it comes back. */
void sse_retry(struct buf *out, unsigned ms);
/* The number of a Last-Event-ID; 0: not there, none, or beyond what anybody was given. */
uint64_t sse_last_id(const char *text);
