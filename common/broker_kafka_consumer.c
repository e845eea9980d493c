#include "common/broker_kafka.h"
#include "common/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { CLOSE_MS = 5000, ERROR_EVERY_MS = 5000 };

/* What is paused we know ourselves: librdkafka 2.0.2 reads old records again when a partition is
 * resumed that was not paused. */
struct slot { /* one assigned partition */
    char *topic;
    int32_t partition;
    bool paused;
};

struct consumer {
    struct broker_consumer port; /* first */
    struct kafka *kafka;
    int fd;
    struct broker_consumer_events events;
    struct slot *slots;
    size_t slots_n;
    struct broker_record record; /* lent */
    struct event_header headers[BROKER_HEADERS_MAX];
    int64_t error_ms; /* when the last error was told; 0 never */
    char error[128];
};

static void slots_free(struct consumer *c)
{
    for (size_t i = 0; i < c->slots_n; i++)
        free(c->slots[i].topic);
    free(c->slots);
    c->slots = NULL;
    c->slots_n = 0;
}

static void slots_set(struct consumer *c, const struct broker_partition *list, size_t n)
{
    slots_free(c);
    c->slots = calloc(n + 1, sizeof *c->slots);
    for (size_t i = 0; c->slots && i < n; i++) {
        struct slot s = {strdup(list[i].topic), list[i].partition, false};
        if (s.topic)
            c->slots[c->slots_n++] = s;
    }
}

static void consumer_pause(struct broker_consumer *port, const char *topic, int32_t partition,
                           bool pause)
{
    struct consumer *c = (struct consumer *)port;
    for (size_t i = 0; i < c->slots_n; i++) {
        struct slot *s = &c->slots[i];
        if (s->partition != partition || strcmp(s->topic, topic) != 0)
            continue;
        if (s->paused != pause && kafka_pause(c->kafka, topic, partition, pause))
            s->paused = pause;
        return;
    }
}

static void on_rebalance(void *arg, bool assigned, bool lost, const struct broker_partition *list,
                         size_t n)
{
    struct consumer *c = arg;
    if (assigned) {
        slots_set(c, list, n);
        if (c->events.assigned)
            c->events.assigned(c->events.arg, list, n);
        return;
    }
    if (c->events.revoked)
        c->events.revoked(c->events.arg, list, n, lost);
    /* a pause must not outlive the assignment: the partition may come back to us */
    for (size_t i = 0; i < c->slots_n; i++)
        consumer_pause(&c->port, c->slots[i].topic, c->slots[i].partition, false);
    slots_free(c);
}

static int error_of(const char *name)
{
    static const char *const refused[] = {"TOPIC_AUTHORIZATION_FAILED",
                                          "GROUP_AUTHORIZATION_FAILED",
                                          "CLUSTER_AUTHORIZATION_FAILED",
                                          "UNKNOWN_TOPIC_OR_PART",
                                          "_UNKNOWN_TOPIC",
                                          "INVALID_GROUP_ID"};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (strcmp(name, refused[i]) == 0)
            return ERR_REFUSED;
    return ERR_IO;
}

static void on_error(void *arg, const char *name, bool fatal, const char *why)
{
    struct consumer *c = arg;
    int64_t now = clock_mono_ms(clock_real());
    bool same = strncmp(c->error, why, sizeof c->error - 1) == 0;
    if (!fatal && c->error_ms && same && now - c->error_ms < ERROR_EVERY_MS)
        return;
    c->error_ms = now;
    snprintf(c->error, sizeof c->error, "%s", why);
    if (c->events.error)
        c->events.error(c->events.arg, error_of(name), fatal, why);
}

static int consumer_fd(struct broker_consumer *port)
{
    return ((struct consumer *)port)->fd;
}

static const struct broker_record *consumer_poll(struct broker_consumer *port)
{
    struct consumer *c = (struct consumer *)port;
    eventfd_t signals;
    if (kafka_next(c->kafka, &c->record, c->headers, BROKER_HEADERS_MAX))
        return &c->record;
    /* the descriptor is written only when an empty queue fills: clear it, then look once more */
    (void)eventfd_read(c->fd, &signals);
    return kafka_next(c->kafka, &c->record, c->headers, BROKER_HEADERS_MAX) ? &c->record : NULL;
}

static int consumer_commit(struct broker_consumer *port, const struct broker_partition *list,
                           size_t n, int wait_ms)
{
    return kafka_commit(((struct consumer *)port)->kafka, list, n, wait_ms);
}

static void consumer_close(struct broker_consumer *port)
{
    struct consumer *c = (struct consumer *)port;
    if (c->kafka)
        kafka_close(c->kafka, CLOSE_MS);
    if (c->fd >= 0)
        close(c->fd);
    slots_free(c);
    free(c);
}

int broker_kafka_consumer_open(const struct broker_settings *s, const char *group,
                               const char *const *topics, size_t topics_n,
                               const struct broker_consumer_events *events,
                               struct broker_consumer **out)
{
    static const struct broker_consumer_ops ops = {consumer_fd, consumer_poll, consumer_pause,
                                                   consumer_commit, consumer_close};
    struct consumer *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->port.ops = &ops;
    c->events = *events;
    c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    const struct kafka_events told = {.arg = c, .rebalance = on_rebalance, .error = on_error};
    int err = c->fd < 0 ? ERR_IO : kafka_open(BROKER_CONSUMER, s, group, &told, &c->kafka);
    if (!err)
        err = kafka_subscribe(c->kafka, topics, topics_n, c->fd);
    if (err)
        consumer_close(&c->port);
    else
        *out = &c->port;
    return err;
}
