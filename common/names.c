#include "common/names.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = 64 };

struct name {
    struct names *names;
    char *addresses;  /* the last good ones; NULL: none */
    int64_t fresh_ms; /* until then they hold, */
    int64_t stale_ms; /* and until then they may stand in */
    int64_t next_ms;  /* not asked again before */
    int64_t asked_ms; /* when the last question began */
    int64_t used_ms;  /* when somebody looked for it */
    bool asking, telling;
    int err; /* of the last question; 0: it was answered */
    const char *why;
    TAILQ_HEAD(, names_wait) waits; /* in order of coming */
    LIST_ENTRY(name) link;
    char text[];
};

struct names {
    struct loop *loop;
    struct resolver *resolver;
    names_fn *fn;
    void *arg;
    LIST_HEAD(bucket, name) buckets[BUCKETS];
    size_t n;
};

/* ---- the table */

static struct bucket *bucket(struct names *n, const char *text)
{
    uint32_t hash = 2166136261U; /* FNV-1a */
    for (const char *p = text; *p; p++)
        hash = (hash ^ (uint8_t)*p) * 16777619U;
    return &n->buckets[hash % BUCKETS];
}

static void name_free(struct name *name)
{
    LIST_REMOVE(name, link);
    name->names->n--;
    free(name->addresses);
    free(name);
}

static bool is_idle(const struct name *name)
{
    return !name->asking && !name->telling && TAILQ_EMPTY(&name->waits);
}

/* Forget the one not used longest. Where all are needed the table grows. */
static void make_room(struct names *n)
{
    struct name *oldest = NULL, *name;
    for (size_t i = 0; i < BUCKETS; i++)
        LIST_FOREACH(name, &n->buckets[i], link)
    if (is_idle(name) && (!oldest || name->used_ms < oldest->used_ms))
        oldest = name;
    if (oldest)
        name_free(oldest);
}

static struct name *name_get(struct names *n, const char *text)
{
    struct name *name;
    LIST_FOREACH(name, bucket(n, text), link)
    if (strcmp(name->text, text) == 0)
        return name;
    if (n->n >= NAMES_MAX)
        make_room(n);
    size_t size = strlen(text) + 1;
    name = calloc(1, sizeof *name + size);
    if (!name)
        return NULL;
    name->names = n;
    TAILQ_INIT(&name->waits);
    memcpy(name->text, text, size);
    LIST_INSERT_HEAD(bucket(n, text), name, link);
    n->n++;
    return name;
}

/* ---- what is known */

static bool may_stand_in(const struct name *name, int64_t now)
{
    return name->addresses && now < name->stale_ms;
}

/* May its addresses be used now? */
static bool is_good(const struct name *name, int64_t now)
{
    if (name->addresses && now < name->fresh_ms)
        return true;
    bool slow = name->asking && now - name->asked_ms >= NAMES_PATIENCE_MS;
    return may_stand_in(name, now) && (name->err || slow);
}

static void keep(struct name *name, const struct resolver_answer *a, int64_t now)
{
    char *addresses = strdup(a->addresses);
    int64_t ttl = a->ttl_ms < NAMES_TTL_MIN_MS   ? NAMES_TTL_MIN_MS
                  : a->ttl_ms > NAMES_TTL_MAX_MS ? NAMES_TTL_MAX_MS
                                                 : a->ttl_ms;
    if (!addresses) {
        name->err = ERR_NOMEM;
        name->why = err_text(ERR_NOMEM);
        return;
    }
    free(name->addresses);
    name->addresses = addresses;
    name->fresh_ms = now + ttl;
    name->stale_ms = now + NAMES_STALE_MS;
    name->next_ms = now + ttl / 4 * 3; /* so that who asks often never waits */
}

static void on_answer(void *arg, const struct resolver_answer *a)
{
    struct name *name = arg;
    struct loop *loop = name->names->loop;
    int64_t now = loop_now_ms(loop);
    struct names_wait *w;
    name->asking = false;
    name->err = a->err;
    name->why = a->why;
    name->next_ms = now + NAMES_FAILED_MS;
    if (a->err == 0)
        keep(name, a, now);
    if (a->err == ERR_NOT_FOUND) /* said by who must know: the old ones are wrong */
        name->stale_ms = name->fresh_ms = now;
    TAILQ_FOREACH(w, &name->waits, link)
    loop_timer_set(loop, w->timer, 0, 0);
}

