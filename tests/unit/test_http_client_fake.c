#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/http_client_fake.h"
#include "common/loop_fake.h"

struct seen {
    struct loop *loop;
    enum call_code code;
    int status;
    char *body, parts[64];
    char retry_after[16];
    bool sent;
    int64_t at_ms, ms;
    unsigned calls;
};

struct world {
    struct loop *loop;
    struct http_client *client;
};

static int setup(void **state)
{
    static struct world w;
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    assert_int_equal(http_client_fake_open(w.loop, &w.client), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    http_client_close(w->client);
    loop_close(w->loop);
    return 0;
}

static void on_done(void *arg, struct http_response *r)
{
    struct seen *s = arg;
    const char *retry_after = http_response_header(r, "retry-after");
    s->calls++;
    s->code = r->code;
    s->status = r->status;
    s->sent = r->sent;
    s->at_ms = loop_now_ms(s->loop);
    s->ms = r->ms;
    assert_int_equal(strlen(r->body), r->body_len);
    strncpy(s->retry_after, retry_after ? retry_after : "", sizeof s->retry_after - 1);
    free(s->body);
    s->body = http_response_take_body(r);
}

static struct http_exchange *start(struct world *w, const char *method, const char *url,
                                   struct seen *s)
{
    struct http_exchange *x = NULL;
    struct http_request r = {.method = method, .url = url, .timeout_ms = 1000, .response_max = 100};
    s->loop = w->loop;
    assert_int_equal(http_start(w->client, &r, on_done, s, &x), 0);
    return x;
}

static void get(struct world *w, const char *url, struct seen *s)
{
    unsigned before = s->calls;
    start(w, "GET", url, s);
    assert_int_equal(s->calls, before);
    loop_run(w->loop);
    assert_int_equal(s->calls, before + 1);
}

static void replies_come_in_order_and_the_last_stays(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    http_client_fake_script(w->client, "GET", "http://a/x",
                            &(struct http_fake_reply){
                                .status = 503, .header = {(char[]){"retry-after"}, (char[]){"7"}}});
    http_client_fake_script(w->client, "GET", "http://a/x",
                            &(struct http_fake_reply){.body = "{}", .delay_ms = 250});
    get(w, "http://a/x", &s);
    assert_int_equal(s.status, 503);
    assert_string_equal(s.retry_after, "7");
    assert_int_equal(s.at_ms, 0);
    for (int i = 1; i <= 2; i++) {
        get(w, "http://a/x", &s);
        assert_int_equal(s.status, 200);
        assert_string_equal(s.body, "{}");
        assert_true(s.sent);
        assert_int_equal(s.ms, 250);
        assert_int_equal(s.at_ms, 250 * i);
    }
    free(s.body);
}

static void decide(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    (void)arg;
    reply->body = r->url + strlen("http://");
}

static void scripts_fit_by_method_and_url(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    http_client_fake_script(w->client, "POST", "http://a/*",
                            &(struct http_fake_reply){.body = "p"});
    http_client_fake_script(w->client, NULL, "http://a/b*", &(struct http_fake_reply){.body = "b"});
    get(w, "http://a/c", &s);
    assert_int_equal(s.status, 404);
    get(w, "http://a/bcd?e", &s);
    assert_string_equal(s.body, "b");
    start(w, "POST", "http://a/bcd", &s);
    loop_run(w->loop);
    assert_string_equal(s.body, "p");
    http_client_fake_decide(w->client, decide, NULL);
    get(w, "http://c/d", &s);
    assert_int_equal(s.status, 200);
    assert_string_equal(s.body, "c/d");
    free(s.body);
}

static void failures_are_played(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    static const struct http_fake_reply replies[] = {{.code = CALL_CONNECT},
                                                     {.code = CALL_RESET, .delay_ms = 5},
                                                     {.code = CALL_BAD_BODY, .status = 200},
                                                     {.code = CALL_RESET, .unsent = true}};
    static const bool sent[] = {false, true, true, false};
    for (size_t i = 0; i < 4; i++)
        http_client_fake_script(w->client, "GET", "http://a", &replies[i]);
    for (size_t i = 0; i < 4; i++) {
        get(w, "http://a", &s);
        assert_int_equal(s.code, replies[i].code);
        assert_int_equal(s.status, replies[i].status);
        assert_int_equal(s.sent, sent[i]);
        assert_string_equal(s.body, "");
    }
    free(s.body);
}

static void timeout_and_size_cut_a_reply(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    char big[102];
    memset(big, 'x', sizeof big);
    big[101] = 0;
    http_client_fake_script(w->client, "GET", "http://a/hang",
                            &(struct http_fake_reply){.hang = true});
    http_client_fake_script(w->client, "GET", "http://a/late",
                            &(struct http_fake_reply){.delay_ms = 5000});
    http_client_fake_script(w->client, "GET", "http://a/big",
                            &(struct http_fake_reply){.body = big});
    get(w, "http://a/hang", &s);
    assert_int_equal(s.code, CALL_TIMEOUT);
    assert_int_equal(s.ms, 1000);
    get(w, "http://a/late", &s);
    assert_int_equal(s.code, CALL_TIMEOUT);
    assert_int_equal(s.status, 0);
    assert_true(s.sent);
    assert_int_equal(s.ms, 1000);
    get(w, "http://a/big", &s);
    assert_int_equal(s.code, CALL_TOO_BIG);
    free(s.body);
}

static void on_part(void *arg, const char *bytes, size_t len)
{
    struct seen *s = arg;
    size_t had = strlen(s->parts);
    assert_true(had + len + 2 < sizeof s->parts);
    memcpy(s->parts + had, bytes, len);
    snprintf(s->parts + had + len, sizeof s->parts - had - len, "@%d ", (int)loop_now_ms(s->loop));
}

static void get_parts(struct world *w, const char *url, struct seen *s)
{
    struct http_exchange *x = NULL;
    struct http_request r = {.method = "GET", .url = url, .timeout_ms = 1000, .response_max = 3};
    *s = (struct seen){.loop = w->loop};
    r.part = on_part;
    assert_int_equal(http_start(w->client, &r, on_done, s, &x), 0);
    loop_run(w->loop);
    assert_int_equal(s->calls, 1);
    assert_string_equal(s->body, s->status == 200 ? "" : "no");
    free(s->body);
}

static void parts_are_handed_on_as_they_come(void **state)
{
    struct world *w = *state;
    struct seen s;
    http_client_fake_script(
        w->client, NULL, "http://a/parts",
        &(struct http_fake_reply){.body = "abcde", .part_len = 2, .part_ms = 10, .delay_ms = 5});
    get_parts(w, "http://a/parts", &s);
    assert_string_equal(s.parts, "ab@5 cd@15 e@25 ");
    assert_int_equal(s.code, CALL_OK);
    assert_int_equal(s.at_ms, 25);
    http_client_fake_script(w->client, NULL, "http://a/refused",
                            &(struct http_fake_reply){.body = "no", .status = 503});
    get_parts(w, "http://a/refused", &s);
    assert_string_equal(s.parts, "");
    assert_int_equal(s.status, 503);
}

static void parts_came_before_a_timeout(void **state)
{
    struct world *w = *state;
    struct seen s = {.loop = w->loop};
    struct http_exchange *x = NULL;
    struct http_request r = {
        .method = "GET", .url = "http://a/x", .timeout_ms = 1000, .part = on_part};
    http_client_fake_script(w->client, NULL, "http://a/x",
                            &(struct http_fake_reply){.body = "abc", .hang = true});
    assert_int_equal(http_start(w->client, &r, on_done, &s, &x), 0);
    loop_run(w->loop);
    assert_string_equal(s.parts, "abc@0 ");
    assert_int_equal(s.code, CALL_TIMEOUT);
    assert_int_equal(s.at_ms, 1000);
    free(s.body);
}

static void what_was_asked_is_kept(void **state)
{
    struct world *w = *state;
    struct header headers[] = {{(char[]){"X-Key"}, (char[]){"k"}}};
    struct http_request r = {.method = "PUT",
                             .url = "http://a/b",
                             .headers = headers,
                             .headers_n = 1,
                             .body = "{\"a\":1}rest",
                             .body_len = 7,
                             .timeout_ms = 77,
                             .allow_private = true};
    struct http_exchange *x;
    struct seen s = {.loop = w->loop};
    loop_fake_run_for(w->loop, 40);
    assert_int_equal(http_start(w->client, &r, on_done, &s, &x), 0);
    assert_int_equal(http_client_fake_running(w->client), 1);
    assert_int_equal(http_client_fake_calls(w->client), 1);
    const struct http_fake_call *call = http_client_fake_call(w->client, 0);
    assert_string_equal(call->method, "PUT");
    assert_string_equal(call->url, "http://a/b");
    assert_string_equal(call->body, "{\"a\":1}");
    assert_string_equal(http_fake_call_header(call, "x-key"), "k");
    assert_null(http_fake_call_header(call, "x-other"));
    assert_int_equal(call->at_ms, 40);
    assert_int_equal(call->timeout_ms, 77);
    assert_true(call->allow_private && !call->done);
    assert_null(http_client_fake_call(w->client, 1));
    loop_run(w->loop);
    assert_true(call->done && !call->cancelled);
    assert_int_equal(http_client_fake_running(w->client), 0);
    free(s.body);
}

static void a_cancelled_exchange_is_silent(void **state)
{
    struct world *w = *state;
    struct seen s = {0};
    struct http_exchange *x = start(w, "GET", "http://a", &s);
    start(w, "GET", "http://a", &s);
    http_cancel(w->client, x);
    loop_run(w->loop);
    assert_int_equal(s.calls, 1);
    assert_true(http_client_fake_call(w->client, 0)->cancelled);
    assert_int_equal(http_client_fake_peak(w->client), 2);
    start(w, "GET", "http://a", &s); /* closed by teardown */
    free(s.body);
}

static void bad_requests_and_failures_are_refused(void **state)
{
    struct world *w = *state;
    struct http_request r = {.method = "GET", .url = "a"};
    struct http_exchange *x;
    assert_int_equal(http_start(w->client, &r, on_done, NULL, &x), ERR_INVALID);
    r.url = "http://a";
    http_client_fake_fail(w->client, 1);
    assert_int_equal(http_start(w->client, &r, on_done, NULL, &x), ERR_NOMEM);
    assert_int_equal(http_client_fake_calls(w->client), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(replies_come_in_order_and_the_last_stays),
        TEST(scripts_fit_by_method_and_url),
        TEST(failures_are_played),
        TEST(timeout_and_size_cut_a_reply),
        TEST(parts_are_handed_on_as_they_come),
        TEST(parts_came_before_a_timeout),
        TEST(what_was_asked_is_kept),
        TEST(a_cancelled_exchange_is_silent),
        TEST(bad_requests_and_failures_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
