/* eta.h, etas.h: how long jobs usually take. overdue.h: how many came to nothing waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "common/cache_fake.h"
#include "common/clock.h"
#include "common/overdue.h"
#include "gateway/etas.h"

static void says_nothing_of_too_few(void **state)
{
    struct eta_recent r = {0};
    struct eta e = {1, 2};
    (void)state;
    for (int i = 0; i < ETA_LEAST - 1; i++)
        eta_note(&r, 100);
    assert_false(eta_of(&r, &e));
    assert_int_equal(e.p90_ms, 2); /* untouched */
    eta_note(&r, 100);
    assert_true(eta_of(&r, &e));
    assert_int_equal(e.p50_ms, 100);
}

static void gives_the_middle_and_the_slow_tenth(void **state)
{
    struct eta_recent r = {0};
    struct eta e;
    (void)state;
    for (int i = 10; i >= 1; i--)
        eta_note(&r, i * 100);
    assert_true(eta_of(&r, &e));
    assert_int_equal(e.p50_ms, 500);
    assert_int_equal(e.p90_ms, 900);
    eta_note(&r, -5);
    eta_note(&r, INT64_MAX);
    assert_true(eta_of(&r, &e));
    assert_int_equal(e.p90_ms, 1000);
}

static void forgets_what_is_long_ago(void **state)
{
    struct eta_recent r = {0};
    struct eta e;
    (void)state;
    for (int i = 0; i < ETA_KEPT; i++)
        eta_note(&r, 60000);
    for (int i = 0; i < ETA_KEPT; i++)
        eta_note(&r, 7);
    assert_true(eta_of(&r, &e));
    assert_int_equal(e.p90_ms, 7);
}

static void counts_those_overdue_of_the_last_ones(void **state)
{
    struct overdue o = {0};
    char name[OVERDUE_NAME];
    (void)state;
    assert_int_equal(overdue_percent(&o), 0);
    overdue_note(&o, true);
    assert_int_equal(overdue_percent(&o), 100);
    for (int i = 0; i < 3; i++)
        overdue_note(&o, false);
    assert_int_equal(overdue_percent(&o), 25);
    for (int i = 0; i < OVERDUE_KEPT; i++)
        overdue_note(&o, i % 2);
    assert_int_equal(overdue_percent(&o), 50);
    overdue_name("f", name);
    assert_string_equal(name, "op:{f:f}:overdue");
    assert_int_equal(overdue_parse("28"), 28);
    assert_int_equal(overdue_parse("100"), 100);
    static const char *const bad[] = {"", "101", "-1", " 5", "5 ", "1000", "x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(overdue_parse(bad[i]), 0);
}

static void reads_only_what_it_prints(void **state)
{
    static const char *const bad[] = {"",     "1",    "1 ",  " 1 2",          "1 2 ", "2 1",
                                      "-1 2", "1  2", "x 2", "1 99999999999", "1 2x"};
    struct eta e = {2100, 3400}, back = {0};
    char text[ETA_TEXT], name[ETA_NAME];
    (void)state;
    eta_print(&e, text);
    assert_string_equal(text, "2100 3400");
    assert_int_equal(eta_parse(text, &back), 0);
    assert_memory_equal(&back, &e, sizeof e);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(eta_parse(bad[i], &back), ERR_INVALID);
    assert_memory_equal(&back, &e, sizeof e);
    eta_name("price-compare", name);
    assert_string_equal(name, "op:{f:price-compare}:eta");
}

struct table {
    struct clock_stepped clock;
    struct cache_fake *redis;
    struct cache *cache;
    struct flow flows[2];
    struct flow_set set;
    struct etas *etas;
};

static void table_open(struct table *t)
{
    *t = (struct table){.flows = {{.name = "a"}, {.name = "b"}}};
    t->set = (struct flow_set){.flows = t->flows, .flows_n = 2};
    clock_stepped_init(&t->clock, 1767225600000000);
    assert_int_equal(cache_fake_open(&t->clock.clock, &t->redis), 0);
    assert_int_equal(cache_fake_view(t->redis, &t->cache), 0);
    assert_int_equal(etas_open(t->cache, &t->clock.clock, &t->set, &t->etas), 0);
}

static void table_close(struct table *t)
{
    etas_close(t->etas);
    cache_close(t->cache);
    cache_fake_close(t->redis);
}

static void asks_redis_once_in_ten_seconds(void **state)
{
    struct table t;
    struct eta_now now;
    (void)state;
    table_open(&t);
    assert_int_equal(cache_fake_put(t.redis, "op:{f:a}:eta", "10 20", 5, 0), 0);
    assert_false(etas_get(NULL, &t.flows[0], &now));
    assert_false(etas_get(t.etas, NULL, &now));
    assert_true(etas_get(t.etas, &t.flows[0], &now));
    assert_int_equal(now.usual.p90_ms, 20);
    assert_int_equal(now.ahead, -1);
    size_t asked = cache_fake_commands(t.redis);
    assert_int_equal(cache_fake_put(t.redis, "op:{f:a}:eta", "30 40", 5, 0), 0);
    assert_true(etas_get(t.etas, &t.flows[0], &now));
    assert_int_equal(now.usual.p90_ms, 20);
    assert_int_equal(cache_fake_commands(t.redis), asked);
    assert_false(etas_get(t.etas, &t.flows[1], &now));
    clock_step(&t.clock, 10000000);
    assert_true(etas_get(t.etas, &t.flows[0], &now));
    assert_int_equal(now.usual.p90_ms, 40);
    table_close(&t);
}

/* What nobody knows any more is not shown. */
static void shows_nothing_where_redis_is_away_or_has_nonsense(void **state)
{
    struct table t;
    struct eta_now now;
    (void)state;
    table_open(&t);
    assert_int_equal(cache_fake_put(t.redis, "op:{f:a}:eta", "10 20", 5, 0), 0);
    assert_true(etas_get(t.etas, &t.flows[0], &now));
    cache_fake_away(t.redis, true);
    clock_step(&t.clock, 10000000);
    assert_false(etas_get(t.etas, &t.flows[0], &now));
    cache_fake_away(t.redis, false);
    assert_int_equal(cache_fake_put(t.redis, "op:{f:a}:eta", "soon", 4, 0), 0);
    clock_step(&t.clock, 10000000);
    assert_false(etas_get(t.etas, &t.flows[0], &now));
    table_close(&t);
}

static void prints_ahead_only_where_it_is_known(void **state)
{
    struct eta_now now = {{1, 2}, 1767225600000000, -1};
    struct buf b = {0};
    (void)state;
    etas_print(&now, &b);
    assert_string_equal(buf_str(&b),
                        "{\"p50\":1,\"p90\":2,\"as_of\":\"2026-01-01T00:00:00.000000Z\"}");
    buf_clear(&b);
    now.ahead = 3;
    etas_print(&now, &b);
    assert_non_null(strstr(buf_str(&b), ",\"ahead\":3,"));
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_nothing_of_too_few),
        cmocka_unit_test(gives_the_middle_and_the_slow_tenth),
        cmocka_unit_test(forgets_what_is_long_ago),
        cmocka_unit_test(counts_those_overdue_of_the_last_ones),
        cmocka_unit_test(reads_only_what_it_prints),
        cmocka_unit_test(asks_redis_once_in_ten_seconds),
        cmocka_unit_test(shows_nothing_where_redis_is_away_or_has_nonsense),
        cmocka_unit_test(prints_ahead_only_where_it_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
