/* What users ask of the record, against a real server: T9 in every order with claim and finish, and
 * their own jobs, page by page. */
#include "tests/adapter/record_db.h"

#include <pthread.h>

static int64_t number(struct db *d, const char *sql, unsigned n)
{
    struct job_id id = id_of(n);
    return db_number(d, sql, &id);
}

static int64_t state_of(struct db *d, unsigned n)
{
    return number(d, "SELECT state FROM op_job WHERE id=?", n);
}

static struct record_cancel cancel_of(unsigned n)
{
    return (struct record_cancel){.id = id_of(n), .owner = job_of(n).owner, .created_us = CREATED};
}

static int cancel(struct record *r, unsigned n, enum job_state *before)
{
    struct record_cancel c = cancel_of(n);
    int err = r->ops->cancel(r, &c);
    *before = c.before;
    return err;
}

/* ---- T9 */

static void a_queued_job_is_cancelled_and_claimed_by_nobody(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(1);
    enum job_state before;
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    assert_int_equal(cancel(d->b, 1, &before), 0);
    assert_int_equal(before, JOB_QUEUED);
    assert_int_equal(number(d,
                            "SELECT state=13 AND reason='cancelled' AND cancel=1 AND finished IS"
                            " NOT NULL FROM op_job WHERE id=?",
                            1),
                     1);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_cancel WHERE job=?", 1), 1);
    struct record_claim c = claim_one(d->a, 1, d->wa, 0);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.row.state, JOB_CANCELLED);
    record_claim_fini(&c);
    assert_int_equal(cancel(d->b, 1, &before), ERR_CONFLICT); /* final */
}

