/* A pool's items against a real server. */
#include "tests/adapter/record_db.h"
#include "tests/record_pool.h"

static void an_item_is_one_jobs(void **state)
{
    struct db *d = *state;
    pool_item_is_one_jobs(d->a, d->wa);
}

static void a_dead_worker_takes_nothing(void **state)
{
    struct db *d = *state;
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    pool_is_fenced(d->a, d->wa);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_pool_used", NULL), 0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_outbox", NULL), 0);
}

/* Items live 60 days at most, so who had an older one matters to nobody. */
static void items_are_forgotten_after_60_days(void **state)
{
    struct db *d = *state;
    struct record_swept swept;
    db_exec(d, "INSERT INTO op_pool_used(item,job,at) VALUES ('1','x',NOW(6)-INTERVAL 59 DAY),"
               "('2','x',NOW(6)-INTERVAL 61 DAY)");
    assert_int_equal(d->a->ops->sweep(d->a, 86400000, &swept), 0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_pool_used", NULL), 1);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_pool_used WHERE LEFT(item,1)='1'", NULL),
                     1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {T(an_item_is_one_jobs), T(a_dead_worker_takes_nothing),
                                       T(items_are_forgotten_after_60_days)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
