#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/flow.h"

static const uint8_t rev_a[8] = {1}, rev_b[8] = {2};
static const uint8_t alice[16] = {3}, bob[16] = {4};

static struct flow_set *set_new(size_t flows)
{
    struct flow_set *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->refs = 1;
    s->flows = calloc(flows, sizeof *s->flows);
    s->flows_n = flows;
    return s;
}

static void flow_name(struct flow *f, const char *name, const char *topic)
{
    memcpy(f->name, name, strlen(name) + 1);
    f->topic.name = strdup(topic);
}

static void a_set_lives_until_its_last_user(void **state)
{
    (void)state;
    struct flow_set *s = set_new(1);
    flow_name(&s->flows[0], "one", "t");
    assert_ptr_equal(flow_set_get(s), s);
    flow_set_put(s);
    assert_string_equal(s->flows[0].name, "one"); /* ASan: still there */
    flow_set_put(s);
    flow_set_put(NULL);
}

static void flows_are_found_by_name_and_topic(void **state)
{
    (void)state;
    struct flow_set *s = set_new(2);
    flow_name(&s->flows[0], "one", "t");
    flow_name(&s->flows[1], "two", "t.x");
    assert_ptr_equal(flow_by_name(s, "two"), &s->flows[1]);
    assert_null(flow_by_name(s, "t"));
    assert_ptr_equal(flow_by_topic(s, "t"), &s->flows[0]);
    assert_ptr_equal(flow_by_topic(s, "t.retry"), &s->flows[0]);
    assert_ptr_equal(flow_by_topic(s, "t.x.retry"), &s->flows[1]);
    assert_null(flow_by_topic(s, "t.retry.retry"));
    assert_null(flow_by_topic(s, "t."));
    assert_null(flow_by_topic(s, ""));
    flow_set_put(s);
}

static struct expr *expression(const char *text)
{
    struct expr *e = NULL;
    struct expr_error error = {0};
    int err = expr_compile(text, VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_USER), &e, &error);
    if (err)
        fail_msg("%s: %s", text, error.text);
    return e;
}

