/* jose.h - signatures of tokens: HS256, RS256, ES256 (RFC 7515, 7518), by libcjose behind
 * jose_cjose.c. A key knows its one algorithm and never changes: any thread, several at once. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/buf.h"
#include "common/err.h"
#include "common/json.h"

enum jose_alg { JOSE_HS256, JOSE_RS256, JOSE_ES256, JOSE_ALGS };
enum { JOSE_SECRET_MIN = 32 }; /* RFC 7518: no shorter than the hash */

const char *jose_alg_name(enum jose_alg a); /* "RS256"; lent for ever */
/* The name as it stands in a token; JOSE_ALGS: none of ours (also "none"; NULL is fine). */
enum jose_alg jose_alg_parse(const char *name);

struct jose_key;
/* A shared secret, HS256. *out: owned (jose_key_free). 0, ERR_INVALID (shorter than
 * JOSE_SECRET_MIN), ERR_NOMEM. */
int jose_key_secret(const void *bytes, size_t len, struct jose_key **out) must_use;
/* A public key from its JWK (RFC 7517): RSA of 2048 to 8192 bits is RS256, EC on P-256 is ES256;
 * private members are not looked at. 0; ERR_UNSUPPORTED: another kind, also a shared secret, which
 * has no business among public keys; ERR_REFUSED: RSA of another size; ERR_INVALID: broken;
 * ERR_NOMEM. */
int jose_key_public(const struct json *jwk, struct jose_key **out) must_use;
void jose_key_free(struct jose_key *k); /* NULL is fine */
enum jose_alg jose_key_alg(const struct jose_key *k);

/* Is this compact JWS signed by the key, and does its header name the key's own algorithm? 0 or
 * ERR_SIGNED_OUT. */
int jose_verify(const struct jose_key *k, const char *token, size_t len) must_use;
/* Append {"alg":"HS256"}'s compact JWS of payload. ERR_UNSUPPORTED: not a shared secret. */
int jose_sign(const struct jose_key *k, const char *payload, size_t len, struct buf *out) must_use;
