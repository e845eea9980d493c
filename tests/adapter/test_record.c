/* The record against a real server: each guard of T2 to T8 is tried to be broken. */
#include "tests/adapter/record_db.h"

static int64_t number(struct db *d, const char *sql, unsigned n)
{
    struct job_id id = id_of(n);
    return db_number(d, sql, &id);
}

static int64_t state_of(struct db *d, unsigned n)
{
    return number(d, "SELECT state FROM op_job WHERE id=?", n);
}

/* ---- opening */

static void wrong_addresses_say_why(void **state)
{
    struct db *d = *state;
    struct record *r;
    char why[STORE_WHY], url[1100];
    struct record_settings s = {.url = url, .connect_ms = 1000, .io_ms = 1000};
    snprintf(url, sizeof url, "mysql://127.0.0.1:1/x");
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_IO);
    assert_memory_equal(why, "MySQL at 127.0.0.1:1: 2", 23);
    assert_non_null(strstr(why, "; start it, or mend --mysql"));
    snprintf(url, sizeof url, "%s_no", d->url);
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_REFUSED);
    assert_non_null(strstr(why, "Unknown database"));
    snprintf(url, sizeof url, "mysql://nobody:wrong@%s", strrchr(d->url, '@') + 1);
    assert_int_equal(record_mysql_open(&s, &r, why), ERR_REFUSED);
    assert_non_null(strstr(why, "Access denied"));
    assert_non_null(strstr(why, "; create it, or mend --mysql"));
}

/* The account may have one connection, and a writer wants two: the first is given back. */
static void a_second_connection_that_is_refused_leaves_none(void **state)
{
    struct db *d = *state;
    struct record *r;
    char why[STORE_WHY], url[1100], sql[200];
    snprintf(
        sql, sizeof sql,
        "CREATE OR REPLACE USER one%d@'127.0.0.1' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1",
        (int)getpid());
    db_exec(d, sql);
    snprintf(sql, sizeof sql, "GRANT ALL ON %s.* TO one%d@'127.0.0.1'", d->name, (int)getpid());
    db_exec(d, sql);
    snprintf(url, sizeof url, "mysql://one%d:x@%s", (int)getpid(), strrchr(d->url, '@') + 1);
    struct record_settings s = {.url = url, .connect_ms = 5000, .io_ms = 5000, .two = true};
    int err = record_mysql_open(&s, &r, why);
    snprintf(sql, sizeof sql,
             "SELECT COUNT(*) FROM information_schema.processlist WHERE user='one%d'",
             (int)getpid());
    for (int i = 0; i < 100 && db_number(d, sql, NULL) > 0; i++)
        usleep(50000); /* the server hears of it a moment later */
    int64_t left = db_number(d, sql, NULL);
    snprintf(sql, sizeof sql, "DROP USER one%d@'127.0.0.1'", (int)getpid());
    db_exec(d, sql);
    assert_int_not_equal(err, 0);
    assert_non_null(strstr(why, "max_user_connections"));
    assert_int_equal(left, 0);
}

/* ---- T2 and reading */

static void a_registered_job_reads_back(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(1);
    struct record_job row;
    struct record_call *calls;
    size_t n;
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    assert_int_equal(d->b->ops->read(d->b, &j.id, &row, &calls, &n), 0);
    assert_true(id_equal(&row.id, &j.id));
    assert_memory_equal(row.owner.b, j.owner.b, 16);
    assert_string_equal(row.flow, "price-compare");
    assert_int_equal(row.state, JOB_QUEUED);
    assert_memory_equal(row.mac, j.mac, ID_MAC);
    assert_true(row.has_mac && row.has_rev);
    assert_int_equal(row.created_us, j.created_us);
    assert_int_equal(row.deadline_us, j.deadline_us);
    assert_int_equal(row.part, -1);
    assert_int_equal(row.started_us, 0);
    assert_null(row.result);
    assert_int_equal(n, 0);
    record_job_fini(&row);
    free(calls);
    struct job_id none = id_of(999);
    assert_int_equal(d->b->ops->read(d->b, &none, &row, &calls, &n), ERR_NOT_FOUND);
}

