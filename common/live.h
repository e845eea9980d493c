/* live.h - numbered hints about a job to whoever listens (protocols: Redis channels op:j, op:u).
 * Sent and forgotten: what is missed is read from MySQL; Redis away costs nothing. Printing is
 * pure; publishing belongs to the shard's thread. */
#pragma once
#include "common/cache.h"
#include "common/id.h"
#include "common/job.h"

enum { LIVE_DATA_MAX = 16384, LIVE_CHANNEL = 5 + ID_TEXT };

/* {"seq":n,"event":"..","data":..} on op:j:ID; data over 16 KB: the number alone, the listener
 * reads the rest from the record. data: JSON text. cache: NULL is fine. */
void live_publish(struct cache_async *cache, const struct job_id *id, uint32_t seq,
                  const char *event, const struct buf *data);

struct live_job { /* for the owner's own stream; all borrowed */
    const struct job_id *id;
    const struct owner *owner;
    const char *flow, *title, *message; /* message: NULL none */
    enum job_state state;
    int64_t finished_us; /* 0: not yet */
};
/* {id,flow,title,state,message,finished} as `job` on op:u:OWNER; nobody's jobs are told to nobody.
 */
void live_publish_job(struct cache_async *cache, const struct live_job *j);

/* op:j:ID, op:u:OWNER. */
void live_channel(const struct job_id *id, char out[LIVE_CHANNEL]);
void live_channel_of_user(const struct owner *o, char out[LIVE_CHANNEL]);
/* The messages themselves, appended. */
void live_print(uint32_t seq, const char *event, const struct buf *data, struct buf *out);
void live_print_job(const struct live_job *j, struct buf *out);
/* {"state":".."}: the data of `state`, and of `done`, whose reader goes to the record. */
void live_print_state(enum job_state state, struct buf *out);
struct live_done {                              /* all borrowed */
    const char *id, *reason, *message, *result; /* reason "", message NULL, result NULL: null */
    enum job_state state;
};
/* {"id","state","reason","message","result"}: the data of `done` on a stream. */
void live_print_done(const struct live_done *d, struct buf *out);

struct live_message { /* what live_print made; lent with the message */
    uint32_t seq;
    char event[8];    /* "": too large, the number alone */
    const char *data; /* JSON text */
    size_t data_len;
};
/* 0 or ERR_INVALID: not one of ours. */
int live_parse(const char *message, size_t len, struct live_message *out) must_use;

/* The id in a message of op:ctl, "cancel ID". 0 or ERR_INVALID (another message). */
int live_parse_cancel(const char *message, size_t len, struct job_id *out) must_use;
