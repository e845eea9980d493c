/* A consumer group of a shard: what is committed, when partitions pause, what a revoke does. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/broker_fake.h"
#include "common/loop_fake.h"
#include "worker/consumer.h"

struct world {
    struct loop *loop;
    struct broker_fake *broker;
    struct broker_consumer *port;
    struct consumer *consumer;
    struct partition *partition[2]; /* as seen with their records */
    int64_t taken[64];
    size_t taken_n;
    unsigned revoked, fatal;
    bool shut;
    int refuse; /* so many takes fail */
};

static int take(void *arg, struct partition *p, const struct broker_record *r)
{
    struct world *w = arg;
    if (w->refuse) {
        w->refuse--;
        return ERR_NOMEM;
    }
    w->partition[p->number] = p;
    w->taken[w->taken_n++ % 64] = r->offset;
    return 0;
}

static void revoked(void *arg, struct partition *p)
{
    (void)p;
    ((struct world *)arg)->revoked++;
}

static bool shut(void *arg, bool late)
{
    (void)late;
    return ((struct world *)arg)->shut;
}

static void fatal(void *arg, const char *why)
{
    (void)why;
    ((struct world *)arg)->fatal++;
}

static int open_port(void *arg, const char *group, const char *const *topics, size_t n,
                     const struct broker_consumer_events *events, struct broker_consumer **out)
{
    struct world *w = arg;
    int err = broker_fake_consumer_open(w->broker, group, topics, n, events, out);
    w->port = *out;
    return err;
}

static void run(struct world *w)
{
    loop_fake_run_for(w->loop, 5);
}

static void put(struct world *w, int partition, const char *value)
{
    const struct broker_record r = {
        .topic = "t", .partition = partition, .value = value, .value_len = strlen(value)};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
}

static int64_t committed(struct world *w, int partition)
{
    consumer_tick(w->consumer);
    return broker_fake_committed(w->broker, "g", "t", partition);
}

static void open_consumer(struct world *w)
{
    const char *topics[] = {"t"};
    const struct consumer_settings s = {
        .group = "g",
        .topics = topics,
        .topics_n = 1,
        .open = open_port,
        .open_arg = w,
        .loop = w->loop,
        .events = {.arg = w, .take = take, .revoked = revoked, .shut = shut, .fatal = fatal}};
    assert_int_equal(consumer_open(&s, &w->consumer), 0);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_int_equal(loop_fake_open(0, &w->loop), 0);
    assert_int_equal(broker_fake_open(loop_fake_clock(w->loop), w->loop, &w->broker), 0);
    assert_int_equal(broker_fake_topic(w->broker, "t", 2), 0);
    open_consumer(w);
    broker_fake_assign(w->port);
    run(w);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    consumer_close(w->consumer);
    run(w);
    broker_fake_close(w->broker);
    loop_close(w->loop);
    free(w);
    return 0;
}

static void a_group_that_refuses_is_trouble_until_it_assigns(void **state)
{
    struct world *w = *state;
    assert_null(consumer_trouble(w->consumer));
    broker_fake_error(w->port, ERR_IO, false, "broker down"); /* the library connects again */
    run(w);
    assert_null(consumer_trouble(w->consumer));
    broker_fake_error(w->port, ERR_REFUSED, false, "group authorization failed");
    run(w);
    assert_string_equal(consumer_trouble(w->consumer), "group-refused");
    assert_int_equal(w->fatal, 0);
    broker_fake_assign_one(w->port, "t", 0);
    run(w);
    assert_null(consumer_trouble(w->consumer));
}

static void never_assigned_is_trouble_but_no_partitions_are_not(void **state)
{
    struct world *w = *state;
    consumer_close(w->consumer);
    open_consumer(w);
    loop_fake_run_for(w->loop, 29000);
    assert_null(consumer_trouble(w->consumer));
    loop_fake_run_for(w->loop, 2000);
    assert_string_equal(consumer_trouble(w->consumer), "not-assigned");
    broker_fake_assign_none(w->port);
    run(w);
    assert_null(consumer_trouble(w->consumer));
}

static void commits_only_the_finished_beginning(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 3; i++)
        put(w, 0, "x");
    run(w);
    assert_int_equal(w->taken_n, 3);
    consumer_done(w->partition[0], 1);
    assert_true(committed(w, 0) <= 0);
    consumer_done(w->partition[0], 0);
    assert_int_equal(committed(w, 0), 2);
    consumer_done(w->partition[0], 2);
    assert_int_equal(committed(w, 0), 3);
}

static void a_failed_commit_is_sent_again(void **state)
{
    struct world *w = *state;
    put(w, 0, "x");
    run(w);
    consumer_done(w->partition[0], 0);
    broker_fake_fail(w->broker, FAKE_COMMIT, 1, ERR_IO);
    assert_true(committed(w, 0) <= 0);
    assert_int_equal(committed(w, 0), 1);
}

