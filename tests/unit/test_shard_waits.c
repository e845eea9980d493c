/* An upstream that is down for long: jobs that need it wait in place, and do not become dead
 * letters; jobs that can do without it do not wait. */
#include "shard_world.h"
#include "worker/budget.h"

enum { MANY = 130 };

static struct event later(struct world *w, int64_t deadline_ms)
{
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + deadline_ms * 1000;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    return e;
}

static void small_breaker(struct world *w)
{
    for (size_t i = 0; i < w->set->upstreams_n; i++)
        w->set->upstreams[i].breaker.of = 4;
}

static bool away;

static void shop(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    (void)arg;
    *reply = (struct http_fake_reply){.body = strstr(r->url, "a-mart")   ? A_BODY
                                              : strstr(r->url, "b-shop") ? B_BODY
                                                                         : C_BODY,
                                      .delay_ms = 50};
    if (away)
        *reply = (struct http_fake_reply){.code = CALL_CONNECT, .delay_ms = 1};
}

static void close_shops(struct world *w)
{
    away = true;
    http_client_fake_decide(w->http, shop, NULL);
}

static void open_shops(void)
{
    away = false;
}

static void jobs_that_need_it_wait_behind_the_breaker(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    struct event e[20];
    small_breaker(w);
    w->set->flows[0].need = FLOW_NEED_ALL;
    close_shops(w);
    for (int i = 0; i < 20; i++)
        e[i] = later(w, 600000);
    world_run(w, 35000);
    size_t tried = http_client_fake_calls(w->http);
    world_run(w, 30000); /* a probe each 10 s and shop, which may be repeated once or twice */
    assert_in_range(http_client_fake_calls(w->http) - tried, 3, 3 * 3 * 3);
    open_shops();
    world_run(w, 15000);
    unsigned succeeded = 0, dead = 0;
    for (int i = 0; i < 20; i++) {
        enum job_state s = world_state(w, &e[i].job);
        succeeded += s == JOB_SUCCEEDED;
        dead += record_fake_dead(w->db, &e[i].job) >= 0;
        assert_true(s == JOB_SUCCEEDED || s == JOB_FAILED);
    }
    assert_int_equal(succeeded, 20 - dead);
    assert_true(dead <= 4);
    assert_int_equal(world_committed(w, 0), 20);
    world_free(w);
}

static void the_deadline_ends_those_that_wait(void **state)
{
    static const char key[] = "op:{f:price-compare}:overdue";
    size_t len;
    (void)state;
    struct world *w = world_new(0);
    small_breaker(w);
    close_shops(w);
    for (int i = 0; i < 10; i++)
        (void)later(w, 600000);
    world_run(w, 5000); /* all three are open */
    struct event e = later(w, 8000);
    world_run(w, 7900);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    assert_null(cache_fake_get(w->redis, key, &len));
    world_run(w, 200);
    assert_int_equal(world_state(w, &e.job), JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);            /* before its first call */
    assert_string_equal(cache_fake_get(w->redis, key, &len), "100"); /* of one; gateways hear it */
    assert_in_range(cache_fake_ttl_ms(w->redis, key), 29000, 30000);
    world_free(w);
}

static void who_can_do_without_ends_at_once(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    small_breaker(w);
    world_reply(w, B_SHOP, (struct http_fake_reply){.code = CALL_CONNECT, .delay_ms = 1});
    world_reply(w, A_MART, (struct http_fake_reply){.body = A_BODY, .delay_ms = 50});
    world_reply(w, C_STORE, (struct http_fake_reply){.body = C_BODY, .delay_ms = 50});
    for (int i = 0; i < 10; i++)
        (void)later(w, 600000);
    world_run(w, 5000);
    struct event e = later(w, 600000);
    world_run(w, 500);
    assert_int_equal(world_state(w, &e.job), JOB_PARTIAL);
    world_free(w);
}

/* One attempt of each call, which no breaker spares, decides. */
static void need_all_at_once(struct world *w)
{
    for (size_t i = 0; i < w->set->upstreams_n; i++)
        w->set->upstreams[i].breaker.on = false;
    for (size_t i = 0; i < 3; i++)
        w->set->flows[0].calls[i].retry.attempts = 1;
    w->set->flows[0].need = FLOW_NEED_ALL;
}

/* Without a breaker: a hundred are given up, the others try again until it works. */
static void dead_letters_have_a_budget(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    static struct event e[MANY];
    unsigned failed = 0, succeeded = 0, dead = 0;
    need_all_at_once(w);
    close_shops(w);
    for (int i = 0; i < MANY; i++)
        e[i] = later(w, 600000);
    world_run(w, 9000);
    for (int i = 0; i < MANY; i++)
        failed += world_state(w, &e[i].job) == JOB_FAILED;
    assert_int_equal(failed, BUDGET_AT_ONCE);
    open_shops();
    world_run(w, 30000);
    for (int i = 0; i < MANY; i++) {
        succeeded += world_state(w, &e[i].job) == JOB_SUCCEEDED;
        dead += record_fake_dead(w->db, &e[i].job) == 0;
    }
    assert_int_equal(dead, BUDGET_AT_ONCE);
    assert_int_equal(succeeded, MANY - BUDGET_AT_ONCE);
    assert_int_equal(world_committed(w, 0), MANY);
    world_free(w);
}

/* Five that end well earn one that may be given up. */
static void jobs_that_end_well_earn_a_dead_letter(void **state)
{
    (void)state;
    enum { GOOD = 4 * BUDGET_GOOD, MORE = 10 };
    struct world *w = world_new(0);
    static struct event e[MANY], good[GOOD];
    unsigned failed = 0;
    need_all_at_once(w);
    close_shops(w);
    for (int i = 0; i < BUDGET_AT_ONCE; i++) /* all there is */
        e[i] = later(w, 600000);
    world_run(w, 5000);
    for (int i = 0; i < BUDGET_AT_ONCE; i++)
        assert_int_equal(world_state(w, &e[i].job), JOB_FAILED);
    open_shops();
    for (int i = 0; i < GOOD; i++)
        good[i] = later(w, 600000);
    world_run(w, 4000);
    for (int i = 0; i < GOOD; i++)
        assert_int_equal(world_state(w, &good[i].job), JOB_SUCCEEDED);
    close_shops(w);
    for (int i = 0; i < MORE; i++)
        e[i] = later(w, 600000);
    world_run(w, 5000);
    for (int i = 0; i < MORE; i++)
        failed += world_state(w, &e[i].job) == JOB_FAILED;
    assert_int_equal(failed, GOOD / BUDGET_GOOD);
    open_shops();
    world_run(w, 30000);
    for (int i = 0; i < MORE; i++)
        assert_true(job_is_final(world_state(w, &e[i].job)));
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
        cmocka_unit_test(jobs_that_need_it_wait_behind_the_breaker),
        cmocka_unit_test(the_deadline_ends_those_that_wait),
        cmocka_unit_test(who_can_do_without_ends_at_once),
        cmocka_unit_test(dead_letters_have_a_budget),
        cmocka_unit_test(jobs_that_end_well_earn_a_dead_letter),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
