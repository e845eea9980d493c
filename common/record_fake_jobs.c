/* T3, T5, T6, T8 in memory: each `if` is a guard of the SQL in record_claim.c, record_ledger.c,
 * record_finish.c, record_release.c. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

static bool poisoned(const struct record_fake *f, const struct job_id *id)
{
    return f->poisoned && id_equal(&f->poison, id);
}

static void set_text(char *out, size_t size, const char *text)
{
    memset(out, 0, size);
    if (text)
        strncpy(out, text, size - 1);
}

/* ---- T3 */

static struct fake_job *insert(struct record_fake *f, const struct record_claim *c)
{
    struct fake_job *j = fake_make(f, &c->job.id);
    if (!j)
        return NULL;
    j->row.owner = c->job.owner;
    memcpy(j->row.mac, c->job.mac, sizeof j->row.mac);
    j->row.has_mac = c->job.has_mac;
    j->row.created_us = c->job.created_us;
    j->row.deadline_us = c->job.deadline_us;
    j->row.round = c->round;
    j->sweep_at = c->job.sweep_at_us;
    return j;
}

static int calls_copy(const struct fake_job *j, struct record_claim *c)
{
    if (j->calls_n == 0)
        return 0;
    c->calls = calloc(j->calls_n, sizeof *c->calls);
    for (; c->calls && c->calls_n < j->calls_n; c->calls_n++)
        if (fake_call_copy(&j->calls[c->calls_n], &c->calls[c->calls_n]))
            return ERR_NOMEM;
    return c->calls ? 0 : ERR_NOMEM;
}

static int claim_one(struct record_fake *f, struct record_claim *c)
{
    c->calls = NULL;
    c->calls_n = 0;
    memset(&c->row, 0, sizeof c->row);
    c->status = fake_alive(f, c->worker) ? 0 : ERR_FENCED;
    if (c->status)
        return 0;
    struct fake_job *j = fake_find(f, &c->job.id);
    if (!j && !(j = insert(f, c)))
        return ERR_NOMEM;
    if (!j->row.flow[0])
        set_text(j->row.flow, sizeof j->row.flow, c->job.flow);
    if (j->row.state == JOB_QUEUED && j->row.round == c->round) {
        j->row.worker = c->worker;
        memcpy(j->row.rev, c->job.rev, sizeof j->row.rev);
        j->row.has_rev = c->job.has_rev;
        j->row.part = c->part;
        j->row.off = c->off;
        j->row.retry_at_us = 0;
        if (!j->row.started_us)
            j->row.started_us = fake_now(f);
        j->row.state = JOB_RUNNING;
    }
    if (c->late && j->row.state == JOB_EXPIRED && strcmp(j->row.reason, "never-finished") == 0 &&
        j->dead < 0)
        j->dead = 0;
    c->row = j->row;
    c->row.detail = c->row.calls = c->row.result = NULL;
    c->row.calls_len = c->row.result_len = 0;
    if (j->row.state == JOB_RUNNING && j->row.worker == c->worker)
        return calls_copy(j, c);
    return 0;
}

int fake_claim(struct record *r, struct record_claim **rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        if (poisoned(f, &rows[i]->job.id))
            return fake_end(f, ERR_REFUSED);
    for (size_t i = 0; i < n && !err; i++)
        err = claim_one(f, rows[i]);
    err = fake_end(f, err);
    for (size_t i = 0; i < n && err; i++)
        record_claim_fini(rows[i]);
    return err;
}

/* ---- T5 */

struct record_call *fake_call_find(struct fake_job *j, const uint8_t ckey[8])
{
    for (size_t i = 0; i < j->calls_n; i++)
        if (memcmp(j->calls[i].ckey, ckey, 8) == 0)
            return &j->calls[i];
    return NULL;
}

static bool same(const struct record_call *a, const struct record_call *b)
{
    return a->outcome == b->outcome && a->round == b->round && a->seq == b->seq &&
           a->attempts == b->attempts && a->status == b->status && a->ms == b->ms;
}

int fake_call_add(struct fake_job *j, const struct record_call *c)
{
    struct record_call *list = realloc(j->calls, (j->calls_n + 1) * sizeof *list);
    if (!list)
        return ERR_NOMEM;
    j->calls = list;
    size_t at = j->calls_n++;
    for (; at > 0 && list[at - 1].seq > c->seq; at--)
        list[at] = list[at - 1];
    list[at] = *c;
    return 0;
}

/* A cancel that came before `$save` wins. */
static bool is_cancelled_save(struct record_fake *f, const struct record_call *c)
{
    const struct fake_job *j = strcmp(c->name, RECORD_SAVE) == 0 ? fake_find(f, &c->job) : NULL;
    return j && j->row.cancel;
}

static int ledger_one(struct record_fake *f, struct record_ledger *l)
{
    struct record_call mine;
    memset(&l->stored, 0, sizeof l->stored);
    l->status = fake_alive(f, l->worker) ? 0 : ERR_FENCED;
    if (l->status)
        return 0;
    if (is_cancelled_save(f, &l->call)) {
        l->status = ERR_CONFLICT;
        return 0;
    }
    struct fake_job *j = fake_make(f, &l->call.job); /* op_call asks for no op_job row */
    if (!j || fake_call_copy(&l->call, &mine))
        return ERR_NOMEM;
    if (!mine.finished_us)
        mine.finished_us = fake_now(f);
    struct record_call *old = fake_call_find(j, l->call.ckey);
    if (!old)
        return fake_call_add(j, &mine);
    if (old->outcome == OUTCOME_STARTED ||
        (old->outcome == OUTCOME_RETRYABLE && old->round < mine.round)) {
        record_call_fini(old);
        size_t at = (size_t)(old - j->calls);
        memmove(old, old + 1, (j->calls_n - at - 1) * sizeof *old);
        j->calls_n--;
        return fake_call_add(j, &mine);
    }
    record_call_fini(&mine);
    if (same(old, &l->call))
        return 0;
    l->status = ERR_EXISTS;
    return fake_call_copy(old, &l->stored);
}

