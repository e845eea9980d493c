/* broker_kafka.c against a real broker: OFFPATH_TEST_KAFKA=host:port. Each test has topics and
 * groups of its own. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/broker.h"
#include "common/clock.h"

enum { WAIT_MS = 20000, LIST = 256 };

static struct broker_settings settings(void)
{
    const char *servers = getenv("OFFPATH_TEST_KAFKA");
    if (!servers)
        fail_msg("OFFPATH_TEST_KAFKA is not set: run tests/run");
    return (struct broker_settings){.servers = servers, .client_id = "offpath-test"};
}

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static const char *fresh(char name[64])
{
    static int n;
    snprintf(name, 64, "test-%lld-%d", (long long)clock_wall_us(clock_real()), n++);
    return name;
}

static void topic_make(const char *name, int partitions)
{
    struct broker_settings s = settings();
    struct broker_topic t = {.partitions = partitions, .replication = 1};
    char why[256] = "";
    snprintf(t.name, sizeof t.name, "%s", name);
    int err = broker_create(&s, &t, 1, WAIT_MS, why);
    if (err)
        fail_msg("create: %s %s", err_text(err), why);
    for (int64_t until = now_ms() + WAIT_MS; t.partitions && now_ms() < until;) {
        struct broker_topic now = t;
        assert_int_equal(broker_describe(&s, &now, 1, WAIT_MS), 0);
        if (now.partitions == partitions)
            return;
    }
    fail_msg("the new topic did not appear");
}

/* ---- what the producer reported */
struct reports {
    atomic_int n, batches;
    struct broker_delivery list[LIST];
};

static void on_report(void *arg, const struct broker_delivery *list, size_t n)
{
    struct reports *r = arg;
    for (size_t i = 0; i < n; i++)
        r->list[(uintptr_t)list[i].tag % LIST] = list[i];
    atomic_fetch_add(&r->batches, 1);
    atomic_fetch_add(&r->n, (int)n);
}

static struct broker_record record(const char *topic, const char *key, const char *value)
{
    return (struct broker_record){.topic = topic,
                                  .partition = -1,
                                  .key = key,
                                  .key_len = key ? strlen(key) : 0,
                                  .value = value,
                                  .value_len = value ? strlen(value) : 0};
}

static void publish_all(const char *topic, int n)
{
    struct broker_settings s = settings();
    struct reports *r = calloc(1, sizeof *r);
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, r, &p), 0);
    for (int i = 0; i < n; i++) {
        char key[16], value[16];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(value, sizeof value, "v%d", i);
        struct broker_record rec = record(topic, key, value);
        assert_int_equal(broker_publish(p, &rec, (void *)(uintptr_t)i), 0);
    }
    assert_int_equal(broker_flush(p, WAIT_MS), 0);
    assert_int_equal(atomic_load(&r->n), n);
    for (int i = 0; i < n; i++)
        assert_int_equal(r->list[i].report, REPORT_PERSISTED);
    broker_producer_close(p);
    free(r);
}

/* ---- what the consumer was told */
struct told {
    int assigned, revoked, lost, errors;
    size_t partitions;
    struct broker_consumer *commit_on_revoke;
    struct broker_partition commit;
    int commit_err;
};

static void on_assigned(void *arg, const struct broker_partition *list, size_t n)
{
    struct told *t = arg;
    (void)list;
    t->assigned++;
    t->partitions = n;
}

static void on_revoked(void *arg, const struct broker_partition *list, size_t n, bool lost)
{
    struct told *t = arg;
    (void)list;
    t->revoked++;
    t->lost += lost;
    t->partitions -= n;
    if (t->commit_on_revoke)
        t->commit_err = broker_commit(t->commit_on_revoke, &t->commit, 1, 5000);
}

static void on_error(void *arg, int err, bool fatal, const char *why)
{
    struct told *t = arg;
    (void)fatal;
    assert_true(err < 0);
    assert_non_null(why);
    t->errors++;
}

static struct broker_consumer *open_consumer(const char *group, const char *topic, struct told *t)
{
    struct broker_settings s = settings();
    struct broker_consumer_events events = {t, on_assigned, on_revoked, on_error};
    struct broker_consumer *c;
    s.properties = "session.timeout.ms=6000\nheartbeat.interval.ms=500\nmax.poll.interval.ms=6000";
    assert_int_equal(broker_kafka_consumer_open(&s, group, &topic, 1, &events, &c), 0);
    return c;
}

