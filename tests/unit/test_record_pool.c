/* The fake's pool keeps the same promises as the SQL (tests/adapter/test_record_pool.c). */
#include "tests/record_pool.h"

#include "common/record_fake.h"

struct bench {
    struct clock_stepped clock;
    struct record_fake *db;
    struct record *r;
    uint64_t worker;
};

static int setup(void **state)
{
    static struct bench b;
    clock_stepped_init(&b.clock, INT64_C(1800000000000000));
    b.db = record_fake_new(&b.clock.clock);
    assert_non_null(b.db);
    assert_int_equal(record_fake_open(b.db, &b.r), 0);
    assert_int_equal(b.r->ops->worker_start(b.r, "a", 15000, &b.worker), 0);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->r->ops->close(b->r);
    record_fake_free(b->db);
    return 0;
}

static void an_item_is_one_jobs(void **state)
{
    struct bench *b = *state;
    pool_item_is_one_jobs(b->r, b->worker);
}

static void a_dead_worker_takes_nothing(void **state)
{
    struct bench *b = *state;
    assert_int_equal(b->r->ops->worker_end(b->r, b->worker), 0);
    pool_is_fenced(b->r, b->worker);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(an_item_is_one_jobs), T(a_dead_worker_takes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
