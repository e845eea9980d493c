/* The Redis in memory means what cache.h and cache_scripts.h promise; the adapter test asks the
 * same of the real one. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "common/cache_fake.h"
#include "common/cache_scripts.h"
#include "common/loop_fake.h"
#include "tests/lease_scripts.h"
#include "tests/limit_scripts.h"
#include "tests/pool_scripts.h"

struct world {
    struct loop *loop;
    struct cache_fake *fake;
    struct cache *cache;
    struct cache_async *async;
};

static int setup(void **state)
{
    static struct world w;
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    assert_int_equal(cache_fake_open(loop_fake_clock(w.loop), &w.fake), 0);
    assert_int_equal(cache_fake_view(w.fake, &w.cache), 0);
    assert_int_equal(cache_fake_async_view(w.fake, w.loop, &w.async), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    cache_async_close(w->async);
    cache_close(w->cache);
    cache_fake_close(w->fake);
    loop_close(w->loop);
    return 0;
}

/* A command from words; script: SCRIPT_NONE or a script whose first `keys` words are keys. */
static struct cache_command words(enum cache_script script, unsigned keys, const char *const *argv)
{
    struct cache_command c = {.script = script, .keys = keys};
    for (; *argv; argv++)
        cache_arg_text(&c, *argv);
    return c;
}
#define plain(...)           words(SCRIPT_NONE, 0, (const char *const[]){__VA_ARGS__, NULL})
#define script(s, keys, ...) words(s, keys, (const char *const[]){__VA_ARGS__, NULL})

/* Its answer as text: "(nil)", "3", "OK", "text". */
static const char *ask(struct world *w, struct cache_command c)
{
    static char text[256];
    struct cache_reply r;
    assert_int_equal(cache_call(w->cache, &c, 1, &r), 0);
    if (r.type == REPLY_NIL)
        snprintf(text, sizeof text, "(nil)");
    else if (r.type == REPLY_INTEGER)
        snprintf(text, sizeof text, "%lld", r.integer);
    else
        snprintf(text, sizeof text, "%s%.240s", r.type == REPLY_ERROR ? "!" : "", r.text);
    cache_reply_fini(&r);
    return text;
}

static void commands_mean_what_they_mean_in_redis(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, plain("PING")), "PONG");
    assert_string_equal(ask(w, plain("echo", "hi")), "hi");
    assert_string_equal(ask(w, plain("GET", "a")), "(nil)");
    assert_string_equal(ask(w, plain("SET", "a", "1")), "OK");
    assert_string_equal(ask(w, plain("SET", "a", "2", "NX")), "(nil)");
    assert_string_equal(ask(w, plain("SET", "b", "2", "XX")), "(nil)");
    assert_string_equal(ask(w, plain("SET", "a", "3", "XX")), "OK");
    assert_string_equal(ask(w, plain("GET", "a")), "3");
    assert_string_equal(ask(w, plain("EXISTS", "a", "b")), "1");
    assert_string_equal(ask(w, plain("DEL", "a", "b")), "1");
    assert_string_equal(ask(w, plain("SET", "a")), "!ERR syntax error");
    assert_string_equal(ask(w, plain("SET", "a", "1", "PX", "0")), "!ERR syntax error");
    assert_string_equal(ask(w, plain("HGETALL", "a")), "!ERR unknown command");
}

static void keys_run_out_by_the_clock(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, plain("SET", "a", "1", "PX", "1500")), "OK");
    assert_string_equal(ask(w, plain("SET", "b", "1", "EX", "2")), "OK");
    assert_string_equal(ask(w, plain("SET", "c", "1")), "OK");
    loop_fake_run_for(w->loop, 1000);
    assert_string_equal(ask(w, plain("PTTL", "a")), "500");
    assert_string_equal(ask(w, plain("SET", "a", "2", "KEEPTTL")), "OK");
    assert_string_equal(ask(w, plain("PTTL", "c")), "-1");
    assert_int_equal(cache_fake_ttl_ms(w->fake, "b"), 1000);
    loop_fake_run_for(w->loop, 500);
    assert_string_equal(ask(w, plain("GET", "a")), "(nil)");
    assert_string_equal(ask(w, plain("PTTL", "a")), "-2");
    assert_string_equal(ask(w, plain("PEXPIRE", "c", "100")), "1");
    assert_string_equal(ask(w, plain("EXPIRE", "a", "1")), "0");
    assert_string_equal(ask(w, plain("EXPIRE", "c", "x")),
                        "!ERR value is not an integer or out of range");
    loop_fake_run_for(w->loop, 500);
    assert_null(cache_fake_get(w->fake, "c", NULL));
    assert_int_equal(cache_fake_ttl_ms(w->fake, "c"), -2);
}

