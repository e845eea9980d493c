#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/rng.h"

static int parse(const char *text, struct json **out, struct json_error *error)
{
    return json_parse(text, strlen(text), NULL, out, error);
}

static struct json *must_parse(const char *text)
{
    struct json *v = NULL;
    struct json_error error;
    if (parse(text, &v, &error))
        fail_msg("%s: %s at %zu", text, error.what, error.offset);
    return v;
}

static void check_printed(const struct json *v, const char *want)
{
    struct buf out;
    buf_init(&out, 0);
    json_print(v, &out);
    assert_int_equal(buf_ok(&out), 0);
    assert_string_equal(buf_str(&out), want);
    buf_fini(&out);
}

static void check_round(const char *text, const char *want)
{
    struct json *v = must_parse(text);
    check_printed(v, want);
    json_free(v);
}

static void check_refused(const char *text, size_t len, int err, const char *what)
{
    struct json *v = (struct json *)1;
    struct json_error error;
    int rc = json_parse(text, len, NULL, &v, &error);
    if (rc != err || strcmp(error.what, what) != 0)
        fail_msg("%s: %d %s, wanted %d %s", text, rc, rc ? error.what : "", err, what);
    assert_ptr_equal(v, (struct json *)1);
    assert_true(error.offset <= len);
}

static void test_reads_and_prints_what_was_read(void **state)
{
    (void)state;
    check_round("null", "null");
    check_round(" \t\r\n{ \"b\" : [ true , false , null ] , \"a\" : { } , \"c\" : [ ] } \n",
                "{\"b\":[true,false,null],\"a\":{},\"c\":[]}");
    check_round("\"\\u0041\\/\\b\\f\\n\\r\\t\\\\\\\"\\u001f\\u007f\"",
                "\"A/\\b\\f\\n\\r\\t\\\\\\\"\\u001f\x7f\"");
    check_round("\"\\ud83d\\ude00 \xf0\x9f\x98\x80 \\u00e9 \xc3\xa9 \\uffff\"",
                "\"\xf0\x9f\x98\x80 \xf0\x9f\x98\x80 \xc3\xa9 \xc3\xa9 \xef\xbf\xbf\"");
    check_round("{\"\\u0061\\n\":{\"\":1}}", "{\"a\\n\":{\"\":1}}");
}

static void test_numbers_keep_their_value_in_shortest_form(void **state)
{
    (void)state;
    check_round("[0,-0,1,-1,1.0,10e1,0.5,-2.50]", "[0,-0,1,-1,1,100,0.5,-2.5]");
    check_round("[9007199254740992,-9007199254740992,1234567890123460]",
                "[9007199254740992,-9007199254740992,1234567890123460]");
    check_round("[0.1,3.14,1e22,1E-7,123456.789e3]", "[0.1,3.14,1e+22,1e-07,123456789]");
    check_round("[1.7976931348623157e308,5e-324,2.2250738585072014E-308]",
                "[1.7976931348623157e+308,4.94065645841247e-324,2.2250738585072014e-308]");
    check_round("[0e5,0.0e-999,-0.0E+9]", "[0,0,-0]");
}

static void test_every_double_reads_back(void **state)
{
    (void)state;
    struct rng_seeded r;
    struct buf out;
    rng_seeded_init(&r, 7);
    buf_init(&out, 0);
    for (int i = 0; i < 20000; i++) {
        uint64_t bits = rng_u64(&r.rng);
        double n = i % 2 ? (double)(int64_t)bits : 0;
        if (i % 2 == 0)
            memcpy(&n, &bits, sizeof n);
        if (!isfinite(n))
            continue;
        struct json *v = json_new_number(n), *again = NULL;
        buf_clear(&out);
        json_print(v, &out);
        if (json_parse(buf_str(&out), out.len, NULL, &again, NULL) || json_number(again) != n)
            fail_msg("%s is not %.17g", buf_str(&out), n);
        json_free(v);
        json_free(again);
    }
    buf_fini(&out);
}

