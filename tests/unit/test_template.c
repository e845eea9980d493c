#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/template.h"

enum { ALL = (1 << VAR_COUNT) - 1 };

static const char request[] =
    "{\"id\":\"42\",\"n\":1.5,\"yes\":true,\"none\":null,\"list\":[\"a b\",\"c/d\",7],"
    "\"o\":{\"k\":\"v\"},\"q\":\"he said \\\"x\\\" \\u00e4\\n\",\"empty\":\"\",\"dots\":\"..\","
    "\"dot\":\".\",\"bad\":[\"a\",\"..\"],\"hole\":\"\\\\(1)\"}";

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    if (json_parse(text, strlen(text), NULL, &v, NULL) != 0)
        fail_msg("%s", text);
    return v;
}

static struct template *compile(const struct json *literal, enum template_place place)
{
    struct template *t = NULL;
    struct template_error error = {0};
    if (template_compile(literal, place, ALL, &t, &error) != 0)
        fail_msg("%s %u:%u %s", error.pointer, error.expr.line, error.expr.column, error.expr.text);
    return t;
}

/* The rendered text in buf; 0 or the error, filled. */
static int render(const struct json *literal, enum template_place place, struct buf *out,
                  struct expr_error *error)
{
    struct json *r = parse(request);
    struct template *t = compile(literal, place);
    struct expr_vars vars = {0};
    vars.value[VAR_REQUEST] = r;
    buf_init(out, 1 << 20);
    int err = template_render_text(t, &vars, out, error);
    if (!err && place == TEMPLATE_BODY) { /* the other way to render gives the same */
        struct json *made = NULL, *again = parse(buf_str(out));
        assert_int_equal(template_render(t, &vars, &made, error), 0);
        assert_true(json_equal(made, again));
        json_free(made);
        json_free(again);
    } else if (err == ERR_EXPRESSION) {
        struct json *made = NULL;
        assert_int_equal(template_render(t, &vars, &made, NULL), ERR_EXPRESSION);
        assert_null(made);
    }
    template_free(t);
    json_free(r);
    return err;
}

static void body_gives(const char *literal, const char *json)
{
    struct json *l = parse(literal);
    struct buf out;
    struct expr_error error = {0};
    if (render(l, TEMPLATE_BODY, &out, &error) != 0 || strcmp(buf_str(&out), json) != 0)
        fail_msg("%s gives %s, not %s; %s", literal, buf_str(&out), json, error.text);
    buf_fini(&out);
    json_free(l);
}

static void text_gives(enum template_place place, const char *text, const char *expected)
{
    struct json *l = json_new_text(text);
    struct buf out;
    struct expr_error error = {0};
    if (render(l, place, &out, &error) != 0 || strcmp(buf_str(&out), expected) != 0)
        fail_msg("%s gives %s, not %s; %s", text, buf_str(&out), expected, error.text);
    buf_fini(&out);
    json_free(l);
}

static void text_fails(enum template_place place, const char *text, const char *why)
{
    struct json *l = json_new_text(text);
    struct buf out;
    struct expr_error error = {0};
    int err = render(l, place, &out, &error);
    if (err != ERR_EXPRESSION || !strstr(error.text, why))
        fail_msg("%s: %d, %s: %s", text, err, buf_str(&out), error.text);
    buf_fini(&out);
    json_free(l);
}

static void a_string_of_one_hole_keeps_the_type(void **state)
{
    (void)state;
    body_gives("\"\\\\($request.n)\"", "1.5");
    body_gives("\"\\\\($request.list)\"", "[\"a b\",\"c/d\",7]");
    body_gives("\"\\\\($request.none)\"", "null");
    body_gives("\"\\\\($request.missing)\"", "null");
    body_gives("\"\\\\({a: [$request.id, ({b: 1} | .b)]})\"", "{\"a\":[\"42\",1]}");
    body_gives("\" \\\\($request.n)\"", "\" 1.5\"");
}

