/* job_view.h: the shapes of http-api.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "gateway/job_view.h"

#define ID "01990c5e-0000-7000-8000-00003f9a2c41"

static struct flow_call declared[] = {{.name = "a-mart"}, {.name = "b-shop"}};
static struct flow flow = {.name = "price-compare", .calls = declared, .calls_n = 2};

static struct record_job job_in(enum job_state state)
{
    struct record_job j = {.state = state, .created_us = 1000000, .part = -1};
    assert_int_equal(id_parse(ID, &j.id), 0);
    snprintf(j.flow, sizeof j.flow, "price-compare");
    return j;
}

static struct record_call call_of(const char *name, int item, enum call_outcome outcome,
                                  const char *reason)
{
    struct record_call c = {.item = item, .outcome = outcome, .attempts = 2, .ms = 30, .seq = 1};
    snprintf(c.name, sizeof c.name, "%s", name);
    snprintf(c.reason, sizeof c.reason, "%s", reason);
    return c;
}

static void with_result(struct record_call *c, char *json)
{
    c->result = json;
    c->result_len = strlen(json);
}

/* Print and parse back: it must be JSON. */
static struct json *view(const struct job_view *v)
{
    struct buf b = {0};
    struct json *out = NULL;
    assert_int_equal(job_view_print(v, &b), 0);
    assert_int_equal(json_parse(buf_str(&b), b.len, NULL, &out, NULL), 0);
    buf_fini(&b);
    return out;
}

static void member_is(const struct json *v, const char *key, const char *want)
{
    struct buf b = {0};
    assert_non_null(json_get(v, key));
    json_print(json_get(v, key), &b);
    assert_string_equal(buf_str(&b), want);
    buf_fini(&b);
}

static void shows_a_queued_job(void **state)
{
    struct record_job j = job_in(JOB_QUEUED);
    (void)state;
    j.has_rev = true;
    memcpy(j.rev, "\x01\x02\x03\x04\x05\x06\x07\xff", 8);
    struct json *v = view(&(struct job_view){.job = &j, .flow = &flow, .public_url = "https://o"});
    member_is(v, "id", "\"" ID "\"");
    member_is(v, "flow", "\"price-compare\"");
    member_is(v, "flow_version", "\"01020304050607ff\"");
    member_is(v, "state", "\"queued\"");
    member_is(v, "reason", "null");
    member_is(v, "message", "null");
    member_is(v, "created", "\"1970-01-01T00:00:01.000000Z\"");
    member_is(v, "deadline", "null");
    member_is(v, "result", "null");
    member_is(v, "calls",
              "[{\"name\":\"a-mart\",\"item\":null,\"state\":\"waiting\",\"result\":null,"
              "\"error\":null,\"attempts\":0,\"ms\":0},"
              "{\"name\":\"b-shop\",\"item\":null,\"state\":\"waiting\",\"result\":null,"
              "\"error\":null,\"attempts\":0,\"ms\":0}]");
    member_is(v, "links",
              "{\"self\":\"https://o/v1/jobs/" ID "\",\"events\":\"https://o/v1/jobs/" ID
              "/events\",\"cancel\":\"https://o/v1/jobs/" ID "\",\"page\":\"https://o/j/" ID "\"}");
    assert_null(json_get(v, "retry_at"));
    json_free(v);
}

static void shows_finished_calls_of_a_running_job(void **state)
{
    struct record_job j = job_in(JOB_RUNNING);
    struct record_call calls[] = {call_of("b-shop", -1, OUTCOME_RETRYABLE, "http-5xx"),
                                  call_of("$save", -1, OUTCOME_OK, "")};
    (void)state;
    struct json *v = view(&(struct job_view){
        .job = &j, .calls = calls, .calls_n = 2, .flow = &flow, .public_url = ""});
    member_is(v, "calls",
              "[{\"name\":\"a-mart\",\"item\":null,\"state\":\"running\",\"result\":null,"
              "\"error\":null,\"attempts\":0,\"ms\":0},"
              "{\"name\":\"b-shop\",\"item\":null,\"state\":\"failed\",\"result\":null,"
              "\"error\":{\"code\":\"http-5xx\",\"message\":\"The service failed.\"},"
              "\"attempts\":2,\"ms\":30}]");
    json_free(v);
}

