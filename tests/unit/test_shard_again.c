/* The worker in virtual time: jobs that run again later (`requeue`). */
#include "shard_calls.h"

#define CALL(name, path) \
    "  " name            \
    ":\n    upstream: up\n    retry: {attempts: 1, on: [5xx]}\n    request: {path: '" path "'}\n"
#define TWO                                                                       \
    "requeue: [10s, 1m]\ncalls:\n" CALL("a", "/a/1") CALL("b", "/b/1") "result: " \
                                                                       "$calls.b.result.n\n"

static bool is_again(void *arg)
{
    struct awaited *a = arg;
    return world_state(a->w, a->id) == JOB_QUEUED;
}

static struct seen until_again(struct world *w, const struct job_id *id)
{
    struct awaited a = {w, id};
    struct seen s;
    assert_true(loop_fake_run_until(w->loop, is_again, &a, 60000));
    assert_true(seen_read(w, id, &s));
    return s;
}

/* `a` is done and kept; `b` failed for now and is made again, twice. */
static void a_failure_that_may_pass_runs_again_later(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    struct event e = put_job(w, "{}");
    struct seen s = until_again(w, &e.job);
    int64_t first_due = s.job.retry_at_us;
    assert_int_equal(s.job.round, 1);
    assert_int_equal(s.job.worker, 0);
    assert_int_equal(s.job.seq, 2);
    assert_in_range(first_due - e.created_us, 10000000, 10900000);
    assert_int_equal(seen_call(&s, "a")->outcome, OUTCOME_OK);
    assert_int_equal(seen_call(&s, "b")->outcome, OUTCOME_RETRYABLE);
    seen_fini(&s);
    world_run(w, 3000);
    assert_int_equal(world_committed(w, 0), 1); /* settled: it holds up nobody */
    assert_int_equal(asked(w, "*"), 2);
    world_run(w, 9000);
    assert_int_equal(asked(w, "/b/1"), 2); /* the second round */
    s = until_again(w, &e.job);
    assert_int_equal(s.job.round, 2);
    assert_in_range(s.job.retry_at_us - first_due, 60000000, 62500000);
    seen_fini(&s);
    rule.bad[0] = NULL;
    s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "\"1\"");
    assert_int_equal(s.job.round, 2);
    assert_int_equal(s.job.retry_at_us, 0);
    assert_int_equal(asked(w, "/a/1"), 1);
    assert_int_equal(asked(w, "/b/1"), 3);
    assert_int_equal(record_fake_outbox_n(w->db), 0);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    seen_fini(&s);
    world_free(w);
}

/* Nobody is behind when a job waits for its next round, as the flow asks for: gateways hear
 * nothing. */
static void a_wait_for_the_next_round_is_not_overdue(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 16000000;
    world_put(w, &e, "{}", 0);
    struct seen s = until_again(w, &e.job);
    seen_fini(&s);
    rule.delay_ms = 60000; /* its second round begins late, and is cut by the deadline */
    s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_EXPIRED);
    assert_int_equal(asked(w, "/b/1"), 2);
    size_t len;
    assert_null(cache_fake_get(w->redis, "op:{f:price-compare}:overdue", &len));
    seen_fini(&s);
    world_free(w);
}

/* Its worker died between the row and T7: what failed in this round is not made again in it. */
static void a_take_over_before_it_is_queued_repeats_nothing(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    struct event first = put_job(w, "{}");
    struct seen of = until_again(w, &first.job);
    assert_int_equal(of.n, 2);
    assert_int_equal(seen_call(&of, "b")->outcome, OUTCOME_RETRYABLE);
    assert_int_equal(record_fake_cancel(w->db, &first.job, &(struct owner){{0}}), 0);
    world_run(w, 16000); /* own lease held long enough to take over */
    size_t before = asked(w, "*");
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    leave_rows(w, &e, of.calls, of.n);
    world_put(w, &e, "{}", 0);
    struct seen s = until_again(w, &e.job);
    assert_int_equal(s.job.round, 1);
    assert_int_equal(asked(w, "*"), before);
    seen_fini(&s);
    rule.bad[0] = NULL;
    s = world_final(w, &e.job); /* the next round does */
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(asked(w, "/b/1"), 2);
    assert_int_equal(asked(w, "/a/1"), 1);
    seen_fini(&s);
    seen_fini(&of);
    world_free(w);
}

static bool is_behind(void *arg)
{
    return relay_behind(arg);
}

/* The outbox has more than goes out: a job that could come back waits in place, and adds nothing.
 */
