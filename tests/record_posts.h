/* record_posts.h - what the record promises of records that go out when a job ends or is to run
 * again (common/record.h, T6 and T7), tried on any record: the fake and the SQL pass the same. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"

struct posts { /* one record to try */
    struct record *r;
    uint64_t worker;
    int64_t now_us;             /* the server's */
    void (*all_due)(void *arg); /* whatever stands in the outbox is due now */
    int (*cancel)(void *arg, const struct job_id *id);
    void *arg;
};

static struct job_id posts_id(unsigned n)
{
    struct job_id id = {{0x70, 0x02}};
    id.b[15] = (uint8_t)n;
    return id;
}

static struct record_post posts_one(unsigned job, const char *topic, const char *value)
{
    return (struct record_post){.job = posts_id(job),
                                .topic = topic,
                                .key = "k",
                                .key_len = 1,
                                .value = value,
                                .value_len = strlen(value),
                                .headers = "\0",
                                .headers_len = 1};
}

/* Claimed with this round; the row as it stands then. */
static struct record_job posts_claim(struct posts *p, unsigned n, uint16_t round)
{
    struct record_claim c = {.job = {.id = posts_id(n),
                                     .flow = "f",
                                     .created_us = p->now_us,
                                     .deadline_us = p->now_us + 60000000,
                                     .sweep_at_us = p->now_us + 600000000},
                             .worker = p->worker,
                             .round = round},
                        *list[] = {&c};
    assert_int_equal(p->r->ops->claim(p->r, list, 1), 0);
    struct record_job row = c.row;
    record_claim_fini(&c);
    return row;
}

static struct record_finish posts_finish(struct posts *p, unsigned n,
                                         const struct record_post *list, size_t posts,
                                         uint64_t *ids)
{
    return (struct record_finish){.worker = p->worker,
                                  .id = posts_id(n),
                                  .state = JOB_SUCCEEDED,
                                  .flow = "f",
                                  .reason = "",
                                  .seq = 1,
                                  .keep_ms = 1000,
                                  .posts = list,
                                  .posts_n = posts,
                                  .post_ids = ids};
}

static size_t posts_due(struct posts *p)
{
    size_t n = 99;
    assert_int_equal(p->r->ops->outbox_due(p->r, 1000, &n), 0);
    return n;
}

static const struct record_outbox *posts_with(const struct record_outbox *rows, size_t n,
                                              uint64_t id)
{
    for (size_t i = 0; i < n; i++)
        if (rows[i].id == id)
            return &rows[i];
    return NULL;
}

static void posts_go_out_with_the_end(struct posts *p)
{
    const struct record_post a[] = {posts_one(11, "one", "1"), posts_one(12, "two", "{\"a\":2}")};
    const struct record_post b[] = {posts_one(13, "one", "3")};
    uint64_t a_ids[2] = {7, 7}, b_ids[1] = {7};
    struct record_outbox *rows = NULL;
    size_t n = 0;
    posts_claim(p, 1, 0);
    posts_claim(p, 2, 0);
    struct record_finish first = posts_finish(p, 1, a, 2, a_ids),
                         second = posts_finish(p, 2, b, 1, b_ids), *list[] = {&second, &first};
    assert_int_equal(p->r->ops->finish(p->r, list, 2), 0);
    assert_int_equal(first.status | second.status, 0);
    assert_true(a_ids[0] && a_ids[0] < a_ids[1] && b_ids[0] && b_ids[0] != a_ids[1]);
    assert_int_equal(posts_due(p), 0);                     /* ours for 30 s */
    assert_int_equal(p->r->ops->finish(p->r, list, 2), 0); /* an answer was lost: no change */
    assert_int_equal(first.status | second.status, 0);
    uint64_t known[] = {a_ids[0], a_ids[1], b_ids[0]};
    assert_int_equal(known[0] | known[1] | known[2], 0);
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 3);
    assert_int_equal(p->r->ops->outbox_take(p->r, p->worker, &rows, &n), 0);
    assert_int_equal(n, 3);
    record_outbox_free(rows, n);
}

static void posts_have_ids_to_delete_them_by(struct posts *p)
{
    const struct record_post a[] = {posts_one(11, "one", "1"), posts_one(12, "two", "{\"a\":2}")};
    uint64_t ids[2];
    struct record_outbox *rows = NULL;
    size_t n = 0;
    posts_claim(p, 1, 0);
    struct record_finish f = posts_finish(p, 1, a, 2, ids), *list[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0);
    p->all_due(p->arg);
    assert_int_equal(p->r->ops->outbox_take(p->r, p->worker, &rows, &n), 0);
    assert_int_equal(n, 2);
    const struct record_outbox *o = posts_with(rows, n, ids[1]);
    assert_non_null(o);
    assert_string_equal(o->topic, "two");
    assert_int_equal(o->value_len, 7);
    assert_memory_equal(o->value, "{\"a\":2}", 7);
    assert_memory_equal(o->key, "k", 1);
    assert_true(id_equal(&o->job, &a[1].job));
    record_outbox_free(rows, n);
    assert_int_equal(p->r->ops->outbox_delete(p->r, ids, 2), 0);
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 0);
}

/* More than one statement takes, of more than one job. */
static void posts_may_be_many(struct posts *p)
{
    enum { MANY = 130 };
    struct record_post list[2][MANY];
    uint64_t ids[2][MANY];
    struct record_finish f[2], *both[] = {&f[0], &f[1]};
    for (unsigned j = 0; j < 2; j++) {
        posts_claim(p, j, 0);
        for (unsigned i = 0; i < MANY; i++) {
            list[j][i] = posts_one(i, "many", "x");
            list[j][i].job.b[14] = (uint8_t)(j + 1);
        }
        f[j] = posts_finish(p, j, list[j], MANY, ids[j]);
    }
    assert_int_equal(p->r->ops->finish(p->r, both, 2), 0);
    for (unsigned j = 0; j < 2; j++)
        for (unsigned i = 0; i < MANY; i++) {
            assert_true(ids[j][i]);
            assert_true(i == 0 || ids[j][i] > ids[j][i - 1]);
        }
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 2 * MANY);
}

