/* The official JSON Schema Test Suite, as Debian packages it (json-schema-test-suite). Its newest
 * draft is 7; what was only renamed since is renamed here, so the cases run against the 2020-12
 * names that schema.h has. */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/schema.h"

#define SUITE "/usr/share/json-schema-test-suite/tests/draft7"

/* What is not run, by file and description ("" = the whole file), and why. */
static const struct {
    const char *file, *group, *reason;
} skipped[] = {
    {"refRemote.json", "", "schemas at other addresses are refused, nothing is fetched"},
    {"definitions.json", "", "refers to the meta-schema at its address"},
    {"ref.json", "remote ref, containing refs itself", "refers to the meta-schema at its address"},
    {"ref.json", "ref overrides any sibling keywords", "2020-12: keywords beside $ref count"},
    {"ref.json", "Recursive references between schemas", "$id is refused"},
    {"ref.json", "escaped pointer ref",
     "its targets are no keywords of the root; test_schema.c has the same under $defs"},
    {"optional/bignum.json", "", "numbers beyond 2^53 are refused before any schema"},
    {"optional/content.json", "", "contentEncoding and contentMediaType are refused"},
    {"optional/ecmascript-regex.json", "", "about `format`, which is an annotation here"},
    {"optional/format/", "", "`format` is an annotation here"},
};

struct counts {
    size_t files, groups, cases, failed;
    bool used[sizeof skipped / sizeof skipped[0]];
};

/* Is it on the list? The entry is marked: one that matches nothing is stale. */
static bool is_skipped(const char *file, const char *group, struct counts *n)
{
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        if (strcmp(skipped[i].file, file) == 0 && strcmp(skipped[i].group, group) == 0) {
            n->used[i] = true;
            return true;
        }
    }
    return false;
}

static struct json *modern(const struct json *old);

/* dependencies -> dependentRequired for lists, dependentSchemas for schemas. */
static void put_dependencies(struct json *out, const struct json *old)
{
    struct json *names = json_new_object(), *schemas = json_new_object();
    for (const struct json *v = json_first(old); v; v = json_next(v))
        assert_int_equal(json_put(json_is(v, JSON_ARRAY) ? names : schemas, json_key(v),
                                  json_is(v, JSON_ARRAY) ? json_copy(v) : modern(v)),
                         0);
    assert_int_equal(json_put(out, "dependentRequired", names), 0);
    assert_int_equal(json_put(out, "dependentSchemas", schemas), 0);
}

static struct json *modern_ref(const struct json *ref)
{
    char text[512];
    const char *old = json_text(ref);
    if (strncmp(old, "#/definitions/", 14) == 0)
        snprintf(text, sizeof text, "#/$defs/%s", old + 14);
    else if (strncmp(old, "#/items/", 8) == 0)
        snprintf(text, sizeof text, "#/prefixItems/%s", old + 8);
    else
        snprintf(text, sizeof text, "%s", old);
    return json_new_text(text);
}

static void put_modern(struct json *out, const struct json *object, const struct json *v)
{
    const char *key = json_key(v);
    bool tuple = json_is(json_get(object, "items"), JSON_ARRAY);
    struct json *value;
    if (strcmp(key, "dependencies") == 0) {
        put_dependencies(out, v);
        return;
    }
    if (strcmp(key, "additionalItems") == 0 && !tuple)
        return; /* draft 7: without a list of items it means nothing */
    if (strcmp(key, "enum") == 0 || strcmp(key, "const") == 0)
        value = json_copy(v);
    else if (strcmp(key, "$ref") == 0 && json_text(v))
        value = modern_ref(v);
    else
        value = modern(v);
    if (strcmp(key, "definitions") == 0)
        key = "$defs";
    else if (strcmp(key, "items") == 0 && tuple)
        key = "prefixItems";
    else if (strcmp(key, "additionalItems") == 0)
        key = "items";
    assert_int_equal(json_put(out, key, value), 0);
}