static void registering_changes_no_claimed_job(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 2, d->wa);
    struct record_register again[] = {job_of(3), job_of(2), job_of(2)};
    again[0].deadline_us = 0;
    again[1].created_us += 5;
    assert_int_equal(d->b->ops->register_jobs(d->b, again, 3), 0);
    assert_int_equal(state_of(d, 2), JOB_RUNNING);
    assert_int_equal(state_of(d, 3), JOB_QUEUED);
    assert_int_equal(number(d, "SELECT deadline IS NULL FROM op_job WHERE id=?", 3), 1);
}

static void many_rows_at_once_take_few_statements(void **state)
{
    struct db *d = *state;
    struct record_register jobs[300];
    struct record_claim claims[300], *list[300];
    for (unsigned i = 0; i < 300; i++) {
        jobs[i] = job_of(1000 + i);
        claims[i] = claim_of(1000 + i, d->wa);
        list[i] = &claims[i];
    }
    assert_int_equal(d->b->ops->register_jobs(d->b, jobs, 300), 0);
    assert_int_equal(d->a->ops->claim(d->a, list, 300), 0);
    for (unsigned i = 0; i < 300; i++) {
        struct record_claim *c = &claims[i];
        assert_int_equal(c->status, 0);
        assert_true(id_equal(&c->row.id, &c->job.id));
        assert_int_equal(c->row.worker, d->wa);
        assert_int_equal(c->row.off, 2000 + i);
        assert_int_equal(c->calls_n, 0);
        record_claim_fini(c);
    }
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_job WHERE state=1", NULL), 300);
}

/* ---- T3 */

static void a_claim_sets_what_the_job_runs_with(void **state)
{
    struct db *d = *state;
    struct record_job row;
    int64_t before, after;
    assert_int_equal(d->b->ops->now(d->b, &before), 0);
    struct record_claim c = claim_one(d->a, 10, d->wa, 0);
    assert_int_equal(d->b->ops->now(d->b, &after), 0);
    assert_int_equal(c.row.state, JOB_RUNNING);
    assert_int_equal(c.row.part, 3);
    assert_int_equal(c.row.off, 1010);
    assert_int_equal(c.row.round, 0);
    assert_int_equal(d->b->ops->look(d->b, &c.job.id, &row), 0);
    assert_true(row.started_us >= before && row.started_us <= after);
    record_claim_fini(&c);
}

/* Of a new job nothing is read back: what is told must be what stands there. */
static void what_a_claim_tells_is_what_stands_there(void **state)
{
    struct db *d = *state;
    struct record_register known[] = {job_of(11), job_of(13)};
    assert_int_equal(d->b->ops->register_jobs(d->b, known, 2), 0);
    for (unsigned n = 10; n < 16; n++) { /* new, known, and after each */
        struct record_claim c = claim_of(n, d->wa), *list[] = {&c};
        struct record_job row;
        c.job.has_rev = n != 12;
        assert_int_equal(d->a->ops->claim(d->a, list, 1), 0);
        assert_int_equal(c.status, 0);
        assert_int_equal(d->b->ops->look(d->b, &c.job.id, &row), 0);
        assert_true(id_equal(&c.row.id, &row.id));
        assert_memory_equal(&c.row.owner, &row.owner, sizeof row.owner);
        assert_string_equal(c.row.flow, row.flow);
        assert_int_equal(c.row.state, row.state);
        assert_int_equal(c.row.round, row.round);
        assert_int_equal(c.row.worker, row.worker);
        assert_int_equal(c.row.crashes + c.row.cancel + c.row.seq, 0);
        assert_int_equal(row.crashes + row.cancel + row.seq, 0);
        assert_string_equal(c.row.reason, row.reason);
        assert_int_equal(c.row.has_mac, row.has_mac);
        assert_memory_equal(c.row.mac, row.mac, sizeof row.mac);
        assert_int_equal(c.row.has_rev, row.has_rev);
        assert_memory_equal(c.row.rev, row.rev, sizeof row.rev);
        assert_int_equal(c.row.part, row.part);
        assert_int_equal(c.row.off, row.off);
        assert_int_equal(c.row.created_us, row.created_us);
        assert_int_equal(c.row.deadline_us, row.deadline_us);
        assert_true(row.started_us > 0 && c.row.retry_at_us + c.row.finished_us == 0);
        record_claim_fini(&c);
    }
}

