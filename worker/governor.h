/* governor.h - how much of one upstream a shard may use: calls in flight, rate, a queue in order of
 * arrival, and a breaker with one probe (flow file: upstreams).
 * Pure: time comes in, no IO, no allocation. Limits hold over all workers. By itself a shard takes
 * its share (limit / shares), at least one; leases.h gives it what all shards agreed on instead.
 * Belongs to its shard's thread.
 *
 *   ask -> GO: start it, and report with governor_done
 *       -> WAIT: queued; governor_next gives it out later
 *       -> OPEN: the breaker is open, nothing is queued: give up, or governor_park to wait for it
 */
#pragma once
#include "common/flow.h"
#include "worker/tokens.h"

struct governor_ticket { /* embedded in whoever waits, and kept until governor_done */
    struct governor_ticket *next, *prev;
    bool queued, parked;
    bool refill;  /* set before it asks: all others go first, whenever they came */
    unsigned era; /* of the breaker, when its attempt started */
};

enum governor_answer { GOVERNOR_GO, GOVERNOR_WAIT, GOVERNOR_OPEN };
enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBE };
/* What an attempt says about the upstream's health. */
enum governor_sign { SIGN_GOOD, SIGN_BAD, SIGN_NONE };

struct governor {
    const struct upstream *upstream; /* borrowed */
    unsigned share;                  /* this shard's of concurrency */
    unsigned slots, flying;          /* slots: how many may fly now; the share, or what is leased */
    double gap_us;          /* between two calls at this shard's share of the rate; 0 none */
    double free_at_us;      /* GCRA: when the next call conforms */
    bool by_gap, by_tokens; /* which of them says when the next may start; both: the later one */
    struct tokens tokens;
    int64_t hold_us; /* Retry-After: nothing starts before */
    struct governor_list {
        struct governor_ticket *head, *tail;
    } queue[2],
        parked[2];    /* by `refill`. parked: until the breaker lets a call through; first then */
    unsigned queued;  /* in all of them */
    unsigned refills; /* of these */
    struct {
        enum breaker_state state;
        bool shared;  /* a probe needs leave: another shard may be probing */
        bool leave;   /* it is given */
        unsigned era; /* counts openings and probes: what started before says nothing any more */
        int64_t until_us;
        unsigned seen, bad, at; /* in the window of the last `of` attempts */
        uint8_t window[(BREAKER_OF_MAX + 7) / 8];
    } breaker;
};

/* upstream: borrowed as long as the governor lives. shares: shards of all workers, at least 1. */
void governor_init(struct governor *g, const struct upstream *upstream, unsigned shares);
void governor_set_shares(struct governor *g, unsigned shares); /* slots become the share */

/* May this call start at `now`? may_start false: it must wait whatever the limits say (no lease).
 */
enum governor_answer governor_ask(struct governor *g, struct governor_ticket *t, int64_t now_us,
                                  bool may_start);
/* Who may start now, taken off the queue, or NULL; then *wait_us is when to look again (-1: when a
 * call ends). Also after OPEN: then all that are queued are given out with *open set, to end as
 * breaker-open or to be parked. */
struct governor_ticket *governor_next(struct governor *g, int64_t now_us, int64_t *wait_us,
                                      bool *open);
/* The attempt that started with this ticket ended. SIGN_NONE: it was cancelled and says nothing.
 * One that started before the breaker opened says nothing of what a probe is to find out. */
void governor_done(struct governor *g, const struct governor_ticket *t, enum governor_sign sign,
                   int64_t now_us);
/* After OPEN: wait until the breaker lets a call through. */
void governor_park(struct governor *g, struct governor_ticket *t);
/* Stop waiting; fine for one that does not wait. */
void governor_leave(struct governor *g, struct governor_ticket *t);
/* The upstream asked for a pause (Retry-After): nothing starts before, at most a minute. */
void governor_hold(struct governor *g, int64_t now_us, int64_t ms);

/* Is leave to probe all that is missing? Then governor_probe says whether it is given; if not, the
 * breaker stays open for wait_ms more. */
bool governor_wants_probe(const struct governor *g, int64_t now_us);
void governor_probe(struct governor *g, int64_t now_us, bool leave, int64_t wait_ms);

/* Waiting calls in percent of the upstream's bound, which refills have for themselves.
 */
unsigned governor_fill(const struct governor *g, bool refills);
/* connect dns tls reset timeout http-5xx are bad signs; an answer is a good one. */
enum governor_sign governor_sign_of(enum call_code code);
