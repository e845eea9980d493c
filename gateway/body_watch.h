/* body_watch.h - a deadline for a body that drips, or comes no further. civetweb's mg_read waits
 * for all bytes however slowly they come, so a watchdog thread shuts the socket down for reading;
 * the read then ends, and the reply can still be written.
 *
 *   OFF -- arm --> ARMED -- end --> OFF
 *                    | overdue
 *                    v
 *                 SHOOTING --> SHOT -- end --> OFF      while SHOOTING, end waits: the descriptor
 *                                                       cannot become somebody else's
 * arm and end: the connection's thread. check: the watchdog's. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "common/clock.h"
#include "common/metrics.h"
#include "gateway/seats.h"
#include "gateway/sockets.h"

enum { BODY_WATCH_PEER = 48 };

struct body_watch { /* zeroed: OFF */
    _Atomic int state;
    _Atomic int64_t deadline_us;
    char peer[BODY_WATCH_PEER];
    int peer_port, local_port;
};

void body_watch_arm(struct body_watch *w, const struct socket_ends *ends, int64_t deadline_us);
/* true: it was overdue and the socket is shut down for reading. Fine when OFF. */
bool body_watch_end(struct body_watch *w);
/* Shut down if overdue; did it? */
bool body_watch_check(struct body_watch *w, int64_t now_us);

/* The watchdog: looks at n of them, and at the seats, four times a second or more often. */
struct body_watchdog {
    struct body_watch *watches; /* borrowed while it runs, as the seats */
    unsigned n;
    struct seats *seats;
    int port; /* where the server listens */
    const struct clock *clock;
    struct metric *shot; /* counts; from start on */
    pthread_t thread;
    _Atomic bool stopping;
    bool runs;
};
int body_watchdog_start(struct body_watchdog *d) must_use; /* filled; 0 or ERR_NOMEM */
void body_watchdog_stop(struct body_watchdog *d);          /* also if it never ran */
