#include "common/broker.h"
#include "common/broker_conf.h"
#include "common/clock.h"
#include "common/log.h"
#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    REPORT_BATCH = 256,
    UP_MS = 5000,
    CLOSE_MS = 5000,
    ERROR_EVERY_MS = 5000,
    PUBLISH_HEADERS_MAX = 64,
    READ_HEADERS_MAX = 1000,
};

/* ---- configuration */
static int conf_set(rd_kafka_conf_t *conf, const char *name, const char *value, bool may_be_unknown)
{
    char why[512];
    rd_kafka_conf_res_t res = rd_kafka_conf_set(conf, name, value, why, sizeof why);
    if (res == RD_KAFKA_CONF_OK || (res == RD_KAFKA_CONF_UNKNOWN && may_be_unknown))
        return 0;
    /* `why` may quote the value, which may be a password: say the name alone */
    log_error("kafka-property", "name", name, "why",
              res == RD_KAFKA_CONF_UNKNOWN ? "this librdkafka does not know it"
                                           : "not valid for it");
    return ERR_INVALID;
}

static int conf_table(rd_kafka_conf_t *conf, const struct broker_property *p)
{
    int err = 0;
    for (; !err && p->name; p++)
        err = conf_set(conf, p->name, p->value, p->may_be_unknown);
    return err;
}

static int conf_lines(rd_kafka_conf_t *conf, const char *text)
{
    struct broker_line *line = calloc(1, sizeof *line);
    if (!line)
        return ERR_NOMEM;
    int err;
    while ((err = broker_conf_next(&text, line)) == 0) {
        if (line->secret)
            log_secret(line->value);
        if (conf_set(conf, line->name, line->value, false))
            break;
    }
    if (err == ERR_INVALID)
        log_error("kafka-properties", "line", line->name, "expected", "name=value");
    else if (!err)
        err = ERR_INVALID;
    free(line);
    return err == ERR_NOT_FOUND ? 0 : err;
}

static void on_log(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk;
    /* the first is usual while partitions move; the others come as error events too */
    if (!strcmp(facility, "COMMITFAIL") || !strcmp(facility, "FAIL") || !strcmp(facility, "ERROR"))
        level = 5;
    log_write(level <= 3   ? LOG_WARN
              : level <= 5 ? LOG_INFO
                           : LOG_DEBUG,
              "kafka", "facility", facility, "text", text, NULL);
}

/* A configuration in three layers (broker_conf.h); NULL: *err says why. */
static rd_kafka_conf_t *conf_new(const struct broker_settings *s, enum broker_role role, int *err)
{
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    if (!conf) {
        *err = ERR_NOMEM;
        return NULL;
    }
    *err = conf_table(conf, broker_conf_defaults(role));
    if (!*err)
        *err = conf_set(conf, "bootstrap.servers", s->servers, false);
    if (!*err && s->client_id)
        *err = conf_set(conf, "client.id", s->client_id, false);
    if (!*err && s->properties)
        *err = conf_lines(conf, s->properties);
    if (!*err)
        *err = conf_table(conf, broker_conf_fixed(role));
    if (*err) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_log_cb(conf, on_log);
    return conf;
}

