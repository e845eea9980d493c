#include "gateway/accept_metrics.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/metrics.h"

static const char *const names[OUTCOMES] = {"accepted",    "known",           "cached",
                                            "invalid",     "overloaded",      "rate-limited",
                                            "not-durable", "outcome-unknown", "tried"};

struct accept_metrics {
    const struct flow *first;
    struct {
        struct metric *outcome[OUTCOMES], *seconds;
    } flow[];
};

struct accept_metrics *accept_metrics_new(const struct flow_set *flows)
{
    struct accept_metrics *m = calloc(1, sizeof *m + flows->flows_n * sizeof m->flow[0]);
    char labels[160];
    if (!m)
        return NULL;
    m->first = flows->flows;
    for (size_t i = 0; i < flows->flows_n; i++) {
        for (int o = 0; o < OUTCOMES; o++) {
            snprintf(labels, sizeof labels, "flow=\"%s\",outcome=\"%s\"", flows->flows[i].name,
                     names[o]);
            m->flow[i].outcome[o] =
                metrics_counter("offpath_accept_total", labels, "Requests for jobs, by outcome.");
        }
        snprintf(labels, sizeof labels, "flow=\"%s\"", flows->flows[i].name);
        m->flow[i].seconds = metrics_histogram("offpath_accept_seconds", labels,
                                               "Time to answer a request for a job.");
    }
    return m;
}

void accept_metrics_count(struct accept_metrics *m, const struct flow *flow, enum accept_outcome o,
                          int64_t took_us)
{
    size_t i = (size_t)(flow - m->first);
    metrics_add(m->flow[i].outcome[o], 1);
    metrics_observe_us(m->flow[i].seconds, took_us);
}
