/* The worker in virtual time when a row comes to it that no job of it runs: it must not stay ours,
 * or nobody would run it. */
#include "shard_calls.h"

#define CALLS                                                            \
    "calls: {a: {upstream: up, request: {path: '/a/\\($request.n)'}}}\n" \
    "result: $calls.a.result.n\n"
#define OTHER   "z-topic"
#define REQUEST "{\"n\":\"1\"}"

/* This round of the job is claimed by a worker. */
static void claim_round(struct world *w, const struct event *e, uint64_t worker, uint16_t round)
{
    struct record_claim claim = {.job = {.id = e->job,
                                         .flow = "price-compare",
                                         .created_us = e->created_us,
                                         .deadline_us = e->deadline_us,
                                         .sweep_at_us = e->deadline_us + 600000000},
                                 .worker = worker,
                                 .round = round};
    struct record_claim *claims[] = {&claim};
    assert_int_equal(w->eyes->ops->claim(w->eyes, claims, 1), 0);
    assert_int_equal(claim.row.worker, worker);
    assert_int_equal(claim.row.round, round);
    record_claim_fini(&claim);
}

static struct record_job row_of(struct world *w, const struct event *e)
{
    struct record_job row;
    assert_int_equal(w->eyes->ops->look(w->eyes, &e->job, &row), 0);
    return row;
}

static struct event long_job(struct world *w)
{
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    return e;
}

/* A take-over got a later round than the one it was meant for. */
static void a_later_round_that_nobody_runs_is_given_back(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 50};
    struct world *w = world_of(CALLS, &rule);
    struct event e = long_job(w);
    claim_round(w, &e, w->signs[0].worker, 1);
    world_put(w, &e, REQUEST, 0);
    world_run(w, 3000);
    struct record_job row = row_of(w, &e);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.round, 1);
    assert_int_equal(world_committed(w, 0), 1); /* its own round is over */
    e.round = 1;
    world_put(w, &e, REQUEST, 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    world_free(w);
}

/* The row is ours because its later round runs here. */
static void a_later_round_that_runs_here_runs_on(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 5000};
    struct world *w = world_of(CALLS, &rule);
    struct event e = long_job(w);
    e.round = 1;
    world_put(w, &e, REQUEST, 0);
    world_run(w, 1000);
    e.round = 0;
    world_put(w, &e, REQUEST, 1);
    world_run(w, 2000);
    struct record_job row = row_of(w, &e);
    assert_int_equal(row.state, JOB_RUNNING);
    assert_int_equal(row.worker, w->signs[0].worker);
    assert_int_equal(world_committed(w, 1), 1);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(asked(w, "*"), 1);
    seen_fini(&s);
    world_free(w);
}

/* Between two looks it failed there, and its next round began; then that worker died. */
static void a_later_round_is_left_to_its_own_record(void **state)
{
    (void)state;
    struct world *w = world_of(CALLS, NULL);
    struct event e = long_job(w);
    uint64_t there;
    world_run(w, 16000);
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "there", LEASE_MS, &there), 0);
    claim_round(w, &e, there, 0);
    world_put(w, &e, REQUEST, 0);
    world_run(w, 2000);
    assert_int_equal(shard_jobs(w->shard[0]), 1); /* watches */
    record_fake_requeue(w->db, &e.job);
    claim_round(w, &e, there, 1);
    record_fake_expire(w->db, there);
    world_run(w, 15000);
    struct record_job row = row_of(w, &e);
    assert_int_equal(row.worker, there);
    assert_int_equal(row.crashes, 0);
    assert_int_equal(world_committed(w, 0), 1);
    world_free(w);
}

/* Two groups, so that a shard that drains leaves the first one a moment later. */
static struct world *world_with_two_groups(void)
{
    char dir[] = "/tmp/test_shard_taken-XXXXXX", one[100], two[100],
         upstreams[] = "tests/shops/upstreams.yaml";
    assert_non_null(mkdtemp(dir));
    write_file(dir, "price-compare.yaml",
               "flow: price-compare\ntitle: T\naccess: guests\ndeadline: 1h\nresult: $request.n\n"
               "topic: {name: " TOPIC ", group: price-compare-consumer-group, partitions: 3}\n",
               one);
    write_file(dir, "z.yaml",
               "flow: z\ntitle: Z\naccess: guests\ndeadline: 1h\nresult: $request.n\n"
               "topic: {name: " OTHER ", group: z, partitions: 1}\n",
               two);
    struct world *w = world_new_with(
        0, &(struct flow_load_settings){.flows_dir = dir, .upstreams_file = upstreams}, OTHER);
    unlink(one);
    unlink(two);
    rmdir(dir);
    return w;
}

struct death {
    struct world *w;
    uint64_t worker;
};

static bool is_declared(void *arg)
{
    const struct death *d = arg;
    return record_fake_worker(d->w->db, d->worker) == 9;
}

/* Taken over, it waits for its claim, and its partition leaves meanwhile. */
static void taken_held_and_revoked_is_given_back(void **state)
{
    (void)state;
    struct world *w = world_with_two_groups();
    struct event e = long_job(w);
    struct death death = {.w = w};
    world_run(w, 16000);
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "dead", LEASE_MS, &death.worker), 0);
    claim_round(w, &e, death.worker, 0);
    record_fake_expire(w->db, death.worker);
    world_put(w, &e, REQUEST, 0);
    assert_true(loop_fake_run_until(w->loop, is_declared, &death, 20000));
    shard_drain(w->shard[0], 100000); /* nothing is claimed from now on */
    world_run(w, 1000);
    struct record_job row = row_of(w, &e);
    assert_int_equal(row.crashes, 1);
    assert_int_equal(row.state, JOB_QUEUED);
    world_free(w);
}

