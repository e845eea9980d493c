/* health.h - may this gateway get requests, and what is it lacking? The truth behind /readyz.
 * Any thread. */
#pragma once
#include <stdbool.h>
#include "common/topic_warnings.h"

struct health_state { /* what was found, at this moment */
    bool kafka, redis, mysql, draining;
    const char *mysql_why; /* "" or why MySQL cannot be used as it is */
    const struct topic_warnings *warnings;
};

/* Status: 503 without Kafka or while draining, else 200. out: {ready, reason?, degraded: [{name,
 * means}], warnings: []} */
int health_print(const struct health_state *s, struct buf *out);
