#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/metrics.h"
#include "common/record_fake.h"
#include "worker/clerk.h"
#include "worker/writer.h"

enum { OPS = 750 };
static const int64_t NOW = 1800000000ll * 1000000;

struct op {
    struct writer_op op; /* first */
    struct bench *bench;
    int done;
    size_t when; /* how many were done before */
};

struct bench {
    struct loop *loop;
    struct record_fake *db;
    struct record *look;
    struct writer *writer;
    uint64_t worker;
    size_t done;
    struct op ops[OPS];
};

static void on_done(void *arg)
{
    struct op *o = arg;
    o->done++;
    o->when = o->bench->done++;
}

static int setup_threads(void **state, unsigned threads)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    metrics_reset();
    assert_int_equal(loop_fake_open(NOW, &b.loop), 0);
    b.db = record_fake_new(loop_fake_clock(b.loop));
    assert_non_null(b.db);
    assert_int_equal(record_fake_open(b.db, &b.look, NULL), 0);
    assert_int_equal(b.look->ops->worker_start(b.look, "w", 15000, &b.worker), 0);
    struct writer_settings s = {
        .open = record_fake_open, .open_arg = b.db, .threads = threads, .loop = b.loop};
    assert_int_equal(writer_start(&s, &b.writer), 0);
    loop_fake_run_for(b.loop, 1);
    *state = &b;
    return 0;
}

static int setup(void **state)
{
    return setup_threads(state, 1);
}

static int setup_two(void **state)
{
    return setup_threads(state, 2);
}

static int teardown(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < OPS; i++)
        if (b->ops[i].op.kind == WRITE_CLAIM)
            record_claim_fini(&b->ops[i].op.claim);
    writer_stop(b->writer, 0);
    b->look->ops->close(b->look);
    record_fake_free(b->db);
    loop_close(b->loop);
    return 0;
}