/* Signals belong to the program's own threads. */
static int thread_start(pthread_t *thread, void *(*fn)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(thread, NULL, fn, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed ? ERR_NOMEM : 0;
}

/* Takes conf. */
static int client_new(rd_kafka_type_t type, rd_kafka_conf_t *conf, rd_kafka_t **out)
{
    char why[512];
    signal(SIGPIPE, SIG_IGN); /* a broker that hangs up inside a TLS write must not end us */
    rd_kafka_t *rk = rd_kafka_new(type, conf, why, sizeof why);
    if (!rk) {
        log_error("kafka-client", "why", why, NULL);
        rd_kafka_conf_destroy(conf);
        return ERR_INVALID;
    }
    *out = rk;
    return 0;
}

static int err_of(rd_kafka_resp_err_t e)
{
    switch (e) {
    case RD_KAFKA_RESP_ERR_NO_ERROR:
    case RD_KAFKA_RESP_ERR__NO_OFFSET:
        return 0;
    case RD_KAFKA_RESP_ERR__TIMED_OUT:
    case RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE:
    case RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT:
        return ERR_TIMEOUT;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL:
        return ERR_FULL;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
        return ERR_TOO_LARGE;
    case RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION:
    case RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID:
    case RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS:
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
    case RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST:
    case RD_KAFKA_RESP_ERR__STATE:
        return ERR_CONFLICT;
    default:
        return ERR_IO;
    }
}

/* ---- producer */
struct producer {
    struct broker_producer port; /* first */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    broker_report_fn *report;
    void *arg;
    pthread_t thread;
    atomic_bool stop;
    atomic_size_t open;          /* published, not yet reported */
    _Atomic int64_t answered_ms; /* when a broker last answered; -1 never */
    atomic_flag asking;          /* one caller of up asks, the others take what is known */
    pthread_mutex_t lag_lock;
    rd_kafka_conf_t *lag_conf; /* NULL once lag_rk is made of it */
    rd_kafka_t *lag_rk;        /* made by the first lag; NULL until then */
};

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static struct broker_delivery delivery_of(const rd_kafka_message_t *m)
{
    struct broker_delivery d = {.tag = m->_private,
                                .partition = m->partition,
                                .offset = m->err ? -1 : m->offset,
                                .report = REPORT_POSSIBLY_PERSISTED,
                                .why = m->err ? rd_kafka_err2str(m->err) : ""};
    if (!m->err)
        d.report = REPORT_PERSISTED;
    else if (rd_kafka_message_status(m) == RD_KAFKA_MSG_STATUS_NOT_PERSISTED)
        d.report = REPORT_NOT_PERSISTED;
    return d;
}

static void report_list(struct producer *p, const struct broker_delivery *list, size_t n)
{
    if (!n)
        return;
    p->report(p->arg, list, n);
    atomic_fetch_sub(&p->open, n);
}

static void report_event(struct producer *p, rd_kafka_event_t *event)
{
    struct broker_delivery list[REPORT_BATCH];
    const rd_kafka_message_t *m;
    size_t n = 0;
    bool answered = false;
    while ((m = rd_kafka_event_message_next(event))) {
        answered |= !m->err;
        list[n++] = delivery_of(m);
        if (n == REPORT_BATCH) {
            report_list(p, list, n);
            n = 0;
        }
    }
    report_list(p, list, n);
    if (answered)
        atomic_store_explicit(&p->answered_ms, now_ms(), memory_order_relaxed);
}

static void *report_loop(void *arg)
{
    struct producer *p = arg;
    while (!atomic_load(&p->stop)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(p->queue, 1000);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_DR)
            report_event(p, event);
        else if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_ERROR)
            log_warn("kafka-producer", "why", rd_kafka_event_error_string(event));
        rd_kafka_event_destroy(event);
    }
    return NULL;
}

static void headers_of(const struct broker_record *r, rd_kafka_vu_t *vu)
{
    for (size_t i = 0; i < r->headers_n; i++) {
        const struct event_header *h = &r->headers[i];
        vu[i].vtype = RD_KAFKA_VTYPE_HEADER;
        vu[i].u.header.name = h->name;
        vu[i].u.header.val = h->value;
        vu[i].u.header.size = (ssize_t)h->len;
    }
}

/* librdkafka copies, but its types are not const */
static void *mutable(const void *bytes)
{
    return (void *)(uintptr_t)bytes;
}

static int producer_publish(struct broker_producer *port, const struct broker_record *r, void *tag)
{
    enum { FIXED = 7 };
    struct producer *p = (struct producer *)port;
    rd_kafka_vu_t vu[FIXED + PUBLISH_HEADERS_MAX];
    vu[0] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = r->topic};
    vu[1] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_PARTITION, .u.i32 = r->partition};
    vu[2] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_MSGFLAGS, .u.i = RD_KAFKA_MSG_F_COPY};
    vu[3] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_KEY, .u.mem = {mutable(r->key), r->key_len}};
    vu[4] =
        (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_VALUE, .u.mem = {mutable(r->value), r->value_len}};
    vu[5] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TIMESTAMP, .u.i64 = r->timestamp_ms};
    vu[6] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = tag};
    if (r->headers_n > PUBLISH_HEADERS_MAX)
        return ERR_TOO_LARGE;
    headers_of(r, vu + FIXED);
    atomic_fetch_add(&p->open, 1);
    rd_kafka_error_t *error = rd_kafka_produceva(p->rk, vu, FIXED + r->headers_n);
    if (!error)
        return 0;
    atomic_fetch_sub(&p->open, 1);
    int err = err_of(rd_kafka_error_code(error));
    rd_kafka_error_destroy(error);
    return err == ERR_FULL || err == ERR_TOO_LARGE ? err : ERR_IO;
}

