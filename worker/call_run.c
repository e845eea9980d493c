#include "worker/call_run.h"
#include "worker/budget.h"
#include "worker/call_sign.h"
#include "worker/retry.h"

#include <stdlib.h>
#include <string.h>

/* A job's deadline stops its calls; the client's own time-out comes a little later, so that the two
 * never race. */
enum { DEADLINE_SLACK_MS = 1000, BODY_DEPTH = 64 };

static struct call_gate *gate_of(const struct call_run *r)
{
    return &r->env->gates[r->order.call->upstream->index];
}

static int64_t now_ms(const struct call_run *r)
{
    return clock_mono_ms(r->env->clock);
}

/* ---- the end */

static void settle(struct call_run *r, enum item_state state, enum call_code code, bool retryable)
{
    struct plan_item *i = r->order.item;
    i->state = (uint8_t)state;
    i->code = (uint8_t)code;
    i->retryable = retryable;
    struct outcome *o = r->order.outcome;
    o->attempts = (uint16_t)(r->tries.made > UINT16_MAX ? UINT16_MAX : r->tries.made);
    int64_t ms = r->begun_ms < 0 ? 0 : now_ms(r) - r->begun_ms;
    o->ms = (uint32_t)(ms > UINT32_MAX ? UINT32_MAX : ms);
}

static bool pause_for(struct call_run *r, int64_t ms);

/* Behind the breaker, or for a while; then its attempts are counted from the start. */
static bool wait_for_better(struct call_run *r, enum call_code code)
{
    struct call_gate *g = gate_of(r);
    r->made_before = r->tries.made;
    r->waited = TRY_BACKOFF;
    if (code != CALL_BREAKER_OPEN)
        return pause_for(r, BUDGET_EVERY_MS);
    r->phase = CALL_QUEUED;
    governor_park(&g->governor, &r->ticket);
    metrics_add(g->metrics.queued, 1);
    call_gate_pump_soon(g); /* the look at the breaker's time */
    return true;
}

/* repeat: never, and too late for another attempt */
static bool is_spent(const struct call_run *r)
{
    return r->order.call->never_again && r->reached;
}

static void fail(struct call_run *r, enum call_code code)
{
    bool listed = code == CALL_BREAKER_OPEN ||
                  retry_is_listed(&r->order.call->retry, code, r->order.outcome->status);
    bool retryable = listed && !is_spent(r);
    if (retryable && r->order.must_wait && r->order.must_wait(r->order.arg, r, code) &&
        wait_for_better(r, code))
        return;
    settle(r, ITEM_FAILED, code, retryable);
    r->order.done(r->order.arg, r);
}

/* ---- reading the answer */

static struct json *headers_value(const struct http_response *a)
{
    struct json *v = json_new_object();
    for (size_t i = 0; v && i < a->headers_n; i++) {
        if (json_put(v, a->headers[i].name, json_new_text(a->headers[i].value))) {
            json_free(v);
            return NULL;
        }
    }
    return v;
}

static int parse_body(const struct flow_call *c, const struct http_response *a, struct json **out,
                      struct json_error *error)
{
    const struct json_limits limits = {.size_max = c->response_max, .depth_max = BODY_DEPTH};
    if (c->response == RESPONSE_NONE || (c->response == RESPONSE_JSON && a->body_len == 0))
        *out = json_new_null();
    else if (c->response == RESPONSE_TEXT)
        *out = json_new_text_n(a->body ? a->body : "", a->body_len);
    else
        return json_parse(a->body, a->body_len, &limits, out, error);
    return *out ? 0 : ERR_NOMEM;
}

/* `ok`: true only; anything else, or an error, is no success */
static bool is_ok(const struct call_run *r, const struct expr_vars *vars)
{
    struct json *v = NULL;
    if (expr_eval(r->order.call->ok, vars, &v, NULL))
        return false;
    bool ok = json_bool(v);
    json_free(v);
    return ok;
}

