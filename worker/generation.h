/* generation.h - the shards of a worker that run one set of flows. A reload starts a new one beside
 * it and retires the old: that leaves its consumer groups and finishes what it has claimed, by the
 * files it was claimed with, while the new one takes the partitions as after any rebalance. Belongs
 * to the main thread, but what is said. */
#pragma once
#include "common/flow.h"
#include "worker/databases.h"
#include "worker/preflight.h"
#include "worker/shard_thread.h"

struct generation_flows { /* what it runs */
    struct flow_set *set;
    struct preflight_topics topics;
};
void generation_flows_fini(struct generation_flows *f);

struct generation_settings {             /* lent until freed, but what is said */
    struct shard_thread_settings thread; /* set, limits, retention, admin_fd, answer_arg, opened,
                                            ended, arg are filled in; fatal's arg is `owner` */
    struct databases_settings databases; /* set is filled in */
    unsigned shards;
    const char *secrets; /* folder of `${file:}` */
    int admin_fd;        /* listening; a copy of it is used; -1: none */
    void *owner;
    void (*fatal)(void *owner, const char *why); /* from a shard's thread */
    void (*ended)(void *owner); /* one of its threads has ended; from that thread */
};

struct generation;
/* flows: taken, also on failure. Returns when all shards have opened. *out: owned
 * (generation_free). 0, or what the first one that failed said: then *out is NULL or one that was
 * joined, where some had opened and begun. */
int generation_start(const struct generation_settings *s, struct generation_flows *flows,
                     struct generation **out) must_use;
/* Leave the groups, finish what is claimed; the admin port is the next one's. */
void generation_retire(struct generation *g);
/* Read `${file:}` of upstreams.yaml again where it has changed. */
void generation_look(struct generation *g);
void generation_drain(struct generation *g, int64_t drain_ms); /* again: with less time */
bool generation_is_over(struct generation *g);                 /* all its threads have ended */
/* Wait for its end. What it left behind at the writer may still come back, until: */
void generation_join(struct generation *g);
void generation_free(
    struct generation *g); /* the writer has nothing of it any more; NULL is fine */

struct databases *generation_databases(const struct generation *g);             /* any thread */
void *generation_owner(const struct generation *g);                             /* any thread */
const struct generation_flows *generation_flows_of(const struct generation *g); /* any thread */
/* Its shards, for the answers of the admin port; any thread until it is joined. */
size_t generation_shards(const struct generation *g);
const struct shard_thread *generation_shard(const struct generation *g, size_t i);
