#include "common/http_client_fake.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/http_address.h"

/* A double for tests: without memory it ends the test program. */
static void *need(void *memory)
{
    if (!memory)
        abort();
    return memory;
}

static char *copy(const char *text)
{
    return text ? need(strdup(text)) : NULL;
}

struct script {
    char *method, *url;
    struct http_fake_reply *replies;
    size_t n, next;
};

struct fake {
    struct http_client client; /* first */
    struct loop *loop;
    struct script *scripts;
    size_t scripts_n;
    http_fake_decide_fn *decide;
    void *decide_arg;
    struct http_fake_call **calls; /* each on its own: lent while the list grows */
    size_t calls_n;
    struct http_exchange *running;
    unsigned running_n, peak, fail;
};

struct http_exchange {
    struct fake *fake;
    struct http_fake_call *call;
    http_done_fn *fn;
    http_part_fn *part;
    void *arg;
    size_t handed; /* of the body */
    struct loop_timer *timer;
    struct http_fake_reply reply; /* its texts owned */
    struct http_exchange *prev, *next;
};

static struct fake *of(struct http_client *c)
{
    return (struct fake *)(void *)c;
}

static const struct fake *of_const(const struct http_client *c)
{
    return (const struct fake *)(const void *)c;
}

static struct http_fake_reply reply_copy(const struct http_fake_reply *r)
{
    struct http_fake_reply out = *r;
    out.body = copy(r->body ? r->body : "");
    out.header = (struct header){copy(r->header.name), copy(r->header.value)};
    return out;
}

static void reply_fini(struct http_fake_reply *r)
{
    free((void *)(uintptr_t)r->body);
    free(r->header.name);
    free(r->header.value);
}

/* ---- scripts */

