/* A job and the pool of its flow (protocols: Pool). A user's job takes an item instead of making
 * its calls, or makes them; a refill reserves a place, makes its calls and puts what they gave.
 * Redis forgets, so whose an item is, and that the next refill is asked for, is written to the
 * record. */
#include "common/failpoint.h"
#include "common/log.h"
#include "worker/job_parts.h"
#include "worker/outcome.h"
#include "worker/weight.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t POOL_ROW[CALL_KEY] = "$pool";
enum { SPARE_MS = 10000, RESERVED_MS = 3600 * 1000 };

struct pool_ask {        /* on its way to Redis; the job may be gone when it is back */
    struct job_run *job; /* NULL: gone */
    void (*answer)(struct job_run *j, const struct cache_reply *reply);
};

static const struct cache_reply nothing = {.type = REPLY_NIL};

static bool is(const struct cache_reply *r, const char *text)
{
    return r->type == REPLY_TEXT && strcmp(r->text, text) == 0;
}

/* ---- Redis */

static void answered(void *arg, int err, const struct cache_reply *reply)
{
    struct pool_ask *ask = arg;
    struct job_run *j = ask->job;
    if (j) {
        struct log_ids before = job_scope(j);
        j->pool.ask = NULL;
        ask->answer(j, err || reply->type == REPLY_ERROR ? &nothing : reply);
        log_scope_restore(&before);
    }
    free(ask);
}

/* Away: answered at once with `nothing`, as later where Redis refuses. */
static void ask(struct job_run *j, const struct cache_command *c,
                void (*answer)(struct job_run *j, const struct cache_reply *reply))
{
    struct cache_async *cache = j->env->cache;
    struct pool_ask *a = cache && cache_async_up(cache) ? malloc(sizeof *a) : NULL;
    if (a) {
        *a = (struct pool_ask){j, answer};
        j->pool.ask = a;
        if (cache_send(cache, c, answered, a) == 0)
            return;
        j->pool.ask = NULL;
        free(a);
    }
    answer(j, &nothing);
}

struct pool_words { /* of one command; lent until it is sent */
    char key[3][FLOW_NAME_MAX + FLOW_POOL_KEY_MAX + ID_TEXT + 16];
    char number[2][24];
};

/* kinds: "qr" names two keys; "t" is the job's own. */
static void add_keys(const struct job_run *j, const char *kinds, struct pool_words *w,
                     struct cache_command *c)
{
    for (; *kinds; kinds++) {
        char *key = w->key[c->keys++];
        snprintf(key, sizeof w->key[0], "op:{p:%s:%s}:%c%s%s", j->claim.flow->name, j->pool.key,
                 *kinds, *kinds == 't' ? ":" : "", *kinds == 't' ? j->id : "");
        cache_arg_text(c, key);
    }
}

static void add_number(struct cache_command *c, char text[24], int64_t n)
{
    snprintf(text, 24, "%lld", (long long)n);
    cache_arg_text(c, text);
}

/* ---- the next refill */

static struct event refill_of(const struct job_run *j)
{
    const struct event *from = &j->claim.event;
    const struct flow *f = j->claim.flow;
    struct event e = {.ours = true,
                      .job = id_child(&from->job, "refill", 0, 0),
                      .created_us = job_env_now_us(j->env),
                      .has_rev = true,
                      .refill = true};
    memcpy(e.flow, f->name, sizeof f->name);
    memcpy(e.rev, f->rev, sizeof e.rev);
    memcpy(e.trace, from->trace, sizeof e.trace);
    memcpy(e.request, from->request, sizeof e.request);
    return e;
}

static int print_fields(const struct job_run *j, struct buf *out)
{
    struct json *fields = NULL;
    int err = flow_pool_fields(j->claim.flow, j->request, &fields);
    if (err)
        return err;
    json_print(fields, out);
    json_free(fields);
    return buf_ok(out);
}

/* Without it the pool stays as it is until the next job asks. */
static void add_refill(const struct job_run *j, struct job_emits *out)
{
    struct event e = refill_of(j);
    struct event_headers headers;
    struct buf value;
    buf_init(&value, 0);
    int err = event_encode(&e, &headers);
    if (!err)
        err = print_fields(j, &value);
    const struct emit_record r = {.job = e.job,
                                  .topic = j->claim.flow->pool.topic,
                                  .headers = headers.list,
                                  .headers_n = headers.n,
                                  .key = j->pool.key,
                                  .key_len = strlen(j->pool.key),
                                  .value = value.data,
                                  .value_len = value.len};
    if (!err)
        err = job_emits_add(out, &r);
    if (err)
        log_error("pool-refill-failed", "flow", j->claim.flow->name, "why", err_text(err));
    buf_fini(&value);
}

