/* http_server.h - the HTTP server: one thread per connection, linear handlers. civetweb behind
 * http_server_civetweb.c, nowhere else. HTTP/1.1 without TLS: an ingress stands in front. Where all
 * threads are taken, connections that ask nothing are closed for those that wait (seats.h). */
#pragma once
#include "common/clock.h"
#include "gateway/http.h"

struct http_server;

struct http_server_settings {
    const char *listen;   /* HOST:PORT; port 0: any free one. IPv4 address or a name */
    unsigned threads;     /* connections served at once, 2 to 2048 */
    unsigned in_flight;   /* requests served at once; more: 503 `overloaded`. 0: no limit */
    unsigned per_address; /* connections of one address; more: 503, closed; those that send no
                           * request: closed. 0: no limit */
    unsigned header_max;  /* bytes of request line and headers, at least 1024 */
    int header_ms;        /* until a header is there */
    int body_ms;          /* until the whole body is there, however it drips or pauses; about so
                           * long a reader may take nothing */
    bool streams;         /* replies may have takers: looks at start whether threads are needed */
    int keep_alive_ms;    /* idle connections, until the next header begins */
    http_handler *handler;
    http_beginner *begin; /* NULL, or what comes before handler for each request that can be read */
    void *arg;
    const struct clock *clock;
    const char *public_url; /* for requests; borrowed until stop */
};

/* Start listening and serving; waits until every thread runs. *out: owned (http_server_stop).
 * 0; ERR_EXISTS: the port is taken; ERR_NOT_FOUND: no such address; ERR_INVALID: `listen` is not
 * HOST:PORT, or the library is not the one compiled for; ERR_REFUSED: not allowed to listen;
 * ERR_NOMEM: threads could not start. why[256]: one line that says what to do. */
int http_server_start(const struct http_server_settings *s, struct http_server **out,
                      char why[256]) must_use;
/* "127.0.0.1:8480", as it is really taken; lent. */
const char *http_server_address(const struct http_server *s);
unsigned http_server_in_flight(const struct http_server *s);
/* From now on every reply ends its connection (drain, first step). */
void http_server_close_connections(struct http_server *s);
/* Take no new connections; those that are open go on. */
void http_server_refuse(struct http_server *s);
/* Waits for running handlers without limit and throws their replies away: wait for in_flight 0
 * before. Frees. NULL is fine. */
void http_server_stop(struct http_server *s);
