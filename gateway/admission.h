/* admission.h - is a flow so far behind that a new job could not end before its deadline? Answered
 * from memory; a thread measures every 5 s, without joining the group. What is unknown sheds
 * nothing, and is never read as 0. */
#pragma once
#include "common/broker.h"
#include "common/clock.h"
#include "common/flow.h"

/* ---- one flow's history; pure, belongs to one thread */
enum { ADMISSION_SAMPLES = 61 }; /* 5 min and one at every 5 s */

struct admission_history {
    struct {
        int64_t at_us, done; /* done: sum of committed offsets */
    } sample[ADMISSION_SAMPLES];
    size_t n, next;
};
/* Note what was measured. */
void admission_note(struct admission_history *h, int64_t at_us, int64_t done);
/* Jobs per second over what is remembered; -1: fewer than 10 s are remembered. */
double admission_rate(const struct admission_history *h);

struct admission_rule {
    int64_t floor;       /* a lag up to this sheds nothing */
    int64_t deadline_ms; /* 0: none; never shed */
};
/* Shed now? lag -1: unknown. */
bool admission_sheds(const struct admission_rule *rule, int64_t lag, double rate);

/* Sum of the partitions' lag, and of what is done. No commit, or one of records that are deleted:
 * from the start offset. */
void admission_sum(const struct broker_lag *list, size_t n, int64_t *lag, int64_t *done);

/* ---- all flows, measured by a thread */
struct admission;
struct admission_settings {
    struct broker_producer *producer; /* borrowed until close */
    struct flow_set *flows;           /* borrowed until close */
    const int *partitions;            /* of each flow's topic, in order of flows; copied, and asked
                                       * for again once a minute */
    const struct clock *clock;
    int64_t floor;
    int every_ms; /* 0: no thread; the caller measures (tests) */
    int wait_ms;  /* for the broker, per flow */
};
/* *out: owned (admission_close). 0, ERR_NOMEM. */
int admission_open(const struct admission_settings *s, struct admission **out) must_use;
/* Its flows' gauges are of this one from now on, no more of one shown before. */
void admission_show(struct admission *a);
/* Begin to end its thread, so that a close waits for no more than one flow. Any thread; what was
 * measured stays as it is. */
void admission_stop(struct admission *a);
void admission_close(struct admission *a); /* its gauges end; NULL is fine */
/* Should this flow of the set shed now? Any thread, one atomic read. */
bool admission_overloaded(const struct admission *a, const struct flow *f);
/* Records of the flow's topic that are not settled; -1: unknown. Any thread, one atomic read. */
int64_t admission_lag(const struct admission *a, const struct flow *f);
/* Measure all flows once, or until it is stopped; the thread does this. */
void admission_measure(struct admission *a);
