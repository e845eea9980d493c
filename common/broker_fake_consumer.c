#include "common/broker_fake_parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct slot { /* an assigned partition */
    char topic[250];
    int32_t partition;
    bool paused;
    int64_t position;
};

enum news_kind { NEWS_ASSIGN, NEWS_REVOKE, NEWS_LOST, NEWS_ERROR };

struct news { /* what the next poll tells before any record */
    struct news *next;
    enum news_kind kind;
    struct slot *slots;
    size_t slots_n;
    int err;
    bool fatal;
    char why[128];
};

struct fake_consumer {
    struct broker_consumer port; /* first */
    struct fake_consumer_link link;
    struct broker_fake *fake;
    char group[250];
    char (*topics)[250];
    size_t topics_n;
    struct broker_consumer_events events;
    struct slot *slots;
    size_t slots_n, turn;
    struct news *first, **last;
    struct broker_record *record; /* a copy of its own: use after the next poll is seen */
};

static struct slot *slot_find(struct fake_consumer *c, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < c->slots_n; i++)
        if (c->slots[i].partition == partition && !strcmp(c->slots[i].topic, topic))
            return &c->slots[i];
    return NULL;
}

static void tell(struct fake_consumer *c, const struct slot *slots, size_t n, enum news_kind kind)
{
    struct broker_partition *list = calloc(n + 1, sizeof *list);
    for (size_t i = 0; list && i < n; i++)
        list[i] = (struct broker_partition){slots[i].topic, slots[i].partition, -1};
    if (list && kind == NEWS_ASSIGN)
        c->events.assigned(c->events.arg, list, n);
    else if (list)
        c->events.revoked(c->events.arg, list, n, kind == NEWS_LOST);
    free(list);
}

static void take_over(struct fake_consumer *c, struct news *n)
{
    struct slot *all = realloc(c->slots, (c->slots_n + n->slots_n + 1) * sizeof *all);
    if (!all)
        return;
    c->slots = all;
    for (size_t i = 0; i < n->slots_n; i++) {
        struct slot *s = &n->slots[i];
        int64_t committed = fake_log_committed(&c->fake->log, c->group, s->topic, s->partition);
        s->position = committed < 0 ? 0 : committed;
        c->slots[c->slots_n++] = *s;
    }
    tell(c, n->slots, n->slots_n, NEWS_ASSIGN);
}

/* lost: gone before it is told, so that a commit from inside `revoked` fails */
static void give_up(struct fake_consumer *c, enum news_kind kind)
{
    struct slot *slots = c->slots;
    size_t n = c->slots_n;
    if (kind == NEWS_LOST)
        c->slots_n = 0;
    tell(c, slots, n, kind);
    c->slots = NULL;
    c->slots_n = 0;
    free(slots);
}

static bool tell_next(struct fake_consumer *c)
{
    struct news *n = c->first;
    if (!n)
        return false;
    if (!(c->first = n->next))
        c->last = &c->first;
    if (n->kind == NEWS_ASSIGN)
        take_over(c, n);
    else if (n->kind != NEWS_ERROR)
        give_up(c, n->kind);
    else if (c->events.error)
        c->events.error(c->events.arg, n->err, n->fatal, n->why);
    free(n->slots);
    free(n);
    return true;
}

static const struct broker_record *consumer_poll(struct broker_consumer *port)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    eventfd_t signals;
    free(c->record);
    c->record = NULL;
    while (tell_next(c))
        ;
    for (size_t i = 0; i < c->slots_n && !c->fake->away; i++) {
        struct slot *s = &c->slots[c->turn++ % c->slots_n];
        if (s->position > fake_log_end(&c->fake->log, s->topic, s->partition))
            s->position = 0; /* auto.offset.reset */
        const struct broker_record *r =
            s->paused ? NULL : fake_log_at(&c->fake->log, s->topic, s->partition, s->position);
        if (!r)
            continue;
        s->position++;
        c->record = fake_log_copy(r, r->topic);
        return c->record;
    }
    (void)eventfd_read(c->link.fd, &signals);
    return NULL;
}

static int consumer_fd(struct broker_consumer *port)
{
    return ((struct fake_consumer *)port)->link.fd;
}

static void consumer_pause(struct broker_consumer *port, const char *topic, int32_t partition,
                           bool pause)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    struct slot *s = slot_find(c, topic, partition);
    if (!s || s->paused == pause)
        return;
    s->paused = pause;
    if (!pause)
        broker_fake_wake(c->fake);
}

