/* Users' databases on a real server: what rows become, transactions, offpath_applied, and T6 with a
 * user's statements in it. */
#include "record_db.h"

#include <pthread.h>

#include "common/json.h"
#include "common/sql.h"

static struct database database_of(const struct db *d)
{
    static struct store_url u;
    char why[STORE_WHY];
    assert_int_equal(store_url_parse(d->url, &u, why), 0);
    return (struct database){.name = (char[]){"users"},
                             .host = u.host,
                             .schema = u.db,
                             .user = u.user,
                             .password = u.pass,
                             .port = u.port};
}

static struct sql *open_sql(const struct database *d)
{
    static const struct sql_settings s = {5000, 10000};
    struct sql *sql = NULL;
    assert_int_equal(sql_mysql_open(&s, d, &sql), 0);
    return sql;
}

static struct json *parse(const char *text)
{
    struct json *v = NULL;
    assert_int_equal(json_parse(text, strlen(text), NULL, &v, NULL), 0);
    return v;
}

static int ask(struct sql *sql, const char *text, const char *params, unsigned max,
               struct json **rows)
{
    struct json *p = parse(params);
    const struct sql_statement q = {.text = text, .params = p};
    int err = sql->ops->select(sql, &q, max, rows);
    json_free(p);
    return err;
}

static void assert_rows(struct sql *sql, const char *text, const char *params, const char *expected)
{
    struct json *rows = NULL;
    struct buf out;
    int err = ask(sql, text, params, 100, &rows);
    if (err)
        fail_msg("%s: %s", text, sql->ops->why(sql));
    buf_init(&out, 0);
    json_print(rows, &out);
    assert_string_equal(buf_str(&out), expected);
    buf_fini(&out);
    json_free(rows);
}

static int apply(struct sql *sql, unsigned job, int step, const char *text, const char *params)
{
    struct job_id id = id_of(job);
    struct json *p = parse(params);
    const struct sql_statement q = {.text = text, .params = p};
    int err = sql->ops->apply(sql, &id, step, &q, 1);
    json_free(p);
    return err;
}

static void rows_become_json(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    db_exec(d, "CREATE TABLE t1 (a INT, b BIGINT, c BIGINT UNSIGNED, d DECIMAL(10,2), e DOUBLE,"
               " f DATE, g DATETIME(3), h TIME, i YEAR, j BIT(10), k TINYINT(1), l JSON,"
               " m VARCHAR(300), n TEXT)");
    assert_rows(sql, "SELECT * FROM t1", "[]", "[]");
    db_exec(d, "INSERT INTO t1 VALUES (-7, 9007199254740992, 18446744073709551615, 12.50, 1.5,"
               " '2026-02-28', '2026-02-28 01:02:03.045', '10:11:12', 2026, b'1000000001', 1,"
               " '{\"x\": [1, null]}', REPEAT('\xc3\xa4', 150), NULL)");
    assert_rows(sql, "SELECT a,b,c,d,e FROM t1", "[]",
                "[{\"a\":-7,\"b\":9007199254740992,\"c\":\"18446744073709551615\",\"d\":\"12.50\","
                "\"e\":1.5}]");
    assert_rows(sql, "SELECT f,g,h,i,j,k,l,n FROM t1", "[]",
                "[{\"f\":\"2026-02-28\",\"g\":\"2026-02-28 01:02:03.045\",\"h\":\"10:11:12\","
                "\"i\":2026,\"j\":513,\"k\":1,\"l\":{\"x\":[1,null]},\"n\":null}]");
    assert_rows(sql,
                "SELECT CHAR_LENGTH(m) AS len, b + 1 AS big FROM t1 WHERE m=REPEAT('\xc3\xa4', ?)",
                "[150]", "[{\"len\":150,\"big\":\"9007199254740993\"}]");
    assert_rows(
        sql,
        "SELECT ? AS t, a + ? AS n, a = ? AS i, e = ? AS f, k = ? AS b, ? IS NULL AS z FROM t1",
        "[\"'; DROP\",5,-7,1.5,true,null]",
        "[{\"t\":\"'; DROP\",\"n\":-2,\"i\":1,\"f\":1,\"b\":1,\"z\":1}]");
    db_exec(d, "ALTER TABLE t1 DROP COLUMN b, ADD COLUMN z INT DEFAULT 3"); /* meanwhile */
    assert_rows(sql, "SELECT a,z FROM t1 WHERE a=?", "[-7]", "[{\"a\":-7,\"z\":3}]");
    sql->ops->close(sql);
}

