/* The whole worker in virtual time: the price comparison, and what can go wrong with it. */
#include "shard_world.h"

#include "common/json.h"

static void three_calls_at_once_then_saved(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 100);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(http_client_fake_peak(w->http), 3);
    assert_int_equal(s.n, 3);
    assert_int_equal(s.job.seq, 4);
    assert_string_equal(s.job.result,
                        "{\"productId\":\"42\",\"offers\":[{\"shop\":\"c-store\",\"price\":17450,"
                        "\"currency\":\"KRW\"},{\"shop\":\"a-mart\",\"price\":18900,\"currency\":"
                        "\"KRW\"},{\"shop\":\"b-shop\",\"price\":19200,\"currency\":\"KRW\"}],"
                        "\"missing\":[]}");
    assert_string_equal(seen_call(&s, "a-mart")->result, "{\"price\":18900,\"currency\":\"KRW\"}");
    assert_int_equal(world_committed(w, 0), 1);
    assert_int_equal(record_fake_dead(w->db, &id), -1);
    seen_fini(&s);
    world_free(w);
}

static void each_call_carries_its_key_and_the_job(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 100);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    char text[ID_TEXT];
    id_format(&id, text);
    for (size_t i = 0; i < 3; i++) {
        const struct http_fake_call *c = http_client_fake_call(w->http, i);
        const char *key = http_fake_call_header(c, "Idempotency-Key");
        assert_non_null(key);
        assert_memory_equal(key, text, ID_TEXT - 1);
        assert_int_equal(strlen(key), 36 + 1 + 16);
    }
    const struct http_fake_call *post = http_client_fake_call(w->http, 2);
    assert_string_equal(post->method, "POST");
    assert_string_equal(post->body, "{\"sku\":\"42\",\"quantity\":1}");
    assert_string_equal(http_fake_call_header(post, "Content-Type"), "application/json");
    seen_fini(&s);
    world_free(w);
}

static size_t published(struct world *w, const char *prefix, const char *part)
{
    const char *channel, *text;
    size_t n = 0;
    for (size_t i = 0; (text = cache_fake_published(w->redis, i, &channel)); i++)
        n += strncmp(channel, prefix, strlen(prefix)) == 0 && strstr(text, part);
    return n;
}

/* Where the result of {"productId":"42"} is kept. */
static void cache_name(struct world *w, const struct event *e, char key[80])
{
    struct json *request = NULL;
    char hash[65];
    assert_int_equal(json_parse("{\"productId\":\"42\"}", 18, NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    const struct flow *f = flow_by_name(w->set, "price-compare");
    assert_int_equal(flow_cache_hash(f, f->rev, e->owner.b, &vars, hash, NULL), 0);
    snprintf(key, 80, "op:{c:%s}:v", hash);
    json_free(request);
}

static void events_are_numbered_and_the_cache_is_filled(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 100);
    struct event e = world_event(w, "anna");
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(published(w, "op:j:", "\"event\":\"state\""), 1);
    assert_int_equal(
        published(w, "op:j:", "{\"seq\":1,\"event\":\"call\",\"data\":{\"name\":\"a-mart\""), 1);
    assert_int_equal(
        published(w, "op:j:", "{\"seq\":2,\"event\":\"call\",\"data\":{\"name\":\"b-shop\""), 1);
    const char *done = "{\"seq\":4,\"event\":\"done\",\"data\":{\"state\":\"succeeded\"}}";
    assert_int_equal(published(w, "op:j:", done), 1); /* its reader goes to the record */
    assert_int_equal(published(w, "op:u:", "\"state\":\"running\""), 1);
    assert_int_equal(published(w, "op:u:", "\"state\":\"succeeded\""), 1);

    char key[80];
    cache_name(w, &e, key);
    const char *value = cache_fake_get(w->redis, key, NULL);
    assert_non_null(value);
    assert_non_null(
        strstr(value, "\"flow\":\"price-compare\",\"state\":\"succeeded\",\"result\":{"));
    assert_in_range(cache_fake_ttl_ms(w->redis, key), 290000, 300000);
    seen_fini(&s);
    world_free(w);
}

/* What a guest asked stays his: all guests together are nobody, and would be one user. */
static void a_cache_per_user_holds_nothing_of_guests(void **state)
{
    (void)state;
    const char *const users[] = {NULL, "anna"};
    for (int i = 0; i < 2; i++) {
        struct world *w = world_new(0);
        world_shops(w, 100);
        w->set->flows[0].cache.scope = SCOPE_USER;
        struct event e = world_event(w, users[i]);
        char key[80];
        cache_name(w, &e, key);
        world_put(w, &e, "{\"productId\":\"42\"}", 0);
        struct seen s = world_final(w, &e.job);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        assert_int_equal(cache_fake_get(w->redis, key, NULL) != NULL, users[i] != NULL);
        seen_fini(&s);
        world_free(w);
    }
}

static void a_shop_that_fails_once_is_asked_again(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, B_SHOP, (struct http_fake_reply){.status = 503, .delay_ms = 5});
    world_shops(w, 50);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(seen_call(&s, "b-shop")->attempts, 2);
    assert_non_null(strstr(seen_call(&s, "b-shop")->tries, "\"code\":\"http-5xx\",\"status\":503"));
    assert_int_equal(http_client_fake_calls(w->http), 4);
    seen_fini(&s);
    world_free(w);
}

