#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/expr.h"
#include "common/watchdog.h"
#include "common/expr_path.h"

enum { ALL = (1 << VAR_COUNT) - 1 };

static const char request[] = "{\"productId\":\"42\",\"n\":7,\"flag\":true,\"none\":null,"
                              "\"list\":[1,[2,3],{\"a b\":\"deep\"}],\"\":\"empty\",\"env\":\"E\"}";

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static char *print(const struct json *v)
{
    struct buf b;
    buf_init(&b, 4 << 20);
    json_print(v, &b);
    return buf_take(&b, NULL);
}

/* The value as JSON text (free), or NULL with error filled. */
static char *eval(const char *text, struct expr_error *error)
{
    struct expr *e = NULL;
    struct json *out = NULL, *r = parse(request), *body = parse("{\"items\":[{\"p\":1.5}]}");
    struct expr_vars vars = {.created_us = 1700000000500000};
    vars.value[VAR_REQUEST] = r;
    vars.value[VAR_BODY] = body;
    if (expr_compile(text, ALL, &e, error) != 0)
        fail_msg("%s: %s", text, error->text);
    assert_string_equal(expr_source(e), text);
    int err = expr_eval(e, &vars, &out, error);
    char *printed = err ? NULL : print(out);
    assert_true(err == 0 || err == ERR_EXPRESSION);
    json_free(out);
    json_free(r);
    json_free(body);
    expr_free(e);
    return printed;
}

static void gives(const char *text, const char *json)
{
    struct expr_error error = {0};
    char *got = eval(text, &error);
    if (!got || strcmp(got, json) != 0)
        fail_msg("%s gives %s (%s), not %s", text, got ? got : "an error", error.text, json);
    free(got);
}

static void fails(const char *text, const char *why)
{
    struct expr_error error = {0};
    char *got = eval(text, &error);
    if (got || !strstr(error.text, why))
        fail_msg("%s gives %s, says %s", text, got ? got : "an error", error.text);
}

static void refused_at(const char *text, unsigned visible, const char *why, unsigned line,
                       unsigned column)
{
    struct expr *e = NULL;
    struct expr_error error = {0};
    assert_int_equal(expr_compile(text, visible, &e, &error), ERR_EXPRESSION);
    assert_null(e);
    if (!strstr(error.text, why) || error.line != line || (column && error.column != column))
        fail_msg("%s: %u:%u: %s", text, error.line, error.column, error.text);
}

static void refused(const char *text, const char *why)
{
    refused_at(text, ALL, why, 1, 0);
}

static void plain_paths_need_no_jq(void **state)
{
    (void)state;
    gives("$request.productId", "\"42\"");
    gives("  $request.n \n", "7");
    gives("$request.list[0]", "1");
    gives("$request.list[1][1]", "3");
    gives("$request.list[-1]", "{\"a b\":\"deep\"}");
    gives("$request.list[2][\"a b\"]", "\"deep\"");
    gives("$request.list[2].\"a b\"", "\"deep\"");
    gives("$request[\"\"]", "\"empty\"");
    gives("$request.list[9]", "null");
    gives("$request.list[-9]", "null");
    gives("$request.missing.more[3].x", "null");
    gives("$request.env", "\"E\"");
    gives("$user", "null");
    gives("$user.id", "null");
    gives("$body.items[0].p", "1.5");
    fails("$request.n.x", "Cannot index number with string \"x\"");
    fails("$request.list.x", "Cannot index array with string \"x\"");
    fails("$request[0]", "Cannot index object with number");
    fails("$request.productId[0]", "Cannot index string with number");
    fails("$request.flag.x", "Cannot index boolean with string \"x\"");
}

static void what_jq_might_read_otherwise_is_left_to_it(void **state)
{
    static const char *const texts[] = {"$request.e12",
                                        "$request.E1",
                                        "$request.a?",
                                        "$request .a",
                                        "$request..a",
                                        "$request.",
                                        "$request[]",
                                        "$request[a]",
                                        "$request[\"a\"",
                                        "$request[1.5]",
                                        "$request[1:]",
                                        "$requests.a",
                                        "$",
                                        "$request.\"a\\n\"",
                                        "$request.\"\xc3\"",
                                        "{\"a\":1,}",
                                        "\"\\(1)\"",
                                        "nan",
                                        "1e999",
                                        "$request[1234567]",
                                        "",
                                        "  ",
                                        "$request.a.",
                                        "[1] [2]",
                                        "$request[-]"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct expr_path *path = NULL;
        if (expr_path_compile(texts[i], &path) != ERR_UNSUPPORTED)
            fail_msg("%s", texts[i]);
        assert_null(path);
    }
}

