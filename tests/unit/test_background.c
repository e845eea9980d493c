/* sweep, cancels and relay in virtual time */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/metrics.h"
#include "common/record_fake.h"
#include "worker/cancels.h"
#include "worker/relay.h"
#include "worker/sweep.h"

static const int64_t NOW = 1800000000ll * 1000000;

/* A producer that keeps what it gets until the test reports. */
struct mailbox {
    struct broker_producer producer; /* first */
    broker_report_fn *report;
    void *report_arg;
    void *tags[500];
    size_t n;
    char topic[64], value[64];
    int refuse;
    bool closed;
    bool slow; /* it reports when it is flushed */
    unsigned flushed;
    int flushed_ms; /* what it was given for that */
};

struct bench {
    struct loop *loop;
    struct record_fake *db;
    struct record *r;
    uint64_t worker;
    struct rng_seeded rng;
    struct mailbox box;
    size_t told;
    struct job_id last;
};

static struct job_id id_of(unsigned n)
{
    struct job_id id = {{1, 2}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    metrics_reset();
    assert_int_equal(loop_fake_open(NOW, &b.loop), 0);
    b.db = record_fake_new(loop_fake_clock(b.loop));
    assert_int_equal(record_fake_open(b.db, &b.r, NULL), 0);
    assert_int_equal(b.r->ops->worker_start(b.r, "o", 15000, &b.worker), 0);
    rng_seeded_init(&b.rng, 1);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->r->ops->close(b->r);
    record_fake_free(b->db);
    loop_close(b->loop);
    return 0;
}

static void claim(struct bench *b, unsigned n, int64_t sweep_at_us)
{
    struct record_claim c = {.job = {.id = id_of(n),
                                     .owner = {{9}},
                                     .flow = "f",
                                     .created_us = NOW,
                                     .sweep_at_us = sweep_at_us},
                             .worker = b->worker},
                        *list[] = {&c};
    assert_int_equal(b->r->ops->claim(b->r, list, 1), 0);
    record_claim_fini(&c);
}

/* ---- sweep */

static int64_t expired(void)
{
    return metrics_value(metrics_counter("offpath_swept_total", "what=\"expired\"", ""));
}

static bool settled(void *arg)
{
    return *(bool *)arg;
}

static int64_t a_day(void *arg)
{
    (void)arg;
    return 86400000;
}

static struct sweep_settings sweep_of(struct bench *b, bool *is_settled)
{
    return (struct sweep_settings){.open = record_fake_open,
                                   .open_arg = b->db,
                                   .settled = settled,
                                   .retention_ms = a_day,
                                   .arg = is_settled,
                                   .rng = &b->rng.rng,
                                   .loop = b->loop};
}

static void the_sweep_comes_each_10_s_and_counts_what_it_did(void **state)
{
    struct bench *b = *state;
    struct sweep *sweep;
    bool yes = true;
    struct sweep_settings s = sweep_of(b, &yes);
    claim(b, 1, NOW + 60000000);
    record_fake_expire(b->db, b->worker);
    unsigned before = record_fake_calls(b->db);
    assert_int_equal(sweep_start(&s, &sweep), 0);
    loop_fake_run_for(b->loop, 59000);
    assert_in_range(record_fake_calls(b->db) - before, 5, 8);
    assert_int_equal(expired(), 0);
    loop_fake_run_for(b->loop, 15000);
    assert_int_equal(expired(), 1);
    record_fake_down(b->db, true); /* comes back by itself */
    loop_fake_run_for(b->loop, 60000);
    record_fake_down(b->db, false);
    before = record_fake_calls(b->db);
    loop_fake_run_for(b->loop, 13000);
    assert_true(record_fake_calls(b->db) > before);
    sweep_stop(sweep);
}

/* 25 jobs a second are more than 500 in 10 s, and each is visited twice. */
static void a_sweep_that_found_as_many_as_it_may_goes_on_at_once(void **state)
{
    struct bench *b = *state;
    struct sweep *sweep;
    bool yes = true;
    struct sweep_settings s = sweep_of(b, &yes);
    for (unsigned n = 0; n < 1700; n++)
        claim(b, n, NOW + 1000000);
    record_fake_expire(b->db, b->worker);
    assert_int_equal(sweep_start(&s, &sweep), 0);
    loop_fake_run_for(b->loop, 12100); /* the second look */
    assert_int_equal(expired(), 1700);
    unsigned before = record_fake_calls(b->db);
    loop_fake_run_for(b->loop, 30000); /* then it rests again */
    assert_in_range(record_fake_calls(b->db) - before, 2, 4);
    sweep_stop(sweep);
}

/* After MySQL was away for all, every lease is out; who is alive renews first. */
static void the_sweep_waits_until_leases_say_something(void **state)
{
    struct bench *b = *state;
    struct sweep *sweep;
    bool is_settled = false;
    struct sweep_settings s = sweep_of(b, &is_settled);
    claim(b, 1, NOW + 1000000);
    record_fake_expire(b->db, b->worker);
    unsigned before = record_fake_calls(b->db);
    assert_int_equal(sweep_start(&s, &sweep), 0);
    loop_fake_run_for(b->loop, 60000);
    assert_int_equal(record_fake_calls(b->db), before);
    is_settled = true;
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(expired(), 1);
    sweep_stop(sweep);
}

/* ---- cancels */

static void on_cancels(void *arg, const struct job_id *ids, size_t n)
{
    struct bench *b = arg;
    b->told += n;
    b->last = ids[n - 1];
}

static void a_cancel_is_told_within_2_s_and_not_for_ever(void **state)
{
    struct bench *b = *state;
    struct cancels *cancels;
    struct cancels_shard *x, *y;
    struct owner owner = {{9}};
    struct job_id id = id_of(3);
    struct cancels_settings s = {record_fake_open, b->db, b->loop};
    assert_int_equal(cancels_start(&s, &cancels), 0);
    assert_int_equal(cancels_join(cancels, b->loop, on_cancels, b, &x), 0);
    assert_int_equal(cancels_join(cancels, b->loop, on_cancels, b, &y), 0);
    claim(b, 3, NOW + 60000000);
    loop_fake_run_for(b->loop, 30000);
    assert_int_equal(b->told, 0);
    assert_int_equal(record_fake_cancel(b->db, &id, &owner), 0);
    loop_fake_run_for(b->loop, 2000);
    assert_int_equal(b->told, 2); /* both shards */
    assert_true(id_equal(&b->last, &id));
    cancels_leave(cancels, y);
    loop_fake_run_for(b->loop, 20000);
    size_t told = b->told;
    assert_in_range(told, 3, 9); /* again while it is within 12 s */
    loop_fake_run_for(b->loop, 60000);
    assert_int_equal(b->told, told);
    cancels_leave(cancels, x);
    cancels_stop(cancels);
}

static bool told_or_away(void *arg)
{
    return record_fake_calls(((struct bench *)arg)->db) > 3;
}

static void who_left_is_not_told_what_was_on_its_way(void **state)
{
    struct bench *b = *state;
    struct cancels *cancels;
    struct cancels_shard *x;
    struct owner owner = {{9}};
    struct job_id id = id_of(3);
    struct cancels_settings s = {record_fake_open, b->db, b->loop};
    claim(b, 3, NOW + 60000000);
    assert_int_equal(record_fake_cancel(b->db, &id, &owner), 0);
    assert_int_equal(cancels_start(&s, &cancels), 0);
    assert_int_equal(cancels_join(cancels, b->loop, on_cancels, b, &x), 0);
    assert_true(loop_fake_run_until(b->loop, told_or_away, b, 1000)); /* posted, not run */
    cancels_leave(cancels, x);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->told, 0);
    cancels_stop(cancels);
}

