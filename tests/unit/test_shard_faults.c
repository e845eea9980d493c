/* The worker in virtual time when several things go wrong at once: two bodies under one id while
 * MySQL is away, take-over after the deadline, writes refused while a partition leaves. */
#pragma GCC diagnostic ignored "-Wunused-function" /* of the world, not all is needed here */
#include "shard_world.h"

#include "common/json.h"

#define BODY "{\"productId\":\"42\"}"

/* What a dead worker leaves: claimed, and `n` of the calls of `of` in the ledger. */
static void crash_with(struct world *w, const struct event *e, struct seen *of, size_t n)
{
    uint64_t dead;
    struct record_claim claim = {.job = {.id = e->job,
                                         .flow = "price-compare",
                                         .created_us = e->created_us,
                                         .deadline_us = e->deadline_us,
                                         .sweep_at_us = e->deadline_us + 600000000}};
    struct record_claim *claims[] = {&claim};
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "dead", 15000, &dead), 0);
    claim.worker = dead;
    assert_int_equal(w->eyes->ops->claim(w->eyes, claims, 1), 0);
    record_claim_fini(&claim);
    for (size_t i = 0; i < n; i++) {
        struct record_ledger ledger = {.worker = dead, .call = of->calls[i]},
                             *ledgers[] = {&ledger};
        ledger.call.job = e->job;
        assert_int_equal(w->eyes->ops->ledger(w->eyes, ledgers, 1), 0);
        record_call_fini(&ledger.stored);
    }
    record_fake_expire(w->db, dead);
}

static struct seen sample(struct world *w)
{
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.n, 3);
    return s;
}

/* Its worker died after the first call; it is taken over when the deadline has passed. */
static void a_take_over_after_the_deadline_keeps_what_was_paid_for(void **state)
{
    (void)state;
    for (size_t made = 1; made <= 3; made += 2) {
        struct world *w = world_new(0);
        world_shops(w, 50);
        struct seen of = sample(w);
        world_run(w, 16000); /* own lease held long enough to take over */
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 3000000;
        crash_with(w, &e, &of, made);
        world_put(w, &e, BODY, 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, made == 3 ? JOB_SUCCEEDED : JOB_PARTIAL);
        assert_non_null(strstr(s.job.result, "{\"shop\":\"a-mart\",\"price\":18900"));
        assert_int_equal(s.job.seq, made + 1);
        assert_int_equal(record_fake_dead(w->db, &e.job), -1);
        assert_int_equal(http_client_fake_calls(w->http), 3); /* those of the sample */
        seen_fini(&s);
        seen_fini(&of);
        world_free(w);
    }
}

static void a_cancelled_job_shows_the_calls_that_were_made(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct seen of = sample(w);
    world_run(w, 16000);
    struct event e = world_event(w, "anna");
    e.deadline_us = e.created_us + 600000000;
    crash_with(w, &e, &of, 1);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &(struct owner){{0}}), 0);
    world_put(w, &e, BODY, 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_CANCELLED);
    assert_non_null(
        strstr(s.job.calls, "{\"name\":\"a-mart\",\"item\":null,\"state\":\"succeeded\""));
    assert_non_null(
        strstr(s.job.calls, "{\"name\":\"b-shop\",\"item\":null,\"state\":\"cancelled\""));
    assert_int_equal(http_client_fake_calls(w->http), 3);
    seen_fini(&s);
    seen_fini(&of);
    world_free(w);
}

/* A record of a job that is registered for the body of mac 1. */
static struct event registered(struct world *w, uint8_t mac)
{
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 600000000;
    e.has_mac = true;
    e.mac[0] = mac;
    struct record_register row = {.id = e.job,
                                  .flow = "price-compare",
                                  .mac = {1},
                                  .has_mac = true,
                                  .created_us = e.created_us,
                                  .deadline_us = e.deadline_us,
                                  .sweep_at_us = e.deadline_us + 600000000};
    assert_int_equal(w->eyes->ops->register_jobs(w->eyes, &row, 1), 0);
    return e;
}

