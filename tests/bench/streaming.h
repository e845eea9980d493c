/* streaming.h - what the benches of streams share: connections of one client to one gateway, read
 * by epoll, and how a row of times is printed. A bench ends with a line on stderr where one fails.
 */
#pragma once
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/id.h"

enum { STREAMS_MAX = 100000, TEXT_MAX = 8192, WAIT_S = 120 };

struct client {
    struct sockaddr_in to;
    char host[64];
    int epoll;
};

struct conn {
    int fd; /* 0: not open */
    size_t got;
    char text[TEXT_MAX]; /* what came and was not dropped */
};

static inline int64_t now_us(void)
{
    return clock_mono_us(clock_real());
}

static inline void die(const char *what)
{
    fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* Of HOST:PORT, which is changed. */
static inline void client_init(struct client *client, char *address)
{
    char *colon = strrchr(address, ':');
    *client = (struct client){.epoll = epoll_create1(EPOLL_CLOEXEC)};
    snprintf(client->host, sizeof client->host, "%s", address);
    client->to.sin_family = AF_INET;
    client->to.sin_port = colon ? htons((uint16_t)strtol(colon + 1, NULL, 10)) : 0;
    if (colon)
        *colon = 0;
    if (client->epoll < 0 || inet_pton(AF_INET, address, &client->to.sin_addr) != 1)
        die(client->host);
}

static inline void conn_open(const struct client *client, struct conn *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (const struct sockaddr *)&client->to, sizeof client->to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

/* tag comes with each of its events. */
static inline void conn_listen(const struct client *client, const struct conn *c, long tag)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)tag};
    if (epoll_ctl(client->epoll, EPOLL_CTL_ADD, c->fd, &e) != 0)
        die("epoll");
}

static inline void conn_say(const struct conn *c, const char *text, int len)
{
    if (send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        die("send");
}

static inline void conn_ask_events(const struct client *client, const struct conn *c,
                                   const struct job_id *job)
{
    char id[ID_TEXT], text[256];
    id_format(job, id);
    conn_say(c, text,
             snprintf(text, sizeof text, "GET /v1/jobs/%s/events HTTP/1.1\r\nHost: %s\r\n\r\n", id,
                      client->host));
}

/* false: the other end is gone. */
static inline bool conn_more(struct conn *c)
{
    ssize_t n = recv(c->fd, c->text + c->got, TEXT_MAX - 1 - c->got, 0);
    c->got += n > 0 ? (size_t)n : 0;
    c->text[c->got] = 0;
    return n > 0;
}

static inline void conn_drop(struct conn *c, const char *end)
{
    c->got -= (size_t)(end - c->text);
    memmove(c->text, end, c->got + 1);
}

static inline int spread_order(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* A member of an object of JSON. Sorts took_us. */
static inline void spread_print(const char *name, int64_t *took_us, long n)
{
    qsort(took_us, (size_t)n, sizeof *took_us, spread_order);
    printf(",\"%s\":{\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld}", name,
           n ? (long long)took_us[n / 2] : 0, n ? (long long)took_us[n * 99 / 100] : 0,
           n ? (long long)took_us[n - 1] : 0);
}
