/* The fake's outbox against the promises the SQL is held to (tests/adapter/test_record_posts.c). */
#include "tests/record_posts.h"

#include "common/record_fake.h"

struct bench {
    struct clock_stepped clock;
    struct record_fake *db;
    struct posts posts;
};

static void all_due(void *arg)
{
    struct bench *b = arg;
    clock_step(&b->clock, INT64_C(31000000));
}

static int cancel(void *arg, const struct job_id *id)
{
    static const struct owner nobody;
    struct bench *b = arg;
    return record_fake_cancel(b->db, id, &nobody);
}

static int setup(void **state)
{
    static struct bench b;
    clock_stepped_init(&b.clock, INT64_C(1800000000000000));
    b.db = record_fake_new(&b.clock.clock);
    assert_non_null(b.db);
    b.posts = (struct posts){
        .now_us = INT64_C(1800000000000000), .all_due = all_due, .cancel = cancel, .arg = &b};
    assert_int_equal(record_fake_open(b.db, &b.posts.r), 0);
    assert_int_equal(b.posts.r->ops->worker_start(b.posts.r, "a", 900000, &b.posts.worker), 0);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->posts.r->ops->close(b->posts.r);
    record_fake_free(b->db);
    return 0;
}

#define PROMISE(name)              \
    static void name(void **state) \
    {                              \
        struct bench *b = *state;  \
        posts_##name(&b->posts);   \
    }
PROMISE(go_out_with_the_end)
PROMISE(have_ids_to_delete_them_by)
PROMISE(may_be_many)
PROMISE(of_a_cancelled_job_do_not_go_out)
PROMISE(bring_a_job_back)
PROMISE(of_a_cancelled_job_bring_nothing_back)

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void)
{
    const struct CMUnitTest tests[] = {
        T(go_out_with_the_end), T(have_ids_to_delete_them_by),
        T(may_be_many),         T(of_a_cancelled_job_do_not_go_out),
        T(bring_a_job_back),    T(of_a_cancelled_job_bring_nothing_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
