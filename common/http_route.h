/* http_route.h - the way to a URL's host for the HTTP client: its name is found here (names.h) and
 * the addresses handed to curl, which would start a thread for each name, and stop the loop when a
 * call ends before that. Belongs to the loop's thread. */
#pragma once
#include "common/buf.h"
#include "common/names.h"

struct http_route {         /* zeroed at first */
    struct names_wait wait; /* first */
    uint16_t port;
};

/* Where does this URL lead? 0: line (cleared before) is what curl wants to know (CURLOPT_RESOLVE),
 * empty if nothing; or *waits: r waits for the name, max_ms at most, and n's function is called
 * once with &r->wait. ERR_NOMEM. */
int http_route_find(struct http_route *r, struct names *n, const char *url, int64_t max_ms,
                    struct buf *line, bool *waits) must_use;
/* The line for a route that has waited and these addresses. 0 or ERR_NOMEM. */
int http_route_line(const struct http_route *r, const char *addresses, struct buf *line) must_use;