/* As when the group's coordinator moves: nobody hears that the commit was lost. */
static void a_commit_that_was_lost_is_sent_again(void **state)
{
    struct world *w = *state;
    for (int revoke = 0; revoke < 2; revoke++) {
        put(w, revoke, "x");
        run(w);
        consumer_done(w->partition[revoke], 0);
        broker_fake_away(w->broker, true);
        consumer_tick(w->consumer);
        broker_fake_away(w->broker, false);
        assert_true(committed(w, revoke) <= 0);
        for (int i = 0; i < 60 && !revoke; i++)
            consumer_tick(w->consumer);
        if (revoke) {
            broker_fake_revoke(w->port, false);
            consumer_tick(w->consumer);
        }
        assert_int_equal(broker_fake_committed(w->broker, "g", "t", revoke), 1);
    }
}

static void pauses_while_shut_and_goes_on(void **state)
{
    struct world *w = *state;
    w->shut = true;
    put(w, 0, "x");
    put(w, 0, "y");
    run(w);
    assert_int_equal(w->taken_n, 1); /* the one that found it shut */
    assert_true(broker_fake_paused(w->port, "t", 0));
    assert_true(broker_fake_paused(w->port, "t", 1));
    w->shut = false;
    consumer_adjust(w->consumer);
    run(w);
    consumer_tick(w->consumer);
    assert_false(broker_fake_paused(w->port, "t", 0));
    assert_int_equal(w->taken_n, 2);
}

static void what_cannot_be_taken_is_kept_in_order(void **state)
{
    struct world *w = *state;
    w->refuse = 1;
    put(w, 0, "x");
    put(w, 0, "y");
    put(w, 1, "z");
    run(w);
    consumer_tick(w->consumer);
    run(w);
    consumer_tick(w->consumer);
    run(w);
    assert_int_equal(w->taken_n, 3);
    assert_false(broker_fake_paused(w->port, "t", 0));
    consumer_done(w->partition[0], 1);
    assert_true(committed(w, 0) <= 0); /* the first of them is still open */
    consumer_done(w->partition[0], 0);
    assert_int_equal(committed(w, 0), 2);
}

static void pauses_nothing(struct broker_consumer *c, const char *topic, int32_t partition, bool on)
{
    (void)c;
    (void)topic;
    (void)partition;
    (void)on;
}

/* What was fetched before the pause comes all the same: it waits behind what waits already. */
static void what_comes_while_another_waits_does_not_overtake_it(void **state)
{
    struct world *w = *state;
    static struct broker_consumer_ops late;
    late = *w->port->ops;
    late.pause = pauses_nothing;
    w->port->ops = &late;
    w->refuse = 1;
    for (int i = 0; i < 3; i++)
        put(w, 0, "x");
    run(w);
    for (int i = 0; i < 3; i++) {
        consumer_tick(w->consumer);
        run(w);
    }
    assert_int_equal(w->taken_n, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->taken[i], i);
}

/* Told once for each, and only of those that wait for more than a moment. */
static void what_cannot_be_taken_for_seconds_is_told(void **state)
{
    struct world *w = *state;
    fflush(stderr);
    int old = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
    char text[4096] = "";
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    w->refuse = 1000;
    put(w, 1, "x");
    for (int s = 0; s < 4; s++) {
        loop_fake_run_for(w->loop, 1000);
        consumer_tick(w->consumer);
    }
    ssize_t early = pread(file, text, sizeof text - 1, 0);
    for (int s = 0; s < 60; s++) {
        loop_fake_run_for(w->loop, 1000);
        consumer_tick(w->consumer);
    }
    dup2(old, STDERR_FILENO);
    ssize_t n = pread(file, text, sizeof text - 1, 0);
    close(old);
    close(file);
    text[n > 0 ? n : 0] = 0;
    assert_int_equal(early, 0);
    const char *told = strstr(text, "record-waits");
    assert_non_null(told);
    assert_non_null(strstr(told, "topic=t partition=1 offset=0 "));
    assert_null(strstr(told + 1, "record-waits"));
    w->refuse = 0;
    consumer_tick(w->consumer);
    assert_int_equal(w->taken_n, 1);
}

static void a_revoke_commits_first_and_forgets(void **state)
{
    struct world *w = *state;
    put(w, 0, "x");
    put(w, 1, "y");
    run(w);
    consumer_done(w->partition[0], 0);
    broker_fake_revoke(w->port, false);
    consumer_tick(w->consumer);
    assert_int_equal(w->revoked, 2);
    assert_int_equal(broker_fake_committed(w->broker, "g", "t", 0), 1);
    assert_true(broker_fake_committed(w->broker, "g", "t", 1) <= 0);
    struct consumer_numbers n = {0};
    consumer_count(w->consumer, &n);
    assert_int_equal(n.partitions, 0);
}

static void what_was_lost_is_not_committed(void **state)
{
    struct world *w = *state;
    put(w, 0, "x");
    run(w);
    consumer_done(w->partition[0], 0);
    broker_fake_revoke(w->port, true);
    consumer_tick(w->consumer);
    assert_true(broker_fake_committed(w->broker, "g", "t", 0) <= 0);
    /* given again, it starts from what is committed */
    broker_fake_assign(w->port);
    consumer_tick(w->consumer);
    run(w);
    consumer_tick(w->consumer);
    assert_int_equal(w->taken_n, 2);
}

