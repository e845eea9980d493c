#include "common/cache_line.h"
#include "common/backoff.h"
#include "common/cache_channels.h"
#include "common/log.h"
#include "common/names.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 2000,
    CONNECT_MS = 2000,
    LOOK_MS = 1000,
    SILENT_MS = 5000, /* no answer for so long ends the connection */
    WAITING_BYTES_MAX = 32 << 20,
    ADDRESS_MAX = 256
};

/* down --timer--> named --address--> connecting --greeted--> up
 *   ^               | none in 2 s      | refused, 2 s gone   | lost, 5 s without an answer
 *   +---------------+------------------+---------------------+ */
struct half {
    struct async *owner;
    struct names_wait wait;   /* named: its timer is set */
    struct cache_line *line;  /* NULL: down or named */
    struct loop_timer *timer; /* down: next try; connecting: give up; up: look every second */
    struct backoff backoff;
    bool up, messages;
    bool told; /* the log says that it is away */
};

struct async {
    struct cache_async port; /* first */
    const struct cache_line_driver *driver;
    void *arg;
    const char *host;
    struct names *names; /* NULL: host is no name */
    struct loop *loop;
    struct half commands, messages;
    struct cache_channels channels;
    size_t waiting, waiting_bytes;
    bool full;           /* the log says so */
    int64_t answered_ms; /* last answer, or when waiting began */
    int64_t refused_ms;  /* last answer that was an error */
    bool closing;
};

struct request {
    cache_reply_fn *fn;
    void *arg;
    size_t size;
    bool again;                   /* sent a second time, with its text */
    struct cache_command command; /* only of a script: to send it again */
    char bytes[];
};

static void half_down(struct half *h, const char *why)
{
    struct async *a = h->owner;
    if (!h->told && !a->closing)
        log_warn("cache-away", "for", h->messages ? "messages" : "commands", "why", why);
    h->told = true;
    h->up = false;
    h->line = NULL;
    if (h->messages)
        cache_channels_lost(&a->channels);
    if (!a->closing)
        loop_timer_set(a->loop, h->timer, backoff_next(&h->backoff, rng_real()), 0);
}

/* Down before the line is closed: what its last answers send is refused. */
static void half_drop(struct half *h, const char *why)
{
    struct cache_line *line = h->line;
    half_down(h, why);
    if (line)
        h->owner->driver->close(line);
}

static void subscribe_one(void *arg, const char *channel)
{
    struct half *h = arg;
    h->owner->driver->subscribe(h->line, channel, true);
}

static void on_up(void *arg)
{
    struct half *h = arg;
    struct async *a = h->owner;
    h->up = true;
    h->told = false;
    backoff_reset(&h->backoff);
    a->answered_ms = loop_now_ms(a->loop);
    loop_timer_set(a->loop, h->timer, LOOK_MS, LOOK_MS);
    log_info("cache-up", "for", h->messages ? "messages" : "commands");
    if (h->messages)
        cache_channels_each(&a->channels, subscribe_one, h);
}

static void on_down(void *arg, const char *why)
{
    half_down(arg, why);
}

static void on_news(void *arg, enum cache_line_news what, const char *channel, const char *text,
                    size_t len)
{
    struct half *h = arg;
    struct cache_channels *channels = &h->owner->channels;
    if (what == LINE_MESSAGE)
        cache_channels_tell(channels, channel, text, len);
    else if (what == LINE_SUBSCRIBED)
        cache_channels_confirm(channels, channel);
    else if (h->up && cache_channels_has(channels, channel))
        subscribe_one(h, channel); /* wanted again before it was given up */
}

static void request_end(struct async *a, struct request *q, int err, const struct cache_reply *r)
{
    a->waiting--;
    a->waiting_bytes -= q->size;
    a->full = a->full && a->waiting_bytes > WAITING_BYTES_MAX / 2;
    if (q->fn)
        q->fn(q->arg, err, r);
    free(q);
}

static bool is_noscript(const struct cache_reply *r)
{
    return r->type == REPLY_ERROR && r->len >= 8 && !memcmp(r->text, "NOSCRIPT", 8);
}