static void retry_after_is_obeyed(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, B_SHOP,
                (struct http_fake_reply){.status = 429,
                                         .header = {(char[]){"retry-after"}, (char[]){"3"}}});
    world_shops(w, 50);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    const struct http_fake_call *last = http_client_fake_call(w->http, 3);
    assert_non_null(strstr(last->url, "b-shop"));
    assert_true(last->at_ms - http_client_fake_call(w->http, 1)->at_ms >= 3000);
    assert_non_null(strstr(seen_call(&s, "b-shop")->tries, "retry-after"));
    seen_fini(&s);
    world_free(w);
}

static void one_bad_shop_hides_no_other(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, A_MART, (struct http_fake_reply){.body = "<html>oops"});
    world_reply(w, B_SHOP, (struct http_fake_reply){.hang = true});
    world_shops(w, 50);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_string_equal(s.job.reason, "");
    assert_string_equal(seen_call(&s, "a-mart")->reason, "bad-body");
    assert_int_equal(seen_call(&s, "a-mart")->outcome, OUTCOME_FAILED);
    assert_string_equal(seen_call(&s, "b-shop")->reason, "timeout");
    assert_non_null(
        strstr(s.job.result, "\"missing\":[{\"shop\":\"a-mart\",\"reason\":\"bad-body\"}"));
    assert_non_null(strstr(s.job.calls, "\"error\":{\"code\":\"timeout\""));
    seen_fini(&s);
    world_free(w);
}

static void too_few_calls_fail_with_a_dead_letter(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, "*", (struct http_fake_reply){.status = 404});
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.reason, "need-not-met");
    assert_null(s.job.result);
    assert_int_equal(record_fake_dead(w->db, &id), 0);
    assert_int_equal(world_committed(w, 0), 1);
    seen_fini(&s);
    world_free(w);
}

/* Slow answers of 503: the third attempt is still under way when the 12 s are over. */
static void the_deadline_ends_what_is_open(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, "*", (struct http_fake_reply){.status = 503, .delay_ms = 5000});
    struct job_id id = world_job(w);
    int64_t before = loop_now_ms(w->loop);
    struct awaited a = {w, &id};
    assert_true(loop_fake_run_until(w->loop, world_is_final, &a, 60000));
    assert_in_range(loop_now_ms(w->loop) - before, 11900, 12100);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_EXPIRED);
    assert_string_equal(s.job.reason, "deadline");
    assert_int_equal(s.n, 0); /* open at the end: no rows */
    assert_int_equal(http_client_fake_running(w->http), 0);
    assert_int_equal(record_fake_dead(w->db, &id), -1); /* its calls had begun */
    assert_non_null(strstr(s.job.calls, "\"code\":\"deadline\""));
    seen_fini(&s);
    world_free(w);
}

static void at_the_deadline_enough_is_partial(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_reply(w, B_SHOP, (struct http_fake_reply){.status = 503, .delay_ms = 5000});
    world_shops(w, 50);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    /* the first answer of b-shop is 503, then it is well: 5 s and a retry */
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    world_free(w);

    w = world_new(0);
    world_reply(w, A_MART, (struct http_fake_reply){.body = A_BODY});
    world_reply(w, "*", (struct http_fake_reply){.status = 503, .delay_ms = 5000});
    id = world_job(w);
    s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_PARTIAL);
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(s.job.result, "\"reason\":\"deadline\""));
    seen_fini(&s);
    world_free(w);
}

