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
POSTS_PROMISES(PROMISE)

#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown),
int main(void)
{
    const struct CMUnitTest tests[] = {POSTS_PROMISES(T)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
