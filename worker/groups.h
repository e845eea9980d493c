/* groups.h - which consumer groups a worker joins, and the topics of each: that of every flow, its
 * retries and its refills (protocols: Kafka). Pure; any thread. */
#pragma once
#include "common/flow.h"

struct group {
    const char *name; /* lent with the flow set */
    char **topics;    /* owned */
    size_t topics_n;
};
struct groups {
    struct group *list;
    size_t n;
};

/* only: names of the flows to consume; only_n 0: all. 0 or ERR_NOMEM; out is owned (groups_fini).
 */
int groups_init(struct groups *out, const struct flow_set *set, const char *const *only,
                size_t only_n) must_use;
void groups_fini(struct groups *g);
/* Does a worker of `only` consume this flow? */
bool groups_wants(const struct flow *f, const char *const *only, size_t only_n);
/* Is this topic one of refills? */
bool groups_is_refill(const struct flow_set *set, const char *topic);
