/* shares.h: each client has its own count, and none is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>

#include "gateway/shares.h"

static const struct owner NOBODY, ANN = {{7}}, BOB = {{8}};

static void guests_are_counted_by_address_and_users_wherever_they_are(void **state)
{
    struct shares *s;
    struct share *one, *two, *other;
    (void)state;
    assert_int_equal(shares_new(2, &s), 0);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.1", &one), 0);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.1", &two), 0);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.1", &other), ERR_FULL);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.2", &other), 0);
    assert_int_equal(shares_enter(s, &ANN, "192.0.2.1", &other), 0);
    assert_int_equal(shares_enter(s, &ANN, "192.0.2.3", &other), 0);
    assert_int_equal(shares_enter(s, &ANN, "192.0.2.4", &other), ERR_FULL);
    assert_int_equal(shares_enter(s, &BOB, "192.0.2.1", &other), 0);
    shares_leave(s, one);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.1", &one), 0);
    assert_int_equal(shares_enter(s, &NOBODY, "192.0.2.1", &other), ERR_FULL);
    shares_leave(s, one);
    shares_leave(s, two);
    shares_free(s);
}

static void without_a_bound_it_only_counts(void **state)
{
    struct shares *s;
    struct share *list[100];
    (void)state;
    assert_int_equal(shares_new(0, &s), 0);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(shares_enter(s, &ANN, "", &list[i]), 0);
    for (size_t i = 0; i < 100; i++)
        shares_leave(s, list[i]);
    shares_free(s);
}

static void many_clients_find_each_its_own(void **state)
{
    enum { N = 20000 };
    static struct share *list[N];
    struct shares *s;
    struct share *more;
    char address[LIMITS_ADDRESS];
    (void)state;
    assert_int_equal(shares_new(1, &s), 0);
    for (unsigned round = 0; round < 2; round++) {
        for (unsigned i = 0; i < N; i++) {
            snprintf(address, sizeof address, "10.0.%u.%u", i >> 8, i & 255);
            assert_int_equal(shares_enter(s, &NOBODY, address, &list[i]), 0);
            assert_int_equal(shares_enter(s, &NOBODY, address, &more), ERR_FULL);
        }
        for (unsigned i = 0; i < N; i++)
            shares_leave(s, list[i]);
    }
    shares_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(guests_are_counted_by_address_and_users_wherever_they_are),
        cmocka_unit_test(without_a_bound_it_only_counts),
        cmocka_unit_test(many_clients_find_each_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
