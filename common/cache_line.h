/* cache_line.h - the asynchronous half of cache.h over any kind of connection: two lines to Redis,
 * one for commands, one for messages, that come back after each loss; what waits is bounded and
 * always answered. Each time that a line goes is one in the log, one that never came too. Without a
 * library; cache_redis.c gives the driver. Loop's thread. */
#pragma once
#include "common/cache.h"
#include "common/resolver.h"

struct cache_line; /* a driver's connection */

enum cache_line_news { LINE_SUBSCRIBED, LINE_UNSUBSCRIBED, LINE_MESSAGE };

struct cache_line_events {
    void *arg;
    void (*up)(void *arg);                    /* connected, signed in: commands may be sent */
    void (*down)(void *arg, const char *why); /* the line is gone; all requests were answered */
    /* What `send` was given; reply NULL: lost with the line. */
    void (*reply)(void *arg, void *request, const struct cache_reply *reply);
    void (*news)(void *arg, enum cache_line_news what, const char *channel, const char *text,
                 size_t len);
};

struct cache_line_driver { /* arg: as given to cache_line_async_open */
    /* Begin to connect to an address. events: copied; none comes inside the call. NULL: it cannot.
     */
    struct cache_line *(*open)(void *arg, const char *host, struct loop *loop, bool messages,
                               const struct cache_line_events *events);
    /* whole: a script goes with its text, not by name. 0 or ERR_IO (no reply comes). */
    int (*send)(struct cache_line *, const struct cache_command *, bool whole, void *request);
    void (*subscribe)(struct cache_line *, const char *channel, bool on);
    /* Answers what is open; `down` is not called. */
    void (*close)(struct cache_line *);
    void (*free)(void *arg);
};

/* arg: taken (freed with driver->free), also on failure. host: lent until closed. resolver: taken,
 * also on failure; it finds the host's addresses, of which each try takes the next. NULL: the
 * driver gets the host as it is. 0 or ERR_NOMEM. */
int cache_line_async_open(const struct cache_line_driver *driver, void *arg, const char *host,
                          struct resolver *resolver, struct loop *loop,
                          struct cache_async **out) must_use;
