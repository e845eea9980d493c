/* T3: claim jobs. Where none has a row yet, one statement that commits by itself claims them all,
 * fence and all, or none. Else the transaction: one upsert tells new, claimable and other jobs
 * apart by its guards; the rows read back say who holds each. The ledger is read only of jobs that
 * were started before: those whose `started` is not the time of this transaction's fence, to the
 * microsecond. */
#include "common/record_mysql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct claiming {
    struct record_claim **given;
    size_t n;
    struct record_claim *rows[STORE_ROWS_MAX]; /* in order of id, without those of fenced shards */
    size_t rows_n;
    struct record_fence fence;
};

static void reset(struct claiming *a)
{
    a->rows_n = 0;
    for (size_t i = 0; i < a->n; i++) {
        struct record_claim *c = a->given[i];
        record_claim_fini(c);
        memset(&c->row, 0, sizeof c->row);
        c->row.state = JOB_NONE;
        c->status = 0;
    }
}

/* Stable insertion by id: duplicates keep their order. */
static void insert(struct claiming *a, struct record_claim *c)
{
    size_t at = a->rows_n++;
    for (; at > 0 && record_ids_compare(&a->rows[at - 1]->job.id, &c->job.id) > 0; at--)
        a->rows[at] = a->rows[at - 1];
    a->rows[at] = c;
}

/* T0; rows of fenced shards take no further part. */
static int fence(struct record_mysql *r, struct claiming *a)
{
    a->fence.n = 0;
    for (size_t i = 0; i < a->n; i++)
        record_fence_add(&a->fence, a->given[i]->worker);
    int err = record_fence_check(r, &a->fence);
    for (size_t i = 0; i < a->n && !err; i++) {
        if (record_fence_alive(&a->fence, a->given[i]->worker))
            insert(a, a->given[i]);
        else
            a->given[i]->status = ERR_FENCED;
    }
    return err;
}

/* Assignments run from left to right: `state` last, what depends on it before. */
#define INSERT \
    "INSERT INTO op_job(" RECORD_REGISTER_COLUMNS ",state,worker,round,part,off,started) VALUES "
#define MINE(column, value) column "=IF(state=0 AND round=VALUES(round)," value "," column "),"
static const struct store_sql insert_rows = {
    INSERT, "(?,?,?,?,?,?,?,?,1,?,?,?,?,?)",
    " ON DUPLICATE KEY UPDATE " MINE("worker", "VALUES(worker)") MINE("rev", "VALUES(rev)")
        MINE("part", "VALUES(part)") MINE("off", "VALUES(off)") MINE("retry_at", "NULL")
            MINE("started", "COALESCE(started,VALUES(started))")
                MINE("state", "1") "flow=IF(flow='',VALUES(flow),flow)",
    NULL};

static void add_columns(struct record_mysql *r, const struct record_claim *c)
{
    record_register_columns(r, &c->job);
    record_int(r, (int64_t)c->worker);
    record_int(r, c->round);
    record_int(r, c->part);
    record_int(r, c->off);
}

static int write_rows(struct record_mysql *r, struct claiming *a)
{
    bool all_new = true;
    int err = 0;
    for (size_t at = 0; at < a->rows_n && !err;) {
        size_t n = store_rows_fill(a->rows_n - at);
        for (size_t i = at; i < at + n; i++) {
            add_columns(r, a->rows[i]);
            record_time(r, a->fence.now_us);
        }
        err = record_run(r, &insert_rows, n);
        all_new = all_new && !err && store_all_new(r->store);
        at += n;
    }
    if (!err)
        r->new_jobs = all_new;
    return err;
}