/* ---- a user's job takes */

static void leave_calls_out(struct job_run *j)
{
    const struct flow *f = j->claim.flow;
    if (items_new(f, &j->calls))
        return; /* then `calls` is empty */
    for (size_t i = 0; i < f->calls_n; i++) {
        j->calls[i].begun = true;
        j->calls[i].items->state = ITEM_SKIPPED;
    }
}

/* text NULL: there is none. */
static void go_on(struct job_run *j, const char *text, size_t len)
{
    const struct json_limits limits = {.size_max = 16 << 20, .depth_max = JSON_DEPTH_KEPT};
    if (text && json_parse(text, len, &limits, &j->pool.item, NULL))
        log_error("pool-item-broken", "flow", j->claim.flow->name);
    if (!j->pool.item) {
        job_run_enter(j, PHASE_CALLING);
        return;
    }
    j->kept += len;
    j->env->kept += (int64_t)len;
    job_grow(j, weight_of_value(j->pool.item));
    leave_calls_out(j);
    job_run_enter(j, PHASE_FINISHING);
}

static void taken(struct job_run *j, struct job_op *op)
{
    const struct record_pool *p = &op->op.pool;
    if (p->status == ERR_EXISTS) {
        go_on(j, p->stored.result, p->stored.result_len);
        return;
    }
    FAILPOINT("after-take");
    if (p->status)
        log_error("pool-refused", "flow", j->claim.flow->name, "why", err_text(p->status));
    if (p->lost)
        log_warn("pool-item-used", "flow", j->claim.flow->name);
    bool mine = !p->status && !p->lost;
    go_on(j, mine ? op->text : NULL, p->call.result_len);
}

static struct job_op *row_new(struct job_run *j)
{
    struct job_op *op = job_op_new(j, WRITE_POOL, taken);
    if (!op)
        return NULL;
    op->op.pool = (struct record_pool){.worker = j->worker,
                                       .call = {.job = j->claim.event.job,
                                                .name = "$pool",
                                                .item = -1,
                                                .round = j->claim.event.round,
                                                .outcome = OUTCOME_OK}};
    memcpy(op->op.pool.call.ckey, POOL_ROW, CALL_KEY);
    return op;
}

/* `expires|job|result`; false: it is none. */
static bool read_item(const struct cache_reply *r, struct record_pool *p, struct job_op *op)
{
    char id[ID_TEXT];
    const char *first = r->type == REPLY_TEXT ? strchr(r->text, '|') : NULL;
    const char *second = first ? strchr(first + 1, '|') : NULL;
    if (!second || second - first != ID_TEXT)
        return false;
    memcpy(id, first + 1, ID_TEXT - 1);
    id[ID_TEXT - 1] = 0;
    size_t len = r->len - (size_t)(second + 1 - r->text);
    char *text = id_parse(id, &p->item) ? NULL : malloc(len + 1);
    if (!text)
        return false;
    memcpy(text, second + 1, len + 1);
    op->text = text;
    op->op.bytes += len;
    p->has_item = true;
    p->call.result = text;
    p->call.result_len = len;
    return true;
}

static void take_answered(struct job_run *j, const struct cache_reply *reply)
{
    struct job_op *op = row_new(j);
    if (!op) {
        job_run_restart(j);
        return;
    }
    bool some = read_item(reply, &op->op.pool, op);
    if (!some && reply->type != REPLY_NIL)
        log_error("pool-item-broken", "flow", j->claim.flow->name);
    log_info("pool-take", "flow", j->claim.flow->name, "item", some ? "yes" : "no");
    add_refill(j, &op->posts);
    op->op.pool.refill = op->posts.posts;
    op->op.bytes += op->posts.bytes;
    FAILPOINT("before-take");
    job_op_put(op);
}

static const struct record_call *row_of(const struct job_run *j)
{
    for (size_t i = 0; i < j->ledger_n; i++)
        if (memcmp(j->ledger[i].ckey, POOL_ROW, CALL_KEY) == 0)
            return &j->ledger[i];
    return NULL;
}

