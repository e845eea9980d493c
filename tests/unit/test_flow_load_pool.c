#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/flow_load.h"
#include "common/json.h"

#define HEAD                                                                            \
    "title: T\naccess: guests\n"                                                        \
    "request:\n  schema:\n    type: object\n    required: [id, who]\n    properties:\n" \
    "      id: {type: integer, minimum: 1}\n      who: {type: string}\n"                \
    "      note: {$ref: '#/$defs/text'}\n    $defs: {text: {type: string}}\n"
#define POOL "pool:\n  key: $request.id\n  refill: {topic: fill, fields: [id, note]}\n"

struct fixture {
    char dir[40], file[2][80];
    size_t n;
    struct findings findings;
    struct flow_set *set;
};

static void setup(struct fixture *x)
{
    *x = (struct fixture){.n = 0};
    snprintf(x->dir, sizeof x->dir, "/tmp/test_flow_pool-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    findings_init(&x->findings);
}

static void put(struct fixture *x, const char *name, const char *text)
{
    char path[80];
    snprintf(path, sizeof path, "%s/%s.yaml", x->dir, name);
    memcpy(x->file[x->n++], path, sizeof path);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fprintf(out, "flow: %s\n%s", name, text);
    assert_int_equal(fclose(out), 0);
}

static void done(struct fixture *x)
{
    for (size_t i = 0; i < x->n; i++)
        unlink(x->file[i]);
    rmdir(x->dir);
    findings_fini(&x->findings);
    flow_set_put(x->set);
}

static int load(struct fixture *x)
{
    const struct flow_load_settings s = {.flows_dir = x->dir,
                                         .upstreams_file = "tests/upstreams.yaml"};
    return flow_load(&s, &x->findings, &x->set);
}

/* Loads; one error with this text, or with NULL none. */
static void expect(struct fixture *x, const char *text)
{
    struct buf out = {0};
    int err = load(x);
    findings_print(&x->findings, false, &out);
    if (err != (text ? ERR_INVALID : 0) || x->findings.errors != (text ? 1 : 0) ||
        (text && !strstr(buf_str(&out), text)))
        fail_msg("not %s, but\n%s", text ? text : "taken", buf_str(&out));
    buf_fini(&out);
}

static void a_pool_is_read(void **state)
{
    struct fixture x;
    (void)state;
    setup(&x);
    put(&x, "a",
        HEAD "topic: {name: t, group: g}\npool:\n  key: $request.id\n  size: 7\n  ttl: 2h\n"
             "  refill: {topic: fill, group: fillers, fields: [id]}\n");
    put(&x, "b",
        HEAD "topic: {name: u, group: g}\npool:\n  key: $request.id\n"
             "  refill: {topic: fill-u, fields: [id, note, id]}\n");
    expect(&x, NULL);
    const struct flow *a = flow_by_name(x.set, "a"), *b = flow_by_name(x.set, "b");
    assert_int_equal(a->pool.size, 7);
    assert_int_equal(a->pool.ttl_ms, 7200000);
    assert_string_equal(a->pool.topic, "fill");
    assert_string_equal(a->pool.group, "fillers");
    assert_int_equal(a->pool.fields_n, 1);
    assert_int_equal(b->pool.size, 4);
    assert_int_equal(b->pool.ttl_ms, INT64_C(30) * 86400000);
    assert_string_equal(b->pool.group, "g");
    assert_int_equal(b->pool.fields_n, 2);
    assert_ptr_equal(flow_by_topic(x.set, "fill"), a);
    assert_ptr_equal(flow_by_topic(x.set, "fill-u"), b);
    assert_null(flow_by_topic(x.set, "fill.retry")); /* what is due again goes to the flow's own */
    done(&x);
}

static struct json *parsed(const char *text)
{
    struct json *v;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static void a_refill_has_its_fields_and_their_schema(void **state)
{
    static const struct {
        const char *value, *fields; /* NULL: does not fit */
    } cases[] = {{"{\"who\":\"x\",\"id\":7,\"more\":1}", "{\"id\":7}"},
                 {"{\"note\":\"n\",\"id\":7}", "{\"id\":7,\"note\":\"n\"}"},
                 {"{\"note\":\"n\"}", NULL},
                 {"{\"id\":0}", NULL},
                 {"{\"id\":7,\"note\":1}", NULL}};
    struct fixture x;
    (void)state;
    setup(&x);
    put(&x, "a", HEAD POOL);
    expect(&x, NULL);
    const struct flow *f = flow_by_name(x.set, "a");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *v = parsed(cases[i].value), *fields = NULL;
        struct schema_report report = {.n = 0};
        struct buf text = {0};
        assert_int_equal(flow_pool_fields(f, v, &fields), 0);
        int err = schema_check(f->pool.schema, fields, &report);
        assert_int_equal(err, cases[i].fields ? 0 : ERR_SCHEMA);
        json_print(fields, &text);
        if (cases[i].fields)
            assert_string_equal(buf_str(&text), cases[i].fields);
        buf_fini(&text);
        json_free(fields);
        json_free(v);
    }
    struct json *list = parsed("[1]"), *none = NULL;
    assert_int_equal(flow_pool_fields(f, list, &none), ERR_INVALID);
    json_free(list);
    done(&x);
}

static void the_key_is_text(void **state)
{
    static const struct {
        const char *value, *key; /* NULL: none */
    } cases[] = {{"{\"id\":7}", "7"},
                 {"{\"id\":\"a b\"}", "a b"},
                 {"{\"id\":true}", "true"},
                 {"{\"id\":[7]}", NULL},
                 {"{}", NULL}};
    struct fixture x;
    (void)state;
    setup(&x);
    put(&x, "a", HEAD POOL);
    expect(&x, NULL);
    const struct flow *f = flow_by_name(x.set, "a");
    struct expr_vars vars = {0};
    struct expr_error error = {0};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct json *v = parsed(cases[i].value);
        struct buf key = {0};
        vars.value[VAR_REQUEST] = v;
        int err = flow_pool_key(f, &vars, &key, &error);
        assert_int_equal(err, cases[i].key ? 0 : ERR_EXPRESSION);
        if (cases[i].key)
            assert_string_equal(buf_str(&key), cases[i].key);
        buf_fini(&key);
        json_free(v);
    }
    char longer[300];
    snprintf(longer, sizeof longer, "{\"id\":\"%0*d\"}", FLOW_POOL_KEY_MAX + 1, 7);
    struct json *v = parsed(longer);
    struct buf key = {0};
    vars.value[VAR_REQUEST] = v;
    assert_int_equal(flow_pool_key(f, &vars, &key, &error), ERR_EXPRESSION);
    assert_string_equal(error.text, "the pool's key is longer than 200 bytes");
    buf_fini(&key);
    json_free(v);
    done(&x);
}