static size_t producer_flush(struct broker_producer *port, int wait_ms)
{
    struct producer *p = (struct producer *)port;
    int64_t until = now_ms() + wait_ms;
    rd_kafka_flush(p->rk, wait_ms);
    /* the messages are counted out before the report thread told all of them */
    while (atomic_load(&p->open) && now_ms() < until)
        rd_kafka_flush(p->rk, 10);
    return atomic_load(&p->open);
}

static bool producer_up(struct broker_producer *port)
{
    struct producer *p = (struct producer *)port;
    int64_t answered = atomic_load(&p->answered_ms), now = now_ms();
    if ((answered < 0 || now - answered > UP_MS / 2) && !atomic_flag_test_and_set(&p->asking)) {
        const struct rd_kafka_metadata *metadata;
        if (!rd_kafka_metadata(p->rk, 0, NULL, &metadata, 1000)) {
            rd_kafka_metadata_destroy(metadata);
            atomic_store(&p->answered_ms, now_ms());
        }
        atomic_flag_clear(&p->asking);
        answered = atomic_load(&p->answered_ms);
    }
    return answered >= 0 && now - answered <= UP_MS;
}

/* ---- group offsets
 * They are asked for by a consumer that joins nothing: a client without group.id dies (librdkafka
 * before 2.10.1, issue 5040) when the group's coordinator moved or restarted. */
static int lag_open(struct producer *p, const struct broker_settings *s)
{
    int err;
    pthread_mutex_init(&p->lag_lock, NULL);
    p->lag_conf = conf_new(s, BROKER_ADMIN, &err);
    if (!p->lag_conf)
        return err;
    return conf_set(p->lag_conf, "group.id", "offpath-lag", false);
}

static void lag_close(struct producer *p)
{
    if (p->lag_conf)
        rd_kafka_conf_destroy(p->lag_conf);
    if (p->lag_rk)
        rd_kafka_destroy_flags(p->lag_rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    pthread_mutex_destroy(&p->lag_lock);
}

static rd_kafka_t *lag_client(struct producer *p)
{
    pthread_mutex_lock(&p->lag_lock);
    if (p->lag_conf) {
        (void)client_new(RD_KAFKA_CONSUMER, p->lag_conf, &p->lag_rk);
        p->lag_conf = NULL;
    }
    pthread_mutex_unlock(&p->lag_lock);
    return p->lag_rk;
}

static void producer_close(struct broker_producer *port)
{
    struct producer *p = (struct producer *)port;
    if (atomic_load(&p->open))
        rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    producer_flush(port, CLOSE_MS);
    atomic_store(&p->stop, true);
    rd_kafka_queue_yield(p->queue);
    pthread_join(p->thread, NULL);
    rd_kafka_queue_destroy(p->queue);
    rd_kafka_destroy(p->rk);
    lag_close(p);
    free(p);
}
static rd_kafka_topic_partition_list_t *lag_list(const struct broker_lag *list, size_t n,
                                                 int64_t offset)
{
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(l, list[i].topic, list[i].partition)->offset = offset;
    return l;
}

/* Write what librdkafka found (in any order) into one field of each row. */
static int lag_take(struct broker_lag *list, size_t n, const rd_kafka_topic_partition_list_t *found,
                    size_t field)
{
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_topic_partition_t *p =
            rd_kafka_topic_partition_list_find(found, list[i].topic, list[i].partition);
        if (!p || p->err)
            return ERR_IO;
        int64_t offset = p->offset < 0 ? -1 : p->offset;
        memcpy((char *)&list[i] + field, &offset, sizeof offset);
    }
    return 0;
}

static int lag_watermark(struct producer *p, struct broker_lag *list, size_t n, int64_t which,
                         int wait_ms)
{
    rd_kafka_topic_partition_list_t *l = lag_list(list, n, which);
    int err = err_of(rd_kafka_offsets_for_times(p->rk, l, wait_ms));
    if (!err)
        err = lag_take(list, n, l,
                       which == RD_KAFKA_OFFSET_END ? offsetof(struct broker_lag, high)
                                                    : offsetof(struct broker_lag, low));
    rd_kafka_topic_partition_list_destroy(l);
    return err;
}

