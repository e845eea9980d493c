/* One call: its turn, its attempts, what an answer means, and how it is stopped. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client_fake.h"
#include "common/loop_fake.h"
#include "common/metrics.h"
#include "worker/budget.h"
#include "worker/call_run.h"
#include "worker/due_timer.h"

struct world {
    struct loop *loop;
    struct due_timer due;
    struct rng_seeded rng;
    struct call_env env;
    struct upstream upstream;
    struct flow_set set;
    struct flow_call call;
    struct plan_item item;
    struct outcome outcome;
    struct expr_vars vars;
    struct job_id job;
    struct call_run *run, *last;
    char *result;
    size_t kept;
    unsigned done, marks;
    const char *why; /* of the last that was over */
    bool lease;
    call_run_fn *mark;
    call_wait_fn *must_wait;
    unsigned waits; /* so many times it may yet wait */
};

static bool may_start(void *arg)
{
    return ((struct world *)arg)->lease;
}

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static struct template *template_of(const char *text, enum template_place place)
{
    struct json *literal = json_new_text(text);
    struct template *t = NULL;
    assert_int_equal(template_compile(literal, place, VAR_BIT(VAR_REQUEST), &t, NULL), 0);
    json_free(literal);
    return t;
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_int_equal(loop_fake_open(INT64_C(1700000000000000), &w->loop), 0);
    assert_int_equal(due_timer_init(&w->due, w->loop), 0);
    rng_seeded_init(&w->rng, 5);
    w->lease = true;
    w->upstream = (struct upstream){.name = strdup("shop"),
                                    .url = strdup("http://shop"),
                                    .concurrency = 2,
                                    .queue = 10,
                                    .breaker = {true, 50, 4, 10000}};
    w->set = (struct flow_set){.upstreams = &w->upstream, .upstreams_n = 1};
    w->env = (struct call_env){.clock = loop_fake_clock(w->loop),
                               .due = &w->due.due,
                               .rng = &w->rng.rng,
                               .may_start = may_start,
                               .arg = w};
    assert_int_equal(http_client_fake_open(w->loop, &w->env.http), 0);
    assert_int_equal(call_gates_open(&w->env, &w->set, 1), 0);
    w->call = (struct flow_call){.name = strdup("price"),
                                 .upstream = &w->upstream,
                                 .method = strdup("GET"),
                                 .path = template_of("/p/\\($request.id)", TEMPLATE_PATH),
                                 .timeout_ms = 1000,
                                 .retry = {.attempts = 3,
                                           .backoff_ms = 100,
                                           .max_ms = 400,
                                           .codes = 1u << CALL_HTTP_5XX | 1u << CALL_HTTP_429},
                                 .response_max = 1 << 20};
    w->vars.value[VAR_REQUEST] = parse("{\"id\":\"a b\"}");
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    call_gates_close(&w->env);
    http_client_close(w->env.http);
    due_timer_fini(&w->due);
    loop_close(w->loop);
    template_free(w->call.path);
    expr_free(w->call.ok);
    expr_free(w->call.result);
    json_free((struct json *)(uintptr_t)w->vars.value[VAR_REQUEST]);
    outcome_fini(&w->outcome);
    free(w->result);
    free(w->call.name);
    free(w->call.method);
    free(w->upstream.name);
    free(w->upstream.url);
    free(w);
    return 0;
}

static void over(void *arg, struct call_run *r)
{
    struct world *w = arg;
    w->done++;
    w->why = r->why;
    free(w->result);
    w->result = r->result;
    r->result = NULL;
    w->run = NULL;
    call_run_free(r);
}

