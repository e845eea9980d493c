/* due_timer.h - a heap of deadlines driven by one timer of a loop. Belongs to the loop's thread. */
#pragma once
#include "common/loop.h"
#include "worker/due.h"

struct due_timer {
    struct due due; /* what others arm their items in */
    struct loop *loop;
    struct loop_timer *timer;
    int64_t armed_ms; /* the timer fires then; -1: stopped */
};

/* In place; its address is kept until fini. 0 or ERR_NOMEM. */
int due_timer_init(struct due_timer *t, struct loop *loop) must_use;
void due_timer_fini(struct due_timer *t); /* also fine on a zeroed struct */
