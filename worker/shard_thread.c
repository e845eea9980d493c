#include "worker/shard_thread.h"
#include "common/log.h"
#include "common/files.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

struct shard_thread {
    struct shard_thread_settings s;
    pthread_t thread;
    struct loop *loop;
    struct http_client *http;
    struct cache_async *cache;
    struct admin *admin;
    struct shard *shard;
    struct shard_signs signs; /* other threads may read them when the shard is gone */
    atomic_bool open;         /* it takes orders */
};

struct order { /* posted to the loop */
    struct shard_thread *thread;
    int64_t drain_ms;
    bool retire;
};

static void closed(void *arg, struct shard *s)
{
    struct shard_thread *t = arg;
    (void)s;
    loop_stop(t->loop);
}

static void fatal(void *arg, const char *why)
{
    struct shard_thread *t = arg;
    t->s.fatal(t->s.arg, why);
}

static int open_admin(struct shard_thread *t)
{
    int fd = t->s.admin_fd;
    t->s.admin_fd = -1;
    return fd < 0 ? 0 : admin_open(t->loop, fd, t->s.answer, t->s.answer_arg, &t->admin);
}

/* The shard is last: once it is open it is closed by draining only. */
static int open_all(struct shard_thread *t)
{
    int err = loop_uv_open(&t->loop);
    if (!err)
        err = open_admin(t);
    if (!err)
        err = http_client_curl_open(t->loop, FILES_IDLE_CONNECTIONS, HTTP_REST_MS, NULL, &t->http);
    if (!err)
        err = cache_redis_async_open(t->loop, &t->s.redis, &t->cache);
    if (err)
        return err;
    struct shard_settings s = t->s.shard;
    s.loop = t->loop;
    s.http = t->http;
    s.cache = t->cache;
    s.rng = rng_real();
    s.closed = closed;
    s.fatal = fatal;
    s.arg = t;
    s.signs = &t->signs;
    return shard_open(&s, &t->shard);
}

static void close_all(struct shard_thread *t)
{
    t->open = false;
    admin_close(t->admin);
    if (t->s.admin_fd >= 0)
        close(t->s.admin_fd);
    shard_free(t->shard);
    t->signs.beat_ms = 0;
    t->signs.worker = 0;
    t->signs.trouble = NULL;
    cache_async_close(t->cache);
    http_client_close(t->http);
}

static void *body(void *arg)
{
    struct shard_thread *t = arg;
    int err = open_all(t);
    t->open = err == 0;
    t->s.opened(t->s.arg, err);
    if (!err)
        loop_run(t->loop);
    close_all(t);
    t->s.ended(t->s.arg);
    return NULL;
}

int shard_thread_start(const struct shard_thread_settings *s, struct shard_thread **out)
{
    struct shard_thread *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    t->s = *s;
    if (pthread_create(&t->thread, NULL, body, t)) {
        free(t);
        return ERR_IO;
    }
    *out = t;
    return 0;
}

static void drain(void *arg)
{
    struct order *o = arg;
    if (o->retire) {
        admin_close(o->thread->admin);
        o->thread->admin = NULL;
    }
    shard_drain(o->thread->shard, o->drain_ms);
    free(o);
}

static void post(struct shard_thread *t, int64_t drain_ms, bool retire)
{
    struct order *o = t->open ? malloc(sizeof *o) : NULL;
    if (!o)
        return;
    *o = (struct order){t, drain_ms, retire};
    if (loop_post(t->loop, drain, o))
        free(o);
}

void shard_thread_drain(struct shard_thread *t, int64_t drain_ms)
{
    post(t, drain_ms, false);
}

void shard_thread_retire(struct shard_thread *t, int64_t drain_ms)
{
    post(t, drain_ms, true);
}

void shard_thread_join(struct shard_thread *t)
{
    if (!t)
        return;
    pthread_join(t->thread, NULL);
}

void shard_thread_free(struct shard_thread *t)
{
    if (!t)
        return;
    loop_close(t->loop);
    free(t);
}

int64_t shard_thread_silence_ms(const struct shard_thread *t)
{
    int64_t beat_ms = t->signs.beat_ms;
    return beat_ms ? clock_mono_ms(clock_real()) - beat_ms : 0;
}

uint64_t shard_thread_worker(const struct shard_thread *t)
{
    return t->signs.worker;
}

const char *shard_thread_trouble(const struct shard_thread *t)
{
    return t->signs.trouble;
}

bool shard_thread_redis_up(const struct shard_thread *t)
{
    return cache_async_obeys(t->cache);
}