static void none_is_queued_while_the_outbox_is_behind(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    enum { ROWS = RELAY_DUE_MAX + 1000 };
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    broker_fake_hold(w->broker, true);
    for (int i = 0; i < ROWS; i++) /* the first wait for their reports, the rest for them */
        assert_int_equal(record_fake_outbox(w->db, i < 500 ? "others" : "nowhere", "1"), 0);
    world_run(w, 6000);
    broker_fake_hold(w->broker, false); /* it counts what is left when it takes more */
    assert_true(loop_fake_run_until(w->loop, is_behind, w->relay, 1000));
    broker_fake_hold(w->broker, true);
    size_t rows = record_fake_outbox_n(w->db);
    struct event e = put_job(w, "{}");
    world_run(w, 5000);
    assert_int_equal(asked(w, "/b/1"), 1);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    assert_int_equal(record_fake_outbox_n(w->db), rows);
    broker_fake_hold(w->broker, false);
    struct seen s = until_again(w, &e.job);
    assert_int_equal(s.job.round, 1);
    assert_int_equal(asked(w, "/b/1"), 2);
    seen_fini(&s);
    world_free(w);
}

static void after_the_last_wait_it_is_a_dead_letter(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    struct event e = put_job(w, "{}");
    char topic[64];
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.reason, "need-not-met");
    assert_int_equal(asked(w, "/b/1"), 3);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    record_fake_dead_topic(w->db, &e.job, topic);
    assert_string_equal(topic, TOPIC ".retry");
    seen_fini(&s);
    world_free(w);
}

/* The record that brings it back: what came, and what others had put beside it. */
static void the_record_of_a_later_round_is_the_record_that_came(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    static struct event_headers headers;
    struct event e = world_event(w, "alice");
    e.deadline_us = e.created_us + HOUR_US;
    assert_int_equal(event_encode(&e, &headers), 0);
    headers.list[headers.n++] = (struct event_header){"__TypeId__", "a.b.C", 5};
    const struct broker_record r = {.topic = TOPIC,
                                    .partition = 1,
                                    .timestamp_ms = e.created_us / 1000,
                                    .value = "{ \"x\" : 1 }",
                                    .value_len = 11,
                                    .headers = headers.list,
                                    .headers_n = headers.n};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
    struct seen s = until_again(w, &e.job);
    seen_fini(&s);
    world_run(w, 12000);
    const struct broker_record *back = NULL;
    for (int32_t p = 0; p < 3 && !back; p++)
        back = broker_fake_at(w->broker, TOPIC ".retry", p, 0);
    assert_non_null(back);
    assert_null(back->key);
    assert_int_equal(back->value_len, 11);
    assert_memory_equal(back->value, "{ \"x\" : 1 }", 11);
    struct event c;
    const char *what = "";
    assert_int_equal(event_decode(back->headers, back->headers_n, 1, &c, &what), 0);
    assert_int_equal(c.round, 1);
    assert_true(id_equal(&c.job, &e.job));
    assert_int_equal(c.deadline_us, e.deadline_us);
    assert_int_equal(c.created_us, e.created_us);
    assert_string_equal(c.sub, "alice");
    const struct event_header *last = &back->headers[back->headers_n - 1];
    assert_string_equal(last->name, "__TypeId__");
    assert_memory_equal(last->value, "a.b.C", 5);
    world_free(w);
}

struct foreign { /* a record of another producer */
    size_t headers_n, header_len, key_len, value_len;
};

static void put_foreign(struct world *w, const struct event *e, const struct foreign *f)
{
    static struct event_header list[256];
    static struct event_headers own;
    static char text[70000], value[2000];
    memset(text, 'x', sizeof text);
    assert_in_range(snprintf(value, sizeof value, "{\"x\":\"%.*s\"}", (int)f->value_len, text), 1,
                    sizeof value - 1);
    assert_int_equal(event_encode(e, &own), 0);
    assert_in_range(own.n + f->headers_n, 0, 255);
    memcpy(list, own.list, own.n * sizeof *list);
    for (size_t i = 0; i < f->headers_n; i++)
        list[own.n + i] = (struct event_header){"other", text, f->header_len};
    const struct broker_record r = {.topic = TOPIC,
                                    .timestamp_ms = e->created_us / 1000,
                                    .key = text,
                                    .key_len = f->key_len,
                                    .value = value,
                                    .value_len = strlen(value),
                                    .headers = list,
                                    .headers_n = own.n + f->headers_n};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
}

/* More than others have, and as much as there is room for: it comes back whole. */
static void what_others_put_beside_it_comes_back(void **state)
{
    (void)state;
    static const struct foreign cases[] = {{.headers_n = 60, .header_len = 1},
                                           {.headers_n = 200, .header_len = 250},
                                           {.key_len = 1024, .value_len = 1000}};
    for (size_t i = 0; i < 3; i++) {
        struct rule rule = {.bad = {"/b/1"}, .status = 503};
        struct world *w = world_of(TWO, &rule);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + HOUR_US;
        put_foreign(w, &e, &cases[i]);
        struct seen s = until_again(w, &e.job);
        seen_fini(&s);
        rule.bad[0] = NULL;
        s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.job.round, 1);
        assert_int_equal(record_fake_outbox_n(w->db), 0);
        seen_fini(&s);
        world_free(w);
    }
}

