/* tries.h - the last attempts of a call, for the waterfall (op_call.tries, ?include=attempts).
 * Pure; belongs to its call. */
#pragma once
#include "common/buf.h"
#include "common/job.h"

enum { TRIES_KEPT = 8 };
enum try_wait { TRY_AT_ONCE, TRY_SLOT, TRY_BACKOFF, TRY_RETRY_AFTER };

struct
try {
    int64_t start_us; /* wall */
    uint32_t wait_ms; /* before it */
    uint32_t ms;      /* how long it took */
    uint16_t status;  /* 0 without an answer */
    uint8_t waited;   /* enum try_wait: what took longest */
    uint8_t code;     /* enum call_code */
}
__attribute__((packed, aligned(4)));
struct tries { /* zeroed: none; each call in flight has one, so a try takes 20 bytes */
    struct try kept[TRIES_KEPT];
    unsigned made;
};

/* Note one more; the oldest goes when there are too many. */
void tries_add(struct tries *t, const struct try *one);

/* [{"start":"..Z","waited":null|"slot"|"backoff"|"retry-after","wait_ms":n,"ms":n,"code":null|"..",
 * "status":null|n}, ..] appended to out, oldest first. */
void tries_print(const struct tries *t, struct buf *out);