/* The stranger comes first and waits for its claim; the job's own record must not be settled as the
 * conflict. */
static void the_row_says_whose_id_it_is_not_who_came_first(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = registered(w, 1);
    record_fake_down(w->db, true);
    struct event stranger = e;
    stranger.mac[0] = 2;
    world_put(w, &stranger, "{\"productId\":\"43\"}", 1);
    world_run(w, 1500);
    world_put(w, &e, BODY, 0);
    world_run(w, 1500);
    assert_true(world_committed(w, 0) < 1);
    record_fake_down(w->db, false);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_non_null(strstr(s.job.result, "\"productId\":\"42\""));
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(world_committed(w, 0), 1);
    assert_int_equal(world_committed(w, 1), 1);
    seen_fini(&s);
    world_free(w);
}

/* It was claimed for the stranger: its own record may come to another worker. */
static void a_row_that_a_stranger_claimed_is_given_back(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = registered(w, 2);
    struct seen s;
    world_put(w, &e, "{\"productId\":\"43\"}", 1);
    world_run(w, 5000);
    assert_int_equal(world_committed(w, 1), 1);
    assert_true(seen_read(w, &e.job, &s));
    assert_int_equal(s.job.state, JOB_QUEUED);
    assert_int_equal(s.job.worker, 0);
    assert_int_equal(http_client_fake_calls(w->http), 0);
    seen_fini(&s);
    world_free(w);
}

/* It runs on where it was claimed, and dies there: its record is no part of the partition. */
static void a_job_whose_partition_left_dies_with_its_record(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    const struct http_fake_reply gone = {.status = 404, .delay_ms = 4000};
    char topic[64];
    world_reply(w, A_MART, gone);
    world_reply(w, B_SHOP, gone);
    world_reply(w, C_STORE, gone);
    world_run(w, 2000);
    struct event e = world_event(w, NULL);
    world_put(w, &e, BODY, 0);
    world_run(w, 1000);
    assert_int_equal(http_client_fake_running(w->http), 3);
    broker_fake_revoke(w->consumer[0], false);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    record_fake_dead_topic(w->db, &e.job, topic);
    assert_string_equal(topic, flow_by_name(w->set, "price-compare")->topic.name);
    seen_fini(&s);
    world_free(w);
}

/* It is running at us, but its record went to another shard: that one must get it. */
static void a_refused_job_whose_partition_left_is_given_back(void **state)
{
    (void)state;
    for (int early = 0; early < 2; early++) {
        struct world *w = world_new(0);
        world_shops(w, 500);
        world_shard(w, 1);
        world_run(w, 2000);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 600000000;
        world_put(w, &e, BODY, 0);
        world_run(w, 300);
        record_fake_poison(w->db, &e.job);
        if (!early)
            world_run(w, 3000); /* refused for good, held */
        broker_fake_revoke(w->consumer[0], false);
        world_run(w, 3000);
        assert_int_equal(shard_jobs(w->shard[0]), 0);
        assert_int_equal(world_state(w, &e.job), JOB_QUEUED);
        record_fake_poison(w->db, NULL);
        broker_fake_assign(w->consumer[1]);
        struct seen s = world_final(w, &e.job);
        assert_true(job_is_final(s.job.state));
        assert_int_equal(world_committed(w, 0), 1);
        seen_fini(&s);
        world_free(w);
    }
}

