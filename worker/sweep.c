/* When; what is done is SQL (common/record_sweep.c), whose guards let any number run at once. */
#include "worker/sweep.h"

#include <stdlib.h>

#include "common/log.h"
#include "common/metrics.h"

enum { PERIOD_MS = 10000, JITTER_MS = 4000, UNSETTLED_MS = 1000 };

struct sweep {
    struct clerk *clerk;
    struct sweep_settings s;
    struct metric *expired, *emptied, *deleted;
};

static void tell(const struct record_swept *did)
{
    for (unsigned i = 0; i < did->expired; i++) {
        char job[ID_TEXT];
        id_format(&did->ids[i], job);
        log_warn("job-never-finished", "job", job);
    }
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct sweep *s = arg;
    struct record_swept did;
    *next_ms = UNSETTLED_MS;
    if (!s->s.settled(s->s.arg))
        return 0;
    int err = r->ops->sweep(r, s->s.retention_ms(s->s.arg), &did);
    if (err)
        return err;
    metrics_add(s->expired, did.expired);
    metrics_add(s->emptied, did.emptied);
    metrics_add(s->deleted, did.deleted);
    tell(&did);
    *next_ms = did.more ? 0 : PERIOD_MS - JITTER_MS / 2 + (int64_t)rng_upto(s->s.rng, JITTER_MS);
    return 0;
}

int sweep_start(const struct sweep_settings *settings, struct sweep **out)
{
    static const char name[] = "offpath_swept_total",
                      help[] = "Jobs that nobody ended in time, old ones emptied, deleted.";
    struct sweep *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->s = *settings;
    s->expired = metrics_counter(name, "what=\"expired\"", help);
    s->emptied = metrics_counter(name, "what=\"emptied\"", help);
    s->deleted = metrics_counter(name, "what=\"deleted\"", help);
    struct clerk_settings c = {settings->open, settings->open_arg, step, s, settings->loop,
                               "sweep"};
    int err = clerk_start(&c, &s->clerk);
    if (err) {
        free(s);
        return err;
    }
    *out = s;
    return 0;
}

void sweep_stop(struct sweep *s)
{
    if (!s)
        return;
    clerk_stop(s->clerk);
    free(s);
}
