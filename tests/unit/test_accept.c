/* accept.h: the order of an accept, and what each way leads to. */
#include "gateway_stage.h"

#define KEY_A "Idempotency-Key: 3f2c4a10-1111-4222-8333-444455556666"
#define KEY_B "Idempotency-Key: 3f2c4a10-1111-4222-8333-444455557777"

/* ---- each way, by the request's own thread and by others (passages.h) */

static void makes_a_job_of_a_request(void **state)
{
    struct stage *s = *state;
    struct job_id id;
    assert_int_equal(stage_post(s, "cached", "{\"n\": 42}", "Content-Type: application/json"), 202);
    assert_string_equal(stage_member(s, "state"), "queued");
    assert_string_equal(stage_member(s, "flow"), "cached");
    assert_int_equal(id_parse(stage_member(s, "id"), &id), 0);
    assert_int_equal(s->got_n, 1);
    assert_string_equal(s->got[0].topic, "offpath.cached");
    assert_string_equal(s->got[0].key, "42");
    assert_string_equal(s->got[0].value, "{\"n\": 42}"); /* the bytes that came */
    assert_string_equal(s->got[0].job, stage_member(s, "id"));
    char location[80];
    snprintf(location, sizeof location, "Location: /v1/jobs/%s\r\n", s->got[0].job);
    assert_non_null(strstr(buf_str(&s->reply.headers), location));
    stage_flush(s);
    assert_true(record_fake_has(s->mysql, &id));
    struct owner nobody = {0};
    assert_true(id_is_of(&s->secret, &id, &nobody));
    assert_int_equal(metrics_value(metrics_counter("offpath_accept_total",
                                                   "flow=\"cached\",outcome=\"accepted\"", "")),
                     1);
}

static void uses_the_id_as_key_without_another(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    assert_string_equal(s->got[0].key, s->got[0].job);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    assert_string_not_equal(s->got[0].job, s->got[1].job);
}

static void answers_with_the_first_error(void **state)
{
    static const struct {
        const char *flow, *body, *headers, *code;
        int status, body_err;
    } rows[] = {
        {"nope", "{", "Content-Type: text/plain", "no-flow", 404, 0},
        {"hidden", "{\"n\":1}", NULL, "no-flow", 404, 0},
        {"plain", "{", "Content-Type: text/plain", "media-type", 415, 0},
        {"plain", "{", NULL, "not-json", 400, 0},
        {"plain", "{\"n\":9007199254740993}", NULL, "big-number", 422, 0},
        {"plain", "{\"n\":\"x\"}", "Idempotency-Key: short", "schema", 422, 0},
        {"plain", "{\"n\":1}", "Idempotency-Key: short", "guest-key", 422, 0},
        {"plain", "{\"n\":1}", "Idempotency-Key: two words", "bad-key", 400, 0},
        {"plain", "{\"n\":1}", NULL, "slow-body", 408, ERR_SLOW_BODY},
        {"plain", "{\"n\":1}", NULL, "bad-request", 400, ERR_BAD_REQUEST},
        {"broken", "{\"n\":[]}", NULL, "expression", 422, 0},
    };
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        s->body_err = rows[i].body_err;
        assert_int_equal(stage_post(s, rows[i].flow, rows[i].body, rows[i].headers),
                         rows[i].status);
        assert_string_equal(stage_member(s, "code"), rows[i].code);
        s->body_err = 0;
    }
    assert_int_equal(s->got_n, 0);
}

static void refuses_too_large_and_too_deep(void **state)
{
    struct stage *s = *state;
    char body[2000];
    memset(body, ' ', sizeof body);
    memcpy(body, "{\"n\":1}", 7);
    body[1025] = 0;
    assert_int_equal(stage_post(s, "plain", body, NULL), 413);
    assert_string_equal(stage_member(s, "detail"), "this flow takes at most 1024 bytes");
    body[1024] = 0;
    assert_int_equal(stage_post(s, "plain", body, NULL), 202);
    memset(body, '[', 65);
    memset(body + 65, ']', 65);
    body[130] = 0;
    assert_int_equal(stage_post(s, "plain", body, NULL), 400);
}

