/* leases.h - what a shard holds of one upstream's limits, leased from Redis and shared by all
 * workers (protocols: slot_lease, rate_lease). It decides what to ask for and what the answers
 * mean, and tells the governor; call_leases.h asks. Pure: time comes in. Its shard's thread.
 *
 *   SHARED: slots as leased, rate by tokens <---------------------------+
 *     | Redis away, silent for half a second, or it refuses             | an answer in
 *     v                                                                 | time: a lease
 *   LOST:   no more than the share, and of that what is leased still; --+
 *     |     rate by share                                               |
 *     | 4 s: by then all shards know, and who held more has come down   |
 *     v                                                                 |
 *   LOCAL:  slots and rate by share ------------------------------------+
 *
 * Back in SHARED no shard takes more than its share for 5 s: others may not be back yet. A shard
 * begins in LOST without a lease. Without Redis at all it is LOCAL for ever. Where it refuses
 * tokens only (no memory), each lease leads to SHARED and the next question for tokens back: rate
 * by share.
 *
 * Slots: it asks for what it needs, and within its share for twice as much and some, so that most
 * calls start without a trip. Held 10 s from the question on, renewed every 3 s;
 * what is above the share and not used goes back within a second or two, all of it after three
 * seconds without a call. */
#pragma once
#include "worker/governor.h"

enum leases_mode { LEASES_LOST, LEASES_SHARED, LEASES_LOCAL };

struct leases {
    struct governor *governor; /* borrowed; its slots and rate are set here */
    enum leases_mode mode;
    bool redis;         /* there is one to ask */
    bool up;            /* and it may answer */
    bool fresh;         /* never used a share of its own */
    unsigned shares;    /* shards of all workers */
    unsigned cap;       /* slots it may hold at most */
    int64_t since_us;   /* of LOST */
    int64_t careful_us; /* not more than the share until then */
    struct {
        unsigned leased; /* counted for us in Redis */
        unsigned target; /* of these, how many may be used: less when others want them */
        unsigned wanted; /* when last asked */
        int64_t until_us, asked_us;
        bool asking;
        unsigned peak, before; /* most calls needed in this second, in the one before */
        int64_t second_us;
    } slot;
    struct {
        int64_t asked_us, again_us; /* again: no question before */
        bool asking;
        unsigned used, before; /* tokens in this tenth of a second, in the one before */
        int64_t tenth_us;
    } rate;
};

void leases_init(struct leases *l, struct governor *g, bool redis, int64_t now_us);
/* After governor_set_shares: shards of all workers, and the most slots this one may hold. */
void leases_share(struct leases *l, unsigned shares, unsigned cap, int64_t now_us);

/* Before each question to the governor: Redis is up, or not; time has passed. */
void leases_look(struct leases *l, int64_t now_us, bool up);
/* A call has started. */
void leases_started(struct leases *l, int64_t now_us);

struct leases_slots {
    unsigned claim; /* in use, or to be used until the answer */
    unsigned want, max;
};
/* Is it time to ask for slots? Then the question is on its way: answer it, or say that it failed.
 */
bool leases_ask_slots(struct leases *l, int64_t now_us, struct leases_slots *out);
void leases_slots(struct leases *l, int64_t now_us, unsigned leased, unsigned target);
/* The same for tokens: n of them. */
bool leases_ask_rate(struct leases *l, int64_t now_us, unsigned *n);
/* delay_us: from the answer to the first token, or with n 0 until it would be. */
void leases_rate(struct leases *l, int64_t now_us, unsigned n, int64_t delay_us);
/* No answer will come, or none that can be used: as good as Redis away. */
void leases_slots_failed(struct leases *l, int64_t now_us);
void leases_rate_failed(struct leases *l, int64_t now_us);

/* Microseconds until leases_look, and what is asked after it, may say something else; -1: no need
 * to look before the next call. */
int64_t leases_wait_us(const struct leases *l, int64_t now_us);

enum { LEASES_AHEAD_US = 100000 }; /* tokens are leased for the coming tenth of a second */
