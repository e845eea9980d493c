/* Where the records of a job are: one as a rule, more when it was delivered again. */
#include "common/metrics.h"
#include "worker/consumer.h"
#include "worker/job_parts.h"

#include <stdlib.h>

static int add(struct job_run *j, struct partition *p, int64_t offset)
{
    if (!j->place.partition) {
        j->place.partition = p;
        j->place.offset = offset;
        return 0;
    }
    struct job_place *more = malloc(sizeof *more);
    if (!more)
        return ERR_NOMEM;
    *more = (struct job_place){j->place.next, p, offset};
    j->place.next = more;
    return 0;
}

static void remove_all(struct job_run *j, const struct partition *p)
{
    for (struct job_place **at = &j->place.next; *at;) {
        struct job_place *place = *at;
        if (place->partition != p) {
            at = &place->next;
            continue;
        }
        *at = place->next;
        free(place);
    }
    if (j->place.partition == p)
        j->place.partition = NULL;
    if (!j->place.partition && j->place.next) {
        struct job_place *first = j->place.next;
        j->place = *first;
        free(first);
    }
}

int job_run_join(struct job_run *j, const struct claim *c, struct partition *p, int64_t offset)
{
    bool differs = claim_differs(c, j->claim.event.mac, j->claim.event.has_mac);
    bool known = j->phase > PHASE_CLAIMING && j->phase < PHASE_DROPPED;
    /* it leaves without settling who joins now; or: the row will say whose id it is */
    if (j->after == AFTER_GIVE_BACK || (differs && !known))
        return ERR_FULL;
    if (differs) {
        metrics_add(j->env->metrics.verdict[CLAIM_CONFLICT], 1);
        consumer_done(p, offset);
        return 0;
    }
    return add(j, p, offset);
}

void job_run_done(struct job_run *j)
{
    for (struct job_place *p = &j->place; p; p = p->next)
        if (p->partition)
            consumer_done(p->partition, p->offset);
}

void job_run_lose(struct job_run *j, const struct partition *p)
{
    remove_all(j, p);
    if (!job_is_wanted(j))
        job_run_abandon(j);
}

bool job_is_wanted(const struct job_run *j)
{
    return j->place.partition != NULL;
}
