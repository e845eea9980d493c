#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "worker/lease.h"

static const int64_t NOW = 1800000000ll * 1000000;

struct bench {
    struct loop *loop;
    struct record_fake *db;
    struct lease *lease;
    struct lease_shard *shard;
    uint64_t held, lost;
    int held_n, lost_n, late_n, done;
    bool late;
};

static void on_held(void *arg, uint64_t worker)
{
    struct bench *b = arg;
    b->held = worker;
    b->held_n++;
}

static void on_late(void *arg, bool late)
{
    struct bench *b = arg;
    b->late = late;
    b->late_n++;
}

static void on_lost(void *arg, uint64_t worker)
{
    struct bench *b = arg;
    b->lost = worker;
    b->lost_n++;
}

static void on_done(void *arg)
{
    ((struct bench *)arg)->done++;
}

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    assert_int_equal(loop_fake_open(NOW, &b.loop), 0);
    b.db = record_fake_new(loop_fake_clock(b.loop));
    struct lease_settings s = {record_fake_open, b.db, "host:1", 15000, 1, b.loop};
    assert_int_equal(lease_start(&s, &b.lease), 0);
    struct lease_events e = {&b, on_held, on_late, on_lost};
    assert_int_equal(lease_join(b.lease, b.loop, &e, &b.shard), 0);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    if (!b->done) {
        lease_leave(b->shard, on_done, b);
        assert_int_equal(b->done, 0); /* never inside the call */
        loop_fake_run_for(b->loop, 5000);
        assert_int_equal(b->done, 1);
    }
    lease_stop(b->lease);
    record_fake_free(b->db);
    loop_close(b->loop);
    return 0;
}

static void a_shard_is_registered_and_renewed_each_3_s(void **state)
{
    struct bench *b = *state;
    assert_int_equal(lease_worker(b->shard), 0);
    assert_false(lease_good(b->shard));
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->held_n, 1);
    assert_int_equal(lease_worker(b->shard), b->held);
    assert_true(lease_good(b->shard));
    unsigned before = record_fake_calls(b->db);
    loop_fake_run_for(b->loop, 60000);
    assert_in_range(record_fake_calls(b->db) - before, 2 * 18, 2 * 21); /* and a count each */
    assert_int_equal(record_fake_worker(b->db, b->held), 0);
    assert_int_equal(b->late_n + b->lost_n, 0);
    assert_in_range(lease_held_ms(b->shard), 60000, 60100);
}

static void not_renewed_for_10_s_is_late_until_it_is_again(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 6500);
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 9000);
    assert_false(b->late);
    assert_int_equal(lease_held_ms(b->shard), 0); /* a renewal was missed */
    loop_fake_run_for(b->loop, 2000);
    assert_true(b->late);
    assert_false(lease_good(b->shard));
    assert_int_equal(lease_worker(b->shard), b->held); /* nobody took it: still its own */
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 3100);
    assert_false(b->late);
    assert_int_equal(b->late_n, 2);
    assert_true(lease_good(b->shard));
    assert_in_range(lease_held_ms(b->shard), 1, 3100); /* counted anew */
    assert_int_equal(b->lost_n, 0);
}

static void a_machine_that_slept_has_a_late_lease(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 20000);
    assert_true(lease_good(b->shard) && lease_settled(b->lease));
    loop_fake_sleep(b->loop, 11000000);
    assert_false(lease_good(b->shard)); /* before any timer ran */
    assert_false(lease_settled(b->lease));
    loop_fake_run_for(b->loop, 3100);
    assert_true(lease_good(b->shard));
    assert_in_range(lease_held_ms(b->shard), 1, 3100);
    assert_int_equal(b->late_n, 2);
}

static void leases_are_settled_15_s_after_mysql_is_back(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 14000);
    assert_false(lease_settled(b->lease));
    loop_fake_run_for(b->loop, 4500);
    assert_true(lease_settled(b->lease));
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 4000);
    assert_false(lease_settled(b->lease));
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 14000);
    assert_false(lease_settled(b->lease));
    loop_fake_run_for(b->loop, 7000);
    assert_true(lease_settled(b->lease));
    record_fake_expire(b->db, b->held);
    lease_fenced(b->shard, b->held);
    assert_false(lease_settled(b->lease));
}

static void declared_dead_it_is_lost_and_registers_anew(void **state)
{
    struct bench *b = *state;
    struct record *other;
    uint64_t mine, theirs;
    bool taken;
    struct job_id id = {{1}};
    loop_fake_run_for(b->loop, 10);
    mine = b->held;
    assert_int_equal(record_fake_open(b->db, &other, NULL), 0);
    assert_int_equal(other->ops->worker_start(other, "o", 15000, &theirs), 0);
    record_fake_expire(b->db, mine);
    assert_int_equal(other->ops->take_over(other, mine, theirs, &id, 1, &taken), 0);
    loop_fake_run_for(b->loop, 3100);
    assert_int_equal(b->lost_n, 1);
    assert_int_equal(b->lost, mine);
    assert_int_equal(b->held_n, 2);
    assert_int_not_equal(b->held, mine);
    assert_true(lease_good(b->shard));
    other->ops->close(other);
}

