#include "gateway/waiting.h"

#include <pthread.h>
#include <stdlib.h>

struct waiting {
    struct loop *loop;
    struct cache_async *cache;
    struct waiters *waiters;
    pthread_t thread;
    bool runs;
};

static void *run(void *arg)
{
    loop_run(((struct waiting *)arg)->loop);
    return NULL;
}

static int open_parts(struct waiting *w, const struct cache_settings *redis, unsigned max)
{
    int err = loop_uv_open(&w->loop);
    if (!err)
        err = cache_redis_async_open(w->loop, redis, &w->cache);
    if (!err)
        err = waiters_open(&(struct waiters_settings){w->loop, w->cache, max, WAITERS_LOOK_MS},
                           &w->waiters);
    if (!err && pthread_create(&w->thread, NULL, run, w) != 0)
        err = ERR_NOMEM;
    w->runs = !err;
    return err;
}

int waiting_open(const struct cache_settings *redis, unsigned max, struct waiting **out)
{
    struct waiting *w = calloc(1, sizeof *w);
    int err = w ? open_parts(w, redis, max) : ERR_NOMEM;
    if (err) {
        waiting_close(w);
        return err;
    }
    *out = w;
    return 0;
}

struct waiters *waiting_waiters(struct waiting *w)
{
    return w->waiters;
}

void waiting_close(struct waiting *w)
{
    if (!w)
        return;
    if (w->runs) {
        loop_stop(w->loop);
        pthread_join(w->thread, NULL);
    }
    cache_async_close(w->cache);
    waiters_close(w->waiters);
    loop_close(w->loop);
    free(w);
}