static void a_job_that_comes_too_late_makes_no_call(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us - 1000;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_EXPIRED);
    assert_int_equal(http_client_fake_calls(w->http), 0);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0); /* before its first call */
    seen_fini(&s);
    world_free(w);
}

static void poison_is_a_dead_letter_and_the_partition_goes_on(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event garbage = world_event(w, NULL), wrong = world_event(w, NULL);
    struct event empty = world_event(w, NULL);
    world_put(w, &empty, "", 0);
    world_put(w, &garbage, "{\"productId\":", 0);
    world_put(w, &wrong, "{\"productId\":42}", 0);
    struct job_id good = world_job(w);
    struct seen s = world_final(w, &good);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    const struct job_id *const bad[] = {&empty.job, &garbage.job, &wrong.job};
    for (int i = 0; i < 3; i++) {
        const struct job_id *id = bad[i];
        s = world_final(w, id);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_string_equal(s.job.reason, "bad-event");
        assert_int_equal(record_fake_dead(w->db, id), 0);
        seen_fini(&s);
    }
    assert_int_equal(world_committed(w, 0), 4);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    world_free(w);
}

/* The dead letter has the value without them; offpath-job counts, wherever it stands. */
static void headers_that_cannot_be_kept_are_a_dead_letter(void **state)
{
    (void)state;
    static char name[65536], value[1 << 20];
    static struct event_header list[300];
    static struct event_headers own;
    memset(name, 'n', sizeof name - 1);
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e[3];
    for (size_t i = 0; i < 3; i++) {
        const struct event_header big[] = {
            {"n", "v", 1}, {name, "v", 1}, {"n", value, sizeof value}};
        size_t n = 0;
        for (; n < (i ? 1 : 240); n++)
            list[n] = big[i];
        e[i] = world_event(w, NULL);
        assert_int_equal(event_encode(&e[i], &own), 0);
        for (size_t k = 0; k < own.n; k++)
            list[n++] = own.list[k];
        while (i == 0 && n < 256)
            list[n++] = big[0];
        const struct broker_record r = {
            .topic = TOPIC, .value = "{}", .value_len = 2, .headers = list, .headers_n = n};
        assert_int_equal(broker_fake_put(w->broker, &r), 0);
    }
    struct job_id good = world_job(w);
    struct seen s = world_final(w, &good);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    for (size_t i = 0; i < 3; i++) {
        s = world_final(w, &e[i].job);
        assert_int_equal(s.job.state, JOB_FAILED);
        assert_string_equal(s.job.reason, "bad-event");
        assert_int_equal(record_fake_dead(w->db, &e[i].job), 0);
        seen_fini(&s);
    }
    assert_int_equal(world_committed(w, 0), 4);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    world_free(w);
}

/* T11 ended it before its record came: the record is kept, nothing runs. */
static void a_record_after_the_sweep_is_a_dead_letter(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    struct record_register row = {.id = e.job,
                                  .flow = "price-compare",
                                  .created_us = e.created_us,
                                  .deadline_us = e.deadline_us,
                                  .sweep_at_us = e.created_us};
    struct record_swept swept = {0};
    assert_int_equal(w->eyes->ops->register_jobs(w->eyes, &row, 1), 0);
    world_run(w, 1000);
    assert_int_equal(w->eyes->ops->sweep(w->eyes, 86400000, &swept), 0);
    assert_int_equal(swept.expired, 1);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 3000);
    assert_int_equal(world_state(w, &e.job), JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_int_equal(http_client_fake_calls(w->http), 0);
    assert_int_equal(world_committed(w, 0), 1);
    world_free(w);
}

/* The server refuses whatever is written of it, for a while: it ends without its results. */
static void a_refused_write_does_not_lose_the_job(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 30);
    record_fake_poison(w->db, &e.job);
    world_run(w, 5000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    record_fake_poison(w->db, NULL);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.reason, "too-big");
    assert_null(s.job.result);
    assert_int_equal(world_committed(w, 0), 1);
    seen_fini(&s);
    world_free(w);
}

