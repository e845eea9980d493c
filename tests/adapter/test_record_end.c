/* The record against a real server: ends, races, take-over. */
#include <pthread.h>
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

static void t9(struct db *d) /* of every job in the table */
{
    db_exec(d, "UPDATE op_job SET cancel=1,finished=IF(state=0,NOW(6),NULL),"
               "reason=IF(state=0,'cancelled',''),state=IF(state=0,13,state) WHERE state<10");
    db_exec(d, "INSERT IGNORE INTO op_cancel SELECT id,NOW(6) FROM op_job");
}

/* ---- T6 */

static void a_finish_stores_the_end_once(void **state)
{
    struct db *d = *state;
    struct record_job row;
    struct record_call *calls;
    size_t n;
    struct job_id id = id_of(1);
    claim_mine(d->a, 1, d->wa);
    struct record_finish f = end_of(1, JOB_PARTIAL, d->wa);
    f.detail = "käse";
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(f.stored, JOB_PARTIAL);
    assert_int_equal(d->b->ops->read(d->b, &id, &row, &calls, &n), 0);
    assert_int_equal(row.state, JOB_PARTIAL);
    assert_string_equal(row.detail, "käse");
    assert_string_equal(row.calls, "[]");
    assert_string_equal(row.result, "{\"x\":1}");
    assert_int_equal(row.seq, 4);
    assert_true(row.finished_us > 0);
    record_job_fini(&row);
    free(calls);
    assert_int_equal(
        number(d, "SELECT TIMESTAMPDIFF(SECOND,finished,sweep_at) FROM op_job WHERE id=?", 1),
        KEEP_MS / 1000);
    /* the same again, as after a lost answer of COMMIT */
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(f.stored, JOB_PARTIAL);
    /* another end */
    struct record_finish other = end_of(1, JOB_FAILED, d->wa);
    other.seq = 9;
    assert_int_equal(finish_one(d->a, &other), ERR_CONFLICT);
    assert_int_equal(other.stored, JOB_PARTIAL);
    assert_int_equal(state_of(d, 1), JOB_PARTIAL);
}

static void who_does_not_hold_a_job_cannot_end_it(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 2, d->wa);
    struct record_finish other = end_of(2, JOB_FAILED, d->wb), none = end_of(3, JOB_FAILED, d->wb);
    assert_int_equal(finish_one(d->b, &other), ERR_CONFLICT);
    assert_int_equal(other.stored, JOB_RUNNING);
    assert_int_equal(finish_one(d->b, &none), ERR_CONFLICT);
    assert_int_equal(none.stored, JOB_NONE);
    db_exec(d, "UPDATE op_worker SET state=9 WHERE name='a'");
    struct record_finish fenced = end_of(2, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &fenced), ERR_FENCED);
    assert_int_equal(state_of(d, 2), JOB_RUNNING);
}

static void a_cancel_before_the_finish_wins(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 4, d->wa);
    t9(d);
    struct record_dead dead = {.topic = "t", .reason = "need-not-met"};
    struct record_finish f = end_of(4, JOB_FAILED, d->wa);
    f.dead = &dead;
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(f.stored, JOB_CANCELLED);
    assert_int_equal(state_of(d, 4), JOB_CANCELLED);
    assert_int_equal(number(d,
                            "SELECT result IS NULL AND reason='cancelled' FROM op_job"
                            " WHERE id=?",
                            4),
                     1);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_dead WHERE job=?", 4), 0);
    assert_int_equal(finish_one(d->a, &f), 0); /* again: the same answer */
    assert_int_equal(f.stored, JOB_CANCELLED);
}

static void a_finish_before_the_cancel_wins(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 5, d->wa);
    struct record_finish f = end_of(5, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    t9(d);
    assert_int_equal(state_of(d, 5), JOB_SUCCEEDED);
    assert_int_equal(number(d, "SELECT cancel FROM op_job WHERE id=?", 5), 0);
}

static void a_saved_job_is_not_cancelled(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 6, d->wa);
    struct record_ledger save = call_of(6, 0, OUTCOME_OK, d->wa);
    memcpy(save.call.name, "$save", 6);
    assert_int_equal(ledger_one(d->a, &save), 0);
    t9(d);
    struct record_finish f = end_of(6, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(f.stored, JOB_SUCCEEDED);
}

