#include "gateway/reader.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/log.h"

typedef int reader_work(struct record *c, void *arg);

struct reader {
    struct reader_settings s;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t free_one;
    struct record **idle;          /* connections nobody uses */
    size_t idle_n, busy_n, long_n; /* long: of busy, who may take long */
    int64_t rest_until_ms;
    int64_t moved_ms; /* when the last one came back, or was taken */
    bool away;        /* the log says so */
    reader_work *by;  /* only where that goes well again it is back; NULL: where anything does */
};

enum { FRESH_MS = 1000 }; /* a connection lost later than that was not lost while it rested */

int reader_open(const struct reader_settings *s, struct reader **out)
{
    struct reader *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->s = *s;
    r->idle = calloc(s->connections, sizeof(struct record *));
    if (!r->idle) {
        free(r);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&r->lock, NULL);
    clock_cond_init(&r->free_one);
    *out = r;
    return 0;
}

void reader_close(struct reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->idle_n; i++)
        r->idle[i]->ops->close(r->idle[i]);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->free_one);
    free(r->idle);
    free(r);
}

/* Lists and cancels read many rows or wait for locked ones: reads of a job keep the other places.
 */
static bool is_full(const struct reader *r, bool takes_long)
{
    size_t max = (r->s.connections + 2) / 3;
    return r->busy_n >= r->s.connections || (takes_long && r->long_n >= max);
}

/* With the lock. While MySQL hangs every connection is out until its time is over: requests that
 * wait here would take the threads from those that only want to be accepted. */
static int wait_for_place(struct reader *r, bool takes_long)
{
    int64_t end = clock_mono_ms(r->s.clock) + r->s.wait_ms;
    while (is_full(r, takes_long)) {
        int64_t now = clock_mono_ms(r->s.clock), stuck = r->moved_ms + r->s.stuck_ms;
        int64_t left = (stuck < end ? stuck : end) - now;
        if (left <= 0)
            return ERR_UNAVAILABLE;
        struct timespec until = clock_until(left);
        (void)pthread_cond_timedwait(&r->free_one, &r->lock, &until);
    }
    return 0;
}

/* A place among the connections: *out an idle one, or NULL to open one. */
static int take(struct reader *r, bool takes_long, struct record **out)
{
    *out = NULL;
    pthread_mutex_lock(&r->lock);
    int err = wait_for_place(r, takes_long);
    if (!err && r->idle_n > 0)
        *out = r->idle[--r->idle_n];
    else if (!err && clock_mono_ms(r->s.clock) < r->rest_until_ms)
        err = ERR_UNAVAILABLE;
    if (!err) {
        r->busy_n++;
        r->long_n += takes_long;
        r->moved_ms = clock_mono_ms(r->s.clock);
    }
    pthread_mutex_unlock(&r->lock);
    return err;
}

/* NULL: it is lost. */
static void put(struct reader *r, bool takes_long, struct record *c)
{
    pthread_mutex_lock(&r->lock);
    r->busy_n--;
    r->long_n -= takes_long;
    if (c)
        r->idle[r->idle_n++] = c;
    pthread_cond_broadcast(&r->free_one); /* whoever is first may not take this place */
    pthread_mutex_unlock(&r->lock);
}

static int open_one(struct reader *r, struct record **out, char why[RECORD_WHY])
{
    int err = r->s.open(r->s.arg, out, why);
    if (!err)
        return 0;
    pthread_mutex_lock(&r->lock);
    r->rest_until_ms = clock_mono_ms(r->s.clock) + r->s.rest_ms;
    pthread_mutex_unlock(&r->lock);
    return err;
}

/* Says it once when it goes, and once when it comes back. A missing table stops only what needs it:
 * lists go on, and would say "back" in between. */
