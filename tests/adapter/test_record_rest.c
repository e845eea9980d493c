/* The record against a real server: lost connections, outbox, cancels, sweep. */
#include "tests/adapter/record_db.h"
#include "tests/record_moves.h"

static int64_t number(struct db *d, const char *sql, unsigned n)
{
    struct job_id id = id_of(n);
    return db_number(d, sql, &id);
}

static int64_t state_of(struct db *d, unsigned n)
{
    return number(d, "SELECT state FROM op_job WHERE id=?", n);
}

static void t9(struct db *d) /* of every job in the table */
{
    db_exec(d, "UPDATE op_job SET cancel=1,finished=IF(state=0,NOW(6),NULL),"
               "reason=IF(state=0,'cancelled',''),state=IF(state=0,13,state) WHERE state<10");
    db_exec(d, "INSERT IGNORE INTO op_cancel SELECT id,NOW(6) FROM op_job");
}

/* ---- the connection */

/* Of others than the test's own; -1: none behind this one. */
static int64_t next_connection(struct db *d, int64_t id)
{
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT MIN(id) FROM information_schema.processlist WHERE db=DATABASE() AND "
             "id<>CONNECTION_ID() AND id>%lld",
             (long long)id);
    return db_number(d, sql, NULL);
}

static void a_killed_connection_is_made_anew(void **state)
{
    struct db *d = *state;
    char sql[64];
    claim_mine(d->a, 40, d->wa);
    struct record_finish f = end_of(40, JOB_SUCCEEDED, d->wa), *list[] = {&f};
    assert_int_equal(d->a->ops->finish(d->a, list, 1), 0); /* a transaction has its own */
    claim_mine(d->a, 41, d->wa);
    for (int64_t id = 0; id >= 0; id = next_connection(d, id)) /* a's two, and b's */
        if (id > 0) {
            snprintf(sql, sizeof sql, "KILL %lld", (long long)id);
            if (store_exec(d->raw, sql) != 0)
                print_message("%s: it ended by itself\n", sql);
        }
    claim_mine(d->a, 42, d->wa);
    f = end_of(41, JOB_SUCCEEDED, d->wa);
    assert_int_equal(d->a->ops->finish(d->a, list, 1), 0);
    assert_int_equal(f.status, 0);
    assert_int_equal(d->a->ops->ping(d->a), 0);
}

/* Such a server would keep every statement that stands alone from everybody else. */
static void a_server_that_begins_without_autocommit_is_told(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(43);
    db_exec(d, "SET GLOBAL autocommit=0");
    struct record *r = db_open(d);
    db_exec(d, "SET GLOBAL autocommit=1");
    int err = r->ops->register_jobs(r, &j, 1);
    int64_t seen = number(d, "SELECT COUNT(*) FROM op_job WHERE id=?", 43);
    r->ops->close(r);
    assert_int_equal(err, 0);
    assert_int_equal(seen, 1);
}

/* ---- T10 */

