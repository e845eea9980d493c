/* broker_kafka.c against librdkafka's own mock cluster: what a real broker answers only now and
 * then. Needs no server. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dirent.h>
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "common/broker.h"
#include "common/clock.h"

enum {
    METADATA = 3,
    OFFSET_FETCH = 9,
    JOIN_GROUP = 11,
    PRODUCE = 0,
    FIND_COORDINATOR = 10,
    INIT_PRODUCER_ID = 22,
    SOON_MS = 2000, /* on a machine that is slow; who waits for a broker waits longer */
    WAIT_MS = 10000
};

struct mock {
    rd_kafka_t *host;
    rd_kafka_mock_cluster_t *cluster;
    struct broker_settings settings;
};

static int start(void **state)
{
    static struct mock m;
    char why[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    m.host = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    m.cluster = rd_kafka_mock_cluster_new(m.host, 1);
    rd_kafka_mock_topic_create(m.cluster, "topic", 2, 1);
    m.settings = (struct broker_settings){.servers = rd_kafka_mock_cluster_bootstraps(m.cluster),
                                          .client_id = "offpath-test"};
    *state = &m;
    return 0;
}

static int stop(void **state)
{
    struct mock *m = *state;
    rd_kafka_mock_cluster_destroy(m->cluster);
    rd_kafka_destroy(m->host);
    return 0;
}

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static void on_report(void *arg, const struct broker_delivery *list, size_t n)
{
    (void)list;
    atomic_fetch_add((atomic_int *)arg, (int)n);
}

static bool comes_up(struct broker_producer *p, int wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    bool up;
    while (!(up = broker_producer_up(p)) && now_ms() < until)
        usleep(5000);
    return up;
}

static int ask_lag_of(struct broker_producer *p, const char *group, int wait_ms)
{
    struct broker_lag lag[2] = {{.topic = "topic"}, {.topic = "topic", .partition = 1}};
    return broker_lag(p, group, lag, 2, wait_ms);
}

static int ask_lag(struct broker_producer *p, int wait_ms)
{
    return ask_lag_of(p, "group", wait_ms);
}

/* ---- consumers */

struct member {
    struct broker_consumer *port;
    int told, partitions, refused, other;
};

static void on_assigned(void *arg, const struct broker_partition *list, size_t n)
{
    struct member *c = arg;
    (void)list;
    c->told++;
    c->partitions = (int)n;
}

static void on_revoked(void *arg, const struct broker_partition *list, size_t n, bool lost)
{
    struct member *c = arg;
    (void)list;
    (void)n;
    (void)lost;
    c->partitions = 0;
}

static void on_trouble(void *arg, int err, bool fatal, const char *why)
{
    struct member *c = arg;
    (void)why;
    c->refused += err == ERR_REFUSED;
    c->other += fatal;
}

static void join(struct mock *m, const char *group, struct member *c)
{
    const char *topics[] = {"topic"};
    const struct broker_consumer_events events = {c, on_assigned, on_revoked, on_trouble};
    *c = (struct member){0};
    assert_int_equal(broker_kafka_consumer_open(&m->settings, group, topics, 1, &events, &c->port),
                     0);
}

static bool poll_until(struct member *list, size_t n, bool (*done)(struct member *list, size_t n))
{
    int64_t until = now_ms() + 3 * WAIT_MS;
    while (!done(list, n) && now_ms() < until) {
        for (size_t i = 0; i < n; i++)
            (void)broker_poll(list[i].port);
        usleep(5000);
    }
    return done(list, n);
}

static bool all_told(struct member *list, size_t n)
{
    int partitions = 0;
    bool told = true;
    for (size_t i = 0; i < n; i++) {
        partitions += list[i].partitions;
        told &= list[i].told > 0;
    }
    return told && partitions == 2;
}

static bool is_refused(struct member *list, size_t n)
{
    (void)n;
    return list[0].refused > 0;
}

/* What /readyz of a worker stands on: no partitions is an answer, too. */
static void who_gets_no_partition_is_told_so(void **state)
{
    struct mock *m = *state;
    struct member list[3];
    for (int i = 0; i < 3; i++)
        join(m, "crowd", &list[i]);
    assert_true(poll_until(list, 3, all_told));
    for (int i = 0; i < 3; i++)
        broker_consumer_close(list[i].port);
}

static void a_group_that_may_not_be_joined_says_so(void **state)
{
    struct mock *m = *state;
    struct member one;
    rd_kafka_mock_push_request_errors(m->cluster, JOIN_GROUP, 1,
                                      RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED);
    join(m, "forbidden", &one);
    assert_true(poll_until(&one, 1, is_refused));
    assert_int_equal(one.other, 0);
    broker_consumer_close(one.port);
    rd_kafka_mock_clear_request_errors(m->cluster, JOIN_GROUP);
}

/* librdkafka before 2.10.1: the process ended if a client without a group met these (its issue
 * 5040); they come whenever a group moves to another broker. */
static void a_group_on_the_move_makes_lag_unknown(void **state)
{
    static const rd_kafka_resp_err_t errors[] = {
        RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
        RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
    };
    struct mock *m = *state;
    atomic_int reports = 0;
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&m->settings, on_report, &reports, &p), 0);
    assert_int_equal(ask_lag(p, WAIT_MS), 0);
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        rd_kafka_mock_push_request_errors(m->cluster, OFFSET_FETCH, 1, errors[i]);
        (void)ask_lag(p, WAIT_MS);
        rd_kafka_mock_clear_request_errors(m->cluster, OFFSET_FETCH);
        assert_int_equal(ask_lag(p, WAIT_MS), 0);
    }
    broker_producer_close(p);
}

