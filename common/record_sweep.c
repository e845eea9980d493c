/* T11: looks after what is overdue. First a list, then for at most 100 of one kind a transaction
 * that locks them and looks again: between the two anything may have happened. */
#include "common/record_mysql.h"

#include <string.h>

struct overdue {
    struct job_id id;
    bool final, gone;
};

struct sweeping {
    struct overdue list[RECORD_SWEPT];
    size_t n;
    int64_t retention_us;
    struct job_id ids[STORE_ROWS_MAX]; /* of the present transaction, in order */
    size_t ids_n;
    unsigned did;
};

/* ---- the list */

static int list(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT id,state,reason FROM op_job WHERE sweep_at<NOW(6) LIMIT 500"};
    struct sweeping *a = arg;
    const struct store_value *v;
    a->n = 0;
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        struct overdue *o = &a->list[a->n++];
        char reason[RECORD_REASON + 1];
        memcpy(o->id.b, v[0].p, sizeof o->id.b);
        record_text_read(&v[2], reason, sizeof reason);
        o->final = job_is_final((enum job_state)v[1].i);
        o->gone = strcmp(reason, "gone") == 0;
        err = 0;
    }
    return err;
}

/* ---- one transaction; `ids` borrowed from a */

static int run_ids(struct record_mysql *r, const struct store_sql *q, const struct sweeping *a)
{
    size_t n = store_rows_cover(a->ids_n);
    for (size_t i = 0; i < n; i++)
        record_bytes(r, a->ids[i < a->ids_n ? i : 0].b, sizeof a->ids->b);
    return record_run(r, q, n);
}

/* Keeps of a->ids those that `q` still finds, locked. */
static int lock(struct record_mysql *r, const struct store_sql *q, struct sweeping *a)
{
    const struct store_value *v;
    struct job_id found[STORE_ROWS_MAX];
    size_t n = 0;
    int err = run_ids(r, q, a);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        memcpy(found[n++].b, v[0].p, sizeof found->b);
        err = 0;
    }
    if (!err) {
        memcpy(a->ids, found, n * sizeof *found);
        a->ids_n = n;
    }
    return err;
}

/* An open dead letter keeps its job. */
static const struct store_sql keep = {
    "UPDATE op_job j JOIN op_dead d ON d.job=j.id SET j.sweep_at=NOW(6)+INTERVAL 1 DAY"
    " WHERE d.status<=2 AND j.state>=10 AND j.sweep_at<NOW(6) AND j.id IN (",
    "?", ")", NULL};

static int empty(struct record_mysql *r, struct sweeping *a)
{
    static const struct store_sql still = {"SELECT id FROM op_job WHERE id IN (", "?",
                                           ") AND state>=10 AND reason<>'gone' AND"
                                           " sweep_at<NOW(6) ORDER BY id FOR UPDATE",
                                           NULL};
    static const struct store_sql calls = {"DELETE FROM op_call WHERE job IN (", "?", ")", NULL};
    static const struct store_sql dead = {"DELETE FROM op_dead WHERE job IN (", "?", ")", NULL};
    static const struct store_sql job = {
        "UPDATE op_job SET owner='',calls=NULL,result=NULL,detail=NULL,reason='gone',"
        "sweep_at=COALESCE(finished,NOW(6))+INTERVAL ? MICROSECOND+INTERVAL 1 DAY WHERE id IN (",
        "?", ")", NULL};
    int err = run_ids(r, &keep, a);
    if (!err)
        err = lock(r, &still, a);
    if (err || a->ids_n == 0)
        return err;
    err = run_ids(r, &calls, a);
    if (!err)
        err = run_ids(r, &dead, a);
    if (!err)
        record_int(r, a->retention_us);
    if (!err)
        err = run_ids(r, &job, a);
    a->did = (unsigned)a->ids_n;
    return err;
}

static int delete_rows(struct record_mysql *r, struct sweeping *a)
{
    static const struct store_sql q = {
        "DELETE FROM op_job WHERE state>=10 AND reason='gone' AND sweep_at<NOW(6) AND id IN (", "?",
        ")", NULL};
    int err = run_ids(r, &q, a);
    if (!err)
        a->did = (unsigned)store_affected(r->store);
    return err;
}

/* Its worker is alive: later. Else it ends here; `seq` becomes the one of `done`. The job is
 * nobody's then: a finish that comes after all must not take this end, with the number it meant to
 * write, for its own whose answer was lost. */
static int expire(struct record_mysql *r, struct sweeping *a)
{
    static const struct store_sql later = {
        "UPDATE op_job j JOIN op_worker w ON w.id=j.worker SET j.sweep_at=NOW(6)+INTERVAL 1 MINUTE"
        " WHERE j.state=1 AND w.state=0 AND w.lease_until>=NOW(6) AND j.id IN (",
        "?", ")", NULL};
    static const struct store_sql still = {"SELECT id FROM op_job WHERE id IN (", "?",
                                           ") AND state<10 AND sweep_at<NOW(6)"
                                           " AND NOT(state=1 AND EXISTS(SELECT 1 FROM op_worker w"
                                           " WHERE w.id=op_job.worker AND w.state=0"
                                           " AND w.lease_until>=NOW(6))) ORDER BY id FOR UPDATE",
                                           NULL};
    static const struct store_sql end = {
        "UPDATE op_job SET seq=1+GREATEST(seq,COALESCE((SELECT MAX(c.seq) FROM op_call c"
        " WHERE c.job=op_job.id),0)),state=14,reason='never-finished',worker=0,"
        "finished=NOW(6),retry_at=NULL,sweep_at=NOW(6)+INTERVAL ? MICROSECOND WHERE id IN (",
        "?", ")", NULL};
    int err = run_ids(r, &later, a);
    if (!err)
        err = lock(r, &still, a);
    if (err || a->ids_n == 0)
        return err;
    record_int(r, a->retention_us);
    err = run_ids(r, &end, a);
    a->did = (unsigned)a->ids_n;
    return err;
}

