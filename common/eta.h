/* eta.h - how long a flow's jobs took lately, for who waits for one: workers note it and tell Redis
 * (op:{f:FLOW}:eta), gateways show it. Pure; any thread for what it owns. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

enum { ETA_KEPT = 64, ETA_LEAST = 5, ETA_TEXT = 48, ETA_NAME = 96, ETA_TTL_S = 3600 };

struct eta {
    int64_t p50_ms, p90_ms;
};

struct eta_recent { /* the last ETA_KEPT of a flow; all zero: none yet */
    uint32_t ms[ETA_KEPT];
    size_t n, next;
};
/* Note one; negative counts as 0, more than 49 days as that. */
void eta_note(struct eta_recent *r, int64_t ms);
/* At least ETA_LEAST: enough to say anything. */
static inline bool eta_is_known(const struct eta_recent *r)
{
    return r->n >= ETA_LEAST;
}
/* false: it is not known. */
bool eta_of(const struct eta_recent *r, struct eta *out);

/* The key's name and its text, "P50 P90". */
void eta_name(const char *flow, char out[ETA_NAME]);
void eta_print(const struct eta *e, char out[ETA_TEXT]);
/* 0, or ERR_INVALID: none of ours. */
int eta_parse(const char *text, struct eta *out) must_use;