/* The next record as a loop would wait for it: on the descriptor, and each second. */
static const struct broker_record *next(struct broker_consumer *c, int wait_ms)
{
    int64_t until = now_ms() + wait_ms;
    for (;;) {
        const struct broker_record *r = broker_poll(c);
        if (r || now_ms() >= until)
            return r;
        struct pollfd fd = {.fd = broker_consumer_fd(c), .events = POLLIN};
        int64_t left = until - now_ms();
        poll(&fd, 1, left > 1000 ? 1000 : left > 0 ? (int)left : 0);
    }
}

/* Read n records; seen[i] counts value "v<i>". */
static void read_all(struct broker_consumer *c, int n, int *seen)
{
    for (int i = 0; i < n; i++) {
        const struct broker_record *r = next(c, WAIT_MS);
        if (!r)
            fail_msg("record %d of %d did not come", i + 1, n);
        assert_int_equal(((const char *)r->value)[0], 'v');
        char text[16] = "";
        memcpy(text, (const char *)r->value + 1, r->value_len - 1);
        seen[strtol(text, NULL, 10)]++;
    }
}

static void an_unknown_property_is_refused(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1", .properties = "no.such.thing=1"};
    struct broker_producer *p = (void *)1;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, NULL, &p), ERR_INVALID);
    assert_ptr_equal(p, (void *)1);
    s.properties = "no equals sign";
    assert_int_equal(broker_kafka_producer_open(&s, on_report, NULL, &p), ERR_INVALID);
}

static void topics_are_described_and_created_once(void **state)
{
    (void)state;
    char name[64];
    struct broker_settings s = settings();
    struct broker_topic t = {.partitions = 7};
    snprintf(t.name, sizeof t.name, "%s", fresh(name));
    assert_int_equal(broker_describe(&s, &t, 1, WAIT_MS), 0);
    assert_int_equal(t.partitions, 0);
    topic_make(name, 3);
    topic_make(name, 3);
    assert_int_equal(broker_describe(&s, &t, 1, WAIT_MS), 0);
    assert_int_equal(t.partitions, 3);
    assert_int_equal(t.replication, 1);
    assert_int_equal(t.min_insync, 1);
    assert_true(t.max_message_bytes > 100000);
    assert_int_equal(t.retention_ms, 604800000);
}

static void a_bad_topic_is_refused_with_its_name(void **state)
{
    (void)state;
    struct broker_settings s = settings();
    struct broker_topic t = {.name = "not a name!", .partitions = 1, .replication = 1};
    char why[256] = "";
    assert_int_equal(broker_create(&s, &t, 1, WAIT_MS, why), ERR_REFUSED);
    assert_non_null(strstr(why, "not a name!"));
}

static void without_a_broker_admin_ends_in_time(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1"};
    struct broker_topic t = {.name = "x", .partitions = 1, .replication = 1};
    int64_t start = now_ms();
    assert_int_not_equal(broker_describe(&s, &t, 1, 300), 0);
    assert_true(now_ms() - start < 3000);
}

/* Those of a record that came go with it into `.retry`, however many another producer had put. */
static void as_many_headers_arrive_as_may_be_published(void **state)
{
    (void)state;
    enum { MANY = BROKER_HEADERS_MAX };
    static struct event_header headers[MANY + 1];
    char topic[64], names[MANY + 1][8];
    struct broker_settings s = settings();
    struct reports r = {0};
    struct told told = {0};
    struct broker_producer *p;
    topic_make(fresh(topic), 1);
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    struct broker_record rec = record(topic, "key", "value");
    for (int i = 0; i <= MANY; i++) {
        snprintf(names[i], sizeof names[i], "h%d", i);
        headers[i] = (struct event_header){names[i], "v", 1};
    }
    rec.headers = headers;
    rec.headers_n = MANY + 1;
    assert_int_equal(broker_publish(p, &rec, (void *)5), ERR_TOO_LARGE);
    rec.headers_n = MANY;
    assert_int_equal(broker_publish(p, &rec, (void *)6), 0);
    assert_int_equal(broker_flush(p, WAIT_MS), 0);
    struct broker_consumer *c = open_consumer(topic, topic, &told);
    const struct broker_record *got = next(c, WAIT_MS);
    assert_non_null(got);
    assert_int_equal(got->headers_n, MANY);
    for (int i = 0; i < MANY; i++)
        assert_string_equal(got->headers[i].name, names[i]);
    broker_consumer_close(c);
    broker_producer_close(p);
}

