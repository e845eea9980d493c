#include "common/http_answer.h"

#include <stdlib.h>
#include <string.h>

#include "common/http_address.h"

int http_answer_init(struct http_answer *a, const struct http_request *q, void *arg)
{
    *a = (struct http_answer){.part = q->part, .arg = arg};
    buf_init(&a->head, HTTP_HEAD_MAX);
    buf_init(&a->body, q->response_max);
    buf_add(&a->body, "", 0); /* now, so that there is a body to give whatever happens */
    return buf_ok(&a->body) == 0 ? 0 : ERR_NOMEM;
}

void http_answer_fini(struct http_answer *a)
{
    buf_fini(&a->head);
    buf_fini(&a->body);
    free(a->headers);
    a->headers = NULL;
}

size_t http_answer_on_head(char *line, size_t size, size_t n, void *answer)
{
    struct http_answer *a = answer;
    size_t len = size * n;
    if (len >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        const char *status = memchr(line, ' ', len);
        buf_clear(&a->head);
        a->head_done = false;
        a->is_ok = status && line + len - status >= 4 && memcmp(status, " 200", 4) == 0;
    } else if (!a->head_done) {
        buf_add(&a->head, line, len);
    }
    if (len <= 2)
        a->head_done = true;
    a->too_big = buf_ok(&a->head) != 0;
    return a->too_big ? 0 : len;
}

size_t http_answer_on_body(char *bytes, size_t size, size_t n, void *answer)
{
    struct http_answer *a = answer;
    if (a->part && a->is_ok) {
        a->part(a->arg, bytes, size * n);
        return size * n;
    }
    buf_add(&a->body, bytes, size * n);
    a->too_big = buf_ok(&a->body) != 0;
    return a->too_big ? 0 : size * n;
}

void http_answer_finish(struct http_answer *a, bool with_body, struct http_response *r)
{
    if (a->head.len) {
        a->headers = calloc(http_headers_split(a->head.data, NULL) + 1, sizeof *a->headers);
        r->headers_n = a->headers ? http_headers_split(a->head.data, a->headers) : 0;
        r->headers = a->headers;
    }
    if (!with_body)
        buf_clear(&a->body);
    r->body = buf_take(&a->body, &r->body_len);
}
