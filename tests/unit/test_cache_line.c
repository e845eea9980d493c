/* The two lines to Redis over connections that the test makes and breaks, in virtual time. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/cache_line.h"
#include "common/loop_fake.h"
#include "log_capture.h"

enum { OPEN_MAX = 100 };

struct cache_line { /* one connection of the driver */
    struct cache_line_events events;
    struct world *world;
    bool messages;
    void *requests[OPEN_MAX];
    size_t n;
};

struct world {
    struct resolver resolver; /* first; of a world with a name */
    resolver_fn *tell_name;   /* NULL: nobody asks */
    void *tell_arg;
    int asked;
    bool resolver_closed;
    char host[64]; /* of the last try */
    struct loop *loop;
    struct cache_async *cache;
    struct cache_line *line[2]; /* commands, messages; NULL: none */
    int opened[2], sent, whole, subscribed, unsubscribed, freed;
    bool refuses;
    char channel[32];
    /* what the caller's callbacks saw */
    int answers, err, confirmed, heard;
    char last[32];
    bool send_again;
    int again_err;
};

static int on_ask(struct resolver *r, const char *name, resolver_fn *fn, void *arg)
{
    struct world *w = (struct world *)(void *)r;
    assert_string_equal(name, "redis");
    assert_null(w->tell_name);
    w->asked++;
    w->tell_name = fn;
    w->tell_arg = arg;
    return 0;
}

static void on_close(struct resolver *r)
{
    ((struct world *)(void *)r)->resolver_closed = true;
}

/* The name server says so. */
static void tell_name(struct world *w, int err, const char *addresses)
{
    resolver_fn *fn = w->tell_name;
    assert_non_null(fn);
    w->tell_name = NULL;
    fn(w->tell_arg, &(struct resolver_answer){err, addresses, 60000, err ? "no luck" : ""});
    loop_fake_run_for(w->loop, 0);
}

static struct cache_line *line_open(void *arg, const char *host, struct loop *loop, bool messages,
                                    const struct cache_line_events *events)
{
    struct world *w = arg;
    snprintf(w->host, sizeof w->host, "%s", host);
    assert_ptr_equal(loop, w->loop);
    assert_null(w->line[messages]);
    w->opened[messages]++;
    if (w->refuses)
        return NULL;
    struct cache_line *l = calloc(1, sizeof *l);
    l->events = *events;
    l->world = w;
    l->messages = messages;
    w->line[messages] = l;
    return l;
}

static int line_send(struct cache_line *l, const struct cache_command *c, bool whole, void *request)
{
    assert_true(c->argc > 0 && strlen(c->argv[0]) > 0 && l->n < OPEN_MAX);
    l->world->sent++;
    l->world->whole += whole;
    l->requests[l->n++] = request;
    return 0;
}

static void line_subscribe(struct cache_line *l, const char *channel, bool on)
{
    l->world->subscribed += on;
    l->world->unsubscribed += !on;
    snprintf(l->world->channel, sizeof l->world->channel, "%s", channel);
}

static void answer_all(struct cache_line *l, const struct cache_reply *r)
{
    for (size_t i = 0; i < l->n; i++)
        l->events.reply(l->events.arg, l->requests[i], r);
    l->n = 0;
}

static void line_end(struct cache_line *l)
{
    answer_all(l, NULL);
    l->world->line[l->messages] = NULL;
    free(l);
}

static void driver_free(void *arg)
{
    ((struct world *)arg)->freed++;
}

/* The server hangs up. */
static void lose(struct world *w, bool messages)
{
    struct cache_line *l = w->line[messages];
    struct cache_line_events events = l->events;
    line_end(l);
    events.down(events.arg, "lost");
}

static int setup_host(void **state, const char *host, bool name)
{
    static const struct cache_line_driver driver = {line_open, line_send, line_subscribe, line_end,
                                                    driver_free};
    static const struct resolver_ops ops = {on_ask, on_close};
    static struct world w;
    w = (struct world){.resolver.ops = &ops, .resolver_closed = !name};
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    struct resolver *resolver = name ? &w.resolver : NULL;
    assert_int_equal(cache_line_async_open(&driver, &w, host, resolver, w.loop, &w.cache), 0);
    *state = &w;
    return 0;
}

static int setup(void **state)
{
    return setup_host(state, "127.0.0.1", false);
}

static int setup_name(void **state)
{
    return setup_host(state, "redis", true);
}

static int teardown(void **state)
{
    struct world *w = *state;
    if (w->cache)
        cache_async_close(w->cache);
    assert_int_equal(w->freed, 1);
    assert_true(w->resolver_closed);
    assert_null(w->line[0]);
    assert_null(w->line[1]);
    loop_close(w->loop);
    return 0;
}

