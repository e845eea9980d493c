#include "gateway/cors.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http.h"

enum { ENTRY_MAX = 300 };

/* What our answers have beyond the few headers that every page may read, what a request to us may
 * have, and for how many seconds a browser need not ask again. */
#define EXPOSED                                                                              \
    "ETag, Idempotent-Replayed, Location, Preference-Applied, RateLimit, RateLimit-Policy, " \
    "Request-Id, Retry-After, WWW-Authenticate"
#define TAKEN                                                                              \
    "Authorization, Content-Type, Idempotency-Key, If-None-Match, Last-Event-ID, Prefer, " \
    "Request-Id, traceparent"
#define MAX_AGE "600"

/* ---- the list */

static const char NO_ORIGIN[] = "is no origin; write https://app.example or http://localhost:5173";

/* Bytes of the host at its begin, 0: it is none. */
static size_t host_length(const char *s)
{
    if (*s != '[')
        return strspn(s, "abcdefghijklmnopqrstuvwxyz0123456789-._");
    size_t n = strspn(s + 1, "0123456789abcdef:.");
    return n && s[1 + n] == ']' ? n + 2 : 0;
}

/* ":8080", or nothing. The scheme's own port is never sent. */
static const char *wrong_port(const char *port, bool tls)
{
    if (!*port)
        return NULL;
    size_t digits = *port == ':' ? strspn(port + 1, "0123456789") : 0;
    if (!digits || digits > 5 || port[1] == '0' || strtol(port + 1, NULL, 10) > 65535)
        return NO_ORIGIN;
    if (strchr("/?#", port[1 + digits]) && port[1 + digits])
        return "must be written without a path";
    if (port[1 + digits])
        return NO_ORIGIN;
    if (strcmp(port, tls ? ":443" : ":80") == 0)
        return tls ? "has the port of its scheme, which browsers leave out: leave out :443"
                   : "has the port of its scheme, which browsers leave out: leave out :80";
    return NULL;
}

/* NULL, or what is wrong with it. */
static const char *wrong_entry(const char *s)
{
    bool tls = strncmp(s, "https://", 8) == 0;
    if (strcmp(s, "*") == 0)
        return "would let any page read answers; name the origins, like https://app.example";
    if (strpbrk(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
        return "must be in small letters, as browsers send it";
    if (!tls && strncmp(s, "http://", 7) != 0)
        return NO_ORIGIN;
    const char *host = s + (tls ? 8 : 7);
    size_t n = host_length(host);
    if (!n)
        return NO_ORIGIN;
    if (host[n] && strchr("/?#", host[n]))
        return "must be written without a path";
    return wrong_port(host + n, tls);
}

int cors_read(const char *text, struct cors *out, char why[CORS_WHY])
{
    static const char between[] = ", \t\r\n";
    struct cors c = {0};
    const char *at = text ? text : "";
    for (at += strspn(at, between); *at; at += strspn(at, between)) {
        char entry[ENTRY_MAX];
        size_t n = strcspn(at, between);
        snprintf(entry, sizeof entry, "%.*s", (int)n, at);
        const char *what = c.n == CORS_MAX  ? "is one origin too many; write at most 64"
                           : n >= ENTRY_MAX ? NO_ORIGIN
                                            : wrong_entry(entry);
        if (what) {
            snprintf(why, CORS_WHY, "\"%.60s\" %s", entry, what);
            return ERR_INVALID;
        }
        c.origin[c.n++] = (struct cors_origin){at, n};
        at += n;
    }
    *out = c;
    return 0;
}

/* ---- answers */

static bool is_api(const char *path)
{
    if (strncmp(path, "/v1/", 4) != 0)
        return strcmp(path, "/openapi.json") == 0;
    return strcmp(path, "/v1/login") != 0 && strcmp(path, "/v1/logout") != 0;
}

/* The request's origin, if it is listed and asks for what is open to it; else NULL. */
static const char *listed(const struct cors *c, const struct http_request *q)
{
    const char *origin = http_header(q, "origin");
    size_t n = origin ? strlen(origin) : 0;
    for (size_t i = 0; n && i < c->n; i++)
        if (c->origin[i].len == n && memcmp(c->origin[i].text, origin, n) == 0)
            return origin;
    return NULL;
}

void cors_begin(const struct cors *c, const struct http_request *q, struct http_reply *r)
{
    if (!c->n || !is_api(q->path))
        return;
    const char *origin = listed(c, q);
    http_reply_header(r, "Vary", "Origin");
    if (!origin)
        return;
    http_reply_header(r, "Access-Control-Allow-Origin", origin);
    http_reply_header(r, "Access-Control-Expose-Headers", EXPOSED);
}

bool cors_preflight(const struct cors *c, const struct http_request *q, struct http_reply *r,
                    const char *allow)
{
    if (!c || strcmp(q->method, "OPTIONS") != 0 || !is_api(q->path) || !listed(c, q) ||
        !http_header(q, "access-control-request-method"))
        return false;
    http_reply_header(r, "Access-Control-Allow-Methods", allow);
    http_reply_header(r, "Access-Control-Allow-Headers", TAKEN);
    http_reply_header(r, "Access-Control-Max-Age", MAX_AGE);
    r->status = 204;
    return true;
}
