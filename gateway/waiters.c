#include "gateway/waiters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/live.h"

struct waiters {
    struct waiters_settings s;
    pthread_mutex_t lock; /* all below, and `news` of each waiter */
    pthread_cond_t woken; /* broadcast: few wait, and each looks whether it was meant */
    unsigned n;
    bool stopping;
};

struct waiter {
    struct waiters *all;
    char channel[LIVE_CHANNEL];
    bool news;
    bool listens; /* the loop's thread */
};

int waiters_open(const struct waiters_settings *s, struct waiters **out)
{
    struct waiters *w = calloc(1, sizeof *w);
    if (!w)
        return ERR_NOMEM;
    w->s = *s;
    pthread_mutex_init(&w->lock, NULL);
    clock_cond_init(&w->woken);
    *out = w;
    return 0;
}

void waiters_close(struct waiters *w)
{
    if (!w)
        return;
    pthread_cond_destroy(&w->woken);
    pthread_mutex_destroy(&w->lock);
    free(w);
}

void waiters_stop(struct waiters *w)
{
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->woken);
    pthread_mutex_unlock(&w->lock);
}

/* ---- the loop's thread */

/* `{"seq":7,"event":"done",...`; without an event it was too large to be sent. */
static bool may_be_done(const char *message, size_t len)
{
    static const char event[] = "\"event\":\"";
    const char *at = memmem(message, len, event, sizeof event - 1);
    return !at || strncmp(at + sizeof event - 1, "done\"", 5) == 0;
}

/* No message: it is subscribed, and what came before may be lost. */
static void on_message(void *arg, const char *channel, const char *message, size_t len)
{
    struct waiter *w = arg;
    (void)channel;
    if (message && !may_be_done(message, len))
        return;
    pthread_mutex_lock(&w->all->lock);
    w->news = true;
    pthread_cond_broadcast(&w->all->woken);
    pthread_mutex_unlock(&w->all->lock);
}

static void listen_now(void *arg)
{
    struct waiter *w = arg;
    w->listens = cache_subscribe(w->all->s.cache, w->channel, on_message, w) == 0;
}

static void let_go(void *arg)
{
    struct waiter *w = arg;
    if (w->listens)
        cache_unsubscribe(w->all->s.cache, w->channel, on_message, w);
    free(w);
}

/* ---- the request's thread */

static bool enter(struct waiters *w)
{
    pthread_mutex_lock(&w->lock);
    bool in = !w->stopping && w->n < w->s.max;
    w->n += in;
    pthread_mutex_unlock(&w->lock);
    return in;
}

static void leave(struct waiters *w)
{
    pthread_mutex_lock(&w->lock);
    w->n--;
    pthread_mutex_unlock(&w->lock);
}

int waiter_begin(struct waiters *all, const struct job_id *id, struct waiter **out)
{
    if (!enter(all))
        return ERR_FULL;
    struct waiter *w = calloc(1, sizeof *w);
    if (w) {
        w->all = all;
        live_channel(id, w->channel);
    }
    if (!w || (all->s.cache && loop_post(all->s.loop, listen_now, w) != 0)) {
        free(w);
        leave(all);
        return ERR_FULL;
    }
    *out = w;
    return 0;
}

int waiter_sleep(struct waiter *w, int64_t ms)
{
    struct waiters *all = w->all;
    bool last = ms <= all->s.look_ms;
    struct timespec until = clock_until(ms <= 0 ? 0 : last ? ms : all->s.look_ms);
    int rc = 0;
    pthread_mutex_lock(&all->lock);
    while (!w->news && !all->stopping && rc == 0)
        rc = pthread_cond_timedwait(&all->woken, &all->lock, &until);
    int err = all->stopping ? ERR_CLOSED : !w->news && last ? ERR_TIMEOUT : 0;
    w->news = false;
    pthread_mutex_unlock(&all->lock);
    return err;
}

void waiter_end(struct waiter *w)
{
    if (!w)
        return;
    struct waiters *all = w->all;
    if (!all->s.cache)
        free(w);
    else
        (void)loop_post(all->s.loop, let_go, w); /* without memory it listens on, and is lost */
    leave(all);
}
