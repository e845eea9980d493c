/* jobs.h, serve.h, admin.h: reading a job, and what every request meets. */
#include "gateway_stage.h"

#include "gateway/admin.h"

static void job_path(char out[80], const char *id)
{
    snprintf(out, 80, "/v1/jobs/%s", id);
}

/* A job of the plain flow, registered; its id stays in s->got[0].job. */
static void accept_one(struct stage *s, char path[80])
{
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    stage_flush(s);
    job_path(path, s->got[0].job);
}

static const char *header_of(struct stage *s, const char *name)
{
    static char value[100];
    const char *at = strstr(buf_str(&s->reply.headers), name);
    if (!at)
        return NULL;
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at + strlen(name) + 2, "\r"),
             at + strlen(name) + 2);
    return value;
}

static void shows_a_registered_job(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, path);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    assert_string_equal(stage_member(s, "flow"), "plain");
    assert_string_equal(stage_member(s, "state"), "queued");
    assert_string_equal(s->reply.type, "application/json");
    assert_non_null(strstr(buf_str(&s->reply.body), "\"name\":\"one\""));
    assert_null(strstr(buf_str(&s->reply.body), "\"tries\""));
    char with_query[120];
    snprintf(with_query, sizeof with_query, "%s?x=1&include=attempts", path);
    assert_int_equal(stage_ask(s, "GET", with_query, NULL), 200);
    assert_non_null(strstr(buf_str(&s->reply.body), "\"tries\":[]"));
}

/* Also of a job that is not registered yet, and before anybody is asked for it. */
static void knows_what_may_be_included(void **state)
{
    static const struct {
        const char *query;
        int status;
    } rows[] = {{"?include=foo", 400},        {"?include=attempts,calls", 400},
                {"?include=%00", 400},        {"?include=attempts-and-all-else-there-is", 400},
                {"?include=%61ttempts", 200}, {"?include=", 200},
                {"?included=foo", 200}};
    struct stage *s = *state;
    char path[80], with_query[160];
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    job_path(path, s->got[0].job);
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        snprintf(with_query, sizeof with_query, "%s%s", path, rows[i / 2].query);
        assert_int_equal(stage_ask(s, "GET", with_query, NULL), rows[i / 2].status);
        if (rows[i / 2].status == 400)
            assert_string_equal(stage_member(s, "code"), "bad-parameter");
        if (i % 2 == 0)
            stage_flush(s);
    }
}

static void sends_nothing_that_is_known(void **state)
{
    struct stage *s = *state;
    char path[80], known[150];
    struct job_id id;
    accept_one(s, path);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    snprintf(known, sizeof known, "If-None-Match: %s", header_of(s, "ETag"));
    assert_int_equal(stage_ask(s, "GET", path, known), 304);
    assert_non_null(header_of(s, "ETag"));
    assert_int_equal(id_parse(s->got[0].job, &id), 0);
    assert_int_equal(record_fake_cancel(s->mysql, &id, &(struct owner){0}), 0);
    assert_int_equal(stage_ask(s, "GET", path, known), 200);
    assert_string_equal(stage_member(s, "state"), "cancelled");
}

/* Of another producer, an emit, a refill: its id can be computed by who knows the record. */
static void hides_what_is_nobodys_and_not_of_a_gateway(void **state)
{
    struct stage *s = *state;
    char path[80];
    struct register_row row = {.id = {{1, 2, 3, 4, 5, 6, 0x80, 1, 0x80, 5}},
                               .flow = flow_by_name(s->flows, "plain"),
                               .created_us = clock_wall_us(&s->clock.clock)};
    registrar_put(s->serve.accept.registrar, &row);
    stage_flush(s);
    assert_true(record_fake_has(s->mysql, &row.id));
    job_path(path, "01020304-0506-8001-8005-000000000000");
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
    assert_int_equal(stage_ask(s, "DELETE", path, NULL), 404);
    assert_int_equal(stage_ask(s, "GET", path, stage_token(s, "ann", NULL)), 404);
}

static void shows_a_job_before_it_is_registered(void **state)
{
    struct stage *s = *state;
    char path[80], text[ID_TEXT];
    struct owner nobody = {0};
    struct job_id id = id_new(&s->secret, &nobody, &s->clock.clock, &s->rng.rng);
    id_format(&id, text);
    job_path(path, text);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    assert_string_equal(stage_member(s, "state"), "queued");
    clock_step(&s->clock, (86400LL + 2) * 1000000); /* retention (1 s) and a day are over */
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
}

