#include "gateway/accept.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "gateway/auth.h"
#include "gateway/job_view.h"
#include "gateway/problem.h"
#include "gateway/request_id.h"

static_assert(sizeof(((struct event *)0)->flow) == sizeof(((struct flow *)0)->name) &&
                  (int)EVENT_REQUEST == (int)HTTP_REQUEST_ID,
              "copied whole");

static const int64_t LEAD_GRACE_MS = 10000, LEAD_FOREVER_MS = 3600000;

enum { KEY_MAX = 255, DEPTH_MAX = 64, RECORD_KEY_MAX = 1024, DONE = 1 };

/* One POST on its way. A step returns 0 to go on, DONE when the reply is made. */
struct attempt {
    struct accept *a;
    struct http_request *q;
    struct http_reply *r;
    const struct flow *flow;
    int64_t started_us;
    const char *body;
    size_t body_len;
    struct json *request;
    bool has_id;
    struct owner user, owner; /* who asks; whose job it becomes */
    bool has_key, has_hash;
    struct marks_key key;
    struct job_id id;
    char id_text[ID_TEXT];
    char hash[65];
    struct buf record_key;
    int late_err; /* of key or cache.key: told only if the Idempotency-Key is not known */
    char late_detail[EXPR_ERROR + 64];
    uint8_t mac[ID_MAC]; /* of the record */
    int64_t created_us, deadline_us;
};

static int finish(struct attempt *t, enum accept_outcome o)
{
    accept_metrics_count(t->a->metrics, t->flow, o, clock_mono_us(t->a->clock) - t->started_us);
    return DONE;
}

static int refuse(struct attempt *t, const struct problem *p)
{
    problem_reply(t->q, t->r, p);
    return finish(t, INVALID);
}

static int refuse_simply(struct attempt *t, int err, const char *detail)
{
    return refuse(t, &(struct problem){.err = err, .detail = detail});
}

/* ---- what came */

static int read_request(struct attempt *t)
{
    struct json_error where = {0};
    const char *type = http_header(t->q, "content-type");
    char detail[128];
    if (type && !http_is_json(type))
        return refuse_simply(t, ERR_MEDIA_TYPE, "Content-Type must be application/json");
    int err = t->q->read_body(t->q, t->flow->request_max, &t->body, &t->body_len);
    if (err == ERR_TOO_LARGE) {
        snprintf(detail, sizeof detail, "this flow takes at most %zu bytes", t->flow->request_max);
        return refuse_simply(t, err, detail);
    }
    if (err)
        return refuse_simply(t, err, err == ERR_BAD_REQUEST ? "the body was cut short" : NULL);
    err = json_parse(t->body, t->body_len, &(struct json_limits){t->flow->request_max, DEPTH_MAX},
                     &t->request, &where);
    if (!err)
        return 0;
    snprintf(detail, sizeof detail, "%s, at byte %zu", where.what ? where.what : err_text(err),
             where.offset);
    return refuse(t, &(struct problem){.err = err, .detail = detail, .json = &where});
}

static int check_schema(struct attempt *t)
{
    struct schema_report report;
    report.n = 0;
    if (!t->flow->schema || schema_check(t->flow->schema, t->request, &report) == 0)
        return 0;
    return refuse(t, &(struct problem){.err = ERR_SCHEMA, .schema = &report});
}

/* Nothing but visible ASCII: it becomes part of an id, and of a log line. */
static bool is_key(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > KEY_MAX)
        return false;
    for (; *s; s++)
        if (*s < 0x21 || *s > 0x7e)
            return false;
    return true;
}

static void set_id(struct attempt *t, const struct job_id *id)
{
    t->has_id = true;
    t->id = *id;
    id_format(id, t->id_text);
    log_scope(t->id_text, t->q->id);
}

/* Without a key an id costs two hashes, and a cache hit needs none: made when it is asked for. */
static void need_id(struct attempt *t)
{
    if (t->has_id)
        return;
    struct job_id id = id_new(t->a->secret, &t->owner, t->a->clock, t->a->rng);
    set_id(t, &id);
}

