/* The broker in memory keeps the promises of broker.h that other tests rest on. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <string.h>
#include "common/broker_fake.h"
#include "common/loop_fake.h"

enum { WALL_US = 1795560300 };

struct world {
    struct clock_stepped clock;
    struct broker_fake *fake;
    struct broker_producer *producer;
    struct broker_consumer *consumer;
    struct broker_delivery last;
    int reports, assigned, revoked, lost, errors, fatal, fired;
    size_t partitions;
    bool commit_on_revoke;
    int commit_err;
};

static void on_report(void *arg, const struct broker_delivery *list, size_t n)
{
    struct world *w = arg;
    assert_int_equal(n, 1);
    w->last = list[0];
    w->reports++;
}

static void on_assigned(void *arg, const struct broker_partition *list, size_t n)
{
    struct world *w = arg;
    assert_true(n > 0);
    assert_non_null(list[0].topic);
    w->assigned++;
    w->partitions += n;
}

static void on_revoked(void *arg, const struct broker_partition *list, size_t n, bool lost)
{
    struct world *w = arg;
    w->revoked++;
    w->lost += lost;
    w->partitions -= n;
    if (w->commit_on_revoke) {
        struct broker_partition p = {list[0].topic, list[0].partition, 1};
        w->commit_err = broker_commit(w->consumer, &p, 1, 5000);
    }
}

static void on_error(void *arg, int err, bool fatal, const char *why)
{
    struct world *w = arg;
    assert_int_equal(err, ERR_IO);
    assert_string_equal(why, "gone");
    w->errors++;
    w->fatal += fatal;
}

static void open_world(struct world *w, struct loop *loop)
{
    static const char *const topics[] = {"jobs", "jobs.retry"};
    struct broker_consumer_events events = {w, on_assigned, on_revoked, on_error};
    *w = (struct world){0};
    clock_stepped_init(&w->clock, WALL_US * INT64_C(1000000));
    assert_int_equal(broker_fake_open(&w->clock.clock, loop, &w->fake), 0);
    assert_int_equal(broker_fake_topic(w->fake, "jobs", 3), 0);
    assert_int_equal(broker_fake_topic(w->fake, "jobs.retry", 3), 0);
    assert_int_equal(broker_fake_producer_open(w->fake, on_report, w, &w->producer), 0);
    assert_int_equal(broker_fake_consumer_open(w->fake, "group", topics, 2, &events, &w->consumer),
                     0);
}

static int setup(void **state)
{
    static struct world w;
    open_world(&w, NULL);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    broker_producer_close(w->producer);
    broker_consumer_close(w->consumer);
    broker_fake_close(w->fake);
    return 0;
}

static struct broker_record record(const char *topic, const char *key, const char *value)
{
    return (struct broker_record){.topic = topic,
                                  .partition = -1,
                                  .key = key,
                                  .key_len = key ? strlen(key) : 0,
                                  .value = value,
                                  .value_len = strlen(value)};
}

static int publish(struct world *w, const char *key, const char *value, void *tag)
{
    struct broker_record r = record("jobs", key, value);
    return broker_publish(w->producer, &r, tag);
}

static void a_publish_is_kept_and_reported(void **state)
{
    struct world *w = *state;
    static const struct event_header headers[] = {{"a", "1", 1}, {"b", NULL, 0}};
    char value[] = "value";
    struct broker_record r = record("jobs", "21", value);
    r.headers = headers;
    r.headers_n = 2;
    assert_int_equal(broker_publish(w->producer, &r, w), 0);
    memset(value, 'x', 5); /* it was copied */
    assert_int_equal(w->reports, 1);
    assert_ptr_equal(w->last.tag, w);
    assert_int_equal(w->last.report, REPORT_PERSISTED);
    assert_int_equal(w->last.offset, 0);
    assert_int_equal(w->last.partition, (-973932308 & 0x7fffffff) % 3); /* Kafka's murmur2 */
    const struct broker_record *kept = broker_fake_at(w->fake, "jobs", w->last.partition, 0);
    assert_memory_equal(kept->value, "value", 5);
    assert_string_equal(kept->headers[1].name, "b");
    assert_null(kept->headers[1].value);
    assert_int_equal(kept->timestamp_ms, WALL_US * INT64_C(1000));
    assert_null(broker_fake_at(w->fake, "jobs", w->last.partition, 1));
    assert_int_equal(broker_fake_end(w->fake, "jobs", w->last.partition), 1);
    assert_int_equal(broker_flush(w->producer, 0), 0);
}

