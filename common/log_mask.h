/* log_mask.h - secrets that must not appear in a log line. The caller locks. */
#pragma once
#include <stddef.h>
#include "common/buf.h"

enum { LOG_SECRETS_MAX = 1024, LOG_SECRET_MIN = 4 };

struct log_mask {
    struct log_secret {
        char *text; /* owned */
        size_t len;
    } secrets[LOG_SECRETS_MAX];
    size_t n;
};

/* Remember a value (copied). Shorter than LOG_SECRET_MIN, or known: nothing to do. 0, ERR_FULL,
 * ERR_NOMEM. */
int log_mask_add(struct log_mask *m, const char *value) must_use;
void log_mask_fini(struct log_mask *m);

/* Append text with each secret as ***, where several begin the longest; at most max bytes, then
 * "...". A secret is never half-shown by the cut. */
void log_mask_text(const struct log_mask *m, const char *text, size_t max, struct buf *out);
