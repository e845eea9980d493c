#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/watchdog.h"

static void on_due(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

enum { LONG = 30000 }; /* ms: on a machine that is busy a thread's time comes slowly */

/* Work until called so often, at most for so long. */
static void work(atomic_int *called, int times, int64_t ms)
{
    int64_t end = clock_mono_ms(clock_real()) + ms;
    while (atomic_load(called) < times && clock_mono_ms(clock_real()) < end)
        ;
}

static void long_work_is_called_once(void **state)
{
    struct watchdog_item item, other;
    atomic_int called = 0, quiet = 0;
    (void)state;
    int64_t from = clock_mono_ms(clock_real());
    watchdog_arm(&other, 60000, on_due, &quiet);
    watchdog_arm(&item, 20, on_due, &called);
    work(&called, 1, LONG);
    assert_true(clock_mono_ms(clock_real()) - from >= 20);
    work(&called, 2, 100); /* five times its limit: nothing more comes */
    assert_true(watchdog_disarm(&item));
    assert_false(watchdog_disarm(&other));
    assert_int_equal(called, 1);
    assert_int_equal(quiet, 0);
}

static void quick_work_is_not(void **state)
{
    atomic_int called = 0;
    (void)state;
    for (int i = 0; i < 20000; i++) {
        struct watchdog_item item;
        watchdog_arm(&item, 100, on_due, &called);
        assert_false(watchdog_disarm(&item));
    }
    assert_int_equal(called, 0);
}

static void waiting_is_no_work(void **state)
{
    struct watchdog_item item;
    atomic_int called = 0;
    (void)state;
    watchdog_arm(&item, 30, on_due, &called);
    usleep(80000); /* the one thing that is tried here: to wait */
    assert_false(watchdog_disarm(&item));
    assert_int_equal(called, 0);
}

static void a_stretched_limit_lasts_longer(void **state)
{
    struct watchdog_item item;
    atomic_int called = 0;
    (void)state;
    watchdog_stretch(100);
    watchdog_arm(&item, 20, on_due, &called);
    watchdog_stretch(1);
    work(&called, 1, 1000);
    assert_false(watchdog_disarm(&item));
    assert_int_equal(called, 0);
}

static void starts_are_counted(void **state)
{
    struct watchdog_item item;
    atomic_int called = 0;
    (void)state;
    assert_int_equal(watchdog_start(), 0);
    watchdog_stop();
    watchdog_arm(&item, 15, on_due, &called);
    work(&called, 1, LONG);
    assert_true(watchdog_disarm(&item));
}

static int start(void **state)
{
    (void)state;
    return watchdog_start();
}

static int stop(void **state)
{
    (void)state;
    watchdog_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_work_is_called_once),
        cmocka_unit_test(quick_work_is_not),
        cmocka_unit_test(waiting_is_no_work),
        cmocka_unit_test(a_stretched_limit_lasts_longer),
        cmocka_unit_test(starts_are_counted),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
