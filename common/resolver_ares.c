#include "common/resolver.h"

#include <ares.h>
#include <arpa/inet.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/time.h>

#include "common/buf.h"

/* The first try of a server lasts one second, the next ones twice as long each: a silent server
 * costs seven seconds, and an answer that was lost one. c-ares's own values are five and 75. */
enum { TRY_MS = 1000, TRIES = 3 };
enum { REOPEN_MS = 10000 }; /* at most so often resolv.conf is read anew */

struct question {
    struct client *client;
    resolver_fn *fn;
    void *arg;
    LIST_ENTRY(question) link;
    char name[];
};

struct watch { /* one socket of c-ares */
    struct client *client;
    struct loop_io *io;
    int fd;
    LIST_ENTRY(watch) link;
};

struct client {
    struct resolver resolver; /* first */
    struct loop *loop;
    struct loop_timer *timer;
    char *servers;        /* NULL: those of resolv.conf */
    ares_channel channel; /* NULL: none could be made */
    LIST_HEAD(questions, question) questions;
    LIST_HEAD(, watch) watches;
    int64_t opened_ms; /* when its files were read */
    int inside;        /* c-ares calls us: the channel must stay */
    bool suspect;      /* a question has failed: the files may have changed */
    bool ending;       /* the channel ends: what it says is no answer */
};

/* ---- descriptors and the timer */

static void arm(struct client *c)
{
    struct timeval tv;
    if (c->channel && ares_timeout(c->channel, NULL, &tv))
        loop_timer_set(c->loop, c->timer, tv.tv_sec * 1000 + (tv.tv_usec + 999) / 1000, 0);
    else
        loop_timer_stop(c->loop, c->timer);
}

static void process(struct client *c, ares_socket_t in, ares_socket_t out)
{
    c->inside++;
    ares_process_fd(c->channel, in, out);
    c->inside--;
    arm(c);
}

static void on_timer(void *client)
{
    process(client, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
}

static void on_io(void *watch, int events)
{
    struct watch *w = watch;
    process(w->client, events & LOOP_READ ? w->fd : ARES_SOCKET_BAD,
            events & LOOP_WRITE ? w->fd : ARES_SOCKET_BAD);
}

static struct watch *watch_get(struct client *c, int fd)
{
    struct watch *w;
    LIST_FOREACH(w, &c->watches, link)
    if (w->fd == fd)
        return w;
    w = calloc(1, sizeof *w);
    if (!w)
        return NULL;
    *w = (struct watch){.client = c, .fd = fd};
    w->io = loop_io_new(c->loop, fd, on_io, w);
    LIST_INSERT_HEAD(&c->watches, w, link);
    return w;
}

/* A socket without a watch (no memory) is one whose server does not answer. */
static void on_socket(void *client, ares_socket_t fd, int readable, int writable)
{
    struct client *c = client;
    struct watch *w = watch_get(c, fd);
    if (w && (readable || writable) && w->io) {
        loop_io_set(c->loop, w->io, (readable ? LOOP_READ : 0) | (writable ? LOOP_WRITE : 0));
    } else if (w) {
        loop_io_free(c->loop, w->io);
        LIST_REMOVE(w, link);
        free(w);
    }
}

/* ---- answers */

static bool address_add(struct buf *out, const struct sockaddr *a)
{
    char text[INET6_ADDRSTRLEN];
    const void *at = a;
    const struct sockaddr_in *v4 = at;
    const struct sockaddr_in6 *v6 = at;
    const char *comma = out->len ? "," : "";
    if (a->sa_family == AF_INET && inet_ntop(AF_INET, &v4->sin_addr, text, sizeof text))
        buf_printf(out, "%s%s", comma, text);
    else if (a->sa_family == AF_INET6 && inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof text))
        buf_printf(out, "%s[%s]", comma, text);
    else
        return false;
    return true;
}

static void addresses_add(struct buf *out, const struct ares_addrinfo *info, int64_t *ttl_ms)
{
    int ttl_s = INT_MAX, n = 0;
    for (const struct ares_addrinfo_node *a = info->nodes; a && n < RESOLVER_ADDRESSES_MAX;
         a = a->ai_next) {
        n += address_add(out, a->ai_addr);
        ttl_s = a->ai_ttl < ttl_s ? a->ai_ttl : ttl_s;
    }
    for (const struct ares_addrinfo_cname *a = info->cnames; a; a = a->next)
        ttl_s = a->ttl < ttl_s ? a->ttl : ttl_s;
    *ttl_ms = ttl_s > 0 ? ttl_s * 1000LL : 0;
}

static int err_of(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return 0;
    case ARES_ENOTFOUND:
    case ARES_EBADNAME:
        return ERR_NOT_FOUND;
    case ARES_ENOMEM:
        return ERR_NOMEM;
    default: /* also no data: it may mean that only one of the two questions was answered */
        return ERR_IO;
    }
}

