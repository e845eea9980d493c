/* cors.h: whose pages may read answers, and that nothing is said to all the others. */
#include "gateway_stage.h"

#include "gateway/cors.h"

#define APP    "https://app.example"
#define LISTED APP ", http://localhost:5173 http://[::1]:8080"

static struct cors cors;

static int setup(void **state)
{
    char why[CORS_WHY];
    int err = stage_setup(state);
    if (err || cors_read(LISTED, &cors, why) != 0)
        return -1;
    ((struct stage *)*state)->serve.cors = &cors;
    return 0;
}

/* ---- the list */

static void reads_origins_as_browsers_send_them(void **state)
{
    static const char *const none[] = {NULL, "", " , "};
    struct cors c;
    char why[CORS_WHY];
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(cors_read(none[i], &c, why), 0);
        assert_int_equal(c.n, 0);
    }
    assert_int_equal(cors_read(LISTED, &c, why), 0);
    assert_int_equal(c.n, 3);
    assert_int_equal(c.origin[0].len, strlen(APP));
}

static void names_the_entry_that_is_none(void **state)
{
    static const struct {
        const char *entry, *what;
    } rows[] = {
        {"*", "name the origins"},
        {"null", "is no origin"},
        {"app.example", "is no origin"},
        {"ftp://app.example", "is no origin"},
        {"https://", "is no origin"},
        {"https://app.example:", "is no origin"},
        {"https://app.example:0", "is no origin"},
        {"https://app.example:65536", "is no origin"},
        {"https://app.example:080", "is no origin"},
        {"https://*.app.example", "is no origin"},
        {"https://me@app.example", "is no origin"},
        {"https://[::1", "is no origin"},
        {"https://[app.example]", "is no origin"},
        {"https://App.example", "small letters"},
        {"HTTPS://app.example", "small letters"},
        {"https://app.example/", "without a path"},
        {"https://app.example?x", "without a path"},
        {"https://app.example/app", "without a path"},
        {"https://app.example:443", "leave out :443"},
        {"http://app.example:80", "leave out :80"},
    };
    struct cors c = {.n = 7};
    char why[CORS_WHY], text[200], named[100];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(text, sizeof text, "%s,%s", APP, rows[i].entry);
        snprintf(named, sizeof named, "\"%s\"", rows[i].entry);
        if (cors_read(text, &c, why) != ERR_INVALID)
            fail_msg("taken: %s", rows[i].entry);
        if (!strstr(why, named) || !strstr(why, rows[i].what))
            fail_msg("%s: %s", rows[i].entry, why);
    }
    assert_int_equal(c.n, 7);
}

static void takes_no_more_than_it_holds(void **state)
{
    char text[(CORS_MAX + 1) * 20] = "", why[CORS_WHY];
    struct cors c;
    size_t n = 0;
    (void)state;
    for (int i = 0; i < CORS_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "http://h%d ", i);
    assert_int_equal(cors_read(text, &c, why), 0);
    snprintf(text + n, sizeof text - n, "http://more");
    assert_int_equal(cors_read(text, &c, why), ERR_INVALID);
    assert_non_null(strstr(why, "\"http://more\""));
}

/* ---- answers */

static const char *headers(struct stage *s)
{
    return buf_str(&s->reply.headers);
}

static bool is_allowed(struct stage *s, const char *origin)
{
    char line[200];
    snprintf(line, sizeof line, "Access-Control-Allow-Origin: %s\r\n", origin);
    assert_null(strstr(headers(s), "Allow-Credentials"));
    return strstr(headers(s), line) && strstr(headers(s), "Vary: Origin\r\n") &&
           strstr(headers(s), "Access-Control-Expose-Headers: ETag, ");
}

static bool is_silent(struct stage *s)
{
    return !strstr(headers(s), "Access-Control");
}

static void lets_listed_origins_read_answers_and_errors(void **state)
{
    static const struct {
        const char *method, *path;
        int status;
    } rows[] = {{"GET", "/v1/flows", 200},   {"GET", "/v1/jobs", 401},
                {"GET", "/v1/nothing", 404}, {"DELETE", "/v1/flows", 405},
                {"GET", "/v1/events", 401},  {"GET", "/v1/jobs/x/events", 404}};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(stage_ask(s, rows[i].method, rows[i].path, "Origin: " APP),
                         rows[i].status);
        if (!is_allowed(s, APP))
            fail_msg("%s %s: %s", rows[i].method, rows[i].path, headers(s));
    }
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Origin: http://localhost:5173"), 202);
    assert_true(is_allowed(s, "http://localhost:5173"));
    assert_int_equal(stage_post(s, "plain", "{", "Origin: http://[::1]:8080"), 400);
    assert_string_equal(stage_member(s, "code"), "not-json");
    assert_true(is_allowed(s, "http://[::1]:8080"));
    assert_int_equal(stage_ask(s, "GET", "/v1/flows", "Origin: " APP "\nTransfer-Encoding: x"),
                     400);
    assert_true(is_allowed(s, APP));
    assert_int_equal(
        stage_ask(s, "GET", "/v1/events?x", "Origin: " APP "\nAuthorization: Bearer nonsense"),
        401);
    assert_true(is_allowed(s, APP));
}

