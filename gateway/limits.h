/* limits.h - how often a flow may be started: per user (a guest: per address), per key, per flow.
 * Counted in Redis, so for all gateways together; while Redis is away each counts its share by
 * itself. Any thread. */
#pragma once
#include "common/cache.h"
#include "common/flow.h"

struct limits;

enum { LIMITS_MAX = 8 };
struct limits_settings {
    struct cache *cache;       /* borrowed until close */
    const struct clock *clock; /* for the own share */
    unsigned gateways;         /* how many share a limit without Redis; at least 1 */
    size_t own_max;            /* who is remembered without Redis; more share one count */
};
/* *out: owned (limits_close). 0, ERR_NOMEM. */
int limits_open(const struct limits_settings *s, struct limits **out) must_use;
void limits_close(struct limits *l); /* NULL is fine */

struct limits_who { /* all borrowed */
    const struct flow *flow;
    const struct owner *user; /* nobody: a guest, counted by */
    const char *address;      /* the client's; of IPv6 its /64 */
    const char *key;          /* the record's, where a limit is per key */
    size_t key_len;
};
struct limits_state { /* of one limit of the flow, in the flow's order */
    bool spent;
    unsigned left;             /* how many more may come at once */
    int64_t wait_us, reset_us; /* spent: until one may come; until all may */
};
struct limits_taken {
    size_t n;
    struct limits_state state[LIMITS_MAX];
    bool own;                   /* counted by this gateway alone */
    char name[LIMITS_MAX][160]; /* of the counts; for the refund */
};

/* Take one from each limit of the flow, or from none. 0; ERR_RATE_LIMITED: one is spent at least.
 */
int limits_take(struct limits *l, const struct limits_who *who, struct limits_taken *out) must_use;
/* Only look. */
void limits_look(struct limits *l, const struct limits_who *who, struct limits_taken *out);
/* Give back what was taken: what it was taken for did not happen. */
void limits_refund(struct limits *l, const struct flow *f, const struct limits_taken *taken);

/* The longest wait of a spent limit, in whole seconds, at least 1. */
int limits_retry_s(const struct limits_taken *t);
/* The header lines RateLimit-Policy and RateLimit; nothing without limits. */
void limits_headers(const struct flow *f, const struct limits_taken *t, struct buf *out);

/* An address as it is counted: IPv4 whole (also written in IPv6), IPv6 its first 64 bits. Pure. */
enum { LIMITS_ADDRESS = 48 };
void limits_address(const char *address, char out[LIMITS_ADDRESS]);
