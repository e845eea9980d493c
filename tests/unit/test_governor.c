/* Governor: concurrency, rate, order of arrival, shares, breaker with one probe. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/governor.h"

enum { SECOND = 1000000 };

static struct upstream up(unsigned concurrency, double rate)
{
    return (struct upstream){.name = "shop",
                             .concurrency = concurrency,
                             .rate = rate,
                             .queue = 4,
                             .breaker = {true, 50, 4, 10000}};
}

static void starts_up_to_its_slots_then_in_order(void **state)
{
    (void)state;
    struct upstream u = up(2, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t[4] = {0};
    bool open;
    int64_t wait;
    assert_int_equal(governor_ask(&g, &t[0], 0, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &t[1], 0, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &t[2], 0, true), GOVERNOR_WAIT);
    assert_int_equal(governor_ask(&g, &t[3], 0, true), GOVERNOR_WAIT);
    assert_null(governor_next(&g, 0, &wait, &open));
    assert_int_equal(wait, -1);
    assert_int_equal(governor_fill(&g, false), 50);
    governor_done(&g, &t[0], SIGN_GOOD, 0);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &t[2]);
    assert_false(open);
    assert_null(governor_next(&g, 0, &wait, &open));
}

static void newcomers_do_not_overtake(void **state)
{
    (void)state;
    struct upstream u = up(1, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket a = {0}, b = {0}, c = {0};
    bool open;
    int64_t wait;
    assert_int_equal(governor_ask(&g, &a, 0, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &b, 0, true), GOVERNOR_WAIT);
    governor_done(&g, &a, SIGN_GOOD, 0);
    assert_int_equal(governor_ask(&g, &c, 0, true), GOVERNOR_WAIT);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &b);
}

static void who_is_last_lets_all_others_go_first(void **state)
{
    (void)state;
    struct upstream u = up(1, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket flying = {0}, late[2] = {{.refill = true}, {.refill = true}}, t[2] = {0};
    struct governor_ticket *order[] = {&t[0], &t[1], &late[0], &late[1]};
    bool open;
    int64_t wait;
    assert_int_equal(governor_ask(&g, &flying, 0, true), GOVERNOR_GO);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(governor_ask(&g, &late[i], 0, true), GOVERNOR_WAIT);
        assert_int_equal(governor_ask(&g, &t[i], 0, true), GOVERNOR_WAIT);
    }
    assert_int_equal(governor_fill(&g, false), 50); /* of 4: who is last takes nobody's place */
    assert_int_equal(governor_fill(&g, true), 50);
    for (int i = 0; i < 4; i++) {
        governor_done(&g, i ? order[i - 1] : &flying, SIGN_GOOD, 0);
        assert_ptr_equal(governor_next(&g, 0, &wait, &open), order[i]);
    }
    assert_int_equal(governor_fill(&g, true), 0);
    assert_true(late[0].refill); /* for its next attempt */
    assert_null(governor_next(&g, 0, &wait, &open));
}

/* The slot is free, but the rate let nobody go yet: who comes now need not line up behind them. */
static void who_is_last_blocks_nobody(void **state)
{
    (void)state;
    struct upstream u = up(10, 10);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket flying = {0}, late = {.refill = true}, other = {.refill = true}, t = {0};
    assert_int_equal(governor_ask(&g, &flying, 0, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &late, 0, true), GOVERNOR_WAIT);
    assert_int_equal(governor_ask(&g, &other, SECOND, true), GOVERNOR_WAIT);
    assert_int_equal(governor_ask(&g, &t, SECOND, true), GOVERNOR_GO);
}