static void refuses_a_key_that_is_too_long(void **state)
{
    struct stage *s = *state;
    char body[1100];
    memset(body, 'x', sizeof body);
    memcpy(body, "{\"n\":1,\"k\":\"", 12);
    memcpy(body + 12 + 1025, "\"}", 3);
    assert_int_equal(stage_post(s, "cached", body, NULL), 422);
    assert_string_equal(stage_member(s, "code"), "expression");
    assert_non_null(strstr(stage_member(s, "detail"), "request.key: the key is longer than 1024"));
    memcpy(body + 12 + 1024, "\"}", 3);
    assert_int_equal(stage_post(s, "cached", body, NULL), 202);
}

static void points_at_what_breaks_the_schema(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "plain", "{\"n\":\"x\"}", NULL), 422);
    assert_non_null(strstr(buf_str(&s->reply.body), "\"pointer\":\"/n\",\"code\":\"type\""));
}

static void gives_one_key_one_job(void **state)
{
    struct stage *s = *state;
    char first[40];
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    snprintf(first, sizeof first, "%s", stage_member(s, "id"));
    assert_null(strstr(buf_str(&s->reply.headers), "Idempotent-Replayed"));
    stage_flush(s);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_string_equal(stage_member(s, "id"), first);
    assert_non_null(strstr(buf_str(&s->reply.headers), "Idempotent-Replayed: true"));
    assert_int_equal(s->got_n, 1);
    assert_int_equal(stage_post(s, "plain", "{\"n\":2}", KEY_A), 422);
    assert_string_equal(stage_member(s, "code"), "key-reused");
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_B), 202);
    assert_string_not_equal(stage_member(s, "id"), first);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", KEY_A), 202); /* per flow */
    assert_string_not_equal(stage_member(s, "id"), first);
}

static void publishes_the_same_id_while_nothing_is_acknowledged(void **state)
{
    struct stage *s = *state;
    s->report = REPORT_NOT_PERSISTED;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 503);
    assert_string_equal(stage_member(s, "code"), "not-durable");
    assert_non_null(strstr(buf_str(&s->reply.headers), "Retry-After: 2"));
    s->report = REPORT_PERSISTED;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(s->got_n, 2);
    assert_string_equal(s->got[0].job, s->got[1].job);
    assert_string_equal(s->got[0].mac, s->got[1].mac);
}

static void names_the_same_job_without_redis(void **state)
{
    struct stage *s = *state;
    cache_fake_away(s->redis, true);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 202);
    assert_string_equal(s->got[0].job, s->got[1].job);
    cache_fake_away(s->redis, false);
}

/* What it could not do is done when it can, as after Redis was away. */
static void a_redis_that_refuses_is_as_good_as_away(void **state)
{
    struct stage *s = *state;
    size_t len;
    char name[MARKS_NAME];
    struct owner nobody = {0};
    struct marks_key key = {
        .id = id_from_key(&s->secret, &nobody, &nobody, "plain", strchr(KEY_A, ' ') + 1)};
    cache_fake_refuse(s->redis, SCRIPT_NONE, "OOM command not allowed");
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 202);
    assert_string_equal(s->got[0].job, s->got[1].job);
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":2}", NULL), 429); /* two gateways share 2 */
    cache_fake_refuse(s->redis, SCRIPT_NONE, NULL);
    stage_flush(s);
    marks_key_name(&key, name);
    assert_int_equal(cache_fake_get(s->redis, name, &len)[0], 'a');
}

static void answers_a_known_key_with_the_final_job(void **state)
{
    struct stage *s = *state;
    struct job_id id;
    struct owner nobody = {0};
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(id_parse(stage_member(s, "id"), &id), 0);
    stage_flush(s);
    assert_int_equal(record_fake_cancel(s->mysql, &id, &nobody), 0);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 200);
    assert_string_equal(stage_member(s, "state"), "cancelled");
    assert_string_equal(stage_member(s, "message"), "It was cancelled.");
    record_fake_down(s->mysql, true); /* it cannot be read: accepted it is */
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    record_fake_down(s->mysql, false);
    assert_int_equal(s->got_n, 1);
}