static void tells_how_many_attempts_a_call_may_take(void **state)
{
    struct flow_call calls[] = {{.name = "a-mart", .retry.attempts = 1},
                                {.name = "b-shop", .retry.attempts = 3}};
    struct flow retrying = {.name = "price-compare", .calls = calls, .calls_n = 2};
    struct record_call row = call_of("b-shop", -1, OUTCOME_FAILED, "http-5xx");
    char stored[] = "[{\"name\":\"b-shop\",\"state\":\"failed\",\"attempts\":2,\"ms\":30},"
                    "{\"name\":\"gone\",\"state\":\"failed\",\"attempts\":2,\"ms\":30}]";
    struct record_job j = job_in(JOB_RUNNING);
    struct job_view view_of = {
        .job = &j, .calls = &row, .calls_n = 1, .flow = &retrying, .public_url = ""};
    (void)state;
    struct json *v = view(&view_of);
    const struct json *first = json_first(json_get(v, "calls"));
    member_is(first, "max_attempts", "1");
    member_is(json_next(first), "max_attempts", "3");
    member_is(json_next(first), "attempts", "2");
    json_free(v);

    j = job_in(JOB_FAILED);
    j.calls = stored;
    j.calls_len = strlen(stored);
    v = view(&view_of);
    first = json_first(json_get(v, "calls"));
    member_is(first, "max_attempts", "3");
    assert_null(json_get(json_next(first), "max_attempts")); /* this flow makes no such call now */
    json_free(v);

    view_of.flow = NULL;
    v = view(&view_of);
    assert_null(json_get(json_first(json_get(v, "calls")), "max_attempts"));
    json_free(v);
}

static void lists_items_in_their_order(void **state)
{
    struct record_job j = job_in(JOB_RUNNING);
    struct record_call calls[] = {call_of("a-mart", 7, OUTCOME_FAILED, "skipped"),
                                  call_of("a-mart", 0, OUTCOME_OK, ""),
                                  call_of("a-mart", 2, OUTCOME_UNKNOWN, "cancelled"),
                                  call_of("a-mart", 1, OUTCOME_STARTED, "")};
    (void)state;
    with_result(&calls[1], "{\"price\":1}");
    struct json *v = view(&(struct job_view){
        .job = &j, .calls = calls, .calls_n = 4, .flow = &flow, .public_url = ""});
    const struct json *list = json_get(v, "calls");
    assert_int_equal(json_size(list), 4); /* 0, 2, 7, and b-shop */
    member_is(json_at(list, 0), "item", "0");
    member_is(json_at(list, 0), "result", "{\"price\":1}");
    member_is(json_at(list, 0), "state", "\"succeeded\"");
    member_is(json_at(list, 1), "item", "2");
    member_is(json_at(list, 1), "state", "\"cancelled\"");
    member_is(json_at(list, 2), "item", "7");
    member_is(json_at(list, 2), "state", "\"skipped\"");
    member_is(json_at(list, 3), "name", "\"b-shop\"");
    json_free(v);
}

static void a_call_waits_for_those_before_it(void **state)
{
    static uint8_t first[] = {0, 1};
    static struct flow_call chain[] = {
        {.name = "a"}, {.name = "b"}, {.name = "c", .after = first, .after_n = 2}};
    static struct flow waits = {.name = "waits", .calls = chain, .calls_n = 3};
    struct record_job j = job_in(JOB_RUNNING);
    struct record_call calls[] = {call_of("a", 3, OUTCOME_FAILED, "timeout"),
                                  call_of("b", -1, OUTCOME_STARTED, "")};
    (void)state;
    const struct job_view view_of = {
        .job = &j, .calls = calls, .calls_n = 2, .flow = &waits, .public_url = ""};
    struct json *v = view(&view_of);
    const struct json *list = json_get(v, "calls");
    assert_int_equal(json_size(list), 3);
    member_is(json_at(list, 0), "item", "3");
    member_is(json_at(list, 1), "state", "\"running\"");
    member_is(json_at(list, 2), "state", "\"waiting\"");
    json_free(v);
    calls[1].outcome = OUTCOME_UNKNOWN;
    v = view(&view_of);
    member_is(json_at(json_get(v, "calls"), 1), "state", "\"failed\"");
    member_is(json_at(json_get(v, "calls"), 2), "state", "\"running\"");
    json_free(v);
    j.state = JOB_QUEUED;
    v = view(&view_of);
    member_is(json_at(json_get(v, "calls"), 2), "state", "\"waiting\"");
    json_free(v);
}