static void bring_up(struct world *w, bool messages)
{
    loop_fake_run_for(w->loop, 0);
    assert_non_null(w->line[messages]);
    w->line[messages]->events.up(w->line[messages]->events.arg);
}

static struct cache_command command(enum cache_script script)
{
    struct cache_command c = {.script = script, .keys = script ? 1 : 0};
    cache_arg_text(&c, "word");
    return c;
}

static void on_answer(void *arg, int err, const struct cache_reply *r)
{
    struct world *w = arg;
    w->answers++;
    w->err = err;
    assert_true((r == NULL) == (err != 0));
    snprintf(w->last, sizeof w->last, "%s", r && r->text ? r->text : "");
    if (w->send_again) {
        struct cache_command c = command(SCRIPT_NONE);
        w->send_again = false;
        w->again_err = cache_send(w->cache, &c, on_answer, w);
    }
}

static int send_one(struct world *w, enum cache_script script)
{
    struct cache_command c = command(script);
    return cache_send(w->cache, &c, on_answer, w);
}

static void nothing_is_sent_before_the_line_is_up(void **state)
{
    struct world *w = *state;
    assert_int_equal(send_one(w, SCRIPT_NONE), ERR_IO);
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(w->opened[0], 1);
    assert_int_equal(w->opened[1], 0); /* nobody listens yet */
    assert_false(cache_async_up(w->cache));
    assert_int_equal(send_one(w, SCRIPT_NONE), ERR_IO);
    bring_up(w, false);
    assert_true(cache_async_up(w->cache));
    assert_int_equal(send_one(w, SCRIPT_NONE), 0);
    struct cache_reply r = {REPLY_TEXT, (char[]){"yes"}, 3, 0};
    answer_all(w->line[0], &r);
    assert_int_equal(w->answers, 1);
    assert_string_equal(w->last, "yes");
    struct cache_command none = {0};
    assert_int_equal(cache_send(w->cache, &none, on_answer, w), ERR_INVALID);
}

static void a_lost_line_answers_all_and_comes_back(void **state)
{
    struct world *w = *state;
    bring_up(w, false);
    assert_int_equal(send_one(w, SCRIPT_NONE), 0);
    w->send_again = true;
    lose(w, false);
    assert_int_equal(w->answers, 1);
    assert_int_equal(w->err, ERR_IO);
    assert_int_equal(w->again_err, ERR_IO); /* from inside the answer: refused, not lost */
    assert_false(cache_async_up(w->cache));
    loop_fake_run_for(w->loop, 49);
    assert_int_equal(w->opened[0], 1);
    loop_fake_run_for(w->loop, 100);
    assert_int_equal(w->opened[0], 2);
    bring_up(w, false);
    assert_int_equal(send_one(w, SCRIPT_NONE), 0);
}

static void tries_slow_down_to_one_in_two_seconds(void **state)
{
    struct world *w = *state;
    w->refuses = true;
    loop_fake_run_for(w->loop, 10000);
    int before = w->opened[0];
    assert_in_range(before, 8, 20);
    loop_fake_run_for(w->loop, 20000);
    assert_in_range(w->opened[0] - before, 10, 20);
}

static void a_connection_that_takes_too_long_is_given_up(void **state)
{
    struct world *w = *state;
    loop_fake_run_for(w->loop, 1999);
    assert_int_equal(w->opened[0], 1);
    assert_non_null(w->line[0]);
    loop_fake_run_for(w->loop, 1);
    assert_null(w->line[0]);
    loop_fake_run_for(w->loop, 100);
    assert_int_equal(w->opened[0], 2);
}

static void a_silent_server_is_given_up_on_both_lines(void **state)
{
    struct world *w = *state;
    assert_int_equal(cache_subscribe(w->cache, "x", (cache_message_fn *)NULL, w), 0);
    bring_up(w, false);
    bring_up(w, true);
    loop_fake_run_for(w->loop, 60000); /* idle is fine */
    assert_int_equal(w->opened[0], 1);
    assert_int_equal(send_one(w, SCRIPT_NONE), 0);
    loop_fake_run_for(w->loop, 4900);
    assert_int_equal(w->answers, 0);
    loop_fake_run_for(w->loop, 1200);
    assert_int_equal(w->err, ERR_IO);
    assert_int_equal(w->answers, 1);
    loop_fake_run_for(w->loop, 200);
    assert_int_equal(w->opened[0], 2);
    assert_int_equal(w->opened[1], 2);
}

