#include "common/cache.h"
#include "common/backoff.h"
#include "common/cache_channels.h"
#include "common/cache_pool.h"
#include "common/cache_scripts.h"
#include "common/cache_url.h"
#include "common/log.h"
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    SHA = 41,
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 2000,
    CONNECT_MS = 2000,
    SILENT_MS = 5000, /* asynchronous: no answer for so long ends the connection */
    WAITING_MAX = 10000,
    WAITING_BYTES_MAX = 64 << 20
};

typedef char script_names[SCRIPT_COUNT][SHA]; /* as SCRIPT LOAD answered; "" not loaded */

/* ---- commands and replies on the wire, the same for both halves */
struct wire {
    const char *argv[CACHE_ARGS_MAX + 3];
    size_t len[CACHE_ARGS_MAX + 3];
    int argc;
    char keys[12];
};

static void wire_add(struct wire *w, const char *bytes, size_t len)
{
    w->argv[w->argc] = bytes;
    w->len[w->argc++] = len;
}

/* sha: names of the scripts; NULL: send their text, which also loads them. */
static void wire_fill(struct wire *w, const struct cache_command *c, script_names *sha)
{
    w->argc = 0;
    if (c->script != SCRIPT_NONE) {
        const char *what = sha ? (*sha)[c->script] : cache_script_text(c->script);
        wire_add(w, sha ? "EVALSHA" : "EVAL", sha ? 7 : 4);
        wire_add(w, what, strlen(what));
        int n = snprintf(w->keys, sizeof w->keys, "%u", c->keys);
        wire_add(w, w->keys, (size_t)n);
    }
    for (unsigned i = 0; i < c->argc; i++)
        wire_add(w, c->argv[i], c->argv_len[i]);
}

static bool is_noscript(const redisReply *r)
{
    return r->type == REDIS_REPLY_ERROR && !strncmp(r->str, "NOSCRIPT", 8);
}

/* The same, lending the text. */
static struct cache_reply reply_of(const redisReply *r)
{
    static char array[] = "ERR arrays are not supported here";
    switch (r->type) {
    case REDIS_REPLY_NIL:
        return (struct cache_reply){.type = REPLY_NIL};
    case REDIS_REPLY_INTEGER:
        return (struct cache_reply){.type = REPLY_INTEGER, .integer = r->integer};
    case REDIS_REPLY_STRING:
        return (struct cache_reply){REPLY_TEXT, r->str, (size_t)r->len, 0};
    case REDIS_REPLY_STATUS:
        return (struct cache_reply){REPLY_STATUS, r->str, (size_t)r->len, 0};
    case REDIS_REPLY_ERROR:
        return (struct cache_reply){REPLY_ERROR, r->str, (size_t)r->len, 0};
    default:
        return (struct cache_reply){REPLY_ERROR, array, sizeof array - 1, 0};
    }
}

static int reply_own(const redisReply *r, struct cache_reply *out)
{
    struct cache_reply lent = reply_of(r);
    *out = lent;
    if (!lent.text)
        return 0;
    out->text = malloc(lent.len + 1);
    if (!out->text)
        return ERR_NOMEM;
    memcpy(out->text, lent.text, lent.len);
    out->text[lent.len] = 0;
    return 0;
}

static int address_of(const struct cache_settings *s, struct cache_address *out)
{
    const char *what;
    int err = cache_url_parse(s->url, out, &what);
    if (!err && out->tls) {
        what = "this program was built without TLS for Redis: use redis://, if need be through a "
               "local TLS proxy";
        err = ERR_INVALID;
    }
    if (err)
        log_error("redis-url", "why", what);
    signal(SIGPIPE, SIG_IGN);
    return err;
}

/* ---- synchronous: the driver of cache_pool.c */
struct cache_link {
    redisContext *redis;
    script_names sha;
};

/* One command of the greeting; what it answers goes to `text`, if that is not NULL. */
static bool greet(redisContext *redis, int argc, const char **argv, char *text, size_t size)
{
    redisReply *r = redisCommandArgv(redis, argc, argv, NULL);
    bool ok = r && r->type != REDIS_REPLY_ERROR;
    if (r && !ok)
        log_warn("redis-refused", "command", argv[0], "why", r->str);
    if (ok && text)
        snprintf(text, size, "%s", r->str ? r->str : "");
    if (r)
        freeReplyObject(r);
    return ok;
}

