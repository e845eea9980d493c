/* The fake's outbox against the promises the SQL is held to (tests/adapter/test_record_posts.c). */
#include "tests/record_posts.h"
#include "tests/unit/record_bench.h"

static void all_due(void *arg)
{
    struct record_bench *b = arg;
    clock_step(&b->clock, INT64_C(31000000));
}

static int cancel(void *arg, const struct job_id *id)
{
    static const struct owner nobody;
    struct record_bench *b = arg;
    return record_fake_cancel(b->db, id, &nobody);
}

static struct posts posts_of(struct record_bench *b)
{
    return (struct posts){.r = b->r,
                          .worker = b->worker,
                          .now_us = RECORD_BENCH_NOW_US,
                          .all_due = all_due,
                          .cancel = cancel,
                          .arg = b};
}

#define PROMISE(name)                      \
    static void name(void **state)         \
    {                                      \
        struct posts p = posts_of(*state); \
        posts_##name(&p);                  \
    }
POSTS_PROMISES(PROMISE)

#define T(f) RECORD_BENCH_TEST(f),
int main(void)
{
    const struct CMUnitTest tests[] = {POSTS_PROMISES(T)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
