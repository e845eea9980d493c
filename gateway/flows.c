#include "gateway/flows.h"

#include <string.h>

#include "common/json.h"
#include "common/token.h"

bool flows_may_start(const struct http_request *q, const struct flow *f)
{
    if (f->access == ACCESS_INTERNAL)
        return false;
    if (f->access == ACCESS_USERS && owner_is_nobody(&q->user->owner))
        return false;
    return !f->token_scope || token_has_scope(q->user, f->token_scope);
}

/* What a form leaves out: the gateway fills these in. */
static void print_set(const struct flow *f, struct buf *b)
{
    buf_text(b, ",\"set\":[");
    for (size_t i = 0; i < f->set_n; i++) {
        if (i)
            buf_char(b, ',');
        json_print_text(f->set[i].name, strlen(f->set[i].name), b);
    }
    buf_char(b, ']');
}

static void print(const struct flow *f, struct etas *etas, struct buf *b)
{
    const struct json *examples = json_get(f->schema_source, "examples");
    buf_printf(b, "{\"flow\":\"%s\",\"title\":", f->name);
    json_print_text(f->title, strlen(f->title), b);
    buf_text(b, ",\"schema\":");
    if (f->schema_source)
        json_print(f->schema_source, b);
    else
        buf_text(b, "{\"type\":\"object\"}");
    buf_text(b, ",\"examples\":");
    if (examples)
        json_print(examples, b);
    else
        buf_text(b, "[]");
    print_set(f, b);
    struct eta_now eta;
    if (etas_get(etas, f, &eta)) {
        buf_text(b, ",\"eta\":");
        etas_print(&eta, b);
    }
    buf_text(b, f->cache.scope == SCOPE_SHARED ? ",\"shared\":true}" : ",\"shared\":false}");
}

void flows_get(const struct flow_set *flows, struct etas *etas, const struct http_request *q,
               struct http_reply *r)
{
    bool first = true;
    buf_text(&r->body, "{\"items\":[");
    for (size_t i = 0; i < flows->flows_n; i++) {
        if (!flows_may_start(q, &flows->flows[i]))
            continue;
        if (!first)
            buf_char(&r->body, ',');
        first = false;
        print(&flows->flows[i], etas, &r->body);
    }
    buf_text(&r->body, "],\"next\":null}");
    http_reply_header(r, "Cache-Control", "private, no-cache");
    r->status = 200;
    r->type = "application/json";
}