static void a_dead_letter_comes_and_a_later_round_mends_it(void **state)
{
    struct db *d = *state;
    struct record_dead dead = {.topic = "t",
                               .part = 3,
                               .off = 9,
                               .reason = "need-not-met",
                               .upstream = "a-shop",
                               .key = "k",
                               .key_len = 1,
                               .value = "{}",
                               .value_len = 2};
    claim_mine(d->a, 7, d->wa);
    struct record_finish f = end_of(7, JOB_FAILED, d->wa);
    f.dead = &dead;
    f.reason = "need-not-met";
    f.result = NULL;
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(number(d,
                            "SELECT status=0 AND off=9 AND mkey='k' AND value='{}' AND"
                            " upstream='a-shop' FROM op_dead WHERE job=?",
                            7),
                     1);
    db_exec(d, "UPDATE op_dead SET status=2,redrives=1");
    db_exec(d, "UPDATE op_job SET state=0,worker=0,round=1");
    struct record_claim c = claim_one(d->b, 7, d->wb, 1);
    assert_int_equal(c.row.state, JOB_RUNNING);
    record_claim_fini(&c);
    f.worker = d->wb;
    assert_int_equal(finish_one(d->b, &f), 0); /* failed again: open again */
    assert_int_equal(number(d, "SELECT status=0 AND redrives=1 FROM op_dead WHERE job=?", 7), 1);
    db_exec(d, "UPDATE op_job SET state=0,worker=0,round=2");
    c = claim_one(d->b, 7, d->wb, 2);
    record_claim_fini(&c);
    struct record_finish good = end_of(7, JOB_SUCCEEDED, d->wb);
    assert_int_equal(finish_one(d->b, &good), 0);
    assert_int_equal(number(d, "SELECT status FROM op_dead WHERE job=?", 7), 3);
}

static void a_dead_letter_goes_without_what_does_not_fit(void **state)
{
    struct db *d = *state;
    static char key[RECORD_KEY_MAX + 1], headers[RECORD_HEADERS_MAX + 1];
    struct record_dead dead = {.topic = "t",
                               .reason = "bad-event",
                               .key = key,
                               .key_len = sizeof key,
                               .value = "{",
                               .value_len = 1,
                               .headers = headers,
                               .headers_len = sizeof headers};
    for (int fits = 0; fits < 2; fits++) {
        unsigned number_of = 70u + (unsigned)fits;
        claim_mine(d->a, number_of, d->wa);
        struct record_finish f = end_of(number_of, JOB_FAILED, d->wa);
        f.dead = &dead;
        f.reason = dead.reason;
        dead.key_len -= (size_t)fits;
        dead.headers_len -= (size_t)fits;
        assert_int_equal(finish_one(d->a, &f), 0);
    }
    static const char sql[] = "SELECT COALESCE(LENGTH(mkey),0)+COALESCE(LENGTH(headers),0) FROM"
                              " op_dead WHERE job=? AND value='{'";
    assert_int_equal(number(d, sql, 70), 0);
    assert_int_equal(number(d, sql, 71), RECORD_KEY_MAX + RECORD_HEADERS_MAX);
}

static void a_batch_mixes_all_cases(void **state)
{
    struct db *d = *state;
    struct record_finish f[120], *list[120];
    for (unsigned i = 0; i < 120; i++) {
        if (i % 3 != 2)
            claim_mine(d->a, 100 + i, i % 3 ? d->wa : d->wb);
        f[i] = end_of(100 + i, JOB_SUCCEEDED, d->wa);
        list[i] = &f[i];
    }
    assert_int_equal(d->a->ops->finish(d->a, list, 120), 0);
    for (unsigned i = 0; i < 120; i++)
        assert_int_equal(f[i].status, i % 3 == 1 ? 0 : ERR_CONFLICT);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_job WHERE state=10", NULL), 40);
}

