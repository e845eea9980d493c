/* sink.h - a socket that only takes: what it cannot take at once waits in memory until it can.
 * Belongs to its loop's thread. */
#pragma once
#include "common/buf.h"
#include "common/loop.h"

struct sink {
    struct loop *loop;
    struct loop_io *io;
    int fd;
    char *data; /* what waits: len bytes from at */
    size_t at, len;
    bool moved; /* it took something since sink_moved was asked */
    loop_fn *drained, *gone;
    void *arg;
};

/* fd: taken. drained: nothing waits any more; gone: the peer is away, or broken: close it. Both
 * come from the loop, never from within a call. 0 or ERR_NOMEM (fd is closed). */
int sink_open(struct sink *s, struct loop *loop, int fd) must_use;
void sink_listen(struct sink *s, loop_fn *drained, loop_fn *gone, void *arg);
/* 0; ERR_CLOSED: the peer is away; ERR_NOMEM. */
int sink_send(struct sink *s, const void *bytes, size_t len) must_use;
static inline size_t sink_waits(const struct sink *s)
{
    return s->len;
}
/* Did it take something since the last time this was asked? */
bool sink_moved(struct sink *s);
void sink_close(struct sink *s); /* what waits is lost */
