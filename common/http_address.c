#include "common/http_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

struct range {
    uint8_t first[4];
    unsigned bits;
};

/* Not for calls out on the Internet (RFC 6890 and its registry). */
static const struct range private4[] = {
    {{0, 0, 0, 0}, 8},      /* this network, unspecified */
    {{10, 0, 0, 0}, 8},     /* private */
    {{100, 64, 0, 0}, 10},  /* carrier's NAT */
    {{127, 0, 0, 0}, 8},    /* loopback */
    {{169, 254, 0, 0}, 16}, /* link-local: cloud metadata */
    {{172, 16, 0, 0}, 12},  /* private */
    {{192, 0, 0, 0}, 24},   /* protocol assignments */
    {{192, 168, 0, 0}, 16}, /* private */
    {{198, 18, 0, 0}, 15},  /* benchmarks */
    {{224, 0, 0, 0}, 3},    /* multicast, reserved, broadcast */
};

static bool in_range(const uint8_t *address, const uint8_t *first, unsigned bits)
{
    unsigned whole = bits / 8, rest = bits % 8;
    if (memcmp(address, first, whole) != 0)
        return false;
    return rest == 0 || (address[whole] ^ first[whole]) >> (8 - rest) == 0;
}

static bool is_private4(const uint8_t *a)
{
    for (size_t i = 0; i < sizeof private4 / sizeof private4[0]; i++) {
        if (in_range(a, private4[i].first, private4[i].bits))
            return true;
    }
    return false;
}

static bool is_private6(const uint8_t *a)
{
    static const uint8_t zeros[16];
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    static const uint8_t nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    if (memcmp(a, zeros, 15) == 0 && a[15] <= 1) /* unspecified, loopback */
        return true;
    if (memcmp(a, mapped, 12) == 0 || memcmp(a, nat64, 12) == 0 || memcmp(a, zeros, 12) == 0)
        return is_private4(a + 12);
    if (a[0] == 0x20 && a[1] == 0x02) /* 6to4 carries an IPv4 address */
        return is_private4(a + 2);
    bool unique_local = (a[0] & 0xfe) == 0xfc, multicast = a[0] == 0xff;
    bool link_or_site_local = a[0] == 0xfe && (a[1] & 0x80) != 0;
    return unique_local || multicast || link_or_site_local;
}

bool http_address_is_private(const uint8_t *bytes, size_t len)
{
    return len == 4 ? is_private4(bytes) : len == 16 ? is_private6(bytes) : true;
}

bool http_address_text_is_private(const char *text)
{
    uint8_t bytes[16];
    if (inet_pton(AF_INET, text, bytes) == 1)
        return is_private4(bytes);
    return inet_pton(AF_INET6, text, bytes) != 1 || is_private6(bytes);
}

bool http_sockaddr_is_private(const struct sockaddr *a)
{
    const void *at = a;
    const struct sockaddr_in *v4 = at;
    const struct sockaddr_in6 *v6 = at;
    if (a->sa_family == AF_INET)
        return http_address_is_private((const uint8_t *)&v4->sin_addr, 4);
    return a->sa_family != AF_INET6 || http_address_is_private(v6->sin6_addr.s6_addr, 16);
}

bool http_url_is_valid(const char *url)
{
    size_t scheme = strncasecmp(url, "http://", 7) == 0    ? 7
                    : strncasecmp(url, "https://", 8) == 0 ? 8
                                                           : 0;
    if (scheme == 0 || strchr("/?#:", url[scheme]) != NULL) /* also the ending 0 */
        return false;
    for (const unsigned char *p = (const unsigned char *)url; *p; p++) {
        if (*p <= ' ' || *p >= 0x7f)
            return false;
    }
    return true;
}

/* 127.1, 0x7f000001, 010.0.0.1: curl reads an address where each part is a number. */
static bool is_numbers(const char *host)
{
    for (const char *p = host; *p; p += *p == '.') {
        bool hex = p[0] == '0' && p[1] == 'x';
        const char *from = p;
        for (p += hex ? 2 : 0; hex ? isxdigit((unsigned char)*p) : isdigit((unsigned char)*p);)
            p++;
        if (p == from || (*p && *p != '.'))
            return false;
    }
    return true;
}

static bool is_localhost(const char *host)
{
    static const char local[] = "localhost";
    size_t n = strlen(host), size = sizeof local - 1;
    return n >= size && strcmp(host + n - size, local) == 0 &&
           (n == size || host[n - size - 1] == '.');
}

