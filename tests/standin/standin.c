/* The stand-in upstream: the shops of the example flows, an LLM and a bucket of S3 on one loopback
 * port, for the quick start and the tests. One thread, epoll, 20,000 connections. Steered over
 * HTTP: PUT /_script/SHOP   replies for the next requests (script.h)    DELETE /_script[/SHOP] GET
 * /_log[?shop=S]  every request that came                     DELETE /_log  (and counters) GET
 * /_stats         requests, answered, aborted, in flight by shop */
#include "tests/standin/http.h"
#include "tests/standin/shop.h"
#include "tests/standin/timers.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct server {
    int epoll, listener;
    struct shops shops;
    struct timers timers;
    struct buf filler; /* what an endless body is made of */
};

/*  READING --request--> WAITING --delay over--> SENDING --all sent--> READING */
enum conn_state { CONN_READING, CONN_WAITING, CONN_SENDING };
enum { HOLD_LOOK_MS = 10 };

struct conn {
    struct timer timer; /* first: a due timer is its connection */
    int fd;
    enum conn_state state;
    unsigned events; /* as epoll has them */
    struct buf in, out;
    size_t sent, head;
    int drip_ms, status;
    bool endless, hang, hold, close, reset;
    unsigned scripts;  /* hold: the shop's, when the request came */
    struct shop *shop; /* whose request is open; NULL: none */
    uint64_t number;
};

static int64_t now_us(clockid_t id)
{
    struct timespec t;
    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void conn_wait(struct server *s, struct conn *c, int delay_ms)
{
    timer_set(&s->timers, &c->timer, now_us(CLOCK_MONOTONIC) + delay_ms * INT64_C(1000));
}

static void conn_watch(struct server *s, struct conn *c, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = c};
    if (events != c->events)
        epoll_ctl(s->epoll, EPOLL_CTL_MOD, c->fd, &e);
    c->events = events;
}

static void conn_close(struct server *s, struct conn *c)
{
    if (c->shop)
        shop_end(&s->shops, c->shop, c->number, 0, now_us(CLOCK_REALTIME));
    if (c->reset) {
        struct linger now = {.l_onoff = 1};
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    timer_stop(&s->timers, &c->timer);
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->out);
    free(c);
}

static void say(struct conn *c, int status, const char *text)
{
    http_answer(status, NULL, text, strlen(text), &c->out);
    c->head = c->out.len;
}

static void control_script(struct server *s, struct conn *c, const struct http_request *q)
{
    const char *name = q->path + strlen("/_script");
    bool put = strcmp(q->method, "PUT") == 0;
    struct shop *shop = *name ? shops_find(&s->shops, name, true) : NULL;
    const char *why = NULL;
    size_t len = q->size - (size_t)(q->body - c->in.data);
    struct reply *list = put ? script_parse(q->body, len, &why) : NULL;
    if (why || (!shop && (put || *name))) {
        script_free(list);
        say(c, 400, why ? why : "no such shop, and no room for another");
        return;
    }
    for (unsigned i = 0; i < s->shops.count; i++) {
        if (shop && shop != &s->shops.shop[i])
            continue;
        script_free(s->shops.shop[i].script);
        s->shops.shop[i].script = list;
        s->shops.shop[i].scripts++;
        list = NULL;
    }
    say(c, 200, "{}\n");
}

static void control(struct server *s, struct conn *c, const struct http_request *q)
{
    struct buf body;
    buf_init(&body, 256u << 20);
    bool get = strcmp(q->method, "GET") == 0;
    if (strncmp(q->path, "/_script", 8) == 0 && !get) {
        control_script(s, c, q);
    } else if (strcmp(q->path, "/_stats") == 0 && get) {
        shops_print_stats(&s->shops, &body);
        say(c, 200, buf_str(&body));
    } else if (strncmp(q->path, "/_log", 5) == 0 && get) {
        const char *only = strstr(q->path, "?shop=");
        shops_print_log(&s->shops, only ? only + 6 : "", &body);
        say(c, buf_ok(&body) ? 500 : 200, buf_str(&body));
    } else if (strcmp(q->path, "/_log") == 0) {
        shops_clear(&s->shops);
        say(c, 200, "{}\n");
    } else {
        say(c, 404, "{\"error\":\"no such control call\"}\n");
    }
    buf_fini(&body);
}

static void plan_fault(struct conn *c, const struct reply *p, struct buf *body)
{
    if (p->body)
        buf_clear(body);
    buf_add(body, p->body, p->body ? p->body_len : 0);
    if (!p->body && p->status >= 300) {
        buf_clear(body);
        buf_printf(body, "{\"error\":\"scripted %d\"}", p->status);
    }
    c->hang = p->kind == REPLY_HANG;
    c->hold = p->hold;
    c->scripts = c->shop->scripts;
    c->endless = p->kind == REPLY_ENDLESS;
    c->reset = p->kind == REPLY_RESET;
    c->drip_ms = p->drip_ms;
    c->close |= c->endless || p->kind >= REPLY_CLOSE_BEFORE || p->kind == REPLY_GARBAGE_HTTP;
    if (p->kind != REPLY_CLOSE_BEFORE && p->kind != REPLY_RESET)
        http_fault(p, c->status, body, &c->out, &c->head);
}

