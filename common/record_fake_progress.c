/* What became of jobs, in memory: as record_progress.c reads it. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

static int add(struct record_progress *p, const struct record_call *c, bool result)
{
    struct record_call *calls = realloc(p->calls, (p->n + 1) * sizeof *calls);
    if (!calls)
        return ERR_NOMEM;
    p->calls = calls;
    p->cap = p->n + 1;
    struct record_call brief = *c;
    brief.tries = NULL;
    brief.tries_len = 0;
    if (!result) {
        brief.result = NULL;
        brief.result_len = 0;
    }
    int err = fake_call_copy(&brief, &p->calls[p->n]);
    p->n += err == 0;
    return err;
}

static void copy_job(const struct fake_job *j, struct record_progress *p)
{
    bool final = job_is_final(j->row.state);
    p->found = true;
    p->whole |= final;
    p->job = j->row;
    p->job.detail =
        final ? fake_copy(j->row.detail, j->row.detail ? strlen(j->row.detail) : 0) : NULL;
    p->job.calls = final ? fake_copy(j->row.calls, j->row.calls_len) : NULL;
    p->job.result = final ? fake_copy(j->row.result, j->row.result_len) : NULL;
    if (!final)
        p->job.calls_len = p->job.result_len = 0;
}

static int read_one(struct record_fake *f, struct record_progress *p, size_t *bytes)
{
    int err = 0;
    const struct fake_job *j = fake_find(f, &p->id);
    if (j)
        copy_job(j, p);
    for (size_t i = 0; j && i < j->calls_n && !err; i++) {
        const struct record_call *c = &j->calls[i];
        bool is_new = c->seq > p->after;
        if (c->seq == 0 || (!is_new && !p->whole))
            continue;
        p->cut = p->cut || (is_new && *bytes > RECORD_PROGRESS_BYTES);
        if (p->cut)
            continue;
        err = add(p, c, is_new);
        *bytes += is_new ? c->result_len : 0;
    }
    return err;
}

int fake_progress(struct record *r, struct record_progress *rows, size_t n)
{
    struct record_fake *f;
    size_t bytes = 0;
    for (size_t i = 0; i < n; i++) {
        rows[i].job = (struct record_job){0};
        rows[i].calls = NULL;
        rows[i].n = rows[i].cap = 0;
        rows[i].found = rows[i].cut = false;
    }
    int err = fake_begin(r, &f);
    if (err)
        return err;
    for (size_t i = 0; i < n && !err; i++)
        err = read_one(f, &rows[i], &bytes);
    err = fake_end(f, err);
    for (size_t i = 0; i < n && err; i++)
        record_progress_fini(&rows[i]);
    return err;
}
