/* A flow with a pool in virtual time: jobs take items instead of making calls, refills make them.
 */
#include "shard_calls.h"

#include "common/cache_scripts.h"
#include "worker/topics.h"

#define FILL    "fill"
#define GROUP   "price-compare-consumer-group"
#define REQUEST "{\"id\":7,\"who\":\"x\"}"
#define Q       "op:{p:price-compare:7}:q"
#define R       "op:{p:price-compare:7}:r"
#define D       "op:{p:price-compare:7}:d"

static const char flow[] =
    "request:\n  schema:\n    type: object\n    required: [id]\n"
    "    properties: {id: {type: integer}, who: {type: string}}\n"
    "pool:\n  key: $request.id\n  size: 4\n  ttl: 2h\n"
    "  refill: {topic: " FILL ", group: " GROUP ", fields: [id]}\n"
    "calls:\n  copy:\n    for_each: '[1, 2]'\n    upstream: up\n"
    "    request: {path: '/copy/\\($item)'}\n"
    "result: '{job: $job.id, refill: $job.refill, names: [$calls.copy[].result.name]}'\n";

static struct world *pool_world(struct rule *rule)
{
    return world_of(flow, rule);
}

static long long length(struct world *w, const char *command, const char *key)
{
    struct cache *c;
    struct cache_reply r;
    struct cache_command command_ = {.script = SCRIPT_NONE};
    assert_int_equal(cache_fake_view(w->redis, &c), 0);
    cache_arg_text(&command_, command);
    cache_arg_text(&command_, key);
    assert_int_equal(cache_call(c, &command_, 1, &r), 0);
    cache_close(c);
    return r.integer;
}

/* An item as a refill puts it. */
static void put_item(struct world *w, const char *job, const char *result)
{
    const char *words[] = {Q, R, D, job, result, "4", "60000"};
    struct cache *c;
    struct cache_reply r;
    struct cache_command put = {.script = SCRIPT_POOL_PUT, .keys = 3};
    assert_int_equal(cache_fake_view(w->redis, &c), 0);
    for (size_t i = 0; i < 7; i++)
        cache_arg_text(&put, words[i]);
    assert_int_equal(cache_call(c, &put, 1, &r), 0);
    assert_int_equal(strncmp(r.text, "put", 3), 0);
    cache_reply_fini(&r);
    cache_close(c);
}
#define ITEM_A "00000000-0000-8000-8000-00000000000a"
#define ITEM_B "00000000-0000-8000-8000-00000000000b"

/* Until refills ask for no more; how many records their topic holds then. */
static int64_t refills(struct world *w)
{
    world_run(w, 60000);
    return broker_fake_end(w->broker, FILL, 0);
}

static struct job_id job_of(const struct broker_record *r)
{
    struct event e;
    const char *why;
    assert_int_equal(event_decode(r->headers, r->headers_n, r->timestamp_ms, &e, &why), 0);
    assert_true(e.ours && e.refill && owner_is_nobody(&e.owner) && e.deadline_us == 0);
    return e.job;
}

/* A record of somebody else in the refills' topic. */
static void put_of(struct world *w, const char *key, const char *value)
{
    struct broker_record r = {.topic = FILL,
                              .timestamp_ms = clock_wall_us(loop_fake_clock(w->loop)) / 1000,
                              .key = key,
                              .key_len = strlen(key),
                              .value = value,
                              .value_len = strlen(value)};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
}

static void put_foreign(struct world *w, const char *value)
{
    put_of(w, "7", value);
}

static void an_item_is_the_result_and_no_call_is_made(void **state)
{
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    put_item(w, ITEM_A, "{\"ready\":true}");
    struct seen s = run_job(w, REQUEST);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "{\"ready\":true}");
    assert_null(seen_call(&s, "copy"));
    assert_has(s.job.calls, "\"state\":\"skipped\"");
    assert_has(s.job.calls, "\"error\":null");
    assert_string_equal(seen_call(&s, "$pool")->result, "{\"ready\":true}");
    seen_fini(&s);
    world_free(w);
}

