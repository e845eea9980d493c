#include "gateway/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { AT_ONCE = 256 };

typedef bool fits_fn(void *arg, int fd);

/* Descriptors that fit, at most max of them. */
static size_t find(fits_fn *fits, void *arg, int *found, size_t max)
{
    DIR *dir = opendir("/proc/self/fd");
    size_t n = 0;
    if (!dir)
        return 0;
    for (struct dirent *e; (e = readdir(dir)) != NULL && n < max;) {
        char *end;
        long fd = strtol(e->d_name, &end, 10);
        if (end != e->d_name && *end == 0 && fits(arg, (int)fd))
            found[n++] = (int)fd;
    }
    closedir(dir);
    return n;
}

static bool is_v4(int fd, bool peer, struct sockaddr_in *a)
{
    socklen_t len = sizeof *a;
    *a = (struct sockaddr_in){0}; /* a socket without a name may leave it as it is */
    int rc = peer ? getpeername(fd, (struct sockaddr *)a, &len)
                  : getsockname(fd, (struct sockaddr *)a, &len);
    return rc == 0 && a->sin_family == AF_INET;
}

static bool is_connection(void *arg, int fd)
{
    const struct socket_ends *want = arg;
    struct sockaddr_in peer, local;
    char text[INET_ADDRSTRLEN];
    return is_v4(fd, true, &peer) && ntohs(peer.sin_port) == want->peer_port &&
           is_v4(fd, false, &local) && ntohs(local.sin_port) == want->local_port &&
           inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text) && strcmp(text, want->peer) == 0;
}

static bool is_listener(void *arg, int fd)
{
    struct sockaddr_in local;
    int on = 0;
    socklen_t len = sizeof on;
    return getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &len) == 0 && on &&
           is_v4(fd, false, &local) && ntohs(local.sin_port) == *(int *)arg;
}

int socket_of_peer(const struct socket_ends *ends, int *fd)
{
    struct socket_ends want = *ends;
    int found[2];
    if (find(is_connection, &want, found, 2) != 1)
        return ERR_NOT_FOUND;
    *fd = found[0];
    return 0;
}

/* The descriptors from `first` on, POLLNVAL where none is open: one system call for all. */
static void mark_open(struct pollfd *list, int n, int first)
{
    for (int i = 0; i < n; i++)
        list[i] = (struct pollfd){.fd = first + i};
    if (poll(list, (nfds_t)n, 0) < 0) /* then each may be */
        for (int i = 0; i < n; i++)
            list[i].revents = 0;
}

/* Descriptors below that fit, at most max of them. */
static size_t find_below(int below, fits_fn *fits, void *arg, int *found, size_t max)
{
    struct pollfd list[AT_ONCE];
    size_t found_n = 0;
    for (int first = 3; first < below; first += AT_ONCE) {
        int n = below - first < AT_ONCE ? below - first : AT_ONCE;
        mark_open(list, n, first);
        for (int i = 0; i < n && found_n < max; i++)
            if (!(list[i].revents & POLLNVAL) && fits(arg, list[i].fd))
                found[found_n++] = list[i].fd;
    }
    return found_n;
}

int socket_of_peer_below(const struct socket_ends *ends, int below, int *fd)
{
    struct socket_ends want = *ends;
    int found[2];
    if (find_below(below, is_connection, &want, found, 2) != 1)
        return ERR_NOT_FOUND;
    *fd = found[0];
    return 0;
}

struct peers {
    int local_port;
    struct socket_peer *list;
    size_t n, max;
};

static bool is_peer(void *arg, int fd)
{
    struct peers *p = arg;
    struct sockaddr_in peer, local;
    if (!is_v4(fd, false, &local) || ntohs(local.sin_port) != p->local_port ||
        !is_v4(fd, true, &peer))
        return false;
    struct socket_peer *to = &p->list[p->n];
    *to = (struct socket_peer){.fd = fd, .port = ntohs(peer.sin_port)};
    inet_ntop(AF_INET, &peer.sin_addr, to->address, sizeof to->address);
    return ++p->n == p->max;
}

size_t sockets_of_port(int local_port, int below, struct socket_peer *list, size_t max)
{
    struct peers p = {local_port, list, 0, max};
    int last;
    if (max)
        (void)find_below(below, is_peer, &p, &last, 1); /* the last that has room fits */
    return p.n;
}

bool socket_is_of(int fd, const struct socket_ends *ends)
{
    struct socket_ends want = *ends;
    return is_connection(&want, fd);
}

int64_t socket_received(int fd)
{
    struct tcp_info info = {0};
    socklen_t len = sizeof info;
    size_t known = offsetof(struct tcp_info, tcpi_bytes_received) + sizeof info.tcpi_bytes_received;
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && len >= known
               ? (int64_t)info.tcpi_bytes_received
               : -1;
}

int sockets_refuse(int local_port)
{
    int found[16], replaced = 0;
    size_t n = find(is_listener, &local_port, found, sizeof found / sizeof found[0]);
    for (size_t i = 0; i < n; i++) {
        int silent = eventfd(0, EFD_CLOEXEC);
        if (silent < 0)
            break;
        shutdown(found[i], SHUT_RD); /* or a poll that still holds it goes on taking clients */
        replaced += dup3(silent, found[i], O_CLOEXEC) >= 0;
        close(silent);
    }
    return replaced;
}

static int try_bind(const struct addrinfo *a)
{
    int one = 1, err = 0, fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ERR_REFUSED;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 1) != 0)
        err = errno == EADDRINUSE ? ERR_EXISTS : errno == EACCES ? ERR_REFUSED : ERR_NOT_FOUND;
    close(fd);
    return err;
}

int socket_parse_listen(const char *listen, char host[SOCKET_HOST], int *port, char why[SOCKET_WHY])
{
    const char *colon = strrchr(listen, ':');
    size_t n = colon ? (size_t)(colon - listen) : 0;
    char *end = NULL;
    long number = colon ? strtol(colon + 1, &end, 10) : -1;
    if (!colon || n >= SOCKET_HOST || !colon[1] || *end || number < 0 || number > 65535) {
        snprintf(why, SOCKET_WHY, "\"%.100s\" is no address to listen on; write HOST:PORT", listen);
        return ERR_INVALID;
    }
    if (memchr(listen, '[', n) || memchr(listen, ':', n)) {
        snprintf(why, SOCKET_WHY, "\"%.100s\": IPv6 is for the ingress; listen on an IPv4 address",
                 listen);
        return ERR_INVALID;
    }
    snprintf(host, SOCKET_HOST, "%.*s", n ? (int)n : 7, n ? listen : "0.0.0.0");
    *port = (int)number;
    return 0;
}

int socket_try_listen(const char *host, int port, char why[SOCKET_WHY])
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    char service[8];
    int err = ERR_NOT_FOUND;
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &list) == 0) {
        err = try_bind(list);
        freeaddrinfo(list);
    }
    if (err == ERR_EXISTS)
        snprintf(why, SOCKET_WHY,
                 "port %d is taken by another program; choose another, or 0 for any", port);
    else if (err == ERR_REFUSED)
        snprintf(why, SOCKET_WHY, "port %d is not allowed to this user; choose one over 1023",
                 port);
    else if (err)
        snprintf(why, SOCKET_WHY, "\"%.100s\" is no address of this machine", host);
    return err;
}