/* Text is compared as the column says, not byte by byte. */
static void parameters_are_text(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    db_exec(d, "CREATE TABLE t2 (mail VARCHAR(50) COLLATE utf8mb4_general_ci UNIQUE, j JSON)");
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t2 VALUES (?, ?)", "[\"Kim@x.kr\",\"[1,2]\"]"),
                     0);
    assert_rows(sql, "SELECT j FROM t2 WHERE mail=?", "[\"kim@X.kr\"]", "[{\"j\":[1,2]}]");
    sql->ops->close(sql);
}

static void too_many_rows_are_not_fetched(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    struct json *rows = NULL;
    db_exec(d, "CREATE TABLE t3 (a INT)");
    db_exec(d, "INSERT INTO t3 VALUES (1),(2),(3)");
    assert_int_equal(ask(sql, "SELECT a FROM t3", "[]", 2, &rows), ERR_TOO_LARGE);
    assert_int_equal(ask(sql, "SELECT a FROM t3 LIMIT 3", "[]", 2, &rows), ERR_TOO_LARGE);
    assert_int_equal(ask(sql, "SELECT a FROM t3", "[]", 3, &rows), 0);
    assert_int_equal(json_size(rows), 3);
    json_free(rows);
    assert_rows(sql, "SELECT SUM(a) AS s FROM t3", "[]", "[{\"s\":\"6\"}]");
    sql->ops->close(sql);
}

static long peak_kb(void)
{
    char line[200];
    long kb = 0;
    FILE *in = fopen("/proc/self/status", "re");
    assert_non_null(in);
    while (!kb && fgets(line, sizeof line, in))
        if (strncmp(line, "VmHWM:", 6) == 0)
            kb = strtol(line + 6, NULL, 10);
    fclose(in);
    return kb;
}

/* Few rows may be big, too: they are not gathered first. */
static void big_rows_take_no_more_memory_than_they_may(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    struct json *rows = NULL;
    long before = peak_kb();
    assert_int_equal(ask(sql, "SELECT REPEAT('x', 1000000) AS a FROM information_schema.COLUMNS",
                         "[]", 200, &rows),
                     ERR_TOO_LARGE);
    assert_in_range(peak_kb() - before, 0, 60000);
    assert_int_equal(ask(sql,
                         "SELECT REPEAT('x', 1000000) AS a FROM information_schema.COLUMNS LIMIT 8",
                         "[]", 200, &rows),
                     0);
    assert_int_equal(json_size(rows), 8);
    json_free(rows);
    assert_rows(sql, "SELECT 1 AS a", "[]", "[{\"a\":1}]");
    sql->ops->close(sql);
}

static void errors_say_whether_repeating_helps(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    struct json *rows = NULL;
    db_exec(d, "CREATE TABLE t4 (a INT PRIMARY KEY, b VARCHAR(2) NOT NULL, CHECK (a < 100))");
    db_exec(d, "CREATE TRIGGER t4t BEFORE INSERT ON t4 FOR EACH ROW IF NEW.a=13 THEN SIGNAL"
               " SQLSTATE '45000' SET MESSAGE_TEXT='no'; END IF");
    assert_int_equal(ask(sql, "SELECT nothing FROM nowhere", "[]", 1, &rows), ERR_REFUSED);
    assert_int_equal(ask(sql, "SELEC 1", "[]", 1, &rows), ERR_REFUSED);
    assert_int_equal(ask(sql, "SELECT 1; SELECT 2", "[]", 1, &rows), ERR_REFUSED);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[1,\"a\"]"), 0);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[1,\"a\"]"), ERR_EXISTS);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[2,\"abc\"]"), ERR_REFUSED);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[2,null]"), ERR_REFUSED);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[200,\"a\"]"), ERR_REFUSED);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[13,\"a\"]"), ERR_REFUSED);
    assert_int_equal(apply(sql, 1, -1, "INSERT INTO t4 VALUES (?,?)", "[2]"), ERR_REFUSED);
    assert_int_not_equal(/* it comes behind the first row of the answer */
                         apply(sql, 1, -1,
                               "INSERT INTO t4 SELECT 5,? UNION ALL SELECT 1,'b' RETURNING a",
                               "[\"a\"]"),
                         0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM t4", NULL), 1);
    sql->ops->close(sql);
    users.port = 1;
    sql = open_sql(&users);
    assert_int_equal(ask(sql, "SELECT 1", "[]", 1, &rows), ERR_IO);
    sql->ops->close(sql);
}

