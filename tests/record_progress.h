/* record_progress.h - what the record promises whoever watches jobs (common/record.h: progress),
 * tried on any record: the fake and the SQL pass the same. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"

struct progress_bench { /* one record to try */
    struct record *r;
    uint64_t worker;
    int64_t now_us; /* the server's */
};

static struct job_id progress_id(unsigned n)
{
    struct job_id id = {{0x70, 0x03}};
    id.b[15] = (uint8_t)n;
    return id;
}

static void progress_claim(struct progress_bench *p, unsigned n)
{
    struct record_claim c = {.job = {.id = progress_id(n),
                                     .flow = "f",
                                     .created_us = p->now_us,
                                     .deadline_us = p->now_us + 60000000,
                                     .sweep_at_us = p->now_us + 600000000},
                             .worker = p->worker},
                        *list[] = {&c};
    assert_int_equal(p->r->ops->claim(p->r, list, 1), 0);
    record_claim_fini(&c);
}

/* A row of the ledger; seq 0: the call was only begun. result: JSON, or NULL. */
static void progress_call(struct progress_bench *p, unsigned n, uint32_t seq, const char *result)
{
    struct record_ledger l = {.worker = p->worker}, *list[] = {&l};
    l.call = (struct record_call){.job = progress_id(n),
                                  .seq = seq,
                                  .name = "c",
                                  .item = (int32_t)seq,
                                  .outcome = seq ? OUTCOME_OK : OUTCOME_STARTED,
                                  .attempts = 1,
                                  .tries = (char *)(uintptr_t) "[]",
                                  .tries_len = 2,
                                  .result = (char *)(uintptr_t)result,
                                  .result_len = result ? strlen(result) : 0};
    l.call.ckey[0] = (uint8_t)seq;
    assert_int_equal(p->r->ops->ledger(p->r, list, 1), 0);
    assert_int_equal(l.status, 0);
    record_call_fini(&l.stored);
}

static void progress_finish(struct progress_bench *p, unsigned n, uint32_t seq)
{
    struct record_finish f = {.worker = p->worker,
                              .id = progress_id(n),
                              .state = JOB_PARTIAL,
                              .flow = "f",
                              .reason = "need",
                              .detail = "as it went",
                              .seq = seq,
                              .keep_ms = 60000,
                              .calls = "[]",
                              .calls_len = 2,
                              .result = "{\"a\":1}",
                              .result_len = 7},
                         *list[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0);
    assert_int_equal(f.status, 0);
}

static struct record_progress progress_of(unsigned n, uint32_t after)
{
    return (struct record_progress){.id = progress_id(n), .after = after};
}

static void progress_read(struct progress_bench *p, struct record_progress *rows, size_t n)
{
    assert_int_equal(p->r->ops->progress(p->r, rows, n), 0);
}

/* The rows' numbers, each followed by + with a result and - without. */
static const char *progress_rows(const struct record_progress *p)
{
    static char text[128];
    size_t at = 0;
    text[0] = 0;
    for (size_t i = 0; i < p->n; i++) {
        assert_null(p->calls[i].tries);
        assert_string_equal(p->calls[i].name, "c");
        assert_int_equal(p->calls[i].item, p->calls[i].seq);
        at += (size_t)snprintf(text + at, sizeof text - at, "%u%c", p->calls[i].seq,
                               p->calls[i].result ? '+' : '-');
    }
    return text;
}

static void progress_gives_what_is_behind_a_number(struct progress_bench *p)
{
    progress_claim(p, 1);
    progress_call(p, 1, 1, "1");
    progress_call(p, 1, 2, NULL);
    progress_call(p, 1, 0, NULL);
    progress_call(p, 1, 3, "3");
    struct record_progress rows[] = {progress_of(1, 0), progress_of(1, 1), progress_of(1, 3)};
    progress_read(p, rows, 3);
    assert_string_equal(progress_rows(&rows[0]), "1+2-3+");
    assert_string_equal(progress_rows(&rows[1]), "2-3+");
    assert_string_equal(progress_rows(&rows[2]), "");
    for (int i = 0; i < 3; i++) {
        assert_true(rows[i].found && !rows[i].cut);
        assert_int_equal(rows[i].job.state, JOB_RUNNING);
        assert_null(rows[i].job.result);
        assert_null(rows[i].job.detail);
        record_progress_fini(&rows[i]);
    }
}

