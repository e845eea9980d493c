/* What a database must have before the record is opened, and how it comes to have it. */
#include "tests/adapter/record_db.h"

static void opening_without_tables_says_what_to_run(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    struct record *r;
    char why[STORE_WHY];
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_SETUP);
    assert_non_null(strstr(why, "migrate apply"));
}

static void migrate_plans_applies_and_is_then_done(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    struct buf plan;
    char why[STORE_WHY];
    buf_init(&plan, 0);
    assert_int_equal(record_migrate_plan(&s, &plan, why), 0);
    assert_non_null(strstr(buf_str(&plan), "CREATE TABLE op_job"));
    /* cut short: a table is there, the version is not */
    db_exec(d, "CREATE TABLE op_cancel (job BINARY(16) PRIMARY KEY, at DATETIME(6) NOT NULL,"
               " KEY at (at))");
    assert_int_equal(record_migrate_apply(&s, why), 0);
    assert_int_equal(record_migrate_apply(&s, why), 0);
    buf_clear(&plan);
    assert_int_equal(record_migrate_plan(&s, &plan, why), 0);
    assert_string_equal(buf_str(&plan), "");
    struct record *r = db_open(d);
    int version;
    assert_int_equal(r->ops->schema(r, &version), 0);
    assert_int_equal(version, RECORD_SCHEMA);
    r->ops->close(r);
    db_exec(d, "INSERT INTO op_schema VALUES (3,NOW(6))");
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_SETUP);
    assert_non_null(strstr(why, "newer"));
    buf_fini(&plan);
}

static void made_without_a_table_and_a_column(struct db *d)
{
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    assert_int_equal(record_migrate_apply(&s, NULL), 0);
    db_exec(d, "DROP TABLE op_call");
    db_exec(d, "ALTER TABLE op_job DROP COLUMN seq");
}

/* As after a restore of some tables: the version alone does not tell. */
static void a_table_and_a_column_that_are_missing_are_named(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    struct record *r;
    struct buf plan;
    char why[STORE_WHY];
    buf_init(&plan, 0);
    made_without_a_table_and_a_column(d);
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_SETUP);
    assert_non_null(strstr(why, ": op_job.seq, op_call; "));
    assert_non_null(strstr(why, "001-record.sql"));
    assert_int_equal(record_migrate_plan(&s, &plan, why), ERR_SETUP);
    assert_non_null(strstr(why, ": op_job.seq, op_call; "));
    assert_int_equal(record_migrate_apply(&s, why), ERR_SETUP);
    assert_non_null(strstr(why, ": op_job.seq, op_call; "));
    buf_fini(&plan);
}

static void a_table_that_was_there_in_another_form_is_not_applied(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    char why[STORE_WHY];
    db_exec(d, "CREATE TABLE op_cancel (job BINARY(16) PRIMARY KEY)");
    assert_int_equal(record_migrate_apply(&s, why), ERR_SETUP);
    assert_non_null(strstr(why, ": op_cancel.at; "));
}

/* The next version's program has come first. */
static void columns_and_tables_that_are_more_do_no_harm(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    assert_int_equal(record_migrate_apply(&s, NULL), 0);
    db_exec(d, "ALTER TABLE op_job ADD COLUMN later INT");
    db_exec(d, "CREATE TABLE op_later (id INT PRIMARY KEY)");
    db_exec(d, "INSERT INTO op_schema VALUES (2,NOW(6))");
    struct record *r = db_open(d);
    r->ops->close(r);
}

/* What stands in a log: the number, the table; nothing once it went well or the error is ours. */
static void what_the_server_said_last_is_told(void **state)
{
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    struct job_id none = id_of(1);
    struct record_job job;
    struct record_call *calls;
    size_t n;
    int64_t us;
    assert_int_equal(record_migrate_apply(&s, NULL), 0);
    struct record *r = db_open(d);
    db_exec(d, "RENAME TABLE op_job TO kept");
    assert_int_equal(r->ops->read(r, &none, &job, &calls, &n), ERR_SETUP);
    assert_non_null(strstr(r->ops->why(r), "1146 Table '"));
    assert_non_null(strstr(r->ops->why(r), "op_job"));
    assert_int_equal(r->ops->now(r, &us), 0);
    assert_string_equal(r->ops->why(r), "");
    assert_int_equal(r->ops->read(r, &none, &job, &calls, &n), ERR_SETUP);
    db_exec(d, "RENAME TABLE kept TO op_job");
    assert_int_equal(r->ops->read(r, &none, &job, &calls, &n), ERR_NOT_FOUND);
    assert_string_equal(r->ops->why(r), "");
    r->ops->close(r);
}

/* As many as there is room for, and what to do about them. */
static void tables_that_the_user_may_not_see_are_named(void **state)
{
    struct db *d = *state;
    struct record *r;
    char why[STORE_WHY], url[1100], sql[200];
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 5000};
    assert_int_equal(record_migrate_apply(&s, why), 0);
    snprintf(sql, sizeof sql, "CREATE OR REPLACE USER few%d@'127.0.0.1' IDENTIFIED BY 'x'",
             (int)getpid());
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "GRANT SELECT ON %s.op_schema TO few%d@'127.0.0.1'", d->name,
             (int)getpid());
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "GRANT SELECT (id) ON %s.op_job TO few%d@'127.0.0.1'", d->name,
             (int)getpid());
    db_exec(d, sql);
    snprintf(url, sizeof url, "mysql://few%d:x@%s", (int)getpid(), strrchr(d->url, '@') + 1);
    s.url = url;
    int err = record_mysql_open(&s, &r, why);
    snprintf(sql, sizeof sql, "DROP USER few%d@'127.0.0.1'", (int)getpid());
    db_exec(d, sql);
    assert_int_equal(err, ERR_SETUP);
    assert_non_null(strstr(why, ": op_worker, op_job.owner, op_job.flow, "));
    assert_non_null(strstr(why, ", ...; "));
    assert_non_null(strstr(why, "001-record.sql"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
        T(opening_without_tables_says_what_to_run),
        T(migrate_plans_applies_and_is_then_done),
        T(a_table_and_a_column_that_are_missing_are_named),
        T(a_table_that_was_there_in_another_form_is_not_applied),
        T(columns_and_tables_that_are_more_do_no_harm),
        T(what_the_server_said_last_is_told),
        T(tables_that_the_user_may_not_see_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
