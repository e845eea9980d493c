/* log_mask.h - secrets that must not appear in a log line. The caller locks. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/buf.h"

enum { LOG_SECRETS_MAX = 1024, LOG_SECRET_MIN = 4 };

struct log_mask {
    struct log_secret {
        char *text; /* owned */
        size_t len;
        bool stays;
        uint64_t said; /* when it was added last */
    } secrets[LOG_SECRETS_MAX];
    size_t n;
    uint64_t said; /* how often any was added */
};

/* Remember a value (copied). Shorter than LOG_SECRET_MIN: nothing to do. stays: for ever, also if
 * it was added without before; else, where there is no more room, until all others that do not stay
 * were added behind it. 0, ERR_FULL (all stay), ERR_NOMEM. */
int log_mask_add(struct log_mask *m, const char *value, bool stays) must_use;
void log_mask_fini(struct log_mask *m);

/* Append text with each secret as ***, where several begin the longest; at most max bytes, then
 * "...". A secret is never half-shown by the cut. */
void log_mask_text(const struct log_mask *m, const char *text, size_t max, struct buf *out);