static void a_record_of_another_producer_runs_too(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    const char value[] = "{\"productId\":\"42\"}";
    world_put(w, NULL, value, 1);
    const struct broker_record *r = broker_fake_at(w->broker, TOPIC, 1, 0);
    const struct id_place at = {TOPIC, 1, 0, r->timestamp_ms};
    struct job_id id = id_from_place(&at, value, sizeof value - 1);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_true(owner_is_nobody(&s.job.owner));
    seen_fini(&s);
    world_free(w);
}

static void a_second_delivery_is_settled_without_calls(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 5000);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(world_committed(w, 0), 2);
    world_free(w);
}

static void a_delivery_while_it_runs_joins_it(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 500);
    struct event e = world_event(w, NULL);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 200);
    assert_int_equal(shard_jobs(w->shard[0]), 1);
    world_put(w, &e, "{\"productId\":\"42\"}", 2);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(world_committed(w, 0), 2);
    assert_int_equal(world_committed(w, 2), 1);
    seen_fini(&s);
    world_free(w);
}

static void another_body_under_one_id_does_not_run(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    e.has_mac = true;
    e.mac[0] = 1;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &e.job);
    seen_fini(&s);
    e.mac[0] = 2;
    world_put(w, &e, "{\"productId\":\"43\"}", 0);
    world_run(w, 5000);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(world_committed(w, 0), 2);
    world_free(w);
}

static void a_rebalance_repeats_no_call(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 4000);
    world_shard(w, 1);
    world_run(w, 2000);
    struct job_id id = world_job(w);
    world_run(w, 1000);
    assert_int_equal(http_client_fake_running(w->http), 3);
    broker_fake_revoke(w->consumer[0], false);
    world_run(w, 1100);
    broker_fake_assign(w->consumer[1]);
    world_run(w, 1100);
    assert_int_equal(shard_jobs(w->shard[0]), 1); /* runs on */
    assert_int_equal(shard_jobs(w->shard[1]), 1); /* watches */
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    assert_int_equal(world_committed(w, 0), 1);
    assert_int_equal(shard_jobs(w->shard[1]), 0);
    seen_fini(&s);
    world_free(w);
}

/* What /readyz says: a group that tells nothing is trouble, one that gives no partitions is not. */
static void a_shard_that_its_group_forgot_is_in_trouble(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shard(w, 1);
    world_run(w, 25000);
    assert_null(w->signs[1].trouble);
    world_run(w, 10000);
    assert_string_equal(w->signs[1].trouble, "not-assigned");
    assert_null(w->signs[0].trouble);
    broker_fake_assign_none(w->consumer[1]);
    world_run(w, 2000);
    assert_null(w->signs[1].trouble);
    world_free(w);
}

static void mysql_away_waits_and_loses_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 300);
    struct job_id first = world_job(w);
    world_run(w, 150);
    assert_int_equal(http_client_fake_running(w->http), 3);
    record_fake_down(w->db, true);
    struct job_id second = world_job(w);
    world_run(w, 4000);
    assert_int_equal(shard_jobs(w->shard[0]), 2);
    assert_int_equal(world_committed(w, 0), 0);
    record_fake_down(w->db, false);
    struct seen s = world_final(w, &first);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    s = world_final(w, &second);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(http_client_fake_calls(w->http), 6);
    assert_int_equal(world_committed(w, 0), 2);
    seen_fini(&s);
    world_free(w);
}

/* Its numbers begin again while a job of the old ones runs. */
static void a_topic_that_is_made_anew_loses_no_job(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 3000);
    struct job_id jobs[3] = {world_job(w), world_job(w)};
    world_run(w, 1000);
    broker_fake_remake(w->broker, TOPIC);
    world_run(w, 1000);
    jobs[2] = world_job(w);
    for (int i = 0; i < 3; i++) {
        struct seen s = world_final(w, &jobs[i]);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        seen_fini(&s);
    }
    world_run(w, 2000);
    assert_int_equal(world_committed(w, 0), 1);
    assert_int_equal(shard_jobs(w->shard[0]), 0);
    world_free(w);
}

