/* Steps double up to the limit, random in their upper half, and begin anew after a success. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include "common/backoff.h"

static void steps_double_up_to_the_limit(void **state)
{
    (void)state;
    struct rng_seeded r;
    struct backoff b = {100, 2000, 0};
    const int64_t steps[] = {100, 200, 400, 800, 1600, 2000, 2000};
    rng_seeded_init(&r, 7);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int64_t ms = backoff_next(&b, &r.rng);
        assert_in_range(ms, steps[i] / 2, steps[i]);
    }
    for (int i = 0; i < 100; i++)
        assert_in_range(backoff_next(&b, &r.rng), 1000, 2000);
    backoff_reset(&b);
    assert_in_range(backoff_next(&b, &r.rng), 50, 100);
}

static void waits_differ(void **state)
{
    (void)state;
    struct rng_seeded r;
    int64_t low = 2000, high = 0;
    rng_seeded_init(&r, 7);
    for (int i = 0; i < 200; i++) {
        struct backoff b = {1000, 1000, 0};
        int64_t ms = backoff_next(&b, &r.rng);
        low = ms < low ? ms : low;
        high = ms > high ? ms : high;
    }
    assert_true(low < 550 && high > 950);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_double_up_to_the_limit),
        cmocka_unit_test(waits_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