/* One statement is tried while rows are new; a row that was there costs the next one nothing. */
static void what_was_met_last_is_expected_next(void **state)
{
    struct db *d = *state;
    const struct record_mysql *m = record_mysql_of(d->a);
    struct record_register known = job_of(31);
    assert_int_equal(d->b->ops->register_jobs(d->b, &known, 1), 0);
    claim_mine(d->a, 30, d->wa);
    assert_true(m->new_jobs);
    claim_mine(d->a, 31, d->wa);
    assert_false(m->new_jobs);
    claim_mine(d->a, 32, d->wa);
    assert_true(m->new_jobs);
    static const struct {
        unsigned job;
        bool new;
    } calls[] = {{30, true}, {30, false}, {31, true}, {32, true}};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        struct record_ledger l = call_of(calls[i].job, 1, OUTCOME_OK, d->wa), *list[] = {&l};
        assert_int_equal(d->a->ops->ledger(d->a, list, 1), 0);
        assert_int_equal(l.status, 0); /* the same once more is the same */
        assert_int_equal(m->new_calls, calls[i].new);
        record_call_fini(&l.stored);
    }
}

/* A dead worker writes nothing, neither by the one statement nor by the transaction, and a living
 * one's rows of the same batch are written. */
static void of_two_shards_the_fenced_one_claims_and_records_nothing(void **state)
{
    struct db *d = *state;
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    for (unsigned n = 20; n < 26; n += 2) {
        struct record_claim dead = claim_of(n, d->wa), alive = claim_of(n + 1, d->wb);
        struct record_claim *list[] = {&dead, &alive};
        assert_int_equal(d->a->ops->claim(d->a, list, 2), 0);
        assert_int_equal(dead.status, ERR_FENCED);
        assert_int_equal(alive.status, 0);
        struct record_ledger late = call_of(n + 1, 1, OUTCOME_OK, d->wa),
                             due = call_of(n + 1, 2, OUTCOME_OK, d->wb);
        struct record_ledger *calls[] = {&late, &due};
        assert_int_equal(d->a->ops->ledger(d->a, calls, 2), 0);
        assert_int_equal(late.status, ERR_FENCED);
        assert_int_equal(due.status, 0);
        record_claim_fini(&dead);
        record_claim_fini(&alive);
    }
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_job", NULL), 3);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_call WHERE seq=2", NULL), 3);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_call", NULL), 3);
}

static void a_running_job_is_not_claimed_by_another(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 11, d->wa);
    struct record_claim c = claim_one(d->b, 11, d->wb, 0);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.row.worker, d->wa);
    assert_null(c.calls);
    record_claim_fini(&c);
    c = claim_one(d->a, 11, d->wa, 0); /* its own again: answer lost, record delivered again */
    assert_int_equal(c.row.worker, d->wa);
    assert_int_equal(c.row.state, JOB_RUNNING);
    record_claim_fini(&c);
}

static void two_shards_in_one_batch_do_not_both_win(void **state)
{
    struct db *d = *state;
    struct record_claim x = claim_of(12, d->wa), y = claim_of(12, d->wb), *list[] = {&x, &y};
    assert_int_equal(d->a->ops->claim(d->a, list, 2), 0);
    assert_int_equal(x.row.worker, d->wa);
    assert_int_equal(y.row.worker, d->wa);
    record_claim_fini(&x);
    record_claim_fini(&y);
}

