/* accept_metrics.h - requests for jobs, counted by flow and outcome. Any thread. */
#pragma once
#include "common/flow.h"

enum accept_outcome {
    ACCEPTED,
    KNOWN,
    CACHED,
    INVALID,
    SHED,
    LIMITED,
    UNDURABLE,
    UNKNOWN,
    TRIED,
    OUTCOMES
};

struct accept_metrics;
/* Counters of each flow, made once. flows: borrowed. NULL without memory; free with free. */
struct accept_metrics *accept_metrics_new(const struct flow_set *flows);
/* flow: of that set. took_us: to the answer. */
void accept_metrics_count(struct accept_metrics *m, const struct flow *flow, enum accept_outcome o,
                          int64_t took_us);