/* Keep the result: as a value for `$calls`, as text for ledger and event. */
static enum call_code keep(struct call_run *r, struct json *result)
{
    struct buf b;
    buf_init(&b, CALL_RESULT_MAX);
    json_print(result, &b);
    if (buf_ok(&b) || *r->order.kept + b.len > CALL_RESULTS_MAX) {
        buf_fini(&b);
        json_free(result);
        return CALL_TOO_BIG;
    }
    r->result = buf_take(&b, &r->result_len);
    *r->order.kept += r->result_len;
    r->order.outcome->result = result;
    return CALL_OK;
}

static enum call_code evaluate(struct call_run *r, const struct http_response *a,
                               struct json **body, enum call_code by_status)
{
    const struct flow_call *c = r->order.call;
    struct expr_vars vars = *r->order.vars;
    enum call_code code = by_status;
    unsigned uses = (c->ok ? expr_uses(c->ok) : 0) | (c->result ? expr_uses(c->result) : 0);
    struct json *status = json_new_number(a->status), *result = NULL;
    struct json *headers = uses & VAR_BIT(VAR_HEADERS) ? headers_value(a) : NULL;
    struct json *index = uses & VAR_BIT(VAR_INDEX) ? json_new_number(r->order.item->index) : NULL;
    vars.value[VAR_CALLS] = r->order.calls;
    vars.value[VAR_ITEM] = r->order.element;
    vars.value[VAR_INDEX] = index;
    vars.value[VAR_STATUS] = status;
    vars.value[VAR_HEADERS] = headers;
    vars.value[VAR_BODY] = *body;
    if (c->ok)
        code = is_ok(r, &vars) ? CALL_OK : by_status != CALL_OK ? by_status : CALL_BAD_BODY;
    if (code == CALL_BAD_BODY)
        r->why = "`ok` is not true";
    if (code == CALL_OK && !c->result) {
        result = *body;
        *body = NULL;
    } else if (code == CALL_OK && expr_eval(c->result, &vars, &result, NULL)) {
        code = CALL_BAD_BODY;
        r->why = "`result` cannot be computed from it";
    }
    if (code == CALL_OK)
        code = keep(r, result);
    json_free(status);
    json_free(headers);
    json_free(index);
    return code;
}

/* What a complete answer means: its status, then `ok`, then `result`. */
static enum call_code read_answer(struct call_run *r, const struct http_response *a)
{
    const struct flow_call *c = r->order.call;
    enum call_code by_status = retry_status_code(a->status);
    if (!c->ok && by_status != CALL_OK)
        return by_status;
    struct json *body = NULL;
    struct json_error error = {.what = "it cannot be read"};
    if (parse_body(c, a, &body, &error)) {
        r->why = error.what;
        return by_status != CALL_OK ? by_status : CALL_BAD_BODY;
    }
    enum call_code code = evaluate(r, a, &body, by_status);
    json_free(body);
    return code;
}

static int64_t retry_after(const struct call_run *r, const struct http_response *a)
{
    for (size_t i = 0; i < a->headers_n; i++)
        if (strcmp(a->headers[i].name, "retry-after") == 0)
            return retry_after_parse(a->headers[i].value, clock_wall_us(r->env->clock));
    return -1;
}

/* ---- attempts */

static void ask(struct call_run *r);

static void pause_over(void *arg)
{
    struct call_run *r = arg;
    r->wait_ms = now_ms(r) - r->since_ms;
    ask(r);
}

static bool pause_for(struct call_run *r, int64_t ms)
{
    r->phase = CALL_PAUSED;
    r->since_ms = now_ms(r);
    return due_set(r->env->due, &r->pause, r->since_ms + ms) == 0;
}

static void note_try(struct call_run *r, enum call_code code, int status, int64_t ms)
{
    const struct try one = {.start_us = r->sent_us,
                            .wait_ms = (uint32_t)r->wait_ms,
                            .ms = (uint32_t)ms,
                            .status = (uint16_t)status,
                            .waited = r->wait_ms ? r->waited : TRY_AT_ONCE,
                            .code = (uint8_t)code};
    tries_add(&r->tries, &one);
    r->wait_ms = 0;
    r->waited = TRY_SLOT;
}

