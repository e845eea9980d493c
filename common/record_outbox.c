/* T10: rows to publish are held, not deleted, until the broker has them: who takes them moves their
 * due time 30 s ahead, and after that anybody may. Their lengths are read first: after an outage of
 * Kafka many large ones wait, and all that are taken are in memory, twice for a moment. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

int record_outbox_put(struct record_mysql *r, const struct record_post *p, uint64_t holder,
                      int64_t due_us)
{
    static const struct store_sql q = {
        .head = "INSERT INTO op_outbox(due,holder,job,topic,mkey,value,headers) VALUES"
                " (?,?,?,?,?,?,?)"};
    record_time(r, due_us);
    record_int(r, (int64_t)holder);
    record_bytes(r, p->job.b, sizeof p->job.b);
    record_text(r, p->topic);
    record_bytes(r, p->key, p->key_len);
    record_bytes(r, p->value, p->value_len);
    record_bytes(r, p->headers, p->headers_len);
    return record_run(r, &q, 0);
}

struct outboxing {
    uint64_t worker;
    struct record_outbox *rows;
    size_t n;
    int64_t ids[RECORD_OUTBOX_ROWS]; /* those to take */
    size_t ids_n;
};

/* In order of their time, until they have enough bytes; the first one in any case. */
static int choose(struct record_mysql *r, struct outboxing *a)
{
    static const struct store_sql q = {
        .head = "SELECT id,COALESCE(LENGTH(mkey),0)+COALESCE(LENGTH(value),0)+LENGTH(headers)"
                " FROM op_outbox WHERE due<=NOW(6) ORDER BY due LIMIT ? FOR UPDATE"};
    const struct store_value *v;
    int64_t bytes = 0;
    a->ids_n = 0;
    record_int(r, RECORD_OUTBOX_ROWS);
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        err = 0;
        if (a->ids_n == RECORD_OUTBOX_ROWS || bytes >= RECORD_OUTBOX_BYTES)
            continue;
        a->ids[a->ids_n++] = v[0].i;
        bytes += v[1].i;
    }
    return err;
}

static int hold(struct record_mysql *r, const struct outboxing *a, int64_t due)
{
    static const struct store_sql q = {"UPDATE op_outbox SET holder=?,due=? WHERE id IN (", "?",
                                       ")", NULL};
    int err = 0;
    for (size_t at = 0; at < a->ids_n && !err; at += STORE_ROWS_MAX) {
        size_t n = a->ids_n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : a->ids_n - at;
        size_t rows = store_rows_cover(n);
        record_int(r, (int64_t)a->worker);
        record_time(r, due);
        for (size_t i = 0; i < rows; i++)
            record_int(r, a->ids[at + (i < n ? i : 0)]);
        err = record_run(r, &q, rows);
    }
    return err;
}

static int row_read(const struct store_value *v, struct record_outbox *o)
{
    memset(o, 0, sizeof *o);
    o->id = (uint64_t)v[0].i;
    memcpy(o->job.b, v[1].p, sizeof o->job.b);
    record_text_read(&v[2], o->topic, sizeof o->topic);
    int err = record_copy(&v[3], &o->key, &o->key_len);
    if (!err)
        err = record_copy(&v[4], &o->value, &o->value_len);
    if (!err)
        err = record_copy(&v[5], &o->headers, &o->headers_len);
    return err;
}

static int held(struct record_mysql *r, struct outboxing *a, int64_t due)
{
    static const struct store_sql q = {
        .head = "SELECT id,job,topic,mkey,value,headers FROM op_outbox WHERE due=? AND holder=?"
                " ORDER BY id LIMIT ?"};
    const struct store_value *v;
    record_time(r, due);
    record_int(r, (int64_t)a->worker);
    record_int(r, RECORD_OUTBOX_ROWS);
    int err = record_run(r, &q, 0);
    if (!err && !(a->rows = calloc(RECORD_OUTBOX_ROWS, sizeof *a->rows)))
        err = ERR_NOMEM;
    while (!err && (err = store_next(r->store, &v)) == 1)
        err = a->n < RECORD_OUTBOX_ROWS ? row_read(v, &a->rows[a->n++]) : 0;
    return err;
}

static int take(struct record_mysql *r, void *arg)
{
    struct outboxing *a = arg;
    struct record_fence fence = {.n = 0};
    record_outbox_free(a->rows, a->n);
    a->rows = NULL;
    a->n = 0;
    record_fence_add(&fence, a->worker);
    int err = record_fence_check(r, &fence);
    if (err || !fence.alive[0])
        return err ? err : ERR_FENCED;
    /* the mark by which the rows are found again: nobody else takes them before it */
    int64_t due = fence.now_us + RECORD_HOLD_US;
    err = choose(r, a);
    if (!err)
        err = hold(r, a, due);
    return err || a->ids_n == 0 ? err : held(r, a, due);
}

int record_outbox_take(struct record *record, uint64_t worker, struct record_outbox **rows,
                       size_t *n)
{
    struct outboxing a = {.worker = worker};
    int err = record_transact(record_mysql_of(record), take, &a);
    if (err) {
        record_outbox_free(a.rows, a.n);
        return err;
    }
    *rows = a.rows;
    *n = a.n;
    return 0;
}

struct counting {
    size_t max, n;
};

static int count_due(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT COUNT(*) FROM (SELECT 1 FROM op_outbox WHERE due<=NOW(6) LIMIT ?) d"};
    struct counting *a = arg;
    const struct store_value *v;
    record_int(r, (int64_t)a->max);
    int err = record_run_first(r, &q, &v);
    a->n = err == 1 ? (size_t)v[0].i : 0;
    return err < 0 ? err : 0;
}

int record_outbox_due(struct record *record, size_t max, size_t *n)
{
    struct counting a = {max, 0};
    int err = record_alone(record_mysql_of(record), count_due, &a);
    if (!err)
        *n = a.n;
    return err;
}

struct deleting {
    const uint64_t *ids;
    size_t n;
};

static int delete_rows(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {"DELETE FROM op_outbox WHERE id IN (", "?", ")", NULL};
    const struct deleting *a = arg;
    size_t n = store_rows_cover(a->n);
    for (size_t i = 0; i < n; i++)
        record_int(r, (int64_t)a->ids[i < a->n ? i : 0]);
    return record_run(r, &q, n);
}

int record_outbox_delete(struct record *record, const uint64_t *ids, size_t n)
{
    int err = 0;
    for (size_t at = 0; at < n && !err; at += STORE_ROWS_MAX) {
        struct deleting a = {ids + at, n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_alone(record_mysql_of(record), delete_rows, &a);
    }
    return err;
}
