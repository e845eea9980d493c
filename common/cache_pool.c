#include "common/cache_pool.h"
#include "common/backoff.h"
#include "common/log.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { RETRY_MIN_MS = 100, RETRY_MAX_MS = 2000, WAIT_MS = 50, CONNECTIONS = 32 };

struct pooled {
    struct cache_link *link;
    struct pooled *next;
    unsigned generation;
};

struct pool {
    struct cache port; /* first */
    const struct cache_driver *driver;
    void *arg;
    const struct clock *clock;
    int wait_ms;
    unsigned max;
    _Atomic int64_t refused_ms; /* last answer that was an error */
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t freed, wake;
    struct pooled *idle;
    unsigned open, generation; /* generation: of connections, counted up at each failure */
    bool up, stop;
    bool told; /* the log says that it is away */
};

static struct timespec after(const struct pool *p, int64_t ms)
{
    int64_t us = clock_mono_us(p->clock) + ms * 1000;
    return (struct timespec){us / 1000000, us % 1000000 * 1000};
}

static void pooled_free(const struct pool *p, struct pooled *c)
{
    for (struct pooled *next; c; c = next) {
        next = c->next;
        p->driver->close(c->link);
        free(c);
    }
}

static struct pooled *pooled_new(const struct pool *p, bool anew, char why[CACHE_WHY])
{
    struct pooled *c = calloc(1, sizeof *c);
    snprintf(why, CACHE_WHY, "no memory");
    if (c && !(c->link = p->driver->open(p->arg, p->wait_ms, anew, why))) {
        free(c);
        return NULL;
    }
    return c;
}

static void put_idle(struct pool *p, struct pooled *c)
{
    c->next = p->idle;
    p->idle = c;
}

/* Wait out one step while the pool is down; false: it is to end. With the lock. */
static bool wait_step(struct pool *p, struct backoff *backoff)
{
    struct timespec until = after(p, backoff_next(backoff, rng_real()));
    while (!p->stop && pthread_cond_timedwait(&p->wake, &p->lock, &until) != ETIMEDOUT)
        ;
    return !p->stop;
}

/* Once until it is up again. With the lock. */
static void tell_away(struct pool *p, const char *why)
{
    if (!p->told)
        log_warn("cache-away", "why", why);
    p->told = true;
}

