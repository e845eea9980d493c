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
 * for it. So replies keep their order, and the descriptor stays this connection's until then.
 * Who pays never waits for a reader: what the kernel does not take is left to the connection's
 * thread, which sends it and ends the connection. */
#pragma once
#include <semaphore.h>
#include <stdatomic.h>
#include "gateway/http.h"
#include "gateway/seats.h"
#include "gateway/sockets.h"

struct debt_terms {              /* of the server; what they point to lives as long as the debt */
    _Atomic unsigned *in_flight; /* one less when a reply is paid */
    const _Atomic bool *closing; /* replies end their connections */
    int below;                   /* descriptors of connections are smaller */
    int stall_ms;                /* so long a reader may take nothing */
    struct seat *seat;           /* of the connection's thread; NULL: none */
};
struct debt { /* of one connection after the other; belongs to its thread but for the state */
    struct debt_terms terms;
    _Atomic int state;
    int fd;            /* -1: not looked for yet, -2: and not found */
    unsigned requests; /* of this connection */
    bool over;         /* its last reply is paid: set by who pays, as the next two */
    struct buf rest;   /* of that reply, to be sent */
    size_t sent;       /* of rest */
    sem_t paid;
};
void debt_init(struct debt *d, const struct debt_terms *terms); /* terms: copied */
void debt_fini(struct debt *d);

/* Owe the reply of q. NULL, answer now: it is the connection's first, and looking for a descriptor
 * pays only where more follow; or it cannot be had, or there is no memory. */
struct http_due *debt_take(struct debt *d, const struct socket_ends *ends,
                           const struct http_request *q);
/* A request begins: wait until nothing is owed. false: the reply before was the connection's last,
 * so this request is not served. */
bool debt_settle(struct debt *d);
/* Wait at the connection's end, and send what is left of a reply: its descriptor will be another's.
 */
void debt_end(struct debt *d);
