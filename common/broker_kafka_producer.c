#include "common/broker_kafka.h"
#include "common/clock.h"
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    UP_MS = 5000,
    ASK_MS = 1000,
    KNOWN_MS = 1000,
    SOON_MS = 100,
    CLOSE_MS = 5000,
    LAG_CLIENTS = 1024,     /* more groups: unknown. Twice what a folder may have, as in a reload */
    LAG_FORGET_MS = 600000, /* a group that nobody asks for any more */
};

struct lag_client { /* asks for the offsets of one group; made by the first such question */
    struct lag_client *next;
    struct kafka *kafka;
    int64_t asked_ms;
    char group[];
};

struct producer {
    struct broker_producer port; /* first */
    struct kafka *kafka;
    broker_report_fn *report;
    void *arg;
    pthread_mutex_t telling;     /* one report at a time, whichever broker it is from */
    atomic_size_t open;          /* published, not yet reported */
    _Atomic int64_t answered_ms; /* when a broker last answered; -1 never */
    atomic_bool has_id;          /* without it a record waits, up to seconds */
    pthread_t prober;
    bool probing;
    sem_t stop;                      /* ends the prober */
    struct broker_settings settings; /* copies, for `lag`; lost: NULL once it was told */
    pthread_mutex_t lag_lock;        /* the two below */
    struct lag_client *lag;
    size_t lag_n;
};

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static void on_report(void *arg, const struct broker_delivery *d)
{
    struct producer *p = arg;
    if (d->report == REPORT_PERSISTED)
        atomic_store_explicit(&p->answered_ms, now_ms(), memory_order_relaxed);
    pthread_mutex_lock(&p->telling);
    p->report(p->arg, d, 1);
    pthread_mutex_unlock(&p->telling);
    atomic_fetch_sub(&p->open, 1);
}

static void on_statistics(void *arg, const char *json)
{
    struct producer *p = arg;
    atomic_store(&p->has_id, broker_stats_has_id(json));
}

/* Always from the prober. */
static void on_error(void *arg, const char *name, bool fatal, const char *why)
{
    struct producer *p = arg;
    (void)name;
    if (fatal && p->settings.lost)
        p->settings.lost(p->settings.lost_arg, why);
    p->settings.lost = NULL;
}

static int producer_publish(struct broker_producer *port, const struct broker_record *r, void *tag)
{
    struct producer *p = (struct producer *)port;
    atomic_fetch_add(&p->open, 1);
    int err = kafka_publish(p->kafka, r, tag);
    if (err)
        atomic_fetch_sub(&p->open, 1);
    return err;
}

static size_t producer_flush(struct broker_producer *port, int wait_ms)
{
    struct producer *p = (struct producer *)port;
    int64_t until = now_ms() + wait_ms;
    kafka_flush(p->kafka, wait_ms, false);
    /* the library counts a message out a moment after it was reported, or before */
    while (atomic_load(&p->open) && now_ms() < until)
        kafka_flush(p->kafka, 10, false);
    return atomic_load(&p->open);
}

/* Whoever asks whether it is up, perhaps a loop, must not wait for a broker: this thread does. It
 * also takes the statistics, so that they do not pile up. */
static void *probe(void *arg)
{
    struct producer *p = arg;
    struct timespec until;
    do {
        if (kafka_answers(p->kafka, ASK_MS))
            atomic_store(&p->answered_ms, now_ms());
        bool known = atomic_load(&p->has_id);
        until = clock_until(known ? KNOWN_MS : SOON_MS);
    } while (sem_clockwait(&p->stop, CLOCK_MONOTONIC, &until));
    return NULL;
}

static int probe_start(struct producer *p)
{
    sigset_t all, before; /* signals belong to the program's own threads */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    p->probing = pthread_create(&p->prober, NULL, probe, p) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return p->probing ? 0 : ERR_NOMEM;
}

static bool producer_up(struct broker_producer *port)
{
    struct producer *p = (struct producer *)port;
    int64_t answered = atomic_load(&p->answered_ms);
    return atomic_load(&p->has_id) && answered >= 0 && now_ms() - answered <= UP_MS;
}

/* Not below 0: -1 means for ever to librdkafka. */
static int left_ms(int64_t until)
{
    int64_t left = until - now_ms();
    return left > 0 ? (int)left : 0;
}

/* Those not asked for since then. */
static void lag_clients_close(struct producer *p, int64_t since_ms)
{
    for (struct lag_client **at = &p->lag, *c; (c = *at);) {
        if (c->asked_ms >= since_ms) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        p->lag_n--;
        kafka_close(c->kafka, 0);
        free(c);
    }
}