/* The machine's clock is set: neither what was claimed nor what is claimed now is late for it. */
static void a_step_of_our_clock_expires_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 5000);
    struct job_id before = world_job(w);
    struct event e = world_event(w, NULL);
    world_run(w, 1000);
    loop_fake_step_wall(w->loop, 3600 * 1000000LL);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &before);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    seen_fini(&s);
    world_free(w);
}

static void job_without_redis(bool refuses)
{
    struct world *w = world_new(0);
    cache_fake_away(w->redis, !refuses);
    cache_fake_refuse(w->redis, SCRIPT_NONE, refuses ? "READONLY" : NULL);
    world_run(w, 15000); /* no lease from before */
    world_shops(w, 50);
    struct job_id id = world_job(w);
    struct seen s = world_final(w, &id);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(world_committed(w, 0), 1);
    seen_fini(&s);
    world_free(w);
}

static void redis_away_costs_nothing_but_events(void **state)
{
    (void)state;
    job_without_redis(false);
    job_without_redis(true);
}

/* What a worker left that died after T5 of a-mart: claimed, one row, no finish. */
static void crash_after_ledger(struct world *w, const struct job_id *id, struct seen *of)
{
    uint64_t dead;
    struct record_claim claim = {.job = {.id = *id,
                                         .flow = "price-compare",
                                         .created_us = of->job.created_us,
                                         .deadline_us = of->job.deadline_us,
                                         .sweep_at_us = of->job.deadline_us + 1000000}};
    struct record_claim *claims[] = {&claim};
    struct record_ledger ledger = {.call = *seen_call(of, "a-mart")}, *ledgers[] = {&ledger};
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "dead", 15000, &dead), 0);
    claim.worker = dead;
    ledger.worker = dead;
    ledger.call.job = *id;
    assert_int_equal(w->eyes->ops->claim(w->eyes, claims, 1), 0);
    record_claim_fini(&claim);
    assert_int_equal(w->eyes->ops->ledger(w->eyes, ledgers, 1), 0);
    record_call_fini(&ledger.stored);
    record_fake_expire(w->db, dead);
}

static void a_dead_workers_job_resumes_from_the_ledger(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct job_id sample = world_job(w);
    struct seen s = world_final(w, &sample);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    struct event e = world_event(w, NULL);
    e.deadline_us = 0;
    s.job.deadline_us = e.created_us + 60000000;
    crash_after_ledger(w, &e.job, &s);
    seen_fini(&s);
    world_run(w, 16000); /* own lease held long enough to take over */
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_int_equal(s.job.crashes, 1);
    assert_int_equal(http_client_fake_calls(w->http), 5); /* b-shop and c-store only */
    assert_int_equal(s.n, 3);
    assert_int_equal(s.job.seq, 4);
    seen_fini(&s);
    world_free(w);
}

static void a_lost_lease_drops_and_starts_over(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 6000);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 120000000;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 1000);
    uint64_t before = w->signs[0].worker, other;
    bool taken = false;
    /* another worker declares this one dead, and dies itself */
    assert_int_equal(w->eyes->ops->worker_start(w->eyes, "other", 15000, &other), 0);
    record_fake_expire(w->db, before);
    assert_int_equal(w->eyes->ops->take_over(w->eyes, before, other, &e.job, 1, &taken), 0);
    assert_true(taken);
    record_fake_expire(w->db, other);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    assert_true(w->signs[0].worker != before);
    assert_int_equal(s.job.crashes, 2);
    assert_int_equal(http_client_fake_calls(w->http), 6);
    assert_int_equal(world_committed(w, 0), 1);
    seen_fini(&s);
    world_free(w);
}

static void a_record_that_killed_five_workers_is_failed(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 50);
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 600000000;
    world_crashes(w, &e, 5);
    world_run(w, 16000);
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.reason, "crashed-worker");
    assert_non_null(
        strstr(s.job.calls, "{\"name\":\"a-mart\",\"item\":null,\"state\":\"skipped\""));
    assert_int_equal(http_client_fake_calls(w->http), 0);
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    seen_fini(&s);
    world_free(w);
}

/* Jobs that killed workers run one at a time; the deadline of one that waits for its turn counts.
 */
