/* The worker in virtual time: calls that wait for others, and calls with items. */
#include "shard_calls.h"

#define CALL(name, more, path) \
    "  " name ":\n    upstream: up\n" more "    request: {path: '" path "'}\n"
#define EACH "    for_each: $request.list\n"
#define NOTE \
    "result: '$calls | map_values(if type == \"array\" then map(.state) else .state end)'\n"

/* ---- after */

#define DIAMOND                                                                         \
    "calls:\n" CALL("d", "    after: [b, c]\n",                                         \
                    "/d/\\($calls.b.result.n)-\\($calls | keys | join(\"\"))")          \
        CALL("b", "    after: [a]\n", "/b/\\($calls.a.result.n)") CALL("a", "", "/a/1") \
            CALL("c", "    after: [a]\n", "/c/3") "result: $calls.d.result.n\n"

static void calls_wait_for_those_before_them_and_see_them_alone(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(DIAMOND, &rule);
    struct seen s = run_job(w, "{}");
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "\"1-bc\"");
    assert_int_equal(http_client_fake_calls(w->http), 4);
    assert_in_range(asked_at(w, "/b/1") - asked_at(w, "/a/1"), 100, 150);
    assert_int_equal(asked_at(w, "/b/1"), asked_at(w, "/c/3"));
    assert_in_range(asked_at(w, "/d/1-bc") - asked_at(w, "/b/1"), 100, 150);
    assert_int_equal(s.n, 4);
    assert_int_equal(s.job.seq, 5);
    assert_has(s.job.calls, "[{\"name\":\"d\",\"item\":null,");
    seen_fini(&s);
    world_free(w);
}

/* MySQL goes away while `a` is under way: who comes after it would see what may be made again. */
static void nobody_goes_on_before_the_ledger_has_it(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(DIAMOND, &rule);
    struct event e = put_job(w, "{}");
    world_run(w, 50);
    assert_int_equal(http_client_fake_running(w->http), 1);
    record_fake_down(w->db, true);
    world_run(w, 5000);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    record_fake_down(w->db, false);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 4);
    seen_fini(&s);
    world_free(w);
}

static void a_failed_call_takes_those_after_it_along(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/a/1"}, .status = 404};
    struct world *w =
        world_of("calls:\n" CALL("a", "", "/a/1") CALL("b", "    after: [a]\n", "/b/1")
                     CALL("c", "    after: [b]\n", "/c/1") CALL("d", "", "/d/1") NOTE "need: 1\n",
                 &rule);
    struct seen s = run_job(w, "{}");
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.result,
                        "{\"a\":\"failed\",\"b\":\"failed\",\"c\":\"failed\",\"d\":\"succeeded\"}");
    assert_has(s.job.calls, "{\"name\":\"b\",\"item\":null,\"state\":\"failed\",\"result\":null,"
                            "\"error\":{\"code\":\"skipped\"");
    assert_int_equal(http_client_fake_calls(w->http), 2);
    assert_int_equal(s.n, 2); /* no rows of what was skipped */
    seen_fini(&s);
    world_free(w);
}

static void an_optional_call_lets_those_after_it_go_on(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/a/1"}, .status = 404};
    struct world *w = world_of("calls:\n" CALL("a", "    optional: true\n", "/a/1")
                                   CALL("b", "    after: [a]\n",
                                        "/b/\\($calls.a.error.code)") "result: $calls.b.result.n\n",
                               &rule);
    struct seen s = run_job(w, "{}");
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.result, "\"http-4xx\"");
    seen_fini(&s);
    world_free(w);
}

/* ---- when */

#define WHEN                                                                                     \
    "calls:\n" CALL("a", "    when: $request.a\n", "/a/1") CALL("b", "    after: [a]\n", "/b/1") \
        NOTE