int fake_ledger(struct record *r, struct record_ledger **rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        if (poisoned(f, &rows[i]->call.job))
            return fake_end(f, ERR_REFUSED);
    for (size_t i = 0; i < n && !err; i++)
        err = ledger_one(f, rows[i]);
    err = fake_end(f, err);
    for (size_t i = 0; i < n && err; i++)
        record_call_fini(&rows[i]->stored);
    return err;
}

/* ---- T6 */

bool fake_has_save(const struct fake_job *j)
{
    for (size_t i = 0; i < j->calls_n; i++)
        if (strcmp(j->calls[i].name, "$save") == 0)
            return true;
    return false;
}

static void finish_row(struct record_fake *f, struct fake_job *j, const struct record_finish *a)
{
    bool cancelled = a->stored == JOB_CANCELLED && a->state != JOB_CANCELLED;
    record_job_fini(&j->row);
    j->row.state = a->stored;
    j->row.seq = a->seq;
    j->row.retry_at_us = 0;
    j->row.finished_us = fake_now(f);
    set_text(j->row.reason, sizeof j->row.reason, cancelled ? "cancelled" : a->reason);
    j->row.calls = fake_copy(a->calls, a->calls_len);
    j->row.calls_len = a->calls ? a->calls_len : 0;
    if (!cancelled) {
        j->row.detail = fake_copy(a->detail, a->detail ? strlen(a->detail) : 0);
        j->row.result = fake_copy(a->result, a->result_len);
    }
    j->row.result_len = j->row.result ? a->result_len : 0;
    j->sweep_at = fake_now(f) + a->keep_ms * 1000;
    if (a->dead && !cancelled) {
        j->dead = 0;
        set_text(j->dead_topic, sizeof j->dead_topic, a->dead->topic);
    } else if (j->row.round > 0 && j->dead >= 0)
        j->dead = 3;
}

static void again_row(struct fake_job *j, const struct record_finish *a)
{
    j->row.state = JOB_QUEUED;
    j->row.worker = 0;
    j->row.round++;
    j->row.seq = a->seq;
    j->row.retry_at_us = a->due_us;
    j->sweep_at = a->sweep_at_us;
}

static int posts_put(struct record_fake *f, const struct record_finish *a)
{
    bool again = a->stored == JOB_QUEUED;
    int err = 0;
    for (size_t i = 0; i < a->posts_n && !err; i++) {
        err = fake_outbox_put(f, &a->posts[i], again ? 0 : a->worker,
                              again ? a->due_us : fake_now(f) + 30000000);
        if (a->post_ids && !err && !again)
            a->post_ids[i] = f->outbox_id;
    }
    return err;
}

/* Ours, and still running. */
static int end_one(struct record_fake *f, struct fake_job *j, struct record_finish *a)
{
    a->stored = j->row.cancel && !fake_has_save(j) ? JOB_CANCELLED : a->state;
    if (a->stored != a->state && a->state == JOB_QUEUED)
        return 0;
    int err = fake_save(f, j, a);
    if (err)
        return err;
    if (a->stored == JOB_QUEUED)
        again_row(j, a);
    else
        finish_row(f, j, a);
    return a->stored == a->state ? posts_put(f, a) : 0;
}

static int finish_one(struct record_fake *f, struct record_finish *a)
{
    int err = 0;
    a->stored = JOB_NONE;
    for (size_t i = 0; a->post_ids && i < a->posts_n; i++)
        a->post_ids[i] = 0;
    a->status = fake_alive(f, a->worker) ? 0 : ERR_FENCED;
    if (a->status)
        return 0;
    struct fake_job *j = fake_find(f, &a->id);
    if (!j || j->row.worker != a->worker) {
        a->stored = j ? j->row.state : JOB_NONE;
        a->status = ERR_CONFLICT;
    } else if (j->row.state == JOB_RUNNING) {
        err = end_one(f, j, a);
    } else { /* the answer of the same finish was lost, or somebody else ended it */
        a->stored = j->row.state;
        a->status = job_is_final(j->row.state) && j->row.seq == a->seq ? 0 : ERR_CONFLICT;
    }
    return a->saves && a->saves->err ? 0 : err;
}

int fake_finish(struct record *r, struct record_finish **rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        if (poisoned(f, &rows[i]->id))
            return fake_end(f, ERR_REFUSED);
    for (size_t i = 0; i < n && !err; i++)
        err = finish_one(f, rows[i]);
    return fake_end(f, err);
}

/* ---- T8 */

int fake_release(struct record *r, struct record_release **rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n; i++) {
        struct fake_job *j = fake_find(f, &rows[i]->id);
        rows[i]->status = fake_alive(f, rows[i]->worker) ? 0 : ERR_FENCED;
        if (rows[i]->status)
            continue;
        if (j && j->row.state == JOB_RUNNING && j->row.worker == rows[i]->worker) {
            j->row.state = JOB_QUEUED;
            j->row.worker = 0;
        } else
            rows[i]->status = ERR_CONFLICT;
    }
    return fake_end(f, 0);
}