static int take_key(struct attempt *t)
{
    const char *key = http_header(t->q, "idempotency-key");
    struct job_id id;
    if (!key)
        return 0;
    if (!is_key(key))
        return refuse_simply(t, ERR_BAD_KEY, "1 to 255 visible ASCII characters");
    if (owner_is_nobody(&t->user) && id_parse(key, &id) != 0)
        return refuse_simply(t, ERR_GUEST_KEY, NULL);
    t->has_key = true;
    t->key.user = t->user;
    t->key.id = id_from_key(t->a->secret, &t->user, &t->owner, t->flow->name, key);
    id_mac(t->a->secret, t->body, t->body_len, t->key.mac);
    set_id(t, &t->key.id);
    return 0;
}

/* ---- what the flow computes from it */

static struct json *user_value(const struct token_user *u)
{
    struct json *v = json_new_object();
    if (v && json_put(v, "id", u->sub[0] ? json_new_text(u->sub) : json_new_null()) != 0) {
        json_free(v);
        return NULL;
    }
    return v;
}

static struct json *time_value(int64_t us)
{
    char text[CLOCK_TEXT];
    if (!us)
        return json_new_null();
    clock_format(us, text);
    return json_new_text(text);
}

static struct json *job_value(struct attempt *t)
{
    struct json *v = json_new_object();
    if (!v)
        return NULL;
    need_id(t);
    int err = json_put(v, "id", json_new_text(t->id_text));
    err |= json_put(v, "flow", json_new_text(t->flow->name));
    err |= json_put(v, "created_at", time_value(t->created_us));
    err |= json_put(v, "deadline", time_value(t->deadline_us));
    err |= json_put(v, "refill", json_new_bool(false));
    if (err) {
        json_free(v);
        return NULL;
    }
    return v;
}

static void note_late(struct attempt *t, int err, const char *what, const struct expr_error *e)
{
    if (!err || t->late_err)
        return;
    t->late_err = err;
    snprintf(t->late_detail, sizeof t->late_detail, "%s: %s", what, e->text);
}

static void compute_key(struct attempt *t, const struct expr_vars *vars)
{
    struct expr_error error = {0};
    int err = flow_record_key(t->flow, t->id_text, vars, &t->record_key, &error);
    if (t->record_key.failed) {
        err = ERR_EXPRESSION;
        snprintf(error.text, sizeof error.text, "the key is longer than %d bytes", RECORD_KEY_MAX);
    }
    note_late(t, err, "request.key", &error);
}

/* request.key and cache.key; what fails is told later. */
static void compute(struct attempt *t)
{
    const struct flow *f = t->flow;
    struct expr_vars vars = {.value[VAR_REQUEST] = t->request, .created_us = t->created_us};
    struct expr_error error = {0};
    bool cached = f->cache.key && flow_caches_for(f, &t->owner);
    unsigned uses = (f->key ? expr_uses(f->key) : 0) | (cached ? expr_uses(f->cache.key) : 0);
    struct json *user = uses & VAR_BIT(VAR_USER) ? user_value(t->q->user) : NULL;
    struct json *job = uses & VAR_BIT(VAR_JOB) ? job_value(t) : NULL;
    vars.value[VAR_USER] = user;
    vars.value[VAR_JOB] = job;
    if (f->key)
        compute_key(t, &vars);
    if (cached) {
        int err = flow_cache_hash(f, f->rev, t->owner.b, &vars, t->hash, &error);
        note_late(t, err, "cache.key", &error);
        t->has_hash = !err;
    }
    json_free(user);
    json_free(job);
}

/* ---- answers */

static void job_location(struct attempt *t)
{
    struct buf *b = &t->r->headers;
    buf_text(b, "Location: ");
    buf_text(b, t->q->public_url);
    buf_text(b, "/v1/jobs/");
    buf_add(b, t->id_text, ID_TEXT - 1);
    buf_add(b, "\r\n", 2);
}

static int answer_accepted(struct attempt *t, enum job_state state, enum accept_outcome o)
{
    t->r->status = 202;
    t->r->type = "application/json";
    job_location(t);
    job_view_accepted(&t->id, t->flow->name, state, t->q->public_url, &t->r->body);
    return finish(t, o);
}

static int answer_value(struct attempt *t, struct mark *mark)
{
    t->r->status = 200;
    t->r->type = "application/json";
    buf_add(&t->r->body, mark->value, mark->value_len);
    free(mark->value);
    return finish(t, CACHED);
}

