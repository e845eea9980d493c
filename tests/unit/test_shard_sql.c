/* load, check and save in virtual time: the real worker with users' databases in memory. `own` and
 * `also` are on the record's server, `far` and `away` elsewhere. */
#include "shard_calls.h"

#include "common/metrics.h"

#define LOAD                                                                                     \
    "load:\n  rows: {database: far, sql: 'SELECT * FROM t WHERE id=\\($request.id)', max_rows: " \
    "2}\n"
#define OWN "{database: own, sql: 'INSERT INTO a VALUES (\\($request.id))'}"
#define FAR "{database: far, sql: 'INSERT INTO b VALUES (\\($request.id))'}"
#define OPTIONAL(db) \
    "{database: " db ", sql: 'INSERT INTO log VALUES (\\($result))', optional: true}"
#define AWAY "{database: away, sql: 'INSERT INTO c VALUES (\\($request.id))'}"

static struct seen run_flow(struct world **w, const char *flow)
{
    *w = world_of(flow, NULL);
    return run_job(*w, "{\"id\":7}");
}

static void assert_end(const struct seen *s, enum job_state state, const char *reason)
{
    if (s->job.state != state || strcmp(s->job.reason, reason) != 0)
        fail_msg("state %d, reason `%s`", (int)s->job.state, s->job.reason);
}

static void end_world(struct world *w, struct seen *s)
{
    seen_fini(s);
    world_free(w);
}

/* ---- load */

static void rows_are_loaded_in_order_and_seen(void **state)
{
    (void)state;
    struct world *w =
        world_of(LOAD "  none: {when: '$rows.rows == []', database: far, sql: SELECT 2}\n"
                      "  more: {database: own, sql: 'SELECT 3 + \\($rows.rows[0].n)'}\n"
                      "result: $rows\n",
                 NULL);
    sql_fake_rows(w->sql, "SELECT * FROM t", "[{\"n\":5}]");
    sql_fake_rows(w->sql, "SELECT 3", "[{\"m\":8}]");
    struct seen s = run_job(w, "{\"id\":7}");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_string_equal(s.job.result, "{\"rows\":[{\"n\":5}],\"none\":[],\"more\":[{\"m\":8}]}");
    assert_int_equal(sql_fake_asked(w->sql, "far: SELECT * FROM t WHERE id=? [7]"), 1);
    assert_int_equal(sql_fake_asked(w->sql, "own: SELECT 3 + ? [5]"), 1);
    assert_int_equal(sql_fake_asked(w->sql, "SELECT 2"), 0);
    end_world(w, &s);
}

static void too_many_rows_fail_the_job(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\nsave: [" OWN "]\n", NULL);
    sql_fake_rows(w->sql, "SELECT", "[{},{},{}]");
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "load-failed");
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

/* Each for itself is within its bound. */
static void rows_that_are_too_big_together_fail_the_job(void **state)
{
    (void)state;
    static const size_t megabytes[] = {3, 5};
    for (int i = 0; i < 2; i++) {
        struct world *w = world_of(
            LOAD "  more: {database: own, sql: 'SELECT 3'}\nresult: '$rows.rows | length'\n", NULL);
        struct buf rows = {0};
        buf_text(&rows, "[{\"x\":[7");
        for (size_t n = 0; n < megabytes[i] * 16384; n++) /* of 64 bytes in memory: weight.h */
            buf_text(&rows, ",7");
        buf_text(&rows, "]}]");
        sql_fake_rows(w->sql, "SELECT", buf_str(&rows));
        struct seen s = run_job(w, "{\"id\":7}");
        assert_end(&s, i ? JOB_FAILED : JOB_SUCCEEDED, i ? "load-failed" : "");
        assert_int_equal(sql_fake_asked(w->sql, "SELECT"), 2);
        buf_fini(&rows);
        end_world(w, &s);
    }
}

static void an_sql_error_fails_the_job_and_is_not_repeated(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\n", NULL);
    sql_fake_fail(w->sql, "SELECT", ERR_REFUSED, -1);
    struct seen s = run_job(w, "{\"id\":7}");
    assert_end(&s, JOB_FAILED, "load-failed");
    assert_int_equal(sql_fake_asked(w->sql, "SELECT"), 1);
    end_world(w, &s);
}