static void a_step_is_applied_once(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    struct sql *sql = open_sql(&users);
    db_exec(d, "CREATE TABLE t5 (a INT PRIMARY KEY)");
    db_exec(d, "DROP TABLE offpath_applied"); /* the record's tables bring one */
    assert_int_equal(sql->ops->look(sql, false), 0);
    assert_int_equal(sql->ops->look(sql, true), ERR_SETUP);
    assert_int_equal(apply(sql, 1, 0, "INSERT INTO t5 VALUES (?)", "[1]"), ERR_REFUSED);
    assert_int_equal(sql->ops->prepare(sql), 0);
    assert_int_equal(sql->ops->prepare(sql), 0);
    assert_int_equal(sql->ops->look(sql, true), 0);
    assert_int_equal(apply(sql, 1, 0, "INSERT INTO t5 VALUES (?)", "[1]"), 0);
    assert_int_equal(apply(sql, 1, 0, "INSERT INTO t5 VALUES (?)", "[1]"), 0);
    assert_int_equal(apply(sql, 1, 1, "INSERT INTO t5 VALUES (?)", "[1]"), ERR_EXISTS);
    assert_int_equal(apply(sql, 1, 1, "INSERT INTO t5 VALUES (?)", "[2]"),
                     0); /* rolled back before */
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM t5", NULL), 2);
    bool more = true;
    db_exec(d, "UPDATE offpath_applied SET at=NOW(6)-INTERVAL 401 DAY WHERE step=0");
    db_exec(d, "UPDATE offpath_applied SET at=NOW(6)-INTERVAL 399 DAY WHERE step=1");
    assert_int_equal(sql->ops->sweep(sql, &more), 0);
    assert_false(more);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM offpath_applied WHERE step=0", NULL), 0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM offpath_applied", NULL), 1);
    sql->ops->close(sql);
}

/* An account of the service itself, with rights on rows only. */
static void a_table_that_is_there_needs_no_right_to_make_it(void **state)
{
    struct db *d = *state;
    struct database users = database_of(d);
    char create[200], grant[300], drop[100], name[60];
    snprintf(name, sizeof name, "rows_%d", (int)getpid());
    snprintf(create, sizeof create, "CREATE USER '%s'@'127.0.0.1' IDENTIFIED BY 'rows'", name);
    snprintf(grant, sizeof grant, "GRANT SELECT,INSERT,DELETE ON `%s`.* TO '%s'@'127.0.0.1'",
             users.schema, name);
    snprintf(drop, sizeof drop, "DROP USER '%s'@'127.0.0.1'", name);
    db_exec(d, create);
    db_exec(d, grant);
    users.user = name;
    users.password = "rows";
    struct sql *sql = open_sql(&users);
    int there = sql->ops->prepare(sql);
    db_exec(d, "DROP TABLE offpath_applied");
    int missing = sql->ops->prepare(sql);
    sql->ops->close(sql);
    db_exec(d, drop);
    assert_int_equal(there, 0);
    assert_int_equal(missing, ERR_SETUP);
}

/* ---- T6 */

