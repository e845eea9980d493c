#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/buf.h"

static void test_starts_empty_and_ends_in_0(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    assert_string_equal(buf_str(&b), "");
    buf_add(&b, NULL, 0);
    buf_add(&b, "a\0b", 3);
    assert_int_equal(b.len, 3);
    assert_memory_equal(b.data, "a\0b\0", 4);
    buf_fini(&b);
    buf_fini(&b);
    struct buf zeroed = {0};
    buf_fini(&zeroed);
}

static void test_adds_all_kinds(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    buf_text(&b, "x=");
    buf_printf(&b, "%d,%s", 42, "y");
    buf_char(&b, ';');
    buf_hex(&b, "\x00\xff\x1a", 3);
    buf_number(&b, 0);
    buf_number(&b, SIZE_MAX);
    assert_string_equal(buf_str(&b), "x=42,y;00ff1a018446744073709551615");
    assert_int_equal(b.len, 34);
    assert_int_equal(buf_ok(&b), 0);
    buf_fini(&b);
}

static void test_grows_past_its_first_memory(void **state)
{
    (void)state;
    struct buf b;
    char want[2001] = {0};
    buf_init(&b, 0);
    for (int i = 0; i < 2000; i++) {
        want[i] = (char)('a' + i % 26);
        buf_char(&b, want[i]);
    }
    buf_printf(&b, "%s", want);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data, want, 2000);
    assert_string_equal(b.data + 2000, want);
    buf_fini(&b);
}

static void test_reserves_room_once(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5000);
    buf_reserve(&b, 3000);
    const char *before = b.data;
    for (int i = 0; i < 3000; i++)
        buf_char(&b, 'x');
    assert_ptr_equal(b.data, before);
    assert_int_equal(b.len, 3000);
    buf_reserve(&b, 2001); /* as an add of them */
    assert_int_equal(buf_ok(&b), ERR_TOO_LARGE);
    assert_int_equal(b.len, 3000);
    buf_fini(&b);
}

static void test_max_leaves_what_is_there(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 5);
    buf_text(&b, "12345");
    assert_int_equal(buf_ok(&b), 0);
    buf_char(&b, '6');
    assert_int_equal(buf_ok(&b), ERR_TOO_LARGE);
    assert_string_equal(buf_str(&b), "12345");
    buf_clear(&b);
    buf_text(&b, "12");
    buf_printf(&b, "%d", 3456);
    assert_int_equal(buf_ok(&b), ERR_TOO_LARGE);
    buf_char(&b, '3'); /* once failed it stays so, or the middle would be missing */
    assert_string_equal(buf_str(&b), "12");
    assert_null(buf_take(&b, NULL));
    buf_clear(&b);
    assert_int_equal(buf_ok(&b), 0);
    assert_string_equal(buf_str(&b), "");
    buf_fini(&b);
}

static void test_max_of_1000_is_kept_after_growing(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 1000);
    for (int i = 0; i < 1001; i++)
        buf_char(&b, 'x');
    assert_int_equal(b.len, 1000);
    assert_int_equal(buf_ok(&b), ERR_TOO_LARGE);
    buf_fini(&b);
    buf_init(&b, 0);
    buf_add(&b, "", (size_t)-1); /* no overflow of the sum; nothing is read */
    assert_int_equal(buf_ok(&b), ERR_TOO_LARGE);
    buf_fini(&b);
}

static void test_no_memory_is_told_apart_from_max(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    b.failed = b.nomem = true; /* as a failed realloc leaves it */
    assert_int_equal(buf_ok(&b), ERR_NOMEM);
    buf_clear(&b);
    assert_int_equal(buf_ok(&b), 0);
    buf_fini(&b);
}

static void test_take_hands_the_bytes_over(void **state)
{
    (void)state;
    struct buf b;
    size_t len = 99;
    buf_init(&b, 100);
    buf_text(&b, "abc");
    char *taken = buf_take(&b, &len);
    assert_string_equal(taken, "abc");
    assert_int_equal(len, 3);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.max, 100);
    free(taken);
    taken = buf_take(&b, &len); /* an empty one too */
    assert_string_equal(taken, "");
    assert_int_equal(len, 0);
    free(taken);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_starts_empty_and_ends_in_0),
        cmocka_unit_test(test_adds_all_kinds),
        cmocka_unit_test(test_grows_past_its_first_memory),
        cmocka_unit_test(test_reserves_room_once),
        cmocka_unit_test(test_max_leaves_what_is_there),
        cmocka_unit_test(test_max_of_1000_is_kept_after_growing),
        cmocka_unit_test(test_no_memory_is_told_apart_from_max),
        cmocka_unit_test(test_take_hands_the_bytes_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