static void when_leaves_a_call_out(void **state)
{
    (void)state;
    const struct {
        const char *request, *result;
        enum job_state state;
        size_t calls;
    } cases[] = {
        {"{\"a\":true}", "{\"a\":\"succeeded\",\"b\":\"succeeded\"}", JOB_SUCCEEDED, 2},
        {"{\"a\":false}", "{\"a\":\"skipped\",\"b\":\"succeeded\"}", JOB_SUCCEEDED, 1},
        {"{}", "{\"a\":\"skipped\",\"b\":\"succeeded\"}", JOB_SUCCEEDED, 1},
        {"{\"a\":1}", NULL, JOB_FAILED, 0},
    };
    for (size_t i = 0; i < 4; i++) {
        struct rule rule = {.delay_ms = 5};
        struct world *w = world_of(WHEN, &rule);
        struct seen s = run_job(w, cases[i].request);
        assert_int_equal(s.job.state, cases[i].state);
        assert_int_equal(http_client_fake_calls(w->http), cases[i].calls);
        if (cases[i].result)
            assert_string_equal(s.job.result, cases[i].result);
        else
            assert_string_equal(seen_call(&s, "a")->reason, "expression");
        seen_fini(&s);
        world_free(w);
    }
}

/* ---- for_each */

#define LIST                                                                                       \
    "calls:\n" CALL("x", EACH "    result: '{n: $body.n, i: $index, k: $item.k}'\n",               \
                    "/x/\\($item.k)") "result: '[$calls.x[] | select(.ok) | [.item.k, .result.n, " \
                                      ".result.i, .result.k, .index]]'\n"
#define FIVE "{\"list\":[{\"k\":\"a\"},{\"k\":\"b\"},{\"k\":\"c\"},{\"k\":\"d\"},{\"k\":\"e\"}]}"

static void one_call_per_element_and_failures_stay_alone(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/x/b", "/x/d"}, .status = 404, .delay_ms = 20};
    struct world *w = world_of(LIST "need: 3\n", &rule);
    struct seen s = run_job(w, FIVE);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_int_equal(http_client_fake_calls(w->http), 5);
    assert_int_equal(http_client_fake_peak(w->http), 5);
    assert_string_equal(s.job.result, "[[\"a\",\"a\",0,\"a\",0],[\"c\",\"c\",2,\"c\",2],"
                                      "[\"e\",\"e\",4,\"e\",4]]");
    assert_int_equal(s.n, 5);
    assert_int_equal(s.job.seq, 6);
    assert_int_equal(published(w, "\"event\":\"call\",\"data\":{\"name\":\"x\",\"item\":1,"
                                  "\"state\":\"failed\""),
                     1);
    assert_int_equal(published(w, "\"event\":\"call\""), 5);
    struct json *calls = NULL;
    assert_int_equal(json_parse(s.job.calls, s.job.calls_len, NULL, &calls, NULL), 0);
    assert_int_equal(json_size(calls), 5);
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(json_number(json_get(json_at(calls, i), "item")), i);
    json_free(calls);
    seen_fini(&s);
    world_free(w);
}

static void need_counts_the_items(void **state)
{
    (void)state;
    const struct {
        const char *need;
        enum job_state state;
    } cases[] = {{"need: 3\n", JOB_PARTIAL},
                 {"need: 4\n", JOB_FAILED},
                 {"need: 9\n", JOB_FAILED},
                 {"", JOB_FAILED}};
    for (size_t i = 0; i < 4; i++) {
        char text[1500];
        struct rule rule = {.bad = {"/x/b", "/x/d"}, .status = 404};
        snprintf(text, sizeof text, "%s%s", LIST, cases[i].need);
        struct world *w = world_of(text, &rule);
        struct seen s = run_job(w, FIVE);
        assert_int_equal(s.job.state, cases[i].state);
        assert_string_equal(s.job.reason, s.job.state == JOB_FAILED ? "need-not-met" : "");
        seen_fini(&s);
        world_free(w);
    }
}

static void no_elements_are_no_calls(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5};
    struct world *w = world_of("calls:\n" CALL("x", EACH, "/x/\\($item)")
                                   CALL("y", "    after: [x]\n", "/y/\\($calls.x | length)") NOTE,
                               &rule);
    struct seen s = run_job(w, "{\"list\":[]}");
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "{\"x\":[],\"y\":\"succeeded\"}");
    assert_int_equal(asked(w, "/y/0"), 1);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    assert_has(s.job.calls, "[{\"name\":\"y\"");
    seen_fini(&s);
    world_free(w);
}

