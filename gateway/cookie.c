#include "gateway/cookie.h"

#include <string.h>
#include <strings.h>

static const char NAME[] = "offpath=";

/* The value in one Cookie header, up to the next ; or the end; NULL: not in it. */
static const char *find(const char *header, size_t *len)
{
    size_t n = sizeof NAME - 1;
    for (const char *p = header; *p;) {
        p += strspn(p, "; \t");
        size_t part = strcspn(p, ";");
        if (part >= n && memcmp(p, NAME, n) == 0) {
            *len = part - n;
            return p + n;
        }
        p += part;
    }
    return NULL;
}

bool cookie_read(const struct http_request *q, char token[COOKIE_TOKEN])
{
    for (size_t i = 0; i < q->headers_n; i++) {
        size_t len = 0;
        if (!http_name_is(&q->headers[i], "cookie"))
            continue;
        const char *value = find(q->headers[i].value, &len);
        if (!value)
            continue;
        if (len >= COOKIE_TOKEN)
            len = 0;
        memcpy(token, value, len);
        token[len] = 0;
        return true;
    }
    return false;
}

/* Length of "https://host:port" at the start; 0: it is no http address. */
static size_t origin_length(const char *url, size_t *scheme)
{
    *scheme = strncasecmp(url, "https://", 8) == 0  ? 8
              : strncasecmp(url, "http://", 7) == 0 ? 7
                                                    : 0;
    size_t host = *scheme ? strcspn(url + *scheme, "/?#") : 0;
    return host ? *scheme + host : 0;
}

/* Against --public-url; without one a proxy may have ended TLS, so the host alone must be equal. */
static bool is_ours(const struct http_request *q, const char *origin)
{
    size_t scheme, ours_scheme;
    size_t n = origin_length(origin, &scheme), ours = origin_length(q->public_url, &ours_scheme);
    const char *host = http_header(q, "host");
    if (!n || origin[n])
        return false;
    if (ours)
        return n == ours && strncasecmp(origin, q->public_url, n) == 0;
    return host && *host && strcasecmp(origin + scheme, host) == 0;
}

int cookie_guard(const struct http_request *q, const char **why)
{
    const char *site = http_header(q, "sec-fetch-site"), *origin = http_header(q, "origin");
    if (strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0)
        return 0;
    if (site ? strcmp(site, "same-origin") == 0 : origin && is_ours(q, origin))
        return 0;
    *why = "a request with the console's cookie must come from the console; send Authorization: "
           "Bearer instead";
    return ERR_NOT_ALLOWED;
}

void cookie_set(const struct http_request *q, struct http_reply *r, const char *token,
                long long seconds)
{
    struct buf line = {0};
    buf_text(&line, NAME);
    buf_text(&line, token);
    buf_printf(&line, "; Path=/; Max-Age=%lld; HttpOnly; SameSite=Strict", seconds);
    if (strncasecmp(q->public_url, "https://", 8) == 0)
        buf_text(&line, "; Secure");
    if (buf_ok(&line) == 0)
        http_reply_header(r, "Set-Cookie", buf_str(&line));
    else
        r->status = 0; /* becomes a 500 */
    buf_fini(&line);
}