static void a_database_that_is_away_is_waited_for(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: $rows.rows\n", NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 60000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    sql_fake_down(w->sql, "far", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    end_world(w, &s);
}

static void a_load_that_is_locked_is_asked_again(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\n", NULL);
    sql_fake_fail(w->sql, "SELECT", ERR_CONFLICT, 2);
    struct seen s = run_job(w, "{\"id\":7}");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_asked(w->sql, "SELECT"), 3);
    end_world(w, &s);
}

static void the_deadline_ends_a_wait_for_a_database_and_nothing_is_saved(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\nsave: [" OWN "]\n", NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = world_event(w, NULL); /* 12 s */
    world_put(w, &e, "{\"id\":7}", 0);
    world_run(w, 11000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_EXPIRED, "deadline");
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

static void a_job_that_waits_for_a_database_can_be_cancelled(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\n", NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 5000);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_CANCELLED, "cancelled");
    end_world(w, &s);
}

static void a_job_is_given_back_while_it_waits_for_a_database(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 1\n", NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 5000);
    shard_drain(w->shard[0], 0);
    world_run(w, 5000);
    assert_true(w->closed[0]);
    assert_int_equal(world_state(w, &e.job), JOB_QUEUED);
    world_free(w);
}

/* ---- check */

static void a_rule_that_does_not_hold_refuses_with_its_message(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "check:\n"
                                    "  - {when: 'false', that: 'false', else: never}\n"
                                    "  - {that: '$rows.rows == []', else: 'there are \\($rows.rows "
                                    "| length) of \\($request.id)'}\n"
                                    "  - {that: 'false', else: too late}\n"
                                    "calls: {one: {upstream: up, request: {path: /one/1}}}\n"
                                    "result: $calls.one.result\nsave: [" OWN "]\n",
                               NULL);
    sql_fake_rows(w->sql, "SELECT", "[{\"a\":1},{\"a\":2}]");
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "refused");
    assert_string_equal(s.job.detail, "there are 2 of 7");
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    assert_int_equal(asked(w, "*"), 0);
    end_world(w, &s);
}

static void a_rule_that_cannot_be_asked_fails_the_job(void **state)
{
    (void)state;
    struct world *w;
    struct seen s = run_flow(&w, "check: [{that: '$request.id | error', else: x}]\nresult: 1\n");
    assert_end(&s, JOB_FAILED, "expression");
    end_world(w, &s);
}

/* ---- save on the record's server */

static void saves_on_the_records_server_go_with_the_end(void **state)
{
    (void)state;
    struct world *w;
    struct seen s =
        run_flow(&w, "result: '{n: $request.id}'\n"
                     "save:\n"
                     "  - " OWN "\n"
                     "  - {when: '$result.n == 0', database: own, sql: DELETE FROM x}\n"
                     "  - for_each: '[\"a\", \"b\"]'\n"
                     "    database: also\n"
                     "    sql: INSERT INTO d VALUES (\\($item), \\($index), \\($result))\n");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, ""), 3);
    assert_int_equal(sql_fake_saved(w->sql, "own: INSERT INTO a VALUES (?) [7]"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "also: INSERT INTO d VALUES (?, ?, ?) [\"a\",0,\"{"),
                     1);
    assert_int_equal(sql_fake_saved(w->sql, "[\"b\",1,\"{\\\"n\\\":7}\"]"), 1);
    assert_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void a_duplicate_key_is_a_conflict_and_no_dead_letter(void **state)
{
    (void)state;
    struct world *w = world_of("result: 1\nsave:\n  - " OWN "\n", NULL);
    sql_fake_fail(w->sql, "INSERT INTO a", ERR_EXISTS, -1);
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "conflict");
    assert_null(s.job.result);
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    end_world(w, &s);
}

