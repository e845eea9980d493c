/* The pool and its breaker over connections that the test makes fail. The reviving thread is real:
 * waits below are for it, and end as soon as it has done its part. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "common/cache_pool.h"
#include "log_capture.h"

struct cache_link {
    struct server *server;
};

struct server { /* arg of the driver */
    atomic_int open, opened, anew, exchanges;
    atomic_bool refuses, stale, freed, hold;
    atomic_int fails;   /* err of the next exchanges; 0: none */
    atomic_bool errors; /* their answers are */
};

static struct cache_link *link_open(void *arg, int wait_ms, bool anew, char why[CACHE_WHY])
{
    struct server *s = arg;
    assert_int_equal(wait_ms, 20);
    atomic_fetch_add(&s->anew, anew);
    if (atomic_load(&s->refuses)) {
        snprintf(why, CACHE_WHY, "it refuses");
        return NULL;
    }
    struct cache_link *l = calloc(1, sizeof *l);
    l->server = s;
    atomic_fetch_add(&s->open, 1);
    atomic_fetch_add(&s->opened, 1);
    return l;
}

static bool link_is_stale(struct cache_link *l)
{
    return atomic_exchange(&l->server->stale, false);
}

static char readonly[] = "READONLY";

static int link_exchange(struct cache_link *l, const struct cache_command *commands, size_t n,
                         struct cache_reply *replies, const char **why)
{
    struct server *s = l->server;
    (void)commands;
    atomic_fetch_add(&s->exchanges, 1);
    while (atomic_load(&s->hold))
        nanosleep(&(struct timespec){0, 100000}, NULL);
    int err = atomic_load(&s->fails);
    if (err)
        *why = "as the test said";
    for (size_t i = 0; !err && i < n; i++)
        replies[i] = atomic_load(&s->errors)
                         ? (struct cache_reply){.type = REPLY_ERROR, .text = readonly}
                         : (struct cache_reply){.type = REPLY_INTEGER, .integer = (long long)i};
    return err;
}

static void link_close(struct cache_link *l)
{
    atomic_fetch_sub(&l->server->open, 1);
    free(l);
}

static void server_free(void *arg)
{
    struct server *s = arg;
    atomic_store(&s->freed, true);
}

static struct cache *open_pool_by(const struct clock *clock, struct server *s, unsigned connections)
{
    static const struct cache_driver driver = {link_open, link_is_stale, link_exchange, link_close,
                                               server_free};
    struct cache_settings settings = {.wait_ms = 20, .connections = connections};
    struct cache *c;
    assert_int_equal(cache_pool_open(&driver, s, &settings, clock, &c), 0);
    return c;
}

static struct cache *open_pool(struct server *s, unsigned connections)
{
    return open_pool_by(clock_real(), s, connections);
}

