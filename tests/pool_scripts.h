/* pool_scripts.h - what the scripts of a pool promise (common/cache_scripts.h), tried on any cache:
 * the fake's meaning and the Lua text pass the same. */
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

struct pool {
    struct cache *cache;
    const char *prefix; /* of its keys: `{...}` */
    int64_t (*now_ms)(void *arg);
    void (*pass)(void *arg, int ms); /* lets so much time pass at least */
    void *arg;
    char text[256]; /* the last answer; "" for nil */
};

/* words: "q" "r" "d" "t*" are keys of this pool up to `keys`, then arguments. */
static const char *pool_ask(struct pool *p, enum cache_script s, unsigned keys,
                            const char *const *words)
{
    struct cache_command c = {.script = s, .keys = keys};
    char key[4][128];
    struct cache_reply r;
    for (unsigned i = 0; words[i]; i++) {
        bool is_key = s == SCRIPT_NONE ? i == 1 : i < keys;
        if (is_key)
            snprintf(key[i], sizeof key[i], "%s:%s", p->prefix, words[i]);
        cache_arg_text(&c, is_key ? key[i] : words[i]);
    }
    assert_int_equal(cache_call(p->cache, &c, 1, &r), 0);
    if (r.type == REPLY_INTEGER)
        snprintf(p->text, sizeof p->text, "%lld", r.integer);
    else
        snprintf(p->text, sizeof p->text, "%.250s", r.text ? r.text : "");
    cache_reply_fini(&r);
    return p->text;
}
#define pool_words(...)   \
    (const char *const[]) \
    {                     \
        __VA_ARGS__, NULL \
    }
#define pool_plain(p, ...) pool_ask(p, SCRIPT_NONE, 0, pool_words(__VA_ARGS__))
#define pool_take(p, t)    pool_ask(p, SCRIPT_POOL_TAKE, 2, pool_words("q", t))
#define pool_reserve(p, job, size, ms) \
    pool_ask(p, SCRIPT_POOL_RESERVE, 2, pool_words("q", "r", job, size, ms))
#define pool_put(p, job, result, size, ms) \
    pool_ask(p, SCRIPT_POOL_PUT, 3, pool_words("q", "r", "d", job, result, size, ms))

static void pool_item(struct pool *p, const char *text, const char *job, const char *result)
{
    char end[128];
    long long expires = strtoll(text, NULL, 10);
    snprintf(end, sizeof end, "|%s|%s", job, result);
    if (!strstr(text, end) || strcmp(strstr(text, end), end) != 0)
        fail_msg("%s does not end in %s", text, end);
    int64_t left = expires - p->now_ms(p->arg);
    assert_true(left > 50000 && left <= 60000);
}

static void pool_gives_each_item_once(struct pool *p)
{
    assert_string_equal(pool_take(p, "t1"), "");
    assert_string_equal(pool_reserve(p, "A", "2", "60000"), "ok");
    assert_string_equal(pool_put(p, "A", "{\"a\":1}", "2", "60000"), "put short");
    assert_string_equal(pool_reserve(p, "B", "2", "60000"), "ok");
    assert_string_equal(pool_put(p, "B", "2", "2", "60000"), "put full");
    pool_item(p, pool_take(p, "t1"), "A", "{\"a\":1}"); /* the oldest */
    pool_item(p, pool_take(p, "t1"), "A", "{\"a\":1}"); /* the same job: the same item */
    pool_item(p, pool_take(p, "t2"), "B", "2");
    assert_string_equal(pool_take(p, "t3"), "");
    assert_string_equal(pool_plain(p, "LLEN", "q"), "0");
    pool_item(p, pool_take(p, "t2"), "B", "2");
}

