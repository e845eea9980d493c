/* The fake's progress against the promises the SQL is held to
 * (tests/adapter/test_record_progress.c). */
#include "tests/record_progress.h"

#include "common/record_fake.h"

struct bench {
    struct clock_stepped clock;
    struct record_fake *db;
    struct progress_bench progress;
};

static int setup(void **state)
{
    static struct bench b;
    clock_stepped_init(&b.clock, INT64_C(1800000000000000));
    b.db = record_fake_new(&b.clock.clock);
    assert_non_null(b.db);
    b.progress = (struct progress_bench){.now_us = INT64_C(1800000000000000)};
    struct progress_bench *p = &b.progress;
    assert_int_equal(record_fake_open(b.db, &p->r), 0);
    assert_int_equal(p->r->ops->worker_start(p->r, "a", 900000, &p->worker), 0);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->progress.r->ops->close(b->progress.r);
    record_fake_free(b->db);
    return 0;
}

#define PROMISE(name)                  \
    static void name(void **state)     \
    {                                  \
        struct bench *b = *state;      \
        progress_##name(&b->progress); \
    }
PROMISE(gives_what_is_behind_a_number)
PROMISE(gives_old_rows_without_results)
PROMISE(gives_a_final_job_whole)
PROMISE(knows_which_jobs_are_not_there)
PROMISE(can_be_asked_again)
PROMISE(is_cut_at_its_bytes)

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(gives_what_is_behind_a_number),
                                       T(gives_old_rows_without_results),
                                       T(gives_a_final_job_whole),
                                       T(knows_which_jobs_are_not_there),
                                       T(can_be_asked_again),
                                       T(is_cut_at_its_bytes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
