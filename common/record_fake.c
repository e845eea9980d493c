/* The database, its faults, and what gateways and leases do; record_fake_jobs.c and
 * record_fake_rest.c have the other operations. A "transaction" is a call with the lock held; what
 * a real one could lose, the answer, is lost on demand after it is done. */
#include "common/record_fake_db.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- tables */

static struct fake_job **slot(struct record_fake *f, const struct job_id *id)
{
    unsigned h = 0;
    for (size_t i = 0; i < sizeof id->b; i++)
        h = h * 31 + id->b[i];
    struct fake_job **p = &f->jobs[h % FAKE_BUCKETS];
    while (*p && !id_equal(&(*p)->row.id, id))
        p = &(*p)->next;
    return p;
}

struct fake_job *fake_find(struct record_fake *f, const struct job_id *id)
{
    return *slot(f, id);
}

struct fake_job *fake_make(struct record_fake *f, const struct job_id *id)
{
    struct fake_job **p = slot(f, id);
    if (!*p && (*p = calloc(1, sizeof **p))) {
        (*p)->row.id = *id;
        (*p)->row.part = -1;
        (*p)->dead = -1;
    }
    return *p;
}

static void job_free(struct fake_job *j)
{
    record_job_fini(&j->row);
    for (size_t i = 0; i < j->calls_n; i++)
        record_call_fini(&j->calls[i]);
    free(j->calls);
    free(j);
}

void fake_remove(struct record_fake *f, struct fake_job *j)
{
    struct fake_job **p = slot(f, &j->row.id);
    *p = j->next;
    job_free(j);
}

bool fake_alive(struct record_fake *f, uint64_t worker)
{
    return worker && worker <= f->workers_n && f->workers[worker - 1].state == 0;
}

int64_t fake_now(const struct record_fake *f)
{
    return clock_boot_us(f->clock); /* the server's: who sets ours does not set that */
}

/* ---- faults */

static const char fake_away[] = "2002 the fake is away";

int fake_begin(struct record *r, struct record_fake **db)
{
    struct fake_connection *c = (struct fake_connection *)(void *)r;
    struct record_fake *f = c->db;
    pthread_mutex_lock(&f->lock);
    f->calls++;
    int err = f->down ? ERR_IO : 0;
    c->why = err ? fake_away : "";
    if (f->fail_at && --f->fail_at == 0) {
        err = f->fail_err;
        c->why = "1146 the fake was told to fail";
    }
    if (err)
        pthread_mutex_unlock(&f->lock);
    *db = f;
    return err;
}

int fake_end(struct record_fake *f, int err)
{
    if (f->lose_at && --f->lose_at == 0)
        err = ERR_IO;
    pthread_mutex_unlock(&f->lock);
    return err;
}

void record_fake_fail(struct record_fake *f, unsigned nth, int err)
{
    pthread_mutex_lock(&f->lock);
    f->fail_at = nth;
    f->fail_err = err;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_lose(struct record_fake *f, unsigned nth)
{
    pthread_mutex_lock(&f->lock);
    f->lose_at = nth;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_down(struct record_fake *f, bool down)
{
    pthread_mutex_lock(&f->lock);
    f->down = down;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_poison(struct record_fake *f, const struct job_id *id)
{
    pthread_mutex_lock(&f->lock);
    f->poisoned = id != NULL;
    if (id)
        f->poison = *id;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_repeat(struct record_fake *f, bool repeat)
{
    pthread_mutex_lock(&f->lock);
    f->repeats = repeat;
    pthread_mutex_unlock(&f->lock);
}

void record_fake_lock(struct record_fake *f, uint64_t worker)
{
    pthread_mutex_lock(&f->lock);
    f->locked = worker;
    pthread_mutex_unlock(&f->lock);
}

unsigned record_fake_calls(struct record_fake *f)
{
    pthread_mutex_lock(&f->lock);
    unsigned n = f->calls;
    pthread_mutex_unlock(&f->lock);
    return n;
}

/* ---- operations */

static void close_connection(struct record *r)
{
    free(r);
}

static const char *why(struct record *r)
{
    return ((struct fake_connection *)(void *)r)->why;
}

static int ping(struct record *r)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    return err ? err : fake_end(f, 0);
}

static int now(struct record *r, int64_t *us)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    *us = fake_now(f);
    return fake_end(f, 0);
}

static int schema(struct record *r, int *version)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    *version = RECORD_SCHEMA;
    return fake_end(f, 0);
}

static int register_one(struct record_fake *f, const struct record_register *j)
{
    bool is_new = !fake_find(f, &j->id);
    struct fake_job *row = fake_make(f, &j->id);
    if (!row)
        return ERR_NOMEM;
    if (!row->row.flow[0])
        strncpy(row->row.flow, j->flow, sizeof row->row.flow - 1);
    if (!is_new)
        return 0;
    row->row.owner = j->owner;
    memcpy(row->row.mac, j->mac, sizeof j->mac);
    memcpy(row->row.rev, j->rev, sizeof j->rev);
    row->row.has_mac = j->has_mac;
    row->row.has_rev = j->has_rev;
    row->row.created_us = j->created_us;
    row->row.deadline_us = j->deadline_us;
    row->sweep_at = j->sweep_at_us;
    return 0;
}

static int register_jobs(struct record *r, struct record_register *jobs, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n && !err; i++)
        err = register_one(f, &jobs[i]);
    return fake_end(f, err);
}

char *fake_copy(const void *p, size_t len)
{
    char *c = p ? malloc(len + 1) : NULL;
    if (c) {
        memcpy(c, p, len);
        c[len] = 0;
    }
    return c;
}

