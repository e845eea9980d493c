/* name_server.h - a small DNS server for tests: a thread on a UDP port of loopback. What it says
 * hangs on the first label: "none" there is no such name, "nodata" no address, "fail" SERVFAIL,
 * "mute" nothing at all, "slow" the address after 400 ms, "alias" a CNAME of 7 s before it, "many"
 * 20 addresses, "short" no such name outside of `cluster.test`; any other the address 127.0.0.1,
 * and [2001:db8::1] where the label ends in 6. */
#pragma once
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/clock.h"

enum { NAME_TTL_S = 20, NAME_LATE_MAX = 64 };

struct name_late { /* a reply to send later */
    struct sockaddr_in to;
    int64_t due_ms;
    size_t len;
    uint8_t bytes[512];
};

struct name_server {
    int fd;
    char at[32]; /* 127.0.0.1:PORT */
    pthread_t thread;
    atomic_bool stop, mute; /* mute: nobody gets an answer */
    atomic_uint questions;  /* for IPv4 addresses */
    struct name_late late[NAME_LATE_MAX];
    size_t late_n;
};

static uint8_t *name_put16(uint8_t *p, unsigned n)
{
    p[0] = (uint8_t)(n >> 8);
    p[1] = (uint8_t)n;
    return p + 2;
}

/* A record for the name of the question. */
static uint8_t *name_record(uint8_t *p, unsigned type, unsigned ttl_s, const void *bytes, size_t n)
{
    p = name_put16(p, 0xc00c);
    p = name_put16(p, type);
    p = name_put16(p, 1);
    p = name_put16(p, 0);
    p = name_put16(p, ttl_s);
    p = name_put16(p, (unsigned)n);
    memcpy(p, bytes, n);
    return p + n;
}

static uint8_t *name_answers(uint8_t *p, const char *label, unsigned type, unsigned *n)
{
    static const uint8_t v6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
    uint8_t v4[4] = {127, 0, 0, 1};
    size_t len = strlen(label);
    if (strcmp(label, "alias") == 0 && type == 1) { /* the owner of the address: "x" at 0xc0.. */
        uint8_t target[3] = {1, 'x', 0};
        p = name_record(p, 5, 7, target, sizeof target);
        memcpy(p, target, sizeof target);
        p += sizeof target;
        uint8_t *from = p;
        p = name_record(p, 1, NAME_TTL_S, v4, 4);
        memmove(from, from + 2, (size_t)(p - from) - 2); /* its name stands already */
        *n = 2;
        return p - 2;
    }
    unsigned many = strcmp(label, "many") == 0 ? 20 : 1;
    for (unsigned i = 0; i < many && type == 1; i++, v4[3]++, ++*n)
        p = name_record(p, 1, NAME_TTL_S, v4, 4);
    if (type == 28 && len > 0 && label[len - 1] == '6') {
        p = name_record(p, 28, NAME_TTL_S, v6, 16);
        ++*n;
    }
    return p;
}

/* The reply to a question, in place of it; 0: none. */
static size_t name_reply(uint8_t *bytes, size_t len, char *label, unsigned *type)
{
    size_t end = 12;
    while (end < len && bytes[end])
        end += bytes[end] + 1U;
    if (end + 5 > len || bytes[12] > 60)
        return 0;
    snprintf(label, 64, "%.*s", (int)bytes[12], (const char *)bytes + 13);
    *type = (unsigned)(bytes[end + 1] << 8 | bytes[end + 2]);
    static const uint8_t cluster[] = "\5short\7cluster\4test";
    bool outside =
        end + 1 != 12 + sizeof cluster || memcmp(bytes + 12, cluster, sizeof cluster) != 0;
    bool gone = strcmp(label, "none") == 0 || (outside && strcmp(label, "short") == 0);
    unsigned rcode = gone ? 3 : strcmp(label, "fail") == 0 ? 2 : 0, n = 0;
    uint8_t *p = bytes + end + 5;
    if (rcode == 0 && strcmp(label, "nodata") != 0)
        p = name_answers(p, label, *type, &n);
    name_put16(bytes + 2, 0x8180 | rcode);
    name_put16(bytes + 6, n);
    memset(bytes + 8, 0, 4);
    return (size_t)(p - bytes);
}

static void name_serve_one(struct name_server *s)
{
    struct name_late r;
    char label[64] = "";
    unsigned type = 0;
    socklen_t size = sizeof r.to;
    ssize_t n =
        recvfrom(s->fd, r.bytes, sizeof r.bytes, MSG_DONTWAIT, (struct sockaddr *)&r.to, &size);
    r.len = n > 0 ? name_reply(r.bytes, (size_t)n, label, &type) : 0;
    if (r.len == 0)
        return;
    s->questions += type == 1;
    if (s->mute || strcmp(label, "mute") == 0)
        return;
    r.due_ms = clock_mono_ms(clock_real()) + (strcmp(label, "slow") == 0 ? 400 : 0);
    if (s->late_n < NAME_LATE_MAX)
        s->late[s->late_n++] = r;
}

static void *name_serve(void *arg)
{
    struct name_server *s = arg;
    while (!s->stop) {
        struct pollfd p = {.fd = s->fd, .events = POLLIN};
        if (poll(&p, 1, s->late_n ? 5 : 50) > 0)
            name_serve_one(s);
        int64_t now = clock_mono_ms(clock_real());
        for (size_t i = 0; i < s->late_n;) {
            struct name_late *r = &s->late[i];
            if (r->due_ms > now) {
                i++;
                continue;
            }
            sendto(s->fd, r->bytes, r->len, 0, (struct sockaddr *)&r->to, sizeof r->to);
            *r = s->late[--s->late_n];
        }
    }
    return NULL;
}

static inline int name_server_start(struct name_server *s)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    memset(s, 0, sizeof *s);
    s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (bind(s->fd, (struct sockaddr *)&at, sizeof at) != 0 ||
        getsockname(s->fd, (struct sockaddr *)&at, &size) != 0)
        return -1;
    snprintf(s->at, sizeof s->at, "127.0.0.1:%u", ntohs(at.sin_port));
    return pthread_create(&s->thread, NULL, name_serve, s);
}

static inline void name_server_stop(struct name_server *s)
{
    s->stop = true;
    pthread_join(s->thread, NULL);
    close(s->fd);
}
