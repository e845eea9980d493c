/* Budget: a hundred at once, one for five good ones, one in 10 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "worker/budget.h"

static unsigned take_all(struct budget *b, int64_t now_ms)
{
    unsigned n = 0;
    while (budget_take(b, now_ms))
        n++;
    return n;
}

static void a_hundred_at_once_then_one_in_10_s(void **state)
{
    struct budget b;
    (void)state;
    budget_init(&b);
    assert_int_equal(take_all(&b, 5000), 100);
    assert_false(budget_take(&b, 14999));
    assert_int_equal(take_all(&b, 15000), 1);
    assert_false(budget_take(&b, 24999));
    assert_int_equal(take_all(&b, 60000), 1); /* not one for each 10 s that nobody asked */
}

static void five_good_ones_earn_one_up_to_a_hundred(void **state)
{
    struct budget b;
    (void)state;
    budget_init(&b);
    for (int i = 0; i < 50; i++)
        budget_earn(&b);
    assert_int_equal(take_all(&b, 0), 100);
    for (int i = 0; i < 4; i++)
        budget_earn(&b);
    assert_int_equal(take_all(&b, 1), 0);
    budget_earn(&b);
    assert_int_equal(take_all(&b, 1), 1);
    for (int i = 0; i < 13; i++)
        budget_earn(&b);
    assert_int_equal(take_all(&b, 2), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_at_once_then_one_in_10_s),
        cmocka_unit_test(five_good_ones_earn_one_up_to_a_hundred),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
