#include "common/buf.h"
#include "common/cache.h"
#include "common/cache_line.h"
#include "common/cache_pool.h"
#include "common/cache_scripts.h"
#include "common/cache_url.h"
#include "common/log.h"
#include <arpa/inet.h>
#include <errno.h>
#include <hiredis/async.h>
#include <hiredis/hiredis.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { SHA = 41 };
typedef char script_names[SCRIPT_COUNT][SHA]; /* as SCRIPT LOAD answered; "" not loaded */

/* ---- commands and replies on the wire, the same for both halves */

/* Ends what is before it. */
static void wire_add(struct buf *b, const char *bytes, size_t len)
{
    buf_add(b, "\r\n$", 3);
    buf_number(b, len);
    buf_add(b, "\r\n", 2);
    buf_add(b, bytes, len);
}

/* As hiredis prints it (RESP: an array of texts), at a third of its instructions.
 * sha: names of the scripts; NULL: send their text, which also loads them. */
static void wire_print(struct buf *b, const struct cache_command *c, script_names *sha)
{
    const char keys[2] = {(char)('0' + c->keys / 10), (char)('0' + c->keys % 10)};
    bool one = c->keys < 10; /* Redis takes no "01" */
    buf_char(b, '*');
    buf_number(b, c->argc + (c->script == SCRIPT_NONE ? 0 : 3));
    if (c->script != SCRIPT_NONE) {
        const char *what = sha ? (*sha)[c->script] : cache_script_text(c->script);
        wire_add(b, sha ? "EVALSHA" : "EVAL", sha ? 7 : 4);
        wire_add(b, what, strlen(what));
        wire_add(b, keys + one, sizeof keys - one);
    }
    for (unsigned i = 0; i < c->argc; i++)
        wire_add(b, c->argv[i], c->argv_len[i]);
    buf_add(b, "\r\n", 2);
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
    int err = cache_url_check(s->url, out, &what);
    if (err)
        log_error("redis-url", "why", what);
    signal(SIGPIPE, SIG_IGN);
    return err;
}

/* ---- synchronous: the driver of cache_pool.c */
struct way { /* of all links of a pool */
    struct cache_address to;
    pthread_mutex_t lock;
    char peer[INET6_ADDRSTRLEN]; /* where its name led the last time */
};

struct cache_link {
    redisContext *redis;
    script_names sha;
    struct buf out;      /* a trip's commands */
    char why[CACHE_WHY]; /* the greeting was refused */
};

/* One command of the greeting; what it answers goes to `name`, if that is not NULL. */
static bool greet(struct cache_link *c, int argc, const char **argv, char *name)
{
    redisReply *r = redisCommandArgv(c->redis, argc, argv, NULL);
    bool ok = r && r->type != REDIS_REPLY_ERROR;
    if (r && !ok)
        snprintf(c->why, sizeof c->why, "%s: %s", argv[0], r->str);
    if (ok && name)
        snprintf(name, SHA, "%s", r->str ? r->str : "");
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
        ok = greet(c, 3, (const char *[]){"AUTH", a->user, a->password}, NULL);
    else if (a->password[0])
        ok = greet(c, 2, (const char *[]){"AUTH", a->password}, NULL);
    if (ok && a->db)
        ok = greet(c, 2, (const char *[]){"SELECT", db}, NULL);
    for (unsigned i = SCRIPT_NONE + 1; ok && i < SCRIPT_COUNT; i++)
        ok = greet(c, 3, (const char *[]){"SCRIPT", "LOAD", cache_script_text(i)}, c->sha[i]);
    return ok;
}

static void link_close(struct cache_link *c)
{
    if (c->redis)
        redisFree(c->redis);
    buf_fini(&c->out);
    free(c);
}

static void peer_note(struct way *w, int fd)
{
    struct sockaddr_storage s;
    socklen_t len = sizeof s;
    char host[INET6_ADDRSTRLEN];
    if (getpeername(fd, (struct sockaddr *)&s, &len) ||
        getnameinfo((struct sockaddr *)&s, len, host, sizeof host, NULL, 0, NI_NUMERICHOST))
        return;
    pthread_mutex_lock(&w->lock);
    snprintf(w->peer, sizeof w->peer, "%s", host);
    pthread_mutex_unlock(&w->lock);
}

