#include "gateway/sse_read.h"

#include <stdlib.h>
#include <string.h>

void sse_read_init(struct sse_read *r, sse_event_fn *fn, void *arg)
{
    *r = (struct sse_read){.fn = fn, .arg = arg, .retry_ms = -1};
    buf_init(&r->line, SSE_EVENT_MAX);
    buf_init(&r->data, SSE_EVENT_MAX);
}

void sse_read_fini(struct sse_read *r)
{
    buf_fini(&r->line);
    buf_fini(&r->data);
}

static void event_clear(struct sse_read *r)
{
    buf_clear(&r->data);
    r->name[0] = 0;
    r->any = false;
}

void sse_read_again(struct sse_read *r)
{
    event_clear(r);
    buf_clear(&r->line);
    memcpy(r->id, r->last, sizeof r->id);
    r->began = r->cr = r->too_big = false;
    r->retry_ms = -1;
}

/* ---- lines */

static void event_end(struct sse_read *r)
{
    memcpy(r->last, r->id, sizeof r->last);
    if (r->any && buf_ok(&r->data) == 0)
        r->fn(r->arg, &(struct sse_event){r->name[0] ? r->name : "message", buf_str(&r->data),
                                          r->data.len});
    event_clear(r);
}

static bool is_number(const char *text, size_t len)
{
    return len > 0 && len < SSE_ID - 1 && strspn(text, "0123456789") == len;
}

static void copy(char *out, size_t size, const char *text, size_t len)
{
    size_t n = len < size ? len : size - 1;
    memcpy(out, text, n);
    out[n] = 0;
}

static bool is(const char *field, size_t len, const char *name)
{
    return len == strlen(name) && memcmp(field, name, len) == 0;
}

static void take_field(struct sse_read *r, const char *field, size_t name, const char *value,
                       size_t len)
{
    if (is(field, name, "data")) {
        if (r->any)
            buf_char(&r->data, '\n');
        buf_add(&r->data, value, len);
        r->any = true;
    } else if (is(field, name, "event")) {
        copy(r->name, sizeof r->name, value, len);
    } else if (is(field, name, "id") && is_number(value, len)) {
        copy(r->id, sizeof r->id, value, len);
    } else if (is(field, name, "retry") && is_number(value, len)) {
        r->retry_ms = strtoll(value, NULL, 10);
    }
}

static void take_line(struct sse_read *r)
{
    const char *text = buf_str(&r->line);
    size_t len = r->line.len;
    const char *colon = memchr(text, ':', len);
    size_t name = colon ? (size_t)(colon - text) : len;
    size_t at = colon ? name + 1 + (name + 1 < len && text[name + 1] == ' ') : len;
    if (len == 0)
        event_end(r);
    else if (name > 0) /* else a comment */
        take_field(r, text, name, text + at, len - at);
    buf_clear(&r->line);
}

static size_t skip_mark(struct sse_read *r, const char *bytes, size_t len)
{
    static const char mark[] = "\xef\xbb\xbf";
    bool first = !r->began;
    r->began = r->began || len > 0;
    return first && len >= 3 && memcmp(bytes, mark, 3) == 0 ? 3 : 0;
}

void sse_read_bytes(struct sse_read *r, const char *bytes, size_t len)
{
    for (size_t at = skip_mark(r, bytes, len); at < len && !r->too_big; at++) {
        char c = bytes[at];
        bool ends_cr = c == '\n' && r->cr; /* the second half of one line end */
        r->cr = c == '\r';
        if (ends_cr)
            continue;
        if (c == '\n' || c == '\r')
            take_line(r);
        else
            buf_char(&r->line, c);
        r->too_big = buf_ok(&r->line) || buf_ok(&r->data);
    }
}