static void the_deadline_ends_a_suspect_that_waits(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    struct event slow = world_event(w, NULL), waits = world_event(w, NULL);
    slow.deadline_us = slow.created_us + 600000000;
    waits.deadline_us = waits.created_us + 60000000;
    world_reply(w, "*", (struct http_fake_reply){.hang = true});
    for (size_t i = 0; i < 3; i++)
        w->set->flows[0].calls[i].timeout_ms = 300000;
    world_crashes(w, &slow, 2);
    world_crashes(w, &waits, 2);
    world_put(w, &slow, "{\"productId\":\"42\"}", 0);
    world_run(w, 1000);
    world_put(w, &waits, "{\"productId\":\"42\"}", 1);
    world_run(w, 58000);
    assert_int_equal(http_client_fake_calls(w->http), 3); /* of the first */
    assert_int_equal(world_state(w, &waits.job), JOB_RUNNING);
    world_run(w, 1500);
    assert_int_equal(world_state(w, &waits.job), JOB_EXPIRED);
    assert_int_equal(record_fake_dead(w->db, &waits.job), 0); /* before its first call */
    assert_int_equal(world_state(w, &slow.job), JOB_RUNNING);
    assert_int_equal(http_client_fake_calls(w->http), 3);
    world_free(w);
}

static void a_cancel_stops_what_is_in_flight(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 8000);
    struct event e = world_event(w, "anna");
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 500);
    assert_int_equal(http_client_fake_running(w->http), 3);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    world_run(w, 3000); /* read from op_cancel: the message was lost */
    assert_int_equal(http_client_fake_running(w->http), 0);
    struct seen s = world_final(w, &e.job);
    assert_int_equal(s.job.state, JOB_CANCELLED);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    assert_int_equal(world_committed(w, 0), 1);
    seen_fini(&s);
    world_free(w);
}

static void message_cancels(uint16_t round)
{
    struct world *w = world_new(0);
    world_shops(w, 8000);
    struct event e = world_event(w, "anna");
    e.round = round;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 500);
    assert_int_equal(http_client_fake_running(w->http), 3);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    char text[64] = "cancel ";
    id_format(&e.job, text + 7);
    struct cache_command c = {0};
    cache_arg_text(&c, "PUBLISH");
    cache_arg_text(&c, "op:ctl");
    cache_arg_text(&c, text);
    assert_int_equal(cache_send(w->cache, &c, NULL, NULL), 0);
    world_run(w, 50);
    assert_int_equal(http_client_fake_running(w->http), 0);
    assert_int_equal(world_state(w, &e.job), JOB_CANCELLED);
    world_free(w);
}

static void a_message_cancels_at_once(void **state)
{
    (void)state;
    message_cancels(0);
}

static void a_message_cancels_in_any_round(void **state)
{
    (void)state;
    message_cancels(15);
    message_cancels(16);
    message_cancels(UINT16_MAX);
}

static void intake_pauses_and_loses_nothing(void **state)
{
    (void)state;
    struct world *w = world_new(8);
    world_shops(w, 1000);
    struct job_id ids[40];
    for (int i = 0; i < 40; i++) {
        struct event e = world_event(w, NULL);
        e.deadline_us = e.created_us + 600000000;
        ids[i] = e.job;
        world_put(w, &e, "{\"productId\":\"42\"}", i % 3);
    }
    world_run(w, 500);
    assert_in_range(shard_jobs(w->shard[0]), 8, 12);
    assert_true(broker_fake_paused(w->consumer[0], TOPIC, 0));
    for (int i = 0; i < 40; i++) {
        struct seen s = world_final(w, &ids[i]);
        assert_int_equal(s.job.state, JOB_SUCCEEDED);
        seen_fini(&s);
    }
    assert_int_equal(http_client_fake_calls(w->http), 120);
    assert_false(broker_fake_paused(w->consumer[0], TOPIC, 0));
    assert_int_equal(world_committed(w, 0) + world_committed(w, 1) + world_committed(w, 2), 40);
    world_free(w);
}

/* 64 calls at once are for all workers together; without Redis each takes its share. */
static void an_upstreams_limit_is_shared_with_other_workers(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    cache_fake_away(w->redis, true);
    uint64_t others[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->eyes->ops->worker_start(w->eyes, "other", 15000, &others[i]), 0);
    world_run(w, 5000);
    world_shops(w, 3000);
    for (int i = 0; i < 80; i++)
        (void)world_job(w);
    world_run(w, 2000);
    assert_int_equal(http_client_fake_running(w->http), 64 / 4 + 64 / 4 + 32 / 4);
    for (int i = 0; i < 3; i++)
        assert_int_equal(w->eyes->ops->worker_end(w->eyes, others[i]), 0);
    world_run(w, 5000);
    for (int i = 0; i < 200; i++)
        (void)world_job(w);
    world_run(w, 2000);
    assert_true(http_client_fake_running(w->http) > 64);
    world_free(w);
}

