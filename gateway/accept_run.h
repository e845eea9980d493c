/* accept_run.h - one POST on its way through an accept: what the files accept*.c share. Belongs to
 * the request's thread. A step returns 0 to go on, ACCEPT_RUN_DONE when the reply is made. */
#pragma once
#include "gateway/accept.h"
#include "gateway/problem.h"

enum { ACCEPT_RUN_KEY_MAX = 1024, ACCEPT_RUN_DONE = 1 };

struct accept_run {
    struct accept *a;
    struct http_request *q;
    struct http_reply *r;
    const struct flow *flow;
    int64_t started_us;
    char *body;
    size_t body_len;
    struct json *request;
    struct buf record_key;
    struct buf value;             /* the record's, where it is not the body */
    char *plain[FLOW_FIELDS_MAX]; /* of request.hash, taken out of request; NULL: not there */
    struct waiter *waiter;
    int64_t wait_ms, created_us, deadline_us;
    struct limits_taken taken;
    struct marks_key key;
    struct owner user, owner; /* who asks; whose job it becomes */
    struct job_id id;
    uint8_t body_mac[ID_MAC]; /* of the body as it came, where it is wiped */
    uint8_t mac[ID_MAC];      /* of the record */
    int late_err; /* of set, key or cache.key: told only if the Idempotency-Key is not known */
    char late_detail[EXPR_ERROR + 64];
    char id_text[ID_TEXT];
    char hash[65];
    bool dry; /* only to be tried: nothing is counted, marked or published */
    bool has_id, has_key, has_hash;
    bool counted; /* against the limits, and not given back */
    bool prefers; /* Prefer: wait was sent, and is applied */
};

/* ---- accept.c */
int accept_run_finish(struct accept_run *t, enum accept_outcome o);
int accept_run_refuse(struct accept_run *t, const struct problem *p);
int accept_run_refuse_simply(struct accept_run *t, int err, const char *detail);
void accept_run_set_id(struct accept_run *t, const struct job_id *id);
/* Without a key an id costs two hashes, and a cache hit needs none: made when it is asked for. */
void accept_run_need_id(struct accept_run *t);
/* The record to publish: lent with t and headers. 0 or ERR_BUG. */
int accept_run_record(struct accept_run *t, struct event_headers *headers,
                      struct broker_record *record);
/* What follows a publish that ended so. */
int accept_run_published(struct accept_run *t, int err);
/* Answer what a mark says that ends it here: acknowledged, or another body. Nothing is
 * published: of the request only its id is left. */
void accept_run_told(struct accept_run *t, struct mark *mark);

/* ---- accept_request.c: what came, and what the flow makes of it */
int accept_run_read(struct accept_run *t); /* body, JSON, schema, Idempotency-Key */
int accept_run_hide(
    struct accept_run *t); /* take what is hashed out of request and wipe it there */
void accept_run_compute(struct accept_run *t); /* set, key, cache.key; what fails is told later */
int accept_run_hash(struct accept_run *t);     /* put the hashes in: 0, or an error of the hasher */
int accept_run_value(struct accept_run *t); /* 0 or ERR_NOMEM: t->value, where it is not the body */
void accept_run_wipe(struct accept_run *t); /* all plain text, at the end of every way */

/* ---- accept_answer.c */
void accept_run_location(struct accept_run *t);
int accept_run_accepted(struct accept_run *t, enum job_state state, enum accept_outcome o);
int accept_run_cached(struct accept_run *t, struct mark *mark);
/* The key's job as it is now, or after the wait; if it cannot be read, it is at least accepted. */
int accept_run_known(struct accept_run *t);
/* Wait for the job's final state as far as the flow or the client says, then answer it, or 202 with
 * the state that was seen last; `state`: before any look. */
int accept_run_settle(struct accept_run *t, enum job_state state, enum accept_outcome o);
/* Prefer: wait=N, or the flow's own wait. */
void accept_run_read_wait(struct accept_run *t);
void accept_run_listen(struct accept_run *t); /* before the job is published */

/* ---- accept_dry.c */
int accept_run_dry(struct accept_run *t);

/* ---- passages.c */
/* Leave the rest to other threads, where that is possible: ACCEPT_RUN_DONE, the reply is owed; 0:
 * go on here. */
int accept_run_leave(struct accept_run *t);
