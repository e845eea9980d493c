/* names.h - the addresses of upstreams' names, as the resolver tells them. One question per name at
 * a time, however many want it; an answer is kept for its time to live and asked for again before
 * it ends; a failure is kept for a second. When a name server is away or slow, the last good
 * addresses go on for ten minutes. Belongs to the loop's thread; the time is the loop's clock. */
#pragma once
#include <sys/queue.h>

#include "common/resolver.h"

enum {
    NAMES_TTL_MIN_MS = 5000, /* bounds of an answer's time to live */
    NAMES_TTL_MAX_MS = 60000,
    NAMES_STALE_MS = 600000, /* from the answer on: how long its addresses may stand in */
    NAMES_PATIENCE_MS = 250, /* a question takes longer: addresses that ran out stand in */
    NAMES_FAILED_MS = 1000,  /* from a failure to the next question */
    NAMES_MAX = 1024         /* names kept; beyond, those not used longest are forgotten */
};

struct names;
struct name;

/* One who waits: part of the caller's struct, zeroed at first. */
struct names_wait {
    TAILQ_ENTRY(names_wait) link;
    struct name *name;
    struct loop_timer *timer; /* NULL: waits for nothing */
    int64_t until_ms;
};

/* The end of a wait. err: 0 and the addresses (resolver.h), lent during the call; ERR_TIMEOUT;
 * ERR_NOT_FOUND, ERR_IO, ERR_NOMEM of the resolver and its words. It may find and forget others. */
typedef void names_fn(void *arg, struct names_wait *w, int err, const char *text);

/* resolver: taken, also on failure. fn gets arg. *out: owned (names_close). 0 or ERR_NOMEM. */
int names_open(struct loop *loop, struct resolver *resolver, names_fn *fn, void *arg,
               struct names **out) must_use;
/* Whoever waits is not called any more, and must be left (names_leave) before. NULL is fine. */
void names_close(struct names *n);

/* Find a name (borrowed; in lower case). 0: *addresses is what is known, lent until the next call;
 * or NULL: w waits max_ms at most, then fn is called once, never before this returns. ERR_NOMEM. */
int names_find(struct names *n, const char *name, int64_t max_ms, struct names_wait *w,
               const char **addresses) must_use;
/* The name that w was given to find, as long as it waits and during fn. Lent likewise. */
const char *names_wait_name(const struct names_wait *w);
/* It waits no more; fn is not called. Fine for one that does not wait. */
void names_leave(struct names *n, struct names_wait *w);
