/* http_space.h - the memory a serving thread keeps between requests: small memory stays, large
 * memory of one request is given back. Belongs to one thread. */
#pragma once
#include "gateway/http.h"

struct http_space {
    struct http_reply reply;
    struct buf body, out; /* of the request; of the reply as it is sent */
};
void http_space_init(struct http_space *s);
void http_space_fini(struct http_space *s);
void http_space_shrink(struct http_space *s);
/* Room for n bytes and a 0 behind them. 0 or ERR_NOMEM. */
int http_space_reserve(struct buf *b, size_t n) must_use;
