/* etas.h - how long jobs of each flow usually take, as workers told Redis: asked for at most every
 * 10 s a flow. Any thread. */
#pragma once
#include "common/buf.h"
#include "common/cache.h"
#include "common/eta.h"
#include "common/flow.h"

struct eta_now {
    struct eta usual;
    int64_t as_of_us; /* when it was read */
    int64_t ahead;    /* records before this one at most; -1: unknown, or it is not queued */
};

struct etas;
/* Both borrowed until close. *out: owned (etas_close). 0, ERR_NOMEM. */
int etas_open(struct cache *cache, const struct clock *clock, const struct flow_set *flows,
              struct etas **out) must_use;
void etas_close(struct etas *e); /* NULL is fine */
/* What is known of this flow of the set; ahead is -1. false: nothing (e NULL, too. Or Redis is away
 * for longer than 10 s). */
bool etas_get(struct etas *e, const struct flow *f, struct eta_now *out);

/* {p50, p90, ahead?, as_of}: milliseconds. */
void etas_print(const struct eta_now *e, struct buf *out);
