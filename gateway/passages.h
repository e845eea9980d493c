/* passages.h - accepts on their way without a thread of their own: while a job is marked and
 * published, its request's thread reads what comes next. The lane asks Redis and publishes; the
 * client's thread that has Kafka's report answers; what a mark means else needs MySQL and goes to
 * an errand's thread. Flows that count, hash, wait or coalesce keep their thread (accept_run.h). */
#pragma once
#include "gateway/marks.h"
#include "gateway/publish.h"

struct accept;

struct passages_settings { /* all borrowed until close */
    struct marks *marks;
    struct publisher *publisher;
    const struct clock *clock;
    int wait_ms; /* for a report */
    int tick_ms; /* between two looks for one that is overdue */
    unsigned errands;
    /* A passage holds its struct accept, and all that it points to, from enter to leave. */
    void (*enter)(void *arg, const struct accept *);
    void (*leave)(void *arg, const struct accept *);
    void *arg;
};

struct passages;
/* Starts its threads. *out: owned. 0, ERR_NOMEM. */
int passages_open(const struct passages_settings *s, struct passages **out) must_use;
/* Every reply is paid, and all reports have come (the publisher is closed). NULL is fine. */
void passages_close(struct passages *p);
