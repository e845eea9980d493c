#include "gateway/http_space.h"

#include <stdlib.h>

enum { KEEP = 256 << 10, HEAD = 64 << 10 };

void http_space_init(struct http_space *s)
{
    http_reply_init(&s->reply);
    buf_init(&s->body, HTTP_REPLY_MAX);
    buf_init(&s->out, HTTP_REPLY_MAX + HEAD);
}

void http_space_fini(struct http_space *s)
{
    http_reply_fini(&s->reply);
    buf_fini(&s->body);
    buf_fini(&s->out);
}

static void shrink(struct buf *b)
{
    size_t max = b->max;
    if (b->cap <= KEEP)
        return;
    buf_fini(b);
    buf_init(b, max);
}

void http_space_shrink(struct http_space *s)
{
    shrink(&s->body);
    shrink(&s->out);
}

int http_space_reserve(struct buf *b, size_t n)
{
    if (n < b->cap)
        return 0;
    char *data = realloc(b->data, n + 1);
    if (!data)
        return ERR_NOMEM;
    b->data = data;
    b->cap = n + 1;
    return 0;
}
