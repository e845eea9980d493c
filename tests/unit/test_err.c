#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/err.h"

static void test_each_row_is_found_by_its_value(void **state)
{
    (void)state;
    unsigned n = 0;
    for (; err_at(n); n++) {
        const struct err_info *row = err_at(n);
        assert_true(row->err < 0);
        assert_ptr_equal(err_info(row->err), row); /* so no value stands twice */
        assert_string_equal(err_text(row->err), row->title);
        assert_true(*row->name && *row->code && *row->title);
        assert_in_range(row->http, 400, 599);
        assert_true(row->retry_s >= -1);
    }
    assert_true(n >= 40);
    assert_null(err_at(n + 1000));
}

static void test_no_name_stands_twice(void **state)
{
    (void)state;
    for (unsigned i = 0; err_at(i); i++)
        for (unsigned j = 0; j < i; j++)
            assert_string_not_equal(err_at(i)->name, err_at(j)->name);
}

static void test_only_what_may_help_has_retry_after(void **state)
{
    (void)state;
    for (unsigned i = 0; err_at(i); i++) {
        const struct err_info *row = err_at(i);
        bool again = row->http == 503 || row->http == 429;
        if (row->retry_s >= 0 && !again)
            fail_msg("%s: status %d with Retry-After", row->name, row->http);
        if (row->retry_s < 0 && again)
            fail_msg("%s: status %d without Retry-After", row->name, row->http);
    }
}

static void test_unknown_values_are_a_bug(void **state)
{
    (void)state;
    assert_int_equal(err_info(-9999)->err, ERR_BUG);
    assert_int_equal(err_info(12)->err, ERR_BUG);
    assert_string_equal(err_text(-9999), err_text(ERR_BUG));
    assert_string_equal(err_text(0), "ok");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_is_found_by_its_value),
        cmocka_unit_test(test_no_name_stands_twice),
        cmocka_unit_test(test_only_what_may_help_has_retry_after),
        cmocka_unit_test(test_unknown_values_are_a_bug),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
