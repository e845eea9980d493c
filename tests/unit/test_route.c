/* route.h, request_id.h: addresses are exact, ids are harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/request_id.h"
#include "gateway/route.h"

static void finds_each_address(void **state)
{
    static const struct {
        const char *method, *path, *arg;
        enum route route;
        bool head;
    } rows[] = {
        {"POST", "/v1/flows/price-compare/jobs", "price-compare", ROUTE_ACCEPT, false},
        {"GET", "/v1/jobs/0199-a", "0199-a", ROUTE_JOB, false},
        {"HEAD", "/v1/jobs/0199-a", "0199-a", ROUTE_JOB, true},
        {"DELETE", "/v1/jobs/0199-a", "0199-a", ROUTE_CANCEL, false},
        {"GET", "/v1/jobs", "", ROUTE_MY_JOBS, false},
        {"HEAD", "/v1/flows", "", ROUTE_FLOWS, true},
        {"GET", "/openapi.json", "", ROUTE_OPENAPI, false},
        {"GET", "/v1/jobs/0199-a/events", "0199-a", ROUTE_EVENTS, false},
        {"GET", "/errors/not-json", "not-json", ROUTE_ERROR_PAGE, false},
        {"GET", "/", "", ROUTE_PAGE, false},
        {"HEAD", "/me", "", ROUTE_PAGE, true},
        {"GET", "/f/price-compare", "price-compare", ROUTE_PAGE, false},
        {"GET", "/j/0199-a", "0199-a", ROUTE_PAGE, false},
        {"GET", "/console/main.js", "main.js", ROUTE_ASSET, false},
        {"POST", "/v1/login", "", ROUTE_LOGIN, false},
        {"POST", "/v1/logout", "", ROUTE_LOGOUT, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct route_match m;
        assert_int_equal(route_find(rows[i].method, rows[i].path, &m), 0);
        assert_int_equal(m.route, rows[i].route);
        assert_string_equal(m.arg, rows[i].arg);
        assert_int_equal(m.head, rows[i].head);
    }
}

static void guesses_nothing(void **state)
{
    static const char *const paths[] = {"//",
                                        "/me/",
                                        "/j/",
                                        "/j/a.b",
                                        "/console/",
                                        "/console/a/b.js",
                                        "/console/%2e%2e",
                                        "/v1/flows//jobs",
                                        "/v1/flows/x/jobs/",
                                        "/V1/flows/x/jobs",
                                        "/v1/flows/x/job",
                                        "//v1/jobs/x",
                                        "/v1/jobs/",
                                        "/v1/jobs/a/b",
                                        "/v1/jobs/%41",
                                        "/v1/jobs/a.b",
                                        "/v1/jobs/../jobs/x",
                                        "/v1/jobs/x/events/"};
    (void)state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct route_match m;
        assert_int_equal(route_find("GET", paths[i], &m), ERR_NO_ROUTE);
        assert_int_equal(m.route, ROUTE_NONE);
    }
}

static void bounds_the_argument(void **state)
{
    struct route_match m;
    char path[128] = "/v1/jobs/";
    (void)state;
    memset(path + 9, 'a', ROUTE_ARG - 1);
    assert_int_equal(route_find("GET", path, &m), 0);
    memset(path + 9, 'a', ROUTE_ARG);
    assert_int_equal(route_find("GET", path, &m), ERR_NO_ROUTE);
}

static void names_the_methods_an_address_knows(void **state)
{
    struct route_match m;
    (void)state;
    assert_int_equal(route_find("GET", "/v1/flows/x/jobs", &m), ERR_METHOD);
    assert_string_equal(m.allow, "POST");
    assert_int_equal(route_find("HEAD", "/v1/flows/x/jobs", &m), ERR_METHOD);
    assert_int_equal(route_find("PUT", "/v1/jobs/x", &m), ERR_METHOD);
    assert_int_equal(m.route, ROUTE_JOB);
    assert_string_equal(m.allow, "GET, HEAD, DELETE");
    assert_int_equal(route_find("DELETE", "/v1/jobs", &m), ERR_METHOD);
    assert_string_equal(m.allow, "GET, HEAD");
    assert_int_equal(route_find("get", "/v1/jobs/x", &m), ERR_METHOD);
}

static void keeps_a_harmless_request_id(void **state)
{
    struct rng_seeded rng;
    char id[HTTP_REQUEST_ID], longest[HTTP_REQUEST_ID + 1];
    (void)state;
    rng_seeded_init(&rng, 1);
    request_id_set("Ab-9_.z", &rng.rng, id);
    assert_string_equal(id, "Ab-9_.z");
    memset(longest, 'x', sizeof longest);
    longest[64] = 0;
    request_id_set(longest, &rng.rng, id);
    assert_string_equal(id, longest);
}

static void makes_one_otherwise(void **state)
{
    static const char *const bad[] = {NULL, "", "a b", "a\n", "a\"b", "\xc3\xa9"};
    struct rng_seeded rng;
    char id[HTTP_REQUEST_ID], before[HTTP_REQUEST_ID] = "", big[80];
    (void)state;
    rng_seeded_init(&rng, 1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        request_id_set(bad[i], &rng.rng, id);
        assert_int_equal(strlen(id), 16);
        assert_int_equal(strspn(id, "0123456789abcdef"), 16);
        assert_string_not_equal(id, before);
        memcpy(before, id, sizeof before);
    }
    memset(big, 'x', sizeof big);
    big[65] = 0;
    request_id_set(big, &rng.rng, id);
    assert_int_equal(strlen(id), 16);
}

static void knows_a_traceparent(void **state)
{
    (void)state;
    assert_true(request_id_is_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_false(request_id_is_trace("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    assert_false(request_id_is_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01"));
    assert_false(request_id_is_trace("01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
    assert_false(request_id_is_trace("00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01"));
    assert_false(request_id_is_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g"));
    assert_false(request_id_is_trace(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_each_address),
        cmocka_unit_test(guesses_nothing),
        cmocka_unit_test(bounds_the_argument),
        cmocka_unit_test(names_the_methods_an_address_knows),
        cmocka_unit_test(keeps_a_harmless_request_id),
        cmocka_unit_test(makes_one_otherwise),
        cmocka_unit_test(knows_a_traceparent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
