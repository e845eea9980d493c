#include "common/loop_fake.h"

#include <assert.h>
#include <stdlib.h>

struct posted {
    loop_fn *fn;
    void *arg;
    struct posted *next;
};

struct loop_timer {
    struct fake *owner;
    loop_fn *fn;
    void *arg;
    bool armed;
    int64_t due_us, repeat_us;
    uint64_t turn;                  /* in which it was set: it fires in a later one */
    struct loop_timer *prev, *next; /* by due time, then by order of setting */
};

struct loop_io {
    struct fake *owner;
    int fd, events;
    loop_io_fn *fn;
    void *arg;
    struct loop_io *next;
};

struct fake {
    struct loop loop; /* first */
    struct clock_stepped clock;
    struct posted *first, *last;
    struct loop_timer *timers, *timers_last;
    struct loop_io *ios;
    size_t posted_n, timers_n, alive;
    uint64_t turn;
    unsigned fail;
    bool stop;
};

static struct fake *of(struct loop *l)
{
    return (struct fake *)(void *)l;
}

static const struct fake *of_const(const struct loop *l)
{
    return (const struct fake *)(const void *)l;
}

static bool fails(struct fake *f)
{
    return f->fail > 0 && --f->fail == 0;
}

static int fake_post(struct loop *l, loop_fn *fn, void *arg)
{
    struct fake *f = of(l);
    struct posted *p = fails(f) ? NULL : malloc(sizeof *p);
    if (!p)
        return ERR_NOMEM;
    *p = (struct posted){fn, arg, NULL};
    *(f->last ? &f->last->next : &f->first) = p;
    f->last = p;
    f->posted_n++;
    return 0;
}

