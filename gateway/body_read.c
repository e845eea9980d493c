#include "gateway/body_read.h"

#include <string.h>

enum { PART = 4096 };

int body_read_counted(const struct body_source *s, struct buf *b, size_t want)
{
    size_t got = 0;
    while (got < want) {
        int n = s->read(s->arg, b->data + got, want - got);
        if (n <= 0)
            return ERR_BAD_REQUEST; /* 0 is a stall or the end: cut short either way */
        got += (size_t)n;
    }
    b->len = want;
    return 0;
}

int body_read_chunked(const struct body_source *s, struct buf *b, size_t max)
{
    for (;;) {
        char part[PART];
        int n = s->read(s->arg, part, sizeof part);
        if (n < 0)
            return ERR_BAD_REQUEST;
        if (n == 0)
            return 0;
        if (b->len + (size_t)n > max)
            return ERR_TOO_LARGE;
        buf_add(b, part, (size_t)n);
        if (s->secret)
            explicit_bzero(part, (size_t)n);
        if (buf_ok(b) != 0)
            return ERR_NOMEM;
    }
}
