/* Outcomes in their forms: `$calls`, entries of calls[], ledger rows, the done event, the cache. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/live.h"
#include "worker/finish.h"
#include "worker/saves.h"

static struct flow_call calls[2] = {{.name = "a"}, {.name = "b"}};
static const struct flow flow = {.name = "f", .calls = calls, .calls_n = 2};

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static struct json *parse_buf(struct buf *b)
{
    assert_int_equal(buf_ok(b), 0);
    struct json *v = parse(buf_str(b));
    buf_fini(b);
    return v;
}

static struct call_items *fill(void)
{
    struct call_items *all = NULL;
    assert_int_equal(items_new(&flow, &all), 0);
    all[0].items[0].state = ITEM_SUCCEEDED;
    all[1].items[0].state = ITEM_FAILED;
    all[1].items[0].code = CALL_HTTP_5XX;
    all[0].outcomes[0] =
        (struct outcome){.result = parse("{\"price\":7}"), .ms = 12, .attempts = 1, .status = 200};
    all[1].outcomes[0] = (struct outcome){.ms = 900, .attempts = 3, .status = 503};
    return all;
}

/* The call `b` for each of ["x",{"y":1},"z"]: succeeded, failed, succeeded. */
static struct call_items *fill_items(void)
{
    struct call_items *all = fill();
    all[1].list = all[1].list_owned = parse("[\"x\",{\"y\":1},\"z\"]");
    assert_int_equal(items_expand(&all[1], 3), 0);
    for (int i = 0; i < 3; i++)
        all[1].items[i].state = ITEM_SUCCEEDED;
    all[1].items[1].state = ITEM_FAILED;
    all[1].items[1].code = CALL_TIMEOUT;
    all[1].outcomes[0].result = parse("10");
    all[1].outcomes[2].result = parse("12");
    calls[1].each.list = all[1].list_owned;
    return all;
}

static void assert_prints(const struct json *v, const char *want)
{
    struct buf b;
    buf_init(&b, 0);
    json_print(v, &b);
    assert_string_equal(buf_str(&b), want);
    buf_fini(&b);
}

static void items_are_a_list_in_their_order(void **state)
{
    (void)state;
    struct call_items *all = fill_items();
    struct json *v = NULL;
    assert_int_equal(outcome_variable(&flow, all, &v), 0);
    const struct json *b = json_get(v, "b");
    assert_int_equal(json_size(b), 3);
    assert_prints(json_get(json_at(b, 0), "item"), "\"x\"");
    assert_prints(json_get(json_at(b, 0), "result"), "10");
    assert_prints(json_get(json_at(b, 1), "item"), "{\"y\":1}");
    assert_prints(json_get(json_at(b, 1), "index"), "1");
    assert_prints(json_get(json_at(b, 1), "result"), "null");
    assert_prints(json_get(json_get(json_at(b, 1), "error"), "code"), "\"timeout\"");
    assert_prints(json_get(json_at(b, 2), "result"), "12");
    json_free(v);
    items_free(&flow, all);
    calls[1].each.list = NULL;
}

/* It failed before it had items, or was left out. */
static void a_call_without_items_is_a_list_too(void **state)
{
    (void)state;
    struct json *some = parse("[1]"), *v = NULL;
    struct call_items *all = fill();
    calls[1].each.list = some;
    all[1].items[0].code = CALL_TOO_MANY_ITEMS;
    assert_int_equal(outcome_variable(&flow, all, &v), 0);
    const struct json *b = json_get(v, "b");
    assert_int_equal(json_size(b), 1);
    assert_prints(json_get(json_at(b, 0), "index"), "null");
    assert_prints(json_get(json_get(json_at(b, 0), "error"), "code"), "\"too-many-items\"");
    json_free(v);
    all[1].items[0].state = ITEM_SKIPPED;
    all[1].items[0].code = CALL_OK;
    assert_int_equal(outcome_variable(&flow, all, &v), 0);
    assert_prints(json_get(v, "b"), "[]");
    json_free(v);
    json_free(some);
    items_free(&flow, all);
    calls[1].each.list = NULL;
}

