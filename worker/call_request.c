#include "worker/call_request.h"

#include <stdlib.h>
#include <string.h>

#include "common/http_address.h"

enum { URL_MAX = 16384, HEADER_MAX = 8192, BODY_MAX = 8 << 20 };

static int render_url(const struct flow_call *c, const struct expr_vars *vars, char **out,
                      struct expr_error *error)
{
    struct buf b;
    buf_init(&b, URL_MAX);
    buf_text(&b, c->upstream->url);
    int err = template_render_text(c->path, vars, &b, error);
    if (!err)
        err = buf_ok(&b);
    if (!err)
        *out = buf_take(&b, NULL);
    buf_fini(&b);
    return err == ERR_TOO_LARGE ? ERR_EXPRESSION : err;
}

static int render_body(const struct flow_call *c, const struct expr_vars *vars,
                       struct call_request *r, struct expr_error *error)
{
    if (!c->body)
        return 0;
    struct json *v = NULL;
    int err = template_render(c->body, vars, &v, error);
    if (err)
        return err;
    struct buf b;
    buf_init(&b, BODY_MAX);
    json_print(v, &b);
    json_free(v);
    err = buf_ok(&b);
    if (!err)
        r->body = buf_take(&b, &r->body_len);
    buf_fini(&b);
    return err == ERR_TOO_LARGE ? ERR_EXPRESSION : err;
}

static int render_headers(const struct flow_call *c, const struct expr_vars *vars,
                          struct call_request *r, struct expr_error *error)
{
    if (!c->headers_n)
        return 0;
    r->headers = calloc(c->headers_n, sizeof *r->headers);
    if (!r->headers)
        return ERR_NOMEM;
    for (size_t i = 0; i < c->headers_n; i++) {
        struct buf b;
        buf_init(&b, HEADER_MAX);
        buf_text(&b, ""); /* an empty value is a value */
        int err = template_render_text(c->headers[i].value, vars, &b, error);
        if (!err)
            err = buf_ok(&b);
        if (!err) {
            char *value = buf_take(&b, NULL);
            r->headers[i] = (struct header){c->headers[i].name, value ? value : strdup("")};
            r->headers_n = i + 1;
        }
        buf_fini(&b);
        if (err)
            return err == ERR_TOO_LARGE ? ERR_EXPRESSION : err;
    }
    return 0;
}

int call_request_render(const struct flow_call *c, const struct expr_vars *vars,
                        struct call_request *out, struct expr_error *error)
{
    struct call_request r = {0};
    int err = render_url(c, vars, &r.url, error);
    if (!err)
        err = render_body(c, vars, &r, error);
    if (!err)
        err = render_headers(c, vars, &r, error);
    if (err)
        call_request_fini(&r);
    else
        *out = r;
    return err;
}

void call_request_fini(struct call_request *r)
{
    for (size_t i = 0; i < r->headers_n; i++)
        free(r->headers[i].value);
    free(r->headers);
    free(r->url);
    free(r->body);
    *r = (struct call_request){0};
}

int call_request_try(const struct flow_call *c, const struct expr_vars *vars, const char **why)
{
    struct call_request r = {0};
    struct expr_error error = {0};
    int err = call_request_render(c, vars, &r, &error);
    if (err == ERR_EXPRESSION && !error.text[0])
        *why = "too large: a url has at most 16 KB, a header 8 KB, a body 8 MB";
    const struct http_request q = {
        .method = c->method, .url = r.url, .headers = r.headers, .headers_n = r.headers_n};
    if (!err && !http_request_is_valid(&q)) {
        *why = "the url or a header holds what cannot be sent";
        err = ERR_EXPRESSION;
    }
    call_request_fini(&r);
    return err;
}

void call_request_key(const struct flow_call *c, const struct call_request *r, uint32_t number,
                      uint8_t out[CALL_KEY])
{
    const struct call_key_of of = {c->name, c->method, r->url, r->body, r->body_len, number};
    call_key(&of, out);
}

static size_t add(struct header *list, size_t n, const char *name, const char *value)
{
    if (n < CALL_HEADERS_MAX && !header_find(list, n, name))
        list[n++] = (struct header){(char *)(uintptr_t)name, (char *)(uintptr_t)value};
    return n;
}

size_t call_request_headers(const struct flow_call *c, const struct call_request *r,
                            const struct call_marks *m, struct header list[CALL_HEADERS_MAX])
{
    size_t n = 0;
    /* the call's own stand first: they win over the upstream's of the same name */
    for (size_t i = 0; i < r->headers_n; i++)
        n = add(list, n, r->headers[i].name, r->headers[i].value);
    const struct credentials *own = upstream_credentials(c->upstream);
    for (size_t i = 0; i < own->headers_n; i++)
        n = add(list, n, own->headers[i].name, own->headers[i].value);
    if (r->body)
        n = add(list, n, "Content-Type", "application/json");
    if (c->response == RESPONSE_JSON)
        n = add(list, n, "Accept", "application/json");
    n = add(list, n, "Idempotency-Key", m->key);
    if (m->trace[0])
        n = add(list, n, "traceparent", m->trace);
    return n;
}
