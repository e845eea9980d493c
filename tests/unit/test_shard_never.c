/* The worker in virtual time: calls that must not be repeated, and calls that leave no row. */
#include "shard_calls.h"

#define PAY                                                                           \
    "calls:\n"                                                                        \
    "  a:\n    upstream: up\n    request: {path: /a/1}\n"                             \
    "  pay:\n    after: [a]\n    upstream: up\n    repeat: never\n"                   \
    "    request: {method: POST, path: '/pay/\\($calls.a.result.n)', body: {x: 1}}\n" \
    "    timeout: 2s\n    retry: {attempts: 3, on: [connect, timeout, 5xx]}\n"        \
    "need: 2\nresult: $calls.pay.result.n\n"

static void the_ledger_knows_before_it_is_sent(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(PAY, &rule);
    struct event e = put_job(w, "{}");
    struct seen s;
    while (!asked(w, "/pay/1"))
        world_run(w, 5);
    assert_true(seen_read(w, &e.job, &s));
    const struct record_call *row = seen_call(&s, "pay");
    assert_non_null(row);
    assert_int_equal(row->outcome, OUTCOME_STARTED);
    assert_int_equal(row->seq, 0);
    assert_int_equal(row->item, -1);
    seen_fini(&s);
    s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "\"1\"");
    assert_int_equal(s.n, 2);
    assert_int_equal(seen_call(&s, "pay")->outcome, OUTCOME_OK);
    assert_int_equal(seen_call(&s, "pay")->seq, 2);
    assert_int_equal(s.job.seq, 3);
    assert_int_equal(published(w, "\"event\":\"call\""), 2);
    seen_fini(&s);
    world_free(w);
}

static void without_mysql_it_is_not_sent(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of("calls:\n  pay:\n    for_each: [1, 2]\n    parallel: 1\n"
                               "    upstream: up\n    repeat: never\n"
                               "    request: {method: POST, path: '/pay/\\($item)'}\n"
                               "result: '$calls.pay | map(.result.n)'\n",
                               &rule);
    struct event e = put_job(w, "{}");
    while (!asked(w, "/pay/1"))
        world_run(w, 5);
    record_fake_down(w->db, true);
    world_run(w, 10000);
    assert_int_equal(asked(w, "*"), 1);
    record_fake_down(w->db, false);
    struct seen s = world_final(w, &e.job);
    assert_string_equal(s.job.result, "[\"1\",\"2\"]");
    assert_int_equal(asked(w, "*"), 2);
    seen_fini(&s);
    world_free(w);
}

/* MySQL takes no row of this job: what cannot be recorded is not made. */
static void what_cannot_be_recorded_is_not_sent(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(PAY, &rule);
    struct event e = put_job(w, "{}");
    while (!asked(w, "/a/1"))
        world_run(w, 5);
    record_fake_poison(w->db, &e.job);
    world_run(w, 5000);
    assert_int_equal(asked(w, "/pay/1"), 0);
    record_fake_poison(w->db, NULL);
    struct seen s = world_final(w, &e.job); /* claimed anew: then it may be */
    assert_true(job_is_final(s.job.state));
    assert_int_equal(asked(w, "/pay/1"), 1);
    seen_fini(&s);
    world_free(w);
}

/* The worker dies, or is declared dead, at each moment of the job. */
static void it_is_made_once_at_most_whenever_the_worker_dies(void **state)
{
    (void)state;
    unsigned unknown = 0, again = 0;
    for (int ms = 0; ms <= 260; ms += 5) {
        struct rule rule = {.delay_ms = 100};
        struct world *w = world_of(PAY, &rule);
        struct event e = put_job(w, "{}");
        world_run(w, ms);
        bool sent = asked(w, "/pay/1") > 0;
        lose_lease(w, &e.job);
        struct seen s = world_final(w, &e.job);
        const struct record_call *row = seen_call(&s, "pay");
        assert_non_null(row);
        assert_true(asked(w, "/pay/1") <= 1);
        if (row->outcome == OUTCOME_UNKNOWN) {
            unknown++;
            assert_int_equal(s.job.state, JOB_FAILED);
            assert_string_equal(row->reason, "unknown");
            assert_true(row->seq > 0 && row->seq < s.job.seq);
            assert_int_equal(record_fake_dead(w->db, &e.job), 0);
        } else {
            again += !sent;
            assert_int_equal(s.job.state, JOB_SUCCEEDED);
            assert_int_equal(asked(w, "/pay/1"), 1);
        }
        assert_int_equal(s.n, 2);
        seen_fini(&s);
        world_free(w);
    }
    assert_true(unknown >= 10 && again >= 10); /* both were met */
}