/* Those of `after` alone, and what they gave stays for the others. */
static void a_call_sees_those_before_it(void **state)
{
    (void)state;
    struct call_items *all = fill();
    uint8_t first[] = {0};
    const struct flow_call by = {.name = "c", .after = first, .after_n = 1};
    struct json *v = NULL;
    assert_int_equal(outcome_seen(&flow, all, &by, &v), 0);
    assert_int_equal(json_size(v), 1);
    assert_prints(json_get(json_get(v, "a"), "result"), "{\"price\":7}");
    assert_non_null(all[0].outcomes[0].result);
    json_free(v);
    items_free(&flow, all);
}

static void stored_entries_stand_in_declared_then_item_order(void **state)
{
    (void)state;
    struct call_items *all = fill_items();
    struct buf b;
    buf_init(&b, 0);
    all[1].outcomes[0].in_ledger = true;
    finish_print_calls(&flow, all, &b);
    struct json *v = parse_buf(&b);
    assert_int_equal(json_size(v), 4);
    assert_prints(json_get(json_at(v, 0), "item"), "null");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(json_number(json_get(json_at(v, i + 1), "item")), i);
    assert_null(json_get(json_at(v, 1), "result"));
    assert_prints(json_get(json_at(v, 3), "result"), "12");
    json_free(v);
    buf_init(&b, 0);
    finish_print_calls(&flow, NULL, &b);
    assert_string_equal(buf_str(&b), "[]");
    buf_fini(&b);
    items_free(&flow, all);
    calls[1].each.list = NULL;
}

static void the_variable_has_all_members(void **state)
{
    (void)state;
    struct call_items *all = fill();
    struct json *v = NULL;
    assert_int_equal(outcome_variable(&flow, all, &v), 0);
    assert_null(all[0].outcomes[0].result);
    const struct json *a = json_get(v, "a"), *b = json_get(v, "b");
    assert_true(json_bool(json_get(a, "ok")));
    assert_string_equal(json_text(json_get(a, "state")), "succeeded");
    assert_int_equal(json_number(json_get(json_get(a, "result"), "price")), 7);
    assert_int_equal(json_number(json_get(a, "status")), 200);
    assert_true(json_is(json_get(a, "error"), JSON_NULL) && json_get(a, "error"));
    assert_non_null(json_get(a, "item"));
    assert_non_null(json_get(a, "index"));
    assert_false(json_bool(json_get(b, "ok")));
    assert_string_equal(json_text(json_get(b, "state")), "failed");
    assert_int_equal(json_number(json_get(b, "attempts")), 3);
    assert_string_equal(json_text(json_get(json_get(b, "error"), "code")), "http-5xx");
    assert_string_equal(json_text(json_get(json_get(b, "error"), "message")),
                        call_code_for_user(CALL_HTTP_5XX));
    json_free(v);
    items_free(&flow, all);
}

static void an_entry_has_its_shape(void **state)
{
    (void)state;
    struct call_items *all = fill();
    struct buf b;
    buf_init(&b, 0);
    outcome_print(&flow, all[0].items, all[0].outcomes, "{\"price\":7}", &b);
    assert_string_equal(buf_str(&b),
                        "{\"name\":\"a\",\"item\":null,\"state\":\"succeeded\",\"result\":"
                        "{\"price\":7},\"error\":null,\"attempts\":1,\"ms\":12}");
    buf_clear(&b);
    all[1].items[0].index = 4;
    outcome_print(&flow, all[1].items, all[1].outcomes, NULL, &b);
    assert_string_equal(buf_str(&b),
                        "{\"name\":\"b\",\"item\":4,\"state\":\"failed\",\"result\":null,\"error\":"
                        "{\"code\":\"http-5xx\",\"message\":\"The service failed.\"},"
                        "\"attempts\":3,\"ms\":900}");
    buf_fini(&b);
    items_free(&flow, all);
}

