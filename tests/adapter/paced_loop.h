/* paced_loop.h - a real loop that runs until all who are waited for have come, and a timer of 20 ms
 * in it that tells for how long it stood still and how many threads there were. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdint.h>
#include <cmocka.h>

#include "common/loop.h"

struct paced { /* zeroed at first */
    struct loop *loop;
    struct loop_timer *guard, *tick;
    size_t left;             /* who is still to come: paced_came */
    int64_t last_ms, gap_ms; /* of the tick */
    unsigned ticks;
    size_t threads_max;
};

static inline size_t threads_now(void)
{
    size_t n = 0;
    DIR *d = opendir("/proc/self/task");
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static inline void paced_look(struct paced *p)
{
    int64_t now = loop_now_ms(p->loop);
    size_t n = threads_now();
    p->gap_ms = now - p->last_ms > p->gap_ms ? now - p->last_ms : p->gap_ms;
    p->threads_max = n > p->threads_max ? n : p->threads_max;
    p->last_ms = now;
}

static inline void paced_on_tick(void *arg)
{
    struct paced *p = arg;
    paced_look(p);
    p->ticks++;
}

static inline void paced_on_guard(void *arg)
{
    loop_stop(((struct paced *)arg)->loop);
}

static inline void paced_open(struct paced *p)
{
    assert_int_equal(loop_uv_open(&p->loop), 0);
    p->guard = loop_timer_new(p->loop, paced_on_guard, p);
    p->tick = loop_timer_new(p->loop, paced_on_tick, p);
}

static inline void paced_close(struct paced *p)
{
    loop_timer_free(p->loop, p->guard);
    loop_timer_free(p->loop, p->tick);
    loop_close(p->loop);
}

static inline void paced_came(struct paced *p)
{
    if (--p->left == 0)
        loop_stop(p->loop);
}

/* Until nobody is left, or for max_ms. */
static inline void paced_run(struct paced *p, int64_t max_ms)
{
    p->last_ms = loop_now_ms(p->loop);
    loop_timer_set(p->loop, p->tick, 20, 20);
    loop_timer_set(p->loop, p->guard, max_ms, 0);
    if (p->left)
        loop_run(p->loop);
    loop_timer_stop(p->loop, p->guard);
    paced_look(p);
}