static void progress_gives_old_rows_without_results(struct progress_bench *p)
{
    progress_claim(p, 1);
    progress_call(p, 1, 1, "1");
    progress_call(p, 1, 2, "2");
    struct record_progress row = progress_of(1, 1);
    row.whole = true;
    progress_read(p, &row, 1);
    assert_string_equal(progress_rows(&row), "1-2+");
    record_progress_fini(&row);
}

static void progress_gives_a_final_job_whole(struct progress_bench *p)
{
    progress_claim(p, 1);
    progress_call(p, 1, 1, "1");
    progress_call(p, 1, 2, "2");
    progress_finish(p, 1, 3);
    struct record_progress rows[] = {progress_of(1, 1), progress_of(1, 99)};
    progress_read(p, rows, 2);
    assert_string_equal(progress_rows(&rows[0]), "1-2+");
    assert_string_equal(progress_rows(&rows[1]), "1-2-");
    for (int i = 0; i < 2; i++) {
        const struct record_job *j = &rows[i].job;
        assert_int_equal(j->state, JOB_PARTIAL);
        assert_int_equal(j->seq, 3);
        assert_string_equal(j->reason, "need");
        assert_string_equal(j->detail, "as it went");
        assert_string_equal(j->calls, "[]");
        assert_string_equal(j->result, "{\"a\":1}");
        assert_int_equal(j->result_len, 7);
        record_progress_fini(&rows[i]);
    }
}

static void progress_knows_which_jobs_are_not_there(struct progress_bench *p)
{
    progress_claim(p, 1);
    progress_claim(p, 3);
    struct record_progress rows[] = {progress_of(3, 0), progress_of(2, 0), progress_of(1, 0)};
    progress_read(p, rows, 3);
    assert_true(rows[0].found && !rows[1].found && rows[2].found);
    assert_true(id_equal(&rows[0].job.id, &rows[0].id));
    assert_true(id_equal(&rows[2].job.id, &rows[2].id));
    for (int i = 0; i < 3; i++)
        record_progress_fini(&rows[i]);
}

static void progress_can_be_asked_again(struct progress_bench *p)
{
    progress_claim(p, 1);
    progress_call(p, 1, 1, "1");
    struct record_progress row = progress_of(1, 0);
    progress_read(p, &row, 1);
    row.after = row.calls[row.n - 1].seq;
    record_progress_fini(&row);
    progress_call(p, 1, 2, "2");
    progress_read(p, &row, 1);
    assert_string_equal(progress_rows(&row), "2+");
    record_progress_fini(&row);
}

/* Each read gives at least one row, so that whoever asks again behind the last gets on. */
static void progress_is_cut_at_its_bytes(struct progress_bench *p)
{
    size_t len = RECORD_PROGRESS_BYTES * 3 / 4;
    char *big = malloc(len + 1);
    assert_non_null(big);
    memset(big, '1', len);
    big[len] = 0;
    progress_claim(p, 1);
    for (uint32_t seq = 1; seq <= 3; seq++)
        progress_call(p, 1, seq, big);
    struct record_progress row = progress_of(1, 0);
    progress_read(p, &row, 1);
    assert_string_equal(progress_rows(&row), "1+2+");
    assert_int_equal(row.calls[1].result_len, len);
    assert_true(row.cut);
    record_progress_fini(&row);
    row = progress_of(1, 2);
    progress_read(p, &row, 1);
    assert_string_equal(progress_rows(&row), "3+");
    assert_false(row.cut);
    record_progress_fini(&row);
    free(big);
}

/* Each promise above, for X. */
#define PROGRESS_PROMISES(X)          \
    X(gives_what_is_behind_a_number)  \
    X(gives_old_rows_without_results) \
    X(gives_a_final_job_whole)        \
    X(knows_which_jobs_are_not_there) \
    X(can_be_asked_again)             \
    X(is_cut_at_its_bytes)
