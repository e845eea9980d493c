/* cache_fake.h - Redis in memory, for tests: the commands and scripts the programs use, with the
 * same meaning, and keys that run out by a given clock. One store, any number of views of it; the
 * synchronous ones are safe from any thread, the asynchronous ones belong to their loop's thread.
 * Answers and messages of asynchronous views come in a later turn of the loop, in order.
 * Commands: PING ECHO GET SET (NX XX PX EX KEEPTTL) DEL EXISTS EXPIRE PEXPIRE PTTL PUBLISH
 * LLEN ZCARD HLEN (of a pool). */
#pragma once
#include "common/cache.h"

struct cache_fake;

/* clock: borrowed until close. 0 or ERR_NOMEM. */
int cache_fake_open(const struct clock *clock, struct cache_fake **out) must_use;
/* After its views. NULL is fine. */
void cache_fake_close(struct cache_fake *f);

/* Views; owned: cache_close, cache_async_close. */
int cache_fake_view(struct cache_fake *f, struct cache **out) must_use;
int cache_fake_async_view(struct cache_fake *f, struct loop *loop,
                          struct cache_async **out) must_use;

/* Redis goes and comes back: while away all is ERR_IO, open commands are answered so, and listeners
 * miss messages; back again, they are told that they are subscribed anew. */
void cache_fake_away(struct cache_fake *f, bool away);
/* The n-th command from now (1 = the next) is answered with err instead of being done; 0: none. */
void cache_fake_fail(struct cache_fake *f, unsigned n, int err);
/* From now on this script, with SCRIPT_NONE all commands and scripts, are answered with this error
 * (lent), as a replica or a Redis without memory does; NULL: no more. */
void cache_fake_refuse(struct cache_fake *f, enum cache_script only, const char *why);

/* Look and change as Redis would see it. get: NULL without such a key; lent until the next change.
 * ttl: ms left, -1 for ever, -2 no such key. put: ttl_ms 0 for ever. */
const char *cache_fake_get(struct cache_fake *f, const char *key, size_t *len);
int64_t cache_fake_ttl_ms(struct cache_fake *f, const char *key);
int cache_fake_put(struct cache_fake *f, const char *key, const void *value, size_t len,
                   int64_t ttl_ms) must_use;
size_t cache_fake_commands(const struct cache_fake *f); /* done so far */

/* What was published, oldest first, also without listeners; NULL behind the last. Lent. */
const char *cache_fake_published(struct cache_fake *f, size_t i, const char **channel);
