/* token.h - who asks: reads and checks a bearer token (JWT, RFC 7519, as a compact JWS signed with
 * HS256, RS256 or ES256; RFC 8725). Which algorithms count is the issuer's rule, never the token's
 * word. Pure: the time and the key are given; any thread. */
#pragma once
#include "common/event.h"
#include "common/jwks.h"

enum { TOKEN_MAX = 8192, TOKEN_SCOPE = 1024, TOKEN_LEEWAY_S = 60 };

struct token_rules {      /* of one issuer; text borrowed */
    const char *issuer;   /* must be `iss`; NULL or "": any */
    const char *audience; /* must be in `aud`; NULL or "": any */
    unsigned algorithms;  /* bits, 1u << enum jose_alg */
};

struct token_user { /* all zero: a guest */
    struct owner owner;
    char sub[EVENT_SUB];
    char scope[TOKEN_SCOPE]; /* names with a space between; "" none */
    int64_t expires_s;       /* `exp` of the token */
};

struct token_head { /* unchecked: only to find the key by */
    enum jose_alg alg;
    char kid[JWKS_KID]; /* "": none */
};

/* Read the header. 0; ERR_SIGNED_OUT with `why`, a sentence for the client that holds nothing of
 * the token, lent for ever: too long, not a token, an algorithm the rules do not list, `crit`. */
int token_head(const struct token_rules *r, const char *token, struct token_head *out,
               const char **why) must_use;
/* What the token says of its issuer, unchecked: only to find the rules by. out: "" for none. 0;
 * ERR_SIGNED_OUT with why as above. */
enum { TOKEN_ISSUER = 512 };
int token_issuer(const char *token, char out[TOKEN_ISSUER], const char **why) must_use;
/* Check signature, iss, aud, exp (which must be there), nbf; then fill the user. The key was found
 * by the header of this token. Errors as above; ERR_NOT_YET, with why: by nbf. */
int token_check(const struct token_rules *r, const struct jose_key *key, const char *token,
                int64_t now_us, struct token_user *out, const char **why) must_use;

/* Is this scope among the user's? */
bool token_has_scope(const struct token_user *u, const char *scope);

struct token_wish { /* a token to make; text borrowed, NULL or "": left out (not sub) */
    const char *issuer, *audience, *sub, *scope;
    int64_t ttl_s;
};
/* Append a token signed with a shared secret. ERR_INVALID: a sub that no token_check would take. */
int token_make(const struct token_wish *w, const struct jose_key *key, int64_t now_us,
               struct buf *out) must_use;
