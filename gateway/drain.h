/* drain.h - the order in which a gateway stops: nothing it has answered 202 for is lost, and
 * whoever is being served gets an answer. The steps are given, so the order is tested without a
 * server. */
#pragma once
#include <stddef.h>

struct drain_steps {
    void *arg;
    void (*unready)(void *arg);              /* /readyz says no; replies end their connections */
    int (*pause)(void *arg, int ms);         /* sleep; not 0: a second signal, hurry */
    void (*refuse)(void *arg);               /* no new connections */
    unsigned (*in_flight)(void *arg);        /* requests being served */
    size_t (*flush)(void *arg, int wait_ms); /* reports, marks, rows; what is left */
};

struct drain_limits {
    int serve_ms;    /* keep serving after `unready`, until load balancers have noticed */
    int requests_ms; /* for requests being served */
    int flush_ms;
};

struct drain_result {
    unsigned requests; /* still served when patience ended */
    size_t unflushed;
};

/* unready, serve on, refuse, wait for requests, flush. */
struct drain_result drain_run(const struct drain_steps *steps, const struct drain_limits *limits);
