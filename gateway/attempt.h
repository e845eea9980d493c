/* attempt.h - one POST on its way through an accept: what the files accept*.c share. Belongs to the
 * request's thread. A step returns 0 to go on, ATTEMPT_DONE when the reply is made. */
#pragma once
#include "gateway/accept.h"
#include "gateway/problem.h"

enum { ATTEMPT_KEY_MAX = 1024, ATTEMPT_DONE = 1 };

struct attempt {
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
int attempt_finish(struct attempt *t, enum accept_outcome o);
int attempt_refuse(struct attempt *t, const struct problem *p);
int attempt_refuse_simply(struct attempt *t, int err, const char *detail);
void attempt_set_id(struct attempt *t, const struct job_id *id);
/* Without a key an id costs two hashes, and a cache hit needs none: made when it is asked for. */
void attempt_need_id(struct attempt *t);
/* The record to publish: lent with t and headers. 0 or ERR_BUG. */
int attempt_record(struct attempt *t, struct event_headers *headers, struct broker_record *record);
/* What follows a publish that ended so. */
int attempt_published(struct attempt *t, int err);
/* Answer what a mark says that ends the attempt: acknowledged, or another body. Nothing is
 * published: of the request only its id is left. */
void attempt_told(struct attempt *t, struct mark *mark);

/* ---- accept_request.c: what came, and what the flow makes of it */
int attempt_read(struct attempt *t);     /* body, JSON, schema, Idempotency-Key */
int attempt_hide(struct attempt *t);     /* take what is hashed out of request and wipe it there */
void attempt_compute(struct attempt *t); /* set, key, cache.key; what fails is told later */
int attempt_hash(struct attempt *t);     /* put the hashes in: 0, or an error of the hasher */
int attempt_value(struct attempt *t);    /* 0 or ERR_NOMEM: t->value, where it is not the body */
void attempt_wipe(struct attempt *t);    /* all plain text, at the end of every way */

/* ---- accept_answer.c */
void attempt_location(struct attempt *t);
int attempt_accepted(struct attempt *t, enum job_state state, enum accept_outcome o);
int attempt_cached(struct attempt *t, struct mark *mark);
/* The key's job as it is now, or after the wait; if it cannot be read, it is at least accepted. */
int attempt_known(struct attempt *t);
/* Wait for the job's final state as far as the flow or the client says, then answer it, or 202 with
 * the state that was seen last; `state`: before any look. */
int attempt_settle(struct attempt *t, enum job_state state, enum accept_outcome o);
/* Prefer: wait=N, or the flow's own wait. */
void attempt_read_wait(struct attempt *t);
void attempt_listen(struct attempt *t); /* before the job is published */

/* ---- accept_dry.c */
int attempt_dry(struct attempt *t);

/* ---- passages.c */
/* Leave the rest to other threads, where that is possible: ATTEMPT_DONE, the reply is owed; 0: go
 * on here. */
int attempt_leave(struct attempt *t);