static void ask(struct name *name, int64_t now)
{
    name->asking = true;
    name->asked_ms = now;
    int err = resolver_ask(name->names->resolver, name->text, on_answer, name);
    if (err)
        on_answer(name, &(struct resolver_answer){.err = err, .why = err_text(err)});
}

/* ---- those who wait */

static void wait_end(struct names *n, struct names_wait *w)
{
    TAILQ_REMOVE(&w->name->waits, w, link);
    loop_timer_free(n->loop, w->timer);
    w->timer = NULL;
}

static void tell(struct names_wait *w, int err, const char *text)
{
    struct name *name = w->name;
    struct names *n = name->names;
    wait_end(n, w);
    name->telling = true; /* fn may look for others, which may need room */
    n->fn(n->arg, w, err, text);
    name->telling = false;
}

/* In how many ms to look after w: at its end, or when old addresses may stand in. */
static int64_t wait_ms(const struct name *name, const struct names_wait *w, int64_t now)
{
    int64_t patient_ms = name->asked_ms + NAMES_PATIENCE_MS;
    if (!name->asking)
        return 0;
    return (may_stand_in(name, now) && patient_ms < w->until_ms ? patient_ms : w->until_ms) - now;
}

static void wait_on(struct names_wait *w, int64_t now)
{
    struct name *name = w->name;
    if (!name->asking) /* the loop stood still until the answer had run out */
        ask(name, now);
    loop_timer_set(name->names->loop, w->timer, wait_ms(name, w, now), 0);
}

static void on_wait(void *arg)
{
    struct names_wait *w = arg;
    struct name *name = w->name;
    struct names *n = name->names;
    int64_t now = loop_now_ms(n->loop);
    if (is_good(name, now))
        tell(w, 0, name->addresses);
    else if (!name->asking && name->err)
        tell(w, name->err, name->why);
    else if (now >= w->until_ms)
        tell(w, ERR_TIMEOUT, "no name server answered in time");
    else
        wait_on(w, now);
}

/* ---- the functions of names.h */

int names_find(struct names *n, const char *text, int64_t max_ms, struct names_wait *w,
               const char **addresses)
{
    int64_t now = loop_now_ms(n->loop);
    struct name *name = name_get(n, text);
    if (!name)
        return ERR_NOMEM;
    name->used_ms = now;
    if (!name->asking && now >= name->next_ms)
        ask(name, now);
    *w = (struct names_wait){.name = name, .until_ms = now + max_ms};
    if (is_good(name, now)) {
        *addresses = name->addresses;
        return 0;
    }
    w->timer = loop_timer_new(n->loop, on_wait, w);
    if (!w->timer)
        return ERR_NOMEM;
    TAILQ_INSERT_TAIL(&name->waits, w, link);
    loop_timer_set(n->loop, w->timer, wait_ms(name, w, now), 0);
    *addresses = NULL;
    return 0;
}

const char *names_wait_name(const struct names_wait *w)
{
    return w->name->text;
}

void names_leave(struct names *n, struct names_wait *w)
{
    if (w->timer)
        wait_end(n, w);
}

int names_open(struct loop *loop, struct resolver *resolver, names_fn *fn, void *arg,
               struct names **out)
{
    struct names *n = calloc(1, sizeof *n);
    if (!n) {
        resolver_close(resolver);
        return ERR_NOMEM;
    }
    n->loop = loop;
    n->resolver = resolver;
    n->fn = fn;
    n->arg = arg;
    *out = n;
    return 0;
}

void names_close(struct names *n)
{
    if (!n)
        return;
    resolver_close(n->resolver);
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct name *name = LIST_FIRST(&n->buckets[i]), *next; name; name = next) {
            next = LIST_NEXT(name, link);
            name_free(name);
        }
    }
    free(n);
}
