#include "gateway/http_write.h"

#include <time.h>

enum { HEAD_ROOM = 384 }; /* what a status line and headers of ours take; more is fine */

const char *http_date_at(struct http_date *d, int64_t second)
{
    if (second != d->second || !d->text[0]) {
        time_t t = (time_t)second;
        struct tm utc;
        gmtime_r(&t, &utc);
        strftime(d->text, sizeof d->text, "%a, %d %b %Y %H:%M:%S GMT", &utc);
        d->second = second;
    }
    return d->text;
}

const char *http_date_now(struct http_date *d)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME_COARSE, &now);
    return http_date_at(d, now.tv_sec);
}

static void add_line(struct buf *b, const char *name, const char *value)
{
    buf_text(b, name);
    buf_text(b, value);
    buf_add(b, "\r\n", 2);
}

void http_write_reply(const struct http_reply *r, const struct http_write *w, struct buf *out)
{
    bool body = r->status != 304 && r->status != 204 && !r->taker;
    buf_reserve(out, HEAD_ROOM + r->headers.len + r->body.len);
    buf_text(out, "HTTP/1.1 ");
    buf_number(out, (size_t)r->status);
    add_line(out, " ", http_status_text(r->status));
    add_line(out, "Date: ", w->date);
    if (w->request_id[0])
        add_line(out, "Request-Id: ", w->request_id);
    add_line(out, "X-Content-Type-Options: ", "nosniff");
    if (r->type && (body || r->taker))
        add_line(out, "Content-Type: ", r->type);
    if (r->close)
        add_line(out, "Connection: ", "close");
    if (r->headers.len)
        buf_add(out, r->headers.data, r->headers.len);
    if (body) {
        buf_text(out, "Content-Length: ");
        buf_number(out, r->body.len);
        buf_add(out, "\r\n", 2);
    }
    buf_add(out, "\r\n", 2);
    if (body && !w->head_only && r->body.len)
        buf_add(out, r->body.data, r->body.len);
}
