#include "worker/intake.h"

enum { WRITER_ROWS = 10000, WRITER_BYTES = 64 << 20 };

void gate_set(struct gate *g, int64_t used)
{
    g->used = used;
    if (used >= g->max)
        g->shut = true;
    else if (used <= g->max / 2)
        g->shut = false;
}

void intake_init(struct intake *i, int64_t jobs_max, int64_t bytes_max)
{
    *i = (struct intake){.jobs.max = jobs_max,
                         .bytes.max = bytes_max,
                         .rows.max = WRITER_ROWS,
                         .held.max = WRITER_BYTES,
                         .calls.max = 100,
                         .refills.max = 100};
}

void intake_jobs(struct intake *i, int64_t jobs, int64_t bytes)
{
    gate_set(&i->jobs, jobs);
    gate_set(&i->bytes, bytes);
}

void intake_rows(struct intake *i, int64_t waiting, int64_t bytes)
{
    gate_set(&i->rows, waiting);
    gate_set(&i->held, bytes);
}

void intake_calls(struct intake *i, int64_t percent, int64_t refills)
{
    gate_set(&i->calls, percent);
    gate_set(&i->refills, refills);
}

bool intake_shut(const struct intake *i, bool refills)
{
    bool writer = i->rows.shut || i->held.shut;
    return i->jobs.shut || i->bytes.shut || writer || i->calls.shut || (refills && i->refills.shut);
}
