#include "worker/consumer.h"
#include "common/failpoint.h"
#include "common/log.h"

#include <stdlib.h>
#include <string.h>

/* Records taken in one turn of the loop, so that calls and timers get theirs. */
enum { TURN = 256, REVOKE_COMMIT_MS = 5000, COMMIT_LIST = 64, JOIN_MS = 30000, AGAIN_TICKS = 60 };
enum { LONG_MS = 5000 }; /* a record may wait unsaid */

struct consumer {
    struct consumer_settings s;
    struct broker_consumer *broker;
    struct loop_io *io;
    struct partition *partitions;
    bool shut[2]; /* as seen last; by `refills` */
    bool posted;  /* another turn is on its way */
    bool closing;
    bool joined;  /* the group has told its partitions, if only that there are none */
    bool refused; /* and nothing was assigned since */
    int64_t opened_ms;
    unsigned ticks; /* since all was committed anew */
};

struct parked { /* a record that did not fit, whole; one allocation */
    struct parked *next;
    bool tracked; /* its offset is noted: only the shard is asked again */
    bool told;    /* that it waits for long */
    int64_t since_ms;
    struct broker_record record;
    struct event_header headers[];
};

static void *append(char **at, const void *bytes, size_t len)
{
    char *to = *at;
    if (len)
        memcpy(to, bytes, len);
    to[len] = 0;
    *at += len + 1;
    return to;
}

static struct parked *park(const struct partition *p, const struct broker_record *r)
{
    size_t bytes = sizeof(struct parked) + r->headers_n * sizeof(struct event_header) + r->key_len +
                   r->value_len + 2;
    for (size_t i = 0; i < r->headers_n; i++)
        bytes += strlen(r->headers[i].name) + r->headers[i].len + 2;
    struct parked *k = calloc(1, bytes);
    if (!k)
        return NULL;
    char *at = (char *)&k->headers[r->headers_n];
    k->since_ms = loop_now_ms(p->consumer->s.loop);
    k->record = *r;
    k->record.topic = p->topic;
    k->record.headers = k->headers;
    k->record.key = r->key ? append(&at, r->key, r->key_len) : NULL;
    k->record.value = r->value ? append(&at, r->value, r->value_len) : NULL;
    for (size_t i = 0; i < r->headers_n; i++) {
        const struct event_header *h = &r->headers[i];
        k->headers[i].name = append(&at, h->name, strlen(h->name));
        k->headers[i].value = h->value ? append(&at, h->value, h->len) : NULL;
        k->headers[i].len = h->value ? h->len : 0;
    }
    return k;
}

/* ---- partitions */

static struct partition *find(const struct consumer *c, const char *topic, int32_t number)
{
    struct partition *p = c->partitions;
    while (p && (p->past || p->number != number || strcmp(p->topic, topic) != 0))
        p = p->next;
    return p;
}

static struct partition *partition_new(struct consumer *c, const char *topic, int32_t number)
{
    struct partition *p = calloc(1, sizeof *p);
    if (p)
        p->topic = strdup(topic);
    if (!p || !p->topic) {
        log_error("no-memory", "for", "a partition");
        abort(); /* its records would be lost between the offsets of others */
    }
    p->consumer = c;
    p->number = number;
    p->span.max = OFFSETS_SPAN;
    p->refills = c->s.events.is_refills && c->s.events.is_refills(c->s.events.arg, p->topic);
    p->next = c->partitions;
    c->partitions = p;
    return p;
}

static void pause_as_needed(struct partition *p)
{
    struct consumer *c = p->consumer;
    if (p->past)
        return;
    gate_set(&p->span, offsets_span(&p->offsets));
    bool pause = c->shut[p->refills] || p->span.shut || p->parked;
    if (pause == p->paused)
        return;
    p->paused = pause;
    broker_pause(c->broker, p->topic, p->number, pause);
}

static void assigned(void *arg, const struct broker_partition *list, size_t n)
{
    struct consumer *c = arg;
    for (size_t i = 0; i < n; i++) {
        if (find(c, list[i].topic, list[i].partition))
            continue;
        struct partition *p = partition_new(c, list[i].topic, list[i].partition);
        p->committed = p->seen = list[i].offset;
        offsets_init(&p->offsets, list[i].offset);
        pause_as_needed(p);
    }
    c->joined = true;
    c->refused = false;
    log_info("assigned", "group", c->s.group, "partitions", log_number((long long)n));
}

/* Not beyond what is open from before its log went back: it may be the same log. */
static int64_t commit_of(const struct consumer *c, const struct partition *p)
{
    int64_t next = offsets_commit(&p->offsets);
    for (const struct partition *q = c->partitions; q; q = q->next)
        if (q->past && !q->gone && q->number == p->number && strcmp(q->topic, p->topic) == 0 &&
            offsets_commit(&q->offsets) < next)
            next = offsets_commit(&q->offsets);
    return next;
}

