/* my_jobs.h, flows.h, cancel.h: what a user sees of his own, and how he calls it off. */
#include "gateway_stage.h"

#include "gateway/my_jobs.h"

static int ask_as(struct stage *s, const char *method, const char *path, const char *user)
{
    return stage_ask(s, method, path, user ? stage_token(s, user, NULL) : NULL);
}

/* A job of this user; its id stays in s->got. */
static const char *accept_as(struct stage *s, const char *flow, const char *user)
{
    assert_int_equal(stage_post(s, flow, "{\"n\":1}", user ? stage_token(s, user, NULL) : NULL),
                     202);
    stage_flush(s);
    return s->got[s->got_n - 1].job;
}

static int cancel_as(struct stage *s, const char *id, const char *user)
{
    char path[80];
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    return ask_as(s, "DELETE", path, user);
}

static const char *state_as(struct stage *s, const char *id, const char *user)
{
    char path[80];
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    assert_int_equal(ask_as(s, "GET", path, user), 200);
    return stage_member(s, "state");
}

static struct record *record_of(struct stage *s)
{
    struct record *r;
    assert_int_equal(record_fake_open(s->mysql, &r, NULL), 0);
    return r;
}

/* A worker claims it. */
static uint64_t claim(struct stage *s, const char *id, enum job_state *state)
{
    struct record *r = record_of(s);
    struct record_claim c = {.job = {.flow = "plain"}}, *list[] = {&c};
    assert_int_equal(id_parse(id, &c.job.id), 0);
    assert_int_equal(r->ops->worker_start(r, "w", 15000, &c.worker), 0);
    assert_int_equal(r->ops->claim(r, list, 1), 0);
    uint64_t worker = c.worker;
    *state = c.row.state;
    record_claim_fini(&c);
    r->ops->close(r);
    return worker;
}

static enum job_state finish(struct stage *s, const char *id, uint64_t worker, const char *result)
{
    struct record *r = record_of(s);
    struct record_finish f = {.worker = worker,
                              .state = JOB_SUCCEEDED,
                              .flow = "plain",
                              .reason = "",
                              .keep_ms = 1000,
                              .result = result,
                              .result_len = strlen(result)};
    struct record_finish *list[] = {&f};
    assert_int_equal(id_parse(id, &f.id), 0);
    assert_int_equal(r->ops->finish(r, list, 1), 0);
    r->ops->close(r);
    return f.stored;
}

/* ---- the list */

static struct json *page(struct stage *s, const char *query, const char *user)
{
    char path[300];
    struct json *v = NULL;
    snprintf(path, sizeof path, "/v1/jobs%s", query);
    assert_int_equal(ask_as(s, "GET", path, user), 200);
    assert_int_equal(json_parse(s->reply.body.data, s->reply.body.len, NULL, &v, NULL), 0);
    return v;
}

static size_t count(struct stage *s, const char *query, const char *user)
{
    struct json *v = page(s, query, user);
    size_t n = json_size(json_get(v, "items"));
    json_free(v);
    return n;
}

static void lists_the_users_own_jobs_newest_first(void **state)
{
    struct stage *s = *state;
    char ids[3][ID_TEXT];
    for (int i = 0; i < 3; i++, clock_step(&s->clock, 1000))
        snprintf(ids[i], ID_TEXT, "%s", accept_as(s, i == 1 ? "mine" : "plain", "alice"));
    accept_as(s, "plain", "bob");
    accept_as(s, "plain", NULL);
    struct json *v = page(s, "", "alice");
    const struct json *items = json_get(v, "items");
    assert_int_equal(json_size(items), 3);
    assert_true(json_is(json_get(v, "next"), JSON_NULL));
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(json_text(json_get(json_at(items, i), "id")), ids[2 - i]);
    const struct json *first = json_at(items, 0);
    assert_string_equal(json_text(json_get(first, "flow")), "plain");
    assert_string_equal(json_text(json_get(first, "state")), "queued");
    assert_non_null(json_get(json_get(first, "links"), "self"));
    assert_true(json_is(json_get(first, "result"), JSON_NULL));
    assert_null(json_get(first, "calls"));
    assert_null(json_get(first, "eta"));
    assert_null(json_get(first, "result_bytes"));
    json_free(v);
    assert_int_equal(count(s, "", "carol"), 0);
}

