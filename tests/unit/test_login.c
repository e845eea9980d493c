/* login.h, cookie.h, pages.h: the console's sign-in, requests of other sites, and its files. */
#include "gateway_stage.h"

#include "gateway/cookie.h"
#include "gateway/pages.h"

static const char *reply_headers(struct stage *s)
{
    return buf_str(&s->reply.headers);
}

/* "Cookie: ..." of this user with a line behind it; lent until the next call. */
static const char *cookie_of(struct stage *s, const char *user, const char *more)
{
    static char header[1500];
    const char *token = strstr(stage_token(s, user, NULL), "ey");
    snprintf(header, sizeof header, "Cookie: a=b; offpath=%s; c=d%s%s", token, more ? "\n" : "",
             more ? more : "");
    return header;
}

static int login(struct stage *s, const char *headers)
{
    char all[1500];
    snprintf(all, sizeof all, "Content-Length: 0%s%s", headers ? "\n" : "", headers ? headers : "");
    return stage_ask(s, "POST", "/v1/login", all);
}

static void gives_a_cookie_for_a_token(void **state)
{
    struct stage *s = *state;
    assert_int_equal(login(s, stage_token(s, "alice", NULL)), 200);
    assert_string_equal(stage_member(s, "user"), "alice");
    assert_string_equal(stage_member(s, "expires"), "2026-11-24T23:10:00.000000Z");
    const char *set = strstr(reply_headers(s), "Set-Cookie: offpath=ey");
    assert_non_null(set);
    assert_non_null(strstr(set, "; Path=/; Max-Age=600; HttpOnly; SameSite=Strict\r\n"));
    assert_non_null(strstr(reply_headers(s), "Cache-Control: no-store"));
}

static void gives_none_without_a_good_token(void **state)
{
    struct stage *s = *state;
    char cookie[1500];
    static const char *const bad[] = {NULL, "Authorization: Bearer x.y.z", "Authorization: Basic x",
                                      "Authorization: Bearer "};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(login(s, bad[i]), 401);
        assert_null(strstr(reply_headers(s), "Set-Cookie"));
    }
    snprintf(cookie, sizeof cookie, "%s", cookie_of(s, "alice", "Sec-Fetch-Site: same-origin"));
    assert_int_equal(login(s, cookie), 401); /* it would renew itself for ever */
}

static void knows_the_user_by_the_cookie(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs", NULL), 401);
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs", cookie_of(s, "alice", NULL)), 200);
    assert_int_equal(stage_post(s, "mine", "{\"n\":1}", cookie_of(s, "alice", "Origin: http://h")),
                     202);
    assert_string_equal(s->got[0].key, "alice");
    stage_flush(s);
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs", cookie_of(s, "alice", NULL)), 200);
    assert_non_null(strstr(buf_str(&s->reply.body), s->got[0].job));
}

/* The header of a program counts; who sends a token by hand is no browser led astray. */
static void prefers_the_bearer(void **state)
{
    struct stage *s = *state;
    char both[3000];
    snprintf(both, sizeof both, "%s", cookie_of(s, "alice", NULL));
    size_t n = strlen(both);
    snprintf(both + n, sizeof both - n, "\n%s", stage_token(s, "bob", NULL));
    assert_int_equal(stage_post(s, "mine", "{\"n\":1}", both), 202);
    assert_string_equal(s->got[0].key, "bob");
}

static void makes_nobody_a_guest_by_a_bad_cookie(void **state)
{
    struct stage *s = *state;
    static const char *const bad[] = {"Cookie: offpath=", "Cookie: offpath=x.y.z",
                                      "Cookie: a=b\nCookie: offpath=eyJ"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(stage_ask(s, "GET", "/v1/flows", bad[i]), 401);
        assert_non_null(strstr(reply_headers(s), "Set-Cookie: offpath=; Path=/; Max-Age=0; "));
    }
    assert_int_equal(stage_ask(s, "GET", "/v1/flows", "Cookie: xoffpath=eyJ; offpat=1"), 200);
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
}

/* A program's token that is refused says nothing of the cookie beside it, nor does another site's
 * request. */
static void takes_only_a_refused_cookie_away(void **state)
{
    struct stage *s = *state;
    assert_int_equal(
        stage_ask(s, "GET", "/v1/flows", cookie_of(s, "alice", "Authorization: Bearer x")), 401);
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
    assert_int_equal(stage_post(s, "mine", "{\"n\":1}", cookie_of(s, "alice", NULL)), 403);
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
}

