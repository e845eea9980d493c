/* An upstream's limits over three workers, leased from one Redis: the real gates, governors and
 * calls on a fake Redis and a fake upstream, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_fake.h"
#include "common/http_client_fake.h"
#include "common/loop_fake.h"
#include "worker/call_run.h"
#include "worker/due_timer.h"

enum { WORKERS = 3, OPEN_MAX = 40, CONCURRENCY = 20, RATE = 50 };

struct worker;
struct one { /* a call that is made again and again */
    struct worker *worker;
    struct plan_item item;
    struct outcome outcome;
    struct call_run *run;
    size_t kept;
};

struct worker {
    struct world *world;
    uint64_t id;
    struct due_timer due;
    struct rng_seeded rng;
    struct call_env env;
    struct cache_async *cache;
    struct one one[OPEN_MAX];
    unsigned open, done, failed; /* open: how many to keep open */
};

struct world {
    struct loop *loop;
    struct cache_fake *redis;
    struct http_client *http;
    struct upstream upstream;
    struct flow_set set;
    struct flow_call call;
    struct expr_vars vars;
    struct job_id job;
    struct worker worker[WORKERS];
};

static bool may_start(void *arg)
{
    return ((struct worker *)arg)->id != 0;
}

static uint64_t whose(void *arg)
{
    return ((struct worker *)arg)->id;
}

static void open_worker(struct world *w, unsigned i)
{
    struct worker *k = &w->worker[i];
    k->world = w;
    k->id = i + 1;
    rng_seeded_init(&k->rng, i + 1);
    assert_int_equal(due_timer_init(&k->due, w->loop), 0);
    assert_int_equal(cache_fake_async_view(w->redis, w->loop, &k->cache), 0);
    k->env = (struct call_env){.http = w->http,
                               .clock = loop_fake_clock(w->loop),
                               .cache = k->cache,
                               .worker = whose,
                               .due = &k->due.due,
                               .rng = &k->rng.rng,
                               .may_start = may_start,
                               .arg = k};
    assert_int_equal(call_gates_open(&k->env, &w->set, WORKERS), 0);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    struct json *path = json_new_text("/x");
    assert_int_equal(loop_fake_open(INT64_C(1700000000000000), &w->loop), 0);
    assert_int_equal(cache_fake_open(loop_fake_clock(w->loop), &w->redis), 0);
    assert_int_equal(http_client_fake_open(w->loop, &w->http), 0);
    w->upstream = (struct upstream){.name = strdup("shop"),
                                    .url = strdup("http://shop"),
                                    .concurrency = CONCURRENCY,
                                    .rate = RATE,
                                    .queue = 1000,
                                    .breaker = {true, 50, 20, 10000}};
    w->set = (struct flow_set){.upstreams = &w->upstream, .upstreams_n = 1};
    w->call = (struct flow_call){.name = strdup("get"),
                                 .upstream = &w->upstream,
                                 .method = strdup("GET"),
                                 .timeout_ms = 5000,
                                 .retry = {.attempts = 1},
                                 .response_max = 1000};
    assert_int_equal(template_compile(path, TEMPLATE_PATH, 0, &w->call.path, NULL), 0);
    json_free(path);
    for (unsigned i = 0; i < WORKERS; i++)
        open_worker(w, i);
    *state = w;
    return 0;
}

static void close_worker(struct worker *k)
{
    k->open = 0;
    k->id = 0;
    for (int i = 0; i < OPEN_MAX; i++) {
        struct one *o = &k->one[i];
        if (o->run) {
            call_run_stop(o->run, CALL_CANCELLED);
            call_run_free(o->run);
            o->run = NULL;
        }
        outcome_fini(&o->outcome);
    }
    call_gates_close(&k->env);
}

static int close_world(void **state)
{
    struct world *w = *state;
    for (unsigned i = 0; i < WORKERS; i++) {
        close_worker(&w->worker[i]);
        cache_async_close(w->worker[i].cache);
        due_timer_fini(&w->worker[i].due);
    }
    http_client_close(w->http);
    cache_fake_close(w->redis);
    loop_fake_run_for(w->loop, 10);
    loop_close(w->loop);
    template_free(w->call.path);
    free(w->call.name);
    free(w->call.method);
    free(w->upstream.name);
    free(w->upstream.url);
    free(w);
    return 0;
}

