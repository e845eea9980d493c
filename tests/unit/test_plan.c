/* Plan: what starts, and which state the calls give a job. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "worker/plan.h"

static struct upstream up[4] = {{.name = "a"}, {.name = "b"}, {.name = "c"}, {.name = "d"}};
static struct flow_call calls[4];
static struct call_items *all;
static uint8_t after[4][4];
static struct flow flow;

/* n calls, each on its own. */
static struct flow begin_n(size_t n, int need)
{
    items_free(&flow, all);
    for (size_t i = 0; i < 4; i++)
        calls[i] = (struct flow_call){.name = up[i].name,
                                      .upstream = &up[i],
                                      .after = after[i],
                                      .max_items = 10,
                                      .parallel = 10};
    flow = (struct flow){.calls = calls, .calls_n = n, .need = need};
    assert_int_equal(items_new(&flow, &all), 0);
    return flow;
}

static struct flow begin(int need)
{
    return begin_n(3, need);
}

static void then(int call, int before)
{
    calls[call].after[calls[call].after_n++] = (uint8_t)before;
}

static void end_item(int call, size_t i, enum item_state s, enum call_code code)
{
    all[call].begun = true;
    all[call].items[i].state = (uint8_t)s;
    all[call].items[i].code = (uint8_t)code;
}

static void end(int i, enum item_state s, enum call_code code)
{
    end_item(i, 0, s, code);
}

/* A call with so many items, waiting. */
static void expand(int call, size_t n)
{
    static struct json *const some = (struct json *)8;
    calls[call].each.list = some; /* only asked whether it is there */
    all[call].begun = true;
    assert_int_equal(items_expand(&all[call], n), 0);
}

static struct plan_verdict judge(const struct flow *f, bool late)
{
    struct plan_verdict v;
    plan_judge(f, all, late, &v);
    return v;
}

static void all_begin_at_once(void **state)
{
    (void)state;
    struct flow f = begin(1);
    assert_int_equal(items_count(&f, all), 3);
    size_t started = 0;
    for (size_t i = plan_next(&f, all, 0); i < 3; i = plan_next(&f, all, i + 1)) {
        all[i].begun = true;
        assert_int_equal(plan_next_item(&calls[i], &all[i]), 0);
        all[i].items[0].state = ITEM_RUNNING;
        assert_int_equal(plan_next_item(&calls[i], &all[i]), 1);
        started++;
    }
    assert_int_equal(started, 3);
    assert_false(plan_is_over(&f, all));
    assert_int_equal(plan_next(&f, all, 0), 3);
}

/* d after b and c, which come after a. */
static void a_call_begins_when_all_before_it_have_ended(void **state)
{
    (void)state;
    struct flow f = begin_n(4, FLOW_NEED_ALL);
    then(1, 0);
    then(2, 0);
    then(3, 1);
    then(3, 2);
    assert_int_equal(plan_next(&f, all, 0), 0);
    all[0].begun = true;
    all[0].items[0].state = ITEM_RUNNING;
    assert_int_equal(plan_next(&f, all, 0), 4);
    end(0, ITEM_SUCCEEDED, CALL_OK);
    all[0].items[0].unsaved = true; /* not before its outcome is in the ledger */
    assert_int_equal(plan_next(&f, all, 0), 4);
    assert_false(plan_call_is_over(&all[0]));
    all[0].items[0].unsaved = false;
    assert_int_equal(plan_next(&f, all, 0), 1);
    assert_int_equal(plan_next(&f, all, 2), 2);
    assert_int_equal(plan_next(&f, all, 3), 4);
    end(1, ITEM_SUCCEEDED, CALL_OK);
    assert_int_equal(plan_next(&f, all, 3), 4);
    end(2, ITEM_FAILED, CALL_TIMEOUT);
    assert_int_equal(plan_next(&f, all, 0), 3);
}

static void a_failed_call_skips_those_after_it_unless_it_is_optional(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    then(1, 0);
    end(0, ITEM_FAILED, CALL_TIMEOUT);
    assert_true(plan_is_skipped(&f, all, 1));
    calls[0].optional = true;
    assert_false(plan_is_skipped(&f, all, 1));
    calls[0].optional = false;
    end(0, ITEM_SKIPPED, CALL_OK); /* by `when`: nothing went wrong */
    assert_false(plan_is_skipped(&f, all, 1));
    end(0, ITEM_CANCELLED, CALL_CANCELLED);
    assert_true(plan_is_skipped(&f, all, 1));
    assert_false(plan_is_skipped(&f, all, 2)); /* after nobody */
}

