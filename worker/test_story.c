#include "worker/test_story.h"

#include <string.h>

static struct json *parsed(const char *text, size_t len)
{
    const struct json_limits limits = {.size_max = 16 << 20, .depth_max = 128};
    struct json *v = NULL;
    if (text && len && json_parse(text, len, &limits, &v, NULL) == 0)
        return v;
    return json_new_null();
}

static struct json *text_or_null(const char *text)
{
    return text && *text ? json_new_text(text) : json_new_null();
}

/* ---- calls */

static const struct record_call *row_of(const struct trial_end *end, const char *name, int item)
{
    for (size_t i = 0; i < end->calls_n; i++)
        if (strcmp(end->calls[i].name, name) == 0 && end->calls[i].item == item)
            return &end->calls[i];
    return NULL;
}

/* An entry of `calls[]`, with what only the ledger has. */
static struct json *call_of(const struct json *entry, const struct record_call *row)
{
    struct json *v = json_new_object();
    const struct json *code = json_get(json_get(entry, "error"), "code");
    const struct json *result = json_get(entry, "result");
    if (!v)
        return NULL;
    int err = json_put(v, "state", json_new_text(json_text(json_get(entry, "state"))));
    err |= json_put(v, "code", text_or_null(json_text(code)));
    err |=
        json_put(v, "status", row && row->status ? json_new_number(row->status) : json_new_null());
    err |= json_put(v, "attempts", json_new_number(json_number(json_get(entry, "attempts"))));
    err |= json_put(v, "ms", json_new_number(json_number(json_get(entry, "ms"))));
    err |= json_put(v, "result",
                    result ? json_copy(result)
                    : row  ? parsed(row->result, row->result_len)
                           : json_new_null());
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

static struct json *calls_of(const struct flow_call *c, const struct json *entries,
                             const struct trial_end *end)
{
    bool each = flow_call_has_items(c);
    struct json *list = each ? json_new_array() : NULL;
    for (const struct json *e = json_first(entries); e; e = json_next(e)) {
        const struct json *item = json_get(e, "item");
        int index = json_is(item, JSON_NUMBER) ? (int)json_number(item) : -1;
        if (strcmp(json_text(json_get(e, "name")), c->name) != 0)
            continue;
        struct json *call = call_of(e, row_of(end, c->name, index));
        if (!each)
            return call;
        if (json_push(list, call)) {
            json_free(list);
            return NULL;
        }
    }
    return each ? list : json_new_null();
}

static struct json *all_calls(const struct flow *f, const struct trial_end *end)
{
    struct json *v = json_new_object();
    struct json *entries = parsed(end->job.calls, end->job.calls_len);
    int err = v && entries ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < f->calls_n && !err; i++)
        err = json_put(v, f->calls[i].name, calls_of(&f->calls[i], entries, end));
    json_free(entries);
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

/* ---- requests */

static struct json *request_of(const struct http_fake_call *c, int64_t begin_ms)
{
    struct json *v = json_new_object();
    if (!v)
        return NULL;
    int err = json_put(v, "call", text_or_null(c->call));
    err |= json_put(v, "item", c->item < 0 ? json_new_null() : json_new_number(c->item));
    err |= json_put(v, "method", json_new_text(c->method));
    err |= json_put(v, "url", json_new_text(c->url));
    err |= json_put(v, "body", c->body ? parsed(c->body, strlen(c->body)) : json_new_null());
    err |= json_put(v, "at", json_new_number((double)(c->at_ms - begin_ms)));
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

static struct json *all_requests(struct trial *t, int64_t begin_ms)
{
    struct json *list = json_new_array();
    for (size_t i = 0; list && i < http_client_fake_calls(trial_http(t)); i++)
        if (json_push(list, request_of(http_client_fake_call(trial_http(t), i), begin_ms))) {
            json_free(list);
            return NULL;
        }
    return list;
}

static struct json *emit_of(const struct record_outbox *row)
{
    struct json *v = json_new_object();
    if (!v)
        return NULL;
    int err = json_put(v, "topic", json_new_text(row->topic));
    err |= json_put(v, "key", row->key ? json_new_text_n(row->key, row->key_len) : json_new_null());
    err |= json_put(v, "value", parsed(row->value, row->value_len));
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

static struct json *all_emits(const struct trial_end *end)
{
    struct json *list = json_new_array();
    for (size_t i = 0; list && i < end->emits_n; i++)
        if (json_push(list, emit_of(&end->sent[i]))) {
            json_free(list);
            return NULL;
        }
    return list;
}

/* Names instead of the schemas that only upstreams.yaml knows. */
static struct json *all_statements(const struct flow_set *set, struct trial *t)
{
    struct json *saved = NULL, *list = json_new_array();
    int err = list ? sql_fake_statements(trial_sql(t), &saved) : ERR_NOMEM;
    for (const struct json *s = json_first(saved); s && !err; s = json_next(s)) {
        const char *name = json_text(json_get(s, "schema"));
        struct json *v = json_new_object();
        for (size_t i = 0; i < set->databases_n; i++)
            if (strcmp(set->databases[i].schema, name) == 0)
                name = set->databases[i].name;
        err = v ? json_put(v, "database", json_new_text(name)) : ERR_NOMEM;
        err |= v ? json_put(v, "sql", json_copy(json_get(s, "sql"))) : 0;
        err |= v ? json_put(v, "params", json_copy(json_get(s, "params"))) : 0;
        if (err)
            json_free(v);
        else
            err = json_push(list, v);
    }
    json_free(saved);
    if (!err)
        return list;
    json_free(list);
    return NULL;
}

/* Of a flow with a pool: what the job took, the record by which it asks for more, what is left. */
static struct json *pool_of(const struct flow *f, const struct trial_end *end)
{
    const struct record_call *row = row_of(end, "$pool", -1);
    struct json *v = json_new_object(), *refill = NULL;
    if (!v)
        return NULL;
    for (size_t i = end->emits_n; i < end->sent_n && !refill; i++)
        if (strcmp(end->sent[i].topic, f->pool.topic) == 0)
            refill = parsed(end->sent[i].value, end->sent[i].value_len);
    int err = json_put(v, "took", row ? parsed(row->result, row->result_len) : json_new_null());
    err |= json_put(v, "refill", refill ? refill : json_new_null());
    err |= json_put(v, "items", end->items ? json_copy(end->items) : json_new_array());
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

int test_story(const struct flow_set *set, const struct flow *f, const struct trial_end *end,
               struct trial *t, struct json **out)
{
    struct json *v = json_new_object();
    if (!v)
        return ERR_NOMEM;
    int err = json_put(v, "state", json_new_text(job_state_name(end->job.state)));
    err |= json_put(v, "reason", text_or_null(end->job.reason));
    err |= json_put(v, "detail", text_or_null(end->job.detail));
    err |= json_put(v, "result", parsed(end->job.result, end->job.result_len));
    err |= json_put(v, "ms", json_new_number((double)end->ms));
    err |= json_put(v, "rounds", json_new_number(end->job.round + 1));
    err |= json_put(v, "calls", all_calls(f, end));
    err |= json_put(v, "requests", all_requests(t, end->begin_ms));
    err |= json_put(v, "emits", all_emits(end));
    err |= json_put(v, "statements", all_statements(set, t));
    err |= json_put(v, "pool", f->pool.topic ? pool_of(f, end) : json_new_null());
    if (err)
        json_free(v);
    else
        *out = v;
    return err ? ERR_NOMEM : 0;
}
