/* problem.h, http.h, http_write.h: what a client gets, to the byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/job.h"
#include "gateway/error_page.h"
#include "gateway/http_write.h"
#include "gateway/problem.h"

static const struct http_request request = {.id = "req-1", .public_url = "https://o.example"};

static void says_everything_the_table_knows(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    buf_text(&r.body, "half an answer");
    problem_simple(&request, &r, ERR_OVERLOADED, "so \"much\"");
    assert_int_equal(r.status, 503);
    assert_string_equal(r.type, "application/problem+json");
    assert_string_equal(buf_str(&r.headers), "Retry-After: 5\r\n");
    assert_string_equal(buf_str(&r.body),
                        "{\"type\":\"https://o.example/errors/overloaded\","
                        "\"title\":\"too much to do, nothing was started\",\"status\":503,"
                        "\"detail\":\"so \\\"much\\\"\",\"code\":\"overloaded\","
                        "\"request_id\":\"req-1\",\"retry_after\":5}");
    http_reply_fini(&r);
}

static void leaves_out_what_it_does_not_know(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    problem_simple(&request, &r, ERR_NO_JOB, NULL);
    assert_null(strstr(buf_str(&r.body), "detail"));
    assert_null(strstr(buf_str(&r.body), "retry_after"));
    assert_null(strstr(buf_str(&r.body), "errors\":"));
    assert_int_equal(r.headers.len, 0);
    http_reply_fini(&r);
}

static void points_at_each_place(void **state)
{
    struct schema_report report = {
        .n = 2,
        .problems = {{"/a", "type", "must be a string"}, {"/b/0", "required", "c is missing"}}};
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    problem_reply(&request, &r, &(struct problem){.err = ERR_SCHEMA, .schema = &report});
    assert_int_equal(r.status, 422);
    assert_non_null(
        strstr(buf_str(&r.body),
               "\"errors\":[{\"pointer\":\"/a\",\"code\":\"type\",\"detail\":\"must be a string\"},"
               "{\"pointer\":\"/b/0\",\"code\":\"required\",\"detail\":\"c is missing\"}]"));
    struct json_error where = {.pointer = "/n", .what = "number too big"};
    problem_reply(&request, &r, &(struct problem){.err = ERR_BIG_NUMBER, .json = &where});
    assert_non_null(strstr(buf_str(&r.body), "\"errors\":[{\"pointer\":\"/n\","
                                             "\"code\":\"big-number\","
                                             "\"detail\":\"number too big\"}]"));
    http_reply_fini(&r);
}

static void names_the_job_it_is_about(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    problem_reply(&request, &r, &(struct problem){.err = ERR_OUTCOME_UNKNOWN, .job = "0199"});
    assert_non_null(strstr(buf_str(&r.body), "\"id\":\"0199\"}"));
    http_reply_fini(&r);
}

/* "Report it with the request_id": then the log must know it. */
static void what_is_a_bug_is_in_the_log(void **state)
{
    char line[1000];
    struct http_reply r;
    struct http_request q = request;
    (void)state;
    q.method = "GET";
    q.path = "/v1/jobs/0199";
    http_reply_init(&r);
    fflush(stderr);
    int old = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    problem_simple(&q, &r, ERR_BUG, NULL);
    problem_simple(&q, &r, ERR_NO_JOB, NULL);
    dup2(old, STDERR_FILENO);
    ssize_t n = pread(file, line, sizeof line - 1, 0);
    line[n > 0 ? n : 0] = 0;
    close(file);
    close(old);
    http_reply_fini(&r);
    assert_non_null(strstr(line, "internal"));
    assert_non_null(strstr(line, " request=req-1 "));
    assert_non_null(strstr(line, " path=/v1/jobs/0199 "));
    assert_ptr_equal(strchr(line, '\n'), strrchr(line, '\n'));
}

/* The page holds the texts of all tables as they are. */
static void expect_page(struct http_reply *r, const char *code, const char *text)
{
    http_reply_clear(r);
    assert_int_equal(error_page(r, code), 0);
    assert_int_equal(r->status, 200);
    assert_non_null(strstr(buf_str(&r->body), code));
    assert_non_null(strstr(buf_str(&r->body), text));
    assert_int_equal(strcspn(text, "<>&"), strlen(text));
    assert_null(strstr(buf_str(&r->body), "<script"));
}

static void explains_each_code(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    for (unsigned i = 0; err_at(i); i++) {
        expect_page(&r, err_at(i)->code, "Asking again ");
        expect_page(&r, err_at(i)->code, err_help(err_at(i)->code));
    }
    for (enum job_reason i = REASON_NONE + 1; i < REASON_COUNT; i++) {
        expect_page(&r, reason_code(i), reason_for_user(i));
        expect_page(&r, reason_code(i), reason_for_operator(i));
    }
    for (enum call_code i = CALL_OK + 1; i < CALL_CODE_COUNT; i++) {
        expect_page(&r, call_code(i), call_code_for_user(i));
        expect_page(&r, call_code(i), call_code_for_operator(i));
    }
    http_reply_clear(&r);
    assert_int_equal(error_page(&r, "no-such-code"), ERR_NO_ROUTE);
    http_reply_fini(&r);
}

