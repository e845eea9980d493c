/* guard.h: each way two parsers could differ is refused, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/guard.h"

struct given {
    const char *method, *version, *path;
    struct http_header headers[70];
    size_t n;
};

static int check(const struct given *g)
{
    const char *detail = NULL;
    struct http_request q = {.method = g->method ? g->method : "POST",
                             .version = g->version ? g->version : "1.1",
                             .path = g->path ? g->path : "/v1/flows/x/jobs",
                             .headers = g->headers,
                             .headers_n = g->n};
    int err = guard_check(&q, &detail);
    assert_int_equal(err != 0, detail != NULL);
    return err;
}

#define GIVEN(...) (struct given) __VA_ARGS__
#define HOST        \
    {               \
        "Host", "h" \
    }

static void takes_what_is_normal(void **state)
{
    (void)state;
    assert_int_equal(check(&GIVEN({.headers = {HOST, {"Content-Length", "12"}}, .n = 2})), 0);
    assert_int_equal(check(&GIVEN({.headers = {HOST, {"transfer-encoding", "Chunked"}}, .n = 2})),
                     0);
    assert_int_equal(check(&GIVEN({.method = "GET", .path = "/", .headers = {HOST}, .n = 1})), 0);
    assert_int_equal(
        check(&GIVEN({.version = "1.0", .headers = {{"Content-Length", "0"}}, .n = 1})), 0);
    assert_int_equal(check(&GIVEN({.headers = {HOST,
                                               {"Content-Length", "1"},
                                               {"Expect", "100-Continue"},
                                               {"X-Tab", "a\tb"}},
                                   .n = 4})),
                     0);
}

static void refuses_the_64th_header(void **state)
{
    struct given g = {.headers = {HOST, {"Content-Length", "1"}}, .n = 63};
    (void)state;
    for (size_t i = 2; i < 64; i++)
        g.headers[i] = (struct http_header){"X-Filler", "x"};
    assert_int_equal(check(&g), 0);
    g.n = 64;
    assert_int_equal(check(&g), ERR_HEADERS);
}

static void refuses_doubtful_lengths(void **state)
{
    static const char *const bad[] = {
        "+5", "5abc", "", " 5", "-1", "0x10", "1,1", "5 ", "1234567890123456"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(check(&GIVEN({.headers = {HOST, {"Content-Length", bad[i]}}, .n = 2})),
                         ERR_BAD_REQUEST);
    struct given twice = {.headers = {HOST, {"Content-Length", "5"}, {"content-length", "5"}},
                          .n = 3};
    assert_int_equal(check(&twice), ERR_BAD_REQUEST);
}

static void refuses_doubtful_encodings(void **state)
{
    (void)state;
    struct given both = {
        .headers = {HOST, {"Content-Length", "5"}, {"Transfer-Encoding", "chunked"}}, .n = 3};
    assert_int_equal(check(&both), ERR_BAD_REQUEST);
    struct given twice = {
        .headers = {HOST, {"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
        .n = 3};
    assert_int_equal(check(&twice), ERR_BAD_REQUEST);
    struct given other = {.headers = {HOST, {"Transfer-Encoding", "gzip, chunked"}}, .n = 2};
    assert_int_equal(check(&other), ERR_BAD_REQUEST);
    struct given old = {.version = "1.0", .headers = {{"Transfer-Encoding", "chunked"}}, .n = 1};
    assert_int_equal(check(&old), ERR_BAD_REQUEST);
}

static void wants_a_length_where_a_body_belongs(void **state)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH"};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(check(&GIVEN({.method = methods[i], .headers = {HOST}, .n = 1})),
                         ERR_LENGTH_REQUIRED);
    assert_int_equal(check(&GIVEN({.method = "DELETE", .headers = {HOST}, .n = 1})), 0);
}

static void refuses_odd_names_values_and_hosts(void **state)
{
    static const char *const names[] = {"Content-Length ", "", "X Y", "\xc3\xa9", "a:b", "\tX"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_int_equal(
            check(&GIVEN({.method = "GET", .headers = {HOST, {names[i], "1"}}, .n = 2})),
            ERR_BAD_REQUEST);
    assert_int_equal(check(&GIVEN({.method = "GET", .headers = {HOST, {"X", "a\rb"}}, .n = 2})),
                     ERR_BAD_REQUEST);
    assert_int_equal(check(&GIVEN({.method = "GET", .headers = {{"X", "1"}}, .n = 1})),
                     ERR_BAD_REQUEST);
    assert_int_equal(check(&GIVEN({.method = "GET", .headers = {HOST, HOST}, .n = 2})),
                     ERR_BAD_REQUEST);
    assert_int_equal(check(&GIVEN({.method = "GET", .headers = {HOST, {"Expect", "pie"}}, .n = 2})),
                     ERR_BAD_REQUEST);
}

static void refuses_odd_request_lines(void **state)
{
    static const char *const paths[] = {"*", "", "http://h/", "/a%00b", "/a\tb", "/\x7f"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(
            check(&GIVEN({.method = "GET", .path = paths[i], .headers = {HOST}, .n = 1})),
            ERR_BAD_REQUEST);
    assert_int_equal(check(&GIVEN({.method = "GE T", .headers = {HOST}, .n = 1})), ERR_BAD_REQUEST);
}

/* Which of two would count? Another program may take the other. */
static void refuses_two_keys(void **state)
{
    (void)state;
    struct given g = {.headers = {HOST,
                                  {"Content-Length", "2"},
                                  {"Idempotency-Key", "a"},
                                  {"idempotency-key", "a"}},
                      .n = 3};
    assert_int_equal(check(&g), 0);
    g.n = 4;
    assert_int_equal(check(&g), ERR_BAD_REQUEST);
}

static bool announces(const char *name, const char *value)
{
    struct http_header h = {name, value};
    return guard_has_body(&(struct http_request){.headers = &h, .headers_n = 1});
}

static void sees_announced_bodies(void **state)
{
    (void)state;
    assert_true(announces("content-length", "1"));
    assert_true(announces("Content-Length", "010"));
    assert_true(announces("Transfer-Encoding", "chunked"));
    assert_false(announces("Content-Length", "0"));
    assert_false(announces("Accept", "*/*"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_is_normal),
        cmocka_unit_test(refuses_the_64th_header),
        cmocka_unit_test(refuses_doubtful_lengths),
        cmocka_unit_test(refuses_doubtful_encodings),
        cmocka_unit_test(wants_a_length_where_a_body_belongs),
        cmocka_unit_test(refuses_odd_names_values_and_hosts),
        cmocka_unit_test(refuses_odd_request_lines),
        cmocka_unit_test(refuses_two_keys),
        cmocka_unit_test(sees_announced_bodies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
