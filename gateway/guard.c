#include "gateway/guard.h"

#include <string.h>
#include <strings.h>

enum { LENGTH_DIGITS = 15 }; /* more cannot be meant, and fewer cannot overflow */

struct seen {
    unsigned length, encoding, host, key;
};

static int refuse(int err, const char **detail, const char *why)
{
    *detail = why;
    return err;
}

/* RFC 9110: token */
static bool is_token(const char *s)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    if (!*s)
        return false;
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s, low = c | 0x20;
        bool alnum = (low >= 'a' && low <= 'z') || (c >= '0' && c <= '9');
        if (!alnum && !strchr(others, c))
            return false;
    }
    return true;
}

static bool has_control(const char *s, bool tab_is_fine)
{
    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c < 0x20 && !(c == '\t' && tab_is_fine)) || c == 0x7f)
            return true;
    }
    return false;
}

static bool is_length(const char *s)
{
    size_t n = strspn(s, "0123456789");
    return n > 0 && n <= LENGTH_DIGITS && s[n] == 0;
}

static int check_header(const struct http_header *h, struct seen *seen, const char **detail)
{
    if (!is_token(h->name))
        return refuse(ERR_BAD_REQUEST, detail, "a header name holds a character it may not");
    if (has_control(h->value, true))
        return refuse(ERR_BAD_REQUEST, detail, "a header value holds a control character");
    if (http_name_is(h, "host"))
        seen->host++;
    if (http_name_is(h, "idempotency-key"))
        seen->key++;
    if (http_name_is(h, "content-length")) {
        seen->length++;
        if (!is_length(h->value))
            return refuse(ERR_BAD_REQUEST, detail, "Content-Length is not a plain number");
    }
    if (http_name_is(h, "transfer-encoding")) {
        seen->encoding++;
        if (strcasecmp(h->value, "chunked") != 0)
            return refuse(ERR_BAD_REQUEST, detail, "Transfer-Encoding may only be chunked");
    }
    if (http_name_is(h, "expect") && strcasecmp(h->value, "100-continue") != 0)
        return refuse(ERR_BAD_REQUEST, detail, "Expect may only be 100-continue");
    return 0;
}

static int check_twice(const struct seen *seen, const char **detail)
{
    if (seen->length > 1)
        return refuse(ERR_BAD_REQUEST, detail, "Content-Length stands twice");
    if (seen->encoding > 1)
        return refuse(ERR_BAD_REQUEST, detail, "Transfer-Encoding stands twice");
    if (seen->key > 1)
        return refuse(ERR_BAD_REQUEST, detail, "Idempotency-Key stands twice");
    return 0;
}

static int check_framing(const struct http_request *q, const struct seen *seen, const char **detail)
{
    bool old = strcmp(q->version, "1.0") == 0;
    if (seen->length && seen->encoding)
        return refuse(ERR_BAD_REQUEST, detail, "Content-Length and Transfer-Encoding together");
    if (seen->encoding && old)
        return refuse(ERR_BAD_REQUEST, detail, "Transfer-Encoding needs HTTP/1.1");
    if (seen->host > 1 || (!seen->host && !old))
        return refuse(ERR_BAD_REQUEST, detail, "exactly one Host header is needed");
    bool wants_body = strcmp(q->method, "POST") == 0 || strcmp(q->method, "PUT") == 0 ||
                      strcmp(q->method, "PATCH") == 0;
    if (wants_body && !seen->length && !seen->encoding)
        return refuse(ERR_LENGTH_REQUIRED, detail, "send Content-Length, or chunked");
    return 0;
}

int guard_check(const struct http_request *q, const char **detail)
{
    struct seen seen = {0};
    if (q->headers_n > GUARD_HEADERS_MAX)
        return refuse(ERR_HEADERS, detail, "at most 63 header fields are taken");
    if (!is_token(q->method) || q->path[0] != '/' || has_control(q->path, false) ||
        strstr(q->path, "%00"))
        return refuse(ERR_BAD_REQUEST, detail, "the request line is not valid");
    for (size_t i = 0; i < q->headers_n; i++) {
        int err = check_header(&q->headers[i], &seen, detail);
        if (err)
            return err;
    }
    int err = check_twice(&seen, detail);
    return err ? err : check_framing(q, &seen, detail);
}

bool guard_has_body(const struct http_request *q)
{
    const char *length = http_header(q, "content-length");
    if (http_header(q, "transfer-encoding"))
        return true;
    return length && strspn(length, "0") != strlen(length);
}
