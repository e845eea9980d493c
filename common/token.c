#include "common/token.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64url.h"

enum { PARTS = 3, DEPTH_MAX = 16 };

static const double SECONDS_MAX = 1e11; /* some 3,000 years */

struct part {
    const char *at;
    size_t len;
};

static int refuse(const char **why, const char *text)
{
    *why = text;
    return ERR_SIGNED_OUT;
}

/* ---- parts */

static bool split(const char *token, struct part parts[PARTS])
{
    for (int i = 0; i < PARTS; i++) {
        size_t len = strcspn(token, ".");
        parts[i] = (struct part){token, len};
        token += len;
        if (len == 0 || (*token == '.') != (i < PARTS - 1))
            return false;
        token += i < PARTS - 1;
    }
    return true;
}

/* A part that is a JSON object; strict, so no name stands twice. A claim that nobody reads here may
 * be a number of any size; those that are read are far below where doubles round. Owned. */
static struct json *object(const struct part *p)
{
    char bytes[TOKEN_MAX];
    struct json *v = NULL;
    long n = base64url_decode(p->at, p->len, bytes);
    if (n < 0 || json_parse(bytes, (size_t)n,
                            &(struct json_limits){
                                .size_max = TOKEN_MAX, .depth_max = DEPTH_MAX, .rounds = true},
                            &v, NULL))
        return NULL;
    if (json_is(v, JSON_OBJECT))
        return v;
    json_free(v);
    return NULL;
}

static bool shape(const char *token, struct part parts[PARTS], const char **why)
{
    *why = "the token is longer than 8192 bytes";
    if (strnlen(token, TOKEN_MAX + 1) > TOKEN_MAX)
        return false;
    *why = "this is no token: three parts in base64url are due";
    return split(token, parts) && base64url_decode(parts[2].at, parts[2].len, NULL) > 0;
}

/* ---- the header */

static int read_head(const struct token_rules *r, const struct json *v, struct token_head *out,
                     const char **why)
{
    const struct json *kid = json_get(v, "kid");
    struct token_head head = {.alg = jose_alg_parse(json_text(json_get(v, "alg")))};
    if (head.alg == JOSE_ALGS || !(r->algorithms & 1u << head.alg))
        return refuse(why, "the token is signed with an algorithm that is not taken here");
    if (json_get(v, "crit"))
        return refuse(why, "the token asks for extensions (crit) that are not known here");
    if (kid && (!json_text(kid) || strlen(json_text(kid)) >= sizeof head.kid))
        return refuse(why, "the token's kid is no short text");
    if (kid)
        memcpy(head.kid, json_text(kid), strlen(json_text(kid)) + 1);
    *out = head;
    return 0;
}

int token_head(const struct token_rules *r, const char *token, struct token_head *out,
               const char **why)
{
    struct part parts[PARTS];
    if (!shape(token, parts, why))
        return ERR_SIGNED_OUT;
    struct json *v = object(&parts[0]);
    if (!v)
        return refuse(why, "the token's header is no JSON object");
    int err = read_head(r, v, out, why);
    json_free(v);
    return err;
}

int token_issuer(const char *token, char out[TOKEN_ISSUER], const char **why)
{
    struct part parts[PARTS];
    if (!shape(token, parts, why))
        return ERR_SIGNED_OUT;
    struct json *v = object(&parts[1]);
    const char *iss = json_text(json_get(v, "iss"));
    bool fits = v && strlen(iss ? iss : "") < TOKEN_ISSUER;
    if (fits)
        memcpy(out, iss ? iss : "", strlen(iss ? iss : "") + 1);
    json_free(v);
    return fits ? 0 : refuse(why, "the token's claims are no JSON object, or its iss is too long");
}

/* ---- the claims */

static bool set(const char *text)
{
    return text && text[0];
}

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == 0x7f)
            return false;
    return true;
}

static bool holds(const struct json *texts, const char *wanted)
{
    if (json_text(texts))
        return strcmp(json_text(texts), wanted) == 0;
    if (!json_is(texts, JSON_ARRAY))
        return false;
    for (const struct json *t = json_first(texts); t; t = json_next(t))
        if (json_text(t) && strcmp(json_text(t), wanted) == 0)
            return true;
    return false;
}

static bool is_time(const struct json *v)
{
    return json_is(v, JSON_NUMBER) && fabs(json_number(v)) <= SECONDS_MAX;
}

static int check_times(const struct json *v, int64_t now_us, const char **why)
{
    const struct json *exp = json_get(v, "exp"), *nbf = json_get(v, "nbf");
    double now = (double)now_us / 1e6;
    if (!exp)
        return refuse(why, "the token has no exp, so it would never end");
    if (!is_time(exp))
        return refuse(why, "the token's exp is no time");
    if (now >= json_number(exp) + TOKEN_LEEWAY_S)
        return refuse(why, "the token has expired");
    if (nbf && !is_time(nbf))
        return refuse(why, "the token's nbf is no time");
    if (nbf && now < json_number(nbf) - TOKEN_LEEWAY_S) {
        *why = "the token is not valid yet";
        return ERR_NOT_YET;
    }
    return 0;
}

