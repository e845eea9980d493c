/* http_thread.h - what each thread of the HTTP server has for its connections, one after the other.
 * Belongs to that thread, but for what its parts say. */
#pragma once
#include "gateway/body_watch.h"
#include "gateway/debt.h"
#include "gateway/http_space.h"
#include "gateway/http_write.h"
#include "gateway/seats.h"

struct http_server;

struct http_thread {
    struct http_server *server;
    struct http_space space;
    struct body_watch *watch; /* this and the next are lent by whoever made the threads */
    struct seat *seat;
    struct debt debt;
    struct http_date date;
    const char *start; /* of civetweb's buffer, where a request begins; NULL: not known yet */
    bool told;         /* this connection got an answer that no handler made, its last */
};

/* n of them, with seats and watches of as many. terms: of their debts; each gets its own seat.
 * Owned (http_threads_free); NULL: no memory. */
struct http_thread *http_threads_new(unsigned n, struct http_server *server, struct seats *seats,
                                     struct body_watch *watches, struct debt_terms terms);
void http_threads_free(struct http_thread *list, unsigned n); /* NULL is fine */
