#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"

struct trace {
    struct loop *loop;
    struct loop_timer *timer;
    char order[64];
    int64_t at[64];
    size_t n;
    char name;
    struct trace *to;
};

static void note(struct trace *t, char name)
{
    assert_true(t->n < sizeof t->order - 1);
    t->at[t->n] = loop_now_ms(t->loop);
    t->order[t->n++] = name;
}

static void on_named(void *arg)
{
    struct trace *t = arg;
    note(t->to, t->name);
}

static int setup(void **state)
{
    static struct trace t;
    t = (struct trace){0};
    t.to = &t;
    assert_int_equal(loop_fake_open(1000000, &t.loop), 0);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    loop_close(((struct trace *)*state)->loop);
    return 0;
}

static struct loop_timer *timer(struct trace *t, struct trace *named, char name)
{
    *named = (struct trace){.loop = t->loop, .name = name, .to = t};
    struct loop_timer *made = loop_timer_new(t->loop, on_named, named);
    assert_non_null(made);
    return made;
}

static void timers_fire_in_order_of_due_time_and_the_clock_jumps(void **state)
{
    struct trace *t = *state, a, b, c;
    struct loop_timer *ta = timer(t, &a, 'a'), *tb = timer(t, &b, 'b'), *tc = timer(t, &c, 'c');
    loop_timer_set(t->loop, ta, 5000, 0);
    loop_timer_set(t->loop, tb, 20, 0);
    loop_timer_set(t->loop, tc, 20, 0);
    assert_int_equal(loop_fake_pending(t->loop), 3);
    loop_run(t->loop);
    assert_string_equal(t->order, "bca");
    assert_int_equal(t->at[0], 20);
    assert_int_equal(t->at[2], 5000);
    assert_int_equal(clock_wall_us(loop_fake_clock(t->loop)), 1000000 + 5000000);
    loop_timer_free(t->loop, ta);
    loop_timer_free(t->loop, tb);
    loop_timer_free(t->loop, tc);
}

static void a_stopped_or_freed_timer_does_not_fire(void **state)
{
    struct trace *t = *state, a, b;
    struct loop_timer *ta = timer(t, &a, 'a'), *tb = timer(t, &b, 'b');
    loop_timer_set(t->loop, ta, 10, 0);
    loop_timer_set(t->loop, tb, 10, 0);
    loop_timer_stop(t->loop, ta);
    loop_timer_free(t->loop, tb);
    loop_run(t->loop);
    assert_int_equal(t->n, 0);
    assert_int_equal(loop_now_ms(t->loop), 0);
    loop_timer_free(t->loop, ta);
}

static void setting_anew_replaces_and_repeat_goes_on(void **state)
{
    struct trace *t = *state, a;
    struct loop_timer *ta = timer(t, &a, 'a');
    loop_timer_set(t->loop, ta, 1, 0);
    loop_timer_set(t->loop, ta, 10, 25);
    loop_fake_run_for(t->loop, 60);
    assert_string_equal(t->order, "aaa");
    assert_int_equal(t->at[0], 10);
    assert_int_equal(t->at[1], 35);
    assert_int_equal(t->at[2], 60);
    loop_timer_free(t->loop, ta);
}

static void on_free_self(void *arg)
{
    struct trace *t = arg;
    note(t, 'f');
    loop_timer_free(t->loop, t->timer);
}

static void a_timer_may_free_itself(void **state)
{
    struct trace *t = *state;
    t->timer = loop_timer_new(t->loop, on_free_self, t);
    loop_timer_set(t->loop, t->timer, 5, 5);
    loop_run(t->loop);
    assert_string_equal(t->order, "f");
}

static void on_post_more(void *arg)
{
    struct trace *t = arg;
    note(t, 'p');
    if (t->n < 3)
        assert_int_equal(loop_post(t->loop, on_post_more, t), 0);
    note(t, '.'); /* the posted call did not run inside the call */
}

static void posted_calls_run_later_in_order(void **state)
{
    struct trace *t = *state, b = {.loop = t->loop, .name = 'b', .to = t};
    assert_int_equal(loop_post(t->loop, on_post_more, t), 0);
    assert_int_equal(loop_post(t->loop, on_named, &b), 0);
    assert_int_equal(t->n, 0);
    loop_run(t->loop);
    assert_string_equal(t->order, "p.bp.");
    assert_int_equal(loop_now_ms(t->loop), 0);
}

