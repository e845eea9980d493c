/* ?dry_run=true: what would come of a request. Nothing is counted, marked or published, and no
 * secret is told: a call's address and body may hold one, so only its name and upstream are. */
#include "gateway/accept_run.h"

#include <stdlib.h>
#include <string.h>

static void member(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, "\"%s\":", name);
    if (text)
        json_print_text(text, strlen(text), b);
    else
        buf_text(b, "null");
}

static void print_cache(struct accept_run *t, struct buf *b)
{
    struct mark mark;
    if (!t->has_hash) {
        buf_text(b, ",\"cache\":null");
        return;
    }
    int err = marks_ask(t->a->marks, NULL, t->hash, &mark);
    buf_printf(b, ",\"cache\":{\"scope\":\"%s\",\"hit\":%s}",
               t->flow->cache.scope == SCOPE_SHARED ? "shared" : "user",
               err          ? "null"
               : mark.value ? "true"
                            : "false");
    free(mark.value);
}

static void print_limits(struct accept_run *t, struct buf *b)
{
    static const char *const pers[] = {"user", "key", "flow"};
    struct limits_who who = {t->flow, &t->user, t->q->client, buf_str(&t->record_key),
                             t->record_key.len};
    limits_look(t->a->limits, &who, &t->taken);
    buf_text(b, ",\"limits\":[");
    for (size_t i = 0; i < t->taken.n; i++) {
        const struct limits_state *s = &t->taken.state[i];
        buf_printf(
            b, "%s{\"per\":\"%s\",\"count\":%u,\"window_ms\":%lld,\"left\":%u,\"wait_ms\":%lld}",
            i ? "," : "", pers[t->flow->limits[i].per], t->flow->limits[i].count,
            (long long)t->flow->limits[i].window_ms, s->left, (long long)(s->wait_us + 999) / 1000);
    }
    buf_char(b, ']');
}

static void print_calls(const struct flow *f, struct buf *b)
{
    buf_text(b, ",\"calls\":[");
    for (size_t i = 0; i < f->calls_n; i++) {
        const struct flow_call *c = &f->calls[i];
        buf_text(b, i ? ",{" : "{");
        member(b, "name", c->name);
        buf_char(b, ',');
        member(b, "upstream", c->upstream->name);
        buf_text(b, ",\"after\":[");
        for (size_t k = 0; k < c->after_n; k++) {
            if (k)
                buf_char(b, ',');
            json_print_text(f->calls[c->after[k]].name, strlen(f->calls[c->after[k]].name), b);
        }
        buf_printf(b, "],\"when\":%s,\"for_each\":%s}", c->when ? "true" : "false",
                   flow_call_has_items(c) ? "true" : "false");
    }
    buf_char(b, ']');
}

int accept_run_dry(struct accept_run *t)
{
    struct buf *b = &t->r->body;
    if (t->late_err)
        return accept_run_refuse_simply(t, t->late_err, t->late_detail);
    buf_char(b, '{');
    member(b, "flow", t->flow->name);
    buf_text(b, ",\"valid\":true,");
    member(b, "key", t->flow->key ? buf_str(&t->record_key) : NULL);
    buf_text(b, ",\"request\":");
    json_print(t->request, b);
    print_cache(t, b);
    print_limits(t, b);
    buf_printf(b, ",\"overloaded\":%s",
               admission_overloaded(t->a->admission, t->flow) ? "true" : "false");
    print_calls(t->flow, b);
    buf_char(b, '}');
    t->r->status = 200;
    t->r->type = "application/json";
    return accept_run_finish(t, TRIED);
}