static int lag_committed(struct producer *p, const char *group, struct broker_lag *list, size_t n,
                         int wait_ms)
{
    rd_kafka_t *rk = lag_client(p);
    if (!rk)
        return ERR_IO;
    rd_kafka_topic_partition_list_t *l = lag_list(list, n, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t *ask = rd_kafka_ListConsumerGroupOffsets_new(group, l);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_ListConsumerGroupOffsets(rk, &ask, 1, NULL, queue);
    rd_kafka_event_t *event = rd_kafka_queue_poll(queue, wait_ms);
    int err = event ? err_of(rd_kafka_event_error(event)) : ERR_TIMEOUT;
    if (!err) {
        size_t groups_n;
        const rd_kafka_group_result_t **groups = rd_kafka_ListConsumerGroupOffsets_result_groups(
            rd_kafka_event_ListConsumerGroupOffsets_result(event), &groups_n);
        const rd_kafka_error_t *error = groups_n ? rd_kafka_group_result_error(groups[0]) : NULL;
        err = !groups_n || error ? ERR_IO
                                 : lag_take(list, n, rd_kafka_group_result_partitions(groups[0]),
                                            offsetof(struct broker_lag, committed));
    }
    rd_kafka_event_destroy(event);
    rd_kafka_queue_destroy(queue);
    rd_kafka_ListConsumerGroupOffsets_destroy(ask);
    rd_kafka_topic_partition_list_destroy(l);
    return err;
}

static int producer_lag(struct broker_producer *port, const char *group, struct broker_lag *list,
                        size_t n, int wait_ms)
{
    struct producer *p = (struct producer *)port;
    struct broker_lag *found = malloc((n ? n : 1) * sizeof *found);
    if (!found)
        return ERR_NOMEM;
    memcpy(found, list, n * sizeof *found);
    int64_t until = now_ms() + wait_ms;
    int err = lag_committed(p, group, found, n, wait_ms);
    if (!err)
        err = lag_watermark(p, found, n, RD_KAFKA_OFFSET_BEGINNING, (int)(until - now_ms()));
    if (!err)
        err = lag_watermark(p, found, n, RD_KAFKA_OFFSET_END, (int)(until - now_ms()));
    if (!err) {
        memcpy(list, found, n * sizeof *found);
        atomic_store(&p->answered_ms, now_ms());
    }
    free(found);
    return err == ERR_TIMEOUT ? err : err ? ERR_IO : 0;
}

static const struct broker_producer_ops producer_ops = {
    .publish = producer_publish,
    .flush = producer_flush,
    .up = producer_up,
    .lag = producer_lag,
    .close = producer_close,
};

int broker_kafka_producer_open(const struct broker_settings *s, broker_report_fn *report, void *arg,
                               struct broker_producer **out)
{
    int err;
    rd_kafka_conf_t *conf = conf_new(s, BROKER_PRODUCER, &err);
    if (!conf)
        return err;
    struct producer *p = calloc(1, sizeof *p);
    if (!p) {
        rd_kafka_conf_destroy(conf);
        return ERR_NOMEM;
    }
    *p = (struct producer){.port.ops = &producer_ops, .report = report, .arg = arg};
    atomic_init(&p->answered_ms, -1);
    atomic_flag_clear(&p->asking);
    rd_kafka_conf_set_events(conf, RD_KAFKA_EVENT_DR | RD_KAFKA_EVENT_ERROR);
    err = client_new(RD_KAFKA_PRODUCER, conf, &p->rk);
    if (err)
        goto failed;
    p->queue = rd_kafka_queue_get_main(p->rk);
    err = lag_open(p, s);
    if (!err)
        err = thread_start(&p->thread, report_loop, p);
    if (err) {
        lag_close(p);
        rd_kafka_queue_destroy(p->queue);
        rd_kafka_destroy(p->rk);
        goto failed;
    }
    *out = &p->port;
    return 0;
failed:
    free(p);
    return err;
}

/* ---- consumer */
struct slot { /* one assigned partition */
    char *topic;
    int32_t partition;
    bool paused;
};

struct consumer {
    struct broker_consumer port; /* first */
    rd_kafka_t *rk;
    rd_kafka_queue_t *queue;
    int fd;
    struct broker_consumer_events events;
    struct slot *slots;
    size_t slots_n;
    rd_kafka_message_t *message; /* behind `record` */
    struct broker_record record;
    struct event_header *headers;
    size_t headers_cap;
    int64_t error_ms; /* when the last error was told */
    rd_kafka_resp_err_t error_code;
    unsigned commit_asked, commit_answered;
    int commit_err;
};

static void slots_free(struct consumer *c)
{
    for (size_t i = 0; i < c->slots_n; i++)
        free(c->slots[i].topic);
    free(c->slots);
    c->slots = NULL;
    c->slots_n = 0;
}

static struct slot *slot_find(struct consumer *c, const char *topic, int32_t partition)
{
    for (size_t i = 0; i < c->slots_n; i++)
        if (c->slots[i].partition == partition && !strcmp(c->slots[i].topic, topic))
            return &c->slots[i];
    return NULL;
}

static void slots_set(struct consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    slots_free(c);
    c->slots = calloc((size_t)list->cnt + 1, sizeof *c->slots);
    for (int i = 0; c->slots && i < list->cnt; i++) {
        struct slot *s = &c->slots[c->slots_n];
        s->topic = strdup(list->elems[i].topic);
        s->partition = list->elems[i].partition;
        c->slots_n += s->topic != NULL;
    }
}

static void consumer_pause(struct broker_consumer *port, const char *topic, int32_t partition,
                           bool pause)
{
    struct consumer *c = (struct consumer *)port;
    struct slot *s = slot_find(c, topic, partition);
    if (!s || s->paused == pause)
        return;
    rd_kafka_topic_partition_list_t *one = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(one, topic, partition);
    rd_kafka_resp_err_t e =
        pause ? rd_kafka_pause_partitions(c->rk, one) : rd_kafka_resume_partitions(c->rk, one);
    if (!e && !one->elems[0].err)
        s->paused = pause;
    rd_kafka_topic_partition_list_destroy(one);
}

/* A pause must not outlive the assignment: the partition may come back to us. */
static void slots_resume(struct consumer *c)
{
    for (size_t i = 0; i < c->slots_n; i++)
        consumer_pause(&c->port, c->slots[i].topic, c->slots[i].partition, false);
}

static void tell_assignment(struct consumer *c, const rd_kafka_topic_partition_list_t *list,
                            bool assigned, bool lost)
{
    size_t n = (size_t)list->cnt;
    struct broker_partition *told = calloc(n + 1, sizeof *told);
    for (size_t i = 0; told && i < n; i++)
        told[i] = (struct broker_partition){
            .topic = list->elems[i].topic, .partition = list->elems[i].partition, .offset = -1};
    if (told && assigned && c->events.assigned)
        c->events.assigned(c->events.arg, told, n);
    if (told && !assigned && c->events.revoked)
        c->events.revoked(c->events.arg, told, n, lost);
    free(told);
}

static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct consumer *c = opaque;
    if (err == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        slots_set(c, list);
        rd_kafka_assign(rk, list);
        tell_assignment(c, list, true, false);
        return;
    }
    tell_assignment(c, list, false, rd_kafka_assignment_lost(rk));
    slots_resume(c);
    rd_kafka_assign(rk, NULL);
    slots_free(c);
}