static bool greet_all(const struct cache_address *a, struct cache_link *c)
{
    char db[12];
    snprintf(db, sizeof db, "%d", a->db);
    bool ok = true;
    if (a->user[0])
        ok = greet(c->redis, 3, (const char *[]){"AUTH", a->user, a->password}, NULL, 0);
    else if (a->password[0])
        ok = greet(c->redis, 2, (const char *[]){"AUTH", a->password}, NULL, 0);
    if (ok && a->db)
        ok = greet(c->redis, 2, (const char *[]){"SELECT", db}, NULL, 0);
    for (unsigned i = SCRIPT_NONE + 1; ok && i < SCRIPT_COUNT; i++)
        ok = greet(c->redis, 3, (const char *[]){"SCRIPT", "LOAD", cache_script_text(i)}, c->sha[i],
                   SHA);
    return ok;
}

static void link_close(struct cache_link *c)
{
    if (c->redis)
        redisFree(c->redis);
    free(c);
}

static struct cache_link *link_open(void *arg, int wait_ms)
{
    const struct cache_address *a = arg;
    struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000};
    struct cache_link *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->redis = redisConnectWithTimeout(a->host, a->port, wait);
    if (!c->redis || c->redis->err || redisSetTimeout(c->redis, wait) ||
        redisEnableKeepAlive(c->redis) || !greet_all(a, c)) {
        link_close(c);
        return NULL;
    }
    return c;
}

/* A server that closed an idle connection has said so already: it costs a look, not a failure. */
static bool link_is_stale(struct cache_link *c)
{
    char byte;
    return recv(c->redis->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0 ||
           (errno != EAGAIN && errno != EWOULDBLOCK);
}

static int io_error(const redisContext *redis)
{
    bool slow = redis->err == REDIS_ERR_IO && (errno == EAGAIN || errno == ETIMEDOUT);
    return slow ? ERR_TIMEOUT : ERR_IO;
}

/* One round trip for those of the commands that have no answer yet. */
static int exchange(struct cache_link *c, const struct cache_command *commands, size_t n,
                    redisReply **got, bool by_name)
{
    struct wire w;
    for (size_t i = 0; i < n; i++) {
        if (got[i])
            continue;
        wire_fill(&w, &commands[i], by_name ? &c->sha : NULL);
        if (redisAppendCommandArgv(c->redis, w.argc, w.argv, w.len))
            return ERR_IO;
    }
    for (size_t i = 0; i < n; i++) {
        void *r = NULL;
        if (got[i])
            continue;
        if (redisGetReply(c->redis, &r) || !r)
            return io_error(c->redis);
        got[i] = r;
    }
    return 0;
}

static int exchange_all(struct cache_link *c, const struct cache_command *commands, size_t n,
                        redisReply **got)
{
    bool again = false;
    int err = exchange(c, commands, n, got, true);
    for (size_t i = 0; !err && i < n; i++)
        if (is_noscript(got[i])) {
            freeReplyObject(got[i]);
            got[i] = NULL;
            again = true;
        }
    return err || !again ? err : exchange(c, commands, n, got, false);
}

static int replies_own(redisReply **got, size_t n, struct cache_reply *replies)
{
    struct cache_reply *made = calloc(n + 1, sizeof *made);
    int err = made ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < n && !err; i++)
        err = reply_own(got[i], &made[i]);
    if (!err && n)
        memcpy(replies, made, n * sizeof *made);
    for (size_t i = 0; err && made && i < n; i++)
        cache_reply_fini(&made[i]);
    free(made);
    return err;
}

static int link_exchange(struct cache_link *c, const struct cache_command *commands, size_t n,
                         struct cache_reply *replies, const char **why)
{
    redisReply **got = calloc(n + 1, sizeof(void *));
    if (!got)
        return ERR_NOMEM;
    int err = exchange_all(c, commands, n, got);
    if (err == ERR_IO)
        *why = c->redis->errstr;
    if (!err)
        err = replies_own(got, n, replies);
    for (size_t i = 0; i < n; i++)
        if (got[i])
            freeReplyObject(got[i]);
    free(got);
    return err;
}