static void says_it_of_an_answer_that_another_thread_makes(void **state)
{
    struct stage *s = *state;
    s->late = true;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Origin: " APP), 202);
    assert_int_equal(s->left, 1);
    stage_flush(s);
    assert_true(is_allowed(s, APP));
    assert_non_null(strstr(headers(s), "Location: "));
}

static void says_nothing_to_other_origins(void **state)
{
    static const char *const others[] = {"Origin: https://app.example.evil",
                                         "Origin: https://app.exampl",
                                         "Origin: http://app.example",
                                         "Origin: https://APP.example",
                                         "Origin: https://app.example:8443",
                                         "Origin: null",
                                         "Origin: *",
                                         "Origin:  ",
                                         "Referer: " APP "/x"};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(stage_ask(s, "GET", "/v1/flows", others[i]), 200);
        if (!is_silent(s))
            fail_msg("%s: %s", others[i], headers(s));
        assert_non_null(strstr(headers(s), "Vary: Origin\r\n")); /* else a cache mixes them up */
    }
}

/* The cookie is for pages of our own: what gives and takes it is no matter of other origins. */
static void leaves_pages_and_the_cookie_alone(void **state)
{
    static const char *const paths[] = {
        "/",         "/me", "/errors/schema", "/console/app.js", "/v1/logout",
        "/v1/login", "/v1", "/openapi.jso"};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        (void)stage_ask(s, strstr(paths[i], "log") ? "POST" : "GET", paths[i], "Origin: " APP);
        if (!is_silent(s) || strstr(headers(s), "Vary: Origin"))
            fail_msg("%s: %s", paths[i], headers(s));
    }
    assert_int_equal(stage_ask(s, "GET", "/openapi.json", "Origin: " APP), 200);
    assert_true(is_allowed(s, APP));
}

static void is_off_without_a_list(void **state)
{
    struct stage *s = *state;
    s->serve.cors = NULL;
    assert_int_equal(stage_ask(s, "GET", "/v1/flows", "Origin: " APP), 200);
    assert_true(is_silent(s) && !strstr(headers(s), "Vary"));
    assert_int_equal(
        stage_ask(s, "OPTIONS", "/v1/flows", "Origin: " APP "\nAccess-Control-Request-Method: GET"),
        405);
    assert_true(is_silent(s));
}

/* ---- preflights */

static int preflight(struct stage *s, const char *path, const char *origin)
{
    char text[200];
    snprintf(text, sizeof text, "Origin: %s\nAccess-Control-Request-Method: POST", origin);
    return stage_ask(s, "OPTIONS", path, text);
}

static void answers_a_preflight_without_a_token(void **state)
{
    static const struct {
        const char *path, *methods;
    } rows[] = {{"/v1/flows/mine/jobs", "POST"},
                {"/v1/flows/nope/jobs", "POST"},
                {"/v1/jobs/01990c5e-0000-7000-8000-00003f9a2c41", "GET, HEAD, DELETE"},
                {"/v1/jobs", "GET, HEAD"},
                {"/openapi.json", "GET, HEAD"}};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char line[100];
        snprintf(line, sizeof line, "Access-Control-Allow-Methods: %s\r\n", rows[i].methods);
        assert_int_equal(preflight(s, rows[i].path, APP), 204);
        assert_int_equal(s->reply.body.len, 0);
        assert_true(is_allowed(s, APP));
        if (!strstr(headers(s), line))
            fail_msg("%s: %s", rows[i].path, headers(s));
        assert_non_null(
            strstr(headers(s), "Access-Control-Allow-Headers: Authorization, Content-"));
        assert_non_null(strstr(headers(s), "Idempotency-Key"));
        assert_non_null(strstr(headers(s), "Access-Control-Max-Age: 600\r\n"));
    }
}

static void refuses_what_is_no_preflight_of_theirs(void **state)
{
    struct stage *s = *state;
    assert_int_equal(preflight(s, "/v1/flows", "https://evil.example"), 405);
    assert_true(is_silent(s));
    assert_non_null(strstr(headers(s), "Allow: GET, HEAD\r\n"));
    assert_int_equal(preflight(s, "/v1/login", APP), 405);
    assert_true(is_silent(s));
    assert_int_equal(preflight(s, "/me", APP), 405);
    assert_true(is_silent(s));
    assert_int_equal(preflight(s, "/v1/nothing", APP), 404);
    assert_null(strstr(headers(s), "Allow-Methods"));
    assert_int_equal(stage_ask(s, "OPTIONS", "/v1/flows", "Origin: " APP), 405);
    assert_null(strstr(headers(s), "Allow-Methods"));
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_origins_as_browsers_send_them),
        cmocka_unit_test(names_the_entry_that_is_none),
        cmocka_unit_test(takes_no_more_than_it_holds),
#define T(f) cmocka_unit_test_setup_teardown(f, setup, stage_teardown)
        T(lets_listed_origins_read_answers_and_errors),
        T(says_it_of_an_answer_that_another_thread_makes),
        T(says_nothing_to_other_origins),
        T(leaves_pages_and_the_cookie_alone),
        T(is_off_without_a_list),
        T(answers_a_preflight_without_a_token),
        T(refuses_what_is_no_preflight_of_theirs),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