static void one_item_that_succeeded_is_enough_for_those_after_it(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    then(1, 0);
    expand(0, 3);
    for (size_t i = 0; i < 3; i++)
        end_item(0, i, ITEM_FAILED, CALL_TIMEOUT);
    assert_true(plan_is_skipped(&f, all, 1));
    end_item(0, 2, ITEM_SUCCEEDED, CALL_OK);
    assert_false(plan_is_skipped(&f, all, 1));
    f = begin(FLOW_NEED_ALL);
    then(1, 0);
    expand(0, 0); /* nothing to do: nothing failed */
    assert_true(plan_call_is_over(&all[0]));
    assert_false(plan_is_skipped(&f, all, 1));
}

static void parallel_bounds_the_items_in_flight(void **state)
{
    (void)state;
    (void)begin(FLOW_NEED_ALL);
    assert_int_equal(plan_next_item(&calls[0], &all[0]), 1); /* not begun */
    expand(0, 5);
    calls[0].parallel = 2;
    assert_int_equal(plan_next_item(&calls[0], &all[0]), 0);
    all[0].items[0].state = ITEM_RUNNING;
    assert_int_equal(plan_next_item(&calls[0], &all[0]), 1);
    all[0].items[1].state = ITEM_RUNNING;
    assert_int_equal(plan_next_item(&calls[0], &all[0]), 5);
    end_item(0, 0, ITEM_FAILED, CALL_TIMEOUT);
    all[0].items[0].unsaved = true; /* in flight no more */
    assert_int_equal(plan_next_item(&calls[0], &all[0]), 2);
}

static void items_keep_their_place_when_a_call_expands(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    struct plan_item *last = all[2].items;
    expand(1, 1000);
    assert_ptr_equal(all[2].items, last);
    assert_int_equal(items_count(&f, all), 1002);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(all[1].items[i].index, i);
        assert_int_equal(all[1].items[i].call, 1);
        assert_null(all[1].runs[i]);
    }
    assert_int_equal(all[0].items[0].index, -1);
}

static void need_counts_items(void **state)
{
    (void)state;
    struct flow f = begin(2);
    expand(0, 4);
    end_item(0, 0, ITEM_SUCCEEDED, CALL_OK);
    for (size_t i = 1; i < 4; i++)
        end_item(0, i, ITEM_FAILED, CALL_HTTP_4XX);
    end(1, ITEM_SKIPPED, CALL_OK);
    end(2, ITEM_FAILED, CALL_HTTP_4XX);
    assert_int_equal(judge(&f, false).state, JOB_FAILED);
    end_item(0, 3, ITEM_SUCCEEDED, CALL_OK);
    assert_int_equal(judge(&f, false).state, JOB_PARTIAL);
    f.need = 5; /* all that there are, and no more */
    assert_int_equal(judge(&f, false).state, JOB_FAILED);
    f.need = 6; /* fewer than that: all of them */
    for (size_t i = 0; i < 4; i++)
        end_item(0, i, ITEM_SUCCEEDED, CALL_OK);
    end(2, ITEM_SUCCEEDED, CALL_OK);
    assert_int_equal(judge(&f, false).state, JOB_SUCCEEDED);
}

static void no_items_count_for_nothing(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    expand(0, 0);
    expand(1, 0);
    end(2, ITEM_SKIPPED, CALL_OK);
    assert_true(plan_is_over(&f, all));
    struct plan_verdict v = judge(&f, false);
    assert_int_equal(v.state, JOB_SUCCEEDED);
    assert_false(v.called);
}

/* The one that failed stands behind the one that could not be made. */
static void the_culprit_is_who_failed_first_not_who_was_skipped(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    then(0, 1);
    end(0, ITEM_FAILED, CALL_SKIPPED);
    end(1, ITEM_FAILED, CALL_TIMEOUT);
    end(2, ITEM_SUCCEEDED, CALL_OK);
    struct plan_verdict v = judge(&f, false);
    assert_int_equal(v.state, JOB_FAILED);
    assert_ptr_equal(v.culprit, &up[1]);
}

