/* Where the records of a job are: one as a rule, more when it was delivered again. */
#include "worker/job_run.h"

#include <stdlib.h>

int job_place_add(struct job_run *j, struct partition *p, int64_t offset)
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

void job_place_remove(struct job_run *j, const struct partition *p)
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

bool job_is_wanted(const struct job_run *j)
{
    return j->place.partition != NULL;
}
