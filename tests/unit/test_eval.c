#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
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

static void records_of_others_have_an_id_and_an_owner(void **state)
{
    (void)state;
    struct eval_settings s = {.flow = "deploy/flows/profile-insert.yaml",
                              .load = {.secrets_away = true}};
    assert_int_equal(eval(s), 0);
    const char *id = strstr(output, "topic.id                           \"");
    const char *user = strstr(output, "topic.user                         \"");
    assert_true(id && user && id < user && strstr(output, "save[0]") > user);
    s.flow = "deploy/flows/resume-advice.yaml"; /* its example comes from the gateway */
    assert_int_equal(eval(s), 0);
    has("topic.user                         null\n");
}

static void what_failed_is_told_to_the_user(void **state)
{
    (void)state;
    struct eval_settings s = {.flow = "deploy/flows/resume-advice.yaml",
                              .replies = "{\"advice\":{\"status\":500}}",
                              .load = {.secrets_away = true}};
    assert_int_equal(eval(s), 0);
    has("notify.failed                      \"Your resume advice could not be made (Too few of its "
        "calls succeeded.).\"\n");
    s.replies = "{\"advice\":{\"body\":{\"choices\":[{\"message\":{\"content\":"
                "\"{\\\"advice\\\":\\\"Better.\\\"}\"}}]}}}";
    assert_int_equal(eval(s), 0);
    has("notify.done                        \"Your resume advice is ready.\"\n");
    has("notify.failed                      \"Your resume advice could not be made (");
}

struct flow_there { /* a flow file in a folder of its own */
    char dir[40], path[100];
};

/* Its path, lent with there. */
static const char *put_flow(struct flow_there *there, const char *name, const char *text)
{
    *there = (struct flow_there){.dir = "/tmp/test_eval-XXXXXX"};
    assert_non_null(mkdtemp(there->dir));
    snprintf(there->path, sizeof there->path, "%s/%s.yaml", there->dir, name);
    FILE *out = fopen(there->path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
    return there->path;
}

static void remove_flow(const struct flow_there *there)
{
    unlink(there->path);
    rmdir(there->dir);
}

static const char checked[] = "flow: checked\ntitle: Checked\ncheck:\n"
                              "  - {that: $request.n > 1, else: 'a \\($request.n) is not enough'}\n"
                              "result: $request.n | error\nnotify: {done: fine, failed: "
                              "'\\($error.code): \\($error.message)'}\n";

static void the_first_reason_counts(void **state)
{
    (void)state;
    struct flow_there there;
    struct eval_settings s = {.flow = put_flow(&there, "checked", checked),
                              .request = "{\"n\":1}",
                              .load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    assert_int_equal(eval(s), 1);
    has("check[0].else                      \"a 1 is not enough\"\n");
    has("notify.failed                      \"refused: a 1 is not enough\"\n");
    s.request = "{\"n\":2}";
    assert_int_equal(eval(s), 1);
    has("notify.failed                      \"expression: ");
    remove_flow(&there);
}

/* What a call would fail with is an error here, too. */
static void a_request_that_cannot_be_sent_is_an_error(void **state)
{
    (void)state;
    static const char flow[] = "flow: long\ntitle: T\ncalls:\n  get: {upstream: a-mart, request: "
                               "{path: '/\\(\"ab\" * $request.n)'}}\nresult: $calls.get.result\n";
    struct flow_there there;
    struct eval_settings s = {.flow = put_flow(&there, "long", flow),
                              .request = "{\"n\":7000}",
                              .load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    assert_int_equal(eval(s), 0);
    s.request = "{\"n\":9000}";
    assert_int_equal(eval(s), 1);
    has("calls.get.request                  error: too large: a url has at most 16 KB");
    remove_flow(&there);
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
         "there is no flow \"price\"\n"},
        {{.flow = "price-comapre", .load = {.flows_dir = "tests/shops/flows"}},
         "there is no flow \"price-comapre\"; did you mean `price-compare`?"},
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
        cmocka_unit_test(records_of_others_have_an_id_and_an_owner),
        cmocka_unit_test(what_failed_is_told_to_the_user),
        cmocka_unit_test(the_first_reason_counts),
        cmocka_unit_test(a_request_that_cannot_be_sent_is_an_error),
        cmocka_unit_test(what_is_wrong_is_said_in_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
