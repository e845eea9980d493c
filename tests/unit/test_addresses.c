/* addresses.h: each address has its own count, and none is left over. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "gateway/addresses.h"

static void counts_each_address_alone(void **state)
{
    (void)state;
    struct addresses *a;
    assert_int_equal(addresses_new(2, 4, &a), 0);
    assert_true(addresses_enter(a, "10.0.0.1"));
    assert_true(addresses_enter(a, "10.0.0.1"));
    assert_false(addresses_enter(a, "10.0.0.1"));
    assert_true(addresses_enter(a, "10.0.0.2"));
    addresses_leave(a, "10.0.0.1");
    assert_true(addresses_enter(a, "10.0.0.1"));
    assert_false(addresses_enter(a, "10.0.0.1"));
    addresses_free(a);
}

static void forgets_who_has_left(void **state)
{
    (void)state;
    struct addresses *a;
    char text[ADDRESS_TEXT] = "10.0.0.0";
    assert_int_equal(addresses_new(1, 3, &a), 0);
    for (char c = '1'; c <= '9'; c++) { /* more addresses than there is room for */
        assert_true(addresses_enter(a, "10.0.0.0"));
        text[7] = c;
        assert_true(addresses_enter(a, text));
        assert_false(addresses_enter(a, text));
        addresses_leave(a, "10.0.0.0");
        addresses_leave(a, text);
    }
    addresses_leave(a, "10.0.0.5"); /* never came: no change */
    assert_true(addresses_enter(a, "10.0.0.5"));
    assert_false(addresses_enter(a, "10.0.0.5"));
    addresses_free(NULL);
    addresses_free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_each_address_alone),
        cmocka_unit_test(forgets_who_has_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
