/* hex.h: bytes to digits, digits to values, and what is no digit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/hex.h"

static void prints_two_digits_a_byte_and_an_end(void **state)
{
    char out[12] = "...........";
    (void)state;
    assert_ptr_equal(hex_print("\x00\x9f\xA0\xff", 4, out), out + 8);
    assert_string_equal(out, "009fa0ff");
    assert_int_equal(out[9], '.');
    assert_ptr_equal(hex_print("", 0, out), out);
    assert_string_equal(out, "");
}

static void reads_digits_of_either_case_and_nothing_else(void **state)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    (void)state;
    for (int c = -128; c < 128; c++) {
        const char *at = c ? strchr(digits, c) : NULL;
        int want = !at ? -1 : (int)(at - digits) - (at - digits > 15 ? 6 : 0);
        assert_int_equal(hex_digit((char)c), want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(prints_two_digits_a_byte_and_an_end),
        cmocka_unit_test(reads_digits_of_either_case_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
