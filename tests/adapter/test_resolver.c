/* c-ares against a small name server that is silent, slow or wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/resolver.h"
#include "tests/adapter/name_server.h"
#include "tests/adapter/paced_loop.h"

struct world {
    struct name_server server;
    struct paced paced;
    struct resolver *resolver;
};

struct seen {
    struct world *world;
    int called, err;
    char addresses[512], why[64];
    int64_t ttl_ms;
};

static void on_answer(void *arg, const struct resolver_answer *a)
{
    struct seen *s = arg;
    s->called++;
    s->err = a->err;
    s->ttl_ms = a->ttl_ms;
    snprintf(s->addresses, sizeof s->addresses, "%s", a->addresses ? a->addresses : "");
    snprintf(s->why, sizeof s->why, "%s", a->why);
    paced_came(&s->world->paced);
}

static int setup(void **state)
{
    static struct world w;
    w = (struct world){0};
    assert_int_equal(name_server_start(&w.server), 0);
    paced_open(&w.paced);
    assert_int_equal(resolver_ares_open(w.paced.loop, w.server.at, &w.resolver), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    resolver_close(w->resolver);
    paced_close(&w->paced);
    name_server_stop(&w->server);
    return 0;
}

static void ask(struct world *w, const char *name, struct seen *s)
{
    *s = (struct seen){.world = w};
    w->paced.left++;
    assert_int_equal(resolver_ask(w->resolver, name, on_answer, s), 0);
}

static struct seen ask_and_run(struct world *w, const char *name)
{
    struct seen s;
    ask(w, name, &s);
    paced_run(&w->paced, 60000);
    assert_int_equal(s.called, 1);
    return s;
}

static void addresses_come_with_their_time(void **state)
{
    struct seen s = ask_and_run(*state, "shop.test");
    assert_int_equal(s.err, 0);
    assert_string_equal(s.addresses, "127.0.0.1");
    assert_int_equal(s.ttl_ms, NAME_TTL_S * 1000);
    s = ask_and_run(*state, "shop6.test");
    assert_non_null(strstr(s.addresses, "127.0.0.1"));
    assert_non_null(strstr(s.addresses, "[2001:db8::1]"));
    s = ask_and_run(*state, "alias.test");
    assert_string_equal(s.addresses, "127.0.0.1");
    assert_int_equal(s.ttl_ms, 7000);
}

static void many_addresses_are_limited(void **state)
{
    struct seen s = ask_and_run(*state, "many.test");
    size_t commas = 0;
    for (const char *p = s.addresses; *p; p++)
        commas += *p == ',';
    assert_int_equal(commas, RESOLVER_ADDRESSES_MAX - 1);
}

static void failures_are_told_apart(void **state)
{
    struct seen s = ask_and_run(*state, "none.test");
    assert_int_equal(s.err, ERR_NOT_FOUND);
    assert_string_equal(s.addresses, "");
    assert_true(s.why[0]);
    assert_int_equal(ask_and_run(*state, "nodata.test").err, ERR_IO);
    assert_int_equal(ask_and_run(*state, "fail.test").err, ERR_IO);
    assert_int_equal(ask_and_run(*state, "shop.test").err, 0);
}

static void names_of_the_hosts_file_need_no_server(void **state)
{
    struct world *w = *state;
    struct seen s = ask_and_run(w, "localhost");
    assert_int_equal(s.err, 0);
    assert_true(strstr(s.addresses, "127.0.0.1") || strstr(s.addresses, "[::1]"));
    assert_int_equal(w->server.questions, 0);
}

/* Seven seconds, and the loop goes on meanwhile. Ten seconds after the files were read the next
 * question reads them anew, and what is under way is asked once more. */
static void a_silent_server_does_not_stop_the_loop(void **state)
{
    struct world *w = *state;
    int64_t opened_ms = loop_now_ms(w->paced.loop);
    struct seen s, fine;
    ask(w, "mute.test", &s);
    ask(w, "shop.test", &fine);
    paced_run(&w->paced, 60000);
    assert_int_equal(s.err, ERR_IO);
    assert_string_equal(fine.addresses, "127.0.0.1");
    assert_in_range(w->server.questions, 3, 6);
    assert_true(w->paced.ticks > 50);
    /* of a busy machine; with curl it was nine seconds */
    assert_in_range(w->paced.gap_ms, 1, 3000);

    w->paced.left = 1; /* nobody's: until the guard */
    paced_run(&w->paced, opened_ms + 9000 - loop_now_ms(w->paced.loop));
    w->paced.left = 0;
    unsigned before = w->server.questions;
    w->server.mute = true;
    ask(w, "other.test", &s);
    paced_run(&w->paced, opened_ms + 10050 - loop_now_ms(w->paced.loop));
    assert_int_equal(s.called, 0);
    w->server.mute = false;
    ask(w, "shop.test", &fine);
    paced_run(&w->paced, 60000);
    assert_string_equal(s.addresses, "127.0.0.1");
    assert_string_equal(fine.addresses, "127.0.0.1");
    assert_in_range(w->server.questions, before + 3, before + 6);
}

static void fifty_questions_need_no_thread(void **state)
{
    static struct seen seen[50];
    struct world *w = *state;
    char name[32];
    size_t before = threads_now();
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof name, "%s.shop%d.test", i % 2 ? "slow" : "shop", i);
        ask(w, name, &seen[i]);
    }
    paced_run(&w->paced, 200);
    assert_int_equal(threads_now(), before);
    paced_run(&w->paced, 60000);
    for (int i = 0; i < 50; i++)
        assert_int_equal(seen[i].err, 0);
    assert_int_equal(w->server.questions, 50);
}

static void closing_forgets_what_is_asked(void **state)
{
    struct world *w = *state;
    struct seen s[3];
    for (int i = 0; i < 3; i++)
        ask(w, "mute.test", &s[i]);
    paced_run(&w->paced, 50);
    resolver_close(w->resolver);
    w->resolver = NULL;
    paced_run(&w->paced, 100);
    for (int i = 0; i < 3; i++)
        assert_int_equal(s[i].called, 0);
}

static void search_domains_are_tried(void **state)
{
    struct world *w = *state;
    assert_int_equal(ask_and_run(w, "short").err, ERR_NOT_FOUND);
    resolver_close(w->resolver);
    setenv("LOCALDOMAIN", "cluster.test", 1); /* as `search` in resolv.conf */
    int err = resolver_ares_open(w->paced.loop, w->server.at, &w->resolver);
    unsetenv("LOCALDOMAIN");
    assert_int_equal(err, 0);
    assert_string_equal(ask_and_run(w, "short").addresses, "127.0.0.1");
}

static void bad_servers_are_refused(void **state)
{
    struct world *w = *state;
    struct resolver *r = NULL;
    assert_int_equal(resolver_ares_open(w->paced.loop, "nowhere,else", &r), ERR_INVALID);
    assert_null(r);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(addresses_come_with_their_time),
        TEST(many_addresses_are_limited),
        TEST(failures_are_told_apart),
        TEST(names_of_the_hosts_file_need_no_server),
        TEST(a_silent_server_does_not_stop_the_loop),
        TEST(fifty_questions_need_no_thread),
        TEST(closing_forgets_what_is_asked),
        TEST(search_domains_are_tried),
        TEST(bad_servers_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