int cache_redis_open(const struct cache_settings *s, const struct clock *clock, struct cache **out)
{
    static const struct cache_driver driver = {link_open, link_is_stale, link_exchange, link_close,
                                               free};
    struct cache_address *a = calloc(1, sizeof *a);
    int err = a ? address_of(s, a) : ERR_NOMEM;
    if (err) {
        free(a);
        return err;
    }
    return cache_pool_open(&driver, a, s, clock, out);
}

/* ---- asynchronous: two lines to Redis, one for commands, one for messages
 *
 *   down --timer--> connecting --connected, greeted--> up
 *     ^                 | refused, 2 s gone             | lost, 5 s without an answer
 *     +-----------------+-------------------------------+
 */
struct line {
    struct async *owner;
    redisAsyncContext *redis; /* NULL: down */
    struct loop_io *io;
    struct loop_timer *timer; /* down: next try; connecting: give up; up: look every second */
    struct backoff backoff;
    int events;
    bool up, messages;
};

struct async {
    struct cache_async port; /* first */
    struct loop *loop;
    struct cache_address address;
    struct line commands, messages;
    struct cache_channels channels;
    script_names sha;
    size_t waiting, waiting_bytes;
    int64_t answered_ms; /* last answer, or when waiting began */
    bool closing;
};

struct request {
    struct async *owner;
    cache_reply_fn *fn;
    void *arg;
    size_t size;
    bool again;                   /* sent a second time, with its text */
    struct cache_command command; /* only of a script: to send it again */
    char bytes[];
};

static void on_io(void *arg, int events)
{
    struct line *l = arg;
    redisAsyncContext *redis = l->redis;
    if (redis && events & LOOP_READ)
        redisAsyncHandleRead(redis);
    if (redis == l->redis && redis && events & LOOP_WRITE)
        redisAsyncHandleWrite(redis);
}

static void watch(struct line *l, int add, int remove)
{
    int events = (l->events | add) & ~remove;
    if (l->io && events != l->events)
        loop_io_set(l->owner->loop, l->io, events);
    l->events = events;
}
static void add_read(void *arg)
{
    watch(arg, LOOP_READ, 0);
}
static void del_read(void *arg)
{
    watch(arg, 0, LOOP_READ);
}
static void add_write(void *arg)
{
    watch(arg, LOOP_WRITE, 0);
}
static void del_write(void *arg)
{
    watch(arg, 0, LOOP_WRITE);
}
static void unwatch(void *arg)
{
    struct line *l = arg;
    loop_io_free(l->owner->loop, l->io);
    l->io = NULL;
    l->events = 0;
}

/* The connection is gone, or soon will be: hiredis answers what is open and calls `unwatch`. */
static void line_down(struct line *l, const char *why)
{
    if (l->up && !l->owner->closing)
        log_warn("redis-away", "for", l->messages ? "messages" : "commands", "why", why);
    l->up = false;
    l->redis = NULL;
    if (l->messages)
        cache_channels_lost(&l->owner->channels);
    if (!l->owner->closing)
        loop_timer_set(l->owner->loop, l->timer, backoff_next(&l->backoff, rng_real()), 0);
}

static void line_drop(struct line *l, const char *why)
{
    redisAsyncContext *redis = l->redis;
    line_down(l, why);
    if (redis)
        redisAsyncFree(redis);
}

static void on_disconnected(const redisAsyncContext *redis, int status)
{
    struct line *l = redis->data;
    (void)status;
    if (l->redis == redis)
        line_down(l, redis->errstr && *redis->errstr ? redis->errstr : "closed");
}

static void on_message(redisAsyncContext *redis, void *reply, void *arg);

static void channel_open(void *arg, const char *channel)
{
    struct line *l = arg;
    redisAsyncCommand(l->redis, on_message, NULL, "SUBSCRIBE %s", channel);
}

static void on_message(redisAsyncContext *redis, void *reply, void *arg)
{
    struct line *l = redis->data;
    const redisReply *r = reply;
    (void)arg;
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements < 3 || l->redis != redis)
        return;
    const redisReply *kind = r->element[0], *channel = r->element[1], *what = r->element[2];
    if (!strcmp(kind->str, "subscribe"))
        cache_channels_confirm(&l->owner->channels, channel->str);
    else if (!strcmp(kind->str, "unsubscribe") &&
             cache_channels_has(&l->owner->channels, channel->str))
        channel_open(l, channel->str); /* wanted again meanwhile: hiredis 0.14 forgot it */
    else if (!strcmp(kind->str, "message"))
        cache_channels_tell(&l->owner->channels, channel->str, what->str, (size_t)what->len);
}

