/* err.h - the one table of errors.
 * Functions return 0 or one of these negative codes. The same row decides the HTTP status, the
 * problem code a client sees (proto/codes.json, /errors/{code}) and whether asking again can help,
 * so the gateway and the retry rules cannot disagree. Pure; safe from any thread. */
#pragma once
#include <stdbool.h>

#define must_use __attribute__((warn_unused_result))

/*    name             value  problem code        http  retry_s  title
 * retry_s: seconds a client should wait before it asks again (Retry-After); -1 = asking again does
 * not help. */
#define ERR_TABLE(X)                                                                     \
    X(NOT_JSON, -1, "not-json", 400, -1, "the body is not JSON")                         \
    X(SCHEMA, -2, "schema", 422, -1, "the request does not fit its schema")              \
    X(EXPRESSION, -3, "expression", 422, -1, "an expression of the flow failed")         \
    X(BIG_NUMBER, -4, "big-number", 422, -1, "a number is too big to keep exactly")      \
    X(GUEST_KEY, -5, "guest-key", 422, -1, "a guest's Idempotency-Key must be a UUID")   \
    X(TOO_LARGE, -6, "too-large", 413, -1, "the body is too large")                      \
    X(KEY_REUSED, -7, "key-reused", 422, -1, "this key belongs to another request")      \
    X(SIGNED_OUT, -8, "signed-out", 401, -1, "sign in first")                            \
    X(NOT_ALLOWED, -9, "not-allowed", 403, -1, "not allowed")                            \
    X(NO_FLOW, -10, "no-flow", 404, -1, "no such flow")                                  \
    X(NO_JOB, -11, "no-job", 404, -1, "no such job, or not yours")                       \
    X(NO_ROUTE, -12, "no-route", 404, -1, "no such address")                             \
    X(METHOD, -13, "method", 405, -1, "method not allowed here")                         \
    X(RATE_LIMITED, -14, "rate-limited", 429, 1, "too many requests")                    \
    X(UNAVAILABLE, -15, "unavailable", 503, 2, "cannot be read now")                     \
    X(OVERLOADED, -16, "overloaded", 503, 5, "too much to do, nothing was started")      \
    X(NOT_DURABLE, -17, "not-durable", 503, 2, "not accepted, nothing was started")      \
    X(OUTCOME_UNKNOWN, -18, "outcome-unknown", 503, 2,                                   \
      "perhaps accepted, asking again with the same key is safe")                        \
    X(FINAL, -19, "final", 409, -1, "the job is already finished")                       \
    X(BAD_REQUEST, -20, "bad-request", 400, -1, "the HTTP request is not valid")         \
    X(HEADERS, -21, "headers-too-large", 431, -1, "too many or too large header fields") \
    X(LENGTH_REQUIRED, -22, "length-required", 411, -1, "Content-Length is missing")     \
    X(SLOW_BODY, -23, "slow-body", 408, -1, "the body did not arrive in time")           \
    X(BAD_KEY, -24, "bad-key", 400, -1, "the Idempotency-Key is not valid")              \
    X(SHUTTING_DOWN, -25, "shutting-down", 503, 1, "this gateway is stopping")           \
    X(MEDIA_TYPE, -26, "media-type", 415, -1, "send application/json")                   \
    X(BUG, -27, "internal", 500, -1, "a bug in Offpath")                                 \
    X(BAD_CURSOR, -28, "bad-cursor", 400, -1, "the cursor is none of this list")         \
    X(BAD_PARAMETER, -29, "bad-parameter", 400, -1, "a query parameter is not valid")    \
    X(SLOW_HEADER, -30, "slow-header", 408, -1, "the header did not arrive in time")     \
    /* inside the programs; a client meets them only through one of the above */         \
    X(NOMEM, -40, "internal", 500, -1, "out of memory")                                  \
    X(IO, -41, "unavailable", 503, 2, "a dependency did not answer")                     \
    X(TIMEOUT, -42, "unavailable", 503, 2, "no answer in time")                          \
    X(FULL, -43, "overloaded", 503, 1, "a queue is full")                                \
    X(CLOSED, -44, "unavailable", 503, 2, "closed")                                      \
    X(NOT_FOUND, -45, "no-job", 404, -1, "not found")                                    \
    X(CONFLICT, -46, "final", 409, -1, "not in that state")                              \
    X(INVALID, -47, "bad-request", 400, -1, "not valid")                                 \
    X(UNSUPPORTED, -48, "internal", 500, -1, "not supported yet")                        \
    X(FENCED, -49, "internal", 500, -1, "this worker was declared dead")                 \
    X(REFUSED, -50, "internal", 500, -1, "refused for good")                             \
    X(EXISTS, -51, "final", 409, -1, "already there")                                    \
    X(SETUP, -52, "internal", 500, -1, "a topic, table or server is missing")            \
    X(NOT_YET, -53, "signed-out", 401, -1, "a token that may be good later")

enum err {
    ERR_OK = 0,
#define X(name, value, code, http, retry, title) ERR_##name = (value),
    ERR_TABLE(X)
#undef X
};

struct err_info {
    int err;
    const char *name;  /* NOT_JSON */
    const char *code;  /* problem code: not-json */
    int http;          /* status */
    int retry_s;       /* Retry-After in seconds, -1 none */
    const char *title; /* one sentence for people */
};

/* The row of an error; an unknown value gives the row of ERR_BUG. Never NULL; lent for ever. */
const struct err_info *err_info(int err);

/* Row number i in table order, or NULL behind the last: to list them all. */
const struct err_info *err_at(unsigned i);

/* What somebody who gets this problem code can do; NULL: no such code. Lent for ever. */
const char *err_help(const char *code);

/* One sentence for logs; "ok" for 0. */
const char *err_text(int err);
