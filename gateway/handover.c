#include "gateway/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/log.h"
#include "common/rng.h"
#include "gateway/problem.h"
#include "gateway/sockets.h"

enum { OWN_FILES = 512, TRY_S = 3 };

static const char FINE[] = "handed over";

void handover_init(struct handover *h, unsigned threads)
{
    *h = (struct handover){.above = (int)threads + OWN_FILES, .carriers_max = threads / 4};
}

/* The trial is about detaching. */
static bool is_detached(const struct handover *h, const struct http_reply *r)
{
    return h->detaches || r->taker == handover_try_taker;
}

void handover_admit(struct handover *h, const struct http_request *q, struct http_reply *r)
{
    if (!r->taker || is_detached(h, r) || atomic_fetch_add(&h->carriers, 1) < h->carriers_max)
        return;
    handover_leave(h, r);
    r->taker(r->taker_arg, -1);
    r->taker = NULL;
    r->taker_arg = NULL;
    r->close = false;
    problem_simple(q, r, ERR_OVERLOADED, "too many live streams are open; read the job itself");
}

void handover_leave(struct handover *h, const struct http_reply *r)
{
    if (!is_detached(h, r))
        atomic_fetch_sub(&h->carriers, 1);
}

/* Only this thread may close the descriptor, so it stays what it is meanwhile. */
static int detach(const struct handover *h, const struct socket_ends *e, int *out)
{
    int fd, dead[2], one = 1;
    int err = socket_of_peer_below(e, h->above, &fd);
    if (err)
        err = socket_of_peer(e, &fd);
    if (err)
        return err;
    int mine = fcntl(fd, F_DUPFD_CLOEXEC, h->above);
    if (mine < 0)
        mine = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (mine < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, dead) != 0) {
        if (mine >= 0)
            close(mine);
        return ERR_IO;
    }
    close(dead[1]);
    int rc = dup3(dead[0], fd, O_CLOEXEC);
    close(dead[0]);
    if (rc < 0 || fcntl(mine, F_SETFL, O_NONBLOCK) != 0) {
        close(mine);
        return ERR_IO;
    }
    setsockopt(mine, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    *out = mine;
    return 0;
}

/* The taker writes into one end, this thread sends what comes out of the other. */
static void carry(handover_write_fn *write, void *arg, const struct http_reply *r)
{
    char bytes[4096];
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        r->taker(r->taker_arg, -1);
        return;
    }
    if (fcntl(ends[1], F_SETFL, O_NONBLOCK) != 0)
        log_debug("handover-blocking");
    r->taker(r->taker_arg, ends[1]);
    for (;;) {
        ssize_t n = read(ends[0], bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || write(arg, bytes, (size_t)n) <= 0)
            break;
    }
    close(ends[0]);
}

void handover_give(struct handover *h, const struct socket_ends *ends, handover_write_fn *write,
                   void *arg, const struct http_reply *r)
{
    int fd = -1;
    bool may = is_detached(h, r);
    if (may && detach(h, ends, &fd) != 0)
        log_warn("handover-failed", "peer", ends->peer);
    if (may)
        r->taker(r->taker_arg, fd);
    else
        carry(write, arg, r);
    handover_leave(h, r);
}

/* ---- the trial */

static int connect_to(const char *host, int port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    struct timeval wait = {TRY_S, 0};
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(strcmp(host, "0.0.0.0") == 0 ? "127.0.0.1" : host, service, &hints, &list) != 0)
        return -1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
        if (connect(fd, list->ai_addr, list->ai_addrlen) != 0) {
            close(fd);
            fd = -1;
        }
    }
    freeaddrinfo(list);
    return fd;
}

static bool hears_all(int fd, const char *token)
{
    char text[2048];
    size_t got = 0;
    int n = snprintf(text, sizeof text,
                     "GET / HTTP/1.1\r\nHost: offpath\r\n" HANDOVER_HEADER ": %s\r\n\r\n", token);
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    while (got + 1 < sizeof text) {
        ssize_t more = recv(fd, text + got, sizeof text - 1 - got, 0);
        if (more <= 0)
            break;
        got += (size_t)more;
    }
    text[got] = 0;
    return got > sizeof FINE && strcmp(text + got - (sizeof FINE - 1), FINE) == 0;
}

void handover_try(struct handover *h, const char *host, int port)
{
    snprintf(h->token, sizeof h->token, "%016llx%016llx", (unsigned long long)rng_u64(rng_real()),
             (unsigned long long)rng_u64(rng_real()));
    atomic_store(&h->probing, true);
    int fd = connect_to(host, port);
    bool good = fd >= 0 && hears_all(fd, h->token);
    if (fd >= 0)
        close(fd);
    h->detaches = good;
    atomic_store(&h->probing, false);
    if (!good)
        log_warn("streams-need-threads", "at-most", log_number(h->carriers_max), "means",
                 "this HTTP library keeps its connections; more live streams get 503");
}

bool handover_is_trial(struct handover *h, const struct http_request *q)
{
    if (!atomic_load(&h->probing))
        return false;
    const char *token = http_header(q, HANDOVER_HEADER);
    return token && strcmp(token, h->token) == 0;
}

void handover_try_taker(void *arg, int fd)
{
    (void)arg;
    if (fd < 0)
        return;
    if (send(fd, FINE, sizeof FINE - 1, MSG_NOSIGNAL) < 0)
        log_debug("handover-trial-failed");
    close(fd);
}
