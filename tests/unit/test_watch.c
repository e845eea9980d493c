#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "worker/watch.h"

enum { JOBS = 700 };
static const int64_t NOW = 1800000000ll * 1000000;

struct seen {
    struct bench *bench;
    struct watched *watched;
    int n;
    unsigned calls;
    enum watch_verdict verdict;
    struct record_watch row;
};

struct bench {
    struct loop *loop;
    struct record_fake *db;
    struct record *other; /* the worker the jobs run at */
    uint64_t theirs;
    struct lease *lease;
    struct lease_shard *shard;
    struct watch *watch;
    struct seen seen[JOBS];
    int done;
};

static struct job_id id_of(size_t n)
{
    struct job_id id = {{1, 2}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static void ignore_id(void *arg, uint64_t worker)
{
    (void)arg;
    (void)worker;
}

static void ignore_late(void *arg, bool late)
{
    (void)arg;
    (void)late;
}

static void on_done(void *arg)
{
    ((struct bench *)arg)->done++;
}

static void on_decided(void *arg, enum watch_verdict v, const struct record_watch *row)
{
    struct seen *s = arg;
    s->n++;
    s->verdict = v;
    s->row = *row;
    s->watched = NULL;
}

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    assert_int_equal(loop_fake_open(NOW, &b.loop), 0);
    b.db = record_fake_new(loop_fake_clock(b.loop));
    assert_int_equal(record_fake_open(b.db, &b.other, NULL), 0);
    assert_int_equal(b.other->ops->worker_start(b.other, "o", 15000, &b.theirs), 0);
    struct lease_settings l = {record_fake_open, b.db, "h", 15000, 1, b.loop};
    assert_int_equal(lease_start(&l, &b.lease), 0);
    struct lease_events e = {&b, ignore_id, ignore_late, ignore_id};
    assert_int_equal(lease_join(b.lease, b.loop, &e, &b.shard), 0);
    struct watch_settings w = {record_fake_open, b.db, 15000, b.loop};
    assert_int_equal(watch_start(&w, &b.watch), 0);
    loop_fake_run_for(b.loop, 10);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < JOBS; i++)
        if (b->seen[i].watched)
            watch_remove(b->watch, b->seen[i].watched);
    lease_leave(b->shard, on_done, b);
    loop_fake_run_for(b->loop, 3000);
    assert_int_equal(b->done, 1);
    watch_stop(b->watch);
    lease_stop(b->lease);
    b->other->ops->close(b->other);
    record_fake_free(b->db);
    loop_close(b->loop);
    return 0;
}

static void runs_there(struct bench *b, size_t n)
{
    struct record_claim c = {.job = {.id = id_of(n), .flow = "f", .created_us = NOW},
                             .worker = b->theirs},
                        *list[] = {&c};
    assert_int_equal(b->other->ops->claim(b->other, list, 1), 0);
    record_claim_fini(&c);
}

static struct seen *follow(struct bench *b, size_t n)
{
    struct watch_order o = {id_of(n), 0, b->shard, b->loop, on_decided, &b->seen[n]};
    b->seen[n].bench = b;
    assert_int_equal(watch_add(b->watch, &o, &b->seen[n].watched), 0);
    return &b->seen[n];
}

static void renew_theirs(struct bench *b)
{
    assert_int_equal(b->other->ops->worker_renew(b->other, b->theirs, 15000), 0);
}

static void pass(struct bench *b, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        renew_theirs(b);
        loop_fake_run_for(b->loop, 1000);
    }
}

static void a_job_of_a_living_worker_is_only_watched(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    unsigned before = record_fake_calls(b->db);
    pass(b, 60);
    assert_in_range(record_fake_calls(b->db) - before, 155,
                    165); /* 60 of them are theirs, 20 T1, 20 counts */
    assert_int_equal(s->n, 0);
}

static void its_end_comes_within_a_second(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 2);
    struct record_finish f = {.worker = b->theirs, .id = id_of(1), .state = JOB_PARTIAL},
                         *list[] = {&f};
    assert_int_equal(b->other->ops->finish(b->other, list, 1), 0);
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_FINAL);
    assert_int_equal(s->row.state, JOB_PARTIAL);
}

static void released_or_without_a_row_it_is_to_be_claimed(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1), *none = follow(b, 2);
    struct record_release r = {b->theirs, id_of(1), 0}, *list[] = {&r};
    assert_int_equal(b->other->ops->release(b->other, list, 1), 0);
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
    assert_int_equal(none->n, 1);
    assert_int_equal(none->verdict, WATCH_CLAIM);
    assert_int_equal(none->row.state, JOB_NONE);
}

