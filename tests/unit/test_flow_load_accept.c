/* What the gateway does with a request, as flow files say it: wait, limits, set, hash. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/flow_load.h"

#define HEAD "flow: one\ntitle: One\naccess: guests\n"

struct loaded {
    struct findings findings;
    struct flow_set *set;
    char text[4000];
    int err;
};

static void load(struct loaded *x, const char *text)
{
    char dir[] = "/tmp/offpath-test-XXXXXX", flows[64], file[80], upstreams[80];
    struct buf out = {0};
    assert_non_null(mkdtemp(dir));
    snprintf(flows, sizeof flows, "%s/flows", dir);
    snprintf(file, sizeof file, "%s/one.yaml", flows);
    snprintf(upstreams, sizeof upstreams, "%s/upstreams.yaml", dir);
    assert_int_equal(mkdir(flows, 0700), 0);
    FILE *f = fopen(file, "we");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    f = fopen(upstreams, "we");
    assert_non_null(f);
    fputs("upstreams: {u: {url: 'http://127.0.0.1:9'}}\n", f);
    fclose(f);
    *x = (struct loaded){0};
    findings_init(&x->findings);
    x->err = flow_load(&(struct flow_load_settings){.flows_dir = flows}, &x->findings, &x->set);
    findings_print(&x->findings, false, &out);
    snprintf(x->text, sizeof x->text, "%s", buf_str(&out));
    buf_fini(&out);
    unlink(file);
    unlink(upstreams);
    rmdir(flows);
    rmdir(dir);
}

static void done(struct loaded *x)
{
    findings_fini(&x->findings);
    flow_set_put(x->set);
}

static const struct flow *loads(struct loaded *x, const char *text)
{
    load(x, text);
    if (x->err || x->findings.n)
        fail_msg("%d: %s", x->err, x->text);
    return &x->set->flows[0];
}

/* As a flow is removed: what is under way goes by all of this until it is gone. */
static void a_flow_made_internal_is_still_taken(void **state)
{
    struct loaded x;
    (void)state;
    load(&x,
         "flow: one\ntitle: One\naccess: internal\ntoken_scope: a\nwait: 1s\n"
         "limits: [{per: user, count: 1, window: 1s}]\n"
         "cache: {scope: shared, key: $request.a, ttl: 1m}\n"
         "request:\n  schema: {required: [a], properties: {a: {}}, additionalProperties: false}\n"
         "  set: {b: '1'}\nresult: $request.b\n");
    if (x.err || x.findings.errors || x.findings.warnings != 5)
        fail_msg("%d: %s", x.err, x.text);
    assert_int_equal(x.set->flows[0].cache.scope, SCOPE_SHARED);
    assert_int_equal(x.set->flows[0].set_n, 1);
    done(&x);
}

/* One finding, which holds this. */
static void fails(const char *text, const char *expected)
{
    struct loaded x;
    load(&x, text);
    if (x.err != ERR_INVALID || x.findings.n != 1 || !strstr(x.text, expected))
        fail_msg("wanted one finding `%s`, got %s", expected, x.text);
    done(&x);
}

static void gives_what_is_not_written_its_default(void **state)
{
    struct loaded x;
    (void)state;
    const struct flow *f = loads(&x, HEAD);
    assert_int_equal(f->wait_ms, 0);
    assert_int_equal(f->limits_n, 0);
    assert_int_equal(f->set_n, 0);
    assert_int_equal(f->hash_n, 0);
    done(&x);
}

static void reads_wait_and_limits(void **state)
{
    struct loaded x;
    (void)state;
    const struct flow *f =
        loads(&x, HEAD "wait: 30s\nrequest: {key: $request.a, schema: {required: [a], properties: "
                       "{a: {type: string}}}}\nlimits:\n  - {per: user, count: 1, window: 2s}\n"
                       "  - {per: key, count: 1000000, window: 30d}\n"
                       "  - {per: flow, count: 100, window: 100ms}\n");
    assert_int_equal(f->wait_ms, 30000);
    assert_int_equal(f->limits_n, 3);
    assert_int_equal(f->limits[0].per, LIMIT_USER);
    assert_int_equal(f->limits[0].count, 1);
    assert_int_equal(f->limits[0].window_ms, 2000);
    assert_int_equal(f->limits[1].per, LIMIT_KEY);
    assert_int_equal(f->limits[1].count, 1000000);
    assert_int_equal(f->limits[2].per, LIMIT_FLOW);
    assert_int_equal(f->limits[2].window_ms, 100);
    done(&x);
}