static void begin(struct one *o);

static void over(void *arg, struct call_run *r)
{
    struct one *o = arg;
    o->worker->done++;
    o->worker->failed += o->item.state != ITEM_SUCCEEDED;
    o->run = NULL;
    call_run_free(r);
    if (o - o->worker->one < (ptrdiff_t)o->worker->open)
        begin(o);
}

static void begin(struct one *o)
{
    struct worker *k = o->worker;
    struct world *w = k->world;
    struct call_request q = {0};
    uint8_t key[CALL_KEY] = {1};
    outcome_fini(&o->outcome);
    o->kept = 0;
    o->item = (struct plan_item){.index = -1};
    const struct call_order order = {.call = &w->call,
                                     .item = &o->item,
                                     .outcome = &o->outcome,
                                     .vars = &w->vars,
                                     .job = &w->job,
                                     .trace = "",
                                     .deadline_ms = INT64_MAX,
                                     .kept = &o->kept,
                                     .done = over,
                                     .arg = o,
                                     .out = &o->run};
    assert_int_equal(call_request_render(&w->call, &w->vars, &q, NULL), 0);
    assert_int_equal(call_run_start(&k->env, &order, &q, key), 0);
}

/* From now on the worker keeps so many calls open. */
static void load(struct world *w, unsigned worker, unsigned n)
{
    struct worker *k = &w->worker[worker];
    k->open = n;
    for (unsigned i = 0; i < n; i++) {
        k->one[i].worker = k;
        if (!k->one[i].run)
            begin(&k->one[i]);
    }
}

static void shop(struct world *w, struct http_fake_reply r)
{
    http_client_fake_script(w->http, NULL, "*", &r);
}

/* The worker's loop ticks each second, as a shard's does. */
static void run(struct world *w, int64_t ms)
{
    for (int64_t t = 0; t < ms; t += 1000) {
        for (unsigned i = 0; i < WORKERS; i++)
            if (w->worker[i].id)
                call_gates_pump(&w->worker[i].env);
        loop_fake_run_for(w->loop, ms - t < 1000 ? ms - t : 1000);
    }
}

/* The most calls that began within so many ms, from call `from` on. */
static unsigned most_within(const struct world *w, size_t from, int64_t ms)
{
    unsigned most = 0;
    size_t first = from, n = http_client_fake_calls(w->http);
    for (size_t i = from; i < n; i++) {
        while (http_client_fake_call(w->http, first)->at_ms + ms <=
               http_client_fake_call(w->http, i)->at_ms)
            first++;
        unsigned within = (unsigned)(i - first + 1);
        most = within > most ? within : most;
    }
    return most;
}

static void check_limits(const struct world *w)
{
    assert_in_range(http_client_fake_peak(w->http), 1, CONCURRENCY);
    assert_in_range(most_within(w, 0, 2000), 1, RATE * 2 * 105 / 100);
}

static void three_workers_together_keep_the_limits_and_use_them(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 350});
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 20000);
    check_limits(w);
    size_t n = http_client_fake_calls(w->http);
    assert_in_range(n, 20 * RATE * 9 / 10, 20 * RATE + 20);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_in_range(w->worker[i].done, n / 5, n / 2);
}

static void one_alone_has_more_than_its_share_and_gives_it_back(void **state)
{
    struct world *w = *state;
    w->upstream.rate = 0; /* as the gates were opened with a rate: no tokens either */
    for (unsigned i = 0; i < WORKERS; i++) {
        call_gates_close(&w->worker[i].env);
        assert_int_equal(call_gates_open(&w->worker[i].env, &w->set, WORKERS), 0);
    }
    shop(w, (struct http_fake_reply){.delay_ms = 100});
    load(w, 0, 30);
    run(w, 3000);
    assert_int_equal(http_client_fake_running(w->http), CONCURRENCY);
    load(w, 1, 30);
    run(w, 1000); /* what the other uses comes back as its calls end */
    unsigned before[2] = {w->worker[0].done, w->worker[1].done};
    run(w, 5000);
    unsigned a = w->worker[0].done - before[0], b = w->worker[1].done - before[1];
    assert_in_range(a, (a + b) * 2 / 5, (a + b) * 3 / 5);
    assert_in_range(http_client_fake_peak(w->http), CONCURRENCY, CONCURRENCY);
}

