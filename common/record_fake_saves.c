/* The part of T6 that record_saves.c does. */
#include "common/record_fake_db.h"
#include "common/sql_fake.h"

#include <stdio.h>
#include <string.h>

void record_fake_sql(struct record_fake *f, struct sql_fake *sql)
{
    f->sql = sql;
}

static void forget(struct fake_job *j)
{
    for (size_t i = 0; i < j->calls_n; i++) {
        if (strcmp(j->calls[i].name, RECORD_SAVE) != 0)
            continue;
        record_call_fini(&j->calls[i]);
        memmove(&j->calls[i], &j->calls[i + 1], (j->calls_n - i - 1) * sizeof *j->calls);
        j->calls_n--;
        return;
    }
}

int fake_save(struct record_fake *f, struct fake_job *j, struct record_finish *a)
{
    struct record_saves *s = a->saves;
    int err = 0;
    if (!s || a->stored != a->state)
        return 0;
    s->err = 0;
    if (s->n)
        err = f->sql ? sql_fake_apply(f->sql, "record", &a->id, -1, s->list, s->n) : ERR_REFUSED;
    if (err == ERR_OUTCOME_UNKNOWN)
        err = ERR_IO; /* as the record says of any answer that is lost */
    if (err == ERR_EXISTS || err == ERR_REFUSED) {
        s->err = a->status = err;
        a->stored = JOB_NONE;
        snprintf(s->why, sizeof s->why, "as the test said");
    }
    if (!err && s->forget)
        forget(j);
    return err;
}