static bool url_fits(const char *pattern, const char *url)
{
    size_t len = strlen(pattern);
    if (len > 0 && pattern[len - 1] == '*')
        return strncmp(pattern, url, len - 1) == 0;
    return strcmp(pattern, url) == 0;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

void http_client_fake_script(struct http_client *c, const char *method, const char *url,
                             const struct http_fake_reply *reply)
{
    struct fake *f = of(c);
    struct script *s = NULL;
    for (size_t i = 0; i < f->scripts_n && !s; i++) {
        if (same(f->scripts[i].method, method) && same(f->scripts[i].url, url))
            s = &f->scripts[i];
    }
    if (!s) {
        f->scripts = need(realloc(f->scripts, (f->scripts_n + 1) * sizeof *f->scripts));
        s = &f->scripts[f->scripts_n++];
        *s = (struct script){.method = copy(method), .url = copy(url)};
    }
    s->replies = need(realloc(s->replies, (s->n + 1) * sizeof *s->replies));
    s->replies[s->n++] = reply_copy(reply);
}

void http_client_fake_decide(struct http_client *c, http_fake_decide_fn *fn, void *arg)
{
    of(c)->decide = fn;
    of(c)->decide_arg = arg;
}

/* With owned texts. */
static struct http_fake_reply reply_for(struct fake *f, const struct http_request *r)
{
    struct http_fake_reply decided = {.status = f->decide ? 0 : 404};
    for (size_t i = 0; i < f->scripts_n; i++) {
        struct script *s = &f->scripts[i];
        if ((s->method && strcmp(s->method, r->method) != 0) || !url_fits(s->url, r->url))
            continue;
        size_t now = s->next;
        if (s->next + 1 < s->n)
            s->next++;
        return reply_copy(&s->replies[now]);
    }
    if (f->decide)
        f->decide(f->decide_arg, r, &decided);
    return reply_copy(&decided);
}

/* ---- exchanges */

static struct http_fake_call *record(struct fake *f, const struct http_request *r)
{
    struct http_fake_call *call = need(calloc(1, sizeof *call));
    call->method = copy(r->method);
    call->url = copy(r->url);
    call->call = copy(r->call);
    call->item = r->item;
    call->body = r->body ? need(strndup(r->body, r->body_len)) : NULL;
    call->headers = need(calloc(r->headers_n + 1, sizeof *call->headers));
    for (size_t i = 0; i < r->headers_n; i++)
        call->headers[i] = (struct header){copy(r->headers[i].name), copy(r->headers[i].value)};
    call->headers_n = r->headers_n;
    call->at_ms = loop_now_ms(f->loop);
    call->timeout_ms = r->timeout_ms;
    call->response_max = r->response_max;
    call->allow_private = r->allow_private;
    call->once = r->once;
    f->calls = need(realloc(f->calls, (f->calls_n + 1) * sizeof(struct http_fake_call *)));
    return f->calls[f->calls_n++] = call;
}

static void exchange_unlink(struct http_exchange *x)
{
    struct fake *f = x->fake;
    *(x->prev ? &x->prev->next : &f->running) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    f->running_n--;
}

static void exchange_free(struct http_exchange *x)
{
    loop_timer_free(x->fake->loop, x->timer);
    reply_fini(&x->reply);
    free(x);
}

static bool is_unsent(enum call_code code)
{
    return code == CALL_CONNECT || code == CALL_DNS || code == CALL_TLS ||
           code == CALL_BLOCKED_ADDRESS;
}

static bool takes_parts(const struct http_exchange *x)
{
    const struct http_fake_reply *p = &x->reply;
    return x->part && p->code == CALL_OK && (p->status == 0 || p->status == 200);
}

static int64_t left_ms(const struct http_exchange *x)
{
    return x->call->at_ms + x->call->timeout_ms - loop_now_ms(x->fake->loop);
}

static void on_due(void *arg);

/* true: another piece is due later, or the end of a reply that hangs. */
static bool hand_on(struct http_exchange *x)
{
    struct http_fake_reply *p = &x->reply;
    size_t left = strlen(p->body) - x->handed;
    size_t n = p->part_len && p->part_len < left ? p->part_len : left;
    int64_t wait_ms = p->part_ms;
    if (left_ms(x) <= 0)
        return false;
    if (n)
        x->part(x->arg, p->body + x->handed, n);
    x->handed += n;
    if (n == left && !p->hang)
        return false;
    if (n == left || wait_ms > left_ms(x))
        wait_ms = left_ms(x);
    loop_timer_set(x->fake->loop, x->timer, wait_ms, 0);
    return true;
}

/* How it ends. */
static enum call_code code_of(const struct http_exchange *x)
{
    const struct http_fake_reply *p = &x->reply;
    bool parts = takes_parts(x);
    size_t max = parts ? 0 : x->call->response_max;
    if (p->hang || p->delay_ms >= x->call->timeout_ms || (parts && left_ms(x) <= 0))
        return CALL_TIMEOUT;
    return p->code == CALL_OK && max && strlen(p->body) > max ? CALL_TOO_BIG : p->code;
}

static void on_due(void *arg)
{
    struct http_exchange *x = arg;
    struct http_fake_reply *p = &x->reply;
    if (takes_parts(x) && hand_on(x))
        return;
    struct http_response r = {.code = code_of(x), .why = ""};
    r.ms = loop_now_ms(x->fake->loop) - x->call->at_ms;
    if (r.code != CALL_TIMEOUT)
        r.status = r.code == CALL_OK && p->status == 0 ? 200 : p->status;
    if (r.code != CALL_OK)
        r.why = "scripted";
    r.sent = !p->unsent && !is_unsent(r.code);
    r.body = copy(r.code == CALL_OK && !takes_parts(x) ? p->body : "");
    r.body_len = strlen(r.body);
    r.headers = &p->header;
    r.headers_n = p->header.name && r.status ? 1 : 0;
    exchange_unlink(x);
    x->call->done = true;
    x->fn(x->arg, &r);
    free(r.body);
    exchange_free(x);
}

static int fake_start(struct http_client *c, const struct http_request *r, http_done_fn *fn,
                      void *arg, struct http_exchange **out)
{
    struct fake *f = of(c);
    if (f->fail > 0 && --f->fail == 0)
        return ERR_NOMEM;
    if (!http_request_is_valid(r))
        return ERR_INVALID;
    struct http_exchange *x = need(calloc(1, sizeof *x));
    *x = (struct http_exchange){
        .fake = f, .fn = fn, .part = r->part, .arg = arg, .next = f->running};
    x->call = record(f, r);
    x->reply = reply_for(f, r);
    x->timer = need(loop_timer_new(f->loop, on_due, x));
    bool cut = (x->reply.hang && !takes_parts(x)) || x->reply.delay_ms > r->timeout_ms;
    loop_timer_set(f->loop, x->timer, cut ? r->timeout_ms : x->reply.delay_ms, 0);
    if (x->next)
        x->next->prev = x;
    f->running = x;
    if (++f->running_n > f->peak)
        f->peak = f->running_n;
    *out = x;
    return 0;
}

static void fake_cancel(struct http_exchange *x)
{
    if (x->call->done) /* inside its own callback */
        return;
    x->call->cancelled = true;
    exchange_unlink(x);
    exchange_free(x);
}

static void call_free(struct http_fake_call *call)
{
    for (size_t i = 0; i < call->headers_n; i++) {
        free(call->headers[i].name);
        free(call->headers[i].value);
    }
    free(call->headers);
    free(call->method);
    free(call->url);
    free(call->call);
    free(call->body);
    free(call);
}

static void fake_close(struct http_client *c)
{
    struct fake *f = of(c);
    for (struct http_exchange *x = f->running, *next; x; x = next) {
        next = x->next;
        fake_cancel(x);
    }
    for (size_t i = 0; i < f->scripts_n; i++) {
        for (size_t k = 0; k < f->scripts[i].n; k++)
            reply_fini(&f->scripts[i].replies[k]);
        free(f->scripts[i].replies);
        free(f->scripts[i].method);
        free(f->scripts[i].url);
    }
    for (size_t i = 0; i < f->calls_n; i++)
        call_free(f->calls[i]);
    free(f->calls);
    free(f->scripts);
    free(f);
}

int http_client_fake_open(struct loop *loop, struct http_client **out)
{
    static const struct http_client_ops ops = {fake_start, fake_cancel, fake_close};
    struct fake *f = need(calloc(1, sizeof *f));
    f->client.ops = &ops;
    f->loop = loop;
    *out = &f->client;
    return 0;
}

/* ---- what was asked */

size_t http_client_fake_calls(const struct http_client *c)
{
    return of_const(c)->calls_n;
}

const struct http_fake_call *http_client_fake_call(const struct http_client *c, size_t i)
{
    return i < of_const(c)->calls_n ? of_const(c)->calls[i] : NULL;
}

const char *http_fake_call_header(const struct http_fake_call *call, const char *name)
{
    for (size_t i = 0; i < call->headers_n; i++) {
        if (strcasecmp(call->headers[i].name, name) == 0)
            return call->headers[i].value;
    }
    return NULL;
}

unsigned http_client_fake_running(const struct http_client *c)
{
    return of_const(c)->running_n;
}

unsigned http_client_fake_peak(const struct http_client *c)
{
    return of_const(c)->peak;
}

void http_client_fake_fail(struct http_client *c, unsigned n)
{
    of(c)->fail = n;
}