static void a_dead_workers_job_is_taken_over_after_5_s(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20); /* our lease has been held for long enough */
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 5000);
    assert_int_equal(s->n, 0);
    assert_int_equal(record_fake_worker(b->db, b->theirs), 0);
    loop_fake_run_for(b->loop, 2000);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
    assert_int_equal(s->row.worker, lease_worker(b->shard));
    assert_int_equal(record_fake_worker(b->db, b->theirs), 9);
}

/* Another took it over and died at once: its 5 s are its own. */
static void each_dead_worker_is_watched_for_5_s(void **state)
{
    struct bench *b = *state;
    const struct job_id id = id_of(1);
    uint64_t next;
    bool taken = false;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20); /* our lease has been held for long enough */
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 4000);
    assert_int_equal(b->other->ops->worker_start(b->other, "p", 15000, &next), 0);
    assert_int_equal(b->other->ops->take_over(b->other, b->theirs, next, &id, 1, &taken), 0);
    assert_true(taken);
    record_fake_expire(b->db, next);
    loop_fake_run_for(b->loop, 4000);
    assert_int_equal(s->n, 0);
    loop_fake_run_for(b->loop, 3000);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
    assert_int_equal(record_fake_worker(b->db, next), 9);
}

static void renewed_within_the_5_s_it_keeps_its_job(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20);
    for (int i = 0; i < 5; i++) {
        record_fake_expire(b->db, b->theirs);
        loop_fake_run_for(b->loop, 4000);
        pass(b, 2);
    }
    assert_int_equal(s->n, 0);
    assert_int_equal(record_fake_worker(b->db, b->theirs), 0);
}

/* MySQL was away for all: nobody could renew, so nobody may be declared dead for it. */
static void after_an_outage_everybody_gets_15_s_to_renew(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 30);
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 40000);
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 14000);
    assert_int_equal(s->n, 0);
    pass(b, 30); /* theirs is late, but there */
    assert_int_equal(s->n, 0);
    assert_int_equal(record_fake_worker(b->db, b->theirs), 0);
}

static void a_take_over_whose_answer_was_lost_is_found(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20);
    record_fake_expire(b->db, b->theirs);
    struct job_id id = id_of(1); /* what the lost call did */
    bool taken;
    assert_int_equal(
        b->other->ops->take_over(b->other, b->theirs, lease_worker(b->shard), &id, 1, &taken), 0);
    assert_true(taken);
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
}

static void a_forgotten_job_is_never_called_back(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1), *decided = follow(b, 2); /* no row: decided at once */
    watch_remove(b->watch, s->watched);
    s->watched = NULL;
    loop_fake_run_for(b->loop, 1000);
    assert_int_equal(decided->n, 1);
    assert_int_equal(s->n, 0);
}

static void hundreds_are_read_500_at_a_time_and_none_is_missed(void **state)
{
    struct bench *b = *state;
    for (size_t i = 0; i < JOBS; i++)
        runs_there(b, i);
    for (size_t i = 0; i < JOBS; i++)
        follow(b, i);
    pass(b, 20);
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 9000);
    for (size_t i = 0; i < JOBS; i++)
        assert_int_equal(b->seen[i].n, 1);
}

static bool declared_dead(void *arg)
{
    struct bench *b = arg;
    return record_fake_worker(b->db, b->theirs) == 9;
}

/* Taken over, and forgotten before the verdict ran: released, so that another one can claim it. */
static void taken_and_forgotten_is_released(void **state)
{
    struct bench *b = *state;
    struct record_job row;
    struct record_call *calls;
    size_t n;
    struct job_id id = id_of(1);
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20);
    record_fake_expire(b->db, b->theirs);
    assert_true(loop_fake_run_until(b->loop, declared_dead, b, 10000));
    assert_int_equal(s->n, 0); /* posted, not run */
    watch_remove(b->watch, s->watched);
    s->watched = NULL;
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(s->n, 0);
    assert_int_equal(b->other->ops->read(b->other, &id, &row, &calls, &n), 0);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.crashes, 1);
    record_job_fini(&row);
    free(calls);
}

/* Two dead workers, the row of one is locked by what it left behind: the other's job does not wait
 * for that. */