static void big_results_and_long_texts_fit(void **state)
{
    struct db *d = *state;
    struct record_job row;
    struct record_call *calls;
    size_t n, size = 6u << 20;
    struct job_id id = id_of(8);
    char *big = malloc(size), detail[1300];
    for (size_t i = 0; i < size; i++)
        big[i] = (char)('a' + i % 23);
    for (size_t i = 0; i < sizeof detail - 1; i += 2)
        memcpy(detail + i, "\xc3\xa4", 2); /* 649 times a umlaut, cut at 500 characters */
    detail[sizeof detail - 2] = 0;
    claim_mine(d->a, 8, d->wa);
    struct record_finish f = end_of(8, JOB_SUCCEEDED, d->wa);
    f.result = big;
    f.result_len = size;
    f.detail = detail;
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(d->b->ops->read(d->b, &id, &row, &calls, &n), 0);
    assert_int_equal(row.result_len, size);
    assert_memory_equal(row.result, big, size);
    assert_int_equal(strlen(row.detail), 1000);
    record_job_fini(&row);
    free(calls);
    free(big);
}

static void a_row_the_server_refuses_is_told_from_a_lost_server(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 9, d->wa);
    struct record_finish f = end_of(9, JOB_SUCCEEDED, d->wa), *list[] = {&f};
    f.detail = "\xff\xfe"; /* no UTF-8 */
    assert_int_equal(d->a->ops->finish(d->a, list, 1), ERR_REFUSED);
    assert_int_equal(state_of(d, 9), JOB_RUNNING);
    f.detail = NULL;
    assert_int_equal(finish_one(d->a, &f), 0);
}

/* ---- T8 */

static void a_released_job_is_free_for_all(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 10, d->wa);
    struct record_release mine = {d->wa, id_of(10), -1}, theirs = {d->wb, id_of(10), -1};
    struct record_release *x[] = {&theirs}, *y[] = {&mine};
    assert_int_equal(d->b->ops->release(d->b, x, 1), 0);
    assert_int_equal(theirs.status, ERR_CONFLICT);
    assert_int_equal(state_of(d, 10), JOB_RUNNING);
    assert_int_equal(d->a->ops->release(d->a, y, 1), 0);
    assert_int_equal(mine.status, 0);
    struct record_claim c = claim_one(d->b, 10, d->wb, 0);
    assert_int_equal(c.row.worker, d->wb);
    assert_int_equal(c.row.crashes, 0);
    record_claim_fini(&c);
}

/* ---- T1, T4, watch */

static void a_living_worker_is_not_taken_from(void **state)
{
    struct db *d = *state;
    bool taken = false;
    struct job_id id = id_of(11);
    struct record_watch w = {.id = id};
    claim_mine(d->a, 11, d->wa);
    assert_int_equal(d->b->ops->watch(d->b, &w, 1), 0);
    assert_int_equal(w.state, JOB_RUNNING);
    assert_int_equal(w.worker, d->wa);
    assert_false(w.lease_out);
    assert_int_equal(d->b->ops->take_over(d->b, d->wa, d->wb, &id, 1, &taken), ERR_CONFLICT);
    assert_false(taken);
    assert_int_equal(d->a->ops->worker_renew(d->a, d->wa, LEASE_MS), 0);
}

static void a_dead_worker_loses_its_jobs_and_all_say(void **state)
{
    struct db *d = *state;
    struct job_id ids[] = {id_of(12), id_of(13), id_of(14)};
    struct record_watch w[] = {{.id = ids[0]}, {.id = id_of(999)}, {.id = ids[0]}};
    bool taken[3];
    for (unsigned i = 12; i < 14; i++)
        claim_mine(d->a, i, d->wa);
    claim_mine(d->b, 14, d->wb);
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='a'");
    assert_int_equal(d->b->ops->watch(d->b, w, 3), 0);
    assert_true(w[0].lease_out && w[2].lease_out);
    assert_int_equal(w[1].state, JOB_NONE);
    assert_int_equal(d->b->ops->take_over(d->b, d->wa, d->wb, ids, 3, taken), 0);
    assert_true(taken[0] && taken[1] && !taken[2]);
    assert_int_equal(number(d, "SELECT crashes FROM op_job WHERE id=?", 12), 1);
    assert_int_equal(number(d, "SELECT crashes FROM op_job WHERE id=?", 14), 0);
    assert_int_equal(d->a->ops->worker_renew(d->a, d->wa, LEASE_MS), ERR_FENCED);
    struct record_ledger l = call_of(12, 1, OUTCOME_OK, d->wa);
    assert_int_equal(ledger_one(d->a, &l), ERR_FENCED);
    assert_int_equal(d->a->ops->take_over(d->a, d->wb, d->wa, ids, 3, taken), ERR_FENCED);
    struct record_claim c = claim_one(d->b, 12, d->wb, 0); /* the new owner goes on */
    assert_int_equal(c.row.worker, d->wb);
    record_claim_fini(&c);
    /* a second look finds it declared already */
    assert_int_equal(d->b->ops->take_over(d->b, d->wa, d->wb, ids, 3, taken), 0);
    assert_false(taken[0]);
}

