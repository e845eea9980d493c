/* Claim: what a record asks for, and what the row of its job says about it. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>

#include "common/json.h"
#include "worker/claim.h"
#include "worker/databases.h"
#include "worker/groups.h"

static char topic[] = "prices", group[] = "g", other_topic[] = "digest", refills[] = "refills";
static struct flow flows[3] = {
    {.name = "price-compare",
     .rev = {1, 2, 3},
     .topic = {.name = topic, .group = group},
     .deadline_ms = 12000},
    {.name = "digest", .topic = {.name = other_topic, .group = other_topic}},
    {.name = "more", .topic = {.name = (char[]){"more"}, .group = group}},
};
static struct flow_set set = {.flows = flows, .flows_n = 3};

static struct event sample(void)
{
    struct event e = {.ours = true,
                      .flow = "price-compare",
                      .created_us = INT64_C(1700000000000000),
                      .deadline_us = INT64_C(1700000012000000),
                      .mac = {9},
                      .has_mac = true};
    assert_int_equal(id_parse("0190a5b2-1111-7222-8333-444455556666", &e.job), 0);
    return e;
}

static struct claim decode(const struct event *e, const char *value, const char *in)
{
    static struct event_headers headers;
    struct claim c;
    struct broker_record r = {.topic = in,
                              .partition = 2,
                              .offset = 40,
                              .timestamp_ms = 1600000000000,
                              .value = value,
                              .value_len = value ? strlen(value) : 0};
    if (e) {
        assert_int_equal(event_encode(e, &headers), 0);
        r.headers = headers.list;
        r.headers_n = headers.n;
    }
    assert_int_equal(claim_decode(&set, &r, &c), 0);
    return c;
}

static void our_record_says_who_it_is(void **state)
{
    (void)state;
    struct event e = sample();
    struct claim c = decode(&e, "{}", topic);
    assert_int_equal(c.bad, REASON_NONE);
    assert_ptr_equal(c.flow, &flows[0]);
    assert_true(id_equal(&c.event.job, &e.job));
    struct record_register r;
    claim_columns(&c, 1000, &r);
    assert_string_equal(r.flow, "price-compare");
    assert_int_equal(r.deadline_us, e.deadline_us);
    assert_int_equal(r.sweep_at_us, e.deadline_us + INT64_C(600000000));
    assert_memory_equal(r.rev, flows[0].rev, 8);
    assert_true(r.has_mac && r.mac[0] == 9);
}

static void a_foreign_record_gets_an_id_and_a_deadline(void **state)
{
    (void)state;
    struct claim a = decode(NULL, "{\"x\":1}", topic), b = decode(NULL, "{\"x\":1}", topic);
    struct claim c = decode(NULL, "{\"x\":2}", topic);
    assert_int_equal(a.bad, REASON_NONE);
    assert_true(id_equal(&a.event.job, &b.event.job));
    assert_false(id_equal(&a.event.job, &c.event.job));
    assert_int_equal(a.event.created_us, INT64_C(1600000000000000));
    assert_int_equal(a.event.deadline_us, INT64_C(1600000012000000));
    struct claim d = decode(NULL, "{}", other_topic);
    struct record_register r;
    assert_int_equal(d.event.deadline_us, 0);
    claim_columns(&d, 1000, &r);
    assert_int_equal(r.sweep_at_us, d.event.created_us + 1000000 + INT64_C(86400000000));
}

static void a_broken_record_keeps_an_id_to_be_counted_by(void **state)
{
    (void)state;
    struct event e = sample();
    memcpy(e.flow, "digest", sizeof "digest");
    struct claim c = decode(&e, "{}", topic);
    assert_int_equal(c.bad, REASON_BAD_EVENT);
    assert_true(id_equal(&c.event.job, &e.job));
    assert_non_null(strstr(c.why, "offpath-flow"));
    assert_int_equal(c.event.deadline_us, 0);

    const struct event_header broken[] = {{"offpath-job", "no-uuid", 7}};
    const struct broker_record r = {
        .topic = topic, .value = "{}", .value_len = 2, .headers = broken, .headers_n = 1};
    assert_int_equal(claim_decode(&set, &r, &c), 0);
    assert_int_equal(c.bad, REASON_BAD_EVENT);
    static const struct job_id zero;
    assert_false(id_equal(&c.event.job, &zero));
}

/* ---- proto/golden: what producers may write */

enum { FILE_MAX = 1 << 16, HEADERS_MAX = 32 };

