/* Tokens: their moments, void ones, several batches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/tokens.h"

static void each_has_its_moment(void **state)
{
    (void)state;
    struct tokens t = {.gap_us = 20000};
    assert_int_equal(tokens_wait_us(&t, 0), -1);
    tokens_add(&t, 1000, 90000, 3);
    assert_int_equal(tokens_wait_us(&t, 0), 1001);
    tokens_take(&t, 0); /* too early: no change */
    assert_int_equal(tokens_left(&t, 0), 3);
    assert_int_equal(tokens_wait_us(&t, 1000), 0);
    tokens_take(&t, 1000);
    assert_int_equal(tokens_wait_us(&t, 1000), 20001);
    tokens_take(&t, 21001);
    tokens_take(&t, 41001);
    assert_int_equal(tokens_wait_us(&t, 41001), -1);
}

static void what_is_not_taken_in_time_is_void(void **state)
{
    (void)state;
    struct tokens t = {.gap_us = 20000};
    tokens_add(&t, 0, 50000, 3); /* until 50, 70, 90 ms */
    assert_int_equal(tokens_left(&t, 50000), 3);
    assert_int_equal(tokens_left(&t, 50001), 2);
    assert_int_equal(tokens_wait_us(&t, 60000), 0);
    assert_int_equal(tokens_left(&t, 70001), 1);
    assert_int_equal(tokens_left(&t, 90001), 0);
    assert_int_equal(tokens_wait_us(&t, 90001), -1);
}

static void batches_follow_each_other(void **state)
{
    (void)state;
    struct tokens t = {.gap_us = 10};
    for (int i = 0; i < TOKENS_BATCHES + 1; i++)
        tokens_add(&t, 1000 * i, 90000, 1); /* the first goes */
    tokens_add(&t, 0, 1, 0);
    assert_int_equal(tokens_left(&t, 0), TOKENS_BATCHES);
    assert_int_equal(tokens_wait_us(&t, 0), 1001);
    for (int i = 1; i < TOKENS_BATCHES + 1; i++)
        tokens_take(&t, 1000 * i + 1);
    assert_int_equal(tokens_left(&t, 9000), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_its_moment),
        cmocka_unit_test(what_is_not_taken_in_time_is_void),
        cmocka_unit_test(batches_follow_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
