/* http_client_fake.h - an HTTP client for tests: scripted replies in virtual (or real) time on a
 * loop. It keeps what was asked, refuses what the real one refuses, and cuts a reply at the
 * request's timeout and response_max as the real one does. Belongs to its loop's thread. */
#pragma once
#include "common/http_client.h"

struct http_fake_reply {
    enum call_code code;  /* CALL_OK: an answer; else how it ends */
    int status;           /* 0: 200 with CALL_OK, none with another code */
    const char *body;     /* copied; NULL: "" */
    struct header header; /* copied; one more header, lower-case name; NULL name: none */
    int64_t delay_ms;     /* from start to the callback; never before the next turn */
    bool hang;            /* no answer until the timeout */
    size_t part_len;      /* where the request takes parts: so many bytes of the body at once, */
    int64_t part_ms;      /* the first at delay_ms, each further one so much later; 0: all */
    bool unsent;          /* `sent` is false, as it is for connect dns tls blocked-address */
};

/* *out: owned (http_client_close: silent about what is running). */
int http_client_fake_open(struct loop *loop, struct http_client **out) must_use;

/* The next reply for calls of this method (NULL: any) and URL (a `*` at its end: any that begins
 * so); in order of calling, and the last one again and again. The first script whose method and URL
 * fit is used. */
void http_client_fake_script(struct http_client *c, const char *method, const char *url,
                             const struct http_fake_reply *reply);

/* Decides where no script fits; without it: 404. Fills *reply (zeroed). */
typedef void http_fake_decide_fn(void *arg, const struct http_request *r,
                                 struct http_fake_reply *reply);
void http_client_fake_decide(struct http_client *c, http_fake_decide_fn *fn, void *arg);

/* What was asked, in order of start. Lent with the client. */
struct http_fake_call {
    char *method, *url, *body; /* body: NULL if there was none */
    char *call;                /* as in http_request; NULL: not said */
    int32_t item;
    struct header *headers;
    size_t headers_n;
    int64_t at_ms, timeout_ms; /* loop_now_ms at its start */
    size_t response_max;
    bool allow_private, once, done, cancelled;
};
size_t http_client_fake_calls(const struct http_client *c);
const struct http_fake_call *http_client_fake_call(const struct http_client *c, size_t i);
const char *http_fake_call_header(const struct http_fake_call *call, const char *name);

/* Exchanges under way, and the most there ever were at once. */
unsigned http_client_fake_running(const struct http_client *c);
unsigned http_client_fake_peak(const struct http_client *c);

/* The n-th start from now (1 = the next) returns ERR_NOMEM. */
void http_client_fake_fail(struct http_client *c, unsigned n);
