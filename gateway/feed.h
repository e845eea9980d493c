/* feed.h - what a user's stream says of all the user's jobs (protocols: Stream of a user): the
 * newest ones that are open or ended a while ago, then what is heard. It may say a thing twice and
 * never leaves out a final state. Pure: no clock, no connection; belongs to one thread. Events are
 * appended to `out` as sse.h prints them; their id is the server's time up to which all was said.
 */
#pragma once
#include "common/flow.h"
#include "common/record.h"

enum { FEED_LATE_MS = 10000, FEED_TOLD = 32 };

struct feed {
    int64_t since_ms;       /* all that ended before was said; 0: nothing is known yet */
    bool began;             /* the open jobs were said */
    bool again;             /* news came that the read on its way may not have */
    struct feed_told *told; /* the last jobs whose end was said, by message or read; a ring */
    unsigned told_at;
    /* a list that is told in parts, as the reader takes it: */
    bool more;       /* the next read goes on behind this job: */
    int64_t made_us; /* created */
    struct job_id made;
    int64_t first_ms; /* of its first read */
};

/* last: of Last-Event-ID; 0, or no time that there is: none. */
void feed_init(struct feed *f, uint64_t last);
void feed_fini(struct feed *f);
/* What to ask the record for. */
void feed_ask(struct feed *f, const struct owner *o, struct record_list *l);
/* A title for people; out: "" if the flow is not known. */
enum { FEED_TITLE = FLOW_TITLE };
typedef void feed_title_fn(void *arg, const char *flow, char out[FEED_TITLE]);
struct feed_read {
    const struct record_list *list;
    int64_t now_ms; /* the server's, before it was read */
    feed_title_fn *title;
    void *arg;
};
/* What a read gave. room: bytes of out beyond which the rest waits for another read; one event may
 * pass it. True: there is such a rest. */
bool feed_take(struct feed *f, const struct feed_read *r, size_t room, struct buf *out) must_use;
/* A message of the user's channel. now_ms: the server's; settled: no read is wanted or on its way,
 * so all up to now was heard. */
void feed_message(struct feed *f, const char *message, size_t len, int64_t now_ms, bool settled,
                  struct buf *out);
/* Only the time, for who comes back. */
void feed_beat(const struct feed *f, int64_t now_ms, bool settled, struct buf *out);
