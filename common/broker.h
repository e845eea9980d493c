/* broker.h - the port to Kafka. Adapter: broker_kafka.c (librdkafka). Fake: broker_fake.h (topics
 * in memory; the test assigns, revokes and fails). Adapters fill the ops tables; callers use the
 * functions. A producer is safe from any thread. A consumer belongs to one thread. */
#pragma once
#include "common/event.h"

/* Headers of a record. Of one with more, a consumer hands over the first of them. */
enum { BROKER_HEADERS_MAX = 256 };

struct broker_record {
    const char *topic;
    int32_t partition; /* -1 when publishing: by key (murmur2, as Java's) */
    int64_t offset, timestamp_ms;
    const void *key; /* NULL: none */
    size_t key_len;
    const void *value; /* NULL: none */
    size_t value_len;
    const struct event_header *headers;
    size_t headers_n;
};

struct broker_settings {
    const char *servers; /* host:port,... */
    const char *client_id;
    /* further librdkafka properties (TLS, SASL), "name=value" lines; NULL: none */
    const char *properties;
    /* A producer that will never publish again (a fatal error of the idempotent producer: whether
     * records came twice or not at all cannot be known). Once, on a thread of the client; must not
     * close it. NULL: broker_producer_up tells, for ever. */
    void (*lost)(void *lost_arg, const char *why);
    void *lost_arg;
};

/* ---- producer: acks=all, idempotent, Nagle off, linger 0-1 ms, 10 s until a report */
struct broker_producer;
struct broker_lag;
enum broker_report { REPORT_PERSISTED, REPORT_NOT_PERSISTED, REPORT_POSSIBLY_PERSISTED };
struct broker_delivery {
    void *tag; /* of the publish */
    enum broker_report report;
    int32_t partition;
    int64_t offset;  /* when persisted */
    const char *why; /* lent during the callback */
};
/* Called for each publish, `n` deliveries at once, on threads of the client: never two at the same
 * time, perhaps before broker_publish has returned. Must not block nor call the producer. */
typedef void broker_report_fn(void *arg, const struct broker_delivery *list, size_t n);

struct broker_producer_ops {
    int (*publish)(struct broker_producer *, const struct broker_record *, void *tag);
    size_t (*flush)(struct broker_producer *, int wait_ms);
    bool (*up)(struct broker_producer *);
    int (*lag)(struct broker_producer *, const char *group, struct broker_lag *, size_t, int wait);
    int (*partitions)(struct broker_producer *, const char *topic, int wait_ms, int *n);
    void (*close)(struct broker_producer *);
};
struct broker_producer {
    const struct broker_producer_ops *ops;
};

/* The real one. 0, ERR_INVALID (a property it does not know; logged), ERR_NOMEM. Does not wait for
 * the broker. */
int broker_kafka_producer_open(const struct broker_settings *s, broker_report_fn *report, void *arg,
                               struct broker_producer **out) must_use;
/* Copies key, value, headers. 0: exactly one report comes. ERR_FULL, ERR_TOO_LARGE (more headers
 * than BROKER_HEADERS_MAX, too), ERR_IO: none comes. */
must_use static inline int broker_publish(struct broker_producer *p, const struct broker_record *r,
                                          void *tag)
{
    return p->ops->publish(p, r, tag);
}
/* Wait until all reports came, at most wait_ms. Returns how many are still out. */
static inline size_t broker_flush(struct broker_producer *p, int wait_ms)
{
    return p->ops->flush(p, wait_ms);
}
/* Open publishes are reported NOT or POSSIBLY persisted. NULL is fine. */
static inline void broker_producer_close(struct broker_producer *p)
{
    if (p)
        p->ops->close(p);
}
/* Does a broker answer (metadata no older than 5 s), and would a record go out at once? False for
 * up to a second after the open. Never waits; any thread; for /readyz. */
static inline bool broker_producer_up(struct broker_producer *p)
{
    return p->ops->up(p);
}

/* ---- consumer: group, range assignor, no auto commit, poll one by one */
struct broker_consumer;
struct broker_partition {
    const char *topic;
    int32_t partition;
    int64_t offset; /* commit: next offset to read */
};
struct broker_consumer_events {
    void *arg;
    /* called from broker_poll and broker_consumer_close, in the consumer's thread */
    void (*assigned)(void *arg, const struct broker_partition *list,
                     size_t n); /* offset: where it starts, -1 unknown */
    void (*revoked)(void *arg, const struct broker_partition *list, size_t n, bool lost);
    /* err: ERR_REFUSED (not allowed, or no such topic; it may pass), else ERR_IO */
    void (*error)(void *arg, int err, bool fatal, const char *why);
};