static void stored_entries_leave_out_what_the_ledger_holds(void **state)
{
    (void)state;
    struct call_items *all = fill();
    struct buf b;
    buf_init(&b, 0);
    all[1].outcomes[0].in_ledger = true;
    finish_print_calls(&flow, all, &b);
    struct json *v = parse_buf(&b);
    assert_int_equal(json_size(v), 2);
    assert_int_equal(json_number(json_get(json_get(json_at(v, 0), "result"), "price")), 7);
    assert_null(json_get(json_at(v, 1), "result"));
    assert_non_null(json_get(json_at(v, 1), "error"));
    json_free(v);
    items_free(&flow, all);
}

static void the_ledger_knows_four_endings(void **state)
{
    (void)state;
    struct plan_item i = {.state = ITEM_SUCCEEDED};
    assert_int_equal(outcome_for_ledger(&i), OUTCOME_OK);
    i = (struct plan_item){.state = ITEM_FAILED, .code = CALL_HTTP_4XX};
    assert_int_equal(outcome_for_ledger(&i), OUTCOME_FAILED);
    i.retryable = true;
    assert_int_equal(outcome_for_ledger(&i), OUTCOME_RETRYABLE);
    i.code = CALL_UNKNOWN;
    assert_int_equal(outcome_for_ledger(&i), OUTCOME_UNKNOWN);
}

static void a_row_becomes_the_outcome_again(void **state)
{
    (void)state;
    char result[] = "{\"price\":7}";
    struct record_call row = {.outcome = OUTCOME_OK,
                              .seq = 3,
                              .attempts = 2,
                              .status = 200,
                              .ms = 44,
                              .result = result,
                              .result_len = strlen(result)};
    struct plan_item i = {0};
    struct outcome o = {0};
    assert_int_equal(outcome_from_ledger(&row, &i, &o), 0);
    assert_int_equal(i.state, ITEM_SUCCEEDED);
    assert_true(i.began && o.in_ledger);
    assert_int_equal(o.seq, 3);
    assert_int_equal(json_number(json_get(o.result, "price")), 7);
    outcome_fini(&o);

    row = (struct record_call){.outcome = OUTCOME_RETRYABLE, .reason = "timeout", .attempts = 3};
    assert_int_equal(outcome_from_ledger(&row, &i, &o), 0);
    assert_int_equal(i.state, ITEM_FAILED);
    assert_int_equal(i.code, CALL_TIMEOUT);
    assert_true(i.retryable);
    outcome_fini(&o);

    row = (struct record_call){.outcome = OUTCOME_STARTED};
    assert_int_equal(outcome_from_ledger(&row, &i, &o), 0);
    assert_int_equal(i.code, CALL_UNKNOWN);
    outcome_fini(&o);

    row = (struct record_call){.outcome = OUTCOME_OK, .result = result, .result_len = 4};
    assert_int_equal(outcome_from_ledger(&row, &i, &o), ERR_NOT_JSON);
}

/* What an expression may give at most is read back, also from within others of ours. */
static void the_deepest_value_is_read_back(void **state)
{
    (void)state;
    struct plan_item i = {0};
    struct outcome o = {0};
    struct saves *s = NULL;
    struct buf deep, all;
    const struct saves_world world = {0};
    buf_init(&deep, 0);
    buf_init(&all, 0);
    for (int n = 0; n < JSON_DEPTH_VALUE; n++)
        buf_text(&deep, n % 2 ? "[" : "{\"a\":");
    buf_char(&deep, '1');
    for (int n = JSON_DEPTH_VALUE; n-- > 0;)
        buf_char(&deep, n % 2 ? ']' : '}');
    char *text = buf_take(&deep, NULL);
    struct record_call row = {.outcome = OUTCOME_OK, .result = text, .result_len = strlen(text)};
    assert_int_equal(outcome_from_ledger(&row, &i, &o), 0);
    assert_false(json_is_deeper(o.result, JSON_DEPTH_VALUE));
    assert_true(json_is_deeper(o.result, JSON_DEPTH_VALUE - 1));
    outcome_fini(&o);

    buf_printf(
        &all,
        "{\"saves\":[],\"result\":{\"calls\":{\"a\":[{\"result\":{\"x\":[{\"y\":[[[%s]]]}]}}]}}}",
        text);
    assert_int_equal(saves_read(buf_str(&all), all.len, &world, &s), 0);
    saves_put(s);
    free(text);
    buf_fini(&deep);
    buf_fini(&all);
}

