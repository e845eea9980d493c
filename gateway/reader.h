/* reader.h - reads (and cancels) jobs in the record through a few connections that requests share.
 * MySQL away: an answer at once, not a queue of waiting requests; record-away and record-back in
 * the log, once for each time. Any thread. */
#pragma once
#include "common/clock.h"
#include "common/record.h"

struct reader;
/* 0, or an error with a line in why[RECORD_WHY]. */
typedef int reader_open_fn(void *arg, struct record **out, char *why);

struct reader_settings {
    reader_open_fn *open; /* a connection to the record */
    void *arg;
    size_t connections;
    int wait_ms;  /* for a free connection */
    int stuck_ms; /* none came back for so long: nobody waits any more, MySQL hangs */
    int rest_ms;  /* after a failed connect nobody tries for so long */
    const struct clock *clock;
};

/* Connects at the first read. *out: owned (reader_close). 0, ERR_NOMEM. */
int reader_open(const struct reader_settings *s, struct reader **out) must_use;
/* A job's row alone. 0; ERR_NOT_FOUND; ERR_UNAVAILABLE: MySQL is away or too busy. A connection
 * lost while it rested is replaced once. */
int reader_look(struct reader *r, const struct job_id *id, struct record_job *job) must_use;
/* A job and its ledger, as record_ops.read; with `may` only if that lets the row pass, which is
 * read first (else ERR_NOT_FOUND). Same errors. */
typedef bool reader_may_fn(void *arg, const struct record_job *row);
struct reader_guard {
    reader_may_fn *may;
    void *arg;
};
int reader_read(struct reader *r, const struct job_id *id, const struct reader_guard *guard,
                struct record_job *job, struct record_call **calls, size_t *n) must_use;
/* A page of a user's jobs, as record_ops.list. 0, ERR_UNAVAILABLE. */
int reader_list(struct reader *r, struct record_list *l) must_use;
/* The same, and the server's time before it. */
int reader_list_now(struct reader *r, struct record_list *l, int64_t *now_us) must_use;
/* What became of jobs, as record_ops.progress. 0, ERR_UNAVAILABLE. */
int reader_progress(struct reader *r, struct record_progress *rows, size_t n) must_use;
/* T9, as record_ops.cancel. 0, ERR_CONFLICT, ERR_NOT_FOUND, ERR_UNAVAILABLE: perhaps done; asking
 * again does no harm. */
int reader_cancel(struct reader *r, struct record_cancel *c) must_use;
/* Nobody reads any more. NULL is fine. */
void reader_close(struct reader *r);