/* Decides the answer now: a later change of the script lets go what is held, and alters nothing.
 * Returns the delay in ms. */
static int plan(struct server *s, struct conn *c, const struct http_request *q)
{
    struct shop_request r = {
        .method = q->method,
        .path = q->path,
        .key = q->key,
        .headers = buf_str(&q->headers),
        .body = q->body,
        .at_us = now_us(CLOCK_REALTIME),
    };
    c->number = shop_begin(&s->shops, c->shop, &r);
    int delay_ms = 0;
    bool owned = false;
    struct buf body;
    buf_init(&body, 8u << 20);
    c->status = shop_answer(&s->shops, c->shop, &r, &body, &delay_ms);
    struct reply *p = script_take(&c->shop->script, q->path, q->body, &owned);
    if (p) {
        delay_ms = p->delay_ms >= 0 ? p->delay_ms : delay_ms;
        c->status = p->status ? p->status : c->status;
        plan_fault(c, p, &body);
    } else {
        http_answer(c->status, NULL, buf_str(&body), body.len, &c->out);
        c->head = c->out.len;
    }
    if (owned)
        script_free(p);
    buf_fini(&body);
    return delay_ms;
}

static bool conn_send(struct server *s, struct conn *c);

/* The request at the front of c->in. False: the connection is gone. */
static bool conn_request(struct server *s, struct conn *c, const struct http_request *q)
{
    c->close = q->close;
    c->hang = c->hold = c->endless = c->reset = false;
    c->drip_ms = 0;
    c->sent = c->head = 0;
    int delay_ms = 0;
    c->shop = q->path[1] == '_' ? NULL : shops_find(&s->shops, q->path, false);
    if (c->shop)
        delay_ms = plan(s, c, q);
    else if (q->path[1] == '_')
        control(s, c, q);
    else
        say(c, 404, "{\"error\":\"no such shop\"}\n");
    c->state = CONN_WAITING;
    if (delay_ms == 0 && !c->hang && !c->hold)
        return conn_send(s, c);
    conn_watch(s, c, EPOLLRDHUP);
    if (!c->hang)
        conn_wait(s, c, delay_ms);
    return true;
}

/* The request in c->in, if it is whole. False: the connection is gone. */
static bool conn_next(struct server *s, struct conn *c)
{
    struct http_request q;
    int got = http_read(&c->in, &q);
    if (got > 0) {
        bool there = conn_request(s, c, &q);
        http_request_fini(&q);
        return there;
    }
    if (got == 0)
        return true;
    c->close = true;
    c->sent = 0;
    c->drip_ms = 0;
    say(c, 400, "{\"error\":\"not a request this stand-in understands\"}\n");
    return conn_send(s, c);
}

/* All of an answer is sent. False: the connection is gone. */
static bool conn_done(struct server *s, struct conn *c)
{
    bool whole = c->out.len > 0;
    if (c->shop && whole)
        shop_end(&s->shops, c->shop, c->number, c->status, now_us(CLOCK_REALTIME));
    c->shop = whole ? NULL : c->shop;
    if (c->close) {
        conn_close(s, c);
        return false;
    }
    buf_fini(&c->in); /* thousands of idle connections hold no memory */
    buf_fini(&c->out);
    c->state = CONN_READING;
    conn_watch(s, c, EPOLLIN | EPOLLRDHUP);
    return true;
}

/* Sends what may go now. False: the connection is gone. */
static bool conn_send(struct server *s, struct conn *c)
{
    c->state = CONN_SENDING;
    for (;;) {
        const char *from = c->out.data + c->sent;
        size_t len = c->out.len - c->sent;
        if (c->drip_ms && len)
            len = c->sent < c->head ? c->head - c->sent : 1;
        if (!len && c->endless) {
            from = s->filler.data;
            len = s->filler.len;
        }
        if (!len)
            return conn_done(s, c);
        ssize_t n = send(c->fd, from, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN) {
            conn_watch(s, c, EPOLLOUT | EPOLLRDHUP);
            return true;
        }
        if (n < 0) {
            conn_close(s, c);
            return false;
        }
        if (c->sent < c->out.len)
            c->sent += (size_t)n;
        if (c->drip_ms && c->sent < c->out.len) {
            conn_watch(s, c, EPOLLRDHUP);
            conn_wait(s, c, c->drip_ms);
            return true;
        }
    }
}

/* Its time has come; one that is held looks again. */
static void conn_due(struct server *s, struct conn *c)
{
    if (c->hold && c->shop && c->shop->scripts == c->scripts) {
        conn_wait(s, c, HOLD_LOOK_MS);
        return;
    }
    c->hold = false;
    (void)conn_send(s, c);
}

