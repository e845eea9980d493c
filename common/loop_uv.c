#include "common/loop.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <uv.h>

/* Timers of 0 ms are the most frequent ones (curl's "call me soon"): they wait in a list that an
 * idle handle drains, instead of passing through libuv's heap. A timer set during the drain waits
 * for the next turn, so a timer that re-arms itself cannot starve descriptors. */

struct posted {
    loop_fn *fn;
    void *arg;
    struct posted *next;
};

struct real {
    struct loop loop; /* first */
    uv_loop_t uv;
    uv_async_t wake;
    uv_idle_t idle;
    struct loop_timer *soon_first, *soon_last;
    uint64_t turn; /* number of the drain of `soon` */
    size_t alive;  /* timers and ios not freed: only for the assertion in close */
    atomic_bool stop;
    pthread_mutex_t lock; /* the list of posted calls */
    struct posted *first, *last;
};

struct loop_timer {
    uv_timer_t uv; /* first */
    struct real *owner;
    loop_fn *fn;
    void *arg;
    struct loop_timer *prev, *next; /* in `soon` */
    bool soon;
    uint64_t turn;
    int64_t repeat_ms;
};

struct loop_io {
    uv_poll_t uv; /* first */
    struct real *owner;
    loop_io_fn *fn;
    void *arg;
    int events; /* armed now */
};

static struct real *of(struct loop *l)
{
    return (struct real *)(void *)l;
}

/* ---- posted calls */

