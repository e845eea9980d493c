/* publish.h - publish one record and learn whether Kafka has it. Who waits does so on a waiter of
 * its own, so a delivery report wakes exactly one thread; who does not is called. Any thread. */
#pragma once
#include "common/broker.h"
#include "common/clock.h"

struct publisher;

/* wait_ms: how long a request waits for its report; queue_max: publishes without a report at most.
 * *out: owned (publisher_close). 0, ERR_NOMEM. */
int publisher_open(int wait_ms, size_t queue_max, struct publisher **out) must_use;
/* The producers to use; taken: publisher_close closes them. Made with publisher_reports and the
 * publisher as their arg. calm sends at once; busy (NULL: calm does all) lingers a little, so that
 * under load records share their requests to the broker: it gets what comes while PUBLISH_BUSY_FROM
 * or more publishes are without a report. */
enum { PUBLISH_BUSY_FROM = 12 };
void publisher_use(struct publisher *p, struct broker_producer *calm, struct broker_producer *busy);
struct broker_producer *publisher_producer(struct publisher *p); /* calm; lent */
/* Would the next record go out at once, by either producer? Never waits. */
bool publisher_up(struct publisher *p);
/* Wait for that: 0, ERR_TIMEOUT after wait_ms. */
int publisher_await(struct publisher *p, int wait_ms) must_use;
/* Wait for all reports, at most wait_ms. How many are still out. */
size_t publisher_flush(struct publisher *p, int wait_ms);
/* A broker_report_fn. */
void publisher_reports(void *publisher, const struct broker_delivery *list, size_t n);
/* Every publish has ended before. NULL is fine. */
void publisher_close(struct publisher *p);

/* Publish and wait. 0: persisted. ERR_NOT_DURABLE: surely not there. ERR_OUTCOME_UNKNOWN: perhaps
 * (no report in time, or the broker was lost meanwhile). ERR_OVERLOADED: the queue is full, nothing
 * sent. ERR_TOO_LARGE: Kafka takes no record of this size, nothing sent. */
int publish_wait(struct publisher *p, const struct broker_record *r) must_use;

/* Publish without waiting. 0: reported is called exactly once, perhaps before this returns, on a
 * thread of the client: it must not publish. Else as above, and it is not called. err of the
 * report: 0, ERR_NOT_DURABLE, ERR_OUTCOME_UNKNOWN. call: borrowed until then. */
struct publish_call {
    void (*reported)(struct publish_call *, int err);
};
int publish_start(struct publisher *p, const struct broker_record *r,
                  struct publish_call *call) must_use;

size_t publisher_open_count(struct publisher *p); /* without a report yet */
