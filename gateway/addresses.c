#include "gateway/addresses.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct count {
    char address[ADDRESS_TEXT];
    unsigned connections; /* never 0 */
};

struct addresses {
    pthread_mutex_t lock; /* all below */
    unsigned each;
    size_t n, max;
    struct count list[]; /* no order: at most as many as there are threads */
};

int addresses_new(unsigned each, unsigned all, struct addresses **out)
{
    struct addresses *a = calloc(1, sizeof *a + all * sizeof a->list[0]);
    if (!a)
        return ERR_NOMEM;
    pthread_mutex_init(&a->lock, NULL);
    a->each = each;
    a->max = all;
    *out = a;
    return 0;
}

void addresses_free(struct addresses *a)
{
    if (!a)
        return;
    pthread_mutex_destroy(&a->lock);
    free(a);
}

/* NULL: it has none. Under the lock. */
static struct count *find(struct addresses *a, const char *address)
{
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(a->list[i].address, address) == 0)
            return &a->list[i];
    return NULL;
}

bool addresses_enter(struct addresses *a, const char *address)
{
    pthread_mutex_lock(&a->lock);
    struct count *c = find(a, address);
    bool fits = c ? c->connections < a->each : a->n < a->max;
    if (fits && !c) {
        c = &a->list[a->n++];
        snprintf(c->address, sizeof c->address, "%s", address);
        c->connections = 0;
    }
    if (fits)
        c->connections++;
    pthread_mutex_unlock(&a->lock);
    return fits;
}

void addresses_leave(struct addresses *a, const char *address)
{
    pthread_mutex_lock(&a->lock);
    struct count *c = find(a, address);
    if (c && --c->connections == 0)
        *c = a->list[--a->n];
    pthread_mutex_unlock(&a->lock);
}