static void conn_read(struct server *s, struct conn *c)
{
    char bytes[16384];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        conn_close(s, c);
        return;
    }
    buf_add(&c->in, bytes, (size_t)n);
    if (buf_ok(&c->in) != 0) {
        conn_close(s, c);
        return;
    }
    (void)conn_next(s, c);
}

static void conn_event(struct server *s, struct conn *c, unsigned events)
{
    if (c->state == CONN_READING)
        conn_read(s, c);
    else if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        conn_close(s, c);
    else if (events & EPOLLOUT)
        (void)conn_send(s, c);
}

static void accept_all(struct server *s)
{
    for (int fd; (fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        struct conn *c = calloc(1, sizeof *c);
        int one = 1;
        if (!c) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->fd = fd;
        buf_init(&c->in, HTTP_HEAD_MAX + HTTP_BODY_MAX + 65536);
        buf_init(&c->out, 256u << 20);
        c->events = EPOLLIN | EPOLLRDHUP;
        struct epoll_event e = {.events = c->events, .data.ptr = c};
        epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static volatile sig_atomic_t stop;

static void on_stop(int signal)
{
    (void)signal;
    stop = 1;
}

static void serve(struct server *s)
{
    struct epoll_event events[256];
    while (!stop) {
        int64_t us = timers_wait(&s->timers, now_us(CLOCK_MONOTONIC));
        const struct timespec left = {us / 1000000, us % 1000000 * 1000};
        int n = epoll_pwait2(s->epoll, events, 256, &left, NULL); /* epoll_wait knows ms only */
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr)
                conn_event(s, events[i].data.ptr, events[i].events);
            else
                accept_all(s);
        }
        /* after the batch: a timer may close a connection that has an event in it */
        int64_t now = now_us(CLOCK_MONOTONIC);
        for (struct timer *t; (t = timers_take(&s->timers, now));)
            conn_due(s, (struct conn *)t);
    }
}

static int listen_on(struct server *s, int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof a;
    int one = 1;
    s->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(s->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s->listener, (struct sockaddr *)&a, size) || listen(s->listener, 4096) ||
        getsockname(s->listener, (struct sockaddr *)&a, &size))
        return -1;
    s->epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(s->epoll, EPOLL_CTL_ADD, s->listener, &e);
    return ntohs(a.sin_port);
}

/* Written aside and renamed: who sees the file sees all of it. */
static bool write_ports(const char *path, int port)
{
    char aside[4096];
    int n = snprintf(aside, sizeof aside, "%s.new", path);
    FILE *f = n > 0 && (size_t)n < sizeof aside ? fopen(aside, "w") : NULL;
    if (!f)
        return false;
    fprintf(f, "{\"pid\":%d,\"listen\":\"127.0.0.1:%d\"}\n", (int)getpid(), port);
    return fclose(f) == 0 && rename(aside, path) == 0;
}

static void prepare(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    struct sigaction a = {.sa_handler = on_stop};
    sigaction(SIGTERM, &a, NULL);
    sigaction(SIGINT, &a, NULL);
}

static int usage(void)
{
    fputs("usage: offpath-standin [--port N] [--ports-file F] [--delay-ms N]\n"
          "  --port N        loopback port, 0 = any free one (default 0)\n"
          "  --ports-file F  JSON {pid, listen}, written once ready\n"
          "  --delay-ms N    delay of the shops' own answers (default: a natural one)\n",
          stderr);
    return 2;
}

int main(int argc, char **argv)
{
    long port = 0, delay_ms = -1;
    const char *ports_file = NULL;
    for (int i = 1; i < argc; i += 2) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        char *end = NULL;
        long n = strtol(value, &end, 10);
        bool number = *value && !*end && n >= 0 && n <= 1000000;
        if (strcmp(argv[i], "--ports-file") == 0 && *value)
            ports_file = value;
        else if (strcmp(argv[i], "--port") == 0 && number && n < 65536)
            port = n;
        else if (strcmp(argv[i], "--delay-ms") == 0 && number)
            delay_ms = n;
        else
            return usage();
    }
    struct server s = {0};
    prepare();
    int taken = listen_on(&s, (int)port);
    if (taken < 0) {
        fprintf(stderr, "offpath-standin: port %ld: %s\n", port, strerror(errno));
        return 5;
    }
    shops_init(&s.shops, (int)delay_ms);
    buf_init(&s.filler, 0);
    for (int i = 0; i < 4096; i++)
        buf_text(&s.filler, "[\"endless\",");
    if (ports_file && !write_ports(ports_file, taken)) {
        fprintf(stderr, "offpath-standin: %s cannot be written\n", ports_file);
        return 2;
    }
    fprintf(stderr, "offpath-standin: listens on 127.0.0.1:%d\n", taken);
    serve(&s);
    _exit(0); /* open connections and all: the kernel takes everything back */
}
