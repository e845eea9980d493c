/* The addresses of names, over a resolver that answers when it is told to, in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/names.h"

enum { WAITS = 8, ASKED = NAMES_MAX + 100 };

struct world {
    struct resolver resolver; /* first */
    struct loop *loop;
    struct names *names;
    struct names_wait waits[WAITS];
    struct {
        int told, err;
        char text[64], name[16];
    } seen[WAITS];
    struct {
        resolver_fn *fn;
        void *arg;
        char name[16];
    } asked[ASKED];
    size_t asked_n;
    const char *at_once;      /* answer before ask returns */
    int refuse;               /* ask returns this */
    struct names_wait *again; /* to be found anew when one is told */
    bool closed;
};

static void answer(struct world *w, size_t i, int err, const char *addresses, int64_t ttl_ms)
{
    assert_true(i < w->asked_n);
    struct resolver_answer a = {err, addresses, ttl_ms, err ? "no luck" : ""};
    w->asked[i].fn(w->asked[i].arg, &a);
}

static int on_ask(struct resolver *r, const char *name, resolver_fn *fn, void *arg)
{
    struct world *w = (struct world *)(void *)r;
    if (w->refuse)
        return w->refuse;
    assert_true(w->asked_n < ASKED);
    w->asked[w->asked_n].fn = fn;
    w->asked[w->asked_n].arg = arg;
    snprintf(w->asked[w->asked_n++].name, 16, "%s", name);
    if (w->at_once)
        answer(w, w->asked_n - 1, 0, w->at_once, 0);
    return 0;
}

static void on_close(struct resolver *r)
{
    ((struct world *)(void *)r)->closed = true;
}

static void on_told(void *arg, struct names_wait *wait, int err, const char *text)
{
    struct world *w = arg;
    const char *known;
    size_t i = (size_t)(wait - w->waits);
    w->seen[i].told++;
    w->seen[i].err = err;
    snprintf(w->seen[i].text, sizeof w->seen[i].text, "%s", text);
    snprintf(w->seen[i].name, sizeof w->seen[i].name, "%s", names_wait_name(wait));
    if (w->again && names_find(w->names, "b", 5000, w->again, &known) == 0)
        w->again = NULL;
}

static int setup(void **state)
{
    static const struct resolver_ops ops = {on_ask, on_close};
    static struct world w;
    w = (struct world){.resolver.ops = &ops};
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    assert_int_equal(names_open(w.loop, &w.resolver, on_told, &w, &w.names), 0);
    *state = &w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < WAITS; i++)
        names_leave(w->names, &w->waits[i]);
    names_close(w->names);
    loop_close(w->loop);
    return !w->closed;
}

/* What is known at once; "" if wait i has to wait. */
static const char *find(struct world *w, const char *name, int64_t max_ms, size_t i)
{
    const char *addresses = "?";
    names_leave(w->names, &w->waits[i]);
    memset(&w->seen[i], 0, sizeof w->seen[i]);
    assert_int_equal(names_find(w->names, name, max_ms, &w->waits[i], &addresses), 0);
    return addresses ? addresses : "";
}

static void expect_told(struct world *w, size_t i, int err, const char *text)
{
    loop_fake_run_for(w->loop, 0);
    assert_int_equal(w->seen[i].told, 1);
    assert_int_equal(w->seen[i].err, err);
    assert_string_equal(w->seen[i].text, text);
}

static void learn(struct world *w, const char *addresses, int64_t ttl_ms)
{
    find(w, "a", 5000, 0);
    answer(w, w->asked_n - 1, 0, addresses, ttl_ms);
    expect_told(w, 0, 0, addresses);
}