static void on_error(rd_kafka_t *rk, int code, const char *why, void *opaque)
{
    struct consumer *c = opaque;
    char text[512];
    bool fatal = code == RD_KAFKA_RESP_ERR__FATAL;
    int64_t now = now_ms();
    if (!fatal && (int)c->error_code == code && now - c->error_ms < ERROR_EVERY_MS)
        return;
    c->error_code = (rd_kafka_resp_err_t)code;
    c->error_ms = now;
    if (fatal && rd_kafka_fatal_error(rk, text, sizeof text))
        why = text;
    if (c->events.error)
        c->events.error(c->events.arg, ERR_IO, fatal, why);
}

static int consumer_fd(struct broker_consumer *port)
{
    return ((struct consumer *)port)->fd;
}

static void read_headers(struct consumer *c, const rd_kafka_message_t *m)
{
    rd_kafka_headers_t *headers;
    c->record.headers_n = 0;
    if (rd_kafka_message_headers(m, &headers))
        return;
    size_t n = rd_kafka_header_cnt(headers);
    if (n > READ_HEADERS_MAX)
        n = READ_HEADERS_MAX;
    if (n > c->headers_cap) {
        struct event_header *more = realloc(c->headers, n * sizeof *more);
        if (!more)
            return;
        c->headers = more;
        c->headers_cap = n;
    }
    for (size_t i = 0; i < n; i++) {
        struct event_header *h = &c->headers[i];
        if (!rd_kafka_header_get_all(headers, i, &h->name, &h->value, &h->len))
            c->record.headers_n = i + 1;
    }
    c->record.headers = c->headers;
}

