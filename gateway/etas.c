#include "gateway/etas.h"

#include <pthread.h>
#include <stdlib.h>

#include "common/clock.h"

static const int64_t FRESH_US = 10000000;

struct slot {
    struct eta usual;
    int64_t asked_us; /* 0: never */
    bool known;
};

struct etas {
    pthread_mutex_t lock;
    struct cache *cache;
    const struct clock *clock;
    const struct flow_set *flows;
    struct slot slots[]; /* in order of flows */
};

int etas_open(struct cache *cache, const struct clock *clock, const struct flow_set *flows,
              struct etas **out)
{
    struct etas *e = calloc(1, sizeof *e + flows->flows_n * sizeof e->slots[0]);
    if (!e)
        return ERR_NOMEM;
    pthread_mutex_init(&e->lock, NULL);
    e->cache = cache;
    e->clock = clock;
    e->flows = flows;
    *out = e;
    return 0;
}

void etas_close(struct etas *e)
{
    if (!e)
        return;
    pthread_mutex_destroy(&e->lock);
    free(e);
}

static bool ask(const struct etas *e, const char *flow, struct eta *out)
{
    char name[ETA_NAME];
    struct cache_reply reply;
    eta_name(flow, name);
    if (!cache_get(e->cache, name, &reply))
        return false;
    bool known = eta_parse(reply.text, out) == 0;
    cache_reply_fini(&reply);
    return known;
}

bool etas_get(struct etas *e, const struct flow *f, struct eta_now *out)
{
    size_t i = e && f ? (size_t)(f - e->flows->flows) : SIZE_MAX;
    if (!e || i >= e->flows->flows_n)
        return false;
    int64_t now = clock_wall_us(e->clock);
    struct slot *s = &e->slots[i];
    pthread_mutex_lock(&e->lock);
    bool stale = !s->asked_us || now - s->asked_us >= FRESH_US;
    if (stale)
        s->asked_us = now; /* the others go on with what was known */
    pthread_mutex_unlock(&e->lock);
    struct eta usual = {0};
    bool known = stale && ask(e, f->name, &usual);
    pthread_mutex_lock(&e->lock);
    if (stale) {
        s->known = known;
        s->usual = usual;
    }
    bool some = s->known;
    *out = (struct eta_now){.usual = s->usual, .as_of_us = s->asked_us, .ahead = -1};
    pthread_mutex_unlock(&e->lock);
    return some;
}

void etas_print(const struct eta_now *e, struct buf *out)
{
    char at[CLOCK_TEXT];
    clock_format(e->as_of_us, at);
    buf_printf(out, "{\"p50\":%lld,\"p90\":%lld", (long long)e->usual.p50_ms,
               (long long)e->usual.p90_ms);
    if (e->ahead >= 0)
        buf_printf(out, ",\"ahead\":%lld", (long long)e->ahead);
    buf_printf(out, ",\"as_of\":\"%s\"}", at);
}
