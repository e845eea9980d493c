/* What the fast path takes must mean exactly what jq makes of it: the same value or the same error.
 * Bytes choose tokens, so that most inputs are nearly paths; jq gets the text in parentheses, which
 * the fast path leaves alone. */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr.h"
#include "common/expr_path.h"

static const char data[] =
    "{\"a\":{\"b\":[1,[2,{\"c d\":\"x\"}],null,true]},\"\":0,\"e\":\"text\","
    "\"_1\":-1.5,\"and\":{\"if\":[]},\"env\":{},\"list\":[{\"a\":1},{\"a\":2}]}";

static const char *const tokens[] = {
    "$request", "$body", "$item",    "$foo",      ".a",      ".b",   ".e",   ".list", ".and",
    "._1",      ".env",  ".\"a\"",   ".\"\"",     ".x",      "[0]",  "[1]",  "[-1]",  "[9]",
    "[",        "]",     "[\"a\"]",  "[\"\"]",    ".",       "..",   "?",    " ",     "\n",
    "\"",       "\\",    "c d",      "[\"c d\"]", "-",       "0",    "1",    "1e3",   "0.5",
    "12",       "true",  "null",     "{",         "}",       ":",    ",",    "{}",    "[]",
    "\"a\"",    "false", "$",        "nan",       "\\u0041", ".a.b", "[00]", "[1.0]", "[1e0]",
    "[ 1]",     "#x\n",  "\xc3\xa4", ".\xc3\xa4", "1.0",     "-0",
};

static void text_of(const uint8_t *bytes, size_t len, char *out, size_t size)
{
    out[0] = 0;
    for (size_t i = 0, at = 0; i < len; i++) {
        const char *token = tokens[bytes[i] % (sizeof tokens / sizeof tokens[0])];
        at += (size_t)snprintf(out + at, size - at, "%s", token);
        if (at + 16 > size)
            return;
    }
}

static void differ(const char *text, const char *how, const struct expr_error *error)
{
    fprintf(stderr, "[%s]: %s: %s\n", text, how, error->text);
    abort();
}

static void compare(const char *text, const struct expr_path *path, const struct expr_vars *vars)
{
    char wrapped[600];
    struct expr *jq = NULL;
    struct expr_error ours = {0}, theirs = {0};
    const struct json *value = NULL;
    struct json *expected = NULL;
    snprintf(wrapped, sizeof wrapped, "(%s)", text);
    if (expr_compile(wrapped, VAR_ALL, &jq, &theirs) != 0)
        differ(text, "jq does not compile it", &theirs);
    int err = expr_path_eval(path, vars, &value, &ours);
    int want = expr_eval(jq, vars, &expected, &theirs);
    if (err != want)
        differ(text, err ? "only ours fails" : "only jq fails", err ? &ours : &theirs);
    /* jq does not say the name where it has 30 bytes or more */
    if (err && strncmp(ours.text, theirs.text, strlen(theirs.text)) != 0)
        differ(text, ours.text, &theirs);
    if (!err && !json_equal(value, expected) && !(!value && json_is(expected, JSON_NULL)))
        differ(text, "another value", &theirs);
    json_free(expected);
    expr_free(jq);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    static struct json *request;
    struct expr_vars vars = {0};
    struct expr_path *path = NULL;
    struct expr *e = NULL;
    char text[500];
    if (!request && json_parse(data, strlen(data), NULL, &request, NULL) != 0)
        abort();
    vars.value[VAR_REQUEST] = request;
    text_of(bytes, len, text, sizeof text);
    if (expr_path_compile(text, &path) != 0)
        return 0;
    if (expr_compile(text, VAR_ALL, &e, NULL) == 0) /* expr_scan has no objection */
        compare(text, path, &vars);
    expr_free(e);
    expr_path_free(path);
    return 0;
}
