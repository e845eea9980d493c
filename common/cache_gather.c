#include "common/cache_gather.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum { TRIP_COMMANDS = 64 };

struct caller { /* on its thread's stack until its turn came */
    const struct cache_command *commands;
    struct cache_reply *replies;
    size_t n;
    int err;
    bool over; /* else its turn is to lead a trip */
    sem_t turn;
    struct caller *next;
};

struct gather {
    struct cache port; /* first */
    struct cache *inner;
    unsigned trips;
    pthread_mutex_t lock;
    struct caller *head, *tail; /* who waits: nobody while a trip is free */
    unsigned on_their_way, waiting;
};

static struct caller *pop(struct gather *g)
{
    struct caller *c = g->head;
    g->head = c->next;
    if (!g->head)
        g->tail = NULL;
    c->next = NULL;
    g->waiting--;
    return c;
}

static void push(struct gather *g, struct caller *c)
{
    *(g->tail ? &g->tail->next : &g->head) = c;
    g->tail = c;
    g->waiting++;
}

static void await_turn(struct caller *c)
{
    while (sem_wait(&c->turn) != 0 && errno == EINTR)
        ;
}

/* As many of those who wait as a trip holds, behind the leader. With the lock. */
static void gather(struct gather *g, struct caller *leader)
{
    size_t n = leader->n;
    for (struct caller *last = leader; g->head && n + g->head->n <= TRIP_COMMANDS;
         last = last->next) {
        last->next = pop(g);
        n += last->next->n;
    }
}

static int travel_together(struct gather *g, struct caller *leader)
{
    struct cache_command commands[TRIP_COMMANDS];
    struct cache_reply replies[TRIP_COMMANDS] = {{0}};
    size_t n = 0;
    commands[0] = (struct cache_command){0}; /* gcc 14 does not see that the loop sets it */
    for (struct caller *c = leader; c; c = c->next) {
        memcpy(commands + n, c->commands, c->n * sizeof *commands);
        n += c->n;
    }
    int err = cache_call(g->inner, commands, n, replies);
    n = 0;
    for (struct caller *c = leader; c && !err; c = c->next) {
        memcpy(c->replies, replies + n, c->n * sizeof *replies);
        n += c->n;
    }
    return err;
}

/* The trip is free: whoever waits longest leads the next. */
static void hand_over(struct gather *g)
{
    pthread_mutex_lock(&g->lock);
    struct caller *next = g->head ? pop(g) : NULL;
    if (!next)
        g->on_their_way--;
    pthread_mutex_unlock(&g->lock);
    if (next)
        sem_post(&next->turn);
}

static int lead(struct gather *g, struct caller *leader)
{
    int err = leader->next ? travel_together(g, leader)
                           : cache_call(g->inner, leader->commands, leader->n, leader->replies);
    hand_over(g);
    for (struct caller *c = leader->next, *next; c; c = next) {
        next = c->next;
        c->err = err;
        c->over = true;
        sem_post(&c->turn); /* the last touch: it returns */
    }
    return err;
}

static int gather_call(struct cache *port, const struct cache_command *commands, size_t n,
                       struct cache_reply *replies)
{
    struct gather *g = (struct gather *)port;
    struct caller me = {.commands = commands, .n = n, .replies = replies};
    for (size_t i = 0; i < n; i++)
        if (!cache_command_is_valid(&commands[i]))
            return ERR_INVALID; /* it would spoil the trip of others */
    if (n > TRIP_COMMANDS)
        return cache_call(g->inner, commands, n, replies);
    pthread_mutex_lock(&g->lock);
    bool waits = g->on_their_way == g->trips;
    if (waits) {
        sem_init(&me.turn, 0, 0);
        push(g, &me);
        pthread_mutex_unlock(&g->lock);
        await_turn(&me);
        sem_destroy(&me.turn);
        if (me.over)
            return me.err;
        pthread_mutex_lock(&g->lock);
        gather(g, &me);
    } else {
        g->on_their_way++;
    }
    pthread_mutex_unlock(&g->lock);
    return lead(g, &me);
}

static bool gather_up(struct cache *port)
{
    return cache_up(((struct gather *)port)->inner);
}

static void gather_close(struct cache *port)
{
    struct gather *g = (struct gather *)port;
    cache_close(g->inner);
    pthread_mutex_destroy(&g->lock);
    free(g);
}

int cache_gather_open(struct cache *inner, unsigned trips, struct cache **out)
{
    static const struct cache_ops ops = {gather_call, gather_up, gather_close};
    struct gather *g = calloc(1, sizeof *g);
    if (!g) {
        cache_close(inner);
        return ERR_NOMEM;
    }
    *g = (struct gather){.port.ops = &ops, .inner = inner, .trips = trips};
    pthread_mutex_init(&g->lock, NULL);
    *out = &g->port;
    return 0;
}

unsigned cache_gather_waiting(struct cache *c)
{
    struct gather *g = (struct gather *)c;
    pthread_mutex_lock(&g->lock);
    unsigned n = g->waiting;
    pthread_mutex_unlock(&g->lock);
    return n;
}