static void an_outbox_row_is_held_for_30_s_and_then_anybodys(void **state)
{
    struct db *d = *state;
    struct record_outbox *rows = NULL, *none;
    size_t n = 0, m = 0;
    db_exec(d, "INSERT INTO op_outbox(due,holder,job,topic,mkey,value,headers) VALUES"
               " (NOW(6),0,'x','t.retry','k','{}',''),(NOW(6)+INTERVAL 1 HOUR,0,'y','t',NULL,"
               "NULL,'')");
    assert_int_equal(d->a->ops->outbox_take(d->a, d->wa, &rows, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(rows[0].topic, "t.retry");
    assert_string_equal(rows[0].key, "k");
    assert_int_equal(rows[0].value_len, 2);
    assert_int_equal(d->b->ops->outbox_take(d->b, d->wb, &none, &m), 0);
    assert_int_equal(m, 0);
    record_outbox_free(none, m);
    db_exec(d, "UPDATE op_outbox SET due=NOW(6) WHERE topic='t.retry'"); /* 30 s later */
    assert_int_equal(d->b->ops->outbox_take(d->b, d->wb, &none, &m), 0);
    assert_int_equal(m, 1);
    assert_int_equal(d->a->ops->outbox_delete(d->a, &rows[0].id, 1), 0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_outbox", NULL), 1);
    record_outbox_free(none, m);
    record_outbox_free(rows, n);
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    assert_int_equal(d->a->ops->outbox_take(d->a, d->wa, &rows, &n), ERR_FENCED);
}

static void cancels_are_read_since_a_time(void **state)
{
    struct db *d = *state;
    struct job_id ids[4];
    size_t n = 9;
    int64_t now;
    struct record_register j = job_of(50);
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    t9(d);
    assert_int_equal(d->a->ops->now(d->a, &now), 0);
    assert_int_equal(d->a->ops->cancels(d->a, now - 10000000, ids, 4, &n), 0);
    assert_int_equal(n, 1);
    assert_true(id_equal(&ids[0], &j.id));
    assert_int_equal(d->a->ops->cancels(d->a, now + 1000000, ids, 4, &n), 0);
    assert_int_equal(n, 0);
}

static void workers_count_while_their_lease_is_good(void **state)
{
    struct db *d = *state;
    unsigned n = 0;
    uint64_t third;
    assert_int_equal(d->a->ops->workers(d->a, &n), 0);
    assert_int_equal(n, 2);
    assert_int_equal(d->a->ops->worker_start(d->a, "c", LEASE_MS, &third), 0);
    assert_int_equal(d->a->ops->workers(d->a, &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(d->a->ops->worker_end(d->a, third), 0);
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='b'");
    assert_int_equal(d->a->ops->workers(d->a, &n), 0);
    assert_int_equal(n, 1);
}

/* ---- the guards against the table of moves */

static void moves_put(void *arg, const struct job_id *id, enum job_state state, uint64_t worker)
{
    struct db *d = arg;
    char sql[512], hex[33];
    for (int i = 0; i < 16; i++)
        snprintf(hex + 2 * i, 3, "%02x", id->b[i]);
    snprintf(sql, sizeof sql,
             "INSERT INTO op_job(id,state,worker,created,sweep_at,finished) VALUES (x'%s',%d,%llu,"
             "NOW(6),NOW(6)-INTERVAL 1 SECOND,IF(%d<10,NULL,NOW(6)))",
             hex, (int)state, (unsigned long long)worker, (int)state);
    db_exec(d, sql);
    snprintf(
        sql, sizeof sql,
        "INSERT INTO op_dead(job,flow,reason,at,topic,part,off) SELECT id,'f','x',NOW(6),'t',0,0"
        " FROM op_job WHERE id=x'%s' AND state>=10",
        hex);
    db_exec(d, sql);
}

static void moves_kill(void *arg, uint64_t worker)
{
    char sql[128];
    snprintf(sql, sizeof sql,
             "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE id=%llu",
             (unsigned long long)worker);
    db_exec(arg, sql);
}

static enum job_state moves_state(void *arg, const struct job_id *id)
{
    struct db *d = arg;
    struct record_watch row = {.id = *id};
    assert_int_equal(d->a->ops->watch(d->a, &row, 1), 0);
    return row.state;
}

static void the_guards_are_the_table_of_moves(void **state)
{
    struct db *d = *state;
    struct moves m = {d->a, d->wa, CREATED, moves_put, moves_kill, moves_state, d, 0};
    moves_try_all(&m);
}

/* ---- T11 */

static struct record_swept sweep(struct db *d)
{
    struct record_swept did;
    assert_int_equal(d->a->ops->sweep(d->a, 24 * 3600 * 1000, &did), 0);
    return did;
}

static void overdue(struct db *d)
{
    db_exec(d, "UPDATE op_job SET sweep_at=NOW(6)-INTERVAL 1 SECOND");
}

static void overdue_jobs_of_the_living_wait_others_end(void **state)
{
    struct db *d = *state;
    struct record_register queued = job_of(60);
    assert_int_equal(d->a->ops->register_jobs(d->a, &queued, 1), 0);
    claim_mine(d->a, 61, d->wa);
    claim_mine(d->b, 62, d->wb);
    struct record_ledger l = call_of(61, 7, OUTCOME_OK, d->wa);
    assert_int_equal(ledger_one(d->a, &l), 0);
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='a'");
    assert_int_equal(sweep(d).expired, 0); /* created in 2027: nothing is overdue yet */
    overdue(d);
    struct record_swept did = sweep(d);
    assert_int_equal(did.expired, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct job_id one = id_of(60 + i);
        assert_true(id_equal(&did.ids[0], &one) || id_equal(&did.ids[1], &one));
    }
    assert_int_equal(state_of(d, 60), JOB_EXPIRED);
    assert_int_equal(state_of(d, 61), JOB_EXPIRED);
    assert_int_equal(state_of(d, 62), JOB_RUNNING);
    assert_int_equal(number(d,
                            "SELECT reason='never-finished' AND seq=8 AND finished IS NOT NULL"
                            " FROM op_job WHERE id=?",
                            61),
                     1);
    assert_int_equal(number(d, "SELECT seq FROM op_job WHERE id=?", 60), 1);
    struct record_finish late = end_of(61, JOB_SUCCEEDED, d->wa);
    late.seq = 8; /* as the sweep numbered its end: after the last call's */
    assert_int_equal(finish_one(d->a, &late), ERR_CONFLICT); /* its worker was only slow */
    assert_int_equal(late.stored, JOB_EXPIRED);
}

static void a_record_that_comes_after_the_sweep_is_kept(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(65);
    struct record_dead late = {
        .topic = "t", .part = 3, .off = 9, .key = "k", .key_len = 1, .value = "{}", .value_len = 2};
    struct record_claim c = claim_of(65, d->wa), *list[] = {&c};
    c.late = &late;
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    overdue(d);
    assert_int_equal(sweep(d).expired, 1);
    for (int i = 0; i < 2; i++) { /* delivered twice */
        assert_int_equal(d->a->ops->claim(d->a, list, 1), 0);
        assert_int_equal(c.row.state, JOB_EXPIRED);
        assert_int_equal(number(d,
                                "SELECT status=0 AND off=9 AND reason='never-finished' AND"
                                " value='{}' FROM op_dead WHERE job=?",
                                65),
                         1);
    }
    claim_mine(d->a, 66, d->wa);
    c.job = job_of(66);
    assert_int_equal(d->a->ops->claim(d->a, list, 1), 0); /* running: nothing is kept */
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_dead WHERE job=?", 66), 0);
    record_claim_fini(&c);
}

static void final_jobs_are_emptied_then_deleted_but_not_open_letters(void **state)
{
    struct db *d = *state;
    struct record_dead dead = {.topic = "t", .reason = "need-not-met"};
    for (unsigned i = 70; i < 72; i++) {
        claim_mine(d->a, i, d->wa);
        struct record_ledger l = call_of(i, 1, OUTCOME_OK, d->wa);
        assert_int_equal(ledger_one(d->a, &l), 0);
        struct record_finish f = end_of(i, JOB_FAILED, d->wa);
        f.dead = i == 70 ? &dead : NULL;
        assert_int_equal(finish_one(d->a, &f), 0);
    }
    overdue(d);
    struct record_swept did = sweep(d);
    assert_int_equal(did.emptied, 1);
    assert_int_equal(did.deleted, 0);
    assert_int_equal(number(d,
                            "SELECT result IS NOT NULL AND sweep_at>NOW(6)+INTERVAL 23 HOUR"
                            " FROM op_job WHERE id=?",
                            70),
                     1);
    assert_int_equal(number(d,
                            "SELECT reason='gone' AND result IS NULL AND calls IS NULL AND"
                            " owner=REPEAT('\\0',16) AND state=12 AND"
                            " sweep_at>NOW(6)+INTERVAL 47 HOUR FROM op_job WHERE id=?",
                            71),
                     1);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_call WHERE job=?", 71), 0);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_call WHERE job=?", 70), 1);
    overdue(d);
    db_exec(d, "UPDATE op_dead SET status=3");
    did = sweep(d);
    assert_int_equal(did.emptied, 1);
    assert_int_equal(did.deleted, 1);
    assert_int_equal(state_of(d, 71), -1);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_dead WHERE job=?", 70), 0);
}

static void small_tables_are_swept_and_a_long_dead_worker_is_fenced(void **state)
{
    struct db *d = *state;
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 25 HOUR WHERE name='a'");
    db_exec(d, "INSERT INTO op_cancel VALUES ('x',NOW(6)-INTERVAL 25 HOUR),('y',NOW(6))");
    db_exec(d, "INSERT INTO op_pool_used VALUES ('x','j',NOW(6)-INTERVAL 61 DAY)");
    db_exec(d, "INSERT INTO offpath_applied VALUES ('x',1,NOW(6)-INTERVAL 401 DAY)");
    sweep(d);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_worker", NULL), 1);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_cancel", NULL), 1);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_pool_used", NULL), 0);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM offpath_applied", NULL), 0);
    struct record_claim c = claim_one(d->a, 80, d->wa, 0);
    assert_int_equal(c.status, ERR_FENCED);
}