static struct json *json(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static int record_key(const char *key, const char *request, char *out, size_t size)
{
    struct flow f = {.key = key ? expression(key) : NULL};
    struct json *value = json(request);
    struct expr_vars vars = {.value[VAR_REQUEST] = value};
    struct expr_error error = {0};
    struct buf text;
    buf_init(&text, 0);
    int err = flow_record_key(&f, "the-id", &vars, &text, &error);
    if (err == 0)
        assert_int_equal(snprintf(out, size, "%s", buf_str(&text)), text.len);
    else
        assert_true(error.text[0]);
    buf_fini(&text);
    json_free(value);
    expr_free(f.key);
    return err;
}

static void the_record_key_is_the_expressions_text_or_the_id(void **state)
{
    (void)state;
    char out[100];
    assert_int_equal(record_key(NULL, "{}", out, sizeof out), 0);
    assert_string_equal(out, "the-id");
    assert_int_equal(record_key("$request.a", "{\"a\":\"x\\\"y\"}", out, sizeof out), 0);
    assert_string_equal(out, "x\"y");
    assert_int_equal(record_key("$request.a", "{\"a\":12.50}", out, sizeof out), 0);
    assert_string_equal(out, "12.5");
    assert_int_equal(record_key("$request.a", "{\"a\":false}", out, sizeof out), 0);
    assert_string_equal(out, "false");
    assert_int_equal(record_key("$request.a", "{\"a\":null}", out, sizeof out), ERR_EXPRESSION);
    assert_int_equal(record_key("$request.a", "{\"a\":[1]}", out, sizeof out), ERR_EXPRESSION);
    assert_int_equal(record_key("$request.a", "{\"a\":{}}", out, sizeof out), ERR_EXPRESSION);
    assert_int_equal(record_key("$request | error(\"no\")", "{}", out, sizeof out), ERR_EXPRESSION);
}

struct cache_case {
    const char *name, *key, *request;
    enum cache_scope scope;
    const uint8_t *rev, *owner;
};

static int cache_hash(const struct cache_case *c, char out[65])
{
    struct flow f = {.cache = {.scope = c->scope, .key = expression(c->key)}};
    memcpy(f.name, c->name, strlen(c->name) + 1);
    struct json *value = json(c->request);
    struct expr_vars vars = {.value[VAR_REQUEST] = value};
    struct expr_error error = {0};
    memset(out, '-', 65);
    int err = flow_cache_hash(&f, c->rev, c->owner, &vars, out, &error);
    json_free(value);
    expr_free(f.cache.key);
    return err;
}

static bool same_hash(struct cache_case a, struct cache_case b)
{
    char x[65], y[65];
    assert_int_equal(cache_hash(&a, x), 0);
    assert_int_equal(cache_hash(&b, y), 0);
    assert_int_equal(strlen(x), 64);
    assert_int_equal(strspn(x, "0123456789abcdef"), 64);
    return strcmp(x, y) == 0;
}

static void the_cache_hash_tells_apart_what_must_not_be_shared(void **state)
{
    (void)state;
    const struct cache_case base = {"f", "$request.a", "{\"a\":\"1\"}", SCOPE_USER, rev_a, alice};
    struct cache_case other = base;
    assert_true(same_hash(base, other));
    other.name = "g";
    assert_false(same_hash(base, other));
    other = base;
    other.rev = rev_b;
    assert_false(same_hash(base, other));
    other = base;
    other.owner = bob;
    assert_false(same_hash(base, other));
    other = base;
    other.scope = SCOPE_SHARED;
    assert_false(same_hash(base, other));
    other = base;
    other.request = "{\"a\":1}"; /* "1" is not 1 */
    assert_false(same_hash(base, other));
    other = base;
    other.key = "[$request.a]";
    assert_false(same_hash(base, other));
    other = base;
    other.key = "$request.a + \"\""; /* only the value counts */
    assert_true(same_hash(base, other));
}

static void a_shared_cache_knows_no_owner(void **state)
{
    (void)state;
    struct cache_case a = {"f", "$request.a", "{\"a\":true}", SCOPE_SHARED, rev_a, alice};
    struct cache_case b = a;
    b.owner = bob;
    assert_true(same_hash(a, b));
}

static void guests_have_only_the_shared_cache(void **state)
{
    (void)state;
    struct flow f = {0};
    struct owner nobody = {0}, somebody = {.b = {[15] = 1}};
    assert_false(flow_caches_for(&f, &somebody)); /* no cache at all */
    f.cache.scope = SCOPE_USER;
    assert_true(flow_caches_for(&f, &somebody));
    assert_false(flow_caches_for(&f, &nobody));
    f.cache.scope = SCOPE_SHARED;
    assert_true(flow_caches_for(&f, &nobody));
    assert_true(flow_caches_for(&f, &somebody));
}

static void a_cache_key_is_a_scalar_or_an_array_of_them(void **state)
{
    (void)state;
    const struct {
        const char *value;
        int err;
    } cases[] = {{"\"x\"", 0},
                 {"1", 0},
                 {"[\"a\",1,true]", 0},
                 {"[]", 0},
                 {"null", ERR_EXPRESSION},
                 {"{}", ERR_EXPRESSION},
                 {"[null]", ERR_EXPRESSION},
                 {"[[1]]", ERR_EXPRESSION}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[100], out[65];
        snprintf(request, sizeof request, "{\"a\":%s}", cases[i].value);
        struct cache_case c = {"f", "$request.a", request, SCOPE_USER, rev_a, alice};
        assert_int_equal(cache_hash(&c, out), cases[i].err);
        if (cases[i].err)
            assert_int_equal(out[0], '-'); /* untouched */
    }
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_lives_until_its_last_user),
        cmocka_unit_test(flows_are_found_by_name_and_topic),
        cmocka_unit_test(the_record_key_is_the_expressions_text_or_the_id),
        cmocka_unit_test(the_cache_hash_tells_apart_what_must_not_be_shared),
        cmocka_unit_test(a_shared_cache_knows_no_owner),
        cmocka_unit_test(guests_have_only_the_shared_cache),
        cmocka_unit_test(a_cache_key_is_a_scalar_or_an_array_of_them),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