static void a_stale_round_claims_nothing(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 13, d->wa);
    db_exec(d, "UPDATE op_job SET state=0,worker=0,round=2,retry_at=NOW(6)");
    struct record_claim c = claim_one(d->b, 13, d->wb, 1);
    assert_int_equal(c.row.state, JOB_QUEUED);
    assert_int_equal(c.row.round, 2);
    assert_int_equal(c.row.worker, 0);
    assert_true(c.row.retry_at_us > 0);
    record_claim_fini(&c);
    c = claim_one(d->b, 13, d->wb, 2);
    assert_int_equal(c.row.state, JOB_RUNNING);
    assert_int_equal(c.row.worker, d->wb);
    assert_int_equal(c.row.retry_at_us, 0);
    record_claim_fini(&c);
}

static void a_final_job_stays_as_it_is(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 14, d->wa);
    struct record_finish f = end_of(14, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    struct record_claim c = claim_one(d->b, 14, d->wb, 0);
    assert_int_equal(c.row.state, JOB_SUCCEEDED);
    record_claim_fini(&c);
    assert_int_equal(state_of(d, 14), JOB_SUCCEEDED);
}

static void a_fenced_shard_claims_nothing_the_other_does(void **state)
{
    struct db *d = *state;
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    struct record_claim x = claim_of(15, d->wa), y = claim_of(16, d->wb), z = claim_of(17, 12345);
    struct record_claim *list[] = {&x, &y, &z};
    assert_int_equal(d->a->ops->claim(d->a, list, 3), 0);
    assert_int_equal(x.status, ERR_FENCED);
    assert_int_equal(y.status, 0);
    assert_int_equal(z.status, ERR_FENCED); /* no such row: swept away */
    assert_int_equal(state_of(d, 15), -1);
    assert_int_equal(state_of(d, 16), JOB_RUNNING);
    record_claim_fini(&y);
}

/* ---- T5 */

static void a_later_claim_brings_the_ledger_in_order(void **state)
{
    struct db *d = *state;
    char *big = malloc(1u << 20);
    memset(big, 'x', 1u << 20);
    claim_mine(d->a, 20, d->wa);
    struct record_ledger two = call_of(20, 2, OUTCOME_FAILED, d->wa);
    struct record_ledger one = call_of(20, 1, OUTCOME_OK, d->wa);
    one.call.result = big;
    one.call.result_len = 1u << 20;
    two.call.item = 7;
    two.call.tries = (char *)(uintptr_t) "[1]";
    two.call.tries_len = 3;
    memcpy(two.call.reason, "http-5xx", 9);
    struct record_ledger *list[] = {&two, &one};
    assert_int_equal(d->a->ops->ledger(d->a, list, 2), 0);
    assert_int_equal(one.status | two.status, 0);
    struct record_claim c = claim_one(d->a, 20, d->wa, 0);
    assert_int_equal(c.calls_n, 2);
    assert_int_equal(c.calls[0].seq, 1);
    assert_int_equal(c.calls[0].item, -1);
    assert_int_equal(c.calls[0].result_len, 1u << 20);
    assert_memory_equal(c.calls[0].result, big, 1u << 20);
    assert_int_equal(c.calls[0].outcome, OUTCOME_OK);
    assert_true(c.calls[0].finished_us > 0);
    assert_int_equal(c.calls[1].item, 7);
    assert_string_equal(c.calls[1].tries, "[1]");
    assert_string_equal(c.calls[1].reason, "http-5xx");
    assert_null(c.calls[1].result);
    record_claim_fini(&c);
    free(big);
}

static void an_outcome_that_stands_counts(void **state)
{
    struct db *d = *state;
    struct record_ledger ok = call_of(21, 1, OUTCOME_OK, d->wa);
    ok.call.result = (char *)(uintptr_t) "9";
    ok.call.result_len = 1;
    assert_int_equal(ledger_one(d->a, &ok), 0);
    assert_int_equal(ledger_one(d->a, &ok), 0); /* the same again: only an answer was lost */
    struct record_ledger other = call_of(21, 1, OUTCOME_FAILED, d->wb);
    other.call.round = 3;
    struct record_ledger fresh = call_of(21, 2, OUTCOME_OK, d->wb), *list[] = {&fresh, &other};
    assert_int_equal(d->b->ops->ledger(d->b, list, 2), 0);
    assert_int_equal(fresh.status, 0);
    assert_int_equal(other.status, ERR_EXISTS);
    assert_int_equal(other.stored.outcome, OUTCOME_OK);
    assert_string_equal(other.stored.result, "9");
    assert_int_equal(number(d, "SELECT round FROM op_call WHERE job=? AND seq=1", 21), 0);
    record_call_fini(&other.stored);
}