static void pool_is_never_over_its_size(struct pool *p)
{
    assert_string_equal(pool_reserve(p, "A", "2", "60000"), "ok");
    assert_string_equal(pool_reserve(p, "A", "2", "60000"), "ok"); /* the same one again */
    assert_string_equal(pool_reserve(p, "B", "2", "60000"), "ok");
    assert_string_equal(pool_reserve(p, "C", "2", "60000"), "full");
    assert_string_equal(pool_put(p, "A", "1", "2", "60000"), "put full");
    assert_string_equal(pool_reserve(p, "C", "2", "60000"), "full");
    assert_string_equal(pool_put(p, "C", "3", "2", "60000"), "refused full");
    assert_string_equal(pool_put(p, "C", "3", "2", "60000"), "done full");
    assert_string_equal(pool_put(p, "B", "", "2", "60000"), "back short"); /* it failed */
    assert_string_equal(pool_reserve(p, "D", "2", "60000"), "ok");
    assert_string_equal(pool_put(p, "D", "4", "2", "60000"), "put full");
    assert_string_equal(pool_plain(p, "LLEN", "q"), "2");
    assert_string_equal(pool_plain(p, "ZCARD", "r"), "0");
}

static void pool_puts_once_for_each_refill(struct pool *p)
{
    assert_string_equal(pool_reserve(p, "A", "4", "60000"), "ok");
    assert_string_equal(pool_put(p, "A", "1", "4", "60000"), "put short");
    assert_string_equal(pool_put(p, "A", "1", "4", "60000"), "done short");
    assert_string_equal(pool_plain(p, "LLEN", "q"), "1");
    pool_item(p, pool_take(p, "t1"), "A", "1");
    assert_string_equal(pool_put(p, "A", "1", "4", "60000"), "done short");
    assert_string_equal(pool_plain(p, "LLEN", "q"), "0");
    assert_string_equal(pool_plain(p, "HLEN", "d"), "1");
}

static void pool_forgets_what_has_expired(struct pool *p)
{
    assert_string_equal(pool_put(p, "A", "1", "2", "100"), "put short");
    assert_string_equal(pool_put(p, "B", "2", "2", "60000"), "put full"); /* renews the list */
    p->pass(p->arg, 150);
    pool_item(p, pool_take(p, "t1"), "B", "2"); /* the first is too old */
    assert_string_equal(pool_put(p, "C", "3", "2", "100"), "put short");
    assert_string_equal(pool_reserve(p, "D", "2", "100"), "ok");
    assert_string_equal(pool_reserve(p, "E", "2", "60000"), "full");
    p->pass(p->arg, 150);
    assert_string_equal(pool_reserve(p, "E", "2", "60000"), "ok"); /* C and D are gone */
    assert_string_equal(pool_reserve(p, "F", "2", "60000"), "ok");
    assert_string_equal(pool_put(p, "D", "4", "2", "60000"), "refused full"); /* after its time */
    assert_string_equal(pool_put(p, "E", "5", "2", "60000"), "put full");
    assert_string_equal(pool_plain(p, "LLEN", "q"), "1");
}

/* What is kept runs out by itself when nobody comes any more. */
static void pool_keys_run_out(struct pool *p)
{
    static const struct {
        const char *key;
        int64_t least, most;
    } kept[] = {{"q", 1190000, 1200000},
                {"r", 890000, 900000},
                {"d", 86390000, 86400000},
                {"t1", 3590000, 3600000}};
    pool_put(p, "A", "1", "4", "60000");
    pool_put(p, "B", "1", "4", "1200000");
    pool_take(p, "t1");
    pool_reserve(p, "C", "4", "900000");
    pool_reserve(p, "D", "4", "60000"); /* takes nothing from the other's time */
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        int64_t left = strtoll(pool_plain(p, "PTTL", kept[i].key), NULL, 10);
        assert_true(left > kept[i].least && left <= kept[i].most);
    }
}

static void (*const pool_promises[])(struct pool *) = {
    pool_gives_each_item_once, pool_is_never_over_its_size, pool_puts_once_for_each_refill,
    pool_forgets_what_has_expired, pool_keys_run_out};
enum { POOL_PROMISES = sizeof pool_promises / sizeof *pool_promises };
