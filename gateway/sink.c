#include "gateway/sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* How much it took; ERR_CLOSED. */
static ssize_t push(struct sink *s, const char *bytes, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(s->fd, bytes + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n < 0)
            return ERR_CLOSED;
        sent += (size_t)n;
        s->moved = true;
    }
    return (ssize_t)sent;
}

static void forget(struct sink *s)
{
    free(s->data);
    s->data = NULL;
    s->at = s->len = 0;
}

static void on_writable(struct sink *s)
{
    ssize_t n = push(s, s->data + s->at, s->len);
    if (n < 0) {
        s->gone(s->arg);
        return;
    }
    s->at += (size_t)n;
    s->len -= (size_t)n;
    if (s->len)
        return;
    forget(s);
    loop_io_set(s->loop, s->io, LOOP_READ);
    s->drained(s->arg);
}

/* A client has nothing more to say; what it sends all the same is dropped. */
static bool is_gone(const struct sink *s)
{
    char byte[512];
    ssize_t n = recv(s->fd, byte, sizeof byte, MSG_DONTWAIT);
    return n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR);
}

static void on_io(void *arg, int events)
{
    struct sink *s = arg;
    if (events & LOOP_READ && is_gone(s))
        s->gone(s->arg);
    else if (events & LOOP_WRITE && s->len)
        on_writable(s);
}

int sink_open(struct sink *s, struct loop *loop, int fd)
{
    *s = (struct sink){.loop = loop, .fd = fd};
    s->io = loop_io_new(loop, fd, on_io, s);
    if (!s->io) {
        close(fd);
        s->fd = -1;
        return ERR_NOMEM;
    }
    return 0;
}

void sink_listen(struct sink *s, loop_fn *drained, loop_fn *gone, void *arg)
{
    s->drained = drained;
    s->gone = gone;
    s->arg = arg;
    loop_io_set(s->loop, s->io, LOOP_READ);
}

static int keep(struct sink *s, const char *bytes, size_t len)
{
    char *data = malloc(s->len + len);
    if (!data)
        return ERR_NOMEM;
    if (s->len)
        memcpy(data, s->data + s->at, s->len);
    memcpy(data + s->len, bytes, len);
    free(s->data);
    s->data = data;
    s->at = 0;
    if (!s->len)
        loop_io_set(s->loop, s->io, LOOP_READ | LOOP_WRITE);
    s->len += len;
    return 0;
}

int sink_send(struct sink *s, const void *bytes, size_t len)
{
    ssize_t n = s->len ? 0 : push(s, bytes, len);
    if (n < 0)
        return ERR_CLOSED;
    return (size_t)n == len ? 0 : keep(s, (const char *)bytes + n, len - (size_t)n);
}

bool sink_moved(struct sink *s)
{
    bool moved = s->moved;
    s->moved = false;
    return moved;
}

void sink_close(struct sink *s)
{
    loop_io_free(s->loop, s->io);
    s->io = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    forget(s);
}
