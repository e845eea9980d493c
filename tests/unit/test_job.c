#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/job.h"

static const enum job_state states[] = {JOB_NONE,    JOB_QUEUED, JOB_RUNNING,   JOB_SUCCEEDED,
                                        JOB_PARTIAL, JOB_FAILED, JOB_CANCELLED, JOB_EXPIRED};
enum { STATES = sizeof states / sizeof states[0] };

/* The table of the protocol, written a second time: row by row from, move, all that may follow. */
static const struct {
    enum job_state from;
    enum job_move move;
    enum job_state to[3];
    size_t n;
} allowed[] = {
    {JOB_NONE, MOVE_REGISTER, {JOB_QUEUED}, 1},
    {JOB_NONE, MOVE_CLAIM, {JOB_RUNNING}, 1},
    {JOB_QUEUED, MOVE_CLAIM, {JOB_RUNNING}, 1},
    {JOB_NONE, MOVE_CANCEL, {JOB_CANCELLED}, 1},
    {JOB_QUEUED, MOVE_CANCEL, {JOB_CANCELLED}, 1},
    {JOB_RUNNING, MOVE_TAKE_OVER, {JOB_RUNNING, JOB_FAILED}, 2},
    {JOB_RUNNING, MOVE_FINISH, {JOB_SUCCEEDED, JOB_PARTIAL, JOB_FAILED}, 3},
    {JOB_RUNNING, MOVE_RETRY, {JOB_QUEUED}, 1},
    {JOB_RUNNING, MOVE_RELEASE, {JOB_QUEUED}, 1},
    {JOB_RUNNING, MOVE_CANCEL_SEEN, {JOB_CANCELLED}, 1},
    {JOB_RUNNING, MOVE_DEADLINE, {JOB_PARTIAL, JOB_EXPIRED}, 2},
    {JOB_QUEUED, MOVE_SWEEP, {JOB_EXPIRED}, 1},
    {JOB_RUNNING, MOVE_SWEEP, {JOB_EXPIRED}, 1},
    {JOB_FAILED, MOVE_REDRIVE, {JOB_QUEUED}, 1},
    {JOB_EXPIRED, MOVE_REDRIVE, {JOB_QUEUED}, 1},
};

static bool is_allowed(enum job_state from, enum job_move move, enum job_state to)
{
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        for (size_t k = 0; k < allowed[i].n; k++)
            if (allowed[i].from == from && allowed[i].move == move && allowed[i].to[k] == to)
                return true;
    return false;
}

static void test_the_whole_table_and_nothing_else(void **state)
{
    (void)state;
    size_t moved = 0;
    for (size_t i = 0; i < STATES; i++) {
        for (int move = 0; move < MOVE_COUNT; move++) {
            for (size_t k = 0; k < STATES; k++) {
                enum job_state at = states[i];
                bool may = is_allowed(at, (enum job_move)move, states[k]);
                int rc = job_move(&at, (enum job_move)move, states[k]);
                if (rc != (may ? 0 : ERR_CONFLICT))
                    fail_msg("%s, move %d, %s: %d", job_state_name(states[i]), move,
                             job_state_name(states[k]), rc);
                assert_int_equal(at, may ? states[k] : states[i]);
                moved += may;
            }
        }
    }
    assert_int_equal(moved, 19);
}

static void test_only_redrive_leaves_a_final_state(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++)
        if (job_is_final(allowed[i].from))
            assert_int_equal(allowed[i].move, MOVE_REDRIVE);
    assert_false(job_is_final(JOB_NONE));
    assert_false(job_is_final(JOB_QUEUED));
    assert_false(job_is_final(JOB_RUNNING));
    for (size_t i = 3; i < STATES; i++)
        assert_true(job_is_final(states[i]));
}

static void test_names_and_stored_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int number;
    } rows[] = {{"queued", 0},  {"running", 1},    {"succeeded", 10}, {"partial", 11},
                {"failed", 12}, {"cancelled", 13}, {"expired", 14}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        enum job_state s = JOB_NONE;
        assert_int_equal(job_state_parse(rows[i].name, &s), 0);
        assert_int_equal(s, rows[i].number);
        assert_string_equal(job_state_name(s), rows[i].name);
    }
    enum job_state s = JOB_PARTIAL;
    assert_int_equal(job_state_parse("Queued", &s), ERR_INVALID);
    assert_int_equal(job_state_parse("", &s), ERR_INVALID);
    assert_int_equal(s, JOB_PARTIAL);
    assert_string_equal(job_state_name(JOB_NONE), "?");
    assert_string_equal(job_state_name((enum job_state)99), "?");
}

static void test_reasons_are_read_back(void **state)
{
    (void)state;
    for (int r = 1; r < REASON_COUNT; r++) {
        const char *code = reason_code((enum job_reason)r);
        assert_true(*code);
        assert_int_equal(reason_parse(code), r); /* so none stands twice */
        assert_true(*reason_for_user((enum job_reason)r));
        assert_true(*reason_for_operator((enum job_reason)r));
    }
    assert_string_equal(reason_code(REASON_NONE), "");
    assert_string_equal(reason_code((enum job_reason)999), "");
    assert_int_equal(reason_parse(""), REASON_NONE);
    assert_int_equal(reason_parse("no-such-reason"), REASON_NONE);
}

static void test_call_codes_are_read_back(void **state)
{
    (void)state;
    for (int c = 1; c < CALL_CODE_COUNT; c++) {
        const char *code = call_code((enum call_code)c);
        assert_true(*code);
        assert_int_equal(call_code_parse(code), c);
        assert_true(*call_code_for_user((enum call_code)c));
        assert_true(*call_code_for_operator((enum call_code)c));
    }
    assert_string_equal(call_code(CALL_OK), "");
    assert_string_equal(call_code((enum call_code)999), "");
    assert_int_equal(call_code_parse(""), CALL_OK);
    assert_int_equal(call_code_parse("no-such-code"), CALL_CODE_COUNT);
}

static void test_open_jobs_are_looked_after_late_enough(void **state)
{
    (void)state;
    assert_int_equal(job_sweep_at_us(5, 7000000, 3000), 607000000);
    assert_int_equal(job_sweep_at_us(5, 0, 3000), 5 + 3000000 + 86400000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_whole_table_and_nothing_else),
        cmocka_unit_test(test_only_redrive_leaves_a_final_state),
        cmocka_unit_test(test_names_and_stored_numbers),
        cmocka_unit_test(test_open_jobs_are_looked_after_late_enough),
        cmocka_unit_test(test_reasons_are_read_back),
        cmocka_unit_test(test_call_codes_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
