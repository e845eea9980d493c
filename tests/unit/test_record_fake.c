/* The fake keeps the same promises as the SQL (tests/adapter/test_record*.c), and fails on demand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/record_fake.h"
#include "tests/record_moves.h"

static const int64_t NOW = 1800000000ll * 1000000, SECOND = 1000000;
static const int64_t DAY = 86400ll * 1000000;

struct bench {
    struct clock_stepped clock;
    struct record_fake *db;
    struct record *r;
    uint64_t wa, wb;
};

static int setup(void **state)
{
    static struct bench b;
    clock_stepped_init(&b.clock, NOW);
    b.db = record_fake_new(&b.clock.clock);
    assert_non_null(b.db);
    assert_int_equal(record_fake_open(b.db, &b.r, NULL), 0);
    assert_int_equal(b.r->ops->worker_start(b.r, "a", 15000, &b.wa), 0);
    assert_int_equal(b.r->ops->worker_start(b.r, "b", 15000, &b.wb), 0);
    assert_int_not_equal(b.wa, b.wb);
    *state = &b;
    return 0;
}

static int teardown(void **state)
{
    struct bench *b = *state;
    b->r->ops->close(b->r);
    record_fake_free(b->db);
    return 0;
}

static struct job_id id_of(unsigned n)
{
    struct job_id id = {{1, 2}};
    id.b[15] = (uint8_t)n;
    return id;
}

static const struct owner OWNER = {{7}};

static struct record_claim claim(struct bench *b, unsigned n, uint64_t worker, uint16_t round)
{
    struct record_claim c = {.job = {.id = id_of(n),
                                     .owner = OWNER,
                                     .flow = "f",
                                     .created_us = NOW,
                                     .sweep_at_us = NOW + 60 * SECOND},
                             .worker = worker,
                             .round = round},
                        *list[] = {&c};
    assert_int_equal(b->r->ops->claim(b->r, list, 1), 0);
    return c;
}

static void claim_mine(struct bench *b, unsigned n, uint64_t worker)
{
    struct record_claim c = claim(b, n, worker, 0);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.row.state, JOB_RUNNING);
    assert_int_equal(c.row.worker, worker);
    record_claim_fini(&c);
}

static struct record_ledger ledger(struct bench *b, unsigned n, unsigned seq,
                                   enum call_outcome outcome, uint16_t round)
{
    struct record_ledger l = {.worker = b->wa,
                              .call = {.job = id_of(n),
                                       .seq = seq,
                                       .name = "c",
                                       .item = -1,
                                       .round = round,
                                       .outcome = outcome}},
                         *list[] = {&l};
    assert_int_equal(b->r->ops->ledger(b->r, list, 1), 0);
    return l;
}

static struct record_finish finish(struct bench *b, unsigned n, uint64_t worker,
                                   enum job_state state)
{
    struct record_finish f = {.worker = worker,
                              .id = id_of(n),
                              .state = state,
                              .seq = 9,
                              .reason = "",
                              .keep_ms = 1000,
                              .result = "1",
                              .result_len = 1},
                         *list[] = {&f};
    assert_int_equal(b->r->ops->finish(b->r, list, 1), 0);
    return f;
}

static enum job_state state_of(struct bench *b, unsigned n)
{
    struct record_job row;
    struct record_call *calls;
    struct job_id id = id_of(n);
    size_t calls_n;
    if (b->r->ops->read(b->r, &id, &row, &calls, &calls_n))
        return JOB_NONE;
    for (size_t i = 0; i < calls_n; i++)
        record_call_fini(&calls[i]);
    free(calls);
    record_job_fini(&row);
    return row.state;
}

static void a_registered_job_is_claimed_once(void **state)
{
    struct bench *b = *state;
    struct record_register j = {.id = id_of(1), .owner = OWNER, .flow = "f", .created_us = NOW};
    assert_int_equal(b->r->ops->register_jobs(b->r, &j, 1), 0);
    assert_int_equal(state_of(b, 1), JOB_QUEUED);
    claim_mine(b, 1, b->wa);
    assert_int_equal(b->r->ops->register_jobs(b->r, &j, 1), 0);
    struct record_claim c = claim(b, 1, b->wb, 0);
    assert_int_equal(c.row.worker, b->wa);
    assert_int_equal(c.row.state, JOB_RUNNING);
    record_claim_fini(&c);
}

static void moves_put(void *arg, const struct job_id *id, enum job_state state, uint64_t worker)
{
    record_fake_put(((struct bench *)arg)->db, id, state, worker);
}

static void moves_kill(void *arg, uint64_t worker)
{
    record_fake_expire(((struct bench *)arg)->db, worker);
}

static enum job_state moves_state(void *arg, const struct job_id *id)
{
    struct bench *b = arg;
    struct record_watch row = {.id = *id};
    assert_int_equal(b->r->ops->watch(b->r, &row, 1), 0);
    return row.state;
}

static void its_guards_are_the_table_of_moves(void **state)
{
    struct bench *b = *state;
    struct moves m = {b->r, b->wa, NOW, moves_put, moves_kill, moves_state, b, 0};
    moves_try_all(&m);
}

static void a_stale_round_is_told(void **state)
{
    struct bench *b = *state;
    struct job_id id = id_of(2);
    claim_mine(b, 2, b->wa);
    record_fake_requeue(b->db, &id);
    struct record_claim c = claim(b, 2, b->wb, 0);
    assert_int_equal(c.row.state, JOB_QUEUED);
    assert_int_equal(c.row.round, 1);
    c = claim(b, 2, b->wb, 1);
    assert_int_equal(c.row.worker, b->wb);
    record_claim_fini(&c);
}

static void the_ledger_gives_way_only_where_it_may(void **state)
{
    struct bench *b = *state;
    claim_mine(b, 3, b->wa);
    assert_int_equal(ledger(b, 3, 0, OUTCOME_STARTED, 0).status, 0);
    assert_int_equal(ledger(b, 3, 1, OUTCOME_RETRYABLE, 0).status, 0);
    assert_int_equal(ledger(b, 3, 1, OUTCOME_RETRYABLE, 0).status, 0); /* the same again */
    struct record_ledger l = ledger(b, 3, 2, OUTCOME_OK, 0);
    assert_int_equal(l.status, ERR_EXISTS);
    assert_int_equal(l.stored.outcome, OUTCOME_RETRYABLE);
    record_call_fini(&l.stored);
    assert_int_equal(ledger(b, 3, 2, OUTCOME_OK, 1).status, 0);
    l = ledger(b, 3, 3, OUTCOME_FAILED, 2);
    assert_int_equal(l.status, ERR_EXISTS);
    record_call_fini(&l.stored);
    struct record_claim c = claim(b, 3, b->wa, 0);
    assert_int_equal(c.calls_n, 1);
    assert_int_equal(c.calls[0].outcome, OUTCOME_OK);
    assert_int_equal(c.calls[0].seq, 2);
    record_claim_fini(&c);
}