static void knows_its_own_ids_only(void **state)
{
    struct stage *s = *state;
    char path[80], text[ID_TEXT];
    struct owner somebody = {.b = {1}};
    struct id_secret other = {.b = {9}};
    struct owner nobody = {0};
    struct job_id ids[2];
    ids[0] = id_new(&other, &nobody, &s->clock.clock, &s->rng.rng);
    ids[1] = id_new(&s->secret, &somebody, &s->clock.clock, &s->rng.rng);
    for (size_t i = 0; i < 2; i++) {
        id_format(&ids[i], text);
        job_path(path, text);
        assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
        assert_string_equal(stage_member(s, "code"), "no-job");
    }
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs/42", NULL), 404);
    assert_string_equal(stage_member(s, "code"), "no-job");
}

/* An id made from a key has no date: its mark tells, or nobody can. */
static void believes_in_a_keyed_job_while_its_mark_stands(void **state)
{
    struct stage *s = *state;
    struct owner nobody = {0};
    struct marks_key key = {.id = id_from_key(&s->secret, &nobody, &nobody, "plain", "k")};
    char path[80], text[ID_TEXT], name[MARKS_NAME];
    id_format(&key.id, text);
    job_path(path, text);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
    marks_key_name(&key, name);
    assert_int_equal(cache_fake_put(s->redis, name, "p", 1, 0), 0);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    assert_true(strstr(buf_str(&s->reply.body), "\"created\":null") != NULL);
    cache_fake_away(s->redis, true);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    cache_fake_away(s->redis, false);
    cache_fake_refuse(s->redis, SCRIPT_NONE, "MASTERDOWN Link with MASTER is down");
    assert_int_equal(stage_ask(s, "GET", path, NULL), 200);
    cache_fake_refuse(s->redis, SCRIPT_NONE, NULL);
}

static void hides_the_jobs_of_others(void **state)
{
    struct stage *s = *state;
    struct record *record;
    char path[80];
    struct record_register row = {.owner.b = {1}, .flow = "plain"};
    row.id = id_new(&s->secret, &row.owner, &s->clock.clock, &s->rng.rng);
    assert_int_equal(record_fake_open(s->mysql, &record, NULL), 0);
    assert_int_equal(record->ops->register_jobs(record, &row, 1), 0);
    record->ops->close(record);
    char text[ID_TEXT];
    id_format(&row.id, text);
    job_path(path, text);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
    assert_string_equal(stage_member(s, "code"), "no-job");
}

static void says_so_when_it_cannot_read(void **state)
{
    struct stage *s = *state;
    char path[80];
    accept_one(s, path);
    record_fake_down(s->mysql, true);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 503);
    assert_string_equal(stage_member(s, "code"), "unavailable");
    assert_string_equal(header_of(s, "Retry-After"), "2");
    record_fake_down(s->mysql, false);
}

static void forgets_a_job_that_is_kept_no_longer(void **state)
{
    struct stage *s = *state;
    struct record *record;
    struct record_swept swept = {0};
    size_t len;
    char path[80], name[MARKS_NAME], mark[80],
        key[] = "Idempotency-Key: 3f2c4a10-1111-4222-8333-444455556666";
    struct job_id id;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", key), 202);
    stage_flush(s);
    job_path(path, s->got[0].job);
    assert_int_equal(id_parse(s->got[0].job, &id), 0);
    assert_int_equal(record_fake_cancel(s->mysql, &id, &(struct owner){0}), 0);
    struct marks_key owner_key = {.id = id};
    marks_key_name(&owner_key, name);
    snprintf(mark, sizeof mark, "%s", cache_fake_get(s->redis, name, &len));
    for (int i = 0; i < 5 && !swept.emptied; i++) {
        assert_int_equal(record_fake_open(s->mysql, &record, NULL), 0);
        assert_int_equal(record->ops->sweep(record, 90LL * 86400 * 1000, &swept), 0);
        record->ops->close(record);
        if (!swept.emptied)
            clock_step(&s->clock, 3600 * 1000000LL);
    }
    assert_int_equal(swept.emptied, 1);
    assert_int_equal(stage_ask(s, "GET", path, NULL), 404);
    assert_int_equal(cache_fake_put(s->redis, name, mark, strlen(mark), 0), 0);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", key), 422);
    assert_string_equal(stage_member(s, "code"), "key-reused");
}