/* A key that is too new to have been read, a clock that is behind: the same cookie is good soon. */
static void leaves_a_cookie_that_may_be_good_later(void **state)
{
    struct stage *s = *state;
    static const char later[] = "{\"iss\":\"" STAGE_ISSUER "\",\"sub\":\"alice\","
                                "\"nbf\":4102444800,\"exp\":4102444900}";
    const struct jose_key *key = jwks_find(s->keys, JOSE_HS256, "");
    struct buf cookie = {0};
    buf_text(&cookie, "Cookie: offpath=");
    assert_int_equal(jose_sign(key, later, strlen(later), &cookie), 0);
    assert_int_equal(stage_ask(s, "GET", "/v1/flows", buf_str(&cookie)), 401);
    assert_string_equal(stage_member(s, "detail"), "the token is not valid yet");
    assert_string_equal(stage_member(s, "code"), "signed-out");
    assert_non_null(strstr(reply_headers(s), "error=\"invalid_token\""));
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
    buf_fini(&cookie);
    s->issuer.rules.algorithms |= 1u << JOSE_ES256; /* {"alg":"ES256","kid":"new"} */
    assert_int_equal(stage_ask(s, "GET", "/v1/flows",
                               "Cookie: offpath=eyJhbGciOiJFUzI1NiIsImtpZCI6Im5ldyJ9.e30.AAAA"),
                     401);
    assert_non_null(strstr(stage_member(s, "detail"), "a key that is not known here"));
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
}

static void refuses_what_other_sites_send(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *headers;
        int status;
    } rows[] = {{NULL, 403},
                {"Sec-Fetch-Site: cross-site", 403},
                {"Sec-Fetch-Site: same-site", 403},
                {"Sec-Fetch-Site: none", 403},
                {"Sec-Fetch-Site: cross-site\nOrigin: http://h", 403},
                {"Origin: null", 403},
                {"Origin: http://evil.example", 403},
                {"Origin: http://h.evil.example", 403},
                {"Origin: http://h:81", 403},
                {"Origin: http://h/", 403},
                {"Origin: h", 403},
                {"Sec-Fetch-Site: same-origin", 202},
                {"Origin: https://h", 202}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(stage_post(s, "mine", "{\"n\":1}", cookie_of(s, "alice", rows[i].headers)),
                         rows[i].status);
        if (rows[i].status == 403)
            assert_string_equal(stage_member(s, "code"), "not-allowed");
    }
    assert_int_equal(s->got_n, 2);
    assert_int_equal(
        stage_ask(s, "DELETE", "/v1/jobs/x", cookie_of(s, "alice", "Sec-Fetch-Site: cross-site")),
        403);
    assert_int_equal(
        stage_ask(s, "GET", "/v1/jobs", cookie_of(s, "alice", "Sec-Fetch-Site: cross-site")), 200);
}

/* Behind --public-url its whole origin counts, the scheme too. */
static void compares_with_the_public_url(void **state)
{
    static const struct {
        const char *origin;
        int err;
    } rows[] = {{"https://jobs.example", 0},
                {"HTTPS://jobs.example", 0},
                {"http://jobs.example", ERR_NOT_ALLOWED},
                {"https://jobs.example:8443", ERR_NOT_ALLOWED},
                {"https://jobs.exampl", ERR_NOT_ALLOWED},
                {"https://jobs", ERR_NOT_ALLOWED},
                {"https://h", ERR_NOT_ALLOWED}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct http_header list[] = {{"Host", "h"}, {"Origin", rows[i].origin}};
        struct http_request q = {.method = "POST",
                                 .headers = list,
                                 .headers_n = 2,
                                 .public_url = "https://jobs.example/base"};
        const char *why = NULL;
        assert_int_equal(cookie_guard(&q, &why), rows[i].err);
    }
}

static void takes_the_cookie_away(void **state)
{
    struct stage *s = *state;
    static const char *const good = "Cookie: offpath=old\nContent-Length: 0\nOrigin: http://h";
    static const char *const bad = "Cookie: offpath=old\nContent-Length: 0\nOrigin: http://evil";
    assert_int_equal(stage_ask(s, "POST", "/v1/logout", good), 204);
    assert_non_null(strstr(reply_headers(s), "Set-Cookie: offpath=; Path=/; Max-Age=0;"));
    assert_int_equal(stage_ask(s, "POST", "/v1/logout", bad), 403);
    assert_null(strstr(reply_headers(s), "Set-Cookie"));
}

static void says_secure_behind_tls(void **state)
{
    struct http_request q = {.public_url = "https://jobs.example"};
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    cookie_set(&q, &r, "x", 5);
    assert_non_null(strstr(buf_str(&r.headers), "SameSite=Strict; Secure\r\n"));
    http_reply_fini(&r);
}

static void leaves_out_what_is_too_long_for_a_cookie(void **state)
{
    static char value[COOKIE_TOKEN + 20] = "offpath=";
    char token[COOKIE_TOKEN];
    (void)state;
    memset(value + 8, 'x', COOKIE_TOKEN - 1);
    struct http_header h = {"Cookie", value};
    struct http_request q = {.headers = &h, .headers_n = 1};
    assert_true(cookie_read(&q, token));
    assert_int_equal(strlen(token), COOKIE_TOKEN - 1);
    value[8 + COOKIE_TOKEN - 1] = 'x';
    assert_true(cookie_read(&q, token));
    assert_string_equal(token, "");
}

