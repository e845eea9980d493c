#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "worker/turns.h"

static int went[8];
static bool ended_before[8];
static size_t went_n;

static void go(void *arg, bool ended)
{
    ended_before[went_n] = ended;
    went[went_n++] = *(int *)arg;
}

static bool enter(struct turns *t, struct turn *turn, int *name, const char *key)
{
    bool first = false;
    *turn = (struct turn){.fn = go, .arg = name};
    assert_int_equal(turns_enter(t, turn, key, strlen(key), &first), 0);
    assert_true(first == turn_has(turn));
    return first;
}

static void one_by_one_in_order_of_arrival(void **state)
{
    struct turns t = {0};
    struct turn turn[4];
    int name[] = {0, 1, 2, 3};
    (void)state;
    went_n = 0;
    assert_true(enter(&t, &turn[0], &name[0], "7"));
    assert_false(enter(&t, &turn[1], &name[1], "7"));
    assert_false(enter(&t, &turn[2], &name[2], "7"));
    assert_true(enter(&t, &turn[3], &name[3], "8")); /* another key waits for nobody */
    assert_int_equal(went_n, 0);
    turns_leave(&t, &turn[0], true);
    assert_int_equal(went_n, 1);
    assert_int_equal(went[0], 1);
    assert_true(turn_has(&turn[1]));
    turns_leave(&t, &turn[1], false);
    assert_int_equal(went[1], 2);
    assert_true(ended_before[0] && !ended_before[1]);
    turns_leave(&t, &turn[2], true);
    turns_leave(&t, &turn[3], true);
    turns_leave(&t, &turn[3], true); /* is no change */
    assert_int_equal(went_n, 2);
    assert_true(enter(&t, &turn[0], &name[0], "7"));
    turns_leave(&t, &turn[0], true);
    for (size_t i = 0; i < TURN_BUCKETS; i++)
        assert_null(t.lanes[i]);
}

static void who_leaves_the_line_moves_nobody(void **state)
{
    struct turns t = {0};
    struct turn turn[4];
    int name[] = {0, 1, 2, 3};
    (void)state;
    went_n = 0;
    for (int i = 0; i < 4; i++)
        enter(&t, &turn[i], &name[i], "");
    turns_leave(&t, &turn[3], true);
    turns_leave(&t, &turn[1], true);
    assert_int_equal(went_n, 0);
    assert_false(enter(&t, &turn[1], &name[1], "")); /* at the end now */
    turns_leave(&t, &turn[0], true);
    turns_leave(&t, &turn[2], true);
    assert_int_equal(went_n, 2);
    assert_int_equal(went[0], 2);
    assert_int_equal(went[1], 1);
    turns_leave(&t, &turn[1], true);
}

static void many_keys_have_lanes_of_their_own(void **state)
{
    static struct turn turn[2000];
    struct turns t = {0};
    int name = 0;
    char key[16];
    (void)state;
    for (int i = 0; i < 2000; i++) {
        snprintf(key, sizeof key, "%d", i);
        assert_true(enter(&t, &turn[i], &name, key));
    }
    for (int i = 0; i < 2000; i++)
        turns_leave(&t, &turn[i], true);
    for (size_t i = 0; i < TURN_BUCKETS; i++)
        assert_null(t.lanes[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_by_one_in_order_of_arrival),
        cmocka_unit_test(who_leaves_the_line_moves_nobody),
        cmocka_unit_test(many_keys_have_lanes_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
