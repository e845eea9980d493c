#include "common/http_watch.h"

#include <stdlib.h>
#include <string.h>

struct http_watch *http_watch_get(const struct http_watches *all, int fd)
{
    return (size_t)fd < all->n ? all->by_fd[fd] : NULL;
}

struct http_watch *http_watch_new(struct http_watches *all, const struct http_watch *w)
{
    if ((size_t)w->fd >= all->n) {
        size_t n = (size_t)w->fd * 2 + 64;
        struct http_watch **by_fd = realloc(all->by_fd, n * sizeof(struct http_watch *));
        if (!by_fd)
            return NULL;
        memset(by_fd + all->n, 0, (n - all->n) * sizeof(struct http_watch *));
        *all = (struct http_watches){by_fd, n};
    }
    struct http_watch *made = malloc(sizeof *made);
    if (made)
        *made = *w;
    return all->by_fd[w->fd] = made;
}

static void on_io(void *arg, int events)
{
    struct http_watch *w = arg;
    if (w->resting) /* the upstream closed it: curl looks before it would use it again */
        loop_io_set(w->loop, w->io, 0);
    else
        w->fn(w, events);
}

int http_watch_set(struct http_watch *w, int events)
{
    if (!w->io)
        w->io = loop_io_new(w->loop, w->fd, on_io, w);
    if (!w->io)
        return ERR_NOMEM;
    w->resting = false;
    loop_io_set(w->loop, w->io, events);
    return 0;
}

void http_watch_rest(struct http_watches *all, struct http_watch *w)
{
    if (w && !w->ours)
        http_watch_free(all, w);
    else if (w)
        w->resting = true;
}

void http_watch_free(struct http_watches *all, struct http_watch *w)
{
    all->by_fd[w->fd] = NULL;
    loop_io_free(w->loop, w->io);
    free(w);
}

void http_watches_fini(struct http_watches *all)
{
    free(all->by_fd);
    *all = (struct http_watches){0};
}
