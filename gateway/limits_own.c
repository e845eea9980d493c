#include "gateway/limits_own.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct count {
    struct count *next;
    int64_t full_us; /* when all is there again */
    char name[];
};

struct shared { /* of all names without a place that have this rule */
    struct limits_rule rule;
    int64_t full_us;
};

enum { BUCKETS = 4096, SHARED = 64 };

struct limits_own {
    pthread_mutex_t lock; /* all below */
    size_t n, max;
    int64_t swept_us;
    struct count *bucket[BUCKETS];
    struct shared shared[SHARED];
};

int limits_own_open(size_t max, struct limits_own **out)
{
    struct limits_own *o = calloc(1, sizeof *o);
    if (!o)
        return ERR_NOMEM;
    pthread_mutex_init(&o->lock, NULL);
    o->max = max;
    *out = o;
    return 0;
}

void limits_own_close(struct limits_own *o)
{
    if (!o)
        return;
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct count *c = o->bucket[i], *next; c; c = next) {
            next = c->next;
            free(c);
        }
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* FNV-1a. */
static size_t bucket_of(const char *name)
{
    uint64_t h = 14695981039346656037u;
    for (; *name; name++)
        h = (h ^ (uint8_t)*name) * 1099511628211u;
    return (size_t)(h ^ h >> 32) % BUCKETS;
}

/* Those that are full again say nothing that a new one would not. */
static void sweep(struct limits_own *o, int64_t now_us)
{
    for (size_t i = 0; i < BUCKETS; i++)
        for (struct count **at = &o->bucket[i]; *at;) {
            struct count *c = *at;
            if (c->full_us > now_us) {
                at = &c->next;
                continue;
            }
            *at = c->next;
            free(c);
            o->n--;
        }
    o->swept_us = now_us;
}

static struct count *add(struct limits_own *o, const char *name, int64_t now_us)
{
    size_t len = strlen(name) + 1;
    if (o->n >= o->max && now_us - o->swept_us >= 1000000)
        sweep(o, now_us);
    struct count *c = o->n < o->max ? malloc(sizeof *c + len) : NULL;
    if (!c)
        return NULL;
    struct count **bucket = &o->bucket[bucket_of(name)];
    c->next = *bucket;
    c->full_us = now_us;
    memcpy(c->name, name, len);
    *bucket = c;
    o->n++;
    return c;
}

/* Of this rule; a new one takes the place of that which is full first. Rules are those of the flow
 * files, so that no client makes them many. */
static struct shared *share_of(struct limits_own *o, struct limits_rule rule)
{
    struct shared *first = o->shared;
    for (struct shared *x = o->shared; x < o->shared + SHARED; x++) {
        if (x->rule.step_us == rule.step_us && x->rule.window_us == rule.window_us)
            return x;
        if (x->full_us < first->full_us)
            first = x;
    }
    *first = (struct shared){.rule = rule};
    return first;
}

static int64_t *find(struct limits_own *o, const char *name, struct limits_rule rule,
                     int64_t now_us)
{
    struct count *c = o->bucket[bucket_of(name)];
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    if (!c)
        c = add(o, name, now_us);
    int64_t *full = c ? &c->full_us : &share_of(o, rule)->full_us;
    if (*full < now_us)
        *full = now_us;
    return full;
}

void limits_own_ask(struct limits_own *o, const char *name, struct limits_rule rule, int64_t now_us,
                    bool take, struct limits_state *out)
{
    pthread_mutex_lock(&o->lock);
    int64_t *full = find(o, name, rule, now_us);
    if (*full > now_us + rule.window_us) /* it was another limit's */
        *full = now_us + rule.window_us;
    int64_t over = *full - now_us + rule.step_us - rule.window_us;
    *out = (struct limits_state){.spent = over > 0, .wait_us = over > 0 ? over : 0};
    if (!out->spent && take)
        *full += rule.step_us;
    out->reset_us = *full - now_us;
    if (!out->spent)
        out->left = (unsigned)((rule.window_us - out->reset_us) / rule.step_us);
    pthread_mutex_unlock(&o->lock);
}

void limits_own_refund(struct limits_own *o, const char *name, struct limits_rule rule,
                       int64_t now_us)
{
    pthread_mutex_lock(&o->lock);
    int64_t *full = find(o, name, rule, now_us);
    *full = *full - rule.step_us > now_us ? *full - rule.step_us : now_us;
    pthread_mutex_unlock(&o->lock);
}
