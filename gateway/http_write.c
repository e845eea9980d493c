#include "gateway/http_write.h"

#include <time.h>

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

static void add_number(struct buf *b, size_t n)
{
    char text[24], *p = text + sizeof text;
    do
        *--p = (char)('0' + n % 10);
    while (n /= 10);
    buf_add(b, p, (size_t)(text + sizeof text - p));
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
    buf_text(out, "HTTP/1.1 ");
    add_number(out, (size_t)r->status);
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
        add_number(out, r->body.len);
        buf_add(out, "\r\n", 2);
    }
    buf_add(out, "\r\n", 2);
    if (body && !w->head_only && r->body.len)
        buf_add(out, r->body.data, r->body.len);
}