static void every_take_asks_for_a_refill(void **state)
{
    (void)state;
    for (int items = 0; items < 2; items++) { /* without an item, and with one */
        struct rule rule = {.bad = {0}};
        struct world *w = pool_world(&rule);
        if (items)
            put_item(w, ITEM_A, "1");
        struct seen s = run_job(w, REQUEST);
        const struct broker_record *r = broker_fake_at(w->broker, FILL, 0, 0);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_non_null(r);
        assert_int_equal(r->key_len, 1);
        assert_memory_equal(r->key, "7", 1);
        assert_int_equal(r->value_len, 8);
        assert_memory_equal(r->value, "{\"id\":7}", 8);
        struct job_id child = id_child(&s.job.id, "refill", 0, 0), got = job_of(r);
        assert_true(id_equal(&got, &child));
        seen_fini(&s);
        world_free(w);
    }
}

static void refills_fill_the_pool_and_stop(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 1000};
    struct world *w = pool_world(&rule);
    struct seen s = run_job(w, REQUEST);
    assert_has(s.job.result, "\"refill\":false");
    assert_int_equal(refills(w), 4);
    assert_int_equal(length(w, "LLEN", Q), 4);
    assert_int_equal(length(w, "ZCARD", R), 0);
    assert_int_equal(asked(w, "/copy/1"), 5);
    seen_fini(&s);
    s = run_job(w, REQUEST);
    assert_has(s.job.result, "\"refill\":true");
    assert_has(s.job.result, "\"names\":[\"copy\",\"copy\"]");
    assert_int_equal(refills(w), 5);
    assert_int_equal(asked(w, "/copy/1"), 6);
    assert_int_equal(length(w, "LLEN", Q), 4);
    assert_int_equal(broker_fake_committed(w->broker, GROUP, FILL, 0), 5);
    seen_fini(&s);
    world_free(w);
}

/* It is nobody's job: what it makes is sent on when somebody takes it. */
static void a_refill_sends_nothing_on(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 1000};
    char text[1000];
    assert_in_range(snprintf(text, sizeof text, "%semit:\n  - {topic: others, value: 1}\n", flow),
                    1, sizeof text - 1);
    struct world *w = world_of(text, &rule);
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    struct seen s = run_job(w, REQUEST);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(refills(w), 4);
    assert_int_equal(length(w, "LLEN", Q), 4);
    assert_int_equal(broker_fake_end(w->broker, "others", 0), 1);
    seen_fini(&s);
    world_free(w);
}

static void ten_records_at_once_fill_no_more_than_its_size(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 500};
    struct world *w = pool_world(&rule);
    for (int i = 0; i < 10; i++)
        put_foreign(w, "{\"id\":7,\"more\":1}");
    refills(w);
    assert_int_equal(length(w, "LLEN", Q), 4);
    assert_int_equal(length(w, "ZCARD", R), 0);
    assert_int_equal(asked(w, "/copy/1"), 4);
    world_free(w);
}

static void refills_of_a_key_run_one_by_one(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 1000};
    struct world *w = pool_world(&rule);
    for (int i = 0; i < 3; i++)
        put_foreign(w, "{\"id\":7}");
    world_run(w, 10000);
    int64_t at[3] = {0};
    size_t n = 0;
    for (size_t i = 0; i < http_client_fake_calls(w->http); i++)
        if (strcmp(http_client_fake_call(w->http, i)->url + strlen(BASE), "/copy/1") == 0 && n < 3)
            at[n++] = http_client_fake_call(w->http, i)->at_ms;
    assert_int_equal(n, 3);
    assert_true(at[1] - at[0] >= 1000 && at[2] - at[1] >= 1000);
    world_free(w);
}

