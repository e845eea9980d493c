/* Plan: what starts, and which state the calls give a job. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/plan.h"

static struct upstream up[3] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
static struct flow_call calls[3] = {{.name = "a", .upstream = &up[0]},
                                    {.name = "b", .upstream = &up[1]},
                                    {.name = "c", .upstream = &up[2]}};
static struct plan_item items[3];

static struct flow begin(int need)
{
    struct flow f = {.calls = calls, .calls_n = 3, .need = need};
    for (int i = 0; i < 3; i++)
        calls[i].optional = false;
    plan_init(&f, items);
    return f;
}

static void end(int i, enum item_state s, enum call_code code)
{
    items[i].state = (uint8_t)s;
    items[i].code = (uint8_t)code;
}

static struct plan_verdict judge(const struct flow *f, bool late)
{
    struct plan_verdict v;
    plan_judge(f, items, 3, late, &v);
    return v;
}

static void all_start_at_once(void **state)
{
    (void)state;
    struct flow f = begin(1);
    assert_int_equal(plan_size(&f), 3);
    size_t started = 0;
    for (size_t i = plan_next(&f, items, 3, 0); i < 3; i = plan_next(&f, items, 3, i + 1)) {
        items[i].state = ITEM_RUNNING;
        started++;
    }
    assert_int_equal(started, 3);
    assert_false(plan_is_over(items, 3));
    assert_int_equal(plan_next(&f, items, 3, 0), 3);
}

static void a_job_hangs_on_a_call_it_cannot_do_without(void **state)
{
    (void)state;
    struct flow f = begin(1);
    assert_false(plan_hangs_on(&f, items, 3, 0)); /* the others are open */
    end(1, ITEM_FAILED, CALL_TIMEOUT);
    assert_false(plan_hangs_on(&f, items, 3, 0));
    end(2, ITEM_FAILED, CALL_TIMEOUT);
    assert_true(plan_hangs_on(&f, items, 3, 0)); /* the last hope */
    end(2, ITEM_SUCCEEDED, CALL_OK);
    assert_false(plan_hangs_on(&f, items, 3, 0)); /* enough */
    f = begin(FLOW_NEED_ALL);
    assert_true(plan_hangs_on(&f, items, 3, 0));
    calls[0].optional = true;
    assert_false(plan_hangs_on(&f, items, 3, 0));
    assert_true(plan_hangs_on(&f, items, 3, 1));
    end(2, ITEM_FAILED, CALL_HTTP_4XX);
    assert_false(plan_hangs_on(&f, items, 3, 1)); /* lost already */
    calls[0].optional = false;
}

static void all_succeeded(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    for (int i = 0; i < 3; i++)
        end(i, ITEM_SUCCEEDED, CALL_OK);
    assert_true(plan_is_over(items, 3));
    struct plan_verdict v = judge(&f, false);
    assert_int_equal(v.state, JOB_SUCCEEDED);
    assert_int_equal(v.reason, REASON_NONE);
}

static void enough_of_them_is_partial(void **state)
{
    (void)state;
    struct flow f = begin(1);
    end(0, ITEM_FAILED, CALL_TIMEOUT);
    end(1, ITEM_SUCCEEDED, CALL_OK);
    end(2, ITEM_FAILED, CALL_HTTP_5XX);
    assert_int_equal(judge(&f, false).state, JOB_PARTIAL);
    f.need = 2;
    struct plan_verdict v = judge(&f, false);
    assert_int_equal(v.state, JOB_FAILED);
    assert_int_equal(v.reason, REASON_NEED_NOT_MET);
    assert_ptr_equal(v.culprit, &up[0]);
}

static void need_beyond_the_items_means_all(void **state)
{
    (void)state;
    struct flow f = begin(9);
    for (int i = 0; i < 3; i++)
        end(i, ITEM_SUCCEEDED, CALL_OK);
    assert_int_equal(judge(&f, false).state, JOB_SUCCEEDED);
    end(2, ITEM_FAILED, CALL_DNS);
    assert_int_equal(judge(&f, false).state, JOB_FAILED);
}

static void a_late_job_is_partial_or_expired(void **state)
{
    (void)state;
    struct flow f = begin(1);
    end(0, ITEM_SUCCEEDED, CALL_OK);
    end(1, ITEM_FAILED, CALL_DEADLINE);
    end(2, ITEM_FAILED, CALL_DEADLINE);
    assert_int_equal(judge(&f, true).state, JOB_PARTIAL);
    end(0, ITEM_FAILED, CALL_DEADLINE);
    struct plan_verdict v = judge(&f, true);
    assert_int_equal(v.state, JOB_EXPIRED);
    assert_int_equal(v.reason, REASON_DEADLINE);
}

static void an_optional_call_counts_for_nothing_but_partial(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    calls[2].optional = true;
    end(0, ITEM_SUCCEEDED, CALL_OK);
    end(1, ITEM_SUCCEEDED, CALL_OK);
    end(2, ITEM_FAILED, CALL_HTTP_4XX);
    assert_int_equal(judge(&f, false).state, JOB_PARTIAL);
    end(2, ITEM_SUCCEEDED, CALL_OK);
    end(1, ITEM_FAILED, CALL_HTTP_4XX);
    assert_int_equal(judge(&f, false).state, JOB_FAILED);
}

static void skipped_by_when_is_nobodys_failure(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    end(0, ITEM_SUCCEEDED, CALL_OK);
    end(1, ITEM_SKIPPED, CALL_OK);
    end(2, ITEM_SUCCEEDED, CALL_OK);
    assert_int_equal(judge(&f, false).state, JOB_SUCCEEDED);
    end(2, ITEM_FAILED, CALL_SKIPPED); /* what it came after failed */
    assert_int_equal(judge(&f, false).state, JOB_FAILED);
}

static void a_flow_without_calls_succeeds(void **state)
{
    (void)state;
    struct flow f = {.need = FLOW_NEED_ALL};
    struct plan_verdict v;
    assert_true(plan_is_over(items, 0));
    plan_judge(&f, items, 0, false, &v);
    assert_int_equal(v.state, JOB_SUCCEEDED);
    assert_false(v.called);
}

static void knows_whether_anything_was_called(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    for (int i = 0; i < 3; i++)
        end(i, ITEM_FAILED, CALL_DEADLINE);
    assert_false(judge(&f, false).called);
    items[1].began = true;
    assert_true(judge(&f, false).called);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_start_at_once),
        cmocka_unit_test(a_job_hangs_on_a_call_it_cannot_do_without),
        cmocka_unit_test(all_succeeded),
        cmocka_unit_test(enough_of_them_is_partial),
        cmocka_unit_test(need_beyond_the_items_means_all),
        cmocka_unit_test(a_late_job_is_partial_or_expired),
        cmocka_unit_test(an_optional_call_counts_for_nothing_but_partial),
        cmocka_unit_test(skipped_by_when_is_nobodys_failure),
        cmocka_unit_test(a_flow_without_calls_succeeds),
        cmocka_unit_test(knows_whether_anything_was_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
