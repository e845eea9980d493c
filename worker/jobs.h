/* jobs.h - the jobs of a shard by id and round. Owns nothing; belongs to its shard's thread. */
#pragma once
#include "worker/job_run.h"

struct jobs {               /* zeroed: empty */
    struct job_run **slots; /* owned; chained by job_run.chain */
    size_t size, n;
};

void jobs_fini(struct jobs *t);
/* NULL if it is not here, or on its way out. */
struct job_run *jobs_find(const struct jobs *t, const struct job_id *id, uint16_t round);
/* Any round of it that nobody cancelled yet; NULL: none. */
struct job_run *jobs_find_uncancelled(const struct jobs *t, const struct job_id *id);
/* 0 or ERR_NOMEM. It must not be there yet. */
int jobs_add(struct jobs *t, struct job_run *j) must_use;
void jobs_remove(struct jobs *t, struct job_run *j); /* fine for one that is not there */

/* fn for each; it may remove (and free) the one it is given, no other. */
void jobs_each(const struct jobs *t, void (*fn)(void *arg, struct job_run *j), void *arg);