static void scalars_go_into_text(void **state)
{
    (void)state;
    body_gives("\"id \\\\($request.id), n \\\\($request.n), \\\\($request.yes)\\\\($request.id)\"",
               "\"id 42, n 1.5, true42\"");
    body_gives("\"[\\\\($request.q)]\"", "\"[he said \\\"x\\\" ä\\n]\"");
    body_gives("\"\\\\(\\\"a)\\\\(\\\"b)\\\" + \\\"(\\\") \\\")!\"", "\"a)b)( !\"");
    body_gives("\"\\\\(1 # one )\\n)!\"", "\"1!\"");
    body_gives("\"\\\\($request.hole)!\"", "\"\\\\(1)!\""); /* a value is not rendered again */
    text_fails(TEMPLATE_BODY, "a \\($request.none)", "`$request.none` gives null");
    text_fails(TEMPLATE_BODY, "a \\($request.list)", "gives an array");
    text_fails(TEMPLATE_BODY, "a \\($request.o)", "gives an object");
    text_fails(TEMPLATE_BODY, "a \\(error(\"sold out\"))", "sold out");
}

static void a_tree_is_rendered_in_place(void **state)
{
    (void)state;
    body_gives(
        "{\"sku\":\"\\\\($request.id)\",\"quantity\":1,\"deep\":{\"a\":[1,\"\\\\($request.n)\","
        "{\"x\":\"\\\\($request.o)\",\"y\":\"const\"}],\"b\":null},\"e\":{},\"z\":[]}",
        "{\"sku\":\"42\",\"quantity\":1,\"deep\":{\"a\":[1,1.5,{\"x\":{\"k\":\"v\"},\"y\":"
        "\"const\"}],\"b\":null},\"e\":{},\"z\":[]}");
    body_gives("[true,false,null,1e3,\"text\"]", "[true,false,null,1000,\"text\"]");
    body_gives("null", "null");
}

static void escapes_are_text(void **state)
{
    (void)state;
    text_gives(TEMPLATE_TEXT, "a \\\\(x) \\(1)", "a \\(x) 1");
    text_gives(TEMPLATE_TEXT, "\\n \\ \\\\ $ $5 $items", "\\n \\ \\\\ $ $5 $items");
    text_gives(TEMPLATE_TEXT, "\\\\\\(x)", "\\\\(x)");
    text_gives(TEMPLATE_TEXT, "", "");
}

static void paths_are_encoded(void **state)
{
    (void)state;
    text_gives(TEMPLATE_PATH, "/products/\\($request.id)/price", "/products/42/price");
    text_gives(TEMPLATE_PATH, "/a/\\($request.q)", "/a/he%20said%20%22x%22%20%C3%A4%0A");
    text_gives(TEMPLATE_PATH, "/a/\\(\"A-Za-z0-9-._~/?#%&=+\")?x=1&y=%20",
               "/a/A-Za-z0-9-._~%2F%3F%23%25%26%3D%2B?x=1&y=%20");
    text_gives(TEMPLATE_PATH, "/a/\\($request.list)/b", "/a/a%20b/c%2Fd/7/b");
    text_gives(TEMPLATE_PATH, "/v2?id=\\($request.id)&q=\\(\"a&b=c/d?e\")",
               "/v2?id=42&q=a%26b%3Dc%2Fd%3Fe");
    text_gives(TEMPLATE_PATH, "/a?x=\\($request.empty)&y=\\($request.dots)", "/a?x=&y=..");
    text_gives(TEMPLATE_PATH, "/a/\\($request.empty).json", "/a/.json");
    text_gives(TEMPLATE_PATH, "/\\($request.yes)/\\($request.n)", "/true/1.5");
    text_gives(TEMPLATE_PATH, "/a/../b//c/.", "/a/../b//c/."); /* written so: not by a hole */
}