static void a_drain_finishes_jobs_and_releases_the_rest(void **state)
{
    (void)state;
    struct world *w = world_new(0);
    world_shops(w, 2000);
    struct job_id quick = world_job(w);
    world_run(w, 500);
    world_reply(w, "*", (struct http_fake_reply){.hang = true});
    shard_drain(w->shard[0], 5000);
    world_run(w, 3000);
    assert_int_equal(world_state(w, &quick), JOB_SUCCEEDED);
    assert_true(w->closed[0]);
    assert_int_equal(record_fake_worker(w->db, 1), 1);
    world_free(w);

    w = world_new(0);
    world_reply(w, "*", (struct http_fake_reply){.hang = true});
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + 600000000;
    world_put(w, &e, "{\"productId\":\"42\"}", 0);
    world_run(w, 500);
    shard_drain(w->shard[0], 3000);
    world_run(w, 2000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    world_run(w, 2000);
    assert_int_equal(world_state(w, &e.job), JOB_QUEUED);
    assert_true(w->closed[0]);
    assert_int_equal(http_client_fake_running(w->http), 0);
    world_free(w);
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
        cmocka_unit_test(three_calls_at_once_then_saved),
        cmocka_unit_test(each_call_carries_its_key_and_the_job),
        cmocka_unit_test(events_are_numbered_and_the_cache_is_filled),
        cmocka_unit_test(a_cache_per_user_holds_nothing_of_guests),
        cmocka_unit_test(a_shop_that_fails_once_is_asked_again),
        cmocka_unit_test(retry_after_is_obeyed),
        cmocka_unit_test(one_bad_shop_hides_no_other),
        cmocka_unit_test(too_few_calls_fail_with_a_dead_letter),
        cmocka_unit_test(the_deadline_ends_what_is_open),
        cmocka_unit_test(at_the_deadline_enough_is_partial),
        cmocka_unit_test(a_job_that_comes_too_late_makes_no_call),
        cmocka_unit_test(poison_is_a_dead_letter_and_the_partition_goes_on),
        cmocka_unit_test(headers_that_cannot_be_kept_are_a_dead_letter),
        cmocka_unit_test(a_record_after_the_sweep_is_a_dead_letter),
        cmocka_unit_test(a_refused_write_does_not_lose_the_job),
        cmocka_unit_test(a_record_of_another_producer_runs_too),
        cmocka_unit_test(a_second_delivery_is_settled_without_calls),
        cmocka_unit_test(a_delivery_while_it_runs_joins_it),
        cmocka_unit_test(another_body_under_one_id_does_not_run),
        cmocka_unit_test(a_rebalance_repeats_no_call),
        cmocka_unit_test(a_shard_that_its_group_forgot_is_in_trouble),
        cmocka_unit_test(mysql_away_waits_and_loses_nothing),
        cmocka_unit_test(a_topic_that_is_made_anew_loses_no_job),
        cmocka_unit_test(a_step_of_our_clock_expires_nothing),
        cmocka_unit_test(redis_away_costs_nothing_but_events),
        cmocka_unit_test(a_dead_workers_job_resumes_from_the_ledger),
        cmocka_unit_test(a_lost_lease_drops_and_starts_over),
        cmocka_unit_test(a_record_that_killed_five_workers_is_failed),
        cmocka_unit_test(the_deadline_ends_a_suspect_that_waits),
        cmocka_unit_test(a_cancel_stops_what_is_in_flight),
        cmocka_unit_test(a_message_cancels_at_once),
        cmocka_unit_test(a_message_cancels_in_any_round),
        cmocka_unit_test(intake_pauses_and_loses_nothing),
        cmocka_unit_test(an_upstreams_limit_is_shared_with_other_workers),
        cmocka_unit_test(a_drain_finishes_jobs_and_releases_the_rest),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