static void another_refusal_fails_the_save_with_a_dead_letter(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 1\nsave:\n  - {database: also, sql: DELETE FROM z}\n  - " OWN "\n", NULL);
    sql_fake_fail(w->sql, "INSERT INTO a", ERR_REFUSED, -1);
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

static void what_is_locked_on_the_records_server_is_saved_however_late(void **state)
{
    (void)state;
    struct world *w = world_of("result: 1\nsave:\n  - " OWN "\n", NULL);
    sql_fake_fail(w->sql, "INSERT INTO a", ERR_TIMEOUT, -1);
    struct event e = world_event(w, NULL); /* 12 s */
    world_put(w, &e, "{\"id\":7}", 0);
    world_run(w, 60000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    sql_fake_fail(w->sql, "INSERT INTO a", 0, 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
    end_world(w, &s);
}

static void a_locked_table_delays_no_other_job(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 1\nsave:\n"
                 "  - {when: $request.id < 100, database: own, sql: DELETE FROM slow}\n"
                 "  - {when: $request.id >= 100, database: own, sql: DELETE FROM fast}\n",
                 NULL);
    sql_fake_fail(w->sql, "slow", ERR_TIMEOUT, -1);
    for (int i = 0; i < 20; i++)
        put_job(w, "{\"id\":7}");
    world_run(w, 3000);
    struct seen s = run_job(w, "{\"id\":100}");
    assert_end(&s, JOB_SUCCEEDED, "");
    sql_fake_fail(w->sql, "slow", 0, 0);
    world_run(w, 30000);
    assert_int_equal(sql_fake_saved(w->sql, "slow"), 20);
    end_world(w, &s);
}

/* Whichever of the record's answers it is: of the claim, of `$save`, of the end. */
static void any_answer_may_be_lost_and_all_is_saved_once(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 6; n++) {
        struct world *w = world_of("result: 1\nsave:\n  - " OWN "\n  - " FAR "\n", NULL);
        record_fake_lose(w->db, n);
        struct event e = put_job(w, "{\"id\":7}");
        world_run(w, 20000); /* nobody else asks meanwhile */
        struct seen s = world_final(w, &e.job);
        assert_end(&s, JOB_SUCCEEDED, "");
        assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
        assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
        end_world(w, &s);
    }
}

/* ---- save elsewhere */

static void saves_elsewhere_come_first_with_a_row_of_the_ledger(void **state)
{
    (void)state;
    struct world *w;
    struct seen s = run_flow(&w, "result: 5\nsave:\n  - " OWN "\n  - " FAR "\n  - " AWAY "\n");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_string_equal(s.job.result, "5");
    assert_int_equal(sql_fake_saved(w->sql, ""), 3);
    const struct record_call *row = seen_call(&s, RECORD_SAVE);
    assert_non_null(row);
    assert_int_equal(row->seq, 0);
    assert_has(row->result, "\"state\":\"succeeded\",\"result\":5");
    assert_has(row->result, "\"optional\":false,\"elsewhere\":false,\"rows\":[[7]]}");
    assert_has(row->result, "\"optional\":false,\"elsewhere\":true,\"rows\":[[7]]}");
    end_world(w, &s);
}

static void what_is_away_elsewhere_is_saved_when_it_is_back(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n  - " AWAY "\n", NULL);
    sql_fake_down(w->sql, "away", true);
    struct event e = world_event(w, NULL); /* 12 s */
    world_put(w, &e, "{\"id\":7}", 0);
    world_run(w, 15000);
    assert_int_equal(sql_fake_saved(w->sql, ""), 1);
    sql_fake_down(w->sql, "away", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, ""), 2);
    end_world(w, &s);
}

static void ten_seconds_behind_the_deadline_a_save_elsewhere_has_failed(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n", NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = world_event(w, NULL); /* 12 s */
    world_put(w, &e, "{\"id\":7}", 0);
    world_run(w, 21000);
    assert_int_equal(world_state(w, &e.job), JOB_RUNNING);
    world_run(w, 4000);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    assert_int_equal(record_fake_dead(w->db, &e.job), 0);
    assert_null(seen_call(&s, RECORD_SAVE)); /* nothing of it was applied */
    end_world(w, &s);
}

static void a_refusal_elsewhere_applies_nothing_of_what_follows(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " OWN "\n  - " FAR "\n  - " AWAY "\n", NULL);
    sql_fake_fail(w->sql, "INSERT INTO c", ERR_EXISTS, -1);
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "conflict");
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 0);
    assert_non_null(seen_call(&s, RECORD_SAVE)); /* some of it is applied */
    end_world(w, &s);
}

