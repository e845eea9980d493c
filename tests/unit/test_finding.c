#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/finding.h"
#include "common/json.h"

static struct finding_place at(const char *file, unsigned line, unsigned column)
{
    return (struct finding_place){file, line, column};
}

static void assert_printed(const struct findings *f, bool excerpt, const char *expected)
{
    struct buf out;
    buf_init(&out, 0);
    findings_print(f, excerpt, &out);
    assert_string_equal(buf_str(&out), expected);
    buf_fini(&out);
}

static void a_finding_is_one_line(void **state)
{
    (void)state;
    struct findings f;
    findings_init(&f);
    assert_printed(&f, false, "");
    findings_add(&f, at("a.yaml", 5, 3), FINDING_KEY, "unknown key `%s`\nwrite `%s`", "x", "y");
    findings_add(&f, at("a.yaml", 0, 0), FINDING_W_UNREAD, "nobody reads it");
    assert_printed(&f, false,
                   "a.yaml:5:3: error[F010]: unknown key `x`; write `y`\n"
                   "a.yaml: warning[F051]: nobody reads it\n");
    assert_int_equal(f.errors, 1);
    assert_int_equal(f.warnings, 1);
    findings_fini(&f);
    findings_fini(&f);
}

static void control_characters_and_endless_text_are_tamed(void **state)
{
    (void)state;
    struct findings f;
    char text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    findings_init(&f);
    findings_add(&f, at("a", 1, 1), FINDING_JQ, "one\ntwo\x1b[31m\x7f\tthree\nhelp\r");
    assert_string_equal(f.list[0].what, "one two [31m  three");
    assert_string_equal(f.list[0].help, "help ");
    findings_add(&f, at("a", 1, 1), FINDING_JQ, "%s", text);
    assert_true(strlen(f.list[1].what) < 1000);
    findings_fini(&f);
}

static void the_same_finding_counts_once(void **state)
{
    (void)state;
    struct findings f;
    findings_init(&f);
    for (int i = 0; i < 3; i++)
        findings_add(&f, at("a", 1, 1), FINDING_VALUE, "same\nhelp");
    findings_add(&f, at("a", 1, 2), FINDING_VALUE, "same\nhelp");
    assert_int_equal(f.n, 2);
    assert_int_equal(f.errors, 2);
    findings_fini(&f);
}

static void findings_sort_by_file_line_column_code(void **state)
{
    (void)state;
    struct findings f;
    findings_init(&f);
    findings_add(&f, at("b", 1, 1), FINDING_KEY, "6");
    findings_add(&f, at("a", 10, 1), FINDING_KEY, "5");
    findings_add(&f, at("a", 9, 2), FINDING_KEY, "4");
    findings_add(&f, at("a", 9, 1), FINDING_VALUE, "3");
    findings_add(&f, at("a", 9, 1), FINDING_KEY, "2");
    findings_add(&f, at("a", 0, 0), FINDING_KEY, "1");
    findings_sort(&f);
    for (size_t i = 0; i < f.n; i++)
        assert_int_equal(f.list[i].what[0], '1' + (int)i);
    findings_fini(&f);
}

static void beyond_the_limit_findings_are_counted(void **state)
{
    (void)state;
    struct findings f;
    struct buf out;
    findings_init(&f);
    for (unsigned i = 0; i < FINDINGS_MAX + 7; i++)
        findings_add(&f, at("a", i, 1), FINDING_W_UNREAD, "x");
    assert_int_equal(f.n, FINDINGS_MAX);
    assert_int_equal(f.dropped, 7);
    assert_int_equal(f.errors, 0);
    assert_int_equal(f.warnings, FINDINGS_MAX + 7);
    buf_init(&out, 0);
    findings_print(&f, false, &out);
    assert_non_null(strstr(buf_str(&out), "... and 7 more\n"));
    buf_fini(&out);
    findings_fini(&f);
}

static void a_thousand_warnings_hide_no_error(void **state)
{
    (void)state;
    struct findings f;
    char first[200];
    findings_init(&f);
    for (unsigned i = 0; i < FINDINGS_MAX; i++)
        findings_add(&f, at("a", i, 1), FINDING_W_UNREAD, "x");
    findings_add(&f, at("b", 1, 1), FINDING_KEY, "wrong");
    findings_add(&f, at("b", 1, 1), FINDING_KEY, "wrong"); /* the same counts once here, too */
    assert_int_equal(f.n, FINDINGS_MAX);
    assert_int_equal(f.errors, 1);
    assert_int_equal(f.warnings, FINDINGS_MAX);
    assert_int_equal(f.dropped, 1);
    findings_first(&f, first, sizeof first);
    assert_string_equal(first, "b:1:1: error[F010]: wrong");
    for (unsigned i = 0; i < FINDINGS_MAX + 3; i++)
        findings_add(&f, at("c", i, 1), FINDING_KEY, "y");
    assert_int_equal(f.n, FINDINGS_MAX);
    assert_int_equal(f.errors, FINDINGS_MAX + 4);
    assert_int_equal(f.dropped, FINDINGS_MAX + 4);
    findings_fini(&f);
}

