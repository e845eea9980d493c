/* call_request.h - the request of one call, rendered once and sent as often as it is tried.
 * Belongs to its call's thread. */
#pragma once
#include "common/flow.h"
#include "common/id.h"
#include "worker/call_key.h"

struct call_request {
    char *url;  /* the upstream's and the path; owned */
    char *body; /* compact JSON; NULL: none */
    size_t body_len;
    struct header *headers; /* those of the call, rendered; names lent with the flow */
    size_t headers_n;
};

/* Render path, headers and body. *out: owned (call_request_fini). ERR_EXPRESSION (error filled),
 * ERR_NOMEM; out is untouched then. */
int call_request_render(const struct flow_call *c, const struct expr_vars *vars,
                        struct call_request *out, struct expr_error *error) must_use;
void call_request_fini(struct call_request *r);
/* Render it to see whether it could be sent. *why: set if its parts are good and it cannot; lent
 * for ever. 0, ERR_EXPRESSION (a part is not good, or *why), ERR_NOMEM. */
int call_request_try(const struct flow_call *c, const struct expr_vars *vars,
                     const char **why) must_use;

/* What the ledger knows it by. */
void call_request_key(const struct flow_call *c, const struct call_request *r, uint32_t number,
                      uint8_t out[CALL_KEY]);

/* All headers of one attempt: the upstream's, the call's, content-type, accept, the idempotency key
 * and the trace. Lent parts only: list is for the caller's stack. Returns how many; at most
 * CALL_HEADERS_MAX, more of the flow's are left out by the loader's bound. */
enum { CALL_HEADERS_MAX = 64 };
struct call_marks {
    const char *key;   /* Idempotency-Key */
    const char *trace; /* traceparent; "" none */
};
size_t call_request_headers(const struct flow_call *c, const struct call_request *r,
                            const struct call_marks *m, struct header list[CALL_HEADERS_MAX]);
