/* trial_pool.h - the pool of a trial's flow: what lies in it before the job and behind it, put and
 * taken with the scripts that workers use. Belongs to one thread. */
#pragma once
#include "common/cache_fake.h"
#include "common/flow.h"
#include "worker/trial.h"

struct trial_pool {
    struct cache_fake *redis; /* lent */
    const struct flow *flow;
    struct cache *cache;
    char *key; /* NULL: no pool, or no key for this job, which fails by itself then */
};

/* Put the items where the job with this event will look. 0, ERR_NOMEM. */
int trial_pool_begin(struct trial_pool *p, const struct event *e,
                     const struct trial_job *job) must_use;
/* Empty it. *items: owned, NULL for a flow without a pool. 0, ERR_NOMEM. */
int trial_pool_end(struct trial_pool *p, struct json **items) must_use;
void trial_pool_fini(struct trial_pool *p);
