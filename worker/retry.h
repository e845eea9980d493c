/* retry.h - is a call tried again after this attempt, and when (flow file: calls, retry).
 * wait = random up to min(max, backoff x 2^n), never before Retry-After. Pure: randomness and time
 * are arguments. */
#pragma once
#include "common/flow.h"
#include "common/rng.h"

struct retry_attempt {
    enum call_code code;    /* how it ended; never CALL_OK */
    int status;             /* 0 without an answer */
    int64_t retry_after_ms; /* what the upstream asked for; -1: nothing */
    unsigned made;          /* attempts so far, this one included */
    int64_t left_ms;        /* until the job's deadline; INT64_MAX: none */
};

/* Is this ending listed in `retry.on`? It makes a failed call retryable for the whole job, too. */
bool retry_is_listed(const struct retry_policy *p, enum call_code code, int status);

/* Is a Retry-After of so many ms obeyed at all? */
bool retry_is_obeyed(const struct retry_policy *p, int64_t retry_after_ms);

/* Milliseconds to wait before the next attempt, or -1: this was the last. A wait that reaches the
 * deadline is no use: the call ends with the code it has. So it does where the upstream asks for
 * more than an hour, and for more than max. */
int64_t retry_wait_ms(const struct retry_policy *p, const struct retry_attempt *a, struct rng *r);

/* Retry-After of RFC 9110: seconds or an HTTP date, as ms from now (0 for the past); -1 for NULL or
 * what is neither. */
int64_t retry_after_parse(const char *value, int64_t wall_us);

/* The code of an answered request by its status: CALL_OK for 2xx (and 1xx, 0), http-*. */
enum call_code retry_status_code(int status);