static void a_hole_cannot_walk_the_path(void **state)
{
    (void)state;
    text_fails(TEMPLATE_PATH, "/a/\\($request.empty)/b", "makes the path segment ``");
    text_fails(TEMPLATE_PATH, "/a/\\($request.empty)", "makes the path segment ``");
    text_fails(TEMPLATE_PATH, "/a/\\($request.dots)/b", "makes the path segment `..`");
    text_fails(TEMPLATE_PATH, "/a/\\($request.dot)?x", "makes the path segment `.`");
    text_fails(TEMPLATE_PATH, "/a/.\\($request.dot)", "makes the path segment `..`");
    text_fails(TEMPLATE_PATH, "/a/\\($request.dot)\\($request.dot)#x", "makes the path segment");
    text_fails(TEMPLATE_PATH, "/a/\\($request.bad)/b", "makes the path segment `..`");
    text_fails(TEMPLATE_PATH, "/a/\\([])/b", "makes the path segment ``");
    text_fails(TEMPLATE_PATH, "/a/\\([\"\", \"x\"])", "makes the path segment ``");
    text_fails(TEMPLATE_PATH, "/a/\\([[1]])", "gives an array");
    text_fails(TEMPLATE_PATH, "/a/\\($request.none)", "gives null");
    text_fails(TEMPLATE_PATH, "/a/\\($request.o)", "gives an object");
}

static void headers_take_no_control_characters(void **state)
{
    struct json *number = parse("2");
    struct buf out;
    (void)state;
    text_gives(TEMPLATE_HEADER, "Bearer \\($request.id)", "Bearer 42");
    text_fails(TEMPLATE_HEADER, "a \\($request.q)", "control character");
    text_fails(TEMPLATE_HEADER, "\\(\"a\\r\\nX: y\")", "control character");
    text_fails(TEMPLATE_HEADER, "\\(\"a\\u007f\")", "control character");
    text_fails(TEMPLATE_HEADER, "\\($request.list)", "gives an array");
    assert_int_equal(render(number, TEMPLATE_HEADER, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "2");
    buf_fini(&out);
    json_free(number);
}

static void text_is_appended(void **state)
{
    struct json *l = json_new_text("/\\($index)"), *n = parse("3");
    struct template *t = compile(l, TEMPLATE_PATH);
    struct expr_vars vars = {0};
    struct buf out;
    (void)state;
    vars.value[VAR_INDEX] = n;
    buf_init(&out, 100);
    buf_text(&out, "http://host/");
    assert_int_equal(template_render_text(t, &vars, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "http://host//3");
    buf_fini(&out);
    buf_init(&out, 1);
    assert_int_equal(template_render_text(t, &vars, &out, NULL), ERR_TOO_LARGE);
    buf_fini(&out);
    struct json *made = NULL;
    assert_int_equal(template_render(t, &vars, &made, NULL), 0);
    assert_string_equal(json_text(made), "/3");
    assert_int_equal(template_uses(t), VAR_BIT(VAR_INDEX));
    json_free(made);
    template_free(t);
    json_free(l);
    json_free(n);
}

static void refused(const char *literal, const char *why, const char *pointer, unsigned line,
                    unsigned column)
{
    struct json *l = parse(literal);
    struct template *t = NULL;
    struct template_error error = {0};
    assert_int_equal(
        template_compile(l, TEMPLATE_BODY, VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_ITEM), &t, &error),
        ERR_EXPRESSION);
    assert_null(t);
    if (!strstr(error.expr.text, why) || strcmp(error.pointer, pointer) != 0 ||
        error.expr.line != line || error.expr.column != column)
        fail_msg("%s: %s %u:%u %s", literal, error.pointer, error.expr.line, error.expr.column,
                 error.expr.text);
    assert_int_equal(template_compile(l, TEMPLATE_BODY, VAR_BIT(VAR_REQUEST), &t, NULL),
                     ERR_EXPRESSION);
    json_free(l);
}

static void mistakes_are_placed(void **state)
{
    (void)state;
    refused("{\"a\":[1,{\"b/c~\":\"x \\\\($body)\"}]}", "$body is not visible", "/a/1/b~1c~0", 1,
            5);
    refused("[\"one\\ntwo \\\\(1 +\\n $foo)\"]", "$foo is not defined", "/0", 3, 2);
    refused("[\"one\\ntwo \\\\($foo)\"]", "$foo is not defined", "/0", 2, 7);
    refused("\"a \\\\($request.x\"", "`)` is missing", "", 1, 15);
    refused("\"a \\\\(\"", "`)` is missing", "", 1, 5);
    refused("\"a \\\\()\"", "empty", "", 1, 5);
    refused("\"a \\\\(env)\"", "`env` is not allowed", "", 1, 5);
    refused("\"a \\\\(.x)\"", "begin with a variable", "", 1, 5);
    refused("\"x $request.list[0], y\"", "write `\\($request.list[0])`", "", 1, 3);
    refused("\"\\\\(1)$item\"", "write `\\($item)`", "", 1, 5);
}

static void places_of_text_take_text(void **state)
{
    static const char *const literals[] = {"null", "[]", "{\"a\":\"b\"}"};
    struct template *t = NULL;
    struct template_error error;
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct json *l = parse(literals[i]);
        assert_int_equal(template_compile(l, TEMPLATE_PATH, 0, &t, &error), ERR_EXPRESSION);
        assert_int_equal(template_compile(l, TEMPLATE_HEADER, 0, &t, &error), ERR_EXPRESSION);
        assert_string_equal(error.expr.text, "must be a text");
        json_free(l);
    }
}

