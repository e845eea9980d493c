/* serve.h - one request of the public port: request id, guard, route, user, handler,
 * count. */
#pragma once
#include "gateway/accept.h"
#include "gateway/auth.h"
#include "gateway/cors.h"
#include "gateway/jobs.h"
#include "gateway/route.h"

struct streams; /* gateway/streams.h */

struct serve { /* for the gateway's life */
    struct accept accept;
    struct jobs jobs;
    struct auth auth;
    struct streams *streams;
    const char *demo_users;  /* NULL: none; lent with the settings */
    const struct cors *cors; /* for preflights; cors_begin came before. NULL: off */
    struct rng *rng;
};

/* An http_handler; arg: struct serve. Any thread. */
void serve_request(void *arg, struct http_request *q, struct http_reply *r);