static bool port_read(const char *text, uint16_t *out)
{
    unsigned long port = 0;
    size_t n = strspn(text, "0123456789");
    for (size_t i = 0; i < n && i < 6; i++)
        port = port * 10 + (unsigned long)(text[i] - '0');
    *out = (uint16_t)port;
    return n > 0 && n < 6 && port <= UINT16_MAX && strchr("/?#", text[n]);
}

bool http_url_host(const char *url, struct http_host *out)
{
    bool tls = url[4] == 's' || url[4] == 'S';
    const char *host = url + (tls ? 8 : 7), *end = host + strcspn(host, "/?#");
    const char *at = memchr(host, '@', (size_t)(end - host));
    host = at ? at + 1 : host;
    size_t n = 0, size = sizeof out->name;
    for (; n < size && host[n] && (isalnum((unsigned char)host[n]) || strchr("-_.", host[n])); n++)
        out->name[n] = (char)tolower((unsigned char)host[n]);
    if (n == 0 || n == size)
        return false;
    out->name[n] = 0;
    out->port = tls ? 443 : 80;
    if (host + n != end && (host[n] != ':' || !port_read(host + n + 1, &out->port)))
        return false;
    return !is_numbers(out->name) && !is_localhost(out->name);
}

bool http_method_is_valid(const char *method)
{
    size_t n = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return n > 0 && n <= 16 && method[n] == 0;
}

bool http_method_is_safe(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

bool http_method_has_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

bool http_header_is_valid(const struct header *h)
{
    if (h->name[0] == 0)
        return false;
    for (const char *p = h->name; *p; p++) {
        if (!isalnum((unsigned char)*p) && !strchr("!#$%&'*+-.^_`|~", *p))
            return false;
    }
    for (const unsigned char *p = (const unsigned char *)h->value; *p; p++) {
        if ((*p < ' ' && *p != '\t') || *p == 0x7f)
            return false;
    }
    return true;
}

bool http_request_is_valid(const struct http_request *r)
{
    for (size_t i = 0; i < r->headers_n; i++) {
        if (!http_header_is_valid(&r->headers[i]))
            return false;
    }
    return http_url_is_valid(r->url) && http_method_is_valid(r->method);
}

enum { EXPECT_MIN = 1 << 20 }; /* from this size on curl would wait for a 100 */

static bool line_set(struct buf *line, const char *name, const char *value)
{
    buf_clear(line);
    buf_text(line, name);
    buf_text(line, !value ? ":" : value[0] ? ": " : ";");
    buf_text(line, value ? value : "");
    return true;
}

static bool is_typed(const struct http_request *r)
{
    return (!r->body && !http_method_has_body(r->method)) ||
           header_find(r->headers, r->headers_n, "content-type");
}

bool http_request_line(const struct http_request *r, size_t i, struct buf *line)
{
    if (i < r->headers_n)
        return line_set(line, r->headers[i].name, r->headers[i].value);
    size_t extra = i - r->headers_n;
    if (!header_find(r->headers, r->headers_n, "accept-encoding") && extra-- == 0)
        return line_set(line, "Accept-Encoding", "gzip");
    if (!is_typed(r) && extra-- == 0)
        return line_set(line, "Content-Type", NULL);
    return extra == 0 && r->body_len >= EXPECT_MIN && line_set(line, "Expect", NULL);
}

static char *trim(char *from, char *end)
{
    while (from < end && isspace((unsigned char)*from))
        from++;
    while (end > from && isspace((unsigned char)end[-1]))
        end--;
    *end = 0;
    return from;
}

/* One line, without its end, into *out. A folded line, a status line and the like are none. */
static bool split_line(char *line, char *end, struct header *out)
{
    char *colon = memchr(line, ':', (size_t)(end - line));
    if (!colon || colon == line || isspace((unsigned char)*line))
        return false;
    for (char *p = line; p < colon; p++)
        *p = (char)tolower((unsigned char)*p);
    out->value = trim(colon + 1, end);
    out->name = trim(line, colon);
    return true;
}

size_t http_headers_split(char *block, struct header *out)
{
    size_t n = 0;
    for (char *line = block, *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        if (!out || split_line(line, end, &out[n]))
            n++;
    }
    return n;
}

const char *http_response_header(const struct http_response *r, const char *name)
{
    for (size_t i = 0; i < r->headers_n; i++) {
        if (strcmp(r->headers[i].name, name) == 0)
            return r->headers[i].value;
    }
    return NULL;
}