static const struct broker_record *record_of(struct consumer *c, rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t kind;
    c->message = m;
    c->record = (struct broker_record){
        .topic = rd_kafka_topic_name(m->rkt),
        .partition = m->partition,
        .offset = m->offset,
        .timestamp_ms = rd_kafka_message_timestamp(m, &kind),
        .key = m->key,
        .key_len = m->key_len,
        .value = m->payload,
        .value_len = m->len,
    };
    read_headers(c, m);
    return &c->record;
}

static rd_kafka_message_t *next_message(struct consumer *c)
{
    rd_kafka_message_t *m;
    while ((m = rd_kafka_consumer_poll(c->rk, 0)) && m->err) {
        on_error(c->rk, m->err, rd_kafka_message_errstr(m), c);
        rd_kafka_message_destroy(m);
    }
    return m;
}

static const struct broker_record *consumer_poll(struct broker_consumer *port)
{
    struct consumer *c = (struct consumer *)port;
    if (c->message)
        rd_kafka_message_destroy(c->message);
    c->message = NULL;
    rd_kafka_message_t *m = next_message(c);
    if (!m) {
        /* the descriptor is written only when an empty queue fills: clear it, then look again */
        eventfd_t signals;
        (void)eventfd_read(c->fd, &signals);
        m = next_message(c);
    }
    return m ? record_of(c, m) : NULL;
}

static void on_committed(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                         rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct consumer *c = opaque;
    (void)rk;
    for (int i = 0; !err && list && i < list->cnt; i++)
        err = list->elems[i].err;
    c->commit_answered = c->commit_asked;
    c->commit_err = err_of(err);
}

static int commit_wait(struct consumer *c, const rd_kafka_topic_partition_list_t *list, int wait_ms)
{
    /* a queue of its own per commit: an answer that comes too late is dropped with it */
    rd_kafka_queue_t *replies = rd_kafka_queue_new(c->rk);
    int64_t until = now_ms() + wait_ms;
    c->commit_asked++;
    int err = err_of(rd_kafka_commit_queue(c->rk, list, replies, on_committed, c));
    while (!err && c->commit_answered != c->commit_asked && now_ms() < until)
        rd_kafka_queue_poll_callback(replies, (int)(until - now_ms()));
    if (!err)
        err = c->commit_answered == c->commit_asked ? c->commit_err : ERR_TIMEOUT;
    rd_kafka_queue_destroy(replies);
    return err;
}

static int consumer_commit(struct broker_consumer *port, const struct broker_partition *list,
                           size_t n, int wait_ms)
{
    struct consumer *c = (struct consumer *)port;
    rd_kafka_topic_partition_list_t *l = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(l, list[i].topic, list[i].partition)->offset =
            list[i].offset;
    int err = 0;
    if (n)
        err = wait_ms > 0 ? commit_wait(c, l, wait_ms) : err_of(rd_kafka_commit(c->rk, l, 1));
    rd_kafka_topic_partition_list_destroy(l);
    return err;
}

static void on_commit_async(rd_kafka_t *rk, rd_kafka_resp_err_t err,
                            rd_kafka_topic_partition_list_t *list, void *opaque)
{
    (void)rk;
    (void)list;
    (void)opaque;
    if (err_of(err))
        log_info("commit-failed", "why", rd_kafka_err2str(err)); /* the next one covers it */
}

static bool leave_group(struct consumer *c)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(c->rk);
    int64_t until = now_ms() + CLOSE_MS;
    rd_kafka_error_t *error = rd_kafka_consumer_close_queue(c->rk, queue);
    while (!error && !rd_kafka_consumer_closed(c->rk) && now_ms() < until) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, 50);
        if (rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE)
            on_rebalance(c->rk, rd_kafka_event_error(event),
                         rd_kafka_event_topic_partition_list(event), c);
        rd_kafka_event_destroy(event); /* a record still on its way is dropped */
    }
    bool left = rd_kafka_consumer_closed(c->rk);
    if (error)
        rd_kafka_error_destroy(error);
    rd_kafka_queue_destroy(queue);
    return left;
}

