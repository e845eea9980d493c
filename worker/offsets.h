/* offsets.h - which records of one partition are done, so that only the finished beginning is
 * committed (protocols: Offsets).
 * A bit per delivered, unfinished record in a ring; holes in the delivered numbers (compaction,
 * transactions) count as done. Pure; belongs to its shard's thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

/* Most records between the lowest unfinished and the newest: beyond it the partition pauses. */
enum { OFFSETS_SPAN = 100000 };

struct offsets {
    int64_t base;  /* lowest unfinished record, or the next one to come; -1: nothing known yet */
    int64_t next;  /* one after the newest delivered */
    uint64_t *bit; /* ring of open records; owned */
    size_t words;  /* of the ring; a power of two, 0 before the first record */
    size_t open;   /* delivered and not done */
};

/* start: the offset the partition begins at, -1 if unknown. Allocates nothing. */
void offsets_init(struct offsets *o, int64_t start);
void offsets_fini(struct offsets *o); /* zeroed or used; twice is fine */

/* A record was delivered. 0; ERR_EXISTS: not newer than what was delivered before, nothing changed;
 * ERR_FULL: the span is used up; ERR_NOMEM. */
int offsets_take(struct offsets *o, int64_t offset) must_use;
/* That record is finished. Unknown or finished ones are ignored. */
void offsets_done(struct offsets *o, int64_t offset);

/* What to commit: the next offset to read after a restart; -1: nothing known. */
int64_t offsets_commit(const struct offsets *o);
/* Records between the lowest unfinished and the newest, both counted. */
int64_t offsets_span(const struct offsets *o);