static void literals_need_no_jq(void **state)
{
    (void)state;
    gives("null", "null");
    gives(" true", "true");
    gives("-12.50", "-12.5");
    gives("\"a \\u00e4 b\"", "\"a ä b\"");
    gives("[1, {\"a\": []}]", "[1,{\"a\":[]}]");
}

static void jq_computes_the_rest(void **state)
{
    (void)state;
    gives("$request.n + 1", "8");
    gives("$request | {productId, m: .n}", "{\"productId\":\"42\",\"m\":7}");
    gives("$body.items[0] | {price: .p}", "{\"price\":1.5}");
    gives("[$request.list[]] | length", "3");
    gives("\"n is \\($request.n) of \\($body.items | length)\"", "\"n is 7 of 1\"");
    gives("$request.n // 3", "7");
    gives("$request.missing // 3", "3");
    gives("def f(x): x * 2; f($request.n)", "14");
    gives("reduce $request.list[1][] as $x (0; . + $x)", "5");
    gives("$request.n as $request | $request", "7");
    gives("1 # a comment ) \" \\(", "1");
    gives("{env: 1, input: 2, import: 3, \"debug\": 4}", "{\"env\":1,\"input\":2,\"import\":3,"
                                                         "\"debug\":4}");
    gives("$request | .env", "\"E\"");
    gives("[.]", "[null]");
    gives("now", "1700000000.5");
    gives("{z: 1, a: 2, m: {y: 1, b: 2}}", "{\"z\":1,\"a\":2,\"m\":{\"y\":1,\"b\":2}}");
    gives("[1, \"a\", null, true, false, 1e3, -0.25]", "[1,\"a\",null,true,false,1000,-0.25]");
    gives("$__loc__.line", "1");
}

static void what_jq_does_badly_is_done_otherwise(void **state)
{
    (void)state;
    gives("1e300 % -1", "0");
    gives("[7 % 3, 7 % -3, -7 % 3, -7 % -3, 7.9 % 3]", "[1,1,-1,-1,1]");
    gives("[(7, 8) % (3, 4)]", "[1,2,3,0]");
    gives("7 as $x | $x | . %= 4", "3");
    fails("5 % 0", "zero");
    fails("\"a\" % 2", "cannot be divided");
    gives("0 | todate", "\"1970-01-01T00:00:00Z\"");
    gives("253402300799 | todateiso8601", "\"9999-12-31T23:59:59Z\"");
    gives("-62135596800 | gmtime | .[0]", "1");
    gives("[0 | strftime(\"%Y\", \"%j\")]", "[\"1970\",\"001\"]");
    fails("1e18 | todate", "a time beyond the years 1 to 9999");
    fails("253402300800 | strftime(\"%Y\")", "a time beyond");
    fails("-1e18 | gmtime", "a time beyond");
    fails("nan | todate", "a time beyond");
    fails("\"x\" | todate", "strftime/1 requires");
    gives("[\"abcb\" | index(\"\"), rindex(\"\"), index(\"b\"), rindex(\"b\")]", "[null,null,1,3]");
    gives("[\"abcb\" | indices(\"\", \"b\")]", "[[],[1,3]]");
    gives("[[\"\", 1, \"\"] | indices(\"\"), index(1)]", "[[0,2],1]");
    gives("[\"ab\" | match(\"\"; \"g\").offset] | .[:2]", "[0,1]");
    fails("[\"\xF0\x9F\x98\x80 x\" | match(\"\"; \"g\").offset]", "invalid code point");
}