static struct job_id id_of(size_t n)
{
    struct job_id id = {{1, 2}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static struct op *prepare(struct bench *b, size_t at, enum writer_kind kind, size_t job)
{
    struct op *o = &b->ops[at];
    memset(o, 0, sizeof *o);
    o->bench = b;
    o->op.kind = kind;
    o->op.loop = b->loop;
    o->op.done = on_done;
    o->op.arg = o;
    if (kind == WRITE_CLAIM)
        o->op.claim = (struct record_claim){
            .job = {.id = id_of(job), .flow = "f", .created_us = NOW, .sweep_at_us = NOW},
            .worker = b->worker};
    else if (kind == WRITE_LEDGER)
        o->op.ledger = (struct record_ledger){
            .worker = b->worker,
            .call = {.job = id_of(job), .seq = 1, .outcome = OUTCOME_OK, .item = -1}};
    else if (kind == WRITE_FINISH)
        o->op.finish = (struct record_finish){
            .worker = b->worker, .id = id_of(job), .state = JOB_SUCCEEDED, .seq = 2};
    else
        o->op.release = (struct record_release){.worker = b->worker, .id = id_of(job)};
    return o;
}

static struct op *put(struct bench *b, size_t at, enum writer_kind kind, size_t job)
{
    struct op *o = prepare(b, at, kind, job);
    writer_put(b->writer, &o->op);
    return o;
}

static void what_waits_goes_as_one_batch_of_at_most_100(void **state)
{
    struct bench *b = *state;
    unsigned before = record_fake_calls(b->db);
    for (size_t i = 0; i < 250; i++)
        put(b, i, WRITE_CLAIM, i);
    assert_int_equal(b->done, 0); /* never inside the call */
    assert_int_equal(writer_waiting(b->writer), 250);
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(record_fake_calls(b->db) - before, 3);
    assert_int_equal(b->done, 250);
    assert_int_equal(
        metrics_value(metrics_counter("offpath_record_rows_total", "kind=\"claim\"", "")), 250);
    assert_int_equal(writer_waiting(b->writer), 0);
    for (size_t i = 0; i < 250; i++) {
        assert_int_equal(b->ops[i].done, 1);
        assert_int_equal(b->ops[i].when, i);
        assert_int_equal(b->ops[i].op.claim.row.state, JOB_RUNNING);
    }
}

static void a_batch_ends_at_4_mb(void **state)
{
    struct bench *b = *state;
    unsigned before = record_fake_calls(b->db);
    for (size_t i = 0; i < 5; i++) {
        struct op *o = prepare(b, i, WRITE_CLAIM, i);
        o->op.bytes = i == 0 ? 9 << 20 : 1500000; /* one that is bigger goes alone */
        writer_put(b->writer, &o->op);
    }
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(record_fake_calls(b->db) - before, 3);
    assert_int_equal(b->done, 5);
}

/* What waits counts with its bytes, at the savers too. */
static void what_waits_is_counted_with_its_bytes(void **state)
{
    struct bench *b = *state;
    struct record_saves saves = {.n = 0};
    record_fake_down(b->db, true);
    for (size_t i = 0; i < 3; i++) {
        struct op *o = prepare(b, i, i == 0 ? WRITE_CLAIM : WRITE_FINISH, i);
        o->op.bytes = 1000;
        if (i == 2)
            o->op.finish.saves = &saves;
        writer_put(b->writer, &o->op);
    }
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(b->done, 0);
    assert_int_equal(writer_waiting(b->writer), 3);
    assert_int_equal(writer_waiting_bytes(b->writer), 3000);
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 3000);
    assert_int_equal(b->done, 3);
    assert_int_equal(writer_waiting(b->writer), 0);
    assert_int_equal(writer_waiting_bytes(b->writer), 0);
}

static void mysql_away_waits_longer_each_time_and_drops_nothing(void **state)
{
    struct bench *b = *state;
    assert_true(writer_up(b->writer));
    record_fake_down(b->db, true);
    put(b, 0, WRITE_CLAIM, 0);
    unsigned before = record_fake_calls(b->db);
    loop_fake_run_for(b->loop, 50); /* at once */
    assert_int_equal(record_fake_calls(b->db) - before, 1);
    assert_false(writer_up(b->writer));
    loop_fake_run_for(b->loop, 60); /* after 0.1 s */
    assert_int_equal(record_fake_calls(b->db) - before, 2);
    put(b, 1, WRITE_CLAIM, 1); /* cuts no back-off short */
    loop_fake_run_for(b->loop, 150);
    assert_int_equal(record_fake_calls(b->db) - before, 2);
    loop_fake_run_for(b->loop, 100); /* 0.2 s */
    assert_int_equal(record_fake_calls(b->db) - before, 3);
    loop_fake_run_for(b->loop, 60000); /* 0.4, 0.8, 1.6, then 2 s */
    unsigned calls = record_fake_calls(b->db) - before;
    assert_in_range(calls, 30, 40);
    assert_int_equal(b->done, 0);
    assert_int_equal(writer_waiting(b->writer), 2);
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 2100);
    assert_int_equal(b->done, 2);
    assert_true(writer_up(b->writer));
}

static void a_lost_answer_is_written_again_without_harm(void **state)
{
    struct bench *b = *state;
    put(b, 0, WRITE_CLAIM, 0);
    loop_fake_run_for(b->loop, 1);
    struct op *l = put(b, 1, WRITE_LEDGER, 0);
    record_fake_lose(b->db, 1);
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(l->done, 1);
    assert_int_equal(l->op.ledger.status, 0);
    struct op *f = put(b, 2, WRITE_FINISH, 0);
    record_fake_lose(b->db, 1);
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->op.finish.status, 0);
    assert_int_equal(f->op.finish.stored, JOB_SUCCEEDED);
}

static void a_refused_row_fails_alone(void **state)
{
    struct bench *b = *state;
    struct job_id bad = id_of(2);
    record_fake_poison(b->db, &bad);
    for (size_t i = 0; i < 5; i++)
        put(b, i, WRITE_CLAIM, i);
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(b->done, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(b->ops[i].op.claim.status, i == 2 ? ERR_REFUSED : 0);
        assert_int_equal(record_fake_has(b->db, &b->ops[i].op.claim.job.id), i != 2);
    }
}

/* A name that does not resolve, a password that is not known yet: the rows are as good as ever. */
static void a_server_that_does_not_take_us_spoils_no_row(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < 2; i++) /* a batch, and one alone */
        put(b, i, WRITE_CLAIM, i);
    record_fake_fail(b->db, 1, ERR_SETUP);
    loop_fake_run_for(b->loop, 50);
    assert_int_equal(b->done, 0);
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(b->done, 2);
    put(b, 2, WRITE_CLAIM, 2);
    record_fake_fail(b->db, 1, ERR_SETUP);
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(b->done, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(b->ops[i].op.claim.status, 0);
}

