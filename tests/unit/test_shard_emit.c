/* The worker in virtual time: what a job sends on when it has ended well. */
#include "shard_calls.h"

#define CHILD "child-topic"

/* A second flow, `child`, beside the first. */
static struct world *world_with_child(const char *first, const char *child)
{
    char dir[] = "/tmp/test_shard_emit-XXXXXX", one[100], two[100],
         upstreams[] = "tests/shops/upstreams.yaml";
    struct buf text = {0};
    assert_non_null(mkdtemp(dir));
    buf_printf(&text,
               "flow: price-compare\ntitle: T\naccess: guests\ndeadline: 1h\n"
               "topic: {name: " TOPIC ", group: price-compare-consumer-group, partitions: 3}\n%s",
               first);
    write_file(dir, "price-compare.yaml", buf_str(&text), one);
    buf_clear(&text);
    buf_printf(&text,
               "flow: child\ntitle: C\naccess: internal\n"
               "topic: {name: " CHILD ", group: price-compare-consumer-group, partitions: 1}\n%s",
               child);
    write_file(dir, "child.yaml", buf_str(&text), two);
    buf_fini(&text);
    struct world *w = world_new_with(
        0, &(struct flow_load_settings){.flows_dir = dir, .upstreams_file = upstreams}, CHILD);
    unlink(one);
    unlink(two);
    rmdir(dir);
    return w;
}

static struct event user_job(struct world *w, const char *value)
{
    struct event e = world_event(w, "alice");
    snprintf(e.trace, sizeof e.trace, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    snprintf(e.request, sizeof e.request, "req-1");
    e.deadline_us = e.created_us + HOUR_US;
    world_put(w, &e, value, 0);
    return e;
}

static const struct broker_record *sent(struct world *w, const char *topic, int64_t at)
{
    return broker_fake_at(w->broker, topic, 0, at);
}

static void assert_value(const struct broker_record *r, const char *key, const char *value)
{
    assert_non_null(r);
    assert_int_equal(r->value_len, strlen(value));
    assert_memory_equal(r->value, value, r->value_len);
    if (!key) {
        assert_null(r->key);
        return;
    }
    assert_int_equal(r->key_len, strlen(key));
    assert_memory_equal(r->key, key, r->key_len);
}

#define SCHEMA \
    "request: {key: $request.n, schema: {type: object, properties: {n: {type: integer}}}}\n"

static void a_child_is_a_job_of_the_same_user(void **state)
{
    (void)state;
    struct world *w = world_with_child("result: '{n: 5}'\n"
                                       "emit:\n  - {flow: child, value: {n: \\($result.n)}}\n",
                                       SCHEMA "deadline: 2m\nresult: '[$request.n, $user.id]'\n");
    struct event e = user_job(w, "{}");
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    const struct broker_record *r = sent(w, CHILD, 0);
    assert_value(r, "5", "{\"n\":5}");
    assert_null(sent(w, CHILD, 1));
    struct event c;
    const char *what = "";
    assert_int_equal(event_decode(r->headers, r->headers_n, r->timestamp_ms, &c, &what), 0);
    struct job_id id = id_child(&e.job, "emit", 0, 0);
    assert_true(c.ours && id_equal(&c.job, &id));
    assert_string_equal(c.flow, "child");
    assert_memory_equal(&c.owner, &e.owner, sizeof c.owner);
    assert_string_equal(c.sub, "alice");
    assert_string_equal(c.trace, e.trace);
    assert_string_equal(c.request, "req-1");
    assert_int_equal(c.round, 0);
    assert_in_range(c.created_us - e.created_us, 0, 1000000);
    assert_int_equal(c.deadline_us - c.created_us, INT64_C(120000000));
    assert_true(c.has_rev);
    assert_memory_equal(c.rev, flow_by_name(w->set, "child")->rev, 8);
    s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "[5,\"alice\"]");
    assert_memory_equal(&s.job.owner, &e.owner, sizeof e.owner);
    seen_fini(&s);
    assert_int_equal(record_fake_outbox_n(w->db), 0);
    world_free(w);
}

