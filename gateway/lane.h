/* lane.h - takes what waits through Redis and on to Kafka together, in one thread: under load one
 * trip, and one wake-up, serve many requests. Whoever puts something in waits for no report; with
 * little under way he makes its trip himself, for a wake-up costs more than he can share. */
#pragma once
#include "gateway/marks.h"
#include "gateway/publish.h"

/* From so many publishes without a report on, the lane's thread makes all trips. */
enum { LANE_CALM = PUBLISH_BUSY_FROM };

struct lane;
struct lane_item {               /* filled by who puts it in; lent until `release` */
    const struct marks_key *key; /* NULL: Redis is not asked */
    const struct broker_record *record;
    /* What Redis said, in the lane's thread or his who puts something in; must not block. true:
     * publish. false: the lane is done with it. */
    bool (*admitted)(struct lane_item *, struct mark *);
    /* As publish_wait's, once; there too or in the client's thread; must not block nor publish. */
    void (*over)(struct lane_item *, int err);
    void (*release)(struct lane_item *); /* behind over; last */
    /* the lane's own: */
    struct publish_call call;
    struct lane *lane;
    struct lane_item *next, *before;
    int64_t until_ms;
    _Atomic int state;
};

struct lane_settings { /* borrowed until close */
    struct marks *marks;
    struct publisher *publisher;
    const struct clock *clock;
    int wait_ms; /* for a report, from the publish on; then it is `outcome-unknown` */
    int tick_ms; /* between two looks for such */
};
/* Starts the thread. *out: owned. 0, ERR_NOMEM. */
int lane_open(const struct lane_settings *s, struct lane **out) must_use;
/* Nothing is put in any more, and all reports have come (the publisher is closed). NULL is fine. */
void lane_close(struct lane *l);
/* Any thread; takes a trip to Redis at most. Nothing of item is the caller's behind it. */
void lane_put(struct lane *l, struct lane_item *item);