/* Many of one moment: every job on one page, none on two. */
static void pages_without_gap_or_repeat(void **state)
{
    struct stage *s = *state;
    char seen[12][ID_TEXT], query[120] = "?limit=5";
    size_t n = 0, pages = 0;
    for (int i = 0; i < 11; i++) {
        accept_as(s, "plain", "alice");
        if (i % 4 == 3)
            clock_step(&s->clock, 1);
    }
    for (bool more = true; more; pages++) {
        struct json *v = page(s, query, "alice");
        const struct json *items = json_get(v, "items");
        assert_in_range(json_size(items), 1, 5);
        for (const struct json *j = json_first(items); j; j = json_next(j)) {
            snprintf(seen[n], ID_TEXT, "%s", json_text(json_get(j, "id")));
            for (size_t i = 0; i < n; i++)
                assert_string_not_equal(seen[i], seen[n]);
            n++;
        }
        const char *next = json_text(json_get(v, "next"));
        more = next != NULL;
        snprintf(query, sizeof query, "?limit=5&cursor=%s", more ? next : "");
        json_free(v);
    }
    assert_int_equal(n, 11);
    assert_int_equal(pages, 3);
}

static void filters(void **state)
{
    struct stage *s = *state;
    char first[ID_TEXT], since[100], now[CLOCK_TEXT];
    enum job_state got;
    struct job_id id;
    snprintf(first, sizeof first, "%s", accept_as(s, "plain", "alice"));
    clock_step(&s->clock, 1000000);
    accept_as(s, "mine", "alice");
    clock_format(clock_wall_us(&s->clock.clock), now);
    snprintf(since, sizeof since, "?since=%s", now);
    assert_int_equal(count(s, since, "alice"), 1);
    assert_int_equal(count(s, "?since=2026-01-01T00%3A00%3a00Z", "alice"), 2);
    assert_int_equal(count(s, "?flow=mine", "alice"), 1);
    assert_int_equal(count(s, "?flow=nope", "alice"), 0);
    assert_int_equal(count(s, "?flow=&state=queued", "alice"), 2);
    (void)claim(s, first, &got);
    assert_int_equal(count(s, "?state=running", "alice"), 1);
    assert_int_equal(id_parse(first, &id), 0);
    record_fake_requeue(s->mysql, &id); /* shown as running: it will be tried again */
    assert_int_equal(count(s, "?state=running&flow=plain", "alice"), 1);
    assert_int_equal(count(s, "?state=queued", "alice"), 1);
    assert_int_equal(count(s, "?state=succeeded", "alice"), 0);
    assert_int_equal(count(s, "?limit=1", "alice"), 1);
    assert_int_equal(count(s, "?limit=1000", "alice"), 2);
    assert_int_equal(count(s, "?limit=99999999999999999999", "alice"), 2); /* more is 100 */
}

/* As many jobs as one page of a filter looks at, and one more. */
static void a_filter_that_nothing_fits_is_read_in_pages(void **state)
{
    struct stage *s = *state;
    struct record *r = record_of(s);
    struct record_register row = {.owner = owner_of(STAGE_ISSUER, "alice"), .has_mac = true};
    for (int i = 0; i <= MY_JOBS_SCAN_MAX; i++) {
        row.flow = i ? "plain" : "mine";
        row.created_us = 1000 + i;
        row.id.b[0] = (uint8_t)(i >> 8);
        row.id.b[1] = (uint8_t)i;
        assert_int_equal(r->ops->register_jobs(r, &row, 1), 0);
    }
    r->ops->close(r);
    struct json *v = page(s, "?flow=mine", "alice");
    char query[120];
    assert_int_equal(json_size(json_get(v, "items")), 0);
    assert_non_null(json_text(json_get(v, "next")));
    snprintf(query, sizeof query, "?flow=mine&cursor=%s", json_text(json_get(v, "next")));
    json_free(v);
    v = page(s, query, "alice");
    assert_int_equal(json_size(json_get(v, "items")), 1);
    assert_true(json_is(json_get(v, "next"), JSON_NULL));
    json_free(v);
}

static void leaves_out_a_result_that_is_long(void **state)
{
    struct stage *s = *state;
    enum job_state got;
    char text[MY_JOBS_RESULT_MAX + 2];
    for (int longer = 0; longer < 2; longer++, clock_step(&s->clock, 1000)) {
        const char *id = accept_as(s, "plain", "alice");
        memset(text, '1', sizeof text);
        text[MY_JOBS_RESULT_MAX + longer] = 0;
        text[0] = text[MY_JOBS_RESULT_MAX + longer - 1] = '"';
        assert_int_equal(finish(s, id, claim(s, id, &got), text), JOB_SUCCEEDED);
    }
    struct json *v = page(s, "", "alice");
    const struct json *items = json_get(v, "items");
    assert_true(json_is(json_get(json_at(items, 0), "result"), JSON_NULL));
    assert_int_equal(json_number(json_get(json_at(items, 0), "result_bytes")), 4097);
    assert_true(json_is(json_get(json_at(items, 1), "result"), JSON_STRING));
    assert_null(json_get(json_at(items, 1), "result_bytes"));
    json_free(v);
}

