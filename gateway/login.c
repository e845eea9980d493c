#include "gateway/login.h"

#include <string.h>
#include <strings.h>

#include "gateway/cookie.h"
#include "gateway/problem.h"

/* A cookie cannot sign anybody in: it would outlive itself for ever. NULL: none was sent. */
static const char *bearer(const struct http_request *q)
{
    const char *value = http_header(q, "authorization");
    if (!value || strncasecmp(value, "bearer ", 7) != 0)
        return NULL;
    return value + 7 + strspn(value + 7, " ");
}

static void print(const struct token_user *user, struct buf *b)
{
    char at[CLOCK_TEXT];
    clock_format(user->expires_s * 1000000, at);
    buf_text(b, "{\"user\":");
    json_print_text(user->sub, strlen(user->sub), b);
    buf_printf(b, ",\"expires\":\"%s\"}", at);
}

void login_give(const struct http_request *q, struct http_reply *r, const struct token_user *user,
                const char *token, int64_t left_s)
{
    r->status = 200;
    r->type = "application/json";
    http_reply_header(r, "Cache-Control", "no-store");
    cookie_set(q, r, token, left_s > 1 ? left_s : 1);
    print(user, &r->body);
}

void login_post(const struct auth *a, const struct http_request *q, struct http_reply *r)
{
    struct token_user user;
    const char *token = bearer(q), *why = NULL;
    if (!token) {
        auth_challenge(q, r);
        return;
    }
    int err = auth_request(a, q, &user, &why);
    if (!err && strlen(token) >= COOKIE_TOKEN) {
        err = ERR_BAD_REQUEST;
        why = "the token is too long for a cookie; use one of less than 4000 bytes";
    }
    if (err) {
        auth_refuse(q, r, err, why);
        return;
    }
    login_give(q, r, &user, token, user.expires_s - clock_wall_us(a->clock) / 1000000);
}

void logout_post(const struct http_request *q, struct http_reply *r)
{
    const char *why = NULL;
    int err = cookie_guard(q, &why);
    if (err) {
        problem_simple(q, r, err, why);
        return;
    }
    r->status = 204;
    cookie_set(q, r, "", 0);
}
