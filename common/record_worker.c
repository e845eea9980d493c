/* T1, T4 and the life of a worker's row. Declaring a worker dead takes its row exclusively, so it
 * waits for every transaction that holds the fence (T0), and refuses all that come after. Not for
 * long: of a host that is lost or frozen the server has to end that transaction first. */
#include "common/record_mysql.h"

#include <string.h>

struct working {
    const char *name;
    int64_t lease_ms;
    uint64_t worker;
};

static int start(struct record_mysql *r, void *arg)
{
    static const struct store_sql insert = {.head = "INSERT INTO op_worker(name,lease_until) VALUES"
                                                    " (?,NOW(6)+INTERVAL ? MICROSECOND)"};
    static const struct store_sql last = {.head = "SELECT LAST_INSERT_ID()"};
    struct working *a = arg;
    const struct store_value *v;
    size_t len = strlen(a->name);
    record_bytes(r, a->name, len < 99 ? len : 99);
    record_int(r, a->lease_ms * 1000);
    int err = record_run(r, &insert, 0);
    if (err)
        return err;
    err = record_run_first(r, &last, &v);
    if (err != 1)
        return err ? err : ERR_BUG;
    a->worker = (uint64_t)v[0].i;
    return 0;
}

int record_worker_start(struct record *record, const char *name, int64_t lease_ms, uint64_t *worker)
{
    struct working a = {name, lease_ms, 0};
    int err = record_alone(record_mysql_of(record), start, &a);
    if (!err)
        *worker = a.worker;
    return err;
}

static int renew(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "UPDATE op_worker SET lease_until=NOW(6)+INTERVAL ? MICROSECOND"
                " WHERE id=? AND state=0"};
    struct working *a = arg;
    record_int(r, a->lease_ms * 1000);
    record_int(r, (int64_t)a->worker);
    int err = record_run(r, &q, 0);
    return err ? err : store_affected(r->store) == 1 ? 0 : ERR_FENCED;
}

int record_worker_renew(struct record *record, uint64_t worker, int64_t lease_ms)
{
    struct working a = {NULL, lease_ms, worker};
    return record_alone(record_mysql_of(record), renew, &a);
}

static int end(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {.head =
                                           "UPDATE op_worker SET state=1 WHERE id=? AND state=0"};
    struct working *a = arg;
    record_int(r, (int64_t)a->worker);
    int err = record_run(r, &q, 0);
    return err ? err : store_affected(r->store) == 1 ? 0 : ERR_FENCED;
}

int record_worker_end(struct record *record, uint64_t worker)
{
    struct working a = {NULL, 0, worker};
    return record_alone(record_mysql_of(record), end, &a);
}

static int count(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT COUNT(*) FROM op_worker WHERE state=0 AND lease_until>=NOW(6)"};
    const struct store_value *v;
    int err = record_run_first(r, &q, &v);
    if (err != 1)
        return err ? err : ERR_BUG;
    *(unsigned *)arg = (unsigned)v[0].i;
    return 0;
}

int record_workers(struct record *record, unsigned *n)
{
    unsigned found = 0;
    int err = record_alone(record_mysql_of(record), count, &found);
    if (!err)
        *n = found;
    return err;
}

/* ---- T4 */

struct taking {
    uint64_t dead, worker;
    const struct job_id *ids;
    size_t n;
    bool *taken;
};

/* The first transaction of T4. Declared by somebody else, gone or swept away: dead enough. */
static int declare_dead(struct record_mysql *r, void *arg)
{
    static const struct store_sql declare = {
        .head = "UPDATE op_worker SET state=9 WHERE id=? AND state=0 AND lease_until<NOW(6)"};
    struct taking *a = arg;
    struct record_fence fence = {.n = 0};
    record_fence_add(&fence, a->worker);
    int err = record_fence_check(r, &fence);
    if (err || !fence.alive[0])
        return err ? err : ERR_FENCED;
    record_int(r, (int64_t)a->dead);
    err = record_run(r, &declare, 0);
    if (err || store_affected(r->store) == 1)
        return err;
    fence.n = 0;
    record_fence_add(&fence, a->dead);
    err = record_fence_check(r, &fence);
    /* not ERR_CONFLICT: that would mean a deadlock here */
    return err ? err : fence.alive[0] ? ERR_FINAL : 0;
}

static int take_rows(struct record_mysql *r, const struct taking *a,
                     const struct job_id *const *ids, size_t n)
{
    static const struct store_sql q = {"UPDATE op_job SET worker=?,crashes=crashes+1 WHERE id IN (",
                                       "?", ") AND worker=? AND state=1", NULL};
    size_t rows = store_rows_cover(n);
    if (n == 0)
        return 0;
    record_int(r, (int64_t)a->worker);
    for (size_t i = 0; i < rows; i++)
        record_bytes(r, ids[i < n ? i : 0]->b, sizeof ids[0]->b);
    record_int(r, (int64_t)a->dead);
    return record_run(r, &q, rows);
}

/* The second: in order of id like all that lock jobs, and told apart row by row. One that is still
 * locked at the dead one holds up no other. */
static int take(struct record_mysql *r, void *arg)
{
    struct taking *a = arg;
    struct record_locked locked[STORE_ROWS_MAX];
    const struct job_id *ids[STORE_ROWS_MAX];
    struct record_fence fence = {.n = 0};
    size_t found = 0, n = 0;
    record_fence_add(&fence, a->worker);
    int err = record_fence_check(r, &fence);
    if (!err && !fence.alive[0])
        err = ERR_FENCED;
    if (!err)
        err = record_lock_free_jobs(r, a->ids, a->n, locked, &found);
    if (err)
        return err;
    for (size_t i = 0; i < a->n; i++) {
        const struct record_locked *l = record_locked_find(locked, found, &a->ids[i]);
        a->taken[i] = l && l->state == JOB_RUNNING && l->worker == a->dead;
        if (a->taken[i])
            ids[n++] = &a->ids[i];
    }
    return take_rows(r, a, ids, n);
}

/* Who waits here lets the jobs of all other dead workers wait: a lock that is not free in a second
 * is for the next look. */
static int impatient(struct record_mysql *r, record_body *body, void *arg)
{
    int err = store_patience(r->store, true);
    if (!err)
        err = body(r, arg);
    int back = store_lost(r->store) ? 0 : store_patience(r->store, false);
    if (err == ERR_CONFLICT)
        return ERR_TIMEOUT;
    return err ? err : back;
}

static int declare_dead_soon(struct record_mysql *r, void *arg)
{
    return impatient(r, declare_dead, arg);
}

static int take_soon(struct record_mysql *r, void *arg)
{
    return impatient(r, take, arg);
}

int record_take_over(struct record *record, uint64_t dead, uint64_t worker,
                     const struct job_id *ids, size_t n, bool *taken)
{
    struct taking a = {dead, worker, ids, n, taken};
    int err = record_transact(record_mysql_of(record), declare_dead_soon, &a);
    if (err == ERR_FINAL)
        return ERR_CONFLICT;
    for (size_t at = 0; at < n && !err; at += a.n) {
        a.ids = ids + at;
        a.taken = taken + at;
        a.n = n - at > STORE_ROWS_MAX ? STORE_ROWS_MAX : n - at;
        err = record_transact(record_mysql_of(record), take_soon, &a);
    }
    return err;
}
