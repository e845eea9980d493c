#include "gateway/http_thread.h"

#include <stdlib.h>

struct http_thread *http_threads_new(unsigned n, struct http_server *server, struct seats *seats,
                                     struct body_watch *watches, struct debt_terms terms)
{
    struct http_thread *list = calloc(n, sizeof *list);
    for (unsigned i = 0; list && i < n; i++) {
        struct http_thread *t = &list[i];
        t->server = server;
        t->seat = terms.seat = seats_at(seats, i);
        t->watch = &watches[i];
        http_space_init(&t->space);
        debt_init(&t->debt, &terms);
    }
    return list;
}

void http_threads_free(struct http_thread *list, unsigned n)
{
    for (unsigned i = 0; list && i < n; i++) {
        http_space_fini(&list[i].space);
        debt_fini(&list[i].debt);
    }
    free(list);
}
