#include "common/broker_fake_parts.h"
#include "common/loop_fake.h"
#include <stdlib.h>
#include <sys/eventfd.h>

struct report {
    struct report *next;
    struct broker_delivery delivery;
};

struct fake_producer {
    struct broker_producer port; /* first */
    struct fake_producer *next;
    struct broker_fake *fake;
    broker_report_fn *report;
    void *arg;
    struct report *first, **last;
    size_t open;
};

/* ---- wake-ups */
static void deliver(struct fake_producer *p);

static void on_due(void *arg)
{
    struct broker_fake *f = arg;
    for (struct fake_producer *p = f->producers, *next; p; p = next) {
        next = p->next;
        deliver(p);
    }
    for (struct fake_consumer_link *c = f->consumers, *next; c && f->loop; c = next) {
        next = c->next;
        loop_fake_fire(f->loop, c->fd, LOOP_READ);
    }
}

void broker_fake_wake(struct broker_fake *f)
{
    for (struct fake_consumer_link *c = f->consumers; c; c = c->next)
        (void)eventfd_write(c->fd, 1);
    if (f->timer)
        loop_timer_set(f->loop, f->timer, 0, 0);
}

bool broker_fake_fails(struct broker_fake *f, enum broker_fake_op op, int *how)
{
    if (!f->failures[op].in || --f->failures[op].in)
        return false;
    *how = f->failures[op].how;
    return true;
}

/* ---- producer */
static void deliver(struct fake_producer *p)
{
    struct broker_fake *f = p->fake;
    for (;;) {
        pthread_mutex_lock(&f->lock);
        struct report *r = f->hold ? NULL : p->first;
        if (r && !(p->first = r->next))
            p->last = &p->first;
        pthread_mutex_unlock(&f->lock);
        if (!r)
            return;
        p->report(p->arg, &r->delivery, 1);
        free(r);
        pthread_mutex_lock(&f->lock);
        p->open--;
        pthread_mutex_unlock(&f->lock);
    }
}

/* What becomes of a publish. With the lock. */
static struct broker_delivery outcome(struct broker_fake *f, const struct broker_record *record,
                                      void *tag)
{
    struct broker_record r = *record;
    int how = f->away ? REPORT_NOT_PERSISTED : REPORT_PERSISTED;
    bool failed = broker_fake_fails(f, FAKE_REPORT, &how) || f->away;
    if (!r.timestamp_ms)
        r.timestamp_ms = clock_wall_us(f->clock) / 1000;
    if (how != REPORT_NOT_PERSISTED && fake_log_append(&f->log, &r))
        how = REPORT_NOT_PERSISTED;
    bool kept = how == REPORT_PERSISTED;
    return (struct broker_delivery){.tag = tag,
                                    .report = (enum broker_report)how,
                                    .partition = kept ? r.partition : record->partition,
                                    .offset = kept ? r.offset : -1,
                                    .why = kept     ? ""
                                           : failed ? "as the test said"
                                                    : "no such topic"};
}

static int producer_publish(struct broker_producer *port, const struct broker_record *r, void *tag)
{
    struct fake_producer *p = (struct fake_producer *)port;
    struct broker_fake *f = p->fake;
    struct report *report = calloc(1, sizeof *report);
    int err = !report ? ERR_FULL : r->headers_n > BROKER_HEADERS_MAX ? ERR_TOO_LARGE : 0;
    pthread_mutex_lock(&f->lock);
    if (!err && !broker_fake_fails(f, FAKE_PUBLISH, &err)) {
        report->delivery = outcome(f, r, tag);
        *p->last = report;
        p->last = &report->next;
        p->open++;
        report = NULL;
    }
    pthread_mutex_unlock(&f->lock);
    free(report);
    if (!err)
        broker_fake_wake(f);
    if (!err && !f->loop)
        deliver(p);
    return err;
}

static size_t producer_flush(struct broker_producer *port, int wait_ms)
{
    struct fake_producer *p = (struct fake_producer *)port;
    (void)wait_ms;
    deliver(p);
    pthread_mutex_lock(&p->fake->lock);
    size_t open = p->open;
    pthread_mutex_unlock(&p->fake->lock);
    return open;
}

static bool producer_up(struct broker_producer *port)
{
    struct broker_fake *f = ((struct fake_producer *)port)->fake;
    pthread_mutex_lock(&f->lock);
    bool up = !f->away;
    pthread_mutex_unlock(&f->lock);
    return up;
}

static int producer_lag(struct broker_producer *port, const char *group, struct broker_lag *list,
                        size_t n, int wait_ms)
{
    struct broker_fake *f = ((struct fake_producer *)port)->fake;
    (void)wait_ms;
    pthread_mutex_lock(&f->lock);
    int err = f->away ? ERR_TIMEOUT : 0;
    if (!err)
        (void)broker_fake_fails(f, FAKE_LAG, &err);
    for (size_t i = 0; !err && i < n; i++)
        if (fake_log_end(&f->log, list[i].topic, list[i].partition) < 0)
            err = ERR_IO;
    for (size_t i = 0; !err && i < n; i++) {
        list[i].committed = fake_log_committed(&f->log, group, list[i].topic, list[i].partition);
        list[i].low = 0;
        list[i].high = fake_log_end(&f->log, list[i].topic, list[i].partition);
    }
    pthread_mutex_unlock(&f->lock);
    return err;
}