static void what_is_thrown_is_told_without_values(void **state)
{
    static const char *const thrown[][2] = {
        {"$request.env + \"alice\" | tonumber", NULL},
        {"\"{ alice\" | fromjson", NULL},
        {"error(\"no price for alice\")", "it threw"},
        {"{name: \"alice\"} | error", "it threw"},
        {"\"x\" | test(\"alice (\")", NULL},
        {"\"x\" | test(\"x\"; \"alice\")", "is not a valid modifier string"},
        {"{} + (\"alice\" | ascii_downcase)", "cannot be added"},
        {"7 | .[\"al\" + \"ice\"]", "Cannot index number"},
        {"(\"al\" + \"ice\")[]", "Cannot iterate over"},
        {"\"alice\" | strptime(\"%Y\")", "does not match format"},
        {"{(\"al\" + \"ice\" | [.]): 1}", NULL}};
    (void)state;
    for (size_t i = 0; i < sizeof thrown / sizeof thrown[0]; i++) {
        struct expr_error error = {0};
        assert_null(eval(thrown[i][0], &error));
        if (strstr(expr_error_plain(&error), "alice"))
            fail_msg("%s: %s", thrown[i][0], expr_error_plain(&error));
        if (thrown[i][1] && !strstr(expr_error_plain(&error), thrown[i][1]))
            fail_msg("%s: %s, of %s", thrown[i][0], expr_error_plain(&error), error.text);
    }
    struct expr_error ours = {0};
    assert_null(eval("empty", &ours));
    assert_string_equal(expr_error_plain(&ours), ours.text);
}

static void exactly_one_value(void **state)
{
    (void)state;
    fails("empty", "no value");
    fails("$request.list[]", "several values");
    fails("1, error(\"late\")", "late");
    fails("error(\"sold out\")", "sold out");
    fails("error({code: 7})", "{\"code\":7}");
    fails("$request.n | tonumber | .x", "Cannot index number with string \"x\"");
    fails("nan", "NaN");
    fails("[infinite]", "infinite");
    fails("\"a\\u0000b\"", "NUL");
    fails("reduce range(64) as $i ([]; [.])", "nested too deeply (64 levels at most)");
    gives("reduce range(63) as $i ([1]; [.]) | flatten", "[1]");
}

static void a_broken_run_leaves_nothing_behind(void **state)
{
    struct expr *e = NULL;
    struct json *n = parse("1"), *text = parse("\"x\""), *out = NULL;
    struct expr_vars vars = {0};
    (void)state;
    assert_int_equal(
        expr_compile("$item | if type == \"string\" then error else (., .)[.] end? // 5", ALL, &e,
                     NULL),
        0);
    expr_free(e);
    assert_int_equal(expr_compile("$item | tonumber + 1", ALL, &e, NULL), 0);
    for (int i = 0; i < 5; i++) {
        vars.value[VAR_ITEM] = text;
        assert_int_equal(expr_eval(e, &vars, &out, NULL), ERR_EXPRESSION);
        assert_null(out);
        vars.value[VAR_ITEM] = n;
        assert_int_equal(expr_eval(e, &vars, &out, NULL), 0);
        assert_int_equal(json_number(out), 2);
        json_free(out);
        out = NULL;
    }
    expr_free(e);
    json_free(n);
    json_free(text);
}

static void names_that_reach_outside_are_refused(void **state)
{
    static const char *const names[] = {
        "env",       "input",          "inputs",     "debug",          "stderr",
        "halt",      "modulemeta",     "halt_error", "input_filename", "input_line_number",
        "localtime", "get_search_list"};
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char text[80], why[80];
        snprintf(text, sizeof text, "[1, %s]", names[i]);
        snprintf(why, sizeof why, "`%s` is not allowed", names[i]);
        refused_at(text, ALL, why, 1, 5);
    }
    refused("$ENV.PATH", "$ENV is not allowed");
    refused("1 + ($ # x\n ENV)", "$ENV is not allowed");
    refused("import \"a\" as a; 1", "`import` is not allowed");
    refused("include \"a\"; 1", "`include` is not allowed");
    refused("\"a \\( \"b \\(env)\" ) c\"", "`env` is not allowed");
    refused("@base64 \"\\(env)\"", "`env` is not allowed");
    refused("{(env): 1}", "`env` is not allowed");
    refused("{env}", "`env` is not allowed");
    refused("env::f", "`env` is not allowed");
    refused("0 | strflocaltime(\"x\")", "`strflocaltime` is not allowed");
    refused("jn(1e9; 0.5)", "`jn` is not allowed");
    refused("$__v", "$__ are jq's own");
    refused_at("1 +\n  \"# no comment \\(env)\"", ALL, "`env`", 2, 19);
    gives("\"env \\\" input\" # debug", "\"env \\\" input\"");
}

