/* problem.h - errors as clients see them: RFC 9457 application/problem+json, from the one error
 * table (common/err.h). Any thread. */
#pragma once
#include "common/json.h"
#include "common/schema.h"
#include "gateway/http.h"

struct problem {
    int err;
    const char *detail;                 /* what happened here; NULL: the title says it all */
    const struct schema_report *schema; /* errors[]; NULL: none */
    const struct json_error *json;      /* one entry in errors[] if it has a pointer; NULL: none */
    const char *job;                    /* id of the job it is about: member `id`; NULL: none */
    int retry_s;                        /* Retry-After; 0: as the table says */
};

/* Make the reply this problem: status, body {type, title, status, detail, code, request_id,
 * retry_after, errors[], id} without the members that have nothing to say, Retry-After as the table
 * says. What was in the reply's body is dropped, its headers stay. */
void problem_reply(const struct http_request *q, struct http_reply *r, const struct problem *p);
/* The same with an error and a detail (NULL: none) only. */
void problem_simple(const struct http_request *q, struct http_reply *r, int err,
                    const char *detail);
