/* cache_scripts.h - what the scripts of cache.h do, their arguments and answers (protocols: Redis).
 * The text is versioned with the program; cache_fake.c gives them the same meaning. Pure; any
 * thread.
 *
 * script      keys  arguments             answer
 * ADMIT       k     mac, id               new | other body | k as it is
 * LEAD        v, l  id, ttl_ms of l       new | l as it is | 'v' + the value of v
 * LEAD_DONE   v, l  id, value, ttl_ms     1: l was this id's and is gone; 0. Empty value: v stays
 * MARK        k     'a' + mac + id, ttl_ms   1
 * MARK        l     'a' + id, "0"         1: l was 'p' + id; 0: left as it is (finished, or
 * another)
 * LIMIT       l     step_us, window_us, take   1 left reset_us | 0 wait_us reset_us
 *             (who has spent more than the window, by another limit, has spent all of it)
 * REFUND      l     step_us               1: given back; 0: there was nothing to give back to
 * POOL_TAKE     q, t                         an item | nil
 * POOL_RESERVE  q, r     job, size, ms       ok | full
 * POOL_PUT      q, r, d  job, result, size, ms of an item   put | done | refused | back, then
 *                                            " short" while there is room for more, or " full"
 * SLOT_LEASE    c, h     me, claim, want, max  "leased target hold_ms"
 * RATE_LEASE    r, h     gap_us, n, ahead_us   "granted delay_us hold_ms"
 * HOLD          h        ms                    1: held so long from now; 0: longer already
 *
 * k = 'p' or 'a' + mac + id, kept 24 h; l = 'p' or 'a' + id. mac and id have any fixed length; the
 * same everywhere. MARK with "0" never makes a lead anew: its job may be finished already.
 *
 * A limit (GCRA): l = the moment, in Unix us by Redis, at which all is there again; each one taken
 * moves it by step_us, and it may lie window_us ahead. left: how many more may come at once; reset:
 * until all is there again; wait: until one is. take "0": only look.
 *
 * A pool: q = list of items `expires|job|result` (Unix ms by Redis, id of the refill that made it,
 * JSON), kept as long as an item from its last push on; r = refills under way, each for so many ms
 * of its own; d = refills that have pushed, kept a day; t = what a job has taken, kept an hour, so
 * that the same job is given the same item again. RESERVE and PUT count items and refills under way
 * against size. PUT ends the reservation of its job; `done`: it has pushed before; `refused`: it
 * came after its time, and the pool is full; an empty result: it only gives its place `back`.
 *
 * An upstream: c = `me:leased:wanted` of each shard, for 10 s, the sum of leased at most max. A
 * shard that lacks some gets what is free, but no more than an equal part of what those who lack
 * some can share; who has more is told a smaller target and comes down to it, never below what it
 * claims as in use. Where there is not one for each, who had some stands back for who has none.
 * Nothing claimed and nothing wanted: forgotten. r = when the next call conforms (us); tokens are
 * granted while that is at most ahead_us from now, the first delay_us from now; none: so long until
 * it is. h = Retry-After: nobody starts a call while it is there. */
#pragma once
#include "common/cache.h"

/* Lua text, NUL-terminated; lent for ever. "" for SCRIPT_NONE. */
const char *cache_script_text(enum cache_script s);

enum { CACHE_MARK_MS = 24 * 3600 * 1000 };

/* op:{c:HASH}:v, the value of a cache key (64 digits), or :l, its lead. */
enum { CACHE_HASH_NAME = 80 };
void cache_hash_name(const char *hash, char which, char out[CACHE_HASH_NAME]);

/* First character of an answer of ADMIT or LEAD. */
enum cache_answer {
    ANSWER_NONE = 0, /* not an answer of these scripts: treat as if Redis were away */
    ANSWER_NEW = 'n',
    ANSWER_OTHER_BODY = 'o',
    ANSWER_PENDING = 'p',      /* k or l follows whole in the reply's text */
    ANSWER_ACKNOWLEDGED = 'a', /* the same */
    ANSWER_VALUE = 'v'         /* text + 1 is the value */
};
enum cache_answer cache_answer_of(const struct cache_reply *r);
