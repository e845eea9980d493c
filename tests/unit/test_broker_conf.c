/* The layers of Kafka properties: what wins, what is refused, what is never logged. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "common/broker_conf.h"

static void lines_are_cut_and_unescaped(void **state)
{
    (void)state;
    const char *text =
        "\n# a comment\n  security.protocol =  SASL_SSL \r\nssl.key.pem=a\\nb\nempty=\n"
        "sasl.password=p=q";
    struct broker_line l;
    assert_int_equal(broker_conf_next(&text, &l), 0);
    assert_string_equal(l.name, "security.protocol");
    assert_string_equal(l.value, "SASL_SSL");
    assert_false(l.secret);
    assert_int_equal(broker_conf_next(&text, &l), 0);
    assert_string_equal(l.value, "a\nb");
    assert_true(l.secret);
    assert_int_equal(broker_conf_next(&text, &l), 0);
    assert_string_equal(l.value, "");
    assert_int_equal(broker_conf_next(&text, &l), 0);
    assert_string_equal(l.value, "p=q");
    assert_true(l.secret);
    assert_int_equal(broker_conf_next(&text, &l), ERR_NOT_FOUND);
}

static void broken_lines_are_refused(void **state)
{
    (void)state;
    char big[BROKER_VALUE + 64];
    const char *bad[] = {"no equals", "=value", "  = x", big};
    memset(big, 'x', sizeof big);
    memcpy(big, "name=", 5);
    big[sizeof big - 1] = 0;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct broker_line l;
        assert_int_equal(broker_conf_next(&bad[i], &l), ERR_INVALID);
    }
}

struct given {
    char all[4096]; /* "name=value " as they came */
    const char *unknown, *invalid;
};

static int take(void *arg, const char *name, const char *value)
{
    struct given *g = arg;
    size_t n = strlen(g->all);
    snprintf(g->all + n, sizeof g->all - n, "%s=%s ", name, value);
    if (g->unknown && !strcmp(name, g->unknown))
        return ERR_NOT_FOUND;
    return g->invalid && !strcmp(name, g->invalid) ? ERR_INVALID : 0;
}

static const char *last(const struct given *g, const char *name)
{
    char start[64];
    const char *found = NULL;
    snprintf(start, sizeof start, "%s=", name);
    for (const char *at = g->all; (at = strstr(at, start)); at++)
        if (at == g->all || at[-1] == ' ')
            found = at + strlen(start);
    return found;
}

static void promises_win_over_the_operators_lines(void **state)
{
    (void)state;
    struct given g = {0};
    struct broker_settings s = {.servers = "h:1",
                                .client_id = "me",
                                .properties = "acks=1\nlinger.ms=5\nenable.idempotence=false"};
    assert_int_equal(broker_conf_apply(BROKER_PRODUCER, &s, NULL, take, &g), 0);
    assert_memory_equal(last(&g, "acks"), "all ", 4);
    assert_memory_equal(last(&g, "enable.idempotence"), "true ", 5);
    assert_memory_equal(last(&g, "linger.ms"), "5 ", 2);
    assert_memory_equal(last(&g, "bootstrap.servers"), "h:1 ", 4);
    assert_memory_equal(last(&g, "client.id"), "me ", 3);
    assert_memory_equal(last(&g, "partitioner"), "murmur2_random ", 15);
    assert_null(last(&g, "group.id"));
    g = (struct given){0};
    s = (struct broker_settings){.servers = "h:1",
                                 .properties = "enable.auto.commit=true\nsession.timeout.ms=6000"};
    assert_int_equal(broker_conf_apply(BROKER_CONSUMER, &s, "g", take, &g), 0);
    assert_memory_equal(last(&g, "enable.auto.commit"), "false ", 6);
    assert_memory_equal(last(&g, "session.timeout.ms"), "6000 ", 5);
    assert_memory_equal(last(&g, "group.id"), "g ", 2);
    assert_memory_equal(last(&g, "partition.assignment.strategy"), "range ", 6);
    assert_null(last(&g, "client.id"));
    assert_memory_equal(last(&g, "max.poll.interval.ms"), "45000 ", 6);
}

/* librdkafka refuses a session that is longer than the interval. */
static void a_longer_session_takes_the_interval_with_it(void **state)
{
    (void)state;
    struct given g = {0};
    struct broker_settings s = {.servers = "h:1", .properties = "session.timeout.ms=60000"};
    assert_int_equal(broker_conf_apply(BROKER_CONSUMER, &s, "g", take, &g), 0);
    assert_memory_equal(last(&g, "max.poll.interval.ms"), "60000 ", 6);
    g = (struct given){0};
    s.properties = "session.timeout.ms=60000\nmax.poll.interval.ms=90000";
    assert_int_equal(broker_conf_apply(BROKER_CONSUMER, &s, "g", take, &g), 0);
    assert_memory_equal(last(&g, "max.poll.interval.ms"), "90000 ", 6);
}

