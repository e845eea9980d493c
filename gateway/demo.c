#include "gateway/demo.h"

#include <string.h>
#include <strings.h>

#include "gateway/cookie.h"
#include "gateway/login.h"
#include "gateway/pages.h"
#include "gateway/problem.h"

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

static bool is_word(const char **text)
{
    size_t n = strspn(*text, LETTERS);
    *text += n;
    return n && n < DEMO_USER;
}

bool demo_is_list(const char *users)
{
    for (;; users++) {
        if (!is_word(&users) || (*users == '=' && (users++, !is_word(&users))))
            return false;
        if (*users != ',')
            return !*users;
    }
}

/* The sub of this name: text and length; NULL: it is not listed. */
static const char *find(const char *users, const char *name, size_t len, size_t *sub_len)
{
    for (const char *p = users; len; p++) {
        size_t all = strcspn(p, ","), n = strcspn(p, "=,");
        if (n == len && memcmp(p, name, n) == 0) {
            const char *sub = p[n] == '=' ? p + n + 1 : p;
            *sub_len = (size_t)(p + all - sub);
            return sub;
        }
        p += all;
        if (!*p)
            break;
    }
    return NULL;
}

void demo_page(const char *users, struct http_reply *r)
{
    static const char before[] = "<html lang=\"en\"";
    const struct page *shell = pages_find("index.html");
    const char *text = shell ? (const char *)shell->data : NULL;
    const char *at = text ? memmem(text, shell->len, before, sizeof before - 1) : NULL;
    if (!at)
        return; /* becomes a 500 */
    at += sizeof before - 1;
    r->status = 200;
    r->type = "text/html; charset=utf-8";
    http_reply_header(r, "Cache-Control", "no-store");
    pages_policy(r);
    buf_add(&r->body, text, (size_t)(at - text));
    buf_printf(&r->body, " data-demo=\"%s\"", users);
    buf_add(&r->body, at, shell->len - (size_t)(at - text));
}

/* A name of another site may be made to lead here (DNS rebinding), and a proxy beside us would let
 * everybody in. */
static bool is_this_machine(const struct http_request *q)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost", "[::1]"};
    const char *host = http_header(q, "host");
    if (!host || http_header(q, "forwarded") || http_header(q, "x-forwarded-for"))
        return false;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        size_t n = strlen(hosts[i]);
        if (strncasecmp(host, hosts[i], n) == 0 && (!host[n] || host[n] == ':'))
            return true;
    }
    return false;
}

static int make_token(const struct auth *a, const struct token_user *user, struct buf *out)
{
    static const struct token_head head = {.alg = JOSE_HS256};
    struct jwks *set = NULL;
    const struct jose_key *key = NULL;
    int err = a->n ? keyring_find(a->issuers[0].keys, &head, &set, &key) : ERR_NOT_FOUND;
    if (err)
        return err;
    const struct token_rules *rules = &a->issuers[0].rules;
    const struct token_wish wish = {rules->issuer, rules->audience, user->sub, NULL, DEMO_TTL_S};
    err = token_make(&wish, key, clock_wall_us(a->clock), out);
    jwks_put(set);
    return err;
}

void demo_login(const char *users, const struct auth *a, const struct http_request *q,
                struct http_reply *r)
{
    const char *name = http_query(q->query, "demo"), *why = NULL;
    size_t len = name ? strcspn(name, "&") : 0, sub_len = 0;
    const char *sub = find(users, name, len, &sub_len);
    struct token_user user = {0};
    struct buf token = {0};
    int err = cookie_guard(q, &why);
    if (!err && !is_this_machine(q)) {
        err = ERR_NOT_ALLOWED;
        why = "users of a demonstration are for this machine: open the console at 127.0.0.1";
    }
    if (!err && !sub)
        err = ERR_NO_ROUTE;
    if (!err) {
        memcpy(user.sub, sub, sub_len);
        user.expires_s = clock_wall_us(a->clock) / 1000000 + DEMO_TTL_S;
        err = make_token(a, &user, &token) ? ERR_BUG : 0;
    }
    if (err)
        problem_simple(q, r, err, why);
    else
        login_give(q, r, &user, buf_str(&token), DEMO_TTL_S);
    buf_fini(&token);
}