static int producer_partitions(struct broker_producer *port, const char *topic, int wait_ms, int *n)
{
    struct broker_fake *f = ((struct fake_producer *)port)->fake;
    (void)wait_ms;
    pthread_mutex_lock(&f->lock);
    int err = f->away ? ERR_TIMEOUT : 0;
    for (int i = 0; !err; i++)
        if (fake_log_end(&f->log, topic, i) < 0) {
            *n = i;
            break;
        }
    pthread_mutex_unlock(&f->lock);
    return err;
}

static void producer_close(struct broker_producer *port)
{
    struct fake_producer *p = (struct fake_producer *)port;
    struct broker_fake *f = p->fake;
    for (struct report *r = p->first, *next; r; r = next) {
        next = r->next;
        if (r->delivery.report == REPORT_PERSISTED)
            r->delivery.report = REPORT_POSSIBLY_PERSISTED;
        p->report(p->arg, &r->delivery, 1);
        free(r);
    }
    struct fake_producer **at = &f->producers;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    free(p);
}

int broker_fake_producer_open(struct broker_fake *f, broker_report_fn *report, void *arg,
                              struct broker_producer **out)
{
    static const struct broker_producer_ops ops = {producer_publish,    producer_flush,
                                                   producer_up,         producer_lag,
                                                   producer_partitions, producer_close};
    struct fake_producer *p = calloc(1, sizeof *p);
    if (!p)
        return ERR_NOMEM;
    *p = (struct fake_producer){
        .port = {&ops}, .next = f->producers, .fake = f, .report = report, .arg = arg};
    p->last = &p->first;
    f->producers = p;
    *out = &p->port;
    return 0;
}

/* ---- the test's side */
int broker_fake_open(const struct clock *clock, struct loop *loop, struct broker_fake **out)
{
    struct broker_fake *f = calloc(1, sizeof *f);
    if (!f)
        return ERR_NOMEM;
    f->clock = clock;
    f->loop = loop;
    f->timer = loop ? loop_timer_new(loop, on_due, f) : NULL;
    if (loop && !f->timer) {
        free(f);
        return ERR_NOMEM;
    }
    pthread_mutex_init(&f->lock, NULL);
    *out = f;
    return 0;
}

void broker_fake_close(struct broker_fake *f)
{
    if (!f)
        return;
    if (f->timer)
        loop_timer_free(f->loop, f->timer);
    fake_log_fini(&f->log);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

int broker_fake_topic(struct broker_fake *f, const char *name, int partitions)
{
    return fake_log_topic(&f->log, name, partitions);
}

void broker_fake_remake(struct broker_fake *f, const char *topic)
{
    pthread_mutex_lock(&f->lock);
    fake_log_empty(&f->log, topic);
    pthread_mutex_unlock(&f->lock);
    broker_fake_wake(f);
}

int broker_fake_put(struct broker_fake *f, const struct broker_record *record)
{
    struct broker_record r = *record;
    if (!r.timestamp_ms)
        r.timestamp_ms = clock_wall_us(f->clock) / 1000;
    pthread_mutex_lock(&f->lock);
    int err = fake_log_append(&f->log, &r);
    pthread_mutex_unlock(&f->lock);
    broker_fake_wake(f);
    return err;
}

const struct broker_record *broker_fake_at(struct broker_fake *f, const char *topic,
                                           int32_t partition, int64_t offset)
{
    return fake_log_at(&f->log, topic, partition, offset);
}

int64_t broker_fake_end(struct broker_fake *f, const char *topic, int32_t partition)
{
    return fake_log_end(&f->log, topic, partition);
}

int64_t broker_fake_committed(struct broker_fake *f, const char *group, const char *topic,
                              int32_t partition)
{
    return fake_log_committed(&f->log, group, topic, partition);
}

void broker_fake_hold(struct broker_fake *f, bool hold)
{
    pthread_mutex_lock(&f->lock);
    f->hold = hold;
    pthread_mutex_unlock(&f->lock);
    if (hold)
        return;
    if (f->loop)
        broker_fake_wake(f);
    else
        on_due(f);
}

void broker_fake_away(struct broker_fake *f, bool away)
{
    pthread_mutex_lock(&f->lock);
    f->away = away;
    pthread_mutex_unlock(&f->lock);
    if (!away)
        broker_fake_wake(f);
}

void broker_fake_fail(struct broker_fake *f, enum broker_fake_op op, unsigned n, int how)
{
    pthread_mutex_lock(&f->lock);
    f->failures[op].in = n;
    f->failures[op].how = how;
    pthread_mutex_unlock(&f->lock);
}
