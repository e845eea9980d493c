#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

#include "common/expr.h"
#include "common/watchdog.h"

/* An expression never ends the process, and what it may take holds inside jq's functions, too. */

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* It ends soon with this complaint, twice; and the same expression is good for other values. */
static void ends(const char *text, const char *request, const char *why)
{
    char whole[1024];
    struct expr *e = NULL;
    struct expr_error error = {0};
    struct json *out = NULL, *r = parse(request), *item = json_new_bool(true);
    struct expr_vars vars = {.value[VAR_REQUEST] = r};
    snprintf(whole, sizeof whole, "if $item then 4 else (%s) end", text);
    if (expr_compile(whole, VAR_ALL, &e, &error) != 0)
        fail_msg("%s: %s", whole, error.text);
    for (int i = 0; i < 2; i++) {
        double from = cpu_s();
        vars.value[VAR_ITEM] = NULL;
        if (expr_eval(e, &vars, &out, &error) != ERR_EXPRESSION || !strstr(error.text, why))
            fail_msg("%s: %s", text, out ? "gives a value" : error.text);
        if (cpu_s() - from > 1.5)
            fail_msg("%s: took %.1f s", text, cpu_s() - from);
        vars.value[VAR_ITEM] = item;
        assert_int_equal(expr_eval(e, &vars, &out, &error), 0);
        assert_int_equal((int)json_number(out), 4);
        json_free(out);
        out = NULL;
    }
    expr_free(e);
    json_free(r);
    json_free(item);
}

static void no_value_breaks_the_process(void **state)
{
    (void)state;
    ends("$request.at | strftime(\"%Y\")", "{\"at\":1e18}", "");
    ends("$request.at | todate", "{\"at\":1e18}", "");
    ends("$request.at | todate", "{\"at\":-1e18}", "");
    ends("$request.at | todate", "{\"at\":1.79e18}", "");
    ends("$request.at | todateiso8601", "{\"at\":1e18}", "");
    ends("$request.at | gmtime | mktime", "{\"at\":1e18}", "");
    ends("nan | todate", "null", "");
}

static void loops_inside_of_a_function_end(void **state)
{
    (void)state;
    ends("\"x\" * $request", "2000000000", "");
    ends("\"\" * $request", "2000000000", "took more than 100 ms");
    ends("reduce range(40) as $i (1; [., .]) | tojson", "null", "");
    ends("(reduce range(40) as $i (1; [., .])) == (reduce range(40) as $i (1; [., .]))", "null",
         "took more than 100 ms");
    ends("[range(1e9)]", "null", "");
}

static void a_pattern_does_not_go_back_for_ever(void **state)
{
    (void)state;
    ends("\" \" * 60000 + \"x\" | sub(\"\\\\s+$\"; \"\")", "null", "retry-limit-in-search over");
    ends("(\"(\" * 1000 + \")\" * 1000) as $p | \"a\" | test($p)", "null", "depth limit over");
    ends("\"a\" * 60 + \"b\" | test(\"^(?:a|aa)+$\")", "null", "over");
}