static void a_literal_list_is_gone_through(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5};
    struct world *w = world_of("calls:\n" CALL("x", "    for_each: [7, b]\n",
                                               "/x/\\($item)") "result: '[$calls.x[].result.n]'\n",
                               &rule);
    struct seen s = run_job(w, "{}");
    assert_string_equal(s.job.result, "[\"7\",\"b\"]");
    seen_fini(&s);
    world_free(w);
}

static void parallel_bounds_what_is_in_flight(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w =
        world_of("calls:\n" CALL("x", EACH "    parallel: 2\n", "/x/\\($item.k)") NOTE, &rule);
    int64_t before = loop_now_ms(w->loop);
    struct event e = put_job(w, FIVE);
    struct awaited a = {w, &e.job};
    assert_true(loop_fake_run_until(w->loop, world_is_final, &a, 10000));
    assert_in_range(loop_now_ms(w->loop) - before, 300, 500); /* three times two or one */
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_peak(w->http), 2);
    assert_int_equal(http_client_fake_calls(w->http), 5);
    seen_fini(&s);
    world_free(w);
}

static void too_many_elements_fail_the_call_alone(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5};
    struct world *w =
        world_of("calls:\n" CALL("x", EACH "    max_items: 4\n", "/x/\\($item.k)")
                     CALL("y", "", "/y/1") "need: 1\nresult: $calls.x[0].error.code\n",
                 &rule);
    struct seen s = run_job(w, FIVE);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.result, "\"too-many-items\"");
    assert_int_equal(http_client_fake_calls(w->http), 1);
    assert_string_equal(seen_call(&s, "x")->reason, "too-many-items");
    assert_int_equal(seen_call(&s, "x")->item, -1);
    assert_int_equal(s.job.seq, 3);
    seen_fini(&s);
    world_free(w);
}

/* 600 and 600: the second list is one too many for the job. */
static void a_job_makes_a_thousand_calls_at_most(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5};
    struct world *w = world_of(
        "need: 1\ncalls:\n" CALL("x", "    for_each: '[range(600)]'\n    max_items: 600\n",
                                 "/x/\\($item)")
            CALL("y", "    for_each: '[range(600)]'\n    max_items: 600\n", "/y/\\($item)")
                CALL("z", "    after: [x]\n    for_each: '[range(398)]'\n    max_items: 600\n",
                     "/z/\\($item)") "result: '$calls | map_values(map(select(.ok)) | length)'\n",
        &rule);
    struct seen s = run_job(w, "{}");
    assert_string_equal(s.job.result, "{\"x\":600,\"y\":0,\"z\":398}");
    assert_int_equal(http_client_fake_calls(w->http), 998);
    assert_string_equal(seen_call(&s, "y")->reason, "too-many-items");
    assert_int_equal(s.n, 999);
    seen_fini(&s);
    world_free(w);
}

static void an_expression_that_fails_fails_its_item_alone(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5};
    struct world *w = world_of("need: 1\ncalls:\n" CALL("x", EACH, "/x/\\($item | tonumber)")
                                   CALL("y", "    for_each: $request.none\n", "/y/1")
                                       CALL("z", EACH "    max_items: 2\n    after: [y]\n",
                                            "/z/1") "result: '[$calls.x[] | .error.code // "
                                                    ".result.n] + [$calls.y[0].error.code]'\n",
                               &rule);
    struct seen s = run_job(w, "{\"list\":[\"1\",\"no\",\"no\",\"4\"]}");
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.result, "[\"1\",\"expression\",\"expression\",\"4\",\"expression\"]");
    assert_int_equal(s.n, 5); /* the two that failed alike are two rows */
    assert_int_equal(http_client_fake_calls(w->http), 2);
    seen_fini(&s);
    world_free(w);
}

/* ---- the end comes early */