/* ---- cache and coalescing */

static void cache_name_of(struct stage *s, const char *flow, char which, char out[MARKS_NAME])
{
    struct json *request = NULL;
    char hash[65];
    uint8_t nobody[16] = {0};
    const struct flow *f = flow_by_name(s->flows, flow);
    assert_int_equal(json_parse("{\"n\":1}", 7, NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    assert_int_equal(flow_cache_hash(f, f->rev, nobody, &vars, hash, NULL), 0);
    json_free(request);
    cache_hash_name(hash, which, out);
}

static void cache_name(struct stage *s, char which, char out[MARKS_NAME])
{
    cache_name_of(s, "cached", which, out);
}

static const char hit[] = "{\"flow\":\"cached\",\"state\":\"succeeded\",\"result\":7,"
                          "\"cached_at\":\"2026-11-24T23:00:00.000000Z\"}";

static void put_value(struct stage *s)
{
    char name[MARKS_NAME];
    cache_name(s, 'v', name);
    assert_int_equal(cache_fake_put(s->redis, name, hit, strlen(hit), 60000), 0);
}

static void answers_from_the_cache(void **state)
{
    struct stage *s = *state;
    put_value(s);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 200);
    assert_string_equal(buf_str(&s->reply.body), hit); /* byte for byte */
    assert_int_equal(stage_post(s, "cached", "{\"n\": 1.0}", KEY_A), 200);
    assert_int_equal(s->got_n, 0);
    assert_int_equal(stage_post(s, "cached", "{\"n\":2}", NULL), 202);
    assert_int_equal(s->got_n, 1);
}

static size_t commands_of_a_post(struct stage *s, const char *body, int status)
{
    size_t before = cache_fake_commands(s->redis);
    assert_int_equal(stage_post(s, "cached", body, NULL), status);
    stage_flush(s);
    return cache_fake_commands(s->redis) - before;
}

/* A value is looked for on its own until one is missed, and again once one is found. */
static void makes_one_trip_where_the_last_value_was_missed(void **state)
{
    struct stage *s = *state;
    assert_int_equal(commands_of_a_post(s, "{\"n\":2}", 202), 3); /* GET, lead, confirmed */
    assert_int_equal(commands_of_a_post(s, "{\"n\":3}", 202), 2);
    assert_int_equal(s->got_n, 2);
    put_value(s);
    assert_int_equal(commands_of_a_post(s, "{\"n\":1}", 200), 1); /* found by the lead */
    assert_int_equal(commands_of_a_post(s, "{\"n\":1}", 200), 1); /* by GET */
    assert_int_equal(commands_of_a_post(s, "{\"n\":4}", 202), 3);
    assert_int_equal(s->got_n, 3);
}

static void asks_redis_nothing_where_nothing_is_asked(void **state)
{
    struct stage *s = *state;
    size_t before = cache_fake_commands(s->redis);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    assert_int_equal(cache_fake_commands(s->redis), before);
}

static void shares_one_job_between_equal_questions(void **state)
{
    struct stage *s = *state;
    char lead[MARKS_NAME];
    size_t len;
    cache_name(s, 'l', lead);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    assert_int_equal(cache_fake_get(s->redis, lead, &len)[0], 'a');
    assert_int_equal(cache_fake_ttl_ms(s->redis, lead), 22000); /* deadline and 10 s */
    assert_int_equal(stage_post(s, "cached", "{ \"n\":1 }", NULL), 202);
    assert_string_equal(stage_member(s, "id"), s->got[0].job);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", KEY_A), 202);
    assert_string_equal(stage_member(s, "id"), s->got[0].job);
    assert_int_equal(s->got_n, 1);
    stage_flush(s); /* the key's mark names the shared job */
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", KEY_A), 202);
    assert_string_equal(stage_member(s, "id"), s->got[0].job);
    assert_non_null(strstr(buf_str(&s->reply.headers), "Idempotent-Replayed: true"));
    assert_int_equal(s->got_n, 1);
}

/* Two guests are two strangers: neither gets the other's job, nor its result. */
static void shares_nothing_between_guests_in_a_cache_per_user(void **state)
{
    struct stage *s = *state;
    size_t before = cache_fake_commands(s->redis);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", NULL), 202);
    assert_int_equal(s->got_n, 2);
    assert_string_not_equal(s->got[0].job, s->got[1].job);
    stage_flush(s);
    assert_int_equal(cache_fake_commands(s->redis), before); /* no value, no lead, no mark */
}

static void takes_over_the_id_of_a_leader_that_died(void **state)
{
    struct stage *s = *state;
    s->report = REPORT_NOT_PERSISTED; /* the leader never gets an acknowledgement */
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 503);
    s->report = REPORT_PERSISTED;
    assert_int_equal(stage_post(s, "cached", "{\"n\":  1}", NULL), 202);
    assert_int_equal(s->got_n, 2);
    assert_string_equal(s->got[0].job, s->got[1].job);
    assert_string_equal(s->got[0].mac, s->got[1].mac); /* of the cache key: bodies may differ */
}

