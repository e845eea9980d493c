/* cancels.h - tells shards which jobs were asked to be cancelled, by reading op_cancel every 2 s
 * (protocols: 7.9): what a lost message of `op:ctl` left out. Looks back 10 s further than the last
 * time, so an id comes several times: the shard must not mind. One thread with its own connection.
 */
#pragma once
#include "worker/clerk.h"

struct cancels;
struct cancels_shard;

struct cancels_settings {
    clerk_open_fn *open;
    void *open_arg;
    struct loop *loop; /* NULL: a thread; set: runs in this loop (virtual time) */
};
/* 0 or ERR_NOMEM. */
int cancels_start(const struct cancels_settings *s, struct cancels **out) must_use;
/* After the loops of all shards have ended. NULL is fine. */
void cancels_stop(struct cancels *c);

/* ids: lent during the call, which runs in the shard's loop. */
typedef void cancels_fn(void *arg, const struct job_id *ids, size_t n);
/* 0 or ERR_NOMEM. *out: lent until cancels_leave. The shard's loop. */
int cancels_join(struct cancels *c, struct loop *loop, cancels_fn *found, void *arg,
                 struct cancels_shard **out) must_use;
/* `found` is not called any more. The shard's loop. */
void cancels_leave(struct cancels *c, struct cancels_shard *s);
