/* T5: write outcomes of calls. The common case, every row new, is one statement that commits by
 * itself, fence and all: it writes all rows or none. Where a row was there, or a worker is fenced,
 * the transaction: fence, upsert, and the rows read back, for what stands there counts.
 */
#include "common/record_mysql.h"

#include <string.h>

struct writing {
    struct record_ledger **given;
    size_t n;
    struct record_ledger *rows[STORE_ROWS_MAX]; /* in order of key, without fenced shards' */
    size_t rows_n;
    struct record_fence fence;
};

static int compare(const struct record_call *a, const struct record_call *b)
{
    int c = record_ids_compare(&a->job, &b->job);
    return c ? c : memcmp(a->ckey, b->ckey, sizeof a->ckey);
}

static void insert(struct writing *a, struct record_ledger *l)
{
    size_t at = a->rows_n++;
    for (; at > 0 && compare(&a->rows[at - 1]->call, &l->call) > 0; at--)
        a->rows[at] = a->rows[at - 1];
    a->rows[at] = l;
}

static void reset(struct writing *a)
{
    a->rows_n = 0;
    for (size_t i = 0; i < a->n; i++) {
        record_call_fini(&a->given[i]->stored);
        memset(&a->given[i]->stored, 0, sizeof a->given[i]->stored);
        a->given[i]->status = 0;
    }
}

static int fence(struct record_mysql *r, struct writing *a)
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

/* A row gives way while it is only started, or failed for now in an earlier round. Assignments run
 * from left to right: when `outcome` is decided, round is the new one already, so there an equal
 * seq says that the row gave way (each outcome has a seq of its own). */
#define NEW(c) c "=IF(outcome=0 OR (outcome=3 AND round<VALUES(round)),VALUES(" c ")," c "),"
static const struct store_sql upsert = {
    "INSERT INTO op_call(" RECORD_CALL_COLUMNS ") VALUES ",
    "(?,?,?,?,?,?,?,?,?,?,?,COALESCE(?,NOW(6)),?,?)",
    " ON DUPLICATE KEY UPDATE " NEW("seq") NEW("name") NEW("item") NEW("attempts") NEW("status")
        NEW("ms") NEW("reason") NEW("finished") NEW("tries") NEW("result")
            NEW("round") "outcome=IF(outcome=0 OR (outcome=3 AND "
                         "seq=VALUES(seq)),VALUES(outcome),outcome)",
    NULL};

static void add_columns(struct record_mysql *r, const struct record_call *c)
{
    record_bytes(r, c->job.b, sizeof c->job.b);
    record_bytes(r, c->ckey, sizeof c->ckey);
    record_int(r, c->seq);
    record_text(r, c->name);
    if (c->item < 0)
        record_text(r, NULL);
    else
        record_int(r, c->item);
    record_int(r, c->round);
    record_int(r, c->outcome);
    record_int(r, c->attempts);
    record_int(r, c->status);
    record_int(r, c->ms);
    record_text(r, c->reason);
    record_time(r, c->finished_us);
    record_bytes(r, c->tries, c->tries_len);
    record_bytes(r, c->result, c->result_len);
}

/* Sets *all_new false when in doubt: one row changed (2) and one left alone (0) count like two new.
 */
static int write_rows(struct record_mysql *r, struct writing *a, bool *all_new)
{
    int err = 0;
    *all_new = true;
    for (size_t at = 0; at < a->rows_n && !err;) {
        size_t n = store_rows_fill(a->rows_n - at);
        for (size_t i = at; i < at + n; i++)
            add_columns(r, &a->rows[i]->call);
        err = record_run(r, &upsert, n);
        *all_new = *all_new && !err && store_all_new(r->store);
        at += n;
    }
    return err;
}

/* Enough to know our own row again: two attempts never agree in all of it. */
static bool same(const struct record_call *a, const struct record_call *b)
{
    return a->outcome == b->outcome && a->round == b->round && a->seq == b->seq &&
           a->attempts == b->attempts && a->status == b->status && a->ms == b->ms;
}

