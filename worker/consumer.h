/* consumer.h - one consumer group of a shard: its partitions, what of them is done, and when they
 * pause (protocols: Offsets, Rebalance). Records go to the shard, which says later that they are
 * done. Belongs to its shard's thread. */
#pragma once
#include "common/broker.h"
#include "common/loop.h"
#include "worker/intake.h"
#include "worker/offsets.h"

struct consumer;

struct partition { /* lent until it is revoked */
    struct partition *next;
    struct consumer *consumer;
    char *topic; /* owned */
    int32_t number;
    int64_t committed; /* as last sent; -1: nothing */
    bool refills;      /* its records are refills: it may be shut while others are not */
    bool past;         /* its log went back: only what came until then is still here */
    bool gone;         /* past, and revoked since: the commit is the new owner's */
    int64_t seen;      /* one after the newest record that came; -1: none */
    struct offsets offsets;
    bool paused;           /* as told to the broker */
    struct gate span;      /* between what is committed and what is read */
    struct parked *parked; /* records that could not be taken yet; owned */
};

struct consumer_events {
    void *arg;
    /* A record, lent during the call. 0: done will be told; else it is offered again later. */
    int (*take)(void *arg, struct partition *p, const struct broker_record *r);
    /* Gone: forget all places in it now. Its finished beginning has been committed. */
    void (*revoked)(void *arg, struct partition *p);
    bool (*is_refills)(void *arg, const char *topic); /* of refills? NULL: none is */
    bool (*shut)(void *arg, bool refills);            /* take no more of these (intake) */
    void (*fatal)(void *arg, const char *why);        /* this consumer will never work again */
};

/* Opens the broker's side; a double in tests. */
typedef int consumer_open_fn(void *arg, const char *group, const char *const *topics, size_t n,
                             const struct broker_consumer_events *events,
                             struct broker_consumer **out);
struct consumer_settings {
    const char *group;         /* lent, as all below */
    const char *const *topics; /* during open only */
    size_t topics_n;
    consumer_open_fn *open;
    void *open_arg;
    struct loop *loop;
    struct consumer_events events;
};
/* 0 or as broker_kafka_consumer_open. */
int consumer_open(const struct consumer_settings *s, struct consumer **out) must_use;
/* Leave the group: revoked comes for all partitions (about 5 s at most); free. NULL is fine. */
void consumer_close(struct consumer *c);

/* That record is finished. */
void consumer_done(struct partition *p, int64_t offset);
/* Every second: poll, commit what moved, look at pauses. */
void consumer_tick(struct consumer *c);
/* Pause or resume as intake and spans say; cheap when nothing changed. */
void consumer_adjust(struct consumer *c);

/* Why it consumes nothing, as a code for /readyz, lent for ever: "group-refused" (not allowed, or a
 * topic is missing; until something is assigned again), "not-assigned" (the group has told it
 * nothing for 30 s since the open). NULL: all is well, also without partitions. */
const char *consumer_trouble(const struct consumer *c);

struct consumer_numbers {
    unsigned partitions, paused;
    int64_t unfinished; /* records delivered and not done */
};
void consumer_count(const struct consumer *c, struct consumer_numbers *add);
