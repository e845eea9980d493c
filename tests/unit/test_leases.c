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

/* A shard that has more of the rate than its share while others are quiet owes nothing for that
 * once it is alone with its share. */
static void a_busy_shard_goes_on_at_its_share_without_redis(void **state)
{
    struct upstream u = {.name = (char[]){"shop"}, .concurrency = 8, .rate = 50, .queue = 20};
    struct governor g;
    struct governor_ticket t = {0};
    struct leases l;
    struct leases_slots ask;
    bool open;
    int64_t now = 0, wait;
    unsigned n;
    (void)state;
    governor_init(&g, &u, 2); /* its share: one in 40 ms */
    leases_init(&l, &g, true, 0);
    leases_share(&l, 2, 8, 0);
    for (; now < INT64_C(600) * SECOND; now += SECOND / 40) { /* one in 25 ms */
        leases_look(&l, now, true);
        if (governor_ask(&g, &t, now, true) == GOVERNOR_WAIT) {
            leases_look(&l, now, true);
            if (leases_ask_slots(&l, now, &ask))
                leases_slots(&l, now, ask.want, ask.want);
            if (leases_ask_rate(&l, now, &n))
                leases_rate(&l, now, n, 0);
            assert_ptr_equal(governor_next(&g, now, &wait, &open), &t);
        }
        leases_started(&l, now);
        governor_done(&g, &t, SIGN_GOOD, now);
    }
    leases_look(&l, now, false);
    assert_int_equal(l.mode, LEASES_LOST);
    assert_int_equal(governor_ask(&g, &t, now, true), GOVERNOR_WAIT);
    assert_null(governor_next(&g, now, &wait, &open));
    assert_in_range(wait, 1, 40000);
    assert_ptr_equal(governor_next(&g, now + wait, &wait, &open), &t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_that_nobody_renewed_run_out),
        cmocka_unit_test(a_busy_shard_goes_on_at_its_share_without_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