static struct call_run *start(struct world *w, int64_t deadline_ms)
{
    struct call_request q = {0};
    uint8_t key[CALL_KEY] = {1};
    const struct call_order o = {.call = &w->call,
                                 .item = &w->item,
                                 .outcome = &w->outcome,
                                 .vars = &w->vars,
                                 .mark = w->mark,
                                 .must_wait = w->must_wait,
                                 .job = &w->job,
                                 .trace = "",
                                 .deadline_ms = deadline_ms,
                                 .kept = &w->kept,
                                 .done = over,
                                 .arg = w,
                                 .out = &w->run};
    outcome_fini(&w->outcome);
    w->item = (struct plan_item){.index = -1};
    assert_int_equal(call_request_render(&w->call, &w->vars, &q, NULL), 0);
    assert_int_equal(call_run_start(&w->env, &o, &q, key), 0);
    return w->run;
}

static void reply(struct world *w, struct http_fake_reply r)
{
    http_client_fake_script(w->env.http, NULL, "*", &r);
}

static void run(struct world *w, int64_t ms)
{
    loop_fake_run_for(w->loop, ms);
}

static void set_expr(struct expr **e, const char *text)
{
    expr_free(*e);
    assert_int_equal(expr_compile(text, VAR_ALL, e, NULL), 0);
}

static void a_body_becomes_the_result(void **state)
{
    struct world *w = *state;
    reply(w, (struct http_fake_reply){.body = "{\"price\":7}", .delay_ms = 30});
    start(w, INT64_MAX);
    run(w, 100);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.state, ITEM_SUCCEEDED);
    assert_true(w->item.began);
    assert_string_equal(w->result, "{\"price\":7}");
    assert_int_equal(json_number(json_get(w->outcome.result, "price")), 7);
    assert_int_equal(w->outcome.ms, 30);
    assert_int_equal(w->outcome.status, 200);
    assert_int_equal(w->kept, 11);
    assert_string_equal(http_client_fake_call(w->env.http, 0)->url, "http://shop/p/a%20b");
}

/* ---- signed for AWS */

static void an_attempt_is_signed_and_the_next_anew(void **state)
{
    struct world *w = *state;
    struct credentials signs = {0};
    w->upstream.credentials = &signs;
    signs.sign = (struct sigv4_keys){.service = (char[]){"s3"},
                                     .region = (char[]){"eu-west-1"},
                                     .access_key = (char[]){"AKID"},
                                     .secret_key = (char[]){"secret"}};
    struct header_template own[] = {
        {(char[]){"x-amz-copy-source"}, template_of("/b/\\($request.id)", TEMPLATE_HEADER)},
        {(char[]){"X-Amz-Date"}, template_of("yesterday", TEMPLATE_HEADER)}};
    w->call.headers = own;
    w->call.headers_n = 2;
    reply(w, (struct http_fake_reply){.status = 503,
                                      .header = {(char[]){"retry-after"}, (char[]){"2"}}});
    reply(w, (struct http_fake_reply){.body = "1"});
    start(w, INT64_MAX);
    run(w, 3000);
    assert_int_equal(w->item.state, ITEM_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->env.http), 2);
    const struct http_fake_call *a = http_client_fake_call(w->env.http, 0);
    assert_string_equal(http_fake_call_header(a, "x-amz-copy-source"), "/b/a b");
    assert_string_equal(http_fake_call_header(a, "x-amz-date"), "20231114T221320Z");
    assert_string_equal(http_fake_call_header(a, "x-amz-content-sha256"),
                        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_non_null(strstr(http_fake_call_header(a, "authorization"),
                           "AWS4-HMAC-SHA256 Credential=AKID/20231114/eu-west-1/s3/aws4_request"));
    assert_non_null(strstr(http_fake_call_header(a, "authorization"), "x-amz-copy-source"));
    a = http_client_fake_call(w->env.http, 1);
    assert_string_equal(http_fake_call_header(a, "x-amz-date"), "20231114T221322Z");
    template_free(own[0].value);
    template_free(own[1].value);
}

/* ---- repeat: never */

