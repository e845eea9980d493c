/* broker_kafka.h - librdkafka without its types: what broker_kafka.c, the only file that includes
 * it, gives to broker_kafka_producer.c, _consumer.c and _admin.c. Nobody else uses this. */
#pragma once
#include "common/broker_conf.h"

struct kafka; /* one client of the library */

struct kafka_events { /* all of its role */
    void *arg;
    /* Producer, on threads of the library: one report. Must not block nor call the client. */
    void (*report)(void *arg, const struct broker_delivery *d);
    /* Producer, from kafka_answers and kafka_flush: the library's statistics, JSON. */
    void (*statistics)(void *arg, const char *json);
    /* Consumer, from kafka_next, kafka_commit and kafka_close: the list is assigned already, or
     * taken right after the call. */
    void (*rebalance)(void *arg, bool assigned, bool lost, const struct broker_partition *list,
                      size_t n);
    /* Consumer, from those; producer, from kafka_answers: fatal ones only, each time it is asked.
     * name: of the protocol's error, "TOPIC_AUTHORIZATION_FAILED" */
    void (*error)(void *arg, const char *name, bool fatal, const char *why);
};

/* group: NULL for none. 0, ERR_INVALID (logged), ERR_NOMEM. */
int kafka_open(enum broker_role role, const struct broker_settings *s, const char *group,
               const struct kafka_events *events, struct kafka **out) must_use;
/* A consumer leaves its group first, for wait_ms at most. */
void kafka_close(struct kafka *k, int wait_ms);

/* ---- producer, any thread */
/* 0: one report comes, perhaps before this returns; ERR_FULL, ERR_TOO_LARGE, ERR_IO: none. */
int kafka_publish(struct kafka *k, const struct broker_record *r, void *tag) must_use;
/* Wait for reports; give_up: what is not acknowledged is reported as it is, now. */
void kafka_flush(struct kafka *k, int wait_ms, bool give_up);
/* Ask a broker for metadata. False also after a fatal error: it will publish no more. */
bool kafka_answers(struct kafka *k, int wait_ms);
/* ---- a client with a group, which it does not join: what its group has committed. The question by
 * the admin API ends the process before librdkafka 2.10.1, when the coordinator moves (its issue
 * 5040) or is away until the question's time is over. Fill `committed`, or `low` and `high`, of all
 * rows. 0, ERR_IO, ERR_TIMEOUT. */
int kafka_committed(struct kafka *k, struct broker_lag *list, size_t n, int wait_ms) must_use;
int kafka_watermarks(struct kafka *k, struct broker_lag *list, size_t n, int wait_ms) must_use;

/* ---- consumer, its thread. fd: an eventfd, written when something comes to an empty queue. */
int kafka_subscribe(struct kafka *k, const char *const *topics, size_t n, int fd) must_use;
/* One record, lent until the next call; its headers go to headers[max]. False: nothing now. */
bool kafka_next(struct kafka *k, struct broker_record *out, struct event_header *headers,
                size_t max);
bool kafka_pause(struct kafka *k, const char *topic, int32_t partition, bool pause); /* done? */
/* As broker_commit. */
int kafka_commit(struct kafka *k, const struct broker_partition *list, size_t n,
                 int wait_ms) must_use;

/* ---- any client: fill partitions and replication, or all but the name (the configuration as far
 * as it may be read). 0, ERR_IO, ERR_TIMEOUT. */
int kafka_partitions(struct kafka *k, struct broker_topic *t, int wait_ms) must_use;
int kafka_describe(struct kafka *k, struct broker_topic *t, int wait_ms) must_use;
/* ---- admin */
/* 0 (also if it is there), ERR_IO, ERR_TIMEOUT, ERR_REFUSED; why says more. */
int kafka_create(struct kafka *k, const struct broker_topic *t, int wait_ms,
                 char why[256]) must_use;