static void a_finish_is_written_once_by_who_holds_the_job(void **state)
{
    struct bench *b = *state;
    claim_mine(b, 4, b->wa);
    assert_int_equal(finish(b, 4, b->wb, JOB_FAILED).status, ERR_CONFLICT);
    assert_int_equal(finish(b, 4, b->wa, JOB_SUCCEEDED).status, 0);
    assert_int_equal(finish(b, 4, b->wa, JOB_SUCCEEDED).status, 0); /* an answer was lost */
    assert_int_equal(finish(b, 5, b->wa, JOB_SUCCEEDED).status, ERR_CONFLICT);
    struct record_claim c = claim(b, 4, b->wb, 0);
    assert_int_equal(c.row.state, JOB_SUCCEEDED);
    record_claim_fini(&c);
}

static void cancel_and_finish_whoever_came_first(void **state)
{
    struct bench *b = *state;
    struct job_id first = id_of(6), second = id_of(7), queued = id_of(8), saved = id_of(9);
    struct owner other = {{8}};
    claim_mine(b, 6, b->wa);
    assert_int_equal(record_fake_cancel(b->db, &first, &other), ERR_NOT_FOUND);
    assert_int_equal(record_fake_cancel(b->db, &first, &OWNER), 0);
    assert_int_equal(finish(b, 6, b->wa, JOB_SUCCEEDED).stored, JOB_CANCELLED);
    claim_mine(b, 7, b->wa);
    assert_int_equal(finish(b, 7, b->wa, JOB_SUCCEEDED).stored, JOB_SUCCEEDED);
    assert_int_equal(record_fake_cancel(b->db, &second, &OWNER), ERR_CONFLICT);
    assert_int_equal(record_fake_cancel(b->db, &queued, &OWNER), 0); /* before its record */
    struct record_claim c = claim(b, 8, b->wa, 0);
    assert_int_equal(c.row.state, JOB_CANCELLED);
    record_claim_fini(&c);
    claim_mine(b, 9, b->wa);
    struct record_ledger save = {.worker = b->wa,
                                 .call = {.job = saved, .name = "$save", .outcome = OUTCOME_OK}},
                         *list[] = {&save};
    assert_int_equal(b->r->ops->ledger(b->r, list, 1), 0);
    assert_int_equal(record_fake_cancel(b->db, &saved, &OWNER), 0);
    assert_int_equal(finish(b, 9, b->wa, JOB_SUCCEEDED).stored, JOB_SUCCEEDED);
}