static bool async_obeys(const struct cache_async *port)
{
    const struct async *a = (const struct async *)port;
    return a->commands.up && loop_now_ms(a->loop) - a->refused_ms >= CACHE_REFUSED_MS;
}

/* Told once for all that follow closely. */
static void note_refusal(struct async *a, const char *why)
{
    if (async_obeys(&a->port))
        log_warn("cache-refuses", "why", why);
    a->refused_ms = loop_now_ms(a->loop);
}

static void on_reply(void *arg, void *request, const struct cache_reply *r)
{
    struct half *h = arg;
    struct async *a = h->owner;
    struct request *q = request;
    if (!r) {
        h->up = false; /* what the callback sends now is refused */
        request_end(a, q, a->closing ? ERR_CLOSED : ERR_IO, NULL);
        return;
    }
    a->answered_ms = loop_now_ms(a->loop);
    if (!is_noscript(r) || q->again || !q->command.script) {
        if (r->type == REPLY_ERROR)
            note_refusal(a, r->text);
        request_end(a, q, 0, r);
        return;
    }
    q->again = true;
    if (!h->line || a->driver->send(h->line, &q->command, true, q))
        request_end(a, q, ERR_IO, NULL);
}

/* One of "192.0.2.1,[2001:db8::1]", the nth of them, without its brackets. */
static void address_pick(const char *list, unsigned nth, char *out, size_t size)
{
    unsigned n = 1;
    for (const char *p = list; *p; p++)
        n += *p == ',';
    for (nth %= n; nth > 0; nth--)
        list = strchr(list, ',') + 1;
    list += *list == '[';
    snprintf(out, size, "%.*s", (int)strcspn(list, ",]"), list);
}

static void line_connect(struct half *h, const char *host)
{
    const struct cache_line_events events = {h, on_up, on_down, on_reply, on_news};
    struct async *a = h->owner;
    h->line = a->driver->open(a->arg, host, a->loop, h->messages, &events);
    if (h->line)
        loop_timer_set(a->loop, h->timer, CONNECT_MS, 0);
    else
        half_down(h, "cannot connect");
}

static void line_connect_one(struct half *h, const char *addresses)
{
    char host[ADDRESS_MAX];
    address_pick(addresses, h->backoff.tries, host, sizeof host);
    line_connect(h, host);
}

static void on_name(void *arg, struct names_wait *w, int err, const char *text)
{
    struct async *a = arg;
    struct half *h = w == &a->commands.wait ? &a->commands : &a->messages;
    if (err)
        half_down(h, "its name was not found");
    else
        line_connect_one(h, text);
}

/* The library would look up a name by itself, and the loop stand still meanwhile. */
static void line_try(struct half *h)
{
    struct async *a = h->owner;
    const char *addresses;
    if (!a->names)
        line_connect(h, a->host);
    else if (names_find(a->names, a->host, CONNECT_MS, &h->wait, &addresses))
        half_down(h, "no memory");
    else if (addresses)
        line_connect_one(h, addresses);
}

static void on_timer(void *arg)
{
    struct half *h = arg;
    struct async *a = h->owner;
    if (h->wait.timer)
        return; /* on_name goes on */
    if (!h->line)
        line_try(h);
    else if (!h->up)
        half_drop(h, "no answer in time");
    else if (!h->messages && a->waiting && loop_now_ms(a->loop) - a->answered_ms > SILENT_MS) {
        /* the other line has no question open that would notice: it shares this one's fate */
        half_drop(&a->messages, "no answer in time");
        half_drop(h, "no answer in time");
    }
}

static struct request *request_new(const struct cache_command *c, cache_reply_fn *fn, void *arg)
{
    size_t size = 0;
    for (unsigned i = 0; i < c->argc; i++)
        size += c->argv_len[i];
    struct request *q = malloc(sizeof *q + (c->script ? size : 0));
    if (!q)
        return NULL;
    *q = (struct request){.fn = fn, .arg = arg, .size = sizeof *q + size, .command = *c};
    char *to = q->bytes;
    for (unsigned i = 0; c->script && i < c->argc; i++) {
        memcpy(to, c->argv[i], c->argv_len[i]);
        q->command.argv[i] = to;
        to += c->argv_len[i];
    }
    return q;
}

