#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/schema.h"

static struct json *must_parse(const char *text)
{
    struct json *v = NULL;
    struct json_error error;
    if (json_parse(text, strlen(text), NULL, &v, &error))
        fail_msg("%s: %s", text, error.what);
    return v;
}

static struct schema *must_compile(const char *text)
{
    struct json *source = must_parse(text);
    struct schema *s = NULL;
    struct schema_report report = {.n = 0};
    if (schema_compile(source, &s, schema_report_take, &report))
        fail_msg("%s: %s: %s", text, report.problems[0].pointer, report.problems[0].text);
    json_free(source); /* it was copied */
    return s;
}

static void check_report(const struct schema_report *report, const char *want)
{
    char got[4096] = "";
    size_t used = 0;
    for (size_t i = 0; i < report->n; i++)
        used += (size_t)snprintf(got + used, sizeof got - used, "%s%s|%s|%s", i ? "\n" : "",
                                 report->problems[i].pointer, report->problems[i].keyword,
                                 report->problems[i].text);
    assert_string_equal(got, want);
}

static void check(const char *schema, const char *value, const char *want)
{
    struct schema *s = must_compile(schema);
    struct json *v = must_parse(value);
    struct schema_report report;
    int rc = schema_check(s, v, &report);
    check_report(&report, want);
    assert_int_equal(rc, *want ? ERR_SCHEMA : 0);
    json_free(v);
    schema_free(s);
}

static void check_refused(const char *schema, const char *want)
{
    struct json *source = must_parse(schema);
    struct schema *s = NULL;
    struct schema_report report = {.n = 0};
    assert_int_equal(schema_compile(source, &s, schema_report_take, &report), ERR_SCHEMA);
    assert_null(s);
    check_report(&report, want);
    json_free(source);
}

static void test_messages_of_scalars(void **state)
{
    (void)state;
    check("{\"type\":\"string\"}", "1", "|type|must be a string");
    check("{\"type\":[\"integer\",\"null\",\"boolean\"]}", "1.5",
          "|type|must be a whole number or true or false or null");
    check("{\"type\":\"integer\"}", "1.0", "");
    check("{\"enum\":[\"a\",1,{\"b\":[]}]}", "2", "|enum|must be one of \"a\", 1, {\"b\":[]}");
    check("{\"const\":{\"a\":1,\"b\":2}}", "{\"b\":2.0,\"a\":1}", "");
    check("{\"const\":0}", "false", "|const|must be 0");
    check("{\"minimum\":1.5}", "1", "|minimum|must be at least 1.5");
    check("{\"maximum\":100}", "101", "|maximum|must be at most 100");
    check("{\"exclusiveMinimum\":0}", "0", "|exclusiveMinimum|must be more than 0");
    check("{\"exclusiveMaximum\":0}", "0", "|exclusiveMaximum|must be less than 0");
    check("{\"multipleOf\":0.01}", "0.015", "|multipleOf|must be a multiple of 0.01");
    check("{\"minLength\":1}", "\"\"", "|minLength|must not be empty");
    check("{\"minLength\":3}", "\"\\ud83d\\ude00a\"", "|minLength|must have at least 3 characters");
    check("{\"maxLength\":1}", "\"\\ud83d\\ude00\"", "");
    check("{\"maxLength\":1}", "\"ab\"", "|maxLength|must have at most 1 character");
    check("{\"pattern\":\"^[a-z]+$\"}", "\"A\"", "|pattern|must match the pattern \"^[a-z]+$\"");
    check("false", "1", "|false|is not allowed");
    check("true", "1", "");
}

static void test_multiples_are_what_people_expect(void **state)
{
    (void)state;
    check("{\"multipleOf\":0.01}", "19.99", "");
    check("{\"multipleOf\":0.1}", "0.3", "");
    check("{\"multipleOf\":1e-8}", "12391239123", "");
    check("{\"multipleOf\":0.5}", "1e22", "");
    check("{\"multipleOf\":6361}", "9007199254740991", "");
    check("{\"multipleOf\":0.123456789}", "1e308", "|multipleOf|must be a multiple of 0.123456789");
    check("{\"multipleOf\":2}", "0", "");
    check("{\"multipleOf\":0.3}", "0", "");
}