static void does_not_make_a_finished_lead_anew(void **state)
{
    struct stage *s = *state;
    char lead[MARKS_NAME];
    size_t len;
    struct cache_command del = {.script = SCRIPT_NONE};
    struct cache_reply reply = {0};
    cache_name(s, 'l', lead);
    struct marks_done done = {.has_hash = true};
    memcpy(done.hash, strchr(lead, ':') + 4, 64);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    cache_arg_text(&del, "DEL"); /* its worker was faster than the confirmation */
    cache_arg_text(&del, lead);
    assert_int_equal(cache_call(s->cache, &del, 1, &reply), 0);
    cache_reply_fini(&reply);
    assert_int_equal(id_parse(s->got[0].job, &done.id), 0);
    marks_confirm(s->serve.accept.marks, &done);
    stage_flush(s);
    assert_null(cache_fake_get(s->redis, lead, &len));
}

static void tells_a_known_key_before_a_failing_expression(void **state)
{
    struct stage *s = *state;
    struct marks_key key;
    char name[MARKS_NAME], mark[80], id[ID_TEXT];
    key.id = id_from_key(&s->secret, &(struct owner){0}, &(struct owner){0}, "broken",
                         "3f2c4a10-1111-4222-8333-444455556666");
    key.user = (struct owner){0};
    marks_key_name(&key, name);
    id_format(&key.id, id);
    snprintf(mark, sizeof mark, "a%s%s", "00000000000000000000000000000000", id);
    assert_int_equal(cache_fake_put(s->redis, name, mark, strlen(mark), 0), 0);
    assert_int_equal(stage_post(s, "broken", "{\"n\":[]}", KEY_A), 422);
    assert_string_equal(stage_member(s, "code"), "key-reused"); /* not: expression */
}

/* ---- when it does not go well */

static void sheds_a_flow_that_is_too_far_behind(void **state)
{
    struct stage *s = *state;
    s->high = 100;
    for (int i = 0; i < 70; i++, clock_step(&s->clock, 5000000))
        admission_measure(s->serve.accept.admission);
    put_value(s);
    assert_int_equal(stage_post(s, "cached", "{\"n\":2}", NULL), 503);
    assert_string_equal(stage_member(s, "code"), "overloaded");
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 200); /* a hit costs nothing */
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 503);
    assert_string_equal(stage_member(s, "code"), "overloaded");
    assert_int_equal(s->got_n, 0);
}

static void tells_what_may_have_been_accepted(void **state)
{
    struct stage *s = *state;
    struct job_id id;
    s->report = REPORT_POSSIBLY_PERSISTED;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 503);
    assert_string_equal(stage_member(s, "code"), "outcome-unknown");
    assert_int_equal(id_parse(stage_member(s, "id"), &id), 0);
    assert_non_null(strstr(buf_str(&s->reply.headers), "Location: "));
    stage_flush(s);
    assert_true(record_fake_has(s->mysql, &id)); /* the sweep will end it */
}