static void old_steps_are_swept_once_an_hour(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 5\nsave:\n  - " FAR "\n  - " OWN "\n  - " OPTIONAL("away") "\n", NULL);
    world_run(w, 61000);
    assert_int_equal(sql_fake_swept(w->sql), 1); /* of `far` alone, by one of its threads */
    world_run(w, 3500000);
    assert_int_equal(sql_fake_swept(w->sql), 1);
    sql_fake_down(w->sql, "far", true);
    world_run(w, 200000);
    assert_int_equal(sql_fake_swept(w->sql), 1);
    sql_fake_down(w->sql, "far", false);
    world_run(w, 3600000);
    assert_int_equal(sql_fake_swept(w->sql), 2);
    world_free(w);
}

static int64_t bytes_held(struct world *w)
{
    world_run(w, 1500); /* the shard's tick */
    return metrics_value(metrics_gauge("offpath_jobs_bytes", "", "memory counted for jobs"));
}

/* Else jobs would come in without end while a database is away. */
static void what_waits_to_be_saved_counts_as_memory(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 5\nsave:\n"
                 "  - {database: far, sql: 'INSERT INTO b VALUES (\\(\"x\" * 100000))'}\n",
                 NULL);
    sql_fake_down(w->sql, "far", true);
    int64_t before = bytes_held(w);
    struct event e = put_job(w, "{\"id\":7}");
    assert_in_range(bytes_held(w) - before, 100000, 200000);
    sql_fake_down(w->sql, "far", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(bytes_held(w), before);
    end_world(w, &s);
}

static void a_lost_answer_elsewhere_saves_once(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n", NULL);
    sql_fake_lose(w->sql, "INSERT INTO b");
    struct seen s = run_job(w, "{\"id\":7}");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    end_world(w, &s);
}

/* What an earlier worker recorded before it died. */
#define SAVED                                                                                    \
    "{\"saves\":[{\"database\":\"far\",\"sql\":\"INSERT INTO b VALUES (?)\",\"optional\":false," \
    "\"rows\":[[7]]},{\"database\":\"own\",\"sql\":\"INSERT INTO a VALUES "                      \
    "(?)\",\"optional\":false,"                                                                  \
    "\"rows\":[[7]]}],\"state\":\"partial\",\"result\":{\"old\":true},\"calls\":[]}"

static struct event leave_saved(struct world *w, const char *text)
{
    struct event e = world_event(w, NULL);
    e.deadline_us = e.created_us + HOUR_US;
    const struct record_call row = {.ckey = "$save",
                                    .name = RECORD_SAVE,
                                    .item = -1,
                                    .outcome = OUTCOME_OK,
                                    .result = (char *)(uintptr_t)text,
                                    .result_len = strlen(text)};
    leave_rows(w, &e, &row, 1);
    return e;
}

#define RESUMED \
    LOAD "check: [{that: 'false', else: no}]\nresult: 1\nsave:\n  - " OWN "\n  - " FAR "\n"

static void a_recorded_save_goes_on_without_load_check_or_cancel(void **state)
{
    (void)state;
    struct world *w = world_of(RESUMED, NULL);
    struct event e = leave_saved(w, SAVED);
    assert_int_equal(record_fake_cancel(w->db, &e.job, &e.owner), 0); /* comes too late */
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_PARTIAL, "");
    assert_string_equal(s.job.result, "{\"old\":true}");
    assert_int_equal(sql_fake_asked(w->sql, ""), 0);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
    end_world(w, &s);
}

