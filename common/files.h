/* files.h - descriptors of the process: each connection and each call in flight holds one. What
 * there are bounds the calls, so that too many wait for their turn and none fails for want of a
 * descriptor. */
#pragma once

/* Raise the soft limit to the hard one; the limit that holds now. Before threads start. */
unsigned files_raise(void);

/* Calls one of `shards` shards may have in flight under that limit, at least 16: the rest is for
 * idle connections, servers, the broker's connections and files. Pure. */
unsigned files_for_calls(unsigned limit, unsigned shards);

/* What a gateway needs that serves so many connections at once and asks for the lag of so many
 * groups; without one left, its listener spins. Pure. */
unsigned files_for_connections(unsigned connections, unsigned groups);

/* How many of so many live streams there are descriptors for, beside the connections that `threads`
 * serve and the groups. Pure. */
unsigned files_for_streams(unsigned limit, unsigned threads, unsigned groups, unsigned streams);

enum {
    FILES_IDLE_CONNECTIONS = 512, /* a shard keeps at most so many to upstreams */
    FILES_GROUP = 16,             /* a group's Kafka client, with three brokers */
};
