#include "gateway/pages.h"

#include <string.h>

static const char POLICY[] = "default-src 'self'; object-src 'none'; base-uri 'none'; "
                             "form-action 'self'; frame-ancestors 'none'; "
                             "require-trusted-types-for 'script'";

static const char *type_of(const char *name)
{
    static const struct {
        const char *end, *type;
    } types[] = {{".html", "text/html; charset=utf-8"},
                 {".css", "text/css; charset=utf-8"},
                 {".js", "text/javascript; charset=utf-8"},
                 {".svg", "image/svg+xml"}};
    size_t n = strlen(name);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        size_t end = strlen(types[i].end);
        if (n > end && strcmp(name + n - end, types[i].end) == 0)
            return types[i].type;
    }
    return "application/octet-stream";
}

void pages_policy(struct http_reply *r)
{
    http_reply_header(r, "Content-Security-Policy", POLICY);
    http_reply_header(r, "Referrer-Policy", "no-referrer"); /* a guest's link is a key */
    http_reply_header(r, "Cross-Origin-Opener-Policy", "same-origin");
}

const struct page *pages_find(const char *name)
{
    for (size_t i = 0; i < pages_n; i++)
        if (strcmp(pages_table[i].name, name) == 0)
            return &pages_table[i];
    return NULL;
}

int pages_get(const struct http_request *q, struct http_reply *r, const char *name)
{
    const struct page *p = pages_find(name);
    if (!p)
        return ERR_NO_ROUTE;
    const char *known = http_header(q, "if-none-match");
    r->status = known && http_etag_matches(known, p->etag) ? 304 : 200;
    r->type = type_of(name);
    http_reply_header(r, "ETag", p->etag);
    http_reply_header(r, "Cache-Control", "no-cache");
    pages_policy(r);
    if (r->status == 200)
        buf_add(&r->body, p->data, p->len);
    return 0;
}