/* Items of a finished job: each with its own row. */
static void a_final_job_joins_items_with_their_rows(void **state)
{
    struct record_job j = job_in(JOB_PARTIAL);
    struct record_call rows[] = {call_of("x", 2, OUTCOME_OK, ""), call_of("x", 0, OUTCOME_OK, "")};
    (void)state;
    j.calls = "[{\"name\":\"x\",\"item\":0,\"state\":\"succeeded\",\"error\":null,"
              "\"attempts\":1,\"ms\":5},"
              "{\"name\":\"x\",\"item\":1,\"state\":\"failed\",\"result\":null,"
              "\"error\":{\"code\":\"skipped\"},\"attempts\":0,\"ms\":0},"
              "{\"name\":\"x\",\"item\":2,\"state\":\"succeeded\",\"error\":null,"
              "\"attempts\":1,\"ms\":5}]";
    j.calls_len = strlen(j.calls);
    with_result(&rows[0], "\"two\"");
    with_result(&rows[1], "\"zero\"");
    struct json *v = view(&(struct job_view){
        .job = &j, .calls = rows, .calls_n = 2, .flow = &flow, .public_url = ""});
    const struct json *list = json_get(v, "calls");
    member_is(json_at(list, 0), "result", "\"zero\"");
    member_is(json_at(list, 1), "result", "null");
    member_is(json_at(list, 1), "state", "\"failed\"");
    member_is(json_at(list, 2), "result", "\"two\"");
    json_free(v);
}

static void shows_a_job_that_runs_again_as_running(void **state)
{
    struct record_job j = job_in(JOB_QUEUED);
    struct record_call old = call_of("a-mart", -1, OUTCOME_RETRYABLE, "timeout");
    (void)state;
    j.round = 1; /* and the call of round 0 will be made again */
    j.retry_at_us = 2000000;
    struct json *v = view(&(struct job_view){
        .job = &j, .calls = &old, .calls_n = 1, .flow = &flow, .public_url = ""});
    member_is(v, "state", "\"running\"");
    member_is(v, "retry_at", "\"1970-01-01T00:00:02.000000Z\"");
    member_is(json_at(json_get(v, "calls"), 0), "state", "\"waiting\"");
    json_free(v);
}

static void joins_the_stored_list_with_the_ledger(void **state)
{
    struct record_job j = job_in(JOB_PARTIAL);
    struct record_call row = call_of("a-mart", -1, OUTCOME_OK, "");
    (void)state;
    j.finished_us = 3000000;
    j.calls = "[{\"name\":\"a-mart\",\"item\":null,\"state\":\"succeeded\",\"error\":null,"
              "\"attempts\":1,\"ms\":5},"
              "{\"name\":\"b-shop\",\"item\":3,\"state\":\"failed\","
              "\"error\":{\"code\":\"timeout\"},\"attempts\":3,\"ms\":9},"
              "{\"name\":\"free\",\"item\":null,\"state\":\"succeeded\",\"result\":[1],"
              "\"error\":null,\"attempts\":1,\"ms\":2}]";
    j.calls_len = strlen(j.calls);
    j.result = "{\"n\":1}";
    j.result_len = 7;
    with_result(&row, "{\"price\":9}");
    row.tries = "[{\"ms\":5}]";
    row.tries_len = strlen(row.tries);
    struct json *v = view(&(struct job_view){
        .job = &j, .calls = &row, .calls_n = 1, .flow = &flow, .public_url = "", .tries = true});
    const struct json *list = json_get(v, "calls");
    member_is(v, "result", "{\"n\":1}");
    member_is(v, "finished", "\"1970-01-01T00:00:03.000000Z\"");
    member_is(json_at(list, 0), "result", "{\"price\":9}");
    member_is(json_at(list, 0), "tries", "[{\"ms\":5}]");
    member_is(json_at(list, 1), "error",
              "{\"code\":\"timeout\",\"message\":\"The service took too long.\"}");
    member_is(json_at(list, 1), "item", "3");
    member_is(json_at(list, 1), "tries", "[]");
    member_is(json_at(list, 2), "result", "[1]");
    json_free(v);
}