/* Again, or the end with this code. */
static void go_on(struct call_run *r, enum call_code code, int status, int64_t after_ms)
{
    if (code == CALL_OK) {
        settle(r, ITEM_SUCCEEDED, CALL_OK, false);
        r->order.done(r->order.arg, r);
        return;
    }
    const struct retry_attempt a = {
        .code = code,
        .status = status,
        .retry_after_ms = after_ms,
        .made = r->tries.made - r->made_before,
        .left_ms = r->order.deadline_ms == INT64_MAX ? INT64_MAX : r->order.deadline_ms - now_ms(r),
    };
    int64_t wait = is_spent(r) ? -1 : retry_wait_ms(&r->order.call->retry, &a, r->env->rng);
    r->waited = wait >= 0 && wait == after_ms ? TRY_RETRY_AFTER : TRY_BACKOFF;
    if (wait < 0 || !pause_for(r, wait))
        fail(r, code);
}

/* For the log. Which of the files or names TLS failed for, only the library says. */
static void note_why(struct call_run *r, const struct http_response *a)
{
    free(r->tls_why);
    r->tls_why = a->code == CALL_TLS ? strdup(a->why) : NULL;
    r->why = a->code == CALL_BAD_BODY ? "it is no HTTP, or its compression is broken" : NULL;
}

static void answered(void *arg, struct http_response *a)
{
    struct call_run *r = arg;
    struct call_gate *g = gate_of(r);
    r->exchange = NULL;
    r->reached |= a->sent;
    r->order.outcome->status = (uint16_t)a->status;
    note_why(r, a);
    enum call_code code = a->code == CALL_OK ? read_answer(r, a) : a->code;
    int64_t after_ms = code == CALL_OK ? -1 : retry_after(r, a);
    int64_t took_ms = now_ms(r) - r->since_ms;
    note_try(r, code, a->status, took_ms);
    call_gate_ended(g, &r->ticket, code, took_ms);
    if (after_ms > 0 && (a->status == 429 || a->status == 503) &&
        retry_is_obeyed(&r->order.call->retry, after_ms))
        call_gate_hold(g, after_ms);
    go_on(r, code, a->status, after_ms);
    call_gate_pump(g);
}

/* The attempt's moments (since_ms, sent_us) are set. */
static int send(struct call_run *r)
{
    const struct flow_call *c = r->order.call;
    struct call_headers headers;
    char key[CALL_KEY_TEXT];
    call_key_format(r->order.job, r->key, key);
    const struct call_marks marks = {key, r->order.trace};
    int64_t left = r->order.deadline_ms == INT64_MAX
                       ? INT64_MAX
                       : r->order.deadline_ms - r->since_ms + DEADLINE_SLACK_MS;
    int err = call_headers_make(c, &r->request, &marks, r->sent_us, &headers);
    const struct http_request q = {
        .method = c->method,
        .url = r->request.url,
        .headers = headers.list,
        .headers_n = headers.n,
        .body = r->request.body,
        .body_len = r->request.body_len,
        .timeout_ms = c->timeout_ms < left ? c->timeout_ms : left,
        .response_max = c->response_max,
        .allow_private = c->upstream->allow_private,
        .tls = &c->upstream->tls,
        .once = c->never_again,
        .call = c->name,
        .item = r->order.item->index,
    };
    if (!err)
        err = http_start(r->env->http, &q, answered, r, &r->exchange);
    call_headers_fini(&headers);
    return err;
}

static void leave_slot(struct call_run *r)
{
    call_gate_left(gate_of(r), &r->ticket);
    call_gate_pump_soon(gate_of(r));
}

/* The slot is taken already, and what must be recorded is. */
static void attempt(struct call_run *r, int64_t at_ms)
{
    r->phase = CALL_FLYING;
    r->since_ms = at_ms;
    r->sent_us = clock_wall_us(r->env->clock);
    if (r->begun_ms < 0)
        r->begun_ms = r->since_ms;
    r->order.item->began = true;
    if (r->order.began_ms && !*r->order.began_ms)
        *r->order.began_ms = r->since_ms;
    int err = send(r);
    if (!err)
        return;
    enum call_code code = err == ERR_NOMEM ? CALL_CONNECT : CALL_EXPRESSION;
    note_try(r, code, 0, 0);
    leave_slot(r);
    go_on(r, code, 0, -1);
}

