/* The clerk with a thread; in virtual time test_writer.c, test_lease.c and others use it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/record_fake.h"
#include "log_capture.h"
#include "worker/clerk.h"

struct bench {
    struct record_fake *db;
    struct clerk *clerk;
    pthread_mutex_t lock;
    pthread_cond_t stepped;
    unsigned steps;
    int64_t at_ms[10]; /* when each of the first steps began */
    int64_t next_ms;   /* what a step asks for */
    int err;           /* what a step gives */
    bool had_record;
    unsigned lasts, steps_then;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct bench *b = arg;
    pthread_mutex_lock(&b->lock);
    if (b->steps < sizeof b->at_ms / sizeof *b->at_ms)
        b->at_ms[b->steps] = now_ms();
    b->steps++;
    b->had_record = r != NULL;
    *next_ms = b->next_ms;
    int err = b->err;
    pthread_cond_broadcast(&b->stepped);
    pthread_mutex_unlock(&b->lock);
    return err;
}

static int setup(void **state)
{
    static struct bench b;
    memset(&b, 0, sizeof b);
    b.db = record_fake_new(clock_real());
    b.next_ms = CLERK_WAIT;
    pthread_mutex_init(&b.lock, NULL);
    pthread_cond_init(&b.stepped, NULL);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    record_fake_free(b->db);
    pthread_cond_destroy(&b->stepped);
    pthread_mutex_destroy(&b->lock);
    return 0;
}

static void start(struct bench *b)
{
    struct clerk_settings s = {record_fake_open, b->db, step, b, NULL, "test"};
    assert_int_equal(clerk_start(&s, &b->clerk), 0);
}

/* Waits for the nth step, at most 10 s. */
static void wait_steps(struct bench *b, unsigned n)
{
    struct timespec until;
    int late = 0;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 10;
    pthread_mutex_lock(&b->lock);
    while (b->steps < n && !late)
        late = pthread_cond_timedwait(&b->stepped, &b->lock, &until);
    pthread_mutex_unlock(&b->lock);
    assert_int_equal(late, 0);
}

static void the_first_step_comes_by_itself_others_when_woken(void **state)
{
    struct bench *b = *state;
    start(b);
    wait_steps(b, 1);
    assert_true(b->had_record);
    clerk_wake(b->clerk);
    wait_steps(b, 2);
    clerk_stop(b->clerk);
    assert_int_equal(b->steps, 2);
}

static void a_step_comes_when_it_is_due(void **state)
{
    struct bench *b = *state;
    b->next_ms = 20;
    int64_t from = now_ms();
    start(b);
    wait_steps(b, 4);
    assert_true(now_ms() - from >= 60);
    clerk_stop(b->clerk);
}

static void a_failed_step_backs_off_whatever_wakes_it(void **state)
{
    struct bench *b = *state;
    b->err = ERR_IO;
    start(b);
    wait_steps(b, 1);
    for (int i = 0; i < 50; i++)
        clerk_wake(b->clerk);
    wait_steps(b, 3);
    assert_false(clerk_up(b->clerk));
    clerk_stop(b->clerk); /* in the middle of 0.4 s, unless this thread was kept so long */
    assert_in_range(b->steps, 3, 9);
    for (unsigned i = 1; i < b->steps; i++) /* 0.1, 0.2, 0.4 s, ... at most 2 s */
        assert_true(b->at_ms[i] - b->at_ms[i - 1] >= (i < 6 ? 50 << i : 2000));
}

static void without_a_connection_no_step_is_done(void **state)
{
    struct bench *b = *state;
    record_fake_down(b->db, true);
    start(b);
    clerk_stop(b->clerk);
    assert_int_equal(b->steps, 0);
    record_fake_down(b->db, false);
    start(b);
    wait_steps(b, 1);
    clerk_stop(b->clerk);
    clerk_stop(NULL);
}

static void last(void *arg, struct record *r)
{
    struct bench *b = arg;
    int64_t us;
    b->lasts++;
    b->steps_then = b->steps;
    assert_int_equal(r->ops->now(r, &us), 0); /* the connection is still there */
}