static void the_deadline_ends_items_that_wait(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 4000};
    struct world *w =
        world_of("need: 2\ncalls:\n" CALL("x", EACH "    parallel: 2\n", "/x/\\($item.k)")
                     CALL("y", "    after: [x]\n", "/y/1") NOTE,
                 &rule);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 6000000;
    world_put(w, &e, FIVE, 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.result, "{\"x\":[\"succeeded\",\"succeeded\",\"failed\",\"failed\","
                                      "\"failed\"],\"y\":\"failed\"}");
    assert_int_equal(http_client_fake_calls(w->http), 4);
    assert_int_equal(http_client_fake_running(w->http), 0);
    assert_int_equal(s.n, 2);
    seen_fini(&s);
    world_free(w);
}

/* The upstream has one place, and another job is there. */
static void a_cancel_before_the_first_call_makes_none(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10000};
    struct world *w =
        world_at("concurrency: 1, breaker: off", "calls:\n" CALL("a", "", "/a/1") NOTE, &rule);
    struct event first = put_job(w, "{}"), e = put_job(w, "{}");
    world_run(w, 1000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    world_run(w, 4000);
    assert_int_equal(world_state(w, &e.job), JOB_CANCELLED);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    world_run(w, 20000);
    assert_int_equal(world_state(w, &first.job), JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    world_free(w);
}

static void a_cancel_between_two_calls_keeps_what_came_and_makes_no_more(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10000};
    struct world *w = world_at(
        "concurrency: 1, breaker: off",
        "calls:\n" CALL("a", "", "/a/1") CALL("b", "    after: [a]\n", "/b/1") NOTE, &rule);
    struct event e = put_job(w, "{}"), other = put_job(w, "{}");
    world_run(w, 12000); /* its `a` came; the other's has the place now */
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    world_run(w, 4000);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_CANCELLED);
    assert_has(s.job.calls, "{\"name\":\"a\",\"item\":null,\"state\":\"succeeded\"");
    assert_has(s.job.calls, "{\"name\":\"b\",\"item\":null,\"state\":\"cancelled\"");
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    seen_fini(&s);
    world_run(w, 40000);
    assert_int_equal(world_state(w, &other.job), JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 3); /* one `b` */
    world_free(w);
}

static void a_cancel_stops_items_and_starts_none(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 4000};
    struct world *w =
        world_of("calls:\n" CALL("x", EACH "    parallel: 2\n", "/x/\\($item.k)") NOTE, &rule);
    struct event e = world_event(w, "anna");
    e.deadline_us = e.created_us + HOUR_US;
    world_put(w, &e, FIVE, 0);
    world_run(w, 5000);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_CANCELLED);
    assert_int_equal(http_client_fake_calls(w->http), 4);
    assert_has(s.job.calls, "{\"name\":\"x\",\"item\":1,\"state\":\"succeeded\"");
    assert_has(s.job.calls, "{\"name\":\"x\",\"item\":2,\"state\":\"cancelled\"");
    assert_has(s.job.calls, "{\"name\":\"x\",\"item\":4,\"state\":\"cancelled\"");
    seen_fini(&s);
    world_free(w);
}

/* ---- crashes */

#define CHAIN                                                      \
    "calls:\n" CALL("x", EACH "    parallel: 2\n", "/x/\\($item)") \
        CALL("y", "    after: [x]\n", "/y/\\($calls.x | map(.result.n) | join(\"-\"))") NOTE
#define EQUALS "{\"list\":[\"1\",\"2\",\"1\",\"1\"]}"

