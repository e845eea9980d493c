#include "gateway/errands.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct errands {
    pthread_mutex_t lock; /* all below, but for the threads */
    pthread_cond_t work;
    struct errand *first, **last;
    bool stop;
    unsigned n;
    pthread_t threads[];
};

static struct errand *take(struct errands *e)
{
    pthread_mutex_lock(&e->lock);
    while (!e->first && !e->stop)
        pthread_cond_wait(&e->work, &e->lock);
    struct errand *errand = e->first;
    if (errand)
        e->first = errand->next;
    if (!e->first)
        e->last = &e->first;
    pthread_mutex_unlock(&e->lock);
    return errand;
}

static void *work(void *arg)
{
    for (struct errand *errand; (errand = take(arg)) != NULL;)
        errand->run(errand);
    return NULL;
}

int errands_open(unsigned threads, struct errands **out)
{
    struct errands *e = calloc(1, sizeof *e + threads * sizeof e->threads[0]);
    if (!e)
        return ERR_NOMEM;
    e->last = &e->first;
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->work, NULL);
    while (e->n < threads && pthread_create(&e->threads[e->n], NULL, work, e) == 0)
        pthread_setname_np(e->threads[e->n++], "errand");
    if (e->n < threads) {
        errands_close(e);
        return ERR_NOMEM;
    }
    *out = e;
    return 0;
}

void errands_put(struct errands *e, struct errand *errand)
{
    errand->next = NULL;
    pthread_mutex_lock(&e->lock);
    *e->last = errand;
    e->last = &errand->next;
    pthread_mutex_unlock(&e->lock);
    pthread_cond_signal(&e->work);
}

void errands_close(struct errands *e)
{
    if (!e)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    pthread_cond_broadcast(&e->work);
    pthread_mutex_unlock(&e->lock);
    for (unsigned i = 0; i < e->n; i++)
        pthread_join(e->threads[i], NULL);
    pthread_mutex_destroy(&e->lock);
    pthread_cond_destroy(&e->work);
    free(e);
}
