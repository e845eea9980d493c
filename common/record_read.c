/* What gateways read. No transactions: a read must never hold anything a worker waits for. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

static int read_one(struct record_mysql *r, const struct store_sql *q, int64_t *out)
{
    const struct store_value *v;
    int err = record_run_first(r, q, &v);
    if (err == 1)
        *out = v[0].i;
    return err < 0 ? err : err == 1 ? 0 : ERR_NOT_FOUND;
}

static int read_now(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head = "SELECT NOW(6)"};
    return read_one(r, &q, arg);
}

int record_now(struct record *record, int64_t *us)
{
    int64_t now;
    int err = record_alone(record_mysql_of(record), read_now, &now);
    if (!err)
        *us = now;
    return err;
}

static int read_schema(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head = "SELECT MAX(version) FROM op_schema"};
    return read_one(r, &q, arg);
}

int record_schema(struct record *record, int *version)
{
    int64_t found = 0;
    int err = record_alone(record_mysql_of(record), read_schema, &found);
    if (!err && found == 0) /* a table without a row: apply was cut short */
        err = ERR_SETUP;
    if (!err)
        *version = (int)found;
    return err;
}

struct reading {
    struct job_id id;
    struct record_job job;
    struct record_call *calls;
    size_t n, cap;
};

static void reading_fini(struct reading *a)
{
    record_job_fini(&a->job);
    for (size_t i = 0; i < a->n; i++)
        record_call_fini(&a->calls[i]);
    free(a->calls);
    a->calls = NULL;
    a->n = a->cap = 0;
}

static int read_job(struct record_mysql *r, struct reading *a)
{
    static const struct store_sql q = {.head = "SELECT " RECORD_JOB_COLUMNS
                                               ",detail,calls,result FROM op_job WHERE id=?"};
    const struct store_value *v;
    record_bytes(r, a->id.b, sizeof a->id.b);
    int err = record_run_first(r, &q, &v);
    if (err != 1)
        return err ? err : ERR_NOT_FOUND;
    record_job_read(v, &a->job);
    err = record_copy(&v[19], &a->job.detail, NULL);
    if (!err)
        err = record_copy(&v[20], &a->job.calls, &a->job.calls_len);
    if (!err)
        err = record_copy(&v[21], &a->job.result, &a->job.result_len);
    return err;
}

static int read_calls(struct record_mysql *r, struct reading *a)
{
    static const struct store_sql q = {.head = "SELECT " RECORD_CALL_COLUMNS
                                               " FROM op_call WHERE job=? ORDER BY seq,ckey"};
    const struct store_value *v;
    record_bytes(r, a->id.b, sizeof a->id.b);
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        if (a->n == a->cap) {
            size_t cap = a->cap ? a->cap * 2 : 8;
            struct record_call *calls = realloc(a->calls, cap * sizeof *calls);
            if (!calls)
                return ERR_NOMEM;
            a->calls = calls;
            a->cap = cap;
        }
        err = record_call_read(v, &a->calls[a->n]);
        a->n += err == 0;
    }
    return err;
}

/* The job first: a final row then comes with all its calls. */
static int read_both(struct record_mysql *r, void *arg)
{
    struct reading *a = arg;
    reading_fini(a);
    int err = read_job(r, a);
    return err ? err : read_calls(r, a);
}

int record_read(struct record *record, const struct job_id *id, struct record_job *job,
                struct record_call **calls, size_t *n)
{
    struct reading a = {.id = *id};
    int err = record_alone(record_mysql_of(record), read_both, &a);
    if (err) {
        reading_fini(&a);
        return err;
    }
    *job = a.job;
    *calls = a.calls;
    *n = a.n;
    return 0;
}

static int look(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head =
                                           "SELECT " RECORD_JOB_COLUMNS " FROM op_job WHERE id=?"};
    struct reading *a = arg;
    const struct store_value *v;
    record_bytes(r, a->id.b, sizeof a->id.b);
    int err = record_run_first(r, &q, &v);
    if (err != 1)
        return err ? err : ERR_NOT_FOUND;
    record_job_read(v, &a->job);
    return 0;
}

int record_look(struct record *record, const struct job_id *id, struct record_job *job)
{
    struct reading a = {.id = *id};
    int err = record_alone(record_mysql_of(record), look, &a);
    if (!err)
        *job = a.job;
    return err;
}
