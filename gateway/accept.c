#include "gateway/accept.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "gateway/accept_run.h"
#include "gateway/auth.h"
#include "gateway/request_id.h"

static_assert(sizeof(((struct event *)0)->flow) == sizeof(((struct flow *)0)->name) &&
                  (int)EVENT_REQUEST == (int)HTTP_REQUEST_ID,
              "copied whole");

static const int64_t LEAD_GRACE_MS = 10000, LEAD_FOREVER_MS = 3600000;

int accept_run_finish(struct accept_run *t, enum accept_outcome o)
{
    accept_metrics_count(t->a->metrics, t->flow, o, clock_mono_us(t->a->clock) - t->started_us);
    return ACCEPT_RUN_DONE;
}

int accept_run_refuse(struct accept_run *t, const struct problem *p)
{
    problem_reply(t->q, t->r, p);
    return accept_run_finish(t, INVALID);
}

int accept_run_refuse_simply(struct accept_run *t, int err, const char *detail)
{
    return accept_run_refuse(t, &(struct problem){.err = err, .detail = detail});
}

void accept_run_set_id(struct accept_run *t, const struct job_id *id)
{
    t->has_id = true;
    t->id = *id;
    id_format(id, t->id_text);
    log_scope(t->id_text, t->q->id);
}

void accept_run_need_id(struct accept_run *t)
{
    if (t->has_id)
        return;
    struct job_id id = id_new(t->a->secret, &t->owner, t->a->clock, t->a->rng);
    accept_run_set_id(t, &id);
}

/* ---- Redis */

/* What the mark says: 0 to go on. Takes its value. */
static int judge(struct accept_run *t, struct mark *mark)
{
    if (mark->state == MARK_PENDING || mark->state == MARK_ACKNOWLEDGED)
        accept_run_set_id(t, &mark->id);
    if (mark->state == MARK_ACKNOWLEDGED || mark->state == MARK_OTHER_BODY || t->late_err) {
        free(mark->value);
        if (mark->state == MARK_ACKNOWLEDGED)
            return accept_run_known(t);
        if (mark->state == MARK_OTHER_BODY)
            return accept_run_refuse_simply(t, ERR_KEY_REUSED,
                                            "this key came with another body before");
        return accept_run_refuse_simply(t, t->late_err, t->late_detail);
    }
    return mark->value ? accept_run_cached(t, mark) : 0;
}

/* The lead finds a value, too. But a job that is over a limit, or of a flow too far behind, leads
 * nobody, and must still get the value that is there. */
static bool goes_straight(const struct accept_run *t)
{
    return t->has_hash && !t->has_key && !t->late_err && t->flow->limits_n == 0 &&
           marks_missed(t->a->marks) && !admission_overloaded(t->a->admission, t->flow);
}

static int ask(struct accept_run *t)
{
    struct mark mark;
    (void)marks_ask(t->a->marks, t->has_key ? &t->key : NULL, t->has_hash ? t->hash : NULL, &mark);
    return judge(t, &mark);
}

static void confirm(struct accept_run *t)
{
    struct marks_done done = {
        .has_key = t->has_key, .has_hash = t->has_hash, .key = t->key, .id = t->id};
    if (!t->has_key && !t->has_hash)
        return;
    memcpy(done.hash, t->hash, sizeof done.hash);
    marks_confirm(t->a->marks, &done);
}

/* A job that ended without a result worth sharing (it was cancelled) leads nobody; its worker would
 * end its lead later. MySQL away: nothing is known, so it leads. */
static bool is_over(struct accept_run *t, const struct job_id *id)
{
    struct record_job row;
    if (t->flow->cache.scope == SCOPE_SHARED) /* nobody cancels these */
        return false;
    return reader_look(t->a->reader, id, &row) == 0 && job_is_final(row.state) &&
           row.state != JOB_SUCCEEDED && row.state != JOB_PARTIAL;
}

static void ask_lead(struct accept_run *t, struct mark *mark)
{
    int64_t ttl = t->flow->deadline_ms ? t->flow->deadline_ms + LEAD_GRACE_MS : LEAD_FOREVER_MS;
    if (marks_lead(t->a->marks, t->hash, &t->id, ttl, mark) != 0)
        return;
    bool led = mark->state == MARK_PENDING || mark->state == MARK_ACKNOWLEDGED;
    if (!led || id_equal(&mark->id, &t->id) || !is_over(t, &mark->id))
        return;
    marks_end_lead(t->a->marks, t->hash, &mark->id);
    (void)marks_lead(t->a->marks, t->hash, &t->id, ttl, mark);
}

static int lead(struct accept_run *t)
{
    struct mark mark = {.state = MARK_NONE};
    if (!t->has_hash)
        return 0;
    ask_lead(t, &mark);
    if (mark.value)
        return accept_run_cached(t, &mark);
    if (mark.state == MARK_NONE)
        return 0;
    accept_run_set_id(t, &mark.id);
    if (mark.state == MARK_PENDING)
        return 0;
    t->has_hash = false; /* its leader has confirmed it already */
    confirm(t);
    t->counted = false; /* it is taken for good */
    accept_run_listen(t);
    return accept_run_settle(t, JOB_QUEUED, KNOWN);
}

/* ---- limits */

static int limit(struct accept_run *t)
{
    struct limits_who who = {t->flow, &t->user, t->q->client, buf_str(&t->record_key),
                             t->record_key.len};
    if (t->flow->limits_n == 0)
        return 0;
    int err = limits_take(t->a->limits, &who, &t->taken);
    limits_headers(t->flow, &t->taken, &t->r->headers);
    if (!err) {
        t->counted = true;
        return 0;
    }
    problem_reply(t->q, t->r, &(struct problem){.err = err, .retry_s = limits_retry_s(&t->taken)});
    return accept_run_finish(t, LIMITED);
}