static void what_a_refill_runs_uses_its_fields_only(void **state)
{
    static const struct {
        const char *text, *error; /* NULL: well */
    } cases[] = {
        {"result: $request.who\n", "`$request.who`: a refill runs this too"},
        {"result: $request\n", "`$request` as a whole"},
        {"result: $user.id\n", "`$user`: a refill runs this too"},
        {"result: '[$request.id, $request.note]'\n", NULL},
        {"check:\n  - that: $request.who != \"\"\n    else: no\n", "`$request.who`"},
        {"check:\n  - that: $request.id > 0\n    else: no \\($request.who)\n", "`$request.who`"},
        {"check:\n  - when: $job.refill  |  not\n    that: $request.who != \"\"\n    else: no\n",
         NULL},
        {"check:\n  - when: $job.refill\n    that: $request.who != \"\"\n    else: no\n",
         "`$request.who`"},
        {"load:\n  a: {database: member, sql: 'SELECT 1 FROM t WHERE a = \\($request.who)'}\n"
         "result: $rows.a\n",
         "`$request.who`"},
        {"load:\n  a: {when: $job.refill | not, database: member, sql: 'SELECT \\($user.id)'}\n"
         "result: $rows.a\n",
         NULL},
        {"calls:\n  c: {upstream: a-mart, request: {path: '/\\($request.who)'}}\n"
         "result: $calls.c.result\n",
         "`$request.who`"},
        {"calls:\n  c:\n    upstream: a-mart\n    request:\n      method: POST\n      path: /\n"
         "      body: {a: [1, '\\($request.who)']}\nresult: $calls.c.result\n",
         "`$request.who`"},
        {"save:\n  - {database: member, sql: 'UPDATE t SET a = \\($request.who)'}\n", NULL},
        {"calls:\n  c: {upstream: a-mart, request: {path: /}}\nresult: $calls.c.result\n"
         "save:\n  - {database: member, sql: 'UPDATE t SET a = \\($calls.c.ms)'}\n",
         "`$calls` cannot be seen here"},
        {"calls:\n  c: {upstream: a-mart, request: {path: /}}\nresult: $calls.c.result\n"
         "notify: {done: 'in \\($calls.c.ms) ms'}\n",
         "cannot be seen here"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        char text[2000];
        setup(&x);
        snprintf(text, sizeof text, "%s%s", HEAD POOL, cases[i].text);
        put(&x, "a", text);
        expect(&x, cases[i].error);
        done(&x);
    }
}

/* As in lint of `$request.x`: what cannot be told from `properties` is left alone. */
static void a_field_may_come_from_elsewhere_in_the_schema(void **state)
{
    static const char schema[] = "title: T\nrequest:\n  schema: {%s properties: {a: {}}}\n"
                                 "result: $request.b\n"
                                 "pool: {key: '1', refill: {topic: fill, fields: [b]}}\n";
    struct fixture x;
    char text[400];
    (void)state;
    snprintf(text, sizeof text, schema, "allOf: [{properties: {b: {}}}],");
    setup(&x);
    put(&x, "a", text);
    expect(&x, NULL);
    done(&x);
    snprintf(text, sizeof text, schema, "");
    setup(&x);
    put(&x, "a", text);
    expect(&x, "error[F029]: request.schema has no field `b`");
    done(&x);
}

static void a_refills_topic_is_nobody_elses(void **state)
{
    static const struct {
        const char *first, *second, *error;
    } cases[] = {
        {"topic: {name: fill}\n" POOL, NULL, "the flow `a` reads `fill`"},
        {"topic: {name: t}\npool: {key: $request.id, refill: {topic: t.retry, fields: [id]}}\n",
         NULL, "the flow `a` reads `t.retry`"},
        {POOL, "topic: {name: fill}\n", "the flow `a` reads `fill`"},
        {POOL, POOL, "the flow `a` reads `fill`"},
        {"topic: {name: x}\n", "pool: {key: $request.id, refill: {topic: x.retry, fields: [id]}}\n",
         "the flow `a` reads `x.retry`"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        char text[2000];
        setup(&x);
        snprintf(text, sizeof text, HEAD "%s", cases[i].first);
        put(&x, "a", text);
        snprintf(text, sizeof text, HEAD "%s", cases[i].second ? cases[i].second : "");
        if (cases[i].second)
            put(&x, "b", text);
        expect(&x, cases[i].error);
        done(&x);
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
        cmocka_unit_test(a_pool_is_read),
        cmocka_unit_test(a_refill_has_its_fields_and_their_schema),
        cmocka_unit_test(the_key_is_text),
        cmocka_unit_test(what_a_refill_runs_uses_its_fields_only),
        cmocka_unit_test(a_field_may_come_from_elsewhere_in_the_schema),
        cmocka_unit_test(a_refills_topic_is_nobody_elses),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
