#include "common/cache_channels.h"
#include <stdlib.h>
#include <string.h>

struct channel_listener {
    struct channel_listener *next;
    cache_message_fn *fn;
    void *arg;
    bool knows; /* that the channel is subscribed */
    char channel[];
};

static size_t slot_of(const struct cache_channels *t, const char *channel)
{
    uint64_t h = 14695981039346656037u; /* FNV-1a: names are ours, not an attacker's */
    for (; *channel; channel++)
        h = (h ^ (unsigned char)*channel) * 1099511628211u;
    return (size_t)(h % t->slots_n);
}

/* At the end of its slot: listeners of a channel keep their order while they are told. */
static void append(struct cache_channels *t, struct channel_listener *l)
{
    struct channel_listener **at = &t->slots[slot_of(t, l->channel)];
    while (*at)
        at = &(*at)->next;
    l->next = NULL;
    *at = l;
}

static int grow(struct cache_channels *t)
{
    size_t n = t->slots_n ? t->slots_n * 2 : 64;
    struct cache_channels bigger = {calloc(n, sizeof(void *)), n, t->n};
    if (!bigger.slots)
        return ERR_NOMEM;
    for (size_t i = 0; i < t->slots_n; i++)
        for (struct channel_listener *l = t->slots[i], *next; l; l = next) {
            next = l->next;
            append(&bigger, l);
        }
    free(t->slots);
    *t = bigger;
    return 0;
}

void cache_channels_fini(struct cache_channels *t)
{
    for (size_t i = 0; i < t->slots_n; i++)
        for (struct channel_listener *l = t->slots[i], *next; l; l = next) {
            next = l->next;
            free(l);
        }
    free(t->slots);
    *t = (struct cache_channels){0};
}

int cache_channels_add(struct cache_channels *t, const char *channel, cache_message_fn *fn,
                       void *arg, bool *first)
{
    bool known = false;
    if (t->n >= t->slots_n && grow(t))
        return ERR_NOMEM;
    const struct channel_listener *other = t->slots[slot_of(t, channel)];
    for (; other; other = other->next)
        if (!strcmp(other->channel, channel)) {
            known = true;
            if (other->fn == fn && other->arg == arg)
                return ERR_EXISTS;
        }
    size_t size = strlen(channel) + 1;
    struct channel_listener *l = malloc(sizeof *l + size);
    if (!l)
        return ERR_NOMEM;
    *l = (struct channel_listener){.fn = fn, .arg = arg};
    memcpy(l->channel, channel, size);
    append(t, l);
    t->n++;
    *first = !known;
    return 0;
}

bool cache_channels_remove(struct cache_channels *t, const char *channel, cache_message_fn *fn,
                           void *arg)
{
    bool removed = false, others = false;
    if (!t->slots_n)
        return false;
    struct channel_listener **at = &t->slots[slot_of(t, channel)];
    while (*at) {
        struct channel_listener *l = *at;
        bool same = !strcmp(l->channel, channel);
        if (same && l->fn == fn && l->arg == arg) {
            *at = l->next;
            free(l);
            t->n--;
            removed = true;
            continue;
        }
        others |= same;
        at = &l->next;
    }
    return removed && !others;
}

/* Listener number i of a channel, or NULL. */
static struct channel_listener *listener(const struct cache_channels *t, const char *channel,
                                         size_t i)
{
    struct channel_listener *l = t->slots_n ? t->slots[slot_of(t, channel)] : NULL;
    for (; l; l = l->next)
        if (!strcmp(l->channel, channel) && i-- == 0)
            return l;
    return NULL;
}

bool cache_channels_has(const struct cache_channels *t, const char *channel)
{
    return listener(t, channel, 0) != NULL;
}

void cache_channels_confirm(struct cache_channels *t, const char *channel)
{
    struct channel_listener *l;
    for (size_t i = 0; (l = listener(t, channel, i)); i++) {
        if (l->knows)
            continue;
        l->knows = true;
        l->fn(l->arg, channel, NULL, 0);
        i = SIZE_MAX; /* it may have changed the list: look from the start again */
    }
}

void cache_channels_lost(struct cache_channels *t)
{
    for (size_t i = 0; i < t->slots_n; i++)
        for (struct channel_listener *l = t->slots[i]; l; l = l->next)
            l->knows = false;
}

void cache_channels_tell(struct cache_channels *t, const char *channel, const char *message,
                         size_t len)
{
    const struct channel_listener *l;
    for (size_t i = 0; (l = listener(t, channel, i)); i++) {
        cache_message_fn *fn = l->fn;
        void *arg = l->arg;
        fn(arg, channel, message, len);
        /* it may have removed itself: then the one behind it has moved to its place */
        const struct channel_listener *now = listener(t, channel, i);
        if (now && (now->fn != fn || now->arg != arg))
            i--;
    }
}

void cache_channels_each(const struct cache_channels *t, void (*fn)(void *arg, const char *channel),
                         void *arg)
{
    for (size_t i = 0; i < t->slots_n; i++)
        for (const struct channel_listener *l = t->slots[i]; l; l = l->next) {
            bool told = false;
            for (const struct channel_listener *before = t->slots[i]; before != l;
                 before = before->next)
                told |= !strcmp(before->channel, l->channel);
            if (!told)
                fn(arg, l->channel);
        }
}
