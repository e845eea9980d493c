/* Due: earliest first, moved and stopped at will, also from inside a callback. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/rng.h"
#include "worker/due.h"

static int64_t last;
static int ran;
static void note(void *arg)
{
    const struct due_item *i = arg;
    assert_true(i->at_ms >= last);
    assert_int_equal(i->place, 0);
    last = i->at_ms;
    ran++;
}

static void runs_in_order_what_is_due(void **state)
{
    (void)state;
    enum { N = 500 };
    static struct due_item items[N];
    struct due d = {0};
    struct rng_seeded r;
    rng_seeded_init(&r, 3);
    for (int i = 0; i < N; i++) {
        items[i] = (struct due_item){.fn = note, .arg = &items[i]};
        assert_int_equal(due_set(&d, &items[i], (int64_t)rng_upto(&r.rng, 1000)), 0);
    }
    for (int i = 0; i < N; i += 3) /* moved */
        assert_int_equal(due_set(&d, &items[i], (int64_t)rng_upto(&r.rng, 1000)), 0);
    int stopped = 0;
    for (int i = 1; i < N; i += 3, stopped++) {
        due_stop(&d, &items[i]);
        due_stop(&d, &items[i]);
    }
    last = 0;
    ran = 0;
    int64_t next = due_run(&d, 400);
    assert_true(last <= 400 && next > 400);
    assert_int_equal(due_run(&d, 1000), -1);
    assert_int_equal(ran, N - stopped);
    due_fini(&d);
}

struct pair {
    struct due *due;
    struct due_item *other;
};
static void stop_other(void *arg)
{
    struct pair *p = arg;
    due_stop(p->due, p->other);
    ran++;
}

static void a_callback_may_stop_another(void **state)
{
    (void)state;
    struct due d = {0};
    struct due_item b = {.fn = note, .arg = &b};
    struct pair p = {&d, &b};
    struct due_item a = {.fn = stop_other, .arg = &p};
    ran = 0;
    assert_int_equal(due_set(&d, &a, 1), 0);
    assert_int_equal(due_set(&d, &b, 2), 0);
    assert_int_equal(due_next(&d), 1);
    assert_int_equal(due_run(&d, 5), -1);
    assert_int_equal(ran, 1);
    due_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_in_order_what_is_due),
        cmocka_unit_test(a_callback_may_stop_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
