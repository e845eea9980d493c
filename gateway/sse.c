#include "gateway/sse.h"

#include <stdlib.h>
#include <string.h>

/* A line of data ends at CR or LF; in JSON both only stand between tokens. */
static void one_line(struct buf *out, const char *data, size_t len)
{
    for (size_t from = 0; from < len;) {
        size_t n = 0;
        while (from + n < len && data[from + n] != '\n' && data[from + n] != '\r')
            n++;
        buf_add(out, data + from, n);
        from += n;
        if (from < len)
            buf_char(out, ' ');
        from += from < len;
    }
}

void sse_event(struct buf *out, uint64_t id, const char *event, const char *data, size_t len)
{
    buf_printf(out, "id: %llu\nevent: %s\ndata: ", (unsigned long long)id, event);
    one_line(out, data, len);
    buf_add(out, "\n\n", 2);
}

void sse_beat(struct buf *out)
{
    buf_text(out, ": hb\n\n");
}

void sse_retry(struct buf *out, unsigned ms)
{
    buf_printf(out, "retry: %u\n\n", ms);
}

uint64_t sse_last_id(const char *text)
{
    size_t n = text ? strlen(text) : 0;
    if (n == 0 || n > 18 || strspn(text, "0123456789") != n)
        return 0;
    return strtoull(text, NULL, 10);
}
