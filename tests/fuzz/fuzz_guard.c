/* Any request head, split into fields as loosely as civetweb does, goes through guard, router,
 * request id and the header helpers; and what the guard lets pass has one reading only. */
#include <arpa/inet.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/guard.h"
#include "gateway/proxies.h"
#include "gateway/request_id.h"
#include "gateway/route.h"

enum { HEADERS = 80 };

/* Up to `end`, which is cut off; the rest stays in *rest. */
static char *cut(char **rest, const char *end)
{
    char *start = *rest, *at = strstr(start, end);
    if (!at) {
        *rest = start + strlen(start);
        return start;
    }
    *at = 0;
    *rest = at + strlen(end);
    return start;
}

static size_t count(const struct http_request *q, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < q->headers_n; i++)
        n += strcasecmp(q->headers[i].name, name) == 0;
    return n;
}

static void one_reading(const struct http_request *q)
{
    const char *length = http_header(q, "content-length");
    size_t lengths = count(q, "Content-Length"), encodings = count(q, "Transfer-Encoding");
    if (q->headers_n >= 64 || lengths > 1 || encodings > 1 || (lengths && encodings))
        abort();
    if (length && (!*length || strspn(length, "0123456789") != strlen(length)))
        abort();
    if (encodings && strcmp(q->version, "1.0") == 0)
        abort();
}

static void route(const struct http_request *q)
{
    struct route_match m;
    if (route_find(q->method, q->path, &m) != 0)
        return;
    bool takes_one = m.route == ROUTE_ACCEPT || m.route == ROUTE_EVENTS || m.route == ROUTE_JOB ||
                     m.route == ROUTE_CANCEL || m.route == ROUTE_ERROR_PAGE ||
                     m.route == ROUTE_ASSET;
    if ((m.route != ROUTE_PAGE && takes_one != !!m.arg[0]) || strlen(m.arg) >= ROUTE_ARG)
        abort();
}

/* Whatever proxies hand on, the client is an address; and nobody's word counts but a proxy's. */
static void client(struct http_request *q, const char *peer, bool trusted)
{
    struct proxies p;
    unsigned char address[16];
    char text[PROXIES_ADDRESS], why[PROXIES_WHY];
    if (proxies_read("10.0.0.0/8 2001:db8::/32", &p, why) != 0)
        abort();
    q->client = peer;
    const char *found = proxies_client(&p, q, text);
    if (inet_pton(strchr(found, ':') ? AF_INET6 : AF_INET, found, address) != 1)
        abort();
    if (!trusted && found != peer)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_header headers[HEADERS];
    char *text = malloc(size + 1), *rest = text, id[HTTP_REQUEST_ID];
    const char *detail, *given;
    struct rng_seeded rng;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    struct http_request q = {.headers = headers};
    q.method = cut(&rest, " ");
    q.path = cut(&rest, " ");
    q.version = cut(&rest, "\r\n");
    while (*rest && q.headers_n < HEADERS) {
        char *line = cut(&rest, "\r\n"), *name = cut(&line, ":");
        headers[q.headers_n++] = (struct http_header){name, line + strspn(line, " ")};
    }
    if (guard_check(&q, &detail) == 0)
        one_reading(&q);
    route(&q);
    client(&q, "10.0.0.1", true);
    client(&q, "192.0.2.1", false);
    rng_seeded_init(&rng, 1);
    request_id_set(http_header(&q, "request-id"), &rng.rng, id);
    given = http_header(&q, "traceparent");
    (void)(given && request_id_is_trace(given));
    given = http_header(&q, "content-type");
    (void)(given && http_is_json(given));
    given = http_header(&q, "if-none-match");
    (void)(given && http_etag_matches(given, "\"0\""));
    free(text);
    return 0;
}