static void keys_land_where_kafka_puts_them(void **state)
{
    struct world *w = *state;
    assert_int_equal(publish(w, "foobar", "v", NULL), 0);
    assert_int_equal(w->last.partition, (-790332482 & 0x7fffffff) % 3);
    assert_int_equal(publish(w, "a-little-bit-long-string", "v", NULL), 0);
    assert_int_equal(w->last.partition, (-985981536 & 0x7fffffff) % 3);
    int seen = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(publish(w, NULL, "v", NULL), 0);
        seen |= 1 << w->last.partition;
    }
    assert_int_equal(seen, 7);
}

static void publishes_fail_as_told(void **state)
{
    struct world *w = *state;
    broker_fake_fail(w->fake, FAKE_PUBLISH, 2, ERR_FULL);
    assert_int_equal(publish(w, "k", "1", NULL), 0);
    assert_int_equal(publish(w, "k", "2", NULL), ERR_FULL);
    assert_int_equal(w->reports, 1);
    broker_fake_fail(w->fake, FAKE_REPORT, 1, REPORT_NOT_PERSISTED);
    assert_int_equal(publish(w, "k", "3", NULL), 0);
    assert_int_equal(w->last.report, REPORT_NOT_PERSISTED);
    assert_int_equal(broker_fake_end(w->fake, "jobs", w->last.partition), -1);
    broker_fake_fail(w->fake, FAKE_REPORT, 1, REPORT_POSSIBLY_PERSISTED);
    assert_int_equal(publish(w, "k", "4", NULL), 0);
    assert_int_equal(w->last.report, REPORT_POSSIBLY_PERSISTED);
    assert_int_equal(publish(w, "k", "5", NULL), 0);
    assert_int_equal(w->last.offset, 2); /* 1, 4 and 5 stand there */
    struct broker_record nowhere = record("nowhere", "k", "v");
    assert_int_equal(broker_publish(w->producer, &nowhere, NULL), 0);
    assert_int_equal(w->last.report, REPORT_NOT_PERSISTED);
}

static void held_reports_wait_and_close_tells_them(void **state)
{
    struct world *w = *state;
    broker_fake_hold(w->fake, true);
    assert_int_equal(publish(w, "k", "1", NULL), 0);
    assert_int_equal(broker_flush(w->producer, 1000), 1);
    assert_int_equal(w->reports, 0);
    broker_fake_hold(w->fake, false);
    assert_int_equal(w->reports, 1);
    assert_int_equal(w->last.report, REPORT_PERSISTED);
    broker_fake_hold(w->fake, true);
    assert_int_equal(publish(w, "k", "2", NULL), 0);
    broker_producer_close(w->producer);
    w->producer = NULL;
    assert_int_equal(w->reports, 2);
    assert_int_equal(w->last.report, REPORT_POSSIBLY_PERSISTED);
}

