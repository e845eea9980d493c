#include "gateway/admission.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/overdue.h"
#include "common/metrics.h"

static const int64_t EVERY_US = 5000000, RATE_US = 30000000;
static const int64_t ASK_US = 60000000; /* so often whether a topic has become wider */

struct watched { /* one flow */
    const struct flow *flow;
    size_t partitions; /* the thread's, as the next two */
    int64_t asked_us;
    struct admission_flow judged;
    _Atomic int64_t lag; /* -1 unknown */
    _Atomic bool shed;
};

struct admission {
    struct admission_settings s;
    struct watched *flows;
    size_t n;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* of `judged`, and of going to sleep while told to stop */
    pthread_cond_t wake;
    _Atomic bool stop;
};

/* Between two samples, so that they reach back to twice the deadline. */
static int64_t apart_us(const struct admission_flow *f)
{
    int64_t us = f->deadline_ms * 1000 * 2 / (ADMISSION_SAMPLES - 1);
    return us > EVERY_US ? us : EVERY_US;
}

static size_t before(size_t i)
{
    return (i + ADMISSION_SAMPLES - 1) % ADMISSION_SAMPLES;
}

/* Offsets may be set back: then nothing was done. */
static void count(struct admission_flow *f, int64_t done, int overdue)
{
    if (f->n && done > f->done)
        f->good += (double)(done - f->done) * (100 - overdue) / 100;
    f->done = done;
}

static void note(struct admission_flow *f, int64_t at_us, int64_t came, int64_t done)
{
    /* half: who looks every 5 s is a little early now and then */
    if (f->n && at_us - f->sample[before(f->next)].at_us < apart_us(f) - EVERY_US / 2)
        return;
    f->sample[f->next].at_us = at_us;
    f->sample[f->next].came = came;
    f->sample[f->next].done = done;
    f->sample[f->next].good = f->good;
    f->next = (f->next + 1) % ADMISSION_SAMPLES;
    if (f->n < ADMISSION_SAMPLES)
        f->n++;
}

/* The newest sample at or before that time, else the oldest; false: that one is younger. There is
 * one. */
static bool sample_at(const struct admission_flow *f, int64_t at_us, size_t *out)
{
    size_t i = before(f->next);
    for (size_t left = f->n - 1; left && f->sample[i].at_us > at_us; left--)
        i = before(i);
    *out = i;
    return f->sample[i].at_us <= at_us;
}

/* Is a record open that came a deadline and some ago? */
static bool is_behind(const struct admission_flow *f, int64_t at_us, int64_t done)
{
    size_t then;
    return sample_at(f, at_us - f->deadline_ms * 1000 - ADMISSION_SETTLE_US, &then) &&
           done < f->sample[then].came;
}

/* Jobs done per second, over a time in which one that holds the commit has ended. */
static double rate_of(const struct admission_flow *f, int64_t at_us)
{
    int64_t deadline_us = f->deadline_ms * 1000;
    size_t then;
    sample_at(f, at_us - (deadline_us > RATE_US ? deadline_us : RATE_US), &then);
    int64_t us = at_us - f->sample[then].at_us;
    return us > 0 ? (f->good - f->sample[then].good) * 1e6 / (double)us : 0;
}

static void learn(struct admission_flow *f, int64_t at_us, int64_t lag, bool behind)
{
    double rate = rate_of(f, at_us);
    if (behind || rate > f->capacity)
        f->capacity = rate;
    if (behind || f->shed) /* as long as it sheds, the workers have all they can do */
        f->known_us = at_us;
    else if (lag <= f->floor || at_us - f->known_us > apart_us(f) * (ADMISSION_SAMPLES - 1))
        f->known_us = 0;
}

bool admission_judge(struct admission_flow *f, int64_t at_us, int64_t lag, int64_t done,
                     int overdue)
{
    double bound_s = (double)f->deadline_ms / 1000 / (f->shed ? 2 : 1);
    count(f, done, overdue);
    note(f, at_us, done + lag, done);
    learn(f, at_us, lag, overdue >= ADMISSION_OVERDUE || is_behind(f, at_us, done));
    f->shed =
        f->known_us && f->deadline_ms && lag > f->floor && (double)lag > bound_s * f->capacity;
    return f->shed;
}

void admission_sum(const struct broker_lag *list, size_t n, int64_t *lag, int64_t *done)
{
    *lag = *done = 0;
    for (size_t i = 0; i < n; i++) {
        int64_t from = list[i].committed > list[i].low ? list[i].committed : list[i].low;
        if (list[i].high > from)
            *lag += list[i].high - from;
        *done += from;
    }
}

static void ask_partitions(struct admission *a, struct watched *w)
{
    int n, wait_ms = a->s.wait_ms;
    int64_t now_us = clock_mono_us(a->s.clock);
    if (now_us - w->asked_us < ASK_US)
        return;
    w->asked_us = now_us;
    if (broker_partitions(a->s.producer, w->flow->topic.name, wait_ms, &n) == 0 && n > 0)
        w->partitions = (size_t)n;
}

/* Nobody is asked of a flow that is not shed anyway. */
static int ask_overdue(const struct admission *a, const struct watched *w, int64_t lag)
{
    char name[OVERDUE_NAME];
    struct cache_reply reply;
    overdue_name(w->flow->name, name);
    if (!a->s.cache || lag <= a->s.floor || !cache_get(a->s.cache, name, &reply))
        return 0;
    int percent = overdue_parse(reply.text);
    cache_reply_fini(&reply);
    return percent;
}