static void admission_and_leading_keep_their_contract(void **state)
{
    struct world *w = *state;
    assert_string_equal(ask(w, script(SCRIPT_ADMIT, 1, "k", "MAC1", "ID1")), "new");
    assert_string_equal(ask(w, script(SCRIPT_ADMIT, 1, "k", "MAC1", "ID1")), "pMAC1ID1");
    assert_int_equal(cache_fake_ttl_ms(w->fake, "k"), CACHE_MARK_MS);
    assert_string_equal(ask(w, script(SCRIPT_MARK, 1, "k", "aMAC1ID2", "86400000")), "1");
    assert_string_equal(ask(w, script(SCRIPT_ADMIT, 1, "k", "MAC1", "ID1")), "aMAC1ID2");
    assert_string_equal(ask(w, script(SCRIPT_ADMIT, 1, "k", "MAC2", "ID1")), "other body");

    assert_string_equal(ask(w, script(SCRIPT_LEAD, 2, "v", "l", "ID1", "60000")), "new");
    assert_string_equal(ask(w, script(SCRIPT_LEAD, 2, "v", "l", "ID2", "60000")), "pID1");
    loop_fake_run_for(w->loop, 1000);
    assert_string_equal(ask(w, script(SCRIPT_MARK, 1, "l", "aID2", "0")), "0");
    assert_string_equal(ask(w, script(SCRIPT_MARK, 1, "l", "aID1", "0")), "1");
    assert_string_equal(ask(w, script(SCRIPT_MARK, 1, "l", "aID1", "0")), "0");
    assert_int_equal(cache_fake_ttl_ms(w->fake, "l"), 59000);
    assert_string_equal(ask(w, script(SCRIPT_LEAD, 2, "v", "l", "ID2", "60000")), "aID1");

    assert_string_equal(ask(w, script(SCRIPT_LEAD_DONE, 2, "v", "l", "ID2", "", "1")), "0");
    assert_string_equal(ask(w, script(SCRIPT_LEAD_DONE, 2, "v", "l", "ID1", "{}", "9")), "1");
    assert_string_equal(ask(w, script(SCRIPT_LEAD, 2, "v", "l", "ID2", "60000")), "v{}");
    assert_string_equal(ask(w, script(SCRIPT_MARK, 1, "l", "aID1", "0")), "0");
    assert_null(cache_fake_get(w->fake, "l", NULL));
    loop_fake_run_for(w->loop, 9);
    assert_string_equal(ask(w, script(SCRIPT_LEAD, 2, "v", "l", "ID3", "60000")), "new");
}

static int64_t pool_now(void *arg)
{
    struct world *w = arg;
    return clock_wall_us(loop_fake_clock(w->loop)) / 1000;
}

static void pool_pass(void *arg, int ms)
{
    struct world *w = arg;
    loop_fake_run_for(w->loop, ms);
}

static void limits_keep_their_promises(void **state)
{
    struct world *w = *state;
    struct limits l = {.cache = w->cache, .prefix = "{u}"};
    limits_try_all(&l);
}

static void a_pool_keeps_its_promises(void **state)
{
    struct world *w = *state;
    char prefix[16];
    for (int i = 0; i < POOL_PROMISES; i++) {
        struct pool p = {w->cache, prefix, pool_now, pool_pass, w, ""};
        snprintf(prefix, sizeof prefix, "{%d}", i);
        pool_promises[i](&p);
    }
}

static void a_limit_keeps_its_promises(void **state)
{
    struct world *w = *state;
    char key[16];
    for (int i = 0; i < LIMIT_PROMISES; i++) {
        snprintf(key, sizeof key, "l%d", i);
        limit_promises[i](&(struct limit_tried){w->cache, key, pool_pass, w});
    }
}