static void add_scope(char *out, const char *name)
{
    size_t at = strlen(out), n = strlen(name);
    if (at + n + 2 > TOKEN_SCOPE) /* what does not fit is not granted */
        return;
    if (at)
        out[at++] = ' ';
    memcpy(out + at, name, n + 1);
}

/* `scope` of RFC 8693, or `scp` as some issuers write it: text, or a list of texts. */
static void read_scope(const struct json *v, char out[TOKEN_SCOPE])
{
    static const char *const claims[] = {"scope", "scp"};
    for (int i = 0; i < 2; i++) {
        const struct json *c = json_get(v, claims[i]);
        if (json_text(c))
            add_scope(out, json_text(c));
        if (!json_is(c, JSON_ARRAY))
            continue;
        for (const struct json *t = json_first(c); t; t = json_next(t))
            if (json_text(t) && !strchr(json_text(t), ' '))
                add_scope(out, json_text(t));
    }
}

static int read_user(const struct json *v, struct token_user *out, const char **why)
{
    const struct json *iss = json_get(v, "iss");
    const char *sub = json_text(json_get(v, "sub"));
    struct token_user user = {0};
    if (!set(sub) || strlen(sub) >= sizeof user.sub || !is_plain(sub))
        return refuse(why, "the token's sub is no name of 1 to 255 bytes");
    if (iss && !json_text(iss))
        return refuse(why, "the token's iss is no text");
    memcpy(user.sub, sub, strlen(sub) + 1);
    user.owner = owner_of(iss ? json_text(iss) : "", sub);
    read_scope(v, user.scope);
    user.expires_s = (int64_t)json_number(json_get(v, "exp"));
    *out = user;
    return 0;
}

static int check_claims(const struct token_rules *r, const struct json *v, int64_t now_us,
                        const char **why)
{
    const char *iss = json_text(json_get(v, "iss"));
    if (set(r->issuer) && (!iss || strcmp(iss, r->issuer) != 0))
        return refuse(why, "the token is of another issuer");
    if (set(r->audience) && !holds(json_get(v, "aud"), r->audience))
        return refuse(why, "the token is for another audience");
    return check_times(v, now_us, why);
}

/* Bytes as its algorithm makes them: libcjose before 0.6.2.2 compares an HMAC of any length. */
static bool signature_fits(enum jose_alg alg, const struct part *signature)
{
    size_t bytes = signature->len * 3 / 4;
    switch (alg) {
    case JOSE_HS256:
        return bytes == 32;
    case JOSE_ES256:
        return bytes == 64;
    default:
        return bytes >= 256;
    }
}

int token_check(const struct token_rules *r, const struct jose_key *key, const char *token,
                int64_t now_us, struct token_user *out, const char **why)
{
    struct token_head head;
    struct part parts[PARTS];
    int err = token_head(r, token, &head, why);
    if (err || !shape(token, parts, why))
        return ERR_SIGNED_OUT;
    if (head.alg != jose_key_alg(key) || !signature_fits(head.alg, &parts[2]) ||
        jose_verify(key, token, strlen(token)) != 0)
        return refuse(why, "the token's signature is not good");
    struct json *claims = object(&parts[1]);
    if (!claims)
        return refuse(why, "the token's claims are no JSON object");
    err = check_claims(r, claims, now_us, why);
    if (!err)
        err = read_user(claims, out, why);
    json_free(claims);
    return err;
}

bool token_has_scope(const struct token_user *u, const char *scope)
{
    size_t len = strlen(scope);
    for (const char *p = u->scope; *p;) {
        size_t n = strcspn(p, " ");
        if (n == len && memcmp(p, scope, n) == 0)
            return n > 0;
        p += n + (p[n] == ' ');
    }
    return false;
}

/* ---- making one */

static int add_text(struct json *v, const char *claim, const char *text)
{
    return set(text) ? json_put(v, claim, json_new_text(text)) : 0;
}

int token_make(const struct token_wish *w, const struct jose_key *key, int64_t now_us,
               struct buf *out)
{
    struct buf payload = {0};
    int64_t now_s = now_us / 1000000;
    if (!set(w->sub) || strlen(w->sub) >= EVENT_SUB || !is_plain(w->sub))
        return ERR_INVALID;
    struct json *v = json_new_object();
    int err = v ? 0 : ERR_NOMEM;
    if (!err)
        err = add_text(v, "iss", w->issuer);
    if (!err)
        err = add_text(v, "sub", w->sub);
    if (!err)
        err = add_text(v, "aud", w->audience);
    if (!err)
        err = add_text(v, "scope", w->scope);
    if (!err)
        err = json_put(v, "iat", json_new_number((double)now_s));
    if (!err)
        err = json_put(v, "exp", json_new_number((double)(now_s + w->ttl_s)));
    if (!err) {
        json_print(v, &payload);
        err = buf_ok(&payload);
    }
    if (!err)
        err = jose_sign(key, payload.data, payload.len, out);
    buf_fini(&payload);
    json_free(v);
    return err;
}
