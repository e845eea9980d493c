#include "worker/retry.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { OBEYED_MAX_MS = 3600 * 1000 };

bool retry_is_listed(const struct retry_policy *p, enum call_code code, int status)
{
    if (p->codes & (UINT32_C(1) << code))
        return true;
    for (size_t i = 0; i < p->statuses_n; i++)
        if (p->statuses[i] == status)
            return true;
    return false;
}

/* backoff doubled n times without overflow, at most max */
static int64_t ceiling_ms(const struct retry_policy *p, unsigned n)
{
    int64_t ms = p->backoff_ms;
    for (unsigned i = 0; i < n && ms < p->max_ms; i++)
        ms = ms > INT64_MAX / 2 ? INT64_MAX : ms * 2;
    return ms < p->max_ms ? ms : p->max_ms;
}

/* Nobody waits for an upstream as long as it likes: without a deadline that could be for ever. */
bool retry_is_obeyed(const struct retry_policy *p, int64_t retry_after_ms)
{
    return retry_after_ms <= OBEYED_MAX_MS || retry_after_ms <= p->max_ms;
}

int64_t retry_wait_ms(const struct retry_policy *p, const struct retry_attempt *a, struct rng *r)
{
    if (a->made >= p->attempts || !retry_is_listed(p, a->code, a->status) ||
        !retry_is_obeyed(p, a->retry_after_ms))
        return -1;
    int64_t max = ceiling_ms(p, a->made - 1);
    int64_t wait = max > 0 ? (int64_t)rng_upto(r, (uint64_t)max) : 0;
    if (wait < a->retry_after_ms)
        wait = a->retry_after_ms;
    return wait < a->left_ms ? wait : -1;
}

static int64_t seconds(const char *digits)
{
    int64_t n = 0;
    for (; *digits >= '0' && *digits <= '9' && n < INT32_MAX; digits++)
        n = n * 10 + (*digits - '0');
    /* more digits than we count: still "very long", not "nothing" */
    return *digits && (*digits < '0' || *digits > '9') ? -1 : n * 1000;
}

int64_t retry_after_parse(const char *value, int64_t wall_us)
{
    if (!value)
        return -1;
    if (*value >= '0' && *value <= '9')
        return seconds(value);
    struct tm tm = {0};
    const char *end = strptime(value, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    if (!end || *end)
        return -1;
    int64_t ms = (int64_t)timegm(&tm) * 1000 - wall_us / 1000;
    return ms > 0 ? ms : 0;
}

enum call_code retry_status_code(int status)
{
    if (status < 300)
        return CALL_OK;
    if (status < 400)
        return CALL_HTTP_3XX;
    if (status == 429)
        return CALL_HTTP_429;
    return status < 500 ? CALL_HTTP_4XX : CALL_HTTP_5XX;
}
