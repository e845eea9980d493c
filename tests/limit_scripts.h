/* limit_scripts.h - what the scripts of a limit promise (common/cache_scripts.h), tried on any
 * cache: the fake's meaning and the Lua text pass the same. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_scripts.h"

struct limit_tried {
    struct cache *cache;
    const char *key;
    void (*pass)(void *arg, int ms); /* lets so much time pass at least */
    void *arg;
};
struct limit_said {
    long long taken, a, reset;
};

static struct limit_said limit_ask(const struct limit_tried *t, const char *step,
                                   const char *window, const char *take)
{
    struct cache_command c = {.script = SCRIPT_LIMIT, .keys = 1};
    struct cache_reply r;
    struct limit_said said;
    char *end;
    cache_arg_text(&c, t->key);
    cache_arg_text(&c, step);
    cache_arg_text(&c, window);
    cache_arg_text(&c, take);
    assert_int_equal(cache_call(t->cache, &c, 1, &r), 0);
    assert_int_equal(r.type, REPLY_TEXT);
    said.taken = strtoll(r.text, &end, 10);
    said.a = strtoll(end, &end, 10);
    said.reset = strtoll(end, &end, 10);
    assert_int_equal(*end, 0);
    cache_reply_fini(&r);
    return said;
}

static long long limit_refund(const struct limit_tried *t, const char *step)
{
    struct cache_command c = {.script = SCRIPT_REFUND, .keys = 1};
    struct cache_reply r;
    cache_arg_text(&c, t->key);
    cache_arg_text(&c, step);
    assert_int_equal(cache_call(t->cache, &c, 1, &r), 0);
    assert_int_equal(r.type, REPLY_INTEGER);
    long long given = r.integer;
    cache_reply_fini(&r);
    return given;
}

/* Three at once in a minute; then one every 20 s. */
static void limit_counts_and_refunds(const struct limit_tried *t)
{
    struct limit_said said = limit_ask(t, "20000000", "60000000", "0");
    assert_int_equal(said.taken, 1); /* a look takes nothing */
    assert_int_equal(said.a, 3);
    assert_int_equal(said.reset, 0);
    for (int left = 2; left >= 0; left--) {
        said = limit_ask(t, "20000000", "60000000", "1");
        assert_int_equal(said.taken, 1);
        assert_in_range(said.a, left, left + 1); /* the clock goes on */
        assert_in_range(said.reset, (3 - left) * 20000000 - 5000000, (3 - left) * 20000000);
    }
    for (int i = 0; i < 2; i++) { /* a refusal costs nothing */
        said = limit_ask(t, "20000000", "60000000", "1");
        assert_int_equal(said.taken, 0);
        assert_in_range(said.a, 15000000, 20000000);
        assert_in_range(said.reset, 55000000, 60000000);
    }
    assert_int_equal(limit_refund(t, "20000000"), 1);
    assert_int_equal(limit_ask(t, "20000000", "60000000", "1").taken, 1);
    assert_int_equal(limit_ask(t, "20000000", "60000000", "1").taken, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(limit_refund(t, "20000000"), 1);
    assert_int_equal(limit_refund(t, "20000000"), 0);
    assert_int_equal(limit_ask(t, "20000000", "60000000", "0").reset, 0);
}

static void limit_comes_back_evenly(const struct limit_tried *t)
{
    assert_int_equal(limit_ask(t, "100000", "200000", "1").taken, 1);
    assert_int_equal(limit_ask(t, "100000", "200000", "1").taken, 1);
    t->pass(t->arg, 110);
    assert_int_equal(limit_ask(t, "100000", "200000", "1").taken, 1);
    t->pass(t->arg, 310);
    assert_int_equal(limit_ask(t, "100000", "200000", "0").a, 2);
}

/* Who had spent a day's limit waits no longer than a new one says. */
static void limit_that_was_loosened_frees(const struct limit_tried *t)
{
    struct limit_said said;
    assert_int_equal(limit_ask(t, "86400000000", "86400000000", "1").taken, 1);
    said = limit_ask(t, "200000", "2000000", "1");
    assert_int_equal(said.taken, 0);
    assert_in_range(said.a, 1, 200000);
    assert_in_range(said.reset, 1, 2000000);
    t->pass(t->arg, 210);
    assert_int_equal(limit_ask(t, "200000", "2000000", "1").taken, 1);
}

struct limit_race {
    const struct limit_tried *t;
    _Atomic int taken;
};

static void *limit_racer(void *arg)
{
    struct limit_race *r = arg;
    for (int i = 0; i < 5; i++)
        if (limit_ask(r->t, "6000000", "60000000", "1").taken)
            atomic_fetch_add(&r->taken, 1);
    return NULL;
}

/* 40 ask at once where 10 may come: 10 do. */
static void limit_lets_no_two_take_the_last(const struct limit_tried *t)
{
    struct limit_race race = {t, 0};
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, limit_racer, &race), 0);
    for (int i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(race.taken, 10);
}

typedef void limit_promise(const struct limit_tried *t);
static limit_promise *const limit_promises[] = {limit_counts_and_refunds, limit_comes_back_evenly,
                                                limit_that_was_loosened_frees,
                                                limit_lets_no_two_take_the_last};
enum { LIMIT_PROMISES = sizeof limit_promises / sizeof *limit_promises };