/* ---- the files */

static void serves_the_console_to_everybody(void **state)
{
    struct stage *s = *state;
    static const char *const paths[] = {"/", "/me", "/f/plain", "/j/0199-a"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(stage_ask(s, "GET", paths[i], "Cookie: offpath=bad"), 200);
        assert_string_equal(s->reply.type, "text/html; charset=utf-8");
        assert_non_null(strstr(reply_headers(s), "frame-ancestors 'none'"));
        assert_non_null(strstr(reply_headers(s), "require-trusted-types-for 'script'"));
        assert_null(strstr(reply_headers(s), "unsafe-inline"));
        assert_non_null(strstr(reply_headers(s), "Referrer-Policy: no-referrer"));
    }
    assert_int_equal(stage_ask(s, "GET", "/console/nope.js", NULL), 404);
    assert_int_equal(stage_ask(s, "GET", "/console/..", NULL), 404);
}

static void leads_a_lost_browser_home(void **state)
{
    static const char browser[] = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
    static const char *const paths[] = {"/nope", "/me/", "/j/", "/errors/nope", "/console/nope.js"};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        assert_int_equal(stage_ask(s, "GET", paths[i], browser), 404);
        assert_string_equal(s->reply.type, "text/html; charset=utf-8");
        assert_non_null(strstr(buf_str(&s->reply.body), "href=\"/\""));
        assert_non_null(strstr(buf_str(&s->reply.body), "no such address"));
        assert_non_null(strstr(reply_headers(s), "frame-ancestors 'none'"));
        assert_non_null(strstr(reply_headers(s), "Vary: Accept\r\n"));
        assert_int_equal(stage_ask(s, "GET", paths[i], "Accept: */*"), 404);
        assert_string_equal(stage_member(s, "code"), "no-route");
        assert_non_null(strstr(reply_headers(s), "Vary: Accept\r\n"));
        assert_int_equal(stage_ask(s, "HEAD", paths[i], browser), 404);
        assert_string_equal(s->reply.type, "text/html; charset=utf-8");
    }
    assert_int_equal(stage_ask(s, "GET", "/v1/nope", browser), 404);
    assert_string_equal(stage_member(s, "code"), "no-route");
    assert_int_equal(stage_ask(s, "GET", "/v1", browser), 404);
    assert_string_equal(stage_member(s, "code"), "no-route");
    assert_int_equal(stage_ask(s, "DELETE", "/nope", browser), 404);
    assert_string_equal(stage_member(s, "code"), "no-route");
    assert_int_equal(stage_ask(s, "DELETE", "/me", browser), 405);
    assert_string_equal(stage_member(s, "code"), "method");
}

static void sends_a_file_once(void **state)
{
    struct stage *s = *state;
    for (size_t i = 0; i < pages_n; i++) {
        char path[100], known[100];
        snprintf(path, sizeof path, "/console/%s", pages_table[i].name);
        assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
        assert_int_equal(s->reply.body.len, pages_table[i].len);
        assert_string_not_equal(s->reply.type, "application/octet-stream");
        snprintf(known, sizeof known, "If-None-Match: %s", pages_table[i].etag);
        assert_int_equal(stage_ask(s, "GET", path, known), 304);
        assert_int_equal(s->reply.body.len, 0);
    }
}

static void stays_small(void **state)
{
    size_t bytes = 0;
    (void)state;
    for (size_t i = 0; i < pages_n; i++)
        bytes += pages_table[i].len;
    assert_in_range(pages_n, 1, 14);
    assert_in_range(bytes, 1, 90 * 1024);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(gives_a_cookie_for_a_token, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(gives_none_without_a_good_token, stage_setup,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(knows_the_user_by_the_cookie, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(prefers_the_bearer, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(takes_only_a_refused_cookie_away, stage_setup,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(leaves_a_cookie_that_may_be_good_later, stage_setup,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(makes_nobody_a_guest_by_a_bad_cookie, stage_setup,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(refuses_what_other_sites_send, stage_setup, stage_teardown),
        cmocka_unit_test(compares_with_the_public_url),
        cmocka_unit_test_setup_teardown(takes_the_cookie_away, stage_setup, stage_teardown),
        cmocka_unit_test(says_secure_behind_tls),
        cmocka_unit_test(leaves_out_what_is_too_long_for_a_cookie),
        cmocka_unit_test_setup_teardown(serves_the_console_to_everybody, stage_setup,
                                        stage_teardown),
        cmocka_unit_test_setup_teardown(leads_a_lost_browser_home, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(sends_a_file_once, stage_setup, stage_teardown),
        cmocka_unit_test(stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
