/* record_moves.h - tries each operation of the record on a job in each state and compares what
 * becomes of it with the table of moves (common/job.c): the fake and the SQL guards can neither
 * allow what the table does not, nor refuse what it has. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/record.h"

struct moves { /* one record to try */
    struct record *r;
    uint64_t worker;
    int64_t now_us; /* the server's */
    /* A row that is overdue, in that state and of that worker; a final one has a dead letter, so
     * that the sweep keeps it. */
    void (*put)(void *arg, const struct job_id *id, enum job_state state, uint64_t worker);
    void (*kill)(void *arg, uint64_t worker);                       /* its lease is out */
    enum job_state (*state_of)(void *arg, const struct job_id *id); /* JOB_NONE: no row */
    void *arg;
    unsigned n; /* jobs so far */
};

static const struct record_register *moves_job(const struct moves *m, const struct job_id *id)
{
    static struct record_register j;
    j = (struct record_register){
        .id = *id, .flow = "f", .created_us = m->now_us, .sweep_at_us = m->now_us + 60000000};
    return &j;
}

static void moves_register(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_register j = *moves_job(m, id);
    (void)to;
    assert_int_equal(m->r->ops->register_jobs(m->r, &j, 1), 0);
}

static void moves_claim(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_claim c = {.job = *moves_job(m, id), .worker = m->worker}, *list[] = {&c};
    (void)to;
    assert_int_equal(m->r->ops->claim(m->r, list, 1), 0);
    record_claim_fini(&c);
}

static void moves_finish(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_finish f = {.worker = m->worker,
                              .id = *id,
                              .state = to,
                              .flow = "f",
                              .reason = "",
                              .seq = 9,
                              .keep_ms = 1000},
                         *list[] = {&f};
    assert_int_equal(m->r->ops->finish(m->r, list, 1), 0);
}

static void moves_retry(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_finish f = {.worker = m->worker,
                              .id = *id,
                              .state = to,
                              .seq = 9,
                              .due_us = m->now_us + 1000000,
                              .sweep_at_us = m->now_us + 60000000},
                         *list[] = {&f};
    assert_int_equal(m->r->ops->finish(m->r, list, 1), 0);
}

static void moves_release(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_release l = {.worker = m->worker, .id = *id}, *list[] = {&l};
    (void)to;
    assert_int_equal(m->r->ops->release(m->r, list, 1), 0);
}

static void moves_take_over(struct moves *m, const struct job_id *id, enum job_state to)
{
    bool taken = false;
    uint64_t heir = 0;
    (void)to;
    m->kill(m->arg, m->worker);
    assert_int_equal(m->r->ops->worker_start(m->r, "heir", 15000, &heir), 0);
    assert_int_equal(m->r->ops->take_over(m->r, m->worker, heir, id, 1, &taken), 0);
    m->worker = heir;
}

static void moves_sweep(struct moves *m, const struct job_id *id, enum job_state to)
{
    struct record_swept did;
    uint64_t next = 0;
    (void)id;
    (void)to;
    m->kill(m->arg, m->worker);
    assert_int_equal(m->r->ops->sweep(m->r, 86400000, &did), 0);
    assert_int_equal(m->r->ops->worker_start(m->r, "next", 15000, &next), 0);
    m->worker = next;
}

static const struct {
    enum job_move move;
    enum job_state to;
    void (*act)(struct moves *m, const struct job_id *id, enum job_state to);
} moves_list[] = {
    {MOVE_REGISTER, JOB_QUEUED, moves_register},    {MOVE_CLAIM, JOB_RUNNING, moves_claim},
    {MOVE_FINISH, JOB_SUCCEEDED, moves_finish},     {MOVE_FINISH, JOB_PARTIAL, moves_finish},
    {MOVE_FINISH, JOB_FAILED, moves_finish},        {MOVE_DEADLINE, JOB_PARTIAL, moves_finish},
    {MOVE_DEADLINE, JOB_EXPIRED, moves_finish},     {MOVE_CANCEL_SEEN, JOB_CANCELLED, moves_finish},
    {MOVE_RETRY, JOB_QUEUED, moves_retry},          {MOVE_RELEASE, JOB_QUEUED, moves_release},
    {MOVE_TAKE_OVER, JOB_RUNNING, moves_take_over}, {MOVE_SWEEP, JOB_EXPIRED, moves_sweep},
};

static void moves_try(struct moves *m, enum job_state from, size_t which)
{
    struct job_id id = {{3, 3}};
    id.b[14] = (uint8_t)(++m->n >> 8);
    id.b[15] = (uint8_t)m->n;
    if (from != JOB_NONE)
        m->put(m->arg, &id, from, from == JOB_RUNNING ? m->worker : 0);
    enum job_state want = from;
    bool may = job_move(&want, moves_list[which].move, moves_list[which].to) == 0;
    moves_list[which].act(m, &id, moves_list[which].to);
    enum job_state got = m->state_of(m->arg, &id);
    if (got != want)
        fail_msg("%s, move %d: is %s, and by the table (%s) %s", job_state_name(from),
                 (int)moves_list[which].move, job_state_name(got), may ? "a move" : "no move",
                 job_state_name(want));
}

/* All pairs of what the record can do by now: cancel and redrive are not among them yet. */
static void moves_try_all(struct moves *m)
{
    static const enum job_state states[] = {JOB_NONE,    JOB_QUEUED, JOB_RUNNING,   JOB_SUCCEEDED,
                                            JOB_PARTIAL, JOB_FAILED, JOB_CANCELLED, JOB_EXPIRED};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        for (size_t k = 0; k < sizeof moves_list / sizeof moves_list[0]; k++)
            moves_try(m, states[i], k);
}
