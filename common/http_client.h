/* http_client.h - the port for calls to upstreams: one attempt = one exchange. Adapter:
 * http_client_curl.c. Fake: http_client_fake.h (scripted replies in virtual time). Belongs to its
 * loop's thread; thousands of exchanges at once, no thread each, and none for a name. Redirects are
 * not followed, proxies of the environment not used, HTTP/1.1 alone (RFC 9112; decision 65),
 * connections kept, the address is checked at connect time, bytes are counted after decompression.
 * It does not queue, limit or retry: governor.h and retry.h do. */
#pragma once
#include "common/flow.h"
#include "common/loop.h"

/* A piece of a body, lent until return; arg: of http_start. It must not start, cancel or close. */
typedef void http_part_fn(void *arg, const char *bytes, size_t len);

struct http_request { /* all borrowed during start */
    const char *method, *url;
    const struct header *headers; /* in order; Host, Content-Length are the client's */
    size_t headers_n;
    const void *body; /* NULL: none */
    size_t body_len;
    int64_t timeout_ms; /* whole attempt, connect included */
    size_t response_max;
    http_part_fn *part; /* NULL; set: it gets the body of a 200 as it comes, which may be without
                           end, and the response then holds none */
    bool allow_private; /* private, loopback, link-local addresses too */
    bool once;          /* never sent a second time by itself, whatever the method */
    const char *call;   /* the flow's name for it and the element's place, -1 none: for fakes */
    int32_t item;
    const struct upstream_tls *tls; /* files for https; NULL: the system's authorities */
};

struct http_response {   /* lent during the callback */
    enum call_code code; /* CALL_OK: a complete answer of any status (http-* codes are the
                            caller's); else connect dns tls blocked-address reset timeout too-big
                            bad-body (undecodable) */
    int status;          /* 0 without one */
    char *body; /* decompressed, ends in a 0 that is not counted; never NULL, "" has length 0 */
    size_t body_len;
    const struct header *headers; /* names in lower case; at most 64 KB in all */
    size_t headers_n;
    int64_t ms;
    bool sent;       /* the request may have reached the upstream */
    const char *why; /* for the log; no secrets */
};
typedef void http_done_fn(void *arg, struct http_response *r);

/* Take the body out of the response: owned (free), ends in 0. During the callback, once. */
static inline char *http_response_take_body(struct http_response *r)
{
    char *body = r->body;
    r->body = NULL;
    return body;
}
/* The first value of a header (lower-case name), NULL if absent; lent with the response. */
const char *http_response_header(const struct http_response *r, const char *name);

struct http_client;
struct http_exchange;
struct http_client_ops {
    int (*start)(struct http_client *, const struct http_request *, http_done_fn *, void *arg,
                 struct http_exchange **);
    void (*cancel)(struct http_exchange *);
    void (*close)(struct http_client *);
};
struct http_client {
    const struct http_client_ops *ops;
};

/* The real one. connections: how many idle connections to keep in all, beside those that the calls
 * of a peak had; these rest for one to two times rest_ms after it. name_servers: as in resolver.h;
 * NULL: the system's. 0, ERR_NOMEM, ERR_IO, ERR_INVALID (name_servers). */
enum { HTTP_REST_MS = 30000 }; /* the usual */
int http_client_curl_open(struct loop *loop, unsigned connections, int64_t rest_ms,
                          const char *name_servers, struct http_client **out) must_use;

/* Start an exchange. 0: fn is called exactly once, later, unless cancelled or the client is closed;
 * it may start others, but not close the client. *out: lent until fn returns or it is cancelled.
 * ERR_NOMEM, ERR_INVALID (URL, method or a control character in a header). */
static inline int http_start(struct http_client *c, const struct http_request *r, http_done_fn *fn,
                             void *arg, struct http_exchange **out)
{
    return c->ops->start(c, r, fn, arg, out);
}
/* Stop it; fn is not called any more. */
static inline void http_cancel(struct http_client *c, struct http_exchange *x)
{
    c->ops->cancel(x);
}
static inline void http_client_close(struct http_client *c)
{
    if (c)
        c->ops->close(c);
}

/* Is this address private, loopback, link-local, multicast, unspecified or a v4-mapped one of
 * these? Pure. bytes: 4 or 16, network order. */
bool http_address_is_private(const uint8_t *bytes, size_t len);