static void more_than_500_overdue_take_several_rounds(void **state)
{
    struct db *d = *state;
    static struct record_register jobs[620];
    for (unsigned i = 0; i < 620; i++)
        jobs[i] = job_of(2000 + i);
    assert_int_equal(d->a->ops->register_jobs(d->a, jobs, 620), 0);
    overdue(d);
    struct record_swept first = sweep(d), second = sweep(d);
    assert_int_equal(first.expired, 500);
    assert_true(first.more);
    assert_int_equal(second.expired, 120);
    assert_false(second.more);
}

/* What can be emptied in the time a statement may take is found out. */
static void jobs_that_are_slow_to_empty_are_taken_fewer_at_once(void **state)
{
    enum { JOBS = 60 };
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 500};
    struct record *r;
    struct record_swept did;
    unsigned emptied = 0;
    for (unsigned i = 0; i < JOBS; i++) {
        claim_mine(d->a, 100 + i, d->wa);
        struct record_ledger l = call_of(100 + i, 1, OUTCOME_OK, d->wa);
        assert_int_equal(ledger_one(d->a, &l), 0);
        struct record_finish f = end_of(100 + i, JOB_SUCCEEDED, d->wa);
        assert_int_equal(finish_one(d->a, &f), 0);
    }
    overdue(d);
    db_exec(d, "CREATE TRIGGER slow BEFORE DELETE ON op_call FOR EACH ROW DO SLEEP(0.03)");
    assert_int_equal(record_mysql_open(&s, &r, NULL), 0);
    for (int i = 0; i < 20 && emptied < JOBS; i++)
        if (r->ops->sweep(r, 86400000, &did) == 0)
            emptied += did.emptied;
    assert_int_equal(emptied, JOBS);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_call", NULL), 0);
    r->ops->close(r);
}

