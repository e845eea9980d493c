#include "gateway/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/caller.h"

enum { ANSWER_MAX = 64 << 20, DEPTH_MAX = 256, HEADERS_MAX = CALLER_HEADERS + 3 };

struct talk {
    struct caller caller;
    struct talk_answer *answer; /* of the exchange that runs */
};

int talk_open(const char *url, const char *token, struct talk **out)
{
    struct talk *t = calloc(1, sizeof *t);
    int err = t ? caller_open(&t->caller, url, token) : ERR_NOMEM;
    if (err) {
        talk_close(t);
        return err;
    }
    *out = t;
    return 0;
}

void talk_close(struct talk *t)
{
    if (!t)
        return;
    caller_close(&t->caller);
    free(t);
}

static void keep_headers(struct talk_answer *a, const struct http_response *r)
{
    const char *tag = http_response_header(r, "etag");
    const char *retry = http_response_header(r, "retry-after");
    if (tag && strlen(tag) < sizeof a->tag)
        memcpy(a->tag, tag, strlen(tag) + 1);
    if (retry)
        a->retry_s = (int)strtol(retry, NULL, 10);
    a->replayed = http_response_header(r, "idempotent-replayed") != NULL;
}

static void on_answer(void *arg, struct http_response *r)
{
    struct talk *t = arg;
    struct talk_answer *a = t->answer;
    a->ms = r->ms;
    if (r->code == CALL_OK) {
        a->status = r->status;
        keep_headers(a, r);
        buf_add(&a->body, r->body, r->body_len);
    } else {
        a->sent = r->sent;
        snprintf(a->why, sizeof a->why, "%s", r->why && r->why[0] ? r->why : call_code(r->code));
    }
    loop_stop(t->caller.loop);
}

static size_t headers_of(const struct talk *t, const struct talk_ask *ask,
                         struct header out[HEADERS_MAX])
{
    size_t n = caller_headers(&t->caller, "application/json", out);
    if (ask->body)
        out[n++] = (struct header){(char *)"Content-Type", (char *)"application/json"};
    if (ask->key)
        out[n++] = (struct header){(char *)"Idempotency-Key", (char *)ask->key};
    if (ask->tag && ask->tag[0])
        out[n++] = (struct header){(char *)"If-None-Match", (char *)ask->tag};
    return n;
}

int talk(struct talk *t, const struct talk_ask *ask, struct talk_answer *a)
{
    struct header headers[HEADERS_MAX];
    struct http_exchange *x = NULL;
    *a = (struct talk_answer){.retry_s = -1};
    buf_init(&a->body, ANSWER_MAX);
    const struct http_request q = {.method = ask->method,
                                   .headers = headers,
                                   .headers_n = headers_of(t, ask, headers),
                                   .body = ask->body,
                                   .body_len = ask->body_len,
                                   .timeout_ms = ask->timeout_ms,
                                   .response_max = ANSWER_MAX};
    t->answer = a;
    int err = caller_start(&t->caller, &q, ask->path, on_answer, t, &x);
    if (!err)
        loop_run(t->caller.loop);
    if (!err && buf_ok(&a->body) != 0)
        err = ERR_NOMEM;
    if (!err && a->body.len &&
        json_parse(a->body.data, a->body.len,
                   &(struct json_limits){.size_max = ANSWER_MAX, .depth_max = DEPTH_MAX}, &a->json,
                   NULL) != 0)
        a->json = NULL;
    return err;
}

void talk_answer_fini(struct talk_answer *a)
{
    json_free(a->json);
    buf_fini(&a->body);
    *a = (struct talk_answer){.retry_s = -1};
}