static void what_it_uses_is_known(void **state)
{
    struct json *l = parse("{\"a\":\"\\\\($request.x) \\\\($item)\",\"b\":[\"\\\\($user.id)\"]}");
    struct template *t = compile(l, TEMPLATE_BODY);
    (void)state;
    json_free(l); /* it was copied */
    assert_int_equal(template_uses(t),
                     VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_ITEM) | VAR_BIT(VAR_USER));
    template_free(t);
}

static void a_value_is_at_most_64_levels_deep(void **state)
{
    (void)state;
    for (int more = 0; more < 2; more++) {
        char text[100];
        struct json *made = NULL;
        struct expr_vars vars = {0};
        struct expr_error error = {0};
        snprintf(text, sizeof text, "{\"a\":[\"\\\\(reduce range(%d) as $i ([]; [.]))\"]}",
                 61 + more);
        struct json *l = parse(text);
        struct template *t = compile(l, TEMPLATE_BODY);
        assert_int_equal(template_render(t, &vars, &made, &error), more ? ERR_EXPRESSION : 0);
        assert_true(more ? strstr(error.text, "nested too deeply") != NULL : made != NULL);
        json_free(made);
        template_free(t);
        json_free(l);
    }
}

static void what_a_place_does_not_take_is_found_outside_of_holes(void **state)
{
    (void)state;
    assert_int_equal(template_misplaced("/a\\(\"# \")/b?c=\\\\(%20", TEMPLATE_PATH), SIZE_MAX);
    assert_int_equal(template_misplaced("/a\\(1)b c", TEMPLATE_PATH), 7);
    assert_int_equal(template_misplaced("/#", TEMPLATE_PATH), 1);
    assert_int_equal(template_misplaced("/\x7f", TEMPLATE_PATH), 1);
    assert_int_equal(template_misplaced("/\xc3\xa9", TEMPLATE_PATH), 1);
    assert_int_equal(template_misplaced("/\\(1 #", TEMPLATE_PATH), SIZE_MAX); /* no template */
    assert_int_equal(template_misplaced("a # \xc3\xa9 \\(\n1)", TEMPLATE_HEADER), SIZE_MAX);
    assert_int_equal(template_misplaced("a\tb", TEMPLATE_HEADER), 1);
    assert_int_equal(template_misplaced("a\n\x7f", TEMPLATE_TEXT), SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_of_one_hole_keeps_the_type),
        cmocka_unit_test(scalars_go_into_text),
        cmocka_unit_test(a_tree_is_rendered_in_place),
        cmocka_unit_test(escapes_are_text),
        cmocka_unit_test(paths_are_encoded),
        cmocka_unit_test(a_hole_cannot_walk_the_path),
        cmocka_unit_test(headers_take_no_control_characters),
        cmocka_unit_test(text_is_appended),
        cmocka_unit_test(mistakes_are_placed),
        cmocka_unit_test(places_of_text_take_text),
        cmocka_unit_test(what_it_uses_is_known),
        cmocka_unit_test(a_value_is_at_most_64_levels_deep),
        cmocka_unit_test(what_a_place_does_not_take_is_found_outside_of_holes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