static void mark(void *arg, struct call_run *r)
{
    struct world *w = arg;
    assert_ptr_equal(r, w->run);
    assert_int_equal(http_client_fake_calls(w->env.http), 0); /* before anything is sent */
    w->marks++;
}

static unsigned flying(struct world *w)
{
    return w->env.gates[0].governor.flying;
}

static void it_is_marked_once_then_sent(void **state)
{
    struct world *w = *state;
    w->mark = mark;
    w->call.never_again = true;
    w->call.retry.codes |= 1u << CALL_CONNECT;
    reply(w, (struct http_fake_reply){.code = CALL_CONNECT});
    reply(w, (struct http_fake_reply){.body = "1"});
    struct call_run *r = start(w, INT64_MAX);
    run(w, 5000);
    assert_int_equal(w->marks, 1);
    assert_int_equal(flying(w), 1); /* its slot is taken */
    assert_false(w->item.began);
    w->lease = false; /* and the lease goes meanwhile: it waits, and is marked already */
    call_run_marked(r, true);
    assert_int_equal(flying(w), 0);
    run(w, 100);
    assert_int_equal(http_client_fake_calls(w->env.http), 0);
    w->lease = true;
    call_gates_pump(&w->env);
    run(w, 5000);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.state, ITEM_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->env.http), 2); /* the first reached nobody */
    assert_int_equal(w->marks, 1);
}

static void what_is_not_marked_is_not_sent(void **state)
{
    struct world *w = *state;
    w->mark = mark;
    call_run_marked(start(w, INT64_MAX), false);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.code, CALL_CONNECT);
    assert_int_equal(flying(w), 0);
    call_run_stop(w->run = start(w, INT64_MAX), CALL_DEADLINE);
    assert_int_equal(w->item.code, CALL_DEADLINE);
    assert_int_equal(flying(w), 0);
    call_run_free(w->run);
    assert_int_equal(http_client_fake_calls(w->env.http), 0);
}

static enum call_code ends_with(struct world *w, struct http_fake_reply r)
{
    w->done = 0;
    r.delay_ms = 1;
    reply(w, r);
    start(w, INT64_MAX);
    run(w, 5000);
    assert_int_equal(w->done, 1);
    return (enum call_code)w->item.code;
}

static void what_an_answer_means(void **state)
{
    struct world *w = *state;
    w->upstream.breaker.on = false;
    w->call.retry.attempts = 1;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.status = 302}), CALL_HTTP_3XX);
    close_world(state);
    open_world(state);
    w = *state;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.status = 404}), CALL_HTTP_4XX);
    assert_false(w->item.retryable);
    close_world(state);
    open_world(state);
    w = *state;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = "<html>"}), CALL_BAD_BODY);
    assert_non_null(w->why);
    close_world(state);
    open_world(state);
    w = *state;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = ""}), CALL_OK);
    assert_string_equal(w->result, "null");
    close_world(state);
    open_world(state);
    w = *state;
    w->call.response = RESPONSE_TEXT;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = "hi \"there\""}), CALL_OK);
    assert_string_equal(w->result, "\"hi \\\"there\\\"\"");
}

static void ok_decides_over_the_status(void **state)
{
    struct world *w = *state;
    set_expr(&w->call.ok, "$status == 404 or $body.fine");
    assert_int_equal(ends_with(w, (struct http_fake_reply){.status = 404, .body = "{}"}), CALL_OK);
    close_world(state);
    open_world(state);
    w = *state;
    set_expr(&w->call.ok, "$body.fine");
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = "{\"fine\":false}"}),
                     CALL_BAD_BODY);
    assert_string_equal(w->why, "`ok` is not true");
    close_world(state);
    open_world(state);
    w = *state;
    set_expr(&w->call.ok, "$headers[\"x-fine\"] == \"yes\"");
    assert_int_equal(
        ends_with(w, (struct http_fake_reply){.body = "1",
                                              .header = {(char[]){"x-fine"}, (char[]){"yes"}}}),
        CALL_OK);
}