static size_t collect(struct consumer *c, struct broker_partition *list, size_t max)
{
    size_t n = 0;
    for (struct partition *p = c->partitions; p && n < max; p = p->next) {
        int64_t next = p->past ? -1 : commit_of(c, p);
        if (next < 0 || next == p->committed)
            continue;
        list[n++] = (struct broker_partition){p->topic, p->number, next};
        p->committed = next;
    }
    return n;
}

static void commit(struct consumer *c, int wait_ms)
{
    struct broker_partition list[COMMIT_LIST];
    size_t n;
    while ((n = collect(c, list, COMMIT_LIST)) > 0) {
        FAILPOINT("before-commit");
        int err = broker_commit(c->broker, list, n, wait_ms);
        for (size_t i = 0; err && i < n; i++) { /* again at the next turn */
            struct partition *p = find(c, list[i].topic, list[i].partition);
            if (p)
                p->committed = -1;
        }
        if (err)
            break;
    }
}

/* Nobody waits for the answer of a commit, so one may be lost; a partition with no more records
 * would never send it again. */
static void commit_anew(struct consumer *c, int wait_ms)
{
    for (struct partition *p = c->partitions; p; p = p->next)
        p->committed = -1;
    c->ticks = 0;
    commit(c, wait_ms);
}

static void forget(struct consumer *c, struct partition *p)
{
    struct partition **at = &c->partitions;
    while (*at != p)
        at = &(*at)->next;
    *at = p->next;
    c->s.events.revoked(c->s.events.arg, p);
    offsets_fini(&p->offsets);
    while (p->parked) {
        struct parked *next = p->parked->next;
        free(p->parked);
        p->parked = next;
    }
    free(p->topic);
    free(p);
}

/* Those whose last record has ended. */
static void forget_past(struct consumer *c)
{
    for (struct partition *p = c->partitions, *next; p; p = next) {
        next = p->next;
        if (p->past && !p->parked && !p->offsets.open)
            forget(c, p);
    }
}

/* What is open of them goes on: of a log that is gone nobody else has it. */
static void leave_past(struct consumer *c, const struct broker_partition *of)
{
    for (struct partition *p = c->partitions; p; p = p->next)
        if (p->past && p->number == of->partition && strcmp(p->topic, of->topic) == 0)
            p->gone = true;
}

static void revoked(void *arg, const struct broker_partition *list, size_t n, bool lost)
{
    struct consumer *c = arg;
    if (!lost)
        commit_anew(c, REVOKE_COMMIT_MS);
    for (size_t i = 0; i < n; i++) {
        struct partition *p = find(c, list[i].topic, list[i].partition);
        if (p)
            forget(c, p);
        leave_past(c, &list[i]);
    }
    log_info("revoked", "group", c->s.group, "partitions", log_number((long long)n), "lost",
             lost ? "yes" : "no");
}

static void trouble(void *arg, int err, bool fatal, const char *why)
{
    struct consumer *c = arg;
    log_write(fatal ? LOG_ERROR : LOG_WARN, "consumer", "group", c->s.group, "error", err_text(err),
              "why", why, NULL);
    c->refused |= err == ERR_REFUSED;
    if (fatal)
        c->s.events.fatal(c->s.events.arg, why);
}

/* ---- records */

/* Records of a partition come in order. One that is not newer than the last means that its topic
 * was made anew or cut (then old numbers are new records), or that all since then come again.
 * Which, the claim knows: all are taken from here on. What is open from before goes on, under
 * numbers that are not these. */
static struct partition *go_back(struct partition *old, int64_t offset)
{
    struct partition *p = partition_new(old->consumer, old->topic, old->number);
    log_warn("log-went-back", "topic", old->topic, "partition", log_number(old->number), "expected",
             log_number(old->seen), "offset", log_number(offset), "means",
             "the topic was made anew or cut, or records come again: all are taken from here on");
    p->committed = p->seen = -1;
    p->paused = old->paused;
    offsets_init(&p->offsets, -1);
    old->past = true;
    old->paused = false;
    return p;
}

/* The offset is noted first: a record is tracked, parked, or both, never neither. */
static int offer(struct partition *p, const struct broker_record *r, bool *tracked)
{
    const struct consumer_events *e = &p->consumer->s.events;
    int err = *tracked ? 0 : offsets_take(&p->offsets, r->offset);
    if (err)
        return err;
    *tracked = true;
    return e->take(e->arg, p, r);
}