int fake_call_copy(const struct record_call *from, struct record_call *to)
{
    struct record_call c = *from;
    c.tries = fake_copy(from->tries, from->tries_len);
    c.result = fake_copy(from->result, from->result_len);
    if ((from->tries && !c.tries) || (from->result && !c.result)) {
        record_call_fini(&c);
        return ERR_NOMEM;
    }
    *to = c;
    return 0;
}

static int read_found(const struct fake_job *j, struct record_job *job, struct record_call **calls,
                      size_t *n)
{
    struct record_call *list = calloc(j->calls_n + 1, sizeof *list);
    if (!list)
        return ERR_NOMEM;
    for (size_t i = 0; i < j->calls_n; i++)
        if (fake_call_copy(&j->calls[i], &list[i]))
            abort(); /* tests only */
    *job = j->row;
    job->detail = fake_copy(j->row.detail, j->row.detail ? strlen(j->row.detail) : 0);
    job->calls = fake_copy(j->row.calls, j->row.calls_len);
    job->result = fake_copy(j->row.result, j->row.result_len);
    *calls = list;
    *n = j->calls_n;
    return 0;
}

static int look(struct record *r, const struct job_id *id, struct record_job *job)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    const struct fake_job *j = fake_find(f, id);
    if (!j)
        return fake_end(f, ERR_NOT_FOUND);
    *job = j->row;
    job->detail = job->calls = job->result = NULL;
    job->calls_len = job->result_len = 0;
    return fake_end(f, 0);
}

static int read_job(struct record *r, const struct job_id *id, struct record_job *job,
                    struct record_call **calls, size_t *n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    const struct fake_job *j = fake_find(f, id);
    int found = j ? read_found(j, job, calls, n) : ERR_NOT_FOUND;
    err = fake_end(f, found);
    if (err && !found) { /* the answer was lost */
        record_job_fini(job);
        for (size_t i = 0; i < *n; i++)
            record_call_fini(&(*calls)[i]);
        free(*calls);
    }
    return err;
}

static int worker_start(struct record *r, const char *name, int64_t lease_ms, uint64_t *worker)
{
    struct record_fake *f;
    (void)name;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    struct fake_worker *list = realloc(f->workers, (f->workers_n + 1) * sizeof *list);
    if (!list)
        return fake_end(f, ERR_NOMEM);
    f->workers = list;
    list[f->workers_n++] = (struct fake_worker){fake_now(f) + lease_ms * 1000, 0};
    *worker = f->workers_n;
    return fake_end(f, 0);
}

static int worker_renew(struct record *r, uint64_t worker, int64_t lease_ms)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    if (!fake_alive(f, worker))
        return fake_end(f, ERR_FENCED);
    if (f->locked == worker)
        return fake_end(f, ERR_TIMEOUT);
    f->workers[worker - 1].lease_until = fake_now(f) + lease_ms * 1000;
    return fake_end(f, 0);
}

static int worker_end(struct record *r, uint64_t worker)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    if (!fake_alive(f, worker))
        return fake_end(f, ERR_FENCED);
    f->workers[worker - 1].state = 1;
    return fake_end(f, 0);
}

static int workers(struct record *r, unsigned *n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    *n = 0;
    for (size_t i = 0; i < f->workers_n; i++)
        *n += f->workers[i].state == 0 && f->workers[i].lease_until >= fake_now(f);
    return fake_end(f, 0);
}

static const struct record_ops ops = {
    .close = close_connection,
    .why = why,
    .ping = ping,
    .now = now,
    .schema = schema,
    .register_jobs = register_jobs,
    .look = look,
    .read = read_job,
    .cancel = fake_cancel,
    .list = fake_list,
    .progress = fake_progress,
    .worker_start = worker_start,
    .worker_renew = worker_renew,
    .worker_end = worker_end,
    .workers = workers,
    .claim = fake_claim,
    .ledger = fake_ledger,
    .finish = fake_finish,
    .pool = fake_pool,
    .release = fake_release,
    .watch = fake_watch,
    .take_over = fake_take_over,
    .cancels = fake_cancels,
    .outbox_take = fake_outbox_take,
    .outbox_delete = fake_outbox_delete,
    .outbox_due = fake_outbox_due,
    .sweep = fake_sweep,
};

/* ---- the database */

struct record_fake *record_fake_new(const struct clock *clock)
{
    struct record_fake *f = calloc(1, sizeof *f);
    if (f) {
        pthread_mutex_init(&f->lock, NULL);
        f->clock = clock;
    }
    return f;
}

void record_fake_free(struct record_fake *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < FAKE_BUCKETS; i++) {
        while (f->jobs[i]) {
            struct fake_job *j = f->jobs[i];
            f->jobs[i] = j->next;
            job_free(j);
        }
    }
    for (size_t i = 0; i < f->outbox_n; i++)
        fake_outbox_fini(&f->outbox[i]);
    free(f->outbox);
    free(f->used);
    free(f->workers);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

int record_fake_open(void *arg, struct record **out, char *why)
{
    struct record_fake *f = arg;
    pthread_mutex_lock(&f->lock);
    bool down = f->down;
    pthread_mutex_unlock(&f->lock);
    struct fake_connection *c = down ? NULL : calloc(1, sizeof *c);
    if (why)
        snprintf(why, RECORD_WHY, "%s", down ? fake_away : "");
    if (!c)
        return down ? ERR_IO : ERR_NOMEM;
    *c = (struct fake_connection){.record = {&ops}, .db = f, .why = ""};
    *out = &c->record;
    return 0;
}
