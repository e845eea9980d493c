/* The worker in virtual time: what bounds it. A full queue of an upstream, and memory that is
 * refused once (calloc is wrapped by the linker, see tests/CMakeLists.txt). */
#include "shard_calls.h"
#include "worker/job_run.h"

static size_t refuse_size; /* of the allocation that fails; 0: none */
static unsigned refuse_nth, refused;

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
    if (refuse_size && n * size == refuse_size && --refuse_nth == 0) {
        refuse_size = 0;
        refused++;
        return NULL;
    }
    return __real_calloc(n, size);
}

#define ONE "calls:\n  a:\n    upstream: up\n    request: {path: /a/1}\nresult: $calls.a.result.n\n"

static int64_t restarted(void)
{
    return metrics_value(metrics_counter("offpath_jobs_restarted_total", "", ""));
}

/* Held for a second instead of anew at once, again and again, while there is no memory. */
static void without_memory_for_its_end_a_job_waits_and_ends(void **state)
{
    (void)state;
    const struct {
        size_t size;
        unsigned nth;
    } cases[] = {
        {sizeof(struct job_ending), 1},
        {sizeof(struct job_op), 3}, /* behind the claim's and the ledger's */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rule rule = {.delay_ms = 100};
        struct world *w = world_of(ONE, &rule);
        int64_t before = restarted();
        refuse_size = cases[i].size;
        refuse_nth = cases[i].nth;
        refused = 0;
        struct event e = put_job(w, "{}");
        world_run(w, 150);
        assert_int_equal(refused, 1);
        assert_int_equal(world_state(w, &e.job), JOB_RUNNING); /* ours all the while */
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_string_equal(s.job.result, "\"1\"");
        assert_int_equal(asked(w, "/a/1"), 1);
        assert_int_equal(restarted(), before);
        assert_int_equal(s.job.crashes, 0);
        seen_fini(&s);
        world_free(w);
    }
}

static int64_t queued(void)
{
    return metrics_value(metrics_gauge("offpath_calls_queued", "upstream=\"up\"", ""));
}

/* 100 items, and 10 may wait: the others are not begun before there is room. */
static void items_do_not_pass_the_bound_of_a_queue(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 20};
    char before[sizeof upstream_limits];
    memcpy(before, upstream_limits, sizeof before);
    snprintf(upstream_limits, sizeof upstream_limits, "concurrency: 2, queue: 10");
    struct world *w = world_of("calls:\n  a:\n    upstream: up\n    for_each: '[range(0; 100)]'\n"
                               "    parallel: 1000\n    request: {path: '/a/\\($item)'}\n",
                               &rule);
    memcpy(upstream_limits, before, sizeof before);
    struct event e = put_job(w, "{}");
    int64_t most = 0;
    for (int i = 0; i < 2000 && !job_is_final(world_state(w, &e.job)); i++) {
        world_run(w, 10);
        most = queued() > most ? queued() : most;
    }
    assert_int_equal(world_state(w, &e.job), JOB_SUCCEEDED);
    assert_int_equal(most, 10);
    assert_int_equal(asked(w, "*"), 100);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_memory_for_its_end_a_job_waits_and_ends),
        cmocka_unit_test(items_do_not_pass_the_bound_of_a_queue),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
