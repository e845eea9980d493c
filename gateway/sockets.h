/* sockets.h - this process's sockets, found by address: civetweb does not tell which descriptor a
 * connection or listener has. Linear in open descriptors: for rare moments only. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

struct socket_ends {  /* of a connection to us */
    const char *peer; /* address as text */
    int peer_port, local_port;
};
/* Descriptor of the established connection. ERR_NOT_FOUND; two that fit count as none. */
int socket_of_peer(const struct socket_ends *ends, int *fd) must_use;

/* The same among descriptors with numbers below this, without a look at the others: few system
 * calls however many streams are open. */
int socket_of_peer_below(const struct socket_ends *ends, int below, int *fd) must_use;

struct socket_peer { /* a connection to us */
    int fd, port;    /* port: of the peer */
    char address[16];
};
/* All connections to this port among descriptors with numbers below this. How many; no more than
 * max are told. Some may end meanwhile: see socket_is_of. */
size_t sockets_of_port(int local_port, int below, struct socket_peer *list, size_t max);
bool socket_is_of(int fd, const struct socket_ends *ends);

/* Bytes that came on this connection so far, read or not; -1: not known. */
int64_t socket_received(int fd);

/* Close our listener on that port for clients without telling its owner: its descriptor becomes an
 * event that never comes, so nobody spins or fails. How many were replaced. */
int sockets_refuse(int local_port);

enum { SOCKET_HOST = 64, SOCKET_WHY = 256 };
/* "HOST:PORT" in its parts; no host: all addresses. 0; ERR_INVALID with why: one line that says
 * what to write. */
int socket_parse_listen(const char *listen, char host[SOCKET_HOST], int *port,
                        char why[SOCKET_WHY]) must_use;
/* Could this be listened on now? host: IPv4 address or name. 0, or with why: ERR_EXISTS: taken;
 * ERR_NOT_FOUND: no such address here; ERR_REFUSED: not allowed to. */
int socket_try_listen(const char *host, int port, char why[SOCKET_WHY]) must_use;
