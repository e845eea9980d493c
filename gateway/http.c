#include "gateway/http.h"

#include <string.h>
#include <strings.h>

enum { KEEP = 64 << 10 }; /* bytes a thread keeps between requests */

void http_reply_init(struct http_reply *r)
{
    *r = (struct http_reply){0};
    buf_init(&r->headers, 16 << 10);
    buf_init(&r->body, HTTP_REPLY_MAX);
}

void http_reply_fini(struct http_reply *r)
{
    buf_fini(&r->headers);
    buf_fini(&r->body);
}

void http_reply_clear(struct http_reply *r)
{
    r->status = 0;
    r->type = NULL;
    r->close = r->deferred = false;
    r->taker = NULL;
    r->taker_arg = NULL;
    buf_clear(&r->headers);
    if (r->body.cap > KEEP) {
        buf_fini(&r->body);
        buf_init(&r->body, HTTP_REPLY_MAX);
    }
    buf_clear(&r->body);
}

void http_reply_header(struct http_reply *r, const char *name, const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return;
    buf_text(&r->headers, name);
    buf_add(&r->headers, ": ", 2);
    buf_text(&r->headers, value);
    buf_add(&r->headers, "\r\n", 2);
}

const char *http_header(const struct http_request *q, const char *name)
{
    for (size_t i = 0; i < q->headers_n; i++)
        if (http_name_is(&q->headers[i], name))
            return q->headers[i].value;
    return NULL;
}

bool http_expects_continue(const struct http_request *q)
{
    const char *expect = http_header(q, "expect");
    return expect && strcasecmp(expect, "100-continue") == 0 && strcmp(q->version, "1.0") != 0;
}

const char *http_query(const char *query, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = query; p && *p; p += *p == '&') {
        size_t len = strcspn(p, "&=");
        if (len == n && memcmp(p, name, n) == 0)
            return p + len + (p[len] == '=');
        p += strcspn(p, "&");
    }
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int http_query_text(const char *query, const char *name, char *out, size_t size)
{
    const char *p = http_query(query, name);
    size_t n = 0;
    for (; p && *p && *p != '&'; p++) {
        int c = *p == '+' ? ' ' : (unsigned char)*p;
        if (*p == '%') {
            int high = hex_digit(p[1]), low = high < 0 ? -1 : hex_digit(p[2]);
            c = low < 0 ? 0 : high << 4 | low;
            p += low < 0 ? 0 : 2;
        }
        if (c < 0x20 || c == 0x7f || n + 1 >= size)
            return ERR_INVALID;
        out[n++] = (char)c;
    }
    if (n)
        out[n] = 0;
    return n > 0;
}

const char *http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {{200, "OK"},
                {202, "Accepted"},
                {204, "No Content"},
                {304, "Not Modified"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {408, "Request Timeout"},
                {409, "Conflict"},
                {411, "Length Required"},
                {413, "Content Too Large"},
                {415, "Unsupported Media Type"},
                {422, "Unprocessable Content"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {500, "Internal Server Error"},
                {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].text;
    return "Unknown";
}

bool http_is_json(const char *type)
{
    size_t n = strcspn(type, "; \t");
    if (n == 16 && strncasecmp(type, "application/json", 16) == 0)
        return true;
    return n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0;
}

bool http_etag_matches(const char *list, const char *etag)
{
    size_t n = strlen(etag);
    for (const char *p = list; *p;) {
        p += strspn(p, " \t,");
        if (*p == '*')
            return true;
        if (p[0] == 'W' && p[1] == '/')
            p += 2;
        size_t len = strcspn(p, ", \t");
        if (len == n && memcmp(p, etag, n) == 0)
            return true;
        p += len;
    }
    return false;
}