static void line_up(struct line *l)
{
    l->up = true;
    backoff_reset(&l->backoff);
    l->owner->answered_ms = loop_now_ms(l->owner->loop);
    loop_timer_set(l->owner->loop, l->timer, 1000, 1000);
    log_info("redis-up", "for", l->messages ? "messages" : "commands");
    if (!l->messages)
        return;
    channel_open(l, "op:none"); /* hiredis 0.14 ends the process if the last channel goes */
    cache_channels_each(&l->owner->channels, channel_open, l);
}

/* Answers of the greeting; arg: where a script's name goes; the last one's is the line itself. */
static void on_greeting(redisAsyncContext *redis, void *reply, void *arg)
{
    struct line *l = redis->data;
    const redisReply *r = reply;
    if (l->redis != redis || !r)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        log_warn("redis-refused", "why", r->str);
        line_drop(l, r->str);
    } else if (arg == l) {
        line_up(l);
    } else if (arg) {
        snprintf(arg, SHA, "%s", r->str ? r->str : "");
    }
}

static void on_connected(const redisAsyncContext *connected, int status)
{
    struct line *l = connected->data;
    const struct cache_address *a = &l->owner->address;
    redisAsyncContext *redis = l->redis;
    if (redis != connected)
        return;
    if (status != REDIS_OK) {
        line_down(l, "cannot connect");
        return;
    }
    redisEnableKeepAlive(&redis->c);
    if (a->user[0])
        redisAsyncCommand(redis, on_greeting, NULL, "AUTH %s %s", a->user, a->password);
    else if (a->password[0])
        redisAsyncCommand(redis, on_greeting, NULL, "AUTH %s", a->password);
    if (a->db)
        redisAsyncCommand(redis, on_greeting, NULL, "SELECT %d", a->db);
    for (unsigned i = SCRIPT_NONE + 1; !l->messages && i < SCRIPT_COUNT; i++)
        redisAsyncCommand(redis, on_greeting, l->owner->sha[i], "SCRIPT LOAD %s",
                          cache_script_text(i));
    redisAsyncCommand(redis, on_greeting, l, "PING");
}

static void line_try(struct line *l)
{
    const struct cache_address *a = &l->owner->address;
    redisAsyncContext *redis = redisAsyncConnect(a->host, a->port);
    if (redis && !redis->err)
        l->io = loop_io_new(l->owner->loop, redis->c.fd, on_io, l);
    if (!l->io) {
        if (redis)
            redisAsyncFree(redis);
        line_down(l, "cannot connect");
        return;
    }
    l->redis = redis;
    redis->data = redis->ev.data = l;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = unwatch;
    redisAsyncSetDisconnectCallback(redis, on_disconnected);
    redisAsyncSetConnectCallback(redis, on_connected); /* also starts to wait for it */
    loop_timer_set(l->owner->loop, l->timer, CONNECT_MS, 0);
}

static void on_timer(void *arg)
{
    struct line *l = arg;
    const struct async *a = l->owner;
    if (!l->redis)
        line_try(l);
    else if (!l->up)
        line_drop(l, "no answer in time");
    else if (!l->messages && a->waiting && loop_now_ms(a->loop) - a->answered_ms > SILENT_MS) {
        /* the other line has no question open that would notice: it shares this one's fate */
        line_drop(&l->owner->messages, "no answer in time");
        line_drop(l, "no answer in time");
    }
}

static void request_end(struct request *q, int err, const struct cache_reply *reply)
{
    struct async *a = q->owner;
    a->waiting--;
    a->waiting_bytes -= q->size;
    if (q->fn)
        q->fn(q->arg, err, reply);
    free(q);
}

