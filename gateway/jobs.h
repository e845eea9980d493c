/* jobs.h - GET /v1/jobs/{id}: the record's row if there is one; without a row, an id this fleet
 * gave away is a job not registered yet. Any thread. */
#pragma once
#include "common/flow.h"
#include "common/token.h"
#include "gateway/admission.h"
#include "gateway/etas.h"
#include "gateway/http.h"
#include "gateway/marks.h"
#include "gateway/reader.h"

struct jobs { /* all borrowed, all there for the gateway's life */
    struct flow_set *flows;
    struct reader *reader;
    struct marks *marks;
    struct cache *cache;
    const struct id_secret *secret;
    const struct clock *clock;
    int64_t retention_ms; /* the longest of the topics there was */
    struct etas *etas;    /* NULL: none is shown */
    const struct admission *admission;
};

/* May this user read this row? Not if it is another's, or kept no longer. A row without owner is
 * for those who hold its id, if a gateway gave it away: ids of other records are no secrets. */
bool jobs_may_read(const struct jobs *j, const struct token_user *user,
                   const struct record_job *job);
/* Without a row: may the id be a job of this owner, given away and not registered yet? */
bool jobs_may_exist(struct jobs *j, const struct owner *owner, const struct job_id *id);

/* May this user follow the job, with or without a row? 0, ERR_NOT_FOUND, ERR_UNAVAILABLE. */
int jobs_may_follow(struct jobs *j, const struct token_user *user,
                    const struct job_id *id) must_use;

/* 200 with ETag, 304, 404 `no-job` (also: somebody else's, or kept no longer), 503 `unavailable`
 * without MySQL. ?include=attempts adds tries[]; another include is 400 `bad-parameter`. */
void jobs_get(struct jobs *j, const struct http_request *q, struct http_reply *r, const char *id);