static void free_calls(struct record_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        record_call_fini(&calls[i]);
    free(calls);
}

/* The key's job as it is now; if it cannot be read, it is at least accepted. */
static int answer_known(struct attempt *t)
{
    struct record_job job;
    struct record_call *calls = NULL;
    size_t n = 0;
    http_reply_header(t->r, "Idempotent-Replayed", "true");
    if (reader_read(t->a->reader, &t->id, &job, &calls, &n) != 0)
        return answer_accepted(t, JOB_QUEUED, KNOWN);
    int rc;
    if (strcmp(job.reason, "gone") == 0) {
        rc = refuse_simply(t, ERR_KEY_REUSED, "its job is kept no longer; use a new key");
    } else if (!job_is_final(job.state)) {
        rc = answer_accepted(t, job_view_state(&job), KNOWN);
    } else {
        struct job_view view = {&job, calls, n, t->flow, t->q->public_url, false};
        t->r->status = 200;
        t->r->type = "application/json";
        job_location(t);
        if (job_view_print(&view, &t->r->body) != 0)
            problem_simple(t->q, t->r, ERR_BUG, NULL);
        rc = finish(t, KNOWN);
    }
    free_calls(calls, n);
    record_job_fini(&job);
    return rc;
}

/* ---- Redis */

static int ask(struct attempt *t)
{
    struct mark mark;
    (void)marks_ask(t->a->marks, t->has_key ? &t->key : NULL, t->has_hash ? t->hash : NULL, &mark);
    if (mark.state == MARK_PENDING || mark.state == MARK_ACKNOWLEDGED)
        set_id(t, &mark.id);
    if (mark.state == MARK_ACKNOWLEDGED || mark.state == MARK_OTHER_BODY || t->late_err) {
        free(mark.value);
        if (mark.state == MARK_ACKNOWLEDGED)
            return answer_known(t);
        if (mark.state == MARK_OTHER_BODY)
            return refuse_simply(t, ERR_KEY_REUSED, "this key came with another body before");
        return refuse_simply(t, t->late_err, t->late_detail);
    }
    return mark.value ? answer_value(t, &mark) : 0;
}

static void confirm(struct attempt *t)
{
    struct marks_done done = {
        .has_key = t->has_key, .has_hash = t->has_hash, .key = t->key, .id = t->id};
    if (!t->has_key && !t->has_hash)
        return;
    memcpy(done.hash, t->hash, sizeof done.hash);
    marks_confirm(t->a->marks, &done);
}

static int lead(struct attempt *t)
{
    struct mark mark;
    int64_t ttl = t->flow->deadline_ms ? t->flow->deadline_ms + LEAD_GRACE_MS : LEAD_FOREVER_MS;
    if (!t->has_hash || marks_lead(t->a->marks, t->hash, &t->id, ttl, &mark) != 0)
        return 0;
    if (mark.value)
        return answer_value(t, &mark);
    if (mark.state == MARK_NONE)
        return 0;
    set_id(t, &mark.id);
    if (mark.state == MARK_PENDING)
        return 0;
    t->has_hash = false; /* its leader has confirmed it already */
    confirm(t);
    return answer_accepted(t, JOB_QUEUED, KNOWN);
}

/* ---- Kafka, and what follows */

static int make_event(struct attempt *t, struct event_headers *headers)
{
    struct event e = {.ours = true,
                      .job = t->id,
                      .owner = t->owner,
                      .created_us = t->created_us,
                      .deadline_us = t->deadline_us,
                      .has_mac = true,
                      .has_rev = true};
    const char *trace = http_header(t->q, "traceparent");
    memcpy(e.flow, t->flow->name, sizeof e.flow);
    memcpy(e.request, t->q->id, sizeof e.request);
    if (!owner_is_nobody(&t->owner))
        memcpy(e.sub, t->q->user->sub, sizeof e.sub);
    if (trace && request_id_is_trace(trace))
        snprintf(e.trace, sizeof e.trace, "%s", trace);
    memcpy(e.mac, t->mac, sizeof e.mac);
    memcpy(e.rev, t->flow->rev, sizeof e.rev);
    return event_encode(&e, headers);
}

