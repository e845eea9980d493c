#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/regex.h"

static int match(const char *pattern, const char *text)
{
    struct regex *r = NULL;
    char why[REGEX_WHY];
    if (regex_compile(pattern, &r, why))
        fail_msg("%s: %s", pattern, why);
    int rc = regex_match(r, text, strlen(text));
    regex_free(r);
    return rc;
}

static void test_finds_the_pattern_anywhere(void **state)
{
    (void)state;
    assert_int_equal(match("b+", "abbc"), 1);
    assert_int_equal(match("^b+", "abbc"), 0);
    assert_int_equal(match("", ""), 1);
}

static void test_reads_patterns_as_ecma_does(void **state)
{
    (void)state;
    assert_int_equal(match("^a$", "a\n"), 0); /* $ is the very end */
    assert_int_equal(match("^.$", "\xf0\x9f\x98\x80"), 1);
    assert_int_equal(match("^.$", "\r"), 0);
    assert_int_equal(match("^\\d$", "\xd9\xa3"), 0); /* ASCII digits only */
    assert_int_equal(match("^\\w$", "\xc3\xa9"), 0);
    assert_int_equal(match("^\\u00e9$", "\xc3\xa9"), 1);
    assert_int_equal(match("^\\u{1f600}$", "\xf0\x9f\x98\x80"), 1);
    assert_int_equal(match("^\\p{L}$", "\xc3\xa9"), 1);
    assert_int_equal(match("a[]", "a"), 0);
    assert_int_equal(match("a[^]", "a\n"), 1);
    assert_int_equal(match("^(?:(a)|b)\\1$", "b"), 1); /* an unset group matches nothing */
    assert_int_equal(match("^(?=.*x)(?!y)", "ax"), 1);
}

static void test_says_what_is_wrong(void **state)
{
    (void)state;
    struct regex *r = NULL;
    char why[REGEX_WHY];
    assert_int_equal(regex_compile("a(b", &r, why), ERR_INVALID);
    assert_string_equal(why, "missing closing parenthesis at character 4");
    assert_int_equal(regex_compile("a\\Cb", &r, why), ERR_INVALID);
    assert_int_equal(regex_compile("*", &r, why), ERR_INVALID);
    assert_null(r);
    regex_free(NULL);
}

static void test_limits_end_a_match(void **state)
{
    (void)state;
    char *text = malloc(100001);
    memset(text, 'a', 100000);
    text[100000] = 0;
    assert_int_equal(match("^(a+)+$", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!"), ERR_TOO_LARGE);
    assert_int_equal(match("^[a-z]+$", text), 1); /* an honest one does not meet them */
    assert_int_equal(match("^(?:ab|a)*$", text + 80000), 1);
    free(text);
}

static void *match_often(void *arg)
{
    size_t bad = 0;
    for (int i = 0; i < 2000; i++)
        bad += regex_match(arg, "xx-123-yy", 9) != 1;
    return (void *)bad;
}

static void test_one_pattern_serves_several_threads(void **state)
{
    (void)state;
    struct regex *r = NULL;
    char why[REGEX_WHY];
    pthread_t threads[3];
    assert_int_equal(regex_compile("(\\d+)-y", &r, why), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, match_often, r), 0);
    for (int i = 0; i < 3; i++) {
        void *bad = (void *)1;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
    regex_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_finds_the_pattern_anywhere),
        cmocka_unit_test(test_reads_patterns_as_ecma_does),
        cmocka_unit_test(test_says_what_is_wrong),
        cmocka_unit_test(test_limits_end_a_match),
        cmocka_unit_test(test_one_pattern_serves_several_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