static void *revive(void *arg)
{
    struct pool *p = arg;
    struct backoff backoff = {RETRY_MIN_MS, RETRY_MAX_MS, 0};
    char why[CACHE_WHY];
    pthread_mutex_lock(&p->lock);
    do {
        pthread_mutex_unlock(&p->lock);
        struct pooled *c = pooled_new(p, true, why); /* the very first try does not wait */
        pthread_mutex_lock(&p->lock);
        if (!c) {
            tell_away(p, why);
            continue;
        }
        c->generation = p->generation;
        put_idle(p, c);
        p->open++;
        p->up = true;
        p->told = false;
        backoff_reset(&backoff);
        log_info("cache-up");
        while (p->up && !p->stop)
            pthread_cond_wait(&p->wake, &p->lock);
    } while (wait_step(p, &backoff));
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void pool_failed(struct pool *p, const char *why)
{
    struct pooled *old = NULL;
    pthread_mutex_lock(&p->lock);
    if (p->up) {
        p->up = false;
        p->generation++;
        old = p->idle;
        for (struct pooled *c = old; c; c = c->next)
            p->open--;
        p->idle = NULL;
        tell_away(p, why);
        pthread_cond_broadcast(&p->freed);
        pthread_cond_signal(&p->wake);
    }
    pthread_mutex_unlock(&p->lock);
    pooled_free(p, old);
}

static void pool_put(struct pool *p, struct pooled *c, bool keep)
{
    c->next = NULL;
    pthread_mutex_lock(&p->lock);
    if (keep && c->generation == p->generation) {
        put_idle(p, c);
        c = NULL;
    } else {
        p->open--;
    }
    pthread_cond_signal(&p->freed);
    pthread_mutex_unlock(&p->lock);
    pooled_free(p, c);
}

/* An idle connection, or leave (counted as open) to make one: *out is NULL then. */
static int pool_reserve(struct pool *p, struct pooled **out, unsigned *generation)
{
    struct timespec until = after(p, p->wait_ms);
    bool late = false;
    int err = 0;
    pthread_mutex_lock(&p->lock);
    while (p->up && !p->idle && p->open >= p->max && !late)
        late = pthread_cond_timedwait(&p->freed, &p->lock, &until) == ETIMEDOUT;
    struct pooled *c = p->up ? p->idle : NULL;
    if (!p->up)
        err = ERR_IO;
    else if (c)
        p->idle = c->next;
    else if (p->open >= p->max)
        err = ERR_TIMEOUT;
    else
        p->open++;
    *generation = p->generation;
    pthread_mutex_unlock(&p->lock);
    if (!err)
        *out = c;
    return err;
}

static int pool_take(struct pool *p, struct pooled **out)
{
    struct pooled *c = NULL;
    char why[CACHE_WHY];
    unsigned generation;
    int err = pool_reserve(p, &c, &generation);
    if (err)
        return err;
    if (c) {
        c->next = NULL;
        if (!p->driver->is_stale(c->link)) {
            *out = c;
            return 0;
        }
        pooled_free(p, c);
    }
    c = pooled_new(p, false, why);
    if (!c) {
        pthread_mutex_lock(&p->lock);
        p->open--;
        pthread_cond_signal(&p->freed);
        pthread_mutex_unlock(&p->lock);
        pool_failed(p, why);
        return ERR_IO;
    }
    c->generation = generation;
    *out = c;
    return 0;
}

static bool refused_lately(const struct pool *p, int64_t refused_ms)
{
    return clock_mono_ms(p->clock) - refused_ms < CACHE_REFUSED_MS;
}

/* Told once for all that follow closely. */
static void note_refusals(struct pool *p, const struct cache_reply *replies, size_t n)
{
    while (n && replies->type != REPLY_ERROR)
        replies++, n--;
    if (n && !refused_lately(p, atomic_exchange(&p->refused_ms, clock_mono_ms(p->clock))))
        log_warn("cache-refuses", "why", replies->text);
}

static int pool_call(struct cache *port, const struct cache_command *commands, size_t n,
                     struct cache_reply *replies)
{
    struct pool *p = (struct pool *)port;
    struct pooled *c;
    const char *why = "no answer in time";
    for (size_t i = 0; i < n; i++)
        if (!cache_command_is_valid(&commands[i]))
            return ERR_INVALID;
    int err = pool_take(p, &c);
    if (err)
        return err;
    err = p->driver->exchange(c->link, commands, n, replies, &why);
    if (err)
        pool_failed(p, why);
    else
        note_refusals(p, replies, n);
    pool_put(p, c, !err);
    return err;
}

static bool pool_up(struct cache *port)
{
    struct pool *p = (struct pool *)port;
    pthread_mutex_lock(&p->lock);
    bool up = p->up;
    pthread_mutex_unlock(&p->lock);
    return up && !refused_lately(p, p->refused_ms);
}

static void pool_free(struct pool *p)
{
    pooled_free(p, p->idle);
    p->driver->free(p->arg);
    pthread_cond_destroy(&p->wake);
    pthread_cond_destroy(&p->freed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

static void pool_close(struct cache *port)
{
    struct pool *p = (struct pool *)port;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->wake);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    pool_free(p);
}

static void locks_init(struct pool *p)
{
    pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->freed);
    clock_cond_init(&p->wake);
}

int cache_pool_open(const struct cache_driver *driver, void *arg, const struct cache_settings *s,
                    const struct clock *clock, struct cache **out)
{
    static const struct cache_ops ops = {pool_call, pool_up, pool_close};
    struct pool *p = calloc(1, sizeof *p);
    if (!p) {
        driver->free(arg);
        return ERR_NOMEM;
    }
    *p = (struct pool){.port.ops = &ops, .driver = driver, .arg = arg, .clock = clock};
    p->wait_ms = s->wait_ms > 0 ? s->wait_ms : WAIT_MS;
    p->refused_ms = clock_mono_ms(clock) - CACHE_REFUSED_MS;
    p->max = s->connections ? s->connections : CONNECTIONS;
    locks_init(p);
    sigset_t all, before; /* signals belong to the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&p->thread, NULL, revive, p);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed) {
        pool_free(p);
        return ERR_NOMEM;
    }
    *out = &p->port;
    return 0;
}