static void measure_flow(struct admission *a, struct watched *w)
{
    ask_partitions(a, w);
    int64_t lag = -1, done;
    bool shed = false;
    struct broker_lag *list = calloc(w->partitions ? w->partitions : 1, sizeof *list);
    for (size_t i = 0; list && i < w->partitions; i++) {
        snprintf(list[i].topic, sizeof list[i].topic, "%s", w->flow->topic.name);
        list[i].partition = (int32_t)i;
    }
    if (list && w->partitions &&
        broker_lag(a->s.producer, w->flow->topic.group, list, w->partitions, a->s.wait_ms) == 0) {
        admission_sum(list, w->partitions, &lag, &done);
        int overdue = ask_overdue(a, w, lag);
        pthread_mutex_lock(&a->lock);
        shed = admission_judge(&w->judged, clock_mono_us(a->s.clock), lag, done, overdue);
        pthread_mutex_unlock(&a->lock);
    }
    free(list);
    atomic_store(&w->lag, lag);
    atomic_store(&w->shed, shed);
}

void admission_measure(struct admission *a)
{
    for (size_t i = 0; i < a->n && !atomic_load(&a->stop); i++)
        measure_flow(a, &a->flows[i]);
}

static void *run(void *arg)
{
    struct admission *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!atomic_load(&a->stop)) {
        pthread_mutex_unlock(&a->lock);
        admission_measure(a);
        struct timespec until = clock_until(a->s.every_ms);
        pthread_mutex_lock(&a->lock);
        while (!atomic_load(&a->stop) && pthread_cond_timedwait(&a->wake, &a->lock, &until) == 0)
            continue;
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

static double read_lag(void *arg)
{
    int64_t lag = atomic_load(&((struct watched *)arg)->lag);
    return lag < 0 ? NAN : (double)lag;
}

static double read_shed(void *arg)
{
    return atomic_load(&((struct watched *)arg)->shed) ? 1 : 0;
}

static void watch(struct admission *a, size_t i)
{
    struct watched *w = &a->flows[i];
    w->flow = &a->s.flows->flows[i];
    w->judged = (struct admission_flow){.floor = a->s.floor, .deadline_ms = w->flow->deadline_ms};
    w->partitions = a->s.partitions[i] > 0 ? (size_t)a->s.partitions[i] : 0;
    w->asked_us = clock_mono_us(a->s.clock);
    atomic_store(&w->lag, -1);
}

/* The same records, and as much time for them: so what was judged of one holds for the other. */
static bool is_same(const struct flow *x, const struct flow *y)
{
    return strcmp(x->name, y->name) == 0 && strcmp(x->topic.name, y->topic.name) == 0 &&
           strcmp(x->topic.group, y->topic.group) == 0 && x->deadline_ms == y->deadline_ms;
}

static void take_over(struct admission *a, struct admission *before)
{
    pthread_mutex_lock(&before->lock);
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < before->n; k++)
            if (is_same(a->flows[i].flow, before->flows[k].flow)) {
                a->flows[i].judged = before->flows[k].judged;
                a->flows[i].shed = a->flows[i].judged.shed;
            }
    pthread_mutex_unlock(&before->lock);
}

int admission_open(const struct admission_settings *s, struct admission **out)
{
    struct admission *a = calloc(1, sizeof *a);
    if (!a)
        return ERR_NOMEM;
    a->s = *s;
    a->n = s->flows->flows_n;
    a->flows = calloc(a->n ? a->n : 1, sizeof *a->flows);
    pthread_mutex_init(&a->lock, NULL);
    clock_cond_init(&a->wake);
    for (size_t i = 0; a->flows && i < a->n; i++)
        watch(a, i);
    if (s->before && a->flows)
        take_over(a, s->before);
    a->s.partitions = NULL; /* the caller's, copied by now; */
    a->s.before = NULL;     /* and who was before ends */
    if (s->every_ms > 0 && a->flows)
        a->started = pthread_create(&a->thread, NULL, run, a) == 0;
    if (!a->flows || (s->every_ms > 0 && !a->started)) {
        admission_close(a);
        return ERR_NOMEM;
    }
    *out = a;
    return 0;
}

void admission_show(struct admission *a)
{
    for (size_t i = 0; i < a->n; i++) {
        struct watched *w = &a->flows[i];
        char labels[128];
        snprintf(labels, sizeof labels, "flow=\"%s\"", w->flow->name);
        metrics_gauge_fn("offpath_flow_lag_records", labels,
                         "Records of the flow's topic from the oldest unfinished one on; NaN: "
                         "unknown.",
                         read_lag, w);
        metrics_gauge_fn("offpath_flow_shedding", labels,
                         "1 while the gateway answers `overloaded` for the flow.", read_shed, w);
    }
}

void admission_stop(struct admission *a)
{
    pthread_mutex_lock(&a->lock);
    atomic_store(&a->stop, true);
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
}

void admission_close(struct admission *a)
{
    if (!a)
        return;
    admission_stop(a);
    if (a->started)
        pthread_join(a->thread, NULL);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->wake);
    for (size_t i = 0; a->flows && i < a->n; i++)
        metrics_gauge_fn_end(&a->flows[i]);
    free(a->flows);
    free(a);
}

bool admission_overloaded(const struct admission *a, const struct flow *f)
{
    size_t i = (size_t)(f - a->s.flows->flows);
    return i < a->n && atomic_load_explicit(&a->flows[i].shed, memory_order_relaxed);
}

int64_t admission_lag(const struct admission *a, const struct flow *f)
{
    size_t i = (size_t)(f - a->s.flows->flows);
    return i < a->n ? atomic_load_explicit(&a->flows[i].lag, memory_order_relaxed) : -1;
}
