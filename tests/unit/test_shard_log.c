/* Each log line about a job or its calls carries that job's id, whoever's work it was written in.
 */
#include "common/log.h"
#include "log_capture.h"
#include "shard_calls.h"

enum { JOBS = 6 };

static void job_of(const struct job_id *id, char out[64])
{
    char text[ID_TEXT];
    id_format(id, text);
    snprintf(out, 64, " job=%s ", text);
}

static const char *const SHOPS[] = {"call=a-mart ", "call=b-shop ", "call=c-store "};

/* The first failure opens the breaker; the calls of the other jobs end in that job's callback, and
 * its own second attempt ends in a timer's. */
static void a_failed_call_is_told_of_its_own_job(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    struct job_id ids[JOBS];
    for (size_t i = 0; i < w->set->upstreams_n; i++) {
        w->set->upstreams[i].concurrency = 1;
        w->set->upstreams[i].breaker.of = 1;
    }
    for (size_t i = 0; i < 3; i++)
        w->set->flows[0].calls[i].optional = true; /* no job waits for the breaker */
    world_shard(w, 1);                             /* with these limits */
    broker_fake_revoke(w->consumer[0], false);
    broker_fake_assign(w->consumer[1]);
    world_run(w, 2000);
    world_reply(w, "*", (struct http_fake_reply){.status = 503, .delay_ms = 100});
    capture_start();
    for (int i = 0; i < JOBS; i++)
        ids[i] = world_job(w);
    world_run(w, 5000);
    capture_stop();
    assert_int_equal(capture_lines(" call-failed ", NULL, NULL), 3 * JOBS);
    for (int i = 0; i < JOBS; i++) {
        char job[64];
        job_of(&ids[i], job);
        assert_int_equal(world_state(w, &ids[i]), JOB_PARTIAL);
        assert_int_equal(capture_lines(" job-finished ", job, NULL), 1);
        for (int k = 0; k < 3; k++)
            assert_int_equal(capture_lines(" call-failed ", job, SHOPS[k]), 1);
    }
    assert_true(capture_lines(" call-failed ", NULL, "code=breaker-open") >= 3 * (JOBS - 1));
    world_free(w);
}

/* The end of one suspect starts the next, whose record is bad. */
static void what_a_job_starts_is_not_told_as_its_own(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    struct event first = world_event(w, NULL), bad = world_event(w, NULL);
    char first_job[64], bad_job[64];
    first.deadline_us = bad.deadline_us = first.created_us + 600000000;
    world_shops(w, 30000);
    for (size_t i = 0; i < 3; i++)
        w->set->flows[0].calls[i].timeout_ms = 60000;
    world_crashes(w, &first, 2);
    world_crashes(w, &bad, 2);
    world_put(w, &first, "{\"productId\":\"42\"}", 0);
    world_run(w, 1000);
    world_put(w, &bad, "{\"productId\":", 1);
    capture_start();
    world_run(w, 80000);
    capture_stop();
    job_of(&first.job, first_job);
    job_of(&bad.job, bad_job);
    assert_int_equal(world_state(w, &first.job), JOB_SUCCEEDED);
    assert_int_equal(world_state(w, &bad.job), JOB_FAILED);
    assert_int_equal(capture_lines(" job-finished ", first_job, "state=succeeded"), 1);
    assert_int_equal(capture_lines(" bad-record ", NULL, NULL), 1);
    assert_int_equal(capture_lines(" bad-record ", bad_job, NULL), 1);
    assert_int_equal(capture_lines(" job-finished ", bad_job, "state=failed"), 1);
    world_free(w);
}

/* jq quotes what it could not add. */
static void no_line_quotes_what_a_record_to_send_holds(void **state)
{
    static const char *const emits[] = {
        "{topic: out, value: '\\($request.name + 1)'}",
        "{topic: out, key: '$request.name + 1', value: {n: 1}}",
        "{topic: out, when: '$request.name + 1', value: {n: 1}}",
        "{topic: out, for_each: '$request.name + 1', value: {n: 1}}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof emits / sizeof emits[0]; i++) {
        char more[200];
        snprintf(more, sizeof more, "emit:\n  - %s\n", emits[i]);
        struct world *w = world_of(more, NULL);
        struct event e = world_event(w, NULL);
        world_put(w, &e, "{\"name\":\"alice\"}", 0);
        capture_start();
        world_run(w, 5000);
        capture_stop();
        assert_int_equal(world_state(w, &e.job), JOB_FAILED);
        assert_int_equal(capture_lines(" emit ", NULL, "cannot be added"), 1);
        assert_int_equal(capture_lines("alice", NULL, NULL), 0);
        world_free(w);
    }
}

/* What is wrong with a certificate only the library knows; of other codes the code is enough. */
static void a_call_that_tls_ended_says_why(void **state)
{
    (void)state;
    struct world *w = world_new(1);
    world_reply(w, A_MART, (struct http_fake_reply){.code = CALL_TLS});
    world_reply(w, B_SHOP, (struct http_fake_reply){.code = CALL_CONNECT});
    world_reply(w, C_STORE, (struct http_fake_reply){.body = C_BODY});
    capture_start();
    world_job(w);
    world_run(w, 20000);
    capture_stop();
    assert_int_equal(capture_lines(" call-failed ", SHOPS[0], "code=tls"), 1);
    assert_int_equal(capture_lines(" call-failed ", SHOPS[0], "why=scripted"), 1);
    assert_int_equal(capture_lines(" call-failed ", SHOPS[1], "code=connect"), 1);
    assert_int_equal(capture_lines(" call-failed ", SHOPS[1], "why="), 0);
    world_free(w);
}

static int log_start(void **state)
{
    (void)state;
    log_open("worker", false, LOG_INFO);
    return expr_start();
}

static int log_stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_call_is_told_of_its_own_job),
        cmocka_unit_test(what_a_job_starts_is_not_told_as_its_own),
        cmocka_unit_test(no_line_quotes_what_a_record_to_send_holds),
        cmocka_unit_test(a_call_that_tls_ended_says_why),
    };
    return cmocka_run_group_tests(tests, log_start, log_stop);
}
