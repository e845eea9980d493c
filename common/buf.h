/* buf.h - a growing byte buffer with a limit; always ends in a 0 that is not counted.
 * An add that would pass `max` or finds no memory leaves what is there and marks the buffer failed:
 * build in one go, check once with buf_ok. Belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "common/err.h"

struct buf {
    char *data; /* owned by the buffer; NULL until the first add */
    size_t len, cap, max;
    bool failed;
    bool nomem; /* why it failed: else past max */
};

void buf_init(struct buf *b, size_t max); /* max: bytes; 0 = 64 MB */
void buf_fini(struct buf *b);             /* also fine on a zeroed struct, and twice */
void buf_clear(struct buf *b);            /* keep the memory, forget content and failure */

/* Room for len more bytes at once, where it is known how many come; fails as an add of them would.
 */
void buf_reserve(struct buf *b, size_t len);
void buf_add(struct buf *b, const void *bytes, size_t len);
/* Inline: a literal's length is known to the compiler. */
static inline void buf_text(struct buf *b, const char *text)
{
    buf_add(b, text, strlen(text));
}
void buf_char(struct buf *b, char c);
void buf_number(struct buf *b, uint64_t n); /* in decimals, without printf's cost */
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_hex(struct buf *b, const void *bytes, size_t len); /* lower case */

/* 0, ERR_TOO_LARGE past max, ERR_NOMEM. */
int buf_ok(const struct buf *b) must_use;

/* The bytes, ending in 0, owned by the caller (free); the buffer is empty afterwards. NULL if it
 * failed. */
char *buf_take(struct buf *b, size_t *len);
/* The text so far, "" if empty; lent until the next change. */
const char *buf_str(const struct buf *b);
