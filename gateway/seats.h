/* seats.h - who holds the server's threads. A thread serves one connection until its end, so
 * whoever opens connections and asks nothing would take them all; the server in front knows no
 * remedy. A watch looks at the seats:
 * - a connection that has sent no request yet is counted to its address, and closed where that has
 *   all it may have;
 * - where no thread is free and connections wait for one, as many of those that only wait for a
 *   request are closed: whoever has sent none first, then the longest idle; and where all are
 *   busy, as many answers end their connections;
 * - a header that is not whole in its time ends its connection, and so does idleness that takes too
 *   long. A header begins with the connection, a later one when more has come than the requests
 *   before it were: the kernel counts what comes, so who waits costs its thread nothing.
 *
 *   EMPTY -- take --> WAITS -- serve --> SERVES        leave: from any of them to EMPTY
 *                     |  ^ ^-- wait --------'
 *          look, and  v  |                             while HELD the connection's thread waits, so
 *                     HELD --> ENDED                   its descriptor cannot become somebody else's
 *
 * ENDED is shut down for reading only: what arrived before is read, served, and answered whole.
 * take, serve, read, wait, leave: the connection's thread (wait: whoever makes the answer). look:
 * the watch's. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/err.h"
#include "gateway/sockets.h"

struct seats;
struct seat;

/* Ends of a connection; false: not known yet. Lent until it ends. */
typedef bool seats_ends_fn(const void *connection, struct socket_ends *out);

struct seats_settings {
    unsigned n;           /* threads */
    unsigned per_address; /* connections of one address; 0: no limit */
    int below;            /* descriptors of connections are smaller */
    seats_ends_fn *ends;
    int header_ms; /* for a header; this and the next: 0: no limit */
    int idle_ms;   /* from an answer to the next header's beginning */
};
/* *out: owned (seats_free). 0, ERR_NOMEM. */
int seats_new(const struct seats_settings *settings, struct seats **out) must_use;
void seats_free(struct seats *s);                   /* NULL is fine */
struct seat *seats_at(struct seats *s, unsigned i); /* lent until seats_free */

void seat_take(struct seat *t, const void *connection); /* it begins */
/* It sent a request, from this address. false: too many connections of its address. */
bool seat_serve(struct seat *t, const char *address);
/* So many more bytes that it sent were of its requests; 0: it cannot be told. Before wait. */
void seat_read(struct seat *t, size_t n);
void seat_wait(struct seat *t);  /* that is answered: for the next */
void seat_leave(struct seat *t); /* it ends */
/* An answer is made: shall it be its connection's last? */
bool seat_gives_way(struct seat *t);
/* Has its connection been closed, but for this answer? */
bool seat_is_ended(const struct seat *t);
/* And was that because its header took too long? */
bool seat_is_late(const struct seat *t);

/* Close whom there is no room for. port: where the server listens. Milliseconds until it is time to
 * look again. */
int seats_look(struct seats *s, int port, int64_t now_us);