static void started_and_older_retryable_rows_give_way(void **state)
{
    struct db *d = *state;
    struct record_ledger l = call_of(22, 0, OUTCOME_STARTED, d->wa);
    assert_int_equal(ledger_one(d->a, &l), 0);
    l.call.seq = 1;
    l.call.outcome = OUTCOME_RETRYABLE;
    assert_int_equal(ledger_one(d->a, &l), 0);
    l.call.seq = 2;
    l.call.outcome = OUTCOME_OK; /* the same round: stands */
    assert_int_equal(ledger_one(d->a, &l), ERR_EXISTS);
    assert_int_equal(l.stored.outcome, OUTCOME_RETRYABLE);
    record_call_fini(&l.stored);
    l.call.round = 1;
    l.call.status = 201;
    assert_int_equal(ledger_one(d->a, &l), 0);
    assert_int_equal(number(d, "SELECT outcome FROM op_call WHERE job=?", 22), OUTCOME_OK);
    assert_int_equal(number(d, "SELECT round FROM op_call WHERE job=?", 22), 1);
    assert_int_equal(number(d, "SELECT seq FROM op_call WHERE job=?", 22), 2);
    assert_int_equal(number(d, "SELECT status FROM op_call WHERE job=?", 22), 201);
}

/* One row changed (2) and one left alone (0) count like two new ones. */
static void counts_that_cancel_out_are_seen_through(void **state)
{
    struct db *d = *state;
    struct record_ledger started = call_of(23, 1, OUTCOME_STARTED, d->wa);
    struct record_ledger ok = call_of(23, 2, OUTCOME_OK, d->wa);
    assert_int_equal(ledger_one(d->a, &started) | ledger_one(d->a, &ok), 0);
    struct record_ledger x = call_of(23, 1, OUTCOME_OK, d->wa);
    struct record_ledger y = call_of(23, 2, OUTCOME_FAILED, d->wa), *list[] = {&x, &y};
    assert_int_equal(d->a->ops->ledger(d->a, list, 2), 0);
    assert_int_equal(x.status, 0);
    assert_int_equal(y.status, ERR_EXISTS);
    record_call_fini(&y.stored);
}

static void a_fenced_shard_writes_no_ledger(void **state)
{
    struct db *d = *state;
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    struct record_ledger x = call_of(24, 1, OUTCOME_OK, d->wa);
    struct record_ledger y = call_of(24, 2, OUTCOME_OK, d->wb), *list[] = {&x, &y};
    assert_int_equal(d->a->ops->ledger(d->a, list, 2), 0);
    assert_int_equal(x.status, ERR_FENCED);
    assert_int_equal(y.status, 0);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_call WHERE job=?", 24), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wrong_addresses_say_why, db_setup, db_teardown),
        cmocka_unit_test_setup_teardown(a_second_connection_that_is_refused_leaves_none, db_setup,
                                        db_teardown),
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_registered_job_reads_back),
        T(registering_changes_no_claimed_job),
        T(many_rows_at_once_take_few_statements),
        T(a_claim_sets_what_the_job_runs_with),
        T(what_a_claim_tells_is_what_stands_there),
        T(what_was_met_last_is_expected_next),
        T(of_two_shards_the_fenced_one_claims_and_records_nothing),
        T(a_running_job_is_not_claimed_by_another),
        T(two_shards_in_one_batch_do_not_both_win),
        T(a_stale_round_claims_nothing),
        T(a_final_job_stays_as_it_is),
        T(a_fenced_shard_claims_nothing_the_other_does),
        T(a_later_claim_brings_the_ledger_in_order),
        T(an_outcome_that_stands_counts),
        T(started_and_older_retryable_rows_give_way),
        T(counts_that_cancel_out_are_seen_through),
        T(a_fenced_shard_writes_no_ledger),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
