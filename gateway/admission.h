/* admission.h - is a flow so far behind that a new job could not end before its deadline? Answered
 * from memory; a thread measures every 5 s, without joining the group. What is unknown sheds
 * nothing, and is never read as 0. */
#pragma once
#include "common/broker.h"
#include "common/cache.h"
#include "common/clock.h"
#include "common/flow.h"

/* ---- one flow; pure, belongs to one thread. Zeroed, with floor and deadline: nothing is known.
 *
 * What is in flight and how much is asked for say nothing of being behind: jobs may take until
 * their deadline. Behind is who has records open that came a deadline and some ago, or whose
 * workers say that jobs are overdue (overdue.h). What is done meanwhile, but for those, is all
 * that can be done, the capacity. Shed is while lag / capacity is over the deadline, and from then
 * on until it is under a half of it. */
enum {
    ADMISSION_SAMPLES = 61,            /* at least 5 min, and twice the deadline */
    ADMISSION_OVERDUE = 5,             /* percent from which on workers are believed */
    ADMISSION_SETTLE_US = 10 * 1000000 /* to end a job after its deadline, and commit */
};

struct admission_flow {
    int64_t floor;       /* a lag up to this sheds nothing */
    int64_t deadline_ms; /* 0: none; never shed */
    struct {
        int64_t at_us, came, done; /* records since the topic began */
        double good;               /* of those done, the ones that were not overdue */
    } sample[ADMISSION_SAMPLES];
    size_t n, next;
    int64_t done; /* as measured last */
    double good;
    double capacity;  /* jobs per second, at least */
    int64_t known_us; /* when it was seen; 0: unknown */
    bool shed;
};
/* Shed from now on? lag, done: as measured at at_us (admission_sum); overdue: percent of the jobs
 * done lately, 0 where nobody says. */
bool admission_judge(struct admission_flow *f, int64_t at_us, int64_t lag, int64_t done,
                     int overdue);

/* Sum of the partitions' lag, and of what is done. No commit, or one of records that are deleted:
 * from the start offset. */
void admission_sum(const struct broker_lag *list, size_t n, int64_t *lag, int64_t *done);

/* ---- all flows, measured by a thread */
struct admission;
struct admission_settings {
    struct broker_producer *producer; /* borrowed until close, as the next two */
    struct cache *cache;              /* where workers say what is overdue; NULL: nobody does */
    struct flow_set *flows;
    const int *partitions;    /* of each flow's topic, in order of flows; copied, and asked
                               * for again once a minute */
    struct admission *before; /* whose judgements on flows that are the same go on; may be NULL */
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
