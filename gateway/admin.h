/* admin.h - the admin port: /healthz (the process lives), /readyz (health.h), /metrics. On a server
 * of its own, so that it answers even when the public one is full. */
#pragma once
#include "gateway/health.h"
#include "gateway/http.h"

struct admin {
    /* what is found at this moment; any thread */
    void (*look)(void *arg, struct health_state *out);
    void *arg;
};

/* An http_handler; arg: struct admin. Any thread. */
void admin_request(void *arg, struct http_request *q, struct http_reply *r);