/* Ours is declared dead at once, by one that takes nothing over. */
static void declare_dead(struct world *w, uint64_t worker)
{
    uint64_t other;
    bool taken;
    const struct job_id none = {{9}};
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "other", LEASE_MS, &other), 0);
    record_fake_expire(w->db, worker);
    assert_int_equal(w->eyes->ops->take_over(w->eyes, worker, other, &none, 1, &taken), 0);
}

/* It is being given back when the lease is lost, and its partition comes again: its record must not
 * join what leaves without it. */
static void a_record_that_comes_while_its_job_is_given_back_is_run(void **state)
{
    (void)state;
    for (int ms = 0; ms <= 6000; ms += 250) {
        struct rule rule = {.delay_ms = 50};
        struct world *w = world_of(CALLS, &rule);
        struct event e = long_job(w);
        struct death death = {.w = w};
        world_run(w, 16000);
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "dead", LEASE_MS, &death.worker), 0);
        claim_round(w, &e, death.worker, 0);
        record_fake_expire(w->db, death.worker);
        world_put(w, &e, REQUEST, 0);
        world_run(w, 2000);                /* watches; */
        record_fake_poison(w->db, &e.job); /* taken over, it is held: its claim is refused */
        assert_true(loop_fake_run_until(w->loop, is_declared, &death, 20000));
        world_run(w, 500);
        declare_dead(w, w->signs[0].worker);
        record_fake_poison(w->db, NULL);
        record_fake_down(w->db, true);
        broker_fake_revoke(w->consumer[0], false);
        world_run(w, ms);
        broker_fake_assign(w->consumer[0]);
        record_fake_down(w->db, false);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(world_committed(w, 0), 1);
        seen_fini(&s);
        world_free(w);
    }
}

/* The row comes to us as if a take-over that was asked for in its first round got the second. */
static void take_over(struct world *w, const struct event *e, uint64_t dead)
{
    bool taken = false;
    record_fake_expire(w->db, dead);
    assert_int_equal(w->eyes->ops->take_over(w->eyes, dead, w->signs[0].worker, &e->job, 1, &taken),
                     0);
    assert_true(taken);
}

/* The later round is watched here when the row comes, and its partition leaves before the watch has
 * looked again. */
static void a_later_round_that_is_only_watched_here_is_given_back(void **state)
{
    (void)state;
    for (int ms = 0; ms < 1000; ms += 100) {
        struct rule rule = {.delay_ms = 50};
        struct world *w = world_of(CALLS, &rule);
        struct event e = long_job(w);
        uint64_t there;
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "there", LEASE_MS, &there), 0);
        claim_round(w, &e, there, 0);
        record_fake_requeue(w->db, &e.job);
        claim_round(w, &e, there, 1);
        e.round = 1;
        world_put(w, &e, REQUEST, 1);
        world_run(w, 2000 + ms);
        assert_int_equal(shard_jobs(w->shard[0]), 1); /* watches */
        take_over(w, &e, there);
        e.round = 0;
        world_put(w, &e, REQUEST, 0);
        world_run(w, 50);
        broker_fake_revoke(w->consumer[0], false);
        world_run(w, 3000);
        struct record_job row = row_of(w, &e);
        assert_int_not_equal(row.state, JOB_RUNNING);
        assert_int_equal(shard_jobs(w->shard[0]), 0);
        world_free(w);
    }
}

/* Its watch finds the row ours in a later round, which may not be claimed now, and its partition
 * leaves. */
static void a_later_round_found_while_the_lease_is_late_is_given_back(void **state)
{
    (void)state;
    struct world *w = world_of(CALLS, NULL);
    struct event e = long_job(w);
    uint64_t there;
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "there", 60000, &there), 0);
    claim_round(w, &e, there, 0);
    world_put(w, &e, REQUEST, 0);
    world_run(w, 2000);
    record_fake_lock(w->db, w->signs[0].worker);
    world_run(w, 10100); /* late, but not out */
    record_fake_requeue(w->db, &e.job);
    claim_round(w, &e, there, 1);
    take_over(w, &e, there);
    world_run(w, 1100); /* the watch has looked */
    assert_int_equal(shard_jobs(w->shard[0]), 1);
    broker_fake_revoke(w->consumer[0], false);
    record_fake_lock(w->db, 0);
    world_run(w, 3000);
    struct record_job row = row_of(w, &e);
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.round, 1);
    assert_int_equal(shard_jobs(w->shard[0]), 0);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_later_round_that_nobody_runs_is_given_back),
        cmocka_unit_test(a_later_round_that_runs_here_runs_on),
        cmocka_unit_test(a_later_round_is_left_to_its_own_record),
        cmocka_unit_test(a_later_round_that_is_only_watched_here_is_given_back),
        cmocka_unit_test(a_later_round_found_while_the_lease_is_late_is_given_back),
        cmocka_unit_test(taken_held_and_revoked_is_given_back),
        cmocka_unit_test(a_record_that_comes_while_its_job_is_given_back_is_run),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
