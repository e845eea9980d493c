/* Retry: what is listed is repeated, with jitter, after Retry-After, never past the deadline. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/retry.h"

static uint16_t statuses[] = {503};
static const struct retry_policy policy = {.attempts = 4,
                                           .backoff_ms = 200,
                                           .max_ms = 500,
                                           .codes = 1u << CALL_CONNECT | 1u << CALL_HTTP_429,
                                           .statuses = statuses,
                                           .statuses_n = 1};

static struct retry_attempt attempt(enum call_code code, int status, unsigned made)
{
    return (struct retry_attempt){
        .code = code, .status = status, .retry_after_ms = -1, .made = made, .left_ms = INT64_MAX};
}

static void repeats_only_what_is_listed(void **state)
{
    (void)state;
    assert_true(retry_is_listed(&policy, CALL_CONNECT, 0));
    assert_true(retry_is_listed(&policy, CALL_HTTP_5XX, 503));
    assert_false(retry_is_listed(&policy, CALL_HTTP_5XX, 500));
    assert_false(retry_is_listed(&policy, CALL_TIMEOUT, 0));
    struct rng_seeded r;
    rng_seeded_init(&r, 1);
    struct retry_attempt a = attempt(CALL_TIMEOUT, 0, 1);
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), -1);
}

static void stops_after_its_attempts(void **state)
{
    (void)state;
    struct rng_seeded r;
    rng_seeded_init(&r, 1);
    struct retry_attempt a = attempt(CALL_CONNECT, 0, 3);
    assert_true(retry_wait_ms(&policy, &a, &r.rng) >= 0);
    a.made = 4;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), -1);
}

/* The range is 0..min(max, backoff x 2^n): seen whole, and never beyond it. */
static void waits_at_random_up_to_a_doubling_bound(void **state)
{
    (void)state;
    const int64_t bound[] = {200, 400, 500};
    struct rng_seeded r;
    rng_seeded_init(&r, 7);
    for (unsigned n = 0; n < 3; n++) {
        struct retry_attempt a = attempt(CALL_CONNECT, 0, n + 1);
        int64_t low = INT64_MAX, high = 0;
        for (int i = 0; i < 2000; i++) {
            int64_t w = retry_wait_ms(&policy, &a, &r.rng);
            low = w < low ? w : low;
            high = w > high ? w : high;
        }
        assert_true(low >= 0 && low < bound[n] / 20);
        assert_true(high <= bound[n] && high > bound[n] * 19 / 20);
    }
}

static void a_huge_backoff_does_not_overflow(void **state)
{
    (void)state;
    struct retry_policy p = {.attempts = 90,
                             .backoff_ms = INT64_MAX / 3,
                             .max_ms = INT64_MAX,
                             .codes = 1u << CALL_CONNECT};
    struct rng_seeded r;
    rng_seeded_init(&r, 7);
    struct retry_attempt a = attempt(CALL_CONNECT, 0, 80);
    assert_true(retry_wait_ms(&p, &a, &r.rng) >= 0);
}

static void obeys_retry_after_and_gives_up_at_the_deadline(void **state)
{
    (void)state;
    struct rng_seeded r;
    rng_seeded_init(&r, 2);
    struct retry_attempt a = attempt(CALL_HTTP_429, 429, 1);
    a.retry_after_ms = 3000;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), 3000);
    a.left_ms = 3000;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), -1);
    a.left_ms = 3001;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), 3000);
}

/* A job without deadline would wait for ever: what it becomes then, `requeue` says. */
static void a_retry_after_beyond_an_hour_ends_the_call(void **state)
{
    (void)state;
    struct rng_seeded r;
    struct retry_policy patient = policy;
    rng_seeded_init(&r, 2);
    struct retry_attempt a = attempt(CALL_HTTP_429, 429, 1);
    a.retry_after_ms = 3600000;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), 3600000);
    a.retry_after_ms = 3600001;
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), -1);
    a.retry_after_ms = retry_after_parse("9999999999", 0);
    assert_int_equal(retry_wait_ms(&policy, &a, &r.rng), -1);
    a.retry_after_ms = 7200000;
    patient.max_ms = 7200000; /* its file waits as long anyway */
    assert_int_equal(retry_wait_ms(&patient, &a, &r.rng), 7200000);
    a.retry_after_ms = 7200001;
    assert_int_equal(retry_wait_ms(&patient, &a, &r.rng), -1);
}

static void reads_both_forms_of_retry_after(void **state)
{
    (void)state;
    const int64_t now = INT64_C(1445412480) * 1000000; /* Wed, 21 Oct 2015 07:28:00 GMT */
    assert_int_equal(retry_after_parse("2", now), 2000);
    assert_int_equal(retry_after_parse("0", now), 0);
    assert_int_equal(retry_after_parse("Wed, 21 Oct 2015 07:28:30 GMT", now), 30000);
    assert_int_equal(retry_after_parse("Wed, 21 Oct 2015 07:27:30 GMT", now), 0);
    assert_int_equal(retry_after_parse("soon", now), -1);
    assert_int_equal(retry_after_parse("2 minutes", now), -1);
    assert_int_equal(retry_after_parse("-5", now), -1);
    assert_int_equal(retry_after_parse("", now), -1);
    assert_int_equal(retry_after_parse(NULL, now), -1);
    assert_true(retry_after_parse("99999999999999999999", now) > INT64_C(86400000));
}

static void a_status_has_one_code(void **state)
{
    (void)state;
    assert_int_equal(retry_status_code(200), CALL_OK);
    assert_int_equal(retry_status_code(204), CALL_OK);
    assert_int_equal(retry_status_code(302), CALL_HTTP_3XX);
    assert_int_equal(retry_status_code(404), CALL_HTTP_4XX);
    assert_int_equal(retry_status_code(429), CALL_HTTP_429);
    assert_int_equal(retry_status_code(503), CALL_HTTP_5XX);
    assert_int_equal(retry_status_code(700), CALL_HTTP_5XX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(repeats_only_what_is_listed),
        cmocka_unit_test(stops_after_its_attempts),
        cmocka_unit_test(waits_at_random_up_to_a_doubling_bound),
        cmocka_unit_test(a_huge_backoff_does_not_overflow),
        cmocka_unit_test(obeys_retry_after_and_gives_up_at_the_deadline),
        cmocka_unit_test(a_retry_after_beyond_an_hour_ends_the_call),
        cmocka_unit_test(reads_both_forms_of_retry_after),
        cmocka_unit_test(a_status_has_one_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