static redisContext *way_connect(struct way *w, struct timeval wait, bool anew)
{
    char host[sizeof w->to.host];
    pthread_mutex_lock(&w->lock);
    snprintf(host, sizeof host, "%s", anew || !w->peer[0] ? w->to.host : w->peer);
    pthread_mutex_unlock(&w->lock);
    redisContext *redis = redisConnectWithTimeout(host, w->to.port, wait);
    if (anew && redis && !redis->err)
        peer_note(w, redis->fd);
    return redis;
}

static void way_free(void *arg)
{
    struct way *w = arg;
    pthread_mutex_destroy(&w->lock);
    free(w);
}

static struct cache_link *link_open(void *arg, int wait_ms, bool anew, char why[CACHE_WHY])
{
    struct way *w = arg;
    struct timeval wait = {wait_ms / 1000, wait_ms % 1000 * 1000L};
    struct cache_link *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->redis = way_connect(w, wait, anew);
    if (!c->redis || c->redis->err || redisSetTimeout(c->redis, wait) ||
        redisEnableKeepAlive(c->redis) || !greet_all(&w->to, c)) {
        if (c->redis)
            snprintf(why, CACHE_WHY, "%s", c->why[0] ? c->why : c->redis->errstr);
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
    buf_clear(&c->out);
    for (size_t i = 0; i < n; i++)
        if (!got[i])
            wire_print(&c->out, &commands[i], by_name ? &c->sha : NULL);
    if (buf_ok(&c->out) || redisAppendFormattedCommand(c->redis, c->out.data, c->out.len))
        return ERR_IO;
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
                                               way_free};
    struct way *w = calloc(1, sizeof *w);
    int err = w ? address_of(s, &w->to) : ERR_NOMEM;
    if (err) {
        free(w);
        return err;
    }
    pthread_mutex_init(&w->lock, NULL);
    return cache_pool_open(&driver, w, s, clock, out);
}

/* ---- asynchronous: the driver of cache_line.c */
struct cache_line {
    redisAsyncContext *redis;
    const struct cache_address *address;
    struct loop *loop;
    struct loop_io *io;
    int watched;
    struct cache_line_events events;
    bool messages, closing;
    bool busy, gone; /* lost while the library reads or writes: freed after it */
    script_names sha;
    char why[CACHE_WHY]; /* the greeting was refused */
};

static void on_io(void *arg, int events)
{
    struct cache_line *l = arg;
    l->busy = true;
    if (events & LOOP_READ)
        redisAsyncHandleRead(l->redis);
    if (!l->gone && events & LOOP_WRITE)
        redisAsyncHandleWrite(l->redis);
    l->busy = false;
    if (l->gone)
        free(l);
}

