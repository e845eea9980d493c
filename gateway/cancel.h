/* cancel.h - DELETE /v1/jobs/{id} (T9): a queued job is cancelled at once, a running one by its
 * worker. Any thread. */
#pragma once
#include "gateway/jobs.h"

/* 202 {id, flow, state, links}: asked for, the state tells. 409 `final`; 403 `not-allowed`: a job
 * of a shared cache belongs to nobody; 404 `no-job`: also somebody else's; 503 `unavailable`: MySQL
 * is away, or a guest's job is not registered yet. */
void cancel_job(struct jobs *j, const struct http_request *q, struct http_reply *r, const char *id);