static void a_result_that_fails_or_is_too_big_fails_the_call(void **state)
{
    struct world *w = *state;
    set_expr(&w->call.result, "$body.total | tonumber");
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = "{\"total\":\"x\"}"}),
                     CALL_BAD_BODY);
    assert_string_equal(w->why, "`result` cannot be computed from it");
    assert_null(w->result);
    close_world(state);
    open_world(state);
    w = *state;
    w->kept = CALL_RESULTS_MAX - 3;
    assert_int_equal(ends_with(w, (struct http_fake_reply){.body = "12345"}), CALL_TOO_BIG);
}

static void repeats_what_is_listed_then_gives_up(void **state)
{
    struct world *w = *state;
    w->upstream.breaker.on = false;
    reply(w, (struct http_fake_reply){.status = 500, .delay_ms = 1});
    start(w, INT64_MAX);
    run(w, 5000);
    assert_int_equal(w->done, 1);
    assert_int_equal(http_client_fake_calls(w->env.http), 3);
    assert_int_equal(w->item.code, CALL_HTTP_5XX);
    assert_true(w->item.retryable);
    assert_int_equal(w->outcome.attempts, 3);
    assert_int_equal(w->outcome.status, 500);
}

static bool waits(void *arg, const struct call_run *r, enum call_code code)
{
    struct world *w = arg;
    (void)r;
    assert_int_equal(code, CALL_HTTP_5XX);
    if (w->waits == 0)
        return false;
    w->waits--;
    return true;
}

/* It waited in place: all its attempts are before it again, and the record has both rounds. */
static void counts_its_attempts_anew_when_it_has_waited(void **state)
{
    struct world *w = *state;
    w->upstream.breaker.on = false;
    w->must_wait = waits;
    w->waits = 1;
    reply(w, (struct http_fake_reply){.status = 500, .delay_ms = 1});
    start(w, INT64_MAX);
    run(w, 5000);
    assert_int_equal(w->done, 0);
    assert_int_equal(http_client_fake_calls(w->env.http), 3);
    run(w, BUDGET_EVERY_MS + 5000);
    assert_int_equal(w->done, 1);
    assert_int_equal(http_client_fake_calls(w->env.http), 6);
    assert_int_equal(w->outcome.attempts, 6);
}

/* What an upstream asks of one call holds for all of them. */
static void a_pause_that_the_upstream_asks_for_holds_all_calls(void **state)
{
    static const int statuses[] = {429, 503};
    struct world *w = *state;
    w->call.retry.attempts = 1;
    for (int i = 0; i < 2; i++) {
        reply(w, (struct http_fake_reply){.status = statuses[i],
                                          .header = {(char[]){"retry-after"}, (char[]){"5"}}});
        reply(w, (struct http_fake_reply){.body = "1"});
    }
    for (int i = 0; i < 2; i++) {
        size_t before = http_client_fake_calls(w->env.http);
        start(w, INT64_MAX);
        run(w, 10);
        start(w, INT64_MAX);
        run(w, 4900);
        assert_int_equal(http_client_fake_calls(w->env.http), before + 1);
        run(w, 200);
        assert_int_equal(http_client_fake_calls(w->env.http), before + 2);
        assert_int_equal(w->item.state, ITEM_SUCCEEDED);
    }
}

static long held(void)
{
    return (long)metrics_value(
        metrics_gauge("offpath_upstream_held", "upstream=\"shop\"", "as it is"));
}

static void a_held_upstream_is_counted_until_it_is_over(void **state)
{
    struct world *w = *state;
    w->call.retry.attempts = 1;
    assert_int_equal(held(), 0);
    for (int i = 0; i < 2; i++)
        reply(w, (struct http_fake_reply){.status = 429,
                                          .header = {(char[]){"retry-after"}, (char[]){"5"}}});
    start(w, INT64_MAX);
    start(w, INT64_MAX);
    run(w, 4900);
    assert_int_equal(w->done, 2);
    assert_int_equal(held(), 1);
    run(w, 200);
    assert_int_equal(held(), 0);
}