/* Refills' calls that wait take no place of users' calls, and no more than their own. */
static void refills_that_wait_hold_up_no_user(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 600000};
    struct world *w = world_at("concurrency: 1, queue: 10, breaker: off", flow, &rule);
    for (int i = 0; i < 40; i++) {
        char key[12], value[24];
        snprintf(key, sizeof key, "%d", 100 + i);
        snprintf(value, sizeof value, "{\"id\":%s}", key);
        put_of(w, key, value);
        if (i % 20 == 19)
            world_run(w, 2000);
    }
    assert_int_equal(shard_jobs(w->shard[0]), 20); /* one call each; then their topic waits */
    struct event user = put_job(w, REQUEST);
    world_run(w, 1000);
    assert_int_equal(world_state(w, &user.job), JOB_RUNNING);
    world_free(w);
}

/* refuses: it is there, and answers all with an error. */
static void job_without_redis(bool refuses)
{
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    put_item(w, ITEM_A, "1");
    cache_fake_away(w->redis, !refuses);
    cache_fake_refuse(w->redis, SCRIPT_NONE, refuses ? "OOM command not allowed" : NULL);
    struct seen s = run_job(w, REQUEST);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(asked(w, "*"), 2);
    assert_null(seen_call(&s, "$pool")->result);
    assert_int_equal(refills(w), 1); /* asked for all the same */
    assert_int_equal(asked(w, "*"), 2);
    assert_int_equal(broker_fake_committed(w->broker, GROUP, FILL, 0), 1);
    cache_fake_away(w->redis, false);
    seen_fini(&s);
    world_free(w);
}

static void without_redis_jobs_make_their_calls_and_refills_do_nothing(void **state)
{
    (void)state;
    job_without_redis(false);
    job_without_redis(true);
}

/* Who died had taken it, and the row was written, or was not. */
static void a_job_that_comes_again_has_the_same_item(void **state)
{
    (void)state;
    for (int with_row = 0; with_row < 2; with_row++) {
        struct rule rule = {.bad = {0}};
        struct world *w = pool_world(&rule);
        const char *item = "9999999999999|" ITEM_A "|\"mine\"";
        struct event e = world_event(w, NULL);
        char t[128], id[ID_TEXT];
        struct record_call row = {.name = "$pool",
                                  .ckey = "$pool",
                                  .item = -1,
                                  .outcome = OUTCOME_OK,
                                  .result = (char[]){"\"mine\""},
                                  .result_len = 6};
        e.deadline_us = e.created_us + HOUR_US;
        id_format(&e.job, id);
        snprintf(t, sizeof t, "op:{p:price-compare:7}:t:%s", id);
        if (!with_row)
            assert_int_equal(cache_fake_put(w->redis, t, item, strlen(item), 0), 0);
        put_item(w, ITEM_B, "\"another's\"");
        leave_rows(w, &e, &row, with_row ? 1 : 0);
        world_put(w, &e, REQUEST, 0);
        struct seen s = world_final(w, &e.job);
        assert_string_equal(s.job.result, "\"mine\"");
        assert_true(length(w, "LLEN", Q) >= 1); /* the other item is still there */
        assert_null(seen_call(&s, "copy"));
        seen_fini(&s);
        world_free(w);
    }
}

/* Redis lost what it had been told, and gives out the item again. */
static void another_jobs_item_is_not_taken(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 20000}; /* no refill ends before the second take */
    struct world *w = pool_world(&rule);
    put_item(w, ITEM_A, "\"copied\"");
    struct seen s = run_job(w, REQUEST);
    assert_string_equal(s.job.result, "\"copied\"");
    seen_fini(&s);
    assert_int_equal(cache_fake_put(w->redis, D, "", 0, 0), 0);
    put_item(w, ITEM_A, "\"copied\"");
    s = run_job(w, REQUEST);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_has(s.job.result, "\"names\"");
    assert_non_null(seen_call(&s, "copy"));
    assert_null(seen_call(&s, "$pool")->result);
    seen_fini(&s);
    world_free(w);
}

