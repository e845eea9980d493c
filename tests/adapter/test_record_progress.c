/* What became of jobs that somebody watches, on a real server. */
#include "tests/adapter/record_db.h"
#include "tests/record_progress.h"

static struct progress_bench progress_on(struct db *d)
{
    struct progress_bench p = {.r = d->a, .worker = d->wa};
    assert_int_equal(d->a->ops->now(d->a, &p.now_us), 0);
    return p;
}

#define PROMISE(name)                                  \
    static void name(void **state)                     \
    {                                                  \
        struct progress_bench p = progress_on(*state); \
        progress_##name(&p);                           \
    }
PROMISE(gives_what_is_behind_a_number)
PROMISE(gives_old_rows_without_results)
PROMISE(gives_a_final_job_whole)
PROMISE(knows_which_jobs_are_not_there)
PROMISE(can_be_asked_again)
PROMISE(is_cut_at_its_bytes)

#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
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