static void test_messages_of_objects_point_to_the_member(void **state)
{
    (void)state;
    check("{\"required\":[\"a\",\"b/c\"]}", "{}",
          "/a|required|is required\n/b~1c|required|is required");
    check("{\"properties\":{\"a\":{\"properties\":{\"b\":{\"type\":\"null\"}}}}}",
          "{\"x\":1,\"a\":{\"b\":0}}", "/a/b|type|must be null");
    check("{\"properties\":{\"a\":true},\"patternProperties\":{\"^x-\":{\"type\":\"number\"}},"
          "\"additionalProperties\":false}",
          "{\"x-1\":\"\",\"b\":1,\"a\":1}",
          "/x-1|type|must be a number\n/b|additionalProperties|is not known here");
    check("{\"additionalProperties\":{\"type\":\"number\"}}", "{\"a\":1,\"b\":\"\"}",
          "/b|type|must be a number");
    check("{\"propertyNames\":{\"maxLength\":2}}", "{\"ab\":1,\"abc\":1}",
          "/abc|propertyNames|its name is not allowed");
    check("{\"minProperties\":1}", "{}", "|minProperties|must have at least 1 member");
    check("{\"maxProperties\":1}", "{\"a\":1,\"b\":1}",
          "|maxProperties|must have at most 1 member");
    check("{\"dependentRequired\":{\"a\":[\"b\",\"c\"],\"x\":[\"y\"]}}", "{\"a\":1,\"c\":1}",
          "/b|dependentRequired|is required with a");
    check("{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"a\":1}",
          "/b|required|is required");
    check("{\"dependentSchemas\":{\"a\":{\"required\":[\"b\"]}}}", "{\"c\":1}", "");
}

static void test_messages_of_arrays_point_to_the_item(void **state)
{
    (void)state;
    check("{\"prefixItems\":[true,{\"type\":\"string\"}],\"items\":{\"type\":\"number\"}}",
          "[1,2,3,\"\"]", "/1|type|must be a string\n/3|type|must be a number");
    check("{\"prefixItems\":[{\"type\":\"string\"}]}", "[]", "");
    check("{\"items\":false}", "[1]", "/0|false|is not allowed");
    check("{\"minItems\":2,\"maxItems\":0}", "[1]",
          "|minItems|must have at least 2 items\n|maxItems|must have at most 0 items");
    check("{\"uniqueItems\":true}", "[{\"a\":1,\"b\":2},{\"b\":2,\"a\":1.0}]",
          "|uniqueItems|must not have equal items");
    check("{\"uniqueItems\":false}", "[1,1]", "");
    check("{\"contains\":{\"const\":1}}", "[2]", "|contains|must have at least 1 fitting item");
    check("{\"contains\":{\"const\":1},\"minContains\":0}", "[]", "");
    check("{\"contains\":{\"const\":1},\"minContains\":2,\"maxContains\":2}", "[1,2,1]", "");
    check("{\"contains\":{\"const\":1},\"minContains\":2}", "[1,2]",
          "|contains|must have at least 2 fitting items");
    check("{\"contains\":{\"const\":1},\"maxContains\":1}", "[1,1]",
          "|contains|must have at most 1 fitting item");
    check("{\"minContains\":5}", "[]", "");
}

static void test_combinations(void **state)
{
    (void)state;
    check("{\"allOf\":[{\"minimum\":2},{\"maximum\":0}]}", "1",
          "|minimum|must be at least 2\n|maximum|must be at most 0");
    check("{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":2}]}", "1",
          "|anyOf|must fit one of 2 alternatives");
    check("{\"anyOf\":[{\"type\":\"string\"},{\"minimum\":2}]}", "\"\"", "");
    check("{\"oneOf\":[{\"minimum\":0},{\"maximum\":5}]}", "3",
          "|oneOf|must fit exactly one of 2 alternatives, it fits 2");
    check("{\"not\":{\"required\":[\"a\"]}}", "{\"a\":1}", "|not|has a form that is not allowed");
    check("{\"if\":{\"properties\":{\"k\":{\"const\":1}}},\"then\":{\"required\":[\"a\"]},"
          "\"else\":{\"required\":[\"b\"]}}",
          "{\"k\":1}", "/a|required|is required");
    check("{\"if\":{\"properties\":{\"k\":{\"const\":1}}},\"then\":{\"required\":[\"a\"]},"
          "\"else\":{\"required\":[\"b\"]}}",
          "{\"k\":2}", "/b|required|is required");
    check("{\"then\":{\"required\":[\"a\"]}}", "{}", "");
}

