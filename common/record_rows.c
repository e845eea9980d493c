/* Columns to structs, and what the transactions of workers share: the fence and locked jobs. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

void record_job_fini(struct record_job *j)
{
    free(j->detail);
    free(j->calls);
    free(j->result);
    j->detail = j->calls = j->result = NULL;
}

void record_call_fini(struct record_call *c)
{
    free(c->tries);
    free(c->result);
    c->tries = c->result = NULL;
}

void record_claim_fini(struct record_claim *c)
{
    record_job_fini(&c->row);
    for (size_t i = 0; i < c->calls_n; i++)
        record_call_fini(&c->calls[i]);
    free(c->calls);
    c->calls = NULL;
    c->calls_n = 0;
}

void record_outbox_free(struct record_outbox *rows, size_t n)
{
    for (size_t i = 0; rows && i < n; i++) {
        free(rows[i].key);
        free(rows[i].value);
        free(rows[i].headers);
    }
    free(rows);
}

void record_list_fini(struct record_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        record_job_fini(&l->rows[i]);
    free(l->rows);
    l->rows = NULL;
    l->n = 0;
}

void record_progress_fini(struct record_progress *p)
{
    record_job_fini(&p->job);
    for (size_t i = 0; i < p->n; i++)
        record_call_fini(&p->calls[i]);
    free(p->calls);
    p->calls = NULL;
    p->n = p->cap = 0;
    p->found = p->cut = false;
}

int record_copy(const struct store_value *v, char **out, size_t *len)
{
    if (v->kind == STORE_NULL)
        return 0;
    char *copy = malloc(v->len + 1);
    if (!copy)
        return ERR_NOMEM;
    if (v->len)
        memcpy(copy, v->p, v->len);
    copy[v->len] = 0;
    *out = copy;
    if (len)
        *len = v->len;
    return 0;
}

void record_text_read(const struct store_value *v, char *out, size_t size)
{
    size_t len = v->kind == STORE_BYTES ? v->len : 0;
    if (len >= size)
        len = size - 1;
    if (len)
        memcpy(out, v->p, len);
    out[len] = 0;
}

static void bytes_read(const struct store_value *v, void *out, size_t size)
{
    memset(out, 0, size);
    if (v->kind == STORE_BYTES && v->len)
        memcpy(out, v->p, v->len < size ? v->len : size);
}

static bool any(const uint8_t *p, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (p[i])
            return true;
    return false;
}

void record_register_columns(struct record_mysql *r, const struct record_register *j)
{
    record_bytes(r, j->id.b, sizeof j->id.b);
    record_bytes(r, j->owner.b, sizeof j->owner.b);
    record_text(r, j->flow);
    record_bytes(r, j->mac, j->has_mac ? sizeof j->mac : 0);
    record_bytes(r, j->rev, j->has_rev ? sizeof j->rev : 0);
    record_time(r, j->created_us);
    record_time(r, j->deadline_us);
    record_time(r, j->sweep_at_us);
}

void record_job_read(const struct store_value *v, struct record_job *j)
{
    memset(j, 0, sizeof *j);
    bytes_read(&v[0], j->id.b, sizeof j->id.b);
    bytes_read(&v[1], j->owner.b, sizeof j->owner.b);
    record_text_read(&v[2], j->flow, sizeof j->flow);
    j->state = (enum job_state)v[3].i;
    j->round = (uint16_t)v[4].i;
    j->worker = (uint64_t)v[5].i;
    j->crashes = (uint8_t)v[6].i;
    j->cancel = (uint8_t)v[7].i;
    j->seq = (uint32_t)v[8].i;
    record_text_read(&v[9], j->reason, sizeof j->reason);
    bytes_read(&v[10], j->mac, sizeof j->mac);
    bytes_read(&v[11], j->rev, sizeof j->rev);
    j->has_mac = any(j->mac, sizeof j->mac);
    j->has_rev = any(j->rev, sizeof j->rev);
    j->part = v[12].kind == STORE_NULL ? -1 : (int32_t)v[12].i;
    j->off = v[13].i;
    j->created_us = v[14].i;
    j->deadline_us = v[15].i;
    j->started_us = v[16].i;
    j->retry_at_us = v[17].i;
    j->finished_us = v[18].i;
}

int record_call_read(const struct store_value *v, struct record_call *c)
{
    memset(c, 0, sizeof *c);
    bytes_read(&v[0], c->job.b, sizeof c->job.b);
    bytes_read(&v[1], c->ckey, sizeof c->ckey);
    c->seq = (uint32_t)v[2].i;
    record_text_read(&v[3], c->name, sizeof c->name);
    c->item = v[4].kind == STORE_NULL ? -1 : (int32_t)v[4].i;
    c->round = (uint16_t)v[5].i;
    c->outcome = (enum call_outcome)v[6].i;
    c->attempts = (uint16_t)v[7].i;
    c->status = (uint16_t)v[8].i;
    c->ms = (uint32_t)v[9].i;
    record_text_read(&v[10], c->reason, sizeof c->reason);
    c->finished_us = v[11].i;
    int err = record_copy(&v[12], &c->tries, &c->tries_len);
    if (!err)
        err = record_copy(&v[13], &c->result, &c->result_len);
    if (err)
        record_call_fini(c);
    return err;
}

int record_ids_compare(const struct job_id *a, const struct job_id *b)
{
    return memcmp(a->b, b->b, sizeof a->b);
}

/* ---- T0 */

