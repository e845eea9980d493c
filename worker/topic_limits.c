#include "worker/topic_limits.h"

#include <stdlib.h>
#include <string.h>

int topic_limits_init(struct topic_limits *out, const struct broker_topic *topics, size_t n)
{
    struct topic_limits l = {.list = calloc(n ? n : 1, sizeof *l.list)};
    if (!l.list)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++) {
        if (topics[i].max_message_bytes <= 0)
            continue;
        memcpy(l.list[l.n].name, topics[i].name, sizeof topics[i].name);
        l.list[l.n++].bytes = topics[i].max_message_bytes;
    }
    *out = l;
    return 0;
}

void topic_limits_fini(struct topic_limits *l)
{
    free(l->list);
    *l = (struct topic_limits){0};
}

size_t topic_limits_of(const struct topic_limits *l, const char *topic)
{
    int64_t bytes = TOPIC_LIMIT_DEFAULT;
    for (size_t i = 0; l && i < l->n; i++)
        if (strcmp(l->list[i].name, topic) == 0)
            bytes = l->list[i].bytes;
    return bytes > TOPIC_OVERHEAD ? (size_t)(bytes - TOPIC_OVERHEAD) : 0;
}
