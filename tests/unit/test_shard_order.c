/* The worker in virtual time: jobs of one key one by one (`order: key`), texts of `notify`, and
 * jobs without a deadline. */
#include "shard_calls.h"

#define ORDERED                                                                  \
    "request: {key: $request.k}\norder: key\n"                                   \
    "calls:\n  a:\n    upstream: up\n    request: {path: '/a/\\($request.n)'}\n" \
    "result: $calls.a.result.n\n"

static struct job_id put_key(struct world *w, const char *key, int n, int partition)
{
    static struct event_headers headers;
    char value[40];
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    assert_int_equal(event_encode(&e, &headers), 0);
    snprintf(value, sizeof value, "{\"k\":1,\"n\":%d}", n);
    const struct broker_record r = {.topic = TOPIC,
                                    .partition = partition,
                                    .timestamp_ms = e.created_us / 1000,
                                    .key = key,
                                    .key_len = key ? strlen(key) : 0,
                                    .value = value,
                                    .value_len = strlen(value),
                                    .headers = headers.list,
                                    .headers_n = headers.n};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
    return e.job;
}

static void jobs_of_a_key_go_one_by_one(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 1000, .bad = {"/a/2"}, .status = 404};
    struct world *w = world_of(ORDERED, &rule);
    struct job_id one = put_key(w, "x", 1, 0), two = put_key(w, "x", 2, 0);
    struct job_id three = put_key(w, "x", 3, 0);
    put_key(w, "y", 4, 0);
    put_key(w, "x", 5, 1); /* another partition */
    put_key(w, NULL, 6, 0);
    put_key(w, NULL, 7, 0);
    struct seen s = world_final(w, &three);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    int64_t first = asked_at(w, "/a/1");
    assert_in_range(asked_at(w, "/a/2") - first, 1000, 1200); /* when the one before was final */
    assert_in_range(asked_at(w, "/a/3") - first, 2000, 2400);
    for (int i = 4; i < 8; i++) {
        char path[8];
        snprintf(path, sizeof path, "/a/%d", i);
        assert_in_range(asked_at(w, path) - first, 0, 100); /* others wait for nobody */
    }
    assert_int_equal(world_state(w, &one), JOB_SUCCEEDED);
    assert_int_equal(world_state(w, &two), JOB_FAILED); /* final is enough */
    world_free(w);
}

/* The partition leaves while the first runs: nobody of it begins here, and what comes back with it
 * waits for the one that runs on. */
static void the_order_outlives_a_rebalance(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5000};
    struct world *w = world_of(ORDERED, &rule);
    put_key(w, "x", 1, 0);
    put_key(w, "x", 2, 0);
    struct job_id three = put_key(w, "x", 3, 0);
    world_run(w, 2000);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    broker_fake_revoke(w->consumer[0], false);
    world_run(w, 1000);
    assert_int_equal(shard_jobs(w->shard[0]), 1);
    broker_fake_assign(w->consumer[0]);
    world_run(w, 1000);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    assert_int_equal(shard_jobs(w->shard[0]), 3);
    struct seen s = world_final(w, &three);
    seen_fini(&s);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_in_range(asked_at(w, "/a/2") - asked_at(w, "/a/1"), 5000, 5500);
    assert_in_range(asked_at(w, "/a/3") - asked_at(w, "/a/2"), 5000, 5500);
    world_free(w);
}

/* The first runs at another worker and is watched. When the partition leaves, the second must not
 * take its turn in the moment before it leaves, too. */
