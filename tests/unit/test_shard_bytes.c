/* The worker in virtual time: what its jobs hold in memory, where JSON takes many times its text.
 */
#include "shard_calls.h"

#include "common/metrics.h"
#include "worker/weight.h"

enum { ZEROS = 32000, TEXT = 2 * ZEROS, TREE = 64 * ZEROS, JOBS = 200, MB = 1 << 20 };

static char zeros[TEXT + 100]; /* {"a":[0,0,..]} */

static void make_zeros(void)
{
    size_t at = (size_t)snprintf(zeros, sizeof zeros, "{\"a\":[0");
    for (int i = 1; i < ZEROS; i++, at += 2)
        memcpy(zeros + at, ",0", 2);
    memcpy(zeros + at, "]}", 3);
}

/* /zeros/N answers with many values, whatever else after twenty seconds. */
static void answer(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    (void)arg;
    bool much = strstr(r->url, "/zeros/") != NULL;
    *reply = (struct http_fake_reply){.body = much ? zeros : "{}", .delay_ms = much ? 10 : 20000};
}

static struct world *world_that_waits(const char *flow)
{
    struct world *w = world_of(flow, NULL);
    http_client_fake_decide(w->http, answer, NULL);
    return w;
}

static int64_t held(struct world *w)
{
    world_run(w, 1500); /* the shard's tick */
    return metrics_value(metrics_gauge("offpath_jobs_bytes", "", "memory counted for jobs"));
}

#define MUCH "  much: {upstream: up, request: {path: /zeros/1}}\n"
#define SLOW "  slow: {upstream: up, request: {path: /slow/1}, timeout: 20m}\n"

static void a_request_counts_as_what_its_values_take(void **state)
{
    (void)state;
    world_bytes_max = 8 * MB;
    struct world *w = world_that_waits("calls:\n" SLOW);
    world_bytes_max = 0;
    for (int i = 0; i < JOBS; i++)
        put_job(w, zeros);
    world_run(w, 5000);
    assert_in_range(shard_jobs(w->shard[0]), 3, 9);
    assert_in_range(held(w), 8 * MB, 16 * MB);
    while (shard_jobs(w->shard[0])) /* those that are here, then the next */
        world_run(w, 20000);
    assert_int_equal(asked(w, "/slow/1"), JOBS);
    assert_int_equal(held(w), 0);
    world_free(w);
}

static void a_result_counts_as_what_its_values_take(void **state)
{
    (void)state;
    struct world *w = world_that_waits("calls:\n" MUCH SLOW);
    int64_t before = held(w);
    struct event e = put_job(w, "{\"id\":7}");
    assert_in_range(held(w) - before, TREE + TEXT, TREE * 5 / 4);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    assert_int_equal(held(w), before);
    world_free(w);
}

static void a_result_of_an_earlier_worker_counts_too(void **state)
{
    (void)state;
    struct world *w = world_that_waits("calls:\n" MUCH SLOW);
    struct event e = put_job(w, "{\"id\":7}");
    int64_t before = held(w);
    lose_lease(w, &e.job);
    for (int i = 0; i < 60 && asked(w, "/slow/1") < 2; i++)
        world_run(w, 1000);
    assert_int_equal(asked(w, "/zeros/1"), 1);
    assert_int_equal(asked(w, "/slow/1"), 2);
    assert_in_range(held(w), TREE + TEXT, before + 1000);
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    assert_int_equal(held(w), 0);
    world_free(w);
}

/* What a call sees of those before it, and the list it is made for, are copies. */
static void copies_count_as_what_their_values_take(void **state)
{
    (void)state;
    struct world *w =
        world_that_waits("calls:\n" MUCH "  slow:\n    upstream: up\n    request: {path: "
                         "/slow/1}\n    timeout: 20m\n    after: [much]\n"
                         "    for_each: '[$calls.much.result.a]'\n");
    int64_t before = held(w);
    struct event e = put_job(w, "{\"id\":7}");
    assert_in_range(held(w) - before, 3 * TREE + TEXT, 3 * TREE * 5 / 4);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    assert_int_equal(held(w), before);
    world_free(w);
}

static char big[MB - 1000]; /* one long text */

static void answer_big(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    (void)arg;
    (void)r;
    *reply = (struct http_fake_reply){.body = big, .delay_ms = 3000};
}

/* MySQL is away while their results come: 64 MB of rows wait for it, and no further job is taken.
 */
static void rows_that_wait_to_be_written_stop_the_intake(void **state)
{
    enum { FULL = 64 };
    (void)state;
    memset(big, 'x', sizeof big - 1);
    big[0] = big[sizeof big - 2] = '"';
    world_bytes_max = 1000 * MB;
    struct world *w = world_of("calls:\n  big: {upstream: up, request: {path: /big/1}}\n"
                               "result: null\n",
                               NULL);
    world_bytes_max = 0;
    http_client_fake_decide(w->http, answer_big, NULL);
    for (int i = 0; i < FULL + 2; i++)
        put_job(w, "{\"id\":7}");
    world_run(w, 2000);
    assert_int_equal(http_client_fake_running(w->http), FULL + 2);
    record_fake_down(w->db, true);
    world_run(w, 3000);
    assert_int_equal(http_client_fake_running(w->http), 0);
    assert_true(writer_waiting(w->writer) < 200);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 2000);
    assert_int_equal(shard_jobs(w->shard[0]), FULL + 2);
    record_fake_down(w->db, false);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    world_free(w);
}

static void a_value_weighs_what_it_takes(void **state)
{
    (void)state;
    struct json *v = NULL;
    assert_int_equal(json_parse(zeros, strlen(zeros), NULL, &v, NULL), 0);
    assert_in_range(weight_of_value(v), TREE, TREE + 1000);
    assert_in_range(weight_of_text(zeros, strlen(zeros)), weight_of_value(v),
                    weight_of_value(v) + TEXT + 1000);
    json_free(v);
}

static void a_text_is_never_counted_lower_than_its_values(void **state)
{
    (void)state;
    static const char *const texts[] = {"null",
                                        "[]",
                                        "{}",
                                        "[[]]",
                                        "\"a,b\"",
                                        "\"\\\"\"",
                                        "{\"a\":\"[,{\\\\\",\"b\":[1,2,{\"c\":[]}]}",
                                        "[\"\\u00e9\",\"\\\\\\\"\",[],{}, \"\"]"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct json *v = NULL;
        size_t len = strlen(texts[i]);
        assert_int_equal(json_parse(texts[i], len, NULL, &v, NULL), 0);
        assert_in_range(weight_of_text(texts[i], len), weight_of_value(v),
                        weight_of_value(v) + 64 * 3 + 2 * len);
        json_free(v);
    }
    assert_int_equal(weight_of_value(NULL), 0);
    assert_in_range(weight_of_text("\"never closed, [", 16), 1, 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_counts_as_what_its_values_take),
        cmocka_unit_test(a_result_counts_as_what_its_values_take),
        cmocka_unit_test(a_result_of_an_earlier_worker_counts_too),
        cmocka_unit_test(copies_count_as_what_their_values_take),
        cmocka_unit_test(rows_that_wait_to_be_written_stop_the_intake),
        cmocka_unit_test(a_value_weighs_what_it_takes),
        cmocka_unit_test(a_text_is_never_counted_lower_than_its_values),
    };
    make_zeros();
    return cmocka_run_group_tests(tests, start, stop);
}