static void *destroy_apart(void *rk)
{
    rd_kafka_destroy_flags(rk, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    return NULL;
}

static void consumer_close(struct broker_consumer *port)
{
    struct consumer *c = (struct consumer *)port;
    pthread_t thread;
    if (c->message)
        rd_kafka_message_destroy(c->message);
    rd_kafka_queue_io_event_enable(c->queue, -1, NULL, 0);
    bool left = leave_group(c);
    rd_kafka_queue_destroy(c->queue);
    if (left)
        rd_kafka_destroy(c->rk);
    else if (!thread_start(&thread, destroy_apart, c->rk))
        pthread_detach(thread); /* a group that does not let go must not hold up our end */
    close(c->fd);
    slots_free(c);
    free(c->headers);
    free(c);
}

static const struct broker_consumer_ops consumer_ops = {
    .fd = consumer_fd,
    .poll = consumer_poll,
    .pause = consumer_pause,
    .commit = consumer_commit,
    .close = consumer_close,
};

static int subscribe(struct consumer *c, const char *const *topics, size_t n)
{
    static const uint64_t one = 1;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n);
    for (size_t i = 0; i < n; i++)
        rd_kafka_topic_partition_list_add(list, topics[i], RD_KAFKA_PARTITION_UA);
    rd_kafka_poll_set_consumer(c->rk);
    c->queue = rd_kafka_queue_get_consumer(c->rk);
    rd_kafka_queue_io_event_enable(c->queue, c->fd, &one, sizeof one);
    rd_kafka_resp_err_t e = rd_kafka_subscribe(c->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return e ? ERR_INVALID : 0;
}

static rd_kafka_conf_t *consumer_conf(const struct broker_settings *s, const char *group,
                                      struct consumer *c, int *err)
{
    rd_kafka_conf_t *conf = conf_new(s, BROKER_CONSUMER, err);
    if (!conf)
        return NULL;
    *err = conf_set(conf, "group.id", group, false);
    if (*err) {
        rd_kafka_conf_destroy(conf);
        return NULL;
    }
    rd_kafka_conf_set_opaque(conf, c);
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rd_kafka_conf_set_error_cb(conf, on_error);
    rd_kafka_conf_set_offset_commit_cb(conf, on_commit_async);
    return conf;
}

int broker_kafka_consumer_open(const struct broker_settings *s, const char *group,
                               const char *const *topics, size_t topics_n,
                               const struct broker_consumer_events *events,
                               struct broker_consumer **out)
{
    int err = ERR_NOMEM;
    struct consumer *c = calloc(1, sizeof *c);
    if (!c)
        return err;
    *c = (struct consumer){.port.ops = &consumer_ops, .events = *events};
    c->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (c->fd < 0) {
        free(c);
        return ERR_IO;
    }
    rd_kafka_conf_t *conf = consumer_conf(s, group, c, &err);
    if (conf)
        err = client_new(RD_KAFKA_CONSUMER, conf, &c->rk);
    if (!err)
        err = subscribe(c, topics, topics_n);
    if (err) {
        if (c->queue)
            rd_kafka_queue_destroy(c->queue);
        if (c->rk)
            rd_kafka_destroy(c->rk);
        close(c->fd);
        free(c);
        return err;
    }
    *out = &c->port;
    return 0;
}

/* ---- admin: a connection of its own for each question */
static int admin_open(const struct broker_settings *s, rd_kafka_t **out)
{
    int err;
    rd_kafka_conf_t *conf = conf_new(s, BROKER_ADMIN, &err);
    return conf ? client_new(RD_KAFKA_CONSUMER, conf, out) : err;
}

static int describe_place(rd_kafka_t *rk, struct broker_topic *t, int wait_ms)
{
    const struct rd_kafka_metadata *m;
    rd_kafka_topic_t *topic = rd_kafka_topic_new(rk, t->name, NULL);
    rd_kafka_resp_err_t e = rd_kafka_metadata(rk, 0, topic, &m, wait_ms);
    rd_kafka_topic_destroy(topic);
    if (e)
        return err_of(e) == ERR_TIMEOUT ? ERR_TIMEOUT : ERR_IO;
    const struct rd_kafka_metadata_topic *found = m->topic_cnt ? &m->topics[0] : NULL;
    bool missing = !found || found->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
    bool failed = !missing && found->err && found->err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE;
    t->partitions = missing ? 0 : found->partition_cnt;
    t->replication = t->partitions ? found->partitions[0].replica_cnt : 0;
    rd_kafka_metadata_destroy(m);
    return failed ? ERR_IO : 0;
}

static void describe_config(struct broker_topic *t, const rd_kafka_ConfigResource_t *found)
{
    size_t n;
    const rd_kafka_ConfigEntry_t **entries = rd_kafka_ConfigResource_configs(found, &n);
    for (size_t i = 0; i < n; i++) {
        const char *name = rd_kafka_ConfigEntry_name(entries[i]);
        const char *value = rd_kafka_ConfigEntry_value(entries[i]);
        if (value)
            broker_topic_config(t, name, value);
    }
}

static void describe_configs(rd_kafka_t *rk, struct broker_topic *topics, size_t n, int wait_ms)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
    rd_kafka_ConfigResource_t **ask = calloc(n + 1, sizeof(void *));
    size_t asked = 0, found_n = 0;
    for (size_t i = 0; ask && i < n; i++)
        if (topics[i].partitions)
            ask[asked++] = rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topics[i].name);
    if (asked)
        rd_kafka_DescribeConfigs(rk, ask, asked, NULL, queue);
    rd_kafka_event_t *event = asked ? rd_kafka_queue_poll(queue, wait_ms) : NULL;
    const rd_kafka_ConfigResource_t **found = NULL;
    if (event && !rd_kafka_event_error(event))
        found = rd_kafka_DescribeConfigs_result_resources(
            rd_kafka_event_DescribeConfigs_result(event), &found_n);
    for (size_t f = 0; f < found_n; f++)
        for (size_t i = 0; i < n; i++)
            if (!strcmp(topics[i].name, rd_kafka_ConfigResource_name(found[f])))
                describe_config(&topics[i], found[f]);
    rd_kafka_event_destroy(event);
    rd_kafka_ConfigResource_destroy_array(ask, asked);
    free(ask);
    rd_kafka_queue_destroy(queue);
}

