/* topics.h - what the gateway must know of its flows' topics before it takes requests. Pure but for
 * the description, which the caller brings; any thread. */
#pragma once
#include "common/broker.h"
#include "common/flow.h"
#include "common/topic_warnings.h"

enum { TOPICS_WHY = 400 };

struct topics_report {
    int64_t retention_ms; /* the longest; unlimited or unknown: 90 days */
    char why[TOPICS_WHY]; /* what is missing, and what to run; "" */
    struct topic_warnings warnings;
};

/* Names of the flows' topics, to be described; n = flows_n. */
void topics_name(const struct flow_set *flows, struct broker_topic *topics);
/* 0; ERR_SETUP: a topic is missing, or takes smaller records than a flow's request may be (plus 64
 * KB for headers); report->why says it. */
int topics_check(const struct flow_set *flows, const struct broker_topic *topics,
                 struct topics_report *report) must_use;
