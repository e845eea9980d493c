#include "gateway/sockets.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

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

struct ends {
    const char *peer;
    int peer_port, local_port;
};

static bool is_v4(int fd, bool peer, struct sockaddr_in *a)
{
    socklen_t len = sizeof *a;
    int rc = peer ? getpeername(fd, (struct sockaddr *)a, &len)
                  : getsockname(fd, (struct sockaddr *)a, &len);
    return rc == 0 && a->sin_family == AF_INET;
}

static bool is_connection(void *arg, int fd)
{
    const struct ends *want = arg;
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

int socket_of_peer(const char *peer, int peer_port, int local_port, int *fd)
{
    struct ends want = {peer, peer_port, local_port};
    int found[2];
    if (find(is_connection, &want, found, 2) != 1)
        return ERR_NOT_FOUND;
    *fd = found[0];
    return 0;
}

int sockets_refuse(int local_port)
{
    int found[16], replaced = 0;
    size_t n = find(is_listener, &local_port, found, sizeof found / sizeof found[0]);
    for (size_t i = 0; i < n; i++) {
        int silent = eventfd(0, EFD_CLOEXEC);
        if (silent < 0)
            break;
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

int socket_try_listen(const char *host, int port)
{
    struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list;
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    if (getaddrinfo(host, service, &hints, &list) != 0)
        return ERR_NOT_FOUND;
    int err = try_bind(list);
    freeaddrinfo(list);
    return err;
}