static void run_posted(struct fake *f)
{
    struct posted *p = f->first;
    f->first = f->last = NULL;
    f->posted_n = 0;
    while (p) {
        struct posted *next = p->next;
        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void timer_remove(struct loop_timer *t)
{
    struct fake *f = t->owner;
    if (!t->armed)
        return;
    *(t->prev ? &t->prev->next : &f->timers) = t->next;
    *(t->next ? &t->next->prev : &f->timers_last) = t->prev;
    t->prev = t->next = NULL;
    t->armed = false;
    f->timers_n--;
}

static void timer_insert(struct loop_timer *t, int64_t due_us)
{
    struct fake *f = t->owner;
    struct loop_timer *before = f->timers_last;
    while (before && before->due_us > due_us)
        before = before->prev;
    t->due_us = due_us;
    t->turn = f->turn;
    t->prev = before;
    t->next = before ? before->next : f->timers;
    *(before ? &before->next : &f->timers) = t;
    *(t->next ? &t->next->prev : &f->timers_last) = t;
    t->armed = true;
    f->timers_n++;
}

/* The first timer that is due and was not set in this very turn. */
static struct loop_timer *due_timer(struct fake *f)
{
    for (struct loop_timer *t = f->timers; t && t->due_us <= f->clock.mono; t = t->next) {
        if (t->turn < f->turn)
            return t;
    }
    return NULL;
}

static void turn(struct fake *f)
{
    f->turn++;
    run_posted(f);
    for (struct loop_timer *t; !f->stop && (t = due_timer(f)) != NULL;) {
        int64_t due = t->due_us;
        timer_remove(t);
        if (t->repeat_us > 0)
            timer_insert(t, due + t->repeat_us);
        t->fn(t->arg);
    }
}

/* Something to do at the present moment? Else step to the next timer, not past `until` (mono). */
static bool advance(struct fake *f, int64_t until)
{
    if (f->first)
        return true;
    if (!f->timers || f->timers->due_us > until)
        return false;
    if (f->timers->due_us > f->clock.mono)
        clock_step(&f->clock, f->timers->due_us - f->clock.mono);
    return true;
}

static void fake_run(struct loop *l)
{
    struct fake *f = of(l);
    while (!f->stop && advance(f, INT64_MAX))
        turn(f);
    f->stop = false;
}

static void fake_stop(struct loop *l)
{
    of(l)->stop = true;
}

static void fake_close(struct loop *l)
{
    struct fake *f = of(l);
    assert(f->alive == 0 && "free timers and watches before the loop");
    while (f->first) {
        struct posted *next = f->first->next;
        free(f->first);
        f->first = next;
    }
    free(f);
}

static struct loop_timer *fake_timer_new(struct loop *l, loop_fn *fn, void *arg)
{
    struct fake *f = of(l);
    struct loop_timer *t = fails(f) ? NULL : calloc(1, sizeof *t);
    if (!t)
        return NULL;
    t->owner = f;
    t->fn = fn;
    t->arg = arg;
    f->alive++;
    return t;
}

static void fake_timer_set(struct loop_timer *t, int64_t ms, int64_t repeat_ms)
{
    timer_remove(t);
    t->repeat_us = repeat_ms * 1000;
    timer_insert(t, t->owner->clock.mono + (ms > 0 ? ms * 1000 : 0));
}

static void fake_timer_free(struct loop_timer *t)
{
    timer_remove(t);
    t->owner->alive--;
    free(t);
}

static struct loop_io *fake_io_new(struct loop *l, int fd, loop_io_fn *fn, void *arg)
{
    struct fake *f = of(l);
    struct loop_io *i = fails(f) ? NULL : calloc(1, sizeof *i);
    if (!i)
        return NULL;
    *i = (struct loop_io){f, fd, 0, fn, arg, f->ios};
    f->ios = i;
    f->alive++;
    return i;
}

static void fake_io_set(struct loop_io *i, int events)
{
    i->events = events;
}

static void fake_io_free(struct loop_io *i)
{
    struct loop_io **at = &i->owner->ios;
    while (*at != i)
        at = &(*at)->next;
    *at = i->next;
    i->owner->alive--;
    free(i);
}

static const struct loop_ops ops = {
    .run = fake_run,
    .stop = fake_stop,
    .close = fake_close,
    .post = fake_post,
    .timer_new = fake_timer_new,
    .timer_set = fake_timer_set,
    .timer_stop = timer_remove,
    .timer_free = fake_timer_free,
    .io_new = fake_io_new,
    .io_set = fake_io_set,
    .io_free = fake_io_free,
};

int loop_fake_open(int64_t wall_us, struct loop **out)
{
    struct fake *f = calloc(1, sizeof *f);
    if (!f)
        return ERR_NOMEM;
    clock_stepped_init(&f->clock, wall_us);
    f->loop = (struct loop){&ops, &f->clock.clock};
    *out = &f->loop;
    return 0;
}

void loop_fake_step_wall(struct loop *l, int64_t us)
{
    clock_step_wall(&of(l)->clock, us);
}

void loop_fake_sleep(struct loop *l, int64_t us)
{
    clock_step_asleep(&of(l)->clock, us);
}

const struct clock *loop_fake_clock(const struct loop *l)
{
    return l->clock;
}

bool loop_fake_run_until(struct loop *l, loop_fake_condition *condition, void *arg, int64_t max_ms)
{
    struct fake *f = of(l);
    int64_t until = f->clock.mono + max_ms * 1000;
    bool met = condition && condition(arg);
    while (!met && !f->stop && advance(f, until)) {
        turn(f);
        met = condition && condition(arg);
    }
    f->stop = false;
    return met;
}

void loop_fake_run_for(struct loop *l, int64_t ms)
{
    struct fake *f = of(l);
    int64_t until = f->clock.mono + ms * 1000;
    loop_fake_run_until(l, NULL, NULL, ms);
    if (f->clock.mono < until)
        clock_step(&f->clock, until - f->clock.mono);
}

size_t loop_fake_pending(const struct loop *l)
{
    return of_const(l)->posted_n + of_const(l)->timers_n;
}

void loop_fake_fire(struct loop *l, int fd, int events)
{
    for (struct loop_io *i = of(l)->ios; i; i = i->next) {
        if (i->fd == fd && (i->events & events)) {
            i->fn(i->arg, i->events & events);
            return;
        }
    }
}

int loop_fake_watched(const struct loop *l, int fd)
{
    int events = 0;
    for (const struct loop_io *i = of_const(l)->ios; i; i = i->next)
        events |= i->fd == fd ? i->events : 0;
    return events;
}

void loop_fake_fail(struct loop *l, unsigned n)
{
    of(l)->fail = n;
}