static struct json *load(const char *path)
{
    static char text[FILE_MAX];
    struct json *v = NULL;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    assert_int_equal(json_parse(text, len, NULL, &v, NULL), 0);
    return v;
}

static struct claim claim_golden(const struct json *golden, const char *value)
{
    struct event_header headers[HEADERS_MAX];
    const struct json *name = json_get(json_get(golden, "event"), "flow");
    struct flow f = {.topic = {.name = topic, .group = group}, .pool = {.topic = refills}};
    const struct flow_set one = {.flows = &f, .flows_n = 1};
    struct broker_record r = {.topic = topic,
                              .timestamp_ms =
                                  (int64_t)json_number(json_get(golden, "timestamp_ms")),
                              .value = value,
                              .value_len = strlen(value),
                              .headers = headers};
    snprintf(f.name, sizeof f.name, "%s", name ? json_text(name) : "price-compare");
    const struct json *h = json_first(json_get(golden, "headers"));
    for (; h; h = json_next(h)) {
        const char *text = json_text(json_at(h, 1));
        assert_true(r.headers_n < HEADERS_MAX);
        headers[r.headers_n++] =
            (struct event_header){json_text(json_at(h, 0)), text, strlen(text)};
    }
    struct claim c;
    assert_int_equal(claim_decode(&one, &r, &c), 0);
    return c;
}

static void check_golden(const char *path)
{
    struct json *golden = load(path);
    const struct json *job = json_get(json_get(golden, "event"), "job");
    const char *error = json_text(json_get(golden, "error"));
    print_message("%s\n", path);
    struct claim c = claim_golden(golden, "{}");
    assert_int_equal(c.bad, error ? REASON_BAD_EVENT : REASON_NONE);
    if (error)
        assert_string_equal(c.why, error);
    static const struct job_id zero;
    struct job_id want;
    if (job) {
        assert_int_equal(id_parse(json_text(job), &want), 0);
        assert_true(id_equal(&c.event.job, &want));
    } else {
        assert_false(id_equal(&c.event.job, &zero)); /* counted by its place */
    }
    json_free(golden);
}

