/* stream_read.h - reads of the record for streams, away from their loop: a few threads, each takes
 * what waits and posts it back when it has the answer. */
#pragma once
#include "common/loop.h"
#include "gateway/reader.h"

enum { STREAM_READ_JOBS = 500, STREAM_READ_LIST = 1000 };

struct stream;
struct stream_read { /* one question: many jobs, or one user's list */
    struct stream_read *next;
    loop_fn *done; /* in the loop's thread, with this struct; it frees */
    struct stream **streams;
    struct record_progress *rows; /* NULL: the list */
    size_t n;
    struct record_list list;
    /* out */
    int64_t now_us; /* the server's, before the list was read */
    int err;
};
/* Room for n streams; jobs: with rows. NULL without memory. */
struct stream_read *stream_read_new(size_t n, bool jobs);
void stream_read_free(struct stream_read *r); /* with what it got; NULL is fine */

struct stream_reads;
/* reader, loop: borrowed until close. *out: owned. 0 or ERR_NOMEM. */
int stream_reads_open(struct reader *reader, struct loop *loop, unsigned threads,
                      struct stream_reads **out) must_use;
/* Any thread; r: taken until its `done`. arg: struct stream_reads. */
void stream_reads_put(void *arg, struct stream_read *r);
/* The loop still runs: what was not read comes back with ERR_CLOSED. NULL is fine. */
void stream_reads_close(struct stream_reads *s);
