/* claim.h - from a Kafka record to a job, and what the record of jobs says about it (protocols:
 * Claim). Pure; any thread. */
#pragma once
#include "common/broker.h"
#include "common/flow.h"
#include "common/record.h"

struct claim { /* what a record asks for */
    struct event event;
    const struct flow *flow; /* lent with the set */
    enum job_reason bad;     /* REASON_BAD_EVENT: the record cannot be run */
    const char *why;         /* then: what is wrong, for the log; lent for ever */
};

/* Read a record's headers. Records without ours get their id from place and content, no owner and a
 * deadline that starts at their timestamp; broken ones an id, too: they must be counted and end as
 * `bad-event`. What comes from the refills' topic, or says so, is a refill: no owner, no deadline
 * yet. 0, or ERR_NOT_FOUND: no flow has this topic. */
int claim_decode(const struct flow_set *set, const struct broker_record *r,
                 struct claim *out) must_use;

/* A refill that is claimed for the first time: its deadline starts now. */
void claim_refill(struct claim *c, int64_t now_us);
/* A record without our headers: the id its flow's topic.id finds, and the owner of topic.user,
 * whose issuer (NULL: "") is the first of the gateways'. What they cannot find makes it
 * `bad-event`. Behind claim_decode; no change to other records. */
enum { CLAIM_VALUE_MAX = 16 << 20 };
void claim_foreign(struct claim *c, const struct broker_record *r, const char *issuer);

/* The columns of T2 and T3. Text is lent with the claim. */
void claim_columns(const struct claim *c, int64_t retention_ms, struct record_register *out);

enum claim_verdict {
    CLAIM_RUN,      /* mine */
    CLAIM_FINAL,    /* ended before: settle */
    CLAIM_STALE,    /* a later round exists: settle */
    CLAIM_CONFLICT, /* another body under this id: count, settle */
    CLAIM_WATCH     /* runs at another worker, or is not due yet: watch */
};
/* done: a claim that was written with status 0, for `c`. */
enum claim_verdict claim_decide(const struct claim *c, const struct record_claim *done);
/* Same job, other body? Only if both carry a mark. */
bool claim_differs(const struct claim *c, const uint8_t mac[ID_MAC], bool has_mac);
