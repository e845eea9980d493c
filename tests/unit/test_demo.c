/* demo.h: users of a demonstration, and that nobody else's gateway has them. */
#include "gateway_stage.h"

#include "gateway/demo.h"

#define OURS "Content-Length: 0\nHost: 127.0.0.1:8480\nSec-Fetch-Site: same-origin"

static int as(struct stage *s, const char *name, const char *headers)
{
    char path[100];
    snprintf(path, sizeof path, "/v1/login?demo=%s", name);
    return stage_ask(s, "POST", path, headers);
}

static void signs_in_whom_it_names(void **state)
{
    struct stage *s = *state;
    char cookie[1500];
    s->serve.demo_users = "alice,bob";
    assert_int_equal(as(s, "bob", OURS), 200);
    assert_string_equal(stage_member(s, "user"), "bob");
    const char *token = strstr(buf_str(&s->reply.headers), "offpath=ey");
    assert_non_null(token);
    snprintf(cookie, sizeof cookie, "Cookie: %.*s", (int)strcspn(token, ";"), token);
    snprintf(cookie + strlen(cookie), sizeof cookie - strlen(cookie), "\nOrigin: http://h");
    assert_int_equal(stage_post(s, "mine", "{\"n\":1}", cookie), 202); /* a token like any other */
    assert_string_equal(s->got[0].key, "bob");
    stage_flush(s);
    s->serve.demo_users = "alice=7,bob=8";
    assert_int_equal(as(s, "alice&x=1", OURS), 200);
    assert_string_equal(stage_member(s, "user"), "7");
    assert_int_equal(as(s, "bob", OURS), 200);
    assert_string_equal(stage_member(s, "user"), "8");
    assert_int_equal(as(s, "7", OURS), 404);
}

static void signs_in_nobody_else(void **state)
{
    struct stage *s = *state;
    static const char *const names[] = {"", "alic", "alicex", "alice,bob", "carol", "%61lice", ","};
    s->serve.demo_users = "alice,bob";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(as(s, names[i], OURS), 404);
        assert_null(strstr(buf_str(&s->reply.headers), "Set-Cookie"));
    }
    assert_int_equal(stage_ask(s, "POST", "/v1/login", OURS), 401); /* which asks for a token */
}

static void signs_in_no_page_of_others(void **state)
{
    struct stage *s = *state;
    static const char *const headers[] = {
        "Content-Length: 0\nHost: 127.0.0.1:8480",
        "Content-Length: 0\nHost: 127.0.0.1:8480\nSec-Fetch-Site: cross-site",
        "Content-Length: 0\nHost: 127.0.0.1:8480\nOrigin: http://evil.example",
        "Content-Length: 0\nHost: evil.example\nSec-Fetch-Site: same-origin",
        "Content-Length: 0\nHost: 127.0.0.1.evil.example\nSec-Fetch-Site: same-origin",
        OURS "\nX-Forwarded-For: 203.0.113.7",
        OURS "\nForwarded: for=203.0.113.7"};
    s->serve.demo_users = "alice,bob";
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        assert_int_equal(as(s, "alice", headers[i]), 403);
        assert_null(strstr(buf_str(&s->reply.headers), "Set-Cookie"));
    }
}

static void names_them_in_its_pages_alone(void **state)
{
    struct stage *s = *state;
    s->serve.demo_users = "alice,bob";
    assert_int_equal(stage_ask(s, "GET", "/me", NULL), 200);
    assert_non_null(strstr(buf_str(&s->reply.body), "<html lang=\"en\" data-demo=\"alice,bob\">"));
    assert_non_null(strstr(buf_str(&s->reply.body), "</html>"));
    assert_non_null(strstr(buf_str(&s->reply.headers), "Cache-Control: no-store"));
    assert_non_null(strstr(buf_str(&s->reply.headers), "Content-Security-Policy: default-src"));
    assert_null(strstr(buf_str(&s->reply.headers), "ETag"));
}

static void is_not_there_without_the_setting(void **state)
{
    struct stage *s = *state;
    assert_int_equal(as(s, "alice", OURS), 401);
    assert_null(strstr(buf_str(&s->reply.headers), "Set-Cookie"));
    assert_int_equal(stage_ask(s, "GET", "/", NULL), 200);
    assert_null(strstr(buf_str(&s->reply.body), "data-demo"));
}

static void knows_a_list_of_names(void **state)
{
    (void)state;
    assert_true(demo_is_list("alice"));
    assert_true(demo_is_list("alice,bob-2"));
    assert_true(demo_is_list("alice=7,bob"));
    assert_true(demo_is_list("a234567890123456789012345678901"));
    assert_false(demo_is_list("a2345678901234567890123456789012"));
    static const char *const bad[] = {"",    ",",    "alice,", ",bob", "a,,b",  "Alice",
                                      "a b", "a\"b", "a=",     "=7",   "a=b=c", "a=,b"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(demo_is_list(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(signs_in_whom_it_names, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(signs_in_nobody_else, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(signs_in_no_page_of_others, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(names_them_in_its_pages_alone, stage_setup, stage_teardown),
        cmocka_unit_test_setup_teardown(is_not_there_without_the_setting, stage_setup,
                                        stage_teardown),
        cmocka_unit_test(knows_a_list_of_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
