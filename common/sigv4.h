/* sigv4.h - signs a request for AWS and what speaks like it: Signature Version 4 in the header
 * Authorization. Not curl's: 7.88 signs the query as it stands, encodes no path and leaves
 * x-amz-content-sha256 out, which S3 refuses. Pure; any thread.
 *
 * All headers of the request are signed but those that others may change on the way (traceparent,
 * User-Agent and the like); Host is taken from the URL, as curl sends it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "common/buf.h"
#include "common/header.h"

struct sigv4_keys {
    char *service, *region;                        /* "s3", "eu-west-1" */
    char *access_key, *secret_key, *session_token; /* session_token: NULL or "" without one */
};

struct sigv4_request { /* all borrowed */
    const char *method, *url;
    const struct header *headers;
    size_t headers_n;
    const void *body;
    size_t body_len;
};

enum { SIGV4_ADDS = 4, SIGV4_HEADERS_MAX = 80 };

struct sigv4 { /* what is to be sent besides; the headers point into it: it may not be moved */
    struct header headers[SIGV4_ADDS];
    size_t headers_n;
    char date[17], hash[65];
    struct buf authorization;
};

/* Is this a header that signing sets itself? A request may not bring it. x-amz-content-sha256 is
 * none: with one, its value is signed in place of the body's hash (UNSIGNED-PAYLOAD). */
bool sigv4_owns(const char *name);

/* out: sigv4_fini, also after a failure. 0, ERR_INVALID (no http URL, or more than
 * SIGV4_HEADERS_MAX headers), ERR_TOO_LARGE, ERR_NOMEM. */
int sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *r, int64_t wall_us,
               struct sigv4 *out) must_use;
void sigv4_fini(struct sigv4 *s);