/* What is too long for the call that was told is no reason to stop others, either. */
static void a_pause_that_is_not_obeyed_holds_nobody(void **state)
{
    struct world *w = *state;
    reply(w, (struct http_fake_reply){
                 .status = 429,
                 .header = {(char[]){"retry-after"}, (char[]){"99999999999999999999"}}});
    reply(w, (struct http_fake_reply){.body = "1"});
    start(w, INT64_MAX);
    run(w, 10);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.code, CALL_HTTP_429);
    assert_int_equal(held(), 0);
    start(w, INT64_MAX);
    run(w, 10);
    assert_int_equal(w->item.state, ITEM_SUCCEEDED);
}

/* Neither a second attempt, nor a client that sends again on another connection by itself. */
static void what_is_made_once_is_sent_as_such(void **state)
{
    struct world *w = *state;
    reply(w, (struct http_fake_reply){.body = "1"});
    reply(w, (struct http_fake_reply){.status = 500});
    start(w, INT64_MAX);
    run(w, 10);
    w->call.never_again = true;
    start(w, INT64_MAX);
    run(w, 5000);
    assert_int_equal(w->done, 2);
    assert_int_equal(w->item.code, CALL_HTTP_5XX);
    assert_int_equal(http_client_fake_calls(w->env.http), 2);
    assert_false(http_client_fake_call(w->env.http, 0)->once);
    assert_true(http_client_fake_call(w->env.http, 1)->once);
}

/* More calls than descriptors wait for their turn; they do not fail. */
static void descriptors_bound_the_calls_in_flight(void **state)
{
    struct world *w = *state;
    w->env.calls_max = 1;
    call_gates_share(&w->env, 1); /* its concurrency is 2 */
    reply(w, (struct http_fake_reply){.body = "1", .delay_ms = 100});
    start(w, INT64_MAX);
    struct call_run *second = start(w, INT64_MAX);
    assert_int_equal(http_client_fake_running(w->env.http), 1);
    assert_int_equal(second->phase, CALL_QUEUED);
    run(w, 101);
    assert_int_equal(w->done, 1);
    outcome_fini(&w->outcome);
    run(w, 200);
    assert_int_equal(w->done, 2);
    assert_int_equal(w->item.code, CALL_OK);
}

static void no_attempt_is_planned_beyond_the_deadline(void **state)
{
    struct world *w = *state;
    reply(w, (struct http_fake_reply){.status = 429,
                                      .header = {(char[]){"retry-after"}, (char[]){"5"}}});
    start(w, loop_now_ms(w->loop) + 4000);
    run(w, 100);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.code, CALL_HTTP_429);
    assert_int_equal(w->outcome.attempts, 1);
}

static void waits_for_a_slot_and_for_the_lease(void **state)
{
    struct world *w = *state;
    struct call_run *first, *second;
    struct plan_item items[2];
    reply(w, (struct http_fake_reply){.body = "1", .delay_ms = 100});
    w->lease = false;
    first = start(w, INT64_MAX);
    items[0] = w->item;
    run(w, 50);
    assert_int_equal(http_client_fake_calls(w->env.http), 0);
    assert_false(items[0].began);
    w->lease = true;
    call_gates_pump(&w->env);
    assert_int_equal(http_client_fake_calls(w->env.http), 1);
    assert_int_equal(first->phase, CALL_FLYING);
    run(w, 200);
    w->upstream.concurrency = 1;
    call_gates_share(&w->env, 1);
    start(w, INT64_MAX);
    struct call_run *flying = w->run;
    second = start(w, INT64_MAX);
    assert_int_equal(flying->phase, CALL_FLYING);
    assert_int_equal(second->phase, CALL_QUEUED);
    assert_int_equal(call_gates_fill(&w->env, false), 10);
    run(w, 101);
    assert_int_equal(w->done, 2);
    assert_int_equal(http_client_fake_running(w->env.http), 1);
    outcome_fini(&w->outcome); /* both write to the same one */
    run(w, 200);
    assert_int_equal(w->done, 3);
    assert_int_equal(http_client_fake_calls(w->env.http), 3);
}

