/* Round trips shared by threads, over a cache that the test holds back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "common/cache_gather.h"
#include "common/clock.h"

enum { CALLERS_MAX = 40, WAIT_MS = 10000 };

struct inner { /* answers each command with its own text */
    struct cache port;
    atomic_bool hold;
    atomic_int inside, calls, most, err;
    bool closed;
};

static int inner_call(struct cache *port, const struct cache_command *commands, size_t n,
                      struct cache_reply *replies)
{
    struct inner *in = (struct inner *)port;
    atomic_fetch_add(&in->calls, 1);
    atomic_fetch_add(&in->inside, 1);
    while (atomic_load(&in->hold))
        nanosleep(&(struct timespec){0, 100000}, NULL);
    for (int most = atomic_load(&in->most); most < (int)n;) /* others do so at the same time */
        if (atomic_compare_exchange_weak(&in->most, &most, (int)n))
            break;
    int err = atomic_load(&in->err);
    for (size_t i = 0; i < n && !err; i++)
        replies[i] = (struct cache_reply){REPLY_TEXT, strdup(commands[i].argv[0]),
                                          strlen(commands[i].argv[0]), 0};
    atomic_fetch_sub(&in->inside, 1);
    return err;
}

static bool inner_up(struct cache *port)
{
    return atomic_load(&((struct inner *)port)->err) == 0;
}

static void inner_close(struct cache *port)
{
    ((struct inner *)port)->closed = true;
}

static void inner_init(struct inner *in)
{
    static const struct cache_ops ops = {inner_call, inner_up, inner_close};
    memset(in, 0, sizeof *in);
    in->port.ops = &ops;
}

struct caller {
    struct cache *cache;
    pthread_t thread;
    size_t n;
    int id, err;
    bool right;
    atomic_bool back;
};

static void *ask(void *arg)
{
    struct caller *c = arg;
    struct cache_command commands[200];
    struct cache_reply replies[200];
    char texts[200][16];
    for (size_t i = 0; i < c->n; i++) {
        snprintf(texts[i], sizeof texts[i], "%d-%zu", c->id, i);
        commands[i] = (struct cache_command){0};
        cache_arg_text(&commands[i], texts[i]);
    }
    c->err = cache_call(c->cache, commands, c->n, replies);
    c->right = c->err == 0;
    for (size_t i = 0; i < c->n && !c->err; i++) {
        c->right = c->right && strcmp(replies[i].text, texts[i]) == 0;
        cache_reply_fini(&replies[i]);
    }
    atomic_store(&c->back, true);
    return NULL;
}

static void start(struct caller *c, struct cache *cache, int id, size_t n)
{
    memset(c, 0, sizeof *c);
    c->cache = cache;
    c->id = id;
    c->n = n;
    assert_int_equal(pthread_create(&c->thread, NULL, ask, c), 0);
}

static void wait_inside(struct inner *in, int n)
{
    int64_t until = clock_mono_ms(clock_real()) + WAIT_MS;
    while (atomic_load(&in->inside) < n && clock_mono_ms(clock_real()) < until)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    assert_int_equal(atomic_load(&in->inside), n);
}

static void wait_waiting(struct cache *cache, unsigned n)
{
    int64_t until = clock_mono_ms(clock_real()) + WAIT_MS;
    while (cache_gather_waiting(cache) < n && clock_mono_ms(clock_real()) < until)
        nanosleep(&(struct timespec){0, 100000}, NULL);
    assert_int_equal(cache_gather_waiting(cache), n);
}

static struct cache *open_over(struct inner *in, unsigned trips)
{
    struct cache *cache;
    assert_int_equal(cache_gather_open(&in->port, trips, &cache), 0);
    return cache;
}

static void alone_a_call_goes_by_itself(void **state)
{
    struct inner in;
    struct caller c;
    (void)state;
    inner_init(&in);
    struct cache *cache = open_over(&in, 1);
    for (int i = 0; i < 3; i++) {
        start(&c, cache, i, 2);
        pthread_join(c.thread, NULL);
        assert_true(c.right);
    }
    assert_int_equal(in.calls, 3);
    assert_int_equal(in.most, 2);
    assert_true(cache_up(cache));
    cache_close(cache);
    assert_true(in.closed);
}

/* Two are held on their way; those who come meanwhile share what follows, 64 commands at most. */
static void who_comes_meanwhile_travels_together(void **state)
{
    struct inner in;
    struct caller c[CALLERS_MAX];
    (void)state;
    inner_init(&in);
    atomic_store(&in.hold, true);
    struct cache *cache = open_over(&in, 2);
    start(&c[0], cache, 0, 1);
    start(&c[1], cache, 1, 1);
    wait_inside(&in, 2);
    for (int i = 2; i < CALLERS_MAX; i++)
        start(&c[i], cache, i, 2);
    wait_waiting(cache, CALLERS_MAX - 2);
    assert_int_equal(atomic_load(&in.inside), 2);
    atomic_store(&in.hold, false);
    for (int i = 0; i < CALLERS_MAX; i++) {
        pthread_join(c[i].thread, NULL);
        assert_true(c[i].right);
    }
    /* 76 commands: two trips; a leader may be chosen before another trip takes its company */
    assert_in_range(in.calls, 2 + 2, 2 + 3);
    assert_int_equal(in.most, 64);
    cache_close(cache);
}

static void a_failed_trip_fails_for_all_in_it(void **state)
{
    struct inner in;
    struct caller c[8];
    (void)state;
    inner_init(&in);
    atomic_store(&in.hold, true);
    struct cache *cache = open_over(&in, 1);
    for (int i = 0; i < 8; i++)
        start(&c[i], cache, i, 1);
    wait_waiting(cache, 7);
    atomic_store(&in.err, ERR_IO);
    atomic_store(&in.hold, false);
    for (int i = 0; i < 8; i++) {
        pthread_join(c[i].thread, NULL);
        assert_int_equal(c[i].err, ERR_IO);
    }
    assert_false(cache_up(cache));
    atomic_store(&in.err, 0);
    start(&c[0], cache, 9, 1);
    pthread_join(c[0].thread, NULL);
    assert_true(c[0].right);
    cache_close(cache);
}

static void large_and_wrong_ones_disturb_nobody(void **state)
{
    struct inner in;
    struct caller held, large;
    struct cache_command nothing = {0};
    struct cache_reply reply;
    (void)state;
    inner_init(&in);
    atomic_store(&in.hold, true);
    struct cache *cache = open_over(&in, 1);
    start(&held, cache, 0, 1);
    wait_inside(&in, 1);
    assert_int_equal(cache_call(cache, &nothing, 1, &reply), ERR_INVALID);
    start(&large, cache, 1, 200);
    wait_inside(&in, 2);
    atomic_store(&in.hold, false);
    pthread_join(held.thread, NULL);
    pthread_join(large.thread, NULL);
    assert_true(held.right && large.right);
    assert_int_equal(in.most, 200);
    cache_close(cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_a_call_goes_by_itself),
        cmocka_unit_test(who_comes_meanwhile_travels_together),
        cmocka_unit_test(a_failed_trip_fails_for_all_in_it),
        cmocka_unit_test(large_and_wrong_ones_disturb_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
