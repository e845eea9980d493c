/* http_shard.h - the HTTP client's shards: each is one multi handle of its library, with its timer
 * and its sockets in the loop. Which takes the next call and how many connections each may keep is
 * http_loads.h's. Belongs to the loop's thread. */
#pragma once
#include "common/http_loads.h"
#include "common/http_watch.h"

struct http_shards;
struct http_shard {
    struct http_shards *all;
    void *multi; /* the library's handle */
    struct loop_timer *timer;
    size_t number; /* in list and loads */
};

struct http_shards {
    struct loop *loop;
    /* The library's part. open: sets s->multi, which may call wait and watch at once; false without
     * memory. close: its sockets end with it. act: what is due on fd; -1: its time has come. */
    bool (*open)(struct http_shard *s);
    void (*close)(struct http_shard *s);
    void (*act)(struct http_shard *s, int fd, int events);
    struct http_shard *list[HTTP_SHARDS_MAX];
    struct http_loads loads;
    struct http_watches watches;
};

/* The shard for the next call. NULL without memory. */
struct http_shard *http_shards_pick(struct http_shards *all);
/* A period is over: shards that only the peak before it needed end. */
void http_shards_rest(struct http_shards *all);
void http_shards_fini(struct http_shards *all);

/* act in ms, 0: the next turn; below 0: not. */
void http_shard_wait(struct http_shard *s, int64_t ms);
/* act on these events of fd; 0: nobody asks any more. 0 or ERR_NOMEM. */
int http_shard_watch(struct http_shard *s, int fd, int events) must_use;
/* A new socket of this shard, as socket() makes it; -1: none. */
int http_shard_socket(struct http_shard *s, int family, int type, int protocol);
/* Close it, or another descriptor of the library. As close(). */
int http_shards_close_socket(struct http_shards *all, int fd);
