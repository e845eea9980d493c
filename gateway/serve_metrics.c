#include "gateway/serve_metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/metrics.h"

enum { STATUSES = 600 };

/* Found or made at the first use of a pair; a second maker finds the same metric. */
struct serve_metrics {
    _Atomic(struct metric *) count[ROUTE_COUNT][STATUSES];
};

struct serve_metrics *serve_metrics_new(void)
{
    return calloc(1, sizeof(struct serve_metrics));
}

void serve_metrics_count(struct serve_metrics *m, enum route route, int status)
{
    if (status < 0 || status >= STATUSES)
        return;
    struct metric *c = atomic_load_explicit(&m->count[route][status], memory_order_acquire);
    if (!c) {
        char labels[64];
        snprintf(labels, sizeof labels, "route=\"%s\",status=\"%d\"", route_name(route), status);
        c = metrics_counter("offpath_http_requests_total", labels, "Answers on the public port.");
        atomic_store_explicit(&m->count[route][status], c, memory_order_release);
    }
    metrics_add(c, 1);
}
