/* The scripts of an upstream's limits as cache_scripts.h promises them. Its slots are an array of
 * struct holder in a value like any other of the store. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_fake_store.h"

enum { LEASE_MS = 10000, HOLDERS_MAX = 64 };

struct holder {
    char who[40];
    long leased, wanted;
    int64_t until_us;
};

struct holders {
    struct holder list[HOLDERS_MAX];
    size_t n;
};

static long number(const struct cache_command *c, unsigned i)
{
    char digits[24] = "";
    if (i < c->argc && c->argv_len[i] < sizeof digits)
        memcpy(digits, c->argv[i], c->argv_len[i]);
    return strtol(digits, NULL, 10);
}

static int answer(struct cache_reply *out, long a, long long b, long long c)
{
    char *text = malloc(80);
    if (!text)
        return ERR_NOMEM;
    int len = snprintf(text, 80, "%ld %lld %lld", a, b, c);
    *out = (struct cache_reply){.type = REPLY_TEXT, .text = text, .len = (size_t)len};
    return 0;
}

static int64_t left_ms(struct fake_store *s, const struct cache_command *c, unsigned key)
{
    int64_t until_us = 0;
    size_t len;
    if (!fake_store_get(s, c->argv[key], c->argv_len[key], &len, &until_us))
        return 0;
    return (until_us - clock_mono_us(s->clock) + 999) / 1000;
}

/* Those whose lease is not over, but `me`, whose count goes to *had. */
static void read_others(struct fake_store *s, const struct cache_command *c, struct holders *out,
                        long *had)
{
    int64_t unused, now = clock_mono_us(s->clock);
    size_t len = 0;
    const char *value = fake_store_get(s, c->argv[0], c->argv_len[0], &len, &unused);
    for (size_t at = 0; value && at < len; at += sizeof(struct holder)) {
        struct holder h;
        memcpy(&h, value + at, sizeof h);
        if (h.until_us <= now)
            continue;
        if (strlen(h.who) == c->argv_len[2] && memcmp(h.who, c->argv[2], c->argv_len[2]) == 0)
            *had = h.leased;
        else if (out->n < HOLDERS_MAX - 1)
            out->list[out->n++] = h;
    }
}

static long target_of(const struct holders *others, long want, long max, long had)
{
    long taken = 0, calm = 0, lacking = 0, without = 0;
    for (size_t i = 0; i < others->n; i++) {
        const struct holder *h = &others->list[i];
        bool lacks = h->wanted > h->leased;
        taken += h->leased;
        calm += lacks ? 0 : h->leased;
        lacking += lacks;
        without += lacks && h->leased == 0;
    }
    long target = want < max - taken ? want : max - taken;
    if (lacking) {
        long part = (max - calm + lacking) / (lacking + 1);
        if (without && had && max - calm <= lacking)
            part = 0;
        target = target < part ? target : part;
    }
    return target > 0 ? target : 0;
}

int fake_slot_lease(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct holders all = {.n = 0};
    long claim = number(c, 3), want = number(c, 4), max = number(c, 5), had = 0;
    read_others(s, c, &all, &had);
    long target = target_of(&all, want, max, had), n = target > claim ? target : claim;
    if (n + want > 0) {
        struct holder *me = &all.list[all.n++];
        *me = (struct holder){.leased = n,
                              .wanted = want,
                              .until_us = clock_mono_us(s->clock) + LEASE_MS * INT64_C(1000)};
        snprintf(me->who, sizeof me->who, "%.*s", (int)c->argv_len[2], c->argv[2]);
    }
    fake_store_erase(s, c->argv[0], c->argv_len[0]);
    if (all.n && fake_store_set(s, c->argv[0], c->argv_len[0], all.list, all.n * sizeof all.list[0],
                                LEASE_MS))
        return ERR_NOMEM;
    return answer(out, n, target, left_ms(s, c, 1));
}

int fake_rate_lease(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    double now = (double)clock_mono_us(s->clock), at = 0;
    int64_t unused;
    size_t len;
    const char *value = fake_store_get(s, c->argv[0], c->argv_len[0], &len, &unused);
    char gap[24] = "";
    memcpy(gap, c->argv[2], c->argv_len[2] < sizeof gap ? c->argv_len[2] : 0);
    if (value)
        memcpy(&at, value, sizeof at);
    at = at > now ? at : now;
    double delay = at - now;
    long n = 0;
    for (; n < number(c, 3) && at - now <= (double)number(c, 4); n++)
        at += strtod(gap, NULL);
    if (n && fake_store_set(s, c->argv[0], c->argv_len[0], &at, sizeof at,
                            (int64_t)((at - now + 999) / 1000)))
        return ERR_NOMEM;
    return answer(out, n, (long long)delay, left_ms(s, c, 1));
}

int fake_hold(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    long ms = number(c, 1);
    bool longer = left_ms(s, c, 0) >= ms;
    *out = (struct cache_reply){.type = REPLY_INTEGER, .integer = !longer};
    return longer ? 0 : fake_store_set(s, c->argv[0], c->argv_len[0], "1", 1, ms);
}
