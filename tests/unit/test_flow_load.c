#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/digest.h"
#include "common/flow_load.h"
#include "common/flow_loader.h"
#include "common/log.h"

enum { FILES_MAX = 12 };

/* A folder of its own: flows/, upstreams.yaml, secrets/. */
struct fixture {
    char dir[64], flows[80], upstreams[80], secrets[80];
    char files[FILES_MAX][160];
    size_t files_n;
    struct findings findings;
    struct flow_set *set;
};

static const char three_shops[] = "upstreams:\n"
                                  "  a-mart: {url: 'http://127.0.0.1:1/a'}\n"
                                  "  b-shop: {url: 'http://127.0.0.1:1/b'}\n";
#define HEAD "flow: one\ntitle: One\naccess: guests\n"
#define CALL \
    "calls:\n  get:\n    upstream: a-mart\n    request: {path: /x}\nresult: $calls.get.result\n"

static void put(struct fixture *x, const char *folder, const char *name, const char *text)
{
    assert_true(x->files_n < FILES_MAX);
    char path[sizeof x->files[0]];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    memcpy(x->files[x->files_n++], path, sizeof path);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void setup(struct fixture *x)
{
    char dir[] = "/tmp/test_flow_load-XXXXXX";
    assert_non_null(mkdtemp(dir));
    *x = (struct fixture){.files_n = 0};
    snprintf(x->dir, sizeof x->dir, "%s", dir);
    snprintf(x->flows, sizeof x->flows, "%s/flows", dir);
    snprintf(x->upstreams, sizeof x->upstreams, "%s/upstreams.yaml", dir);
    snprintf(x->secrets, sizeof x->secrets, "%s/secrets", dir);
    assert_int_equal(mkdir(x->flows, 0700), 0);
    assert_int_equal(mkdir(x->secrets, 0700), 0);
    findings_init(&x->findings);
    put(x, x->dir, "upstreams.yaml", three_shops);
}

static void done(struct fixture *x)
{
    for (size_t i = 0; i < x->files_n; i++)
        unlink(x->files[i]);
    rmdir(x->flows);
    rmdir(x->secrets);
    assert_int_equal(rmdir(x->dir), 0);
    findings_fini(&x->findings);
    flow_set_put(x->set);
}

static const char *test_env(void *arg, const char *name)
{
    (void)arg;
    if (strcmp(name, "PORT") == 0)
        return "8080";
    if (strcmp(name, "TRUE") == 0)
        return "true";
    return strcmp(name, "EMPTY") == 0 ? "" : NULL;
}

static int load(struct fixture *x)
{
    const struct flow_load_settings s = {
        .flows_dir = x->flows, .secrets_dir = x->secrets, .getenv = test_env};
    return flow_load(&s, &x->findings, &x->set);
}

static void print_all(const struct findings *f)
{
    struct buf out;
    buf_init(&out, 0);
    findings_print(f, false, &out);
    print_message("%s", buf_str(&out));
    buf_fini(&out);
}

static const struct flow *load_one(struct fixture *x, const char *text)
{
    setup(x);
    put(x, x->flows, "one.yaml", text);
    int err = load(x);
    if (err)
        print_all(&x->findings);
    assert_int_equal(err, 0);
    assert_int_equal(x->set->flows_n, 1);
    return &x->set->flows[0];
}

static bool has(const struct findings *f, const char *expected)
{
    struct buf out;
    buf_init(&out, 0);
    findings_print(f, false, &out);
    bool found = strstr(buf_str(&out), expected) != NULL;
    buf_fini(&out);
    return found;
}

/* Loading fails with exactly one finding, which holds this text. */
static void fails_with(struct fixture *x, const char *expected)
{
    int err = load(x);
    if (err != ERR_INVALID || x->findings.n != 1 || !has(&x->findings, expected)) {
        print_all(&x->findings);
        fail_msg("wanted one finding `%s`, got %d and %zu", expected, err, x->findings.n);
    }
    assert_null(x->set);
    done(x);
}

/* ---- the whole example */

static void assert_retry(const struct retry_policy *r)
{
    assert_int_equal(r->attempts, 3);
    assert_int_equal(r->backoff_ms, 200);
    assert_int_equal(r->max_ms, 2000);
    assert_int_equal(r->codes, 1u << CALL_CONNECT | 1u << CALL_DNS | 1u << CALL_TLS |
                                   1u << CALL_HTTP_5XX | 1u << CALL_HTTP_429);
    assert_int_equal(r->statuses_n, 1);
    assert_int_equal(r->statuses[0], 429);
}

static void the_price_comparison_loads_whole(void **state)
{
    (void)state;
    struct findings findings;
    struct flow_set *set = NULL;
    findings_init(&findings);
    const struct flow_load_settings s = {.flows_dir = "tests/shops/flows", .getenv = test_env};
    assert_int_equal(flow_load(&s, &findings, &set), 0);
    assert_int_equal(findings.n, 0);
    const struct flow *f = flow_by_name(set, "price-compare");
    assert_non_null(f);
    assert_string_equal(f->title, "Compare prices");
    assert_int_equal(f->access, ACCESS_GUESTS);
    assert_string_equal(f->topic.name, "price-compare-requests");
    assert_string_equal(f->topic.group, "price-compare-consumer-group");
    assert_int_equal(f->topic.partitions, 3);
    assert_string_equal(expr_source(f->key), "$request.productId");
    assert_non_null(f->schema);
    assert_non_null(json_get(f->schema_source, "properties"));
    assert_int_equal(f->request_max, 64 * 1024);
    assert_int_equal(f->cache.scope, SCOPE_SHARED);
    assert_string_equal(expr_source(f->cache.key), "$request.productId");
    assert_int_equal(f->cache.ttl_ms, 5 * 60 * 1000);
    assert_int_equal(f->cache.partial_ttl_ms, 30 * 1000);
    assert_int_equal(f->deadline_ms, 12000);
    assert_int_equal(f->need, 1);
    assert_int_equal(f->keep_ms, 24 * 3600 * 1000);
    assert_non_null(f->result);
    assert_int_equal(f->calls_n, 3);
    const char *names[] = {"a-mart", "b-shop", "c-store"};
    for (size_t i = 0; i < 3; i++) {
        const struct flow_call *c = &f->calls[i];
        assert_string_equal(c->name, names[i]);
        assert_string_equal(c->upstream->name, names[i]);
        assert_string_equal(c->method, i == 2 ? "POST" : "GET");
        assert_int_equal(c->timeout_ms, 8000);
        assert_int_equal(c->response, RESPONSE_JSON);
        assert_int_equal(c->response_max, 64 * 1024);
        assert_int_equal(c->headers_n, 0);
        assert_null(c->ok);
        assert_non_null(c->result);
        assert_false(c->optional);
        assert_int_equal(c->body != NULL, i == 2);
        assert_retry(&c->retry);
    }
    flow_set_put(set);
    findings_fini(&findings);
}

static void the_stand_ins_upstreams_load(void **state)
{
    (void)state;
    struct findings findings;
    struct flow_set *set = NULL;
    findings_init(&findings);
    const struct flow_load_settings s = {.flows_dir = "tests/shops/flows/", .getenv = test_env};
    assert_int_equal(flow_load(&s, &findings, &set), 0);
    assert_int_equal(set->upstreams_n, 3);
    const struct upstream *u = &set->upstreams[2];
    assert_string_equal(u->name, "c-store");
    assert_string_equal(u->url, "http://127.0.0.1:9900/c-store");
    assert_int_equal(u->concurrency, 32);
    assert_true(u->rate == 20);
    assert_int_equal(u->queue, 10000);
    assert_true(u->breaker.on);
    assert_true(u->allow_private);
    assert_int_equal(u->index, 2);
    flow_set_put(set);
    findings_fini(&findings);
}

static void a_call_renders_what_the_file_says(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f =
        load_one(&x, HEAD "calls:\n"
                          "  get:\n"
                          "    upstream: a-mart\n"
                          "    request:\n"
                          "      method: PUT\n"
                          "      path: /p/\\($request.id)?q=\\($request.q)\n"
                          "      headers: {X-Who: 'id \\($request.id)', X-N: 7}\n"
                          "      body:\n"
                          "        a: ['\\($request.id)', 1, true, null]\n"
                          "        text: |\n          two\n          lines\n"
                          "    ok: $status == 404\n"
                          "    result: $body.x\n"
                          "    optional: true\n"
                          "    response: text\n"
                          "result: $calls.get.result\n");
    struct json *request = NULL, *body = NULL;
    const char *text = "{\"id\":5,\"q\":\"a b\"}";
    assert_int_equal(json_parse(text, strlen(text), NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    const struct flow_call *c = &f->calls[0];
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(template_render_text(c->path, &vars, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "/p/5?q=a%20b");
    buf_clear(&out);
    assert_int_equal(template_render_text(c->headers[0].value, &vars, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "id 5");
    assert_string_equal(c->headers[1].name, "X-N");
    assert_int_equal(template_render(c->body, &vars, &body, NULL), 0);
    buf_clear(&out);
    json_print(body, &out);
    assert_string_equal(buf_str(&out), "{\"a\":[5,1,true,null],\"text\":\"two\\nlines\\n\"}");
    assert_string_equal(c->method, "PUT");
    assert_true(c->optional);
    assert_int_equal(c->response, RESPONSE_TEXT);
    assert_string_equal(expr_source(c->ok), "$status == 404");
    buf_fini(&out);
    json_free(body);
    json_free(request);
    done(&x);
}

static void a_short_flow_gets_the_defaults(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f = load_one(&x, HEAD CALL);
    assert_int_equal(x.findings.n, 0);
    assert_string_equal(f->topic.name, "offpath.one");
    assert_string_equal(f->topic.group, "offpath.one");
    assert_int_equal(f->topic.partitions, 6);
    assert_non_null(f->schema);
    assert_string_equal(json_text(json_get(f->schema_source, "type")), "object");
    assert_int_equal(f->request_max, 64 * 1024);
    assert_null(f->key);
    assert_int_equal(f->cache.scope, SCOPE_NONE);
    assert_int_equal(f->deadline_ms, 5 * 60 * 1000);
    assert_int_equal(f->need, FLOW_NEED_ALL);
    assert_int_equal(f->keep_ms, (int64_t)90 * 24 * 3600 * 1000);
    const struct flow_call *c = &f->calls[0];
    assert_string_equal(c->method, "GET");
    assert_int_equal(c->timeout_ms, 30000);
    assert_int_equal(c->retry.attempts, 3);
    assert_int_equal(c->retry.backoff_ms, 200);
    assert_int_equal(c->retry.max_ms, 5000);
    assert_int_equal(c->retry.statuses_n, 2);
    assert_int_equal(c->retry.statuses[0], 429);
    assert_int_equal(c->retry.statuses[1], 503);
    assert_true(c->retry.codes & 1u << CALL_DNS);
    assert_false(c->retry.codes & (1u << CALL_TIMEOUT | 1u << CALL_RESET));
    assert_int_equal(c->response_max, 1024 * 1024);
    assert_int_equal(c->response, RESPONSE_JSON);
    assert_null(c->body);
    assert_null(c->result);
    done(&x);
    f = load_one(&x, "flow: one\ntitle: One\naccess: internal\n");
    assert_int_equal(f->access, ACCESS_INTERNAL);
    assert_null(f->token_scope);
    done(&x);
    f = load_one(&x, "flow: one\ntitle: One\ntoken_scope: a:b/c.d\n");
    assert_int_equal(f->access, ACCESS_USERS); /* the default */
    assert_string_equal(f->token_scope, "a:b/c.d");
    assert_int_equal(f->calls_n, 0);
    assert_null(f->result);
    done(&x);
}

static void calls_wait_for_others_and_have_items(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f = load_one(
        &x, HEAD "calls:\n"
                 "  last:\n"
                 "    when: $calls.each[0].ok\n"
                 "    after: [each, get]\n"
                 "    upstream: b-shop\n"
                 "    repeat: never\n"
                 "    request: {method: POST, path: /x, body: \"\\\\($calls.get.result)\"}\n"
                 "  each:\n"
                 "    for_each: '[$request.a, $request.b]'\n"
                 "    max_items: 1000\n"
                 "    parallel: 2\n"
                 "    upstream: a-mart\n"
                 "    request: {path: '/\\($item)/\\($index)'}\n"
                 "    result: '{i: $item, b: $body}'\n"
                 "  get:\n"
                 "    for_each: [7, {a: b}]\n"
                 "    upstream: a-mart\n"
                 "    request: {path: /x}\n"
                 "  free:\n"
                 "    ledger: false\n"
                 "    upstream: a-mart\n"
                 "    request: {path: /y}\n"
                 "result: '[$calls.last.result, $calls.free.result]'\n");
    assert_int_equal(x.findings.n, 0);
    const struct flow_call *last = &f->calls[0], *each = &f->calls[1], *get = &f->calls[2];
    assert_int_equal(last->after_n, 2);
    assert_int_equal(last->after[0], 1);
    assert_int_equal(last->after[1], 2);
    assert_string_equal(expr_source(last->when), "$calls.each[0].ok");
    assert_true(last->never_again && !last->unrecorded && !flow_call_has_items(last));
    assert_true(flow_call_uses(last) & VAR_BIT(VAR_CALLS));
    assert_true(flow_call_has_items(each) && each->each.expr);
    assert_int_equal(each->max_items, 1000);
    assert_int_equal(each->parallel, 2);
    assert_true(flow_call_uses(each) & VAR_BIT(VAR_ITEM));
    assert_int_equal(json_size(get->each.list), 2);
    assert_int_equal(get->max_items, 100);
    assert_int_equal(get->parallel, get->upstream->concurrency);
    assert_false(get->unrecorded);
    assert_true(f->calls[3].unrecorded && !f->calls[3].never_again);
    done(&x);
}

static void special_words_are_understood(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f = load_one(&x, HEAD "deadline: none\nneed: all\nresult: 42\n"
                                             "cache: {key: '[$request.a, 1]', ttl: 1s}\n");
    assert_int_equal(f->deadline_ms, 0);
    assert_int_equal(f->need, FLOW_NEED_ALL);
    assert_string_equal(expr_source(f->result), "42");
    assert_int_equal(f->cache.scope, SCOPE_USER);
    assert_int_equal(f->cache.partial_ttl_ms, 0);
    done(&x);
}

/* As an editor counts: 200 letters of any script. 201 are in tests/flows-bad/title-long.yaml. */
static void a_title_counts_characters(void **state)
{
    (void)state;
    struct fixture x;
    char text[1000] = "flow: one\ntitle: ";
    for (int i = 0; i < FLOW_TITLE_MAX; i++)
        memcpy(text + strlen(text), "\xea\xb0\x80", 4);
    memcpy(text + strlen(text), "\n", 2);
    const struct flow *f = load_one(&x, text);
    assert_int_equal(strlen(f->title), 3 * FLOW_TITLE_MAX);
    assert_true(strlen(f->title) < FLOW_TITLE);
    done(&x);
}

static void the_revision_is_the_files_digest(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f = load_one(&x, HEAD CALL);
    uint8_t digest[DIGEST_SIZE];
    digest_sha256(&(struct digest_part){HEAD CALL, strlen(HEAD CALL)}, 1, digest);
    assert_memory_equal(f->rev, digest, 8);
    done(&x);
}

static void a_json_file_is_a_flow(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "two.json",
        "{\"flow\": \"two\", \"title\": \"\\ud83d\\ude00\", \"access\": \"guests\",\n"
        "\t\"result\": \"{a: [$request.x]}\"}");
    assert_int_equal(load(&x), 0);
    assert_string_equal(x.set->flows[0].title, "\xf0\x9f\x98\x80");
    done(&x);
}

/* ---- wrong files, one mistake each: tests/flows-bad/NAME.yaml begins with `# expect: L:C CODE;
 * HELP` */

static void expected_of(const char *path, char *out, size_t size)
{
    char line[600];
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    out[0] = 0;
    if (fgets(line, sizeof line, in) && strncmp(line, "# expect: ", 10) == 0)
        snprintf(out, size, "%.*s", (int)strcspn(line + 10, "\n"), line + 10);
    fclose(in);
}

static void found_in(const struct findings *f, const char *path, char *out, size_t size)
{
    size_t len = 0;
    out[0] = 0;
    for (size_t i = 0; i < f->n && len < size; i++)
        if (strcmp(f->list[i].file, path) == 0)
            len += (size_t)snprintf(out + len, size - len, "%s%u:%u %s; %s", len ? " + " : "",
                                    f->list[i].line, f->list[i].column,
                                    finding_code_text(f->list[i].code), f->list[i].help);
}

static void each_wrong_file_has_its_finding_at_its_place(void **state)
{
    (void)state;
    struct findings findings;
    struct flow_set *set = NULL;
    const struct flow_load_settings s = {.flows_dir = "tests/flows-bad",
                                         .upstreams_file = "tests/upstreams.yaml",
                                         .getenv = test_env};
    findings_init(&findings);
    assert_int_equal(flow_load(&s, &findings, &set), ERR_INVALID);
    struct dirent **list = NULL;
    int n = scandir(s.flows_dir, &list, NULL, alphasort), wrong = 0;
    for (int i = 0; i < n; i++) {
        char path[300], want[500], got[1000];
        snprintf(path, sizeof path, "%s/%s", s.flows_dir, list[i]->d_name);
        bool flow = strstr(list[i]->d_name, ".yaml") != NULL;
        free(list[i]);
        if (!flow)
            continue;
        expected_of(path, want, sizeof want);
        found_in(&findings, path, got, sizeof got);
        if (strcmp(want, got) != 0) {
            print_message("%s: wanted %s, got %s\n", path, want, got);
            wrong++;
        }
    }
    free(list);
    if (wrong)
        print_all(&findings);
    assert_true(n > 32);
    assert_int_equal(wrong, 0);
    findings_fini(&findings);
}

static void findings_say_what_to_do(void **state)
{
    (void)state;
    struct findings findings;
    struct flow_set *set = NULL;
    const struct flow_load_settings s = {.flows_dir = "tests/flows-bad",
                                         .upstreams_file = "tests/upstreams.yaml",
                                         .getenv = test_env};
    findings_init(&findings);
    assert_int_equal(flow_load(&s, &findings, &set), ERR_INVALID);
    const char *const expected[] = {
        "key-typo.yaml:11:1: error[F010]: unknown key `kepp` at the top level of a flow file; did "
        "you "
        "mean `keep`?",
        "`timeout` belongs in calls.NAME\n",
        "`concurrency` belongs in upstreams.NAME (upstreams.yaml)\n",
        "`token_scope` needs a token; write `access: users`, or leave it out",
        "jq reads `a-mart` as a subtraction; a name with `-` needs quotes: `$calls[\"a-mart\"]`",
        "no upstream is named `a-smart`; did you mean `a-mart`?",
        "outside `\\( )` goes out as this very text; write `\\($request.id)`",
        "`$body` cannot be seen here; visible: `$request` `$user` `$job` `$rows` `$calls`",
        "request.schema forbids `idd`; did you mean `id`?",
        "the timeout of 5s is longer than the deadline of 2s",
        "`webhook` is reserved for a later version",
        "no call is named `onn`; did you mean `one`?",
        "`one` after `two` after `three` after `one`: none of them can start; remove one of these",
        "`$calls.two` is not in `after`; add `two` to this call's `after`",
        "`$calls.one` is this very call; its answer is `$body`, in `ok` and `result`",
        "`ledger: false` is for GET, this is a POST; leave `ledger` out",
        "3 elements, and `max_items` is 2; raise `max_items` (at most 1000)",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!has(&findings, expected[i]))
            fail_msg("missing: %s", expected[i]);
    for (size_t i = 0; i < findings.n; i++)
        assert_true(findings.list[i].help[0]);
    findings_fini(&findings);
}

static void a_run_shows_everything(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", "flow: two\nacces: guests\ntitle: 3\nneed: x\nresult: .a\n");
    put(&x, x.flows, "two.yaml", "flow: [\n");
    put(&x, x.flows, "three.yaml", HEAD "reslt: $request.x\n");
    put(&x, x.flows, "four.yaml",
        HEAD "calls:\n  a:\n    upstream: a-mart\n    request: {path: '/\\($nope)#'}\n");
    assert_int_equal(load(&x), ERR_INVALID);
    const char *const expected[] = {
        "one.yaml:1:7: error[F015]",   "one.yaml:2:1: error[F010]", "one.yaml:3:8: error[F013]",
        "one.yaml:4:7: error[F013]",   "one.yaml:5:9: error[F035]", "three.yaml:1:7: error[F015]",
        "three.yaml:4:1: error[F010]", "two.yaml:2:1: error[F002]", "four.yaml:7:25: error[F031]",
        "four.yaml:7:31: error[F014]",
    };
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        if (!has(&x.findings, expected[i])) {
            print_all(&x.findings);
            fail_msg("missing: %s", expected[i]);
        }
    assert_null(x.set);
    done(&x);
}

/* Fields that nobody can name: what is wrong with the schema is said, and no name is guessed. */
static void a_schema_whose_properties_are_no_map_is_one_finding(void **state)
{
    (void)state;
    static const char *const uses[] = {"result: $request.id\n",
                                       "result: 1\npool:\n  key: '1'\n  refill: {topic: fill, "
                                       "fields: [id]}\n"};
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        struct fixture x;
        char text[300];
        snprintf(text, sizeof text,
                 "flow: one\ntitle: T\naccess: guests\nrequest:\n  schema:\n    type: object\n"
                 "    properties: [{id: ''}]\n%s",
                 uses[i]);
        setup(&x);
        put(&x, x.flows, "one.yaml", text);
        fails_with(&x, "`properties`: must be a map of schemas; mend the schema");
    }
}

static void limits_and_odd_values_are_findings(void **state)
{
    (void)state;
#define WITH(call) HEAD "calls:\n  get:\n    upstream: a-mart\n" call "result: $calls.get.result\n"
#define PATH       "    request: {path: /x}\n"
#define ITEMS      "    for_each: [1]\n"
    const struct {
        const char *flow, *expected;
    } cases[] = {
        {HEAD "need: 1.5\nresult: 1\n", ":4:7: error[F014]: `need: 1.5` is out of range"},
        {HEAD "need: some\nresult: 1\n", ":4:7: error[F013]: `need` must be a number"},
        {HEAD "keep: 1s\nresult: 1\n", "write a duration from 1m to 3650d"},
        {HEAD "deadline: 0s\nresult: 1\n", ":4:11: error[F014]"},
        {HEAD "topic: {partitions: 0}\nresult: 1\n", ":4:21: error[F014]"},
        {HEAD "topic: {name: ..}\nresult: 1\n", ":4:15: error[F014]"},
        {HEAD "topic: {group: ''}\nresult: 1\n", ":4:16: error[F014]"},
        {HEAD "topic: t\nresult: 1\n", ":4:8: error[F013]: `topic` must be a map"},
        {HEAD "request: {max_size: 0B}\nresult: 1\n", ":4:21: error[F014]"},
        {HEAD "request: {schema: yes}\nresult: 1\n", ":4:19: error[F013]"},
        {HEAD "cache: {key: '1', ttl: 0s}\nresult: 1\n", "error[F014]: `ttl: 0s`"},
        {HEAD "result: ''\n", ":4:9: error[F013]: `result` is empty"},
        {"flow: One\ntitle: x\naccess: guests\n", ":1:7: error[F015]: `One` is no name"},
        {"flow: one\ntitle: ''\naccess: guests\n", ":2:8: error[F014]: `title` has no text"},
        {"[]\n", ":1:1: error[F013]: `this` must be a map"},
        {WITH(PATH "    timeout: 0ms\n"), ":8:14: error[F014]"},
        {WITH(PATH "    retry: {attempts: 101}\n"), "from 1 to 100"},
        {WITH(PATH "    retry: {on: [99]}\n"), ":8:18: error[F014]: `99` is nothing"},
        {WITH(PATH "    retry: {on: [404.5]}\n"), ":8:18: error[F014]"},
        {WITH(PATH "    retry: {on: [[connect]]}\n"), "`this` is nothing a retry can be on"},
        {WITH(PATH "    retry: {on: ['503']}\n"),
         "`503` is nothing a retry can be on; write a status without quotes"},
        {WITH(PATH "    max_response: 65MB\n"), "write a size from 1B to 64MB"},
        {WITH(PATH ITEMS "    max_items: 1_0\n"),
         "`max_items` must be a number; write digits only"},
        {WITH(PATH ITEMS "    parallel: 0x10\n"), "`parallel` must be a number; write digits only"},
        {WITH(PATH ITEMS "    parallel: '2'\n"), "a number; write it without quotes"},
        {WITH(PATH "    response: null\n"),
         "error[F013]: `response` must be text; write `json`, `text` or `none`"},
        {HEAD "need: +1\nresult: 1\n", "`need` must be a number; write digits only"},
        {HEAD "requeue: [1s, 5]\nresult: 1\n",
         ":4:15: error[F013]: `requeue[1]` must be a duration; write it like 200ms"},
        {HEAD "requeue: [0s]\nresult: 1\n", "`requeue[0]: 0s` is out of range"},
        {HEAD "check: [7]\nresult: 1\n", "`check[0]` must be a map"},
        {HEAD "notify: {done: 'x \\(.a)'}\n",
         ":4:21: error[F035]: `.` is not data here; begin with a variable, like `$request.a`\n"},
        {HEAD "notify: {done: 'x \\( \\(1))'}\n", ":4:22: error[F030]: `\\(` in an expression"},
        {WITH("    request: x\n"), ":7:14: error[F013]: `request` must be a map"},
        {WITH("    request: {path: 7}\n"), ":7:21: error[F013]: `path` must be text; quote it"},
        {WITH("    request: {path: '/x#y'}\n"),
         ":7:24: error[F014]: `path` holds `#`, which no URL takes as it is; write it "
         "percent-encoded: `%23`"},
        {WITH("    request: {path: '/a b'}\n"), ":7:24: error[F014]: `path` holds ` `"},
        {WITH("    request: {path: '/\xea\xb0\x80\xea\xb2\xa9'}\n"),
         ":7:23: error[F014]: `path` holds `\xea\xb0\x80`, which no URL takes as it is; write it "
         "percent-encoded: `%EA%B0%80`"},
        {WITH("    request:\n      path: |\n        /a\n        /b\n"), "encoded: `%0A`"},
        {WITH("    request: {path: /x, headers: {A: \"b\\nc\"}}\n"),
         "error[F014]: the header `A` holds a control character; remove line breaks and tabs"},
        {WITH("    request:\n      path: /x\n      headers:\n        A: |\n          b\n"
              "          c\n"),
         ":11:12: error[F014]: the header `A`"},
        {WITH("    request: {path: /x, headers: {A: [1]}}\n"), ":7:38: error[F013]"},
        {WITH("    request: {path: /x, headers: {Connection: close}}\n"), ":7:35: error[F014]"},
        {WITH("    request: {path: /x, headers: {idempotency-key: a}}\n"), ":7:35: error[F014]"},
        {WITH("    request: {path: /x, headers: {X-Tenant: a, x-tenant: b}}\n"),
         ":7:48: error[F003]: the header `x-tenant` stands twice (first in line 7); remove one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        setup(&x);
        put(&x, x.flows, "one.yaml", cases[i].flow);
        fails_with(&x, cases[i].expected);
    }
}

/* One line is one line, however it is written; and in a hole all of jq may stand. */
static void paths_and_headers_are_one_line(void **state)
{
    (void)state;
    struct fixture x;
    const struct flow *f = load_one(
        &x, HEAD "calls:\n  get:\n    upstream: a-mart\n    request:\n      path: |\n"
                 "        /a/\\(\"#\" | # none\n           . + \" \")?\\\\(b=\\($request.id)\n"
                 "      headers:\n        X-A: |\n          hello \\(\n            $request.id)\n"
                 "        X-B: '\\(\"a\\tb\")'\n"
                 "result: $calls.get.result\n");
    struct json *request = NULL;
    assert_int_equal(json_parse("{\"id\":\"7\"}", 10, NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    const struct flow_call *c = &f->calls[0];
    struct buf out;
    buf_init(&out, 0);
    assert_int_equal(template_render_text(c->path, &vars, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "/a/%23%20?\\(b=7");
    buf_clear(&out);
    assert_int_equal(template_render_text(c->headers[0].value, &vars, &out, NULL), 0);
    assert_string_equal(buf_str(&out), "hello 7");
    assert_int_equal(template_render_text(c->headers[1].value, &vars, &out, NULL), ERR_EXPRESSION);
    buf_fini(&out);
    json_free(request);
    done(&x);
}

/* `n` times an entry that holds its number, in a text of its own. */
static char *repeated(const char *before, const char *entry, int n, const char *after)
{
    static char text[64 * 1024];
    size_t len = (size_t)snprintf(text, sizeof text, "%s", before);
    for (int i = 0; i < n; i++) {
        const char *hash = strchr(entry, '#');
        len += (size_t)snprintf(text + len, sizeof text - len, "%.*s%d%s", (int)(hash - entry),
                                entry, i, hash + 1);
    }
    snprintf(text + len, sizeof text - len, "%s", after);
    return text;
}

static void too_many_calls_headers_or_statuses_are_refused(void **state)
{
    (void)state;
    struct fixture x;
    const char *call = "  c#: {upstream: a-mart, request: {path: /x}}\n";
    setup(&x);
    put(&x, x.flows, "one.yaml", repeated(HEAD "calls:\n", call, 65, "result: $calls\n"));
    fails_with(&x, "error[F006]: more than 64 calls");
    setup(&x);
    put(&x, x.flows, "one.yaml", repeated(HEAD "calls:\n", call, 64, "result: $calls\n"));
    assert_int_equal(load(&x), 0);
    assert_int_equal(x.set->flows[0].calls_n, 64);
    done(&x);
    setup(&x);
    put(&x, x.flows, "one.yaml",
        repeated(HEAD "calls:\n  get:\n    upstream: a-mart\n    request:\n      path: /x\n"
                      "      headers:\n",
                 "        X-#: a\n", 33, "result: $calls\n"));
    fails_with(&x, "error[F006]: more than 32 headers");
    setup(&x);
    put(&x, x.flows, "one.yaml",
        repeated(HEAD "calls:\n  get:\n    upstream: a-mart\n    request: {path: /x}\n"
                      "    retry:\n      on:\n",
                 "        - 50#\n", 33, "result: $calls\n"));
    fails_with(&x, "error[F006]: more than 32 entries");
}

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

/* jq compiles its own library with each program: once for all files, not for each expression. */
static void eight_flows_take_the_time_of_a_few(void **state)
{
    (void)state;
    double one = 0, eight = 0;
    for (int n = 1; n <= 8; n += 7) {
        struct fixture x;
        setup(&x);
        for (int i = 0; i < n; i++) {
            char name[20], text[400];
            snprintf(name, sizeof name, "f%d.yaml", i);
            snprintf(text, sizeof text,
                     "flow: f%d\ntitle: T\ncalls:\n  get:\n    upstream: a-mart\n"
                     "    request: {path: '/\\($request.a + %d)'}\n    result: $body | keys\n"
                     "    ok: $status < 300\nresult: $calls.get | [.]\n",
                     i, i);
            put(&x, x.flows, name, text);
        }
        double begin = cpu_ms();
        assert_int_equal(load(&x), 0);
        *(n == 1 ? &one : &eight) = cpu_ms() - begin;
        done(&x);
    }
    print_message("one flow %.0f ms, eight %.0f ms\n", one, eight);
    assert_true(eight < 4 * one + 20);
}

/* ---- folder */

static void folders_that_hold_no_flows_are_findings(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    fails_with(&x, "/flows: error[F001]: no flow files here");
    setup(&x);
    rmdir(x.flows);
    unlink(x.upstreams);
    fails_with(&x, "/flows: error[F001]: No such file or directory; check the path");
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
    unlink(x.upstreams);
    fails_with(&x, "/upstreams.yaml: error[F001]: cannot be read");
}

static void only_flow_files_are_read(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    put(&x, x.flows, "one.test.yaml", "no: flow\n");
    put(&x, x.flows, ".one.yaml", "no: flow\n");
    put(&x, x.flows, "README.md", "no: flow\n");
    assert_int_equal(load(&x), 0);
    assert_int_equal(x.set->flows_n, 1);
    assert_int_equal(x.findings.n, 0);
    done(&x);
}

/* Who wrote it meant it to be read. */
static void a_file_in_capitals_is_a_warning(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    put(&x, x.flows, "two.YAML", HEAD CALL);
    put(&x, x.flows, "three.Yml", HEAD CALL);
    put(&x, x.flows, "one.test.JSON", "no: flow\n");
    put(&x, x.flows, ".four.YAML", "no: flow\n");
    put(&x, x.flows, "five.YAML~", "no: flow\n");
    assert_int_equal(load(&x), 0);
    assert_int_equal(x.set->flows_n, 1);
    assert_int_equal(x.findings.n, 3);
    assert_true(has(&x.findings, "flows/two.YAML: warning[F059]: no file that ends in `.YAML` is "
                                 "read; write `.yaml`\n"));
    assert_true(has(&x.findings, "flows/three.Yml: warning[F059]"));
    assert_true(has(&x.findings, "flows/one.test.JSON: warning[F059]"));
    done(&x);
    setup(&x);
    put(&x, x.flows, "two.YAML", HEAD CALL);
    assert_int_equal(load(&x), ERR_INVALID);
    assert_true(has(&x.findings, "flows: error[F001]: no flow files here"));
    assert_true(has(&x.findings, "flows/two.YAML: warning[F059]"));
    done(&x);
}

static void misplaced_files_are_findings(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    put(&x, x.flows, "one.yml", HEAD CALL);
    fails_with(&x, "one.yml: error[F015]: two files for the flow `one`");
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    put(&x, x.flows, "upstreams.yaml", three_shops);
    fails_with(&x, "flows/upstreams.yaml: error[F015]: upstreams.yaml is no flow");
}

/* The flows may be right: whoever reads it sees what to mend. */
static void one_mistake_in_one_file_is_no_finding_in_another(void **state)
{
    (void)state;
    static const char *const upstreams[][2] = {
        {"upstreams: [\n", "upstreams.yaml:2:1: error[F002]"},
        {"upstreams: [a]\n", "upstreams.yaml:1:12: error[F013]"},
        {"[]\n", "upstreams.yaml:1:1: error[F013]"},
        {"upstreams:\n  a-mart: http://x\n", "upstreams.yaml:2:11: error[F013]"},
        {"upstreams:\n  a-mart: {url: 'http://x'}\ndatabases: 7\n", ":3:12: error[F013]"},
        {"upstreams:\n  a-mart: {url: 'http://x'}\ndatabases:\n  d: mysql\n", ":4:6: error[F013]"},
    };
    for (size_t i = 0; i < sizeof upstreams / sizeof *upstreams; i++) {
        struct fixture x;
        setup(&x);
        put(&x, x.dir, "upstreams.yaml", upstreams[i][0]);
        put(&x, x.flows, "one.yaml", HEAD CALL);
        if (strstr(upstreams[i][0], "databases"))
            put(&x, x.flows, "two.yaml",
                "flow: two\ntitle: T\nload: {r: {database: d, sql: SELECT 1}}\nresult: $rows.r\n");
        fails_with(&x, upstreams[i][1]);
    }
    struct fixture x;
    setup(&x);
    unlink(x.upstreams);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    fails_with(&x, "/upstreams.yaml: error[F001]: cannot be read");
    setup(&x);
    put(&x, x.flows, "broken.yaml", "flow: [\n");
    put(&x, x.flows, "one.yaml", HEAD "result: 1\nemit: [{flow: broken, value: 1}]\n");
    fails_with(&x, "broken.yaml:2:1: error[F002]");
}

/* `check` of such a folder waited for ever. */
static void a_pipe_is_no_flow_file(void **state)
{
    (void)state;
    struct fixture x;
    char path[200];
    setup(&x);
    snprintf(path, sizeof path, "%s/pipe.yaml", x.flows);
    assert_int_equal(mkfifo(path, 0600), 0);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    int err = load(&x);
    unlink(path);
    assert_int_equal(err, ERR_INVALID);
    assert_int_equal(x.findings.n, 1);
    assert_true(has(&x.findings, "/pipe.yaml: error[F001]: this is no regular file"));
    done(&x);
}

static void a_retry_topic_is_taken(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", HEAD "topic: {name: t}\nresult: 1\n");
    put(&x, x.flows, "two.yaml",
        "flow: two\ntitle: Two\naccess: guests\ntopic: {name: t.retry}\nresult: 1\n");
    fails_with(&x, "two.yaml:4:15: error[F021]: the flow `one` reads `t`");
}

static void upstreams_stand_beside_the_folder(void **state)
{
    (void)state;
    const struct {
        const char *dir, *file, *expected;
    } cases[] = {
        {"flows", NULL, "upstreams.yaml"},   {"deploy/flows//", NULL, "deploy/upstreams.yaml"},
        {"/flows", NULL, "/upstreams.yaml"}, {"/", NULL, "/upstreams.yaml"},
        {".", NULL, "./../upstreams.yaml"},  {"a/..", NULL, "a/../../upstreams.yaml"},
        {".hidden", NULL, "upstreams.yaml"}, {"flows", "/etc/u.yaml", "/etc/u.yaml"}};
    char out[100];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct flow_load_settings s = {.flows_dir = cases[i].dir, .upstreams_file = cases[i].file};
        assert_int_equal(flow_load_upstreams_path(&s, out, sizeof out), 0);
        assert_string_equal(out, cases[i].expected);
    }
    struct flow_load_settings s = {.flows_dir = "flows"};
    assert_int_equal(flow_load_upstreams_path(&s, out, 5), ERR_TOO_LARGE);
}

/* ---- upstreams */

static void upstreams_are_read_whole(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.secrets, "key", "s3cret-value\n");
    put(&x, x.dir, "upstreams.yaml",
        "upstreams:\n"
        "  full:\n"
        "    url: https://example.com:${env:PORT}/v1//\n"
        "    headers: {Authorization: 'Bearer ${file:key}', X-App: offpath}\n"
        "    concurrency: ${env:CONCURRENCY:-7}\n"
        "    rate: 90/m\n"
        "    queue: 5\n"
        "    breaker: {failures: 25%, of: 8, open: 3s}\n"
        "    allow_private: ${env:TRUE}\n"
        "  short: {url: 'http://[::1]:8080', breaker: 'off', rate: none}\n");
    put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
    assert_int_equal(load(&x), 0);
    assert_int_equal(x.findings.n, 0);
    const struct upstream *u = &x.set->upstreams[0];
    assert_string_equal(u->url, "https://example.com:8080/v1");
    assert_int_equal(upstream_credentials(u)->headers_n, 2);
    assert_string_equal(upstream_credentials(u)->headers[0].name, "Authorization");
    assert_string_equal(upstream_credentials(u)->headers[0].value, "Bearer s3cret-value");
    assert_int_equal(u->concurrency, 7);
    assert_true(u->rate == 1.5);
    assert_int_equal(u->queue, 5);
    assert_int_equal(u->breaker.failures_percent, 25);
    assert_int_equal(u->breaker.of, 8);
    assert_int_equal(u->breaker.open_ms, 3000);
    assert_true(u->allow_private);
    u = &x.set->upstreams[1];
    assert_int_equal(u->concurrency, 64);
    assert_false(u->breaker.on);
    assert_true(u->rate == 0);
    assert_false(u->allow_private);
    assert_int_equal(u->index, 1);
    done(&x);
}

static void wrong_upstreams_are_findings(void **state)
{
    (void)state;
    const struct {
        const char *text, *expected;
    } cases[] = {
        {"upstreams:\n  a: {}\n", ":2:3: error[F012]: `url` is missing"},
        {"upstreams:\n  a: {url: ftp://x}\n", ":2:12: error[F014]: `url` is no http(s) address"},
        {"upstreams:\n  a: {url: 'http://'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://u:p@x/'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x:99999'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x:'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://[::1'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x/?a=b'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x/a b'}\n", ":2:12: error[F014]"},
        {"upstreams:\n  a: {url: 7}\n", ":2:12: error[F013]: `url` must be text"},
        {"upstreams:\n  a b: {url: 'http://x'}\n", ":2:3: error[F015]"},
        {"upstreams: [a]\n", ":1:12: error[F013]: `upstreams` must be a map"},
        {"upstream: {}\n", ":1:1: error[F010]: unknown key `upstream`"},
        {"upstreams: {}\ndatabases: []\n", ":2:12: error[F013]: `databases` must be a map"},
        {"upstreams:\n  a: {url: 'http://x', rate: 5}\n",
         ":2:30: error[F013]: `rate` must be text; write it like `100/s`, `30/m` or `5/h`, or "
         "`none`"},
        {"upstreams:\n  a: {url: 'http://x', rate: 0x10/s}\n", ":2:30: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', breaker: {failures: 50}}\n",
         ":2:44: error[F013]: `failures` must be text; write it like `50%`, from 1% to 100%"},
        {"upstreams:\n  a: {url: 'http://x', breaker: {failures: 101%}}\n", ":2:44: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', rate: 5/d}\n", ":2:30: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', rate: 0/s}\n", ":2:30: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', rate: nan/s}\n", ":2:30: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', breaker: on}\n", ":2:33: error[F013]"},
        {"upstreams:\n  a: {url: 'http://x', breaker: {failures: 0%}}\n", ":2:44: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', breaker: {opn: 5s}}\n", "did you mean `open`?"},
        {"upstreams:\n  a: {url: 'http://x', concurrency: 0}\n", "from 1 to 100000"},
        {"upstreams:\n  a: {url: 'http://x', headers: {'a b': c}}\n", ":2:34: error[F015]"},
        {"upstreams:\n  a: {url: 'http://x', headers: {Host: c}}\n", ":2:34: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', headers: {A: \"c\\nd\"}}\n", ":2:37: error[F014]"},
        {"upstreams:\n  a: {url: 'http://x', headers: {idempotency-Key: c}}\n",
         "error[F014]: the header `idempotency-Key` cannot be set here; remove it; it is set for "
         "each call"},
        {"upstreams:\n  a:\n    url: http://x\n    headers:\n      X-A: c\n      x-a: d\n",
         ":6:7: error[F003]: the header `x-a` stands twice (first in line 5); remove one"},
        {"upstreams:\n  a: {url: 'http://x', timeout: 5s}\n", "`timeout` belongs in calls.NAME"},
        {"upstreams:\n  a: {url: '${file:none}'}\n", "/secrets/none` cannot be read"},
        {"upstreams:\n  a: {url: '${file:../x}'}\n", "needs a name in the secrets folder"},
        {"upstreams:\n  a: {url: '${env:1X}'}\n", "needs a name of A-Z"},
        {"[]\n", ":1:1: error[F013]: `this` must be a map"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        setup(&x);
        put(&x, x.dir, "upstreams.yaml", cases[i].text);
        put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
        bool url = strstr(cases[i].text, "${") != NULL; /* not filled in, so no address either */
        if (!url) {
            fails_with(&x, cases[i].expected);
            continue;
        }
        assert_int_equal(load(&x), ERR_INVALID);
        if (!has(&x.findings, cases[i].expected))
            fail_msg("missing: %s", cases[i].expected);
        done(&x);
    }
}

static void a_secret_in_plain_text_is_a_warning(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.dir, "upstreams.yaml",
        "upstreams:\n  a: {url: 'http://x', headers: {X-Api-Key: abc, Accept: b}}\n");
    put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
    assert_int_equal(load(&x), 0);
    assert_int_equal(x.findings.warnings, 1);
    assert_true(has(&x.findings, ":2:45: warning[F054]"));
    done(&x);
}

static void lint_of(const char *flow, const char *expected)
{
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml", flow);
    int err = load(&x);
    if (!expected ? x.findings.n != 0 : !has(&x.findings, expected)) {
        print_all(&x.findings);
        fail_msg("%d, wanted: %s", err, expected ? expected : "nothing");
    }
    done(&x);
}

/* ---- placeholders */

static void placeholders_are_filled_in_after_the_parse(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, x.flows, "one.yaml",
        "flow: one\n"
        "title: 'a: ${env:PORT} $${env:PORT} ${env:NONE:-x, y: z}${env:EMPTY:-e}'\n"
        "access: guests\n"
        "topic: {partitions: '${env:NONE:-9}'}\n"
        "result: |\n"
        "  \"${env:PORT}\"\n");
    assert_int_equal(load(&x), 0);
    assert_string_equal(x.set->flows[0].title, "a: 8080 ${env:PORT} x, y: ze");
    assert_int_equal(x.set->flows[0].topic.partitions, 9);
    assert_string_equal(expr_source(x.set->flows[0].result), "\"8080\"");
    done(&x);
}

/* A number that was filled in is one wherever a number may stand; a default may be long. */
static void what_is_filled_in_may_be_a_status_and_long(void **state)
{
    (void)state;
    struct fixture x;
    char text[2000];
    snprintf(text, sizeof text,
             HEAD
             "calls:\n  get:\n    upstream: a-mart\n    request: {path: '/${env:NONE:-%0900d}'}\n"
             "    retry: {on: ['${env:NONE:-503}', '${env:NONE:-connect}']}\n"
             "result: $calls.get.result\n",
             7);
    const struct flow *f = load_one(&x, text);
    assert_int_equal(f->calls[0].retry.statuses_n, 1);
    assert_int_equal(f->calls[0].retry.statuses[0], 503);
    done(&x);
    lint_of(HEAD "topic: {partitions: '${env:NONE:-some}'}\n",
            "`partitions` must be a number; write digits only");
}

/* Each looked for its end through the whole rest. */
static void thousands_of_open_placeholders_are_one_finding(void **state)
{
    (void)state;
    struct fixture x;
    static char text[400 * 1024];
    size_t len = (size_t)snprintf(text, sizeof text, "%sresult: '", HEAD);
    while (len + 10 < sizeof text) {
        memcpy(text + len, "${", 2);
        len += 2;
    }
    snprintf(text + len, sizeof text - len, "'\n");
    setup(&x);
    put(&x, x.flows, "one.yaml", text);
    assert_int_equal(load(&x), ERR_INVALID);
    assert_true(has(&x.findings, "one.yaml:4:10: error[F007]: `${` without `}`"));
    size_t placeholders = 0;
    for (size_t i = 0; i < x.findings.n; i++)
        placeholders += x.findings.list[i].code == FINDING_PLACEHOLDER;
    assert_int_equal(placeholders, 1);
    done(&x);
}

static void a_secret_from_a_file_never_reaches_the_log(void **state)
{
    (void)state;
    struct fixture x;
    char text[1000];
    setup(&x);
    put(&x, x.secrets, "key", "very-secret-value\n");
    put(&x, x.dir, "upstreams.yaml",
        "upstreams:\n  a: {url: 'http://x', headers: {A: 'Bearer ${file:key}'}}\n");
    put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
    assert_int_equal(load(&x), 0);
    FILE *log = tmpfile();
    int saved = dup(STDERR_FILENO);
    assert_true(log && dup2(fileno(log), STDERR_FILENO) >= 0);
    log_error("test", "value", upstream_credentials(&x.set->upstreams[0])->headers[0].value);
    dup2(saved, STDERR_FILENO);
    close(saved);
    rewind(log);
    text[fread(text, 1, sizeof text - 1, log)] = 0;
    fclose(log);
    assert_non_null(strstr(text, "Bearer ***"));
    assert_null(strstr(text, "very-secret"));
    done(&x);
}

static void large_and_binary_secrets_are_refused(void **state)
{
    (void)state;
    struct fixture x;
    static char big[70000];
    memset(big, 'x', sizeof big - 1);
    setup(&x);
    put(&x, x.secrets, "big", big);
    put(&x, x.dir, "upstreams.yaml",
        "upstreams:\n  a: {url: 'http://x', headers: {A: '${file:big}'}}\n");
    put(&x, x.flows, "one.yaml", HEAD "result: 1\n");
    fails_with(&x, "is no text of at most 64 KB");
}

/* What a reload need not swap. */
static void sets_of_the_same_files_and_secrets_are_the_same(void **state)
{
    (void)state;
    static const char upstreams[] = "upstreams:\n  a-mart: {url: 'http://${file:host}'}\n";
    struct fixture x;
    struct flow_set *first;
    setup(&x);
    put(&x, x.secrets, "host", "h\n");
    put(&x, x.dir, "upstreams.yaml", upstreams);
    put(&x, x.flows, "one.yaml", HEAD CALL);
    assert_int_equal(load(&x), 0);
    first = x.set;
    static const char *const changes[][3] = {
        {"", "", ""}, {"secrets", "host", "i\n"}, {"flows", "one.yaml", HEAD CALL "#\n"}};
    for (int i = 0; i < 3; i++) {
        char folder[120];
        snprintf(folder, sizeof folder, "%s/%s", x.dir, changes[i][0]);
        if (changes[i][0][0])
            put(&x, folder, changes[i][1], changes[i][2]);
        assert_int_equal(load(&x), 0);
        assert_int_equal(flow_set_same(first, x.set), i == 0);
        flow_set_put(first);
        first = x.set;
    }
    done(&x);
}

/* ---- lint */

static void reading_all_calls_at_once_is_reading_each(void **state)
{
    (void)state;
    lint_of(HEAD "calls:\n  get:\n    upstream: a-mart\n    request: {path: /x}\n"
                 "result: '[$calls | to_entries[] | .key]'\n",
            NULL);
}

static void a_list_with_a_bound_may_be_for_each(void **state)
{
    (void)state;
#define EACH(list, each)                                                                   \
    HEAD "request:\n  schema: {type: object, properties: {a: " list "}}\ncalls:\n  get:\n" \
         "    upstream: a-mart\n    for_each: " each "\n    request: {path: /x}\n"         \
         "result: $calls.get\n"
    lint_of(EACH("{type: array, maxItems: 3}", "$request.a"), NULL);
    lint_of(EACH("{type: array}", "$request.a"), "one.yaml:5:39: warning[F056]: `a` has no bound");
    lint_of(EACH("{type: array}", "'$request.a | .[:3]'"), NULL); /* who knows */
    lint_of(EACH("{properties: {b: {type: array}}}", "$request.a.b"), "warning[F056]: `b`");
}

static void waits_count_against_the_deadline(void **state)
{
    (void)state;
#define RETRY(deadline, retry)                                                                     \
    HEAD "deadline: " deadline "\ncalls:\n  get:\n    upstream: a-mart\n    request: {path: /x}\n" \
         "    timeout: 8s\n    retry: " retry "\nresult: $calls.get.result\n"
    lint_of(RETRY("12s", "{attempts: 3, on: [connect, 5xx]}"), NULL);
    lint_of(RETRY("9s", "{attempts: 3, on: [connect, 5xx]}"), "3 attempts can take 9.2s");
    lint_of(RETRY("12s", "{attempts: 3, on: [timeout]}"), "3 attempts can take 25.2s");
    lint_of(RETRY("12s", "{attempts: 1, on: [timeout]}"), NULL);
}

static void a_schema_that_cannot_be_seen_through_is_left_alone(void **state)
{
    (void)state;
#define SCHEMA(schema) HEAD "request:\n  schema: " schema "\nresult: $request.a.b\n"
    lint_of(SCHEMA("{type: object}"), NULL);
    lint_of(SCHEMA("{type: object, properties: {x: {}}}"), "warning[F053]");
    lint_of(SCHEMA("{type: object, properties: {x: {}}, anyOf: [{required: [x]}]}"), NULL);
    lint_of(SCHEMA("{type: object, properties: {a: {}}}"), NULL);
    lint_of(SCHEMA("{type: object, properties: {a: {properties: {c: {}}}}}"),
            "request.schema does not name `b`");
    lint_of(SCHEMA("{type: object, additionalProperties: false}"), "error[F043]");
    lint_of(SCHEMA("{type: object, properties: {a: {additionalProperties: false}}}"),
            "error[F043]: request.schema forbids `b`");
}

static void examples_run_through_what_needs_no_call(void **state)
{
    (void)state;
#define EXAMPLE(rest)                                                                            \
    HEAD "request:\n  schema: {type: object, required: [id], properties: {id: {type: string}}, " \
         "examples: [{id: '7'}]}\n" rest
    lint_of(EXAMPLE("result: $request.id\n"), NULL);
    lint_of(EXAMPLE("result: '$request.id | error(\"no\")'\n"), "example 1 makes this fail");
    lint_of(EXAMPLE("result: '$job.id + $job.flow'\n"), NULL);
    lint_of(EXAMPLE("cache: {ttl: 1s, key: '{a: $request.id}'}\nresult: 1\n"),
            "example 1 makes this fail: the key must be a string");
    lint_of(EXAMPLE("cache: {ttl: 1s, key: '[$request.id, $user.id]'}\nresult: 1\n"), NULL);
}

static void the_last_of_many_examples_is_looked_at(void **state)
{
    (void)state;
    char text[2000] = HEAD "request:\n  schema:\n    properties: {n: {type: integer}}\n"
                           "    examples:\n";
    for (int i = 1; i <= 25; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "      - {n: %s}\n",
                 i == 25   ? "x"
                 : i == 20 ? "20"
                           : "1");
    snprintf(text + strlen(text), sizeof text - strlen(text),
             "result: if $request.n == 20 then error else 1 end\n");
    lint_of(text, "one.yaml:32:13: error[F041]: this example breaks its schema: /n");
    lint_of(text, "example 20 makes this fail");
}

/* jq reads all of these as if they stood together. */
static void blanks_in_an_expression_hide_nothing_from_lint(void **state)
{
    (void)state;
    lint_of(HEAD "cache: {scope: shared, ttl: 1s, key: '1'}\nresult: $ user.id\n",
            "one.yaml:5:9: error[F022]: `$user` in a flow whose cache is shared");
    lint_of(HEAD "calls:\n  get: {upstream: a-mart, request: {path: /x}}\nresult: |\n"
                 "  $calls\n  .four.result\n",
            "error[F033]: no call is named `four`");
    lint_of(HEAD "calls:\n  get: {upstream: a-mart, request: {path: /x}}\n"
                 "result: $calls[\"no\" ].result\n",
            "error[F033]: no call is named `no`");
    lint_of(HEAD "request:\n  schema: {properties: {a: {}}, additionalProperties: false}\n"
                 "result: $request .zzz\n",
            "one.yaml:6:19: error[F043]: request.schema forbids `zzz`");
}

static void an_expressions_own_variables_have_names_of_their_own(void **state)
{
    (void)state;
    lint_of(HEAD "result: '[1, 2] | map(. as $x | $x + 1)'\n", NULL);
    lint_of(HEAD "result: '[1, 2] | map(. as $item | $item + 1)'\n",
            "one.yaml:4:28: error[F032]: `$item` is a name of the flow language");
    lint_of(HEAD "result: '$item'\n", "error[F032]: `$item` cannot be seen here");
}

static void each_string_of_a_template_shows_its_error(void **state)
{
    (void)state;
    const char *flow = HEAD "calls:\n  get:\n    upstream: a-mart\n    request:\n"
                            "      path: /x\n"
                            "      body:\n"
                            "        a: ['\\($request.x | nope)']\n"
                            "        b: |\n"
                            "          one\n"
                            "          two \\($request.y | gone)\n"
                            "result: $calls.get.result\n";
    lint_of(flow, "one.yaml:10:29: error[F031]: `nope` is not defined");
    lint_of(flow, "one.yaml:13:30: error[F031]: `gone` is not defined");
}

static void other_languages_get_a_hint(void **state)
{
    (void)state;
    lint_of(HEAD "result: 'true && false'\n", "one.yaml:4:15: error[F031]: syntax error");
    lint_of(HEAD "result: 'true && false'\n", "; jq writes `and`\n");
    lint_of(HEAD "result: 'true || false'\n", "; jq writes `or`\n");
    lint_of(HEAD "result: 'if true then 1'\n", "; jq 1.6 wants `if A then B else C end`\n");
    lint_of(HEAD "result: \"'text'\"\n", "; jq's strings stand in double quotes\n");
    lint_of(HEAD "result: '$request.a | $reqest.b'\n",
            "one.yaml:4:23: error[F031]: `$reqest` is not "
            "defined; did you mean `$request`?");
}

/* ---- the editors' schema and the table of keys say the same */

static const char *const schema_paths[] = {
    [MAP_FLOW] = "",
    [MAP_TOPIC] = "/properties/topic",
    [MAP_REQUEST] = "/properties/request",
    [MAP_CACHE] = "/properties/cache",
    [MAP_LIMIT] = "/properties/limits/items",
    [MAP_LOAD] = "/properties/load/additionalProperties",
    [MAP_CHECK] = "/properties/check/items",
    [MAP_POOL] = "/properties/pool",
    [MAP_REFILL] = "/properties/pool/properties/refill",
    [MAP_CALL] = "/definitions/call",
    [MAP_CALL_REQUEST] = "/definitions/call/properties/request",
    [MAP_RETRY] = "/definitions/retry",
    [MAP_SAVE] = "/properties/save/items",
    [MAP_EMIT] = "/properties/emit/items",
    [MAP_NOTIFY] = "/properties/notify",
    [MAP_UPSTREAMS] = "",
    [MAP_UPSTREAM] = "/properties/upstreams/additionalProperties",
    [MAP_BREAKER] = "/properties/upstreams/additionalProperties/properties/breaker/anyOf/1",
    [MAP_SIGN] = "/properties/upstreams/additionalProperties/properties/sign",
    [MAP_TLS] = "/properties/upstreams/additionalProperties/properties/tls",
    [MAP_DATABASE] = "/properties/databases/additionalProperties",
};

static void editors_know_every_key_and_no_other(void **state)
{
    (void)state;
    struct findings findings;
    struct yaml *files[2] = {NULL, NULL};
    size_t known[MAP_DATABASE + 1] = {0};
    findings_init(&findings);
    assert_int_equal(yaml_read("proto/flow.schema.json", &findings, &files[0]), 0);
    assert_int_equal(yaml_read("proto/upstreams.schema.json", &findings, &files[1]), 0);
    enum flow_map map;
    const char *name;
    for (size_t i = 0; flow_key_at(i, &map, &name); i++) {
        const struct yaml_node *root = yaml_root(files[map >= MAP_UPSTREAMS]);
        const struct yaml_node *at = value_at_pointer(root, schema_paths[map]);
        if (!yaml_get(yaml_get(at, "properties"), name))
            fail_msg("the schema lacks `%s` at %s", name, schema_paths[map]);
        known[map]++;
    }
    for (int m = 0; m <= MAP_DATABASE; m++) {
        const struct yaml_node *root = yaml_root(files[m >= MAP_UPSTREAMS]);
        const struct yaml_node *at = value_at_pointer(root, schema_paths[m]);
        if (yaml_get(at, "properties")->n != known[m])
            fail_msg("the schema has other keys at %s", schema_paths[m]);
    }
    yaml_close(files[0]);
    yaml_close(files[1]);
    findings_fini(&findings);
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
        cmocka_unit_test(the_price_comparison_loads_whole),
        cmocka_unit_test(the_stand_ins_upstreams_load),
        cmocka_unit_test(a_call_renders_what_the_file_says),
        cmocka_unit_test(a_short_flow_gets_the_defaults),
        cmocka_unit_test(calls_wait_for_others_and_have_items),
        cmocka_unit_test(special_words_are_understood),
        cmocka_unit_test(a_title_counts_characters),
        cmocka_unit_test(the_revision_is_the_files_digest),
        cmocka_unit_test(a_json_file_is_a_flow),
        cmocka_unit_test(each_wrong_file_has_its_finding_at_its_place),
        cmocka_unit_test(findings_say_what_to_do),
        cmocka_unit_test(a_run_shows_everything),
        cmocka_unit_test(a_schema_whose_properties_are_no_map_is_one_finding),
        cmocka_unit_test(limits_and_odd_values_are_findings),
        cmocka_unit_test(paths_and_headers_are_one_line),
        cmocka_unit_test(too_many_calls_headers_or_statuses_are_refused),
        cmocka_unit_test(eight_flows_take_the_time_of_a_few),
        cmocka_unit_test(folders_that_hold_no_flows_are_findings),
        cmocka_unit_test(only_flow_files_are_read),
        cmocka_unit_test(a_file_in_capitals_is_a_warning),
        cmocka_unit_test(misplaced_files_are_findings),
        cmocka_unit_test(one_mistake_in_one_file_is_no_finding_in_another),
        cmocka_unit_test(a_pipe_is_no_flow_file),
        cmocka_unit_test(a_retry_topic_is_taken),
        cmocka_unit_test(upstreams_stand_beside_the_folder),
        cmocka_unit_test(upstreams_are_read_whole),
        cmocka_unit_test(wrong_upstreams_are_findings),
        cmocka_unit_test(a_secret_in_plain_text_is_a_warning),
        cmocka_unit_test(placeholders_are_filled_in_after_the_parse),
        cmocka_unit_test(what_is_filled_in_may_be_a_status_and_long),
        cmocka_unit_test(thousands_of_open_placeholders_are_one_finding),
        cmocka_unit_test(a_secret_from_a_file_never_reaches_the_log),
        cmocka_unit_test(large_and_binary_secrets_are_refused),
        cmocka_unit_test(sets_of_the_same_files_and_secrets_are_the_same),
        cmocka_unit_test(reading_all_calls_at_once_is_reading_each),
        cmocka_unit_test(a_list_with_a_bound_may_be_for_each),
        cmocka_unit_test(waits_count_against_the_deadline),
        cmocka_unit_test(a_schema_that_cannot_be_seen_through_is_left_alone),
        cmocka_unit_test(examples_run_through_what_needs_no_call),
        cmocka_unit_test(the_last_of_many_examples_is_looked_at),
        cmocka_unit_test(blanks_in_an_expression_hide_nothing_from_lint),
        cmocka_unit_test(an_expressions_own_variables_have_names_of_their_own),
        cmocka_unit_test(each_string_of_a_template_shows_its_error),
        cmocka_unit_test(other_languages_get_a_hint),
        cmocka_unit_test(editors_know_every_key_and_no_other),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
