#include "gateway/hasher.h"

#include <pthread.h>
#include <stdlib.h>

struct hasher {
    unsigned at_once, waiting_max;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t free_one;
    unsigned running, waiting;
};

int hasher_open(unsigned at_once, unsigned waiting, struct hasher **out)
{
    struct hasher *h = calloc(1, sizeof *h);
    if (!h)
        return ERR_NOMEM;
    h->at_once = at_once ? at_once : 1;
    h->waiting_max = waiting;
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->free_one, NULL);
    *out = h;
    return 0;
}

void hasher_close(struct hasher *h)
{
    if (!h)
        return;
    pthread_cond_destroy(&h->free_one);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static int enter(struct hasher *h)
{
    int err = 0;
    pthread_mutex_lock(&h->lock);
    if (h->running >= h->at_once && h->waiting >= h->waiting_max)
        err = ERR_OVERLOADED;
    if (!err) {
        h->waiting++;
        while (h->running >= h->at_once)
            pthread_cond_wait(&h->free_one, &h->lock);
        h->waiting--;
        h->running++;
    }
    pthread_mutex_unlock(&h->lock);
    return err;
}

int hasher_hash(struct hasher *h, enum password_kind kind, const char *plain,
                char out[PASSWORD_HASH])
{
    int err = enter(h);
    if (err)
        return err;
    err = password_hash(kind, plain, out);
    pthread_mutex_lock(&h->lock);
    h->running--;
    pthread_cond_signal(&h->free_one);
    pthread_mutex_unlock(&h->lock);
    return err;
}