/* Each subset of the rows of a whole run: what is there is not made again. */
static void rows_of_a_dead_worker_are_not_repeated(void **state)
{
    (void)state;
    for (unsigned subset = 0; subset < 32; subset += 3) {
        struct rule rule = {.delay_ms = 50};
        struct world *w = world_of(CHAIN, &rule);
        struct seen of = run_job(w, EQUALS);
        assert_int_equal(of.n, 5);
        assert_int_equal(http_client_fake_calls(w->http), 5);
        world_run(w, 16000); /* own lease held long enough to take over */
        struct record_call rows[5];
        size_t n = 0;
        for (size_t i = 0; i < 5; i++)
            if (subset & 1u << i && (i < 4 || subset == 31)) /* `y` comes after all of `x` */
                rows[n++] = of.calls[i];
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + HOUR_US;
        leave_rows(w, &e, rows, n);
        world_put(w, &e, EQUALS, 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_string_equal(s.job.result, "{\"x\":[\"succeeded\",\"succeeded\",\"succeeded\","
                                          "\"succeeded\"],\"y\":\"succeeded\"}");
        assert_int_equal(s.n, 5);
        assert_int_equal(http_client_fake_calls(w->http), 5 + 5 - n);
        assert_int_equal(asked(w, "/y/1-2-1-1"), 2);
        for (size_t i = 0; i < 5; i++)
            for (size_t k = 0; k < i; k++)
                assert_memory_not_equal(s.calls[i].ckey, s.calls[k].ckey, 8);
        seen_fini(&s);
        seen_fini(&of);
        world_free(w);
    }
}

/* Taken over after the deadline: the third item is in the ledger, the first two are not. */
static void a_take_over_after_the_deadline_finds_items_that_would_wait(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 50};
    struct world *w = world_of("need: 1\n" CHAIN, &rule);
    struct seen of = run_job(w, EQUALS);
    world_run(w, 16000);
    const struct record_call *third = NULL;
    for (size_t i = 0; i < of.n; i++)
        if (of.calls[i].item == 2)
            third = &of.calls[i];
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 3000000;
    leave_rows(w, &e, third, 1);
    world_put(w, &e, EQUALS, 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(
        s.job.result, "{\"x\":[\"failed\",\"failed\",\"succeeded\",\"failed\"],\"y\":\"failed\"}");
    assert_int_equal(http_client_fake_calls(w->http), 5); /* those of the sample */
    seen_fini(&s);
    seen_fini(&of);
    world_free(w);
}

static void the_lease_may_go_at_any_moment(void **state)
{
    (void)state;
    for (int ms = 0; ms <= 330; ms += 15) {
        struct rule rule = {.delay_ms = 100};
        struct world *w = world_of(CHAIN, &rule);
        struct event e = put_job(w, EQUALS);
        world_run(w, ms);
        size_t flying = http_client_fake_running(w->http);
        lose_lease(w, &e.job);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.n, 5);
        /* it may start two more before its next write is refused */
        assert_in_range(http_client_fake_calls(w->http), 5, 5 + flying + 2);
        seen_fini(&s);
        world_free(w);
    }
}

static void any_one_answer_of_mysql_may_be_lost(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 20; n++) {
        struct rule rule = {.delay_ms = 700};
        struct world *w = world_of(CHAIN, &rule);
        struct event e = put_job(w, EQUALS);
        record_fake_lose(w->db, n);
        world_run(w, 15000); /* looking counts as a call */
        record_fake_lose(w->db, 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.job.crashes, 0);
        assert_int_equal(s.n, 5);
        assert_int_equal(s.job.seq, 6);
        assert_int_equal(http_client_fake_calls(w->http), 5);
        seen_fini(&s);
        world_free(w);
    }
}

/* It killed five workers: what they wrote is told, item by item. */
static void a_poison_record_shows_the_items_that_were_made(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 50};
    struct world *w = world_of(CHAIN, &rule);
    struct seen of = run_job(w, EQUALS);
    world_run(w, 16000);
    struct record_call rows[] = {of.calls[3], of.calls[0]};
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    leave_rows(w, &e, rows, 2);
    uint64_t worker = 0;
    for (int i = 0; i < 5; i++) {
        uint64_t next;
        bool taken = false;
        struct record_watch row = {.id = e.job};
        assert_int_equal(w->eyes->ops->watch(w->eyes, &row, 1), 0);
        worker = row.worker;
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "mortal", LEASE_MS, &next), 0);
        assert_int_equal(w->eyes->ops->take_over(w->eyes, worker, next, &e.job, 1, &taken), 0);
        record_fake_expire(w->db, next);
    }
    world_put(w, &e, EQUALS, 0);
    struct seen s = world_final(w, &e.job);
    assert_string_equal(s.job.reason, "crashed-worker");
    struct json *calls = NULL;
    assert_int_equal(json_parse(s.job.calls, s.job.calls_len, NULL, &calls, NULL), 0);
    assert_int_equal(json_size(calls), 3); /* two items and y */
    assert_true(json_number(json_get(json_at(calls, 0), "item")) <
                json_number(json_get(json_at(calls, 1), "item")));
    assert_string_equal(json_text(json_get(json_at(calls, 2), "state")), "skipped");
    json_free(calls);
    seen_fini(&s);
    seen_fini(&of);
    world_free(w);
}

