#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "worker/eval.h"

enum { OUTPUT_MAX = 64 * 1024 };
static char output[OUTPUT_MAX], complaint[OUTPUT_MAX];

static void read_back(FILE *from, char *to)
{
    rewind(from);
    to[fread(to, 1, OUTPUT_MAX - 1, from)] = 0;
    fclose(from);
}

static int eval(struct eval_settings s)
{
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    s.flow = s.flow ? s.flow : "tests/shops/flows/price-compare.yaml";
    int code = eval_run(&s, out, err);
    read_back(out, output);
    read_back(err, complaint);
    return code;
}

static void has(const char *line)
{
    if (!strstr(output, line))
        fail_msg("no `%s` in:\n%s%s", line, output, complaint);
}

static void each_expression_is_shown_with_its_value(void **state)
{
    (void)state;
    const char *replies =
        "{\"a-mart\":{\"body\":{\"price\":3,\"currency\":\"KRW\"}},\"b-shop\":{\"status\":503},"
        "\"c-store\":{\"body\":{\"total\":\"x\"}}}";
    assert_int_equal(
        eval((struct eval_settings){.request = "{\"productId\":\"7\"}", .replies = replies}), 1);
    has("request.key                        \"7\"\n");
    has("calls.a-mart.request.path          \"/products/7/price\"\n");
    has("calls.a-mart.result                {\"price\":3,\"currency\":\"KRW\"}\n");
    has("calls.c-store.request.body         {\"sku\":\"7\",\"quantity\":1}\n");
    has("calls.c-store.result               error: ");
    has("result                             {\"productId\":\"7\",\"offers\":[{\"shop\":\"a-mart\","
        "\"price\":3,\"currency\":\"KRW\"}],\"missing\":[{\"shop\":\"b-shop\",\"reason\":"
        "\"http-5xx\"},{\"shop\":\"c-store\",\"reason\":\"bad-body\"}]}\n");
}

static void an_example_stands_in_and_a_reply_that_lacks_is_named(void **state)
{
    (void)state;
    assert_int_equal(eval((struct eval_settings){.json = true}), 0);
    has("{\"name\":\"request.key\",\"value\":\"42\"}\n");
    has("{\"name\":\"calls.b-shop\",\"no reply\":\"its `ok` and `result` need one; --replies names "
        "it\"}\n");
}

static void what_is_wrong_is_said_in_one_line(void **state)
{
    (void)state;
    const struct {
        struct eval_settings s;
        const char *says;
    } cases[] = {
        {{.request = "{"}, "--request is no JSON"},
        {{.request = "@/nowhere"}, "--request: /nowhere cannot be read"},
        {{.replies = "{\"a-smart\":{}}"}, "--replies: no call is named \"a-smart\""},
        {{.flow = "price"}, "write its file, or --flows DIR"},
        {{.flow = "price", .load = {.flows_dir = "tests/shops/flows"}},
         "there is no flow \"price\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(eval(cases[i].s), 2);
        if (!strstr(complaint, cases[i].says))
            fail_msg("no `%s` in %s", cases[i].says, complaint);
        assert_string_equal(output, "");
    }
    assert_int_equal(eval((struct eval_settings){.flow = "tests/flows-bad/dot.yaml"}), 1);
    assert_non_null(strstr(complaint, "dot.yaml:10:10: error[F035]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_expression_is_shown_with_its_value),
        cmocka_unit_test(an_example_stands_in_and_a_reply_that_lacks_is_named),
        cmocka_unit_test(what_is_wrong_is_said_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
