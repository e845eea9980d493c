/* cache_channels.h - who listens to which channel: a table from a channel's name to listeners, for
 * tens of thousands of channels. A listener is known by its function and argument. Belongs to one
 * thread. */
#pragma once
#include "common/cache.h"

struct channel_listener;
struct cache_channels { /* zeros: empty */
    struct channel_listener **slots;
    size_t slots_n, n;
};

void cache_channels_fini(struct cache_channels *t);

/* *first: nobody listened to this channel before. 0, ERR_EXISTS (the same listener twice),
 * ERR_NOMEM. */
int cache_channels_add(struct cache_channels *t, const char *channel, cache_message_fn *fn,
                       void *arg, bool *first) must_use;
/* Forget a listener; true: nobody listens to this channel any more. Unknown ones are no change. */
bool cache_channels_remove(struct cache_channels *t, const char *channel, cache_message_fn *fn,
                           void *arg);
/* The channel is subscribed: tell those who do not know yet, with message NULL. */
void cache_channels_confirm(struct cache_channels *t, const char *channel);
/* No channel is subscribed any more; each is to be confirmed again. */
void cache_channels_lost(struct cache_channels *t);
bool cache_channels_has(const struct cache_channels *t, const char *channel);
/* Tell all listeners of a channel. Listeners may add and remove while they are told; one that was
 * added meanwhile may or may not be told. */
void cache_channels_tell(struct cache_channels *t, const char *channel, const char *message,
                         size_t len);
/* Call fn once for each channel that has listeners; it must not change the table. */
void cache_channels_each(const struct cache_channels *t, void (*fn)(void *arg, const char *channel),
                         void *arg);
