/* What a host holds that is lost, or frozen, in the middle of a transaction (decision 57): the
 * server is told to end it, and a take-over does not stand behind it meanwhile. */
#include "common/clock.h"
#include "tests/adapter/record_db.h"

enum { SOON_MS = 4000, SILENT_S = 15 }; /* of 50 s that a lock is waited for elsewhere */

static void a_silent_transaction_is_ended_by_the_server(void **state)
{
    struct db *d = *state;
    assert_int_equal(store_mode(d->raw, STORE_TOGETHER), 0);
    assert_int_equal(
        db_number(d, "SELECT /*M!100301 @@idle_transaction_timeout*/ /*!80000 @@wait_timeout*/",
                  NULL),
        SILENT_S);
    assert_int_equal(db_number(d, "SELECT @@net_read_timeout", NULL), SILENT_S);
    assert_int_equal(db_number(d, "SELECT @@net_write_timeout", NULL), SILENT_S);
    assert_int_equal(store_mode(d->raw, STORE_ALONE), 0);
    assert_true(db_number(d, "SELECT @@wait_timeout", NULL) > SILENT_S); /* it may rest */
}

/* As a batch that stands still in the middle. */
static struct store *hold(struct db *d, const char *sql)
{
    struct store_url u;
    char why[STORE_WHY];
    struct store *s;
    assert_int_equal(store_url_parse(d->url, &u, why), 0);
    assert_int_equal(store_open(&(struct store_settings){&u, 5000, 10000}, &s, why), 0);
    assert_int_equal(store_mode(s, STORE_TOGETHER), 0);
    assert_int_equal(store_exec(s, sql), 0);
    return s;
}

static void expire(struct db *d)
{
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='a'");
}

static int take_soon(struct db *d, const struct job_id *ids, size_t n, bool *taken)
{
    int64_t from = clock_mono_ms(clock_real());
    int err = d->b->ops->take_over(d->b, d->wa, d->wb, ids, n, taken);
    assert_in_range(clock_mono_ms(clock_real()) - from, 0, SOON_MS);
    return err;
}

static void a_worker_whose_row_is_locked_is_for_later(void **state)
{
    struct db *d = *state;
    struct job_id id = id_of(1);
    bool taken = false;
    claim_mine(d->a, 1, d->wa);
    expire(d);
    struct store *held = hold(d, "SELECT * FROM op_worker LOCK IN SHARE MODE");
    assert_int_equal(take_soon(d, &id, 1, &taken), ERR_TIMEOUT);
    assert_int_equal(db_number(d, "SELECT state FROM op_worker WHERE name='a'", NULL), 0);
    store_rollback(held);
    store_close(held);
    assert_int_equal(take_soon(d, &id, 1, &taken), 0);
    assert_true(taken);
}

static void a_job_that_is_locked_holds_up_no_other(void **state)
{
    struct db *d = *state;
    struct job_id ids[] = {id_of(1), id_of(2), id_of(3)};
    bool taken[3];
    for (unsigned i = 1; i <= 3; i++)
        claim_mine(d->a, i, d->wa);
    expire(d);
    struct store *held = hold(d, "SELECT id FROM op_job ORDER BY id LIMIT 1 FOR UPDATE");
    assert_int_equal(take_soon(d, ids, 3, taken), 0);
    assert_int_equal(taken[0] + taken[1] + taken[2], 2);
    store_rollback(held);
    store_close(held);
    assert_int_equal(take_soon(d, ids, 3, taken), 0);
    assert_int_equal(taken[0] + taken[1] + taken[2], 1);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_job WHERE crashes=1", NULL), 3);
}

/* The lock wait of what comes after a take-over is the usual one. */
static int patience(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head = "SELECT @@innodb_lock_wait_timeout"};
    const struct store_value *v;
    int err = record_run_first(r, &q, &v);
    *(int64_t *)arg = err == 1 ? v[0].i : 0;
    return err < 0 ? err : 0;
}

static void a_take_over_is_impatient_alone(void **state)
{
    struct db *d = *state;
    struct job_id id = id_of(1);
    bool taken;
    int64_t wait_s = 0;
    claim_mine(d->a, 1, d->wa);
    expire(d);
    assert_int_equal(take_soon(d, &id, 1, &taken), 0);
    assert_int_equal(record_transact(record_mysql_of(d->b), patience, &wait_s), 0);
    assert_int_equal(wait_s, 5);
}

/* Living workers hold each other's rows in every transaction (T0), and a frozen one for 15 s. */
static void a_sweep_waits_for_no_worker_that_lives(void **state)
{
    struct db *d = *state;
    struct record_swept did;
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 25 HOUR WHERE name='b'");
    struct store *held = hold(d, "SELECT * FROM op_worker WHERE name='a' LOCK IN SHARE MODE");
    int64_t from = clock_mono_ms(clock_real());
    assert_int_equal(d->b->ops->sweep(d->b, 86400000, &did), 0);
    assert_in_range(clock_mono_ms(clock_real()) - from, 0, SOON_MS);
    assert_int_equal(db_number(d, "SELECT COUNT(*) FROM op_worker", NULL), 1);
    store_rollback(held);
    store_close(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_silent_transaction_is_ended_by_the_server),
        T(a_worker_whose_row_is_locked_is_for_later),
        T(a_job_that_is_locked_holds_up_no_other),
        T(a_take_over_is_impatient_alone),
        T(a_sweep_waits_for_no_worker_that_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
