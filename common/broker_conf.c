#include "common/broker_conf.h"
#include "common/config.h"
#include "common/log.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const int64_t DAY_MS = 86400000;

#define MAX_POLL "45000"

/* Reconnects: quick at first, 2 s at most, so that a broker that came back is used at once. */
#define COMMON                                                                               \
    {"socket.nagle.disable", "true", false}, {"socket.keepalive.enable", "true", false},     \
        {"reconnect.backoff.ms", "100", false}, {"reconnect.backoff.max.ms", "2000", false}, \
        {"broker.address.ttl", "5000", false},                                               \
        {"topic.metadata.refresh.interval.ms", "60000", false},                              \
        {"log.connection.close", "false", false},                                            \
    {                                                                                        \
        "enable.metrics.push", "false", true                                                 \
    }

static const struct broker_property producer_defaults[] = {
    COMMON,
    {"linger.ms", "0", false},
    /* One on the wire, one in the broker, which works on one at a time anyway: what comes meanwhile
     * fills the next batch. Half the CPU of the usual 5 at 64 publishers, and quicker. */
    {"max.in.flight.requests.per.connection", "2", false},
    {"message.timeout.ms", "10000", false},
    {"queue.buffering.max.messages", "10000", false},
    {"queue.buffering.max.kbytes", "65536", false},
    {"message.max.bytes", "33554432", false}, /* the topic's own limit decides, not ours */
    {NULL, NULL, false},
};
static const struct broker_property producer_fixed[] = {
    {"acks", "all", false},
    {"enable.idempotence", "true", false},
    {"statistics.interval.ms", "500", false}, /* they alone tell whether it has its id */
    {"partitioner", "murmur2_random", false}, /* as Java's: other producers' keys land alike */
    {NULL, NULL, false},
};
static const struct broker_property consumer_defaults[] = {
    COMMON,
    {"session.timeout.ms", "15000", false},
    {"heartbeat.interval.ms", "3000", false},
    /* The client's own thread keeps the membership of a loop that hangs: for so long, and so long
     * must the others wait for it when they share anew. 5 min else. */
    {"max.poll.interval.ms", MAX_POLL, false},
    {"auto.offset.reset", "earliest", false},
    {"queued.max.messages.kbytes", "16384", false},
    {"queued.min.messages", "1000", false},
    {"fetch.wait.max.ms", "100", false},
    {"fetch.queue.backoff.ms", "50", true},
    {NULL, NULL, false},
};
static const struct broker_property consumer_fixed[] = {
    {"enable.auto.commit", "false", false},
    {"enable.auto.offset.store", "false", false},
    {"partition.assignment.strategy", "range", false},
    {"allow.auto.create.topics", "false", false},
    {NULL, NULL, false},
};
static const struct broker_property admin_defaults[] = {COMMON, {NULL, NULL, false}};
/* asking for a topic must never create it */
static const struct broker_property admin_fixed[] = {
    {"allow.auto.create.topics", "false", false},
    {NULL, NULL, false},
};

const struct broker_property *broker_conf_defaults(enum broker_role role)
{
    return role == BROKER_PRODUCER   ? producer_defaults
           : role == BROKER_CONSUMER ? consumer_defaults
                                     : admin_defaults;
}

const struct broker_property *broker_conf_fixed(enum broker_role role)
{
    return role == BROKER_PRODUCER   ? producer_fixed
           : role == BROKER_CONSUMER ? consumer_fixed
                                     : admin_fixed;
}

static void trim(const char **from, size_t *len)
{
    while (*len && isspace((unsigned char)**from)) {
        ++*from;
        --*len;
    }
    while (*len && isspace((unsigned char)(*from)[*len - 1]))
        --*len;
}

static int copy(char *to, size_t size, const char *from, size_t len, bool escapes)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        if (n + 1 >= size)
            return ERR_INVALID;
        bool newline = escapes && from[i] == '\\' && i + 1 < len && from[i + 1] == 'n';
        to[n++] = newline ? '\n' : from[i];
        i += newline;
        to[n] = 0;
    }
    to[n] = 0;
    return 0;
}

static int split(const char *line, size_t len, struct broker_line *out)
{
    const char *equals = memchr(line, '=', len);
    size_t name_len = equals ? (size_t)(equals - line) : len;
    const char *value = line + name_len + 1;
    size_t value_len = equals ? len - name_len - 1 : 0;
    trim(&line, &name_len);
    int err = copy(out->name, sizeof out->name, line, name_len, false);
    if (err || !equals || !name_len)
        return ERR_INVALID;
    trim(&value, &value_len);
    out->secret = config_is_secret(out->name, name_len);
    return copy(out->value, sizeof out->value, value, value_len, true);
}