static void a_running_job_is_cancelled_by_its_worker(void **state)
{
    struct db *d = *state;
    enum job_state before;
    claim_mine(d->a, 2, d->wa);
    assert_int_equal(cancel(d->b, 2, &before), 0);
    assert_int_equal(before, JOB_RUNNING);
    assert_int_equal(number(d,
                            "SELECT state=1 AND cancel=1 AND reason='' AND finished IS NULL FROM"
                            " op_job WHERE id=?",
                            2),
                     1);
    assert_int_equal(cancel(d->b, 2, &before), 0); /* twice is no harm */
    struct record_finish f = end_of(2, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(f.stored, JOB_CANCELLED);
}

static void a_finished_job_cannot_be_cancelled(void **state)
{
    struct db *d = *state;
    enum job_state before;
    claim_mine(d->a, 3, d->wa);
    struct record_finish f = end_of(3, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    assert_int_equal(cancel(d->b, 3, &before), ERR_CONFLICT);
    assert_int_equal(number(d, "SELECT state=10 AND cancel=0 FROM op_job WHERE id=?", 3), 1);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_cancel WHERE job=?", 3), 0);
}

static void another_owners_job_is_left_alone(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(4);
    struct record_cancel c = cancel_of(4);
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    c.owner.b[15] ^= 1;
    assert_int_equal(d->b->ops->cancel(d->b, &c), ERR_NOT_FOUND);
    c.owner = (struct owner){0};
    assert_int_equal(d->b->ops->cancel(d->b, &c), ERR_NOT_FOUND);
    assert_int_equal(state_of(d, 4), JOB_QUEUED);
    assert_int_equal(number(d, "SELECT COUNT(*) FROM op_cancel WHERE job=?", 4), 0);
}

static void a_job_without_row_is_cancelled_before_it_comes(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(5);
    enum job_state before;
    assert_int_equal(cancel(d->b, 5, &before), 0);
    assert_int_equal(before, JOB_NONE);
    assert_int_equal(number(d, "SELECT flow='' AND sweep_at>NOW(6) FROM op_job WHERE id=?", 5), 1);
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    assert_int_equal(number(d, "SELECT flow='price-compare' FROM op_job WHERE id=?", 5), 1);
    struct record_claim c = claim_one(d->a, 5, d->wa, 0);
    assert_int_equal(c.row.state, JOB_CANCELLED);
    assert_int_equal(c.row.created_us, CREATED);
    record_claim_fini(&c);
}

static void a_cancel_survives_a_closed_connection(void **state)
{
    struct db *d = *state;
    struct record_register j = job_of(6);
    enum job_state before;
    char sql[64];
    assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    int64_t id = db_number(d,
                           "SELECT MIN(id) FROM information_schema.processlist WHERE"
                           " db=DATABASE() AND id<>CONNECTION_ID()",
                           NULL);
    snprintf(sql, sizeof sql, "KILL %lld", (long long)id); /* a's: it was opened first */
    db_exec(d, sql);
    assert_int_equal(cancel(d->a, 6, &before), 0);
    assert_int_equal(before, JOB_QUEUED);
    assert_int_equal(state_of(d, 6), JOB_CANCELLED);
}

/* ---- races: both at once, on two connections; whoever is first, the two agree */

enum { RACES = 60 };

struct racer {
    struct db *d;
    pthread_barrier_t *start;
    unsigned from;
    int err[RACES];
    enum job_state before[RACES];
};

static void *cancel_all(void *arg)
{
    struct racer *x = arg;
    for (unsigned i = 0; i < RACES; i++) {
        struct record_cancel c = cancel_of(x->from + i);
        pthread_barrier_wait(x->start);
        x->err[i] = x->d->b->ops->cancel(x->d->b, &c);
        x->before[i] = c.before;
    }
    return NULL;
}

static void a_cancel_and_a_claim_at_once_agree(void **state)
{
    struct db *d = *state;
    pthread_barrier_t barrier;
    pthread_t thread;
    struct racer x = {.d = d, .start = &barrier, .from = 100};
    for (unsigned i = 0; i < RACES / 2; i++) { /* half of them are registered */
        struct record_register j = job_of(100 + i);
        assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    }
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, &x), 0);
    enum job_state claimed[RACES];
    for (unsigned i = 0; i < RACES; i++) {
        pthread_barrier_wait(&barrier);
        struct record_claim c = claim_one(d->a, 100 + i, d->wa, 0);
        assert_int_equal(c.status, 0);
        claimed[i] = c.row.state;
        record_claim_fini(&c);
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    for (unsigned i = 0; i < RACES; i++) {
        assert_int_equal(x.err[i], 0);
        bool claim_first = x.before[i] == JOB_RUNNING;
        assert_int_equal(claimed[i], claim_first ? JOB_RUNNING : JOB_CANCELLED);
        assert_int_equal(number(d,
                                "SELECT state+100*cancel+1000*(SELECT COUNT(*) FROM op_cancel WHERE"
                                " job=op_job.id) FROM op_job WHERE id=?",
                                100 + i),
                         1100 + (claim_first ? JOB_RUNNING : JOB_CANCELLED));
    }
}

static void a_cancel_and_a_finish_at_once_agree(void **state)
{
    struct db *d = *state;
    pthread_barrier_t barrier;
    pthread_t thread;
    struct racer x = {.d = d, .start = &barrier, .from = 300};
    for (unsigned i = 0; i < RACES; i++)
        claim_mine(d->a, 300 + i, d->wa);
    pthread_barrier_init(&barrier, NULL, 2);
    assert_int_equal(pthread_create(&thread, NULL, cancel_all, &x), 0);
    enum job_state stored[RACES];
    for (unsigned i = 0; i < RACES; i++) {
        struct record_finish f = end_of(300 + i, JOB_SUCCEEDED, d->wa);
        pthread_barrier_wait(&barrier);
        assert_int_equal(finish_one(d->a, &f), 0);
        stored[i] = f.stored;
    }
    pthread_join(thread, NULL);
    pthread_barrier_destroy(&barrier);
    for (unsigned i = 0; i < RACES; i++) {
        assert_int_equal(stored[i], x.err[i] == 0 ? JOB_CANCELLED : JOB_SUCCEEDED);
        if (x.err[i])
            assert_int_equal(x.err[i], ERR_CONFLICT);
        assert_int_equal(state_of(d, 300 + i), stored[i]);
    }
}

/* ---- my jobs */

static struct record_list list_of(struct db *d, struct record_list l)
{
    l.owner = (struct owner){{1}};
    if (!l.max)
        l.max = 100;
    assert_int_equal(d->b->ops->list(d->b, &l), 0);
    return l;
}

static size_t count(struct db *d, struct record_list l)
{
    l = list_of(d, l);
    size_t n = l.n;
    record_list_fini(&l);
    return n;
}

/* Jobs 1 to n of one user, three of each moment, and one of another user. */
static void register_mine(struct db *d, unsigned n)
{
    for (unsigned i = 0; i <= n; i++) {
        struct record_register j = job_of(i);
        j.owner = (struct owner){{i == 0 ? 2 : 1}};
        j.created_us = CREATED + i / 3;
        j.flow = i % 2 ? "odd" : "even";
        assert_int_equal(d->a->ops->register_jobs(d->a, &j, 1), 0);
    }
}

static void pages_hold_every_job_once(void **state)
{
    struct db *d = *state;
    struct record_list l = {.state = JOB_NONE, .max = 4};
    struct job_id seen[20];
    int64_t last_us = INT64_MAX;
    size_t n = 0;
    register_mine(d, 17);
    for (;;) {
        struct record_list page = list_of(d, l);
        for (size_t i = 0; i < page.n; i++) {
            const struct record_job *j = &page.rows[i];
            assert_true(
                j->created_us < last_us ||
                (j->created_us == last_us && memcmp(j->id.b, seen[n - 1].b, sizeof j->id.b) < 0));
            last_us = j->created_us;
            seen[n++] = j->id;
        }
        if (page.n) {
            l.before_us = page.rows[page.n - 1].created_us;
            l.before_id = page.rows[page.n - 1].id;
        }
        size_t got = page.n;
        record_list_fini(&page);
        if (got < 4)
            break;
    }
    assert_int_equal(n, 17);
}

static void lists_are_filtered(void **state)
{
    struct db *d = *state;
    register_mine(d, 6);
    assert_int_equal(count(d, (struct record_list){.state = JOB_NONE}), 6);
    assert_int_equal(count(d, (struct record_list){.state = JOB_NONE, .flow = "odd"}), 3);
    assert_int_equal(count(d, (struct record_list){.state = JOB_NONE, .flow = ""}), 6);
    assert_int_equal(count(d, (struct record_list){.state = JOB_NONE, .since_us = CREATED + 1}), 4);
    claim_mine(d->a, 1, d->wa);
    db_exec(d, "UPDATE op_job SET round=1,retry_at=NOW(6) WHERE flow='odd' AND state=0 LIMIT 1");
    assert_int_equal(count(d, (struct record_list){.state = JOB_RUNNING}), 2);
    assert_int_equal(count(d, (struct record_list){.state = JOB_QUEUED}), 4);
    assert_int_equal(count(d, (struct record_list){.state = JOB_SUCCEEDED}), 0);
}

static void a_filter_looks_at_so_many_and_goes_on_behind_them(void **state)
{
    struct db *d = *state;
    struct record_list l = {.state = JOB_NONE, .flow = "odd", .scan_max = 5};
    size_t n = 0, pages = 0;
    register_mine(d, 17);
    do {
        struct record_list page = list_of(d, l);
        assert_true(page.n <= 3); /* every second of five */
        for (size_t i = 0; i < page.n; i++)
            assert_string_equal(page.rows[i].flow, "odd");
        n += page.n;
        pages++;
        l.before_us = page.cut ? page.cut_us : 0;
        l.before_id = page.cut_id;
        record_list_fini(&page);
    } while (l.before_us && pages < 10);
    assert_int_equal(n, 9);
    assert_int_equal(pages, 4);
}

static void what_ends_the_page_first_is_no_cut(void **state)
{
    struct db *d = *state;
    register_mine(d, 6);
    struct record_list l =
        list_of(d, (struct record_list){.state = JOB_NONE, .flow = "odd", .max = 1, .scan_max = 5});
    assert_int_equal(l.n, 1);
    assert_false(l.cut);
    record_list_fini(&l);
    l = list_of(d, (struct record_list){.state = JOB_NONE, .max = 5, .scan_max = 2});
    assert_int_equal(l.n, 5); /* no filter: the index alone finds them */
    assert_false(l.cut);
    record_list_fini(&l);
    l = list_of(d, (struct record_list){.state = JOB_SUCCEEDED, .scan_max = 2});
    assert_int_equal(l.n, 0);
    assert_true(l.cut);
    record_list_fini(&l);
}

static void a_long_result_is_only_measured(void **state)
{
    struct db *d = *state;
    register_mine(d, 1);
    claim_mine(d->a, 1, d->wa);
    struct record_finish f = end_of(1, JOB_SUCCEEDED, d->wa);
    assert_int_equal(finish_one(d->a, &f), 0);
    struct record_list l =
        list_of(d, (struct record_list){.state = JOB_SUCCEEDED, .result_max = 7});
    assert_int_equal(l.n, 1);
    assert_string_equal(l.rows[0].result, "{\"x\":1}");
    assert_int_equal(l.rows[0].result_len, 7);
    record_list_fini(&l);
    l = list_of(d, (struct record_list){.state = JOB_NONE, .result_max = 6});
    assert_null(l.rows[0].result);
    assert_int_equal(l.rows[0].result_len, 7);
    assert_string_equal(l.rows[0].flow, "odd");
    record_list_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_queued_job_is_cancelled_and_claimed_by_nobody),
        T(a_running_job_is_cancelled_by_its_worker),
        T(a_finished_job_cannot_be_cancelled),
        T(another_owners_job_is_left_alone),
        T(a_job_without_row_is_cancelled_before_it_comes),
        T(a_cancel_survives_a_closed_connection),
        T(a_cancel_and_a_claim_at_once_agree),
        T(a_cancel_and_a_finish_at_once_agree),
        T(pages_hold_every_job_once),
        T(lists_are_filtered),
        T(a_filter_looks_at_so_many_and_goes_on_behind_them),
        T(what_ends_the_page_first_is_no_cut),
        T(a_long_result_is_only_measured),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
