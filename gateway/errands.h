/* errands.h - a few threads for work that may wait for a server and that nobody's thread waits for.
 * Bounded by who asks: each request has one errand at most. */
#pragma once
#include "common/err.h"

struct errand { /* lent until run is called */
    void (*run)(struct errand *);
    struct errand *next;
};
struct errands;
/* *out: owned (errands_close). 0, ERR_NOMEM. */
int errands_open(unsigned threads, struct errands **out) must_use;
void errands_put(struct errands *e, struct errand *errand); /* any thread; never blocks */
void errands_close(struct errands *e); /* runs what is there before; NULL is fine */