static void wait_up(struct cache *c)
{
    for (int i = 0; i < 10000 && !cache_up(c); i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_true(cache_up(c));
}

static int call(struct cache *c)
{
    struct cache_command ping = {0};
    struct cache_reply r;
    cache_arg_text(&ping, "PING");
    return cache_call(c, &ping, 1, &r);
}

static void one_connection_serves_calls_one_after_the_other(void **state)
{
    (void)state;
    struct server s = {0};
    struct cache *c = open_pool(&s, 4);
    wait_up(c);
    for (int i = 0; i < 10; i++)
        assert_int_equal(call(c), 0);
    assert_int_equal(atomic_load(&s.opened), 1);
    cache_close(c);
    assert_int_equal(atomic_load(&s.open), 0);
    assert_true(atomic_load(&s.freed));
}

static void invalid_commands_do_not_reach_the_server(void **state)
{
    (void)state;
    struct server s = {0};
    struct cache *c = open_pool(&s, 4);
    struct cache_command none = {0};
    struct cache_reply r;
    wait_up(c);
    assert_int_equal(cache_call(c, &none, 1, &r), ERR_INVALID);
    assert_int_equal(atomic_load(&s.exchanges), 0);
    assert_true(cache_up(c));
    cache_close(c);
}

static void a_failure_opens_the_breaker_until_the_server_is_back(void **state)
{
    (void)state;
    struct server s = {0};
    struct cache *c = open_pool(&s, 4);
    wait_up(c);
    atomic_store(&s.fails, ERR_TIMEOUT);
    atomic_store(&s.refuses, true);
    assert_int_equal(call(c), ERR_TIMEOUT);
    assert_false(cache_up(c));
    for (int i = 0; i < 1000; i++)
        assert_int_equal(call(c), ERR_IO);
    assert_int_equal(atomic_load(&s.exchanges), 1); /* none of them asked the server */
    assert_int_equal(atomic_load(&s.open), 0);
    atomic_store(&s.fails, 0);
    atomic_store(&s.refuses, false);
    wait_up(c);
    assert_int_equal(call(c), 0);
    cache_close(c);
}

/* It answers, and does nothing: /readyz is to say so, and each command is still tried. */
static void a_server_that_refuses_is_not_up(void **state)
{
    (void)state;
    struct server s = {0};
    struct clock_stepped clock;
    clock_stepped_init(&clock, 0);
    struct cache *c = open_pool_by(&clock.clock, &s, 4);
    wait_up(c);
    assert_int_equal(call(c), 0);
    assert_true(cache_up(c));
    atomic_store(&s.errors, true);
    assert_int_equal(call(c), 0);
    assert_false(cache_up(c));
    atomic_store(&s.errors, false);
    assert_int_equal(call(c), 0);
    clock_step(&clock, (CACHE_REFUSED_MS - 1) * INT64_C(1000));
    assert_false(cache_up(c));
    clock_step(&clock, 1000);
    assert_true(cache_up(c));
    assert_int_equal(atomic_load(&s.exchanges), 3);
    cache_close(c);
}

static void a_stale_connection_is_replaced_without_a_failure(void **state)
{
    (void)state;
    struct server s = {0};
    struct cache *c = open_pool(&s, 4);
    wait_up(c);
    atomic_store(&s.stale, true);
    assert_int_equal(call(c), 0);
    assert_int_equal(atomic_load(&s.opened), 2);
    assert_int_equal(atomic_load(&s.anew), 1); /* no caller waits for a name server */
    assert_int_equal(atomic_load(&s.open), 1);
    atomic_store(&s.stale, true);
    atomic_store(&s.refuses, true);
    assert_int_equal(call(c), ERR_IO);
    assert_false(cache_up(c));
    atomic_store(&s.refuses, false);
    wait_up(c);
    cache_close(c);
}

static void *call_in_thread(void *c)
{
    return (void *)(intptr_t)call(c);
}

static void no_more_connections_than_allowed(void **state)
{
    (void)state;
    struct server s = {0};
    struct cache *c = open_pool(&s, 2);
    pthread_t t[2];
    wait_up(c);
    atomic_store(&s.hold, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&t[i], NULL, call_in_thread, c), 0);
    while (atomic_load(&s.exchanges) < 2)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    assert_int_equal(call(c), ERR_TIMEOUT); /* both are in use: no failure of the server */
    assert_true(cache_up(c));
    assert_int_equal(atomic_load(&s.opened), 2);
    atomic_store(&s.hold, false);
    for (int i = 0; i < 2; i++) {
        void *err;
        pthread_join(t[i], &err);
        assert_null(err);
    }
    assert_int_equal(call(c), 0);
    cache_close(c);
    assert_int_equal(atomic_load(&s.open), 0);
}

static void close_does_not_wait_for_a_server_that_is_not_there(void **state)
{
    (void)state;
    struct server s = {0};
    atomic_store(&s.refuses, true);
    struct cache *c = open_pool(&s, 2);
    assert_int_equal(call(c), ERR_IO);
    cache_close(c);
    assert_true(atomic_load(&s.freed));
}

/* The thread tries on and on, 0.1 s apart at first. */
static void wait_tries(struct server *s, int more)
{
    int from = atomic_load(&s->anew);
    for (int i = 0; i < 20000 && atomic_load(&s->anew) < from + more; i++)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    assert_true(atomic_load(&s->anew) >= from + more);
}

static void each_outage_is_a_line_the_first_one_too(void **state)
{
    (void)state;
    struct server s = {0};
    atomic_store(&s.refuses, true);
    capture_start();
    struct cache *c = open_pool(&s, 2);
    wait_tries(&s, 3);
    atomic_store(&s.refuses, false);
    wait_up(c);
    atomic_store(&s.refuses, true);
    atomic_store(&s.fails, ERR_IO);
    assert_int_equal(call(c), ERR_IO);
    wait_tries(&s, 3);
    atomic_store(&s.refuses, false);
    wait_up(c);
    cache_close(c);
    capture_stop();
    assert_int_equal(capture_lines(" cache-away ", NULL, NULL), 2);
    assert_int_equal(capture_lines(" cache-away ", "it refuses", NULL), 1);
    assert_int_equal(capture_lines(" cache-away ", "as the test said", NULL), 1);
    assert_int_equal(capture_lines(" cache-up", NULL, NULL), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_connection_serves_calls_one_after_the_other),
        cmocka_unit_test(invalid_commands_do_not_reach_the_server),
        cmocka_unit_test(a_failure_opens_the_breaker_until_the_server_is_back),
        cmocka_unit_test(a_stale_connection_is_replaced_without_a_failure),
        cmocka_unit_test(a_server_that_refuses_is_not_up),
        cmocka_unit_test(no_more_connections_than_allowed),
        cmocka_unit_test(each_outage_is_a_line_the_first_one_too),
        cmocka_unit_test(close_does_not_wait_for_a_server_that_is_not_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
