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
PROGRESS_PROMISES(PROMISE)

#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown),
int main(void)
{
    const struct CMUnitTest tests[] = {PROGRESS_PROMISES(T)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