/* So that what else the shard does is not kept waiting by a full queue. */
static void a_turn_of_the_gate_ends_and_is_followed_by_the_next(void **state)
{
    enum { CALLS = 300, TURN = 256 };
    struct world *w = *state;
    struct call_run *all[CALLS];
    reply(w, (struct http_fake_reply){.body = "1", .delay_ms = 500});
    w->upstream.concurrency = 1000;
    call_gates_share(&w->env, 1);
    w->lease = false;
    for (size_t i = 0; i < CALLS; i++)
        all[i] = start(w, INT64_MAX);
    w->lease = true;
    call_gates_pump(&w->env);
    assert_int_equal(http_client_fake_calls(w->env.http), TURN);
    run(w, 5);
    assert_int_equal(http_client_fake_calls(w->env.http), CALLS);
    for (size_t i = 0; i < CALLS; i++) {
        call_run_stop(all[i], CALL_CANCELLED);
        call_run_free(all[i]);
    }
}

static void an_open_breaker_ends_calls_at_once(void **state)
{
    struct world *w = *state;
    w->call.retry.attempts = 1;
    reply(w, (struct http_fake_reply){.status = 503, .delay_ms = 1});
    for (int i = 0; i < 4; i++) {
        start(w, INT64_MAX);
        run(w, 10);
    }
    assert_int_equal(http_client_fake_calls(w->env.http), 4);
    start(w, INT64_MAX);
    assert_int_equal(w->done, 5); /* inside the start */
    assert_int_equal(w->item.code, CALL_BREAKER_OPEN);
    assert_true(w->item.retryable);
    assert_false(w->item.began);
    assert_int_equal(w->outcome.attempts, 0);
    run(w, 10000);
    start(w, INT64_MAX);
    assert_int_equal(http_client_fake_calls(w->env.http), 5); /* the probe */
    run(w, 10);
}

/* A reload in the middle of an outage: what counts the open ones outlives the shard. */
static void gates_that_close_take_their_open_breaker_along(void **state)
{
    struct world *w = *state;
    struct metric *open = w->env.gates[0].metrics.breaker;
    int64_t before = metrics_value(open);
    w->call.retry.attempts = 1;
    reply(w, (struct http_fake_reply){.status = 503, .delay_ms = 1});
    for (int i = 0; i < 4; i++) {
        start(w, INT64_MAX);
        run(w, 10);
    }
    assert_int_equal(metrics_value(open), before + 1);
    call_gates_close(&w->env);
    assert_int_equal(metrics_value(open), before);
}

/* ---- what is counted */

static struct metric *attempts(const char *code)
{
    char labels[64];
    snprintf(labels, sizeof labels, "upstream=\"shop\",code=\"%s\"", code);
    return metrics_counter("offpath_call_attempts_total", labels, "");
}

static void a_stopped_attempt_counts_as_what_stopped_it(void **state)
{
    struct world *w = *state;
    int64_t late = metrics_value(attempts("deadline")), gone = metrics_value(attempts("cancelled"));
    reply(w, (struct http_fake_reply){.body = "1", .delay_ms = 100});
    enum call_code codes[] = {CALL_DEADLINE, CALL_CANCELLED};
    for (int i = 0; i < 2; i++) {
        struct call_run *r = start(w, INT64_MAX);
        run(w, 50);
        call_run_stop(r, codes[i]);
        call_run_free(r);
        assert_int_equal(metrics_value(attempts("deadline")), late + 1);
        assert_int_equal(metrics_value(attempts("cancelled")), gone + i);
    }
}