static void refuses_limits_that_cannot_be_counted(void **state)
{
    (void)state;
    fails(HEAD "wait: 31s\n", "one.yaml:4:7: error[F014]: `wait: 31s` is out of range; write a "
                              "duration from 0ms to 30s");
    fails(HEAD "limits: {per: user}\n", "`limits` must be a list");
    fails(HEAD "limits:\n  - {per: user, window: 1s}\n",
          "one.yaml:5:5: error[F012]: `count` is missing; write how many may come at once, like "
          "`count: 5`");
    fails(HEAD "limits:\n  - {count: 1, window: 1s}\n", "`per` is missing");
    fails(HEAD "limits:\n  - {per: user, count: 1}\n", "`window` is missing");
    fails(HEAD "limits:\n  - {per: address, count: 1, window: 1s}\n",
          "write `user`, `key` or `flow`");
    fails(HEAD "limits:\n  - {per: user, count: 0, window: 1s}\n", "from 1 to 1000000");
    fails(HEAD "limits:\n  - {per: user, count: 1, window: 50ms}\n", "from 100ms to 30d");
    fails(HEAD "limits:\n  - {per: key, count: 1, window: 1s}\n",
          "one.yaml:5:11: error[F014]: `per: key` needs `request.key`");
}

static void bounds_the_number_of_limits(void **state)
{
    char text[1000] = HEAD "limits:\n";
    (void)state;
    for (int i = 0; i < 9; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "  - {per: user, count: 1, window: 1s}\n");
    fails(text, "`limits` has 9 entries; write at most 8");
}

#define SCHEMA                                                                                  \
    "  schema: {additionalProperties: false, required: [pw], properties: {pw: {type: string}, " \
    "id: {type: integer}}}\n"

static void reads_set_and_hash(void **state)
{
    struct loaded x;
    (void)state;
    const struct flow *f =
        loads(&x, HEAD "request:\n" SCHEMA "  set: {member: $user.id, at: $job.created_at}\n"
                       "  hash: {pw: bcrypt}\n  key: $request.member\n");
    assert_int_equal(f->set_n, 2);
    assert_string_equal(f->set[0].name, "member");
    assert_string_equal(expr_source(f->set[1].expr), "$job.created_at");
    assert_int_equal(f->hash_n, 1);
    assert_string_equal(f->hash[0].name, "pw");
    assert_int_equal(f->hash[0].kind, PASSWORD_BCRYPT);
    assert_true(flow_sets(f, "member"));
    assert_false(flow_sets(f, "pw"));
    assert_non_null(flow_hashes(f, "pw"));
    assert_null(flow_hashes(f, "member"));
    done(&x);
}

static void a_hashed_field_may_be_text_in_other_words(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{properties: {pw: {$ref: '#/$defs/pw'}}, $defs: {pw: {type: string}}}",
        "{properties: {pw: {type: [string]}}}",
        "{properties: {pw: {allOf: [{type: string}]}}}",
        "{allOf: [{properties: {pw: {type: string}}}]}",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct loaded x;
        char text[300];
        snprintf(text, sizeof text, HEAD "request:\n  schema: %s\n  hash: {pw: bcrypt}\n", good[i]);
        loads(&x, text);
        done(&x);
    }
    fails(HEAD "request:\n  schema: {properties: {pw: {type: [string, 'null']}}}\n"
               "  hash: {pw: bcrypt}\n",
          "error[F044]: `pw` is hashed, and the schema does not say that it is text");
    fails(HEAD "request:\n  schema: {properties: {pw: {maxLength: 72}}}\n  hash: {pw: bcrypt}\n",
          "error[F044]");
}