static void a_record_arrives_whole(void **state)
{
    (void)state;
    char topic[64];
    struct broker_settings s = settings();
    struct reports r = {0};
    struct told told = {0};
    struct broker_producer *p;
    topic_make(fresh(topic), 1);
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    const struct event_header headers[] = {
        {"one", "1", 1}, {"empty", NULL, 0}, {"bytes", "\0\1\2", 3}};
    struct broker_record rec = record(topic, "key", "value");
    rec.headers = headers;
    rec.headers_n = 3;
    rec.timestamp_ms = clock_wall_us(clock_real()) / 1000 - 5000;
    assert_int_equal(broker_publish(p, &rec, (void *)5), 0);
    struct broker_record bare = {.topic = topic, .partition = 0};
    assert_int_equal(broker_publish(p, &bare, (void *)6), 0);
    assert_int_equal(broker_flush(p, WAIT_MS), 0);
    assert_int_equal(r.list[5].report, REPORT_PERSISTED);
    assert_int_equal(r.list[5].offset, 0);
    assert_int_equal(r.list[6].offset, 1);
    struct broker_consumer *c = open_consumer(topic, topic, &told);
    const struct broker_record *got = next(c, WAIT_MS);
    assert_non_null(got);
    assert_string_equal(got->topic, topic);
    assert_int_equal(got->timestamp_ms, rec.timestamp_ms);
    assert_int_equal(got->key_len, 3);
    assert_memory_equal(got->value, "value", 5);
    assert_int_equal(got->headers_n, 3);
    assert_string_equal(got->headers[1].name, "empty");
    assert_int_equal(got->headers[1].len, 0);
    assert_memory_equal(got->headers[2].value, "\0\1\2", 3);
    got = next(c, WAIT_MS);
    assert_non_null(got);
    assert_null(got->key);
    assert_null(got->value);
    assert_int_equal(got->headers_n, 0);
    broker_consumer_close(c);
    assert_int_equal(told.revoked, 1);
    broker_producer_close(p);
}

static void keys_land_where_java_puts_them(void **state)
{
    (void)state;
    char topic[64];
    struct broker_settings s = settings();
    struct reports r = {0};
    struct broker_producer *p;
    topic_make(fresh(topic), 3);
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    /* toPositive(murmur2(key)) % 3 of org.apache.kafka.common.utils.Utils */
    static const struct {
        const char *key;
        int partition;
    } known[] = {{"21", -973932308 & 0x7fffffff},
                 {"foobar", -790332482 & 0x7fffffff},
                 {"a-little-bit-long-string", -985981536 & 0x7fffffff}};
    for (size_t i = 0; i < 3; i++) {
        struct broker_record rec = record(topic, known[i].key, "v");
        assert_int_equal(broker_publish(p, &rec, (void *)i), 0);
    }
    assert_int_equal(broker_flush(p, WAIT_MS), 0);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r.list[i].partition, known[i].partition % 3);
    broker_producer_close(p);
}

static void without_a_broker_nothing_is_persisted(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1", .properties = "message.timeout.ms=300"};
    struct reports r = {0};
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    assert_false(broker_producer_up(p));
    struct broker_record rec = record("nowhere", "k", "v");
    assert_int_equal(broker_publish(p, &rec, (void *)3), 0);
    assert_int_equal(broker_flush(p, 10000), 0);
    assert_int_equal(r.list[3].report, REPORT_NOT_PERSISTED);
    assert_true(strlen(r.list[3].why) > 0);
    broker_producer_close(p);
}

static void close_reports_what_is_open(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1"};
    struct reports r = {0};
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    for (uintptr_t i = 0; i < 10; i++) {
        struct broker_record rec = record("nowhere", "k", "v");
        assert_int_equal(broker_publish(p, &rec, (void *)i), 0);
    }
    assert_int_equal(broker_flush(p, 1), 10);
    int64_t start = now_ms();
    broker_producer_close(p);
    assert_true(now_ms() - start < 6000);
    assert_int_equal(atomic_load(&r.n), 10);
    assert_int_not_equal(r.list[9].report, REPORT_PERSISTED);
}

static void a_full_queue_refuses(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1",
                                .properties = "queue.buffering.max.messages=2"};
    struct reports r = {0};
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    struct broker_record rec = record("nowhere", "k", "v");
    assert_int_equal(broker_publish(p, &rec, (void *)1), 0);
    assert_int_equal(broker_publish(p, &rec, (void *)2), 0);
    assert_int_equal(broker_publish(p, &rec, (void *)3), ERR_FULL);
    broker_producer_close(p);
    assert_int_equal(atomic_load(&r.n), 2);
}