/* Deleted and made anew, between two fetches: nobody says so. What came before goes on, and its
 * numbers are not those of what comes now. */
static void a_log_that_begins_again_is_taken_from_there(void **state)
{
    struct world *w = *state;
    const char *old[] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        put(w, 0, old[i]);
    run(w);
    struct partition *before = w->partition[0];
    consumer_done(before, 0);
    consumer_done(before, 2);
    assert_int_equal(committed(w, 0), 1);
    broker_fake_remake(w->broker, "t");
    put(w, 0, "d");
    put(w, 0, "e");
    run(w);
    assert_int_equal(w->taken_n, 5);
    assert_int_equal(w->taken[3], 0);
    assert_int_equal(w->taken[4], 1);
    consumer_done(before, 1);
    consumer_done(w->partition[0], 0);
    assert_int_equal(committed(w, 0), 1);
    consumer_done(w->partition[0], 1);
    assert_int_equal(committed(w, 0), 2);
    for (int i = 0; i < 70; i++) /* also not when all is committed anew */
        assert_int_equal(committed(w, 0), 2);
    assert_int_equal(w->revoked, 1);
}

/* The same number: the new record is open though the old one of this number ends. */
static void what_ends_of_a_log_that_is_gone_ends_nothing_of_the_next(void **state)
{
    struct world *w = *state;
    put(w, 0, "a");
    put(w, 0, "b");
    run(w);
    struct partition *before = w->partition[0];
    broker_fake_remake(w->broker, "t");
    put(w, 0, "c");
    run(w);
    assert_int_equal(w->taken_n, 3);
    consumer_done(before, 0);
    consumer_done(before, 1);
    assert_true(committed(w, 0) <= 0);
    consumer_done(w->partition[0], 0);
    assert_int_equal(committed(w, 0), 1);
}

/* While it was away the new owner has committed beyond it. */
static void what_ends_late_of_a_log_that_is_gone_holds_no_commit_behind_a_revoke(void **state)
{
    struct world *w = *state;
    put(w, 0, "a");
    put(w, 0, "b");
    run(w);
    consumer_done(w->partition[0], 0); /* b is open */
    broker_fake_remake(w->broker, "t");
    put(w, 0, "c");
    run(w);
    consumer_done(w->partition[0], 0);
    assert_int_equal(committed(w, 0), 1);
    broker_fake_revoke(w->port, false);
    broker_fake_assign(w->port);
    put(w, 0, "d");
    run(w);
    consumer_done(w->partition[0], 1);
    put(w, 0, "e");
    run(w);
    consumer_done(w->partition[0], 2);
    assert_int_equal(committed(w, 0), 3);
}

static void records_that_come_twice_pass_no_unfinished_one(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 5; i++)
        put(w, 0, "x");
    run(w);
    struct partition *before = w->partition[0];
    for (int i = 1; i < 5; i++)
        consumer_done(before, i);
    broker_fake_rewind(w->port, "t", 0, 3);
    run(w);
    assert_int_equal(w->taken_n, 7);
    consumer_done(w->partition[0], 3);
    consumer_done(w->partition[0], 4);
    assert_true(committed(w, 0) <= 0);
    consumer_done(before, 0);
    assert_int_equal(committed(w, 0), 5);
}

static void counts_what_it_holds(void **state)
{
    struct world *w = *state;
    put(w, 0, "x");
    put(w, 1, "y");
    run(w);
    struct consumer_numbers n = {0};
    consumer_count(w->consumer, &n);
    assert_int_equal(n.partitions, 2);
    assert_int_equal(n.unfinished, 2);
    assert_int_equal(n.paused, 0);
}

static void only_a_fatal_error_is_told(void **state)
{
    struct world *w = *state;
    broker_fake_error(w->port, ERR_IO, false, "broker down");
    consumer_tick(w->consumer);
    assert_int_equal(w->fatal, 0);
    broker_fake_error(w->port, ERR_IO, true, "fenced");
    consumer_tick(w->consumer);
    assert_int_equal(w->fatal, 1);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_group_that_refuses_is_trouble_until_it_assigns),
        CASE(never_assigned_is_trouble_but_no_partitions_are_not),
        CASE(commits_only_the_finished_beginning),
        CASE(a_failed_commit_is_sent_again),
        CASE(a_commit_that_was_lost_is_sent_again),
        CASE(pauses_while_shut_and_goes_on),
        CASE(what_cannot_be_taken_is_kept_in_order),
        CASE(what_comes_while_another_waits_does_not_overtake_it),
        CASE(what_cannot_be_taken_for_seconds_is_told),
        CASE(a_revoke_commits_first_and_forgets),
        CASE(what_was_lost_is_not_committed),
        CASE(a_log_that_begins_again_is_taken_from_there),
        CASE(what_ends_of_a_log_that_is_gone_ends_nothing_of_the_next),
        CASE(what_ends_late_of_a_log_that_is_gone_holds_no_commit_behind_a_revoke),
        CASE(records_that_come_twice_pass_no_unfinished_one),
        CASE(counts_what_it_holds),
        CASE(only_a_fatal_error_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
