/* What users ask of the record: T9, and their own jobs. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

static const int64_t DAY_US = 86400LL * 1000000;

/* ---- T9 */

static struct fake_job *make(struct record_fake *f, const struct record_cancel *c)
{
    struct fake_job *j = fake_make(f, &c->id);
    if (!j)
        abort(); /* tests only */
    j->row.owner = c->owner;
    j->row.created_us = c->created_us ? c->created_us : fake_now(f);
    j->sweep_at = fake_now(f) + DAY_US;
    return j;
}

static int cancel(struct record_fake *f, struct record_cancel *c)
{
    struct fake_job *j = fake_find(f, &c->id);
    enum job_state before = j ? j->row.state : JOB_NONE;
    if (!j)
        j = make(f, c);
    if (memcmp(j->row.owner.b, c->owner.b, sizeof c->owner.b) != 0)
        return ERR_NOT_FOUND;
    if (job_is_final(j->row.state))
        return ERR_CONFLICT;
    bool saved = before == JOB_QUEUED && fake_has_save(j);
    c->before = saved ? JOB_RUNNING : before;
    c->seq = j->row.seq;
    j->row.cancel = 1;
    if (j->row.state == JOB_QUEUED && !saved) {
        j->row.state = JOB_CANCELLED;
        j->row.finished_us = fake_now(f);
        memcpy(j->row.reason, "cancelled", 10);
    }
    j->cancel_at = fake_now(f);
    return 0;
}

int fake_cancel(struct record *r, struct record_cancel *c)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    return err ? err : fake_end(f, cancel(f, c));
}

int record_fake_cancel(struct record_fake *f, const struct job_id *id, const struct owner *o)
{
    struct record_cancel c = {.id = *id, .owner = *o};
    pthread_mutex_lock(&f->lock);
    int err = cancel(f, &c);
    pthread_mutex_unlock(&f->lock);
    return err;
}

/* ---- my jobs */

/* Newest first; of one moment: the higher id first. */
static int compare(int64_t a_us, const struct job_id *a, int64_t b_us, const struct job_id *b)
{
    if (a_us != b_us)
        return a_us > b_us ? -1 : 1;
    return memcmp(b, a, sizeof *a);
}

static bool fits(const struct record_list *l, const struct record_job *j)
{
    enum job_state shown = j->state == JOB_QUEUED && j->round > 0 ? JOB_RUNNING : j->state;
    if (memcmp(&j->owner, &l->owner, sizeof l->owner) != 0 || j->created_us < l->since_us)
        return false;
    if (l->before_us && compare(l->before_us, &l->before_id, j->created_us, &j->id) >= 0)
        return false;
    if (l->cut && compare(j->created_us, &j->id, l->cut_us, &l->cut_id) > 0)
        return false;
    if (l->flow && l->flow[0] && strcmp(l->flow, j->flow) != 0)
        return false;
    return l->state < 0 || (int)shown == l->state;
}

static char *copy(const char *p, size_t len)
{
    char *c = p ? malloc(len + 1) : NULL;
    if (c) {
        memcpy(c, p, len);
        c[len] = 0;
    }
    return c;
}

/* Behind those that come before it; the last one falls off when there are too many. */
static void insert(struct record_list *l, const struct record_job *j)
{
    size_t at = l->n;
    while (at > 0 &&
           compare(l->rows[at - 1].created_us, &l->rows[at - 1].id, j->created_us, &j->id) > 0)
        at--;
    if (at == l->max)
        return;
    if (l->n == l->max)
        record_job_fini(&l->rows[--l->n]);
    memmove(&l->rows[at + 1], &l->rows[at], (l->n - at) * sizeof *l->rows);
    struct record_job *to = &l->rows[at];
    *to = *j;
    to->detail = copy(j->detail, j->detail ? strlen(j->detail) : 0);
    to->result = j->result_len <= l->result_max ? copy(j->result, j->result_len) : NULL;
    to->calls = NULL;
    to->calls_len = 0;
    l->n++;
}

static void collect(const struct record_fake *f, struct record_list *l)
{
    l->n = 0;
    l->rows = calloc(l->max + 1, sizeof *l->rows);
    if (!l->rows)
        abort(); /* tests only */
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        for (const struct fake_job *j = f->jobs[i]; j; j = j->next)
            if (fits(l, &j->row))
                insert(l, &j->row);
}

/* Of the newest, those that are open or ended since then. */
static void drop_ended(struct record_list *l)
{
    size_t kept = 0;
    for (size_t i = 0; i < l->n; i++)
        if (!l->ended_us || !job_is_final(l->rows[i].state) ||
            l->rows[i].finished_us >= l->ended_us)
            l->rows[kept++] = l->rows[i];
        else
            record_job_fini(&l->rows[i]);
    l->n = kept;
}

/* How many of the rows that fit stand before this one, and itself. */
static size_t place_of(const struct record_fake *f, const struct record_list *l,
                       const struct record_job *row)
{
    size_t n = 0;
    for (size_t i = 0; i < FAKE_BUCKETS; i++)
        for (const struct fake_job *j = f->jobs[i]; j; j = j->next)
            n += compare(j->row.created_us, &j->row.id, row->created_us, &row->id) <= 0 &&
                 fits(l, &j->row);
    return n;
}

/* The job scan_max places on, if a filter is set and there are so many. */
static void find_cut(const struct record_fake *f, struct record_list *l)
{
    struct record_list all = *l;
    l->cut = all.cut = false;
    all.flow = NULL;
    all.state = -1;
    if (l->scan_max == 0 || (l->state < 0 && !(l->flow && l->flow[0])))
        return;
    for (size_t i = 0; i < FAKE_BUCKETS && !l->cut; i++)
        for (const struct fake_job *j = f->jobs[i]; j && !l->cut; j = j->next)
            if (fits(&all, &j->row) && place_of(f, &all, &j->row) == l->scan_max) {
                l->cut = true;
                l->cut_us = j->row.created_us;
                l->cut_id = j->row.id;
            }
}

int fake_list(struct record *r, struct record_list *l)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    find_cut(f, l);
    collect(f, l);
    l->cut = l->cut && l->n < l->max;
    drop_ended(l);
    return fake_end(f, 0);
}
