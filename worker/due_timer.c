#include "worker/due_timer.h"

static void arm(struct due_timer *t, int64_t at_ms)
{
    int64_t now = loop_now_ms(t->loop);
    t->armed_ms = at_ms;
    loop_timer_set(t->loop, t->timer, at_ms > now ? at_ms - now : 0, 0);
}

static void earlier(void *arg, int64_t at_ms)
{
    struct due_timer *t = arg;
    if (t->armed_ms < 0 || at_ms < t->armed_ms)
        arm(t, at_ms);
}

static void fires(void *arg)
{
    struct due_timer *t = arg;
    t->armed_ms = -1;
    int64_t next = due_run(&t->due, loop_now_ms(t->loop));
    if (next >= 0 && t->armed_ms < 0)
        arm(t, next);
}

int due_timer_init(struct due_timer *t, struct loop *loop)
{
    *t = (struct due_timer){.loop = loop, .armed_ms = -1};
    t->timer = loop_timer_new(loop, fires, t);
    t->due.earlier = earlier;
    t->due.arg = t;
    return t->timer ? 0 : ERR_NOMEM;
}

void due_timer_fini(struct due_timer *t)
{
    if (t->loop)
        loop_timer_free(t->loop, t->timer);
    due_fini(&t->due);
    *t = (struct due_timer){0};
}