static void without_redis_each_takes_its_share_and_goes_back(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 350});
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 5000);
    cache_fake_away(w->redis, true);
    run(w, 5000);
    size_t n = http_client_fake_calls(w->http);
    run(w, 15000);
    assert_in_range(http_client_fake_calls(w->http) - n, 15 * RATE * 9 / 10, 15 * RATE + 5);
    cache_fake_away(w->redis, false);
    run(w, 10000);
    check_limits(w);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w->worker[i].env.gates[0].leases.mode, LEASES_SHARED);
}

/* A replica, a disk that is full: it is there, but answers nothing that can be used. */
static void a_redis_that_refuses_is_as_good_as_away(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 350});
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 5000);
    cache_fake_refuse(w->redis, SCRIPT_NONE,
                      "READONLY You can't write against a read only replica.");
    size_t asked = cache_fake_commands(w->redis), n = http_client_fake_calls(w->http);
    run(w, 5000);
    assert_in_range(http_client_fake_calls(w->http) - n, 5 * RATE / 2, 5 * RATE * 105 / 100);
    n = http_client_fake_calls(w->http);
    run(w, 15000); /* longer than what was leased holds */
    assert_in_range(http_client_fake_calls(w->http) - n, 15 * RATE * 9 / 10, 15 * RATE + 5);
    assert_true(cache_fake_commands(w->redis) - asked < 20 * 6 * WORKERS);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w->worker[i].env.gates[0].leases.mode, LEASES_LOCAL);
    cache_fake_refuse(w->redis, SCRIPT_NONE, NULL);
    run(w, 10000);
    check_limits(w);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w->worker[i].env.gates[0].leases.mode, LEASES_SHARED);
}

static void a_redis_that_refuses_from_the_start_is_not_asked_in_a_hurry(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 350});
    cache_fake_refuse(w->redis, SCRIPT_NONE, "MISCONF Redis is configured to save RDB snapshots");
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 10000);
    assert_true(cache_fake_commands(w->redis) < 10 * 6 * WORKERS);
    assert_in_range(http_client_fake_calls(w->http), 5 * RATE, 10 * RATE);
    check_limits(w);
}

/* Out of memory: the script of the slots removes before it adds, so it still may; SET may not. */
static void tokens_that_are_refused_leave_the_rate_to_each(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 350});
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 5000);
    cache_fake_refuse(w->redis, SCRIPT_RATE_LEASE,
                      "OOM command not allowed when used memory > 'maxmemory'.");
    size_t asked = cache_fake_commands(w->redis), n = http_client_fake_calls(w->http);
    run(w, 20000);
    assert_in_range(http_client_fake_calls(w->http) - n, 20 * RATE * 8 / 10, 20 * RATE * 105 / 100);
    assert_true(cache_fake_commands(w->redis) - asked < 20 * 12 * WORKERS);
    check_limits(w);
    cache_fake_refuse(w->redis, SCRIPT_NONE, NULL);
    run(w, 10000);
    check_limits(w);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w->worker[i].env.gates[0].leases.mode, LEASES_SHARED);
}

static void what_a_dead_worker_held_is_free_after_its_lease(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.delay_ms = 2000});
    for (unsigned i = 0; i < WORKERS; i++)
        load(w, i, 30);
    run(w, 5000);
    close_worker(&w->worker[2]); /* tells nobody */
    load(w, 1, 0);
    run(w, 5000);
    assert_in_range(http_client_fake_running(w->http), 1, CONCURRENCY - 1);
    run(w, 7000);
    assert_int_equal(http_client_fake_running(w->http), CONCURRENCY);
    check_limits(w);
}