static void all_who_want_a_name_share_one_question(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < 5; i++)
        assert_string_equal(find(w, "a", 5000, i), "");
    assert_string_equal(find(w, "b", 5000, 5), "");
    assert_int_equal(w->asked_n, 2);
    assert_string_equal(w->asked[0].name, "a");
    answer(w, 0, 0, "192.0.2.1,[2001:db8::1]", 30000);
    assert_int_equal(w->seen[0].told, 0); /* in the next turn */
    for (size_t i = 0; i < 5; i++) {
        expect_told(w, i, 0, "192.0.2.1,[2001:db8::1]");
        assert_string_equal(w->seen[i].name, "a");
    }
    assert_int_equal(w->seen[5].told, 0);
    assert_string_equal(find(w, "a", 5000, 6), "192.0.2.1,[2001:db8::1]");
    assert_int_equal(w->asked_n, 2);
}

static void an_answer_at_once_is_known_at_once(void **state)
{
    struct world *w = *state;
    w->at_once = "127.0.0.1";
    assert_string_equal(find(w, "a", 5000, 0), "127.0.0.1");
    loop_fake_run_for(w->loop, 6000);
    assert_int_equal(w->seen[0].told, 0);
}

static void a_wait_ends_with_its_time(void **state)
{
    struct world *w = *state;
    find(w, "a", 300, 0);
    find(w, "a", 500, 1);
    loop_fake_run_for(w->loop, 299);
    assert_int_equal(w->seen[0].told, 0);
    loop_fake_run_for(w->loop, 1);
    expect_told(w, 0, ERR_TIMEOUT, "no name server answered in time");
    assert_int_equal(w->seen[1].told, 0);
    answer(w, 0, 0, "192.0.2.1", 30000);
    expect_told(w, 1, 0, "192.0.2.1");
    assert_int_equal(w->seen[0].told, 1);
}

static void who_left_is_not_told(void **state)
{
    struct world *w = *state;
    find(w, "a", 5000, 0);
    find(w, "a", 5000, 1);
    find(w, "a", 5000, 2);
    names_leave(w->names, &w->waits[1]);
    answer(w, 0, 0, "192.0.2.1", 30000);
    names_leave(w->names, &w->waits[2]); /* answered, but not told yet */
    expect_told(w, 0, 0, "192.0.2.1");
    assert_int_equal(w->seen[1].told + w->seen[2].told, 0);
    names_leave(w->names, &w->waits[0]); /* waits no more: fine */
}

static void an_answer_holds_for_its_time_in_bounds(void **state)
{
    static const struct {
        int64_t ttl_ms, holds_ms;
    } cases[] = {{0, 5000}, {1000, 5000}, {20000, 20000}, {86400000, 60000}};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        learn(w, "192.0.2.1", cases[i].ttl_ms);
        size_t asked = w->asked_n;
        loop_fake_run_for(w->loop, cases[i].holds_ms / 4 * 3 - 1);
        assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1");
        assert_int_equal(w->asked_n, asked);
        loop_fake_run_for(w->loop, 1); /* asked for again before it ends */
        assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1");
        assert_int_equal(w->asked_n, asked + 1);
        answer(w, asked, 0, "192.0.2.2", cases[i].ttl_ms);
        assert_string_equal(find(w, "a", 5000, 1), "192.0.2.2");
        loop_fake_run_for(w->loop, cases[i].holds_ms);
        assert_string_equal(find(w, "a", 5000, 1), "");
        answer(w, asked + 1, 0, "192.0.2.3", cases[i].ttl_ms);
        expect_told(w, 1, 0, "192.0.2.3");
        loop_fake_run_for(w->loop, cases[i].holds_ms);
    }
}

/* The loop stands still: time passes, and nothing of what is due is done. */
static void stall(struct world *w, int64_t ms)
{
    clock_step((struct clock_stepped *)(uintptr_t)loop_fake_clock(w->loop), ms * 1000);
}