/* A redrive must go on with it: what `far` keeps is not computed anew beside it. */
static void a_recorded_save_that_fails_stays_recorded(void **state)
{
    (void)state;
    struct world *w = world_of(RESUMED, NULL);
    struct event e = leave_saved(w, SAVED); /* an hour */
    sql_fake_down(w->sql, "far", true);
    world_put(w, &e, "{\"id\":7}", 0);
    world_run(w, HOUR_US / 1000);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    assert_non_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void a_save_whose_answer_was_lost_stays_recorded(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n", NULL);
    sql_fake_lose(w->sql, "INSERT INTO b");
    struct event e = world_event(w, NULL); /* 12 s */
    world_put(w, &e, "{\"id\":7}", 0);
    while (sql_fake_saved(w->sql, "INSERT INTO b") == 0)
        world_run(w, 10);
    sql_fake_down(w->sql, "far", true);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    assert_non_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void what_was_applied_before_is_not_applied_again(void **state)
{
    (void)state;
    struct world *w = world_of(RESUMED, NULL);
    struct event e = leave_saved(w, SAVED);
    const struct json *none = NULL;
    const struct sql_statement before = {.text = "before", .params = none};
    assert_int_equal(sql_fake_apply(w->sql, "far", &e.job, 0, &before, 1), 0);
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_PARTIAL, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 0);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
    end_world(w, &s);
}

/* Today's files name its database, and no flow uses it any more. */
static void a_recorded_save_is_applied_where_no_flow_saves_any_more(void **state)
{
    (void)state;
    struct world *w = world_of("result: 1\n", NULL);
    struct event e = leave_saved(w, SAVED);
    struct event f = leave_saved(w, SAVED);
    world_put(w, &e, "{\"id\":7}", 0);
    world_put(w, &f, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_PARTIAL, "");
    seen_fini(&s);
    s = world_final(w, &f.job);
    assert_end(&s, JOB_PARTIAL, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 2);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 2);
    end_world(w, &s);
}

static void what_a_recorded_save_has_that_is_optional_is_tried_there_too(void **state)
{
    (void)state;
    struct world *w = world_of("result: 1\n", NULL);
    struct event e = leave_saved(
        w, "{\"saves\":[{\"database\":\"away\",\"sql\":\"INSERT INTO log\",\"optional\":true,"
           "\"elsewhere\":false,\"rows\":[[]]}],"
           "\"state\":\"succeeded\",\"result\":1,\"calls\":[]}");
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "away: INSERT INTO log"), 1);
    end_world(w, &s);
}

/* Whatever shares a transaction today: an account may have changed. */
static void a_step_is_the_place_of_its_database(void **state)
{
    (void)state;
    struct world *w = world_of(RESUMED, NULL);
#define ENTRY(db, sql) \
    "{\"database\":\"" db "\",\"sql\":\"" sql "\",\"optional\":false,\"rows\":[[]]}"
    struct event e = leave_saved(
        w,
        "{\"saves\":[" ENTRY("own", "INSERT INTO a") "," ENTRY("also", "INSERT INTO d") "," ENTRY(
            "far", "INSERT INTO b") "],\"state\":\"succeeded\",\"result\":1,\"calls\":[]}");
    const struct sql_statement before = {.text = "before", .params = NULL};
    assert_int_equal(sql_fake_apply(w->sql, "far", &e.job, 2, &before, 1), 0);
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 0);
    assert_int_equal(sql_fake_saved(w->sql, "own: INSERT INTO a"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "also: INSERT INTO d"), 1);
    end_world(w, &s);
}

/* `own` was elsewhere when the save was recorded; it has moved, with its offpath_applied. */
static void a_database_that_moved_to_the_records_server_is_saved_once(void **state)
{
    (void)state;
    for (int done = 0; done < 2; done++) {
        struct world *w = world_of(RESUMED, NULL);
        struct event e = leave_saved(
            w, "{\"saves\":[{\"database\":\"own\",\"sql\":\"INSERT INTO a\",\"optional\":false,"
               "\"elsewhere\":true,\"rows\":[[]]}," ENTRY(
                   "also", "INSERT INTO d") "],"
                                            "\"state\":\"succeeded\",\"result\":1,\"calls\":[]}");
        const struct sql_statement before = {.text = "before", .params = NULL};
        if (done)
            assert_int_equal(sql_fake_apply(w->sql, "own", &e.job, 0, &before, 1), 0);
        world_put(w, &e, "{\"id\":7}", 0);
        struct seen s = world_final(w, &e.job);
        assert_end(&s, JOB_SUCCEEDED, "");
        assert_int_equal(sql_fake_saved(w->sql, "own: INSERT INTO a"), !done);
        assert_int_equal(sql_fake_saved(w->sql, "also: INSERT INTO d"), 1);
        end_world(w, &s);
    }
}

static void a_recorded_save_that_cannot_be_read_fails(void **state)
{
    (void)state;
    struct world *w = world_of(RESUMED, NULL);
    struct event e = leave_saved(w, "{\"saves\":[{}]}");
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    end_world(w, &s);
}

