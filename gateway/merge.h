/* merge.h - what a stream of a job still has to say: messages and reads of the record become one
 * series of events, each number once and in order (protocols: Stream of a job). Pure: no clock, no
 * connection; belongs to one thread. Events are appended to `out` as sse.h prints them.
 *
 * The first event is `state`, from the first read. A message with the next number is sent at once;
 * a jump, a `done`, or anything too large asks for a read. A read of a final job gives what never
 * had a row, then `done`, and the end. */
#pragma once
#include "common/record.h"

struct merge {
    uint32_t last;        /* number of the last event */
    enum job_state shown; /* JOB_NONE: no `state` was sent yet */
    bool resumed;         /* `last` is the client's word, until a read has confirmed it */
    bool newer;           /* a state came by message while a read was on its way */
    bool again;           /* news came that the read on its way may not have */
    uint64_t *told;       /* unnumbered calls that were sent: marks of name and item */
    size_t told_n;
};

/* last: of Last-Event-ID; 0: from the start. */
void merge_init(struct merge *m, uint64_t last);
void merge_fini(struct merge *m);

/* A message of the job's channel; what is none of ours is no change. reading: a read is on its way.
 * true: the record must be read (behind the read on its way, if there is one). */
bool merge_message(struct merge *m, const char *message, size_t len, bool reading, struct buf *out);

/* What to ask the record for; out fields are left alone. */
void merge_ask(struct merge *m, struct record_progress *p);

enum merge_next {
    MERGE_WAIT,  /* all is said that the read had */
    MERGE_READ,  /* read again: it was cut short, out is full, or news came meanwhile */
    MERGE_ENDED, /* `done` was said */
};
/* What a read gave. room: bytes of out beyond which the rest waits for another read; one event may
 * pass it. */
enum merge_next merge_read(struct merge *m, const struct record_progress *p, size_t room,
                           struct buf *out);
/* The record did not answer in time. */
void merge_gap(const struct merge *m, struct buf *out);