static void tells_what_was_not_sent(void **state)
{
    static const struct {
        int err, status;
        const char *code;
    } rows[] = {{ERR_FULL, 503, "overloaded"},
                {ERR_IO, 503, "not-durable"},
                {ERR_TOO_LARGE, 413, "too-large"}};
    struct stage *s = *state;
    for (size_t i = 0; i < 3; i++) {
        s->publish_err = rows[i].err;
        assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), rows[i].status);
        assert_string_equal(stage_member(s, "code"), rows[i].code);
    }
}

static void accepts_without_mysql(void **state)
{
    struct stage *s = *state;
    record_fake_down(s->mysql, true);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    record_fake_down(s->mysql, false);
    stage_flush(s);
    struct job_id id;
    assert_int_equal(id_parse(s->got[0].job, &id), 0);
    assert_true(record_fake_has(s->mysql, &id));
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

static int try_one(struct stage *s, const char *flow, const char *body, const char *query)
{
    char path[100], length[40];
    s->body = body;
    snprintf(path, sizeof path, "/v1/flows/%s/jobs?%s", flow, query);
    snprintf(length, sizeof length, "Content-Length: %zu", strlen(body));
    return stage_ask(s, "POST", path, length);
}

static void starts_nothing_on_trial(void **state)
{
    struct stage *s = *state;
    assert_int_equal(try_one(s, "few", "{\"n\":1}", "a=b&dry_run=true"), 200);
    const char *text = buf_str(&s->reply.body);
    assert_non_null(strstr(text, "\"valid\":true"));
    assert_non_null(strstr(text, "\"cache\":{\"scope\":\"shared\",\"hit\":false}"));
    assert_non_null(strstr(text, "{\"per\":\"user\",\"count\":2,\"window_ms\":60000,\"left\":2"));
    assert_non_null(strstr(text, "\"calls\":[{\"name\":\"one\",\"upstream\":\"u\""));
    assert_int_equal(try_one(s, "plain", "{}", "dry_run=true"), 422);
    assert_int_equal(try_one(s, "edited", "{\"n\":1,\"password\":\"secret\"}", "dry_run=true"),
                     200);
    assert_null(strstr(buf_str(&s->reply.body), "secret"));
    static const char *const odd[] = {"dry_run", "dry_run=1", "dry_run=true&dry_run=false"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) {
        assert_int_equal(try_one(s, "plain", "{\"n\":1}", odd[i]), 400);
        assert_string_equal(stage_member(s, "code"), "bad-parameter");
    }
    assert_int_equal(s->got_n, 0);
    assert_int_equal(try_one(s, "plain", "{\"n\":1}", "dry_run=false&x"), 202);
}

static void counts_what_is_started_and_nothing_else(void **state)
{
    struct stage *s = *state;
    s->report = REPORT_NOT_PERSISTED; /* given back: a retry must not meet 429 */
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 503);
    s->report = REPORT_PERSISTED;
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);
    assert_non_null(strstr(buf_str(&s->reply.headers), "RateLimit"));
    assert_int_equal(stage_post(s, "few", "{\"n\":2}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":3}", NULL), 429);
    assert_string_equal(stage_member(s, "code"), "rate-limited");
    assert_non_null(strstr(buf_str(&s->reply.headers), "Retry-After: 30"));
    s->client = "198.51.100.7"; /* another guest */
    assert_int_equal(stage_post(s, "few", "{\"n\":3}", NULL), 202);
    s->client = NULL;
    clock_step(&s->clock, 31 * 1000000LL);
    assert_int_equal(stage_post(s, "few", "{\"n\":4}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":5}", NULL), 429);
}

/* Who has used up one limit takes nothing of the other: it is everybody's. */
static void takes_from_all_limits_or_from_none(void **state)
{
    struct stage *s = *state;
    for (int i = 0; i < 5; i++)
        assert_int_equal(stage_post(s, "counted", "{\"n\":1}", NULL), i < 2 ? 202 : 429);
    s->client = "198.51.100.7";
    for (int i = 0; i < 3; i++)
        assert_int_equal(stage_post(s, "counted", "{\"n\":1}", NULL), i < 2 ? 202 : 429);
    s->client = "198.51.100.8"; /* its first, but the flow's fifth */
    assert_int_equal(stage_post(s, "counted", "{\"n\":1}", NULL), 429);
    assert_string_equal(stage_member(s, "code"), "rate-limited");
    assert_int_equal(s->got_n, 4);
}

static void counts_who_shares_a_job(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);
    assert_int_equal(s->got_n, 1);
    assert_int_equal(stage_post(s, "few", "{\"n\":2}", NULL), 429);
}