static void explains_an_end_in_words(void **state)
{
    struct record_job j = job_in(JOB_FAILED);
    (void)state;
    snprintf(j.reason, sizeof j.reason, "need-not-met");
    struct json *v = view(&(struct job_view){.job = &j, .flow = &flow, .public_url = ""});
    member_is(v, "reason", "\"need-not-met\"");
    member_is(v, "message", "\"Too few of its calls succeeded.\"");
    member_is(v, "calls", "[]");
    json_free(v);
    j.detail = "Only adults may.";
    v = view(&(struct job_view){.job = &j, .flow = &flow, .public_url = ""});
    member_is(v, "message", "\"Only adults may.\"");
    json_free(v);
}

static void goes_by_the_ledger_when_the_flow_is_gone(void **state)
{
    struct record_job j = job_in(JOB_RUNNING);
    struct record_call calls[] = {call_of("old", -1, OUTCOME_OK, ""),
                                  call_of("begun", -1, OUTCOME_STARTED, "")};
    (void)state;
    struct json *v =
        view(&(struct job_view){.job = &j, .calls = calls, .calls_n = 2, .public_url = ""});
    assert_int_equal(json_size(json_get(v, "calls")), 1);
    json_free(v);
}

static void refuses_a_stored_list_that_is_no_json(void **state)
{
    struct record_job j = job_in(JOB_SUCCEEDED);
    struct buf b = {0};
    (void)state;
    j.calls = "[{";
    j.calls_len = 2;
    assert_int_equal(job_view_print(&(struct job_view){.job = &j, .public_url = ""}, &b), ERR_BUG);
    buf_fini(&b);
}

static void shows_what_has_no_row_yet(void **state)
{
    struct job_id id;
    struct buf b = {0};
    struct json *v;
    (void)state;
    assert_int_equal(id_parse(ID, &id), 0);
    job_view_unregistered(&id, "", &b);
    assert_int_equal(json_parse(buf_str(&b), b.len, NULL, &v, NULL), 0);
    member_is(v, "state", "\"queued\"");
    member_is(v, "flow", "null");
    assert_true(json_is(json_get(v, "created"), JSON_STRING)); /* a v7 id tells */
    member_is(v, "calls", "[]");
    json_free(v);
    buf_fini(&b);
}

static void accepts_in_one_short_body(void **state)
{
    struct job_id id;
    struct buf b = {0};
    (void)state;
    assert_int_equal(id_parse(ID, &id), 0);
    job_view_accepted(&id, "price-compare", JOB_QUEUED, "", &b);
    assert_string_equal(buf_str(&b),
                        "{\"id\":\"" ID "\",\"flow\":\"price-compare\",\"state\":\"queued\","
                        "\"links\":{\"self\":\"/v1/jobs/" ID "\",\"events\":\"/v1/jobs/" ID
                        "/events\",\"cancel\":\"/v1/jobs/" ID "\",\"page\":\"/j/" ID "\"}}");
    buf_fini(&b);
}

static void tags_equal_bodies_equally(void **state)
{
    char a[JOB_VIEW_ETAG], b[JOB_VIEW_ETAG];
    (void)state;
    job_view_etag("one", 3, a);
    job_view_etag("one", 3, b);
    assert_string_equal(a, b);
    assert_int_equal(strlen(a), JOB_VIEW_ETAG - 1);
    assert_true(a[0] == '"' && a[JOB_VIEW_ETAG - 2] == '"');
    job_view_etag("two", 3, b);
    assert_string_not_equal(a, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_a_queued_job),
        cmocka_unit_test(shows_finished_calls_of_a_running_job),
        cmocka_unit_test(tells_how_many_attempts_a_call_may_take),
        cmocka_unit_test(lists_items_in_their_order),
        cmocka_unit_test(a_call_waits_for_those_before_it),
        cmocka_unit_test(a_final_job_joins_items_with_their_rows),
        cmocka_unit_test(shows_a_job_that_runs_again_as_running),
        cmocka_unit_test(joins_the_stored_list_with_the_ledger),
        cmocka_unit_test(explains_an_end_in_words),
        cmocka_unit_test(goes_by_the_ledger_when_the_flow_is_gone),
        cmocka_unit_test(refuses_a_stored_list_that_is_no_json),
        cmocka_unit_test(shows_what_has_no_row_yet),
        cmocka_unit_test(accepts_in_one_short_body),
        cmocka_unit_test(tags_equal_bodies_equally),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