static void shares_are_the_shards_of_all_workers_that_live(void **state)
{
    struct bench *b = *state;
    struct record *other;
    uint64_t gone, dead;
    const _Atomic unsigned *shares = lease_shares(b->lease);
    assert_int_equal(record_fake_open(b->db, &other, NULL), 0);
    assert_int_equal(other->ops->worker_start(other, "x", 15000, &gone), 0);
    assert_int_equal(*shares, 1);
    while (!b->held_n) /* known when it may make its first call */
        loop_fake_run_for(b->loop, 1);
    assert_int_equal(*shares, 2);
    assert_int_equal(other->ops->worker_start(other, "y", 15000, &dead), 0);
    loop_fake_run_for(b->loop, 3100);
    assert_int_equal(*shares, 3);
    record_fake_down(b->db, true); /* nobody can be counted: the last known count holds */
    loop_fake_run_for(b->loop, 9000);
    assert_int_equal(*shares, 3);
    record_fake_down(b->db, false);
    assert_int_equal(other->ops->worker_end(other, gone), 0);
    loop_fake_run_for(b->loop, 3100);
    assert_int_equal(*shares, 2);
    loop_fake_run_for(b->loop, 15000); /* the other's lease runs out */
    assert_int_equal(*shares, 1);
    other->ops->close(other);
}

static void shares_are_never_fewer_than_the_process_has(void **state)
{
    struct bench *b = *state;
    struct lease *four;
    struct lease_settings s = {record_fake_open, b->db, "host:2", 15000, 4, b->loop};
    assert_int_equal(lease_start(&s, &four), 0);
    assert_int_equal(*lease_shares(four), 4); /* none of them has registered yet */
    lease_stop(four);
}

static void a_fenced_write_is_believed_at_once(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 10);
    uint64_t mine = b->held;
    lease_fenced(b->shard, mine + 7); /* of an earlier life */
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->lost_n, 0);
    lease_fenced(b->shard, mine);
    assert_int_equal(b->lost_n, 0); /* never inside the call */
    assert_false(lease_good(b->shard));
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(b->lost_n, 1);
    loop_fake_run_for(b->loop, 1100);
    assert_int_equal(b->held_n, 2);
    assert_true(b->held != mine);
}

static void registering_is_tried_until_mysql_is_back(void **state)
{
    struct bench *b = *state;
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 30000);
    assert_int_equal(b->held_n, 0);
    assert_false(lease_up(b->lease));
    record_fake_down(b->db, false);
    loop_fake_run_for(b->loop, 3100);
    assert_int_equal(b->held_n, 1);
    assert_true(lease_good(b->shard)); /* from now, not from when it was asked for */
    assert_true(lease_up(b->lease));
}

static void leaving_ends_the_row(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 10);
    lease_leave(b->shard, on_done, b);
    loop_fake_run_for(b->loop, 10);
    assert_int_equal(b->done, 1);
    assert_int_equal(record_fake_worker(b->db, b->held), 1);
}

static void leaving_ends_also_while_mysql_is_away(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 10);
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 12000);
    lease_leave(b->shard, on_done, b);
    loop_fake_run_for(b->loop, 2100);
    assert_int_equal(b->done, 1);
    assert_int_equal(record_fake_worker(b->db, b->held), 0); /* its lease runs out */
}

static void leaving_before_it_was_registered(void **state)
{
    struct bench *b = *state;
    record_fake_down(b->db, true);
    loop_fake_run_for(b->loop, 700);
    lease_leave(b->shard, on_done, b);
    loop_fake_run_for(b->loop, 1);
    assert_int_equal(b->done, 1);
    assert_int_equal(b->held_n, 0);
}

/* The loop stands still: nobody asks, so nothing renews; its first look at the clock says so. */
static void a_stuck_loop_is_late_before_any_timer_ran(void **state)
{
    struct bench *b = *state;
    loop_fake_run_for(b->loop, 10);
    unsigned before = record_fake_calls(b->db);
    clock_step((struct clock_stepped *)(void *)(uintptr_t)loop_fake_clock(b->loop), 11 * 1000000);
    assert_false(lease_good(b->shard));
    assert_int_equal(record_fake_calls(b->db), before);
    loop_fake_run_for(b->loop, 10); /* T1 goes through: go on */
    assert_true(lease_good(b->shard));
    assert_int_equal(b->late_n, 2);
    assert_false(b->late);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_shard_is_registered_and_renewed_each_3_s),
        T(not_renewed_for_10_s_is_late_until_it_is_again),
        T(a_machine_that_slept_has_a_late_lease),
        T(leases_are_settled_15_s_after_mysql_is_back),
        T(shares_are_the_shards_of_all_workers_that_live),
        T(shares_are_never_fewer_than_the_process_has),
        T(declared_dead_it_is_lost_and_registers_anew),
        T(a_fenced_write_is_believed_at_once),
        T(registering_is_tried_until_mysql_is_back),
        T(leaving_ends_the_row),
        T(leaving_ends_also_while_mysql_is_away),
        T(leaving_before_it_was_registered),
        T(a_stuck_loop_is_late_before_any_timer_ran),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