/* Requests that wait for the job must not wait for its lead to run out. */
static void a_bad_record_releases_its_lead(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    static const char value[] = "{\"productId\":42}";
    const struct flow *f = flow_by_name(w->set, "price-compare");
    struct event e = world_event(w, NULL);
    struct json *request = NULL;
    char hash[65], key[80], lead[ID_TEXT + 1] = "a";
    assert_int_equal(json_parse(value, sizeof value - 1, NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    assert_int_equal(flow_cache_hash(f, f->rev, e.owner.b, &vars, hash, NULL), 0);
    snprintf(key, sizeof key, "op:{c:%s}:l", hash);
    id_format(&e.job, lead + 1);
    assert_int_equal(cache_fake_put(w->redis, key, lead, strlen(lead), 60000), 0);
    world_put(w, &e, value, 0);
    struct seen s = world_final(w, &e.job);
    assert_string_equal(s.job.reason, "bad-event");
    assert_null(cache_fake_get(w->redis, key, NULL));
    json_free(request);
    seen_fini(&s);
    world_free(w);
}

/* Each answer of MySQL is lost once, and each question fails once: no call is made twice, nothing
 * is saved twice or numbered anew. */
static void any_one_answer_may_be_lost(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 16; n++) {
        for (int lost = 0; lost < 2; lost++) {
            struct world *w = world_new(0);
            world_shops(w, 700);
            world_reply(w, B_SHOP, (struct http_fake_reply){.status = 503, .delay_ms = 5});
            struct job_id id = world_job(w);
            if (lost)
                record_fake_lose(w->db, n);
            else
                record_fake_fail(w->db, n, ERR_IO);
            world_run(w, 10000); /* looking counts as a call */
            record_fake_fail(w->db, 0, 0);
            record_fake_lose(w->db, 0);
            struct seen s = world_final(w, &id);
            assert_int_equal(s.job.state, JOB_SUCCEEDED);
            assert_int_equal(s.job.crashes, 0);
            assert_int_equal(s.job.seq, 4);
            assert_int_equal(s.n, 3);
            assert_in_range(http_client_fake_calls(w->http), 3, 4);
            assert_int_equal(world_committed(w, 0), 1);
            seen_fini(&s);
            world_free(w);
        }
    }
}

/* The same while a dead worker's job is taken over. */
static void any_one_answer_may_be_lost_at_a_take_over(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 16; n++) {
        struct world *w = world_new(0);
        world_shops(w, 50);
        struct seen of = sample(w);
        world_run(w, 16000);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 600000000;
        crash_with(w, &e, &of, 1);
        world_put(w, &e, BODY, 0);
        world_run(w, 4000);
        record_fake_lose(w->db, n);
        world_run(w, 20000);
        record_fake_lose(w->db, 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.job.crashes, 1);
        assert_int_equal(http_client_fake_calls(w->http), 5);
        assert_int_equal(world_committed(w, 0), 2);
        seen_fini(&s);
        seen_fini(&of);
        world_free(w);
    }
}

/* The partition moves at any moment, with and without MySQL; each call is made once. */
static void a_partition_may_move_at_any_moment(void **state)
{
    (void)state;
    for (int ms = 0; ms <= 240; ms += 20) {
        struct world *w = world_new(0);
        world_shops(w, 100);
        world_shard(w, 1);
        world_run(w, 2000);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 600000000;
        world_put(w, &e, BODY, 0);
        record_fake_down(w->db, ms % 40 == 20);
        world_run(w, ms);
        broker_fake_revoke(w->consumer[0], ms % 60 == 0);
        world_run(w, 20);
        broker_fake_assign(w->consumer[1]);
        world_run(w, 1500);
        record_fake_down(w->db, false);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.job.crashes, 0);
        assert_int_equal(http_client_fake_calls(w->http), 3);
        assert_int_equal(world_committed(w, 0), 1);
        assert_int_equal(shard_jobs(w->shard[0]) + shard_jobs(w->shard[1]), 0);
        seen_fini(&s);
        world_free(w);
    }
}

/* The worker is declared dead at any moment, by one that dies itself; only what was in flight is
 * repeated. */
static void a_lease_may_be_lost_at_any_moment(void **state)
{
    (void)state;
    for (int ms = 0; ms <= 240; ms += 20) {
        struct world *w = world_new(0);
        world_shops(w, 100);
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 600000000;
        world_put(w, &e, BODY, 0);
        world_run(w, ms);
        uint64_t before = w->signs[0].worker, other;
        bool taken = false;
        size_t flying = http_client_fake_running(w->http);
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "other", 15000, &other), 0);
        record_fake_expire(w->db, before);
        assert_int_equal(w->eyes->ops->take_over(w->eyes, before, other, &e.job, 1, &taken), 0);
        record_fake_expire(w->db, other);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(s.n, 3);
        assert_in_range(http_client_fake_calls(w->http), 3, 3 + flying);
        assert_int_equal(world_committed(w, 0), 1);
        seen_fini(&s);
        world_free(w);
    }
}

