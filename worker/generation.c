#include "worker/generation.h"
#include "common/flow_secrets.h"

#include <stdlib.h>
#include <unistd.h>

/* A job may have no deadline; a signal to stop cuts this short. */
#define RETIRED_MS (INT64_C(365) * 24 * 3600 * 1000)

struct generation {
    struct generation_settings s;
    struct generation_flows flows;
    struct databases *databases;
    struct flow_secrets *secrets;
    struct shard_thread *threads[SETTINGS_SHARDS_MAX];
    _Atomic unsigned n;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    unsigned opened, ended;
    int err; /* of the first that could not open */
};

void generation_flows_fini(struct generation_flows *f)
{
    flow_set_put(f->set);
    topic_limits_fini(&f->topics.limits);
    *f = (struct generation_flows){0};
}

/* ---- what threads tell */

static void on_opened(void *arg, int err)
{
    struct generation *g = arg;
    pthread_mutex_lock(&g->lock);
    g->opened++;
    if (err && !g->err)
        g->err = err;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
}

static void on_ended(void *arg)
{
    struct generation *g = arg;
    void (*tell)(void *) = g->s.ended;
    void *owner = g->s.owner;
    pthread_mutex_lock(&g->lock);
    g->ended++;
    pthread_cond_broadcast(&g->changed);
    pthread_mutex_unlock(&g->lock);
    tell(owner);
}

static void on_fatal(void *arg, const char *why)
{
    const struct generation *g = arg;
    g->s.fatal(g->s.owner, why);
}

/* ---- life */

static int await_opened(struct generation *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->opened < g->n)
        pthread_cond_wait(&g->changed, &g->lock);
    int err = g->err;
    pthread_mutex_unlock(&g->lock);
    return err;
}

static int start_threads(struct generation *g)
{
    struct shard_thread_settings t = g->s.thread;
    struct databases_settings databases = g->s.databases;
    databases.set = g->flows.set;
    databases.only = t.shard.only;
    databases.only_n = t.shard.only_n;
    int err = databases_start(&databases, &g->databases);
    t.shard.databases = g->databases;
    t.shard.set = g->flows.set;
    t.shard.limits = &g->flows.topics.limits;
    t.shard.retention_ms = g->flows.topics.retention_ms;
    t.admin_fd = g->s.admin_fd >= 0 ? dup(g->s.admin_fd) : -1;
    t.answer_arg = t.arg = g;
    t.opened = on_opened;
    t.ended = on_ended;
    t.fatal = on_fatal;
    for (unsigned i = 0; i < g->s.shards && !err; i++) {
        err = shard_thread_start(&t, &g->threads[i]);
        if (!err) {
            g->n++;
            t.admin_fd = -1;
        }
    }
    if (t.admin_fd >= 0) /* no thread has taken it */
        close(t.admin_fd);
    int opened = await_opened(g);
    return err ? err : opened;
}

int generation_start(const struct generation_settings *s, struct generation_flows *flows,
                     struct generation **out)
{
    struct generation *g = calloc(1, sizeof *g);
    if (!g) {
        generation_flows_fini(flows);
        return ERR_NOMEM;
    }
    g->s = *s;
    g->flows = *flows;
    *flows = (struct generation_flows){0};
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->changed, NULL);
    *out = g;
    int err = flow_secrets_open(g->flows.set, s->secrets, &g->secrets);
    if (!err)
        err = start_threads(g);
    if (err) {
        generation_drain(g, 0);
        generation_join(g);
    }
    return err;
}

void generation_retire(struct generation *g)
{
    for (unsigned i = 0; i < g->n; i++)
        shard_thread_retire(g->threads[i], RETIRED_MS);
}

void generation_look(struct generation *g)
{
    flow_secrets_look(g->secrets);
}

void generation_drain(struct generation *g, int64_t drain_ms)
{
    for (unsigned i = 0; i < g->n; i++)
        shard_thread_drain(g->threads[i], drain_ms);
}

bool generation_is_over(struct generation *g)
{
    pthread_mutex_lock(&g->lock);
    bool over = g->ended == g->n;
    pthread_mutex_unlock(&g->lock);
    return over;
}

void generation_join(struct generation *g)
{
    for (unsigned i = 0; i < g->n; i++)
        shard_thread_join(g->threads[i]);
}

void generation_free(struct generation *g)
{
    if (!g)
        return;
    databases_stop(g->databases);
    for (unsigned i = 0; i < g->n; i++)
        shard_thread_free(g->threads[i]);
    flow_secrets_close(g->secrets);
    generation_flows_fini(&g->flows);
    pthread_cond_destroy(&g->changed);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

struct databases *generation_databases(const struct generation *g)
{
    return g->databases;
}

void *generation_owner(const struct generation *g)
{
    return g->s.owner;
}

const struct generation_flows *generation_flows_of(const struct generation *g)
{
    return &g->flows;
}

size_t generation_shards(const struct generation *g)
{
    return g->n;
}

const struct shard_thread *generation_shard(const struct generation *g, size_t i)
{
    return g->threads[i];
}
