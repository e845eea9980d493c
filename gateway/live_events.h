/* live_events.h - GET /v1/jobs/{id}/events and /v1/events: who may listen, from where, and the
 * answer that becomes a stream, which ends with the token of who asked. Any thread. */
#pragma once
#include "gateway/jobs.h"
#include "gateway/streams.h"

/* 200 as server-sent events: `state`, `call`, `gap`, `done`. 404 `no-job` as jobs_get; 503
 * `unavailable` without MySQL, `overloaded` with too many streams. */
void live_events_of_job(struct jobs *j, struct streams *s, const struct http_request *q,
                        struct http_reply *r, const char *id);
/* 200 as server-sent events: `job` for each of the user's jobs. 401 for a guest; 503. */
void live_events_of_user(struct streams *s, const struct http_request *q, struct http_reply *r);
