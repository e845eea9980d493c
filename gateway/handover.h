/* handover.h - a connection leaves the HTTP server in the middle of its answer, so that a stream
 * holds no thread. The server knows no such thing: its descriptor is found by the peer's address,
 * duplicated, and a dead socket put in its place. Whether that works with the library that is
 * installed is tried at start; if it does not, a thread carries the bytes, and few may. */
#pragma once
#include <stdatomic.h>
#include <stdint.h>
#include "gateway/http.h"
#include "gateway/sockets.h"

struct handover { /* of one server */
    _Atomic bool detaches;
    int above; /* what is detached gets numbers from here, so that looking for others is short */
    unsigned carriers_max;
    _Atomic unsigned carriers;
    _Atomic bool probing;
    char token[33]; /* of the trial */
};

/* threads: of the server. */
void handover_init(struct handover *h, unsigned threads);

typedef int handover_write_fn(void *arg, const void *bytes, size_t len); /* > 0, or it failed */

/* Before the head is sent; then give, or leave. Without room for its stream the reply becomes a
 * 503.
 */
void handover_admit(struct handover *h, const struct http_request *q, struct http_reply *r);
void handover_leave(struct handover *h, const struct http_reply *r);
/* The head was sent: the taker gets the connection. It returns at once, or, where connections
 * cannot be detached, when the stream ends: write then carries its bytes. */
void handover_give(struct handover *h, const struct socket_ends *ends, handover_write_fn *write,
                   void *arg, const struct http_reply *r);

/* Does it work here? Asks the server that listens there, which must answer a request with this
 * header and token by a reply whose taker is handover_try_taker. Sets h->detaches. */
#define HANDOVER_HEADER "offpath-handover"
void handover_try(struct handover *h, const char *host, int port);
bool handover_is_trial(struct handover *h, const struct http_request *q);
void handover_try_taker(void *arg, int fd);