static void a_worker_that_left_is_out(void **state)
{
    struct db *d = *state;
    struct record_watch w = {.id = id_of(15)};
    claim_mine(d->a, 15, d->wa);
    assert_int_equal(d->a->ops->worker_end(d->a, d->wa), 0);
    assert_int_equal(d->a->ops->worker_end(d->a, d->wa), ERR_FENCED);
    assert_int_equal(d->b->ops->watch(d->b, &w, 1), 0);
    assert_true(w.lease_out);
}

static void six_hundred_jobs_are_watched_in_two_statements(void **state)
{
    struct db *d = *state;
    static struct record_watch w[600];
    claim_mine(d->a, 599, d->wa);
    for (unsigned i = 0; i < 600; i++)
        w[i].id = id_of(i);
    assert_int_equal(d->b->ops->watch(d->b, w, 600), 0);
    for (unsigned i = 0; i < 600; i++)
        assert_int_equal(w[i].state, i == 599 ? JOB_RUNNING : JOB_NONE);
}

/* ---- T0 against T4: what is declared dead waits for the batch, and nothing commits after it */

struct slow {
    struct db *d;
    struct record *r;
    int err;
    bool taken;
};

static void *take_slowly(void *arg)
{
    struct slow *s = arg;
    struct job_id id = id_of(20);
    s->err = s->r->ops->take_over(s->r, s->d->wa, s->d->wb, &id, 1, &s->taken);
    return NULL;
}

/* Until the server says that somebody waits for a lock. */
static void await_lock_wait(struct db *d)
{
    for (int i = 0; i < 1000; i++) {
        int64_t n = db_number(d,
                              i ? "SELECT COUNT(*) FROM information_schema.innodb_trx"
                                  " WHERE trx_state='LOCK WAIT'"
                                : "SELECT 0",
                              NULL);
        if (n > 0)
            return;
        usleep(10000);
        store_close(d->raw);
        db_open_raw(d, d->url);
    }
    fail_msg("nobody waits for the lock");
}

static int hold_fence(struct record_mysql *r, void *arg)
{
    struct slow *s = arg;
    struct record_fence f = {.n = 0};
    pthread_t thread;
    record_fence_add(&f, s->d->wa);
    assert_int_equal(record_fence_check(r, &f), 0);
    assert_true(f.alive[0]);
    db_exec(s->d, "SELECT 1"); /* the raw connection is free */
    assert_int_equal(pthread_create(&thread, NULL, take_slowly, s), 0);
    await_lock_wait(s->d);
    assert_int_equal(s->err, -1); /* not done */
    struct job_id id = id_of(20);
    record_bytes(r, id.b, sizeof id.b);
    static const struct store_sql q = {.head = "UPDATE op_job SET seq=77 WHERE id=?"};
    assert_int_equal(record_run(r, &q, 0), 0);
    assert_int_equal(store_commit(r->store), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void declaring_dead_waits_for_the_batch(void **state)
{
    struct db *d = *state;
    struct slow s = {d, db_open(d), -1, false};
    claim_mine(d->a, 20, d->wa);
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='a'");
    assert_int_equal(record_transact(record_mysql_of(d->a), hold_fence, &s), 0);
    assert_int_equal(s.err, 0);
    assert_true(s.taken);
    assert_int_equal(number(d, "SELECT seq FROM op_job WHERE id=?", 20), 77);
    struct record_finish f = end_of(20, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), ERR_FENCED);
    s.r->ops->close(s.r);
}

/* The other way round: one statement that carries its own fence waits for who declares its worker
 * dead, and then writes nothing. */
static void *writes_late(void *arg)
{
    struct slow *s = arg;
    struct record_claim c = claim_of(21, s->d->wa), *claims[] = {&c};
    struct record_ledger l = call_of(20, 1, OUTCOME_OK, s->d->wa), *calls[] = {&l};
    s->err = s->r->ops->claim(s->r, claims, 1);
    s->taken = c.status != ERR_FENCED;
    if (!s->err)
        s->err = s->r->ops->ledger(s->r, calls, 1);
    s->taken = s->taken || l.status != ERR_FENCED;
    record_claim_fini(&c);
    return NULL;
}

static int declare_slowly(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head = "UPDATE op_worker SET state=9 WHERE id=?"};
    struct slow *s = arg;
    pthread_t thread;
    record_int(r, (int64_t)s->d->wa);
    assert_int_equal(record_run(r, &q, 0), 0);
    assert_int_equal(pthread_create(&thread, NULL, writes_late, s), 0);
    await_lock_wait(s->d);
    assert_int_equal(store_commit(r->store), 0);
    pthread_join(thread, NULL);
    return 0;
}