static void on_rearm(void *arg)
{
    struct trace *t = arg;
    note(t, 'r');
    if (t->n < 4)
        loop_timer_set(t->loop, t->timer, 0, 0);
}

static void a_timer_of_no_time_takes_the_next_turn(void **state)
{
    struct trace *t = *state, b = {.loop = t->loop, .name = 'b', .to = t};
    t->timer = loop_timer_new(t->loop, on_rearm, t);
    loop_timer_set(t->loop, t->timer, 0, 0);
    assert_int_equal(loop_post(t->loop, on_named, &b), 0);
    loop_run(t->loop);
    assert_string_equal(t->order, "brrr");
    assert_int_equal(loop_now_ms(t->loop), 0);
    loop_timer_free(t->loop, t->timer);
}

static bool two_noted(void *arg)
{
    return ((struct trace *)arg)->n >= 2;
}

static void run_until_stops_at_the_condition_or_the_time(void **state)
{
    struct trace *t = *state, a;
    struct loop_timer *ta = timer(t, &a, 'a');
    loop_timer_set(t->loop, ta, 100, 100);
    assert_false(loop_fake_run_until(t->loop, two_noted, t, 150));
    assert_int_equal(t->n, 1);
    assert_true(loop_fake_run_until(t->loop, two_noted, t, 150));
    assert_int_equal(loop_now_ms(t->loop), 200);
    loop_timer_free(t->loop, ta);
    assert_false(loop_fake_run_until(t->loop, NULL, NULL, 1000));
}

static void on_stop(void *arg)
{
    loop_stop(arg);
}

static void stop_ends_a_run_and_the_next_goes_on(void **state)
{
    struct trace *t = *state, a;
    struct loop_timer *ta = timer(t, &a, 'a');
    loop_timer_set(t->loop, ta, 10, 10);
    struct loop_timer *stop = loop_timer_new(t->loop, on_stop, t->loop);
    loop_timer_set(t->loop, stop, 25, 0);
    loop_run(t->loop);
    assert_int_equal(t->n, 2);
    loop_timer_set(t->loop, stop, 10, 0);
    loop_run(t->loop);
    assert_int_equal(t->n, 3);
    loop_timer_free(t->loop, stop);
    loop_timer_free(t->loop, ta);
}

static void on_io(void *arg, int events)
{
    note(arg, (char)('0' + events));
}

static void descriptors_are_played(void **state)
{
    struct trace *t = *state;
    struct loop_io *io = loop_io_new(t->loop, 7, on_io, t);
    loop_fake_fire(t->loop, 7, LOOP_READ);
    loop_io_set(t->loop, io, LOOP_READ);
    assert_int_equal(loop_fake_watched(t->loop, 7), LOOP_READ);
    loop_fake_fire(t->loop, 7, LOOP_READ | LOOP_WRITE);
    loop_fake_fire(t->loop, 8, LOOP_READ);
    assert_string_equal(t->order, "1");
    loop_io_free(t->loop, io);
    assert_int_equal(loop_fake_watched(t->loop, 7), 0);
}

static void the_nth_allocation_can_fail(void **state)
{
    struct trace *t = *state;
    loop_fake_fail(t->loop, 2);
    struct loop_timer *one = loop_timer_new(t->loop, on_named, t);
    assert_non_null(one);
    assert_null(loop_timer_new(t->loop, on_named, t));
    loop_fake_fail(t->loop, 1);
    assert_int_equal(loop_post(t->loop, on_named, t), ERR_NOMEM);
    loop_fake_fail(t->loop, 1);
    assert_null(loop_io_new(t->loop, 3, on_io, t));
    loop_timer_free(t->loop, one);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_in_order_of_due_time_and_the_clock_jumps),
        TEST(a_stopped_or_freed_timer_does_not_fire),
        TEST(setting_anew_replaces_and_repeat_goes_on),
        TEST(a_timer_may_free_itself),
        TEST(posted_calls_run_later_in_order),
        TEST(a_timer_of_no_time_takes_the_next_turn),
        TEST(run_until_stops_at_the_condition_or_the_time),
        TEST(stop_ends_a_run_and_the_next_goes_on),
        TEST(descriptors_are_played),
        TEST(the_nth_allocation_can_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
