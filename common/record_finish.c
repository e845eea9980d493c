/* T6, without user SQL: end jobs; T7 begins the same way (record_again.c). The rows are locked and
 * judged here, not by the UPDATE, because each may turn out differently: ours, cancelled first,
 * ended already, not ours any more. */
#include "common/record_mysql.h"

#include <string.h>

enum { DETAIL_MAX = 500 }; /* characters */

struct finishing {
    struct record_finish **given;
    size_t n;
    struct record_finish *rows[STORE_ROWS_MAX]; /* in order of id; those to be written */
    uint16_t rounds[STORE_ROWS_MAX];
    size_t rows_n;
    struct record_fence fence;
    struct record_locked locked[STORE_ROWS_MAX];
    size_t locked_n;
};

static void insert(struct finishing *a, struct record_finish *f)
{
    size_t at = a->rows_n++;
    for (; at > 0 && record_ids_compare(&a->rows[at - 1]->id, &f->id) > 0; at--)
        a->rows[at] = a->rows[at - 1];
    a->rows[at] = f;
}

/* One job alone, with statements of a user: nobody knows how long they wait. */
static bool is_slow(const struct finishing *a)
{
    return a->n == 1 && a->given[0]->saves;
}

static int fence(struct record_mysql *r, struct finishing *a)
{
    a->fence.n = a->rows_n = 0;
    for (size_t i = 0; i < a->n; i++)
        record_fence_add(&a->fence, a->given[i]->worker);
    int err = is_slow(a) ? record_fence_look(r, &a->fence) : record_fence_check(r, &a->fence);
    for (size_t i = 0; i < a->n && !err; i++) {
        struct record_finish *f = a->given[i];
        f->stored = JOB_NONE;
        for (size_t k = 0; f->post_ids && k < f->posts_n; k++)
            f->post_ids[k] = 0;
        f->status = record_fence_alive(&a->fence, f->worker) ? 0 : ERR_FENCED;
        if (!f->status)
            insert(a, f);
    }
    return err;
}

static int lock(struct record_mysql *r, struct finishing *a)
{
    struct job_id ids[STORE_ROWS_MAX];
    for (size_t i = 0; i < a->rows_n; i++)
        ids[i] = a->rows[i]->id;
    return record_lock_jobs(r, ids, a->rows_n, a->locked, &a->locked_n);
}

/* What the guards make of one row; f->status 0 and *write: it is ours to end. */
static int judge(struct record_mysql *r, const struct record_locked *l, struct record_finish *f,
                 bool *write)
{
    *write = false;
    f->stored = l ? l->state : JOB_NONE;
    f->status = ERR_CONFLICT;
    if (!l || l->worker != f->worker)
        return 0;
    if (job_is_final(l->state)) { /* written already, and the answer of COMMIT was lost */
        f->status = l->seq == f->seq ? 0 : ERR_CONFLICT;
        return 0;
    }
    if (l->state != JOB_RUNNING)
        return 0;
    bool saved = false;
    int err = l->cancel ? record_saves_has(r, &f->id, &saved) : 0;
    f->status = 0;
    f->stored = l->cancel && !saved ? JOB_CANCELLED : f->state;
    *write = !err && !(f->state == JOB_QUEUED && f->stored == JOB_CANCELLED);
    return err;
}

static int judge_all(struct record_mysql *r, struct finishing *a)
{
    size_t kept = 0;
    int err = 0;
    for (size_t i = 0; i < a->rows_n && !err; i++) {
        struct record_finish *f = a->rows[i];
        const struct record_locked *l = record_locked_find(a->locked, a->locked_n, &f->id);
        bool write;
        err = judge(r, l, f, &write);
        if (err || !write)
            continue;
        a->rows[kept] = f;
        a->rounds[kept++] = l->round;
    }
    a->rows_n = kept;
    return err;
}

static bool cancelled(const struct record_finish *f)
{
    return f->stored == JOB_CANCELLED && f->state != JOB_CANCELLED;
}

/* At most 500 characters of UTF-8, cut between two. */
static size_t detail_len(const char *text)
{
    size_t characters = 0, i = 0;
    for (; text[i]; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && characters++ == DETAIL_MAX)
            break;
    return i;
}

/* The rows are there and locked, so each takes the UPDATE half: an upsert is the one way to give
 * many rows values of their own in one statement. */