static void who_is_next_leaves_with_its_partition(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(ORDERED, &rule);
    struct event first = world_event(w, NULL);
    static struct event_headers headers;
    leave_rows(w, &first, NULL, 0);
    assert_int_equal(event_encode(&first, &headers), 0);
    const struct broker_record r = {.topic = TOPIC,
                                    .timestamp_ms = first.created_us / 1000,
                                    .key = "x",
                                    .key_len = 1,
                                    .value = "{\"k\":1,\"n\":1}",
                                    .value_len = 13,
                                    .headers = headers.list,
                                    .headers_n = headers.n};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
    struct job_id second = put_key(w, "x", 2, 0);
    world_run(w, 2000);
    assert_int_equal(shard_jobs(w->shard[0]), 2);
    assert_int_equal(world_state(w, &second), JOB_NONE);
    broker_fake_revoke(w->consumer[0], false);
    world_run(w, 3000);
    assert_int_equal(shard_jobs(w->shard[0]), 0);
    assert_int_equal(world_state(w, &second), JOB_NONE);
    assert_int_equal(http_client_fake_calls(w->http), 0);
    world_free(w);
}

/* ---- notify */

#define NOTIFIED                                                  \
    "calls:\n  a:\n    upstream: up\n    request: {path: /a/1}\n" \
    "result: $calls.a.result.n\n"                                 \
    "notify:\n  done: 'Ready: \\($result), \\($user.id)'\n"       \
    "  failed: 'Not made (\\($error.code): \\($error.message)) \\($calls.a.error.code)'\n"

static size_t told(struct world *w, const char *part)
{
    const char *channel, *text;
    size_t n = 0;
    for (size_t i = 0; (text = cache_fake_published(w->redis, i, &channel)); i++)
        n += strstr(text, part) != NULL;
    return n;
}

static struct seen run_of(struct world *w, const char *user)
{
    struct event e = world_event(w, user);
    e.deadline_us = e.created_us + HOUR_US;
    world_put(w, &e, "{}", 0);
    return world_final(w, &e.job);
}

static void the_text_of_notify_is_the_jobs_message(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10};
    struct world *w = world_of(NOTIFIED, &rule);
    struct seen s = run_of(w, "alice");
    assert_string_equal(s.job.detail, "Ready: 1, alice");
    seen_fini(&s);
    assert_int_equal(told(w, "\"message\":\"Ready: 1, alice\""), 1);
    rule.bad[0] = "/a/1";
    rule.status = 404;
    s = run_of(w, "alice");
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.detail,
                        "Not made (need-not-met: Too few of its calls succeeded.) http-4xx");
    seen_fini(&s);
    assert_int_equal(told(w, "\"message\":\"Not made (need-not-met:"), 1);
    world_free(w);
}

static void a_text_that_cannot_be_made_is_left_out(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10};
    struct world *w = world_of(NOTIFIED, &rule);
    struct seen s = run_of(w, NULL); /* $user.id is null */
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_null(s.job.detail);
    seen_fini(&s);
    world_free(w);
}

/* ---- deadline: none */

static void a_job_without_a_deadline_waits_as_long_as_it_takes(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10, .bad = {"/a/1"}, .status = 503};
    struct world *w = world_of("calls:\n  a:\n    upstream: up\n    request: {path: /a/1}\n"
                               "requeue: [30d]\n",
                               &rule);
    struct event e = world_event(w, NULL);
    e.deadline_us = 0;
    world_put(w, &e, "{}", 0);
    world_run(w, 60000);
    struct seen s;
    assert_true(seen_read(w, &e.job, &s));
    assert_int_equal(s.job.state, JOB_QUEUED);
    assert_int_equal(s.job.deadline_us, 0);
    assert_int_equal((s.job.retry_at_us - e.created_us) / INT64_C(86400000000), 30);
    seen_fini(&s);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_of_a_key_go_one_by_one),
        cmocka_unit_test(the_order_outlives_a_rebalance),
        cmocka_unit_test(who_is_next_leaves_with_its_partition),
        cmocka_unit_test(the_text_of_notify_is_the_jobs_message),
        cmocka_unit_test(a_text_that_cannot_be_made_is_left_out),
        cmocka_unit_test(a_job_without_a_deadline_waits_as_long_as_it_takes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
