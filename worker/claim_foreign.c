/* Records of other producers: the id and the owner that the flow's file finds in their value. */
#include "worker/claim.h"

#include <string.h>

static void bad(struct claim *c, const char *why)
{
    c->bad = REASON_BAD_EVENT;
    c->why = why;
}

/* String, number or boolean, as text; *none: it is null. */
static int text_of(struct expr *e, const struct expr_vars *vars, struct buf *out, bool *none)
{
    struct json *v = NULL;
    int err = expr_eval(e, vars, &v, NULL);
    if (err)
        return err;
    *none = json_is(v, JSON_NULL);
    if (!json_print_scalar(v, out) && !*none)
        err = ERR_EXPRESSION;
    json_free(v);
    return err ? err : buf_ok(out);
}

static void find_id(struct claim *c, const struct expr_vars *vars)
{
    struct buf text;
    bool none = false;
    buf_init(&text, 64 << 10);
    if (text_of(c->flow->topic.id, vars, &text, &none) || none)
        bad(c, "topic.id gives no text");
    else
        c->event.job = id_from_topic_id(c->flow->name, buf_str(&text));
    buf_fini(&text);
}

static void find_owner(struct claim *c, const struct expr_vars *vars, const char *issuer)
{
    struct event *e = &c->event;
    struct buf text;
    bool none = false;
    buf_init(&text, sizeof e->sub);
    if (text_of(c->flow->topic.user, vars, &text, &none) || text.len >= sizeof e->sub ||
        (!none && text.len == 0)) {
        bad(c, "topic.user gives no name");
    } else if (!none) {
        memcpy(e->sub, buf_str(&text), text.len + 1);
        e->owner = owner_of(issuer ? issuer : "", e->sub);
    }
    buf_fini(&text);
}

void claim_foreign(struct claim *c, const struct broker_record *r, const char *issuer)
{
    const struct flow *f = c->flow;
    struct json *request = NULL;
    if (c->event.ours || c->bad || c->event.refill || (!f->topic.id && !f->topic.user))
        return;
    const struct json_limits limits = {.size_max = CLAIM_VALUE_MAX, .depth_max = 64};
    if (json_parse(r->value, r->value_len, &limits, &request, NULL))
        return; /* its claim says so */
    struct expr_vars vars = {.created_us = c->event.created_us};
    vars.value[VAR_REQUEST] = request;
    if (f->topic.user && f->cache.scope != SCOPE_SHARED)
        find_owner(c, &vars, issuer);
    if (f->topic.id)
        find_id(c, &vars);
    json_free(request);
}