static void on_reply(redisAsyncContext *redis, void *reply, void *arg)
{
    struct request *q = arg;
    struct async *a = q->owner;
    if (!reply) {
        if (a->commands.redis == redis)
            a->commands.up = false; /* what the callback sends now is refused */
        request_end(q, a->closing ? ERR_CLOSED : ERR_IO, NULL);
        return;
    }
    a->answered_ms = loop_now_ms(a->loop);
    if (is_noscript(reply) && !q->again) {
        struct wire w;
        q->again = true;
        wire_fill(&w, &q->command, NULL);
        if (redisAsyncCommandArgv(redis, on_reply, q, w.argc, w.argv, w.len) != REDIS_OK)
            request_end(q, ERR_IO, NULL);
        return;
    }
    struct cache_reply r = reply_of(reply);
    request_end(q, 0, &r);
}

static struct request *request_new(const struct cache_command *c)
{
    size_t size = 0;
    for (unsigned i = 0; i < c->argc; i++)
        size += c->argv_len[i];
    struct request *q = malloc(sizeof *q + (c->script ? size : 0));
    if (!q)
        return NULL;
    *q = (struct request){.size = sizeof *q + size, .command = *c};
    char *to = q->bytes;
    for (unsigned i = 0; c->script && i < c->argc; i++) {
        memcpy(to, c->argv[i], c->argv_len[i]);
        q->command.argv[i] = to;
        to += c->argv_len[i];
    }
    return q;
}

static int async_send(struct cache_async *port, const struct cache_command *c, cache_reply_fn *fn,
                      void *arg)
{
    struct async *a = (struct async *)port;
    struct wire w;
    if (!cache_command_is_valid(c))
        return ERR_INVALID;
    if (!a->commands.up)
        return ERR_IO;
    if (a->waiting >= WAITING_MAX || a->waiting_bytes >= WAITING_BYTES_MAX)
        return ERR_FULL;
    struct request *q = request_new(c);
    if (!q)
        return ERR_NOMEM;
    q->owner = a;
    q->fn = fn;
    q->arg = arg;
    wire_fill(&w, c, &a->sha);
    if (redisAsyncCommandArgv(a->commands.redis, on_reply, q, w.argc, w.argv, w.len) != REDIS_OK) {
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
    bool first;
    int err = cache_channels_add(&a->channels, channel, fn, arg, &first);
    if (!err && a->messages.up)
        channel_open(&a->messages, channel); /* asked again, it tells the new listener */
    else if (!err && !a->messages.redis && !a->messages.backoff.tries)
        loop_timer_set(a->loop, a->messages.timer, 0, 0);
    return err;
}

static void async_unsubscribe(struct cache_async *port, const char *channel, cache_message_fn *fn,
                              void *arg)
{
    struct async *a = (struct async *)port;
    if (cache_channels_remove(&a->channels, channel, fn, arg) && a->messages.up)
        redisAsyncCommand(a->messages.redis, NULL, NULL, "UNSUBSCRIBE %s", channel);
}

static bool async_up(const struct cache_async *port)
{
    return ((const struct async *)port)->commands.up;
}

static void async_close(struct cache_async *port)
{
    struct async *a = (struct async *)port;
    a->closing = true;
    line_drop(&a->commands, "closing");
    line_drop(&a->messages, "closing");
    loop_timer_free(a->loop, a->commands.timer);
    loop_timer_free(a->loop, a->messages.timer);
    cache_channels_fini(&a->channels);
    free(a);
}

static const struct cache_async_ops async_ops = {async_send, async_subscribe, async_unsubscribe,
                                                 async_up, async_close};

int cache_redis_async_open(struct loop *loop, const struct cache_settings *s,
                           struct cache_async **out)
{
    struct async *a = calloc(1, sizeof *a);
    int err = a ? address_of(s, &a->address) : ERR_NOMEM;
    if (err) {
        free(a);
        return err;
    }
    a->port.ops = &async_ops;
    a->loop = loop;
    a->messages.messages = true;
    struct line *lines[] = {&a->commands, &a->messages};
    for (int i = 0; i < 2; i++) {
        lines[i]->owner = a;
        lines[i]->backoff = (struct backoff){RETRY_MIN_MS, RETRY_MAX_MS, 0};
        lines[i]->timer = loop_timer_new(loop, on_timer, lines[i]);
    }
    if (!a->commands.timer || !a->messages.timer) {
        async_close(&a->port);
        return ERR_NOMEM;
    }
    loop_timer_set(loop, a->commands.timer, 0, 0);
    *out = &a->port;
    return 0;
}
