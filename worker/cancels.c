/* The clerk posts a copy of the ids to each shard; a shard that left ignores what still comes. */
#include "worker/cancels.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { PERIOD_MS = 2000, BACK_US = 10 * 1000000, IDS_MAX = 10000 };

/* Freed when it has left and no message is on its way: refs counts both. */
struct cancels_shard {
    struct loop *loop;
    cancels_fn *found;
    void *arg;
    bool left;     /* the loop's */
    unsigned refs; /* the lock's */
    struct cancels_shard *next;
};

struct cancels {
    struct clerk *clerk;
    pthread_mutex_t lock;
    struct cancels_shard *shards;
    int64_t last_us; /* server's time of the last look; 0: none */
    struct job_id ids[IDS_MAX];
};

struct message {
    struct cancels *cancels;
    struct cancels_shard *to;
    size_t n;
    struct job_id ids[];
};

static void put(struct cancels *c, struct cancels_shard *s)
{
    pthread_mutex_lock(&c->lock);
    bool last = --s->refs == 0;
    pthread_mutex_unlock(&c->lock);
    if (last)
        free(s);
}

static void on_message(void *arg)
{
    struct message *m = arg;
    if (!m->to->left)
        m->to->found(m->to->arg, m->ids, m->n);
    put(m->cancels, m->to);
    free(m);
}

/* With the lock. Without memory the ids come again with the next look. */
static void tell(struct cancels *c, struct cancels_shard *s, size_t n)
{
    struct message *m = malloc(sizeof *m + n * sizeof *m->ids);
    if (!m)
        return;
    *m = (struct message){c, s, n};
    memcpy(m->ids, c->ids, n * sizeof *m->ids);
    s->refs++;
    if (loop_post(s->loop, on_message, m)) {
        s->refs--;
        free(m);
    }
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct cancels *c = arg;
    int64_t now;
    size_t n = 0;
    int err = r->ops->now(r, &now);
    if (!err)
        err = r->ops->cancels(r, (c->last_us ? c->last_us : now) - BACK_US, c->ids, IDS_MAX, &n);
    if (err)
        return err;
    c->last_us = now;
    *next_ms = PERIOD_MS;
    pthread_mutex_lock(&c->lock);
    for (struct cancels_shard *s = c->shards; s && n; s = s->next)
        tell(c, s, n);
    pthread_mutex_unlock(&c->lock);
    return 0;
}

int cancels_join(struct cancels *c, struct loop *loop, cancels_fn *found, void *arg,
                 struct cancels_shard **out)
{
    struct cancels_shard *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    *s = (struct cancels_shard){loop, found, arg, false, 1, NULL};
    pthread_mutex_lock(&c->lock);
    s->next = c->shards;
    c->shards = s;
    pthread_mutex_unlock(&c->lock);
    *out = s;
    return 0;
}

void cancels_leave(struct cancels *c, struct cancels_shard *s)
{
    s->left = true;
    pthread_mutex_lock(&c->lock);
    struct cancels_shard **p = &c->shards;
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    pthread_mutex_unlock(&c->lock);
    put(c, s);
}

int cancels_start(const struct cancels_settings *s, struct cancels **out)
{
    struct cancels *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    struct clerk_settings k = {s->open, s->open_arg, step, c, s->loop, NULL};
    pthread_mutex_init(&c->lock, NULL);
    int err = clerk_start(&k, &c->clerk);
    if (err) {
        pthread_mutex_destroy(&c->lock);
        free(c);
        return err;
    }
    *out = c;
    return 0;
}

void cancels_stop(struct cancels *c)
{
    if (!c)
        return;
    clerk_stop(c->clerk);
    while (c->shards) {
        struct cancels_shard *s = c->shards;
        c->shards = s->next;
        free(s);
    }
    pthread_mutex_destroy(&c->lock);
    free(c);
}
