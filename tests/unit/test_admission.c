/* admission.h, topics.h, health.h, drain.h: what decides whether and how the gateway serves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "common/metrics.h"
#include "gateway/admission.h"
#include "gateway/drain.h"
#include "gateway/health.h"
#include "gateway/topics.h"

static const int64_t S = 1000000;

/* ---- admission */

static void knows_a_rate_after_ten_seconds(void **state)
{
    struct admission_history h = {0};
    (void)state;
    assert_true(admission_rate(&h) < 0);
    admission_note(&h, 0, 100);
    admission_note(&h, 5 * S, 200);
    assert_true(admission_rate(&h) < 0);
    admission_note(&h, 10 * S, 300);
    assert_true(admission_rate(&h) == 20);
}

static void forgets_what_is_older_than_five_minutes(void **state)
{
    struct admission_history h = {0};
    (void)state;
    for (int i = 0; i <= 200; i++) /* 1 a second, then 10 a second for more than 5 minutes */
        admission_note(&h, i * 5 * S, i < 100 ? i * 5 : 500 + (i - 100) * 50);
    assert_true(admission_rate(&h) > 9.99 && admission_rate(&h) < 10.01);
}

static void reads_going_back_as_standing_still(void **state)
{
    struct admission_history h = {0};
    (void)state;
    admission_note(&h, 0, 500); /* somebody reset the group's offsets */
    admission_note(&h, 20 * S, 0);
    assert_true(admission_rate(&h) == 0);
}

static void sheds_only_what_cannot_be_in_time(void **state)
{
    struct admission_rule rule = {.floor = 1000, .deadline_ms = 12000};
    (void)state;
    assert_true(admission_sheds(&rule, 1201, 100)); /* 12.01 s */
    assert_false(admission_sheds(&rule, 1200, 100));
    assert_false(admission_sheds(&rule, 1000, 0)); /* the floor */
    assert_true(admission_sheds(&rule, 1001, 0));
    assert_false(admission_sheds(&rule, -1, 0));    /* unknown lag */
    assert_false(admission_sheds(&rule, 9999, -1)); /* unknown rate */
    rule.deadline_ms = 0;
    assert_false(admission_sheds(&rule, 999999, 0));
}

static void counts_from_the_start_without_a_commit(void **state)
{
    struct broker_lag list[] = {{.committed = 40, .low = 10, .high = 50},
                                {.committed = -1, .low = 5, .high = 25},
                                {.committed = 60, .low = 0, .high = 55}}; /* ahead: no lag */
    int64_t lag, done;
    (void)state;
    admission_sum(list, 3, &lag, &done);
    assert_int_equal(lag, 30);
    assert_int_equal(done, 105);
}

/* Of these no record will ever come to move the commit. */
static void counts_no_records_that_kafka_deleted(void **state)
{
    struct broker_lag list[] = {{.committed = 1000, .low = 5000, .high = 5000},
                                {.committed = 1000, .low = 5000, .high = 5007}};
    int64_t lag, done;
    (void)state;
    admission_sum(list, 2, &lag, &done);
    assert_int_equal(lag, 7);
    assert_int_equal(done, 10000);
}

struct lagging {
    struct broker_producer base;
    int64_t committed, high;
    int err;
};

static int fake_lag(struct broker_producer *p, const char *group, struct broker_lag *list, size_t n,
                    int wait_ms)
{
    struct lagging *l = (struct lagging *)p;
    (void)wait_ms;
    assert_string_equal(group, "g");
    assert_int_equal(n, 1);
    assert_string_equal(list[0].topic, "t");
    if (l->err)
        return l->err;
    list[0].committed = l->committed;
    list[0].low = 0;
    list[0].high = l->high;
    return 0;
}

static void measures_flows_and_never_reads_unknown_as_none(void **state)
{
    static const struct broker_producer_ops ops = {.lag = fake_lag};
    struct lagging broker = {.base.ops = &ops, .high = 5000};
    struct flow flow = {.name = "f", .deadline_ms = 1000, .topic = {.name = "t", .group = "g"}};
    struct flow_set flows = {.flows = &flow, .flows_n = 1};
    struct clock_stepped clock;
    struct admission *a;
    struct buf text = {0};
    int partitions[] = {1};
    (void)state;
    clock_stepped_init(&clock, 0);
    struct admission_settings settings = {.producer = &broker.base,
                                          .flows = &flows,
                                          .partitions = partitions,
                                          .clock = &clock.clock,
                                          .floor = 100};
    assert_int_equal(admission_open(&settings, &a), 0);
    admission_show(a);
    metrics_print(&text);
    assert_non_null(strstr(buf_str(&text), "offpath_flow_lag_records{flow=\"f\"} NaN"));
    for (int i = 0; i < 4; i++, clock_step(&clock, 5 * S))
        admission_measure(a);
    assert_true(admission_overloaded(a, &flow));
    buf_clear(&text);
    metrics_print(&text);
    assert_non_null(strstr(buf_str(&text), "offpath_flow_lag_records{flow=\"f\"} 5000"));
    broker.err = ERR_TIMEOUT;
    admission_measure(a);
    assert_false(admission_overloaded(a, &flow));
    buf_clear(&text);
    metrics_print(&text);
    assert_non_null(strstr(buf_str(&text), "offpath_flow_lag_records{flow=\"f\"} NaN"));
    buf_fini(&text);
    admission_close(a);
    metrics_reset();
}

