#include "gateway/caller.h"

#include <stdlib.h>

#include "common/buf.h"

int caller_open(struct caller *c, const char *url, const char *token)
{
    *c = (struct caller){.url = url};
    int err = loop_uv_open(&c->loop);
    if (!err)
        err = http_client_curl_open(c->loop, 1, HTTP_REST_MS, NULL, &c->http);
    if (err || !token || !token[0])
        return err;
    struct buf b = {0};
    buf_printf(&b, "Bearer %s", token);
    c->authorization = buf_take(&b, NULL);
    return c->authorization ? 0 : ERR_NOMEM;
}

void caller_close(struct caller *c)
{
    http_client_close(c->http);
    loop_close(c->loop);
    free(c->authorization);
    *c = (struct caller){0};
}

size_t caller_headers(const struct caller *c, const char *accept, struct header *out)
{
    out[0] = (struct header){(char *)"Accept", (char *)(uintptr_t)accept};
    if (!c->authorization)
        return 1;
    out[1] = (struct header){(char *)"Authorization", c->authorization};
    return 2;
}

int caller_start(const struct caller *c, const struct http_request *q, const char *path,
                 http_done_fn *fn, void *arg, struct http_exchange **out)
{
    struct buf url = {0};
    struct http_request r = *q;
    buf_printf(&url, "%s%s", c->url, path);
    r.url = buf_str(&url);
    r.allow_private = true;
    r.once = true;
    r.item = -1;
    int err = buf_ok(&url) ? ERR_NOMEM : http_start(c->http, &r, fn, arg, out);
    buf_fini(&url);
    return err;
}
