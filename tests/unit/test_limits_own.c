/* limits_own.h: counts in memory, and those of names that found no place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gateway/limits_own.h"

enum { S = 1000000 };
static const int64_t DAY_US = 86400ll * S;

static const struct limits_rule ONE_PER_DAY = {86400ll * S, 86400ll * S},
                                TEN_PER_SECOND = {S / 10, S};

static bool passes(struct limits_own *o, const char *name, struct limits_rule rule, int64_t now_us)
{
    struct limits_state state;
    limits_own_ask(o, name, rule, now_us, true, &state);
    assert_true(!state.spent || (state.wait_us > 0 && state.wait_us <= rule.step_us));
    return !state.spent;
}

static void each_name_has_its_own_until_it_is_full_again(void **state)
{
    struct limits_own *o;
    (void)state;
    assert_int_equal(limits_own_open(2, &o), 0);
    for (int i = 0; i < 10; i++)
        assert_true(passes(o, "a", TEN_PER_SECOND, 5 * S));
    assert_false(passes(o, "a", TEN_PER_SECOND, 5 * S));
    assert_true(passes(o, "b", TEN_PER_SECOND, 5 * S));
    limits_own_refund(o, "a", TEN_PER_SECOND, 5 * S);
    assert_true(passes(o, "a", TEN_PER_SECOND, 5 * S));
    assert_false(passes(o, "a", TEN_PER_SECOND, 5 * S));
    assert_true(passes(o, "a", TEN_PER_SECOND, 5 * S + S / 10));
    limits_own_close(o);
}

static void a_limit_that_was_loosened_frees_who_had_spent_it(void **state)
{
    struct limits_own *o;
    (void)state;
    assert_int_equal(limits_own_open(1, &o), 0);
    assert_true(passes(o, "a", ONE_PER_DAY, S));
    assert_false(passes(o, "a", TEN_PER_SECOND, S));
    assert_true(passes(o, "a", TEN_PER_SECOND, S + S / 10));
    limits_own_close(o);
}

/* A day's limit of one flow is nothing to those of another. */
static void who_has_no_place_is_judged_by_the_own_rule_alone(void **state)
{
    struct limits_own *o;
    (void)state;
    assert_int_equal(limits_own_open(1, &o), 0);
    assert_true(passes(o, "known", ONE_PER_DAY, S));
    assert_true(passes(o, "first", ONE_PER_DAY, S));
    assert_false(
        passes(o, "second", ONE_PER_DAY, S)); /* they share one: a flood is still bounded */
    for (int i = 0; i < 10; i++)
        assert_true(passes(o, "third", TEN_PER_SECOND, S));
    assert_false(passes(o, "fourth", TEN_PER_SECOND, S));
    limits_own_refund(o, "third", TEN_PER_SECOND, S);
    assert_true(passes(o, "fourth", TEN_PER_SECOND, S));
    assert_false(passes(o, "fifth", ONE_PER_DAY, DAY_US));
    assert_true(passes(o, "fifth", ONE_PER_DAY, DAY_US + S));
    limits_own_close(o);
}

/* What is full again gives way, but a flood of names looks for such at most each second. */
static void a_name_that_is_full_again_gives_its_place(void **state)
{
    struct limits_own *o;
    (void)state;
    assert_int_equal(limits_own_open(1, &o), 0);
    assert_true(passes(o, "first", TEN_PER_SECOND, S));
    for (int i = 0; i < 10; i++)
        assert_true(passes(o, "second", TEN_PER_SECOND, 5 * S)); /* in its place */
    assert_true(passes(o, "third", TEN_PER_SECOND, 5 * S));      /* shared */
    assert_false(passes(o, "second", TEN_PER_SECOND, 5 * S));
    assert_true(passes(o, "fourth", TEN_PER_SECOND, 7 * S)); /* in the place again */
    for (int i = 0; i < 10; i++)
        assert_true(passes(o, "fifth", TEN_PER_SECOND, 7 * S + S / 2)); /* shared */
    assert_false(passes(o, "sixth", TEN_PER_SECOND, 7 * S + S / 2));
    limits_own_close(o);
}

/* More rules than there are shared counts: each is still one that counts. */
static void however_many_rules_there_are_each_is_counted(void **state)
{
    struct limits_own *o;
    (void)state;
    assert_int_equal(limits_own_open(0, &o), 0);
    for (int i = 1; i <= 1000; i++) {
        const struct limits_rule rule = {i * (int64_t)S, i * (int64_t)S};
        assert_true(passes(o, "a", rule, S));
        assert_false(passes(o, "b", rule, S));
    }
    limits_own_close(o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_name_has_its_own_until_it_is_full_again),
        cmocka_unit_test(a_limit_that_was_loosened_frees_who_had_spent_it),
        cmocka_unit_test(who_has_no_place_is_judged_by_the_own_rule_alone),
        cmocka_unit_test(a_name_that_is_full_again_gives_its_place),
        cmocka_unit_test(however_many_rules_there_are_each_is_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
