#include "gateway/waiting.h"

#include <pthread.h>
#include <stdlib.h>

enum { STREAM_READERS = 2 };

struct waiting {
    struct loop *loop;
    struct cache_async *cache;
    struct waiters *waiters;
    struct streams *streams;
    struct stream_reads *reads;
    pthread_t thread;
    bool runs;
};

static void *run(void *arg)
{
    loop_run(((struct waiting *)arg)->loop);
    return NULL;
}

static void read_soon(void *arg, struct stream_read *r)
{
    stream_reads_put(((struct waiting *)arg)->reads, r);
}

static int open_parts(struct waiting *w, const struct waiting_settings *s)
{
    int err = loop_uv_open(&w->loop);
    if (!err)
        err = cache_redis_async_open(w->loop, s->redis, &w->cache);
    if (!err)
        err =
            waiters_open(&(struct waiters_settings){w->loop, w->cache, s->waiters, WAITERS_LOOK_MS},
                         &w->waiters);
    if (!err)
        err = streams_open(&(struct streams_settings){.loop = w->loop,
                                                      .cache = w->cache,
                                                      .read = read_soon,
                                                      .read_arg = w,
                                                      .title = s->title,
                                                      .title_arg = s->title_arg,
                                                      .max = s->streams,
                                                      .each = s->streams_each,
                                                      .bytes_max = STREAMS_BYTES},
                           &w->streams);
    if (!err && pthread_create(&w->thread, NULL, run, w) != 0)
        err = ERR_NOMEM;
    w->runs = !err;
    return err ? err : stream_reads_open(s->reader, w->loop, STREAM_READERS, &w->reads);
}

int waiting_open(const struct waiting_settings *s, struct waiting **out)
{
    struct waiting *w = calloc(1, sizeof *w);
    int err = w ? open_parts(w, s) : ERR_NOMEM;
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

struct streams *waiting_streams(struct waiting *w)
{
    return w->streams;
}

static void stop(void *arg)
{
    loop_stop(arg);
}

void waiting_close(struct waiting *w)
{
    if (!w)
        return;
    stream_reads_close(w->reads);
    if (w->runs) {
        if (loop_post(w->loop, stop, w->loop) != 0) /* behind the last reads */
            loop_stop(w->loop);
        pthread_join(w->thread, NULL);
    }
    streams_close(w->streams);
    cache_async_close(w->cache);
    waiters_close(w->waiters);
    loop_close(w->loop);
    free(w);
}
