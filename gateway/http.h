/* http.h - a request and its reply, as every handler of the gateway sees them; no server in it.
 * Both belong to the thread that serves the request and live until its handler returns. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <strings.h>
#include "common/buf.h"
#include "common/err.h"

enum { HTTP_REQUEST_ID = 65, HTTP_REPLY_MAX = 32 << 20 };

struct token_user;
struct http_due;

struct http_header {
    const char *name, *value; /* borrowed */
};

/* Names are the same in any case. Most differ in their first letter: each header is asked many
 * times. */
static inline bool http_name_is(const struct http_header *h, const char *name)
{
    return (h->name[0] | 0x20) == (name[0] | 0x20) && strcasecmp(h->name, name) == 0;
}

/* What came. Text is lent until the handler returns. */
struct http_request {
    const char *method, *path; /* path: as sent, not decoded, without query */
    const char *query;         /* behind the ?; NULL: none */
    const char *version;       /* "1.1" */
    const char *client;        /* its address: the peer's, or what a trusted proxy says */
    const struct http_header *headers;
    size_t headers_n;
    long long content_length;      /* -1: not given (chunked, or no body) */
    char id[HTTP_REQUEST_ID];      /* request id: filled by serve.h before any handler runs */
    const struct token_user *user; /* who asks: filled by serve.h, all zero for a guest */
    const char *public_url;        /* before links and problem types; "" for relative ones */
    bool secret; /* set before read_body: the body is to be wiped, so it is read into one place */
    /* Read the whole body, at most max bytes. *body: lent until the handler returns, which may
     * overwrite it; ends in a 0 that is not counted. 0, ERR_TOO_LARGE (nothing or a part was read),
     * ERR_SLOW_BODY, ERR_BAD_REQUEST (cut short or badly chunked), ERR_NOMEM. Once per request. */
    int (*read_body)(struct http_request *, size_t max, char **body, size_t *len);
    /* Leave the reply to another thread: the handler, which must have read the body, returns with
     * reply.deferred set and touches neither request nor reply any more. NULL: this reply cannot be
     * left; as a pointer NULL: no reply can. */
    struct http_due *(*defer)(struct http_request *);
};

/* Takes over a connection whose head was sent. fd: taken, not blocking; -1: it could not be had.
 * Called once, in any thread. */
typedef void http_taker(void *arg, int fd);

/* What goes back: the server adds status line, Date, Content-Length, Request-Id and Connection, and
 * sends all in one write. A status of 0 after the handler is a bug and becomes a 500. */
struct http_reply {
    int status;
    const char *type;   /* Content-Type, lent for ever; NULL: no body */
    struct buf headers; /* further lines, each "Name: value\r\n" */
    struct buf body;
    bool close;    /* end the connection after this reply */
    bool deferred; /* it is owed (http_due), and nothing else here counts */
    /* NULL, or the reply is a head without length and without body, and the connection is then its
     * taker's. */
    http_taker *taker;
    void *taker_arg;
};

/* A reply that was left to be made later, by any one thread: fill `reply`, then pay, once. */
struct http_due {
    struct http_request q; /* id and public_url; nothing else */
    struct http_reply reply;
    void (*pay)(struct http_due *); /* sends and frees; nothing of the request is left behind it */
};

typedef void http_handler(void *arg, struct http_request *, struct http_reply *);
/* Headers that a reply has whoever makes it: handler, server, another thread. */
typedef void http_beginner(void *arg, const struct http_request *, struct http_reply *);

void http_reply_init(struct http_reply *r);
void http_reply_fini(struct http_reply *r);
/* Ready for the next request; keeps small memory, gives large memory back. */
void http_reply_clear(struct http_reply *r);
/* One more header line; value must hold no control characters (such a line is left out). */
void http_reply_header(struct http_reply *r, const char *name, const char *value);

/* First value of a header, name in any case; NULL if absent. Lent with the request. */
const char *http_header(const struct http_request *q, const char *name);

/* Does it wait for 100 Continue before it sends its body? */
bool http_expects_continue(const struct http_request *q);

/* Value of a query's parameter: up to the next & or the end; "" without one; NULL: not there. Lent
 * with the query, not decoded. */
const char *http_query(const char *query, const char *name);

/* The same decoded (%XX, + as a space) into out. 1; 0: not there or empty; ERR_INVALID: too long,
 * or no text. */
int http_query_text(const char *query, const char *name, char *out, size_t size) must_use;

/* "Accepted" for 202; "Unknown" for a status we never send. Lent for ever. */
const char *http_status_text(int status);

/* Is this media type (a Content-Type, parameters ignored) JSON: application/json or +json? */
bool http_is_json(const char *content_type);
/* Does an If-None-Match list hold this entity tag ("\"abc\"") or `*`? Weak comparison. */
bool http_etag_matches(const char *if_none_match, const char *etag);
