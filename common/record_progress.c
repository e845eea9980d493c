/* What became of jobs that people watch, many at a time. Reads only, each statement by itself; the
 * jobs first: a final one then comes with all its calls. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRESS_MAX = 500 };

struct progress {
    struct record_progress *sorted[PROGRESS_MAX]; /* several may be of one job */
    struct record_progress *asked[PROGRESS_MAX];  /* those of the present statement */
    size_t n, asked_n, bytes;
};

static int by_id(const void *a, const void *b)
{
    const struct record_progress *const *x = a, *const *y = b;
    return record_ids_compare(&(*x)->id, &(*y)->id);
}

/* The first of this job; the others stand behind it. NULL: none. */
static struct record_progress **first_of(struct progress *a, const struct store_value *id)
{
    struct record_progress key, *k = &key;
    memcpy(key.id.b, id->p, sizeof key.id.b);
    struct record_progress **at =
        bsearch(&k, a->sorted, a->n, sizeof(struct record_progress *), by_id);
    while (at && at > a->sorted && id_equal(&at[-1]->id, &key.id))
        at--;
    return at;
}

static bool is_next_of(const struct progress *a, struct record_progress *const *at,
                       const struct job_id *id)
{
    return at < a->sorted + a->n && id_equal(&(*at)->id, id);
}

/* ---- jobs */

static int take_job(struct progress *a, const struct store_value *v)
{
    struct record_progress **at = first_of(a, &v[0]);
    for (; at && is_next_of(a, at, (const struct job_id *)v[0].p); at++) {
        record_job_read(v, &(*at)->job);
        (*at)->found = true;
    }
    return 0;
}

static int take_rest(struct progress *a, const struct store_value *v)
{
    int err = 0;
    struct record_progress **at = first_of(a, &v[0]);
    for (; at && !err && is_next_of(a, at, (const struct job_id *)v[0].p); at++) {
        struct record_job *j = &(*at)->job;
        record_job_fini(j);
        err = record_copy(&v[1], &j->detail, NULL);
        if (!err)
            err = record_copy(&v[2], &j->calls, &j->calls_len);
        if (!err)
            err = record_copy(&v[3], &j->result, &j->result_len);
    }
    return err;
}

/* ---- calls */

static int add(struct record_progress *p, const struct store_value *v)
{
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        struct record_call *calls = realloc(p->calls, cap * sizeof *calls);
        if (!calls)
            return ERR_NOMEM;
        p->calls = calls;
        p->cap = cap;
    }
    int err = record_call_read(v, &p->calls[p->n]);
    p->n += err == 0;
    return err;
}

static int take_old_call(struct progress *a, const struct store_value *v)
{
    int err = 0;
    struct record_progress **at = first_of(a, &v[0]);
    for (; at && !err && is_next_of(a, at, (const struct job_id *)v[0].p); at++)
        if ((*at)->whole && v[2].i <= (*at)->after)
            err = add(*at, v);
    return err;
}

/* Over the limit rows are left out, but for the very first: who asks again gets on. */
static int take_new_call(struct progress *a, const struct store_value *v)
{
    int err = 0;
    struct record_progress **at = first_of(a, &v[0]);
    for (; at && !err && is_next_of(a, at, (const struct job_id *)v[0].p); at++) {
        struct record_progress *p = *at;
        if (v[2].i <= p->after)
            continue;
        p->cut = p->cut || a->bytes > RECORD_PROGRESS_BYTES;
        if (p->cut)
            continue;
        err = add(p, v);
        a->bytes += v[13].kind == STORE_NULL ? 0 : v[13].len;
    }
    return err;
}

/* ---- statements */

typedef int take_fn(struct progress *a, const struct store_value *v);
typedef bool wanted_fn(const struct record_progress *p);

static bool all(const struct record_progress *p)
{
    (void)p;
    return true;
}
static bool is_final(const struct record_progress *p)
{
    return p->found && job_is_final(p->job.state);
}
static bool has_old(const struct record_progress *p)
{
    return p->whole && p->after > 0;
}

/* One statement for those that are wanted; each row's parameters are an id and, if asked for, its
 * number. */
static int ask(struct record_mysql *r, struct progress *a, const struct store_sql *q,
               wanted_fn *wanted, bool number, take_fn *take)
{
    const struct store_value *v;
    a->asked_n = 0;
    for (size_t i = 0; i < a->n; i++)
        if (wanted(a->sorted[i]))
            a->asked[a->asked_n++] = a->sorted[i];
    if (!a->asked_n)
        return 0;
    size_t rows = a->asked_n > STORE_ROWS_MAX ? PROGRESS_MAX : store_rows_cover(a->asked_n);
    for (size_t i = 0; i < rows; i++) {
        const struct record_progress *p = a->asked[i < a->asked_n ? i : 0];
        record_bytes(r, p->id.b, sizeof p->id.b);
        if (number)
            record_int(r, p->after);
    }
    int err = record_run(r, q, rows);
    while (!err && (err = store_next(r->store, &v)) == 1)
        err = take(a, v);
    return err;
}

static int read_all(struct record_mysql *r, void *arg)
{
#define CALLS "SELECT job,ckey,seq,name,item,round,outcome,attempts,status,ms,reason,finished,NULL,"
    static const struct store_sql jobs = {"SELECT " RECORD_JOB_COLUMNS " FROM op_job WHERE id IN (",
                                          "?", ")", NULL},
                                  rest = {"SELECT id,detail,calls,result FROM op_job WHERE id IN (",
                                          "?", ")", NULL},
                                  olds = {CALLS "NULL FROM op_call WHERE ",
                                          "(job=? AND seq>0 AND seq<=?)", " ORDER BY job,seq",
                                          " OR "},
                                  news = {CALLS "result FROM op_call WHERE ", "(job=? AND seq>?)",
                                          " ORDER BY job,seq", " OR "};
#undef CALLS
    struct progress *a = arg;
    a->bytes = 0;
    for (size_t i = 0; i < a->n; i++)
        record_progress_fini(a->sorted[i]);
    int err = ask(r, a, &jobs, all, false, take_job);
    if (!err)
        err = ask(r, a, &rest, is_final, false, take_rest);
    for (size_t i = 0; i < a->n; i++)
        a->sorted[i]->whole |= is_final(a->sorted[i]);
    if (!err)
        err = ask(r, a, &olds, has_old, true, take_old_call);
    return err ? err : ask(r, a, &news, all, true, take_new_call);
}

int record_progress(struct record *record, struct record_progress *rows, size_t n)
{
    int err = 0;
    struct progress a;
    for (size_t i = 0; i < n; i++) {
        rows[i].job = (struct record_job){0};
        rows[i].calls = NULL;
        rows[i].n = rows[i].cap = 0;
    }
    for (size_t at = 0; at < n && !err; at += a.n) {
        a.n = n - at > PROGRESS_MAX ? PROGRESS_MAX : n - at;
        for (size_t i = 0; i < a.n; i++)
            a.sorted[i] = &rows[at + i];
        qsort(a.sorted, a.n, sizeof(struct record_progress *), by_id);
        err = record_alone(record_mysql_of(record), read_all, &a);
    }
    for (size_t i = 0; i < n && err; i++)
        record_progress_fini(&rows[i]);
    return err;
}
