/* Offsets: only the finished beginning of a partition is ever committed. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/rng.h"
#include "worker/offsets.h"

static void nothing_is_known_before_the_first_record(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, -1);
    assert_int_equal(offsets_commit(&o), -1);
    assert_int_equal(offsets_span(&o), 0);
    offsets_init(&o, 17);
    assert_int_equal(offsets_commit(&o), 17);
    offsets_fini(&o);
    offsets_fini(&o);
}

static void commits_the_lowest_unfinished(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 5);
    for (int64_t i = 5; i < 10; i++)
        assert_int_equal(offsets_take(&o, i), 0);
    offsets_done(&o, 6);
    offsets_done(&o, 9);
    assert_int_equal(offsets_commit(&o), 5);
    offsets_done(&o, 5);
    assert_int_equal(offsets_commit(&o), 7);
    offsets_done(&o, 7);
    offsets_done(&o, 8);
    assert_int_equal(offsets_commit(&o), 10);
    offsets_fini(&o);
}

static void holes_count_as_done(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 0);
    assert_int_equal(offsets_take(&o, 40), 0);
    assert_int_equal(offsets_commit(&o), 40);
    assert_int_equal(offsets_take(&o, 70000), 0);
    assert_int_equal(offsets_span(&o), 69961);
    offsets_done(&o, 40);
    assert_int_equal(offsets_commit(&o), 70000);
    offsets_done(&o, 70000);
    assert_int_equal(offsets_commit(&o), 70001);
    offsets_fini(&o);
}

static void refuses_what_was_delivered_and_what_is_too_far(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 10);
    assert_int_equal(offsets_take(&o, 9), ERR_EXISTS);
    assert_int_equal(offsets_take(&o, 10), 0);
    assert_int_equal(offsets_take(&o, 10), ERR_EXISTS);
    assert_int_equal(offsets_take(&o, 10 + OFFSETS_SPAN), ERR_FULL);
    assert_int_equal(offsets_take(&o, 10 + OFFSETS_SPAN - 1), 0);
    assert_int_equal(offsets_span(&o), OFFSETS_SPAN);
    offsets_done(&o, 10);
    assert_int_equal(offsets_take(&o, 10 + OFFSETS_SPAN), 0);
    offsets_fini(&o);
}

static void done_twice_or_unknown_changes_nothing(void **state)
{
    (void)state;
    struct offsets o;
    offsets_init(&o, 0);
    offsets_done(&o, 0);
    assert_int_equal(offsets_take(&o, 0), 0);
    assert_int_equal(offsets_take(&o, 1), 0);
    offsets_done(&o, 1);
    offsets_done(&o, 1);
    offsets_done(&o, 99);
    offsets_done(&o, -3);
    assert_int_equal(o.open, 1);
    assert_int_equal(offsets_commit(&o), 0);
    offsets_fini(&o);
}

/* Against a plain array, in random order over several ring sizes. */
static void agrees_with_a_plain_model(void **state)
{
    (void)state;
    enum { N = 3000 };
    static bool open[N];
    struct rng_seeded r;
    rng_seeded_init(&r, 4);
    struct offsets o;
    offsets_init(&o, 0);
    int64_t next = 0, lowest = 0;
    for (int step = 0; step < 20000; step++) {
        if (next < N && rng_upto(&r.rng, 2) == 0) {
            assert_int_equal(offsets_take(&o, next), 0);
            open[next++] = true;
        } else if (next > lowest) {
            int64_t at = lowest + (int64_t)rng_upto(&r.rng, (uint64_t)(next - lowest - 1));
            offsets_done(&o, at);
            open[at] = false;
        }
        while (lowest < next && !open[lowest])
            lowest++;
        assert_int_equal(offsets_commit(&o), lowest);
    }
    offsets_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_known_before_the_first_record),
        cmocka_unit_test(commits_the_lowest_unfinished),
        cmocka_unit_test(holes_count_as_done),
        cmocka_unit_test(refuses_what_was_delivered_and_what_is_too_far),
        cmocka_unit_test(done_twice_or_unknown_changes_nothing),
        cmocka_unit_test(agrees_with_a_plain_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