int broker_conf_next(const char **text, struct broker_line *out)
{
    while (**text) {
        const char *line = *text;
        size_t len = strcspn(line, "\n");
        *text += len + (line[len] == '\n');
        trim(&line, &len);
        if (len && *line != '#')
            return split(line, len, out);
    }
    return ERR_NOT_FOUND;
}

struct target {
    broker_set_fn *set;
    void *arg;
};

static int apply(const struct target *t, const char *name, const char *value, bool may_be_unknown)
{
    int err = t->set(t->arg, name, value);
    if (!err || (err == ERR_NOT_FOUND && may_be_unknown))
        return 0;
    log_error("kafka-property", "name", name, "why",
              err == ERR_NOT_FOUND ? "this librdkafka does not know it" : "not valid for it");
    return ERR_INVALID;
}

static int apply_table(const struct target *t, const struct broker_property *p)
{
    int err = 0;
    for (; !err && p->name; p++)
        err = apply(t, p->name, p->value, p->may_be_unknown);
    return err;
}

/* The library wants the interval to be no shorter than the session. */
static int follow_session(const struct target *t, const struct broker_line *line)
{
    bool longer = strcmp(line->name, "session.timeout.ms") == 0 &&
                  strtol(line->value, NULL, 10) > strtol(MAX_POLL, NULL, 10);
    return longer ? apply(t, "max.poll.interval.ms", line->value, false) : 0;
}

static int apply_lines(const struct target *t, const char *text)
{
    struct broker_line *line = calloc(1, sizeof *line);
    if (!line)
        return ERR_NOMEM;
    int err, refused = 0;
    while (!refused && (err = broker_conf_next(&text, line)) == 0) {
        if (line->secret)
            log_secret(line->value);
        refused = apply(t, line->name, line->value, false);
        if (!refused)
            refused = follow_session(t, line);
    }
    if (!refused && err == ERR_INVALID)
        log_error("kafka-properties", "line", line->name, "expected", "name=value");
    free(line);
    return refused ? refused : err == ERR_NOT_FOUND ? 0 : err;
}

int broker_conf_apply(enum broker_role role, const struct broker_settings *s, const char *group,
                      broker_set_fn *set, void *arg)
{
    const struct target t = {set, arg};
    int err = apply_table(&t, broker_conf_defaults(role));
    if (!err)
        err = apply(&t, "bootstrap.servers", s->servers, false);
    if (!err && s->client_id)
        err = apply(&t, "client.id", s->client_id, false);
    if (!err && s->properties)
        err = apply_lines(&t, s->properties);
    if (!err && group)
        err = apply(&t, "group.id", group, false);
    return err ? err : apply_table(&t, broker_conf_fixed(role));
}

void broker_log(int level, const char *facility, const char *text)
{
    /* usual while partitions move; said already by the thread that met it */
    if (!strcmp(facility, "COMMITFAIL") || strstr(text, "[thrd:app]"))
        level = 6;
    log_write(level <= 4   ? LOG_WARN
              : level <= 5 ? LOG_INFO
                           : LOG_DEBUG,
              "kafka", "facility", facility, "text", text, NULL);
}

void broker_topic_config(struct broker_topic *t, const char *name, const char *value)
{
    char *end;
    long long n = strtoll(value ? value : "", &end, 10);
    if (value && !strcmp(name, "unclean.leader.election.enable"))
        t->unclean_election = strcmp(value, "true") == 0;
    if (!value || end == value || *end)
        return;
    if (!strcmp(name, "max.message.bytes"))
        t->max_message_bytes = n;
    else if (!strcmp(name, "retention.ms"))
        t->retention_ms = n;
    else if (!strcmp(name, "min.insync.replicas"))
        t->min_insync = (int)n;
}

int64_t broker_topic_keeps_ms(const struct broker_topic *t)
{
    bool useful = t->retention_ms > 0 && t->retention_ms <= 36525 * DAY_MS;
    return useful ? t->retention_ms : 90 * DAY_MS;
}

bool broker_stats_has_id(const char *json)
{
    static const char name[] = "\"idemp_state\"", assigned[] = "\"Assigned\"";
    const char *p = json ? strstr(json, name) : NULL;
    if (!p)
        return false;
    p += sizeof name - 1;
    p += strspn(p, " :");
    return strncmp(p, assigned, sizeof assigned - 1) == 0;
}
