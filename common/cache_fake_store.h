/* cache_fake_store.h - the keys behind cache_fake.h and what commands do to them. No locks: one
 * thread at a time. For tests. */
#pragma once
#include "common/cache.h"

struct fake_entry;
struct fake_message {
    char *channel, *text; /* owned by the store */
    size_t len;
};
struct fake_store { /* zeros but the clock: empty */
    const struct clock *clock;
    struct fake_entry *entries;
    struct fake_message *messages; /* all that was published */
    size_t messages_n;
};
void fake_store_fini(struct fake_store *s);

/* Do a command or script; *out: owned (cache_reply_fini). A command it does not know is a
 * REPLY_ERROR. 0 or ERR_NOMEM. */
int fake_store_do(struct fake_store *s, const struct cache_command *c,
                  struct cache_reply *out) must_use;

/* Lent; NULL: no such key, or run out. expires_us: mono, 0 for ever. */
const char *fake_store_get(struct fake_store *s, const char *key, size_t key_len, size_t *len,
                           int64_t *expires_us);
int fake_store_set(struct fake_store *s, const char *key, size_t key_len, const void *value,
                   size_t len, int64_t ttl_ms) must_use;
bool fake_store_erase(struct fake_store *s, const char *key, size_t key_len);

/* The scripts of a limit (cache_fake_limit.c). */
typedef int fake_do_fn(struct fake_store *s, const struct cache_command *c,
                       struct cache_reply *out);
fake_do_fn fake_limit, fake_refund;
/* The scripts of a pool (cache_fake_pool.c), and the commands by which tests look at one. */
fake_do_fn fake_pool_take, fake_pool_reserve, fake_pool_put, fake_pool_length;
fake_do_fn fake_slot_lease, fake_rate_lease, fake_hold; /* cache_fake_leases.c */
