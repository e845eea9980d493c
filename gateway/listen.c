#include "gateway/listen.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/caller.h"

enum { ANSWER_MAX = 1 << 20, CONNECT_MS = 10000 };

struct listen {
    struct listen_settings s;
    struct caller caller;
    struct loop_timer *timer;
    struct http_exchange *exchange; /* NULL: over */
    struct sse_read read;
    int64_t heard_ms, quiet_ms;
    bool answered; /* with a stream's first bytes */
    bool refused;
};

static void on_event(void *arg, const struct sse_event *e)
{
    struct listen *l = arg;
    l->heard_ms = loop_now_ms(l->caller.loop);
    l->s.event(l->s.arg, e);
}

static void on_part(void *arg, const char *bytes, size_t len)
{
    struct listen *l = arg;
    l->answered = true;
    sse_read_bytes(&l->read, bytes, len);
}

static bool is_stream(const struct http_response *r)
{
    static const char type[] = "text/event-stream";
    const char *given = http_response_header(r, "content-type");
    return r->status == 200 && given && strncmp(given, type, sizeof type - 1) == 0;
}

static void on_end(void *arg, struct http_response *r)
{
    struct listen *l = arg;
    l->exchange = NULL;
    l->refused = r->code == CALL_OK && !is_stream(r);
    loop_stop(l->caller.loop);
}

static void on_tick(void *arg)
{
    struct listen *l = arg;
    bool waits = l->answered || l->quiet_ms < CONNECT_MS;
    int64_t quiet_ms = waits ? l->quiet_ms : CONNECT_MS;
    l->s.tick(l->s.arg);
    if (!l->exchange || loop_now_ms(l->caller.loop) - l->heard_ms < quiet_ms)
        return;
    http_cancel(l->caller.http, l->exchange);
    l->exchange = NULL;
    loop_stop(l->caller.loop);
}

int listen_open(const struct listen_settings *s, struct listen **out)
{
    struct listen *l = calloc(1, sizeof *l);
    int err = l ? caller_open(&l->caller, s->url, s->token) : ERR_NOMEM;
    if (!err && !(l->timer = loop_timer_new(l->caller.loop, on_tick, l)))
        err = ERR_NOMEM;
    if (err) {
        listen_close(l);
        return err;
    }
    l->s = *s;
    sse_read_init(&l->read, on_event, l);
    *out = l;
    return 0;
}

void listen_close(struct listen *l)
{
    if (!l)
        return;
    if (l->timer)
        loop_timer_free(l->caller.loop, l->timer);
    caller_close(&l->caller);
    sse_read_fini(&l->read);
    free(l);
}

static int start(struct listen *l, const char *path, int64_t most_ms)
{
    struct header headers[CALLER_HEADERS + 1];
    size_t n = caller_headers(&l->caller, "text/event-stream", headers);
    if (l->read.last[0])
        headers[n++] = (struct header){(char *)"Last-Event-ID", l->read.last};
    const struct http_request q = {.method = "GET",
                                   .headers = headers,
                                   .headers_n = n,
                                   .timeout_ms = most_ms,
                                   .response_max = ANSWER_MAX,
                                   .part = on_part};
    return caller_start(&l->caller, &q, path, on_end, l, &l->exchange);
}

enum listen_end listen_to(struct listen *l, const char *path, int64_t quiet_ms, int64_t most_ms)
{
    sse_read_again(&l->read);
    l->heard_ms = loop_now_ms(l->caller.loop);
    l->quiet_ms = quiet_ms;
    l->answered = l->refused = false;
    if (start(l, path, most_ms) != 0)
        return LISTEN_REFUSED;
    loop_timer_set(l->caller.loop, l->timer, LISTEN_TICK_MS, LISTEN_TICK_MS);
    loop_run(l->caller.loop);
    loop_timer_stop(l->caller.loop, l->timer);
    return l->refused || l->read.too_big ? LISTEN_REFUSED : LISTEN_ENDED;
}

int64_t listen_retry_ms(const struct listen *l)
{
    return l->read.retry_ms;
}
