/* shard.h - one loop thread's worth of worker: consumers in, jobs through their calls, offsets out.
 * Everything in it belongs to that thread; others see its signs. With other shards it shares the
 * writer, lease, watch, cancels, relay, databases, and metrics.
 *
 *   open -> (runs in its loop) -> drain: leave the groups, finish, give back the rest -> closed */
#pragma once
#include "common/cache.h"
#include "common/http_client.h"
#include "worker/cancels.h"
#include "worker/consumer.h"
#include "worker/intake.h"
#include "worker/jobs.h"
#include "worker/relay.h"
#include "worker/topic_limits.h"

enum { SHARD_JOBS = 16384, SHARD_BYTES = 256 << 20 };

struct shard_signs {               /* zeros at first; written in the shard's thread, any may read */
    _Atomic int64_t beat_ms;       /* loop time of its last tick, for the health check */
    _Atomic uint64_t worker;       /* id it writes with; 0: none now */
    _Atomic(const char *) trouble; /* as consumer_trouble, of the first consumer that has some */
};

struct shard;
struct shard_settings { /* all lent until closed, but what is said */
    const struct flow_set *set;
    const char *const *only; /* names of flows to consume; n 0: all */
    size_t only_n;
    struct loop *loop;
    struct http_client *http;
    struct cache_async *cache; /* NULL: none */
    struct writer *writer;
    struct databases *databases; /* NULL: no flow uses any */
    struct lease *lease;
    struct watch *watch;
    struct cancels *cancels;
    struct relay *relay;               /* NULL: none */
    const struct topic_limits *limits; /* NULL: Kafka's defaults */
    consumer_open_fn *open;            /* the broker's side */
    void *open_arg;
    struct rng *rng;
    const _Atomic int64_t *ahead_us; /* of the record's clock (record_clock.h) */
    const _Atomic unsigned *shares;  /* shards of all workers, for limits */
    const char *issuer;              /* of topic.user; NULL: "" */
    struct shard_signs *signs;
    int64_t retention_ms;
    int64_t jobs_max, bytes_max;                /* 0: SHARD_JOBS, SHARD_BYTES */
    unsigned calls_max;                         /* in flight; 0: no limit */
    void (*closed)(void *arg, struct shard *s); /* the last word: everything is given back */
    void (*fatal)(void *arg, const char *why);  /* a consumer is beyond help: drain */
    void *arg;
};

/* 0, or what a consumer says; ERR_NOMEM: then nothing is left of it, and its loop need not run. */
int shard_open(const struct shard_settings *s, struct shard **out) must_use;
/* Leave the groups, finish for at most drain_ms, release what is left, end the lease; then
 * `closed`. Asking again with 0 cuts the time short. */
void shard_drain(struct shard *s, int64_t drain_ms);
void shard_free(struct shard *s); /* after `closed` */

/* Somebody asked to cancel this job: no change if it is not here. */
void shard_cancel(struct shard *s, const struct job_id *id);
size_t shard_jobs(const struct shard *s); /* for tests */
