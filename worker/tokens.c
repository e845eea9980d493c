#include "worker/tokens.h"

static void drop_first(struct tokens *t)
{
    t->batches--;
    for (unsigned i = 0; i < t->batches; i++)
        t->batch[i] = t->batch[i + 1];
}

static void spend(struct tokens *t, struct tokens_batch *b, unsigned n)
{
    b->n -= n;
    b->at_us += t->gap_us * n;
}

/* Those whose time is over are void; then empty batches go. */
static void drop_void(struct tokens *t, int64_t now_us)
{
    while (t->batches) {
        struct tokens_batch *b = &t->batch[0];
        while (b->n && (double)now_us > b->at_us + (double)b->late_us)
            spend(t, b, 1);
        if (b->n)
            return;
        drop_first(t);
    }
}

void tokens_add(struct tokens *t, int64_t at_us, int64_t late_us, unsigned n)
{
    if (!n)
        return;
    if (t->batches == TOKENS_BATCHES)
        drop_first(t);
    t->batch[t->batches++] =
        (struct tokens_batch){.at_us = (double)at_us, .late_us = late_us, .n = n};
}

int64_t tokens_wait_us(struct tokens *t, int64_t now_us)
{
    drop_void(t, now_us);
    if (!t->batches)
        return -1;
    double wait = t->batch[0].at_us - (double)now_us;
    return wait > 0 ? (int64_t)wait + 1 : 0;
}

void tokens_take(struct tokens *t, int64_t now_us)
{
    if (tokens_wait_us(t, now_us) != 0)
        return;
    spend(t, &t->batch[0], 1);
    if (!t->batch[0].n)
        drop_first(t);
}

unsigned tokens_left(struct tokens *t, int64_t now_us)
{
    unsigned n = 0;
    drop_void(t, now_us);
    for (unsigned i = 0; i < t->batches; i++)
        n += t->batch[i].n;
    return n;
}
