#include "worker/admin.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 64, HOST_MAX = 256, PORT_MAX = 8 };

struct connection {
    struct connection *next;
    struct admin *admin;
    int fd;
    struct loop_io *io;
    struct loop_timer *deadline;
    struct buf in, out;
    size_t sent;
};

struct admin {
    struct loop *loop;
    int fd;
    struct loop_io *io;
    admin_answer_fn *answer;
    void *arg;
    struct connection *connections;
    unsigned n;
};

/* ---- listening */

/* host:port or [v6]:port */
static int split(const char *address, char host[HOST_MAX], char port[PORT_MAX])
{
    const char *colon = strrchr(address, ':');
    if (!colon || colon == address || !colon[1] || strlen(colon + 1) >= PORT_MAX)
        return ERR_INVALID;
    if (strspn(colon + 1, "0123456789") != strlen(colon + 1) || strtol(colon + 1, NULL, 10) > 65535)
        return ERR_INVALID;
    size_t len = (size_t)(colon - address);
    if (address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (len == 0 || len >= HOST_MAX)
        return ERR_INVALID;
    memcpy(host, address, len);
    host[len] = 0;
    memcpy(port, colon + 1, strlen(colon + 1) + 1);
    return 0;
}

static int port_of(int fd)
{
    struct sockaddr_storage at;
    socklen_t len = sizeof at;
    char port[PORT_MAX];
    if (getsockname(fd, (struct sockaddr *)&at, &len) ||
        getnameinfo((struct sockaddr *)&at, len, NULL, 0, port, sizeof port, NI_NUMERICSERV))
        return 0;
    return (int)strtol(port, NULL, 10);
}

static int listen_on(const struct addrinfo *a)
{
    int one = 1;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) ||
        bind(fd, a->ai_addr, a->ai_addrlen) || listen(fd, BACKLOG)) {
        int err = errno;
        close(fd);
        errno = err;
        return -1;
    }
    return fd;
}

int admin_listen(const char *address, int *fd, int *port, char why[ADMIN_WHY])
{
    char host[HOST_MAX], service[PORT_MAX];
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    if (split(address, host, service) || getaddrinfo(host, service, &hints, &found)) {
        snprintf(why, ADMIN_WHY,
                 "admin: \"%.80s\" is no address; write host:port, a port up to 65535", address);
        return ERR_INVALID;
    }
    int s = listen_on(found), err = 0;
    if (s < 0 && errno == EADDRINUSE) {
        err = ERR_EXISTS;
        snprintf(why, ADMIN_WHY, "admin: port %s is taken; give another one, or 0 for any",
                 service);
    } else if (s < 0) {
        err = ERR_IO;
        snprintf(why, ADMIN_WHY, "admin: cannot listen on %.80s: %s", address, strerror(errno));
    } else {
        *fd = s;
        *port = port_of(s);
    }
    freeaddrinfo(found);
    return err;
}

/* ---- one connection */

static void connection_free(struct loop *loop, struct connection *c)
{
    loop_io_free(loop, c->io);
    loop_timer_free(loop, c->deadline);
    close(c->fd);
    buf_fini(&c->in);
    buf_fini(&c->out);
    free(c);
}

static void end(struct connection *c)
{
    struct admin *a = c->admin;
    struct connection **at = &a->connections;
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    a->n--;
    connection_free(a->loop, c);
}

static void late(void *arg)
{
    end(arg);
}

static const char *status_text(int status)
{
    switch (status) {
    case 200:
        return "OK";
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    default:
        return "Service Unavailable";
    }
}

static void answer(struct connection *c, int status, const char *type, const struct buf *body)
{
    buf_printf(&c->out,
               "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
               "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
               status, status_text(status), type, body->len);
    if (body->len)
        buf_add(&c->out, body->data, body->len);
    loop_io_set(c->admin->loop, c->io, LOOP_WRITE);
}

/* "GET /path HTTP/1.1": the path without its query, in place; NULL: no GET */
static char *path_of(char *line)
{
    if (strncmp(line, "GET /", 5) != 0)
        return NULL;
    char *path = line + 4;
    path[strcspn(path, " ?\r\n")] = 0;
    return path;
}

static void respond(struct connection *c)
{
    struct buf body;
    const char *type = "text/plain; charset=utf-8";
    buf_init(&body, 16 << 20);
    char *path = path_of(c->in.data);
    int status = path ? c->admin->answer(c->admin->arg, path, &body, &type) : 405;
    if (status == 404)
        buf_text(&body, "not found; there are /healthz /readyz /metrics\n");
    answer(c, status, type, &body);
    buf_fini(&body);
}

static void receive(struct connection *c)
{
    char bytes[1024];
    ssize_t n = recv(c->fd, bytes, sizeof bytes, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(c);
        return;
    }
    buf_add(&c->in, bytes, (size_t)n);
    if (buf_ok(&c->in))
        end(c); /* over the bound */
    else if (strstr(buf_str(&c->in), "\r\n\r\n") || strstr(buf_str(&c->in), "\n\n"))
        respond(c);
}

static void transmit(struct connection *c)
{
    ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        c->sent += (size_t)n;
    if (n <= 0 || c->sent == c->out.len)
        end(c);
}

static void ready(void *arg, int events)
{
    struct connection *c = arg;
    (void)events;
    if (c->out.len)
        transmit(c);
    else
        receive(c);
}

static int begin(struct admin *a, int fd)
{
    struct connection *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    *c = (struct connection){.next = a->connections, .admin = a, .fd = fd};
    buf_init(&c->in, ADMIN_REQUEST_MAX);
    c->io = loop_io_new(a->loop, fd, ready, c);
    c->deadline = loop_timer_new(a->loop, late, c);
    if (!c->io || !c->deadline) {
        loop_io_free(a->loop, c->io);
        loop_timer_free(a->loop, c->deadline);
        free(c);
        return ERR_NOMEM;
    }
    a->connections = c;
    a->n++;
    loop_io_set(a->loop, c->io, LOOP_READ);
    loop_timer_set(a->loop, c->deadline, ADMIN_DEADLINE_MS, 0);
    return 0;
}

static void incoming(void *arg, int events)
{
    struct admin *a = arg;
    (void)events;
    for (;;) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        if (a->n >= ADMIN_CONNECTIONS || begin(a, fd))
            close(fd);
    }
}

/* ---- life */

int admin_open(struct loop *loop, int fd, admin_answer_fn *fn, void *arg, struct admin **out)
{
    struct admin *a = calloc(1, sizeof *a);
    if (a) {
        *a = (struct admin){.loop = loop, .fd = fd, .answer = fn, .arg = arg};
        a->io = loop_io_new(loop, fd, incoming, a);
    }
    if (!a || !a->io) {
        free(a);
        close(fd);
        return ERR_NOMEM;
    }
    loop_io_set(loop, a->io, LOOP_READ);
    *out = a;
    return 0;
}

void admin_close(struct admin *a)
{
    if (!a)
        return;
    for (struct connection *c = a->connections, *next; c; c = next) {
        next = c->next;
        connection_free(a->loop, c);
    }
    loop_io_free(a->loop, a->io);
    close(a->fd);
    free(a);
}