/* ---- every request */

static void guards_and_closes(void **state)
{
    struct stage *s = *state;
    assert_int_equal(
        stage_ask(s, "POST", "/v1/flows/plain/jobs", "Content-Length: 1\nContent-Length: 1"), 400);
    assert_true(s->reply.close);
    assert_int_equal(stage_ask(s, "POST", "/v1/flows/plain/jobs", NULL), 411);
    assert_true(s->reply.close);
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs/1", NULL), 404);
    assert_false(s->reply.close);
}

static void routes(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_ask(s, "GET", "/nothing", NULL), 404);
    assert_string_equal(stage_member(s, "code"), "no-route");
    assert_int_equal(stage_ask(s, "GET", "/v1/flows/plain/jobs", NULL), 405);
    assert_string_equal(header_of(s, "Allow"), "POST");
    assert_int_equal(stage_ask(s, "GET", "/errors/not-json", NULL), 200);
    assert_int_equal(stage_ask(s, "GET", "/errors/nothing", NULL), 404);
    assert_int_equal(stage_ask(s, "GET", "/v1/jobs/0199/events", NULL), 404);
    assert_string_equal(stage_member(s, "code"), "no-job");
    assert_int_equal(metrics_value(metrics_counter("offpath_http_requests_total",
                                                   "route=\"none\",status=\"404\"", "")),
                     1);
}

static void names_each_request(void **state)
{
    struct stage *s = *state;
    char first[100];
    (void)stage_ask(s, "GET", "/nothing", "Request-Id: mine-1");
    assert_string_equal(stage_member(s, "request_id"), "mine-1");
    (void)stage_ask(s, "GET", "/nothing", "Request-Id: not mine");
    snprintf(first, sizeof first, "%s", stage_member(s, "request_id"));
    (void)stage_ask(s, "GET", "/nothing", NULL);
    assert_string_not_equal(stage_member(s, "request_id"), first);
}

/* ---- the admin port */

static void look(void *arg, struct health_state *out)
{
    static const struct topic_warnings none;
    *out = (struct health_state){
        .kafka = *(bool *)arg, .redis = true, .mysql = true, .mysql_why = "", .warnings = &none};
}

static int admin_ask(struct admin *a, struct http_reply *r, const char *method, const char *path)
{
    struct http_header host = {"Host", "h"};
    struct http_request q = {.method = method,
                             .path = path,
                             .version = "1.1",
                             .headers = &host,
                             .headers_n = 1,
                             .public_url = ""};
    http_reply_clear(r);
    admin_request(a, &q, r);
    return r->status;
}

static void answers_on_the_admin_port(void **state)
{
    struct http_reply r;
    bool kafka = true;
    struct admin a = {look, &kafka};
    (void)state;
    http_reply_init(&r);
    assert_int_equal(admin_ask(&a, &r, "GET", "/healthz"), 200);
    assert_string_equal(buf_str(&r.body), "ok\n");
    assert_int_equal(admin_ask(&a, &r, "GET", "/readyz"), 200);
    kafka = false;
    assert_int_equal(admin_ask(&a, &r, "HEAD", "/readyz"), 503);
    assert_int_equal(admin_ask(&a, &r, "GET", "/healthz"), 200);
    metrics_add(metrics_counter("offpath_test_total", "", "Help."), 3);
    assert_int_equal(admin_ask(&a, &r, "GET", "/metrics"), 200);
    assert_non_null(strstr(buf_str(&r.body), "offpath_test_total 3"));
    assert_int_equal(admin_ask(&a, &r, "DELETE", "/metrics"), 405);
    assert_int_equal(admin_ask(&a, &r, "GET", "/"), 404);
    http_reply_fini(&r);
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
        TEST(shows_a_registered_job),
        TEST(knows_what_may_be_included),
        TEST(sends_nothing_that_is_known),
        TEST(hides_what_is_nobodys_and_not_of_a_gateway),
        TEST(shows_a_job_before_it_is_registered),
        TEST(knows_its_own_ids_only),
        TEST(believes_in_a_keyed_job_while_its_mark_stands),
        TEST(hides_the_jobs_of_others),
        TEST(says_so_when_it_cannot_read),
        TEST(forgets_a_job_that_is_kept_no_longer),
        TEST(guards_and_closes),
        TEST(routes),
        TEST(names_each_request),
        cmocka_unit_test(answers_on_the_admin_port),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