static void people_see_the_line_and_a_caret(void **state)
{
    (void)state;
    char path[100], expected[400];
    struct findings f;
    snprintf(path, sizeof path, "/tmp/test_finding-%d.yaml", (int)getpid());
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs("a: 1\nüb: $calls.a-mart.x\n", out);
    fclose(out);
    findings_init(&f);
    findings_add(&f, at(path, 2, 12), FINDING_JQ, "what\nquote it");
    findings_add(&f, at(path, 99, 1), FINDING_JQ, "gone\n");
    snprintf(expected, sizeof expected,
             "%s:2:12: error[F031]: what\n"
             "  |\n"
             "2 | üb: $calls.a-mart.x\n"
             "  |            ^^^^^^\n"
             "  = help: quote it\n"
             "%s:99:1: error[F031]: gone\n",
             path, path);
    assert_printed(&f, true, expected);
    findings_fini(&f);
    unlink(path);
}

static void json_is_one_object_per_line(void **state)
{
    (void)state;
    struct findings f;
    struct buf out;
    struct json *v = NULL;
    findings_init(&f);
    findings_add(&f, at("a\"b.yaml", 5, 3), FINDING_W_SECRET, "say \"no\"\nhide it");
    buf_init(&out, 0);
    findings_print_json(&f, &out);
    assert_int_equal(out.data[out.len - 1], '\n');
    assert_int_equal(json_parse(out.data, out.len - 1, NULL, &v, NULL), 0);
    assert_string_equal(json_text(json_get(v, "file")), "a\"b.yaml");
    assert_true(json_number(json_get(v, "line")) == 5);
    assert_true(json_number(json_get(v, "column")) == 3);
    assert_string_equal(json_text(json_get(v, "code")), "F054");
    assert_string_equal(json_text(json_get(v, "severity")), "warning");
    assert_string_equal(json_text(json_get(v, "message")), "say \"no\"");
    assert_string_equal(json_text(json_get(v, "help")), "hide it");
    json_free(v);
    buf_fini(&out);
    findings_fini(&f);
}

static void the_first_error_stands_for_all(void **state)
{
    (void)state;
    struct findings f;
    char line[100], small[10];
    findings_init(&f);
    findings_first(&f, line, sizeof line);
    assert_string_equal(line, "");
    findings_add(&f, at("a", 1, 1), FINDING_W_UNREAD, "w");
    findings_first(&f, line, sizeof line);
    assert_string_equal(line, "a:1:1: warning[F051]: w");
    findings_add(&f, at("a", 2, 1), FINDING_KEY, "e\nh");
    findings_add(&f, at("a", 3, 1), FINDING_KEY, "later");
    findings_first(&f, line, sizeof line);
    assert_string_equal(line, "a:2:1: error[F010]: e; h");
    findings_first(&f, small, sizeof small);
    assert_string_equal(small, "a:2:1: er");
    findings_fini(&f);
}

static void codes_are_unique_and_explained(void **state)
{
    (void)state;
    const char *title, *explanation;
    for (int c = 0; c < FINDING_CODE_COUNT; c++) {
        const char *code = finding_code_text((enum finding_code)c);
        assert_int_equal(strlen(code), 4);
        if (c > 0) /* in order, so never twice */
            assert_true(strcmp(finding_code_text((enum finding_code)(c - 1)), code) < 0);
        assert_int_equal(finding_explain(code, &title, &explanation), 0);
        assert_true(title[0] && explanation[0]);
        bool warning = finding_code_severity((enum finding_code)c) == FINDING_WARNING;
        assert_int_equal(warning, code[1] == '0' && code[2] == '5');
    }
    assert_int_equal(finding_explain("F999", &title, &explanation), ERR_NOT_FOUND);
}

static void the_nearest_name_is_found_or_none(void **state)
{
    (void)state;
    const char *const names[] = {"result", "request", "retry", "need", "keep", "calls"};
    const struct {
        const char *typed, *near;
    } cases[] = {{"reslt", "result"}, {"resutl", "result"}, {"requests", "request"},
                 {"call", "calls"},   {"ned", "need"},      {"x", NULL},
                 {"banana", NULL},    {"", NULL},           {"retyr", "retry"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = nearest_name(cases[i].typed, names, 6);
        if (cases[i].near)
            assert_string_equal(near ? near : "none", cases[i].near);
        else
            assert_null(near);
    }
    char huge[100];
    memset(huge, 'r', sizeof huge - 1);
    huge[99] = 0;
    assert_null(nearest_name(huge, names, 6));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_finding_is_one_line),
        cmocka_unit_test(control_characters_and_endless_text_are_tamed),
        cmocka_unit_test(the_same_finding_counts_once),
        cmocka_unit_test(findings_sort_by_file_line_column_code),
        cmocka_unit_test(beyond_the_limit_findings_are_counted),
        cmocka_unit_test(a_thousand_warnings_hide_no_error),
        cmocka_unit_test(people_see_the_line_and_a_caret),
        cmocka_unit_test(json_is_one_object_per_line),
        cmocka_unit_test(the_first_error_stands_for_all),
        cmocka_unit_test(codes_are_unique_and_explained),
        cmocka_unit_test(the_nearest_name_is_found_or_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
