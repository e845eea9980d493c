#include "gateway/admission.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/clock.h"
#include "common/metrics.h"

static const int64_t KNOWN_US = 10000000; /* less history says nothing about the rate */

static const int64_t ASK_US = 60000000; /* so often whether a topic has become wider */

struct watched { /* one flow */
    const struct flow *flow;
    size_t partitions; /* the thread's, as the next */
    int64_t asked_us;
    struct admission_history history; /* the thread's */
    _Atomic int64_t lag;              /* -1 unknown */
    _Atomic bool shed;
};

struct admission {
    struct admission_settings s;
    struct watched *flows;
    size_t n;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock; /* nobody is told to stop while the thread goes to sleep */
    pthread_cond_t wake;
    _Atomic bool stop;
};

void admission_note(struct admission_history *h, int64_t at_us, int64_t done)
{
    h->sample[h->next].at_us = at_us;
    h->sample[h->next].done = done;
    h->next = (h->next + 1) % ADMISSION_SAMPLES;
    if (h->n < ADMISSION_SAMPLES)
        h->n++;
}

double admission_rate(const struct admission_history *h)
{
    size_t last = (h->next + ADMISSION_SAMPLES - 1) % ADMISSION_SAMPLES;
    size_t first = (h->next + ADMISSION_SAMPLES - h->n) % ADMISSION_SAMPLES;
    if (h->n < 2 || h->sample[last].at_us - h->sample[first].at_us < KNOWN_US)
        return -1;
    int64_t done = h->sample[last].done - h->sample[first].done;
    double seconds = (double)(h->sample[last].at_us - h->sample[first].at_us) / 1e6;
    return done > 0 ? (double)done / seconds : 0;
}

bool admission_sheds(const struct admission_rule *rule, int64_t lag, double rate)
{
    if (lag < 0 || rate < 0 || lag <= rule->floor || rule->deadline_ms == 0)
        return false;
    return rate == 0 || (double)lag / rate * 1000 > (double)rule->deadline_ms;
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

static void measure_flow(struct admission *a, struct watched *w)
{
    ask_partitions(a, w);
    struct admission_rule rule = {a->s.floor, w->flow->deadline_ms};
    int64_t lag = -1, done;
    struct broker_lag *list = calloc(w->partitions ? w->partitions : 1, sizeof *list);
    for (size_t i = 0; list && i < w->partitions; i++) {
        snprintf(list[i].topic, sizeof list[i].topic, "%s", w->flow->topic.name);
        list[i].partition = (int32_t)i;
    }
    if (list && w->partitions &&
        broker_lag(a->s.producer, w->flow->topic.group, list, w->partitions, a->s.wait_ms) == 0) {
        admission_sum(list, w->partitions, &lag, &done);
        admission_note(&w->history, clock_mono_us(a->s.clock), done);
    }
    free(list);
    atomic_store(&w->lag, lag);
    atomic_store(&w->shed, admission_sheds(&rule, lag, admission_rate(&w->history)));
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
    w->partitions = a->s.partitions[i] > 0 ? (size_t)a->s.partitions[i] : 0;
    w->asked_us = clock_mono_us(a->s.clock);
    atomic_store(&w->lag, -1);
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
    a->s.partitions = NULL; /* the caller's, copied by now */
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
