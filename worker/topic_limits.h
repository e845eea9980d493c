/* topic_limits.h - how large a record each topic takes, as Kafka said at start-up. Read-only
 * afterwards, any thread. */
#pragma once
#include "common/broker.h"

enum { TOPIC_LIMIT_DEFAULT = 1048588, TOPIC_OVERHEAD = 512 };

struct topic_limits {
    struct topic_limit {
        char name[250];
        int64_t bytes;
    } * list; /* owned: topic_limits_fini */
    size_t n;
};

/* From what was described; unknown sizes are left out. *out: owned. 0 or ERR_NOMEM. */
int topic_limits_init(struct topic_limits *out, const struct broker_topic *topics,
                      size_t n) must_use;
void topic_limits_fini(struct topic_limits *l);
/* Key, value and headers together that it takes; Kafka's default for one that is not known. l: NULL
 * is fine. */
size_t topic_limits_of(const struct topic_limits *l, const char *topic);