static void a_refill_that_fails_gives_its_place_back(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/copy/2"}, .status = 404};
    struct world *w = pool_world(&rule);
    put_foreign(w, "{\"id\":7}");
    world_run(w, 5000);
    assert_int_equal(asked(w, "*"), 2);
    assert_int_equal(length(w, "LLEN", Q), 0);
    assert_int_equal(length(w, "ZCARD", R), 0);
    assert_int_equal(refills(w), 1); /* and asks for nothing: the next job does */
    world_free(w);
}

static void a_refill_with_a_wrong_value_is_a_dead_letter(void **state)
{
    static const char *const values[] = {"{\"id\":\"x\"}", "{}", "[7]", "7"};
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    for (size_t i = 0; i < 4; i++) {
        struct id_place at = {FILL, 0, (int64_t)i, clock_wall_us(loop_fake_clock(w->loop)) / 1000};
        struct job_id id = id_from_place(&at, values[i], strlen(values[i]));
        put_foreign(w, values[i]);
        struct seen s = world_final(w, &id);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_string_equal(s.job.reason, "bad-event");
        assert_int_equal(record_fake_dead(w->db, &id), 0);
        seen_fini(&s);
    }
    assert_int_equal(asked(w, "*"), 0);
    world_free(w);
}

/* Its time runs from its claim, whatever it waited; too late it is nobody's loss. */
static void a_refills_deadline_starts_at_its_claim(void **state)
{
    (void)state;
    struct rule rule = {.delay_ms = 10000};
    struct world *w = pool_world(&rule);
    int64_t now_us = clock_wall_us(loop_fake_clock(w->loop)), hour_us = INT64_C(3600000000);
    struct broker_record r = {.topic = FILL,
                              .timestamp_ms = (now_us - 48 * hour_us) / 1000,
                              .key = "7",
                              .key_len = 1,
                              .value = "{\"id\":7}",
                              .value_len = 8};
    struct id_place at = {FILL, 0, 0, r.timestamp_ms};
    struct job_id id = id_from_place(&at, r.value, r.value_len);
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_true(s.job.deadline_us >= now_us + hour_us && s.job.deadline_us < now_us + hour_us * 2);
    seen_fini(&s);
    world_free(w);
}

static void a_refill_that_comes_too_late_is_no_dead_letter(void **state)
{
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    struct event e = world_event(w, NULL);
    struct event_headers headers;
    e.refill = true;
    e.deadline_us = e.created_us - 1000000; /* of a refill that was redriven, say */
    assert_int_equal(event_encode(&e, &headers), 0);
    struct broker_record r = {.topic = TOPIC ".retry",
                              .value = "{\"id\":7}",
                              .value_len = 8,
                              .headers = headers.list,
                              .headers_n = headers.n};
    assert_int_equal(broker_fake_put(w->broker, &r), 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    assert_int_equal(asked(w, "*"), 0);
    seen_fini(&s);
    world_free(w);
}

/* A job of the flow itself is no refill, and has all fields. */
static void a_header_makes_a_refill_of_it(void **state)
{
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    struct event e = world_event(w, "ann");
    e.refill = true;
    e.deadline_us = 0;
    world_put(w, &e, REQUEST, 0);
    struct seen s = world_final(w, &e.job);
    static const struct owner nobody;
    assert_has(s.job.result, "\"refill\":true");
    assert_true(length(w, "LLEN", Q) >= 1);
    assert_memory_equal(&s.job.owner, &nobody, sizeof nobody);
    seen_fini(&s);
    world_free(w);
}

/* Whatever answer is lost: the job ends well, and who has an item has it alone. */
static void a_lost_answer_gives_no_item_twice(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 12; nth++) {
        struct rule rule = {.bad = {0}};
        struct world *w = pool_world(&rule);
        put_item(w, ITEM_A, "\"a\"");
        put_item(w, ITEM_B, "\"b\"");
        struct event one = put_job(w, REQUEST), two = put_job(w, REQUEST);
        record_fake_lose(w->db, nth);
        world_run(w, 5000);
        record_fake_lose(w->db, 0); /* none of the test's own */
        struct seen s = world_final(w, &one.job), t = world_final(w, &two.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(t.job.state, JOB_SUCCEEDED);
        assert_string_not_equal(s.job.result, t.job.result);
        assert_null(seen_call(&s, "copy"));
        assert_null(seen_call(&t, "copy"));
        refills(w);
        assert_int_equal(length(w, "LLEN", Q), 4);
        seen_fini(&s);
        seen_fini(&t);
        world_free(w);
    }
}

static void a_command_that_fails_costs_the_item_at_most(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 8; nth++) {
        struct rule rule = {.bad = {0}};
        struct world *w = pool_world(&rule);
        put_item(w, ITEM_A, "\"a\"");
        cache_fake_fail(w->redis, nth, ERR_TIMEOUT);
        struct seen s = run_job(w, REQUEST);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_true((strcmp(s.job.result, "\"a\"") == 0) != (seen_call(&s, "copy") != NULL));
        refills(w);
        assert_true(length(w, "LLEN", Q) <= 4);
        seen_fini(&s);
        world_free(w);
    }
}

