#include "gateway/topics.h"

#include <stdio.h>
#include <string.h>

static const int64_t HEADERS_ROOM = 64 << 10;

void topics_name(const struct flow_set *flows, struct broker_topic *topics)
{
    for (size_t i = 0; i < flows->flows_n; i++) {
        topics[i] = (struct broker_topic){.partitions = 0};
        snprintf(topics[i].name, sizeof topics[i].name, "%s", flows->flows[i].topic.name);
    }
}

static void miss(struct topics_report *r, const char *name)
{
    static const char head[] = "missing topics:", tail[] = "; run `offpath-worker topics apply`";
    size_t n = strlen(r->why);
    if (n == 0)
        n = (size_t)snprintf(r->why, sizeof r->why, "%s", head);
    else
        n -= strlen(tail);
    if (n + strlen(name) + sizeof tail + 1 > sizeof r->why) {
        snprintf(r->why + n, sizeof r->why - n, "%s", tail);
        return;
    }
    snprintf(r->why + n, sizeof r->why - n, " %s%s", name, tail);
}

int topics_check(const struct flow_set *flows, const struct broker_topic *topics,
                 struct topics_report *r)
{
    *r = (struct topics_report){0};
    for (size_t i = 0; i < flows->flows_n; i++) {
        const struct broker_topic *t = &topics[i];
        if (t->partitions == 0)
            miss(r, t->name);
        int64_t keep = broker_topic_keeps_ms(t);
        if (keep > r->retention_ms)
            r->retention_ms = keep;
    }
    if (r->why[0])
        return ERR_SETUP;
    for (size_t i = 0; i < flows->flows_n; i++) {
        const struct broker_topic *t = &topics[i];
        int64_t room = t->max_message_bytes - HEADERS_ROOM;
        topic_warnings_add(&r->warnings, t);
        if (t->max_message_bytes < 0 || (int64_t)flows->flows[i].request_max <= room)
            continue;
        snprintf(r->why, sizeof r->why,
                 "flow %s takes requests up to %zu bytes, but topic %.80s only records up to %lld: "
                 "raise its max.message.bytes to %zu, or lower request.max_size",
                 flows->flows[i].name, flows->flows[i].request_max, t->name,
                 (long long)t->max_message_bytes,
                 flows->flows[i].request_max + (size_t)HEADERS_ROOM);
        return ERR_SETUP;
    }
    return 0;
}
