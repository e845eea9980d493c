/* debt.h - replies that are owed. A request's thread may leave its reply to another and go on to
 * read the connection's next request: so it sleeps once for each request, not again for the reply.
 * The library in front knows no such thing: the connection's descriptor is found by the peer's
 * address, once per connection, and written to by whoever pays.
 *
 *   NONE -- debt_take --> OWED -- pay --> NONE
 *                          | debt_settle
 *                          v
 *                       AWAITED -- pay --> NONE, and the connection's thread is woken
 * One reply is owed per connection at most: the next request, and the end of the connection, wait
 * for it. So replies keep their order, and the descriptor stays this connection's until then. */
#pragma once
#include <semaphore.h>
#include <stdatomic.h>
#include "gateway/http.h"
#include "gateway/sockets.h"

struct debt { /* of one connection after the other; belongs to its thread but for the state */
    _Atomic int state;
    int fd;            /* -1: not looked for yet */
    unsigned requests; /* of this connection */
    sem_t paid;
};
void debt_init(struct debt *d);
void debt_fini(struct debt *d);

struct debt_terms {              /* of the server; borrowed until the reply is paid */
    _Atomic unsigned *in_flight; /* one less when it is paid */
    const _Atomic bool *closing; /* replies end their connections */
    int below;                   /* descriptors of connections are smaller */
};
/* Owe the reply of q. NULL, answer now: it is the connection's first, and looking for a descriptor
 * pays only where more follow; or it cannot be had, or there is no memory. */
struct http_due *debt_take(struct debt *d, const struct debt_terms *terms,
                           const struct socket_ends *ends, const struct http_request *q);
/* A request begins: wait until nothing is owed. */
void debt_settle(struct debt *d);
/* The same at the connection's end: its descriptor will be another's. */
void debt_end(struct debt *d);
