/* shard_thread.h - a thread with its loop, its clients and the shard that runs in it.
 * Start and stop belong to the main thread. */
#pragma once
#include <pthread.h>
#include "worker/admin.h"
#include "worker/shard.h"

struct shard_thread;
struct shard_thread_settings {   /* lent until joined, but what is said */
    struct shard_settings shard; /* loop, http, cache, signs, closed, fatal are filled in */
    struct cache_settings redis;
    /* the admin port, for the first thread: -1 none; taken */
    int admin_fd;
    admin_answer_fn *answer;
    void *answer_arg;
    /* it opened (err 0), or could not: then it ends. From the thread */
    void (*opened)(void *arg, int err);
    /* a consumer is beyond help; from the thread */
    void (*fatal)(void *arg, const char *why);
    /* the thread ends: everything is given back */
    void (*ended)(void *arg);
    void *arg;
};

/* 0, ERR_NOMEM, ERR_IO (no thread). *out: owned (shard_thread_join, then
 * shard_thread_free). */
int shard_thread_start(const struct shard_thread_settings *s, struct shard_thread **out) must_use;
/* Ask it to drain (again: with less time). Any thread, after `opened` said 0. */
void shard_thread_drain(struct shard_thread *t, int64_t drain_ms);
/* The same, and the admin port is closed: another thread has it. */
void shard_thread_retire(struct shard_thread *t, int64_t drain_ms);
/* Wait for its end. Its loop takes posted calls until shard_thread_free: what it left behind at the
 * writer may still come back, and goes nowhere. NULL is fine for both. */
void shard_thread_join(struct shard_thread *t);
void shard_thread_free(struct shard_thread *t); /* the writer is stopped */

/* The shard's signs, until shard_thread_free; any thread. Silence: milliseconds since its loop last
 * ticked, 0 while it does not run. */
int64_t shard_thread_silence_ms(const struct shard_thread *t);
uint64_t shard_thread_worker(const struct shard_thread *t);
const char *shard_thread_trouble(const struct shard_thread *t);
/* Redis is there and refuses nothing. For the admin answers, in the thread of the first shard. */
bool shard_thread_redis_up(const struct shard_thread *t);
