/* caller.h - who asks a gateway in the name of a verb's user: a client of HTTP with a loop of its
 * own, an address and a token. talk.h waits for answers with it, listen.h hears streams. Main
 * thread. */
#pragma once
#include "common/header.h"
#include "common/http_client.h"

struct caller {
    const char *url; /* "http://127.0.0.1:8480", without a / at its end; borrowed until the close */
    struct loop *loop;
    struct http_client *http;
    char *authorization; /* NULL: a guest */
};
/* token: borrowed for the call; NULL or "": a guest. 0, ERR_NOMEM; close it whatever is returned.
 */
int caller_open(struct caller *c, const char *url, const char *token) must_use;
void caller_close(struct caller *c); /* zeros are fine; free timers of the loop before */

enum { CALLER_HEADERS = 2 };
/* Accept, and Authorization unless it is a guest; how many. Values: lent until the close. */
size_t caller_headers(const struct caller *c, const char *accept, struct header *out);
/* As http_start, of a path of the gateway: url, allow_private, once and item of q are set here. */
int caller_start(const struct caller *c, const struct http_request *q, const char *path,
                 http_done_fn *fn, void *arg, struct http_exchange **out) must_use;
