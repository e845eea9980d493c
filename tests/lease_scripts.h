/* lease_scripts.h - what the scripts of an upstream's limits promise (common/cache_scripts.h),
 * tried on any cache: the fake's meaning and the Lua text pass the same. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_scripts.h"

struct limits {
    struct cache *cache;
    const char *prefix; /* of its keys: `{...}` */
    long answer[3];
};

/* The answer's numbers. */
static const long *limits_ask(struct limits *l, enum cache_script s, const char *const *keys,
                              unsigned keys_n, const char *words)
{
    struct cache_command c = {.script = s, .keys = keys_n};
    char key[2][128], copy[128];
    struct cache_reply r;
    for (unsigned i = 0; i < keys_n; i++) {
        snprintf(key[i], sizeof key[i], "%s:%s", l->prefix, keys[i]);
        cache_arg_text(&c, key[i]);
    }
    snprintf(copy, sizeof copy, "%s", words);
    for (char *w = copy, *end; *w; w = end) {
        end = w + strcspn(w, " ");
        if (*end)
            *end++ = 0;
        cache_arg_text(&c, w);
    }
    assert_int_equal(cache_call(l->cache, &c, 1, &r), 0);
    memset(l->answer, 0, sizeof l->answer);
    char *at = r.text;
    if (r.type == REPLY_INTEGER)
        l->answer[0] = (long)r.integer;
    else if (r.type != REPLY_TEXT)
        fail_msg("%s", r.text ? r.text : "nil");
    for (int i = 0; i < 3 && r.type == REPLY_TEXT; i++)
        l->answer[i] = strtol(at, &at, 10);
    assert_true(r.type != REPLY_TEXT || *at == 0);
    cache_reply_fini(&r);
    return l->answer;
}

/* words: me, claim, want, max */
static void limits_slots(struct limits *l, const char *words, long leased, long target)
{
    const long *a = limits_ask(l, SCRIPT_SLOT_LEASE, (const char *const[]){"c", "h"}, 2, words);
    if (a[0] != leased || a[1] != target)
        fail_msg("%s: leased %ld target %ld", words, a[0], a[1]);
}

static void limits_try_slots(struct limits *l)
{
    limits_slots(l, "a 0 8 10", 8, 8);
    limits_slots(l, "b 0 1 10", 1, 1);
    limits_slots(l, "b 1 5 10", 2, 2); /* what is free */
    limits_slots(l, "a 8 8 10", 8, 5); /* b lacks some: an equal part, in use what is in use */
    limits_slots(l, "a 6 8 10", 6, 5);
    limits_slots(l, "b 2 5 10", 4, 4);
    limits_slots(l, "a 5 8 10", 5, 5);
    limits_slots(l, "b 4 5 10", 5, 5);
    limits_slots(l, "c 0 0 10", 0, 0); /* forgotten */
    limits_slots(l, "a 0 0 10", 0, 0);
    limits_slots(l, "b 0 9 10", 9, 9);
    limits_slots(l, "b 0 0 10", 0, 0);
}

/* One slot for three: who had it stands back until the others had it. */
static void limits_try_one_for_three(struct limits *l)
{
    limits_slots(l, "a 0 3 1", 1, 1);
    limits_slots(l, "b 0 3 1", 0, 0);
    limits_slots(l, "c 0 3 1", 0, 0);
    limits_slots(l, "a 1 3 1", 1, 0);
    limits_slots(l, "a 0 3 1", 0, 0);
    limits_slots(l, "b 0 3 1", 1, 1);
    limits_slots(l, "a 0 3 1", 0, 0);
    limits_slots(l, "b 0 2 1", 0, 0);
    limits_slots(l, "c 0 3 1", 1, 1);
    limits_slots(l, "c 0 0 1", 0, 0);
    limits_slots(l, "b 0 0 1", 0, 0);
    limits_slots(l, "a 0 0 1", 0, 0);
}

static const long *limits_rate(struct limits *l, const char *words)
{
    return limits_ask(l, SCRIPT_RATE_LEASE, (const char *const[]){"r", "h"}, 2, words);
}

/* A second between two calls, so that a slow machine makes no difference. */
static void limits_try_rate(struct limits *l)
{
    const long *a = limits_rate(l, "1000000.000 5 100000");
    assert_int_equal(a[0], 1);
    assert_int_equal(a[1], 0);
    a = limits_rate(l, "1000000.000 5 100000");
    assert_int_equal(a[0], 0);
    assert_in_range(a[1], 1, 1000000);
    a = limits_rate(l, "1000000.000 5 3000000");
    assert_int_equal(a[0], 3);
    assert_in_range(a[1], 1, 1000000);
    assert_int_equal(a[2], 0);
}

static void limits_try_hold(struct limits *l)
{
    const char *const h[] = {"h"};
    assert_int_equal(limits_ask(l, SCRIPT_HOLD, h, 1, "50000")[0], 1);
    assert_int_equal(limits_ask(l, SCRIPT_HOLD, h, 1, "1000")[0], 0);
    assert_in_range(limits_rate(l, "1000000.000 1 100000")[2], 1, 50000);
    assert_int_equal(limits_ask(l, SCRIPT_HOLD, h, 1, "60000")[0], 1);
    assert_in_range(
        limits_ask(l, SCRIPT_SLOT_LEASE, (const char *const[]){"c", "h"}, 2, "a 0 0 1")[2], 50001,
        60000);
}

static void limits_try_all(struct limits *l)
{
    limits_try_slots(l);
    limits_try_one_for_three(l);
    limits_try_rate(l);
    limits_try_hold(l);
}