static void a_huge_record_is_refused(void **state)
{
    (void)state;
    struct broker_settings s = {.servers = "127.0.0.1:1", .properties = "message.max.bytes=2000"};
    struct reports r = {0};
    struct broker_producer *p;
    static const char value[4000];
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    struct broker_record rec = record("nowhere", "k", NULL);
    rec.value = value;
    rec.value_len = sizeof value;
    assert_int_equal(broker_publish(p, &rec, (void *)1), ERR_TOO_LARGE);
    broker_producer_close(p);
    assert_int_equal(atomic_load(&r.n), 0);
}

static void a_producer_knows_its_broker_is_up(void **state)
{
    (void)state;
    struct broker_settings s = settings();
    struct reports r = {0};
    struct broker_producer *p;
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    bool up = false;
    for (int64_t until = now_ms() + WAIT_MS; !up && now_ms() < until;)
        up = broker_producer_up(p);
    assert_true(up);
    broker_producer_close(p);
}

static void committed_records_do_not_come_again(void **state)
{
    (void)state;
    char topic[64];
    int seen[20] = {0};
    struct told told = {0};
    topic_make(fresh(topic), 1);
    publish_all(topic, 20);
    struct broker_consumer *c = open_consumer(topic, topic, &told);
    read_all(c, 8, seen);
    assert_int_equal(told.assigned, 1);
    assert_int_equal(told.partitions, 1);
    struct broker_partition done = {topic, 0, 8};
    assert_int_equal(broker_commit(c, &done, 1, 5000), 0);
    broker_consumer_close(c);
    c = open_consumer(topic, topic, &told);
    read_all(c, 12, seen);
    for (int i = 0; i < 20; i++)
        assert_int_equal(seen[i], 1);
    assert_null(next(c, 300));
    done.offset = 20;
    assert_int_equal(broker_commit(c, &done, 1, 0), 0);
    broker_consumer_close(c);
}

static void a_paused_partition_is_silent_and_goes_on_where_it_was(void **state)
{
    (void)state;
    char topic[64];
    int seen[200] = {0};
    struct told told = {0};
    topic_make(fresh(topic), 1);
    publish_all(topic, 200);
    struct broker_consumer *c = open_consumer(topic, topic, &told);
    read_all(c, 5, seen);
    for (int round = 0; round < 10; round++) {
        broker_pause(c, topic, 0, true);
        broker_pause(c, topic, 0, true);
        assert_null(next(c, 150));
        broker_pause(c, topic, 0, false);
        broker_pause(c, topic, 0, false);
        read_all(c, 5, seen);
        broker_pause(c, topic, 0, false);
    }
    broker_pause(c, "other", 9, true);
    read_all(c, 145, seen);
    for (int i = 0; i < 200; i++)
        assert_int_equal(seen[i], 1);
    assert_null(next(c, 300));
    broker_consumer_close(c);
}

static void poll_two(struct broker_consumer *a, struct broker_consumer *b, const int *until_set)
{
    for (int64_t until = now_ms() + WAIT_MS; !*until_set && now_ms() < until;) {
        (void)next(a, 20);
        (void)next(b, 20);
    }
    assert_true(*until_set);
}

static void a_second_member_takes_its_share(void **state)
{
    (void)state;
    char topic[64];
    int seen[20] = {0};
    struct told one = {0}, two = {0};
    topic_make(fresh(topic), 2);
    publish_all(topic, 20);
    struct broker_consumer *a = open_consumer(topic, topic, &one);
    read_all(a, 20, seen);
    assert_int_equal(one.partitions, 2);
    /* commit from inside `revoked`, as a worker does */
    one.commit_on_revoke = a;
    one.commit = (struct broker_partition){topic, 0, 1};
    one.commit_err = ERR_BUG;
    broker_pause(a, topic, 0, true);
    struct broker_consumer *b = open_consumer(topic, topic, &two);
    poll_two(a, b, &two.assigned);
    assert_int_equal(one.revoked, 1);
    assert_int_equal(one.lost, 0);
    assert_int_equal(one.commit_err, 0);
    assert_int_equal(two.partitions, 1);
    one.commit_on_revoke = NULL;
    broker_consumer_close(b);
    int again = one.assigned + 1;
    for (int64_t until = now_ms() + WAIT_MS; one.partitions < 2 && now_ms() < until;)
        (void)next(a, 50);
    assert_int_equal(one.partitions, 2);
    assert_true(one.assigned >= again);
    broker_consumer_close(a);
}