static void only_visible_variables(void **state)
{
    struct expr *e = NULL;
    (void)state;
    refused_at("$request.a +\n $body.b", VAR_BIT(VAR_REQUEST), "$body is not visible here", 2, 2);
    refused_at("$body", VAR_BIT(VAR_REQUEST), "$body is not visible here", 1, 1);
    refused_at("\"\\($item)\"", VAR_BIT(VAR_REQUEST), "$item is not visible here", 1, 4);
    assert_int_equal(expr_compile("$item + $index", ALL, &e, NULL), 0);
    assert_int_equal(expr_uses(e), VAR_BIT(VAR_ITEM) | VAR_BIT(VAR_INDEX));
    expr_free(e);
    assert_int_equal(expr_compile("$request.x # $body", VAR_BIT(VAR_REQUEST), &e, NULL), 0);
    expr_free(e);
}

static void mistakes_are_placed(void **state)
{
    (void)state;
    refused_at("", ALL, "empty", 1, 1);
    refused_at("  # nothing\n", ALL, "empty", 2, 1);
    refused_at(".x", ALL, "begin with a variable", 1, 1);
    refused_at("\n  .", ALL, "begin with a variable", 2, 3);
    refused_at("\\($request.x)", ALL, "expression already", 1, 1);
    refused_at("1) | (2", ALL, "`)` closes nothing", 1, 2);
    refused_at("[1, 2", ALL, "`]` is missing", 1, 6);
    refused_at("[1)", ALL, "`)` closes nothing", 1, 3);
    refused_at("\"abc", ALL, "string is not closed", 1, 5);
    refused_at("\"abc \\(1\"", ALL, "not closed", 1, 10);
    refused_at("\"abc\\", ALL, "not closed", 1, 6);
    refused_at("1 +\n 2 + $foo", ALL, "$foo is not defined", 2, 6);
    refused_at("1 +\n\n   foo(2)", ALL, "foo/1 is not defined", 3, 4);
    refused_at("1 +\n+ 2", ALL, "syntax error", 2, 0);
    refused_at("1 # x \\\n + 2", ALL, "a comment must not end", 1, 3);
}

static void a_run_away_is_ended(void **state)
{
    struct expr *e = NULL;
    struct json *out = NULL, *n = parse("3");
    struct expr_vars vars = {0};
    struct expr_error error;
    (void)state;
    assert_int_equal(
        expr_compile("if $index == 3 then 4 else last(range(1e12)) end", ALL, &e, &error), 0);
    assert_int_equal(expr_eval(e, &vars, &out, &error), ERR_EXPRESSION);
    assert_string_equal(error.text, "took more than 100 ms");
    vars.value[VAR_INDEX] = n;
    assert_int_equal(expr_eval(e, &vars, &out, &error), 0);
    assert_int_equal(json_number(out), 4);
    json_free(out);
    json_free(n);
    expr_free(e);
}

static void a_value_over_1_mb_is_an_error(void **state)
{
    struct expr *e = NULL;
    struct json *out = NULL, *list = json_new_array();
    struct expr_vars vars = {0};
    struct expr_error error;
    (void)state;
    watchdog_stretch(100); /* the size is asked for here; under valgrind each takes its time */
    fails("(\"0123456789\" * 100 * 60) as $t | [range(20) | $t]", "larger than 1 MB");
    fails("\"0123456789abcdef\" * 256 * 300", "larger than 1 MB");
    fails("reduce range(300) as $i (1; [.])", "nested too deeply");
    for (int i = 0; i < 1100; i++) {
        char text[1024];
        memset(text, 'x', sizeof text);
        assert_int_equal(json_push(list, json_new_text_n(text, sizeof text)), 0);
    }
    vars.value[VAR_BODY] = list;
    assert_int_equal(expr_compile("$body", ALL, &e, &error), 0);
    assert_int_equal(expr_eval(e, &vars, &out, &error), ERR_EXPRESSION);
    assert_string_equal(error.text, "the value is larger than 1 MB");
    watchdog_stretch(1);
    expr_free(e);
    json_free(list);
}

