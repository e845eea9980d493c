/* login.h - the console's sign-in: a bearer token becomes the cookie of cookie.h, and back. Any
 * thread. */
#pragma once
#include "gateway/auth.h"
#include "gateway/http.h"

/* POST /v1/login with Authorization: Bearer: 200 {user, expires} and the cookie, until the token's
 * exp; 401 without a good token; 400 when it is too long for a cookie. */
void login_post(const struct auth *a, const struct http_request *q, struct http_reply *r);
/* What it answers to a good token: left_s is how long the cookie stays. */
void login_give(const struct http_request *q, struct http_reply *r, const struct token_user *user,
                const char *token, int64_t left_s);
/* POST /v1/logout: 204, the cookie is gone, whatever is in it; 403 from another site. */
void logout_post(const struct http_request *q, struct http_reply *r);
