#include "tests/standin/timers.h"
#include <stdlib.h>

static void put(struct timers *t, size_t place, struct timer *timer)
{
    t->heap[place] = timer;
    timer->place = place;
}

static void rise(struct timers *t, size_t place, struct timer *timer)
{
    for (; place > 1 && t->heap[place / 2]->due > timer->due; place /= 2)
        put(t, place, t->heap[place / 2]);
    put(t, place, timer);
}

static void sink(struct timers *t, size_t place, struct timer *timer)
{
    for (;;) {
        size_t child = place * 2;
        if (child > t->count)
            break;
        if (child < t->count && t->heap[child + 1]->due < t->heap[child]->due)
            child++;
        if (t->heap[child]->due >= timer->due)
            break;
        put(t, place, t->heap[child]);
        place = child;
    }
    put(t, place, timer);
}

void timer_set(struct timers *t, struct timer *timer, int64_t due)
{
    timer_stop(t, timer);
    timer->due = due;
    if (t->count + 2 > t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->heap = realloc(t->heap, t->cap * sizeof *t->heap);
        if (!t->heap)
            abort();
    }
    rise(t, ++t->count, timer);
}

void timer_stop(struct timers *t, struct timer *timer)
{
    size_t place = timer->place;
    if (!place)
        return;
    struct timer *last = t->heap[t->count--];
    timer->place = 0;
    if (last == timer)
        return;
    if (place > 1 && t->heap[place / 2]->due > last->due)
        rise(t, place, last);
    else
        sink(t, place, last);
}

struct timer *timers_take(struct timers *t, int64_t now)
{
    if (!t->count || t->heap[1]->due > now)
        return NULL;
    struct timer *first = t->heap[1];
    timer_stop(t, first);
    return first;
}

int64_t timers_wait(const struct timers *t, int64_t now)
{
    static const int64_t minute = 60 * INT64_C(1000000);
    int64_t us = t->count ? t->heap[1]->due - now : minute;
    return us < 0 ? 0 : us > minute ? minute : us;
}
