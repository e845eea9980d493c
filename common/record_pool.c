/* A job and an item of a pool, in one transaction: whose the item is, what the job got (`$pool` in
 * the ledger), the record that asks for another. The row in the ledger comes once for each job, so
 * what stands behind it is done once. */
#include "common/record_mysql.h"

#include <string.h>

struct pooling {
    struct record_pool **given;
    size_t n;
    struct record_pool *rows[STORE_ROWS_MAX]; /* in order of id, without fenced shards' */
    size_t rows_n;
    struct record_fence fence;
};

static void insert(struct pooling *a, struct record_pool *p)
{
    size_t at = a->rows_n++;
    for (; at > 0 && record_ids_compare(&a->rows[at - 1]->call.job, &p->call.job) > 0; at--)
        a->rows[at] = a->rows[at - 1];
    a->rows[at] = p;
}

static void reset(struct record_pool *p)
{
    record_call_fini(&p->stored);
    memset(&p->stored, 0, sizeof p->stored);
    p->status = 0;
    p->lost = false;
}

static int fence(struct record_mysql *r, struct pooling *a)
{
    a->fence.n = a->rows_n = 0;
    for (size_t i = 0; i < a->n; i++)
        record_fence_add(&a->fence, a->given[i]->worker);
    int err = record_fence_check(r, &a->fence);
    for (size_t i = 0; i < a->n && !err; i++) {
        struct record_pool *p = a->given[i];
        reset(p);
        if (record_fence_alive(&a->fence, p->worker))
            insert(a, p);
        else
            p->status = ERR_FENCED;
    }
    return err;
}

/* *stood: it was there before, and p->stored is it. */
static int find_row(struct record_mysql *r, struct record_pool *p, bool *stood)
{
    static const struct store_sql q = {.head = "SELECT " RECORD_CALL_COLUMNS
                                               " FROM op_call WHERE job=? AND ckey=?"};
    const struct store_value *v;
    record_bytes(r, p->call.job.b, sizeof p->call.job.b);
    record_bytes(r, p->call.ckey, sizeof p->call.ckey);
    int err = record_run_first(r, &q, &v);
    *stood = err == 1;
    return *stood ? record_call_read(v, &p->stored) : err;
}

/* *mine: no other job has it. */
static int own_item(struct record_mysql *r, const struct record_pool *p, bool *mine)
{
    static const struct store_sql take = {
        .head = "INSERT INTO op_pool_used(item,job,at) VALUES (?,?,NOW(6))"
                " ON DUPLICATE KEY UPDATE item=VALUES(item)"};
    static const struct store_sql whose = {.head = "SELECT job FROM op_pool_used WHERE item=?"};
    const struct store_value *v = NULL;
    record_bytes(r, p->item.b, sizeof p->item.b);
    record_bytes(r, p->call.job.b, sizeof p->call.job.b);
    int err = record_run(r, &take, 0);
    if (!err) {
        record_bytes(r, p->item.b, sizeof p->item.b);
        err = record_run_first(r, &whose, &v);
    }
    *mine = err == 1 && v && memcmp(v[0].p, p->call.job.b, sizeof p->call.job.b) == 0;
    return err < 0 ? err : 0;
}

static int write_row(struct record_mysql *r, const struct record_pool *p, int64_t now_us)
{
    static const struct store_sql q = {
        .head = "INSERT INTO op_call(job,ckey,seq,name,round,outcome,attempts,status,ms,reason,"
                "finished,result) VALUES (?,?,0,?,?,?,0,0,0,'',?,?)"};
    const struct record_call *c = &p->call;
    record_bytes(r, c->job.b, sizeof c->job.b);
    record_bytes(r, c->ckey, sizeof c->ckey);
    record_text(r, c->name);
    record_int(r, c->round);
    record_int(r, c->outcome);
    record_time(r, now_us);
    record_bytes(r, p->lost ? NULL : c->result, c->result_len);
    return record_run(r, &q, 0);
}

static int write_one(struct record_mysql *r, struct record_pool *p, int64_t now_us)
{
    bool stood = false, mine = true;
    int err = find_row(r, p, &stood);
    if (err || stood) {
        p->status = err ? 0 : ERR_EXISTS;
        return err;
    }
    if (p->has_item)
        err = own_item(r, p, &mine);
    p->lost = !mine;
    if (!err)
        err = write_row(r, p, now_us);
    return err || !p->refill ? err : record_outbox_put(r, p->refill, 0, now_us);
}

static int write_all(struct record_mysql *r, void *arg)
{
    struct pooling *a = arg;
    int err = fence(r, a);
    for (size_t i = 0; i < a->rows_n && !err; i++)
        err = write_one(r, a->rows[i], a->fence.now_us);
    return err;
}

int record_pool(struct record *record, struct record_pool **rows, size_t n)
{
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        struct pooling a = {.given = rows + at,
                            .n = n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_transact(record_mysql_of(record), write_all, &a);
        for (size_t i = 0; i < a.n && err; i++)
            reset(a.given[i]);
        at += a.n;
    }
    return err;
}