static void a_job_hangs_on_a_call_it_cannot_do_without(void **state)
{
    (void)state;
    struct flow f = begin(1);
    assert_false(plan_hangs_on(&f, all, all[0].items)); /* the others are open */
    end(1, ITEM_FAILED, CALL_TIMEOUT);
    assert_false(plan_hangs_on(&f, all, all[0].items));
    end(2, ITEM_FAILED, CALL_TIMEOUT);
    assert_true(plan_hangs_on(&f, all, all[0].items)); /* the last hope */
    end(2, ITEM_SUCCEEDED, CALL_OK);
    assert_false(plan_hangs_on(&f, all, all[0].items)); /* enough */
    f = begin(FLOW_NEED_ALL);
    assert_true(plan_hangs_on(&f, all, all[0].items));
    calls[0].optional = true;
    assert_false(plan_hangs_on(&f, all, all[0].items));
    assert_true(plan_hangs_on(&f, all, all[1].items));
    end(2, ITEM_FAILED, CALL_HTTP_4XX);
    all[2].items[0].unsaved = true; /* it has failed, whether it is in the ledger or not */
    assert_false(plan_hangs_on(&f, all, all[1].items)); /* lost already */
    calls[0].optional = false;
}

/* c after b after a: one is needed, and without `a` there is none. */
static void a_job_hangs_on_what_its_other_calls_wait_for(void **state)
{
    (void)state;
    struct flow f = begin(1);
    then(1, 0);
    then(2, 1);
    assert_true(plan_hangs_on(&f, all, all[0].items));
    calls[0].optional = true; /* those after it go on */
    assert_false(plan_hangs_on(&f, all, all[0].items));
    calls[0].optional = false;
    expand(0, 2);
    assert_false(plan_hangs_on(&f, all, all[0].items)); /* the other item may do it */
    end_item(0, 1, ITEM_FAILED, CALL_TIMEOUT);
    assert_true(plan_hangs_on(&f, all, all[0].items));
    end_item(0, 1, ITEM_SUCCEEDED, CALL_OK);
    assert_false(plan_hangs_on(&f, all, all[0].items));
}

/* b comes after a, which has failed and is not in the ledger yet: b is no hope any more. */
static void a_call_behind_a_failed_one_is_no_hope(void **state)
{
    (void)state;
    struct flow f = begin(1);
    then(1, 0);
    assert_false(plan_hangs_on(&f, all, all[2].items));
    end(0, ITEM_FAILED, CALL_BREAKER_OPEN);
    all[0].items[0].unsaved = true;
    assert_true(plan_hangs_on(&f, all, all[2].items));
    calls[0].optional = true; /* b goes on without it */
    assert_false(plan_hangs_on(&f, all, all[2].items));
    calls[0].optional = false;
}

static void all_succeeded(void **state)
{
    (void)state;
    struct flow f = begin(FLOW_NEED_ALL);
    for (int i = 0; i < 3; i++)
        end(i, ITEM_SUCCEEDED, CALL_OK);
    assert_true(plan_is_over(&f, all));
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
    struct flow f = begin_n(0, FLOW_NEED_ALL);
    assert_true(plan_is_over(&f, all));
    struct plan_verdict v = judge(&f, false);
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
    all[1].items[0].began = true;
    assert_true(judge(&f, false).called);
}

static int stop(void **state)
{
    (void)state;
    items_free(&flow, all);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_begin_at_once),
        cmocka_unit_test(a_job_hangs_on_a_call_it_cannot_do_without),
        cmocka_unit_test(a_job_hangs_on_what_its_other_calls_wait_for),
        cmocka_unit_test(a_call_behind_a_failed_one_is_no_hope),
        cmocka_unit_test(all_succeeded),
        cmocka_unit_test(enough_of_them_is_partial),
        cmocka_unit_test(need_beyond_the_items_means_all),
        cmocka_unit_test(a_late_job_is_partial_or_expired),
        cmocka_unit_test(an_optional_call_counts_for_nothing_but_partial),
        cmocka_unit_test(skipped_by_when_is_nobodys_failure),
        cmocka_unit_test(a_flow_without_calls_succeeds),
        cmocka_unit_test(a_call_begins_when_all_before_it_have_ended),
        cmocka_unit_test(a_failed_call_skips_those_after_it_unless_it_is_optional),
        cmocka_unit_test(one_item_that_succeeded_is_enough_for_those_after_it),
        cmocka_unit_test(parallel_bounds_the_items_in_flight),
        cmocka_unit_test(items_keep_their_place_when_a_call_expands),
        cmocka_unit_test(need_counts_items),
        cmocka_unit_test(no_items_count_for_nothing),
        cmocka_unit_test(the_culprit_is_who_failed_first_not_who_was_skipped),
        cmocka_unit_test(knows_whether_anything_was_called),
    };
    return cmocka_run_group_tests(tests, NULL, stop);
}