/* The file may have changed meanwhile. */
static void a_recorded_save_goes_on_though_its_record_fits_no_more(void **state)
{
    (void)state;
    struct world *w = world_of(
        "request: {schema: {type: object, properties: {id: {type: string}}}}\n" RESUMED, NULL);
    struct event e = leave_saved(w, SAVED);
    world_put(w, &e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_PARTIAL, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
    end_world(w, &s);
}

struct cancelling {
    struct world *w;
    struct event e;
};

/* In the row; its worker has not heard of it yet. */
static void cancel_now(void *arg)
{
    struct cancelling *c = arg;
    assert_int_equal(record_fake_cancel(c->w->db, &c->e.job, &c->e.owner), 0);
}

static void a_cancel_before_the_save_is_recorded_wins(void **state)
{
    (void)state;
    struct world *w = world_of(LOAD "result: 5\nsave:\n  - " FAR "\n", NULL);
    struct cancelling c = {w, world_event(w, NULL)};
    sql_fake_hook(w->sql, "SELECT", cancel_now, &c);
    world_put(w, &c.e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &c.e.job);
    assert_end(&s, JOB_CANCELLED, "cancelled");
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    assert_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void a_cancel_before_the_end_saves_nothing(void **state)
{
    (void)state;
    struct world *w =
        world_of(LOAD "result: 5\nsave:\n  - " OWN "\n  - " OPTIONAL("far") "\n", NULL);
    struct cancelling c = {w, world_event(w, NULL)};
    sql_fake_hook(w->sql, "SELECT", cancel_now, &c);
    world_put(w, &c.e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &c.e.job);
    assert_end(&s, JOB_CANCELLED, "cancelled");
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

static void a_cancel_after_the_save_is_recorded_comes_too_late(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n  - " OWN "\n", NULL);
    struct cancelling c = {w, world_event(w, NULL)};
    sql_fake_hook(w->sql, "INSERT INTO b", cancel_now, &c);
    world_put(w, &c.e, "{\"id\":7}", 0);
    struct seen s = world_final(w, &c.e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, ""), 2);
    end_world(w, &s);
}

static void a_lost_lease_while_saving_leaves_it_to_the_row(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n  - " AWAY "\n", NULL);
    sql_fake_down(w->sql, "away", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 3000);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    lose_lease(w, &e.job);
    world_run(w, 3000);
    sql_fake_down(w->sql, "away", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO c"), 1);
    end_world(w, &s);
}

static void who_goes_on_with_a_save_tells_the_text_of_notify(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nnotify: {done: 'A \"5\": \\($result)', failed: Oh}\n"
                               "save:\n  - " FAR "\n",
                               NULL);
    sql_fake_down(w->sql, "far", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 3000);
    lose_lease(w, &e.job);
    world_run(w, 3000);
    sql_fake_down(w->sql, "far", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_string_equal(s.job.detail, "A \"5\": 5");
    seen_fini(&s);
    sql_fake_fail(w->sql, "INSERT INTO b", ERR_REFUSED, 1);
    e = leave_saved(w,
                    "{\"saves\":[" ENTRY(
                        "far", "INSERT INTO b") "],\"state\":\"succeeded\","
                                                "\"result\":1,\"calls\":[],\"message\":\"well\"}");
    world_put(w, &e, "{\"id\":7}", 0);
    s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "save-failed");
    assert_string_equal(s.job.detail, "Oh");
    end_world(w, &s);
}

static void a_cancel_of_a_save_that_was_given_back_comes_too_late(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR "\n  - " AWAY "\n", NULL);
    sql_fake_down(w->sql, "away", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 3000);
    shard_drain(w->shard[0], 0);
    world_run(w, 5000);
    assert_true(w->closed[0]);
    assert_int_equal(world_state(w, &e.job), JOB_QUEUED);
    struct record_cancel c = {.id = e.job, .owner = e.owner};
    assert_int_equal(w->eyes->ops->cancel(w->eyes, &c), 0);
    assert_int_equal(c.before, JOB_RUNNING);
    sql_fake_down(w->sql, "away", false);
    world_shard(w, 1);
    world_run(w, 1000);
    broker_fake_assign(w->consumer[1]);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO b"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO c"), 1);
    end_world(w, &s);
}

