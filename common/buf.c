#include "common/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/hex.h"

static const size_t MAX_DEFAULT = 64u << 20;
enum { CAP_FIRST = 256, SLACK_MAX = 128, SMALL_MAX = 4096 };

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.max = b->max};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = b->nomem = false;
    if (b->data)
        b->data[0] = 0;
}

/* Of its own, so that room() and what calls it stay short. */
static __attribute__((noinline)) bool grow(struct buf *b, size_t need)
{
    size_t cap = b->cap > CAP_FIRST ? b->cap : CAP_FIRST;
    while (cap < need)
        cap *= 2;
    if (need == 1) /* an empty text, perhaps for good */
        cap = 1;
    char *data = b->data ? realloc(b->data, cap) : malloc(cap);
    if (!data) {
        b->failed = b->nomem = true;
        return false;
    }
    b->data = data;
    b->cap = cap;
    return true;
}

static inline bool room(struct buf *b, size_t len)
{
    size_t max = b->max ? b->max : MAX_DEFAULT;
    if (b->failed || len > max || b->len > max - len) {
        b->failed = true;
        return false;
    }
    return b->len + len < b->cap || grow(b, b->len + len + 1);
}

void buf_reserve(struct buf *b, size_t len)
{
    (void)room(b, len);
}

void buf_add(struct buf *b, const void *bytes, size_t len)
{
    if (!room(b, len))
        return;
    if (len)
        memcpy(b->data + b->len, bytes, len);
    b->len += len;
    b->data[b->len] = 0;
}

void buf_number(struct buf *b, uint64_t n)
{
    char text[24], *p = text + sizeof text;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(b, p, (size_t)(text + sizeof text - p));
}

void buf_char(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0)
        b->failed = true;
    else if (room(b, (size_t)n)) {
        vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

void buf_hex(struct buf *b, const void *bytes, size_t len)
{
    if (!room(b, 2 * len))
        return;
    hex_print(bytes, len, b->data + b->len);
    b->len += 2 * len;
}

int buf_ok(const struct buf *b)
{
    return !b->failed ? 0 : b->nomem ? ERR_NOMEM : ERR_TOO_LARGE;
}

/* What is taken is mostly kept. Of a small text malloc and free cost a third of jemalloc's realloc,
 * which shrinks a large one where it is. */
static char *shrunk(char *data, size_t size)
{
    char *less = size > SMALL_MAX ? realloc(data, size) : malloc(size);
    if (!less)
        return data;
    if (size <= SMALL_MAX) {
        memcpy(less, data, size);
        free(data);
    }
    return less;
}

char *buf_take(struct buf *b, size_t *len)
{
    if (b->failed || !room(b, 0))
        return NULL;
    b->data[b->len] = 0;
    char *data = b->cap - b->len > SLACK_MAX ? shrunk(b->data, b->len + 1) : b->data;
    if (len)
        *len = b->len;
    *b = (struct buf){.max = b->max};
    return data;
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}