/* The admin API's question ended the process when the group's coordinator came after its time. */
static void a_coordinator_that_comes_too_late_makes_lag_unknown(void **state)
{
    struct mock *m = *state;
    struct broker_settings s = m->settings;
    atomic_int reports = 0;
    struct broker_producer *p;
    s.properties = "socket.timeout.ms=1000\n";
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &reports, &p), 0);
    assert_int_equal(ask_lag(p, WAIT_MS), 0);
    rd_kafka_mock_broker_set_down(m->cluster, 1);
    for (int64_t until = now_ms() + 2500; now_ms() < until;)
        assert_int_not_equal(ask_lag(p, 300), 0);
    rd_kafka_mock_broker_set_up(m->cluster, 1);
    int err = ERR_IO;
    for (int64_t until = now_ms() + WAIT_MS; err && now_ms() < until;)
        err = ask_lag(p, 1000);
    assert_int_equal(err, 0);
    broker_producer_close(p);
}

struct clients { /* the main thread of each client of this process, in order of the numbers */
    long thread[256];
    size_t n;
};

static int by_number(const void *a, const void *b)
{
    const long *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

static struct clients clients_now(void)
{
    struct clients c = {0};
    DIR *tasks = opendir("/proc/self/task");
    const struct dirent *task;
    while ((task = readdir(tasks))) {
        char path[300], name[32] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", task->d_name);
        FILE *f = fopen(path, "r");
        if (f && fgets(name, sizeof name, f) && strcmp(name, "rdk:main\n") == 0 &&
            c.n < sizeof c.thread / sizeof *c.thread)
            c.thread[c.n++] = strtol(task->d_name, NULL, 10);
        if (f)
            fclose(f);
    }
    closedir(tasks);
    qsort(c.thread, c.n, sizeof *c.thread, by_number);
    return c;
}

static void ask_all(struct broker_producer *p, int groups)
{
    for (int i = 0; i < groups; i++) {
        char group[16];
        snprintf(group, sizeof group, "group-%d", i);
        assert_int_equal(ask_lag_of(p, group, WAIT_MS), 0);
    }
}

/* Admission asks for all flows again and again; a client takes threads and connections. */
static void each_group_keeps_its_client(void **state)
{
    enum { GROUPS = 40 };
    struct mock *m = *state;
    atomic_int reports = 0;
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&m->settings, on_report, &reports, &p), 0);
    ask_all(p, GROUPS);
    struct clients first = clients_now();
    assert_true(first.n >= GROUPS);
    ask_all(p, GROUPS);
    struct clients second = clients_now();
    assert_int_equal(second.n, first.n);
    assert_memory_equal(second.thread, first.thread, first.n * sizeof *first.thread);
    broker_producer_close(p);
}

/* The mock makes topics like a broker with auto.create.topics.enable: for who does not forbid it.
 */
static void asking_for_a_missing_topic_does_not_make_it(void **state)
{
    struct mock *m = *state;
    atomic_int reports = 0;
    struct broker_producer *p;
    int n = -1;
    rd_kafka_mock_set_apiversion(m->cluster, METADATA, 0, 4); /* where it can be forbidden */
    assert_int_equal(broker_kafka_producer_open(&m->settings, on_report, &reports, &p), 0);
    for (int i = 0; i < 2; i++) { /* with a client of its own, with that of a group */
        assert_int_equal(broker_partitions(p, "missing", WAIT_MS, &n), 0);
        assert_int_equal(n, 0);
        assert_int_equal(broker_partitions(p, "topic", WAIT_MS, &n), 0);
        assert_int_equal(n, 2);
        assert_int_equal(ask_lag(p, WAIT_MS), 0);
    }
    broker_producer_close(p);
}

static void publish(struct broker_producer *p)
{
    struct broker_record r = {
        .topic = "topic", .partition = -1, .key = "k", .key_len = 1, .value = "v", .value_len = 1};
    assert_int_equal(broker_publish(p, &r, NULL), 0);
}

