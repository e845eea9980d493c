/* streams.h - the live streams of a gateway: one loop, one connection to Redis, no thread of their
 * own. Each listens first, then reads the record, then joins both by number (merge.h, feed.h).
 * Redis away, or it refuses messages: the record is read every second. At each heartbeat it is
 * read, too: a worker may die between its commit and its message. A reader too slow for its bytes
 * is closed, and one whose token has expired; each comes back and goes on where it stopped, or is
 * told why not. */
#pragma once
#include "common/cache.h"
#include "common/id.h"
#include "gateway/feed.h"
#include "gateway/limits.h"
#include "gateway/stream_read.h"

struct streams;

enum {
    STREAMS_BEAT_MS = 15000,
    STREAMS_LOOK_MS = 1000, /* the record, while Redis is away or after it did not answer */
    STREAMS_GAP_MS = 5000,  /* the record did not answer for so long: `gap` */
    STREAMS_BYTES = 256 << 10,
    STREAMS_BACK_MS = 2000, /* at most; for those that are told to come back */
    STREAMS_EACH = 16       /* of one client at least, whatever the share of all is */
};

struct streams_settings {
    struct loop *loop;         /* borrowed until close; its thread is the caller's */
    struct cache_async *cache; /* of that loop; borrowed until close */
    /* Asks the record (stream_reads_put); r: taken until its `done` */
    void (*read)(void *arg, struct stream_read *r);
    void *read_arg;
    feed_title_fn *title;
    void *title_arg;
    unsigned max, each; /* at once; of them one client's (shares.h), 0: a tenth */
    size_t bytes_max;   /* that wait for one reader: STREAMS_BYTES */
};
/* Loop's thread. *out: owned. 0 or ERR_NOMEM. */
int streams_open(const struct streams_settings *s, struct streams **out) must_use;
/* Tell all readers to come back elsewhere, and take no more; waits until they are gone, at most
 * wait_ms. Any thread but the loop's. */
void streams_stop(struct streams *s, int wait_ms);
/* The loop no longer runs, nothing reads. NULL is fine. */
void streams_close(struct streams *s);

struct stream_order { /* a stream to be */
    struct job_id id; /* of a job; all zero: the owner's jobs */
    bool of_user;
    struct owner owner;           /* of the caller */
    char address[LIMITS_ADDRESS]; /* of a guest */
    uint64_t last;                /* Last-Event-ID; 0: none */
    int64_t until_s; /* Unix time at which the caller's token is good no more; 0: has none */
};
/* Room for one more. *out: owned (stream_begin). 0; ERR_FULL: too many; ERR_OVERLOADED: too many of
 * this client; ERR_CLOSED: it stops; ERR_NOMEM. Any thread. */
struct stream_ticket;
int streams_enter(struct streams *s, const struct stream_order *order,
                  struct stream_ticket **out) must_use;
/* The connection is there, its head was sent; fd: taken, -1: there is none, give the room back.
 * Fits http_taker. arg: taken. Any thread. */
void stream_begin(void *arg, int fd);