struct widened {
    struct broker_producer base;
    int partitions, err, asked;
};

static int wide_lag(struct broker_producer *p, const char *group, struct broker_lag *list, size_t n,
                    int wait_ms)
{
    (void)p;
    (void)group;
    (void)wait_ms;
    for (size_t i = 0; i < n; i++) {
        list[i].committed = -1;
        list[i].low = 0;
        list[i].high = 100;
    }
    return 0;
}

static int wide_partitions(struct broker_producer *p, const char *topic, int wait_ms, int *n)
{
    struct widened *w = (struct widened *)p;
    (void)wait_ms;
    assert_string_equal(topic, "t");
    w->asked++;
    if (!w->err)
        *n = w->partitions;
    return w->err;
}

static void counts_partitions_that_came_later(void **state)
{
    static const struct broker_producer_ops ops = {.lag = wide_lag, .partitions = wide_partitions};
    struct widened broker = {.base.ops = &ops, .partitions = 2};
    struct flow flow = {.name = "f", .topic = {.name = "t", .group = "g"}};
    struct flow_set flows = {.flows = &flow, .flows_n = 1};
    struct clock_stepped clock;
    struct admission *a;
    int partitions[] = {1};
    (void)state;
    clock_stepped_init(&clock, 0);
    struct admission_settings settings = {
        .producer = &broker.base, .flows = &flows, .partitions = partitions, .clock = &clock.clock};
    assert_int_equal(admission_open(&settings, &a), 0);
    admission_measure(a);
    assert_int_equal(admission_lag(a, &flow), 100);
    for (int i = 0; i < 12; i++, clock_step(&clock, 5 * S))
        admission_measure(a);
    assert_int_equal(broker.asked, 0);
    admission_measure(a); /* a minute after they were told */
    assert_int_equal(admission_lag(a, &flow), 200);
    broker.partitions = 0; /* a broker that does not know it now, or does not answer */
    clock_step(&clock, 60 * S);
    admission_measure(a);
    broker.err = ERR_TIMEOUT;
    clock_step(&clock, 60 * S);
    admission_measure(a);
    assert_int_equal(broker.asked, 3);
    assert_int_equal(admission_lag(a, &flow), 200);
    admission_close(a);
    metrics_reset();
}

struct stopping {
    struct broker_producer base;
    struct admission *admission;
    int asked;
};

static int stop_lag(struct broker_producer *p, const char *group, struct broker_lag *list, size_t n,
                    int wait_ms)
{
    struct stopping *s = (struct stopping *)p;
    (void)group;
    (void)list;
    (void)n;
    (void)wait_ms;
    s->asked++;
    admission_stop(s->admission);
    return ERR_TIMEOUT;
}