/* Whoever shares a job may have sent other bytes for the same question: the key is the same. */
static void make_mac(struct attempt *t)
{
    if (t->has_hash)
        id_mac(t->a->secret, t->hash, strlen(t->hash), t->mac);
    else if (t->has_key)
        memcpy(t->mac, t->key.mac, sizeof t->mac);
    else
        id_mac(t->a->secret, t->body, t->body_len, t->mac);
}

static int publish(struct attempt *t)
{
    struct event_headers headers;
    bool own_key = t->flow->key != NULL;
    make_mac(t);
    if (make_event(t, &headers) != 0)
        return ERR_BUG;
    struct broker_record record = {.topic = t->flow->topic.name,
                                   .partition = -1,
                                   .key = own_key ? buf_str(&t->record_key) : t->id_text,
                                   .key_len = own_key ? t->record_key.len : ID_TEXT - 1,
                                   .value = t->body,
                                   .value_len = t->body_len,
                                   .headers = headers.list,
                                   .headers_n = headers.n};
    return publish_wait(t->a->publisher, &record);
}

static void enroll(struct attempt *t)
{
    struct register_row row = {.id = t->id,
                               .owner = t->owner,
                               .flow = t->flow,
                               .created_us = t->created_us,
                               .deadline_us = t->deadline_us};
    memcpy(row.mac, t->mac, sizeof row.mac);
    registrar_put(t->a->registrar, &row);
}

static int publish_and_answer(struct attempt *t)
{
    FAILPOINT("before-publish");
    int err = publish(t);
    if (!err) {
        FAILPOINT("after-ack");
        confirm(t);
        enroll(t);
        return answer_accepted(t, JOB_QUEUED, ACCEPTED);
    }
    struct problem p = {.err = err};
    if (err == ERR_OUTCOME_UNKNOWN) { /* if no record came, the sweep will end it */
        enroll(t);
        job_location(t);
        p.job = t->id_text;
    }
    log_warn("not-accepted", "flow", t->flow->name, "why", err_text(err));
    problem_reply(t->q, t->r, &p);
    return finish(t, err == ERR_OUTCOME_UNKNOWN ? UNKNOWN
                     : err == ERR_OVERLOADED    ? SHED
                                                : UNDURABLE);
}

static int shed(struct attempt *t)
{
    if (!admission_overloaded(t->a->admission, t->flow))
        return 0;
    problem_simple(t->q, t->r, ERR_OVERLOADED, "this flow is too far behind to meet its deadline");
    return finish(t, SHED);
}

static int run(struct attempt *t)
{
    int rc = read_request(t);
    if (!rc)
        rc = check_schema(t);
    if (!rc)
        rc = take_key(t);
    if (rc)
        return rc;
    compute(t);
    rc = ask(t);
    if (!rc)
        rc = shed(t);
    if (!rc) {
        need_id(t);
        rc = lead(t);
    }
    return rc ? rc : publish_and_answer(t);
}

const struct flow *accept_flow(const struct accept *a, const char *name)
{
    const struct flow *f = flow_by_name(a->flows, name);
    return f && f->access != ACCESS_INTERNAL ? f : NULL;
}

/* Before a byte of the body is read. */
static bool may_start(struct http_request *q, struct http_reply *r, const struct flow *f)
{
    bool guest = owner_is_nobody(&q->user->owner);
    if (guest && f->access == ACCESS_USERS)
        auth_challenge(q, r);
    else if (f->token_scope && !token_has_scope(q->user, f->token_scope))
        auth_refuse_scope(q, r, f->token_scope);
    else
        return true;
    return false;
}

void accept_post(struct accept *a, struct http_request *q, struct http_reply *r,
                 const struct flow *flow)
{
    struct attempt t = {
        .a = a, .q = q, .r = r, .flow = flow, .started_us = clock_mono_us(a->clock)};
    if (!may_start(q, r, flow))
        return;
    t.user = q->user->owner;
    if (flow->cache.scope != SCOPE_SHARED) /* what is shared belongs to nobody */
        t.owner = t.user;
    t.created_us = registrar_now_us(a->registrar);
    t.deadline_us = t.flow->deadline_ms ? t.created_us + t.flow->deadline_ms * 1000 : 0;
    buf_init(&t.record_key, RECORD_KEY_MAX);
    (void)run(&t);
    buf_fini(&t.record_key);
    json_free(t.request);
    log_scope(NULL, NULL);
}