/* First row of this id, or where it would stand. */
static size_t first(const struct claiming *a, const struct job_id *id)
{
    size_t lo = 0, hi = a->rows_n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (record_ids_compare(&a->rows[mid]->job.id, id) < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

/* Two shards may claim one job in one batch: both get its row, which names the one that holds it.
 */
static int read_rows(struct record_mysql *r, struct claiming *a)
{
    static const struct store_sql q = {"SELECT " RECORD_JOB_COLUMNS " FROM op_job WHERE id IN (",
                                       "?", ")", NULL};
    const struct store_value *v;
    struct record_job row;
    size_t n = store_rows_cover(a->rows_n);
    for (size_t i = 0; i < n; i++)
        record_bytes(r, a->rows[i < a->rows_n ? i : 0]->job.id.b, sizeof row.id.b);
    int err = record_run(r, &q, n);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        record_job_read(v, &row);
        for (size_t i = first(a, &row.id); i < a->rows_n && id_equal(&a->rows[i]->job.id, &row.id);
             i++)
            a->rows[i]->row = row;
        err = 0;
    }
    return err;
}

static bool mine(const struct record_claim *c)
{
    return c->row.state == JOB_RUNNING && c->row.worker == c->worker;
}

static int add_call(struct claiming *a, const struct store_value *v)
{
    struct record_call call;
    int err = record_call_read(v, &call);
    if (err)
        return err;
    struct record_claim *c = NULL;
    for (size_t i = first(a, &call.job);
         i < a->rows_n && !c && id_equal(&a->rows[i]->job.id, &call.job); i++)
        c = mine(a->rows[i]) ? a->rows[i] : NULL;
    /* room grows at powers of two */
    size_t n = c ? c->calls_n : 0;
    struct record_call *calls = c ? c->calls : NULL;
    if (c && (n & (n - 1)) == 0)
        calls = realloc(c->calls, (n ? n * 2 : 1) * sizeof *calls);
    if (!c || !calls) {
        record_call_fini(&call);
        return c ? ERR_NOMEM : 0;
    }
    c->calls = calls;
    c->calls[c->calls_n++] = call;
    return 0;
}

/* Only of jobs that were started before this transaction: `started` is then not ours. */
static int read_calls(struct record_mysql *r, struct claiming *a)
{
    static const struct store_sql q = {"SELECT " RECORD_CALL_COLUMNS " FROM op_call WHERE job IN (",
                                       "?", ") ORDER BY job,seq,ckey", NULL};
    const struct store_value *v;
    const struct job_id *ids[STORE_ROWS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < a->rows_n; i++)
        if (mine(a->rows[i]) && a->rows[i]->row.started_us != a->fence.now_us)
            ids[n++] = &a->rows[i]->job.id;
    if (n == 0)
        return 0;
    size_t cover = store_rows_cover(n);
    for (size_t i = 0; i < cover; i++)
        record_bytes(r, ids[i < n ? i : 0]->b, sizeof ids[0]->b);
    int err = record_run(r, &q, cover);
    while (!err && (err = store_next(r->store, &v)) == 1)
        err = add_call(a, v);
    return err;
}

/* The sweep was faster than the record: with it the job can still be redriven. */
static int keep_late(struct record_mysql *r, const struct record_claim *c)
{
    static const struct store_sql q = {
        .head = "INSERT IGNORE INTO op_dead(job,flow,reason,at,topic,part,off,mkey,value,headers)"
                " VALUES (?,?,?,NOW(6),?,?,?,?,?,?)"};
    const struct record_dead *d = c->late;
    if (!d || c->row.state != JOB_EXPIRED ||
        strcmp(c->row.reason, reason_code(REASON_NEVER_FINISHED)) != 0)
        return 0;
    record_bytes(r, c->row.id.b, sizeof c->row.id.b);
    record_text(r, c->row.flow);
    record_text(r, c->row.reason);
    record_text(r, d->topic);
    record_int(r, d->part);
    record_int(r, d->off);
    record_bytes_fitting(r, d->key, d->key_len, RECORD_KEY_MAX);
    record_bytes(r, d->value, d->value_len);
    record_bytes_fitting(r, d->headers, d->headers_len, RECORD_HEADERS_MAX);
    return record_run(r, &q, 0);
}

static int claim(struct record_mysql *r, void *arg)
{
    struct claiming *a = arg;
    reset(a);
    int err = fence(r, a);
    if (err || a->rows_n == 0)
        return err;
    err = write_rows(r, a);
    if (!err)
        err = read_rows(r, a);
    for (size_t i = 0; i < a->rows_n && !err; i++)
        err = keep_late(r, a->rows[i]);
    return err ? err : read_calls(r, a);
}

/* The row of a job that nobody knew. */
static void row_of_new(struct record_claim *c)
{
    const struct record_register *j = &c->job;
    c->row = (struct record_job){.id = j->id,
                                 .owner = j->owner,
                                 .state = JOB_RUNNING,
                                 .round = c->round,
                                 .worker = c->worker,
                                 .has_mac = j->has_mac,
                                 .has_rev = j->has_rev,
                                 .part = c->part,
                                 .off = c->off,
                                 .created_us = j->created_us,
                                 .deadline_us = j->deadline_us};
    snprintf(c->row.flow, sizeof c->row.flow, "%s", j->flow);
    memcpy(c->row.mac, j->mac, j->has_mac ? sizeof j->mac : 0);
    memcpy(c->row.rev, j->rev, j->has_rev ? sizeof j->rev : 0);
}

static int claim_new(struct record_mysql *r, void *arg)
{
    static const struct store_sql insert_new = {
        INSERT, "(" RECORD_FENCED ",?,?,?,?,?,?,?,1,?,?,?,?,NOW(6))", "", NULL};
    struct claiming *a = arg;
    reset(a);
    for (size_t i = 0; i < a->n; i++)
        insert(a, a->given[i]);
    for (size_t i = 0; i < a->n; i++) {
        record_int(r, (int64_t)a->rows[i]->worker);
        add_columns(r, a->rows[i]);
    }
    int err = record_run(r, &insert_new, a->n);
    for (size_t i = 0; i < a->n && !err; i++)
        row_of_new(a->rows[i]);
    return err;
}

int record_claim(struct record *record, struct record_claim **rows, size_t n)
{
    struct record_mysql *r = record_mysql_of(record);
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        struct claiming a = {.given = rows + at,
                             .n = n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_first(r, r->new_jobs, a.n, claim_new, claim, &a);
        if (err)
            reset(&a);
        at += a.n;
    }
    return err;
}
