/* Watch, T4, T9, T11 in memory, and what tests look at. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

static const int64_t DAY = 86400ll * 1000000, MINUTE = 60ll * 1000000;

static bool lease_out(struct record_fake *f, uint64_t worker)
{
    return !fake_alive(f, worker) || f->workers[worker - 1].lease_until < fake_now(f);
}

int fake_watch(struct record *r, struct record_watch *rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        const struct fake_job *j = fake_find(f, &rows[i].id);
        rows[i].state = j ? j->row.state : JOB_NONE;
        rows[i].round = j ? j->row.round : 0;
        rows[i].worker = j ? j->row.worker : 0;
        rows[i].lease_out = j && j->row.state == JOB_RUNNING && lease_out(f, j->row.worker);
    }
    return fake_end(f, 0);
}

int fake_take_over(struct record *r, uint64_t dead, uint64_t worker, const struct job_id *ids,
                   size_t n, bool *taken)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    if (!fake_alive(f, worker))
        return fake_end(f, ERR_FENCED);
    if (f->locked == dead)
        return fake_end(f, ERR_TIMEOUT);
    if (!lease_out(f, dead))
        return fake_end(f, ERR_CONFLICT);
    if (fake_alive(f, dead))
        f->workers[dead - 1].state = 9;
    for (size_t i = 0; i < n; i++) {
        struct fake_job *j = fake_find(f, &ids[i]);
        taken[i] = j && j->row.worker == dead && j->row.state == JOB_RUNNING;
        if (taken[i]) {
            j->row.worker = worker;
            j->row.crashes++;
        }
        taken[i] = taken[i] && !f->repeats;
    }
    return fake_end(f, 0);
}

int fake_cancels(struct record *r, int64_t since_us, struct job_id *ids, size_t max, size_t *n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    *n = 0;
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        for (const struct fake_job *j = f->jobs[i]; j; j = j->next)
            if (j->cancel_at && j->cancel_at >= since_us && *n < max)
                ids[(*n)++] = j->row.id;
    return fake_end(f, 0);
}

/* ---- T11 */

static void sweep_final(struct record_fake *f, struct fake_job *j, int64_t retention_ms,
                        struct record_swept *out)
{
    if (j->dead >= 0 && j->dead <= 2) {
        j->sweep_at = fake_now(f) + DAY;
    } else if (strcmp(j->row.reason, "gone") != 0) {
        record_job_fini(&j->row);
        for (size_t i = 0; i < j->calls_n; i++)
            record_call_fini(&j->calls[i]);
        free(j->calls);
        j->calls = NULL;
        j->calls_n = 0;
        j->dead = -1;
        memset(&j->row.owner, 0, sizeof j->row.owner);
        memcpy(j->row.reason, "gone", 5);
        j->sweep_at = j->row.finished_us + retention_ms * 1000 + DAY;
        out->emptied++;
    } else {
        fake_remove(f, j);
        out->deleted++;
    }
}

static void sweep_open(struct record_fake *f, struct fake_job *j, int64_t retention_ms,
                       struct record_swept *out)
{
    if (j->row.state == JOB_RUNNING && !lease_out(f, j->row.worker)) {
        j->sweep_at = fake_now(f) + MINUTE;
        return;
    }
    uint32_t seq = j->calls_n ? j->calls[j->calls_n - 1].seq : 0;
    j->row.seq = (seq > j->row.seq ? seq : j->row.seq) + 1;
    j->row.state = JOB_EXPIRED;
    j->row.worker = 0;
    memcpy(j->row.reason, "never-finished", 15);
    j->row.finished_us = fake_now(f);
    j->sweep_at = fake_now(f) + retention_ms * 1000;
    out->ids[out->expired++] = j->row.id;
}

int fake_sweep(struct record *r, int64_t retention_ms, struct record_swept *out)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    unsigned n = 0;
    *out = (struct record_swept){0};
    for (size_t i = 0; i < FAKE_BUCKETS; i++) {
        for (struct fake_job *j = f->jobs[i], *next; j; j = next) {
            next = j->next;
            if (j->sweep_at >= fake_now(f) || n == RECORD_SWEPT)
                continue;
            n++;
            if (job_is_final(j->row.state))
                sweep_final(f, j, retention_ms, out);
            else
                sweep_open(f, j, retention_ms, out);
        }
    }
    out->more = n == RECORD_SWEPT;
    return fake_end(f, 0);
}

/* ---- looking */

bool record_fake_has(struct record_fake *f, const struct job_id *id)
{
    pthread_mutex_lock(&f->lock);
    bool has = fake_find(f, id) != NULL;
    pthread_mutex_unlock(&f->lock);
    return has;
}

void record_fake_expire(struct record_fake *f, uint64_t worker)
{
    pthread_mutex_lock(&f->lock);
    if (worker && worker <= f->workers_n)
        f->workers[worker - 1].lease_until = 0;
    pthread_mutex_unlock(&f->lock);
}

int record_fake_worker(struct record_fake *f, uint64_t worker)
{
    pthread_mutex_lock(&f->lock);
    int state = worker && worker <= f->workers_n ? f->workers[worker - 1].state : -1;
    pthread_mutex_unlock(&f->lock);
    return state;
}

int record_fake_dead(struct record_fake *f, const struct job_id *id)
{
    pthread_mutex_lock(&f->lock);
    const struct fake_job *j = fake_find(f, id);
    int status = j ? j->dead : -1;
    pthread_mutex_unlock(&f->lock);
    return status;
}

void record_fake_dead_topic(struct record_fake *f, const struct job_id *id, char *out)
{
    pthread_mutex_lock(&f->lock);
    const struct fake_job *j = fake_find(f, id);
    memcpy(out, j ? j->dead_topic : "", j ? sizeof j->dead_topic : 1);
    pthread_mutex_unlock(&f->lock);
}

void record_fake_dead_set(struct record_fake *f, const struct job_id *id, int status)
{
    pthread_mutex_lock(&f->lock);
    struct fake_job *j = fake_find(f, id);
    if (j)
        j->dead = status;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_put(struct record_fake *f, const struct job_id *id, enum job_state state,
                     uint64_t worker)
{
    pthread_mutex_lock(&f->lock);
    struct fake_job *j = fake_make(f, id);
    if (j) {
        j->row.state = state;
        j->row.worker = worker;
        j->row.created_us = fake_now(f);
        j->sweep_at = fake_now(f) - 1;
        j->dead = job_is_final(state) ? 0 : -1;
    }
    pthread_mutex_unlock(&f->lock);
}

void record_fake_overdue(struct record_fake *f, const struct job_id *id)
{
    pthread_mutex_lock(&f->lock);
    struct fake_job *j = fake_find(f, id);
    if (j)
        j->sweep_at = fake_now(f) - 1;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_requeue(struct record_fake *f, const struct job_id *id)
{
    pthread_mutex_lock(&f->lock);
    struct fake_job *j = fake_find(f, id);
    if (j) {
        j->row.state = JOB_QUEUED;
        j->row.worker = 0;
        j->row.round++;
    }
    pthread_mutex_unlock(&f->lock);
}
