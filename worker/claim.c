#include "worker/claim.h"

#include <string.h>

#define YEAR_9000_US (INT64_C(221845392000) * 1000000)

/* The record's timestamp; one without counts as old. */
static int64_t timestamp_us(const struct broker_record *r)
{
    bool good = r->timestamp_ms >= 0 && r->timestamp_ms < YEAR_9000_US / 1000;
    return good ? r->timestamp_ms * 1000 : 0;
}

/* Nothing of a broken record counts but its id. */
static void broken(struct claim *c, const struct broker_record *r, const char *why)
{
    struct job_id id = c->event.job;
    c->event = (struct event){.job = id, .created_us = timestamp_us(r)};
    c->bad = REASON_BAD_EVENT;
    c->why = why;
}

/* Times the record can hold, with room for what is added to them. */
static bool is_time(int64_t us)
{
    return us >= 0 && us < YEAR_9000_US;
}

static void place(const struct broker_record *r, struct job_id *out)
{
    const struct id_place at = {r->topic, r->partition, r->offset, r->timestamp_ms};
    *out = id_from_place(&at, r->value ? r->value : "", r->value_len);
}

static void foreign(struct claim *c, const struct broker_record *r)
{
    struct event e = {.created_us = timestamp_us(r)};
    memcpy(e.trace, c->event.trace, sizeof e.trace);
    c->event = e;
    if (c->flow->deadline_ms)
        c->event.deadline_us = c->event.created_us + c->flow->deadline_ms * 1000;
}

/* A refill is nobody's job, and its time runs from its claim. */
static void refill(struct claim *c)
{
    c->event.refill = true;
    c->event.owner = (struct owner){{0}};
    c->event.sub[0] = 0;
    if (!c->event.ours)
        c->event.deadline_us = 0;
}

void claim_refill(struct claim *c, int64_t now_us)
{
    if (c->event.refill && !c->event.deadline_us && c->flow->deadline_ms)
        c->event.deadline_us = now_us + c->flow->deadline_ms * 1000;
}

/* What is wrong with a record of ours whose headers could be read; NULL: nothing. */
static const char *flaw(const struct claim *c)
{
    const struct event *e = &c->event;
    if (e->flow[0] && strcmp(e->flow, c->flow->name) != 0)
        return "offpath-flow is not the flow of this topic";
    if (!is_time(e->created_us) || !is_time(e->deadline_us))
        return "ce_time or offpath-deadline is out of range";
    return e->refill && !c->flow->pool.topic ? "offpath-refill and the flow has no pool" : NULL;
}

static void decode(struct claim *c, const struct broker_record *r)
{
    const char *why = "its headers are broken";
    if (event_decode(r->headers, r->headers_n, r->timestamp_ms, &c->event, &why) == 0)
        why = c->event.ours ? flaw(c) : NULL;
    if (!why && !record_headers_fit(r->headers, r->headers_n))
        why = "its headers are too many, or too large";
    if (why)
        broken(c, r, why);
    else if (!c->event.ours)
        foreign(c, r);
}

static bool is_refill(const struct claim *c, const struct broker_record *r)
{
    const char *refills = c->flow->pool.topic;
    return c->event.refill || (refills && strcmp(r->topic, refills) == 0);
}

int claim_decode(const struct flow_set *set, const struct broker_record *r, struct claim *out)
{
    struct claim c = {.flow = flow_by_topic(set, r->topic)};
    if (!c.flow)
        return ERR_NOT_FOUND;
    decode(&c, r);
    if (is_refill(&c, r))
        refill(&c);
    if (id_is_nil(&c.event.job)) /* none is known */
        place(r, &c.event.job);
    if (!c.bad && (!r->value || r->value_len == 0)) {
        c.bad = REASON_BAD_EVENT;
        c.why = "it has no value";
    }
    *out = c;
    return 0;
}

void claim_columns(const struct claim *c, int64_t retention_ms, struct record_register *out)
{
    const struct event *e = &c->event;
    *out = (struct record_register){
        .id = e->job,
        .owner = e->owner,
        .flow = c->flow->name,
        .has_mac = e->has_mac,
        .has_rev = true,
        .created_us = e->created_us ? e->created_us : 1, /* 0 would be NULL */
        .deadline_us = e->deadline_us,
        .sweep_at_us = job_sweep_at_us(e->created_us, e->deadline_us, retention_ms),
    };
    memcpy(out->mac, e->mac, sizeof out->mac);
    memcpy(out->rev, c->flow->rev, sizeof out->rev);
}

bool claim_differs(const struct claim *c, const uint8_t mac[ID_MAC], bool has_mac)
{
    return has_mac && c->event.has_mac && memcmp(mac, c->event.mac, ID_MAC) != 0;
}

enum claim_verdict claim_decide(const struct claim *c, const struct record_claim *done)
{
    const struct record_job *row = &done->row;
    if (claim_differs(c, row->mac, row->has_mac))
        return CLAIM_CONFLICT;
    if (job_is_final(row->state))
        return CLAIM_FINAL;
    if (row->round > c->event.round)
        return CLAIM_STALE;
    if (row->state == JOB_RUNNING && row->worker == done->worker && row->round == c->event.round)
        return CLAIM_RUN;
    return CLAIM_WATCH;
}
