#include "gateway/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "gateway/cookie.h"
#include "gateway/http.h"
#include "gateway/problem.h"

static int refuse(const char **why, const char *text)
{
    *why = text;
    return ERR_SIGNED_OUT;
}

/* Credentials of a proxy before the gateway, which are none of a user: its scheme, a space, and no
 * JWT at the end. */
static bool is_a_proxys(const char *value)
{
    static const char *const schemes[] = {"Basic", "Digest", "Negotiate"};
    const char *last = strrchr(value, ' ');
    if (!last || strncmp(last + 1, "eyJ", 3) == 0)
        return false;
    size_t len = strcspn(value, " ");
    for (size_t i = 0; i < sizeof schemes / sizeof schemes[0]; i++)
        if (strlen(schemes[i]) == len && strncasecmp(value, schemes[i], len) == 0)
            return true;
    return false;
}

/* The one Authorization header. *token: NULL for a guest. */
static int find_token(const struct http_request *q, const char **token, const char **why)
{
    unsigned n = 0;
    *token = NULL;
    for (size_t i = 0; i < q->headers_n; i++) {
        const char *value = q->headers[i].value;
        if (!http_name_is(&q->headers[i], "authorization"))
            continue;
        if (n++ > 0)
            return refuse(why, "Authorization stands twice");
        if (is_a_proxys(value))
            continue;
        if (strncasecmp(value, "bearer", 6) != 0 || (value[6] && value[6] != ' '))
            return refuse(why, "write `Authorization: Bearer`, a space and the token");
        *token = value + 6 + strspn(value + 6, " ");
    }
    return 0;
}

/* Whose rules and keys count: with several, those of the issuer that the token names. What it says
 * is checked with them, so it gains nothing by naming another. */
static const struct auth_issuer *issuer_of(const struct auth *a, const char *token,
                                           const char **why)
{
    char iss[TOKEN_ISSUER];
    if (a->n == 1)
        return &a->issuers[0];
    if (token_issuer(token, iss, why) != 0)
        return NULL;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->issuers[i].rules.issuer, iss) == 0)
            return &a->issuers[i];
    *why = "the token is of an issuer that is not known here";
    return NULL;
}

static int check(const struct auth *a, const char *token, struct token_user *user, const char **why)
{
    const struct auth_issuer *from = issuer_of(a, token, why);
    struct token_head head;
    struct jwks *set;
    const struct jose_key *key;
    if (!from)
        return ERR_SIGNED_OUT;
    int err = token_head(&from->rules, token, &head, why);
    if (err)
        return err;
    err = keyring_find(from->keys, &head, &set, &key);
    if (err == ERR_UNAVAILABLE) {
        *why = "the keys that tokens are checked with cannot be read now";
        return err;
    }
    if (err) { /* new keys are asked for at most every 30 s */
        *why = "the token is signed with a key that is not known here";
        return ERR_NOT_YET;
    }
    err = token_check(&from->rules, key, token, clock_wall_us(a->clock), user, why);
    jwks_put(set);
    return err;
}

int auth_request(const struct auth *a, const struct http_request *q, struct token_user *user,
                 const char **why)
{
    const char *token;
    char cookie[COOKIE_TOKEN];
    *user = (struct token_user){0};
    int err = find_token(q, &token, why);
    if (!err && !token && cookie_read(q, cookie)) {
        token = cookie;
        err = cookie_guard(q, why);
    }
    if (err || !token)
        return err;
    if (a->n == 0)
        return refuse(why, "this gateway has no keys to check tokens with; send none to go on as "
                           "a guest");
    return check(a, token, user, why);
}

void auth_refuse(const struct http_request *q, struct http_reply *r, int err, const char *why)
{
    const char *bearer, *ignored;
    char cookie[COOKIE_TOKEN];
    if (err == ERR_SIGNED_OUT || err == ERR_NOT_YET)
        http_reply_header(r, "WWW-Authenticate", "Bearer error=\"invalid_token\"");
    /* No script can take the cookie away, and with it each request is refused. */
    if (err == ERR_SIGNED_OUT && find_token(q, &bearer, &ignored) == 0 && !bearer &&
        cookie_read(q, cookie))
        cookie_set(q, r, "", 0);
    problem_simple(q, r, err == ERR_NOT_YET ? ERR_SIGNED_OUT : err, why);
}

void auth_challenge(const struct http_request *q, struct http_reply *r)
{
    http_reply_header(r, "WWW-Authenticate", "Bearer");
    problem_simple(q, r, ERR_SIGNED_OUT, "send Authorization: Bearer and your token");
}

void auth_refuse_scope(const struct http_request *q, struct http_reply *r, const char *scope)
{
    char text[512];
    snprintf(text, sizeof text, "Bearer error=\"insufficient_scope\", scope=\"%s\"", scope);
    http_reply_header(r, "WWW-Authenticate", text);
    snprintf(text, sizeof text, "the token needs the scope %s", scope);
    problem_simple(q, r, ERR_NOT_ALLOWED, text);
}
