/* A job and an item of a pool in memory: each `if` is a guard of the SQL in record_pool.c. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

/* op_pool_used keeps who came first. */
static int own_item(struct record_fake *f, const struct record_pool *p, bool *mine)
{
    for (size_t i = 0; i < f->used_n; i++)
        if (id_equal(&f->used[i].item, &p->item)) {
            *mine = id_equal(&f->used[i].job, &p->call.job);
            return 0;
        }
    struct fake_used *list = realloc(f->used, (f->used_n + 1) * sizeof *list);
    if (!list)
        return ERR_NOMEM;
    f->used = list;
    list[f->used_n++] = (struct fake_used){p->item, p->call.job};
    *mine = true;
    return 0;
}

static int write_row(struct record_fake *f, struct fake_job *j, const struct record_pool *p)
{
    struct record_call row, given = p->call;
    given.finished_us = fake_now(f);
    given.seq = 0;
    given.item = -1;
    if (p->lost) {
        given.result = NULL;
        given.result_len = 0;
    }
    int err = fake_call_copy(&given, &row);
    return err ? err : fake_call_add(j, &row);
}

static int pool_one(struct record_fake *f, struct record_pool *p)
{
    memset(&p->stored, 0, sizeof p->stored);
    p->lost = false;
    p->status = fake_alive(f, p->worker) ? 0 : ERR_FENCED;
    if (p->status)
        return 0;
    struct fake_job *j = fake_make(f, &p->call.job); /* op_call asks for no op_job row */
    if (!j)
        return ERR_NOMEM;
    const struct record_call *old = fake_call_find(j, p->call.ckey);
    if (old) {
        p->status = ERR_EXISTS;
        return fake_call_copy(old, &p->stored);
    }
    bool mine = true;
    int err = p->has_item ? own_item(f, p, &mine) : 0;
    p->lost = !mine;
    if (!err)
        err = write_row(f, j, p);
    return err || !p->refill ? err : fake_outbox_put(f, p->refill, 0, fake_now(f));
}

int fake_pool(struct record *r, struct record_pool **rows, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n && !err; i++)
        err = pool_one(f, rows[i]);
    err = fake_end(f, err);
    for (size_t i = 0; i < n && err; i++) {
        record_call_fini(&rows[i]->stored);
        rows[i]->stored = (struct record_call){0};
    }
    return err;
}