static void watch(struct cache_line *l, int add, int remove)
{
    int events = (l->watched | add) & ~remove;
    if (events != l->watched)
        loop_io_set(l->loop, l->io, events);
    l->watched = events;
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

/* hiredis frees the connection, whoever wanted that: all requests have been answered. */
static void cleanup(void *arg)
{
    struct cache_line *l = arg;
    loop_io_free(l->loop, l->io);
    if (!l->closing)
        l->events.down(l->events.arg, l->why[0] ? l->why : l->redis->errstr);
    l->gone = l->busy;
    if (!l->gone)
        free(l);
}

static void on_message(redisAsyncContext *redis, void *reply, void *arg)
{
    const redisReply *r = reply;
    const struct cache_line *l = arg;
    (void)redis;
    if (!r || r->type != REDIS_REPLY_ARRAY || r->elements < 3 || l->closing)
        return;
    const redisReply *kind = r->element[0], *channel = r->element[1], *what = r->element[2];
    enum cache_line_news news = !strcmp(kind->str, "message")     ? LINE_MESSAGE
                                : !strcmp(kind->str, "subscribe") ? LINE_SUBSCRIBED
                                                                  : LINE_UNSUBSCRIBED;
    l->events.news(l->events.arg, news, channel->str, what->str,
                   news == LINE_MESSAGE ? (size_t)what->len : 0);
}

static void line_subscribe(struct cache_line *l, const char *channel, bool on)
{
    if (on)
        redisAsyncCommand(l->redis, on_message, l, "SUBSCRIBE %s", channel);
    else
        redisAsyncCommand(l->redis, NULL, NULL, "UNSUBSCRIBE %s", channel);
}

/* Answers of the greeting; arg: where a script's name goes; the last one's is the line itself. */
static void on_greeting(redisAsyncContext *redis, void *reply, void *arg)
{
    struct cache_line *l = redis->ev.data;
    const redisReply *r = reply;
    if (!r || l->closing)
        return;
    if (r->type == REDIS_REPLY_ERROR) {
        snprintf(l->why, sizeof l->why, "%s", r->str);
        redisAsyncFree(redis); /* done when this returns */
    } else if (arg == l) {
        if (l->messages) /* hiredis 0.14 ends the process if the last channel goes */
            line_subscribe(l, "op:none", true);
        l->events.up(l->events.arg);
    } else if (arg) {
        snprintf(arg, SHA, "%s", r->str ? r->str : "");
    }
}

static void on_connected(const redisAsyncContext *connected, int status)
{
    struct cache_line *l = connected->ev.data;
    const struct cache_address *a = l->address;
    redisAsyncContext *redis = l->redis;
    if (status != REDIS_OK)
        return;
    redisEnableKeepAlive(&redis->c);
    if (a->user[0])
        redisAsyncCommand(redis, on_greeting, NULL, "AUTH %s %s", a->user, a->password);
    else if (a->password[0])
        redisAsyncCommand(redis, on_greeting, NULL, "AUTH %s", a->password);
    if (a->db)
        redisAsyncCommand(redis, on_greeting, NULL, "SELECT %d", a->db);
    for (unsigned i = SCRIPT_NONE + 1; !l->messages && i < SCRIPT_COUNT; i++)
        redisAsyncCommand(redis, on_greeting, l->sha[i], "SCRIPT LOAD %s", cache_script_text(i));
    redisAsyncCommand(redis, on_greeting, l, "PING");
}

static struct cache_line *line_open(void *arg, const char *host, struct loop *loop, bool messages,
                                    const struct cache_line_events *events)
{
    const struct cache_address *a = arg;
    struct cache_line *l = calloc(1, sizeof *l);
    redisAsyncContext *redis = l ? redisAsyncConnect(host, a->port) : NULL;
    if (redis && !redis->err)
        l->io = loop_io_new(loop, redis->c.fd, on_io, l);
    if (!l || !l->io) {
        if (redis)
            redisAsyncFree(redis);
        free(l);
        return NULL;
    }
    l->redis = redis;
    l->address = a;
    l->loop = loop;
    l->messages = messages;
    l->events = *events;
    redis->ev.data = l;
    redis->ev.addRead = add_read;
    redis->ev.delRead = del_read;
    redis->ev.addWrite = add_write;
    redis->ev.delWrite = del_write;
    redis->ev.cleanup = cleanup;
    redisAsyncSetConnectCallback(redis, on_connected); /* also starts to wait for it */
    return l;
}

static void line_close(struct cache_line *l)
{
    l->closing = true;
    redisAsyncFree(l->redis);
}

static void on_reply(redisAsyncContext *redis, void *reply, void *request)
{
    const struct cache_line *l = redis->ev.data;
    struct cache_reply r;
    if (reply)
        r = reply_of(reply);
    l->events.reply(l->events.arg, request, reply ? &r : NULL);
}

static int line_send(struct cache_line *l, const struct cache_command *c, bool whole, void *request)
{
    struct buf out = {0};
    wire_print(&out, c, whole ? NULL : &l->sha);
    int failed =
        buf_ok(&out) || redisAsyncFormattedCommand(l->redis, on_reply, request, out.data, out.len);
    buf_fini(&out);
    return failed ? ERR_IO : 0;
}

static bool is_address(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET, host, &a) == 1 || inet_pton(AF_INET6, host, &a) == 1;
}

int cache_redis_async_open(struct loop *loop, const struct cache_settings *s,
                           struct cache_async **out)
{
    static const struct cache_line_driver driver = {line_open, line_send, line_subscribe,
                                                    line_close, free};
    struct cache_address *a = calloc(1, sizeof *a);
    struct resolver *resolver = NULL;
    int err = a ? address_of(s, a) : ERR_NOMEM;
    if (!err && !is_address(a->host))
        err = resolver_ares_open(loop, NULL, &resolver);
    if (err) {
        free(a);
        return err;
    }
    return cache_line_async_open(&driver, a, a->host, resolver, loop, out);
}
