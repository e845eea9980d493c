/* jwks.h - the keys of an issuer: a JWK set (RFC 7517) or one shared secret. Made once, never
 * changed, counted; any thread. */
#pragma once
#include "common/jose.h"

enum { JWKS_SIZE_MAX = 256 << 10, JWKS_KEYS_MAX = 64, JWKS_KID = 256 };

struct jwks;
/* From JSON text. Keys for other uses or of other kinds are left out. *out: owned (jwks_put). 0;
 * ERR_TOO_LARGE (bytes or keys); ERR_REFUSED: none of its keys can verify here, and some only for
 * their size; ERR_INVALID: no JWK set, or no such key; ERR_NOMEM. */
int jwks_parse(const char *text, size_t len, struct jwks **out) must_use;
/* The one shared secret (HS256), whatever `kid` a token names. As jose_key_secret. */
int jwks_of_secret(const void *bytes, size_t len, struct jwks **out) must_use;
struct jwks *jwks_get(struct jwks *s); /* one more user */
void jwks_put(struct jwks *s);         /* the last one frees; NULL is fine */
size_t jwks_size(const struct jwks *s);
size_t jwks_weak(const struct jwks *s);         /* RSA keys left out for their size */
unsigned jwks_algorithms(const struct jwks *s); /* of its keys; bits, 1u << enum jose_alg */

/* The key for tokens of this algorithm with this `kid`; kid "": the token names none, so only one
 * key may fit. NULL: there is none. Lent with the set. */
const struct jose_key *jwks_find(const struct jwks *s, enum jose_alg alg, const char *kid);
