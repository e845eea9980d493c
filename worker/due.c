#include "worker/due.h"

#include <stdlib.h>

enum { FIRST = 64 };

static void put(struct due *d, struct due_item *i, size_t place)
{
    d->heap[place - 1] = i;
    i->place = place;
}

static void up(struct due *d, struct due_item *i, size_t place)
{
    while (place > 1 && d->heap[place / 2 - 1]->at_ms > i->at_ms) {
        put(d, d->heap[place / 2 - 1], place);
        place /= 2;
    }
    put(d, i, place);
}

static void down(struct due *d, struct due_item *i, size_t place)
{
    for (size_t child = place * 2; child <= d->n; child = place * 2) {
        if (child < d->n && d->heap[child]->at_ms < d->heap[child - 1]->at_ms)
            child++;
        if (d->heap[child - 1]->at_ms >= i->at_ms)
            break;
        put(d, d->heap[child - 1], place);
        place = child;
    }
    put(d, i, place);
}

void due_fini(struct due *d)
{
    free(d->heap);
    *d = (struct due){0};
}

void due_stop(struct due *d, struct due_item *i)
{
    size_t place = i->place;
    if (!place)
        return;
    i->place = 0;
    struct due_item *last = d->heap[--d->n];
    if (last == i)
        return;
    if (place > 1 && d->heap[place / 2 - 1]->at_ms > last->at_ms)
        up(d, last, place);
    else
        down(d, last, place);
}

int due_set(struct due *d, struct due_item *i, int64_t at_ms)
{
    due_stop(d, i);
    if (d->n == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : FIRST;
        struct due_item **heap = realloc(d->heap, cap * sizeof(struct due_item *));
        if (!heap)
            return ERR_NOMEM;
        d->heap = heap;
        d->cap = cap;
    }
    i->at_ms = at_ms;
    up(d, i, ++d->n);
    if (i->place == 1 && d->earlier)
        d->earlier(d->arg, at_ms);
    return 0;
}

int64_t due_next(const struct due *d)
{
    return d->n ? d->heap[0]->at_ms : -1;
}

int64_t due_run(struct due *d, int64_t now_ms)
{
    while (d->n && d->heap[0]->at_ms <= now_ms) {
        struct due_item *i = d->heap[0];
        due_stop(d, i);
        i->fn(i->arg);
    }
    return due_next(d);
}
