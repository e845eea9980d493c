/* bench_load - POSTs price comparisons over kept-open connections and tells how long each took.
 *   bench_load --to HOST:PORT --count N [--connections C] [--rate R] [--first P] [--same]
 * Without --rate each connection sends again as soon as it has its answer; with it requests are due
 * R times a second and are timed from when they were due, so a slow server cannot hide its queue.
 * Products are P, P+1, ... or always P. Prints one line of JSON. One thread. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS_MAX = 4096, COUNT_MAX = 10000000, ANSWER_MAX = 16384 };

struct settings {
    struct sockaddr_in to;
    char host[64];
    long count, connections, rate, first;
    bool same;
};

struct conn {
    int fd;
    int64_t due_us; /* of the request that is out */
    size_t got;
    char answer[ANSWER_MAX];
};

struct run {
    struct settings set;
    int epoll;
    struct conn *conn;
    int *idle; /* stack of connections without a request */
    long idle_n, sent, done, by_status[6], broken;
    int64_t began_us;
    uint32_t *took_us;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void open_conn(struct run *r, long i)
{
    struct conn *c = &r->conn[i];
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&r->set.to, sizeof r->set.to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    epoll_ctl(r->epoll, EPOLL_CTL_ADD, c->fd, &e);
    r->idle[r->idle_n++] = (int)i;
}

static void send_one(struct run *r, int64_t due_us)
{
    struct conn *c = &r->conn[r->idle[--r->idle_n]];
    char body[64], text[512];
    long product = r->set.first + (r->set.same ? 0 : r->sent);
    int b = snprintf(body, sizeof body, "{\"productId\":\"%ld\"}", product);
    int n = snprintf(text, sizeof text,
                     "POST /v1/flows/price-compare/jobs HTTP/1.1\r\nHost: %s\r\n"
                     "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                     r->set.host, b, body);
    c->due_us = due_us;
    c->got = 0;
    if (send(c->fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        die("send");
    r->sent++;
}

/* True once the whole answer is there: head, and as many bytes as its Content-Length says. */
static bool is_whole(struct conn *c)
{
    c->answer[c->got] = 0;
    char *end = strstr(c->answer, "\r\n\r\n");
    char *length = end ? strcasestr(c->answer, "\r\ncontent-length:") : NULL;
    if (!length || length > end)
        return false;
    return c->got >= (size_t)(end + 4 - c->answer) + strtoul(length + 17, NULL, 10);
}

static void receive(struct run *r, uint32_t i)
{
    struct conn *c = &r->conn[i];
    ssize_t n = recv(c->fd, c->answer + c->got, ANSWER_MAX - 1 - c->got, 0);
    if (n <= 0) {
        r->broken++;
        r->done++;
        close(c->fd);
        open_conn(r, i);
        return;
    }
    c->got += (size_t)n;
    if (!is_whole(c))
        return;
    long status = strtol(c->answer + 9, NULL, 10) / 100;
    r->by_status[status > 0 && status < 6 ? status : 0]++;
    r->took_us[r->done++] = (uint32_t)(now_us() - c->due_us);
    r->idle[r->idle_n++] = (int)i;
}

/* Sends what is due; the ms until the next is. */
static int send_due(struct run *r)
{
    int64_t now = now_us();
    while (r->idle_n && r->sent < r->set.count) {
        int64_t due = r->set.rate ? r->began_us + r->sent * 1000000 / r->set.rate : now;
        if (due > now)
            return (int)((due - now) / 1000);
        send_one(r, due);
    }
    return 100;
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void report(struct run *r)
{
    double s = (double)(now_us() - r->began_us) / 1e6;
    long n = r->done - r->broken;
    qsort(r->took_us, (size_t)n, sizeof *r->took_us, by_size);
    printf("{\"sent\":%ld,\"seconds\":%.3f,\"per_s\":%.0f,\"ok\":%ld,\"refused\":%ld,"
           "\"broken\":%ld,\"p50_us\":%u,\"p99_us\":%u}\n",
           r->sent, s, (double)n / s, r->by_status[2], n - r->by_status[2], r->broken,
           n ? r->took_us[n / 2] : 0, n ? r->took_us[n * 99 / 100] : 0);
}

static void read_settings(struct settings *s, int argc, char **argv)
{
    *s = (struct settings){.connections = 64, .first = 1};
    for (int i = 1; i < argc; i++) {
        const char *name = argv[i];
        if (strcmp(name, "--same") == 0) {
            s->same = true;
            continue;
        }
        char *value = ++i < argc ? argv[i] : "";
        long n = strtol(value, NULL, 10);
        char *colon = strchr(value, ':');
        if (strcmp(name, "--to") == 0 && colon) {
            snprintf(s->host, sizeof s->host, "%s", value);
            *colon = 0;
            s->to.sin_family = AF_INET;
            s->to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
            inet_pton(AF_INET, value, &s->to.sin_addr);
        } else if (strcmp(name, "--count") == 0) {
            s->count = n;
        } else if (strcmp(name, "--connections") == 0) {
            s->connections = n;
        } else if (strcmp(name, "--rate") == 0) {
            s->rate = n;
        } else if (strcmp(name, "--first") == 0) {
            s->first = n;
        }
    }
    if (!s->to.sin_port || s->count < 1 || s->count > COUNT_MAX || s->connections < 1 ||
        s->connections > CONNECTIONS_MAX) {
        fputs("usage: bench_load --to HOST:PORT --count N [--connections C] [--rate R] "
              "[--first P] [--same]\n",
              stderr);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    struct run r = {0};
    read_settings(&r.set, argc, argv);
    r.epoll = epoll_create1(EPOLL_CLOEXEC);
    r.conn = calloc((size_t)r.set.connections, sizeof *r.conn);
    r.idle = calloc((size_t)r.set.connections, sizeof *r.idle);
    r.took_us = calloc((size_t)r.set.count, sizeof *r.took_us);
    if (!r.conn || !r.idle || !r.took_us)
        die("memory");
    for (long i = 0; i < r.set.connections; i++)
        open_conn(&r, i);
    r.began_us = now_us();
    while (r.done < r.set.count) {
        struct epoll_event events[256];
        int n = epoll_wait(r.epoll, events, 256, send_due(&r));
        for (int i = 0; i < n; i++)
            receive(&r, events[i].data.u32);
    }
    report(&r);
    return 0;
}
