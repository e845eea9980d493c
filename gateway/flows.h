/* flows.h - GET /v1/flows: what this user may start. Any thread. */
#pragma once
#include "common/flow.h"
#include "gateway/etas.h"
#include "gateway/http.h"

/* 200 {items: [{flow, title, schema, examples, eta?}], next: null}. etas: NULL: none is shown. */
void flows_get(const struct flow_set *flows, struct etas *etas, const struct http_request *q,
               struct http_reply *r);
/* May q->user start it? Internal flows nobody may. */
bool flows_may_start(const struct http_request *q, const struct flow *f);
