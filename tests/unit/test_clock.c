#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "common/clock.h"
#include "common/err.h"

static void check_format(int64_t us, const char *want)
{
    char text[CLOCK_TEXT];
    clock_format(us, text);
    assert_string_equal(text, want);
}

static void test_formats_rfc_3339_in_utc(void **state)
{
    (void)state;
    check_format(0, "1970-01-01T00:00:00.000000Z");
    check_format(1795560300123456, "2026-11-24T22:45:00.123456Z");
    check_format(951782399999999, "2000-02-28T23:59:59.999999Z");
    check_format(-1, "1969-12-31T23:59:59.999999Z");
    check_format(-1000000, "1969-12-31T23:59:59.000000Z");
    check_format(253402300799999999, "9999-12-31T23:59:59.999999Z");
}

static void check_parse(const char *text, int64_t want)
{
    int64_t us = -77;
    if (clock_parse(text, strlen(text), &us) || us != want)
        fail_msg("%s: %lld, wanted %lld", text, (long long)us, (long long)want);
}

static void test_parses_what_it_formats_and_any_offset(void **state)
{
    (void)state;
    check_parse("2026-11-24T22:45:00.123456Z", 1795560300123456);
    check_parse("2026-11-24t22:45:00.123456z", 1795560300123456);
    check_parse("2026-11-25T00:15:00.123456+01:30", 1795560300123456);
    check_parse("2026-11-24T14:45:00.123456-08:00", 1795560300123456);
    check_parse("2026-11-24T22:45:00Z", 1795560300000000);
    check_parse("2026-11-24T22:45:00.5Z", 1795560300500000);
    check_parse("2026-11-24T22:45:00.123456789Z", 1795560300123456);
    check_parse("1969-12-31T23:59:59.5Z", -500000);
}

static void test_knows_leap_days_and_leap_seconds(void **state)
{
    (void)state;
    check_parse("2024-02-29T00:00:00Z", 1709164800000000);
    check_parse("2000-02-29T00:00:00Z", 951782400000000);
    check_parse("2016-12-31T23:59:60Z", 1483228800000000);
    check_parse("2016-12-31T23:58:60Z", 1483228740000000);
}

static void test_refuses_what_is_no_time(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "2026-11-24",
        "2026-11-24T22:45:00",
        "2026-11-24T22:45Z",
        "2026-11-24T22:45:00.Z",
        "2026-11-24T22:45:00.1234567890Z",
        "2026-11-24T22:45:00Zx",
        "2026-11-24T22:45:00+01",
        "2026-11-24T22:45:00+24:00",
        "2026-11-24T22:45:00+01:60",
        "2026-11-24T24:00:00Z",
        "2026-11-24T22:60:00Z",
        "2026-11-24T22:45:61Z",
        "2026-13-24T22:45:00Z",
        "2026-00-24T22:45:00Z",
        "2026-11-00T22:45:00Z",
        "2026-11-31T22:45:00Z",
        "2026-02-29T12:34:56Z",
        "2026-02-30T00:00:00Z",
        "1900-02-29T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "26-11-24T22:45:00Z",
        "2026-1-24T22:45:00Z",
        " 2026-11-24T22:45:00Z",
        "2026-11-24T-2:45:00Z",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t us = -77;
        if (clock_parse(bad[i], strlen(bad[i]), &us) != ERR_INVALID || us != -77)
            fail_msg("%s was taken", bad[i]);
    }
}

/* Exactly-sized memory: a read behind the end is seen by the sanitizer. */
static void test_reads_no_further_than_len(void **state)
{
    (void)state;
    static const char text[] = "2026-11-24T22:45:00.123456+01:30";
    int64_t us;
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len ? len : 1);
        memcpy(exact, text, len);
        assert_int_equal(clock_parse(exact, len, &us), ERR_INVALID);
        free(exact);
    }
}

static void test_a_stepped_clock_stands_until_stepped(void **state)
{
    (void)state;
    struct clock_stepped c;
    clock_stepped_init(&c, 5000000);
    assert_int_equal(clock_wall_us(&c.clock), 5000000);
    assert_int_equal(clock_mono_us(&c.clock), 0);
    clock_step(&c, 1500);
    assert_int_equal(clock_wall_us(&c.clock), 5001500);
    assert_int_equal(clock_mono_us(&c.clock), 1500);
    assert_int_equal(clock_boot_us(&c.clock), 5001500);
    clock_step_wall(&c, -1000);
    assert_int_equal(clock_wall_us(&c.clock), 5000500);
    assert_int_equal(clock_mono_us(&c.clock), 1500);
    assert_int_equal(clock_boot_us(&c.clock), 5001500);
    assert_int_equal(clock_mono_ms(&c.clock), 1);
}

static void test_the_real_clock_goes_on(void **state)
{
    (void)state;
    const struct clock *c = clock_real();
    int64_t a = clock_mono_us(c);
    assert_true(clock_mono_us(c) >= a);
    assert_true(clock_boot_us(c) >= a);               /* both begin with the machine */
    assert_true(clock_wall_us(c) > 1700000000000000); /* 2023 */
}

/* By the wall's clock the moment would be long over. */
static void test_a_condition_waits_until_what_clock_until_says(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t cond;
    int rc = 0;
    clock_cond_init(&cond);
    int64_t from = clock_mono_us(clock_real());
    struct timespec until = clock_until(20);
    pthread_mutex_lock(&lock);
    while (rc == 0)
        rc = pthread_cond_timedwait(&cond, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(rc, ETIMEDOUT);
    assert_true(clock_mono_us(clock_real()) - from >= 20000);
    pthread_cond_destroy(&cond);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_formats_rfc_3339_in_utc),
        cmocka_unit_test(test_parses_what_it_formats_and_any_offset),
        cmocka_unit_test(test_knows_leap_days_and_leap_seconds),
        cmocka_unit_test(test_refuses_what_is_no_time),
        cmocka_unit_test(test_reads_no_further_than_len),
        cmocka_unit_test(test_a_stepped_clock_stands_until_stepped),
        cmocka_unit_test(test_the_real_clock_goes_on),
        cmocka_unit_test(test_a_condition_waits_until_what_clock_until_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
