/* my_jobs.h - GET /v1/jobs: the user's own jobs, newest first, a page at a time. Any thread. */
#pragma once
#include "gateway/jobs.h"

enum {
    MY_JOBS_LIMIT = 20,
    MY_JOBS_LIMIT_MAX = 100,
    MY_JOBS_RESULT_MAX = 4096,
    MY_JOBS_SCAN_MAX = 5000 /* jobs a filter looks at for one page */
};

/* 200 {items, next} of ?flow=&state=&since=&cursor=&limit=; next: the cursor of the page behind, or
 * null; a page of a filter may have fewer jobs than the limit, or none, and a next one. 401 for a
 * guest; 400 for a parameter that is none; 503 without MySQL. */
void my_jobs_get(struct jobs *j, const struct http_request *q, struct http_reply *r);
