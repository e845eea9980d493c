/* loop.h - one thread's event loop. Adapter: loop_uv.c (libuv). Fake: loop_fake.h (virtual time: it
 * jumps to the next timer instead of waiting, so a whole worker runs in milliseconds). All calls
 * belong to the loop's thread, but loop_post and loop_stop. Callbacks never run inside the call
 * that arms them. */
#pragma once
#include "common/clock.h"
#include "common/err.h"

struct loop;
struct loop_timer;
struct loop_io;
typedef void loop_fn(void *arg);
typedef void loop_io_fn(void *arg, int events);
enum { LOOP_READ = 1, LOOP_WRITE = 2 };

struct loop_ops { /* an adapter fills this; callers use the functions below */
    void (*run)(struct loop *);
    void (*stop)(struct loop *);
    void (*close)(struct loop *);
    int (*post)(struct loop *, loop_fn *fn, void *arg);
    struct loop_timer *(*timer_new)(struct loop *, loop_fn *fn, void *arg);
    void (*timer_set)(struct loop_timer *, int64_t ms, int64_t repeat_ms);
    void (*timer_stop)(struct loop_timer *);
    void (*timer_free)(struct loop_timer *);
    struct loop_io *(*io_new)(struct loop *, int fd, loop_io_fn *fn, void *arg);
    void (*io_set)(struct loop_io *, int events);
    void (*io_free)(struct loop_io *);
};
struct loop {
    const struct loop_ops *ops;
    const struct clock *clock; /* lent with the loop; real or virtual */
};

int loop_uv_open(struct loop **out) must_use; /* the real one */

/* Run until loop_stop; then close (frees; timers and ios must be freed before). */
static inline void loop_run(struct loop *l)
{
    l->ops->run(l);
}
static inline void loop_stop(struct loop *l)
{
    l->ops->stop(l);
} /* any thread */
static inline void loop_close(struct loop *l)
{
    if (l)
        l->ops->close(l);
}

/* Call fn(arg) in the loop's thread, in order of posting. Any thread. 0 or ERR_NOMEM. */
static inline int loop_post(struct loop *l, loop_fn *fn, void *arg)
{
    return l->ops->post(l, fn, arg);
}

/* A timer, stopped at first. set: fire after ms (0: next turn), then every repeat_ms if > 0; sets
 * anew. free is allowed in its own callback. */
static inline struct loop_timer *loop_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    return l->ops->timer_new(l, fn, arg);
}
static inline void loop_timer_set(struct loop *l, struct loop_timer *t, int64_t ms,
                                  int64_t repeat_ms)
{
    l->ops->timer_set(t, ms, repeat_ms);
}
static inline void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
    l->ops->timer_stop(t);
}
static inline void loop_timer_free(struct loop *l, struct loop_timer *t)
{
    if (t)
        l->ops->timer_free(t);
}

/* Watch a descriptor (borrowed; free the watch before closing it). events: OR of LOOP_READ,
 * LOOP_WRITE; 0 = none. */
static inline struct loop_io *loop_io_new(struct loop *l, int fd, loop_io_fn *fn, void *arg)
{
    return l->ops->io_new(l, fd, fn, arg);
}
static inline void loop_io_set(struct loop *l, struct loop_io *i, int events)
{
    l->ops->io_set(i, events);
}
static inline void loop_io_free(struct loop *l, struct loop_io *i)
{
    if (i)
        l->ops->io_free(i);
}

static inline int64_t loop_now_ms(const struct loop *l)
{
    return clock_mono_ms(l->clock);
}