static int write_jobs(struct record_mysql *r, struct finishing *a)
{
    static const struct store_sql q = {
        "INSERT INTO op_job(id,created,state,seq,reason,finished,sweep_at,detail,calls,result)"
        " VALUES ",
        "(?,NOW(6),?,?,?,NOW(6),NOW(6)+INTERVAL ? MICROSECOND,?,?,?)",
        " ON DUPLICATE KEY UPDATE state=VALUES(state),seq=VALUES(seq),reason=VALUES(reason),"
        "finished=VALUES(finished),sweep_at=VALUES(sweep_at),detail=VALUES(detail),"
        "calls=VALUES(calls),result=VALUES(result),retry_at=NULL",
        NULL};
    int err = 0;
    for (size_t at = 0; at < a->rows_n && !err;) {
        size_t n = store_rows_fill(a->rows_n - at);
        for (size_t i = at; i < at + n; i++) {
            const struct record_finish *f = a->rows[i];
            bool nothing = cancelled(f);
            const char *detail = nothing ? NULL : f->detail;
            record_bytes(r, f->id.b, sizeof f->id.b);
            record_int(r, f->stored);
            record_int(r, f->seq);
            record_text(r, nothing ? reason_code(REASON_CANCELLED) : f->reason ? f->reason : "");
            record_int(r, f->keep_ms * 1000);
            record_bytes(r, detail, detail ? detail_len(detail) : 0);
            record_bytes(r, f->calls, f->calls_len);
            record_bytes(r, nothing ? NULL : f->result, f->result_len);
        }
        err = record_run(r, &q, n);
        at += n;
    }
    return err;
}

static int write_dead(struct record_mysql *r, const struct record_finish *f)
{
    static const struct store_sql q = {
        .head = "INSERT INTO op_dead(job,flow,reason,upstream,at,topic,part,off,mkey,value,headers)"
                " VALUES (?,?,?,?,NOW(6),?,?,?,?,?,?) ON DUPLICATE KEY UPDATE "
                "flow=VALUES(flow),reason=VALUES(reason),upstream=VALUES(upstream),at=VALUES(at),"
                "status=0,topic=VALUES(topic),part=VALUES(part),off=VALUES(off),"
                "mkey=VALUES(mkey),value=VALUES(value),headers=VALUES(headers)"};
    const struct record_dead *d = f->dead;
    record_bytes(r, f->id.b, sizeof f->id.b);
    record_text(r, f->flow ? f->flow : "");
    record_text(r, d->reason ? d->reason : "");
    record_text(r, d->upstream ? d->upstream : "");
    record_text(r, d->topic ? d->topic : "");
    record_int(r, d->part);
    record_int(r, d->off);
    record_bytes_fitting(r, d->key, d->key_len, RECORD_KEY_MAX);
    record_bytes(r, d->value, d->value_len);
    record_bytes_fitting(r, d->headers, d->headers_len, RECORD_HEADERS_MAX);
    return record_run(r, &q, 0);
}

/* A later round that ends without a dead letter: what an earlier one left is mended. */
static int mend_dead(struct record_mysql *r, const struct job_id *const *ids, size_t n)
{
    static const struct store_sql q = {"UPDATE op_dead SET status=3 WHERE job IN (", "?", ")",
                                       NULL};
    size_t cover = store_rows_cover(n);
    for (size_t i = 0; i < cover; i++)
        record_bytes(r, ids[i < n ? i : 0]->b, sizeof ids[0]->b);
    return record_run(r, &q, cover);
}

static int write_letters(struct record_mysql *r, struct finishing *a)
{
    const struct job_id *mended[STORE_ROWS_MAX];
    size_t n = 0;
    int err = 0;
    for (size_t i = 0; i < a->rows_n && !err; i++) {
        const struct record_finish *f = a->rows[i];
        if (f->dead && !cancelled(f))
            err = write_dead(r, f);
        else if (a->rounds[i] > 0)
            mended[n++] = &f->id;
    }
    return err || n == 0 ? err : mend_dead(r, mended, n);
}

/* The fence held while a user's statement waits would keep the lease from being renewed, and with
 * it all else of the shard; so it comes last. A take-over waits for the job's row until then. */
static int save(struct record_mysql *r, struct finishing *a)
{
    int err = record_saves_run(r, a->rows, a->rows_n);
    if (err || !is_slow(a))
        return err;
    err = record_fence_check(r, &a->fence);
    return err || record_fence_alive(&a->fence, a->given[0]->worker) ? err : ERR_FENCED;
}

static int finish(struct record_mysql *r, void *arg)
{
    struct finishing *a = arg;
    int err = fence(r, a);
    if (err || a->rows_n == 0)
        return err;
    err = lock(r, a);
    if (!err)
        err = judge_all(r, a);
    if (!err)
        err = record_posts_write(r, a->rows, a->rows_n, a->fence.now_us);
    if (!err)
        err = record_again(r, a->rows, &a->rows_n, a->rounds);
    if (!err)
        err = write_jobs(r, a);
    if (!err)
        err = write_letters(r, a);
    return err ? err : save(r, a);
}

/* What a user's statement or the fence spoiled is an answer, not an error of the record. */
static int refused_save(struct finishing *a, int err)
{
    struct record_finish *f = a->given[0];
    if (!is_slow(a) || (err != ERR_FENCED && !f->saves->err))
        return err;
    f->status = err == ERR_FENCED ? err : f->saves->err;
    f->stored = JOB_NONE;
    return 0;
}

int record_finish(struct record *record, struct record_finish **rows, size_t n)
{
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        struct finishing a = {.given = rows + at,
                              .n = n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_transact(record_mysql_of(record), finish, &a);
        err = err ? refused_save(&a, err) : 0;
        at += a.n;
    }
    return err;
}