static void the_probe_is_not_one_that_is_last(void **state)
{
    (void)state;
    struct upstream u = up(10, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket bad[4] = {0}, late = {.refill = true}, t = {0};
    bool open;
    int64_t wait;
    for (int i = 0; i < 4; i++)
        assert_int_equal(governor_ask(&g, &bad[i], 0, true), GOVERNOR_GO);
    for (int i = 0; i < 4; i++)
        governor_done(&g, &bad[i], SIGN_BAD, 0);
    assert_int_equal(governor_ask(&g, &late, 0, true), GOVERNOR_OPEN);
    governor_park(&g, &late);
    assert_null(governor_next(&g, 0, &wait, &open));
    assert_int_equal(wait, 10 * SECOND);
    governor_park(&g, &t);
    assert_ptr_equal(governor_next(&g, 10 * SECOND, &wait, &open), &t);
    assert_null(governor_next(&g, 10 * SECOND, &wait, &open)); /* while it is on its way */
    governor_done(&g, &t, SIGN_GOOD, 10 * SECOND);
    assert_ptr_equal(governor_next(&g, 10 * SECOND, &wait, &open), &late);
}

/* As many calls as the file says, up to the most it may say. */
static void a_breaker_looks_at_as_many_calls_as_it_is_told(void **state)
{
    (void)state;
    for (unsigned of = 257; of <= BREAKER_OF_MAX; of += BREAKER_OF_MAX - 257) {
        struct upstream u = up(1, 0);
        struct governor g;
        struct governor_ticket t = {0};
        u.breaker.of = of;
        governor_init(&g, &u, 1);
        for (unsigned i = 0; i < of; i++) {
            assert_int_equal(governor_ask(&g, &t, 0, true), GOVERNOR_GO);
            governor_done(&g, &t, i % 2 || i == 0 ? SIGN_BAD : SIGN_GOOD, 0);
            assert_int_equal(g.breaker.state, i + 1 < of ? BREAKER_CLOSED : BREAKER_OPEN);
        }
        assert_int_equal(governor_ask(&g, &t, 0, true), GOVERNOR_OPEN);
    }
}

static void one_that_leaves_is_not_given_out(void **state)
{
    (void)state;
    struct upstream u = up(1, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t[4] = {0};
    bool open;
    int64_t wait;
    for (int i = 0; i < 4; i++)
        governor_ask(&g, &t[i], 0, true);
    governor_leave(&g, &t[2]);
    governor_leave(&g, &t[2]);
    governor_leave(&g, &t[3]);
    governor_done(&g, &t[0], SIGN_GOOD, 0);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &t[1]);
    governor_done(&g, &t[1], SIGN_GOOD, 0);
    assert_null(governor_next(&g, 0, &wait, &open));
    assert_int_equal(g.queued, 0);
    assert_int_equal(governor_ask(&g, &t[3], 0, true), GOVERNOR_GO);
}

static void waits_while_it_may_not_start(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t = {0};
    bool open;
    int64_t wait;
    assert_int_equal(governor_ask(&g, &t, 0, false), GOVERNOR_WAIT);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &t);
}

static void spreads_calls_by_its_rate(void **state)
{
    (void)state;
    struct upstream u = up(64, 10);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t[21] = {0};
    bool open;
    int64_t wait;
    assert_int_equal(governor_ask(&g, &t[0], 0, true), GOVERNOR_GO);
    for (int i = 1; i <= 20; i++)
        assert_int_equal(governor_ask(&g, &t[i], 0, true), GOVERNOR_WAIT);
    int started = 0;
    for (int64_t now = 0; now <= SECOND; now += 1000)
        while (governor_next(&g, now, &wait, &open))
            started++;
    assert_in_range(started, 9, 10);
    assert_in_range(wait, 1, 100001);
}

static void a_share_of_limits_is_at_least_one(void **state)
{
    (void)state;
    struct upstream u = up(64, 10);
    struct governor g;
    governor_init(&g, &u, 3);
    assert_int_equal(g.slots, 21);
    governor_set_shares(&g, 100);
    assert_int_equal(g.slots, 1);
    governor_set_shares(&g, 0);
    assert_int_equal(g.slots, 64);
    assert_true(g.gap_us > 99999 && g.gap_us < 100001);
    governor_set_shares(&g, 2);
    assert_true(g.gap_us > 199999 && g.gap_us < 200001);
}

static void a_hold_stops_all_for_a_while(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t = {0};
    bool open;
    int64_t wait;
    governor_hold(&g, 0, 2000);
    governor_hold(&g, 0, 1000); /* a shorter one does not shorten it */
    assert_int_equal(governor_ask(&g, &t, 0, true), GOVERNOR_WAIT);
    assert_null(governor_next(&g, SECOND, &wait, &open));
    assert_int_equal(wait, SECOND);
    assert_ptr_equal(governor_next(&g, 2 * SECOND, &wait, &open), &t);
    governor_hold(&g, 0, INT64_C(86400000));
    assert_true(g.hold_us <= 60 * SECOND);
}