enum kind { EXPIRE, DELETE, EMPTY };

struct group {
    struct sweeping *a;
    enum kind kind;
    size_t from, to; /* of the list; ids are taken anew at each repetition */
};

static enum kind kind_of(const struct overdue *o)
{
    return !o->final ? EXPIRE : o->gone ? DELETE : EMPTY;
}

static int sweep_group(struct record_mysql *r, void *arg)
{
    struct group *g = arg;
    struct sweeping *a = g->a;
    a->ids_n = a->did = 0;
    for (size_t i = g->from; i < g->to; i++) {
        if (kind_of(&a->list[i]) != g->kind)
            continue;
        size_t at = a->ids_n++;
        for (; at > 0 && record_ids_compare(&a->ids[at - 1], &a->list[i].id) > 0; at--)
            a->ids[at] = a->ids[at - 1];
        a->ids[at] = a->list[i].id;
    }
    if (a->ids_n == 0)
        return 0;
    return g->kind == EXPIRE ? expire(r, a) : g->kind == EMPTY ? empty(r, a) : delete_rows(r, a);
}

/* The end of a group that has `max` of the kind, or all that are left; 0: there is none. */
static size_t group_end(const struct group *g, unsigned max)
{
    size_t to = 0;
    for (size_t i = g->from; i < g->a->n && max; i++)
        if (kind_of(&g->a->list[i]) == g->kind) {
            to = i + 1;
            max--;
        }
    return to;
}

/* A job may have a thousand calls, or megabytes: what cannot be emptied in the time that a
 * statement has is tried with a half of it, and with one more each time that it went well. */
static unsigned group_max(struct record_mysql *r, enum kind kind)
{
    return STORE_ROWS_MAX - (kind == EMPTY ? r->empty_less : 0);
}

static void learn(struct record_mysql *r, int err)
{
    unsigned max = group_max(r, EMPTY), half = max / 2 ? max / 2 : 1;
    if (err)
        r->empty_less = STORE_ROWS_MAX - half;
    else if (r->empty_less)
        r->empty_less--;
}

static int sweep_kind(struct record_mysql *r, struct sweeping *a, enum kind kind,
                      struct record_swept *out)
{
    unsigned *counts[] = {&out->expired, &out->deleted, &out->emptied}, *did = counts[kind];
    struct group g = {a, kind, 0, 0};
    int err = 0;
    while (!err && (g.to = group_end(&g, group_max(r, kind))) > 0) {
        err = record_transact(r, sweep_group, &g);
        if (kind == EMPTY)
            learn(r, err);
        if (err)
            return err;
        if (kind == EXPIRE)
            memcpy(out->ids + *did, a->ids, a->did * sizeof *a->ids);
        *did += a->did;
        g.from = g.to;
    }
    return err;
}

/* ---- small tables */

/* The list locks nothing: others hold their workers' rows in each transaction (T0). */
static int sweep_workers(struct record_mysql *r)
{
    static const struct store_sql old = {
        .head = "SELECT id FROM op_worker WHERE lease_until<NOW(6)-INTERVAL 1 DAY LIMIT 100"};
    static const struct store_sql q = {
        "DELETE FROM op_worker WHERE lease_until<NOW(6)-INTERVAL 1 DAY AND id IN (", "?", ")",
        NULL};
    const struct store_value *v;
    int64_t ids[STORE_ROWS_MAX];
    size_t n = 0;
    int err = record_run(r, &old, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        ids[n++] = v[0].i;
        err = 0;
    }
    if (err || n == 0)
        return err;
    for (size_t i = 0; i < store_rows_cover(n); i++)
        record_int(r, ids[i < n ? i : 0]);
    return record_run(r, &q, store_rows_cover(n));
}

static int sweep_small(struct record_mysql *r, void *arg)
{
    static const struct store_sql tables[] = {
        {.head = "DELETE FROM op_cancel WHERE at<NOW(6)-INTERVAL 1 DAY LIMIT 500"},
        {.head = "DELETE FROM op_pool_used WHERE at<NOW(6)-INTERVAL 60 DAY LIMIT 500"},
        {.head = "DELETE FROM offpath_applied WHERE at<NOW(6)-INTERVAL 400 DAY LIMIT 500"}};
    struct record_swept *did = arg;
    int err = sweep_workers(r);
    for (size_t i = 0; i < sizeof tables / sizeof tables[0] && !err; i++) {
        err = record_run(r, &tables[i], 0);
        did->more |= !err && store_affected(r->store) >= RECORD_SWEPT;
    }
    return err;
}

int record_sweep(struct record *record, int64_t retention_ms, struct record_swept *out)
{
    struct record_mysql *r = record_mysql_of(record);
    struct sweeping a = {.retention_us = retention_ms * 1000};
    struct record_swept swept = {0};
    int err = record_alone(r, list, &a);
    for (enum kind k = EXPIRE; k <= EMPTY && !err; k++)
        err = sweep_kind(r, &a, k, &swept);
    swept.more = a.n == RECORD_SWEPT;
    if (!err)
        err = record_alone(r, sweep_small, &swept);
    if (err && (swept.expired || swept.emptied || swept.deleted)) {
        swept.more = true; /* it is done, and told of; the next round meets what failed */
        err = 0;
    }
    if (!err)
        *out = swept;
    return err;
}
