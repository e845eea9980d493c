#include "worker/offsets.h"

#include <stdlib.h>
#include <string.h>

enum { WORD = 64, FIRST_WORDS = 4 };

static uint64_t *word_of(const struct offsets *o, int64_t offset)
{
    return &o->bit[((uint64_t)offset / WORD) & (o->words - 1)];
}

static uint64_t mask_of(int64_t offset)
{
    return UINT64_C(1) << ((uint64_t)offset % WORD);
}

void offsets_init(struct offsets *o, int64_t start)
{
    *o = (struct offsets){.base = start < 0 ? -1 : start, .next = start < 0 ? -1 : start};
}

void offsets_fini(struct offsets *o)
{
    free(o->bit);
    *o = (struct offsets){.base = -1, .next = -1};
}

/* A ring of twice the size: absolute word numbers keep their bits, only their place changes. */
static int grow(struct offsets *o)
{
    size_t words = o->words ? o->words * 2 : FIRST_WORDS;
    uint64_t *bit = calloc(words, sizeof *bit);
    if (!bit)
        return ERR_NOMEM;
    if (o->words && o->open)
        for (uint64_t w = (uint64_t)o->base / WORD; w <= (uint64_t)(o->next - 1) / WORD; w++)
            bit[w & (words - 1)] = o->bit[w & (o->words - 1)];
    free(o->bit);
    o->bit = bit;
    o->words = words;
    return 0;
}

int offsets_take(struct offsets *o, int64_t offset)
{
    if (offset < o->next)
        return ERR_EXISTS;
    int64_t base = o->open ? o->base : offset;
    if (offset - base >= OFFSETS_SPAN)
        return ERR_FULL;
    /* the ring must hold the words of base and offset at the same time */
    while ((uint64_t)offset / WORD - (uint64_t)base / WORD >= o->words)
        if (grow(o))
            return ERR_NOMEM;
    *word_of(o, offset) |= mask_of(offset);
    o->base = base;
    o->next = offset + 1;
    o->open++;
    return 0;
}

/* The first open record at or after base; only called while one is open. */
static int64_t first_open(const struct offsets *o)
{
    int64_t at = o->base;
    uint64_t bits = *word_of(o, at) & (~UINT64_C(0) << ((uint64_t)at % WORD));
    while (!bits) {
        at = (at / WORD + 1) * WORD;
        bits = *word_of(o, at);
    }
    return at / WORD * WORD + __builtin_ctzll(bits);
}

void offsets_done(struct offsets *o, int64_t offset)
{
    if (!o->open || offset < o->base || offset >= o->next ||
        !(*word_of(o, offset) & mask_of(offset)))
        return;
    *word_of(o, offset) &= ~mask_of(offset);
    o->open--;
    if (!o->open)
        o->base = o->next;
    else if (offset == o->base)
        o->base = first_open(o);
}

int64_t offsets_commit(const struct offsets *o)
{
    return o->open ? o->base : o->next;
}

int64_t offsets_span(const struct offsets *o)
{
    return o->open ? o->next - o->base : 0;
}
