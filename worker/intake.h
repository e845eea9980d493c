/* intake.h - when to stop taking records (protocols: Offsets, Bounds).
 * Full at 100 % of jobs or bytes, open again at 50 % of both, so that partitions do not flap.
 * The span of one partition has a gate of its own (consumer.c). Pure; belongs to its shard's
 * thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate { /* one bounded amount */
    int64_t used, max;
    bool shut; /* reached max and not yet back at half */
};

void gate_set(struct gate *g, int64_t used); /* notes the amount and decides */

struct intake {
    struct gate jobs;    /* jobs in memory, watched ones too */
    struct gate bytes;   /* records, results, bodies */
    struct gate rows;    /* waiting for the record's writer, */
    struct gate held;    /* and their bytes */
    struct gate calls;   /* waiting in the fullest upstream queue, against its bound */
    struct gate refills; /* the same of refills' calls: these let all others go first */
};

/* Bounds of one shard; the writer's and the upstreams' are fixed. */
void intake_init(struct intake *i, int64_t jobs_max, int64_t bytes_max);
/* How much of each there is now. */
void intake_jobs(struct intake *i, int64_t jobs, int64_t bytes);
void intake_rows(struct intake *i, int64_t waiting, int64_t bytes);
void intake_calls(struct intake *i, int64_t percent, int64_t refills); /* 100 and more: full */

/* Pause partitions: those of refills, all others. Refills that wait hold up no user's job.
 */
bool intake_shut(const struct intake *i, bool refills);
