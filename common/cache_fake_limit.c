/* The scripts of a limit as cache_scripts.h promises them. */
#include "common/cache_fake_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct limit { /* of one key, now */
    struct fake_store *store;
    const struct cache_command *c;
    int64_t now, step, full;
};

static int64_t number(const struct cache_command *c, unsigned i)
{
    char digits[24] = "";
    if (i < c->argc && c->argv_len[i] < sizeof digits)
        memcpy(digits, c->argv[i], c->argv_len[i]);
    return strtoll(digits, NULL, 10);
}

static struct limit look(struct fake_store *s, const struct cache_command *c)
{
    size_t len;
    int64_t expires;
    const char *value = fake_store_get(s, c->argv[0], c->argv_len[0], &len, &expires);
    struct limit l = {s, c, clock_wall_us(s->clock), number(c, 1), 0};
    l.full = value ? strtoll(value, NULL, 10) : l.now;
    if (l.full < l.now)
        l.full = l.now;
    return l;
}

static int keep(struct limit *l, int64_t full)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%lld", (long long)full);
    l->full = full;
    if (full > l->now)
        return fake_store_set(l->store, l->c->argv[0], l->c->argv_len[0], text, (size_t)n,
                              (full - l->now + 999) / 1000);
    fake_store_erase(l->store, l->c->argv[0], l->c->argv_len[0]);
    return 0;
}

static int answer(struct cache_reply *out, int taken, int64_t a, int64_t reset)
{
    char text[64];
    snprintf(text, sizeof text, "%d %lld %lld", taken, (long long)a, (long long)reset);
    *out = (struct cache_reply){REPLY_TEXT, strdup(text), strlen(text), 0};
    return out->text ? 0 : ERR_NOMEM;
}

int fake_limit(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct limit l = look(s, c);
    int64_t window = number(c, 2);
    int err = l.full > l.now + window ? keep(&l, l.now + window) : 0;
    int64_t over = l.full - l.now + l.step - window;
    if (err)
        return err;
    if (over > 0)
        return answer(out, 0, over, l.full - l.now);
    err = number(c, 3) ? keep(&l, l.full + l.step) : 0;
    return err ? err : answer(out, 1, (window - (l.full - l.now)) / l.step, l.full - l.now);
}

int fake_refund(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct limit l = look(s, c);
    bool some = l.full > l.now;
    *out = (struct cache_reply){.type = REPLY_INTEGER, .integer = some};
    return some ? keep(&l, l.full - l.step) : 0;
}