static void test_references(void **state)
{
    (void)state;
    check("{\"$ref\":\"#/$defs/a\",\"maximum\":5,\"$defs\":{\"a\":{\"minimum\":7}}}", "6",
          "|minimum|must be at least 7\n|maximum|must be at most 5");
    check("{\"properties\":{\"child\":{\"$ref\":\"#\"},\"n\":{\"type\":\"number\"}}}",
          "{\"child\":{\"child\":{\"n\":\"\"}}}", "/child/child/n|type|must be a number");
    check("{\"$ref\":\"#/$defs/a~1b~0c%25%22\",\"$defs\":{\"a/b~c%\\\"\":{\"type\":\"null\"}}}",
          "1", "|type|must be null");
    check("{\"prefixItems\":[{\"type\":\"null\"},{\"$ref\":\"#/prefixItems/0\"}]}", "[null,1]",
          "/1|type|must be null");
    check_refused("{\"$ref\":\"#/$defs/none\"}", "/$ref|$ref|points to nothing in this schema");
    check_refused("{\"$ref\":\"#/$defs/%\"}", "/$ref|$ref|points to nothing in this schema");
    static const char *const nothing[] = {"#/$defs/%zz", "#/$defs/%00", "#/$defs/~2", "#x",
                                          "#/allOf/1",   "#/allOf/00",  "#/allOf/-",  "#/allOf/x",
                                          "#/allOf/",    "#/$ref/0",    "#/allOf/0/0"};
    for (size_t i = 0; i < sizeof nothing / sizeof nothing[0]; i++) {
        char text[100];
        snprintf(text, sizeof text, "{\"$ref\":\"%s\",\"allOf\":[true]}", nothing[i]);
        check_refused(text, "/$ref|$ref|points to nothing in this schema");
    }
    check("{\"$ref\":\"#/%24defs/%e2%82%ac\",\"$defs\":{\"\xe2\x82\xac\":false}}", "1",
          "|false|is not allowed");
    check_refused("{\"$ref\":\"other.json\"}",
                  "/$ref|$ref|must point into this schema, like `#/$defs/NAME`");
    check_refused("{\"$ref\":\"#/$defs\",\"$defs\":{\"x\":{}}}", "/$defs/x|x|is no keyword");
    check_refused("{\"$ref\":\"#/$ref\"}",
                  "/$ref|$ref|must point to a schema: an object, true or false");
}

/* Each with its own place, also what is seen first, or again, through a reference. */
static void test_every_mistake_is_told_once(void **state)
{
    (void)state;
    check_refused(
        "{\"type\":\"strng\",\"minLength\":-1,\"requird\":[],\"properties\":{\"a\":{\"enum\":[]},"
        "\"b\":3,\"c\":{\"maximum\":\"1\"}}}",
        "/type|type|must be null, boolean, number, integer, string, array or object, or a "
        "list of different ones\n"
        "/minLength|minLength|must be a whole number from 0 on\n"
        "/requird|requird|is no keyword; did you mean `required`?\n"
        "/properties/a/enum|enum|must be a list of at least one value\n"
        "/properties/b||must be a schema: an object, true or false\n"
        "/properties/c/maximum|maximum|must be a number");
    check_refused(
        "{\"allOf\":[{\"minItems\":-1},4,{\"maxItems\":-1}],"
        "\"dependentRequired\":{\"a\":1,\"b\":[\"a\"],\"c\":[1]},"
        "\"patternProperties\":{\"[\":5,\"(\":true}}",
        "/allOf/0/minItems|minItems|must be a whole number from 0 on\n"
        "/allOf/1||must be a schema: an object, true or false\n"
        "/allOf/2/maxItems|maxItems|must be a whole number from 0 on\n"
        "/dependentRequired/a|dependentRequired|must be a list of different names\n"
        "/dependentRequired/c|dependentRequired|must be a list of different names\n"
        "/patternProperties/[||must be a schema: an object, true or false\n"
        "/patternProperties/(|patternProperties|missing closing parenthesis at character 2\n"
        "/patternProperties/[|patternProperties|missing terminating ] for character class at "
        "character 2");
    check_refused("{\"if\":1,\"then\":2,\"else\":{\"pattern\":3}}",
                  "/if||must be a schema: an object, true or false\n"
                  "/else/pattern|pattern|must be a regular expression\n"
                  "/then||must be a schema: an object, true or false");
    check_refused("{\"properties\":{\"a\":{\"$ref\":\"#/$defs/x\"},\"b\":{\"$ref\":\"#/$defs/x\"},"
                  "\"c\":{\"$ref\":\"#/$defs/none\"}},\"$defs\":{\"x\":{\"minLength\":-1,"
                  "\"oneOf\":[true,{\"maxLength\":-1}]}}}",
                  "/$defs/x/minLength|minLength|must be a whole number from 0 on\n"
                  "/$defs/x/oneOf/1/maxLength|maxLength|must be a whole number from 0 on\n"
                  "/properties/c/$ref|$ref|points to nothing in this schema");
}