static void bytes_that_wait_are_bounded(void **state)
{
    struct world *w = *state;
    size_t size = 8 << 20;
    char *big = calloc(1, size);
    int sent = 0;
    bring_up(w, false);
    struct cache_command c = command(SCRIPT_NONE);
    cache_arg(&c, big, size);
    capture_start();
    for (int times = 1; times <= 2; times++) {
        for (sent = 0; sent < 50 && !cache_send(w->cache, &c, on_answer, w);)
            sent++;
        assert_in_range(sent, 3, 5);
        assert_int_equal(send_one(w, SCRIPT_NONE), ERR_FULL);
        assert_int_equal(send_one(w, SCRIPT_NONE), ERR_FULL);
        struct cache_reply nil = {.type = REPLY_NIL};
        answer_all(w->line[0], &nil);
        assert_int_equal(send_one(w, SCRIPT_NONE), 0);
        answer_all(w->line[0], &nil);
    }
    capture_stop();
    assert_int_equal(capture_lines(" cache-full ", NULL, NULL), 2); /* once each time */
    free(big);
}

static void a_forgotten_script_is_sent_whole_once(void **state)
{
    struct world *w = *state;
    struct cache_reply r = {REPLY_ERROR, (char[]){"NOSCRIPT No matching script"}, 27, 0};
    bring_up(w, false);
    assert_int_equal(send_one(w, SCRIPT_MARK), 0);
    void *request = w->line[0]->requests[0];
    w->line[0]->n = 0;
    w->line[0]->events.reply(w->line[0]->events.arg, request, &r);
    assert_int_equal(w->answers, 0);
    assert_int_equal(w->sent, 2);
    assert_int_equal(w->whole, 1);
    answer_all(w->line[0], &r);
    assert_int_equal(w->answers, 1);
    assert_string_equal(w->last, "NOSCRIPT No matching script");
}

static void close_answers_what_is_open(void **state)
{
    struct world *w = *state;
    bring_up(w, false);
    assert_int_equal(send_one(w, SCRIPT_NONE), 0);
    cache_async_close(w->cache);
    w->cache = NULL;
    assert_int_equal(w->err, ERR_CLOSED);
}

static void on_message(void *arg, const char *channel, const char *message, size_t len)
{
    struct world *w = arg;
    assert_string_equal(channel, "news");
    if (!message) {
        w->confirmed++;
        return;
    }
    assert_int_equal(len, strlen(message));
    w->heard++;
}

static void tell(struct world *w, enum cache_line_news what, const char *text)
{
    w->line[1]->events.news(w->line[1]->events.arg, what, "news", text, text ? strlen(text) : 0);
}

static void listeners_are_subscribed_again_after_a_loss(void **state)
{
    struct world *w = *state;
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    bring_up(w, true);
    assert_int_equal(w->subscribed, 1);
    assert_string_equal(w->channel, "news");
    tell(w, LINE_SUBSCRIBED, NULL);
    tell(w, LINE_SUBSCRIBED, NULL);
    assert_int_equal(w->confirmed, 1);
    tell(w, LINE_MESSAGE, "hello");
    assert_int_equal(w->heard, 1);
    lose(w, true);
    loop_fake_run_for(w->loop, 200);
    bring_up(w, true);
    assert_int_equal(w->subscribed, 2);
    tell(w, LINE_SUBSCRIBED, NULL);
    assert_int_equal(w->confirmed, 2);
}

static void a_channel_wanted_again_before_it_was_given_up_is_subscribed_anew(void **state)
{
    struct world *w = *state;
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    bring_up(w, true);
    cache_unsubscribe(w->cache, "news", on_message, w);
    assert_int_equal(w->unsubscribed, 1);
    tell(w, LINE_UNSUBSCRIBED, NULL);
    assert_int_equal(w->subscribed, 1);
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    assert_int_equal(w->subscribed, 2);
    cache_unsubscribe(w->cache, "news", on_message, w);
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    tell(w, LINE_UNSUBSCRIBED, NULL);
    assert_int_equal(w->subscribed, 4);
    cache_unsubscribe(w->cache, "other", on_message, w);
    assert_int_equal(w->unsubscribed, 2);
}

/* ---- a name */

/* The library's own look-up would stop the loop. */
static void a_name_is_found_before_the_line_is_opened(void **state)
{
    struct world *w = *state;
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    loop_fake_run_for(w->loop, 500);
    assert_int_equal(w->asked, 1); /* for both lines */
    assert_int_equal(w->opened[0] + w->opened[1], 0);
    assert_int_equal(cache_subscribe(w->cache, "more", on_message, w), 0);
    loop_fake_run_for(w->loop, 500);
    tell_name(w, 0, "192.0.2.1");
    assert_string_equal(w->host, "192.0.2.1");
    assert_int_equal(w->opened[0], 1);
    assert_int_equal(w->opened[1], 1);
    bring_up(w, false);
    assert_true(cache_async_up(w->cache));
    lose(w, false);
    loop_fake_run_for(w->loop, 100);
    assert_int_equal(w->opened[0], 2); /* known for a while */
    assert_int_equal(w->asked, 1);
}

static void run_until_opened(struct world *w, int times)
{
    for (int ms = 0; w->opened[0] < times && ms < 2000; ms++)
        loop_fake_run_for(w->loop, 1);
    assert_int_equal(w->opened[0], times);
}

