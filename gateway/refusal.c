#include "gateway/refusal.h"

#include <stdio.h>

#include "gateway/problem.h"

void refusal_reply(enum refusal why, unsigned header_max, const struct http_request *q,
                   struct http_reply *r)
{
    static const struct {
        int err;
        const char *detail;
    } rows[] = {
        [REFUSAL_CROWDED] = {ERR_OVERLOADED,
                             "too many connections from your address; use fewer, or reuse them"},
        [REFUSAL_BUSY] = {ERR_OVERLOADED, "too many requests at this moment"},
        [REFUSAL_GAVE_WAY] = {ERR_OVERLOADED,
                              "your connection was needed for another; send requests at once"},
        [REFUSAL_SLOW] = {ERR_SLOW_HEADER, NULL},
        [REFUSAL_UNREADABLE] = {ERR_BAD_REQUEST, NULL},
        [REFUSAL_TARGET] = {ERR_BAD_REQUEST, "write the path alone into the request's first line, "
                                             "not http://HOST before it, and not *"},
    };
    char unreadable[128];
    snprintf(unreadable, sizeof unreadable,
             "its method, first line or a header cannot be read, or they exceed %u bytes",
             header_max);
    problem_simple(q, r, rows[why].err, why == REFUSAL_UNREADABLE ? unreadable : rows[why].detail);
    r->close = why != REFUSAL_BUSY;
}