static void answers_are_told_apart_by_their_first_character(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum cache_answer answer;
    } known[] = {{"new", ANSWER_NEW},
                 {"other body", ANSWER_OTHER_BODY},
                 {"p1", ANSWER_PENDING},
                 {"a1", ANSWER_ACKNOWLEDGED},
                 {"v{\"a\":1}", ANSWER_VALUE},
                 {"x", ANSWER_NONE},
                 {"", ANSWER_NONE}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char text[16];
        snprintf(text, sizeof text, "%s", known[i].text);
        struct cache_reply r = {REPLY_TEXT, text, strlen(text), 0};
        assert_int_equal(cache_answer_of(&r), known[i].answer);
        r.type = REPLY_ERROR;
        assert_int_equal(cache_answer_of(&r), ANSWER_NONE);
    }
    for (int s = SCRIPT_NONE + 1; s < SCRIPT_COUNT; s++)
        assert_true(strlen(cache_script_text((enum cache_script)s)) > 20);
    assert_string_equal(cache_script_text(SCRIPT_NONE), "");
}

static void failures_come_where_they_are_asked_for(void **state)
{
    struct world *w = *state;
    struct cache_reply r[2];
    struct cache_command both[2] = {plain("SET", "a", "1"), plain("SET", "b", "1")};
    cache_fake_fail(w->fake, 2, ERR_TIMEOUT);
    assert_int_equal(cache_call(w->cache, both, 2, r), ERR_TIMEOUT);
    assert_string_equal(cache_fake_get(w->fake, "a", NULL), "1");
    assert_null(cache_fake_get(w->fake, "b", NULL));
    assert_int_equal(cache_fake_commands(w->fake), 2);
    cache_fake_away(w->fake, true);
    assert_false(cache_up(w->cache));
    assert_false(cache_async_up(w->async));
    assert_int_equal(cache_call(w->cache, both, 1, r), ERR_IO);
    assert_int_equal(cache_send(w->async, &both[0], NULL, NULL), ERR_IO);
    cache_fake_away(w->fake, false);
    assert_true(cache_up(w->cache));
    struct cache_command none = {0};
    assert_int_equal(cache_call(w->cache, &none, 1, r), ERR_INVALID);
    assert_int_equal(cache_send(w->async, &none, NULL, NULL), ERR_INVALID);
}

static void what_is_refused_is_answered_with_an_error(void **state)
{
    struct world *w = *state;
    struct cache_command set = plain("SET", "a", "1"), get = plain("GET", "a");
    struct cache_reply r;
    cache_fake_refuse(w->fake, SCRIPT_NONE, "READONLY");
    assert_int_equal(cache_call(w->cache, &set, 1, &r), 0);
    assert_int_equal(r.type, REPLY_ERROR);
    assert_string_equal(r.text, "READONLY");
    cache_reply_fini(&r);
    assert_null(cache_fake_get(w->fake, "a", NULL));
    assert_false(cache_up(w->cache));
    assert_true(cache_async_up(w->async));
    assert_false(cache_async_obeys(w->async));
    cache_fake_refuse(w->fake, SCRIPT_ADMIT, "OOM");
    assert_int_equal(cache_call(w->cache, &set, 1, &r), 0);
    assert_int_equal(r.type, REPLY_STATUS);
    cache_reply_fini(&r);
    cache_fake_refuse(w->fake, SCRIPT_NONE, NULL);
    assert_true(cache_up(w->cache) && cache_async_obeys(w->async));
    assert_int_equal(cache_call(w->cache, &get, 1, &r), 0);
    assert_string_equal(r.text, "1");
    cache_reply_fini(&r);
}

static void what_the_test_puts_is_there(void **state)
{
    struct world *w = *state;
    size_t len;
    assert_int_equal(cache_fake_put(w->fake, "a", "x\0y", 3, 50), 0);
    assert_memory_equal(cache_fake_get(w->fake, "a", &len), "x\0y", 3);
    assert_int_equal(len, 3);
    assert_int_equal(cache_fake_ttl_ms(w->fake, "a"), 50);
    assert_int_equal(cache_fake_put(w->fake, "a", "z", 1, 0), 0);
    assert_int_equal(cache_fake_ttl_ms(w->fake, "a"), -1);
}

/* ---- asynchronous */
struct answers {
    int n, err;
    char last[32];
};

static void on_answer(void *arg, int err, const struct cache_reply *r)
{
    struct answers *a = arg;
    a->n++;
    a->err = err;
    assert_true((r == NULL) == (err != 0));
    snprintf(a->last, sizeof a->last, "%s", r && r->text ? r->text : "");
}

