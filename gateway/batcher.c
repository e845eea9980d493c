#include "gateway/batcher.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

struct batcher {
    struct batcher_settings s;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t work, done;
    char *ring; /* queue_max items */
    size_t first, n;
    bool idle, stop;
    char *batch; /* the thread's own copy of batch_max items */
};

/* Until stop, or the time is over; new items alone do not end it. */
static void pause_ms(struct batcher *b, int ms)
{
    struct timespec until = clock_until(ms);
    while (!b->stop && pthread_cond_timedwait(&b->work, &b->lock, &until) == 0)
        continue;
}

/* Call fn without the lock; how many items are done. */
static size_t hand_over(struct batcher *b, size_t n)
{
    pthread_mutex_unlock(&b->lock);
    size_t taken = b->s.fn(b->s.arg, b->batch, n);
    pthread_mutex_lock(&b->lock);
    return taken;
}

static void copy_batch(struct batcher *b, size_t n)
{
    size_t size = b->s.item_size;
    size_t tail = b->s.queue_max - b->first, head = n < tail ? n : tail;
    memcpy(b->batch, b->ring + b->first * size, head * size);
    memcpy(b->batch + head * size, b->ring, (n - head) * size);
}

/* How many go now: a full batch at once, else those that were here gather_ms ago. */
static size_t gather(struct batcher *b)
{
    size_t n = b->n;
    if (b->s.gather_ms > 0 && n > 0 && n < b->s.batch_max)
        pause_ms(b, b->s.gather_ms);
    return n < b->s.batch_max ? n : b->s.batch_max;
}

static void wait_for_work(struct batcher *b)
{
    struct timespec until = clock_until(b->s.tick_ms);
    b->idle = true;
    int err = 0;
    while (!b->stop && b->n == 0 && err != ETIMEDOUT)
        err = b->s.tick_ms > 0 ? pthread_cond_timedwait(&b->work, &b->lock, &until)
                               : pthread_cond_wait(&b->work, &b->lock);
    b->idle = false;
}

static void *run(void *arg)
{
    struct batcher *b = arg;
    pthread_mutex_lock(&b->lock);
    if (b->s.tick_ms > 0)
        hand_over(b, 0);
    while (!b->stop) {
        if (b->n == 0)
            wait_for_work(b);
        size_t n = gather(b);
        if (b->stop || (n == 0 && b->s.tick_ms == 0))
            continue;
        copy_batch(b, n);
        size_t taken = hand_over(b, n);
        b->first = (b->first + taken) % b->s.queue_max;
        b->n -= taken;
        if (b->n == 0)
            pthread_cond_broadcast(&b->done);
        if (taken < n)
            pause_ms(b, b->s.retry_ms);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

static void batcher_free(struct batcher *b)
{
    pthread_mutex_destroy(&b->lock);
    pthread_cond_destroy(&b->work);
    pthread_cond_destroy(&b->done);
    free(b->ring);
    free(b->batch);
    free(b);
}

int batcher_open(const struct batcher_settings *s, struct batcher **out)
{
    struct batcher *b = calloc(1, sizeof *b);
    if (!b)
        return ERR_NOMEM;
    b->s = *s;
    pthread_mutex_init(&b->lock, NULL);
    clock_cond_init(&b->work);
    clock_cond_init(&b->done);
    b->ring = calloc(s->queue_max, s->item_size);
    b->batch = calloc(s->batch_max, s->item_size);
    if (!b->ring || !b->batch || pthread_create(&b->thread, NULL, run, b) != 0) {
        batcher_free(b);
        return ERR_NOMEM;
    }
    pthread_setname_np(b->thread, s->name);
    *out = b;
    return 0;
}

int batcher_put(struct batcher *b, const void *item)
{
    pthread_mutex_lock(&b->lock);
    bool fits = b->n < b->s.queue_max;
    if (fits) {
        size_t at = (b->first + b->n++) % b->s.queue_max;
        memcpy(b->ring + at * b->s.item_size, item, b->s.item_size);
    }
    bool wake = fits && b->idle;
    if (wake)
        b->idle = false; /* one waker is enough */
    pthread_mutex_unlock(&b->lock);
    if (wake)
        pthread_cond_signal(&b->work);
    return fits ? 0 : ERR_FULL;
}

size_t batcher_flush(struct batcher *b, int wait_ms)
{
    struct timespec until = clock_until(wait_ms);
    pthread_mutex_lock(&b->lock);
    while (b->n > 0 && !b->stop && pthread_cond_timedwait(&b->done, &b->lock, &until) == 0)
        continue;
    size_t n = b->n;
    pthread_mutex_unlock(&b->lock);
    return n;
}

void batcher_close(struct batcher *b)
{
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_broadcast(&b->work);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    batcher_free(b);
}
