/* Who hears what, while listeners come and go. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "common/cache_channels.h"

struct ear {
    struct cache_channels *table;
    int confirmed, heard;
    struct ear *remove, *add; /* done when it hears */
};

static void on_message(void *arg, const char *channel, const char *message, size_t len)
{
    struct ear *e = arg;
    bool first;
    if (!message) {
        e->confirmed++;
        return;
    }
    assert_int_equal(len, strlen(message));
    e->heard++;
    if (e->remove)
        (void)cache_channels_remove(e->table, channel, on_message, e->remove);
    if (e->add)
        assert_int_equal(cache_channels_add(e->table, channel, on_message, e->add, &first), 0);
    e->add = NULL;
}

static void listeners_are_told_apart_by_function_and_argument(void **state)
{
    (void)state;
    struct cache_channels t = {0};
    struct ear a = {0}, b = {0};
    bool first;
    assert_int_equal(cache_channels_add(&t, "x", on_message, &a, &first), 0);
    assert_true(first);
    assert_int_equal(cache_channels_add(&t, "x", on_message, &a, &first), ERR_EXISTS);
    assert_int_equal(cache_channels_add(&t, "x", on_message, &b, &first), 0);
    assert_false(first);
    cache_channels_tell(&t, "x", "hi", 2);
    cache_channels_tell(&t, "y", "hi", 2);
    assert_int_equal(a.heard, 1);
    assert_int_equal(b.heard, 1);
    assert_false(cache_channels_remove(&t, "y", on_message, &a));
    assert_false(cache_channels_remove(&t, "x", on_message, &a));
    assert_true(cache_channels_has(&t, "x"));
    assert_true(cache_channels_remove(&t, "x", on_message, &b));
    assert_false(cache_channels_remove(&t, "x", on_message, &b));
    assert_false(cache_channels_has(&t, "x"));
    cache_channels_fini(&t);
}

static void each_is_confirmed_once_until_all_is_lost(void **state)
{
    (void)state;
    struct cache_channels t = {0};
    struct ear a = {0}, late = {0};
    bool first;
    assert_int_equal(cache_channels_add(&t, "x", on_message, &a, &first), 0);
    cache_channels_confirm(&t, "x");
    assert_int_equal(cache_channels_add(&t, "x", on_message, &late, &first), 0);
    cache_channels_confirm(&t, "x");
    cache_channels_confirm(&t, "y");
    assert_int_equal(a.confirmed, 1);
    assert_int_equal(late.confirmed, 1);
    cache_channels_lost(&t);
    cache_channels_confirm(&t, "x");
    assert_int_equal(a.confirmed, 2);
    cache_channels_fini(&t);
}

static void listeners_may_come_and_go_while_told(void **state)
{
    (void)state;
    struct cache_channels t = {0};
    struct ear a = {.table = &t}, b = {.table = &t}, c = {.table = &t}, extra = {.table = &t};
    bool first;
    a.remove = &a; /* itself */
    b.remove = &a; /* gone already */
    b.add = &extra;
    assert_int_equal(cache_channels_add(&t, "x", on_message, &a, &first), 0);
    assert_int_equal(cache_channels_add(&t, "x", on_message, &b, &first), 0);
    assert_int_equal(cache_channels_add(&t, "x", on_message, &c, &first), 0);
    cache_channels_tell(&t, "x", "1", 1);
    assert_int_equal(a.heard, 1);
    assert_int_equal(b.heard, 1);
    assert_int_equal(c.heard, 1);
    cache_channels_tell(&t, "x", "2", 1);
    assert_int_equal(a.heard, 1);
    assert_int_equal(b.heard, 2);
    assert_int_equal(c.heard, 2);
    assert_true(extra.heard >= 1);
    cache_channels_fini(&t);
}

static void count(void *arg, const char *channel)
{
    assert_true(channel[0] == 'c' || !strcmp(channel, "x"));
    ++*(int *)arg;
}

static void thousands_of_channels_are_found(void **state)
{
    (void)state;
    enum { MANY = 5000 };
    struct cache_channels t = {0};
    struct ear a = {0}, b = {0};
    bool first;
    char name[16];
    int n = 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "c%d", i);
        assert_int_equal(cache_channels_add(&t, name, on_message, &a, &first), 0);
        assert_true(first);
    }
    assert_int_equal(cache_channels_add(&t, "x", on_message, &a, &first), 0);
    assert_int_equal(cache_channels_add(&t, "x", on_message, &b, &first), 0);
    cache_channels_each(&t, count, &n);
    assert_int_equal(n, MANY + 1);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "c%d", i);
        cache_channels_tell(&t, name, "m", 1);
        assert_true(cache_channels_remove(&t, name, on_message, &a));
    }
    assert_int_equal(a.heard, MANY);
    assert_int_equal(t.n, 2);
    cache_channels_fini(&t);
    assert_false(cache_channels_has(&t, "x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(listeners_are_told_apart_by_function_and_argument),
        cmocka_unit_test(each_is_confirmed_once_until_all_is_lost),
        cmocka_unit_test(listeners_may_come_and_go_while_told),
        cmocka_unit_test(thousands_of_channels_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
