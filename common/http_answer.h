/* http_answer.h - what comes back in one exchange, as the HTTP client collects it.
 * Pure; belongs to one thread. Also fine on a zeroed struct. */
#pragma once
#include "common/http_client.h"

enum { HTTP_HEAD_MAX = 64 << 10 };

struct http_answer {
    struct buf head, body;
    struct header *headers; /* made by http_answer_finish */
    http_part_fn *part;     /* NULL, or who gets the body of a 200 */
    void *arg;
    bool is_ok;     /* the status is 200 */
    bool head_done; /* the header block is complete: trailers are not taken */
    bool too_big;   /* headers above HTTP_HEAD_MAX, or a body above its limit */
};

/* arg: of q->part. 0 or ERR_NOMEM. */
int http_answer_init(struct http_answer *a, const struct http_request *q, void *arg) must_use;
void http_answer_fini(struct http_answer *a);

/* curl's callbacks; answer: the struct http_answer. They return what they took; 0: too big, stop.
 * head gets one raw line of the header block, its end included. A status line begins anew: a
 * `100 Continue` is forgotten. body gets bytes after decompression. */
size_t http_answer_on_head(char *line, size_t size, size_t n, void *answer);
size_t http_answer_on_body(char *bytes, size_t size, size_t n, void *answer);

/* Fill headers and body of r: the headers lent with a, the body owned by r (free). with_body false:
 * an empty one. */
void http_answer_finish(struct http_answer *a, bool with_body, struct http_response *r);