static void unknown_and_invalid_names_are_refused_but_for_our_own_optional_ones(void **state)
{
    (void)state;
    struct given g = {.unknown = "enable.metrics.push"};
    struct broker_settings s = {.servers = "h:1"};
    assert_int_equal(broker_conf_apply(BROKER_CONSUMER, &s, "g", take, &g), 0);
    g = (struct given){.unknown = "acks"};
    assert_int_equal(broker_conf_apply(BROKER_PRODUCER, &s, NULL, take, &g), ERR_INVALID);
    g = (struct given){.unknown = "my.own"};
    s.properties = "my.own=1";
    assert_int_equal(broker_conf_apply(BROKER_ADMIN, &s, NULL, take, &g), ERR_INVALID);
    g = (struct given){.invalid = "my.own"};
    assert_int_equal(broker_conf_apply(BROKER_ADMIN, &s, NULL, take, &g), ERR_INVALID);
    g = (struct given){0};
    s.properties = "no line";
    assert_int_equal(broker_conf_apply(BROKER_ADMIN, &s, NULL, take, &g), ERR_INVALID);
}

static void a_topics_configuration_is_taken(void **state)
{
    (void)state;
    struct broker_topic t = {.max_message_bytes = -1, .retention_ms = -1, .min_insync = -1};
    broker_topic_config(&t, "max.message.bytes", "1048588");
    broker_topic_config(&t, "retention.ms", "-1");
    broker_topic_config(&t, "min.insync.replicas", "2");
    assert_false(t.unclean_election);
    broker_topic_config(&t, "unclean.leader.election.enable", "true");
    assert_true(t.unclean_election);
    broker_topic_config(&t, "unclean.leader.election.enable", NULL); /* not told: no change */
    assert_true(t.unclean_election);
    broker_topic_config(&t, "cleanup.policy", "delete");
    broker_topic_config(&t, "retention.ms", "x");
    broker_topic_config(&t, "retention.ms", NULL);
    assert_int_equal(t.max_message_bytes, 1048588);
    assert_int_equal(t.retention_ms, -1);
    assert_int_equal(t.min_insync, 2);
}

static void a_topic_that_keeps_for_ever_counts_for_90_days(void **state)
{
    static const char *const for_ever[] = {"-1", "0", "9223372036854775807", "1000000000000000"};
    (void)state;
    const int64_t day = 86400000;
    struct broker_topic t = {.retention_ms = -1};
    assert_int_equal(broker_topic_keeps_ms(&t), 90 * day);
    for (size_t i = 0; i < sizeof for_ever / sizeof *for_ever; i++) {
        broker_topic_config(&t, "retention.ms", for_ever[i]);
        assert_int_equal(broker_topic_keeps_ms(&t), 90 * day);
    }
    broker_topic_config(&t, "retention.ms", "1");
    assert_int_equal(broker_topic_keeps_ms(&t), 1);
    broker_topic_config(&t, "retention.ms", "604800000");
    assert_int_equal(broker_topic_keeps_ms(&t), 7 * day);
    broker_topic_config(&t, "retention.ms", "3153600000000"); /* 100 years of 365 days */
    assert_int_equal(broker_topic_keeps_ms(&t), 36500 * day);
}

static void statistics_tell_whether_the_id_is_there(void **state)
{
    (void)state;
    assert_true(broker_stats_has_id("{\"eos\": { \"idemp_state\": \"Assigned\", \"x\": 1 }}"));
    assert_true(broker_stats_has_id("{\"eos\":{\"idemp_state\":\"Assigned\"}}"));
    assert_false(broker_stats_has_id("{\"eos\": { \"idemp_state\": \"WaitPID\" }}"));
    assert_false(broker_stats_has_id("{\"eos\": { \"idemp_state\": \"AssignedNot\" }}"));
    assert_false(broker_stats_has_id("{\"idemp_state\""));
    assert_false(broker_stats_has_id("{}"));
    assert_false(broker_stats_has_id(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_cut_and_unescaped),
        cmocka_unit_test(broken_lines_are_refused),
        cmocka_unit_test(promises_win_over_the_operators_lines),
        cmocka_unit_test(a_longer_session_takes_the_interval_with_it),
        cmocka_unit_test(unknown_and_invalid_names_are_refused_but_for_our_own_optional_ones),
        cmocka_unit_test(a_topics_configuration_is_taken),
        cmocka_unit_test(a_topic_that_keeps_for_ever_counts_for_90_days),
        cmocka_unit_test(statistics_tell_whether_the_id_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