/* ---- relay */

static int box_publish(struct broker_producer *p, const struct broker_record *r, void *tag)
{
    struct mailbox *m = (struct mailbox *)(void *)p;
    if (m->refuse)
        return m->refuse;
    assert_true(m->n < 500);
    m->tags[m->n++] = tag;
    strncpy(m->topic, r->topic, sizeof m->topic - 1);
    memcpy(m->value, r->value, r->value_len < 64 ? r->value_len : 63);
    return 0;
}

static void box_report(struct mailbox *m, enum broker_report report);

static size_t box_flush(struct broker_producer *p, int wait_ms)
{
    struct mailbox *m = (struct mailbox *)(void *)p;
    assert_false(m->closed);
    m->flushed++;
    m->flushed_ms = wait_ms;
    if (m->slow && m->n)
        box_report(m, REPORT_PERSISTED);
    return m->n;
}

static void box_close(struct broker_producer *p)
{
    ((struct mailbox *)(void *)p)->closed = true;
}

static int box_open(void *arg, broker_report_fn *report, void *report_arg,
                    struct broker_producer **out)
{
    static const struct broker_producer_ops ops = {
        .publish = box_publish, .flush = box_flush, .close = box_close};
    struct mailbox *m = arg;
    m->producer.ops = &ops;
    m->closed = false;
    m->report = report;
    m->report_arg = report_arg;
    *out = &m->producer;
    return 0;
}

