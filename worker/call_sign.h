/* call_sign.h - the headers of one attempt, signed where the upstream asks for it (upstreams.yaml:
 * sign). Each attempt anew: a signature is good for minutes. Belongs to its call's thread. */
#pragma once
#include "common/sigv4.h"
#include "worker/call_request.h"

struct call_headers {
    struct header list[CALL_HEADERS_MAX + SIGV4_ADDS]; /* lent parts only */
    size_t n;
    struct sigv4 signature;
};

/* out: call_headers_fini, also after a failure; it may not be moved. 0; ERR_INVALID, ERR_TOO_LARGE:
 * what the flow made cannot be signed; ERR_NOMEM. */
int call_headers_make(const struct flow_call *c, const struct call_request *r,
                      const struct call_marks *m, int64_t wall_us,
                      struct call_headers *out) must_use;
void call_headers_fini(struct call_headers *h);
