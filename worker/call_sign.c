#include "worker/call_sign.h"

/* What signing writes itself is not taken from a flow. */
static void drop_own(struct call_headers *h)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n; i++)
        if (!sigv4_owns(h->list[i].name))
            h->list[n++] = h->list[i];
    h->n = n;
}

int call_headers_make(const struct flow_call *c, const struct call_request *r,
                      const struct call_marks *m, int64_t wall_us, struct call_headers *out)
{
    out->signature = (struct sigv4){0};
    out->n = call_request_headers(c, r, m, out->list);
    const struct sigv4_keys *keys = &upstream_credentials(c->upstream)->sign;
    if (!keys->service)
        return 0;
    drop_own(out);
    const struct sigv4_request q = {.method = c->method,
                                    .url = r->url,
                                    .headers = out->list,
                                    .headers_n = out->n,
                                    .body = r->body,
                                    .body_len = r->body_len};
    int err = sigv4_sign(keys, &q, wall_us, &out->signature);
    for (size_t i = 0; !err && i < out->signature.headers_n; i++)
        out->list[out->n++] = out->signature.headers[i];
    return err;
}

void call_headers_fini(struct call_headers *h)
{
    sigv4_fini(&h->signature);
}
