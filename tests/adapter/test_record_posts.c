/* Records that go out with the end of a job, on a real server. */
#include "tests/adapter/record_db.h"
#include "tests/record_posts.h"

static void all_due(void *arg)
{
    db_exec(arg, "UPDATE op_outbox SET due=NOW(6)-INTERVAL 1 SECOND");
}

static int cancel(void *arg, const struct job_id *id)
{
    struct db *d = arg;
    struct record_cancel c = {.id = *id};
    return d->b->ops->cancel(d->b, &c);
}

static struct posts posts_of(struct db *d)
{
    struct posts p = {.r = d->a, .worker = d->wa, .all_due = all_due, .cancel = cancel, .arg = d};
    assert_int_equal(d->a->ops->now(d->a, &p.now_us), 0);
    return p;
}

#define PROMISE(name)                      \
    static void name(void **state)         \
    {                                      \
        struct posts p = posts_of(*state); \
        posts_##name(&p);                  \
    }
PROMISE(go_out_with_the_end)
PROMISE(have_ids_to_delete_them_by)
PROMISE(may_be_many)
PROMISE(of_a_cancelled_job_do_not_go_out)
PROMISE(bring_a_job_back)
PROMISE(of_a_cancelled_job_bring_nothing_back)

#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(go_out_with_the_end), T(have_ids_to_delete_them_by),
        T(may_be_many),         T(of_a_cancelled_job_do_not_go_out),
        T(bring_a_job_back),    T(of_a_cancelled_job_bring_nothing_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
