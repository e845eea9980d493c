/* auth.h - who sends a request: nobody (a guest), or the user of a good token, sent as a bearer or
 * in the console's cookie (cookie.h); a bearer counts first. A bad token is refused everywhere:
 * nobody becomes a guest by accident. Any thread. */
#pragma once
#include "gateway/keyring.h"

struct http_request; /* gateway/http.h */
struct http_reply;

struct auth_issuer {
    struct token_rules rules;
    struct keyring *keys;
};
struct auth {
    const struct auth_issuer *issuers; /* borrowed */
    size_t n;                          /* 0: no keys are set, so no token is good */
    const struct clock *clock;
};

/* Fill *user (all zero: a guest). 0; ERR_SIGNED_OUT: a bad token; ERR_NOT_YET: one that may be good
 * later; ERR_NOT_ALLOWED: by cookie, from another site; ERR_UNAVAILABLE: the keys cannot be read
 * now. why: a sentence for the client, lent for ever. */
int auth_request(const struct auth *a, const struct http_request *q, struct token_user *user,
                 const char **why) must_use;
/* Answer 401 with a challenge, 403 or 503, as auth_request said. A cookie that will not be
 * good again is taken away. */
void auth_refuse(const struct http_request *q, struct http_reply *r, int err, const char *why);
/* 401 for a guest where a user is needed. */
void auth_challenge(const struct http_request *q, struct http_reply *r);
/* 403: the token does not have this scope. */
void auth_refuse_scope(const struct http_request *q, struct http_reply *r, const char *scope);