static void fly(struct call_run *r)
{
    int64_t at_ms = now_ms(r);
    if (r->phase == CALL_QUEUED)
        r->wait_ms += at_ms - r->since_ms;
    metrics_add(gate_of(r)->metrics.flying, 1);
    if (!r->order.mark || r->marked) {
        attempt(r, at_ms);
        return;
    }
    r->phase = CALL_MARKING;
    r->order.mark(r->order.arg, r);
}

void call_run_marked(struct call_run *r, bool marked)
{
    r->marked = marked;
    if (marked && r->env->may_start(r->env->arg)) {
        attempt(r, now_ms(r));
        return;
    }
    leave_slot(r);
    if (marked)
        ask(r); /* the lease went while it was recorded */
    else
        fail(r, CALL_CONNECT);
}

void call_run_turn(struct governor_ticket *t, bool open)
{
    struct call_run *r = (struct call_run *)t;
    metrics_add(gate_of(r)->metrics.queued, -1);
    if (open)
        fail(r, CALL_BREAKER_OPEN);
    else
        fly(r);
}

static void ask(struct call_run *r)
{
    struct call_gate *g = gate_of(r);
    r->phase = CALL_QUEUED;
    r->since_ms = now_ms(r);
    bool may = r->env->may_start(r->env->arg);
    switch (call_gate_ask(g, &r->ticket, may)) {
    case GOVERNOR_GO:
        fly(r);
        break;
    case GOVERNOR_OPEN:
        fail(r, CALL_BREAKER_OPEN);
        break;
    case GOVERNOR_WAIT:
        metrics_add(g->metrics.queued, 1);
        if (may)
            call_gate_pump(g); /* arms the look when rate or hold is what it waits for */
        break;
    }
}

/* ---- life */

static int64_t bytes_of(const struct call_run *r)
{
    return (int64_t)(sizeof *r + strlen(r->request.url) + r->request.body_len);
}

int call_run_start(struct call_env *env, const struct call_order *o, struct call_request *request,
                   const uint8_t key[CALL_KEY])
{
    struct call_run *r = calloc(1, sizeof *r);
    if (!r) {
        call_request_fini(request);
        return ERR_NOMEM;
    }
    r->env = env;
    r->order = *o;
    r->request = *request;
    *request = (struct call_request){0};
    memcpy(r->key, key, CALL_KEY);
    r->ticket.refill = o->refill;
    r->pause = (struct due_item){.fn = pause_over, .arg = r};
    r->begun_ms = -1;
    r->waited = TRY_SLOT;
    env->held += bytes_of(r);
    o->item->state = ITEM_RUNNING;
    *o->out = r;
    ask(r);
    return 0;
}

void call_run_stop(struct call_run *r, enum call_code code)
{
    struct call_gate *g = gate_of(r);
    if (r->ticket.queued)
        metrics_add(g->metrics.queued, -1);
    governor_leave(&g->governor, &r->ticket);
    due_stop(r->env->due, &r->pause);
    if (r->exchange) {
        http_cancel(r->env->http, r->exchange);
        r->exchange = NULL;
        int64_t took_ms = now_ms(r) - r->since_ms;
        note_try(r, code, 0, took_ms);
        call_gate_ended(g, &r->ticket, code, took_ms);
        call_gate_pump_soon(g);
    } else if (r->phase == CALL_MARKING) {
        leave_slot(r);
    }
    settle(r, code == CALL_CANCELLED ? ITEM_CANCELLED : ITEM_FAILED, code, false);
}

void call_run_free(struct call_run *r)
{
    if (!r)
        return;
    r->env->held -= bytes_of(r);
    call_request_fini(&r->request);
    free(r->result);
    free(r->tls_why);
    free(r);
}