static void box_report(struct mailbox *m, enum broker_report report)
{
    struct broker_delivery list[500];
    size_t n = m->n;
    for (size_t i = 0; i < n; i++)
        list[i] = (struct broker_delivery){.tag = m->tags[i], .report = report};
    m->n = 0;
    m->report(m->report_arg, list, n);
}

static uint64_t worker_of(void *arg)
{
    return ((struct bench *)arg)->worker;
}

static struct relay *relay_open(struct bench *b)
{
    struct relay *relay;
    struct relay_settings s = {.open = record_fake_open,
                               .open_arg = b->db,
                               .producer = box_open,
                               .producer_arg = &b->box,
                               .worker = worker_of,
                               .worker_arg = b,
                               .rng = &b->rng.rng,
                               .loop = b->loop};
    assert_int_equal(relay_start(&s, &relay), 0);
    return relay;
}

static void a_due_row_is_published_and_deleted_after_the_ack(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "t.retry", "{}"), 0);
    loop_fake_run_for(b->loop, 1300);
    assert_int_equal(b->box.n, 1);
    assert_string_equal(b->box.topic, "t.retry");
    assert_string_equal(b->box.value, "{}");
    loop_fake_run_for(b->loop, 5000);
    assert_int_equal(b->box.n, 1);
    assert_int_equal(record_fake_outbox_n(b->db), 1); /* no ack: not deleted, not published twice */
    box_report(&b->box, REPORT_PERSISTED);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(record_fake_outbox_n(b->db), 0);
    relay_stop(relay);
    assert_true(b->box.closed);
}

/* A partition without a leader, or a topic that is gone: its row is out until its time is over. */
static void a_row_that_waits_for_its_report_holds_up_no_other(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "stuck", "1"), 0);
    loop_fake_run_for(b->loop, 1300);
    for (size_t n = 2; n <= 3; n++) {
        assert_int_equal(record_fake_outbox(b->db, "next", "1"), 0);
        loop_fake_run_for(b->loop, 1300);
        assert_int_equal(b->box.n, n);
    }
    for (int i = 0; i < 400; i++) /* but no more than it may have on their way */
        assert_int_equal(record_fake_outbox(b->db, "next", "1"), 0);
    loop_fake_run_for(b->loop, 5000);
    assert_int_equal(b->box.n, 203);
    relay_stop(relay);
}

