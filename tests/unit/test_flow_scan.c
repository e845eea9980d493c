#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "common/expr_scan.h"
#include "common/flow_scan.h"

/* All references as text: "request.a.b@0 calls@14", with `!` for bare and `=` for bound ones. */
static void assert_refs(const char *text, bool template, const char *expected)
{
    char out[400] = "";
    size_t len = 0;
    struct flow_scan s;
    struct flow_ref r;
    flow_scan_init(&s, text, template);
    while (flow_scan_next(&s, &r)) {
        len += (size_t)snprintf(out + len, sizeof out - len, "%s%s%s%s", len ? " " : "",
                                r.bare ? "!" : "", r.bound ? "=" : "", r.name);
        for (size_t i = 0; i < r.fields; i++)
            len += (size_t)snprintf(out + len, sizeof out - len, ".%s", r.field[i]);
        len += (size_t)snprintf(out + len, sizeof out - len, "@%zu", r.offset);
    }
    assert_string_equal(out, expected);
}

static void variables_and_their_fields_are_found(void **state)
{
    (void)state;
    assert_refs("$request.productId", false, "request.productId@0");
    assert_refs("1 + $request.a.b[0].c | $calls", false, "request.a.b@4 calls@24");
    assert_refs("$calls[\"a-mart\"].result.price", false, "calls.a-mart.result.price@0");
    assert_refs("$calls.\"b c\"?.x", false, "calls.b c.x@0");
    assert_refs("$calls[$request.name]", false, "calls@0 request.name@7");
    assert_refs("$a.b.c.d.e.f", false, "a.b.c.d.e@0");
    assert_refs("$ 5 $", false, "");
    assert_refs("", false, "");
}

/* What jq reads and a reader does not see would pass what is looked for here. */
static void blanks_and_comments_hide_nothing(void **state)
{
    (void)state;
    assert_refs("$ request.pw", false, "request.pw@0");
    assert_refs("$ # a\n request .pw", false, "request.pw@0");
    assert_refs("$request\n  .a #b\n .c", false, "request.a.c@0");
    assert_refs("$calls [ \"no\" ] . \"b c\" ? .d", false, "calls.no.b c.d@0");
    assert_refs("$calls[ # a\n\"no\"\n]", false, "calls.no@0");
    assert_refs("$request.[\"pw\"] | $job", false, "request.pw@0 job@18");
    assert_refs("$request . [ \"pw\" ]", false, "request.pw@0");
    assert_refs("$request[\"p\\u0077\"]", false, "request@0"); /* as a whole: who knows */
    assert_refs("$request . x", false, "request@0");           /* no jq */
    assert_refs("/\\($ request .x)/$ request", true, "request.x@3");
    assert_refs("see $calls .mart, $request # \\($user.id)\n.b", true,
                "!calls@4 !request@18 user.id@31"); /* text is no jq */
    assert_refs("1 as # a\n $x | $request | .pw", false, "=x@10 request@15");
}

/* As deep as an expression may be. */
static void strings_in_strings_hide_nothing(void **state)
{
    (void)state;
    char text[1000] = "", expected[40];
    enum { LEVELS = 99 };
    for (int i = 0; i < LEVELS; i++)
        memcpy(text + i * 3, "\"\\(", 4);
    snprintf(text + strlen(text), sizeof text - strlen(text), "$request.pw");
    for (int i = 0; i < LEVELS; i++)
        memcpy(text + strlen(text), ")\"", 3);
    snprintf(expected, sizeof expected, "request.pw@%d", LEVELS * 3);
    struct expr_scan scan;
    struct expr_error error;
    assert_int_equal(expr_scan(text, VAR_ALL, &scan, &error), 0);
    assert_refs(text, false, expected);
    memmove(text + 6, text, strlen(text) + 1);
    memcpy(text, "\"\\(\"\\(", 6);
    memcpy(text + strlen(text), ")\")\"", 5);
    assert_int_equal(expr_scan(text, VAR_ALL, &scan, &error), ERR_EXPRESSION);
}

static void a_dash_ends_a_name_as_in_jq(void **state)
{
    (void)state;
    assert_refs("$calls.a-mart.result", false, "calls.a@0");
}

static void strings_and_comments_hold_no_variables_but_holes_do(void **state)
{
    (void)state;
    assert_refs("\"$user\" | $job", false, "job@10");
    assert_refs("\"a\\($user.id)b\" + \"\\\"$x\" ", false, "user.id@4");
    assert_refs("\"a\\(\"in \\($a) $b\")c $d\" | $e", false, "a@10 e@26");
    assert_refs("1 # $user\n| $job", false, "job@12");
    assert_refs("\"\\(f(1; (2)) + $a)\" + $b", false, "a@15 b@22");
}

static void a_template_is_text_with_holes(void **state)
{
    (void)state;
    assert_refs("/p/\\($request.id)/$request.x", true, "request.id@5 !request.x@18");
    assert_refs("cost: $5, \"\\($a)\"", true, "a@13");
    assert_refs("\\\\($a)", true, "!a@3");
    assert_refs("\\(\"$x\")", true, "");
}

static void names_the_expression_binds_are_told_apart(void **state)
{
    (void)state;
    assert_refs(". as $item | $item", false, "=item@5 item@13");
    assert_refs("$calls as   $x | 1 as", false, "calls@0 =x@12");
}

static void odd_text_ends_the_scan(void **state)
{
    (void)state;
    char deep[200] = "";
    for (int i = 0; i < 60; i++)
        memcpy(deep + i * 3, "\"\\(", 4);
    assert_refs(deep, false, "");
    assert_refs("\"", false, "");
    assert_refs("\"\\", false, "");
    assert_refs("\\", true, "");
    assert_refs(")))", false, "");
    assert_refs("$calls[\"", false, "calls@0");
    assert_refs("$calls.\"x", false, "calls@0");
    char name[300] = "$";
    memset(name + 1, 'n', 200);
    struct flow_scan s;
    struct flow_ref r;
    flow_scan_init(&s, name, false);
    assert_true(flow_scan_next(&s, &r));
    assert_int_equal(strlen(r.name), SCAN_NAME - 1);
    assert_int_equal(r.end, 201);
    assert_false(flow_scan_next(&s, &r));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_and_their_fields_are_found),
        cmocka_unit_test(blanks_and_comments_hide_nothing),
        cmocka_unit_test(strings_in_strings_hide_nothing),
        cmocka_unit_test(a_dash_ends_a_name_as_in_jq),
        cmocka_unit_test(strings_and_comments_hold_no_variables_but_holes_do),
        cmocka_unit_test(a_template_is_text_with_holes),
        cmocka_unit_test(names_the_expression_binds_are_told_apart),
        cmocka_unit_test(odd_text_ends_the_scan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
