/* cache.h - the port to Redis: commands and scripts, synchronous (gateway threads) and asynchronous
 * (worker loops). Adapter: cache_redis.c (hiredis, RESP2). Fake: cache_fake.h (the same scripts'
 * meaning in memory). Redis may vanish: after a failure a breaker answers ERR_IO at once and tries
 * again in the background (0.1 s doubling to 2 s, jittered), so a dead Redis costs nothing per
 * request. */
#pragma once
#include "common/buf.h"
#include "common/loop.h"

struct cache_settings {
    const char *url;      /* redis://[user:pass@]host:port[/db] */
    int wait_ms;          /* per command, synchronous; 50 */
    unsigned connections; /* pool; 32 */
};

/* Scripts of protocols: Redis. Their arguments and answers: cache_scripts.h. */
enum cache_script {
    SCRIPT_NONE,
    SCRIPT_ADMIT,
    SCRIPT_LEAD,
    SCRIPT_LEAD_DONE,
    SCRIPT_MARK,
    SCRIPT_LIMIT,
    SCRIPT_REFUND,
    SCRIPT_POOL_TAKE,
    SCRIPT_POOL_RESERVE,
    SCRIPT_POOL_PUT,
    SCRIPT_SLOT_LEASE,
    SCRIPT_RATE_LEASE,
    SCRIPT_HOLD,
    SCRIPT_COUNT
};

enum { CACHE_ARGS_MAX = 12 };
/* How long an error as answer (a replica, no memory, no disk, no leave) is told of. */
enum { CACHE_REFUSED_MS = 10000 };
struct cache_command {
    enum cache_script script;         /* SCRIPT_NONE: argv is a plain command */
    unsigned keys;                    /* of a script: argv[0..keys) are keys, the rest arguments */
    const char *argv[CACHE_ARGS_MAX]; /* borrowed until the call (send) returns */
    size_t argv_len[CACHE_ARGS_MAX];
    unsigned argc;
};
/* Add an argument. */
void cache_arg(struct cache_command *c, const void *bytes, size_t len);
void cache_arg_text(struct cache_command *c, const char *text);
/* Has it a name, and no more arguments than fit? Others are refused with ERR_INVALID. */
bool cache_command_is_valid(const struct cache_command *c);

enum cache_reply_type { REPLY_NIL, REPLY_TEXT, REPLY_INTEGER, REPLY_STATUS, REPLY_ERROR };
struct cache_reply {
    enum cache_reply_type type;
    char *text; /* owned: cache_reply_fini; NUL-terminated */
    size_t len;
    long long integer;
};
void cache_reply_fini(struct cache_reply *r);

/* ---- synchronous pool; any thread */
struct cache;
struct cache_ops { /* an adapter fills this; callers use the functions below */
    int (*call)(struct cache *, const struct cache_command *, size_t n, struct cache_reply *);
    bool (*up)(struct cache *);
    void (*close)(struct cache *);
};
struct cache {
    const struct cache_ops *ops;
};

/* The real one; does not wait for Redis. clock: borrowed until close. 0, ERR_INVALID (the URL, or
 * rediss:// in a build without TLS; logged), ERR_NOMEM. */
int cache_redis_open(const struct cache_settings *s, const struct clock *clock,
                     struct cache **out) must_use;
static inline void cache_close(struct cache *c)
{
    if (c)
        c->ops->close(c);
}
/* n commands in one round trip; replies[n] filled on success (each owned: cache_reply_fini). 0,
 * ERR_IO (away or breaker open), ERR_TIMEOUT. One that Redis refused is a REPLY_ERROR. */
must_use static inline int cache_call(struct cache *c, const struct cache_command *commands,
                                      size_t n, struct cache_reply *replies)
{
    return c->ops->call(c, commands, n, replies);
}
/* GET. true: *out is a text, owned (cache_reply_fini). false: there is none, or nobody to ask. */
bool cache_get(struct cache *c, const char *name, struct cache_reply *out) must_use;
/* Is it there, and has it done for CACHE_REFUSED_MS all that it was asked? For /readyz. */
static inline bool cache_up(struct cache *c)
{
    return c->ops->up(c);
}

/* ---- asynchronous; belongs to its loop's thread */
struct cache_async;
typedef void cache_reply_fn(void *arg, int err,
                            const struct cache_reply *reply); /* reply lent; NULL on err */
typedef void cache_message_fn(void *arg, const char *channel, const char *message, size_t len);
struct cache_async_ops {
    int (*send)(struct cache_async *, const struct cache_command *, cache_reply_fn *, void *arg);
    int (*subscribe)(struct cache_async *, const char *channel, cache_message_fn *, void *arg);
    void (*unsubscribe)(struct cache_async *, const char *channel, cache_message_fn *, void *arg);
    bool (*up)(const struct cache_async *);
    bool (*obeys)(const struct cache_async *);
    bool (*hears)(const struct cache_async *);
    void (*close)(struct cache_async *);
};
struct cache_async {
    const struct cache_async_ops *ops;
};

/* The real one. loop: borrowed until close. 0, ERR_INVALID as above, ERR_NOMEM. */
int cache_redis_async_open(struct loop *loop, const struct cache_settings *s,
                           struct cache_async **out) must_use;
/* Open commands are answered ERR_CLOSED first. */
static inline void cache_async_close(struct cache_async *c)
{
    if (c)
        c->ops->close(c);
}
/* Copies. fn may be NULL. ERR_IO: away; ERR_FULL: 32 MB wait (twice that with what
 * the library holds); fn is then not called. */
must_use static inline int cache_send(struct cache_async *c, const struct cache_command *command,
                                      cache_reply_fn *fn, void *arg)
{
    return c->ops->send(c, command, fn, arg);
}
/* Messages of one channel (SUBSCRIBE) on a connection of its own; subscribed again after each
 * reconnect. fn(arg, channel, NULL, 0) says that it is subscribed (again): what came before may be
 * lost. A channel may have several listeners; the same fn and arg twice: ERR_EXISTS. Also 0 while
 * Redis is away: the first call of fn tells when it is there. */
must_use static inline int cache_subscribe(struct cache_async *c, const char *channel,
                                           cache_message_fn *fn, void *arg)
{
    return c->ops->subscribe(c, channel, fn, arg);
}
/* fn is not called any more for this channel and arg; unknown ones are no change. */
static inline void cache_unsubscribe(struct cache_async *c, const char *channel,
                                     cache_message_fn *fn, void *arg)
{
    c->ops->unsubscribe(c, channel, fn, arg);
}
static inline bool cache_async_up(const struct cache_async *c)
{
    return c->ops->up(c);
}
/* As cache_up: false also for CACHE_REFUSED_MS after an error as answer. */
static inline bool cache_async_obeys(const struct cache_async *c)
{
    return c->ops->obeys(c);
}
/* Is the connection there that messages come by? While it is not, nothing is heard. */
static inline bool cache_async_hears(const struct cache_async *c)
{
    return c->ops->hears(c);
}
