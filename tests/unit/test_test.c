/* The verb `test`: what passes, what differs, and what is wrong in a test file. */
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

#include "common/json.h"
#include "common/log.h"
#include "worker/test.h"

enum { OUTPUT_MAX = 64 * 1024 };
static char output[OUTPUT_MAX], complaint[OUTPUT_MAX];

static void read_back(FILE *from, char *to)
{
    rewind(from);
    to[fread(to, 1, OUTPUT_MAX - 1, from)] = 0;
    fclose(from);
}

static int run_paths(const char *path, bool json, const char *upstreams)
{
    FILE *out = tmpfile(), *err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    const struct test_settings s = {.paths = &path,
                                    .paths_n = path ? 1 : 0,
                                    .json = json,
                                    .load = {.upstreams_file = upstreams, .secrets_away = true}};
    int code = test_run(&s, out, err);
    read_back(out, output);
    read_back(err, complaint);
    return code;
}

static void has(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("no `%s` in:\n%s%s", part, output, complaint);
}

static void write_file(const char *dir, const char *name, const char *text, char path[100])
{
    snprintf(path, 100, "%s/%s", dir, name);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

/* One flow with a chain and items, and these tests of it. */
static int run_text(const char *tests, bool json)
{
    static const char flow[] =
        "flow: one\ntitle: One\ndeadline: 10s\nneed: 2\ncalls:\n"
        "  list:\n    upstream: a-mart\n    request: {path: /list}\n"
        "  get:\n    after: [list]\n    for_each: $calls.list.result\n    upstream: a-mart\n"
        "    request: {path: '/\\($item)', method: POST, body: {n: '\\($index)'}}\n"
        "result: '{got: [$calls.get[] | .result], user: $user.id}'\n"
        "emit:\n  - {for_each: $result.got, topic: others, key: $index, value: {n: '\\($item)'}}\n"
        "  - {when: $user.id == null, topic: guests, value: 1}\n";
    char dir[] = "/tmp/test_test-XXXXXX", one[100], test[100];
    assert_non_null(mkdtemp(dir));
    write_file(dir, "one.yaml", flow, one);
    write_file(dir, "one.test.yaml", tests, test);
    int code = run_paths(dir, json, "tests/shops/upstreams.yaml");
    unlink(one);
    unlink(test);
    rmdir(dir);
    return code;
}

#define HEAD "tests:\n  - name: a chain\n    request: {x: 1}\n"
#define REPLIES                                                                            \
    "    replies:\n      list: {body: [a, b]}\n      get:\n        - {body: 5, item: 1}\n" \
    "        - {status: 404}\n"

static void the_tests_that_ship_pass(void **state)
{
    (void)state;
    if (run_paths("deploy/flows", false, NULL) != 0)
        fail_msg("%s%s", output, complaint);
    has(output, "ok    429 waits for Retry-After ");
    has(output, "4 calls, 2.0 s virtual, ");
    has(output, "37 tests, 0 failed\n");
    assert_int_equal(run_paths("deploy/flows/price-compare.test.yaml", true, NULL), 0);
    has(output, "\"name\":\"no shop answers\",\"ok\":true,\"calls\":9,\"virtual_ms\":");
}

static void a_story_tells_states_results_and_requests(void **state)
{
    (void)state;
    int code = run_text(HEAD "    user: alice\n" REPLIES "    expect:\n"
                             "      .state: partial\n"
                             "      .result: {got: [null, 5], user: alice}\n"
                             "      '.calls.get | map(.state)': [failed, succeeded]\n"
                             "      '.calls.get[0] | [.code, .status, .attempts]': "
                             "[http-4xx, 404, 1]\n"
                             "      .calls.list.result: [a, b]\n"
                             "      '.requests | map([.call, .item, .method, .body])':\n"
                             "        - [list, null, GET, null]\n"
                             "        - [get, 0, POST, {n: 0}]\n"
                             "        - [get, 1, POST, {n: 1}]\n"
                             "      .emits:\n"
                             "        - {topic: others, key: '0', value: {n: null}}\n"
                             "        - {topic: others, key: '1', value: {n: 5}}\n",
                        false);
    if (code)
        fail_msg("%s%s", output, complaint);
}

static void rows_are_loaded_and_statements_are_told(void **state)
{
    (void)state;
    static const char flow[] =
        "flow: one\ntitle: One\nload:\n"
        "  who: {database: member, sql: 'SELECT name FROM m WHERE id = \\($request.x)'}\n"
        "check:\n  - {that: $rows.who | length > 0, else: nobody}\n"
        "result: $rows.who[0].name\n"
        "save:\n  - {database: member, sql: 'INSERT INTO s VALUES (\\($result), \\($job.flow))'}\n";
    static const char tests[] =
        "tests:\n"
        "  - name: a member\n    request: {x: 1}\n    rows: {who: [{name: Kim}]}\n"
        "    expect:\n      .state: succeeded\n      .result: Kim\n      .statements:\n"
        "        - {database: member, sql: 'INSERT INTO s VALUES (?, ?)', params: [Kim, one]}\n"
        "  - name: nobody\n    request: {x: 1}\n"
        "    expect: {.state: failed, .reason: refused, .detail: nobody, .statements: []}\n";
    char dir[] = "/tmp/test_test-XXXXXX", beside[] = "/tmp/test_test_up-XXXXXX";
    char one[100], test[100], upstreams[100];
    assert_non_null(mkdtemp(dir));
    assert_non_null(mkdtemp(beside));
    write_file(dir, "one.yaml", flow, one);
    write_file(dir, "one.test.yaml", tests, test);
    write_file(
        beside, "upstreams.yaml",
        "databases:\n  member: {host: h, name: members_db, user: u, password: '${env:X:-p}'}\n",
        upstreams);
    int code = run_paths(dir, false, upstreams);
    unlink(one);
    unlink(test);
    unlink(upstreams);
    rmdir(dir);
    rmdir(beside);
    if (code)
        fail_msg("%s%s", output, complaint);
    has(output, "2 tests, 0 failed\n");
}

/* A flow file of this text behind its name, with upstreams of the tests' shops. */
static int run_flow(const char *flow, const char *tests)
{
    char dir[] = "/tmp/test_test-XXXXXX", one[100], test[100], text[2000];
    assert_non_null(mkdtemp(dir));
    snprintf(text, sizeof text, "flow: one\ntitle: One\n%s", flow);
    write_file(dir, "one.yaml", text, one);
    write_file(dir, "one.test.yaml", tests, test);
    int code = run_paths(dir, false, "tests/shops/upstreams.yaml");
    unlink(one);
    unlink(test);
    rmdir(dir);
    return code;
}

static void passes(int code, const char *says)
{
    if (code)
        fail_msg("%s%s", output, complaint);
    has(output, says);
}

static void later_rounds_are_played_when_they_are_due(void **state)
{
    (void)state;
    static const char flow[] =
        "deadline: 1h\nrequeue: [10s, 5m]\ncalls:\n"
        "  done: {upstream: a-mart, request: {path: /done}}\n"
        "  late: {upstream: a-mart, retry: {attempts: 1, on: [503]}, request: {path: /late}}\n"
        "result: '[$calls[].result]'\nemit:\n  - {topic: others, value: 1}\n";
    static const char tests[] =
        "tests:\n"
        "  - name: the third round\n    request: {}\n    replies:\n      done: {body: 1}\n"
        "      late: [{status: 503}, {status: 503}, {body: 2, delay: 1s}]\n"
        "    expect:\n      .state: succeeded\n      .rounds: 3\n      .result: [1, 2]\n"
        "      '.requests | map(.call)': [done, late, late, late]\n"
        "      '.requests[2].at >= 10000 and .requests[2].at < 12000': true\n"
        "      '.requests[3].at >= 310000 and .ms == .requests[3].at + 1000': true\n"
        "      .calls.late.attempts: 1\n      .emits | length: 1\n"
        "  - name: none is left\n    request: {}\n    replies:\n      done: {body: 1}\n"
        "      late: {status: 503}\n    expect:\n      .state: failed\n"
        "      .reason: need-not-met\n      .rounds: 3\n      .requests | length: 4\n"
        "      .emits: []\n"
        "  - name: what may not pass is not waited for\n    request: {}\n    replies:\n"
        "      done: {body: 1}\n      late: {status: 404}\n    expect:\n      .state: failed\n"
        "      .rounds: 1\n";
    passes(run_flow(flow, tests), "3 tests, 0 failed\n");
}

#define POOL                                                                                   \
    "request:\n  schema:\n    type: object\n    required: [id]\n"                              \
    "    properties: {id: {type: integer}, who: {type: string}}\n"                             \
    "pool:\n  key: $request.id\n  size: 2\n  ttl: 2h\n  refill: {topic: fill, fields: [id]}\n" \
    "calls:\n  make: {upstream: a-mart, request: {path: /make}}\n"                             \
    "result: '{made: $calls.make.result, refill: $job.refill}'\n"

static void an_item_is_taken_or_made(void **state)
{
    (void)state;
    static const char tests[] =
        "tests:\n"
        "  - name: one is there\n    user: alice\n    request: {id: 7, who: x}\n"
        "    pool: [{n: 1}, {n: 2}]\n    expect:\n      .state: succeeded\n      .result: {n: 1}\n"
        "      .requests: []\n      .calls.make.state: skipped\n"
        "      .pool: {took: {n: 1}, refill: {id: 7}, items: [{n: 2}]}\n"
        "  - name: none is there\n    request: {id: 7, who: x}\n    replies: {make: {body: 5}}\n"
        "    expect:\n      .result: {made: 5, refill: false}\n      .requests | length: 1\n"
        "      .pool: {took: null, refill: {id: 7}, items: []}\n"
        "  - name: another key\n    request: {id: 8}\n    replies: {make: {body: 5}}\n"
        "    expect: {.pool.refill: {id: 8}}\n";
    passes(run_flow(POOL, tests), "3 tests, 0 failed\n");
}

static void a_refill_puts_what_it_makes(void **state)
{
    (void)state;
    static const char tests[] =
        "tests:\n"
        "  - name: there is room\n    refill: true\n    request: {id: 7, who: x}\n"
        "    replies: {make: {body: 5}}\n    expect:\n      .state: succeeded\n"
        "      .pool.items: [{made: 5, refill: true}]\n      .pool.refill: {id: 7}\n"
        "  - name: the last place\n    refill: true\n    request: {id: 7}\n    pool: [{n: 1}]\n"
        "    replies: {make: {body: 5}}\n    expect:\n"
        "      .pool.items: [{n: 1}, {made: 5, refill: true}]\n      .pool.refill: null\n"
        "  - name: it is full\n    refill: true\n    request: {id: 7}\n    pool: [{n: 1}, {n: 2}]\n"
        "    expect:\n      .requests: []\n      .pool.items | length: 2\n"
        "  - name: it fails\n    refill: true\n    request: {id: 7}\n"
        "    expect: {.state: failed, .pool.items: []}\n";
    passes(run_flow(POOL, tests), "4 tests, 0 failed\n");
}

static void what_is_wrong_about_a_pool_is_a_finding(void **state)
{
    (void)state;
    const struct {
        const char *flow, *text, *says;
    } cases[] = {
        {"", "    pool: [1]\n", ":4:5: error[F010]: the flow has no pool; leave"},
        {"", "    refill: true\n", ":4:5: error[F010]: the flow has no pool; leave"},
        {POOL, "    pool: 1\n", ":4:11: error[F013]: `pool` must be a list"},
        {POOL, "    pool: [1, 2, 3]\n",
         ":4:11: error[F014]: more items than the pool keeps; its `size` is 2"},
        {POOL, "    refill: maybe\n", ":4:13: error[F013]: `refill` must be"},
        {POOL, "    refill: true\n    user: alice\n",
         ":5:5: error[F010]: a refill is nobody's; leave `user` out"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char tests[300];
        snprintf(tests, sizeof tests,
                 "tests:\n  - name: a\n    request: {id: 1}\n%s"
                 "    expect: {.state: a}\n",
                 cases[i].text);
        assert_int_equal(run_flow(cases[i].flow, tests), 1);
        has(complaint, cases[i].says);
        assert_string_equal(output, "");
    }
}

static void a_difference_is_shown_at_its_line(void **state)
{
    (void)state;
    const char *text = HEAD REPLIES "    expect:\n      .state: partial\n"
                                    "      .result.got | length: 3\n      .state + 1: x\n";
    assert_int_equal(run_text(text, false), 1);
    has(output, "FAIL  a chain ");
    has(output, "one.test.yaml:11\n      .result.got | length   want 3  got 2\n");
    has(output, "      .state + 1   want \"x\"  got string (\"partial\") and number (1) cannot be "
                "added\n");
    has(output, "1 test, 1 failed\n");
    assert_int_equal(run_text(text, true), 1);
    struct json *v = NULL;
    assert_int_equal(json_parse(output, strcspn(output, "\n"), NULL, &v, NULL), 0);
    assert_false(json_bool(json_get(v, "ok")));
    assert_int_equal((int)json_number(json_get(v, "line")), 11);
    assert_int_equal(json_size(json_get(v, "differences")), 2);
    json_free(v);
}

static void a_call_nobody_answers_fails_to_connect(void **state)
{
    (void)state;
    int code = run_text(HEAD "    expect:\n      .state: failed\n      .calls.list.code: connect\n"
                             "      .calls.list.attempts: 3\n      .calls.get[0].code: skipped\n",
                        false);
    if (code)
        fail_msg("%s%s", output, complaint);
}

static void what_is_wrong_in_a_test_is_a_finding(void **state)
{
    (void)state;
    const struct {
        const char *text, *says;
    } cases[] = {
        {"tests: []\n", "one.test.yaml:1:1: error[F012]: no tests here"},
        {"test: []\n",
         "one.test.yaml:1:1: error[F010]: unknown key `test` in a test; did you mean"},
        {HEAD, ":2:5: error[F012]: the test expects nothing"},
        {HEAD "    expect: {.state: a}\n    replys: {}\n",
         ":5:5: error[F010]: unknown key `replys`"},
        {HEAD "    expect: {.state: a}\n    replies: {gett: {}}\n",
         ":5:15: error[F033]: no call is named `gett`; did you mean `get`?"},
        {HEAD "    expect: {.state: a}\n    replies: {get: {status: 99}}\n", ":5:29: error[F014]"},
        {HEAD "    expect: {.state: a}\n    replies: {get: {fails: fire}}\n", ":5:28: error[F014]"},
        {HEAD "    expect:\n      .state | nothing: 1\n", ":5:7: error[F031]: nothing/0 is not"},
        {"tests:\n  - {name: a, expect: {.a: 1}}\n", ":2:5: error[F012]: `request` is missing"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run_text(cases[i].text, false), 1);
        has(complaint, cases[i].says);
        assert_string_equal(output, "");
    }
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    assert_int_equal(run_paths("/nowhere", false, NULL), 2);
    has(complaint, "/nowhere: there is no such file or folder");
    assert_int_equal(run_paths(NULL, false, NULL), 2);
    has(complaint, "test needs files or a folder");
    assert_int_equal(run_paths("tests/unit", false, NULL), 0);
    has(complaint, "no tests in tests/unit: put NAME.test.yaml beside NAME.yaml");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_tests_that_ship_pass),
        cmocka_unit_test(a_story_tells_states_results_and_requests),
        cmocka_unit_test(rows_are_loaded_and_statements_are_told),
        cmocka_unit_test(later_rounds_are_played_when_they_are_due),
        cmocka_unit_test(an_item_is_taken_or_made),
        cmocka_unit_test(a_refill_puts_what_it_makes),
        cmocka_unit_test(what_is_wrong_about_a_pool_is_a_finding),
        cmocka_unit_test(a_difference_is_shown_at_its_line),
        cmocka_unit_test(a_call_nobody_answers_fails_to_connect),
        cmocka_unit_test(what_is_wrong_in_a_test_is_a_finding),
        cmocka_unit_test(what_is_not_there_is_said),
    };
    log_open("test", false, LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
