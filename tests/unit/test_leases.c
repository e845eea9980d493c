/* leases.h: what is leased is good for its time, also where nobody asked meanwhile. (Three workers
 * and a Redis: test_call_leases.c.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/leases.h"

enum { SECOND = 1000000, CALLS = 6 };

/* A loop that stood still for long: others may have the slots by now. */
static void slots_that_nobody_renewed_run_out(void **state)
{
    struct upstream u = {.name = (char[]){"shop"}, .concurrency = 12, .queue = 20};
    struct governor g;
    struct governor_ticket calls[CALLS] = {0};
    struct leases l;
    struct leases_slots ask;
    (void)state;
    governor_init(&g, &u, 2);
    leases_init(&l, &g, true, 0);
    leases_share(&l, 2, 12, 0);
    for (int i = 0; i < CALLS; i++)
        assert_int_equal(governor_ask(&g, &calls[i], 0, true), GOVERNOR_WAIT);
    leases_look(&l, 0, true);
    assert_true(leases_ask_slots(&l, 0, &ask));
    assert_in_range(ask.want, CALLS, 12);
    leases_slots(&l, SECOND / 10, ask.want, ask.want);
    assert_int_equal(l.mode, LEASES_SHARED);
    leases_look(&l, 10 * SECOND - 1, true);
    assert_int_equal(g.slots, ask.want);
    leases_look(&l, 10 * SECOND, true); /* from the question on, not from its answer */
    assert_int_equal(g.slots, 0);
    assert_true(leases_ask_slots(&l, 10 * SECOND, &ask));
    assert_int_equal(ask.claim, 0);
    for (int i = 0; i < CALLS; i++)
        governor_leave(&g, &calls[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_nobody_renewed_run_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