static void what_is_to_be_sent_is_recorded_with_the_save(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 5\nsave:\n  - " FAR "\n  - " AWAY "\n"
                 "emit:\n  - {topic: others, key: $request.id, value: {n: \\($result)}}\n",
                 NULL);
    assert_int_equal(broker_fake_topic(w->broker, "others", 1), 0);
    sql_fake_down(w->sql, "away", true);
    struct event e = put_job(w, "{\"id\":7}");
    world_run(w, 3000);
    lose_lease(w, &e.job); /* who goes on knows it from the row */
    world_run(w, 3000);
    assert_int_equal(record_fake_outbox_n(w->db), 0);
    sql_fake_down(w->sql, "away", false);
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_has(seen_call(&s, RECORD_SAVE)->result, "\"value\":\"{\\\"n\\\":5}\"");
    world_run(w, 31000); /* also what a relay does */
    const struct broker_record *r = broker_fake_at(w->broker, "others", 0, 0);
    assert_non_null(r);
    assert_memory_equal(r->key, "7", 1);
    assert_int_equal(r->value_len, 7);
    assert_memory_equal(r->value, "{\"n\":5}", 7);
    assert_int_equal(r->headers_n, 5);
    assert_int_equal(broker_fake_end(w->broker, "others", 0), 1);
    end_world(w, &s);
}

/* ---- computed before anything is stored */

/* The outbox would refuse it at the end, when what is elsewhere is saved already. */
static void a_record_that_no_row_takes_fails_before_anything_is_saved(void **state)
{
    (void)state;
    struct world *w = world_of("result: 5\nsave:\n  - " FAR
                               "\nemit:\n  - {topic: others, key: '\"k\" * 1025', value: 1}\n",
                               NULL);
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_FAILED, "too-big");
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

