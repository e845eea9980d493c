#include "worker/outcome.h"

void outcome_fini(struct outcome *o)
{
    json_free(o->result);
    *o = (struct outcome){0};
}

/* ---- $calls */

static struct json *error_of(const struct plan_item *i)
{
    if (i->state == ITEM_SUCCEEDED || i->code == CALL_OK)
        return json_new_null();
    struct json *e = json_new_object();
    if (e && (json_put(e, "code", json_new_text(call_code((enum call_code)i->code))) ||
              json_put(e, "message", json_new_text(call_code_for_user((enum call_code)i->code))))) {
        json_free(e);
        return NULL;
    }
    return e;
}

/* element: of for_each, copied; NULL: null. copy: the outcome keeps its result. */
static struct json *value_of(const struct plan_item *i, struct outcome *o,
                             const struct json *element, bool copy)
{
    struct json *v = json_new_object();
    if (!v)
        return NULL;
    struct json *result = !o->result ? json_new_null() : copy ? json_copy(o->result) : o->result;
    if (!copy)
        o->result = NULL;
    int err = json_put(v, "ok", json_new_bool(i->state == ITEM_SUCCEEDED));
    err |= json_put(v, "state", json_new_text(item_state_name((enum item_state)i->state)));
    err |= json_put(v, "result", result);
    err |= json_put(v, "status", json_new_number(o->status));
    err |= json_put(v, "attempts", json_new_number(o->attempts));
    err |= json_put(v, "ms", json_new_number(o->ms));
    err |= json_put(v, "error", error_of(i));
    err |= json_put(v, "item", element ? json_copy(element) : json_new_null());
    err |= json_put(v, "index", i->index < 0 ? json_new_null() : json_new_number(i->index));
    if (err) {
        json_free(v);
        return NULL;
    }
    return v;
}

static struct json *list_of(struct call_items *c, bool copy)
{
    struct json *list = json_new_array();
    const struct json *element = c->list ? json_first(c->list) : NULL;
    for (size_t i = 0; list && i < c->n; i++) {
        const struct plan_item *item = &c->items[i];
        bool left_out = item->state == ITEM_SKIPPED && item->index < 0;
        if (!left_out && json_push(list, value_of(item, &c->outcomes[i],
                                                  item->index < 0 ? NULL : element, copy))) {
            json_free(list);
            return NULL;
        }
        element = element ? json_next(element) : NULL;
    }
    return list;
}

static int put(struct json *v, const struct flow_call *call, struct call_items *c, bool copy)
{
    return json_put(v, call->name,
                    flow_call_has_items(call) ? list_of(c, copy)
                                              : value_of(c->items, c->outcomes, NULL, copy));
}

int outcome_variable(const struct flow *f, struct call_items *calls, struct json **out)
{
    struct json *v = json_new_object();
    int err = v ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < f->calls_n && !err; i++)
        err = put(v, &f->calls[i], &calls[i], false);
    if (err)
        json_free(v);
    else
        *out = v;
    return err;
}

int outcome_seen(const struct flow *f, struct call_items *calls, const struct flow_call *by,
                 struct json **out)
{
    struct json *v = json_new_object();
    int err = v ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < by->after_n && !err; i++)
        err = put(v, &f->calls[by->after[i]], &calls[by->after[i]], true);
    if (err)
        json_free(v);
    else
        *out = v;
    return err;
}

/* ---- calls[] */

static void print_error(const struct plan_item *i, struct buf *out)
{
    if (i->state == ITEM_SUCCEEDED || i->code == CALL_OK) {
        buf_text(out, "null");
        return;
    }
    buf_text(out, "{\"code\":\"");
    buf_text(out, call_code((enum call_code)i->code));
    buf_text(out, "\",\"message\":\"");
    buf_text(out, call_code_for_user((enum call_code)i->code));
    buf_text(out, "\"}");
}

/* Without printf, which took a twentieth of a job: this runs for each call. */
void outcome_print(const struct flow *f, const struct plan_item *i, const struct outcome *o,
                   const char *result, struct buf *out)
{
    buf_text(out, "{\"name\":\"");
    buf_text(out, f->calls[i->call].name);
    buf_text(out, "\",\"item\":");
    if (i->index < 0)
        buf_text(out, "null");
    else
        buf_number(out, (uint64_t)i->index);
    buf_text(out, ",\"state\":\"");
    buf_text(out, item_state_name((enum item_state)i->state));
    buf_char(out, '"');
    if (!result || *result) {
        buf_text(out, ",\"result\":");
        buf_text(out, result ? result : "null");
    }
    buf_text(out, ",\"error\":");
    print_error(i, out);
    buf_text(out, ",\"attempts\":");
    buf_number(out, o->attempts);
    buf_text(out, ",\"ms\":");
    buf_number(out, o->ms);
    buf_char(out, '}');
}

/* ---- ledger */

enum call_outcome outcome_for_ledger(const struct plan_item *i)
{
    if (i->state == ITEM_SUCCEEDED)
        return OUTCOME_OK;
    if (i->code == CALL_UNKNOWN)
        return OUTCOME_UNKNOWN;
    return i->retryable ? OUTCOME_RETRYABLE : OUTCOME_FAILED;
}

int outcome_from_ledger(const struct record_call *row, struct plan_item *i, struct outcome *o)
{
    struct json *result = NULL;
    const struct json_limits limits = {.size_max = 16 << 20, .depth_max = JSON_DEPTH_KEPT};
    if (row->result && json_parse(row->result, row->result_len, &limits, &result, NULL))
        return ERR_NOT_JSON;
    json_free(o->result);
    *o = (struct outcome){.result = result,
                          .seq = row->seq,
                          .ms = row->ms,
                          .attempts = row->attempts,
                          .status = row->status,
                          .in_ledger = row->item == i->index};
    bool ok = row->outcome == OUTCOME_OK;
    enum call_code code = call_code_parse(row->reason);
    i->state = ok ? ITEM_SUCCEEDED : ITEM_FAILED;
    i->code = (uint8_t)(ok                                           ? CALL_OK
                        : code == CALL_OK || code == CALL_CODE_COUNT ? CALL_UNKNOWN
                                                                     : code);
    if (row->outcome == OUTCOME_STARTED || row->outcome == OUTCOME_UNKNOWN)
        i->code = CALL_UNKNOWN;
    i->retryable = row->outcome == OUTCOME_RETRYABLE;
    i->began = row->attempts > 0;
    return 0;
}