struct broker_consumer_ops {
    int (*fd)(struct broker_consumer *);
    const struct broker_record *(*poll)(struct broker_consumer *);
    void (*pause)(struct broker_consumer *, const char *topic, int32_t partition, bool pause);
    int (*commit)(struct broker_consumer *, const struct broker_partition *, size_t, int wait_ms);
    void (*close)(struct broker_consumer *);
};
struct broker_consumer {
    const struct broker_consumer_ops *ops;
};

/* The real one. Events are copied, strings too. 0, ERR_INVALID (logged), ERR_NOMEM, ERR_IO. */
int broker_kafka_consumer_open(const struct broker_settings *s, const char *group,
                               const char *const *topics, size_t topics_n,
                               const struct broker_consumer_events *events,
                               struct broker_consumer **out) must_use;
/* A descriptor that becomes readable when something waits; poll until it gives nothing. Lent. Poll
 * at least every second. */
static inline int broker_consumer_fd(struct broker_consumer *c)
{
    return c->ops->fd(c);
}
/* One record, lent until the next poll or close; NULL: nothing now. Serves rebalances and errors.
 * Never blocks. */
static inline const struct broker_record *broker_poll(struct broker_consumer *c)
{
    return c->ops->poll(c);
}
/* Pause or resume one partition; asking twice is no change (2.0.2 refetches a partition resumed
 * twice). */
static inline void broker_pause(struct broker_consumer *c, const char *topic, int32_t partition,
                                bool pause)
{
    c->ops->pause(c, topic, partition, pause);
}
/* Commit next offsets. wait_ms 0: not waited for. 0, ERR_IO, ERR_TIMEOUT, ERR_CONFLICT (not ours
 * any more). */
must_use static inline int broker_commit(struct broker_consumer *c,
                                         const struct broker_partition *list, size_t n, int wait_ms)
{
    return c->ops->commit(c, list, n, wait_ms);
}
/* Leave the group (revoked is called) and free; about 5 s at most. NULL is fine. */
static inline void broker_consumer_close(struct broker_consumer *c)
{
    if (c)
        c->ops->close(c);
}

/* ---- admin: always the real one (its tests use a port of their own, worker/topics.h) */
struct broker_topic {
    char name[250];
    int partitions; /* 0: does not exist */
    int replication;
    int64_t max_message_bytes, retention_ms; /* -1 unknown; see broker_topic_keeps_ms */
    int min_insync;
    bool unclean_election; /* a replica that misses records may become the leader */
};
/* For how long the record of a job may still be in the topic: its retention; 90 days where that is
 * unlimited, unknown or of no use (0, over a century: what people write for "for ever"). */
int64_t broker_topic_keeps_ms(const struct broker_topic *t);
/* Fill the rest of each from its name. 0, ERR_IO/ERR_TIMEOUT. Own connection; any thread. */
int broker_describe(const struct broker_settings *s, struct broker_topic *topics, size_t n,
                    int wait_ms) must_use;
/* Create what does not exist with `partitions` and `replication` (-1: the broker's default), and
 * wait until it is seen. 0, ERR_IO, ERR_TIMEOUT, ERR_REFUSED. */
int broker_create(const struct broker_settings *s, const struct broker_topic *topics, size_t n,
                  int wait_ms, char why[256]) must_use;

/* Committed offsets and watermarks of a group without joining it; for admission and lag. offset:
 * committed (-1 none), low/high: watermarks. Blocks up to wait_ms: not for a loop's thread. 0,
 * ERR_IO, ERR_TIMEOUT. */
struct broker_lag {
    char topic[250];
    int32_t partition;
    int64_t committed, low, high;
};
must_use static inline int broker_lag(struct broker_producer *p, const char *group,
                                      struct broker_lag *list, size_t n, int wait_ms)
{
    return p->ops->lag(p, group, list, n, wait_ms);
}
/* How many partitions the topic has now (0: there is none, and none is made); they may grow. Blocks
 * up to wait_ms. 0, ERR_IO, ERR_TIMEOUT. */
must_use static inline int broker_partitions(struct broker_producer *p, const char *topic,
                                             int wait_ms, int *n)
{
    return p->ops->partitions(p, topic, wait_ms, n);
}