static void any_one_answer_of_mysql_may_be_lost(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 16; n++) {
        for (int lost = 0; lost < 2; lost++) {
            struct rule rule = {.delay_ms = 700};
            struct world *w = world_of(PAY, &rule);
            struct event e = put_job(w, "{}");
            if (lost)
                record_fake_lose(w->db, n);
            else
                record_fake_fail(w->db, n, ERR_IO);
            world_run(w, 12000); /* looking counts as a call */
            record_fake_fail(w->db, 0, 0);
            record_fake_lose(w->db, 0);
            struct seen s = world_final(w, &e.job);
            assert_int_equal(s.job.state, JOB_SUCCEEDED);
            assert_int_equal(asked(w, "*"), 2);
            assert_int_equal(s.job.seq, 3);
            assert_int_equal(s.n, 2);
            seen_fini(&s);
            world_free(w);
        }
    }
}

static void no_second_attempt_once_it_may_have_arrived(void **state)
{
    (void)state;
    const struct {
        struct http_fake_reply first;
        size_t asked;
        const char *reason; /* NULL: it succeeded */
    } cases[] = {
        {{.status = 503}, 1, "http-5xx"},
        {{.hang = true}, 1, "timeout"},
        {{.code = CALL_CONNECT}, 2, NULL},
    };
    for (size_t i = 0; i < 3; i++) {
        struct rule rule = {.delay_ms = 5};
        struct world *w = world_of(PAY, &rule);
        http_client_fake_script(w->http, "POST", BASE "/pay/1", &cases[i].first);
        http_client_fake_script(w->http, "POST", BASE "/pay/1",
                                &(struct http_fake_reply){.body = "{\"n\":\"2\"}"});
        struct seen s = run_job(w, "{}");
        const struct record_call *row = seen_call(&s, "pay");
        assert_int_equal(asked(w, "/pay/1"), cases[i].asked);
        assert_int_equal(s.job.state, cases[i].reason ? JOB_FAILED : JOB_SUCCEEDED);
        /* listed in `on`, and yet no new round may repeat it */
        assert_int_equal(row->outcome, cases[i].reason ? OUTCOME_FAILED : OUTCOME_OK);
        assert_string_equal(row->reason, cases[i].reason ? cases[i].reason : "");
        seen_fini(&s);
        world_free(w);
    }
}

/* A row `started` of a dead worker, with time and without. */
static void a_started_row_is_unknown_and_stays_so(void **state)
{
    (void)state;
    for (int late = 0; late < 2; late++) {
        struct rule rule = {.delay_ms = 50};
        struct world *w = world_of(PAY, &rule);
        struct seen of = run_job(w, "{}");
        world_run(w, 16000);
        struct record_call rows[] = {*seen_call(&of, "a"), *seen_call(&of, "pay")};
        rows[1] = (struct record_call){.outcome = OUTCOME_STARTED, .item = -1, .name = "pay"};
        memcpy(rows[1].ckey, seen_call(&of, "pay")->ckey, 8);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + (late ? 3000000 : HOUR_US);
        leave_rows(w, &e, rows, 2);
        world_put(w, &e, "{}", 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, late ? JOB_EXPIRED : JOB_FAILED);
        assert_int_equal(asked(w, "/pay/1"), 1); /* of the sample */
        assert_int_equal(seen_call(&s, "pay")->outcome, OUTCOME_UNKNOWN);
        assert_int_equal(seen_call(&s, "pay")->seq, 2);
        assert_has(s.job.calls, "{\"name\":\"pay\",\"item\":null,\"state\":\"failed\",\"error\":"
                                "{\"code\":\"unknown\"");
        assert_int_equal(published(w, "{\"seq\":2,\"event\":\"call\",\"data\":{\"name\":\"pay\","
                                      "\"item\":null,\"state\":\"failed\""),
                         1);
        seen_fini(&s);
        seen_fini(&of);
        world_free(w);
    }
}

