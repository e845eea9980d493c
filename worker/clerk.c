/* The same steps, driven by a thread that rests on a condition or by a timer of a loop. */
#include "worker/clerk.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

struct clerk {
    struct clerk_settings s;
    struct record *record; /* NULL: to be opened; belongs to whoever runs steps */
    int64_t backoff_ms;    /* 0: the last step went well */
    atomic_bool up;
    /* thread */
    pthread_t thread;
    pthread_mutex_t lock; /* woken, stop */
    pthread_cond_t changed;
    bool woken, stop;
    void (*last)(void *arg, struct record *r); /* before the connection is closed; NULL: nothing */
    /* loop */
    struct loop_timer *timer;
};

/* Says it once when it goes, and once when it comes back. */
static void note(struct clerk *c, int err, const char *why)
{
    if (c->s.name && err && !c->backoff_ms)
        log_warn("record-away", "who", c->s.name, "why", why[0] ? why : err_text(err));
    else if (c->s.name && !err && c->backoff_ms)
        log_info("record-back", "who", c->s.name);
}

/* One step with its connection; how long to wait after it, or CLERK_WAIT. */
static int64_t step(struct clerk *c)
{
    char text[RECORD_WHY] = "";
    const char *why = text;
    int64_t next_ms = CLERK_WAIT;
    int err = c->s.open && !c->record ? c->s.open(c->s.open_arg, &c->record, text) : 0;
    if (!err) {
        err = c->s.step(c->s.arg, c->record, &next_ms);
        why = err && c->record ? c->record->ops->why(c->record) : "";
    }
    atomic_store(&c->up, err == 0);
    note(c, err, why);
    if (!err) {
        c->backoff_ms = 0;
        return next_ms;
    }
    c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : CLERK_BACKOFF_MIN;
    if (c->backoff_ms > CLERK_BACKOFF_MAX)
        c->backoff_ms = CLERK_BACKOFF_MAX;
    return c->backoff_ms;
}

static void end(struct clerk *c)
{
    if (c->last && clerk_up(c))
        c->last(c->s.arg, c->record);
    if (c->record)
        c->record->ops->close(c->record);
    c->record = NULL;
}

/* ---- thread */

/* With the lock: until woken (which cuts no back-off), stopped, or ms are over. */
static void rest(struct clerk *c, int64_t ms)
{
    struct timespec at = clock_until(ms);
    while (!c->stop && (c->backoff_ms || !c->woken)) {
        if (ms < 0)
            pthread_cond_wait(&c->changed, &c->lock);
        else if (ms == 0 || pthread_cond_timedwait(&c->changed, &c->lock, &at))
            break;
    }
    c->woken = false;
}

static void *work(void *arg)
{
    struct clerk *c = arg;
    pthread_mutex_lock(&c->lock);
    while (!c->stop) {
        pthread_mutex_unlock(&c->lock);
        int64_t ms = step(c);
        pthread_mutex_lock(&c->lock);
        rest(c, ms);
    }
    pthread_mutex_unlock(&c->lock);
    end(c); /* in the thread that opened it */
    return NULL;
}

static int thread_start(struct clerk *c)
{
    pthread_mutex_init(&c->lock, NULL);
    clock_cond_init(&c->changed);
    return pthread_create(&c->thread, NULL, work, c) ? ERR_NOMEM : 0;
}

/* ---- loop */

static void on_timer(void *arg)
{
    struct clerk *c = arg;
    c->woken = false;
    int64_t ms = step(c);
    if (c->woken && !c->backoff_ms) /* woken by its own step */
        ms = 0;
    if (ms >= 0)
        loop_timer_set(c->s.loop, c->timer, ms, 0);
}

/* ---- */

int clerk_start(const struct clerk_settings *s, struct clerk **out)
{
    struct clerk *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    int err = 0;
    c->s = *s;
    if (!s->loop)
        err = thread_start(c);
    else if (!(c->timer = loop_timer_new(s->loop, on_timer, c)))
        err = ERR_NOMEM;
    else
        loop_timer_set(s->loop, c->timer, 0, 0);
    if (err) {
        free(c);
        return err;
    }
    *out = c;
    return 0;
}

void clerk_wake(struct clerk *c)
{
    if (c->s.loop) {
        c->woken = true;
        if (!c->backoff_ms)
            loop_timer_set(c->s.loop, c->timer, 0, 0);
        return;
    }
    pthread_mutex_lock(&c->lock);
    bool first = !c->woken;
    c->woken = true;
    if (first)
        pthread_cond_signal(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

bool clerk_up(const struct clerk *c)
{
    return atomic_load(&c->up);
}

void clerk_stop(struct clerk *c)
{
    clerk_stop_after(c, NULL);
}

void clerk_stop_after(struct clerk *c, void (*last)(void *arg, struct record *r))
{
    if (!c)
        return;
    if (c->s.loop) {
        c->last = last;
        loop_timer_free(c->s.loop, c->timer);
        end(c);
    } else {
        pthread_mutex_lock(&c->lock);
        c->last = last;
        c->stop = true;
        pthread_cond_signal(&c->changed);
        pthread_mutex_unlock(&c->lock);
        pthread_join(c->thread, NULL);
        pthread_cond_destroy(&c->changed);
        pthread_mutex_destroy(&c->lock);
    }
    free(c);
}