static void an_absent_broker_keeps_nothing(void **state)
{
    struct world *w = *state;
    struct broker_lag lag = {.topic = "jobs"};
    int n = -1;
    assert_int_equal(broker_partitions(w->producer, "jobs", 10, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(broker_partitions(w->producer, "none", 10, &n), 0);
    assert_int_equal(n, 0);
    broker_fake_away(w->fake, true);
    assert_int_equal(broker_partitions(w->producer, "jobs", 10, &n), ERR_TIMEOUT);
    assert_false(broker_producer_up(w->producer));
    assert_int_equal(publish(w, "k", "1", NULL), 0);
    assert_int_equal(w->last.report, REPORT_NOT_PERSISTED);
    assert_int_equal(broker_lag(w->producer, "group", &lag, 1, 10), ERR_TIMEOUT);
    broker_fake_away(w->fake, false);
    assert_true(broker_producer_up(w->producer));
    assert_int_equal(publish(w, "k", "2", NULL), 0);
    assert_int_equal(w->last.report, REPORT_PERSISTED);
}

/* Read all that comes; how many. */
static int read_all(struct world *w)
{
    int n = 0;
    while (broker_poll(w->consumer))
        n++;
    return n;
}

static void records_come_after_assignment_and_pauses_hold(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(publish(w, NULL, "v", NULL), 0);
    assert_null(broker_poll(w->consumer));
    broker_fake_assign(w->consumer);
    assert_int_equal(w->assigned, 0);
    assert_int_equal(read_all(w), 6);
    assert_int_equal(w->assigned, 1);
    assert_int_equal(w->partitions, 6);
    broker_pause(w->consumer, "jobs", 1, true);
    broker_pause(w->consumer, "jobs", 1, true);
    assert_true(broker_fake_paused(w->consumer, "jobs", 1));
    for (int i = 0; i < 6; i++)
        assert_int_equal(publish(w, NULL, "v", NULL), 0);
    assert_int_equal(read_all(w), 4);
    broker_pause(w->consumer, "jobs", 1, false);
    assert_int_equal(read_all(w), 2);
}

static void commits_are_kept_for_the_next_assignment(void **state)
{
    struct world *w = *state;
    struct broker_lag lag[1] = {{.topic = "jobs"}};
    for (int i = 0; i < 3; i++) {
        struct broker_record r = record("jobs", NULL, "v");
        r.partition = 0;
        assert_int_equal(broker_fake_put(w->fake, &r), 0);
    }
    struct broker_record r = record("jobs", NULL, "v");
    r.partition = 3;
    assert_int_equal(broker_fake_put(w->fake, &r), ERR_NOT_FOUND);
    struct broker_partition p = {"jobs", 0, 2};
    assert_int_equal(broker_commit(w->consumer, &p, 1, 0), ERR_CONFLICT);
    broker_fake_assign_one(w->consumer, "jobs", 0);
    assert_int_equal(read_all(w), 3);
    assert_int_equal(broker_lag(w->producer, "group", lag, 1, 10), 0);
    assert_int_equal(lag[0].committed, -1);
    broker_fake_fail(w->fake, FAKE_COMMIT, 1, ERR_TIMEOUT);
    assert_int_equal(broker_commit(w->consumer, &p, 1, 10), ERR_TIMEOUT);
    assert_int_equal(broker_commit(w->consumer, &p, 1, 10), 0);
    assert_int_equal(broker_fake_committed(w->fake, "group", "jobs", 0), 2);
    assert_int_equal(broker_fake_committed(w->fake, "other", "jobs", 0), -1);
    broker_fake_revoke(w->consumer, false);
    broker_fake_assign_one(w->consumer, "jobs", 0);
    assert_int_equal(read_all(w), 1);
    assert_int_equal(broker_lag(w->producer, "group", lag, 1, 10), 0);
    assert_int_equal(lag[0].committed, 2);
    assert_int_equal(lag[0].high, 3);
    broker_fake_fail(w->fake, FAKE_LAG, 1, ERR_IO);
    assert_int_equal(broker_lag(w->producer, "group", lag, 1, 10), ERR_IO);
}

static void what_is_revoked_may_be_committed_but_not_what_is_lost(void **state)
{
    struct world *w = *state;
    w->commit_on_revoke = true;
    w->commit_err = ERR_BUG;
    broker_fake_assign_one(w->consumer, "jobs", 2);
    broker_fake_revoke(w->consumer, false);
    assert_null(broker_poll(w->consumer));
    assert_int_equal(w->commit_err, 0);
    assert_int_equal(w->lost, 0);
    broker_fake_assign_one(w->consumer, "jobs", 2);
    broker_fake_revoke(w->consumer, true);
    assert_null(broker_poll(w->consumer));
    assert_int_equal(w->commit_err, ERR_CONFLICT);
    assert_int_equal(w->lost, 1);
    assert_int_equal(w->partitions, 0);
    w->commit_on_revoke = false;
    broker_fake_assign(w->consumer);
    assert_null(broker_poll(w->consumer));
    broker_consumer_close(w->consumer);
    w->consumer = NULL;
    assert_int_equal(w->revoked, 3);
}

static void a_topic_that_was_made_anew_begins_at_nought(void **state)
{
    struct world *w = *state;
    struct broker_record r = record("jobs", NULL, "old");
    r.partition = 0;
    broker_fake_assign_one(w->consumer, "jobs", 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(broker_fake_put(w->fake, &r), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(broker_poll(w->consumer)->offset, i);
    broker_fake_rewind(w->consumer, "jobs", 0, 1);
    assert_int_equal(broker_poll(w->consumer)->offset, 1);
    broker_fake_remake(w->fake, "jobs");
    assert_int_equal(broker_fake_end(w->fake, "jobs", 0), 0);
    assert_null(broker_poll(w->consumer));
    assert_int_equal(broker_fake_put(w->fake, &r), 0);
    assert_int_equal(broker_poll(w->consumer)->offset, 0);
}

static void errors_are_told_in_the_poll(void **state)
{
    struct world *w = *state;
    broker_fake_error(w->consumer, ERR_IO, true, "gone");
    assert_int_equal(w->errors, 0);
    assert_null(broker_poll(w->consumer));
    assert_int_equal(w->errors, 1);
    assert_int_equal(w->fatal, 1);
}

static void the_descriptor_says_that_something_waits(void **state)
{
    struct world *w = *state;
    struct pollfd fd = {.fd = broker_consumer_fd(w->consumer), .events = POLLIN};
    assert_int_equal(poll(&fd, 1, 0), 0);
    broker_fake_assign(w->consumer);
    assert_int_equal(poll(&fd, 1, 0), 1);
    assert_int_equal(read_all(w), 0);
    assert_int_equal(poll(&fd, 1, 0), 0);
    assert_int_equal(publish(w, "k", "v", NULL), 0);
    assert_int_equal(poll(&fd, 1, 0), 1);
    assert_int_equal(read_all(w), 1);
    struct broker_record r = record("jobs", "k", "v");
    assert_int_equal(broker_fake_put(w->fake, &r), 0);
    assert_int_equal(poll(&fd, 1, 0), 1);
}

static void on_ready(void *arg, int events)
{
    struct world *w = arg;
    assert_int_equal(events, LOOP_READ);
    w->fired++;
    read_all(w);
}

static void with_a_loop_all_comes_in_its_next_turn(void **state)
{
    (void)state;
    struct world w;
    struct loop *loop;
    assert_int_equal(loop_fake_open(0, &loop), 0);
    open_world(&w, loop);
    struct loop_io *io = loop_io_new(loop, broker_consumer_fd(w.consumer), on_ready, &w);
    loop_io_set(loop, io, LOOP_READ);
    broker_fake_assign(w.consumer);
    assert_int_equal(publish(&w, "k", "v", NULL), 0);
    assert_int_equal(w.reports, 0);
    loop_fake_run_for(loop, 1);
    assert_int_equal(w.reports, 1);
    assert_int_equal(w.assigned, 1);
    assert_true(w.fired > 0);
    loop_io_free(loop, io);
    broker_consumer_close(w.consumer);
    broker_producer_close(w.producer);
    broker_fake_close(w.fake);
    loop_close(loop);
}

#define with_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(a_publish_is_kept_and_reported),
        with_world(keys_land_where_kafka_puts_them),
        with_world(publishes_fail_as_told),
        with_world(held_reports_wait_and_close_tells_them),
        with_world(an_absent_broker_keeps_nothing),
        with_world(records_come_after_assignment_and_pauses_hold),
        with_world(commits_are_kept_for_the_next_assignment),
        with_world(what_is_revoked_may_be_committed_but_not_what_is_lost),
        with_world(a_topic_that_was_made_anew_begins_at_nought),
        with_world(errors_are_told_in_the_poll),
        with_world(the_descriptor_says_that_something_waits),
        cmocka_unit_test(with_a_loop_all_comes_in_its_next_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