/* Whatever the last look found: who has used up a limit still gets what is cached. */
static void answers_from_the_cache_before_it_counts(void **state)
{
    struct stage *s = *state;
    char name[MARKS_NAME];
    assert_int_equal(stage_post(s, "few", "{\"n\":2}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":3}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":4}", NULL), 429);
    cache_name_of(s, "few", 'v', name); /* of n = 1 */
    assert_int_equal(cache_fake_put(s->redis, name, hit, strlen(hit), 60000), 0);
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 200);
    assert_int_equal(stage_post(s, "few", "{\"n\":4}", NULL), 429);
}

static void counts_its_share_while_redis_is_away(void **state)
{
    struct stage *s = *state;
    cache_fake_away(s->redis, true);
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);
    assert_int_equal(stage_post(s, "few", "{\"n\":2}", NULL), 429); /* two gateways share 2 */
    cache_fake_away(s->redis, false);
}

static void sets_fields_and_hides_a_password(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "edited", "{\"who\":\"me\",\"password\":\"secret\",\"n\":1}",
                                "Prefer: wait=0"),
                     202);
    assert_int_equal(s->got_n, 1);
    const char *value = s->got[0].value;
    assert_null(strstr(value, "secret"));
    assert_non_null(strstr(value, "{\"who\":null,\"password\":\"$2b$"));
    assert_non_null(strstr(value, "\"n\":2}"));
    assert_null(strstr(s->wire, "secret")); /* wiped where it came */
    assert_int_equal(stage_post(s, "edited", "{\"n\":1,\"password\":7}", NULL), 422);
    char body[120];
    snprintf(body, sizeof body, "{\"n\":1,\"password\":\"%073d\"}", 0);
    assert_int_equal(stage_post(s, "edited", body, NULL), 422); /* bcrypt takes 72 bytes */
    assert_int_equal(s->got_n, 1);
}

static void waits_for_the_end_if_asked(void **state)
{
    struct stage *s = *state;
    struct job_id id;
    struct owner nobody = {0};
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", "Prefer: respond-async, wait=0"), 202);
    assert_non_null(strstr(buf_str(&s->reply.headers), "Preference-Applied: wait=0"));
    assert_int_equal(id_parse(stage_member(s, "id"), &id), 0);
    stage_flush(s);
    assert_int_equal(record_fake_cancel(s->mysql, &id, &nobody), 0);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", "Prefer: wait=1"), 200);
    assert_string_equal(stage_member(s, "state"), "cancelled");
    assert_int_equal(s->got_n, 1);
    waiters_stop(s->serve.accept.waiters); /* the drain keeps nobody */
    assert_int_equal(stage_post(s, "cached", "{\"n\":2}", "Prefer: wait=30"), 202);
    assert_null(strstr(buf_str(&s->reply.headers), "Preference-Applied"));
}

static void a_known_key_hears_the_wish_to_wait(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    stage_flush(s);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A "\nPrefer: wait=0"), 202);
    assert_non_null(strstr(buf_str(&s->reply.headers), "Idempotent-Replayed: true"));
    assert_non_null(strstr(buf_str(&s->reply.headers), "Preference-Applied: wait=0"));
    waiters_stop(s->serve.accept.waiters);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A "\nPrefer: wait=30"), 202);
    assert_null(strstr(buf_str(&s->reply.headers), "Preference-Applied"));
    assert_int_equal(s->got_n, 1);
}

