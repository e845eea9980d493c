/* pages.h - the console: static files compiled into the program (gateway/pages/, embedded by
 * gateway/pages_embed.cmake), sent with an ETag and a policy that runs no script but ours. Pure;
 * any thread. */
#pragma once
#include "gateway/http.h"

struct page {
    const char *name; /* "index.html" */
    const char *etag; /* "\"..\"" */
    const unsigned char *data;
    size_t len;
};
extern const struct page pages_table[];
extern const size_t pages_n;

const struct page *pages_find(const char *name); /* NULL: no such file */
/* Answer with this file: 200 or 304. 0, ERR_NO_ROUTE (no such file). */
int pages_get(const struct http_request *q, struct http_reply *r, const char *name) must_use;
/* The headers that every page of ours carries. */
void pages_policy(struct http_reply *r);
