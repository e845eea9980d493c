#include "common/broker_conf.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
    {"message.timeout.ms", "10000", false},
    {"queue.buffering.max.messages", "10000", false},
    {"queue.buffering.max.kbytes", "65536", false},
    {"message.max.bytes", "33554432", false}, /* the topic's own limit decides, not ours */
    {NULL, NULL, false},
};
static const struct broker_property producer_fixed[] = {
    {"acks", "all", false},
    {"enable.idempotence", "true", false},
    {"partitioner", "murmur2_random", false}, /* as Java's: other producers' keys land alike */
    {NULL, NULL, false},
};
static const struct broker_property consumer_defaults[] = {
    COMMON,
    {"session.timeout.ms", "15000", false},
    {"heartbeat.interval.ms", "3000", false},
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

static bool is_secret(const char *name)
{
    return strstr(name, "password") || strstr(name, "secret") || strstr(name, "key.pem") ||
           strstr(name, "sasl.oauthbearer.config");
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
    out->secret = is_secret(out->name);
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

void broker_topic_config(struct broker_topic *t, const char *name, const char *value)
{
    char *end;
    long long n = strtoll(value, &end, 10);
    if (end == value || *end)
        return;
    if (!strcmp(name, "max.message.bytes"))
        t->max_message_bytes = n;
    else if (!strcmp(name, "retention.ms"))
        t->retention_ms = n;
    else if (!strcmp(name, "min.insync.replicas"))
        t->min_insync = (int)n;
}
