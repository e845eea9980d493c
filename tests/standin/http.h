/* http.h - as much HTTP/1.1 as the stand-in needs: one request out of a buffer, one answer into it.
 * Pure; any thread. */
#pragma once
#include "common/buf.h"
#include "tests/standin/script.h"

enum { HTTP_HEAD_MAX = 16384, HTTP_BODY_MAX = 4 << 20 };

struct http_request {
    char method[16], path[2048], key[256];
    struct buf headers; /* JSON members: Authorization, traceparent, X-..; http_request_fini */
    const char *body;   /* lent with the buffer it was read from, ends in 0 */
    size_t size;        /* bytes of head and body */
    bool close;         /* the caller asked for the connection to end */
};

/* 1: a whole request was read; 0: more bytes are needed; -1: this is no request we understand
 * (a body in chunks and requests sent ahead are none).
 * in->data is borrowed and not changed. fini is needed after 1 only. */
int http_read(const struct buf *in, struct http_request *q);
void http_request_fini(struct http_request *q);

/* An answer as bytes: head and body with its Content-Length, JSON but for what says it is XML.
 * extra: header lines or NULL. */
void http_answer(int status, const char *extra, const void *body, size_t len, struct buf *out);
/* What a faulty reply sends, body as far as it goes; *head: the bytes before the body. */
void http_fault(const struct reply *p, int status, const struct buf *body, struct buf *out,
                size_t *head);
