/* T8: give running jobs back. Locked first, so that each row can be told whether it was still its
 * shard's; then one UPDATE per shard. */
#include "common/record_mysql.h"

#include <string.h>

struct releasing {
    struct record_release **rows;
    size_t n;
};

struct group { /* rows of one shard that are still its own */
    const struct job_id *ids[STORE_ROWS_MAX];
    size_t n;
};

static int lock(struct record_mysql *r, struct releasing *a, struct record_locked *locked,
                size_t *found)
{
    struct job_id ids[STORE_ROWS_MAX];
    for (size_t i = 0; i < a->n; i++) { /* in order: as all that lock jobs */
        size_t at = i;
        for (; at > 0 && record_ids_compare(&ids[at - 1], &a->rows[i]->id) > 0; at--)
            ids[at] = ids[at - 1];
        ids[at] = a->rows[i]->id;
    }
    return record_lock_jobs(r, ids, a->n, locked, found);
}

static int release_worker(struct record_mysql *r, uint64_t worker, const struct group *g)
{
    static const struct store_sql q = {"UPDATE op_job SET state=0,worker=0 WHERE id IN (", "?",
                                       ") AND worker=? AND state=1", NULL};
    if (g->n == 0)
        return 0;
    size_t n = store_rows_cover(g->n);
    for (size_t i = 0; i < n; i++)
        record_bytes(r, g->ids[i < g->n ? i : 0]->b, sizeof g->ids[0]->b);
    record_int(r, (int64_t)worker);
    return record_run(r, &q, n);
}

static int release(struct record_mysql *r, void *arg)
{
    struct releasing *a = arg;
    struct record_locked locked[STORE_ROWS_MAX];
    struct record_fence fence = {.n = 0};
    size_t found = 0;
    for (size_t i = 0; i < a->n; i++)
        record_fence_add(&fence, a->rows[i]->worker);
    int err = record_fence_check(r, &fence);
    if (!err)
        err = lock(r, a, locked, &found);
    for (size_t w = 0; w < fence.n && !err; w++) {
        struct group g = {.n = 0};
        for (size_t i = 0; i < a->n; i++) {
            struct record_release *row = a->rows[i];
            if (row->worker != fence.ids[w])
                continue;
            const struct record_locked *l = record_locked_find(locked, found, &row->id);
            bool mine = l && l->state == JOB_RUNNING && l->worker == row->worker;
            row->status = !fence.alive[w] ? ERR_FENCED : mine ? 0 : ERR_CONFLICT;
            if (row->status == 0)
                g.ids[g.n++] = &row->id;
        }
        err = release_worker(r, fence.ids[w], &g);
    }
    return err;
}

int record_release(struct record *record, struct record_release **rows, size_t n)
{
    int err = 0;
    for (size_t at = 0; at < n && !err;) {
        struct releasing a = {rows + at, n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at};
        err = record_transact(record_mysql_of(record), release, &a);
        at += a.n;
    }
    return err;
}
