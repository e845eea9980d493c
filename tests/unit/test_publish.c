/* publish.h: one report, one thread; every outcome; a report that comes too late harms nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>

#include "gateway/publish.h"

enum { TAGS = 64 };

/* A producer that keeps tags until the test reports them, or reports from publish itself. */
struct fake {
    struct broker_producer base;
    struct publisher *publisher;
    pthread_mutex_t lock;
    pthread_cond_t more;
    void *tag[TAGS];
    size_t n;
    int refuse;   /* publish returns this */
    bool at_once; /* report from within publish */
    enum broker_report report;
    bool closed;
    int asked, up_after;
};

static void report(struct fake *f, void *const *tags, size_t n, enum broker_report what)
{
    struct broker_delivery list[TAGS];
    for (size_t i = 0; i < n; i++)
        list[i] = (struct broker_delivery){.tag = tags[i], .report = what, .why = ""};
    publisher_reports(f->publisher, list, n);
}

static int fake_publish(struct broker_producer *p, const struct broker_record *r, void *tag)
{
    struct fake *f = (struct fake *)p;
    (void)r;
    if (f->refuse)
        return f->refuse;
    if (f->at_once) {
        report(f, &tag, 1, f->report);
        return 0;
    }
    pthread_mutex_lock(&f->lock);
    f->tag[f->n++] = tag;
    pthread_cond_signal(&f->more);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void fake_close(struct broker_producer *p)
{
    ((struct fake *)p)->closed = true;
}

static bool fake_up(struct broker_producer *p)
{
    struct fake *f = (struct fake *)p;
    return f->asked++ >= f->up_after;
}

static const struct broker_producer_ops ops = {
    .publish = fake_publish, .up = fake_up, .close = fake_close};
static const struct broker_record record = {.topic = "t", .value = "{}", .value_len = 2};

static void open_fake(struct fake *f, int wait_ms, size_t queue_max)
{
    *f = (struct fake){
        .base.ops = &ops, .lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};
    assert_int_equal(publisher_open(wait_ms, queue_max, &f->publisher), 0);
    publisher_use(f->publisher, &f->base, NULL);
}

static void wait_tags(struct fake *f, size_t n)
{
    pthread_mutex_lock(&f->lock);
    while (f->n < n)
        pthread_cond_wait(&f->more, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void tells_each_outcome(void **state)
{
    static const struct {
        enum broker_report report;
        int err;
    } rows[] = {{REPORT_PERSISTED, 0},
                {REPORT_NOT_PERSISTED, ERR_NOT_DURABLE},
                {REPORT_POSSIBLY_PERSISTED, ERR_OUTCOME_UNKNOWN}};
    struct fake f;
    (void)state;
    open_fake(&f, 1000, 10);
    f.at_once = true;
    for (size_t i = 0; i < 3; i++) {
        f.report = rows[i].report;
        assert_int_equal(publish_wait(f.publisher, &record), rows[i].err);
        assert_int_equal(publisher_open_count(f.publisher), 0);
    }
    publisher_close(f.publisher);
    assert_true(f.closed);
}

static void tells_what_was_not_sent(void **state)
{
    static const struct {
        int from, to;
    } rows[] = {
        {ERR_FULL, ERR_OVERLOADED}, {ERR_TOO_LARGE, ERR_TOO_LARGE}, {ERR_IO, ERR_NOT_DURABLE}};
    struct fake f;
    (void)state;
    open_fake(&f, 1000, 10);
    for (size_t i = 0; i < 3; i++) {
        f.refuse = rows[i].from;
        assert_int_equal(publish_wait(f.publisher, &record), rows[i].to);
        assert_int_equal(publisher_open_count(f.publisher), 0);
    }
    publisher_close(f.publisher);
}

static void bounds_the_queue(void **state)
{
    struct fake f;
    (void)state;
    open_fake(&f, 1, 2);
    assert_int_equal(publish_wait(f.publisher, &record), ERR_OUTCOME_UNKNOWN);
    assert_int_equal(publish_wait(f.publisher, &record), ERR_OUTCOME_UNKNOWN);
    assert_int_equal(publisher_open_count(f.publisher), 2);
    assert_int_equal(publish_wait(f.publisher, &record), ERR_OVERLOADED);
    report(&f, f.tag, 2, REPORT_PERSISTED);
    f.at_once = true;
    assert_int_equal(publish_wait(f.publisher, &record), 0);
    publisher_close(f.publisher);
}

/* The request has left: its waiter is freed by the report (ASan watches). */
static void takes_a_report_that_is_too_late(void **state)
{
    struct fake f;
    (void)state;
    open_fake(&f, 1, 10);
    assert_int_equal(publish_wait(f.publisher, &record), ERR_OUTCOME_UNKNOWN);
    report(&f, f.tag, 1, REPORT_PERSISTED);
    assert_int_equal(publisher_open_count(f.publisher), 0);
    publisher_close(f.publisher);
}

struct caller {
    pthread_t thread;
    struct fake *fake;
    int err;
};

static void *call(void *arg)
{
    struct caller *c = arg;
    c->err = publish_wait(c->fake->publisher, &record);
    return NULL;
}

static void answers_many_from_one_batch(void **state)
{
    struct fake f;
    struct caller callers[16];
    (void)state;
    open_fake(&f, 10000, 100);
    for (size_t i = 0; i < 16; i++) {
        callers[i] = (struct caller){.fake = &f, .err = 1};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    wait_tags(&f, 16);
    assert_int_equal(publisher_open_count(f.publisher), 16);
    report(&f, f.tag, 8, REPORT_PERSISTED);
    report(&f, f.tag + 8, 8, REPORT_NOT_PERSISTED);
    size_t good = 0, bad = 0;
    for (size_t i = 0; i < 16; i++) {
        pthread_join(callers[i].thread, NULL);
        good += callers[i].err == 0;
        bad += callers[i].err == ERR_NOT_DURABLE;
    }
    assert_int_equal(good, 8);
    assert_int_equal(bad, 8);
    publisher_close(f.publisher);
}

static void sends_through_the_lingering_one_under_load(void **state)
{
    struct fake calm, busy;
    (void)state;
    open_fake(&calm, 1, 100);
    busy = calm;
    publisher_use(calm.publisher, &calm.base, &busy.base);
    for (int i = 0; i < PUBLISH_BUSY_FROM + 3; i++) /* nobody reports: all stay open */
        assert_int_equal(publish_wait(calm.publisher, &record), ERR_OUTCOME_UNKNOWN);
    assert_int_equal(calm.n, PUBLISH_BUSY_FROM);
    assert_int_equal(busy.n, 3);
    report(&calm, calm.tag, calm.n, REPORT_PERSISTED);
    report(&busy, busy.tag, busy.n, REPORT_PERSISTED);
    calm.at_once = true;
    assert_int_equal(publish_wait(calm.publisher, &record), 0); /* calm again */
    publisher_close(calm.publisher);
    assert_true(calm.closed && busy.closed);
}

/* Time-outs and reports at the same moment: whoever comes second frees. */
static void survives_the_race_of_time_out_and_report(void **state)
{
    (void)state;
    for (int round = 0; round < 50; round++) {
        struct fake f;
        struct caller c = {.fake = &f, .err = 1};
        open_fake(&f, 1, 10);
        assert_int_equal(pthread_create(&c.thread, NULL, call, &c), 0);
        wait_tags(&f, 1);
        for (volatile int spin = 0; spin < round * 2000; spin++)
            continue;
        report(&f, f.tag, 1, REPORT_PERSISTED);
        pthread_join(c.thread, NULL);
        assert_true(c.err == 0 || c.err == ERR_OUTCOME_UNKNOWN);
        assert_int_equal(publisher_open_count(f.publisher), 0);
        publisher_close(f.publisher);
    }
}

static void it_is_up_when_both_producers_are(void **state)
{
    (void)state;
    struct fake calm = {.base.ops = &ops, .up_after = 3},
                busy = {.base.ops = &ops, .up_after = 1000};
    struct publisher *p;
    assert_int_equal(publisher_open(100, 10, &p), 0);
    publisher_use(p, &calm.base, NULL);
    assert_false(publisher_up(p));
    assert_int_equal(publisher_await(p, 1000), 0);
    assert_true(publisher_up(p));
    publisher_use(p, &calm.base, &busy.base);
    assert_false(publisher_up(p));
    assert_int_equal(publisher_await(p, 20), ERR_TIMEOUT);
    busy.up_after = 0;
    assert_int_equal(publisher_await(p, 0), 0);
    publisher_close(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_each_outcome),
        cmocka_unit_test(tells_what_was_not_sent),
        cmocka_unit_test(bounds_the_queue),
        cmocka_unit_test(takes_a_report_that_is_too_late),
        cmocka_unit_test(answers_many_from_one_batch),
        cmocka_unit_test(sends_through_the_lingering_one_under_load),
        cmocka_unit_test(survives_the_race_of_time_out_and_report),
        cmocka_unit_test(it_is_up_when_both_producers_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