/* Each question may take 5 s, and whoever closes it waits. */
static void a_stop_is_not_held_up_by_the_other_flows(void **state)
{
    static const struct broker_producer_ops ops = {.lag = stop_lag};
    struct stopping broker = {.base.ops = &ops};
    struct flow three[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    struct flow_set flows = {.flows = three, .flows_n = 3};
    int partitions[] = {1, 1, 1};
    struct clock_stepped clock;
    (void)state;
    clock_stepped_init(&clock, 0);
    struct admission_settings settings = {
        .producer = &broker.base, .flows = &flows, .partitions = partitions, .clock = &clock.clock};
    assert_int_equal(admission_open(&settings, &broker.admission), 0);
    admission_measure(broker.admission);
    assert_int_equal(broker.asked, 1);
    admission_close(broker.admission);
    metrics_reset();
}

static char *scraped(struct buf *text)
{
    buf_clear(text);
    metrics_print(text);
    return (char *)(uintptr_t)buf_str(text);
}

/* A reload frees sets while others scrape. */
static void a_set_that_ended_is_scraped_no_more(void **state)
{
    struct flow flows[] = {{.name = "kept"}, {.name = "removed"}};
    struct flow_set two_flows = {.flows = flows, .flows_n = 2},
                    one = {.flows = flows, .flows_n = 1};
    int partitions[2] = {0};
    struct clock_stepped clock;
    struct admission *old, *refused, *next;
    struct buf text = {0};
    (void)state;
    clock_stepped_init(&clock, 0);
    struct admission_settings settings = {
        .flows = &two_flows, .partitions = partitions, .clock = &clock.clock};
    assert_int_equal(admission_open(&settings, &old), 0);
    admission_show(old);
    assert_int_equal(admission_open(&settings, &refused), 0);
    admission_close(refused); /* it was never shown */
    assert_non_null(strstr(scraped(&text), "offpath_flow_lag_records{flow=\"removed\"} NaN"));
    settings.flows = &one;
    assert_int_equal(admission_open(&settings, &next), 0);
    admission_show(next);
    admission_close(old);
    assert_non_null(strstr(scraped(&text), "offpath_flow_lag_records{flow=\"kept\"} NaN"));
    assert_non_null(strstr(scraped(&text), "offpath_flow_shedding{flow=\"kept\"} 0"));
    assert_null(strstr(scraped(&text), "removed"));
    admission_close(next);
    assert_null(strstr(scraped(&text), "kept"));
    buf_fini(&text);
    metrics_reset();
}

/* ---- topics */

static struct flow two[] = {{.name = "a", .request_max = 65536, .topic = {.name = "ta"}},
                            {.name = "b", .request_max = 65536, .topic = {.name = "tb"}}};
static const struct flow_set both = {.flows = two, .flows_n = 2};

static struct broker_topic topic(const char *name)
{
    struct broker_topic t = {.partitions = 3,
                             .replication = 3,
                             .max_message_bytes = 1048588,
                             .retention_ms = 1000,
                             .min_insync = 2};
    snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static void accepts_good_topics(void **state)
{
    struct broker_topic topics[] = {topic("ta"), topic("tb")};
    struct topics_report report;
    (void)state;
    topics[1].retention_ms = 5000;
    assert_int_equal(topics_check(&both, topics, &report), 0);
    assert_int_equal(report.retention_ms, 5000);
    assert_int_equal(report.warnings.n, 0);
    topics[0].retention_ms = -1;
    assert_int_equal(topics_check(&both, topics, &report), 0);
    assert_int_equal(report.retention_ms, 90LL * 86400 * 1000);
}

static void names_all_missing_topics_and_what_to_run(void **state)
{
    struct broker_topic topics[2];
    struct topics_report report;
    (void)state;
    topics_name(&both, topics);
    assert_int_equal(topics_check(&both, topics, &report), ERR_SETUP);
    assert_string_equal(report.why, "missing topics: ta tb; run `offpath-worker topics apply`");
}

static void refuses_a_topic_too_small_for_its_requests(void **state)
{
    struct broker_topic topics[] = {topic("ta"), topic("tb")};
    struct topics_report report;
    (void)state;
    topics[1].max_message_bytes = 131072; /* 64 KB request + 64 KB headers: just enough */
    assert_int_equal(topics_check(&both, topics, &report), 0);
    topics[1].max_message_bytes = 131071;
    assert_int_equal(topics_check(&both, topics, &report), ERR_SETUP);
    assert_non_null(strstr(report.why, "raise its max.message.bytes to 131072"));
}

static void warns_of_what_may_lose_records(void **state)
{
    struct broker_topic topics[] = {topic("ta"), topic("tb")};
    struct topics_report report;
    (void)state;
    topics[0].replication = 1;
    topics[1].min_insync = 1;
    assert_int_equal(topics_check(&both, topics, &report), 0);
    assert_int_equal(report.warnings.n, 2);
    assert_string_equal(report.warnings.text[0], "topic ta has one replica");
    assert_string_equal(report.warnings.text[1], "topic tb: min.insync.replicas is 1");
    topics[1].min_insync = 2;
    topics[1].unclean_election = true;
    assert_int_equal(topics_check(&both, topics, &report), 0);
    assert_int_equal(report.warnings.n, 2);
    assert_string_equal(report.warnings.text[1],
                        "topic tb: unclean.leader.election.enable is true");
    for (int i = 0; i < 20; i++)
        topic_warnings_add(&report.warnings, &topics[1]);
    assert_int_equal(report.warnings.n, TOPIC_WARNINGS);
}

/* ---- health */

static int health(const struct health_state *s, struct buf *out)
{
    buf_clear(out);
    return health_print(s, out);
}

static void tells_the_truth_about_readiness(void **state)
{
    struct topic_warnings w = {0};
    struct health_state s = {
        .kafka = true, .redis = true, .mysql = true, .mysql_why = "", .warnings = &w};
    struct buf b = {0};
    (void)state;
    assert_int_equal(health(&s, &b), 200);
    assert_string_equal(buf_str(&b), "{\"ready\":true,\"degraded\":[],\"warnings\":[]}\n");
    w = (struct topic_warnings){.text = {"one", "\"two\""}, .n = 2};
    assert_int_equal(health(&s, &b), 200);
    assert_non_null(strstr(buf_str(&b), "\"warnings\":[\"one\",\"\\\"two\\\"\"]}"));
    s.redis = s.mysql = false;
    s.mysql_why = "old tables";
    assert_int_equal(health(&s, &b), 200);
    assert_non_null(strstr(buf_str(&b), "{\"name\":\"redis\""));
    assert_non_null(strstr(buf_str(&b), "{\"name\":\"mysql\",\"means\":\"old tables\"}"));
    s.kafka = false;
    assert_int_equal(health(&s, &b), 503);
    s.kafka = s.draining = true;
    assert_int_equal(health(&s, &b), 503);
    assert_non_null(strstr(buf_str(&b), "\"reason\":\"stopping\""));
    buf_fini(&b);
}

/* ---- drain */

struct stage { /* writes down what happened */
    char log[256];
    unsigned requests;
    int hurry_after, pauses;
    size_t left;
};

static void note(struct stage *s, const char *what)
{
    size_t n = strlen(s->log);
    snprintf(s->log + n, sizeof s->log - n, "%s ", what);
}

static void unready(void *arg)
{
    note(arg, "unready");
}

static int pause_stage(void *arg, int ms)
{
    struct stage *s = arg;
    if (ms > 100)
        note(s, "serve");
    else if (s->requests > 0)
        s->requests--;
    return s->hurry_after && ++s->pauses >= s->hurry_after;
}

static void refuse(void *arg)
{
    note(arg, "refuse");
}

static unsigned in_flight(void *arg)
{
    return ((struct stage *)arg)->requests;
}

static size_t flush(void *arg, int wait_ms)
{
    struct stage *s = arg;
    note(s, wait_ms ? "flush" : "glance");
    return s->left;
}

static struct drain_result drain(struct stage *s)
{
    struct drain_steps steps = {s, unready, pause_stage, refuse, in_flight, flush};
    struct drain_limits limits = {5000, 200, 1000};
    return drain_run(&steps, &limits);
}

static void drains_in_order(void **state)
{
    struct stage s = {.requests = 4};
    (void)state;
    struct drain_result r = drain(&s);
    assert_string_equal(s.log, "unready serve refuse flush ");
    assert_int_equal(r.requests, 0);
    assert_int_equal(r.unflushed, 0);
}

static void does_not_wait_for_ever(void **state)
{
    struct stage s = {.requests = 1000, .left = 3};
    (void)state;
    struct drain_result r = drain(&s);
    assert_int_equal(r.requests, 990); /* 200 ms in steps of 20 */
    assert_int_equal(r.unflushed, 3);
}

static void hurries_at_a_second_signal(void **state)
{
    struct stage s = {.requests = 9, .hurry_after = 1};
    (void)state;
    struct drain_result r = drain(&s);
    assert_string_equal(s.log, "unready serve refuse glance ");
    assert_int_equal(r.requests, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_a_rate_after_ten_seconds),
        cmocka_unit_test(forgets_what_is_older_than_five_minutes),
        cmocka_unit_test(reads_going_back_as_standing_still),
        cmocka_unit_test(sheds_only_what_cannot_be_in_time),
        cmocka_unit_test(counts_from_the_start_without_a_commit),
        cmocka_unit_test(counts_no_records_that_kafka_deleted),
        cmocka_unit_test(measures_flows_and_never_reads_unknown_as_none),
        cmocka_unit_test(counts_partitions_that_came_later),
        cmocka_unit_test(a_stop_is_not_held_up_by_the_other_flows),
        cmocka_unit_test(a_set_that_ended_is_scraped_no_more),
        cmocka_unit_test(accepts_good_topics),
        cmocka_unit_test(names_all_missing_topics_and_what_to_run),
        cmocka_unit_test(refuses_a_topic_too_small_for_its_requests),
        cmocka_unit_test(warns_of_what_may_lose_records),
        cmocka_unit_test(tells_the_truth_about_readiness),
        cmocka_unit_test(drains_in_order),
        cmocka_unit_test(does_not_wait_for_ever),
        cmocka_unit_test(hurries_at_a_second_signal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
