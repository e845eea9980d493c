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

/* A flow in steps of a second: what comes (unless it is shed), what workers start of it and end
 * `takes_s` later. Measured every 5 s. */
enum { SIM_S = 6000 };

struct sim {
    struct admission_flow f;
    int load, able; /* jobs a second: that come, that can be started */
    int takes_s;
    int now_s;
    int64_t came, started[SIM_S];
    bool shed;
    int turns; /* of shedding */
};

static int64_t open_jobs(const struct sim *s)
{
    return s->came - s->started[s->now_s];
}

static void step(struct sim *s)
{
    int64_t waiting = open_jobs(s);
    s->came += s->shed ? 0 : s->load;
    waiting += s->shed ? 0 : s->load;
    s->started[s->now_s + 1] = s->started[s->now_s] + (waiting < s->able ? waiting : s->able);
    s->now_s++;
    if (s->now_s % 5 != 0)
        return;
    int64_t done = s->now_s > s->takes_s ? s->started[s->now_s - s->takes_s] : 0;
    bool before = s->shed;
    s->shed = admission_judge(&s->f, (1000 + s->now_s) * S, s->came - done, done, 0);
    s->turns += s->shed != before;
}

/* Seconds until it sheds, or does no more; -1: not within that time. */
static int until(struct sim *s, bool shed, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        if (s->shed == shed)
            return i;
        step(s);
    }
    return -1;
}

static struct sim sim(int deadline_s, int takes_s)
{
    return (struct sim){.f = {.floor = 1000, .deadline_ms = deadline_s * 1000},
                        .takes_s = takes_s,
                        .able = 1000000};
}

static void sheds_no_load_that_workers_keep_up_with(void **state)
{
    const int deadline_s[] = {35, 120, 600};
    (void)state;
    for (size_t i = 0; i < 3; i++)
        for (int spare_s = 3; spare_s >= -2; spare_s--) { /* to the deadline, and the commit */
            struct sim s = sim(deadline_s[i], deadline_s[i] - spare_s);
            for (s.load = 25; s.load <= 3200; s.load *= 2)
                assert_int_equal(until(&s, true, 400), -1);
            s.load = 3;
            assert_int_equal(until(&s, true, 400), -1);
        }
}

static void sheds_no_flow_that_wakes_up(void **state)
{
    struct sim s = sim(35, 32);
    (void)state;
    assert_int_equal(until(&s, true, 900), -1);
    s.load = 500;
    assert_int_equal(until(&s, true, 900), -1);
    s.load = 0;
    assert_int_equal(until(&s, true, 900), -1);
    s.load = 500;
    assert_int_equal(until(&s, true, 900), -1);
}

static void sheds_while_nothing_is_done_and_comes_back(void **state)
{
    struct sim s = sim(35, 2);
    (void)state;
    s.load = 100;
    assert_int_equal(until(&s, true, 600), -1);
    s.able = 0;
    assert_in_range(until(&s, true, 600), 35, 35 + 10 + 10);
    assert_int_equal(until(&s, false, 600), -1);
    s.able = 400;
    assert_in_range(until(&s, false, 600), 1, 20);
    assert_int_equal(until(&s, true, 900), -1);
}

/* Twice as much comes as can be done. Those that are accepted end in time, workers never wait, and
 * it takes turns no quicker than half a deadline. */
static void accepts_of_too_much_what_can_be_in_time(void **state)
{
    struct sim s = sim(35, 2);
    (void)state;
    s.load = s.able = 100;
    assert_int_equal(until(&s, true, 600), -1);
    s.load = 200;
    assert_in_range(until(&s, true, 600), 35, 2 * (35 + 10) + 10);
    assert_in_range(until(&s, false, 600), 35, 90);
    s.turns = 0;
    for (int i = 0; i < 1500; i++) {
        step(&s);
        assert_in_range(open_jobs(&s), 1, 40 * s.able);
    }
    assert_in_range(s.turns, 50, 1500 / 17);
    s.load = 90; /* and when that is over */
    assert_in_range(until(&s, false, 30), 0, 20);
    assert_int_equal(until(&s, true, 900), -1);
    s.load = s.able = 180; /* more workers for more load */
    assert_int_equal(until(&s, true, 900), -1);
}

/* Workers end what has waited until its deadline, so that nothing is open for longer: of these they
 * tell. Twice as much comes as can be done; nearly all that is accepted is done in time. */