int broker_describe(const struct broker_settings *s, struct broker_topic *topics, size_t n,
                    int wait_ms)
{
    rd_kafka_t *rk;
    int64_t until = now_ms() + wait_ms;
    int err = admin_open(s, &rk);
    if (err)
        return err;
    for (size_t i = 0; !err && i < n; i++) {
        topics[i].max_message_bytes = topics[i].retention_ms = topics[i].min_insync = -1;
        err = describe_place(rk, &topics[i], (int)(until - now_ms()));
    }
    if (!err)
        describe_configs(rk, topics, n, (int)(until - now_ms()));
    rd_kafka_destroy(rk);
    return err;
}

static int create_answer(rd_kafka_event_t *event, char why[256])
{
    if (!event || rd_kafka_event_error(event)) {
        snprintf(why, 256, "%s", event ? rd_kafka_event_error_string(event) : "no answer in time");
        return ERR_IO;
    }
    size_t n;
    const rd_kafka_topic_result_t **made =
        rd_kafka_CreateTopics_result_topics(rd_kafka_event_CreateTopics_result(event), &n);
    for (size_t i = 0; i < n; i++) {
        rd_kafka_resp_err_t e = rd_kafka_topic_result_error(made[i]);
        if (!e || e == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS)
            continue;
        const char *text = rd_kafka_topic_result_error_string(made[i]);
        snprintf(why, 256, "%s: %s", rd_kafka_topic_result_name(made[i]),
                 text ? text : rd_kafka_err2str(e));
        return ERR_REFUSED;
    }
    return 0;
}

int broker_create(const struct broker_settings *s, const struct broker_topic *topics, size_t n,
                  int wait_ms, char why[256])
{
    rd_kafka_t *rk = NULL;
    char text[256] = "a topic's name or count is not valid";
    rd_kafka_NewTopic_t **ask = calloc(n + 1, sizeof(void *));
    size_t asked = 0;
    int err = !ask ? ERR_NOMEM : n ? admin_open(s, &rk) : ERR_INVALID;
    if (err) {
        snprintf(why, 256, "%s", err_text(err));
        free(ask);
        return err;
    }
    for (; asked < n; asked++) {
        ask[asked] = rd_kafka_NewTopic_new(topics[asked].name, topics[asked].partitions,
                                           topics[asked].replication, text, sizeof text);
        if (!ask[asked])
            break;
    }
    if (asked < n) {
        snprintf(why, 256, "%s", text);
        err = ERR_REFUSED;
    } else {
        rd_kafka_queue_t *queue = rd_kafka_queue_new(rk);
        rd_kafka_CreateTopics(rk, ask, asked, NULL, queue);
        rd_kafka_event_t *event = rd_kafka_queue_poll(queue, wait_ms);
        err = create_answer(event, why);
        rd_kafka_event_destroy(event);
        rd_kafka_queue_destroy(queue);
    }
    rd_kafka_NewTopic_destroy_array(ask, asked);
    free(ask);
    rd_kafka_destroy(rk);
    return err;
}
