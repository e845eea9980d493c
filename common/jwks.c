#include "common/jwks.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    struct jose_key *key;
    char kid[JWKS_KID]; /* "": none */
};

struct jwks {
    _Atomic unsigned refs;
    bool secret;
    size_t n, weak;
    struct entry list[];
};

static struct jwks *make(size_t n)
{
    struct jwks *s = calloc(1, sizeof *s + n * sizeof s->list[0]);
    if (s)
        s->refs = 1;
    return s;
}

struct jwks *jwks_get(struct jwks *s)
{
    s->refs++;
    return s;
}

static void destroy(struct jwks *s)
{
    for (size_t i = 0; s && i < s->n; i++)
        jose_key_free(s->list[i].key);
    free(s);
}

void jwks_put(struct jwks *s)
{
    if (s && --s->refs == 0)
        destroy(s);
}

size_t jwks_size(const struct jwks *s)
{
    return s->n;
}

size_t jwks_weak(const struct jwks *s)
{
    return s->weak;
}

unsigned jwks_algorithms(const struct jwks *s)
{
    unsigned bits = 0;
    for (size_t i = 0; i < s->n; i++)
        bits |= 1u << jose_key_alg(s->list[i].key);
    return bits;
}

int jwks_of_secret(const void *bytes, size_t len, struct jwks **out)
{
    struct jwks *s = make(1);
    if (!s)
        return ERR_NOMEM;
    int err = jose_key_secret(bytes, len, &s->list[0].key);
    if (err) {
        jwks_put(s);
        return err;
    }
    s->secret = true;
    s->n = 1;
    *out = s;
    return 0;
}

/* ---- from JSON */

static bool may_verify(const struct json *jwk)
{
    const struct json *ops = json_get(jwk, "key_ops"), *use = json_get(jwk, "use");
    if (use && (!json_text(use) || strcmp(json_text(use), "sig") != 0))
        return false;
    for (const struct json *o = json_first(ops); o; o = json_next(o))
        if (json_text(o) && strcmp(json_text(o), "verify") == 0)
            return true;
    return !ops;
}

/* Taken, or left out. */
static int take(struct jwks *s, const struct json *jwk)
{
    const struct json *kid = json_get(jwk, "kid"), *alg = json_get(jwk, "alg");
    struct entry *e = &s->list[s->n];
    if (!may_verify(jwk) || (kid && (!json_text(kid) || strlen(json_text(kid)) >= sizeof e->kid)))
        return 0;
    int err = jose_key_public(jwk, &e->key);
    s->weak += err == ERR_REFUSED;
    if (err)
        return err == ERR_NOMEM ? err : 0;
    if (alg && jose_alg_parse(json_text(alg)) != jose_key_alg(e->key)) {
        jose_key_free(e->key);
        return 0;
    }
    if (kid)
        memcpy(e->kid, json_text(kid), strlen(json_text(kid)) + 1);
    s->n++;
    return 0;
}

static int take_all(const struct json *keys, struct jwks **out)
{
    if (!json_is(keys, JSON_ARRAY))
        return ERR_INVALID;
    if (json_size(keys) > JWKS_KEYS_MAX)
        return ERR_TOO_LARGE;
    struct jwks *s = make(json_size(keys));
    int err = s ? 0 : ERR_NOMEM;
    for (const struct json *k = json_first(keys); k && !err; k = json_next(k))
        err = take(s, k);
    if (!err && s->n == 0)
        err = s->weak ? ERR_REFUSED : ERR_INVALID;
    if (err)
        destroy(s);
    else
        *out = s;
    return err;
}

int jwks_parse(const char *text, size_t len, struct jwks **out)
{
    struct json *v = NULL;
    int err = json_parse(
        text, len, &(struct json_limits){.size_max = JWKS_SIZE_MAX, .depth_max = 8}, &v, NULL);
    if (err)
        return err == ERR_TOO_LARGE || err == ERR_NOMEM ? err : ERR_INVALID;
    err = take_all(json_get(v, "keys"), out);
    json_free(v);
    return err;
}

/* ---- finding */

const struct jose_key *jwks_find(const struct jwks *s, enum jose_alg alg, const char *kid)
{
    const struct jose_key *found = NULL;
    for (size_t i = 0; i < s->n; i++) {
        const struct entry *e = &s->list[i];
        if (jose_key_alg(e->key) != alg)
            continue;
        if (s->secret || (kid[0] && strcmp(e->kid, kid) == 0))
            return e->key;
        if (kid[0])
            continue;
        if (found)
            return NULL;
        found = e->key;
    }
    return found;
}
