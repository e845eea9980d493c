#include "gateway/stream_read.h"

#include <pthread.h>
#include <stdlib.h>

struct stream_reads {
    struct reader *reader;
    struct loop *loop;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t more;
    struct stream_read *first, *last;
    bool stopping;
    unsigned threads_n;
    pthread_t threads[];
};

struct stream_read *stream_read_new(size_t n, bool jobs)
{
    struct stream_read *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->streams = calloc(n, sizeof(struct stream *));
    r->rows = jobs ? calloc(n, sizeof *r->rows) : NULL;
    if (!r->streams || (jobs && !r->rows)) {
        stream_read_free(r);
        return NULL;
    }
    return r;
}

void stream_read_free(struct stream_read *r)
{
    if (!r)
        return;
    for (size_t i = 0; r->rows && i < r->n; i++)
        record_progress_fini(&r->rows[i]);
    record_list_fini(&r->list);
    free(r->rows);
    free(r->streams);
    free(r);
}

static struct stream_read *take(struct stream_reads *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->stopping)
        pthread_cond_wait(&s->more, &s->lock);
    struct stream_read *r = s->stopping ? NULL : s->first;
    if (r)
        s->first = r->next;
    if (!s->first)
        s->last = NULL;
    pthread_mutex_unlock(&s->lock);
    return r;
}

static void give_back(struct stream_reads *s, struct stream_read *r)
{
    if (loop_post(s->loop, r->done, r) != 0)
        stream_read_free(r); /* no memory for a word: its streams hear no more of the record */
}

static void *run(void *arg)
{
    struct stream_reads *s = arg;
    for (struct stream_read *r; (r = take(s)) != NULL;) {
        r->err = r->rows ? reader_progress(s->reader, r->rows, r->n)
                         : reader_list_now(s->reader, &r->list, &r->now_us);
        give_back(s, r);
    }
    return NULL;
}

int stream_reads_open(struct reader *reader, struct loop *loop, unsigned threads,
                      struct stream_reads **out)
{
    struct stream_reads *s = calloc(1, sizeof *s + threads * sizeof(pthread_t));
    if (!s)
        return ERR_NOMEM;
    s->reader = reader;
    s->loop = loop;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->more, NULL);
    while (s->threads_n < threads && pthread_create(&s->threads[s->threads_n], NULL, run, s) == 0)
        s->threads_n++;
    if (s->threads_n < threads) {
        stream_reads_close(s);
        return ERR_NOMEM;
    }
    *out = s;
    return 0;
}

void stream_reads_put(void *arg, struct stream_read *r)
{
    struct stream_reads *s = arg;
    r->next = NULL;
    pthread_mutex_lock(&s->lock);
    if (s->last)
        s->last->next = r;
    else
        s->first = r;
    s->last = r;
    pthread_cond_signal(&s->more);
    pthread_mutex_unlock(&s->lock);
}

void stream_reads_close(struct stream_reads *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    pthread_cond_broadcast(&s->more);
    pthread_mutex_unlock(&s->lock);
    for (unsigned i = 0; i < s->threads_n; i++)
        pthread_join(s->threads[i], NULL);
    for (struct stream_read *r = s->first, *next; r; r = next) {
        next = r->next;
        r->err = ERR_CLOSED;
        give_back(s, r);
    }
    pthread_cond_destroy(&s->more);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