static void count_told(void *arg, const struct schema_problem *p)
{
    size_t *n = arg;
    assert_non_null(p->text);
    ++*n;
}

/* A report holds ten; who is told takes them all. */
static void test_no_mistake_is_one_too_many(void **state)
{
    (void)state;
    struct json *source = must_parse("{\"allOf\":[0,1,2,3,4,5,6,7,8,9,10,11]}");
    struct schema *s = NULL;
    size_t told = 0;
    assert_int_equal(schema_compile(source, &s, count_told, &told), ERR_SCHEMA);
    assert_int_equal(told, 12);
    struct schema_report report = {.n = 0};
    assert_int_equal(schema_compile(source, &s, schema_report_take, &report), ERR_SCHEMA);
    assert_int_equal(report.n, SCHEMA_PROBLEMS_MAX);
    assert_null(s);
    json_free(source);
}

static void test_circles_that_never_end_are_refused(void **state)
{
    (void)state;
    check_refused("{\"$ref\":\"#\"}", "|$ref|refers to itself without going into the value");
    check_refused("{\"properties\":{\"x\":{\"anyOf\":[{\"$ref\":\"#/$defs/a\"}]}},"
                  "\"$defs\":{\"a\":{\"not\":{\"$ref\":\"#/$defs/b\"}},"
                  "\"b\":{\"if\":true,\"else\":{\"$ref\":\"#/$defs/a\"}}}}",
                  "/$defs/b/else|$ref|refers to itself without going into the value");
    check_refused("{\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\"},\"b\":{\"minLength\":-1,\"allOf\":["
                  "1,{\"$ref\":\"#/$defs/c\"}]},\"c\":{\"anyOf\":[{\"$ref\":\"#/$defs/b\"},"
                  "{\"not\":{\"$ref\":\"#/$defs/b\"}}]}}}",
                  "/$defs/b/minLength|minLength|must be a whole number from 0 on\n"
                  "/$defs/b/allOf/0||must be a schema: an object, true or false\n"
                  "/$defs/b|$ref|refers to itself without going into the value\n"
                  "/$defs/c/anyOf/1/not|$ref|refers to itself without going into the value\n"
                  "/$defs/a|$ref|refers to itself without going into the value");
}

static void test_unknown_keywords_are_refused(void **state)
{
    (void)state;
    check_refused("{\"properties\":{\"a\":{\"requird\":[]}}}",
                  "/properties/a/requird|requird|is no keyword; did you mean `required`?");
    check_refused("{\"zzzzzzzz\":1}", "/zzzzzzzz|zzzzzzzz|is no keyword");
    check_refused("{\"definitions\":{}}",
                  "/definitions|definitions|cannot stand here: write `$defs`");
    check_refused("{\"$id\":\"x\"}",
                  "/$id|$id|cannot stand here: leave it out; a schema has no address here");
    check_refused("{\"unevaluatedProperties\":false}",
                  "/unevaluatedProperties|unevaluatedProperties|cannot stand here: it is not "
                  "supported; write `additionalProperties`");
    check("{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\",\"title\":\"t\","
          "\"description\":\"d\",\"default\":1,\"examples\":[],\"$comment\":\"c\","
          "\"deprecated\":true,\"readOnly\":true,\"writeOnly\":true,\"format\":\"email\"}",
          "1", "");
}