static void take(struct consumer *c, const struct broker_record *r)
{
    struct partition *p = find(c, r->topic, r->partition);
    bool tracked = false;
    if (p && r->offset < p->seen)
        p = go_back(p, r->offset);
    if (p)
        p->seen = r->offset + 1;
    if (!p || (!p->parked && offer(p, r, &tracked) == 0))
        return;
    /* behind those that wait; few, since the partition is paused from the first on */
    struct parked **at = &p->parked;
    while (*at)
        at = &(*at)->next;
    *at = park(p, r);
    if (!*at)
        abort(); /* see assigned */
    (*at)->tracked = tracked;
    pause_as_needed(p);
}

/* Its partition stands still meanwhile. */
static void waits(const struct partition *p, struct parked *k, int err)
{
    if (k->told || loop_now_ms(p->consumer->s.loop) - k->since_ms < LONG_MS)
        return;
    k->told = true;
    log_warn("record-waits", "topic", p->topic, "partition", log_number(p->number), "offset",
             log_number(k->record.offset), "why", err_text(err));
}

static void unpark(struct partition *p)
{
    struct parked *k;
    while ((k = p->parked) != NULL) {
        int err = offer(p, &k->record, &k->tracked);
        if (err) {
            waits(p, k, err);
            return;
        }
        p->parked = k->next;
        free(k);
    }
}

static void turn(struct consumer *c);

static void again(void *arg)
{
    struct consumer *c = arg;
    c->posted = false;
    turn(c);
}

/* Has intake shut since it was looked at last? */
static bool shuts(const struct consumer *c)
{
    const struct consumer_events *e = &c->s.events;
    return (!c->shut[false] && e->shut(e->arg, false)) || (!c->shut[true] && e->shut(e->arg, true));
}

static void turn(struct consumer *c)
{
    const struct broker_record *r = NULL;
    for (int i = 0; i < TURN && !c->closing && (r = broker_poll(c->broker)); i++) {
        take(c, r);
        if (shuts(c))
            consumer_adjust(c); /* what is paused is not given out any more */
    }
    if (c->closing)
        return;
    consumer_adjust(c);
    if (r && !c->posted)
        c->posted = loop_post(c->s.loop, again, c) == 0;
}

static void readable(void *arg, int events)
{
    (void)events;
    turn(arg);
}

/* ---- life */

int consumer_open(const struct consumer_settings *s, struct consumer **out)
{
    struct consumer *c = calloc(1, sizeof *c);
    if (!c)
        return ERR_NOMEM;
    c->s = *s;
    c->opened_ms = loop_now_ms(s->loop);
    const struct broker_consumer_events events = {
        .arg = c, .assigned = assigned, .revoked = revoked, .error = trouble};
    int err = s->open(s->open_arg, s->group, s->topics, s->topics_n, &events, &c->broker);
    if (!err) {
        c->io = loop_io_new(s->loop, broker_consumer_fd(c->broker), readable, c);
        err = c->io ? 0 : ERR_NOMEM;
    }
    if (err) {
        broker_consumer_close(c->broker);
        free(c);
        return err;
    }
    c->s.topics = NULL;
    loop_io_set(s->loop, c->io, LOOP_READ);
    *out = c;
    return 0;
}

static void free_later(void *arg)
{
    free(arg);
}

void consumer_close(struct consumer *c)
{
    if (!c)
        return;
    c->closing = true;
    loop_io_free(c->s.loop, c->io);
    broker_consumer_close(c->broker);
    while (c->partitions)
        forget(c, c->partitions);
    /* a posted turn may still come: it sees `closing`, and the free comes behind it */
    if (!c->posted || loop_post(c->s.loop, free_later, c))
        free(c);
}

void consumer_done(struct partition *p, int64_t offset)
{
    offsets_done(&p->offsets, offset);
    if (p->paused)
        pause_as_needed(p);
}

void consumer_adjust(struct consumer *c)
{
    for (int refills = 0; refills < 2; refills++)
        c->shut[refills] = c->s.events.shut(c->s.events.arg, refills);
    for (struct partition *p = c->partitions; p; p = p->next) {
        if (p->parked && !c->shut[p->refills])
            unpark(p);
        pause_as_needed(p);
    }
}

void consumer_tick(struct consumer *c)
{
    turn(c);
    forget_past(c);
    if (++c->ticks >= AGAIN_TICKS)
        commit_anew(c, 0);
    else
        commit(c, 0);
}

const char *consumer_trouble(const struct consumer *c)
{
    if (c->refused)
        return "group-refused";
    bool late = !c->joined && loop_now_ms(c->s.loop) - c->opened_ms > JOIN_MS;
    return late ? "not-assigned" : NULL;
}

void consumer_count(const struct consumer *c, struct consumer_numbers *add)
{
    for (const struct partition *p = c->partitions; p; p = p->next) {
        add->partitions += !p->past;
        add->paused += p->paused;
        add->unfinished += (int64_t)p->offsets.open;
    }
}