/* A sanitizer keeps what is freed; it finds by itself what is not. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { KEEPS_FREED = true };
#else
enum { KEEPS_FREED = false };
#endif

static long resident_kb(void)
{
    long all = 0, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%ld %ld", &all, &resident), 2);
    fclose(f);
    return resident * 4;
}

static void what_was_left_in_the_middle_is_freed(void **state)
{
    (void)state;
    struct expr *e = NULL;
    struct json *out = NULL;
    const struct expr_vars vars = {0};
    struct expr_error error = {0};
    long before = 0;
    watchdog_stretch(20);
    assert_int_equal(
        expr_compile(
            "reduce range(9000) as $i (1; [., 0.1, \"0123456789abcde\"]) | tojson, ., \"x\"", 0, &e,
            NULL),
        0);
    for (int i = 0; i < 60; i++) {
        assert_int_equal(expr_eval(e, &vars, &out, &error), ERR_EXPRESSION);
        if (i == 9)
            before = resident_kb();
    }
    if (!KEEPS_FREED && resident_kb() - before > 8000)
        fail_msg("%ld KB more than after ten", resident_kb() - before);
    watchdog_stretch(1);
    expr_free(e);
}

static void memory_is_limited(void **state)
{
    (void)state;
    ends("[] | .[$request] = 1", "500000000", "needs too much memory");
    ends("[] | .[$request] |= 1", "500000000", "needs too much memory");
    ends("[] | .[$request] += 1", "500000000", "needs too much memory");
    ends("null | setpath([$request]; 1)", "500000000", "needs too much memory");
    ends("(\"0123456789abcdef\" * 65536) as $mb | [range(1000) | $mb + \"x\"] | length", "null",
         "");
}

static void values_nested_without_end_are_freed(void **state)
{
    (void)state;
    watchdog_stretch(20); /* the depth is asked for here */
    ends("reduce range(200000) as $i (1; [.]) | length", "null", "nested too deeply");
    ends("reduce range(40000) as $i (1; {a: .}) | tojson", "null", "nested too deeply");
    ends("error(reduce range(200000) as $i (1; [.]))", "null", "nested too deeply");
    ends("(reduce range(200000) as $i (1; [.])) as $a | [$a] | flatten", "null", "");
    ends("(reduce range(100000) as $i (1; [.])) as $deep | error(\"text\")", "null", "");
    watchdog_stretch(1);
}

static void what_is_large_for_us_only_is_too_large(void **state)
{
    (void)state;
    ends("reduce range(25) as $i ([]; [., .])", "null", "larger than 1 MB");
}

static void what_jq_keeps_for_a_thread_outlives_an_expression(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct expr *e = NULL;
        struct json *out = NULL;
        const struct expr_vars vars = {0};
        assert_int_equal(
            expr_compile("[0.1, 1e300, 123456789.125] | tojson | fromjson | .[1]", 0, &e, NULL), 0);
        assert_int_equal(expr_eval(e, &vars, &out, NULL), 0);
        assert_true(json_number(out) == 1e300);
        json_free(out);
        expr_free(e);
    }
}

/* A request's keys, one by one: what takes their number squared is seen. */
static void many_keys_take_no_time(void **state)
{
    (void)state;
    enum { KEYS = 60000 };
    struct expr *e = NULL;
    struct json *out = NULL, *r = json_new_object();
    struct expr_vars vars = {.value[VAR_REQUEST] = r};
    for (int i = 0; i < KEYS; i++) {
        char key[20];
        snprintf(key, sizeof key, "k%d", i);
        assert_int_equal(json_add(r, key, json_new_number(1)), 0);
    }
    watchdog_stretch(20); /* our part is asked for here */
    assert_int_equal(expr_compile("$request + {a: 1}", VAR_ALL, &e, NULL), 0);
    double from = cpu_s();
    assert_int_equal(expr_eval(e, &vars, &out, NULL), 0);
    assert_true(cpu_s() - from < 1.5);
    watchdog_stretch(1);
    assert_int_equal((int)json_size(out), KEYS + 1);
    json_free(out);
    json_free(r);
    expr_free(e);
}

static int start(void **state)
{
    (void)state;
    struct rlimit no_core = {0, 0};
    (void)setrlimit(RLIMIT_CORE, &no_core);
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_value_breaks_the_process),
        cmocka_unit_test(loops_inside_of_a_function_end),
        cmocka_unit_test(a_pattern_does_not_go_back_for_ever),
        cmocka_unit_test(what_was_left_in_the_middle_is_freed),
        cmocka_unit_test(memory_is_limited),
        cmocka_unit_test(values_nested_without_end_are_freed),
        cmocka_unit_test(what_is_large_for_us_only_is_too_large),
        cmocka_unit_test(what_jq_keeps_for_a_thread_outlives_an_expression),
        cmocka_unit_test(many_keys_take_no_time),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