static void what_was_not_acked_comes_again_after_30_s(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "t", "1"), 0);
    loop_fake_run_for(b->loop, 1300);
    box_report(&b->box, REPORT_POSSIBLY_PERSISTED);
    loop_fake_run_for(b->loop, 25000);
    assert_int_equal(b->box.n, 0);
    assert_int_equal(record_fake_outbox_n(b->db), 1);
    b->box.refuse = ERR_FULL; /* its own refusal too */
    loop_fake_run_for(b->loop, 8000);
    b->box.refuse = 0;
    loop_fake_run_for(b->loop, 33000);
    assert_int_equal(b->box.n, 1);
    relay_stop(relay);
}

static void a_lost_answer_of_the_delete_deletes_again(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "t", "1"), 0);
    loop_fake_run_for(b->loop, 1300);
    record_fake_lose(b->db, 1);
    box_report(&b->box, REPORT_PERSISTED);
    loop_fake_run_for(b->loop, 2000);
    assert_int_equal(record_fake_outbox_n(b->db), 0);
    assert_int_equal(metrics_value(metrics_counter("offpath_relayed_total", "", "")), 1);
    relay_stop(relay);
}

static void without_a_worker_id_nothing_is_taken(void **state)
{
    struct bench *b = *state;
    uint64_t id = b->worker;
    b->worker = 0;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "t", "1"), 0);
    loop_fake_run_for(b->loop, 5000);
    assert_int_equal(b->box.n, 0);
    b->worker = 99; /* fenced: waits for another */
    loop_fake_run_for(b->loop, 5000);
    assert_int_equal(b->box.n, 0);
    b->worker = id;
    loop_fake_run_for(b->loop, 1500);
    assert_int_equal(b->box.n, 1);
    relay_stop(relay);
}

static const struct record_post put_post = {.topic = "t", .value = "now", .value_len = 3};

static void what_a_shard_puts_goes_at_once_and_is_deleted_after_the_ack(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    loop_fake_run_for(b->loop, 100);
    assert_int_equal(record_fake_outbox(b->db, "t", "now"), 0); /* its id is 1 */
    relay_put(relay, &put_post, 1);
    assert_int_equal(b->box.n, 1);
    assert_string_equal(b->box.value, "now");
    box_report(&b->box, REPORT_PERSISTED);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(record_fake_outbox_n(b->db), 0);
    relay_stop(relay);
}

/* A broker that is slow with what was put holds up nobody else's rows. */
static void what_is_put_does_not_keep_back_what_is_due(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    for (uint64_t id = 77; id < 80; id++)
        relay_put(relay, &put_post, id);
    assert_int_equal(record_fake_outbox(b->db, "due", "1"), 0);
    loop_fake_run_for(b->loop, 1300);
    assert_int_equal(b->box.n, 4);
    assert_string_equal(b->box.topic, "due");
    relay_stop(relay);
}

static void what_is_put_and_refused_is_left_to_the_next_take(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    assert_int_equal(record_fake_outbox(b->db, "t", "1"), 0);
    loop_fake_run_for(b->loop, 1300);
    box_report(&b->box, REPORT_NOT_PERSISTED);
    b->box.refuse = ERR_FULL;
    relay_put(relay, &put_post, 1);
    b->box.refuse = 0;
    loop_fake_run_for(b->loop, 32000);
    assert_int_equal(b->box.n, 1);
    relay_stop(relay);
}

/* Else another worker would publish them again in 30 s: those of the last jobs of one that ends. */
static void what_is_acked_at_the_end_is_deleted(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    loop_fake_run_for(b->loop, 100);
    for (uint64_t id = 1; id <= 450; id++) { /* more than one delete takes */
        assert_int_equal(record_fake_outbox(b->db, "t", "now"), 0);
        relay_put(relay, &put_post, id);
    }
    b->box.slow = true;
    relay_stop(relay);
    assert_true(b->box.closed);
    assert_int_equal(b->box.flushed, 1);
    assert_int_equal(record_fake_outbox_n(b->db), 0);
    assert_int_equal(metrics_value(metrics_counter("offpath_relayed_total", "", "")), 450);
}