/* What many may share is nobody's: the first who caused it is not in it. */
static void a_child_of_a_shared_flow_is_nobodys(void **state)
{
    (void)state;
    struct world *w =
        world_with_child("emit:\n  - {flow: child, value: {n: 1}}\n",
                         SCHEMA "cache: {scope: shared, key: $request.n, ttl: 5m}\nresult: '1'\n");
    struct event e = user_job(w, "{}");
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    const struct broker_record *r = sent(w, CHILD, 0);
    struct event c;
    const char *what = "";
    assert_non_null(r);
    assert_int_equal(event_decode(r->headers, r->headers_n, r->timestamp_ms, &c, &what), 0);
    assert_true(owner_is_nobody(&c.owner));
    assert_string_equal(c.sub, "");
    s = world_final(w, &c.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_true(owner_is_nobody(&s.job.owner));
    seen_fini(&s);
    world_free(w);
}

static void each_item_is_a_record_of_its_own(void **state)
{
    (void)state;
    struct world *w =
        world_with_child("emit:\n"
                         "  - {flow: child, when: $request.no, value: {n: 0}}\n"
                         "  - {flow: child, for_each: $request.list, value: {n: \\($item), at: "
                         "\\($index)}}\n",
                         SCHEMA);
    struct event e = user_job(w, "{\"list\":[7,8,9]}");
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    assert_value(sent(w, CHILD, 0), "7", "{\"n\":7,\"at\":0}");
    assert_value(sent(w, CHILD, 1), "8", "{\"n\":8,\"at\":1}");
    assert_value(sent(w, CHILD, 2), "9", "{\"n\":9,\"at\":2}");
    assert_null(sent(w, CHILD, 3));
    for (uint32_t i = 0; i < 3; i++) {
        struct job_id id = id_child(&e.job, "emit", 1, i);
        assert_int_equal(world_state(w, &id), JOB_SUCCEEDED);
    }
    world_free(w);
}

/* ce_* and traceparent: nothing else of ours. */
static void a_topic_of_others_gets_a_plain_record(void **state)
{
    (void)state;
    struct world *w =
        world_with_child("emit:\n  - {topic: others, key: $request.k, value: [\\($request.k)]}\n"
                         "  - {topic: others, value: plain}\n",
                         "");
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    struct event e = user_job(w, "{\"k\":42}");
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    const struct broker_record *r = sent(w, "others", 0);
    assert_value(r, "42", "[42]");
    static const char *const names[] = {"ce_specversion", "ce_id",   "ce_source",
                                        "ce_type",        "ce_time", "traceparent"};
    assert_int_equal(r->headers_n, 6);
    for (size_t i = 0; i < 6; i++)
        assert_string_equal(r->headers[i].name, names[i]);
    char id[ID_TEXT];
    struct job_id child = id_child(&e.job, "emit", 0, 0);
    id_format(&child, id);
    assert_memory_equal(r->headers[1].value, id, ID_TEXT - 1);
    assert_memory_equal(r->headers[2].value, "/offpath/flows/price-compare", 28);
    assert_value(sent(w, "others", 1), NULL, "\"plain\"");
    world_free(w);
}

/* Nothing is stored and nothing sent: the job fails before. */
static void what_cannot_be_sent_fails_the_job(void **state)
{
    (void)state;
    static const struct {
        const char *emit, *reason;
    } cases[] = {
        {"  - {flow: child, value: {n: no}}\n", "expression"}, /* its schema */
        {"  - {flow: child, value: {n: 1}}\n  - {topic: others, value: '\\($request.x | error)'}\n",
         "expression"},
        {"  - {flow: child, value: {n: 1}, when: $request.x}\n", "expression"},
        {"  - {flow: child, value: {n: 1}, for_each: $request.x}\n", "expression"},
        {"  - {topic: others, key: $request.list, value: 1}\n", "expression"},
        {"  - {topic: others, value: ['\\(\"ten letters\" * 60000)', '\\(\"ten letters\" * "
         "60000)']}\n",
         "too-big"},
        {"  - {topic: others, for_each: '[range(0; 1001)]', value: \\($item)}\n", "too-big"},
        {"  - {topic: others, for_each: '[range(0; 500)]', value: 1}\n"
         "  - {topic: others, for_each: '[range(0; 501)]', value: 1}\n",
         "too-big"}, /* all entries together */
        {"  - {topic: others, key: '\"k\" * 1025', value: 1}\n", "too-big"}, /* no row takes it */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct buf flow = {0};
        buf_printf(&flow, "result: '1'\nemit:\n%s", cases[i].emit);
        struct world *w = world_with_child(buf_str(&flow), SCHEMA);
        assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
        struct event e = user_job(w, "{\"x\":\"text\",\"list\":[1]}");
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_string_equal(s.job.reason, cases[i].reason);
        assert_null(s.job.result);
        assert_int_equal(record_fake_dead(w->db, &e.job), 0);
        assert_null(sent(w, CHILD, 0));
        assert_null(sent(w, "others", 0));
        assert_int_equal(record_fake_outbox_n(w->db), 0);
        seen_fini(&s);
        world_free(w);
        buf_fini(&flow);
    }
}

static void a_key_as_long_as_a_row_takes_is_sent(void **state)
{
    (void)state;
    struct world *w =
        world_with_child("emit:\n  - {topic: others, key: '\"k\" * 1024', value: 1}\n", "");
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    struct event e = user_job(w, "{}");
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    assert_int_equal(sent(w, "others", 0)->key_len, 1024);
    world_free(w);
}

static void a_failed_job_sends_nothing(void **state)
{
    (void)state;
    struct world *w = world_with_child("result: error(\"no\")\n"
                                       "emit:\n  - {flow: child, value: {n: 1}}\n",
                                       "");
    struct event e = user_job(w, "{}");
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    seen_fini(&s);
    assert_null(sent(w, CHILD, 0));
    world_free(w);
}

/* The broker is away at that moment: the row is taken when it is due, once. */
static void what_was_not_acknowledged_goes_out_30_s_later(void **state)
{
    (void)state;
    struct world *w = world_with_child("emit:\n  - {flow: child, value: {n: 1}}\n",
                                       SCHEMA "result: $request.n\n");
    struct event e = user_job(w, "{}");
    broker_fake_fail(w->broker, FAKE_REPORT, 1, REPORT_NOT_PERSISTED);
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    world_run(w, 20000);
    assert_null(sent(w, CHILD, 0));
    assert_int_equal(record_fake_outbox_n(w->db), 1);
    world_run(w, 15000);
    assert_value(sent(w, CHILD, 0), "1", "{\"n\":1}");
    assert_null(sent(w, CHILD, 1));
    struct job_id id = id_child(&e.job, "emit", 0, 0);
    assert_int_equal(world_state(w, &id), JOB_SUCCEEDED);
    assert_int_equal(record_fake_outbox_n(w->db), 0);
    world_free(w);
}

/* Persisted, but nobody heard of it: the same id comes twice and runs once. */
static void a_repeated_record_is_one_job(void **state)
{
    (void)state;
    struct world *w =
        world_with_child("emit:\n  - {flow: child, value: {n: 1}}\n",
                         SCHEMA "result: $request.n\nemit:\n  - {topic: others, value: 1}\n");
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    struct event e = user_job(w, "{}");
    broker_fake_fail(w->broker, FAKE_REPORT, 1, REPORT_POSSIBLY_PERSISTED);
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    world_run(w, 40000);
    assert_non_null(sent(w, CHILD, 1));
    assert_null(sent(w, CHILD, 2));
    assert_non_null(sent(w, "others", 0));
    assert_null(sent(w, "others", 1));
    assert_int_equal(broker_fake_committed(w->broker, "price-compare-consumer-group", CHILD, 0), 2);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_child_is_a_job_of_the_same_user),
        cmocka_unit_test(a_child_of_a_shared_flow_is_nobodys),
        cmocka_unit_test(each_item_is_a_record_of_its_own),
        cmocka_unit_test(a_topic_of_others_gets_a_plain_record),
        cmocka_unit_test(what_cannot_be_sent_fails_the_job),
        cmocka_unit_test(a_key_as_long_as_a_row_takes_is_sent),
        cmocka_unit_test(a_failed_job_sends_nothing),
        cmocka_unit_test(what_was_not_acknowledged_goes_out_30_s_later),
        cmocka_unit_test(a_repeated_record_is_one_job),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