static int finish_with(struct db *d, unsigned n, const char *sql, const char *params,
                       struct record_finish *out)
{
    static struct record_saves saves;
    struct json *p = parse(params);
    char schema[64];
    snprintf(schema, sizeof schema, "%s_u", d->name);
    const struct sql_statement list[] = {{.schema = schema, .text = sql, .params = p}};
    saves = (struct record_saves){.list = list, .n = 1};
    *out = end_of(n, JOB_SUCCEEDED, d->wa);
    out->saves = &saves;
    int status = finish_one(d->a, out);
    json_free(p);
    return status;
}

static void the_end_and_its_saves_are_one_transaction(void **state)
{
    struct db *d = *state;
    struct record_finish f;
    char sql[200];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s_u", d->name);
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "CREATE TABLE %s_u.t6 (a INT PRIMARY KEY)", d->name);
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "SELECT COUNT(*) FROM %s_u.t6", d->name);
    claim_mine(d->a, 61, d->wa);
    claim_mine(d->a, 62, d->wa);
    claim_mine(d->a, 63, d->wa);
    assert_int_equal(finish_with(d, 61, "INSERT INTO t6 VALUES (?)", "[1]", &f), 0);
    assert_int_equal(f.stored, JOB_SUCCEEDED);
    assert_int_equal(db_number(d, sql, NULL), 1);
    assert_int_equal(finish_with(d, 62, "INSERT INTO t6 VALUES (?)", "[1]", &f), ERR_EXISTS);
    assert_int_equal(f.saves->err, ERR_EXISTS);
    struct job_id id = id_of(62);
    assert_int_equal(db_number(d, "SELECT state FROM op_job WHERE id=?", &id), JOB_RUNNING);
    assert_int_equal(finish_with(d, 62, "INSERT INTO nowhere VALUES (?)", "[2]", &f), ERR_REFUSED);
    assert_int_equal(f.saves->err, ERR_REFUSED);
    struct owner owner = job_of(63).owner;
    struct record_cancel c = {.id = id_of(63), .owner = owner};
    assert_int_equal(d->b->ops->cancel(d->b, &c), 0);
    assert_int_equal(finish_with(d, 63, "INSERT INTO t6 VALUES (?)", "[3]", &f), 0);
    assert_int_equal(f.stored, JOB_CANCELLED);
    assert_int_equal(db_number(d, sql, NULL), 1);
    snprintf(sql, sizeof sql, "DROP DATABASE %s_u", d->name);
    db_exec(d, sql);
}

struct slow { /* an end that waits for a row of a user's table */
    struct db *d;
    unsigned job;
    struct record_finish finish;
    int status;
};

static void *finish_slowly(void *arg)
{
    struct slow *s = arg;
    s->status = finish_with(s->d, s->job, "UPDATE t7 SET a=a+?", "[1]", &s->finish);
    return NULL;
}

/* Until the statement waits. */
static void begin_slowly(struct slow *s, pthread_t *thread)
{
    db_exec(s->d, "START TRANSACTION");
    db_exec(s->d, "UPDATE t7 SET a=a");
    assert_int_equal(pthread_create(thread, NULL, finish_slowly, s), 0);
    static const struct store_sql q = {
        .head =
            "SELECT 1 FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE t7 SET a=a+%'"};
    const struct store_value *v;
    do
        assert_int_equal(store_run(s->d->raw, &q, 0, NULL, 0), 0);
    while (store_next(s->d->raw, &v) != 1);
}

/* Who renews its lease, and who else of that shard writes, does not wait for it; who is declared
 * dead meanwhile saves nothing. */
