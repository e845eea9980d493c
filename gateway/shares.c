#include "gateway/shares.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 4096 };

struct who { /* compared as bytes: unused ones are 0 */
    struct owner owner;
    char address[LIMITS_ADDRESS];
};

struct share {
    struct share *next;
    struct who who;
    unsigned n; /* never 0 */
};

struct shares {
    unsigned each;
    struct share *bucket[BUCKETS];
};

int shares_new(unsigned each, struct shares **out)
{
    struct shares *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->each = each;
    *out = s;
    return 0;
}

void shares_free(struct shares *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct share *x = s->bucket[i], *next; x; x = next) {
            next = x->next;
            free(x);
        }
    free(s);
}

/* FNV-1a. */
static struct share **bucket_of(struct shares *s, const struct who *who)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < sizeof *who; i++)
        h = (h ^ ((const uint8_t *)who)[i]) * 1099511628211u;
    return &s->bucket[(h ^ h >> 32) % BUCKETS];
}

static struct share *add(struct share **bucket, const struct who *who)
{
    struct share *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->who = *who;
    x->next = *bucket;
    *bucket = x;
    return x;
}

int shares_enter(struct shares *s, const struct owner *owner, const char *address,
                 struct share **out)
{
    struct who who;
    memset(&who, 0, sizeof who);
    who.owner = *owner;
    if (owner_is_nobody(owner))
        memcpy(who.address, address, strnlen(address, sizeof who.address - 1));
    struct share **bucket = bucket_of(s, &who), *x = *bucket;
    while (x && memcmp(&x->who, &who, sizeof who) != 0)
        x = x->next;
    if (x && s->each && x->n >= s->each)
        return ERR_FULL;
    if (!x)
        x = add(bucket, &who);
    if (!x)
        return ERR_NOMEM;
    x->n++;
    *out = x;
    return 0;
}

void shares_leave(struct shares *s, struct share *one)
{
    if (--one->n)
        return;
    struct share **at = bucket_of(s, &one->who);
    while (*at != one)
        at = &(*at)->next;
    *at = one->next;
    free(one);
}