static void every_golden_record_is_claimed_or_refused_as_it_says(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("proto/golden/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 10);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_golden(found.gl_pathv[i]);
    globfree(&found);
}

static void a_record_that_names_no_flow_is_of_its_topics(void **state)
{
    (void)state;
    struct event e = sample();
    e.flow[0] = 0;
    struct claim c = decode(&e, "{}", other_topic);
    assert_int_equal(c.bad, REASON_NONE);
    assert_ptr_equal(c.flow, &flows[1]);
    assert_true(id_equal(&c.event.job, &e.job));
}

static void a_time_no_table_can_hold_is_bad(void **state)
{
    (void)state;
    struct event e = sample();
    e.deadline_us = INT64_C(253402300000) * 1000000; /* the end of 9999 */
    assert_int_equal(decode(&e, "{}", topic).bad, REASON_BAD_EVENT);
    struct claim c;
    const struct broker_record r = {
        .topic = topic, .timestamp_ms = -1, .value = "{}", .value_len = 2};
    assert_int_equal(claim_decode(&set, &r, &c), 0);
    assert_int_equal(c.bad, REASON_NONE);
    assert_int_equal(c.event.created_us, 0);
    struct record_register row;
    claim_columns(&c, 1000, &row);
    assert_int_equal(row.created_us, 1); /* 0 would be NULL, and be refused for ever */
}

static void a_record_without_value_is_bad(void **state)
{
    (void)state;
    struct event e = sample();
    assert_int_equal(decode(&e, NULL, topic).bad, REASON_BAD_EVENT);
    assert_int_equal(decode(NULL, "", topic).bad, REASON_BAD_EVENT);
}

static void retries_belong_to_the_same_flow(void **state)
{
    (void)state;
    struct event e = sample();
    assert_ptr_equal(decode(&e, "{}", "prices.retry").flow, &flows[0]);
    struct claim c;
    const struct broker_record r = {.topic = "stranger"};
    assert_int_equal(claim_decode(&set, &r, &c), ERR_NOT_FOUND);
}

static enum claim_verdict decide(enum job_state s, uint64_t worker, uint16_t round)
{
    struct event e = sample();
    struct claim c = decode(&e, "{}", topic);
    c.event.round = 1;
    const struct record_claim done = {.worker = 7,
                                      .row = {.state = s, .worker = worker, .round = round}};
    return claim_decide(&c, &done);
}

static void the_row_decides(void **state)
{
    (void)state;
    assert_int_equal(decide(JOB_RUNNING, 7, 1), CLAIM_RUN);
    assert_int_equal(decide(JOB_RUNNING, 8, 1), CLAIM_WATCH);
    assert_int_equal(decide(JOB_QUEUED, 0, 0), CLAIM_WATCH);
    assert_int_equal(decide(JOB_RUNNING, 7, 0), CLAIM_WATCH); /* ours, for an earlier record */
    assert_int_equal(decide(JOB_QUEUED, 0, 2), CLAIM_STALE);
    assert_int_equal(decide(JOB_RUNNING, 7, 2), CLAIM_STALE);
    for (int s = JOB_SUCCEEDED; s <= JOB_EXPIRED; s++)
        assert_int_equal(decide((enum job_state)s, 7, 1), CLAIM_FINAL);
}

static void another_body_is_a_conflict_only_if_both_have_marks(void **state)
{
    (void)state;
    struct event e = sample();
    struct claim c = decode(&e, "{}", topic);
    struct record_claim done = {.worker = 7,
                                .row = {.state = JOB_RUNNING, .worker = 7, .has_mac = true}};
    assert_int_equal(claim_decide(&c, &done), CLAIM_CONFLICT);
    done.row.mac[0] = 9;
    assert_int_equal(claim_decide(&c, &done), CLAIM_RUN);
    done.row.has_mac = false;
    done.row.mac[0] = 0;
    assert_int_equal(claim_decide(&c, &done), CLAIM_RUN);
}

static void groups_gather_topics_with_their_retries(void **state)
{
    (void)state;
    struct groups g;
    assert_int_equal(groups_init(&g, &set, NULL, 0), 0);
    assert_int_equal(g.n, 2);
    assert_string_equal(g.list[0].name, "g");
    assert_int_equal(g.list[0].topics_n, 4);
    assert_string_equal(g.list[0].topics[0], "prices");
    assert_string_equal(g.list[0].topics[1], "prices.retry");
    assert_string_equal(g.list[0].topics[2], "more");
    groups_fini(&g);
    const char *only[] = {"digest"};
    assert_int_equal(groups_init(&g, &set, only, 1), 0);
    assert_int_equal(g.n, 1);
    assert_string_equal(g.list[0].topics[0], "digest");
    groups_fini(&g);
}

static void a_database_is_used_by_the_flows_that_are_consumed(void **state)
{
    (void)state;
    struct database here = {.name = "here"};
    struct database elsewhere = {.name = "elsewhere", .host = (char[]){"far"}};
    struct flow_load load = {.database = &here};
    struct flow_save save = {.database = &elsewhere};
    struct flow pair[] = {{.name = "one", .loads = &load, .loads_n = 1},
                          {.name = "two", .saves = &save, .saves_n = 1}};
    const struct flow_set two = {.flows = pair, .flows_n = 2};
    const struct store_url record = {.port = 0};
    const char *only[] = {"one"};
    assert_true(databases_is_used(&two, NULL, 0, &here));
    assert_true(databases_is_used(&two, NULL, 0, &elsewhere));
    assert_true(databases_needs_applied(&two, NULL, 0, &elsewhere, &record));
    assert_true(databases_is_used(&two, only, 1, &here));
    assert_false(databases_is_used(&two, only, 1, &elsewhere));
    assert_false(databases_needs_applied(&two, only, 1, &elsewhere, &record));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(our_record_says_who_it_is),
        cmocka_unit_test(a_foreign_record_gets_an_id_and_a_deadline),
        cmocka_unit_test(a_broken_record_keeps_an_id_to_be_counted_by),
        cmocka_unit_test(every_golden_record_is_claimed_or_refused_as_it_says),
        cmocka_unit_test(a_record_that_names_no_flow_is_of_its_topics),
        cmocka_unit_test(a_time_no_table_can_hold_is_bad),
        cmocka_unit_test(a_record_without_value_is_bad),
        cmocka_unit_test(retries_belong_to_the_same_flow),
        cmocka_unit_test(the_row_decides),
        cmocka_unit_test(another_body_is_a_conflict_only_if_both_have_marks),
        cmocka_unit_test(groups_gather_topics_with_their_retries),
        cmocka_unit_test(a_database_is_used_by_the_flows_that_are_consumed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
