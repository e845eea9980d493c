#include "gateway/talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"

enum { ANSWER_MAX = 64 << 20, DEPTH_MAX = 256, TOKEN_MAX = 16384 };

struct talk {
    const char *url;
    char *authorization; /* owned; NULL: a guest */
    struct loop *loop;
    struct http_client *http;
    struct talk_answer *answer; /* of the exchange that runs */
};

int talk_open(const char *url, const char *token, struct talk **out)
{
    struct talk *t = calloc(1, sizeof *t);
    int err = t ? loop_uv_open(&t->loop) : ERR_NOMEM;
    if (!err)
        err = http_client_curl_open(t->loop, 1, HTTP_REST_MS, &t->http);
    if (!err && token && token[0]) {
        size_t size = strlen(token) + sizeof "Bearer ";
        t->authorization = malloc(size);
        err = t->authorization ? 0 : ERR_NOMEM;
        if (!err)
            snprintf(t->authorization, size, "Bearer %s", token);
    }
    if (err) {
        talk_close(t);
        return err;
    }
    t->url = url;
    *out = t;
    return 0;
}

void talk_close(struct talk *t)
{
    if (!t)
        return;
    http_client_close(t->http);
    loop_close(t->loop);
    free(t->authorization);
    free(t);
}

const char *talk_url(const struct talk *t)
{
    return t->url;
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
        snprintf(a->why, sizeof a->why, "%s", r->why && r->why[0] ? r->why : call_code(r->code));
    }
    loop_stop(t->loop);
}

static size_t headers_of(const struct talk *t, const struct talk_ask *ask,
                         struct header out[TALK_HEADERS])
{
    size_t n = 0;
    out[n++] = (struct header){(char *)"Accept", (char *)"application/json"};
    if (t->authorization)
        out[n++] = (struct header){(char *)"Authorization", t->authorization};
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
    struct header headers[TALK_HEADERS];
    struct http_exchange *x = NULL;
    struct buf url = {0};
    *a = (struct talk_answer){.retry_s = -1};
    buf_init(&a->body, ANSWER_MAX);
    buf_printf(&url, "%s%s", t->url, ask->path);
    const struct http_request q = {.method = ask->method,
                                   .url = buf_str(&url),
                                   .headers = headers,
                                   .headers_n = headers_of(t, ask, headers),
                                   .body = ask->body,
                                   .body_len = ask->body_len,
                                   .timeout_ms = ask->timeout_ms,
                                   .response_max = ANSWER_MAX,
                                   .allow_private = true,
                                   .once = true,
                                   .item = -1};
    t->answer = a;
    int err = buf_ok(&url);
    if (!err)
        err = http_start(t->http, &q, on_answer, t, &x);
    if (!err)
        loop_run(t->loop);
    buf_fini(&url);
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
