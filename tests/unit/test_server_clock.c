/* The offset to the record's clock, and answers that were long under way. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/loop_fake.h"
#include "common/record_clock.h"
#include "worker/server_clock.h"

enum { AHEAD_S = 90 };

static struct clock_stepped wall; /* ours; the server's is AHEAD_S ahead */
static int64_t way_us, back_us;   /* how long the question and the answer take */
static unsigned asked;

static int ask(struct record *r, int64_t *us)
{
    (void)r;
    asked++;
    clock_step(&wall, way_us);
    *us = wall.boot + AHEAD_S * INT64_C(1000000);
    clock_step(&wall, back_us);
    return 0;
}

static void close_record(struct record *r)
{
    (void)r;
}

static const char *why(struct record *r)
{
    (void)r;
    return "";
}

static int open_record(void *arg, struct record **out, char *text)
{
    static const struct record_ops ops = {.now = ask, .close = close_record, .why = why};
    static struct record record = {&ops};
    (void)arg;
    (void)text;
    *out = &record;
    return 0;
}

static struct server_clock *start(struct loop **loop, int64_t way, int64_t back)
{
    struct server_clock *c = NULL;
    clock_stepped_init(&wall, INT64_C(1700000000000000));
    way_us = way;
    back_us = back;
    asked = 0;
    assert_int_equal(loop_fake_open(wall.wall, loop), 0);
    (*loop)->clock = &wall.clock; /* the way is not in the loop's time */
    assert_int_equal(server_clock_start(open_record, NULL, *loop, &c), 0);
    loop_fake_run_for(*loop, 1);
    return c;
}

static int64_t off_by(const struct server_clock *c)
{
    return record_clock_now_us(&wall.clock, server_clock_ahead_us(c)) - wall.boot -
           AHEAD_S * INT64_C(1000000);
}

static void the_answer_is_from_the_middle_of_the_way(void **state)
{
    (void)state;
    struct loop *loop;
    struct server_clock *c = start(&loop, 2000, 2000);
    assert_int_equal(off_by(c), 0);
    loop_fake_run_for(loop, 59000);
    assert_int_equal(asked, 1);
    loop_fake_run_for(loop, 2000);
    assert_int_equal(asked, 2);
    server_clock_stop(c);
    loop_close(loop);
}

/* MySQL stood still for 10 s: the deadlines of all jobs must not move by 5. */
static void a_slow_answer_does_not_replace_a_good_one(void **state)
{
    (void)state;
    struct loop *loop;
    struct server_clock *c = start(&loop, 2000, 2000);
    way_us = 10000000;
    loop_fake_run_for(loop, 60000);
    assert_int_equal(asked, 2);
    assert_int_equal(off_by(c), 0);
    way_us = 4000;
    loop_fake_run_for(loop, 1000); /* asked again soon */
    assert_int_equal(asked, 3);
    assert_int_equal(off_by(c), 1000);
    server_clock_stop(c);
    loop_close(loop);
}

/* By hand, or by a time server after a long silence. */
static void a_step_of_our_own_clock_moves_nothing(void **state)
{
    (void)state;
    struct loop *loop;
    struct server_clock *c = start(&loop, 2000, 2000);
    clock_step_wall(&wall, INT64_C(3600) * 1000000);
    assert_int_equal(off_by(c), 0);
    loop_fake_run_for(loop, 61000);
    assert_int_equal(asked, 2);
    assert_int_equal(off_by(c), 0);
    clock_step_wall(&wall, INT64_C(-7200) * 1000000);
    assert_int_equal(off_by(c), 0);
    server_clock_stop(c);
    loop_close(loop);
}

static void a_slow_first_answer_is_better_than_none(void **state)
{
    (void)state;
    struct loop *loop;
    struct server_clock *c = start(&loop, 4000000, 0);
    assert_int_equal(off_by(c), 2000000);
    way_us = 2000000;
    loop_fake_run_for(loop, 1000);
    assert_int_equal(off_by(c), 1000000);
    way_us = 3000000;
    loop_fake_run_for(loop, 1000);
    assert_int_equal(off_by(c), 1000000);
    server_clock_stop(c);
    loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_from_the_middle_of_the_way),
        cmocka_unit_test(a_slow_answer_does_not_replace_a_good_one),
        cmocka_unit_test(a_step_of_our_own_clock_moves_nothing),
        cmocka_unit_test(a_slow_first_answer_is_better_than_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