static void a_view_copies_nothing_of_the_variables(void **state)
{
    struct expr *e = NULL;
    struct json *r = parse(request), *owned = NULL;
    const struct json *seen = NULL;
    struct expr_vars vars = {0};
    (void)state;
    vars.value[VAR_REQUEST] = r;
    assert_int_equal(expr_compile("$request.list", ALL, &e, NULL), 0);
    assert_int_equal(expr_view(e, &vars, &seen, &owned, NULL), 0);
    assert_ptr_equal(seen, json_get(r, "list"));
    assert_null(owned);
    expr_free(e);
    assert_int_equal(expr_compile("$request.list | length", ALL, &e, NULL), 0);
    assert_int_equal(expr_view(e, &vars, &seen, &owned, NULL), 0);
    assert_ptr_equal(seen, owned);
    assert_int_equal(json_number(seen), 3);
    json_free(owned);
    expr_free(e);
    json_free(r);
}

enum { THREADS = 4, ROUNDS = 300 };
static struct expr *shared;

static void *eval_often(void *arg)
{
    struct json *n = json_new_number((double)(intptr_t)arg), *out = NULL;
    struct expr_vars vars = {0};
    vars.value[VAR_ITEM] = n;
    intptr_t good = 0;
    for (int i = 0; i < ROUNDS; i++) {
        if (expr_eval(shared, &vars, &out, NULL) == 0)
            good += json_number(json_get(out, "n")) == (double)(intptr_t)arg * 2;
        json_free(out);
        out = NULL;
    }
    json_free(n);
    return (void *)good;
}

static void threads_share_an_expression(void **state)
{
    pthread_t threads[THREADS];
    (void)state;
    assert_int_equal(
        expr_compile("{n: ([$item, $item] | add), t: \"\\($item)\"}", ALL, &shared, NULL), 0);
    for (intptr_t i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, eval_often, (void *)i);
    for (int i = 0; i < THREADS; i++) {
        void *good;
        pthread_join(threads[i], &good);
        assert_int_equal((intptr_t)good, ROUNDS);
    }
    expr_free(shared);
    assert_int_equal(expr_prove_threads(), 0);
}