/* Neither Kafka nor the outbox would ever take it again: it is a dead letter now. */
static void what_cannot_be_brought_back_fails_at_once(void **state)
{
    (void)state;
    static const struct foreign cases[] = {
        {.headers_n = 246, .header_len = 1}, /* 255 came; the round is one more */
        {.headers_n = 2, .header_len = 40000},
        {.key_len = 1025},
        {.value_len = 1000}, /* of a topic whose .retry takes less */
    };
    struct topic_limit small = {.name = TOPIC ".retry", .bytes = TOPIC_OVERHEAD + 1000};
    for (size_t i = 0; i < 4; i++) {
        struct rule rule = {.bad = {"/b/1"}, .status = 503};
        struct world *w = world_of(TWO, &rule);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + HOUR_US;
        if (i == 3)
            w->limits = (struct topic_limits){&small, 1};
        put_foreign(w, &e, &cases[i]);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_string_equal(s.job.reason, "need-not-met");
        assert_int_equal(s.job.round, 0);
        assert_int_equal(record_fake_dead(w->db, &e.job), 0);
        assert_int_equal(record_fake_outbox_n(w->db), 0);
        seen_fini(&s);
        world_free(w);
    }
}

static void what_cannot_pass_or_comes_too_late_fails_at_once(void **state)
{
    (void)state;
    static const struct {
        const char *flow;
        int status;
        int64_t left_us;
    } cases[] = {
        {TWO, 404, HOUR_US},                          /* no repetition helps */
        {TWO, 503, 9000000},                          /* due behind the deadline */
        {"calls:\n" CALL("b", "/b/1"), 503, HOUR_US}, /* no requeue */
    };
    for (size_t i = 0; i < 3; i++) {
        struct rule rule = {.bad = {"/b/1"}, .status = cases[i].status};
        struct world *w = world_of(cases[i].flow, &rule);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + cases[i].left_us;
        world_put(w, &e, "{}", 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_int_equal(s.job.round, 0);
        assert_int_equal(asked(w, "/b/1"), 1);
        seen_fini(&s);
        world_free(w);
    }
}

static void enough_is_no_reason_to_run_again(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of("need: 1\n" TWO, &rule);
    struct seen s = run_job(w, "{}");
    assert_int_equal(s.job.state, JOB_PARTIAL);
    seen_fini(&s);
    world_free(w);
}

/* T7 is committed, its answer is lost: the claim finds a later round, and settles. */
static void a_lost_answer_of_t7_queues_once(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503, .delay_ms = 100};
    struct world *w = world_of("requeue: [10s]\ncalls:\n" CALL("b", "/b/1"), &rule);
    for (unsigned nth = 1; nth < 5; nth++) {
        struct event e = put_job(w, "{}");
        world_run(w, 50);
        record_fake_lose(w->db, nth);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_int_equal(s.job.round, 1);
        seen_fini(&s);
        assert_int_equal(asked(w, "/b/1"), 2 * nth);
        assert_int_equal(record_fake_outbox_n(w->db), 0);
    }
    world_free(w);
}

static void cancelled_while_it_waits_it_never_comes_back(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/b/1"}, .status = 503};
    struct world *w = world_of(TWO, &rule);
    struct event e = put_job(w, "{}");
    static const struct owner nobody;
    struct seen s = until_again(w, &e.job);
    seen_fini(&s);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &nobody), 0);
    world_run(w, 30000);
    assert_int_equal(world_state(w, &e.job), JOB_CANCELLED);
    assert_int_equal(asked(w, "/b/1"), 1);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failure_that_may_pass_runs_again_later),
        cmocka_unit_test(a_wait_for_the_next_round_is_not_overdue),
        cmocka_unit_test(a_take_over_before_it_is_queued_repeats_nothing),
        cmocka_unit_test(none_is_queued_while_the_outbox_is_behind),
        cmocka_unit_test(after_the_last_wait_it_is_a_dead_letter),
        cmocka_unit_test(the_record_of_a_later_round_is_the_record_that_came),
        cmocka_unit_test(what_others_put_beside_it_comes_back),
        cmocka_unit_test(what_cannot_be_brought_back_fails_at_once),
        cmocka_unit_test(what_cannot_pass_or_comes_too_late_fails_at_once),
        cmocka_unit_test(enough_is_no_reason_to_run_again),
        cmocka_unit_test(a_lost_answer_of_t7_queues_once),
        cmocka_unit_test(cancelled_while_it_waits_it_never_comes_back),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
