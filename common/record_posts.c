/* The outbox of jobs that end: their rows go in many at once, and their ids are read back by the
 * due time, which no other row of this holder has but by chance; the job tells those apart. */
#include "common/record_mysql.h"

enum { STATEMENT_BYTES = 4 << 20 };

struct row {
    const struct record_post *post;
    uint64_t *id; /* NULL: not wanted */
    uint64_t holder;
    int64_t due_us;
};

struct posting {
    struct row rows[STORE_ROWS_MAX]; /* of the next statement */
    size_t n, bytes;
};

static size_t bytes_of(const struct record_post *p)
{
    return p->key_len + p->value_len + p->headers_len;
}

static int insert(struct record_mysql *r, const struct posting *a)
{
    static const struct store_sql q = {
        "INSERT INTO op_outbox(due,holder,job,topic,mkey,value,headers) VALUES ", "(?,?,?,?,?,?,?)",
        "", NULL};
    int err = 0;
    for (size_t at = 0; at < a->n && !err;) {
        size_t n = store_rows_fill(a->n - at);
        for (size_t i = at; i < at + n; i++) {
            const struct record_post *p = a->rows[i].post;
            record_time(r, a->rows[i].due_us);
            record_int(r, (int64_t)a->rows[i].holder);
            record_bytes(r, p->job.b, sizeof p->job.b);
            record_text(r, p->topic);
            record_bytes(r, p->key, p->key_len);
            record_bytes(r, p->value, p->value_len);
            record_bytes(r, p->headers ? p->headers : "", p->headers_len);
        }
        err = record_run(r, &q, n);
        at += n;
    }
    return err;
}

/* Ids rise in the order of the insert, so one walk finds all; what is not ours is passed over. */
static int read_ids(struct record_mysql *r, const struct posting *a)
{
    static const struct store_sql q = {
        .head = "SELECT id,job FROM op_outbox WHERE due=? AND holder=? ORDER BY id"};
    const struct store_value *v;
    struct job_id job;
    size_t at = 0;
    record_time(r, a->rows[0].due_us);
    record_int(r, (int64_t)a->rows[0].holder);
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        err = 0;
        for (size_t i = 0; i < sizeof job.b; i++)
            job.b[i] = ((const uint8_t *)v[1].p)[i];
        if (at < a->n && id_equal(&a->rows[at].post->job, &job))
            *a->rows[at++].id = (uint64_t)v[0].i;
    }
    return err;
}

static int flush(struct record_mysql *r, struct posting *a)
{
    int err = a->n ? insert(r, a) : 0;
    if (!err && a->n && a->rows[0].id)
        err = read_ids(r, a);
    a->n = a->bytes = 0;
    return err;
}

/* Rows of one statement are of one holder, all with ids or all without. */
static bool fits(const struct posting *a, const struct row *row)
{
    if (a->n == 0)
        return true;
    return a->n < STORE_ROWS_MAX && a->bytes + bytes_of(row->post) <= STATEMENT_BYTES &&
           a->rows[0].holder == row->holder && !a->rows[0].id == !row->id;
}

static int add(struct record_mysql *r, struct posting *a, const struct row *row)
{
    int err = fits(a, row) ? 0 : flush(r, a);
    a->rows[a->n++] = *row;
    a->bytes += bytes_of(row->post);
    return err;
}

static int add_all(struct record_mysql *r, struct posting *a, const struct record_finish *f,
                   int64_t now_us)
{
    bool again = f->stored == JOB_QUEUED;
    int err = 0;
    for (size_t i = 0; i < f->posts_n && !err; i++) {
        const struct row row = {.post = &f->posts[i],
                                .id = again || !f->post_ids ? NULL : &f->post_ids[i],
                                .holder = again ? 0 : f->worker,
                                .due_us = again ? f->due_us : now_us + RECORD_HOLD_US};
        err = add(r, a, &row);
    }
    return err;
}

int record_posts_write(struct record_mysql *r, struct record_finish *const *rows, size_t n,
                       int64_t now_us)
{
    struct posting a = {.n = 0};
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        if (rows[i]->stored == rows[i]->state)
            err = add_all(r, &a, rows[i], now_us);
    return err ? err : flush(r, &a);
}