static void joins_no_job_that_was_cancelled(void **state)
{
    struct stage *s = *state;
    char path[100], first[ID_TEXT], token[1000];
    snprintf(token, sizeof token, "%s", stage_token(s, "ann", NULL));
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", token), 202);
    snprintf(first, sizeof first, "%s", stage_member(s, "id"));
    stage_flush(s);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", token), 202);
    assert_string_equal(stage_member(s, "id"), first);
    snprintf(path, sizeof path, "/v1/jobs/%s", first);
    assert_int_equal(stage_ask(s, "DELETE", path, token), 202);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", token), 202);
    assert_string_not_equal(stage_member(s, "id"), first);
    assert_int_equal(s->got_n, 2);
}

/* No token can be good where none is checked. */
static void makes_nobody_a_guest_by_accident(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Authorization: bearer x.y.z"), 401);
    assert_string_equal(stage_member(s, "code"), "signed-out");
    assert_non_null(strstr(buf_str(&s->reply.headers), "WWW-Authenticate: Bearer"));
    assert_int_equal(s->got_n, 0);
    const char *job = "/v1/jobs/01990c5e-0000-7000-8000-00003f9a2c41";
    assert_int_equal(stage_ask(s, "GET", job, "Authorization: Bearer x"), 401);
    assert_int_equal(stage_ask(s, "GET", "/errors/schema", "Authorization: Bearer x"), 200);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Authorization: Basic eA=="), 202);
}

/* ---- what only passages do */

static int setup_late(void **state)
{
    int err = stage_setup(state);
    ((struct stage *)*state)->late = true;
    return err;
}

static void leaves_what_needs_no_thread(void **state)
{
    struct stage *s = *state;
    waiters_stop(s->serve.accept.waiters); /* nobody is kept: the clock stands still */
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202);
    assert_int_equal(s->left, 1);
    stage_flush(s);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 202); /* known: an errand */
    assert_int_equal(s->left, 2);
    assert_int_equal(stage_post(s, "plain", "{\"n\":2}", KEY_A), 422);
    assert_int_equal(s->left, 3);
    assert_int_equal(s->got_n, 1);
    assert_int_equal(stage_post(s, "cached", "{\"n\":1}", NULL), 202);    /* coalesced */
    assert_int_equal(stage_post(s, "few", "{\"n\":1}", NULL), 202);       /* counted */
    assert_int_equal(stage_post(s, "edited", "{\"n\":1}", NULL), 202);    /* waited for */
    assert_int_equal(stage_post(s, "plain", "{\"n\":\"x\"}", NULL), 422); /* refused at once */
    assert_int_equal(s->left, 3);
    struct metric *answers =
        metrics_counter("offpath_http_requests_total", "route=\"accept\",status=\"202\"", "");
    assert_int_equal(metrics_value(answers), 5);
}

static void tells_that_no_report_came(void **state)
{
    struct stage *s = *state;
    struct job_id id;
    s->silent = true;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", KEY_A), 503);
    assert_string_equal(stage_member(s, "code"), "outcome-unknown");
    assert_int_equal(id_parse(stage_member(s, "id"), &id), 0);
    stage_flush(s);
    assert_true(record_fake_has(s->mysql, &id)); /* the sweep will end it */
    stage_report(s, REPORT_PERSISTED);           /* much later: harms nobody */
    assert_int_equal(s->left, 1);
}

/* Redis holds, as pending under this key's name, an id that the key does not give. */
static void plant_other_id(struct stage *s, const char *body, const char *key)
{
    struct marks_key k = {.user = owner_of(STAGE_ISSUER, "ann")};
    char name[MARKS_NAME], mark[1 + 2 * ID_MAC + ID_TEXT] = "p";
    struct cache_command c = {.script = SCRIPT_MARK, .keys = 1};
    struct cache_reply reply = {0};
    k.id = id_from_key(&s->secret, &k.user, &k.user, "mine", key);
    id_mac(&s->secret, body, strlen(body), k.mac);
    marks_key_name(&k, name);
    for (size_t i = 0; i < ID_MAC; i++)
        snprintf(mark + 1 + 2 * i, 3, "%02x", k.mac[i]);
    k.id.b[15] ^= 1;
    id_format(&k.id, mark + 1 + 2 * ID_MAC);
    cache_arg_text(&c, name);
    cache_arg_text(&c, mark);
    cache_arg_text(&c, "60000");
    assert_int_equal(cache_call(s->cache, &c, 1, &reply), 0);
    cache_reply_fini(&reply);
}