/* Without its id the first record would wait for one, up to seconds. */
static void a_producer_is_up_once_it_can_publish_at_once(void **state)
{
    struct mock *m = *state;
    atomic_int reports = 0;
    struct broker_producer *p;
    for (int i = 0; i < 30; i++) /* 3 s: it asks again after 0.1 s */
        rd_kafka_mock_push_request_errors(m->cluster, INIT_PRODUCER_ID, 1,
                                          RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(broker_kafka_producer_open(&m->settings, on_report, &reports, &p), 0);
    assert_true(comes_up(p, WAIT_MS));
    int64_t began = now_ms();
    publish(p);
    while (atomic_load(&reports) == 0 && now_ms() - began < WAIT_MS)
        usleep(500);
    assert_true(now_ms() - began < SOON_MS);
    broker_producer_close(p);
}

static void a_producer_without_an_id_is_not_up(void **state)
{
    struct mock *m = *state;
    atomic_int reports = 0;
    struct broker_producer *p;
    for (int i = 0; i < 200; i++)
        rd_kafka_mock_push_request_errors(m->cluster, INIT_PRODUCER_ID, 1,
                                          RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS);
    assert_int_equal(broker_kafka_producer_open(&m->settings, on_report, &reports, &p), 0);
    assert_false(comes_up(p, 1500));
    rd_kafka_mock_clear_request_errors(m->cluster, INIT_PRODUCER_ID);
    assert_true(comes_up(p, WAIT_MS));
    broker_producer_close(p);
}

struct loss {
    atomic_int times;
    char why[256];
};

static void on_lost(void *arg, const char *why)
{
    struct loss *l = arg;
    snprintf(l->why, sizeof l->why, "%s", why);
    atomic_fetch_add(&l->times, 1);
}

/* A broker that lost track of our numbers: the library gives up for good, so somebody must be told.
 */
static void a_fatal_error_is_told_once(void **state)
{
    struct mock *m = *state;
    struct broker_settings s = m->settings;
    struct loss loss = {0};
    atomic_int reports = 0;
    struct broker_producer *p;
    s.lost = on_lost;
    s.lost_arg = &loss;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &reports, &p), 0);
    assert_true(comes_up(p, WAIT_MS));
    assert_int_equal(atomic_load(&loss.times), 0);
    rd_kafka_mock_push_request_errors(m->cluster, PRODUCE, 1,
                                      RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    publish(p);
    for (int64_t until = now_ms() + WAIT_MS; !atomic_load(&loss.times) && now_ms() < until;)
        usleep(5000);
    assert_int_equal(atomic_load(&loss.times), 1);
    assert_non_null(strstr(loss.why, "sequence"));
    struct broker_record r = {.topic = "topic", .partition = -1};
    assert_int_equal(broker_publish(p, &r, NULL), ERR_IO);
    for (int64_t until = now_ms() + WAIT_MS; broker_producer_up(p) && now_ms() < until;)
        usleep(5000);
    assert_false(broker_producer_up(p));
    assert_int_equal(atomic_load(&loss.times), 1); /* asked some more times meanwhile */
    assert_int_equal(broker_flush(p, WAIT_MS), 0);
    assert_int_equal(atomic_load(&reports), 1); /* what was on its way has its report */
    broker_producer_close(p);
}

/* A loop asks: an answer that waits for the broker would hold up every job. */
static void asking_whether_it_is_up_never_waits(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1"};
    atomic_int reports = 0;
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &reports, &p), 0);
    for (int i = 0; i < 5; i++) {
        int64_t began = now_ms();
        assert_false(broker_producer_up(p));
        assert_true(now_ms() - began < SOON_MS);
        usleep(50000);
    }
    broker_producer_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(who_gets_no_partition_is_told_so, start, stop),
        cmocka_unit_test_setup_teardown(a_group_that_may_not_be_joined_says_so, start, stop),
        cmocka_unit_test_setup_teardown(a_group_on_the_move_makes_lag_unknown, start, stop),
        cmocka_unit_test_setup_teardown(each_group_keeps_its_client, start, stop),
        cmocka_unit_test_setup_teardown(asking_for_a_missing_topic_does_not_make_it, start, stop),
        cmocka_unit_test_setup_teardown(a_coordinator_that_comes_too_late_makes_lag_unknown, start,
                                        stop),
        cmocka_unit_test_setup_teardown(a_producer_is_up_once_it_can_publish_at_once, start, stop),
        cmocka_unit_test_setup_teardown(a_producer_without_an_id_is_not_up, start, stop),
        cmocka_unit_test_setup_teardown(a_fatal_error_is_told_once, start, stop),
        cmocka_unit_test(asking_whether_it_is_up_never_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