/* As of a worker whose loop hangs; it is told when it asks again, and has its share again. */
static void a_member_that_does_not_ask_loses_its_share(void **state)
{
    (void)state;
    char topic[64];
    int seen[20] = {0};
    struct told one = {0}, two = {0};
    topic_make(fresh(topic), 2);
    publish_all(topic, 20);
    struct broker_consumer *a = open_consumer(topic, topic, &one);
    read_all(a, 20, seen);
    struct broker_consumer *b = open_consumer(topic, topic, &two);
    for (int64_t until = now_ms() + WAIT_MS; two.partitions < 2 && now_ms() < until;)
        (void)next(b, 50);
    assert_int_equal(two.partitions, 2);
    assert_int_equal(one.revoked, 0);
    int again = one.assigned + 1;
    for (int64_t until = now_ms() + WAIT_MS; one.assigned < again && now_ms() < until;) {
        (void)next(a, 20);
        (void)next(b, 20);
    }
    assert_true(one.assigned >= again && one.revoked >= 1);
    broker_consumer_close(a);
    broker_consumer_close(b);
}

static void lag_is_read_without_joining(void **state)
{
    (void)state;
    char topic[64];
    struct broker_settings s = settings();
    struct told told = {0};
    struct reports r = {0};
    struct broker_producer *p;
    int seen[30] = {0};
    topic_make(fresh(topic), 2);
    publish_all(topic, 30);
    assert_int_equal(broker_kafka_producer_open(&s, on_report, &r, &p), 0);
    struct broker_lag lag[2] = {{.partition = 0}, {.partition = 1}};
    snprintf(lag[0].topic, sizeof lag[0].topic, "%s", topic);
    snprintf(lag[1].topic, sizeof lag[1].topic, "%s", topic);
    assert_int_equal(broker_lag(p, topic, lag, 2, WAIT_MS), 0);
    assert_int_equal(lag[0].committed, -1);
    assert_int_equal(lag[0].low, 0);
    assert_int_equal(lag[0].high + lag[1].high, 30);
    int n = -1;
    assert_int_equal(broker_partitions(p, topic, WAIT_MS, &n), 0);
    assert_int_equal(n, 2);
    struct broker_consumer *c = open_consumer(topic, topic, &told);
    read_all(c, 30, seen);
    struct broker_partition done = {topic, 1, 3};
    assert_int_equal(broker_commit(c, &done, 1, 5000), 0);
    assert_int_equal(broker_lag(p, topic, lag, 2, WAIT_MS), 0);
    assert_int_equal(lag[0].committed, -1);
    assert_int_equal(lag[1].committed, 3);
    broker_consumer_close(c);
    broker_producer_close(p);
}

static void a_missing_topic_is_told_once_in_a_while(void **state)
{
    (void)state;
    char topic[64];
    struct told told = {0};
    struct broker_consumer *c = open_consumer("test-group", fresh(topic), &told);
    for (int64_t until = now_ms() + WAIT_MS; !told.errors && now_ms() < until;)
        (void)next(c, 50);
    assert_int_equal(told.errors, 1);
    broker_consumer_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_unknown_property_is_refused),
        cmocka_unit_test(topics_are_described_and_created_once),
        cmocka_unit_test(a_bad_topic_is_refused_with_its_name),
        cmocka_unit_test(without_a_broker_admin_ends_in_time),
        cmocka_unit_test(a_record_arrives_whole),
        cmocka_unit_test(as_many_headers_arrive_as_may_be_published),
        cmocka_unit_test(keys_land_where_java_puts_them),
        cmocka_unit_test(without_a_broker_nothing_is_persisted),
        cmocka_unit_test(close_reports_what_is_open),
        cmocka_unit_test(a_full_queue_refuses),
        cmocka_unit_test(a_huge_record_is_refused),
        cmocka_unit_test(a_producer_knows_its_broker_is_up),
        cmocka_unit_test(committed_records_do_not_come_again),
        cmocka_unit_test(a_paused_partition_is_silent_and_goes_on_where_it_was),
        cmocka_unit_test(a_second_member_takes_its_share),
        cmocka_unit_test(a_member_that_does_not_ask_loses_its_share),
        cmocka_unit_test(lag_is_read_without_joining),
        cmocka_unit_test(a_missing_topic_is_told_once_in_a_while),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