static void the_fence_refuses_all_of_a_dead_worker(void **state)
{
    struct bench *b = *state;
    struct job_id id = id_of(10);
    bool taken;
    claim_mine(b, 10, b->wa);
    assert_int_equal(b->r->ops->take_over(b->r, b->wa, b->wb, &id, 1, &taken), ERR_CONFLICT);
    clock_step(&b->clock, 16 * SECOND);
    assert_int_equal(b->r->ops->worker_renew(b->r, b->wb, 15000), 0);
    assert_int_equal(b->r->ops->take_over(b->r, b->wa, b->wb, &id, 1, &taken), 0);
    assert_true(taken);
    assert_int_equal(record_fake_worker(b->db, b->wa), 9);
    assert_int_equal(b->r->ops->worker_renew(b->r, b->wa, 15000), ERR_FENCED);
    assert_int_equal(claim(b, 11, b->wa, 0).status, ERR_FENCED);
    assert_int_equal(ledger(b, 10, 1, OUTCOME_OK, 0).status, ERR_FENCED);
    assert_int_equal(finish(b, 10, b->wa, JOB_SUCCEEDED).status, ERR_FENCED);
    struct record_release r = {b->wa, id, 0}, *list[] = {&r};
    assert_int_equal(b->r->ops->release(b->r, list, 1), 0);
    assert_int_equal(r.status, ERR_FENCED);
    assert_int_equal(finish(b, 10, b->wb, JOB_SUCCEEDED).status, 0);
}

static void a_release_makes_it_free(void **state)
{
    struct bench *b = *state;
    claim_mine(b, 12, b->wa);
    struct record_release x = {b->wb, id_of(12), 0}, y = {b->wa, id_of(12), 0}, *list[] = {&x, &y};
    assert_int_equal(b->r->ops->release(b->r, list, 2), 0);
    assert_int_equal(x.status, ERR_CONFLICT);
    assert_int_equal(y.status, 0);
    claim_mine(b, 12, b->wb);
}