static void the_done_event_and_the_cached_body(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 0);
    const struct live_done partial = {
        .id = "ID", .state = JOB_PARTIAL, .reason = "", .result = "{\"x\":1}"};
    live_print_done(&partial, &b);
    assert_string_equal(buf_str(&b), "{\"id\":\"ID\",\"state\":\"partial\",\"reason\":null,"
                                     "\"message\":null,\"result\":{\"x\":1}}");
    buf_clear(&b);
    const struct live_done expired = {
        .id = "ID", .state = JOB_EXPIRED, .reason = "deadline", .message = "Too \"late\"."};
    live_print_done(&expired, &b);
    assert_string_equal(buf_str(&b), "{\"id\":\"ID\",\"state\":\"expired\",\"reason\":\"deadline\","
                                     "\"message\":\"Too \\\"late\\\".\",\"result\":null}");
    buf_clear(&b);
    finish_print_cached(&flow, JOB_SUCCEEDED, "[1]", 0, &b);
    assert_string_equal(buf_str(&b), "{\"flow\":\"f\",\"state\":\"succeeded\",\"result\":[1],"
                                     "\"cached_at\":\"1970-01-01T00:00:00.000000Z\"}");
    buf_fini(&b);
}

static void only_good_ends_are_cached(void **state)
{
    (void)state;
    struct flow f = {.cache = {.scope = SCOPE_SHARED, .ttl_ms = 5000, .partial_ttl_ms = 30}};
    assert_int_equal(finish_cache_ms(&f, JOB_SUCCEEDED), 5000);
    assert_int_equal(finish_cache_ms(&f, JOB_PARTIAL), 30);
    assert_int_equal(finish_cache_ms(&f, JOB_FAILED), 0);
    assert_int_equal(finish_cache_ms(&f, JOB_CANCELLED), 0);
    f.cache.scope = SCOPE_NONE;
    assert_int_equal(finish_cache_ms(&f, JOB_SUCCEEDED), 0);
}

static void what_goes_to_the_dead_letters(void **state)
{
    (void)state;
    assert_true(finish_is_dead(JOB_FAILED, REASON_NEED_NOT_MET, true));
    assert_true(finish_is_dead(JOB_FAILED, REASON_BAD_EVENT, false));
    assert_false(finish_is_dead(JOB_FAILED, REASON_REFUSED, true));
    assert_false(finish_is_dead(JOB_FAILED, REASON_CONFLICT, true));
    assert_true(finish_is_dead(JOB_EXPIRED, REASON_DEADLINE, false));
    assert_false(finish_is_dead(JOB_EXPIRED, REASON_DEADLINE, true));
    assert_false(finish_is_dead(JOB_CANCELLED, REASON_CANCELLED, false));
    assert_false(finish_is_dead(JOB_SUCCEEDED, REASON_NONE, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_variable_has_all_members),
        cmocka_unit_test(items_are_a_list_in_their_order),
        cmocka_unit_test(a_call_without_items_is_a_list_too),
        cmocka_unit_test(a_call_sees_those_before_it),
        cmocka_unit_test(stored_entries_stand_in_declared_then_item_order),
        cmocka_unit_test(an_entry_has_its_shape),
        cmocka_unit_test(stored_entries_leave_out_what_the_ledger_holds),
        cmocka_unit_test(the_ledger_knows_four_endings),
        cmocka_unit_test(a_row_becomes_the_outcome_again),
        cmocka_unit_test(the_deepest_value_is_read_back),
        cmocka_unit_test(the_done_event_and_the_cached_body),
        cmocka_unit_test(only_good_ends_are_cached),
        cmocka_unit_test(what_goes_to_the_dead_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
