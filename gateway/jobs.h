/* jobs.h - GET /v1/jobs/{id}: the record's row if there is one; without a row, an id this fleet
 * gave away is a job not registered yet. Any thread. */
#pragma once
#include "common/flow.h"
#include "gateway/http.h"
#include "gateway/marks.h"
#include "gateway/reader.h"

struct jobs { /* all borrowed, all there for the gateway's life */
    struct flow_set *flows;
    struct reader *reader;
    struct marks *marks;
    const struct id_secret *secret;
    const struct clock *clock;
    int64_t retention_ms; /* longest of the topics */
};

/* 200 with ETag, 304, 404 `no-job` (also: somebody else's, or kept no longer), 503 `unavailable`
 * without MySQL. ?include=attempts adds tries[]. */
void jobs_get(struct jobs *j, const struct http_request *q, struct http_reply *r, const char *id);