static struct json *modern(const struct json *old)
{
    if (json_is(old, JSON_ARRAY)) {
        struct json *list = json_new_array();
        for (const struct json *v = json_first(old); v; v = json_next(v))
            assert_int_equal(json_push(list, modern(v)), 0);
        return list;
    }
    if (!json_is(old, JSON_OBJECT))
        return json_copy(old);
    struct json *out = json_new_object();
    for (const struct json *v = json_first(old); v; v = json_next(v))
        put_modern(out, old, v);
    return out;
}

static void run_group(const char *file, const struct json *group, struct counts *n)
{
    const char *name = json_text(json_get(group, "description"));
    struct schema *s = NULL;
    struct schema_report report = {.n = 0};
    struct json *source = modern(json_get(group, "schema"));
    if (schema_compile(source, &s, schema_report_take, &report)) {
        print_error("%s: %s: refused at %s: %s %s\n", file, name, report.problems[0].pointer,
                    report.problems[0].keyword, report.problems[0].text);
        n->failed++;
        json_free(source);
        return;
    }
    json_free(source);
    n->groups++;
    for (const struct json *t = json_first(json_get(group, "tests")); t; t = json_next(t)) {
        bool want = json_bool(json_get(t, "valid"));
        int rc = schema_check(s, json_get(t, "data"), &report);
        n->cases++;
        if ((rc == 0) == want && (rc == 0) == (report.n == 0))
            continue;
        print_error("%s: %s: %s: %d, %zu problems\n", file, name,
                    json_text(json_get(t, "description")), rc, report.n);
        n->failed++;
    }
    schema_free(s);
}

static struct json *read_json(const char *file)
{
    char path[600];
    static char text[1 << 20];
    struct json *v = NULL;
    struct json_error error;
    snprintf(path, sizeof path, "%s/%s", SUITE, file);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (json_parse(text, len, NULL, &v, &error))
        fail_msg("%s: %s at %zu", path, error.what, error.offset);
    return v;
}

static void run_file(const char *file, struct counts *n)
{
    if (is_skipped(file, "", n))
        return;
    struct json *groups = read_json(file);
    n->files++;
    for (const struct json *g = json_first(groups); g; g = json_next(g))
        if (!is_skipped(file, json_text(json_get(g, "description")), n))
            run_group(file, g, n);
    json_free(groups);
}

static void run_folder(const char *below, struct counts *n)
{
    char path[500];
    snprintf(path, sizeof path, "%s/%.300s", SUITE, below);
    DIR *folder = opendir(path);
    if (!folder)
        fail_msg("%s is missing: apt-get install json-schema-test-suite", path);
    for (struct dirent *e; (e = readdir(folder)) != NULL;) {
        const char *dot = strrchr(e->d_name, '.');
        snprintf(path, sizeof path, "%.300s%.100s%s", below, e->d_name, dot ? "" : "/");
        if (dot && strcmp(dot, ".json") == 0)
            run_file(path, n);
        else if (!dot && !is_skipped(path, "", n))
            run_folder(path, n);
    }
    closedir(folder);
}

static void test_official_suite(void **state)
{
    (void)state;
    struct counts n = {0};
    run_folder("", &n);
    print_message("JSON Schema Test Suite, draft 7: %zu cases in %zu groups of %zu files ran, "
                  "%zu failed\n",
                  n.cases, n.groups, n.files, n.failed);
    for (size_t i = 0; i < sizeof skipped / sizeof skipped[0]; i++) {
        print_message("  skipped: %s %s: %s\n", skipped[i].file, skipped[i].group,
                      skipped[i].reason);
        n.failed += !n.used[i];
        if (!n.used[i])
            print_error("  ... which is not in the suite\n");
    }
    assert_int_equal(n.failed, 0);
    assert_in_range(n.cases, 380, 10000); /* a suite that lost its cases proves nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_official_suite)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