/* Values of 1 MB, as many as one statement takes: 16 MB come in one hand, and the rest in the next.
 */
static void posts_are_taken_by_their_bytes(struct posts *p)
{
    enum { MANY = 20, LEN = 1 << 20 };
    struct record_post list[MANY];
    struct record_outbox *rows = NULL;
    uint64_t ids[MANY];
    char *value = malloc(LEN + 1);
    size_t n = 0;
    assert_non_null(value);
    memset(value, 'x', LEN);
    value[LEN] = 0;
    for (unsigned i = 0; i < MANY; i++) {
        list[i] = posts_one(i, "many", value);
        list[i].job.b[14] = 1;
    }
    posts_claim(p, 1, 0);
    struct record_finish f = posts_finish(p, 1, list, MANY, ids), *one[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, one, 1), 0);
    p->all_due(p->arg);
    assert_int_equal(p->r->ops->outbox_take(p->r, p->worker, &rows, &n), 0);
    assert_int_equal(n, RECORD_OUTBOX_BYTES / LEN);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(rows[i].value_len, LEN);
    record_outbox_free(rows, n);
    assert_int_equal(posts_due(p), MANY - n);
    assert_int_equal(p->r->ops->outbox_take(p->r, p->worker, &rows, &n), 0);
    assert_int_equal(n, MANY - RECORD_OUTBOX_BYTES / LEN);
    record_outbox_free(rows, n);
    free(value);
}

static void posts_of_a_cancelled_job_do_not_go_out(struct posts *p)
{
    const struct record_post a[] = {posts_one(11, "one", "1")};
    struct job_id id = posts_id(1);
    uint64_t ids[1] = {7};
    posts_claim(p, 1, 0);
    assert_int_equal(p->cancel(p->arg, &id), 0);
    struct record_finish f = posts_finish(p, 1, a, 1, ids), *list[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.stored, JOB_CANCELLED);
    assert_int_equal(ids[0], 0);
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 0);
}

/* ---- T7 */

static struct record_finish posts_again(struct posts *p, unsigned n, const struct record_post *post)
{
    struct record_finish f = posts_finish(p, n, post, 1, NULL);
    f.state = JOB_QUEUED;
    f.seq = 4;
    f.due_us = p->now_us + 10000000;
    f.sweep_at_us = p->now_us + 700000000;
    return f;
}

static void posts_bring_a_job_back(struct posts *p)
{
    const struct record_post post = posts_one(1, "f.retry", "{}");
    struct record_job row = posts_claim(p, 1, 0);
    assert_int_equal(row.state, JOB_RUNNING);
    struct record_call call = {
        .job = posts_id(1), .seq = 1, .name = "c", .item = -1, .outcome = OUTCOME_OK};
    struct record_ledger ledger = {.worker = p->worker, .call = call}, *ledgers[] = {&ledger};
    assert_int_equal(p->r->ops->ledger(p->r, ledgers, 1), 0);
    struct record_finish f = posts_again(p, 1, &post), *list[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.stored, JOB_QUEUED);
    row = posts_claim(p, 1, 0); /* the old record: a later round exists */
    assert_int_equal(row.state, JOB_QUEUED);
    assert_int_equal(row.round, 1);
    assert_int_equal(row.worker, 0);
    assert_int_equal(row.seq, 4);
    assert_int_equal(row.retry_at_us, f.due_us);
    assert_int_equal(posts_due(p), 0);
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0); /* an answer was lost */
    assert_int_equal(f.status, ERR_CONFLICT);
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 1);
    struct record_claim c = {.job = {.id = posts_id(1),
                                     .flow = "f",
                                     .created_us = p->now_us,
                                     .sweep_at_us = p->now_us + 600000000},
                             .worker = p->worker,
                             .round = 1},
                        *claims[] = {&c};
    assert_int_equal(p->r->ops->claim(p->r, claims, 1), 0);
    assert_int_equal(c.row.state, JOB_RUNNING);
    assert_int_equal(c.row.retry_at_us, 0);
    assert_int_equal(c.calls_n, 1);
    record_claim_fini(&c);
}

/* The worker ends it then, with what it has. */
static void posts_of_a_cancelled_job_bring_nothing_back(struct posts *p)
{
    const struct record_post post = posts_one(1, "f.retry", "{}");
    struct job_id id = posts_id(1);
    posts_claim(p, 1, 0);
    assert_int_equal(p->cancel(p->arg, &id), 0);
    struct record_finish f = posts_again(p, 1, &post), *list[] = {&f};
    assert_int_equal(p->r->ops->finish(p->r, list, 1), 0);
    assert_int_equal(f.status, 0);
    assert_int_equal(f.stored, JOB_CANCELLED);
    p->all_due(p->arg);
    assert_int_equal(posts_due(p), 0);
    struct record_job row = posts_claim(p, 1, 0);
    assert_int_equal(row.state, JOB_RUNNING);
    assert_int_equal(row.round, 0);
}

/* Each promise above, for X. */
#define POSTS_PROMISES(X)               \
    X(go_out_with_the_end)              \
    X(have_ids_to_delete_them_by)       \
    X(may_be_many)                      \
    X(are_taken_by_their_bytes)         \
    X(of_a_cancelled_job_do_not_go_out) \
    X(bring_a_job_back)                 \
    X(of_a_cancelled_job_bring_nothing_back)