static void test_wrong_values_of_keywords_are_refused(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"{\"type\":\"text\"}", "type"},
        {"{\"type\":[]}", "type"},
        {"{\"type\":[\"null\",\"null\"]}", "type"},
        {"{\"type\":1}", "type"},
        {"{\"enum\":[]}", "enum"},
        {"{\"enum\":1}", "enum"},
        {"{\"minimum\":\"1\"}", "minimum"},
        {"{\"multipleOf\":0}", "multipleOf"},
        {"{\"minLength\":-1}", "minLength"},
        {"{\"maxItems\":1.5}", "maxItems"},
        {"{\"minContains\":\"1\"}", "minContains"},
        {"{\"uniqueItems\":1}", "uniqueItems"},
        {"{\"pattern\":1}", "pattern"},
        {"{\"pattern\":\"(\"}", "pattern"},
        {"{\"patternProperties\":{\"[\":true}}", "patternProperties"},
        {"{\"required\":[\"a\",\"a\"]}", "required"},
        {"{\"required\":\"a\"}", "required"},
        {"{\"properties\":[]}", "properties"},
        {"{\"allOf\":[]}", "allOf"},
        {"{\"anyOf\":{}}", "anyOf"},
        {"{\"prefixItems\":[]}", "prefixItems"},
        {"{\"items\":[]}", "items"},
        {"{\"dependentRequired\":{\"a\":1}}", "dependentRequired"},
        {"{\"dependentRequired\":[]}", "dependentRequired"},
        {"{\"$schema\":\"http://json-schema.org/draft-07/schema#\"}", "$schema"},
        {"{\"not\":1}", ""},
        {"{\"then\":{\"not\":1}}", ""},
        {"{\"$defs\":{\"a\":1}}", ""},
        {"3", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json *source = must_parse(rows[i][0]);
        struct schema *s = NULL;
        struct schema_report report = {.n = 0};
        if (schema_compile(source, &s, schema_report_take, &report) != ERR_SCHEMA ||
            report.n != 1 || strcmp(report.problems[0].keyword, rows[i][1]) != 0)
            fail_msg("%s", rows[i][0]);
        json_free(source);
    }
    check_refused("{\"properties\":{\"a\":{\"pattern\":\"a(\"}}}",
                  "/properties/a/pattern|pattern|missing closing parenthesis at character 3");
}

static void test_at_most_ten_problems(void **state)
{
    (void)state;
    struct schema *s = must_compile("{\"items\":{\"type\":\"string\",\"const\":\"a\"}}");
    struct json *v = must_parse("[1,2,3,4,5,6,7,8]");
    struct schema_report report;
    assert_int_equal(schema_check(s, v, &report), ERR_SCHEMA);
    assert_int_equal(report.n, SCHEMA_PROBLEMS_MAX);
    assert_string_equal(report.problems[9].pointer, "/4");
    json_free(v);
    schema_free(s);
}

static void test_long_texts_are_cut(void **state)
{
    (void)state;
    struct buf b;
    struct schema_report report;
    buf_init(&b, 0);
    buf_text(&b, "{\"const\":\"");
    for (int i = 0; i < 1000; i++)
        buf_text(&b, "\xc3\xa9");
    buf_text(&b, "\"}");
    struct schema *s = must_compile(buf_str(&b));
    assert_int_equal(schema_check(s, NULL, &report), ERR_SCHEMA);
    const char *text = report.problems[0].text;
    size_t len = strlen(text);
    assert_in_range(len, 100, sizeof report.problems[0].text - 1);
    assert_string_equal(text + len - 5, "\xc3\xa9...");
    schema_free(s);
    buf_fini(&b);
}

static void fill(struct buf *b, size_t n, const char *format)
{
    buf_char(b, '[');
    for (size_t i = 0; i < n; i++) {
        buf_text(b, i ? "," : "");
        buf_printf(b, strcmp(format, "%zu") == 0 ? "%zu" : "\"aaaaaaaaaaaaaaaaaaaaaaaaaa%zu\"", i);
    }
    buf_char(b, ']');
}

