/* The descriptors that bound the calls in flight. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/resource.h>

#include "common/files.h"

static void test_the_soft_limit_is_raised_to_the_hard_one(void **state)
{
    (void)state;
    struct rlimit before, after;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit low = {.rlim_cur = 64, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    unsigned limit = files_raise();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &after), 0);
    assert_true(after.rlim_cur == before.rlim_max);
    assert_true(limit == after.rlim_cur || limit == 1u << 20);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void test_calls_leave_room_for_all_else(void **state)
{
    (void)state;
    assert_int_equal(files_for_calls(20000, 1), 20000 - 256 - 512);
    assert_int_equal(files_for_calls(20000, 2), (20000 - 256) / 2 - 512);
    assert_int_equal(files_for_calls(1024, 1), (1024 - 256) / 2);
    for (unsigned limit = 1400; limit < 200000; limit += 777)
        for (unsigned shards = 1; shards <= 8; shards++)
            assert_true(files_for_calls(limit, shards) * shards + 256 <= limit);
}

static void test_connections_need_as_much_beside_them(void **state)
{
    (void)state;
    assert_int_equal(files_for_connections(256, 0), 256 + 256);
    assert_int_equal(files_for_connections(256, 20), 256 + 256 + 320); /* and their lag's clients */
}

static void test_streams_take_only_what_is_left(void **state)
{
    (void)state;
    assert_int_equal(files_for_streams(20000, 256, 0, 10000), 10000);
    assert_int_equal(files_for_streams(1024, 256, 0, 10000), 1024 - 256 - 256);
    assert_int_equal(files_for_streams(1024, 256, 20, 10000), 1024 - 256 - 256 - 320);
    assert_int_equal(files_for_streams(512, 256, 0, 10000), 0);
    assert_int_equal(files_for_streams(62, 256, 1, 10000), 0);
}

static void test_a_few_calls_are_always_possible(void **state)
{
    (void)state;
    assert_int_equal(files_for_calls(0, 1), 16);
    assert_int_equal(files_for_calls(256, 0), 16);
    assert_int_equal(files_for_calls(300, 64), 16);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_soft_limit_is_raised_to_the_hard_one),
        cmocka_unit_test(test_calls_leave_room_for_all_else),
        cmocka_unit_test(test_connections_need_as_much_beside_them),
        cmocka_unit_test(test_streams_take_only_what_is_left),
        cmocka_unit_test(test_a_few_calls_are_always_possible),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
