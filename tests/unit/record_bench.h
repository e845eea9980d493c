/* record_bench.h - the fake of the record at a clock that is stepped, with one worker whose lease
 * no test outlives. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/record_fake.h"

#define RECORD_BENCH_NOW_US INT64_C(1800000000000000)

struct record_bench {
    struct clock_stepped clock;
    struct record_fake *db;
    struct record *r;
    uint64_t worker;
};

static int record_bench_setup(void **state)
{
    static struct record_bench b;
    clock_stepped_init(&b.clock, RECORD_BENCH_NOW_US);
    b.db = record_fake_new(&b.clock.clock);
    assert_non_null(b.db);
    assert_int_equal(record_fake_open(b.db, &b.r, NULL), 0);
    assert_int_equal(b.r->ops->worker_start(b.r, "a", 900000, &b.worker), 0);
    *state = &b;
    return 0;
}

static int record_bench_teardown(void **state)
{
    struct record_bench *b = *state;
    b->r->ops->close(b->r);
    record_fake_free(b->db);
    return 0;
}

#define RECORD_BENCH_TEST(f) \
    cmocka_unit_test_setup_teardown(f, record_bench_setup, record_bench_teardown)