static void each_try_takes_the_next_address(void **state)
{
    struct world *w = *state;
    static const char *const order[] = {"192.0.2.1", "2001:db8::1", "192.0.2.2", "192.0.2.1"};
    w->refuses = true;
    loop_fake_run_for(w->loop, 0);
    tell_name(w, 0, "192.0.2.1,[2001:db8::1],192.0.2.2");
    for (int i = 0; i < 4; i++) {
        run_until_opened(w, i + 1);
        assert_string_equal(w->host, order[i]);
    }
}

static void a_name_that_is_not_found_is_asked_for_again(void **state)
{
    struct world *w = *state;
    loop_fake_run_for(w->loop, 0);
    tell_name(w, ERR_IO, NULL);
    assert_int_equal(w->opened[0], 0);
    loop_fake_run_for(w->loop, 4000); /* the second question has no answer at all */
    assert_int_equal(w->asked, 2);
    tell_name(w, 0, "192.0.2.1");
    run_until_opened(w, 1);
    bring_up(w, false);
}

static void a_server_that_refuses_is_told_of_for_a_while(void **state)
{
    struct world *w = *state;
    assert_false(cache_async_obeys(w->cache));
    bring_up(w, false);
    assert_true(cache_async_obeys(w->cache));
    char text[] = "READONLY You are a replica";
    const struct cache_reply no = {REPLY_ERROR, text, sizeof text - 1, 0};
    assert_int_equal(send_one(w, SCRIPT_SLOT_LEASE), 0);
    answer_all(w->line[0], &no);
    assert_int_equal(w->err, 0);
    assert_string_equal(w->last, text);
    assert_true(cache_async_up(w->cache));
    assert_false(cache_async_obeys(w->cache));
    loop_fake_run_for(w->loop, CACHE_REFUSED_MS - 1);
    assert_false(cache_async_obeys(w->cache));
    loop_fake_run_for(w->loop, 1);
    assert_true(cache_async_obeys(w->cache));
}

/* From the first try on, and whatever was on its way when the line was lost. */
static void each_outage_is_a_line_for_each_of_the_two(void **state)
{
    struct world *w = *state;
    capture_start();
    assert_int_equal(cache_subscribe(w->cache, "news", on_message, w), 0);
    w->refuses = true;
    loop_fake_run_for(w->loop, 10000);
    w->refuses = false;
    for (int i = 0; i < 3; i++) {
        loop_fake_run_for(w->loop, 2000);
        bring_up(w, false);
        bring_up(w, true);
        if (i == 1)
            assert_int_equal(send_one(w, SCRIPT_NONE), 0);
        w->refuses = i < 2;
        if (i == 2)
            break;
        lose(w, false);
        lose(w, true);
        loop_fake_run_for(w->loop, 10000);
        w->refuses = false;
    }
    capture_stop();
    for (int i = 0; i < 2; i++) {
        const char *which = i ? "for=messages" : "for=commands";
        assert_int_equal(capture_lines(" cache-away ", which, NULL), 3);
        assert_int_equal(capture_lines(" cache-away ", which, "cannot connect"), 1);
        assert_int_equal(capture_lines(" cache-away ", which, "why=lost"), 2);
        assert_int_equal(capture_lines(" cache-up ", which, NULL), 3);
    }
}

static void closing_while_the_name_is_looked_up(void **state)
{
    struct world *w = *state;
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(w->asked, 1);
    cache_async_close(w->cache);
    w->cache = NULL;
    assert_true(w->resolver_closed);
    loop_fake_run_for(w->loop, 5000);
    assert_int_equal(w->opened[0], 0);
}

#define with_world(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define with_name(f)  cmocka_unit_test_setup_teardown(f, setup_name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_world(nothing_is_sent_before_the_line_is_up),
        with_world(a_lost_line_answers_all_and_comes_back),
        with_world(tries_slow_down_to_one_in_two_seconds),
        with_world(a_connection_that_takes_too_long_is_given_up),
        with_world(a_silent_server_is_given_up_on_both_lines),
        with_world(bytes_that_wait_are_bounded),
        with_world(a_forgotten_script_is_sent_whole_once),
        with_world(a_server_that_refuses_is_told_of_for_a_while),
        with_world(close_answers_what_is_open),
        with_world(each_outage_is_a_line_for_each_of_the_two),
        with_world(listeners_are_subscribed_again_after_a_loss),
        with_world(a_channel_wanted_again_before_it_was_given_up_is_subscribed_anew),
        with_name(a_name_is_found_before_the_line_is_opened),
        with_name(each_try_takes_the_next_address),
        with_name(a_name_that_is_not_found_is_asked_for_again),
        with_name(closing_while_the_name_is_looked_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