static void the_sweep_ends_empties_and_deletes(void **state)
{
    struct bench *b = *state;
    struct record_swept did;
    struct job_id dead = id_of(15);
    claim_mine(b, 13, b->wa); /* never finishes */
    claim_mine(b, 14, b->wb);
    claim_mine(b, 15, b->wb);
    assert_int_equal(finish(b, 14, b->wb, JOB_SUCCEEDED).status, 0);
    assert_int_equal(finish(b, 15, b->wb, JOB_FAILED).status, 0);
    record_fake_dead_set(b->db, &dead, 0);
    clock_step(&b->clock, 61 * SECOND);
    assert_int_equal(b->r->ops->sweep(b->r, 1000, &did), 0);
    assert_int_equal(did.expired, 1);
    assert_int_equal(did.emptied, 1);
    assert_int_equal(state_of(b, 13), JOB_EXPIRED);
    clock_step(&b->clock, 2 * DAY);
    assert_int_equal(b->r->ops->sweep(b->r, 1000, &did), 0);
    assert_int_equal(did.deleted, 1);
    assert_int_equal(state_of(b, 14), JOB_NONE);
    assert_int_equal(state_of(b, 15), JOB_FAILED); /* its letter is open */
    assert_int_equal(finish(b, 13, b->wa, JOB_SUCCEEDED).status, ERR_CONFLICT);
}

/* ---- faults */

static void the_nth_call_fails_and_does_nothing(void **state)
{
    struct bench *b = *state;
    struct record_finish f = {.worker = b->wa, .id = id_of(20), .state = JOB_SUCCEEDED},
                         *list[] = {&f};
    claim_mine(b, 20, b->wa);
    record_fake_fail(b->db, 2, ERR_TIMEOUT);
    assert_int_equal(b->r->ops->ping(b->r), 0);
    assert_int_equal(b->r->ops->finish(b->r, list, 1), ERR_TIMEOUT);
    assert_int_equal(state_of(b, 20), JOB_RUNNING);
    assert_int_equal(b->r->ops->finish(b->r, list, 1), 0);
}

static void a_lost_answer_is_done_all_the_same(void **state)
{
    struct bench *b = *state;
    struct record_finish f = {.worker = b->wa, .id = id_of(21), .state = JOB_SUCCEEDED},
                         *list[] = {&f};
    claim_mine(b, 21, b->wa);
    record_fake_lose(b->db, 1);
    assert_int_equal(b->r->ops->finish(b->r, list, 1), ERR_IO);
    assert_int_equal(state_of(b, 21), JOB_SUCCEEDED);
    struct record_claim c = {.job = {.id = id_of(22), .flow = "f"}, .worker = b->wa}, *cl[] = {&c};
    record_fake_lose(b->db, 1);
    assert_int_equal(b->r->ops->claim(b->r, cl, 1), ERR_IO);
    assert_null(c.calls);
    claim_mine(b, 22, b->wa); /* still ours */
}

static void away_is_away_for_all(void **state)
{
    struct bench *b = *state;
    struct record *other;
    unsigned before = record_fake_calls(b->db);
    record_fake_down(b->db, true);
    assert_int_equal(b->r->ops->ping(b->r), ERR_IO);
    assert_int_equal(record_fake_open(b->db, &other, NULL), ERR_IO);
    record_fake_down(b->db, false);
    assert_int_equal(b->r->ops->ping(b->r), 0);
    assert_int_equal(record_fake_calls(b->db) - before, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(a_registered_job_is_claimed_once),
        T(its_guards_are_the_table_of_moves),
        T(a_stale_round_is_told),
        T(the_ledger_gives_way_only_where_it_may),
        T(a_finish_is_written_once_by_who_holds_the_job),
        T(cancel_and_finish_whoever_came_first),
        T(the_fence_refuses_all_of_a_dead_worker),
        T(a_release_makes_it_free),
        T(the_sweep_ends_empties_and_deletes),
        T(the_nth_call_fails_and_does_nothing),
        T(a_lost_answer_is_done_all_the_same),
        T(away_is_away_for_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