static void writes_head_and_body_at_once(void **state)
{
    struct http_reply r;
    struct buf out = {0};
    (void)state;
    http_reply_init(&r);
    r.status = 202;
    r.type = "application/json";
    http_reply_header(&r, "Location", "/v1/jobs/1");
    http_reply_header(&r, "Evil", "a\r\nSet-Cookie: b");
    buf_text(&r.body, "{}");
    http_write_reply(&r, &(struct http_write){"D", "q", false}, &out);
    assert_string_equal(buf_str(&out), "HTTP/1.1 202 Accepted\r\nDate: D\r\nRequest-Id: q\r\n"
                                       "X-Content-Type-Options: nosniff\r\n"
                                       "Content-Type: application/json\r\n"
                                       "Location: /v1/jobs/1\r\nContent-Length: 2\r\n\r\n{}");
    buf_fini(&out);
    http_reply_fini(&r);
}

static void leaves_the_body_out_where_it_must(void **state)
{
    struct http_reply r;
    struct buf out = {0};
    (void)state;
    http_reply_init(&r);
    r.status = 200;
    r.type = "text/plain";
    r.close = true;
    buf_text(&r.body, "four");
    http_write_reply(&r, &(struct http_write){"D", "", true}, &out);
    assert_string_equal(buf_str(&out), "HTTP/1.1 200 OK\r\nDate: D\r\n"
                                       "X-Content-Type-Options: nosniff\r\n"
                                       "Content-Type: text/plain\r\nConnection: close\r\n"
                                       "Content-Length: 4\r\n\r\n");
    buf_clear(&out);
    r.status = 304;
    http_write_reply(&r, &(struct http_write){"D", "", false}, &out);
    assert_null(strstr(buf_str(&out), "Content-Length"));
    assert_null(strstr(buf_str(&out), "four"));
    buf_fini(&out);
    http_reply_fini(&r);
}

static void makes_a_date_once_a_second(void **state)
{
    struct http_date d = {0};
    (void)state;
    assert_string_equal(http_date_at(&d, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_string_equal(http_date_at(&d, 1795561200), "Tue, 24 Nov 2026 23:00:00 GMT");
    d.text[0] = 'X';
    assert_string_equal(http_date_at(&d, 1795561200), "Xue, 24 Nov 2026 23:00:00 GMT");
}

static void gives_large_memory_back(void **state)
{
    struct http_reply r;
    (void)state;
    http_reply_init(&r);
    for (int i = 0; i < 100000; i++)
        buf_text(&r.body, "0123456789");
    http_reply_clear(&r);
    assert_true(r.body.cap < 100000);
    http_reply_fini(&r);
}

static void knows_json_and_tags(void **state)
{
    (void)state;
    assert_true(http_is_json("application/json"));
    assert_true(http_is_json("Application/JSON; charset=utf-8"));
    assert_true(http_is_json("application/cloudevents+json"));
    assert_false(http_is_json("application/jsonp"));
    assert_false(http_is_json("text/plain"));
    assert_false(http_is_json(""));
    assert_true(http_etag_matches("\"a\"", "\"a\""));
    assert_true(http_etag_matches("\"b\", W/\"a\"", "\"a\""));
    assert_true(http_etag_matches("*", "\"a\""));
    assert_false(http_etag_matches("\"aa\"", "\"a\""));
    assert_false(http_etag_matches("", "\"a\""));
    assert_string_equal(http_status_text(422), "Unprocessable Content");
    assert_string_equal(http_status_text(299), "Unknown");
}

static void has_a_text_for_every_status_of_the_table(void **state)
{
    (void)state;
    for (unsigned i = 0; err_at(i); i++)
        assert_string_not_equal(http_status_text(err_at(i)->http), "Unknown");
}

static void finds_a_parameter_of_a_query(void **state)
{
    (void)state;
    assert_string_equal(http_query("a=1&b=2", "b"), "2");
    assert_string_equal(http_query("a=1&b=2", "a"), "1&b=2");
    assert_string_equal(http_query("b", "b"), "");
    assert_string_equal(http_query("x&b=", "b"), "");
    assert_null(http_query("ab=1&c=b", "b"));
    assert_null(http_query("&&", "b"));
    assert_null(http_query(NULL, "b"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_everything_the_table_knows),
        cmocka_unit_test(leaves_out_what_it_does_not_know),
        cmocka_unit_test(points_at_each_place),
        cmocka_unit_test(names_the_job_it_is_about),
        cmocka_unit_test(what_is_a_bug_is_in_the_log),
        cmocka_unit_test(explains_each_code),
        cmocka_unit_test(writes_head_and_body_at_once),
        cmocka_unit_test(leaves_the_body_out_where_it_must),
        cmocka_unit_test(makes_a_date_once_a_second),
        cmocka_unit_test(gives_large_memory_back),
        cmocka_unit_test(knows_json_and_tags),
        cmocka_unit_test(has_a_text_for_every_status_of_the_table),
        cmocka_unit_test(finds_a_parameter_of_a_query),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