static void an_answer_that_ran_out_before_it_was_told_is_asked_for_again(void **state)
{
    struct world *w = *state;
    find(w, "a", 20000, 0);
    find(w, "a", 20000, 1);
    find(w, "a", 6000, 2);
    answer(w, 0, 0, "192.0.2.1", 0);
    stall(w, 7000);
    expect_told(w, 2, ERR_TIMEOUT, "no name server answered in time");
    assert_int_equal(w->seen[0].told + w->seen[1].told, 0);
    assert_int_equal(w->asked_n, 2);
    answer(w, 1, 0, "192.0.2.2", 0);
    expect_told(w, 0, 0, "192.0.2.2");
    expect_told(w, 1, 0, "192.0.2.2");
    assert_int_equal(w->asked_n, 2);
}

static void an_answer_that_ran_out_stands_in_where_the_next_is_slow(void **state)
{
    struct world *w = *state;
    find(w, "a", 20000, 0);
    answer(w, 0, 0, "192.0.2.1", 0);
    stall(w, 7000);
    loop_fake_run_for(w->loop, NAMES_PATIENCE_MS - 1);
    assert_int_equal(w->seen[0].told, 0);
    loop_fake_run_for(w->loop, 1);
    expect_told(w, 0, 0, "192.0.2.1");
}

static void an_answer_that_ran_out_stands_in_where_nobody_can_be_asked(void **state)
{
    struct world *w = *state;
    find(w, "a", 20000, 0);
    answer(w, 0, 0, "192.0.2.1", 0);
    stall(w, 7000);
    w->refuse = ERR_NOMEM;
    expect_told(w, 0, 0, "192.0.2.1");
}

static void a_failure_is_kept_for_a_second(void **state)
{
    struct world *w = *state;
    find(w, "a", 5000, 0);
    answer(w, 0, ERR_IO, NULL, 0);
    expect_told(w, 0, ERR_IO, "no luck");
    loop_fake_run_for(w->loop, 900);
    for (size_t i = 1; i < 5; i++) { /* a storm of calls is none of questions */
        assert_string_equal(find(w, "a", 5000, i), "");
        assert_int_equal(w->seen[i].told, 0); /* later, never at once */
        expect_told(w, i, ERR_IO, "no luck");
    }
    assert_int_equal(w->asked_n, 1);
    loop_fake_run_for(w->loop, 100);
    assert_string_equal(find(w, "a", 5000, 0), "");
    assert_int_equal(w->asked_n, 2);
    answer(w, 1, 0, "192.0.2.1", 5000);
    expect_told(w, 0, 0, "192.0.2.1");
}

static void old_addresses_stand_in_when_asking_fails(void **state)
{
    struct world *w = *state;
    learn(w, "192.0.2.1", 5000);
    loop_fake_run_for(w->loop, 5000);
    assert_string_equal(find(w, "a", 5000, 1), "");
    answer(w, 1, ERR_IO, NULL, 0);
    expect_told(w, 1, 0, "192.0.2.1");
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1"); /* from now on at once */
    loop_fake_run_for(w->loop, 2000);
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1"); /* also while it is asked again */
    assert_int_equal(w->asked_n, 3);
    answer(w, 2, 0, "192.0.2.2", 5000);
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.2");
}

static void old_addresses_stand_in_when_asking_is_slow(void **state)
{
    struct world *w = *state;
    learn(w, "192.0.2.1", 5000);
    loop_fake_run_for(w->loop, 5000);
    assert_string_equal(find(w, "a", 5000, 1), "");
    loop_fake_run_for(w->loop, 100);
    assert_string_equal(find(w, "a", 50, 2), ""); /* has less time than that */
    loop_fake_run_for(w->loop, 50);
    expect_told(w, 2, ERR_TIMEOUT, "no name server answered in time");
    loop_fake_run_for(w->loop, NAMES_PATIENCE_MS - 151);
    assert_int_equal(w->seen[1].told, 0);
    loop_fake_run_for(w->loop, 1);
    expect_told(w, 1, 0, "192.0.2.1");
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1");
    assert_int_equal(w->asked_n, 2); /* still the same question */
}