/* A hundred thousand different items: the square of them would end in the test's time limit. */
static void test_unique_items_of_a_large_array(void **state)
{
    (void)state;
    struct buf b;
    struct json *v = NULL;
    struct schema_report report;
    struct schema *s = must_compile("{\"uniqueItems\":true}");
    buf_init(&b, 0);
    fill(&b, 100000, "%zu");
    assert_int_equal(json_parse(buf_str(&b), b.len, NULL, &v, NULL), 0);
    assert_int_equal(schema_check(s, v, &report), 0);
    assert_int_equal(json_push(v, json_new_number(77)), 0);
    assert_int_equal(schema_check(s, v, &report), ERR_SCHEMA);
    json_free(v);
    schema_free(s);
    buf_fini(&b);
}

static void check_gives_up(const char *schema, const struct json *v, const char *keyword)
{
    struct schema *s = must_compile(schema);
    struct schema_report report;
    assert_int_equal(schema_check(s, v, &report), ERR_SCHEMA);
    assert_int_equal(report.n, 1);
    assert_string_equal(report.problems[0].text, "takes too much work to check");
    assert_string_equal(report.problems[0].keyword, keyword);
    schema_free(s);
}

/* What the limits end does not fit, also where `not` would turn it round. */
static void test_hostile_values_do_not_hold_a_thread(void **state)
{
    (void)state;
    struct buf b;
    struct json *v = NULL;
    buf_init(&b, 0);
    fill(&b, 20000, "text");
    assert_int_equal(json_parse(buf_str(&b), b.len, NULL, &v, NULL), 0);
    check_gives_up("{\"items\":{\"pattern\":\"^(a+)+$\"}}", v, "pattern");
    check_gives_up("{\"not\":{\"items\":{\"pattern\":\"^(a+)+$\"}}}", v, "pattern");
    json_free(v);
    v = must_parse("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!\":1}");
    check_gives_up("{\"additionalProperties\":false,\"patternProperties\":{\"^(a+)+$\":true}}", v,
                   "patternProperties");
    json_free(v);
    buf_clear(&b);
    for (int i = 0; i < 60; i++)
        buf_text(&b, "{\"a\":");
    buf_text(&b, "1");
    for (int i = 0; i < 60; i++)
        buf_char(&b, '}');
    v = must_parse(buf_str(&b));
    check_gives_up("{\"type\":\"object\",\"anyOf\":[{\"properties\":{\"a\":{\"$ref\":\"#\"}}},"
                   "{\"properties\":{\"a\":{\"$ref\":\"#\"}}}]}",
                   v, "");
    json_free(v);
    buf_fini(&b);
}

static void test_schemas_too_large_or_deep_are_refused(void **state)
{
    (void)state;
    struct json *source = json_new_object(), *list = json_new_array();
    struct schema *s = NULL;
    struct schema_report report = {.n = 0};
    for (int i = 0; i < 5000; i++)
        assert_int_equal(json_push(list, json_new_object()), 0);
    assert_int_equal(json_put(source, "allOf", list), 0);
    assert_int_equal(schema_compile(source, &s, schema_report_take, &report), ERR_SCHEMA);
    check_report(&report, "/allOf/3999||the schema is too large or nested too deeply");
    json_free(source);
    source = json_new_object();
    for (int i = 0; i < 300; i++) {
        struct json *outer = json_new_object();
        assert_int_equal(json_put(outer, "not", source), 0);
        source = outer;
    }
    report.n = 0;
    assert_int_equal(schema_compile(source, &s, schema_report_take, &report), ERR_SCHEMA);
    assert_int_equal(report.n, 1);
    json_free(source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_messages_of_scalars),
        cmocka_unit_test(test_multiples_are_what_people_expect),
        cmocka_unit_test(test_messages_of_objects_point_to_the_member),
        cmocka_unit_test(test_messages_of_arrays_point_to_the_item),
        cmocka_unit_test(test_combinations),
        cmocka_unit_test(test_references),
        cmocka_unit_test(test_every_mistake_is_told_once),
        cmocka_unit_test(test_no_mistake_is_one_too_many),
        cmocka_unit_test(test_circles_that_never_end_are_refused),
        cmocka_unit_test(test_unknown_keywords_are_refused),
        cmocka_unit_test(test_wrong_values_of_keywords_are_refused),
        cmocka_unit_test(test_at_most_ten_problems),
        cmocka_unit_test(test_long_texts_are_cut),
        cmocka_unit_test(test_unique_items_of_a_large_array),
        cmocka_unit_test(test_hostile_values_do_not_hold_a_thread),
        cmocka_unit_test(test_schemas_too_large_or_deep_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