static void test_refuses_what_is_not_json(void **state)
{
    (void)state;
    static const struct {
        const char *text, *what;
    } rows[] = {
        {"", "the text ends too early"},
        {" \n", "the text ends too early"},
        {"[1", "the text ends too early"},
        {"{\"a\"", "the text ends too early"},
        {"\"abc", "the text ends too early"},
        {"\"abc\\", "the text ends too early"},
        {"[", "the text ends too early"},
        {"{", "the text ends too early"},
        {"-", "the text ends too early"},
        {"1.", "the text ends too early"},
        {"1e", "the text ends too early"},
        {"tru", "not a value"},
        {"nul!", "not a value"},
        {"True", "not a value"},
        {"NaN", "not a value"},
        {"Infinity", "not a value"},
        {"-Infinity", "not a value"},
        {"+1", "not a value"},
        {".5", "not a value"},
        {"'a'", "not a value"},
        {"[1,]", "not a value"},
        {"[,1]", "not a value"},
        {"// x\n1", "not a value"},
        {"01", "leading zero"},
        {"-012", "leading zero"},
        {"[1.,2]", "digits must follow the point"},
        {"[1.e5]", "digits must follow the point"},
        {"[1e+]", "digits must follow the e"},
        {"1 2", "text after the value"},
        {"{}x", "text after the value"},
        {"0x10", "text after the value"},
        {"[1 2]", "a comma or ] must stand here"},
        {"{\"a\":1 \"b\":2}", "a comma or } must stand here"},
        {"{\"a\" 1}", "a colon must stand here"},
        {"{a:1}", "a member's name in quotes must stand here"},
        {"{\"a\":1,}", "a member's name in quotes must stand here"},
        {"{,}", "a member's name in quotes must stand here"},
        {"\"a\nb\"", "control character in a string"},
        {"\"\\x\"", "bad escape"},
        {"\"\\u12g4\"", "bad \\u escape"},
        {"\"\\u123\"", "bad \\u escape"},
        {"\"\\u0000\"", "NUL character"},
        {"{\"\\u0000\":1}", "NUL character"},
        {"\"\\ud800\"", "lone surrogate"},
        {"\"\\udc00\"", "lone surrogate"},
        {"\"\\ud800x\"", "lone surrogate"},
        {"\"\\ud800\\n\"", "lone surrogate"},
        {"\"\\ud800\\ud800\"", "lone surrogate"},
        {"\"\\ud800\\ue000\"", "lone surrogate"},
        {"\"\\udbff\\uffff\"", "lone surrogate"},
        {"\xef\xbb\xbf{}", "byte order mark"},
        {"\"\xff\"", "not UTF-8"},
        {"\"\x80\"", "not UTF-8"},
        {"\"\xc0\xaf\"", "not UTF-8"},
        {"\"\xc3\"", "not UTF-8"},
        {"\"\xe0\x80\xaf\"", "not UTF-8"},
        {"\"\xed\xa0\x80\"", "not UTF-8"},
        {"\"\xf0\x80\x80\x80\"", "not UTF-8"},
        {"\"\xf4\x90\x80\x80\"", "not UTF-8"},
        {"\"\xf5\x80\x80\x80\"", "not UTF-8"},
        {"{\"\xc3\x28\":1}", "not UTF-8"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_refused(rows[i].text, strlen(rows[i].text), ERR_NOT_JSON, rows[i].what);
    check_refused("\"a\0b\"", 5, ERR_NOT_JSON, "control character in a string");
    check_refused("1\0", 2, ERR_NOT_JSON, "text after the value");
}

static void check_pointer(const char *text, int err, const char *pointer, size_t offset)
{
    struct json *v;
    struct json_error error;
    assert_int_equal(parse(text, &v, &error), err);
    assert_string_equal(error.pointer, pointer);
    assert_int_equal(error.offset, offset);
}

static void test_refuses_numbers_it_cannot_keep(void **state)
{
    (void)state;
    check_pointer("9007199254740993", ERR_BIG_NUMBER, "", 0);
    check_pointer("[1,[2,-9007199254740993]]", ERR_BIG_NUMBER, "/1/1", 6);
    check_pointer("{\"a\":[],\"b/c~\":[{},12345678901234567890]}", ERR_BIG_NUMBER, "/b~1c~0/1", 19);
    check_pointer("{\"a\":{\"x\":1},\"b\":1e400}", ERR_BIG_NUMBER, "/b", 17);
    check_pointer("[-1e999]", ERR_BIG_NUMBER, "/0", 1);
    check_pointer("[1e-400]", ERR_BIG_NUMBER, "/0", 1);
    check_pointer("[9007199254740993.5]", ERR_BIG_NUMBER, "/0", 1);
    struct json *v = NULL;
    const struct json_limits rounds = {.rounds = true};
    assert_int_equal(json_parse("9007199254740993", 16, &rounds, &v, NULL), 0);
    assert_true(json_number(v) == 9007199254740992.0);
    json_free(v);
    assert_int_equal(json_parse("1e400", 5, &rounds, &v, NULL), ERR_BIG_NUMBER);
    /* 64 characters: one more than the tree's parser holds */
    check_pointer("[0.00000000000000000000000000000000000000000000000000000000000001]",
                  ERR_BIG_NUMBER, "/0", 1);
    check_round("[0.0000000000000000000000000000000000000000000000000000000000001]", "[1e-61]");
}

static void test_refuses_duplicate_keys_also_escaped(void **state)
{
    (void)state;
    check_pointer("{\"a\":1,\"a\":2}", ERR_NOT_JSON, "/a", 7);
    check_pointer("{\"a\":1,\"\\u0061\":2}", ERR_NOT_JSON, "/a", 7);
    check_pointer("[0,{\"x\":{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}}]", ERR_NOT_JSON,
                  "/1/x/\xf0\x9f\x98\x80", 26);
    check_pointer("{\"a\\n\":{\"a\":1},\"b\":{\"a\":1},\"a\\u000a\":0}", ERR_NOT_JSON, "/a\n", 27);
    check_pointer("{\"\":1,\"\":2}", ERR_NOT_JSON, "/", 6);
    json_free(must_parse("{\"a\":1,\"A\":1,\"\\u0062\":1,\"aa\":1,\"\":{\"a\":{\"a\":[]}}}"));
}

/* Many keys: a hostile body must not cost the square of its size. With 60,000 keys the square
 * would take far longer than the test's time limit under a sanitizer. */
static void test_finds_a_duplicate_among_many_keys(void **state)
{
    (void)state;
    struct buf text;
    struct json *v = NULL;
    struct json_error error;
    buf_init(&text, 0);
    buf_char(&text, '{');
    for (int i = 0; i < 60000; i++)
        buf_printf(&text, "\"%s%d\":0,", i % 3 ? "" : "\\u0061", i);
    size_t end = text.len;
    buf_text(&text, "\"x\":{}}");
    assert_int_equal(json_parse(buf_str(&text), text.len, NULL, &v, &error), 0);
    assert_int_equal(json_size(v), 60001);
    json_free(v);
    text.len = end;
    buf_text(&text, "\"a30\":1}");
    assert_int_equal(json_parse(buf_str(&text), text.len, NULL, &v, &error), ERR_NOT_JSON);
    assert_string_equal(error.what, "duplicate key");
    assert_string_equal(error.pointer, "/a30");
    assert_int_equal(error.offset, end);
    buf_fini(&text);
}

static void test_pointer_is_cut_to_fit(void **state)
{
    (void)state;
    struct buf text;
    struct json *v;
    struct json_error error;
    buf_init(&text, 0);
    for (int i = 0; i < 60; i++)
        buf_text(&text, "{\"\xc3\xa9\xc3\xa9\":");
    buf_text(&text, "1e999");
    for (int i = 0; i < 60; i++)
        buf_char(&text, '}');
    assert_int_equal(json_parse(buf_str(&text), text.len, NULL, &v, &error), ERR_BIG_NUMBER);
    assert_int_equal(strlen(error.pointer), sizeof error.pointer - 1);
    assert_memory_equal(error.pointer, "/\xc3\xa9\xc3\xa9/\xc3\xa9\xc3\xa9/", 11);
    buf_fini(&text);
}

static void test_bounds_size_and_depth(void **state)
{
    (void)state;
    struct json *v = NULL;
    struct json_limits limits = {.size_max = 8, .depth_max = 2};
    assert_int_equal(json_parse("[[1]]   ", 8, &limits, &v, NULL), 0);
    json_free(v);
    assert_int_equal(json_parse("[[1]]    ", 9, &limits, &v, NULL), ERR_TOO_LARGE);
    assert_int_equal(json_parse("[[{}]]", 6, &limits, &v, NULL), ERR_NOT_JSON);
    char deep[2000];
    memset(deep, '[', sizeof deep);
    memset(deep + 64, ']', 64);
    assert_int_equal(json_parse(deep, 128, NULL, &v, NULL), 0);
    json_free(v);
    memset(deep, '[', sizeof deep);
    check_refused(deep, sizeof deep, ERR_NOT_JSON, "nested too deeply");
    limits = (struct json_limits){.depth_max = 100000}; /* never deeper than the stack allows */
    assert_int_equal(json_parse(deep, sizeof deep, &limits, &v, NULL), ERR_NOT_JSON);
    char *big = calloc(1, (1u << 20) + 1);
    memset(big, ' ', (1u << 20) + 1);
    big[0] = '1';
    assert_int_equal(json_parse(big, 1u << 20, NULL, &v, NULL), 0);
    json_free(v);
    assert_int_equal(json_parse(big, (1u << 20) + 1, NULL, &v, NULL), ERR_TOO_LARGE);
    free(big);
}

/* Exactly-sized memory: a read behind the end is seen by the sanitizer. */
static void test_never_reads_behind_the_text(void **state)
{
    (void)state;
    static const char text[] =
        "{\"a\\u00e9\\ud83d\\ude00\xf0\x9f\x98\x80\":[true,null,-1.5e+3,{}]}";
    for (size_t len = 0; len < sizeof text - 1; len++) {
        char *exact = malloc(len ? len : 1);
        struct json *v;
        memcpy(exact, text, len);
        assert_int_equal(json_parse(exact, len, NULL, &v, NULL), ERR_NOT_JSON);
        free(exact);
    }
}

static void test_looks_up_and_walks(void **state)
{
    (void)state;
    struct json *v = must_parse("{\"a\":[10,\"x\",{\"k\":true}],\"A\":1.5,\"n\":null}");
    const struct json *a = json_get(v, "a");
    assert_int_equal(json_size(v), 3);
    assert_int_equal(json_size(a), 3);
    assert_true(json_number(json_at(a, 0)) == 10);
    assert_string_equal(json_text(json_at(a, 1)), "x");
    assert_true(json_bool(json_get(json_at(a, 2), "k")));
    assert_null(json_at(a, 3));
    assert_null(json_get(v, "b"));
    assert_null(json_get(a, "a"));
    assert_null(json_at(v, 0));
    assert_true(json_number(json_get(v, "A")) == 1.5);
    assert_string_equal(json_key(json_first(v)), "a");
    assert_string_equal(json_key(json_next(json_first(v))), "A");
    assert_null(json_key(json_first(a)));
    assert_null(json_key(v));
    assert_null(json_first(json_get(v, "n")));
    assert_null(json_next(json_at(a, 2)));
    json_free(v);
}

static void test_reads_of_another_type_are_harmless(void **state)
{
    (void)state;
    struct json *v = must_parse("[\"t\",7,true,1.0,2.5]");
    assert_int_equal(json_type(NULL), JSON_NULL);
    assert_true(json_is(NULL, JSON_NULL));
    assert_null(json_text(NULL));
    assert_null(json_text(json_at(v, 1)));
    assert_true(json_number(json_at(v, 0)) == 0);
    assert_true(json_number(NULL) == 0);
    assert_false(json_bool(json_at(v, 1)));
    assert_false(json_bool(NULL));
    assert_true(json_is_integer(json_at(v, 1)));
    assert_true(json_is_integer(json_at(v, 3)));
    assert_false(json_is_integer(json_at(v, 4)));
    assert_false(json_is_integer(json_at(v, 0)));
    assert_int_equal(json_size(NULL), 0);
    assert_null(json_first(NULL));
    assert_null(json_next(NULL));
    assert_null(json_get(NULL, "a"));
    json_free(v);
    json_free(NULL);
}

static void test_builds_and_replaces_in_place(void **state)
{
    (void)state;
    struct json *o = json_new_object(), *a = json_new_array();
    assert_int_equal(json_push(a, json_new_bool(true)), 0);
    assert_int_equal(json_push(a, json_new_text_n("abcdef", 3)), 0);
    assert_int_equal(json_push(a, json_new_null()), 0);
    assert_int_equal(json_put(o, "one", json_new_number(1)), 0);
    assert_int_equal(json_put(o, "list", a), 0);
    assert_int_equal(json_add(o, "last", json_new_text("\"q\"")), 0);
    assert_int_equal(json_put(o, "one", json_new_text("uno")), 0);
    assert_int_equal(json_put(o, "ONE", json_new_object()), 0);
    check_printed(o, "{\"one\":\"uno\",\"list\":[true,\"abc\",null],\"last\":\"\\\"q\\\"\","
                     "\"ONE\":{}}");
    json_free(o);
}

/* Under the sanitizer a value that is not freed fails the test. */
static void test_takes_the_value_also_on_failure(void **state)
{
    (void)state;
    struct json *o = json_new_object(), *a = json_new_array();
    assert_int_equal(json_put(o, "x", NULL), ERR_NOMEM);
    assert_int_equal(json_push(a, NULL), ERR_NOMEM);
    assert_int_equal(json_put(NULL, "x", json_new_null()), ERR_NOMEM);
    assert_int_equal(json_push(NULL, json_new_null()), ERR_NOMEM);
    assert_int_equal(json_push(o, json_new_text("x")), ERR_INVALID);
    assert_int_equal(json_put(a, "x", json_new_text("x")), ERR_INVALID);
    check_printed(o, "{}");
    check_printed(a, "[]");
    json_free(o);
    json_free(a);
}

static void test_mends_text_that_is_not_utf8(void **state)
{
    (void)state;
    struct json *o = json_new_object();
    assert_int_equal(json_put(o, "k\xff", json_new_text_n("a\0b\xc3", 4)), 0);
    assert_int_equal(json_put(o, "n", json_new_number((double)NAN)), 0);
    assert_int_equal(json_put(o, "i", json_new_number((double)INFINITY)), 0);
    check_printed(o, "{\"k\xef\xbf\xbd\":\"a\xef\xbf\xbd"
                     "b\xef\xbf\xbd\",\"n\":null,\"i\":null}");
    json_free(o);
    struct buf out;
    buf_init(&out, 0);
    json_print_text("a\0\xc3(\n\x01", 6, &out);
    assert_string_equal(buf_str(&out), "\"a\xef\xbf\xbd\xef\xbf\xbd(\\n\\u0001\"");
    buf_fini(&out);
}

static void test_copy_is_apart_and_has_no_name(void **state)
{
    (void)state;
    struct json *v = must_parse("{\"a\":{\"b\":[1,\"x\"]}}");
    struct json *copy = json_copy(json_get(v, "a")), *nothing = json_copy(NULL);
    json_free(v);
    check_printed(copy, "{\"b\":[1,\"x\"]}");
    assert_null(json_key(copy));
    check_printed(nothing, "null");
    json_free(copy);
    json_free(nothing);
}

static bool equal(const char *a, const char *b)
{
    struct json *x = must_parse(a), *y = must_parse(b);
    bool same = json_equal(x, y), mirrored = json_equal(y, x);
    struct buf p, q;
    buf_init(&p, 0);
    buf_init(&q, 0);
    json_print_sorted(x, &p);
    json_print_sorted(y, &q);
    assert_int_equal(same, strcmp(buf_str(&p), buf_str(&q)) == 0);
    assert_int_equal(same, mirrored);
    buf_fini(&p);
    buf_fini(&q);
    json_free(x);
    json_free(y);
    return same;
}

static void test_equality_is_of_values(void **state)
{
    (void)state;
    assert_true(equal("1", "1.0"));
    assert_true(equal("0", "-0"));
    assert_true(equal("{\"a\":1,\"b\":[2,{}]}", "{\"b\":[2.0,{}],\"a\":1}"));
    assert_true(equal("\"\\u0041\"", "\"A\""));
    assert_false(equal("1", "true"));
    assert_false(equal("0", "false"));
    assert_false(equal("null", "false"));
    assert_false(equal("[1,2]", "[2,1]"));
    assert_false(equal("[1,2]", "[1]"));
    assert_false(equal("{\"a\":1}", "{\"a\":1,\"b\":1}"));
    assert_false(equal("{\"a\":1,\"b\":2}", "{\"b\":1,\"a\":2}"));
    assert_false(equal("{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"));
    assert_false(equal("\"1\"", "1"));
    assert_true(json_equal(NULL, NULL));
}

/* Each level lists its members in another order: work may not double with the depth. */
static void test_equality_of_deep_values_ends(void **state)
{
    (void)state;
    struct json *x = json_new_null(), *y = json_new_null();
    for (int i = 0; i < 60; i++) {
        struct json *a = json_new_object(), *b = json_new_object();
        assert_int_equal(json_add(a, "in", x) | json_add(b, "in", y), 0);
        assert_int_equal(json_add(a, "p", json_new_null()) | json_add(b, "q", json_new_null()), 0);
        assert_int_equal(json_add(a, "q", json_new_null()) | json_add(b, "p", json_new_null()), 0);
        x = a;
        y = b;
    }
    assert_true(json_equal(x, y));
    json_free(x);
    json_free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reads_and_prints_what_was_read),
        cmocka_unit_test(test_numbers_keep_their_value_in_shortest_form),
        cmocka_unit_test(test_every_double_reads_back),
        cmocka_unit_test(test_refuses_what_is_not_json),
        cmocka_unit_test(test_refuses_numbers_it_cannot_keep),
        cmocka_unit_test(test_refuses_duplicate_keys_also_escaped),
        cmocka_unit_test(test_finds_a_duplicate_among_many_keys),
        cmocka_unit_test(test_pointer_is_cut_to_fit),
        cmocka_unit_test(test_bounds_size_and_depth),
        cmocka_unit_test(test_never_reads_behind_the_text),
        cmocka_unit_test(test_looks_up_and_walks),
        cmocka_unit_test(test_reads_of_another_type_are_harmless),
        cmocka_unit_test(test_builds_and_replaces_in_place),
        cmocka_unit_test(test_takes_the_value_also_on_failure),
        cmocka_unit_test(test_mends_text_that_is_not_utf8),
        cmocka_unit_test(test_copy_is_apart_and_has_no_name),
        cmocka_unit_test(test_equality_is_of_values),
        cmocka_unit_test(test_equality_of_deep_values_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