static void survives_a_mark_that_holds_another_id(void **state)
{
    struct stage *s = *state;
    char headers[1200];
    plant_other_id(s, "{\"n\":1}", "a-key");
    snprintf(headers, sizeof headers, "Idempotency-Key: a-key\n%s", stage_token(s, "ann", NULL));
    assert_int_equal(stage_post(s, "mine", "{\"n\":1}", headers), 202);
    assert_int_equal(s->got_n, 1);
    assert_non_null(strstr(s->got[0].user, " ann"));
    assert_string_equal(s->got[0].job, stage_member(s, "id"));
    assert_int_equal(s->left, 1);
}

static int run_late(const struct CMUnitTest *tests, size_t n)
{
    struct CMUnitTest late[64];
    assert_true(n <= 64);
    for (size_t i = 0; i < n; i++) {
        late[i] = tests[i];
        late[i].setup_func = setup_late;
    }
    return _cmocka_run_group_tests("late", late, n, start, stop);
}

int main(void)
{
    static const struct CMUnitTest passages[] = {
        cmocka_unit_test_setup_teardown(leaves_what_needs_no_thread, setup_late, stage_teardown),
        cmocka_unit_test_setup_teardown(tells_that_no_report_came, setup_late, stage_teardown),
        cmocka_unit_test_setup_teardown(survives_a_mark_that_holds_another_id, setup_late,
                                        stage_teardown),
    };
    static const struct CMUnitTest tests[] = {
        TEST(makes_a_job_of_a_request),
        TEST(uses_the_id_as_key_without_another),
        TEST(answers_with_the_first_error),
        TEST(refuses_too_large_and_too_deep),
        TEST(refuses_a_key_that_is_too_long),
        TEST(points_at_what_breaks_the_schema),
        TEST(gives_one_key_one_job),
        TEST(publishes_the_same_id_while_nothing_is_acknowledged),
        TEST(a_redis_that_refuses_is_as_good_as_away),
        TEST(names_the_same_job_without_redis),
        TEST(answers_a_known_key_with_the_final_job),
        TEST(answers_from_the_cache),
        TEST(makes_one_trip_where_the_last_value_was_missed),
        TEST(asks_redis_nothing_where_nothing_is_asked),
        TEST(shares_one_job_between_equal_questions),
        TEST(shares_nothing_between_guests_in_a_cache_per_user),
        TEST(takes_over_the_id_of_a_leader_that_died),
        TEST(does_not_make_a_finished_lead_anew),
        TEST(tells_a_known_key_before_a_failing_expression),
        TEST(sheds_a_flow_that_is_too_far_behind),
        TEST(tells_what_may_have_been_accepted),
        TEST(tells_what_was_not_sent),
        TEST(accepts_without_mysql),
        TEST(starts_nothing_on_trial),
        TEST(counts_what_is_started_and_nothing_else),
        TEST(takes_from_all_limits_or_from_none),
        TEST(counts_who_shares_a_job),
        TEST(answers_from_the_cache_before_it_counts),
        TEST(counts_its_share_while_redis_is_away),
        TEST(sets_fields_and_hides_a_password),
        TEST(waits_for_the_end_if_asked),
        TEST(a_known_key_hears_the_wish_to_wait),
        TEST(joins_no_job_that_was_cancelled),
        cmocka_unit_test_setup_teardown(makes_nobody_a_guest_by_accident, stage_setup,
                                        stage_teardown),
    };
    int failed = cmocka_run_group_tests(tests, start, stop);
    failed += run_late(tests, sizeof tests / sizeof tests[0]);
    return failed + cmocka_run_group_tests(passages, start, stop);
}