static void refuses_what_would_tell_a_password(void **state)
{
    (void)state;
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: md5}\n", "write `bcrypt` or `yescrypt`");
    fails(
        HEAD "request:\n" SCHEMA "  hash: {id: bcrypt}\n",
        "one.yaml:6:10: error[F044]: `id` is hashed, and the schema does not say that it is text");
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: bcrypt}\n  key: $request.pw\n",
          "one.yaml:7:17: error[F044]: `request.key` is computed before `pw` is hashed, and would "
          "tell it; leave `$request.pw` out");
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: yescrypt}\ncache: {scope: shared, ttl: 1m, key: "
               "'[$request.pw]'}\n",
          "`cache.key` is computed before `pw` is hashed");
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: bcrypt}\n  set: {copy: $request.pw}\n",
          "`request.set` is computed before `pw` is hashed");
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: bcrypt}\n  set: {copy: $request | tojson}\n",
          "`request.set` takes `$request` as a whole");
    fails(HEAD "request:\n" SCHEMA "  hash: {pw: bcrypt}\n  key: |\n    $request # all of it\n"
               "    [ \"pw\" ]\n",
          "one.yaml:9:8: error[F044]: `request.key` is computed before `pw` is hashed");
    fails(HEAD "request:\n" SCHEMA "  set: {copy: }\n", "a value is missing");
    fails(HEAD "request:\n" SCHEMA "  set: [copy]\n", "`set` must be a map");
    fails(HEAD "request:\n" SCHEMA "  set: {copy: $calls.x}\n", "`$calls` cannot be seen here");
}

static void runs_examples_with_their_fields_set(void **state)
{
    (void)state;
    fails(HEAD "request:\n  schema: {properties: {a: {type: integer}}, examples: [{a: 1}]}\n"
               "  set: {b: $request.a | tonumber | error}\n",
          "one.yaml:6:12: error[F042]: example 1 makes this fail");
    struct loaded x;
    loads(&x, HEAD "request:\n  schema: {properties: {a: {type: integer}}, examples: [{a: 1}]}\n"
                   "  set: {b: $request.a + 1}\n  key: $request.b | tostring\n");
    done(&x);
}

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static void writes_fields_over_those_of_the_client(void **state)
{
    struct loaded x;
    struct buf out = {0};
    struct expr_error error;
    const char *field = NULL;
    (void)state;
    const struct flow *f = loads(&x, HEAD "request:\n  schema: {properties: {a: {}, b: {}}}\n"
                                          "  set: {a: $request.b, b: $request.a, c: $user.id}\n");
    struct json *request = parse("{\"z\":0,\"b\":1,\"a\":2}"), *user = parse("{\"id\":null}");
    struct expr_vars vars = {.value[VAR_REQUEST] = request, .value[VAR_USER] = user};
    assert_int_equal(flow_set_fields(f, &vars, request, &field, &error), 0);
    json_print(request, &out);
    assert_string_equal(buf_str(&out), "{\"z\":0,\"b\":2,\"a\":1,\"c\":null}");
    json_free(request);
    request = parse("7");
    vars.value[VAR_REQUEST] = request;
    assert_int_equal(flow_set_fields(f, &vars, request, &field, &error), ERR_EXPRESSION);
    assert_string_equal(field, "a");
    json_free(request);
    json_free(user);
    buf_fini(&out);
    done(&x);
}

static void knows_a_record_with_hashes(void **state)
{
    struct loaded x;
    char hash[PASSWORD_HASH], text[300];
    (void)state;
    const struct flow *f = loads(&x, HEAD "request:\n" SCHEMA "  hash: {pw: bcrypt}\n");
    assert_int_equal(password_hash(PASSWORD_BCRYPT, "correct horse", hash), 0);
    snprintf(text, sizeof text, "{\"pw\":\"%s\"}", hash);
    const struct {
        const char *request;
        bool good;
    } rows[] = {{text, true},          {"{}", true}, {"{\"pw\":\"correct horse\"}", false},
                {"{\"pw\":7}", false}, {"7", true},  {"{\"pw\":null}", false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct json *request = parse(rows[i].request);
        assert_int_equal(flow_holds_hashes(f, request), rows[i].good);
        json_free(request);
    }
    done(&x);
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
        cmocka_unit_test(gives_what_is_not_written_its_default),
        cmocka_unit_test(a_flow_made_internal_is_still_taken),
        cmocka_unit_test(reads_wait_and_limits),
        cmocka_unit_test(refuses_limits_that_cannot_be_counted),
        cmocka_unit_test(bounds_the_number_of_limits),
        cmocka_unit_test(reads_set_and_hash),
        cmocka_unit_test(a_hashed_field_may_be_text_in_other_words),
        cmocka_unit_test(refuses_what_would_tell_a_password),
        cmocka_unit_test(runs_examples_with_their_fields_set),
        cmocka_unit_test(writes_fields_over_those_of_the_client),
        cmocka_unit_test(knows_a_record_with_hashes),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
