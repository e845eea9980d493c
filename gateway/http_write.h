/* http_write.h - a reply as the bytes of HTTP/1.1: head and body in one buffer, so that one write
 * sends both (two writes cost 44 ms with Nagle, and a system call without). Pure; any thread. */
#pragma once
#include <stdint.h>
#include "gateway/http.h"

struct http_date { /* zeroed at first; belongs to one thread */
    int64_t second;
    char text[40];
};
/* "Tue, 24 Nov 2026 23:00:00 GMT" for a Unix second; made once per second. Lent with d. */
const char *http_date_at(struct http_date *d, int64_t second);
const char *http_date_now(struct http_date *d);

struct http_write {
    const char *date, *request_id;
    bool head_only; /* the request was a HEAD */
};
/* Appended to out; check with buf_ok. A 304 carries no body and no length. */
void http_write_reply(const struct http_reply *r, const struct http_write *w, struct buf *out);
