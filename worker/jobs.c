#include "worker/jobs.h"
#include "worker/job_parts.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST = 1024 };

/* The last 8 bytes of an id are random or a hash in all its forms. */
static size_t slot_of(size_t size, const struct job_id *id)
{
    uint64_t h;
    memcpy(&h, id->b + 8, sizeof h);
    return (size_t)((h * UINT64_C(0x9E3779B97F4A7C15)) >> 32) & (size - 1);
}

void jobs_fini(struct jobs *t)
{
    free(t->slots);
    *t = (struct jobs){0};
}

static bool is(const struct job_run *j, const struct job_id *id, uint16_t round)
{
    return id_equal(&j->claim.event.job, id) && j->claim.event.round == round &&
           j->phase != PHASE_SETTLED;
}

struct job_run *jobs_find(const struct jobs *t, const struct job_id *id, uint16_t round)
{
    if (!t->size)
        return NULL;
    struct job_run *j = t->slots[slot_of(t->size, id)];
    while (j && !is(j, id, round))
        j = j->chain;
    return j;
}

struct job_run *jobs_find_uncancelled(const struct jobs *t, const struct job_id *id)
{
    struct job_run *j = t->size ? t->slots[slot_of(t->size, id)] : NULL;
    while (j && (j->cancel || !id_equal(&j->claim.event.job, id)))
        j = j->chain;
    return j;
}

static void put(struct job_run **slots, size_t size, struct job_run *j)
{
    size_t at = slot_of(size, &j->claim.event.job);
    j->chain = slots[at];
    slots[at] = j;
}

static int grow(struct jobs *t)
{
    size_t size = t->size ? t->size * 2 : FIRST;
    struct job_run **slots = calloc(size, sizeof(struct job_run *));
    if (!slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->size; i++) {
        for (struct job_run *j = t->slots[i]; j;) {
            struct job_run *next = j->chain;
            put(slots, size, j);
            j = next;
        }
    }
    free(t->slots);
    t->slots = slots;
    t->size = size;
    return 0;
}

int jobs_add(struct jobs *t, struct job_run *j)
{
    if (t->n >= t->size && grow(t))
        return ERR_NOMEM;
    put(t->slots, t->size, j);
    t->n++;
    return 0;
}

void jobs_remove(struct jobs *t, struct job_run *j)
{
    if (!t->size)
        return;
    struct job_run **at = &t->slots[slot_of(t->size, &j->claim.event.job)];
    while (*at && *at != j)
        at = &(*at)->chain;
    if (!*at)
        return;
    *at = j->chain;
    t->n--;
}

void jobs_each(const struct jobs *t, void (*fn)(void *arg, struct job_run *j), void *arg)
{
    for (size_t i = 0; i < t->size; i++) {
        for (struct job_run *j = t->slots[i]; j;) {
            struct job_run *next = j->chain;
            fn(arg, j);
            j = next;
        }
    }
}