/* The row is not written yet when the lease is lost: the same item, for the same job. */
static void a_lease_lost_in_the_middle_costs_no_item(void **state)
{
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    put_item(w, ITEM_A, "\"a\"");
    put_item(w, ITEM_B, "\"b\"");
    struct event e = put_job(w, REQUEST);
    world_run(w, 5);
    record_fake_down(w->db, true);
    world_run(w, 1000);
    record_fake_down(w->db, false);
    lose_lease(w, &e.job);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_string_equal(s.job.result, "\"a\"");
    seen_fini(&s);
    world_free(w);
}

static void a_pools_refills_have_a_topic_to_create(void **state)
{
    (void)state;
    struct rule rule = {.bad = {0}};
    struct world *w = pool_world(&rule);
    struct broker_topic topics[TOPICS_EACH];
    assert_int_equal(topics_wanted(w->set, topics), 3);
    assert_string_equal(topics[2].name, FILL);
    assert_int_equal(topics[2].partitions, 3);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_is_the_result_and_no_call_is_made),
        cmocka_unit_test(every_take_asks_for_a_refill),
        cmocka_unit_test(refills_fill_the_pool_and_stop),
        cmocka_unit_test(a_refill_sends_nothing_on),
        cmocka_unit_test(ten_records_at_once_fill_no_more_than_its_size),
        cmocka_unit_test(refills_that_wait_hold_up_no_user),
        cmocka_unit_test(refills_of_a_key_run_one_by_one),
        cmocka_unit_test(without_redis_jobs_make_their_calls_and_refills_do_nothing),
        cmocka_unit_test(a_job_that_comes_again_has_the_same_item),
        cmocka_unit_test(another_jobs_item_is_not_taken),
        cmocka_unit_test(a_refill_that_fails_gives_its_place_back),
        cmocka_unit_test(a_refill_with_a_wrong_value_is_a_dead_letter),
        cmocka_unit_test(a_refills_deadline_starts_at_its_claim),
        cmocka_unit_test(a_refill_that_comes_too_late_is_no_dead_letter),
        cmocka_unit_test(a_header_makes_a_refill_of_it),
        cmocka_unit_test(a_lost_answer_gives_no_item_twice),
        cmocka_unit_test(a_command_that_fails_costs_the_item_at_most),
        cmocka_unit_test(a_lease_lost_in_the_middle_costs_no_item),
        cmocka_unit_test(a_pools_refills_have_a_topic_to_create),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