static void run_posted(struct real *l)
{
    pthread_mutex_lock(&l->lock);
    struct posted *p = l->first;
    l->first = l->last = NULL;
    pthread_mutex_unlock(&l->lock);
    while (p) {
        struct posted *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void on_wake(uv_async_t *wake)
{
    struct real *l = wake->data;
    run_posted(l);
    if (atomic_load(&l->stop))
        uv_stop(&l->uv);
}

static int real_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct real *l = of(loop);
    struct posted *p = malloc(sizeof *p);
    if (!p)
        return ERR_NOMEM;
    *p = (struct posted){fn, arg, NULL};
    pthread_mutex_lock(&l->lock);
    bool first = l->first == NULL;
    if (first)
        l->first = p;
    else
        l->last->next = p;
    l->last = p;
    pthread_mutex_unlock(&l->lock);
    if (first) /* else the one before has sent the wake-up already */
        uv_async_send(&l->wake);
    return 0;
}

static void real_run(struct loop *loop)
{
    struct real *l = of(loop);
    while (!atomic_load(&l->stop))
        uv_run(&l->uv, UV_RUN_DEFAULT);
    atomic_store(&l->stop, false);
}

static void real_stop(struct loop *loop)
{
    struct real *l = of(loop);
    atomic_store(&l->stop, true);
    uv_async_send(&l->wake);
}

static void real_end(struct loop *loop)
{
    struct real *l = of(loop);
    assert(l->alive == 0 && "free timers and watches before the loop");
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* libuv frees handles only by running */
    uv_loop_close(&l->uv);
    while (l->first) {
        struct posted *next = l->first->next;
        free(l->first);
        l->first = next;
    }
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* ---- timers */

static void soon_remove(struct loop_timer *t)
{
    struct real *l = t->owner;
    if (!t->soon)
        return;
    *(t->prev ? &t->prev->next : &l->soon_first) = t->next;
    *(t->next ? &t->next->prev : &l->soon_last) = t->prev;
    t->prev = t->next = NULL;
    t->soon = false;
}

static void on_timer(uv_timer_t *uv)
{
    struct loop_timer *t = (struct loop_timer *)(void *)uv;
    t->fn(t->arg);
}

static void on_idle(uv_idle_t *idle)
{
    struct real *l = idle->data;
    uint64_t turn = ++l->turn;
    while (l->soon_first && l->soon_first->turn < turn) {
        struct loop_timer *t = l->soon_first;
        soon_remove(t);
        if (t->repeat_ms > 0)
            uv_timer_start(&t->uv, on_timer, (uint64_t)t->repeat_ms, (uint64_t)t->repeat_ms);
        t->fn(t->arg);
    }
    if (!l->soon_first)
        uv_idle_stop(idle);
}

static void soon_add(struct loop_timer *t)
{
    struct real *l = t->owner;
    t->turn = l->turn;
    t->soon = true;
    t->prev = l->soon_last;
    *(l->soon_last ? &l->soon_last->next : &l->soon_first) = t;
    l->soon_last = t;
    uv_idle_start(&l->idle, on_idle);
}

static struct loop_timer *real_timer_new(struct loop *loop, loop_fn *fn, void *arg)
{
    struct real *l = of(loop);
    struct loop_timer *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    uv_timer_init(&l->uv, &t->uv);
    t->owner = l;
    t->fn = fn;
    t->arg = arg;
    l->alive++;
    return t;
}

static void real_timer_stop(struct loop_timer *t)
{
    soon_remove(t);
    uv_timer_stop(&t->uv);
}

static void real_timer_set(struct loop_timer *t, int64_t ms, int64_t repeat_ms)
{
    real_timer_stop(t);
    t->repeat_ms = repeat_ms;
    if (ms <= 0) {
        soon_add(t);
        return;
    }
    uv_update_time(&t->owner->uv); /* a long turn must not make it fire early */
    uv_timer_start(&t->uv, on_timer, (uint64_t)ms, (uint64_t)(repeat_ms > 0 ? repeat_ms : 0));
}

static void free_handle(uv_handle_t *h)
{
    free(h); /* the handle is the first member of timer and io */
}

static void real_timer_free(struct loop_timer *t)
{
    real_timer_stop(t);
    t->owner->alive--;
    uv_close((uv_handle_t *)&t->uv, free_handle);
}

/* ---- descriptors */

static void on_io(uv_poll_t *uv, int status, int events)
{
    struct loop_io *i = (struct loop_io *)(void *)uv;
    int what = (events & UV_READABLE ? LOOP_READ : 0) | (events & UV_WRITABLE ? LOOP_WRITE : 0);
    if (status < 0) { /* libuv has stopped the watch: whoever reads or writes meets the error */
        what = LOOP_READ | LOOP_WRITE;
        i->events = 0;
    }
    i->fn(i->arg, what);
}

static struct loop_io *real_io_new(struct loop *loop, int fd, loop_io_fn *fn, void *arg)
{
    struct real *l = of(loop);
    struct loop_io *i = calloc(1, sizeof *i);
    if (!i)
        return NULL;
    if (uv_poll_init(&l->uv, &i->uv, fd) != 0) {
        free(i);
        return NULL;
    }
    i->owner = l;
    i->fn = fn;
    i->arg = arg;
    l->alive++;
    return i;
}

static void real_io_set(struct loop_io *i, int events)
{
    if (events == i->events)
        return; /* libuv would take the descriptor out of epoll and put it back */
    i->events = events;
    int what = (events & LOOP_READ ? UV_READABLE : 0) | (events & LOOP_WRITE ? UV_WRITABLE : 0);
    if (what)
        uv_poll_start(&i->uv, what, on_io);
    else
        uv_poll_stop(&i->uv);
}

static void real_io_free(struct loop_io *i)
{
    uv_poll_stop(&i->uv);
    i->owner->alive--;
    uv_close((uv_handle_t *)&i->uv, free_handle);
}

static const struct loop_ops ops = {
    .run = real_run,
    .stop = real_stop,
    .close = real_end,
    .post = real_post,
    .timer_new = real_timer_new,
    .timer_set = real_timer_set,
    .timer_stop = real_timer_stop,
    .timer_free = real_timer_free,
    .io_new = real_io_new,
    .io_set = real_io_set,
    .io_free = real_io_free,
};

int loop_uv_open(struct loop **out)
{
    struct real *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->loop = (struct loop){&ops, clock_real()};
    if (uv_loop_init(&l->uv) != 0)
        goto fail;
    if (uv_async_init(&l->uv, &l->wake, on_wake) != 0) {
        uv_loop_close(&l->uv);
        goto fail;
    }
    uv_idle_init(&l->uv, &l->idle);
    l->wake.data = l->idle.data = l;
    pthread_mutex_init(&l->lock, NULL);
    *out = &l->loop;
    return 0;
fail:
    free(l);
    return ERR_IO; /* out of descriptors */
}
