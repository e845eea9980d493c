#include "common/http_shard.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_io(void *watch, int events)
{
    struct http_watch *w = watch;
    struct http_shard *s = w->owner;
    s->all->act(s, w->fd, events);
}

static void on_timer(void *shard)
{
    struct http_shard *s = shard;
    s->all->act(s, -1, 0);
}

void http_shard_wait(struct http_shard *s, int64_t ms)
{
    if (ms < 0)
        loop_timer_stop(s->all->loop, s->timer);
    else
        loop_timer_set(s->all->loop, s->timer, ms, 0);
}

static struct http_watch *watch(struct http_shard *s, int fd, bool ours)
{
    struct http_shards *all = s->all;
    struct http_watch new = {.loop = all->loop, .owner = s, .fd = fd, .ours = ours, .fn = on_io};
    struct http_watch *w = http_watch_get(&all->watches, fd);
    return w ? w : http_watch_new(&all->watches, &new);
}

int http_shard_watch(struct http_shard *s, int fd, int events)
{
    if (events == 0) {
        http_watch_rest(&s->all->watches, http_watch_get(&s->all->watches, fd));
        return 0;
    }
    struct http_watch *w = watch(s, fd, false);
    return w ? http_watch_set(w, events) : ERR_NOMEM;
}

int http_shard_socket(struct http_shard *s, int family, int type, int protocol)
{
    int fd = socket(family, type | SOCK_CLOEXEC, protocol);
    if (fd >= 0 && !watch(s, fd, true)) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        http_loads_socket(&s->all->loads, s->number, 1);
    return fd;
}

int http_shards_close_socket(struct http_shards *all, int fd)
{
    struct http_watch *w = http_watch_get(&all->watches, fd);
    if (w) {
        http_loads_socket(&all->loads, ((struct http_shard *)w->owner)->number, -1);
        http_watch_free(&all->watches, w);
    }
    return close(fd);
}

static struct http_shard *shard_new(struct http_shards *all)
{
    struct http_shard *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (struct http_shard){.all = all, .number = all->loads.n};
    s->timer = loop_timer_new(all->loop, on_timer, s);
    if (!s->timer || !all->open(s)) {
        loop_timer_free(all->loop, s->timer);
        free(s);
        return NULL;
    }
    return all->list[all->loads.n++] = s;
}

static void shard_free(struct http_shard *s)
{
    s->all->close(s);
    loop_timer_free(s->all->loop, s->timer);
    free(s);
}

struct http_shard *http_shards_pick(struct http_shards *all)
{
    size_t i = http_loads_pick(&all->loads);
    struct http_shard *made = i == all->loads.n ? shard_new(all) : all->list[i];
    return made || all->loads.n == 0 ? made : all->list[http_loads_least(&all->loads)];
}

void http_shards_rest(struct http_shards *all)
{
    struct http_loads *l = &all->loads;
    http_loads_rest(l);
    while (l->n > 0 && http_loads_is_unused(l, l->n - 1))
        shard_free(all->list[--l->n]);
}

void http_shards_fini(struct http_shards *all)
{
    while (all->loads.n > 0)
        shard_free(all->list[--all->loads.n]);
    http_watches_fini(&all->watches);
}