static void refuses_what_is_no_page(void **state)
{
    static const char *const bad[] = {
        "?state=done",      "?state=none",
        "?since=yesterday", "?since=%zz",
        "?cursor=1",        "?cursor=x.y",
        "?cursor=1.01",     "?limit=0",
        "?limit=-1",        "?limit=x",
        "?flow=%00",        "?cursor=99999999999999999999.01990c5e-0000-7000-8000-00003f9a2c41"};
    struct stage *s = *state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char path[150];
        snprintf(path, sizeof path, "/v1/jobs%s", bad[i]);
        if (ask_as(s, "GET", path, "alice") != 400)
            fail_msg("%s: %d", bad[i], s->reply.status);
        assert_string_equal(stage_member(s, "code"),
                            strncmp(bad[i], "?cursor", 7) == 0 ? "bad-cursor" : "bad-parameter");
    }
    assert_int_equal(ask_as(s, "GET", "/v1/jobs", NULL), 401);
    assert_non_null(strstr(buf_str(&s->reply.headers), "WWW-Authenticate: Bearer\r\n"));
    record_fake_down(s->mysql, true);
    assert_int_equal(ask_as(s, "GET", "/v1/jobs", "alice"), 503);
    record_fake_down(s->mysql, false);
}

/* ---- flows */

static void lists_the_flows_this_user_may_start(void **state)
{
    static const struct {
        const char *user, *scope, *flows;
    } rows[] = {{NULL, NULL, "broken cached counted edited few own plain"},
                {"alice", NULL, "broken cached counted edited few mine own plain"},
                {"alice", "read write", "broken cached counted edited few mine own plain scoped"}};
    struct stage *s = *state;
    for (size_t i = 0; i < 3; i++) {
        struct json *v = NULL;
        struct buf names = {0};
        assert_int_equal(
            stage_ask(s, "GET", "/v1/flows",
                      rows[i].user ? stage_token(s, rows[i].user, rows[i].scope) : NULL),
            200);
        assert_int_equal(json_parse(s->reply.body.data, s->reply.body.len, NULL, &v, NULL), 0);
        for (const struct json *f = json_first(json_get(v, "items")); f; f = json_next(f)) {
            if (names.len)
                buf_char(&names, ' ');
            buf_text(&names, json_text(json_get(f, "flow")));
            assert_true(json_is(json_get(f, "title"), JSON_STRING));
            assert_true(json_is(json_get(f, "schema"), JSON_OBJECT));
            assert_true(json_is(json_get(f, "examples"), JSON_ARRAY));
        }
        assert_string_equal(buf_str(&names), rows[i].flows);
        buf_fini(&names);
        json_free(v);
    }
}

/* ---- cancel */

static void cancels_a_queued_job_at_once(void **state)
{
    struct stage *s = *state;
    const char *channel, *id = accept_as(s, "plain", "alice");
    char want[300];
    enum job_state got;
    assert_int_equal(cancel_as(s, id, "alice"), 202);
    assert_string_equal(stage_member(s, "state"), "cancelled");
    snprintf(want, sizeof want, "cancel %s", id);
    assert_string_equal(cache_fake_published(s->redis, 0, &channel), want);
    assert_string_equal(channel, "op:ctl");
    assert_string_equal(cache_fake_published(s->redis, 1, &channel),
                        "{\"seq\":1,\"event\":\"done\",\"data\":{\"state\":\"cancelled\"}}");
    assert_string_equal(channel + 5, id);
    assert_non_null(strstr(cache_fake_published(s->redis, 2, &channel), "\"title\":\"Plain\""));
    assert_memory_equal(channel, "op:u:", 5);
    assert_string_equal(state_as(s, id, "alice"), "cancelled");
    (void)claim(s, id, &got); /* its record comes: nothing to run */
    assert_int_equal(got, JOB_CANCELLED);
    assert_int_equal(cancel_as(s, id, "alice"), 409);
    assert_string_equal(stage_member(s, "code"), "final");
}

static void asks_a_running_jobs_worker(void **state)
{
    struct stage *s = *state;
    const char *channel, *id = accept_as(s, "plain", "alice");
    enum job_state got;
    uint64_t worker = claim(s, id, &got);
    assert_int_equal(got, JOB_RUNNING);
    assert_int_equal(cancel_as(s, id, "alice"), 202);
    assert_string_equal(stage_member(s, "state"), "running");
    assert_memory_equal(cache_fake_published(s->redis, 0, &channel), "cancel ", 7);
    assert_null(cache_fake_published(s->redis, 1, &channel)); /* `done` is its worker's */
    assert_int_equal(finish(s, id, worker, "1"), JOB_CANCELLED);
    assert_string_equal(state_as(s, id, "alice"), "cancelled");
}