static struct lag_client *lag_client_new(struct producer *p, const char *group)
{
    static const struct kafka_events none = {0};
    size_t size = strlen(group) + 1;
    lag_clients_close(p, now_ms() - LAG_FORGET_MS);
    struct lag_client *c = p->lag_n < LAG_CLIENTS ? calloc(1, sizeof *c + size) : NULL;
    if (!c || kafka_open(BROKER_ADMIN, &p->settings, group, &none, &c->kafka) != 0) {
        free(c);
        return NULL;
    }
    memcpy(c->group, group, size);
    c->next = p->lag;
    p->lag = c;
    p->lag_n++;
    return c;
}

/* The group's client, NULL without one. */
static struct kafka *lag_client(struct producer *p, const char *group)
{
    struct lag_client *c = p->lag;
    while (c && strcmp(c->group, group) != 0)
        c = c->next;
    if (!c)
        c = lag_client_new(p, group);
    if (!c)
        return NULL;
    c->asked_ms = now_ms();
    return c->kafka;
}

static int producer_lag(struct broker_producer *port, const char *group, struct broker_lag *list,
                        size_t n, int wait_ms)
{
    struct producer *p = (struct producer *)port;
    struct broker_lag *found = malloc((n + 1) * sizeof *found);
    int64_t until = now_ms() + wait_ms;
    if (!found)
        return ERR_NOMEM;
    memcpy(found, list, n * sizeof *found);
    pthread_mutex_lock(&p->lag_lock);
    struct kafka *lag = lag_client(p, group);
    int err = lag ? kafka_committed(lag, found, n, wait_ms) : ERR_IO;
    if (!err)
        err = kafka_watermarks(lag, found, n, left_ms(until));
    pthread_mutex_unlock(&p->lag_lock);
    if (!err)
        memcpy(list, found, n * sizeof *found);
    free(found);
    return err;
}

/* By a client that asks for lag: the producer's own question may create the topic. */
static int producer_partitions(struct broker_producer *port, const char *topic, int wait_ms, int *n)
{
    struct producer *p = (struct producer *)port;
    struct broker_topic t = {0};
    snprintf(t.name, sizeof t.name, "%s", topic);
    pthread_mutex_lock(&p->lag_lock);
    struct kafka *any = p->lag ? p->lag->kafka : lag_client(p, "");
    int err = any ? kafka_partitions(any, &t, wait_ms) : ERR_IO;
    pthread_mutex_unlock(&p->lag_lock);
    if (!err)
        *n = t.partitions;
    return err;
}

static char *copy(const char *text)
{
    return text ? strdup(text) : NULL;
}

static void producer_free(struct producer *p)
{
    sem_post(&p->stop);
    if (p->probing)
        pthread_join(p->prober, NULL);
    sem_destroy(&p->stop);
    if (p->kafka)
        kafka_close(p->kafka, 0);
    lag_clients_close(p, INT64_MAX);
    pthread_mutex_destroy(&p->telling);
    pthread_mutex_destroy(&p->lag_lock);
    free((void *)(uintptr_t)p->settings.servers);
    free((void *)(uintptr_t)p->settings.client_id);
    free((void *)(uintptr_t)p->settings.properties);
    free(p);
}

static void producer_close(struct broker_producer *port)
{
    struct producer *p = (struct producer *)port;
    if (atomic_load(&p->open))
        kafka_flush(p->kafka, 0, true);
    (void)producer_flush(port, CLOSE_MS);
    producer_free(p);
}

static const struct broker_producer_ops ops = {
    .publish = producer_publish,
    .flush = producer_flush,
    .up = producer_up,
    .lag = producer_lag,
    .partitions = producer_partitions,
    .close = producer_close,
};

int broker_kafka_producer_open(const struct broker_settings *s, broker_report_fn *report, void *arg,
                               struct broker_producer **out)
{
    struct producer *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    *p = (struct producer){.port.ops = &ops, .report = report, .arg = arg};
    const struct kafka_events events = {
        .arg = p, .report = on_report, .statistics = on_statistics, .error = on_error};
    p->settings = (struct broker_settings){.servers = copy(s->servers),
                                           .client_id = copy(s->client_id),
                                           .properties = copy(s->properties),
                                           .lost = s->lost,
                                           .lost_arg = s->lost_arg};
    pthread_mutex_init(&p->telling, NULL);
    pthread_mutex_init(&p->lag_lock, NULL);
    atomic_init(&p->answered_ms, -1);
    sem_init(&p->stop, 0, 0);
    int err = kafka_open(BROKER_PRODUCER, s, NULL, &events, &p->kafka);
    if (!err)
        err = probe_start(p);
    if (err)
        producer_free(p);
    else
        *out = &p->port;
    return err;
}
