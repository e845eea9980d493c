#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <cmocka.h>

#include "common/expr.h"

/* Each builtin of the libjq that is installed, with values nobody would give it: there is a value
 * or an error, soon. A new libjq is looked at by this, too: it names no builtin. */

static const char *const odd[] = {
    "null",
    "-1",
    "1e18",
    "-1e300",
    "500000000",
    "\"#nan\"",
    "\"#infinite\"",
    "\"\"",
    "\"\xF0\x9F\x98\x80 a=\"",
    "\"%Y(\"",
    "[]",
    "[1114112, 55296, -1]",
    "[1e18, -1e9, \"#nan\", 99, 1e300, 5, 1e9, -1e9]",
    "[[\"a\"], [500000000]]",
    "{}",
    "{\"start\": \"#nan\", \"end\": 1e300, \"name\": 1}",
};
enum { ODD = sizeof odd / sizeof odd[0], CASES_MAX = 100, ARGS_MAX = 4 };

/* What is no JSON comes as a text. */
#define WRAP                                                                         \
    "def odd: if . == \"#nan\" then nan elif . == \"#infinite\" then infinite "      \
    "elif type == \"array\" or type == \"object\" then map_values(odd) else . end; " \
    "($request | odd) as $v | $v[0] | [limit(3; %s%s)] | length"

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1103515245 + 12345;
    return *seed >> 16;
}

static void try_one(struct expr *e, const char *values, const char *name)
{
    struct json *request = NULL, *out = NULL;
    assert_int_equal(json_parse(values, strlen(values), NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    double from = cpu_s();
    int err = expr_eval(e, &vars, &out, NULL);
    if ((err != 0 && err != ERR_EXPRESSION) || cpu_s() - from > 2)
        fail_msg("%s of %s: %d, %.1f s", name, values, err, cpu_s() - from);
    json_free(out);
    json_free(request);
}

static void try_all(struct expr *e, unsigned args, const char *name)
{
    unsigned cases = 1, seed = 1;
    for (unsigned i = 0; i <= args && cases <= CASES_MAX; i++)
        cases *= ODD;
    bool all = cases <= CASES_MAX;
    for (unsigned n = 0; n < (all ? cases : CASES_MAX); n++) {
        char values[600] = "[";
        for (unsigned i = 0, rest = n; i <= args; i++, rest /= ODD)
            snprintf(values + strlen(values), sizeof values - strlen(values), "%s%s", i ? "," : "",
                     odd[all ? rest % ODD : draw(&seed) % ODD]);
        snprintf(values + strlen(values), sizeof values - strlen(values), "]");
        try_one(e, values, name);
    }
}

/* "split/2". Those that are refused do not compile. */
static bool try_builtin(const char *builtin)
{
    char text[1000], call[100] = "", name[100];
    struct expr *e = NULL;
    unsigned args = (unsigned)strtoul(strchr(builtin, '/') + 1, NULL, 10);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(builtin, "/"), builtin);
    if (args > ARGS_MAX)
        return false;
    for (unsigned i = 0; i < args; i++)
        snprintf(call + strlen(call), sizeof call - strlen(call), "%s$v[%u]%s", i ? ";" : "(",
                 i + 1, i + 1 == args ? ")" : "");
    snprintf(text, sizeof text, WRAP, name, call);
    if (expr_compile(text, VAR_ALL, &e, NULL) != 0)
        return false;
    try_all(e, args, builtin);
    expr_free(e);
    return true;
}

static void no_builtin_ends_the_process(void **state)
{
    (void)state;
    struct expr *e = NULL;
    struct json *names = NULL;
    const struct expr_vars vars = {0};
    unsigned tried = 0;
    assert_int_equal(expr_compile("builtins", VAR_ALL, &e, NULL), 0);
    assert_int_equal(expr_eval(e, &vars, &names, NULL), 0);
    for (const struct json *n = json_first(names); n; n = json_next(n))
        tried += try_builtin(json_text(n));
    assert_true(tried > 150);
    json_free(names);
    expr_free(e);
}

/* The operators have no names that one could call. */
static void no_operator_ends_the_process(void **state)
{
    static const char *const texts[] = {
        ". + $v[1]",
        ". - $v[1]",
        ". * $v[1]",
        ". / $v[1]",
        ". % $v[1]",
        ".[$v[1]]",
        ".[$v[1]:$v[2]]",
        ".[$v[1]] = $v[2]",
        ".[$v[1]] |= $v[2]",
        ".[$v[1]] += 1",
        "del(.[$v[1]])",
        "del(.[$v[1]:$v[2]])",
        ".[$v[1]:] = $v[2]",
        ". < $v[1]",
        "path(..)",
        "@csv, @tsv, @sh, @html, @uri",
        "@base64",
        "@base64d",
        "@json, @text",
        "gmtime | mktime",
        "..",
        "range($v[1]; .)",
        "@base32d",
        "tojson | fromjson",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[1000];
        struct expr *e = NULL;
        snprintf(text, sizeof text, WRAP, texts[i], "");
        if (expr_compile(text, VAR_ALL, &e, NULL) == 0)
            try_all(e, 2, texts[i]);
        expr_free(e);
    }
}

static int start(void **state)
{
    (void)state;
    const struct rlimit no_core = {0, 0};
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
        cmocka_unit_test(no_builtin_ends_the_process),
        cmocka_unit_test(no_operator_ends_the_process),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
