/* Intake: full at 100 %, open again at 50 %, for each of its bounds. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/intake.h"

static void jobs_shut_at_full_and_open_at_half(void **state)
{
    (void)state;
    struct intake i;
    intake_init(&i, 10, 1000);
    intake_jobs(&i, 9, 0);
    assert_false(intake_shut(&i, false));
    intake_jobs(&i, 10, 0);
    assert_true(intake_shut(&i, false));
    intake_jobs(&i, 6, 0);
    assert_true(intake_shut(&i, false));
    intake_jobs(&i, 5, 0);
    assert_false(intake_shut(&i, false));
}

static void bytes_shut_on_their_own(void **state)
{
    (void)state;
    struct intake i;
    intake_init(&i, 10, 1000);
    intake_jobs(&i, 1, 1200);
    assert_true(intake_shut(&i, false));
    intake_jobs(&i, 1, 501);
    assert_true(intake_shut(&i, false));
    intake_jobs(&i, 1, 500);
    assert_false(intake_shut(&i, false));
}

static void the_writer_and_upstream_queues_shut_too(void **state)
{
    (void)state;
    struct intake i;
    intake_init(&i, 10, 1000);
    intake_rows(&i, 10000, 0);
    assert_true(intake_shut(&i, false));
    intake_rows(&i, 5001, 0);
    assert_true(intake_shut(&i, false));
    intake_rows(&i, 5000, 0);
    assert_false(intake_shut(&i, false));
    intake_rows(&i, 70, 64 << 20);
    assert_true(intake_shut(&i, false));
    intake_rows(&i, 35, (32 << 20) + 1);
    assert_true(intake_shut(&i, false));
    intake_rows(&i, 35, 32 << 20);
    assert_false(intake_shut(&i, false));
    intake_calls(&i, 100, 0);
    assert_true(intake_shut(&i, false));
    intake_calls(&i, 50, 0);
    assert_false(intake_shut(&i, false));
}

static void refills_calls_shut_refills_only(void **state)
{
    (void)state;
    struct intake i;
    intake_init(&i, 10, 1000);
    intake_calls(&i, 0, 100);
    assert_false(intake_shut(&i, false));
    assert_true(intake_shut(&i, true));
    intake_calls(&i, 0, 51);
    assert_true(intake_shut(&i, true));
    intake_calls(&i, 100, 50);
    assert_true(intake_shut(&i, false));
    assert_true(intake_shut(&i, true));
    intake_calls(&i, 50, 50);
    assert_false(intake_shut(&i, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_shut_at_full_and_open_at_half),
        cmocka_unit_test(bytes_shut_on_their_own),
        cmocka_unit_test(refills_calls_shut_refills_only),
        cmocka_unit_test(the_writer_and_upstream_queues_shut_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