/* All three calls stand in the ledger, and MySQL goes before the job's end does. */
static struct job_id answered_then_mysql_went(struct world **out)
{
    for (unsigned n = 1; n <= 16; n++) {
        struct world *w = world_new(0);
        struct seen s = {0};
        world_shops(w, 50);
        struct job_id id = world_job(w);
        record_fake_fail(w->db, n, ERR_IO);
        for (int i = 0; i < 400; i++) {
            world_run(w, 1);
            if (http_client_fake_calls(w->http) == 3 && !http_client_fake_running(w->http))
                break;
        }
        world_run(w, 40);
        record_fake_down(w->db, true);
        world_run(w, 1000);
        record_fake_down(w->db, false);
        bool there = seen_read(w, &id, &s) && s.n == 3 && s.job.state == JOB_RUNNING;
        seen_fini(&s);
        *out = w;
        record_fake_down(w->db, there);
        if (there)
            return id;
        world_free(w);
    }
    fail_msg("no moment between the ledger and the end was found");
    return (struct job_id){{0}};
}

/* Somebody's sweep comes before the worker has renewed its lease, and gives the end the number that
 * the worker means to write: its result is lost, but not its record. */
static void a_result_that_the_sweep_overtook_leaves_a_dead_letter(void **state)
{
    (void)state;
    struct world *w;
    struct record_swept swept;
    struct job_id id = answered_then_mysql_went(&w);
    world_run(w, 12000 + 660000);
    record_fake_down(w->db, false);
    assert_int_equal(w->eyes->ops->sweep(w->eyes, 1000, &swept), 0);
    assert_int_equal(swept.expired, 1);
    world_run(w, 20000);
    assert_int_equal(world_state(w, &id), JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &id), 0);
    assert_int_equal(world_committed(w, 0), 1);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    world_free(w);
}

/* Its worker died; whoever has the record waits for the lease to run out, and the sweep is faster.
 */
static void a_watched_job_that_the_sweep_ended_leaves_a_dead_letter(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    struct record_swept swept;
    world_shops(w, 50);
    struct seen of = sample(w);
    world_run(w, 16000);
    struct event e = world_event(w, NULL);
    crash_with(w, &e, &of, 1);
    world_put(w, &e, BODY, 0);
    world_run(w, 2000);
    assert_int_equal(shard_jobs(w->shard[0]), 1); /* watches */
    record_fake_overdue(w->db, &e.job);
    assert_int_equal(w->eyes->ops->sweep(w->eyes, 1000, &swept), 0);
    assert_int_equal(swept.expired, 1);
    world_run(w, 5000);
    assert_int_equal(world_state(w, &e.job), JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_int_equal(world_committed(w, 0), 2);
    seen_fini(&of);
    world_free(w);
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_take_over_after_the_deadline_keeps_what_was_paid_for),
        cmocka_unit_test(a_cancelled_job_shows_the_calls_that_were_made),
        cmocka_unit_test(the_row_says_whose_id_it_is_not_who_came_first),
        cmocka_unit_test(a_row_that_a_stranger_claimed_is_given_back),
        cmocka_unit_test(a_job_whose_partition_left_dies_with_its_record),
        cmocka_unit_test(a_refused_job_whose_partition_left_is_given_back),
        cmocka_unit_test(a_bad_record_releases_its_lead),
        cmocka_unit_test(a_partition_may_move_at_any_moment),
        cmocka_unit_test(a_lease_may_be_lost_at_any_moment),
        cmocka_unit_test(any_one_answer_may_be_lost),
        cmocka_unit_test(any_one_answer_may_be_lost_at_a_take_over),
        cmocka_unit_test(a_result_that_the_sweep_overtook_leaves_a_dead_letter),
        cmocka_unit_test(a_watched_job_that_the_sweep_ended_leaves_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