static void take(struct job_run *j)
{
    const struct record_call *row = row_of(j);
    struct cache_command c = {.script = SCRIPT_POOL_TAKE};
    struct pool_words w;
    if (row) {
        go_on(j, row->result, row->result_len);
        return;
    }
    add_keys(j, "qt", &w, &c);
    ask(j, &c, take_answered);
}

/* ---- a refill reserves and puts */

static void reserve_answered(struct job_run *j, const struct cache_reply *reply)
{
    if (is(reply, "ok")) {
        j->pool.reserved = true;
        job_run_enter(j, PHASE_CALLING);
        return;
    }
    log_info("refill-left-out", "flow", j->claim.flow->name, "why",
             is(reply, "full") ? "full" : "length unknown");
    j->pool.idle = true;
    leave_calls_out(j);
    job_run_enter(j, PHASE_FINISHING);
}

static void reserve(struct job_run *j)
{
    struct cache_command c = {.script = SCRIPT_POOL_RESERVE};
    struct pool_words w;
    int64_t left_us = j->claim.event.deadline_us - job_env_now_us(j->env);
    add_keys(j, "qr", &w, &c);
    cache_arg_text(&c, j->id);
    add_number(&c, w.number[0], j->claim.flow->pool.size);
    add_number(&c, w.number[1],
               !j->claim.event.deadline_us ? RESERVED_MS
               : left_us > 0               ? left_us / 1000 + SPARE_MS
                                           : SPARE_MS);
    ask(j, &c, reserve_answered);
}

static void put_answered(struct job_run *j, const struct cache_reply *reply)
{
    const char *did = reply->type == REPLY_TEXT ? reply->text : "lost";
    j->pool.reserved = false;
    log_info("pool-put", "flow", j->claim.flow->name, "did", did);
    if (is(reply, "put short") || is(reply, "done short"))
        add_refill(j, &j->ending->emits);
    FAILPOINT("after-put");
    job_finish_write(j);
}

static void put_command(const struct job_run *j, const char *result, size_t len,
                        struct pool_words *w, struct cache_command *c)
{
    *c = (struct cache_command){.script = SCRIPT_POOL_PUT};
    add_keys(j, "qrd", w, c);
    cache_arg_text(c, j->id);
    cache_arg(c, result, len);
    add_number(c, w->number[0], j->claim.flow->pool.size);
    add_number(c, w->number[1], j->claim.flow->pool.ttl_ms);
}

bool job_pool_put(struct job_run *j)
{
    const struct job_ending *e = j->ending;
    struct cache_command c;
    struct pool_words w;
    if (!j->pool.reserved)
        return false;
    if (e->state == JOB_SUCCEEDED) {
        put_command(j, e->result ? e->result : "null", e->result ? e->result_len : 4, &w, &c);
        ask(j, &c, put_answered);
        return true;
    }
    /* its place runs out by itself, should this be lost */
    put_command(j, "", 0, &w, &c);
    if (!j->env->cache || cache_send(j->env->cache, &c, NULL, NULL))
        log_info("pool-put", "flow", j->claim.flow->name, "did", "lost");
    j->pool.reserved = false;
    return false;
}

/* ---- */

static int find_key(struct job_run *j)
{
    struct buf key;
    struct expr_error error = {0};
    buf_init(&key, 0);
    int err = flow_pool_key(j->claim.flow, &j->vars, &key, &error);
    if (err)
        log_warn("pool-key", "flow", j->claim.flow->name, "error", expr_error_plain(&error));
    else
        j->pool.key = buf_take(&key, NULL);
    buf_fini(&key);
    return err || !j->pool.key ? ERR_EXPRESSION : 0;
}

void job_pool_begin(struct job_run *j)
{
    if (j->cancel) {
        job_run_enter(j, PHASE_CALLING); /* where it ends as cancelled */
        return;
    }
    if (find_key(j)) {
        j->claim.bad = REASON_EXPRESSION;
        job_calls_skip(j);
        job_run_enter(j, PHASE_FINISHING);
    } else if (j->claim.event.refill) {
        reserve(j);
    } else {
        take(j);
    }
}

void job_pool_stop(struct job_run *j)
{
    if (j->pool.ask)
        j->pool.ask->job = NULL;
    json_free(j->pool.item);
    free(j->pool.key);
    j->pool = (struct job_pool){0};
}