void record_fence_add(struct record_fence *f, uint64_t worker)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->ids[i] == worker)
            return;
    if (f->n < STORE_ROWS_MAX)
        f->ids[f->n++] = worker;
}

#define WORKERS "SELECT id,state,NOW(6) FROM op_worker WHERE id IN ("

static int read_workers(struct record_mysql *r, const struct store_sql *q, struct record_fence *f)
{
    const struct store_value *v;
    size_t rows = store_rows_cover(f->n);
    memset(f->alive, 0, sizeof f->alive);
    for (size_t i = 0; i < rows; i++)
        record_int(r, (int64_t)f->ids[i < f->n ? i : 0]);
    int err = record_run(r, q, rows);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        for (size_t i = 0; i < f->n; i++)
            if (f->ids[i] == (uint64_t)v[0].i)
                f->alive[i] = v[1].i == 0;
        f->now_us = v[2].i;
        err = 0;
    }
    return err;
}

int record_fence_check(struct record_mysql *r, struct record_fence *f)
{
    static const struct store_sql q = {WORKERS, "?", ") LOCK IN SHARE MODE", NULL};
    return read_workers(r, &q, f);
}

int record_fence_look(struct record_mysql *r, struct record_fence *f)
{
    static const struct store_sql q = {WORKERS, "?", ")", NULL};
    return read_workers(r, &q, f);
}

bool record_fence_alive(const struct record_fence *f, uint64_t worker)
{
    for (size_t i = 0; i < f->n; i++)
        if (f->ids[i] == worker)
            return f->alive[i];
    return false;
}

/* ---- locked jobs */

#define LOCK_JOBS "SELECT id,state,worker,cancel,round,seq FROM op_job WHERE id IN ("

static int lock_jobs(struct record_mysql *r, const struct store_sql *q, const struct job_id *ids,
                     size_t n, struct record_locked *out, size_t *found)
{
    const struct store_value *v;
    size_t rows = store_rows_cover(n), got = 0;
    for (size_t i = 0; i < rows; i++)
        record_bytes(r, ids[i < n ? i : 0].b, sizeof ids->b);
    int err = record_run(r, q, rows);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        struct record_locked *l = &out[got];
        err = got++ < n ? 0 : ERR_BUG;
        if (err)
            break;
        bytes_read(&v[0], l->id.b, sizeof l->id.b);
        l->state = (enum job_state)v[1].i;
        l->worker = (uint64_t)v[2].i;
        l->cancel = (uint8_t)v[3].i;
        l->round = (uint16_t)v[4].i;
        l->seq = (uint32_t)v[5].i;
    }
    if (!err)
        *found = got;
    return err;
}

int record_lock_jobs(struct record_mysql *r, const struct job_id *ids, size_t n,
                     struct record_locked *out, size_t *found)
{
    static const struct store_sql q = {LOCK_JOBS, "?", ") ORDER BY id FOR UPDATE", NULL};
    return lock_jobs(r, &q, ids, n, out, found);
}

int record_lock_free_jobs(struct record_mysql *r, const struct job_id *ids, size_t n,
                          struct record_locked *out, size_t *found)
{
    static const struct store_sql q = {
        LOCK_JOBS, "?",
        ") ORDER BY id FOR UPDATE /*!80001 SKIP LOCKED */ /*M!100600 SKIP LOCKED */", NULL};
    return lock_jobs(r, &q, ids, n, out, found);
}

const struct record_locked *record_locked_find(const struct record_locked *list, size_t n,
                                               const struct job_id *id)
{
    size_t lo = 0, hi = n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = record_ids_compare(&list[mid].id, id);
        if (c == 0)
            return &list[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}