static void old_addresses_stand_in_for_ten_minutes(void **state)
{
    struct world *w = *state;
    learn(w, "192.0.2.1", 5000);
    loop_fake_run_for(w->loop, 5000);
    find(w, "a", 5000, 1);
    answer(w, 1, ERR_IO, NULL, 0);
    expect_told(w, 1, 0, "192.0.2.1");
    loop_fake_run_for(w->loop, NAMES_STALE_MS - 5001);
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1");
    loop_fake_run_for(w->loop, 1);
    assert_string_equal(find(w, "a", 5000, 1), "");
    answer(w, 2, ERR_IO, NULL, 0);
    expect_told(w, 1, ERR_IO, "no luck");
}

static void a_name_that_is_gone_has_no_old_addresses(void **state)
{
    struct world *w = *state;
    learn(w, "192.0.2.1", 5000);
    loop_fake_run_for(w->loop, 4000);
    assert_string_equal(find(w, "a", 5000, 1), "192.0.2.1");
    answer(w, 1, ERR_NOT_FOUND, NULL, 0);
    assert_string_equal(find(w, "a", 5000, 1), "");
    expect_told(w, 1, ERR_NOT_FOUND, "no luck");
}

static void who_is_told_may_look_for_others(void **state)
{
    struct world *w = *state;
    find(w, "a", 5000, 0);
    w->again = &w->waits[7];
    answer(w, 0, ERR_IO, NULL, 0);
    expect_told(w, 0, ERR_IO, "no luck");
    assert_null(w->again);
    assert_string_equal(w->asked[1].name, "b");
    answer(w, 1, 0, "192.0.2.9", 0);
    expect_told(w, 7, 0, "192.0.2.9");
}

static void memory_may_run_out(void **state)
{
    struct world *w = *state;
    const char *known;
    loop_fake_fail(w->loop, 1); /* the wait's timer */
    assert_int_equal(names_find(w->names, "a", 5000, &w->waits[0], &known), ERR_NOMEM);
    names_leave(w->names, &w->waits[0]);
    w->refuse = ERR_NOMEM;
    find(w, "b", 5000, 1);
    expect_told(w, 1, ERR_NOMEM, err_text(ERR_NOMEM));
}

static void names_not_used_longest_are_forgotten(void **state)
{
    struct world *w = *state;
    char name[16];
    find(w, "a", 5000, 0); /* waits all the time */
    w->at_once = "192.0.2.1";
    find(w, "b", 5000, 1);
    for (int i = 0; i < NAMES_MAX; i++) {
        loop_fake_run_for(w->loop, 1);
        snprintf(name, sizeof name, "n%d", i);
        assert_string_equal(find(w, name, 5000, 1), "192.0.2.1");
    }
    size_t asked = w->asked_n;
    assert_string_equal(find(w, name, 5000, 1), "192.0.2.1");
    assert_int_equal(w->asked_n, asked);
    find(w, "b", 5000, 1);
    assert_int_equal(w->asked_n, asked + 1); /* forgotten */
    answer(w, 0, 0, "192.0.2.7", 5000);
    expect_told(w, 0, 0, "192.0.2.7");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_who_want_a_name_share_one_question),
        TEST(an_answer_at_once_is_known_at_once),
        TEST(a_wait_ends_with_its_time),
        TEST(who_left_is_not_told),
        TEST(an_answer_holds_for_its_time_in_bounds),
        TEST(an_answer_that_ran_out_before_it_was_told_is_asked_for_again),
        TEST(an_answer_that_ran_out_stands_in_where_the_next_is_slow),
        TEST(an_answer_that_ran_out_stands_in_where_nobody_can_be_asked),
        TEST(a_failure_is_kept_for_a_second),
        TEST(old_addresses_stand_in_when_asking_fails),
        TEST(old_addresses_stand_in_when_asking_is_slow),
        TEST(old_addresses_stand_in_for_ten_minutes),
        TEST(a_name_that_is_gone_has_no_old_addresses),
        TEST(who_is_told_may_look_for_others),
        TEST(memory_may_run_out),
        TEST(names_not_used_longest_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
