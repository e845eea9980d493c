/* feed.h: what a read gives to a reader with little room. What a stream makes of it:
 * test_streams.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "common/live.h"
#include "gateway/feed.h"

static const int64_t NOW_MS = 1795561200ll * 1000;
static const struct owner ANN = {{7}};

enum { JOBS = 1000 };

static struct record_job rows[JOBS];
static char details[JOBS][512];

static void no_title(void *arg, const char *flow, char out[FEED_TITLE])
{
    (void)arg;
    (void)flow;
    out[0] = 0;
}

/* The newest first; two were made in each microsecond. All have ended but the oldest. */
static void fill(size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t age = n - 1 - i;
        snprintf(details[i], sizeof details[i], "<%zu>%0500d", age, 0);
        rows[i] = (struct record_job){.owner = ANN,
                                      .state = age ? JOB_FAILED : JOB_RUNNING,
                                      .created_us = NOW_MS * 1000 + (int64_t)age / 2,
                                      .finished_us = age ? NOW_MS * 1000 : 0,
                                      .detail = details[i]};
        snprintf(rows[i].flow, sizeof rows[i].flow, "f");
        memcpy(rows[i].id.b, &(uint32_t[]){htobe32((uint32_t)age)}, 4);
    }
}

static size_t count_of(const struct buf *out, const char *what)
{
    size_t n = 0;
    for (const char *at = buf_str(out); (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

/* One read at this time; true: there is more. */
static bool take(struct feed *f, size_t n, int64_t now_ms, size_t room, struct buf *out)
{
    struct record_list list = {.rows = rows, .n = n};
    struct record_list asked;
    feed_ask(f, &ANN, &asked);
    return feed_take(f, &(struct feed_read){&list, now_ms, no_title, NULL}, room, out);
}

static void what_has_no_room_comes_with_the_reads_behind_it(void **state)
{
    struct feed f;
    struct buf out = {0};
    size_t parts = 0, jobs = 0;
    char until[64];
    (void)state;
    fill(JOBS);
    feed_init(&f, (uint64_t)NOW_MS);
    for (bool more = true; more; parts++) {
        buf_clear(&out);
        more = take(&f, JOBS, NOW_MS + 100 * (int64_t)parts, 65536, &out);
        assert_true(out.len < 65536 + 1024);
        jobs += count_of(&out, "event: job");
        assert_int_equal(f.began, !more); /* no message counts before all was said */
    }
    assert_true(parts > 5);
    assert_int_equal(jobs, JOBS);
    /* who comes back now hears again what ended since the first part */
    snprintf(until, sizeof until, "id: %lld\n\n", (long long)NOW_MS);
    assert_int_equal(count_of(&out, until), 1);
    assert_int_equal(f.since_ms, NOW_MS);
    assert_true(f.again); /* the first may have ended while the others were told */
    feed_fini(&f);
    buf_fini(&out);
}

static void a_job_that_ends_between_two_parts_is_told_in_the_end(void **state)
{
    struct feed f;
    struct buf out = {0};
    (void)state;
    fill(100);
    feed_init(&f, (uint64_t)NOW_MS);
    assert_true(take(&f, 100, NOW_MS, 4096, &out));
    assert_int_equal(count_of(&out, "\"state\":\"running\""), 1);
    rows[99].state = JOB_SUCCEEDED;
    rows[99].finished_us = NOW_MS * 1000;
    feed_message(&f, "1 job {}", 8, NOW_MS, true, &out); /* counts for nothing yet */
    assert_false(take(&f, 100, NOW_MS, SIZE_MAX, &out));
    assert_int_equal(count_of(&out, "\"state\":\"succeeded\""), 0);
    assert_true(f.again);
    assert_false(take(&f, 100, NOW_MS, SIZE_MAX, &out));
    assert_int_equal(count_of(&out, "\"state\":\"succeeded\""), 1);
    assert_false(f.again);
    feed_fini(&f);
    buf_fini(&out);
}

/* Something may be missing before it: it is told, but who comes back hears from before that on, and
 * the record is read once more. */
static void a_message_in_unsettled_times_asks_for_another_read(void **state)
{
    const int64_t later_ms = NOW_MS + 60000;
    char now[40], later[40];
    struct feed f;
    struct buf out = {0}, data = {0}, message = {0};
    (void)state;
    buf_text(&data, "{\"id\":\"x\"}");
    live_print(0, "job", &data, &message);
    snprintf(now, sizeof now, "id: %lld\n", (long long)NOW_MS);
    snprintf(later, sizeof later, "id: %lld\n", (long long)later_ms);
    feed_init(&f, 0);
    assert_false(take(&f, 0, NOW_MS, SIZE_MAX, &out));
    buf_clear(&out);
    feed_message(&f, message.data, message.len, later_ms, true, &out);
    assert_false(f.again);
    assert_int_equal(count_of(&out, later), 1);
    buf_clear(&out);
    feed_message(&f, message.data, message.len, later_ms, false, &out);
    assert_true(f.again);
    assert_int_equal(count_of(&out, "event: job"), 1);
    assert_int_equal(count_of(&out, now), 1);
    feed_fini(&f);
    buf_fini(&data);
    buf_fini(&message);
    buf_fini(&out);
}

static void without_any_room_nothing_is_said_and_nothing_forgotten(void **state)
{
    struct feed f;
    struct buf out = {0};
    (void)state;
    fill(2);
    feed_init(&f, (uint64_t)NOW_MS);
    assert_true(take(&f, 2, NOW_MS, 0, &out));
    assert_int_equal(out.len, 0);
    assert_false(take(&f, 2, NOW_MS, SIZE_MAX, &out));
    assert_int_equal(count_of(&out, "event: job"), 2);
    feed_fini(&f);
    buf_fini(&out);
}

static void a_number_that_is_no_time_counts_as_none(void **state)
{
    static const uint64_t wrong[] = {0, 253402300799001, 999999999999999999, UINT64_MAX};
    struct record_list l;
    struct feed f;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        feed_init(&f, wrong[i]);
        feed_ask(&f, &ANN, &l);
        assert_int_equal(l.ended_us, 253402300799000000); /* nothing has ended by then */
    }
    feed_init(&f, 253402300799000);
    feed_ask(&f, &ANN, &l);
    assert_int_equal(l.ended_us, 253402300789000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_has_no_room_comes_with_the_reads_behind_it),
        cmocka_unit_test(a_job_that_ends_between_two_parts_is_told_in_the_end),
        cmocka_unit_test(a_message_in_unsettled_times_asks_for_another_read),
        cmocka_unit_test(without_any_room_nothing_is_said_and_nothing_forgotten),
        cmocka_unit_test(a_number_that_is_no_time_counts_as_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