static void comes_too_late_for_a_finished_job(void **state)
{
    struct stage *s = *state;
    const char *channel, *id = accept_as(s, "plain", "alice");
    enum job_state got;
    assert_int_equal(finish(s, id, claim(s, id, &got), "1"), JOB_SUCCEEDED);
    assert_int_equal(cancel_as(s, id, "alice"), 409);
    assert_string_equal(state_as(s, id, "alice"), "succeeded");
    assert_null(cache_fake_published(s->redis, 0, &channel));
}

static void cancels_nobody_elses_job(void **state)
{
    struct stage *s = *state;
    const char *id = accept_as(s, "plain", "alice");
    assert_int_equal(cancel_as(s, id, "bob"), 404);
    assert_int_equal(cancel_as(s, id, NULL), 404);
    assert_string_equal(stage_member(s, "code"), "no-job");
    assert_int_equal(cancel_as(s, "42", "bob"), 404);
    assert_int_equal(cancel_as(s, "01990c5e-0000-7000-8000-00003f9a2c41", "bob"), 404);
    assert_string_equal(state_as(s, id, "alice"), "queued");
}

static void cancels_no_job_that_others_share(void **state)
{
    struct stage *s = *state;
    const char *id = accept_as(s, "cached", "alice");
    assert_int_equal(cancel_as(s, id, "alice"), 403);
    assert_string_equal(stage_member(s, "code"), "not-allowed");
    assert_string_equal(state_as(s, id, "alice"), "queued");
}

/* A guest's job is of whoever holds its id. */
static void cancels_a_guests_job_for_a_guest(void **state)
{
    struct stage *s = *state;
    const char *id = accept_as(s, "plain", NULL), *channel;
    assert_int_equal(cancel_as(s, id, NULL), 202);
    assert_non_null(cache_fake_published(s->redis, 1, &channel));
    assert_null(cache_fake_published(s->redis, 2, &channel)); /* nobody's list */
    assert_string_equal(state_as(s, id, NULL), "cancelled");
}

/* Its registration waits, or was lost: the row is made, and found final by all that come. */
static void cancels_a_job_before_it_is_registered(void **state)
{
    struct stage *s = *state;
    struct owner alice = owner_of(STAGE_ISSUER, "alice"), nobody = {0};
    struct job_id id = id_new(&s->secret, &alice, &s->clock.clock, &s->rng.rng);
    char text[ID_TEXT];
    enum job_state got;
    id_format(&id, text);
    assert_int_equal(cancel_as(s, text, "bob"), 404);
    assert_int_equal(cancel_as(s, text, "alice"), 202);
    (void)claim(s, text, &got);
    assert_int_equal(got, JOB_CANCELLED);
    assert_string_equal(state_as(s, text, "alice"), "cancelled");
    id = id_new(&s->secret, &nobody, &s->clock.clock, &s->rng.rng);
    id_format(&id, text);
    assert_int_equal(cancel_as(s, text, NULL), 503); /* perhaps shared: only the row knows */
    assert_int_equal(stage_ask(s, "DELETE", "/v1/jobs", NULL), 405);
}

static void cancels_without_redis_but_not_without_mysql(void **state)
{
    struct stage *s = *state;
    const char *id = accept_as(s, "plain", "alice");
    record_fake_down(s->mysql, true);
    assert_int_equal(cancel_as(s, id, "alice"), 503);
    record_fake_down(s->mysql, false);
    cache_fake_away(s->redis, true);
    assert_int_equal(cancel_as(s, id, "alice"), 202);
    cache_fake_away(s->redis, false);
    assert_string_equal(state_as(s, id, "alice"), "cancelled");
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lists_the_users_own_jobs_newest_first),
        TEST(pages_without_gap_or_repeat),
        TEST(filters),
        TEST(a_filter_that_nothing_fits_is_read_in_pages),
        TEST(leaves_out_a_result_that_is_long),
        TEST(refuses_what_is_no_page),
        TEST(lists_the_flows_this_user_may_start),
        TEST(cancels_a_queued_job_at_once),
        TEST(asks_a_running_jobs_worker),
        TEST(comes_too_late_for_a_finished_job),
        TEST(cancels_nobody_elses_job),
        TEST(cancels_no_job_that_others_share),
        TEST(cancels_a_guests_job_for_a_guest),
        TEST(cancels_a_job_before_it_is_registered),
        TEST(cancels_without_redis_but_not_without_mysql),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
