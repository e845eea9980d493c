/* cache_pool.h - the synchronous half of cache.h over any kind of connection: a pool, a breaker,
 * and a thread that brings the pool back after a failure, so that no caller ever waits for a dead
 * server. Each time that it goes is one line in the log, a server that was never there too. Without
 * a library; cache_redis.c gives the driver. */
#pragma once
#include "common/cache.h"

enum { CACHE_WHY = 160 };
struct cache_link;    /* a driver's connection; one thread at a time */
struct cache_driver { /* arg: as given to cache_pool_open */
    /* Ready for commands, or NULL and why. anew: in the pool's own thread, which may wait for a
     * name server; else a caller's, which must not: to where the last of those led. */
    struct cache_link *(*open)(void *arg, int wait_ms, bool anew, char why[CACHE_WHY]);
    bool (*is_stale)(struct cache_link *); /* idle, and closed by the other side meanwhile */
    /* As cache_call. Any error leaves the link dead; *why then says more (lent until close). */
    int (*exchange)(struct cache_link *, const struct cache_command *, size_t n,
                    struct cache_reply *, const char **why);
    void (*close)(struct cache_link *);
    void (*free)(void *arg);
};

/* arg: taken (freed with driver->free), also on failure. 0 or ERR_NOMEM; does not wait for the
 * first connection. */
int cache_pool_open(const struct cache_driver *driver, void *arg, const struct cache_settings *s,
                    const struct clock *clock, struct cache **out) must_use;
