/* Jobs that run elsewhere, and jobs to be cancelled: reads only, each statement by itself, so that
 * nothing is held while a shard thinks. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

enum { WATCH_MAX = 500 };

/* ---- watch */

struct watching {
    struct record_watch *sorted[WATCH_MAX];
    size_t n;
};

static int by_id(const void *a, const void *b)
{
    const struct record_watch *const *x = a, *const *y = b;
    return record_ids_compare(&(*x)->id, &(*y)->id);
}

/* A worker whose row was swept away is as dead as one that was declared so. */
static void fill(struct watching *a, const struct store_value *v)
{
    struct record_watch key, *k = &key;
    memcpy(key.id.b, v[0].p, sizeof key.id.b);
    struct record_watch **at = bsearch(&k, a->sorted, a->n, sizeof(struct record_watch *), by_id);
    if (!at)
        return;
    while (at > a->sorted && id_equal(&at[-1]->id, &key.id))
        at--;
    for (; at < a->sorted + a->n && id_equal(&(*at)->id, &key.id); at++) {
        (*at)->state = (enum job_state)v[1].i;
        (*at)->round = (uint16_t)v[2].i;
        (*at)->worker = (uint64_t)v[3].i;
        (*at)->lease_out =
            (*at)->state == JOB_RUNNING && (v[4].kind == STORE_NULL || v[4].i != 0 || v[5].i != 0);
    }
}

static int watch(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        "SELECT j.id,j.state,j.round,j.worker,w.state,w.lease_until<NOW(6) FROM op_job j"
        " LEFT JOIN op_worker w ON w.id=j.worker WHERE j.id IN (",
        "?", ")", NULL};
    struct watching *a = arg;
    const struct store_value *v;
    size_t n = a->n > STORE_ROWS_MAX ? WATCH_MAX : store_rows_cover(a->n);
    for (size_t i = 0; i < a->n; i++) {
        a->sorted[i]->state = JOB_NONE;
        a->sorted[i]->round = 0;
        a->sorted[i]->worker = 0;
        a->sorted[i]->lease_out = false;
    }
    for (size_t i = 0; i < n; i++)
        record_bytes(r, a->sorted[i < a->n ? i : 0]->id.b, sizeof a->sorted[0]->id.b);
    int err = record_run(r, &q, n);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        fill(a, v);
        err = 0;
    }
    return err;
}

int record_watch(struct record *record, struct record_watch *rows, size_t n)
{
    int err = 0;
    struct watching a;
    for (size_t at = 0; at < n && !err; at += a.n) {
        a.n = n - at > WATCH_MAX ? WATCH_MAX : n - at;
        for (size_t i = 0; i < a.n; i++)
            a.sorted[i] = &rows[at + i];
        qsort(a.sorted, a.n, sizeof(struct record_watch *), by_id);
        err = record_alone(record_mysql_of(record), watch, &a);
    }
    return err;
}

/* ---- op_cancel */

struct cancelling {
    int64_t since_us;
    struct job_id *ids;
    size_t max, n;
};

static int cancels(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT job FROM op_cancel WHERE at>=? ORDER BY at LIMIT ?"};
    struct cancelling *a = arg;
    const struct store_value *v;
    a->n = 0;
    record_time(r, a->since_us);
    record_int(r, (int64_t)a->max);
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        memcpy(a->ids[a->n++].b, v[0].p, sizeof a->ids->b);
        err = 0;
    }
    return err;
}

int record_cancels(struct record *record, int64_t since_us, struct job_id *ids, size_t max,
                   size_t *n)
{
    struct cancelling a = {since_us, ids, max, 0};
    int err = record_alone(record_mysql_of(record), cancels, &a);
    if (!err)
        *n = a.n;
    return err;
}