static void a_call_that_was_not_sent_is_no_attempt(void **state)
{
    struct world *w = *state;
    struct metric *seconds = w->env.gates[0].metrics.seconds;
    int64_t gone = metrics_value(attempts("cancelled")), timed = metrics_value(seconds);
    w->mark = mark;
    call_run_marked(start(w, INT64_MAX), false);
    assert_int_equal(metrics_value(attempts("cancelled")), gone);
    assert_int_equal(metrics_value(seconds), timed);
    assert_int_equal(metrics_value(w->env.gates[0].metrics.flying), 0);
}

static void can_be_stopped_anywhere(void **state)
{
    struct world *w = *state;
    reply(w, (struct http_fake_reply){.status = 500, .delay_ms = 100});
    struct call_run *r = start(w, INT64_MAX); /* in flight */
    run(w, 50);
    call_run_stop(r, CALL_DEADLINE);
    call_run_free(r);
    assert_int_equal(w->item.state, ITEM_FAILED);
    assert_int_equal(w->item.code, CALL_DEADLINE);
    assert_int_equal(w->outcome.attempts, 1);
    assert_int_equal(http_client_fake_running(w->env.http), 0);
    r = start(w, INT64_MAX); /* before its next attempt */
    run(w, 101);
    assert_int_equal(r->phase, CALL_PAUSED);
    call_run_stop(r, CALL_CANCELLED);
    call_run_free(r);
    assert_int_equal(w->item.state, ITEM_CANCELLED);
    w->lease = false;
    r = start(w, INT64_MAX); /* in the queue */
    call_run_stop(r, CALL_CANCELLED);
    call_run_free(r);
    w->lease = true;
    run(w, 5000);
    assert_int_equal(w->done, 0);
    assert_int_equal(http_client_fake_calls(w->env.http), 2);
}

static void a_client_without_memory_is_a_failed_attempt(void **state)
{
    struct world *w = *state;
    http_client_fake_fail(w->env.http, 1);
    reply(w, (struct http_fake_reply){.body = "1"});
    start(w, INT64_MAX);
    run(w, 10);
    assert_int_equal(w->done, 1);
    assert_int_equal(w->item.code, CALL_CONNECT);
    start(w, INT64_MAX); /* the slot was given back */
    run(w, 10);
    assert_int_equal(w->item.state, ITEM_SUCCEEDED);
}

static int begin(void **state)
{
    (void)state;
    return expr_start();
}

static int end(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_body_becomes_the_result),
        CASE(an_attempt_is_signed_and_the_next_anew),
        CASE(it_is_marked_once_then_sent),
        CASE(what_is_not_marked_is_not_sent),
        CASE(what_an_answer_means),
        CASE(ok_decides_over_the_status),
        CASE(a_result_that_fails_or_is_too_big_fails_the_call),
        CASE(repeats_what_is_listed_then_gives_up),
        CASE(counts_its_attempts_anew_when_it_has_waited),
        CASE(a_pause_that_the_upstream_asks_for_holds_all_calls),
        CASE(a_held_upstream_is_counted_until_it_is_over),
        CASE(a_pause_that_is_not_obeyed_holds_nobody),
        CASE(what_is_made_once_is_sent_as_such),
        CASE(no_attempt_is_planned_beyond_the_deadline),
        CASE(descriptors_bound_the_calls_in_flight),
        CASE(waits_for_a_slot_and_for_the_lease),
        CASE(a_turn_of_the_gate_ends_and_is_followed_by_the_next),
        CASE(an_open_breaker_ends_calls_at_once),
        CASE(gates_that_close_take_their_open_breaker_along),
        CASE(a_stopped_attempt_counts_as_what_stopped_it),
        CASE(a_call_that_was_not_sent_is_no_attempt),
        CASE(can_be_stopped_anywhere),
        CASE(a_client_without_memory_is_a_failed_attempt),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
