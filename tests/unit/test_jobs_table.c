/* The table of a shard's jobs, its deadlines' timer, and the record's clock. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "worker/due_timer.h"
#include "worker/job_parts.h"
#include "worker/jobs.h"
#include "common/record_clock.h"
#include "worker/server_clock.h"

enum { N = 5000 };

static struct job_run *job(uint32_t n, uint16_t round)
{
    struct job_run *j = calloc(1, sizeof *j);
    assert_non_null(j);
    memcpy(j->claim.event.job.b + 12, &n, sizeof n);
    j->claim.event.round = round;
    return j;
}

static struct job_id id_of(uint32_t n)
{
    struct job_id id = {{0}};
    memcpy(id.b + 12, &n, sizeof n);
    return id;
}

static void count(void *arg, struct job_run *j)
{
    (void)j;
    ++*(size_t *)arg;
}

static void drop_odd(void *arg, struct job_run *j)
{
    uint32_t n;
    memcpy(&n, j->claim.event.job.b + 12, sizeof n);
    if (n % 2 == 0)
        return;
    jobs_remove(arg, j);
    free(j);
}

static void drop(void *arg, struct job_run *j)
{
    jobs_remove(arg, j);
    free(j);
}

static void finds_what_is_in_it(void **state)
{
    (void)state;
    struct jobs t = {0};
    struct job_id some = id_of(7);
    size_t seen = 0;
    assert_null(jobs_find(&t, &some, 0));
    assert_null(jobs_find_uncancelled(&t, &some));
    for (uint32_t i = 0; i < N; i++)
        assert_int_equal(jobs_add(&t, job(i, 0)), 0);
    assert_int_equal(t.n, N);
    for (uint32_t i = 0; i < N; i++) {
        struct job_id id = id_of(i);
        assert_true(id_equal(&jobs_find(&t, &id, 0)->claim.event.job, &id));
    }
    jobs_each(&t, drop_odd, &t);
    jobs_each(&t, count, &seen);
    assert_int_equal(seen, N / 2);
    assert_null(jobs_find(&t, &some, 0));
    jobs_each(&t, drop, &t);
    assert_int_equal(t.n, 0);
    jobs_fini(&t);
    jobs_fini(&t);
}

static void rounds_of_a_job_are_two(void **state)
{
    (void)state;
    struct jobs t = {0};
    struct job_run *first = job(1, 0), *second = job(1, 1);
    struct job_id id = id_of(1);
    assert_int_equal(jobs_add(&t, first), 0);
    assert_null(jobs_find(&t, &id, 1));
    assert_int_equal(jobs_add(&t, second), 0);
    assert_ptr_equal(jobs_find(&t, &id, 0), first);
    assert_ptr_equal(jobs_find(&t, &id, 1), second);
    first->cancel = true;
    assert_ptr_equal(jobs_find_uncancelled(&t, &id), second);
    second->cancel = true;
    assert_null(jobs_find_uncancelled(&t, &id));
    jobs_remove(&t, first);
    jobs_remove(&t, first); /* not there any more: no change */
    assert_int_equal(t.n, 1);
    jobs_remove(&t, second);
    free(first);
    free(second);
    jobs_fini(&t);
}

/* ---- deadlines */

struct waiter {
    struct due_item item;
    struct due_timer *timer;
    struct loop *loop;
    int64_t at[4];
    unsigned n;
    int64_t again_ms; /* arm anew from inside; 0: no */
};

static void fires(void *arg)
{
    struct waiter *w = arg;
    w->at[w->n++ % 4] = loop_now_ms(w->loop);
    if (w->again_ms && w->n < 3)
        assert_int_equal(due_set(&w->timer->due, &w->item, loop_now_ms(w->loop) + w->again_ms), 0);
}

static void one_timer_serves_all_deadlines(void **state)
{
    (void)state;
    struct loop *loop;
    struct due_timer t;
    assert_int_equal(loop_fake_open(0, &loop), 0);
    assert_int_equal(due_timer_init(&t, loop), 0);
    struct waiter late = {.loop = loop, .timer = &t}, soon = late, moved = late;
    late.item = (struct due_item){.fn = fires, .arg = &late};
    soon.item = (struct due_item){.fn = fires, .arg = &soon};
    moved.item = (struct due_item){.fn = fires, .arg = &moved};
    soon.again_ms = 20;
    assert_int_equal(due_set(&t.due, &late.item, 100), 0);
    assert_int_equal(due_set(&t.due, &soon.item, 10), 0);
    assert_int_equal(due_set(&t.due, &moved.item, 5), 0);
    assert_int_equal(due_set(&t.due, &moved.item, 500), 0);
    loop_fake_run_for(loop, 200);
    assert_int_equal(soon.n, 3);
    assert_int_equal(soon.at[0], 10);
    assert_int_equal(soon.at[1], 30);
    assert_int_equal(soon.at[2], 50);
    assert_int_equal(late.n, 1);
    assert_int_equal(late.at[0], 100);
    assert_int_equal(moved.n, 0);
    due_stop(&t.due, &moved.item);
    loop_fake_run_for(loop, 1000);
    assert_int_equal(moved.n, 0);
    due_timer_fini(&t);
    loop_close(loop);
}

/* ---- the record's clock */

static void the_offset_follows_the_server(void **state)
{
    (void)state;
    struct loop *loop;
    struct clock_stepped server;
    struct server_clock *c;
    const int64_t here = INT64_C(1700000000000000);
    assert_int_equal(loop_fake_open(here, &loop), 0);
    clock_stepped_init(&server, here + 7000000);
    struct record_fake *db = record_fake_new(&server.clock);
    record_fake_down(db, true);
    assert_int_equal(server_clock_start(record_fake_open, db, loop, &c), 0);
    loop_fake_run_for(loop, 500);
    assert_true(*server_clock_ahead_us(c) == RECORD_CLOCK_UNKNOWN);
    record_fake_down(db, false);
    loop_fake_run_for(loop, 3000);
    /* the server's clock stood still while ours went on */
    assert_in_range(*server_clock_ahead_us(c), 3500000, 7000000);
    clock_step(&server, 100000000);
    loop_fake_run_for(loop, 61000);
    assert_in_range(*server_clock_ahead_us(c), 40000000, 107000000);
    server_clock_stop(c);
    record_fake_free(db);
    loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_is_in_it),
        cmocka_unit_test(rounds_of_a_job_are_two),
        cmocka_unit_test(one_timer_serves_all_deadlines),
        cmocka_unit_test(the_offset_follows_the_server),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
