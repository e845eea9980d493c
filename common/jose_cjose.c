#include "common/jose.h"

#include <cjose/cjose.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"

enum { RSA_MIN = 2048, RSA_MAX = 8192 };

struct jose_key {
    enum jose_alg alg;
    cjose_jwk_t *jwk;
};

static const char *const names[JOSE_ALGS] = {"HS256", "RS256", "ES256"};

const char *jose_alg_name(enum jose_alg a)
{
    return (unsigned)a < JOSE_ALGS ? names[a] : "none";
}

enum jose_alg jose_alg_parse(const char *name)
{
    for (int i = 0; name && i < JOSE_ALGS; i++)
        if (strcmp(names[i], name) == 0)
            return (enum jose_alg)i;
    return JOSE_ALGS;
}

static int make(enum jose_alg alg, cjose_jwk_t *jwk, struct jose_key **out)
{
    struct jose_key *k = malloc(sizeof *k);
    if (!k) {
        cjose_jwk_release(jwk);
        return ERR_NOMEM;
    }
    *k = (struct jose_key){alg, jwk};
    *out = k;
    return 0;
}

int jose_key_secret(const void *bytes, size_t len, struct jose_key **out)
{
    cjose_err err;
    if (len < JOSE_SECRET_MIN)
        return ERR_INVALID;
    cjose_jwk_t *jwk = cjose_jwk_create_oct_spec(bytes, len, &err);
    return jwk ? make(JOSE_HS256, jwk, out) : ERR_NOMEM;
}

/* libcjose asserts that no `=` stands in the middle, which would end the program: it gets no text
 * that is not base64url. */
static bool is_base64url(const char *text, size_t len)
{
    return base64url_decode(text, len, NULL) > 0;
}

static bool is_name(const char *member)
{
    return strcmp(member, "kty") == 0 || strcmp(member, "crv") == 0;
}

/* What makes the key and nothing else of it: no private part, no member that the library would
 * read in a way of its own. */
static int public_part(const struct json *jwk, const char *const *members, struct buf *out)
{
    struct json *v = json_new_object();
    int err = v ? 0 : ERR_NOMEM;
    for (; !err && *members; members++) {
        const char *text = json_text(json_get(jwk, *members));
        bool fits = text && (is_name(*members) || is_base64url(text, strlen(text)));
        err = fits ? json_put(v, *members, json_new_text(text)) : ERR_INVALID;
    }
    if (!err)
        json_print(v, out);
    json_free(v);
    return err ? err : buf_ok(out);
}

static int import(const struct json *jwk, const char *const *members, cjose_jwk_t **out)
{
    struct buf text = {0};
    cjose_err err;
    int rc = public_part(jwk, members, &text);
    if (!rc) {
        *out = cjose_jwk_import(text.data, text.len, &err);
        rc = *out ? 0 : ERR_INVALID;
    }
    buf_fini(&text);
    return rc;
}

int jose_key_public(const struct json *jwk, struct jose_key **out)
{
    static const char *const rsa[] = {"kty", "n", "e", NULL};
    static const char *const ec[] = {"kty", "crv", "x", "y", NULL};
    const char *kty = json_text(json_get(jwk, "kty")), *crv = json_text(json_get(jwk, "crv"));
    bool is_rsa = kty && strcmp(kty, "RSA") == 0;
    cjose_jwk_t *key = NULL;
    cjose_err err;
    if (!is_rsa && (!kty || strcmp(kty, "EC") != 0 || !crv || strcmp(crv, "P-256") != 0))
        return kty ? ERR_UNSUPPORTED : ERR_INVALID;
    int rc = import(jwk, is_rsa ? rsa : ec, &key);
    if (rc)
        return rc;
    size_t bits = cjose_jwk_get_keysize(key, &err);
    if (is_rsa && (bits < RSA_MIN || bits > RSA_MAX)) {
        cjose_jwk_release(key);
        return ERR_REFUSED;
    }
    return make(is_rsa ? JOSE_RS256 : JOSE_ES256, key, out);
}

void jose_key_free(struct jose_key *k)
{
    if (k)
        cjose_jwk_release(k->jwk);
    free(k);
}

enum jose_alg jose_key_alg(const struct jose_key *k)
{
    return k->alg;
}

/* The library verifies with the algorithm that the token names; so it must name ours. */
static bool names_our_algorithm(cjose_jws_t *jws, enum jose_alg alg)
{
    cjose_err err;
    const char *name = cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, &err);
    return name && strcmp(name, names[alg]) == 0;
}

static bool is_compact(const char *token, size_t len)
{
    for (const char *dot; (dot = memchr(token, '.', len)); token = dot + 1) {
        size_t part = (size_t)(dot - token);
        if (!is_base64url(token, part))
            return false;
        len -= part + 1;
    }
    return is_base64url(token, len);
}

int jose_verify(const struct jose_key *k, const char *token, size_t len)
{
    cjose_err err;
    if (!is_compact(token, len))
        return ERR_SIGNED_OUT;
    cjose_jws_t *jws = cjose_jws_import(token, len, &err);
    bool good = jws && names_our_algorithm(jws, k->alg) && cjose_jws_verify(jws, k->jwk, &err);
    cjose_jws_release(jws);
    return good ? 0 : ERR_SIGNED_OUT;
}

int jose_sign(const struct jose_key *k, const char *payload, size_t len, struct buf *out)
{
    cjose_err err;
    const char *text = NULL;
    if (k->alg != JOSE_HS256)
        return ERR_UNSUPPORTED;
    cjose_header_t *head = cjose_header_new(&err);
    cjose_jws_t *jws = NULL;
    if (head && cjose_header_set(head, CJOSE_HDR_ALG, names[JOSE_HS256], &err))
        jws = cjose_jws_sign(k->jwk, head, (const uint8_t *)payload, len, &err);
    if (jws && cjose_jws_export(jws, &text, &err))
        buf_text(out, text);
    cjose_jws_release(jws);
    cjose_header_release(head);
    return text ? buf_ok(out) : ERR_NOMEM;
}