static void an_error_in_one_parameter_stores_nothing(void **state)
{
    (void)state;
    struct world *w;
    struct seen s =
        run_flow(&w, "result: 5\nsave:\n  - " OWN "\n  - " FAR
                     "\n  - {database: own, sql: 'DELETE FROM e WHERE f=\\($result | error)'}\n");
    assert_end(&s, JOB_FAILED, "expression");
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    assert_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void more_than_2000_statements_are_an_error(void **state)
{
    (void)state;
    struct world *w;
    struct seen s = run_flow(&w, "result: 5\nsave:\n  - {for_each: '[range(2001)]', database: own, "
                                 "sql: 'INSERT INTO f VALUES (\\($item))'}\n");
    assert_end(&s, JOB_FAILED, "expression");
    end_world(w, &s);
    s = run_flow(&w, "result: 5\nsave:\n  - {for_each: '[range(2000)]', database: own, sql: "
                     "'INSERT INTO f VALUES (\\($item))'}\n");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO f"), 2000);
    end_world(w, &s);
}

static void a_job_that_does_not_end_well_saves_nothing(void **state)
{
    (void)state;
    struct rule rule = {.bad = {"/one/1"}, .status = 400};
    struct world *w = world_of("calls: {one: {upstream: up, request: {path: /one/1}}}\n"
                               "result: $calls.one.result\nsave:\n  - " OWN "\n",
                               &rule);
    struct seen s = run_job(w, "{\"id\":7}");
    assert_end(&s, JOB_FAILED, "need-not-met");
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

/* ---- optional */

static void optional_saves_follow_the_end(void **state)
{
    (void)state;
    struct world *w;
    struct seen s = run_flow(
        &w, "result: 5\nsave:\n  - " OPTIONAL("far") "\n  - " OPTIONAL("own") "\n  - " OWN "\n");
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(sql_fake_saved(w->sql, "INSERT INTO a"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "far: INSERT INTO log VALUES (?) [5]"), 1);
    assert_int_equal(sql_fake_saved(w->sql, "own: INSERT INTO log VALUES (?) [5]"), 1);
    assert_null(seen_call(&s, RECORD_SAVE));
    end_world(w, &s);
}

static void an_optional_save_that_fails_changes_nothing(void **state)
{
    (void)state;
    struct world *w =
        world_of("result: 5\nsave:\n  - " OPTIONAL("away") "\n  - " OPTIONAL("far") "\n", NULL);
    sql_fake_down(w->sql, "away", true);
    sql_fake_fail(w->sql, "log", ERR_REFUSED, 1);
    struct event e = put_job(w, "{\"id\":7}");
    struct seen s = world_final(w, &e.job);
    assert_end(&s, JOB_SUCCEEDED, "");
    assert_int_equal(record_fake_dead(w->db, &e.job), -1);
    assert_int_equal(published(w, "\"state\":\"succeeded\""), 1);
    assert_int_equal(sql_fake_saved(w->sql, ""), 0);
    end_world(w, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_loaded_in_order_and_seen),
        cmocka_unit_test(too_many_rows_fail_the_job),
        cmocka_unit_test(rows_that_are_too_big_together_fail_the_job),
        cmocka_unit_test(an_sql_error_fails_the_job_and_is_not_repeated),
        cmocka_unit_test(a_database_that_is_away_is_waited_for),
        cmocka_unit_test(a_load_that_is_locked_is_asked_again),
        cmocka_unit_test(the_deadline_ends_a_wait_for_a_database_and_nothing_is_saved),
        cmocka_unit_test(a_job_that_waits_for_a_database_can_be_cancelled),
        cmocka_unit_test(a_job_is_given_back_while_it_waits_for_a_database),
        cmocka_unit_test(a_rule_that_does_not_hold_refuses_with_its_message),
        cmocka_unit_test(a_rule_that_cannot_be_asked_fails_the_job),
        cmocka_unit_test(saves_on_the_records_server_go_with_the_end),
        cmocka_unit_test(a_duplicate_key_is_a_conflict_and_no_dead_letter),
        cmocka_unit_test(another_refusal_fails_the_save_with_a_dead_letter),
        cmocka_unit_test(what_is_locked_on_the_records_server_is_saved_however_late),
        cmocka_unit_test(a_locked_table_delays_no_other_job),
        cmocka_unit_test(any_answer_may_be_lost_and_all_is_saved_once),
        cmocka_unit_test(saves_elsewhere_come_first_with_a_row_of_the_ledger),
        cmocka_unit_test(what_is_away_elsewhere_is_saved_when_it_is_back),
        cmocka_unit_test(ten_seconds_behind_the_deadline_a_save_elsewhere_has_failed),
        cmocka_unit_test(a_refusal_elsewhere_applies_nothing_of_what_follows),
        cmocka_unit_test(old_steps_are_swept_once_an_hour),
        cmocka_unit_test(what_waits_to_be_saved_counts_as_memory),
        cmocka_unit_test(a_lost_answer_elsewhere_saves_once),
        cmocka_unit_test(a_recorded_save_goes_on_without_load_check_or_cancel),
        cmocka_unit_test(a_recorded_save_that_fails_stays_recorded),
        cmocka_unit_test(a_save_whose_answer_was_lost_stays_recorded),
        cmocka_unit_test(what_was_applied_before_is_not_applied_again),
        cmocka_unit_test(a_recorded_save_is_applied_where_no_flow_saves_any_more),
        cmocka_unit_test(what_a_recorded_save_has_that_is_optional_is_tried_there_too),
        cmocka_unit_test(a_step_is_the_place_of_its_database),
        cmocka_unit_test(a_database_that_moved_to_the_records_server_is_saved_once),
        cmocka_unit_test(a_recorded_save_that_cannot_be_read_fails),
        cmocka_unit_test(a_recorded_save_goes_on_though_its_record_fits_no_more),
        cmocka_unit_test(a_cancel_before_the_save_is_recorded_wins),
        cmocka_unit_test(a_cancel_before_the_end_saves_nothing),
        cmocka_unit_test(a_cancel_after_the_save_is_recorded_comes_too_late),
        cmocka_unit_test(a_lost_lease_while_saving_leaves_it_to_the_row),
        cmocka_unit_test(who_goes_on_with_a_save_tells_the_text_of_notify),
        cmocka_unit_test(a_cancel_of_a_save_that_was_given_back_comes_too_late),
        cmocka_unit_test(what_is_to_be_sent_is_recorded_with_the_save),
        cmocka_unit_test(a_record_that_no_row_takes_fails_before_anything_is_saved),
        cmocka_unit_test(an_error_in_one_parameter_stores_nothing),
        cmocka_unit_test(more_than_2000_statements_are_an_error),
        cmocka_unit_test(a_job_that_does_not_end_well_saves_nothing),
        cmocka_unit_test(optional_saves_follow_the_end),
        cmocka_unit_test(an_optional_save_that_fails_changes_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