static void a_stop_may_have_a_last_word_behind_all_steps(void **state)
{
    struct bench *b = *state;
    start(b);
    wait_steps(b, 1);
    clerk_wake(b->clerk);
    clerk_stop_after(b->clerk, last);
    assert_int_equal(b->lasts, 1);
    assert_int_equal(b->steps_then, b->steps);
    b->err = ERR_IO; /* away: it could not do anything either */
    b->steps = 0;
    start(b);
    wait_steps(b, 2);
    clerk_stop_after(b->clerk, last);
    record_fake_down(b->db, true);
    start(b);
    clerk_stop_after(b->clerk, last);
    assert_int_equal(b->lasts, 1);
    clerk_stop_after(NULL, last);
}

/* ---- in a loop */

static void in_a_loop_it_is_a_timer(void **state)
{
    struct bench *b = *state;
    struct loop *loop;
    assert_int_equal(loop_fake_open(0, &loop), 0);
    struct clerk_settings s = {NULL, NULL, step, b, loop, NULL};
    assert_int_equal(clerk_start(&s, &b->clerk), 0);
    assert_int_equal(b->steps, 0);
    loop_fake_run_for(loop, 0);
    assert_int_equal(b->steps, 1);
    assert_false(b->had_record); /* asked for none */
    loop_fake_run_for(loop, 100000);
    assert_int_equal(b->steps, 1);
    b->err = ERR_IO;
    clerk_wake(b->clerk);
    loop_fake_run_for(loop, 0);
    assert_int_equal(b->steps, 2);
    clerk_wake(b->clerk);
    loop_fake_run_for(loop, 99);
    assert_int_equal(b->steps, 2);
    b->err = 0;
    loop_fake_run_for(loop, 2);
    assert_int_equal(b->steps, 3);
    assert_true(clerk_up(b->clerk));
    clerk_stop(b->clerk);
    assert_int_equal(loop_fake_pending(loop), 0);
    loop_close(loop);
}

static int ask(void *arg, struct record *r, int64_t *next_ms)
{
    struct bench *b = arg;
    int64_t us;
    *next_ms = 10;
    int err = r->ops->now(r, &us);
    return err ? err : b->err;
}

/* What MySQL says once, whichever table it is; not again for what is none of its doing. */
static void the_log_says_what_the_server_said(void **state)
{
    struct bench *b = *state;
    struct loop *loop;
    assert_int_equal(loop_fake_open(0, &loop), 0);
    struct clerk_settings s = {record_fake_open, b->db, ask, b, loop, "test"};
    record_fake_down(b->db, true);
    capture_start();
    assert_int_equal(clerk_start(&s, &b->clerk), 0);
    loop_fake_run_for(loop, 1000);
    record_fake_down(b->db, false);
    loop_fake_run_for(loop, 1000);
    record_fake_fail(b->db, 1, ERR_SETUP);
    loop_fake_run_for(loop, 1000);
    b->err = ERR_NOMEM;
    loop_fake_run_for(loop, 1000);
    capture_stop();
    clerk_stop(b->clerk);
    loop_close(loop);
    assert_int_equal(capture_lines(" record-away ", NULL, NULL), 3);
    assert_int_equal(capture_lines(" record-away ", "who=test", "2002 the fake is away"), 1);
    assert_int_equal(capture_lines(" record-away ", "who=test", "1146 the fake was told"), 1);
    assert_int_equal(capture_lines(" record-away ", "who=test", err_text(ERR_NOMEM)), 1);
    assert_int_equal(capture_lines(" record-back ", "who=test", NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(the_first_step_comes_by_itself_others_when_woken),
        T(a_step_comes_when_it_is_due),
        T(a_failed_step_backs_off_whatever_wakes_it),
        T(without_a_connection_no_step_is_done),
        T(a_stop_may_have_a_last_word_behind_all_steps),
        T(in_a_loop_it_is_a_timer),
        T(the_log_says_what_the_server_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
