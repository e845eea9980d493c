/* live_events.h: who may listen, and when not. What a stream then says: test_streams.c. */
#include "gateway_stage.h"

static void events_path(char out[80], const char *id)
{
    snprintf(out, 80, "/v1/jobs/%s/events", id);
}

/* The taker is told that there is no connection: it gives the room back. */
static void give_up(struct stage *s)
{
    assert_non_null(s->reply.taker);
    s->reply.taker(s->reply.taker_arg, -1);
}

static const char *accept_one(struct stage *s, const char *flow, const char *token, char path[80])
{
    assert_int_equal(stage_post(s, flow, "{\"n\":1}", token), 202);
    stage_flush(s);
    const char *id = s->got[s->got_n - 1].job;
    events_path(path, id);
    return id;
}

static void the_reply_becomes_a_stream(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, "plain", NULL, path);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    assert_string_equal(s->reply.type, "text/event-stream");
    assert_non_null(strstr(buf_str(&s->reply.headers), "Cache-Control: no-store\r\n"));
    assert_non_null(strstr(buf_str(&s->reply.headers), "X-Accel-Buffering: no\r\n"));
    assert_true(s->reply.close);
    give_up(s);
}

static void a_head_opens_none(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, "plain", NULL, path);
    for (int i = 0; i < STAGE_STREAMS + 1; i++)
        assert_int_equal(stage_ask(s, "HEAD", path, NULL), 200);
    assert_null(s->reply.taker);
}

static void of_a_job_that_is_not_registered_yet_it_opens(void **state)
{
    struct stage *s = *state;
    char path[80];
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    events_path(path, s->got[0].job);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    give_up(s);
}

static void strangers_and_unknown_jobs_get_404(void **state)
{
    static const char *const unknown[] = {"0190a5b2-1111-7222-8333-444455556666", "x", "0199"};
    struct stage *s = *state;
    char path[80], ann[2000];
    snprintf(ann, sizeof ann, "%s", stage_token(s, "ann", NULL));
    accept_one(s, "mine", ann, path);
    assert_int_equal(stage_ask(s, "GET", path, ann), 200);
    give_up(s);
    assert_int_equal(stage_ask(s, "GET", path, stage_token(s, "bob", NULL)), 404);
    assert_string_equal(stage_member(s, "code"), "no-job");
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
    assert_int_equal(stage_ask(s, "GET", path, "Authorization: Bearer nonsense"), 401);
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        events_path(path, unknown[i]);
        assert_int_equal(stage_ask(s, "GET", path, ann), 404);
        assert_null(s->reply.taker);
    }
}

static void a_gateway_that_stops_says_so(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, "plain", NULL, path);
    streams_stop(s->serve.streams, 0);
    loop_fake_run_for(s->loop, 1); /* it stops on its loop */
    assert_int_equal(stage_ask(s, "GET", path, NULL), 503);
    assert_string_equal(stage_member(s, "code"), "shutting-down");
    assert_null(s->reply.taker);
}

static void without_mysql_it_is_unavailable(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, "plain", NULL, path);
    record_fake_down(s->mysql, true);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 503);
    assert_string_equal(stage_member(s, "code"), "unavailable");
}

static void *open_from(struct stage *s, const char *client, const char *path)
{
    s->client = client;
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    return s->reply.taker_arg;
}

static void one_too_many_is_refused_until_another_ends(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, "plain", NULL, path);
    void *first = open_from(s, "192.0.2.1", path), *second = open_from(s, "192.0.2.2", path);
    void *third = open_from(s, "192.0.2.3", path);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 503);
    assert_string_equal(stage_member(s, "code"), "overloaded");
    assert_non_null(strstr(buf_str(&s->reply.headers), "Retry-After: "));
    assert_int_equal(metrics_value(metrics_counter("offpath_streams_refused_total", "", "")), 1);
    stream_begin(first, -1);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    give_up(s);
    stream_begin(second, -1);
    stream_begin(third, -1);
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
}

/* The address is not the connection's: that was closed for the server when it was handed over. */
static void one_client_does_not_get_all_streams(void **state)
{
    struct stage *s = *state;
    char path[80], ann[2000];
    snprintf(ann, sizeof ann, "%s", stage_token(s, "ann", NULL));
    accept_one(s, "plain", NULL, path);
    void *first = open_from(s, "2001:db8::1", path), *second = open_from(s, "2001:db8::2", path);
    s->client = "2001:db8::3"; /* of the same network */
    assert_int_equal(stage_ask(s, "GET", path, NULL), 503);
    assert_string_equal(stage_member(s, "code"), "overloaded");
    assert_non_null(strstr(buf_str(&s->reply.headers), "Retry-After: "));
    assert_int_equal(metrics_value(metrics_counter("offpath_streams_refused_total", "", "")), 1);
    assert_int_equal(stage_ask(s, "GET", "/v1/events", ann), 200); /* a user is another client */
    give_up(s);
    stream_begin(open_from(s, "2001:db8:0:1::1", path), -1);
    stream_begin(first, -1);
    first = open_from(s, "2001:db8::3", path);
    stream_begin(first, -1);
    stream_begin(second, -1);
    s->client = "192.0.2.1";
    void *of_ann[2];
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stage_ask(s, "GET", "/v1/events", ann), 200);
        of_ann[i] = s->reply.taker_arg;
    }
    s->client = "192.0.2.2";
    assert_int_equal(stage_ask(s, "GET", "/v1/events", ann), 503);
    stream_begin(of_ann[0], -1);
    stream_begin(of_ann[1], -1);
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
}

static void a_user_has_a_stream_of_all_jobs_and_a_guest_has_none(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_ask(s, "GET", "/v1/events", NULL), 401);
    assert_int_equal(stage_ask(s, "GET", "/v1/events", stage_token(s, "ann", NULL)), 200);
    assert_string_equal(s->reply.type, "text/event-stream");
    give_up(s);
    assert_int_equal(stage_ask(s, "DELETE", "/v1/events", stage_token(s, "ann", NULL)), 405);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, stage_setup, stage_teardown)
    const struct CMUnitTest tests[] = {
        T(the_reply_becomes_a_stream),
        T(a_head_opens_none),
        T(of_a_job_that_is_not_registered_yet_it_opens),
        T(strangers_and_unknown_jobs_get_404),
        T(without_mysql_it_is_unavailable),
        T(a_gateway_that_stops_says_so),
        T(one_too_many_is_refused_until_another_ends),
        T(one_client_does_not_get_all_streams),
        T(a_user_has_a_stream_of_all_jobs_and_a_guest_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
