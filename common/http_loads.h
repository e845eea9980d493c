/* http_loads.h - which of the HTTP client's multi handles (shards) gets the next call, and how many
 * connections each may keep. In one multi handle the cost of a call grows with the calls in flight,
 * because each new transfer walks that host's connections; so there are several. The first that is
 * not full is taken, which keeps a small load on few, warm connections. Pure; one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum {
    HTTP_SHARDS_MAX = 32,
    HTTP_SHARD_FILL = 64 /* calls in flight before the next shard is used */
};

struct http_load {
    unsigned running, sockets; /* calls in flight, open connections */
    bool used;                 /* in this period */
};
struct http_loads {
    struct http_load list[HTTP_SHARDS_MAX], all;
    size_t n;          /* shards that exist */
    unsigned idle_max; /* resting connections to keep, over all shards */
    unsigned peak[2];  /* most calls in flight in this period and in the one before */
};

/* The shard for the next call. n (one more than there are): make a new one. */
size_t http_loads_pick(const struct http_loads *l);
/* The least loaded of those that exist; n must not be 0. */
size_t http_loads_least(const struct http_loads *l);

/* A call, a connection of this shard began (+1) or ended (-1). */
void http_loads_call(struct http_loads *l, size_t shard, int change);
void http_loads_socket(struct http_loads *l, size_t shard, int change);

/* A period is over: the peak before the last one is forgotten. */
void http_loads_rest(struct http_loads *l);
/* No call in this period. */
bool http_loads_is_unused(const struct http_loads *l, size_t shard);

/* Handles to keep for the next calls: as many as the peak may need again, at least idle_max. */
unsigned http_loads_spare(const struct http_loads *l);

/* How many connections, running ones included, this shard may keep now; at least 1. */
long http_loads_connections(const struct http_loads *l, size_t shard);