/* Neither Kafka nor MySQL. */
static void a_stop_waits_for_nobody_who_is_away(void **state)
{
    struct bench *b = *state;
    struct relay *relay = relay_open(b);
    loop_fake_run_for(b->loop, 100);
    assert_int_equal(record_fake_outbox(b->db, "t", "now"), 0);
    relay_put(relay, &put_post, 1);
    relay_stop(relay); /* no report comes */
    assert_in_range(b->box.flushed_ms, 1, 2000);
    assert_int_equal(record_fake_outbox_n(b->db), 1);
    relay = relay_open(b);
    loop_fake_run_for(b->loop, 100);
    b->box.n = 0;
    relay_put(relay, &put_post, 1);
    box_report(&b->box, REPORT_PERSISTED);
    record_fake_down(b->db, true);
    relay_stop(relay);
    record_fake_down(b->db, false);
    assert_int_equal(record_fake_outbox_n(b->db), 1);
}

/* Rows that are large come in several hands, one behind the reports of the other. */
static void large_rows_go_on_without_a_rest(void **state)
{
    enum { MANY = 20, LEN = 1 << 20 };
    struct bench *b = *state;
    char *value = malloc(LEN + 1);
    assert_non_null(value);
    memset(value, 'x', LEN);
    value[LEN] = 0;
    for (int i = 0; i < MANY; i++)
        assert_int_equal(record_fake_outbox(b->db, "t", value), 0);
    free(value);
    struct relay *relay = relay_open(b);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->box.n, 16);
    box_report(&b->box, REPORT_PERSISTED);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->box.n, MANY - 16);
    assert_int_equal(record_fake_outbox_n(b->db), MANY - 16);
    box_report(&b->box, REPORT_PERSISTED);
    loop_fake_run_for(b->loop, 10);
    relay_stop(relay);
}

static bool has_caught_up(void *arg)
{
    return !relay_behind(arg);
}

static void a_relay_knows_that_it_is_behind(void **state)
{
    struct bench *b = *state;
    for (int i = 0; i < RELAY_DUE_MAX + 301; i++)
        assert_int_equal(record_fake_outbox(b->db, "t", "1"), 0);
    struct relay *relay = relay_open(b);
    assert_false(relay_behind(relay));
    loop_fake_run_for(b->loop, 10); /* the first rows wait for their reports */
    assert_true(relay_behind(relay));
    b->box.refuse = ERR_FULL; /* each row is tried once, then it is held */
    box_report(&b->box, REPORT_NOT_PERSISTED);
    assert_true(loop_fake_run_until(b->loop, has_caught_up, relay, 12000));
    relay_stop(relay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(the_sweep_comes_each_10_s_and_counts_what_it_did),
        T(a_sweep_that_found_as_many_as_it_may_goes_on_at_once),
        T(the_sweep_waits_until_leases_say_something),
        T(a_cancel_is_told_within_2_s_and_not_for_ever),
        T(who_left_is_not_told_what_was_on_its_way),
        T(a_due_row_is_published_and_deleted_after_the_ack),
        T(a_row_that_waits_for_its_report_holds_up_no_other),
        T(what_was_not_acked_comes_again_after_30_s),
        T(a_lost_answer_of_the_delete_deletes_again),
        T(without_a_worker_id_nothing_is_taken),
        T(what_a_shard_puts_goes_at_once_and_is_deleted_after_the_ack),
        T(what_is_put_does_not_keep_back_what_is_due),
        T(what_is_put_and_refused_is_left_to_the_next_take),
        T(what_is_acked_at_the_end_is_deleted),
        T(a_stop_waits_for_nobody_who_is_away),
        T(large_rows_go_on_without_a_rest),
        T(a_relay_knows_that_it_is_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