static void a_locked_row_holds_up_no_other_dead_worker(void **state)
{
    struct bench *b = *state;
    uint64_t frozen = b->theirs;
    runs_there(b, 1);
    struct seen *stuck = follow(b, 1);
    assert_int_equal(b->other->ops->worker_start(b->other, "p", 15000, &b->theirs), 0);
    runs_there(b, 2);
    struct seen *s = follow(b, 2);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(b->other->ops->worker_renew(b->other, frozen, 15000), 0);
        pass(b, 1);
    }
    record_fake_lock(b->db, frozen);
    record_fake_expire(b->db, frozen);
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 7000);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
    assert_int_equal(stuck->n, 0);
    record_fake_lock(b->db, 0);
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(stuck->n, 1);
    assert_int_equal(stuck->row.worker, lease_worker(b->shard));
}

static void run_round_1_there(struct bench *b, size_t n)
{
    struct job_id id = id_of(n);
    struct record_claim c = {.job = {.id = id, .flow = "f", .created_us = NOW},
                             .worker = b->theirs,
                             .round = 1},
                        *list[] = {&c};
    record_fake_requeue(b->db, &id);
    assert_int_equal(b->other->ops->claim(b->other, list, 1), 0);
    assert_int_equal(c.row.worker, b->theirs);
    record_claim_fini(&c);
}

/* T7 and the next round's claim came between two looks: that round is its own watcher's matter. */
static void a_later_round_is_not_watched_and_not_taken_over(void **state)
{
    struct bench *b = *state;
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20);
    run_round_1_there(b, 1);
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(s->n, 1);
    assert_int_equal(s->verdict, WATCH_CLAIM);
    assert_int_equal(s->row.round, 1);
    assert_int_equal(s->row.worker, b->theirs);
    loop_fake_run_for(b->loop, 10000);
    assert_int_equal(record_fake_worker(b->db, b->theirs), 0);
}

static bool called(void *arg)
{
    struct seen *s = arg;
    return s->n || record_fake_calls(s->bench->db) >= s->calls;
}

/* Declared dead with one answer lost, the nth (0: it was asked for again at once); then some more
 * calls, and it is forgotten. */
static enum job_state forgotten_after(struct bench *b, unsigned nth, unsigned calls)
{
    struct record_job row;
    struct job_id id = id_of(1);
    runs_there(b, 1);
    struct seen *s = follow(b, 1);
    pass(b, 20);
    record_fake_expire(b->db, b->theirs);
    loop_fake_run_for(b->loop, 4000);
    record_fake_lose(b->db, nth);
    record_fake_repeat(b->db, nth == 0);
    assert_true(loop_fake_run_until(b->loop, declared_dead, b, 30000));
    record_fake_lose(b->db, 0);
    s->calls = record_fake_calls(b->db) + calls;
    assert_true(loop_fake_run_until(b->loop, called, s, 10000));
    bool ours = s->n > 0; /* told: whoever asked has to give it back */
    if (!ours)
        watch_remove(b->watch, s->watched);
    s->watched = NULL;
    loop_fake_run_for(b->loop, 3100);
    assert_int_equal(b->other->ops->look(b->other, &id, &row), 0);
    assert_true(!ours || row.worker == lease_worker(b->shard));
    return ours ? JOB_QUEUED : row.state;
}

/* Nobody may run what a take-over made ours and nobody waits for, whenever that is forgotten. */
static void taken_without_an_answer_and_forgotten_is_released(void **state)
{
    for (unsigned nth = 0; nth <= 8; nth++)
        for (unsigned calls = 0; calls <= 4; calls++) {
            assert_int_equal(forgotten_after(*state, nth, calls), JOB_QUEUED);
            teardown(state);
            setup(state);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_job_of_a_living_worker_is_only_watched),
        T(its_end_comes_within_a_second),
        T(released_or_without_a_row_it_is_to_be_claimed),
        T(a_dead_workers_job_is_taken_over_after_5_s),
        T(each_dead_worker_is_watched_for_5_s),
        T(renewed_within_the_5_s_it_keeps_its_job),
        T(after_an_outage_everybody_gets_15_s_to_renew),
        T(a_take_over_whose_answer_was_lost_is_found),
        T(a_forgotten_job_is_never_called_back),
        T(hundreds_are_read_500_at_a_time_and_none_is_missed),
        T(taken_and_forgotten_is_released),
        T(a_locked_row_holds_up_no_other_dead_worker),
        T(a_later_round_is_not_watched_and_not_taken_over),
        T(taken_without_an_answer_and_forgotten_is_released),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
