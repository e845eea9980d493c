/* talk.h - one request after the other to a gateway, as a user's verb makes them: ask, wait,
 * answer. Main thread; each struct talk has a loop of its own. */
#pragma once
#include "common/buf.h"
#include "common/header.h"
#include "common/json.h"

enum { TALK_WHY = 256, TALK_TAG = 80 };

struct talk;
/* url: "http://127.0.0.1:8480", without a / at its end; token: NULL for a guest. Both borrowed
 * until talk_close. 0, ERR_NOMEM. */
int talk_open(const char *url, const char *token, struct talk **out) must_use;
void talk_close(struct talk *t); /* NULL is fine */

struct talk_ask { /* all borrowed */
    const char *method, *path;
    const char *body; /* NULL: none; else JSON */
    size_t body_len;
    const char *key;    /* Idempotency-Key, or NULL */
    const char *tag;    /* If-None-Match, or NULL or "" */
    int64_t timeout_ms; /* of the whole exchange */
};

struct talk_answer {
    int status;         /* 0: no answer */
    char why[TALK_WHY]; /* then: what happened, for people */
    bool sent;          /* then: the request may have arrived all the same */
    struct json *json;  /* the body, NULL: it is none */
    struct buf body;
    char tag[TALK_TAG]; /* ETag, or "" */
    int retry_s;        /* Retry-After, -1: none */
    bool replayed;      /* Idempotent-Replayed */
    int64_t ms;
};

/* 0: there is an answer of any status, or status 0 and why. ERR_NOMEM, ERR_INVALID (what stands in
 * the URL or the headers cannot be sent). *a: owned (talk_answer_fini), whatever is returned. */
int talk(struct talk *t, const struct talk_ask *ask, struct talk_answer *a) must_use;
void talk_answer_fini(struct talk_answer *a);