static void a_claim_waits_for_who_declares_its_worker_dead(void **state)
{
    struct db *d = *state;
    struct slow s = {d, db_open(d), -1, false};
    claim_mine(d->a, 20, d->wa);
    assert_int_equal(record_transact(record_mysql_of(d->b), declare_slowly, &s), 0);
    assert_int_equal(s.err, 0);
    assert_false(s.taken);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_job WHERE id=?", 21), 0);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_call WHERE job=?", 20), 0);
    s.r->ops->close(s.r);
}

/* ---- deadlocks: two connections write the same rows over and over */

struct churn {
    struct record *r;
    uint64_t worker;
    int err;
};

static int swap_order(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head = "UPDATE op_job SET seq=seq+1 WHERE id=?"};
    bool up = *(bool *)arg;
    int err = 0;
    for (unsigned i = 0; i < 2 && !err; i++) {
        struct job_id id = id_of(up ? 30 + i : 31 - i);
        record_bytes(r, id.b, sizeof id.b);
        err = record_run(r, &q, 0);
    }
    return err;
}

static void *churn(void *arg)
{
    struct churn *c = arg;
    bool up = c->worker % 2;
    for (int i = 0; i < 150 && !c->err; i++)
        c->err = record_transact(record_mysql_of(c->r), swap_order, &up);
    return NULL;
}

static void a_deadlock_repeats_the_transaction(void **state)
{
    struct db *d = *state;
    struct record_register jobs[] = {job_of(30), job_of(31)};
    struct churn x = {d->a, 1, 0}, y = {d->b, 2, 0};
    pthread_t tx, ty;
    assert_int_equal(d->a->ops->register_jobs(d->a, jobs, 2), 0);
    db_exec(d, "UPDATE op_job SET seq=0");
    pthread_create(&tx, NULL, churn, &x);
    pthread_create(&ty, NULL, churn, &y);
    pthread_join(tx, NULL);
    pthread_join(ty, NULL);
    assert_int_equal(x.err, 0);
    assert_int_equal(y.err, 0);
    assert_int_equal(number(d, "SELECT seq FROM op_job WHERE id=?", 30), 300); /* each once */
    assert_int_equal(number(d, "SELECT seq FROM op_job WHERE id=?", 31), 300);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_finish_stores_the_end_once),
        T(who_does_not_hold_a_job_cannot_end_it),
        T(a_cancel_before_the_finish_wins),
        T(a_finish_before_the_cancel_wins),
        T(a_saved_job_is_not_cancelled),
        T(a_dead_letter_comes_and_a_later_round_mends_it),
        T(a_dead_letter_goes_without_what_does_not_fit),
        T(a_batch_mixes_all_cases),
        T(big_results_and_long_texts_fit),
        T(a_row_the_server_refuses_is_told_from_a_lost_server),
        T(a_released_job_is_free_for_all),
        T(a_living_worker_is_not_taken_from),
        T(a_dead_worker_loses_its_jobs_and_all_say),
        T(a_worker_that_left_is_out),
        T(six_hundred_jobs_are_watched_in_two_statements),
        T(declaring_dead_waits_for_the_batch),
        T(a_claim_waits_for_who_declares_its_worker_dead),
        T(a_deadlock_repeats_the_transaction),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