/* The row as it stands counts; it is the caller's own when only an answer was lost. */
static int compare_row(struct writing *a, const struct store_value *v)
{
    struct record_call stored;
    int err = record_call_read(v, &stored);
    for (size_t i = 0; i < a->rows_n && !err; i++) {
        struct record_ledger *l = a->rows[i];
        if (compare(&l->call, &stored) != 0 || same(&l->call, &stored))
            continue;
        l->status = ERR_EXISTS;
        l->stored = stored;
        return 0;
    }
    record_call_fini(&stored);
    return err;
}

static int read_back(struct record_mysql *r, struct writing *a)
{
    static const struct store_sql q = {"SELECT " RECORD_CALL_COLUMNS " FROM op_call WHERE ",
                                       "(job=? AND ckey=?)", "", " OR "};
    const struct store_value *v;
    size_t n = store_rows_cover(a->rows_n);
    for (size_t i = 0; i < n; i++) {
        const struct record_call *c = &a->rows[i < a->rows_n ? i : 0]->call;
        record_bytes(r, c->job.b, sizeof c->job.b);
        record_bytes(r, c->ckey, sizeof c->ckey);
    }
    int err = record_run(r, &q, n);
    while (!err && (err = store_next(r->store, &v)) == 1)
        err = compare_row(a, v);
    return err;
}

static bool is_save(const struct record_ledger *l)
{
    return strcmp(l->call.name, RECORD_SAVE) == 0;
}

/* Those that a cancel came before are left out. */
static int check_saves(struct record_mysql *r, struct writing *a)
{
    size_t kept = 0;
    int err = 0;
    for (size_t i = 0; i < a->rows_n && !err; i++) {
        struct record_ledger *l = a->rows[i];
        bool may = true;
        if (is_save(l))
            err = record_saves_may(r, &l->call.job, &may);
        if (may)
            a->rows[kept++] = l;
        else
            l->status = ERR_CONFLICT;
    }
    a->rows_n = kept;
    return err;
}

static int write_ledger(struct record_mysql *r, void *arg)
{
    struct writing *a = arg;
    bool all_new;
    reset(a);
    int err = fence(r, a);
    if (!err)
        err = check_saves(r, a);
    if (err || a->rows_n == 0)
        return err;
    err = write_rows(r, a, &all_new);
    if (!err)
        r->new_calls = all_new;
    return err || all_new ? err : read_back(r, a);
}

static int write_new(struct record_mysql *r, void *arg)
{
    static const struct store_sql insert_new = {
        "INSERT INTO op_call(" RECORD_CALL_COLUMNS ") VALUES ",
        "(" RECORD_FENCED ",?,?,?,?,?,?,?,?,?,?,COALESCE(?,NOW(6)),?,?)", "", NULL};
    struct writing *a = arg;
    reset(a);
    for (size_t i = 0; i < a->n; i++)
        insert(a, a->given[i]);
    for (size_t i = 0; i < a->n; i++) {
        record_int(r, (int64_t)a->rows[i]->worker);
        add_columns(r, &a->rows[i]->call);
    }
    return record_run(r, &insert_new, a->n);
}

/* A cancel may win against a save: that takes a transaction to find out. */
static bool likely_new(const struct record_mysql *r, const struct writing *a)
{
    bool all = r->new_calls;
    for (size_t i = 0; i < a->n && all; i++)
        all = !is_save(a->given[i]);
    return all;
}

int record_ledger(struct record *record, struct record_ledger **rows, size_t n)
{
    struct record_mysql *r = record_mysql_of(record);
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        struct writing a = {.given = rows + at,
                            .n = n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_first(r, likely_new(r, &a), a.n, write_new, write_ledger, &a);
        if (err)
            reset(&a);
        at += a.n;
    }
    return err;
}