static void sheds_what_waits_for_its_end(void **state)
{
    enum { DEADLINE_S = 300, ABLE = 100, LATER_S = 5000 };
    static int64_t came[SIM_S], over[SIM_S]; /* until then */
    struct admission_flow f = {.floor = 1000, .deadline_ms = DEADLINE_S * 1000};
    int64_t all = 0, overdue = 0, lately = 0, done = 0, shed_s = 0;
    bool shed = false;
    (void)state;
    for (int t = 1; t < LATER_S; t++) {
        came[t] = came[t - 1] + (shed ? 0 : t < 600 ? ABLE : 2 * ABLE);
        int64_t late = t > DEADLINE_S ? came[t - DEADLINE_S] - over[t - 1] : 0;
        over[t] = over[t - 1] + (late > 0 ? late : 0);
        int64_t left = came[t] - over[t];
        over[t] += left < ABLE ? left : ABLE;
        overdue += late > 0 ? late : 0;
        shed_s += shed;
        if (t % 5 != 0)
            continue;
        done = t > 2 ? over[t - 2] : 0;
        int percent = over[t] > all ? (int)((overdue - lately) * 100 / (over[t] - all)) : 0;
        all = over[t];
        lately = overdue;
        shed = admission_judge(&f, (1000 + t) * S, came[t] - done, done, percent);
        assert_false(shed && t < 600 + DEADLINE_S / 2); /* those before are all in time */
    }
    assert_in_range(shed_s, (LATER_S - 600) / 3, (LATER_S - 600) * 2 / 3);
    assert_in_range(overdue, 1, DEADLINE_S * ABLE * 5 / 4); /* most of them at the rise */
}

static void sheds_nothing_up_to_the_floor_or_without_a_deadline(void **state)
{
    struct sim s = sim(35, 2), none = sim(0, 2);
    (void)state;
    s.load = 1;
    assert_in_range(until(&s, true, 2000), -1, -1);
    s.able = 0;
    assert_in_range(until(&s, true, 2000), 998, 1005);
    none.load = 1000;
    none.able = 1;
    assert_int_equal(until(&none, true, 2000), -1);
}

static void reads_going_back_as_standing_still(void **state)
{
    struct admission_flow f = {.floor = 1000, .deadline_ms = 35000};
    (void)state;
    for (int at_s = 1000; at_s < 1100; at_s += 5)
        assert_false(admission_judge(&f, at_s * S, 100, 50000, 0));
    assert_true(
        admission_judge(&f, 1100 * S, 50100, 0, 0)); /* somebody reset the group's offsets */
    for (int i = 1; i < 10; i++)
        assert_int_equal(admission_judge(&f, (1100 + i * 5) * S, 50100 - i * 5000, i * 5000, 0),
                         i < 7);
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

static void a_reload_goes_on_with_what_was_judged(void **state)
{
    static const struct broker_producer_ops ops = {.lag = fake_lag};
    struct lagging broker = {.base.ops = &ops, .high = 5000};
    struct flow before = {.name = "f", .deadline_ms = 1000, .topic = {.name = "t", .group = "g"}};
    struct flow changed[] = {before, before};
    struct flow_set flows = {.flows = &before, .flows_n = 1};
    struct flow_set next_flows = {.flows = changed, .flows_n = 2};
    struct clock_stepped clock;
    struct admission *old, *next;
    int partitions[] = {1, 1};
    (void)state;
    changed[1].deadline_ms = 2000; /* another bound: nothing of it is known */
    clock_stepped_init(&clock, 0);
    struct admission_settings settings = {.producer = &broker.base,
                                          .flows = &flows,
                                          .partitions = partitions,
                                          .clock = &clock.clock,
                                          .floor = 100};
    assert_int_equal(admission_open(&settings, &old), 0);
    for (int i = 0; i < 4; i++, clock_step(&clock, 5 * S))
        admission_measure(old);
    assert_true(admission_overloaded(old, &before));
    settings.before = old;
    settings.flows = &next_flows;
    assert_int_equal(admission_open(&settings, &next), 0);
    admission_close(old);
    assert_true(admission_overloaded(next, &changed[0]));
    assert_false(admission_overloaded(next, &changed[1]));
    admission_measure(next);
    assert_true(admission_overloaded(next, &changed[0]));
    assert_false(admission_overloaded(next, &changed[1]));
    admission_close(next);
    metrics_reset();
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
        cmocka_unit_test(sheds_no_load_that_workers_keep_up_with),
        cmocka_unit_test(sheds_no_flow_that_wakes_up),
        cmocka_unit_test(sheds_while_nothing_is_done_and_comes_back),
        cmocka_unit_test(accepts_of_too_much_what_can_be_in_time),
        cmocka_unit_test(sheds_what_waits_for_its_end),
        cmocka_unit_test(sheds_nothing_up_to_the_floor_or_without_a_deadline),
        cmocka_unit_test(reads_going_back_as_standing_still),
        cmocka_unit_test(counts_from_the_start_without_a_commit),
        cmocka_unit_test(counts_no_records_that_kafka_deleted),
        cmocka_unit_test(measures_flows_and_never_reads_unknown_as_none),
        cmocka_unit_test(counts_partitions_that_came_later),
        cmocka_unit_test(a_stop_is_not_held_up_by_the_other_flows),
        cmocka_unit_test(a_reload_goes_on_with_what_was_judged),
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