static void tell(struct governor *g, int n, enum governor_sign sign)
{
    struct governor_ticket t = {0};
    for (int i = 0; i < n; i++) {
        assert_int_equal(governor_ask(g, &t, 0, true), GOVERNOR_GO);
        governor_done(g, &t, sign, 0);
    }
}

static void the_breaker_opens_at_its_share_of_failures(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    tell(&g, 3, SIGN_GOOD);
    tell(&g, 1, SIGN_BAD); /* 1 of 4 */
    tell(&g, 1, SIGN_NONE);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
    tell(&g, 1, SIGN_BAD); /* 2 of the last 4 */
    assert_int_equal(g.breaker.state, BREAKER_OPEN);
    struct governor_ticket t = {0};
    assert_int_equal(governor_ask(&g, &t, 9 * SECOND, true), GOVERNOR_OPEN);
    assert_false(t.queued);
}

static void one_probe_decides(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t = {0}, other = {0};
    tell(&g, 4, SIGN_BAD);
    assert_int_equal(governor_ask(&g, &t, 10 * SECOND, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &other, 10 * SECOND, true), GOVERNOR_OPEN);
    governor_done(&g, &t, SIGN_BAD, 10 * SECOND);
    assert_int_equal(governor_ask(&g, &t, 19 * SECOND, true), GOVERNOR_OPEN);
    assert_int_equal(governor_ask(&g, &t, 20 * SECOND, true), GOVERNOR_GO);
    governor_done(&g, &t, SIGN_NONE, 20 * SECOND); /* cancelled: the next one probes */
    assert_int_equal(governor_ask(&g, &t, 20 * SECOND, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &other, 20 * SECOND, true), GOVERNOR_OPEN);
    governor_done(&g, &t, SIGN_GOOD, 20 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
    assert_int_equal(governor_ask(&g, &t, 20 * SECOND, true), GOVERNOR_GO);
    assert_int_equal(governor_ask(&g, &other, 20 * SECOND, true), GOVERNOR_GO);
}

/* Calls that were under way when it opened end during the probe, or after it. */
static void what_started_before_the_probe_does_not_decide(void **state)
{
    (void)state;
    struct upstream u = up(9, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket old[4] = {0}, probe = {0}, other = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(governor_ask(&g, &old[i], 0, true), GOVERNOR_GO);
    tell(&g, 4, SIGN_BAD);
    governor_done(&g, &old[0], SIGN_GOOD, SECOND);
    assert_int_equal(g.breaker.state, BREAKER_OPEN);
    assert_int_equal(governor_ask(&g, &probe, 10 * SECOND, true), GOVERNOR_GO);
    governor_done(&g, &old[1], SIGN_GOOD, 10 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_PROBE);
    governor_done(&g, &old[2], SIGN_BAD, 10 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_PROBE);
    governor_done(&g, &old[3], SIGN_NONE, 10 * SECOND); /* must not let a second one probe */
    assert_int_equal(governor_ask(&g, &other, 10 * SECOND, true), GOVERNOR_OPEN);
    assert_int_equal(g.flying, 1);
    governor_done(&g, &probe, SIGN_GOOD, 11 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
}

/* Time-outs of what was sent before it opened come when the upstream is well again. */
static void late_failures_do_not_open_it_again(void **state)
{
    (void)state;
    struct upstream u = up(9, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket old[4] = {0}, probe = {0};
    for (int i = 0; i < 4; i++)
        assert_int_equal(governor_ask(&g, &old[i], 0, true), GOVERNOR_GO);
    tell(&g, 4, SIGN_BAD);
    assert_int_equal(governor_ask(&g, &probe, 10 * SECOND, true), GOVERNOR_GO);
    governor_done(&g, &probe, SIGN_GOOD, 10 * SECOND);
    for (int i = 0; i < 4; i++)
        governor_done(&g, &old[i], SIGN_BAD, 11 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
    assert_int_equal(g.flying, 0);
    tell(&g, 4, SIGN_BAD); /* those of now do */
    assert_int_equal(g.breaker.state, BREAKER_OPEN);
}

static void an_open_breaker_empties_the_queue(void **state)
{
    (void)state;
    struct upstream u = up(1, 0);
    u.breaker.of = 1;
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket t[3] = {0};
    bool open;
    int64_t wait;
    for (int i = 0; i < 3; i++)
        governor_ask(&g, &t[i], 0, true);
    governor_done(&g, &t[0], SIGN_BAD, 0);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &t[1]);
    assert_true(open);
    assert_ptr_equal(governor_next(&g, 0, &wait, &open), &t[2]);
    assert_int_equal(g.flying, 0);
}

/* Who can wait for the breaker does: one of them probes, the others follow when it closes. */
static void the_parked_wait_for_the_breaker_and_go_first(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    struct governor g;
    governor_init(&g, &u, 1);
    struct governor_ticket a = {0}, b = {0}, c = {0}, late = {0};
    bool open;
    int64_t wait;
    tell(&g, 4, SIGN_BAD);
    governor_park(&g, &a);
    governor_park(&g, &b);
    governor_park(&g, &c);
    assert_int_equal(governor_fill(&g, false), 75);
    assert_null(governor_next(&g, 4 * SECOND, &wait, &open));
    assert_false(open);
    assert_int_equal(wait, 6 * SECOND);
    assert_int_equal(governor_ask(&g, &late, 10 * SECOND, true), GOVERNOR_WAIT);
    assert_ptr_equal(governor_next(&g, 10 * SECOND, &wait, &open), &a);
    assert_int_equal(g.breaker.state, BREAKER_PROBE);
    assert_ptr_equal(governor_next(&g, 10 * SECOND, &wait, &open), &late);
    assert_true(open);
    assert_null(governor_next(&g, 10 * SECOND, &wait, &open));
    assert_int_equal(wait, -1); /* the probe's end says */
    governor_leave(&g, &b);
    governor_done(&g, &a, SIGN_BAD, 11 * SECOND);
    assert_null(governor_next(&g, 11 * SECOND, &wait, &open));
    assert_int_equal(wait, 10 * SECOND);
    assert_ptr_equal(governor_next(&g, 21 * SECOND, &wait, &open), &c);
    governor_done(&g, &c, SIGN_GOOD, 21 * SECOND);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
    assert_int_equal(g.queued, 0);
}

static void an_absent_breaker_never_opens(void **state)
{
    (void)state;
    struct upstream u = up(5, 0);
    u.breaker.on = false;
    struct governor g;
    governor_init(&g, &u, 1);
    tell(&g, 100, SIGN_BAD);
    assert_int_equal(g.breaker.state, BREAKER_CLOSED);
}

static void codes_are_signs(void **state)
{
    (void)state;
    assert_int_equal(governor_sign_of(CALL_OK), SIGN_GOOD);
    assert_int_equal(governor_sign_of(CALL_HTTP_4XX), SIGN_GOOD);
    assert_int_equal(governor_sign_of(CALL_TIMEOUT), SIGN_BAD);
    assert_int_equal(governor_sign_of(CALL_HTTP_5XX), SIGN_BAD);
    assert_int_equal(governor_sign_of(CALL_CANCELLED), SIGN_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_up_to_its_slots_then_in_order),
        cmocka_unit_test(newcomers_do_not_overtake),
        cmocka_unit_test(who_is_last_lets_all_others_go_first),
        cmocka_unit_test(who_is_last_blocks_nobody),
        cmocka_unit_test(the_probe_is_not_one_that_is_last),
        cmocka_unit_test(a_breaker_looks_at_as_many_calls_as_it_is_told),
        cmocka_unit_test(one_that_leaves_is_not_given_out),
        cmocka_unit_test(waits_while_it_may_not_start),
        cmocka_unit_test(spreads_calls_by_its_rate),
        cmocka_unit_test(a_share_of_limits_is_at_least_one),
        cmocka_unit_test(a_hold_stops_all_for_a_while),
        cmocka_unit_test(the_breaker_opens_at_its_share_of_failures),
        cmocka_unit_test(one_probe_decides),
        cmocka_unit_test(what_started_before_the_probe_does_not_decide),
        cmocka_unit_test(late_failures_do_not_open_it_again),
        cmocka_unit_test(an_open_breaker_empties_the_queue),
        cmocka_unit_test(the_parked_wait_for_the_breaker_and_go_first),
        cmocka_unit_test(an_absent_breaker_never_opens),
        cmocka_unit_test(codes_are_signs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
