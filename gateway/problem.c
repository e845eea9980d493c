#include "gateway/problem.h"

#include <string.h>

#include "common/log.h"

static void member(struct buf *b, const char *name, const char *text)
{
    buf_text(b, ",\"");
    buf_text(b, name);
    buf_text(b, "\":");
    json_print_text(text, strlen(text), b);
}

static void entry(struct buf *b, const char *pointer, const char *code, const char *detail)
{
    if (b->len && b->data[b->len - 1] == '}')
        buf_char(b, ',');
    buf_text(b, "{\"pointer\":");
    json_print_text(pointer, strlen(pointer), b);
    member(b, "code", code);
    member(b, "detail", detail);
    buf_char(b, '}');
}

static void entries(struct buf *b, const struct problem *p)
{
    bool json = p->json && p->json->pointer[0];
    if (!json && !(p->schema && p->schema->n))
        return;
    buf_text(b, ",\"errors\":[");
    if (json)
        entry(b, p->json->pointer, err_info(p->err)->code, p->json->what);
    for (size_t i = 0; p->schema && i < p->schema->n; i++)
        entry(b, p->schema->problems[i].pointer, p->schema->problems[i].keyword,
              p->schema->problems[i].text);
    buf_char(b, ']');
}

/* Who meets it is told to report it with its request_id. */
static void log_bug(const struct http_request *q, const struct problem *p)
{
    struct log_ids before = log_scope(NULL, NULL);
    log_scope(p->job ? p->job : before.job, q->id);
    log_error("internal", "method", q->method, "path", q->path, "why", err_text(p->err), "means",
              "answered 500: a bug, or the record was edited by hand");
    log_scope_restore(&before);
}

void problem_reply(const struct http_request *q, struct http_reply *r, const struct problem *p)
{
    const struct err_info *info = err_info(p->err);
    struct buf *b = &r->body;
    if (info->http == 500)
        log_bug(q, p);
    buf_clear(b);
    r->status = info->http;
    r->type = "application/problem+json";
    buf_text(b, "{\"type\":\"");
    buf_text(b, q->public_url);
    buf_text(b, "/errors/");
    buf_text(b, info->code);
    buf_char(b, '"');
    member(b, "title", info->title);
    buf_printf(b, ",\"status\":%d", info->http);
    if (p->detail && p->detail[0])
        member(b, "detail", p->detail);
    member(b, "code", info->code);
    member(b, "request_id", q->id);
    int retry_s = p->retry_s > 0 ? p->retry_s : info->retry_s;
    if (retry_s >= 0) {
        buf_printf(b, ",\"retry_after\":%d", retry_s);
        buf_printf(&r->headers, "Retry-After: %d\r\n", retry_s);
    }
    entries(b, p);
    if (p->job)
        member(b, "id", p->job);
    buf_char(b, '}');
}

void problem_simple(const struct http_request *q, struct http_reply *r, int err, const char *detail)
{
    problem_reply(q, r, &(struct problem){.err = err, .detail = detail});
}
