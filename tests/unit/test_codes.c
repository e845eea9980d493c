/* The C tables and proto/codes.json say the same, both ways: documentation is written from that
 * file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/err.h"
#include "common/job.h"
#include "common/json.h"

static struct json *codes;

static int read_codes(void **state)
{
    (void)state;
    char text[65536];
    FILE *f = fopen("proto/codes.json", "rbe");
    if (!f)
        return -1;
    size_t n = fread(text, 1, sizeof text, f);
    fclose(f);
    return json_parse(text, n, NULL, &codes, NULL);
}

static int free_codes(void **state)
{
    (void)state;
    json_free(codes);
    return 0;
}

static void each_error_is_in_the_file(void **state)
{
    (void)state;
    const struct json *errors = json_get(codes, "errors");
    size_t public_n = 0;
    for (unsigned i = 0; err_at(i); i++) {
        const struct err_info *e = err_at(i);
        const struct json *row = json_get(errors, e->code);
        if (!row)
            fail_msg("proto/codes.json lacks errors.%s", e->code);
        if (e->err <= ERR_NOMEM) /* inside the programs: borrows a public code */
            continue;
        public_n++;
        assert_int_equal((int)json_number(json_get(row, "status")), e->http);
        assert_string_equal(json_text(json_get(row, "title")), e->title);
        assert_string_equal(json_text(json_get(row, "help")), err_help(e->code));
        const struct json *retry = json_get(row, "retry_after");
        assert_int_equal(json_is(retry, JSON_NULL) ? -1 : (int)json_number(retry), e->retry_s);
    }
    assert_int_equal(public_n, json_size(errors));
}

struct sentences {
    const char *user, *oper;
};

static void check_row(const struct json *table, const char *code, struct sentences s)
{
    const struct json *row = json_get(table, code);
    if (!row)
        fail_msg("proto/codes.json lacks %s", code);
    assert_string_equal(json_text(json_get(row, "user")), s.user);
    assert_string_equal(json_text(json_get(row, "operator")), s.oper);
}

static void each_job_reason_is_in_the_file(void **state)
{
    (void)state;
    const struct json *table = json_get(codes, "job_reasons");
    for (int i = 1; i < REASON_COUNT; i++) {
        enum job_reason r = (enum job_reason)i;
        check_row(table, reason_code(r),
                  (struct sentences){reason_for_user(r), reason_for_operator(r)});
        assert_int_equal(reason_parse(reason_code(r)), r);
    }
    assert_int_equal(json_size(table), REASON_COUNT - 1);
}

static void each_call_code_is_in_the_file(void **state)
{
    (void)state;
    const struct json *table = json_get(codes, "call_codes");
    for (int i = 1; i < CALL_CODE_COUNT; i++) {
        enum call_code c = (enum call_code)i;
        check_row(table, call_code(c),
                  (struct sentences){call_code_for_user(c), call_code_for_operator(c)});
        assert_int_equal(call_code_parse(call_code(c)), c);
    }
    assert_int_equal(json_size(table), CALL_CODE_COUNT - 1);
}

static void unknown_values_have_a_row_too(void **state)
{
    (void)state;
    assert_string_equal(err_info(-9999)->code, "internal");
    assert_string_equal(err_text(0), "ok");
    assert_int_equal(reason_parse("no such"), REASON_NONE);
    assert_int_equal(call_code_parse("no such"), CALL_CODE_COUNT);
    assert_int_equal(call_code_parse(""), CALL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_is_in_the_file),
        cmocka_unit_test(each_job_reason_is_in_the_file),
        cmocka_unit_test(each_call_code_is_in_the_file),
        cmocka_unit_test(unknown_values_have_a_row_too),
    };
    return cmocka_run_group_tests(tests, read_codes, free_codes);
}