/* Redis is told how long jobs take: once there are enough, then every 10 s at most; nothing of
 * those that failed. */
static void tells_how_long_jobs_take(void **state)
{
    static const char key[] = "op:{f:price-compare}:eta";
    struct rule rule = {.delay_ms = 300, .bad = {"/a/bad"}, .status = 404};
    struct world *w = world_of("calls:\n" CALL("a", "", "/a/\\($request.x)") NOTE, &rule);
    (void)state;
    for (int i = 0; i < 7; i++) {
        struct seen s = run_job(w, i == 1 ? "{\"x\":\"bad\"}" : "{\"x\":\"good\"}");
        assert_int_equal(s.job.state, i == 1 ? JOB_FAILED : JOB_SUCCEEDED);
        seen_fini(&s);
        size_t len;
        assert_int_equal(cache_fake_get(w->redis, key, &len) != NULL, i >= 5);
        if (i == 5) {
            long p50 = strtol(cache_fake_get(w->redis, key, &len), NULL, 10);
            assert_in_range(p50, 300, 1000);
            assert_in_range(cache_fake_ttl_ms(w->redis, key), 3590000, 3600000);
            rule.delay_ms = 5000;
        } else if (i == 6) {
            assert_null(strstr(cache_fake_get(w->redis, key, &len), " 50"));
        }
    }
    world_run(w, 10000);
    struct seen s = run_job(w, "{\"x\":\"good\"}");
    size_t len;
    assert_non_null(strstr(cache_fake_get(w->redis, key, &len), " 50"));
    seen_fini(&s);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_wait_for_those_before_them_and_see_them_alone),
        cmocka_unit_test(nobody_goes_on_before_the_ledger_has_it),
        cmocka_unit_test(a_failed_call_takes_those_after_it_along),
        cmocka_unit_test(an_optional_call_lets_those_after_it_go_on),
        cmocka_unit_test(when_leaves_a_call_out),
        cmocka_unit_test(one_call_per_element_and_failures_stay_alone),
        cmocka_unit_test(need_counts_the_items),
        cmocka_unit_test(no_elements_are_no_calls),
        cmocka_unit_test(a_literal_list_is_gone_through),
        cmocka_unit_test(parallel_bounds_what_is_in_flight),
        cmocka_unit_test(too_many_elements_fail_the_call_alone),
        cmocka_unit_test(a_job_makes_a_thousand_calls_at_most),
        cmocka_unit_test(an_expression_that_fails_fails_its_item_alone),
        cmocka_unit_test(the_deadline_ends_items_that_wait),
        cmocka_unit_test(a_cancel_before_the_first_call_makes_none),
        cmocka_unit_test(a_cancel_between_two_calls_keeps_what_came_and_makes_no_more),
        cmocka_unit_test(a_cancel_stops_items_and_starts_none),
        cmocka_unit_test(rows_of_a_dead_worker_are_not_repeated),
        cmocka_unit_test(a_take_over_after_the_deadline_finds_items_that_would_wait),
        cmocka_unit_test(the_lease_may_go_at_any_moment),
        cmocka_unit_test(any_one_answer_of_mysql_may_be_lost),
        cmocka_unit_test(a_poison_record_shows_the_items_that_were_made),
        cmocka_unit_test(tells_how_long_jobs_take),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