/* The deadline or its owner ends it while its row is on the way, or while it is. */
static void it_may_be_stopped_at_any_moment(void **state)
{
    (void)state;
    for (int ms = 90; ms <= 160; ms += 5) {
        struct rule rule = {.delay_ms = 100};
        struct world *w = world_of(PAY, &rule);
        struct event e = world_event(w, "anna");
        e.deadline_us = e.created_us + ms * 1000;
        world_put(w, &e, "{}", 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_EXPIRED);
        assert_true(asked(w, "/pay/1") <= 1);
        assert_has(s.job.calls, "\"code\":\"deadline\"");
        assert_int_equal(http_client_fake_running(w->http), 0);
        seen_fini(&s);
        world_free(w);
    }
}

/* ---- ledger: false */

#define LOOK                                                                       \
    "calls:\n"                                                                     \
    "  look:\n    upstream: up\n    ledger: false\n    request: {path: /look/1}\n" \
    "  act:\n    after: [look]\n    upstream: up\n"                                \
    "    request: {path: '/act/\\($calls.look.result.n)'}\n"                       \
    "result: $calls.act.result.n\n"

static void without_a_row_it_is_told_at_once_and_kept_at_the_end(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 100};
    struct world *w = world_of(LOOK, &rule);
    struct event e = put_job(w, "{}");
    world_run(w, 150);
    assert_int_equal(
        published(w, "{\"seq\":0,\"event\":\"call\",\"data\":{\"name\":\"look\",\"item\":null,"
                     "\"state\":\"succeeded\",\"result\":{\"name\":\"look\",\"n\":\"1\"}"),
        1);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(s.n, 1);
    assert_null(seen_call(&s, "look"));
    assert_int_equal(seen_call(&s, "act")->seq, 1);
    assert_int_equal(s.job.seq, 2);
    assert_has(s.job.calls, "[{\"name\":\"look\",\"item\":null,\"state\":\"succeeded\",\"result\":"
                            "{\"name\":\"look\",\"n\":\"1\"},\"error\":null");
    seen_fini(&s);
    world_free(w);
}

static void after_a_crash_it_is_made_again(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 50};
    struct world *w = world_of(LOOK, &rule);
    struct seen of = run_job(w, "{}");
    world_run(w, 16000);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    leave_rows(w, &e, of.calls, of.n);
    world_put(w, &e, "{}", 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(asked(w, "/look/1"), 2);
    assert_int_equal(asked(w, "/act/1"), 1);
    seen_fini(&s);
    seen_fini(&of);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_ledger_knows_before_it_is_sent),
        cmocka_unit_test(without_mysql_it_is_not_sent),
        cmocka_unit_test(what_cannot_be_recorded_is_not_sent),
        cmocka_unit_test(it_is_made_once_at_most_whenever_the_worker_dies),
        cmocka_unit_test(any_one_answer_of_mysql_may_be_lost),
        cmocka_unit_test(no_second_attempt_once_it_may_have_arrived),
        cmocka_unit_test(a_started_row_is_unknown_and_stays_so),
        cmocka_unit_test(it_may_be_stopped_at_any_moment),
        cmocka_unit_test(without_a_row_it_is_told_at_once_and_kept_at_the_end),
        cmocka_unit_test(after_a_crash_it_is_made_again),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