static void the_fullest_kind_goes_first_but_starves_none(void **state)
{
    struct bench *b = *state;
    struct op *claim = put(b, OPS - 1, WRITE_CLAIM, 0);
    for (size_t i = 0; i < 700; i++) {
        struct op *o = prepare(b, i, WRITE_LEDGER, 1);
        memcpy(o->op.ledger.call.ckey, &i, sizeof i);
        writer_put(b->writer, &o->op);
    }
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(b->done, 701);
    assert_int_equal(claim->when, 400); /* four full batches of the others first */
}

/* What is put while the first thread is behind goes to the second, but for jobs that wait at the
 * first: the rows of each job still come in order. */
static void a_second_thread_breaks_no_jobs_order(void **state)
{
    struct bench *b = *state;
    const size_t jobs = OPS / 3;
    record_fake_down(b->db, true);
    for (size_t i = 0; i < OPS; i++) {
        struct op *o = prepare(b, i, WRITE_LEDGER, i % jobs);
        o->op.ledger.call.ckey[0] = (uint8_t)(i / jobs);
        writer_put(b->writer, &o->op);
    }
    loop_fake_run_for(b->loop, 500);
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 3000);
    assert_int_equal(b->done, OPS);
    for (size_t i = 0; i < OPS; i++) {
        assert_int_equal(b->ops[i].op.ledger.status, 0);
        assert_true(i < jobs || b->ops[i - jobs].when < b->ops[i].when);
    }
}

static void a_fenced_shard_is_told_row_by_row(void **state)
{
    struct bench *b = *state;
    struct op *c = prepare(b, 0, WRITE_CLAIM, 0);
    c->op.claim.worker = 99;
    writer_put(b->writer, &c->op);
    struct op *good = put(b, 1, WRITE_CLAIM, 1);
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(c->op.claim.status, ERR_FENCED);
    assert_int_equal(good->op.claim.status, 0);
}

/* ---- the same with threads: every op done once, in its own loop's thread */

static bool all_done(void *arg)
{
    return ((struct bench *)arg)->done == OPS;
}

static void stop_when_done(void *arg)
{
    struct bench *b = arg;
    if (all_done(b))
        loop_stop(b->loop);
}

static void threads_give_back_each_op_once_and_stop_when_idle(void **state)
{
    static struct bench b;
    (void)state;
    memset(&b, 0, sizeof b);
    assert_int_equal(loop_uv_open(&b.loop), 0);
    b.db = record_fake_new(clock_real());
    assert_int_equal(record_fake_open(b.db, &b.look, NULL), 0);
    assert_int_equal(b.look->ops->worker_start(b.look, "w", 15000, &b.worker), 0);
    struct writer_settings s = {.open = record_fake_open, .open_arg = b.db, .threads = 3};
    assert_int_equal(writer_start(&s, &b.writer), 0);
    for (size_t i = 0; i < OPS; i++)
        put(&b, i, WRITE_CLAIM, i);
    struct loop_timer *t = loop_timer_new(b.loop, stop_when_done, &b);
    loop_timer_set(b.loop, t, 1, 1);
    loop_run(b.loop);
    loop_timer_free(b.loop, t);
    for (size_t i = 0; i < OPS; i++)
        assert_int_equal(b.ops[i].done, 1);
    writer_stop(b.writer, 1000);
    b.look->ops->close(b.look);
    record_fake_free(b.db);
    loop_close(b.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(what_waits_goes_as_one_batch_of_at_most_100),
        T(a_batch_ends_at_4_mb),
        T(what_waits_is_counted_with_its_bytes),
        T(mysql_away_waits_longer_each_time_and_drops_nothing),
        T(a_lost_answer_is_written_again_without_harm),
        T(a_refused_row_fails_alone),
        T(a_server_that_does_not_take_us_spoils_no_row),
        T(the_fullest_kind_goes_first_but_starves_none),
        cmocka_unit_test_setup_teardown(a_second_thread_breaks_no_jobs_order, setup_two, teardown),
        T(a_fenced_shard_is_told_row_by_row),
        cmocka_unit_test(threads_give_back_each_op_once_and_stop_when_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