/* Told once until half of it is answered; of no job. */
static void note_full(struct async *a)
{
    if (a->full)
        return;
    a->full = true;
    struct log_ids before = log_scope(NULL, NULL);
    log_warn("cache-full", "means", "32 MB wait for Redis: what else it is told is left out");
    log_scope_restore(&before);
}

static int async_send(struct cache_async *port, const struct cache_command *c, cache_reply_fn *fn,
                      void *arg)
{
    struct async *a = (struct async *)port;
    if (!cache_command_is_valid(c))
        return ERR_INVALID;
    if (!a->commands.up)
        return ERR_IO;
    if (a->waiting_bytes >= WAITING_BYTES_MAX) {
        note_full(a);
        return ERR_FULL;
    }
    struct request *q = request_new(c, fn, arg);
    if (!q)
        return ERR_NOMEM;
    if (a->driver->send(a->commands.line, c, false, q)) {
        free(q);
        return ERR_IO;
    }
    if (!a->waiting)
        a->answered_ms = loop_now_ms(a->loop);
    a->waiting++;
    a->waiting_bytes += q->size;
    return 0;
}

static int async_subscribe(struct cache_async *port, const char *channel, cache_message_fn *fn,
                           void *arg)
{
    struct async *a = (struct async *)port;
    struct half *h = &a->messages;
    bool first;
    int err = cache_channels_add(&a->channels, channel, fn, arg, &first);
    if (!err && h->up)
        subscribe_one(h, channel); /* asked again, it tells the new listener */
    else if (!err && !h->line && !h->backoff.tries)
        loop_timer_set(a->loop, h->timer, 0, 0);
    return err;
}

static void async_unsubscribe(struct cache_async *port, const char *channel, cache_message_fn *fn,
                              void *arg)
{
    struct async *a = (struct async *)port;
    if (cache_channels_remove(&a->channels, channel, fn, arg) && a->messages.up)
        a->driver->subscribe(a->messages.line, channel, false);
}

static bool async_up(const struct cache_async *port)
{
    return ((const struct async *)port)->commands.up;
}

static bool async_hears(const struct cache_async *port)
{
    return ((const struct async *)port)->messages.up;
}

static void async_close(struct cache_async *port)
{
    struct async *a = (struct async *)port;
    a->closing = true;
    if (a->names) {
        names_leave(a->names, &a->commands.wait);
        names_leave(a->names, &a->messages.wait);
    }
    half_drop(&a->commands, "");
    half_drop(&a->messages, "");
    names_close(a->names);
    loop_timer_free(a->loop, a->commands.timer);
    loop_timer_free(a->loop, a->messages.timer);
    cache_channels_fini(&a->channels);
    a->driver->free(a->arg);
    free(a);
}

int cache_line_async_open(const struct cache_line_driver *driver, void *arg, const char *host,
                          struct resolver *resolver, struct loop *loop, struct cache_async **out)
{
    static const struct cache_async_ops ops = {async_send, async_subscribe, async_unsubscribe,
                                               async_up,   async_obeys,     async_hears,
                                               async_close};
    struct async *a = calloc(1, sizeof *a);
    if (!a) {
        resolver_close(resolver);
        driver->free(arg);
        return ERR_NOMEM;
    }
    *a = (struct async){.port = {&ops}, .driver = driver, .arg = arg, .host = host, .loop = loop};
    a->refused_ms = loop_now_ms(loop) - CACHE_REFUSED_MS;
    a->messages.messages = true;
    struct half *halves[] = {&a->commands, &a->messages};
    for (int i = 0; i < 2; i++) {
        halves[i]->owner = a;
        halves[i]->backoff = (struct backoff){RETRY_MIN_MS, RETRY_MAX_MS, 0};
        halves[i]->timer = loop_timer_new(loop, on_timer, halves[i]);
    }
    int err = resolver ? names_open(loop, resolver, on_name, a, &a->names) : 0;
    if (err || !a->commands.timer || !a->messages.timer) {
        async_close(&a->port);
        return ERR_NOMEM;
    }
    loop_timer_set(loop, a->commands.timer, 0, 0);
    *out = &a->port;
    return 0;
}