static void note(struct reader *r, reader_work *work, int err, const char *why)
{
    pthread_mutex_lock(&r->lock);
    bool went = err && !r->away, came = !err && r->away && (!r->by || r->by == work);
    if (went)
        r->by = err == ERR_SETUP ? work : NULL;
    r->away = (r->away || went) && !came;
    pthread_mutex_unlock(&r->lock);
    if (went)
        log_warn("record-away", "who", "reader", "why", why[0] ? why : err_text(err));
    else if (came)
        log_info("record-back", "who", "reader");
}

static bool is_answer(int err)
{
    return !err || err == ERR_NOT_FOUND || err == ERR_CONFLICT;
}

/* Done on a connection; one that was lost while it rested is replaced once. */
static int with_connection(struct reader *r, bool takes_long, reader_work *work, void *arg)
{
    struct record *c;
    char why[RECORD_WHY] = "";
    int err = take(r, takes_long, &c);
    if (err)
        return err;
    bool rested = c != NULL;
    int64_t began = clock_mono_ms(r->s.clock);
    for (;;) {
        err = c ? 0 : open_one(r, &c, why);
        if (err)
            break;
        err = work(c, arg);
        if (is_answer(err))
            break;
        snprintf(why, sizeof why, "%s", c->ops->why(c));
        c->ops->close(c);
        c = NULL;
        if (!rested || clock_mono_ms(r->s.clock) - began > FRESH_MS)
            break;
        rested = false;
    }
    put(r, takes_long, c);
    if (err == 0 || !is_answer(err)) /* no such job: nobody knows what else would have been read */
        note(r, work, err, why);
    return is_answer(err) ? err : ERR_UNAVAILABLE;
}

struct one {
    const struct job_id *id;
    const struct reader_guard *guard;
    struct record_job *job;
    struct record_call **calls;
    size_t *n;
};

static int look_one(struct record *c, void *arg)
{
    struct one *o = arg;
    return c->ops->look(c, o->id, o->job);
}

int reader_look(struct reader *r, const struct job_id *id, struct record_job *job)
{
    return with_connection(r, false, look_one, &(struct one){.id = id, .job = job});
}

/* A stranger's question costs a row of a few bytes, not somebody's whole result. */
static int read_one(struct record *c, void *arg)
{
    struct one *o = arg;
    struct record_job row;
    int err = o->guard ? c->ops->look(c, o->id, &row) : 0;
    if (!err && o->guard && !o->guard->may(o->guard->arg, &row))
        err = ERR_NOT_FOUND;
    return err ? err : c->ops->read(c, o->id, o->job, o->calls, o->n);
}

int reader_read(struct reader *r, const struct job_id *id, const struct reader_guard *guard,
                struct record_job *job, struct record_call **calls, size_t *n)
{
    return with_connection(r, false, read_one, &(struct one){id, guard, job, calls, n});
}

static int list(struct record *c, void *arg)
{
    return c->ops->list(c, arg);
}

int reader_list(struct reader *r, struct record_list *l)
{
    return with_connection(r, true, list, l);
}

struct timed {
    struct record_list *list;
    int64_t now_us;
};

static int list_now(struct record *c, void *arg)
{
    struct timed *t = arg;
    int err = c->ops->now(c, &t->now_us);
    return err ? err : c->ops->list(c, t->list);
}

int reader_list_now(struct reader *r, struct record_list *l, int64_t *now_us)
{
    struct timed t = {l, 0};
    int err = with_connection(r, true, list_now, &t);
    if (!err)
        *now_us = t.now_us;
    return err;
}

struct many {
    struct record_progress *rows;
    size_t n;
};

static int progress(struct record *c, void *arg)
{
    const struct many *m = arg;
    return c->ops->progress(c, m->rows, m->n);
}

int reader_progress(struct reader *r, struct record_progress *rows, size_t n)
{
    return with_connection(r, false, progress, &(struct many){rows, n});
}

static int cancel(struct record *c, void *arg)
{
    return c->ops->cancel(c, arg);
}

int reader_cancel(struct reader *r, struct record_cancel *c)
{
    return with_connection(r, true, cancel, c);
}
