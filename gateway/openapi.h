/* openapi.h - the OpenAPI document: proto/openapi.yaml, with an address for each flow in place of
 * {flow}. Any thread. */
#pragma once
#include "common/flow.h"
#include "gateway/http.h"

/* proto/openapi.yaml, compiled in (openapi_embed.cmake). */
extern const char openapi_base[];
extern const size_t openapi_base_len;

/* The flows that `may` says yes to (never internal ones), as JSON appended to out. url: where the
 * gateway is, "" unknown. 0, ERR_NOMEM. */
typedef bool openapi_may_fn(const void *arg, const struct flow *f);
int openapi_print(const struct flow_set *flows, openapi_may_fn *may, const void *arg,
                  const char *url, struct buf *out) must_use;

/* GET /openapi.json: the flows that q->user may start. */
void openapi_get(const struct flow_set *flows, const struct http_request *q, struct http_reply *r);
