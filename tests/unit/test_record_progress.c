/* The fake's progress against the promises the SQL is held to
 * (tests/adapter/test_record_progress.c). */
#include "tests/record_progress.h"
#include "tests/unit/record_bench.h"

static struct progress_bench progress_on(const struct record_bench *b)
{
    return (struct progress_bench){.r = b->r, .worker = b->worker, .now_us = RECORD_BENCH_NOW_US};
}

#define PROMISE(name)                                  \
    static void name(void **state)                     \
    {                                                  \
        struct progress_bench p = progress_on(*state); \
        progress_##name(&p);                           \
    }
PROGRESS_PROMISES(PROMISE)

#define T(f) RECORD_BENCH_TEST(f),
int main(void)
{
    const struct CMUnitTest tests[] = {PROGRESS_PROMISES(T)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