static void asynchronous_answers_come_in_a_later_turn(void **state)
{
    struct world *w = *state;
    struct answers a = {0};
    char value[] = "1";
    struct cache_command set = plain("SET", "a", value), get = plain("GET", "a");
    assert_int_equal(cache_send(w->async, &set, NULL, NULL), 0);
    value[0] = '2'; /* it was copied */
    assert_int_equal(cache_send(w->async, &get, on_answer, &a), 0);
    assert_int_equal(a.n, 0);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(a.n, 1);
    assert_string_equal(a.last, "1");
    cache_fake_fail(w->fake, 1, ERR_IO);
    assert_int_equal(cache_send(w->async, &get, on_answer, &a), 0);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(a.err, ERR_IO);
    assert_int_equal(cache_send(w->async, &get, on_answer, &a), 0);
    cache_fake_away(w->fake, true);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(a.n, 3);
    assert_int_equal(a.err, ERR_IO);
}

static void close_answers_what_is_open(void **state)
{
    struct world *w = *state;
    struct answers a = {0};
    struct cache_command get = plain("GET", "a");
    assert_int_equal(cache_send(w->async, &get, on_answer, &a), 0);
    cache_async_close(w->async);
    w->async = NULL;
    assert_int_equal(a.err, ERR_CLOSED);
}

struct heard {
    int subscribed, messages;
    char last[32];
    struct world *leave; /* unsubscribe inside the callback */
};

static void on_heard(void *arg, const char *channel, const char *message, size_t len)
{
    struct heard *h = arg;
    if (!message) {
        h->subscribed++;
        return;
    }
    assert_int_equal(len, strlen(message));
    h->messages++;
    snprintf(h->last, sizeof h->last, "%s", message);
    if (h->leave)
        cache_unsubscribe(h->leave->async, channel, on_heard, h);
}

static void publish(struct world *w, const char *channel, const char *text)
{
    ask(w, plain("PUBLISH", channel, text));
    loop_fake_run_for(w->loop, 0);
}

static void listeners_hear_their_channel(void **state)
{
    struct world *w = *state;
    struct heard a = {0}, b = {0}, other = {0};
    assert_int_equal(cache_subscribe(w->async, "news", on_heard, &a), 0);
    assert_int_equal(cache_subscribe(w->async, "news", on_heard, &a), ERR_EXISTS);
    assert_int_equal(a.subscribed, 0);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(cache_subscribe(w->async, "news", on_heard, &b), 0);
    assert_int_equal(cache_subscribe(w->async, "other", on_heard, &other), 0);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(a.subscribed, 1);
    assert_int_equal(b.subscribed, 1);
    publish(w, "news", "one");
    assert_string_equal(a.last, "one");
    assert_string_equal(b.last, "one");
    assert_int_equal(other.messages, 0);
    a.leave = w;
    publish(w, "news", "two");
    publish(w, "news", "three");
    assert_string_equal(a.last, "two");
    assert_int_equal(b.messages, 3);
    const char *channel;
    assert_string_equal(cache_fake_published(w->fake, 2, &channel), "three");
    assert_string_equal(channel, "news");
    assert_null(cache_fake_published(w->fake, 3, &channel));
}

static void listeners_miss_what_comes_while_redis_is_away(void **state)
{
    struct world *w = *state;
    struct heard a = {0}, late = {0};
    assert_int_equal(cache_subscribe(w->async, "news", on_heard, &a), 0);
    loop_fake_run_for(w->loop, 0);
    ask(w, plain("PUBLISH", "news", "lost"));
    cache_fake_away(w->fake, true);
    assert_int_equal(cache_subscribe(w->async, "news", on_heard, &late), 0);
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(a.messages, 0);
    assert_int_equal(late.subscribed, 0);
    cache_fake_away(w->fake, false);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(a.subscribed, 2);
    assert_int_equal(late.subscribed, 1);
    publish(w, "news", "back");
    assert_string_equal(a.last, "back");
}

#define with_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(commands_mean_what_they_mean_in_redis),
        with_world(keys_run_out_by_the_clock),
        with_world(admission_and_leading_keep_their_contract),
        with_world(a_pool_keeps_its_promises),
        with_world(limits_keep_their_promises),
        with_world(a_limit_keeps_its_promises),
        cmocka_unit_test(answers_are_told_apart_by_their_first_character),
        with_world(failures_come_where_they_are_asked_for),
        with_world(what_is_refused_is_answered_with_an_error),
        with_world(what_the_test_puts_is_there),
        with_world(asynchronous_answers_come_in_a_later_turn),
        with_world(close_answers_what_is_open),
        with_world(listeners_hear_their_channel),
        with_world(listeners_miss_what_comes_while_redis_is_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
