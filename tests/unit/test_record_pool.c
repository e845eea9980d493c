/* The fake's pool keeps the same promises as the SQL (tests/adapter/test_record_pool.c). */
#include "tests/record_pool.h"
#include "tests/unit/record_bench.h"

static void an_item_is_one_jobs(void **state)
{
    struct record_bench *b = *state;
    pool_item_is_one_jobs(b->r, b->worker);
}

static void a_dead_worker_takes_nothing(void **state)
{
    struct record_bench *b = *state;
    assert_int_equal(b->r->ops->worker_end(b->r, b->worker), 0);
    pool_is_fenced(b->r, b->worker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {RECORD_BENCH_TEST(an_item_is_one_jobs),
                                       RECORD_BENCH_TEST(a_dead_worker_takes_nothing)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