static void the_home_folder_is_not_read(void **state)
{
    (void)state;
    assert_string_equal(getenv("HOME"), "/dev/null");
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

/* ---- compiled together */

enum { TOGETHER = 150 };

static void told(void *arg, struct expr *e, const struct expr_error *error)
{
    struct buf *all = arg;
    buf_printf(all, "%s: %s\n", expr_source(e), error->text);
}

static void many_compile_together_and_give_their_own_values(void **state)
{
    (void)state;
    struct expr *list[TOGETHER];
    struct json *value = NULL;
    struct buf all;
    buf_init(&all, 0);
    assert_int_equal(json_parse("{\"a\":7}", 7, NULL, &value, NULL), 0);
    struct expr_vars vars = {.created_us = 5000000};
    vars.value[VAR_REQUEST] = value;
    for (int i = 0; i < TOGETHER; i++) {
        char text[80];
        snprintf(text, sizeof text, "%s + %d # %d", i % 3 ? "$request.a" : "(now | floor)", i, i);
        assert_int_equal(expr_compile(text, VAR_BIT(VAR_REQUEST) | EXPR_LATER, &list[i], NULL), 0);
        assert_false(expr_is_ready(list[i]));
    }
    struct json *v = NULL;
    struct expr_error error = {0};
    assert_int_equal(expr_eval(list[0], &vars, &v, &error), ERR_EXPRESSION);
    assert_int_equal(expr_compile_later(list, TOGETHER, told, &all), 0);
    assert_string_equal(buf_str(&all), "");
    for (int i = 0; i < TOGETHER; i++) {
        assert_int_equal(expr_eval(list[i], &vars, &v, NULL), 0);
        assert_int_equal((int)json_number(v), (i % 3 ? 7 : 5) + i);
        json_free(v);
        expr_free(list[i]);
    }
    json_free(value);
    buf_fini(&all);
}

static void those_that_are_no_jq_are_told_alone(void **state)
{
    (void)state;
    const char *const texts[] = {"1 + 1", "1 + nothing", "2 + 2", "1 +", "3 + 3", "[1] | many(1)"};
    struct expr *list[6];
    struct buf all;
    buf_init(&all, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(expr_compile(texts[i], EXPR_LATER, &list[i], NULL), 0);
    assert_int_equal(expr_compile_later(list, 6, told, &all), 0);
    assert_non_null(strstr(buf_str(&all), "1 + nothing: nothing/0 is not defined\n"));
    assert_non_null(strstr(buf_str(&all), "1 +: syntax error"));
    assert_non_null(strstr(buf_str(&all), "[1] | many(1): many/1 is not defined\n"));
    for (int i = 0; i < 6; i++) {
        struct expr_vars vars = {0};
        struct json *v = NULL;
        assert_int_equal(expr_is_ready(list[i]), i % 2 == 0);
        if (i % 2 == 0) {
            assert_int_equal(expr_eval(list[i], &vars, &v, NULL), 0);
            assert_int_equal((int)json_number(v), i + 2);
        }
        json_free(v);
        expr_free(list[i]);
    }
    buf_fini(&all);
}

static void the_same_text_twice_is_two_expressions(void **state)
{
    (void)state;
    const char *const texts[] = {"$item + 1",   "now | floor", "$item + 1",
                                 "now | floor", "1 +",         "1 +"};
    const int want[] = {8, 5, 8, 5};
    struct json *item = json_new_number(7), *v = NULL;
    struct expr_vars vars = {.created_us = 5000000, .value[VAR_ITEM] = item};
    struct expr *list[6];
    struct buf all;
    buf_init(&all, 0);
    for (int i = 0; i < 6; i++)
        assert_int_equal(expr_compile(texts[i], VAR_BIT(VAR_ITEM) | EXPR_LATER, &list[i], NULL), 0);
    assert_int_equal(expr_compile_later(list, 6, told, &all), 0);
    const char *first = strstr(buf_str(&all), "1 +: ");
    assert_non_null(first);
    assert_non_null(strstr(first + 1, "1 +: "));
    expr_free(list[0]); /* what it shares with others stays theirs */
    for (int i = 1; i < 6; i++) {
        assert_int_equal(expr_is_ready(list[i]), i < 4);
        if (i < 4) {
            assert_int_equal(expr_eval(list[i], &vars, &v, NULL), 0);
            assert_int_equal((int)json_number(v), want[i]);
            json_free(v);
        }
        expr_free(list[i]);
    }
    json_free(item);
    buf_fini(&all);
}

static void an_expression_that_jq_would_compile_for_minutes_is_refused(void **state)
{
    (void)state;
    char text[8200];
    struct expr *e = NULL;
    struct expr_error error = {0};
    memset(text, ' ', sizeof text);
    text[0] = '1';
    text[sizeof text - 1] = 0;
    assert_int_equal(expr_compile(text, 0, &e, &error), ERR_EXPRESSION);
    assert_string_equal(error.text, "an expression has at most 8 KB");
    text[8192] = 0;
    assert_int_equal(expr_compile(text, 0, &e, &error), 0);
    expr_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_compile_together_and_give_their_own_values),
        cmocka_unit_test(those_that_are_no_jq_are_told_alone),
        cmocka_unit_test(the_same_text_twice_is_two_expressions),
        cmocka_unit_test(an_expression_that_jq_would_compile_for_minutes_is_refused),
        cmocka_unit_test(plain_paths_need_no_jq),
        cmocka_unit_test(what_jq_might_read_otherwise_is_left_to_it),
        cmocka_unit_test(literals_need_no_jq),
        cmocka_unit_test(jq_computes_the_rest),
        cmocka_unit_test(what_jq_does_badly_is_done_otherwise),
        cmocka_unit_test(what_is_thrown_is_told_without_values),
        cmocka_unit_test(exactly_one_value),
        cmocka_unit_test(a_broken_run_leaves_nothing_behind),
        cmocka_unit_test(names_that_reach_outside_are_refused),
        cmocka_unit_test(only_visible_variables),
        cmocka_unit_test(mistakes_are_placed),
        cmocka_unit_test(a_run_away_is_ended),
        cmocka_unit_test(a_value_over_1_mb_is_an_error),
        cmocka_unit_test(a_view_copies_nothing_of_the_variables),
        cmocka_unit_test(threads_share_an_expression),
        cmocka_unit_test(the_home_folder_is_not_read),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
