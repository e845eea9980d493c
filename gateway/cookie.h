/* cookie.h - the console's cookie: a bearer token in a place that no script of a page can read and
 * that no other site's requests carry (HttpOnly, SameSite=Strict). What changes something by cookie
 * must also say that it comes from our own pages. Pure; any thread. */
#pragma once
#include "gateway/http.h"

enum { COOKIE_TOKEN = 4000 }; /* browsers keep 4096 bytes of name and value */

/* Is there a cookie of ours? Its token is copied out; one too long is "", which is no token. */
bool cookie_read(const struct http_request *q, char token[COOKIE_TOKEN]) must_use;
/* 0 for GET and HEAD, and if `Sec-Fetch-Site` says same-origin or, without it, `Origin` is ours;
 * else ERR_NOT_ALLOWED with why, lent for ever. */
int cookie_guard(const struct http_request *q, const char **why) must_use;
/* Set it for so many seconds; 0: take it away. */
void cookie_set(const struct http_request *q, struct http_reply *r, const char *token,
                long long seconds);