static void a_pause_holds_all_workers(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.status = 429,
                                     .header = {(char[]){"retry-after"}, (char[]){"30"}}});
    shop(w, (struct http_fake_reply){.delay_ms = 10});
    load(w, 0, 1);
    run(w, 10); /* refused */
    run(w, 1000);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    load(w, 1, 5); /* its first question to Redis tells it */
    run(w, 25000);
    assert_int_equal(http_client_fake_calls(w->http), 1);
    run(w, 10000);
    assert_true(http_client_fake_calls(w->http) > 10);
}

/* One call of each worker, if it has none. */
static void one_each(struct world *w)
{
    for (unsigned i = 0; i < WORKERS; i++) {
        struct one *o = &w->worker[i].one[0];
        o->worker = &w->worker[i];
        if (!o->run)
            begin(o);
    }
}

static void one_probe_for_all_workers(void **state)
{
    struct world *w = *state;
    shop(w, (struct http_fake_reply){.code = CALL_TIMEOUT, .delay_ms = 20});
    w->upstream.breaker.of = 4;
    for (int n = 0; n < 20; n++) { /* until each has seen enough */
        one_each(w);
        run(w, 200);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(w->worker[i].env.gates[0].governor.breaker.state, BREAKER_OPEN);
    size_t n = http_client_fake_calls(w->http);
    for (int i = 0; i < 300; i++) { /* 30 s, each worker asks ten times a second */
        one_each(w);
        loop_fake_run_for(w->loop, 100);
    }
    assert_in_range(http_client_fake_calls(w->http) - n, 2, 4);
}

static void calls_within_the_share_make_no_trips(void **state)
{
    struct world *w = *state;
    w->upstream.rate = 0;
    call_gates_close(&w->worker[0].env);
    assert_int_equal(call_gates_open(&w->worker[0].env, &w->set, WORKERS), 0);
    shop(w, (struct http_fake_reply){.delay_ms = 10});
    load(w, 0, 4);
    run(w, 1000);
    size_t before = cache_fake_commands(w->redis), n = http_client_fake_calls(w->http);
    loop_fake_run_for(w->loop, 9000);
    assert_in_range(http_client_fake_calls(w->http) - n, 3000, 4000);
    assert_in_range(cache_fake_commands(w->redis) - before, 1, 4); /* a renewal in 3 s */
}

/* A rate costs a trip for a tenth of a second, not one for each call. */
static void tokens_come_many_at_once(void **state)
{
    struct world *w = *state;
    w->upstream.rate = 1000;
    w->upstream.concurrency = 600;
    for (unsigned i = 0; i < WORKERS; i++)
        call_gates_close(&w->worker[i].env);
    for (unsigned i = 0; i < WORKERS; i++)
        assert_int_equal(call_gates_open(&w->worker[i].env, &w->set, WORKERS), 0);
    shop(w, (struct http_fake_reply){.delay_ms = 50});
    load(w, 0, 30);
    run(w, 2000);
    size_t before = cache_fake_commands(w->redis), n = http_client_fake_calls(w->http);
    run(w, 5000);
    size_t made = http_client_fake_calls(w->http) - n;
    assert_true(made > 2000);
    assert_in_range(cache_fake_commands(w->redis) - before, 1, made / 10);
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

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(three_workers_together_keep_the_limits_and_use_them),
        CASE(one_alone_has_more_than_its_share_and_gives_it_back),
        CASE(without_redis_each_takes_its_share_and_goes_back),
        CASE(a_redis_that_refuses_is_as_good_as_away),
        CASE(a_redis_that_refuses_from_the_start_is_not_asked_in_a_hurry),
        CASE(tokens_that_are_refused_leave_the_rate_to_each),
        CASE(what_a_dead_worker_held_is_free_after_its_lease),
        CASE(a_pause_holds_all_workers),
        CASE(one_probe_for_all_workers),
        CASE(calls_within_the_share_make_no_trips),
        CASE(tokens_come_many_at_once),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