static void a_save_that_waits_holds_no_fence(void **state)
{
    struct db *d = *state;
    char sql[200];
    snprintf(sql, sizeof sql, "CREATE DATABASE %s_u", d->name);
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "USE %s_u", d->name);
    db_exec(d, sql);
    db_exec(d, "CREATE TABLE t7 (a INT PRIMARY KEY)");
    db_exec(d, "INSERT INTO t7 VALUES (1)");
    for (unsigned n = 81; n <= 82; n++) {
        struct slow s = {.d = d, .job = n};
        pthread_t thread;
        claim_mine(d->a, n, d->wa);
        begin_slowly(&s, &thread);
        snprintf(sql, sizeof sql, "SELECT id FROM %s.op_worker WHERE id=%llu FOR UPDATE NOWAIT",
                 d->name, (unsigned long long)d->wa);
        int held = store_exec(d->raw, sql);
        snprintf(sql, sizeof sql, "UPDATE %s.op_worker SET state=9 WHERE id=%llu", d->name,
                 (unsigned long long)d->wa);
        if (n == 82 && !held)
            db_exec(d, sql);
        db_exec(d, "COMMIT");
        pthread_join(thread, NULL);
        assert_int_equal(held, 0);
        assert_int_equal(s.status, n == 82 ? ERR_FENCED : 0);
        assert_int_equal(db_number(d, "SELECT a FROM t7", NULL), 2);
    }
    snprintf(sql, sizeof sql, "DROP DATABASE %s_u", d->name);
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "USE %s", d->name);
    db_exec(d, sql);
    assert_int_equal(d->a->ops->worker_start(d->a, "a", LEASE_MS, &d->wa), 0);
}

static void a_save_is_recorded_unless_a_cancel_came_first(void **state)
{
    struct db *d = *state;
    for (unsigned n = 71; n <= 72; n++) {
        struct record_ledger l = call_of(n, 0, OUTCOME_OK, d->wa);
        struct record_cancel c = {.id = id_of(n), .owner = job_of(n).owner};
        snprintf(l.call.name, sizeof l.call.name, RECORD_SAVE);
        claim_mine(d->a, n, d->wa);
        if (n == 72)
            assert_int_equal(d->b->ops->cancel(d->b, &c), 0);
        assert_int_equal(ledger_one(d->a, &l), n == 72 ? ERR_CONFLICT : 0);
        if (n == 71)
            assert_int_equal(d->b->ops->cancel(d->b, &c), 0);
        struct record_finish f = end_of(n, JOB_FAILED, d->wa);
        struct record_saves saves = {.forget = true};
        f.saves = &saves;
        assert_int_equal(finish_one(d->a, &f), 0);
        assert_int_equal(f.stored, n == 72 ? JOB_CANCELLED : JOB_FAILED);
        struct job_id id = id_of(n);
        assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_call WHERE job=?", &id), 0);
    }
}

static void a_save_that_is_recorded_and_given_back_is_not_cancelled(void **state)
{
    struct db *d = *state;
    struct record_ledger l = call_of(91, 0, OUTCOME_OK, d->wa);
    struct record_release given = {.worker = d->wa, .id = id_of(91)}, *list[] = {&given};
    struct record_cancel c = {.id = id_of(91), .owner = job_of(91).owner};
    snprintf(l.call.name, sizeof l.call.name, RECORD_SAVE);
    claim_mine(d->a, 91, d->wa);
    assert_int_equal(ledger_one(d->a, &l), 0);
    assert_int_equal(d->a->ops->release(d->a, list, 1), 0);
    assert_int_equal(d->b->ops->cancel(d->b, &c), 0);
    assert_int_equal(c.before, JOB_RUNNING);
    assert_int_equal(db_number(d, "SELECT state FROM op_job WHERE id=?", &c.id), JOB_QUEUED);
    assert_int_equal(db_number(d, "SELECT cancel FROM op_job WHERE id=?", &c.id), 1);
    claim_mine(d->a, 91, d->wa);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_become_json),
        cmocka_unit_test(parameters_are_text),
        cmocka_unit_test(too_many_rows_are_not_fetched),
        cmocka_unit_test(big_rows_take_no_more_memory_than_they_may),
        cmocka_unit_test(errors_say_whether_repeating_helps),
        cmocka_unit_test(a_step_is_applied_once),
        cmocka_unit_test(a_table_that_is_there_needs_no_right_to_make_it),
        cmocka_unit_test(the_end_and_its_saves_are_one_transaction),
        cmocka_unit_test(a_save_that_waits_holds_no_fence),
        cmocka_unit_test(a_save_is_recorded_unless_a_cancel_came_first),
        cmocka_unit_test(a_save_that_is_recorded_and_given_back_is_not_cancelled),
    };
    return cmocka_run_group_tests(tests, db_setup_tables, db_teardown);
}