static int consumer_commit(struct broker_consumer *port, const struct broker_partition *list,
                           size_t n, int wait_ms)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    int err = c->fake->away && wait_ms ? ERR_TIMEOUT : 0;
    if (!err)
        (void)broker_fake_fails(c->fake, FAKE_COMMIT, &err);
    for (size_t i = 0; !err && i < n; i++)
        if (!slot_find(c, list[i].topic, list[i].partition))
            err = ERR_CONFLICT;
    for (size_t i = 0; !err && !c->fake->away && i < n; i++)
        err = fake_log_commit(&c->fake->log, c->group, &list[i]);
    return err;
}

static void consumer_close(struct broker_consumer *port)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    while (tell_next(c))
        ;
    if (c->slots_n)
        give_up(c, NEWS_REVOKE);
    struct fake_consumer_link **at = &c->fake->consumers;
    while (*at != &c->link)
        at = &(*at)->next;
    *at = c->link.next;
    close(c->link.fd);
    free(c->slots);
    free(c->record);
    free(c->topics);
    free(c);
}

int broker_fake_consumer_open(struct broker_fake *f, const char *group, const char *const *topics,
                              size_t topics_n, const struct broker_consumer_events *events,
                              struct broker_consumer **out)
{
    static const struct broker_consumer_ops ops = {consumer_fd, consumer_poll, consumer_pause,
                                                   consumer_commit, consumer_close};
    struct fake_consumer *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    *c = (struct fake_consumer){.port = {&ops}, .fake = f, .events = *events};
    c->topics = calloc(topics_n + 1, sizeof *c->topics);
    c->link.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!c->topics || c->link.fd < 0) {
        free(c->topics);
        free(c);
        return ERR_NOMEM;
    }
    snprintf(c->group, sizeof c->group, "%s", group);
    for (size_t i = 0; i < topics_n; i++)
        snprintf(c->topics[c->topics_n++], sizeof *c->topics, "%s", topics[i]);
    c->last = &c->first;
    c->link.next = f->consumers;
    f->consumers = &c->link;
    *out = &c->port;
    return 0;
}

/* ---- the test's side */
static struct news *news_new(struct fake_consumer *c, enum news_kind kind, size_t slots)
{
    struct news *n = calloc(1, sizeof *n);
    if (n)
        n->slots = calloc(slots + 1, sizeof *n->slots);
    if (!n || !n->slots)
        abort(); /* a test without memory proves nothing */
    n->kind = kind;
    *c->last = n;
    c->last = &n->next;
    broker_fake_wake(c->fake);
    return n;
}

static void news_slot(struct news *n, const char *topic, int32_t partition)
{
    struct slot *s = &n->slots[n->slots_n++];
    snprintf(s->topic, sizeof s->topic, "%s", topic);
    s->partition = partition;
}

void broker_fake_assign(struct broker_consumer *port)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    size_t all = 0;
    for (size_t i = 0; i < c->topics_n; i++)
        all += (size_t)fake_log_partitions(&c->fake->log, c->topics[i]);
    struct news *n = news_new(c, NEWS_ASSIGN, all);
    for (size_t i = 0; i < c->topics_n; i++)
        for (int32_t k = 0; k < fake_log_partitions(&c->fake->log, c->topics[i]); k++)
            news_slot(n, c->topics[i], k);
}

void broker_fake_assign_none(struct broker_consumer *port)
{
    (void)news_new((struct fake_consumer *)port, NEWS_ASSIGN, 0);
}

void broker_fake_assign_one(struct broker_consumer *port, const char *topic, int32_t partition)
{
    news_slot(news_new((struct fake_consumer *)port, NEWS_ASSIGN, 1), topic, partition);
}

void broker_fake_revoke(struct broker_consumer *port, bool lost)
{
    news_new((struct fake_consumer *)port, lost ? NEWS_LOST : NEWS_REVOKE, 0);
}

void broker_fake_error(struct broker_consumer *port, int err, bool fatal, const char *why)
{
    struct news *n = news_new((struct fake_consumer *)port, NEWS_ERROR, 0);
    n->err = err;
    n->fatal = fatal;
    snprintf(n->why, sizeof n->why, "%s", why);
}

void broker_fake_rewind(struct broker_consumer *port, const char *topic, int32_t partition,
                        int64_t offset)
{
    struct fake_consumer *c = (struct fake_consumer *)port;
    slot_find(c, topic, partition)->position = offset;
    broker_fake_wake(c->fake);
}

bool broker_fake_paused(struct broker_consumer *port, const char *topic, int32_t partition)
{
    const struct slot *s = slot_find((struct fake_consumer *)port, topic, partition);
    return s && s->paused;
}