/* So that it is told of. */
static void what_was_swept_before_something_failed_counts(void **state)
{
    struct db *d = *state;
    struct record_register queued = job_of(60);
    assert_int_equal(d->a->ops->register_jobs(d->a, &queued, 1), 0);
    overdue(d);
    db_exec(d, "RENAME TABLE op_pool_used TO away");
    struct record_swept did = sweep(d);
    assert_int_equal(did.expired, 1);
    assert_true(did.more);
    assert_int_not_equal(d->a->ops->sweep(d->a, 86400000, &did), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_killed_connection_is_made_anew),
        T(a_server_that_begins_without_autocommit_is_told),
        T(an_outbox_row_is_held_for_30_s_and_then_anybodys),
        T(cancels_are_read_since_a_time),
        T(the_guards_are_the_table_of_moves),
        T(workers_count_while_their_lease_is_good),
        T(overdue_jobs_of_the_living_wait_others_end),
        T(a_record_that_comes_after_the_sweep_is_kept),
        T(final_jobs_are_emptied_then_deleted_but_not_open_letters),
        T(small_tables_are_swept_and_a_long_dead_worker_is_fenced),
        T(jobs_that_are_slow_to_empty_are_taken_fewer_at_once),
        T(what_was_swept_before_something_failed_counts),
        T(more_than_500_overdue_take_several_rounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