/* ---- Kafka, and what follows */

static int make_event(struct accept_run *t, struct event_headers *headers)
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
static void make_mac(struct accept_run *t)
{
    if (t->has_hash)
        id_mac(t->a->secret, t->hash, strlen(t->hash), t->mac);
    else if (t->has_key)
        memcpy(t->mac, t->key.mac, sizeof t->mac);
    else if (t->flow->hash_n)
        memcpy(t->mac, t->body_mac, sizeof t->mac);
    else
        id_mac(t->a->secret, t->body, t->body_len, t->mac);
}

int accept_run_record(struct accept_run *t, struct event_headers *headers,
                      struct broker_record *record)
{
    bool own_key = t->flow->key != NULL, own_value = t->value.len > 0;
    make_mac(t);
    if (make_event(t, headers) != 0)
        return ERR_BUG;
    *record = (struct broker_record){.topic = t->flow->topic.name,
                                     .partition = -1,
                                     .key = own_key ? buf_str(&t->record_key) : t->id_text,
                                     .key_len = own_key ? t->record_key.len : ID_TEXT - 1,
                                     .value = own_value ? buf_str(&t->value) : t->body,
                                     .value_len = own_value ? t->value.len : t->body_len,
                                     .headers = headers->list,
                                     .headers_n = headers->n};
    return 0;
}

static int publish(struct accept_run *t)
{
    struct event_headers headers;
    struct broker_record record;
    int err = accept_run_record(t, &headers, &record);
    if (err)
        return err;
    FAILPOINT("before-publish");
    return publish_wait(t->a->publisher, &record);
}

static void enroll(struct accept_run *t)
{
    struct register_row row = {.id = t->id,
                               .owner = t->owner,
                               .flow = t->flow,
                               .created_us = t->created_us,
                               .deadline_us = t->deadline_us};
    memcpy(row.mac, t->mac, sizeof row.mac);
    registrar_put(t->a->registrar, &row);
}

static int refuse_publish(struct accept_run *t, int err)
{
    struct problem p = {.err = err};
    if (err == ERR_OUTCOME_UNKNOWN) { /* if no record came, the sweep will end it */
        t->counted = false;
        enroll(t);
        accept_run_location(t);
        p.job = t->id_text;
    }
    log_warn("not-accepted", "flow", t->flow->name, "why", err_text(err));
    problem_reply(t->q, t->r, &p);
    return accept_run_finish(t, err == ERR_OUTCOME_UNKNOWN ? UNKNOWN
                                : err == ERR_OVERLOADED    ? SHED
                                                           : UNDURABLE);
}

int accept_run_published(struct accept_run *t, int err)
{
    if (err)
        return refuse_publish(t, err);
    FAILPOINT("after-ack");
    t->counted = false;
    confirm(t);
    enroll(t);
    return accept_run_settle(t, JOB_QUEUED, ACCEPTED);
}

static int publish_and_answer(struct accept_run *t)
{
    int err = accept_run_hash(t);
    if (!err)
        err = accept_run_value(t);
    if (err)
        return refuse_publish(t, err == ERR_OVERLOADED ? err : ERR_NOT_DURABLE);
    accept_run_listen(t);
    return accept_run_published(t, publish(t));
}

static int shed(struct accept_run *t)
{
    if (!admission_overloaded(t->a->admission, t->flow))
        return 0;
    problem_simple(t->q, t->r, ERR_OVERLOADED, "this flow is too far behind to meet its deadline");
    return accept_run_finish(t, SHED);
}

void accept_run_told(struct accept_run *t, struct mark *mark)
{
    (void)judge(t, mark);
}

static int run(struct accept_run *t)
{
    int rc = accept_run_read(t);
    if (!rc)
        rc = accept_run_hide(t);
    if (rc)
        return rc;
    accept_run_compute(t);
    if (t->dry)
        return accept_run_dry(t);
    rc = accept_run_leave(t);
    if (!rc && !goes_straight(t)) {
        rc = ask(t);
        if (!rc)
            rc = shed(t);
    }
    if (!rc)
        rc = limit(t);
    if (!rc) {
        accept_run_need_id(t);
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

static void post(struct accept_run *t)
{
    struct accept *a = t->a;
    if (!may_start(t->q, t->r, t->flow))
        return;
    t->user = t->q->user->owner;
    if (t->flow->cache.scope != SCOPE_SHARED) /* what is shared belongs to nobody */
        t->owner = t->user;
    t->created_us = registrar_now_us(a->registrar);
    t->deadline_us = t->flow->deadline_ms ? t->created_us + t->flow->deadline_ms * 1000 : 0;
    buf_init(&t->record_key, ACCEPT_RUN_KEY_MAX);
    accept_run_read_wait(t);
    (void)run(t);
    if (t->counted) /* nothing came of it: a retry must not meet 429 */
        limits_refund(a->limits, t->flow, &t->taken);
    waiter_end(t->waiter);
    accept_run_wipe(t);
    buf_fini(&t->record_key);
    buf_fini(&t->value);
    json_free(t->request);
    log_scope(NULL, NULL);
}

void accept_post(struct accept *a, struct http_request *q, struct http_reply *r,
                 const struct flow *flow)
{
    struct accept_run t = {
        .a = a, .q = q, .r = r, .flow = flow, .started_us = clock_mono_us(a->clock)};
    post(&t);
}

void accept_try(struct accept *a, struct http_request *q, struct http_reply *r,
                const struct flow *flow)
{
    struct accept_run t = {
        .a = a, .q = q, .r = r, .flow = flow, .dry = true, .started_us = clock_mono_us(a->clock)};
    post(&t);
}