static void answer(struct question *q, int status, const struct ares_addrinfo *info)
{
    struct buf text;
    struct resolver_answer a = {.why = ""};
    buf_init(&text, 0);
    if (info)
        addresses_add(&text, info, &a.ttl_ms);
    if (status == ARES_SUCCESS)
        status = buf_ok(&text) ? ARES_ENOMEM : text.len ? ARES_SUCCESS : ARES_ENODATA;
    a.err = err_of(status);
    if (a.err)
        a.why = ares_strerror(status);
    else
        a.addresses = buf_str(&text);
    q->client->suspect |= a.err != 0;
    LIST_REMOVE(q, link);
    q->fn(q->arg, &a);
    buf_fini(&text);
    free(q);
}

static void on_answer(void *question, int status, int timeouts, struct ares_addrinfo *info)
{
    struct question *q = question;
    (void)timeouts;
    if (!q->client->ending)
        answer(q, status, info);
    ares_freeaddrinfo(info);
}

/* ---- the channel */

static int channel_open(struct client *c)
{
    struct ares_options o = {
        .timeout = TRY_MS, .tries = TRIES, .sock_state_cb = on_socket, .sock_state_cb_data = c};
    int what = ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
#ifdef ARES_OPT_QUERY_CACHE /* names.h keeps answers */
    what |= ARES_OPT_QUERY_CACHE;
#endif
    c->opened_ms = loop_now_ms(c->loop);
    c->suspect = false;
    int rc = ares_init_options(&c->channel, &o, what);
    if (rc != ARES_SUCCESS) {
        c->channel = NULL;
        return rc == ARES_ENOMEM ? ERR_NOMEM : ERR_IO;
    }
    rc = c->servers ? ares_set_servers_ports_csv(c->channel, c->servers) : ARES_SUCCESS;
    return rc == ARES_SUCCESS ? 0 : rc == ARES_ENOMEM ? ERR_NOMEM : ERR_INVALID;
}

static void channel_close(struct client *c)
{
    c->ending = true;
    if (c->channel)
        ares_destroy(c->channel);
    c->channel = NULL;
    c->ending = false;
}

static void question_send(struct question *q)
{
    struct client *c = q->client;
    const struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    LIST_INSERT_HEAD(&c->questions, q, link);
    c->inside++;
    if (c->channel)
        ares_getaddrinfo(c->channel, q->name, NULL, &hints, on_answer, q);
    else
        answer(q, ARES_ENOTINITIALIZED, NULL);
    c->inside--;
}

/* Read the files anew, and ask again what was not answered. */
static void channel_reopen(struct client *c)
{
    struct questions again = c->questions;
    if (!LIST_EMPTY(&again))
        LIST_FIRST(&again)->link.le_prev = &LIST_FIRST(&again);
    channel_close(c);
    LIST_INIT(&c->questions);
    if (channel_open(c))
        channel_close(c);
    while (!LIST_EMPTY(&again)) {
        struct question *q = LIST_FIRST(&again);
        LIST_REMOVE(q, link);
        question_send(q);
    }
}

/* ---- the port */

static int client_ask(struct resolver *resolver, const char *name, resolver_fn *fn, void *arg)
{
    struct client *c = (struct client *)(void *)resolver;
    size_t size = strlen(name) + 1;
    struct question *q = malloc(sizeof *q + size);
    if (!q)
        return ERR_NOMEM;
    *q = (struct question){.client = c, .fn = fn, .arg = arg};
    memcpy(q->name, name, size);
    if (c->suspect && !c->inside && loop_now_ms(c->loop) - c->opened_ms >= REOPEN_MS)
        channel_reopen(c);
    question_send(q);
    arm(c);
    return 0;
}

static void client_close(struct resolver *resolver)
{
    struct client *c = (struct client *)(void *)resolver;
    channel_close(c);
    while (!LIST_EMPTY(&c->questions)) {
        struct question *q = LIST_FIRST(&c->questions);
        LIST_REMOVE(q, link);
        free(q);
    }
    loop_timer_free(c->loop, c->timer);
    free(c->servers);
    free(c);
}

int resolver_ares_open(struct loop *loop, const char *servers, struct resolver **out)
{
    static const struct resolver_ops ops = {client_ask, client_close};
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->resolver.ops = &ops;
    c->loop = loop;
    c->timer = loop_timer_new(loop, on_timer, c);
    c->servers = servers ? strdup(servers) : NULL;
    int err = c->timer && (!servers || c->servers) ? channel_open(c) : ERR_NOMEM;
    if (err)
        client_close(&c->resolver);
    else
        *out = &c->resolver;
    return err;
}
