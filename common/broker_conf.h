/* broker_conf.h - the properties Offpath gives to its Kafka clients, and the operator's own ones
 * ("name=value" lines: TLS, SASL). Three layers, later wins: our defaults, the operator's lines,
 * and what must not be changed because promises rest on it (acks, idempotence, commits). Any
 * thread. */
#pragma once
#include "common/broker.h"
#include <stdbool.h>
#include <stddef.h>

struct broker_property {
    const char *name, *value;
    bool may_be_unknown; /* newer or older libraries do not know it: no error */
};

enum broker_role { BROKER_PRODUCER, BROKER_CONSUMER, BROKER_ADMIN };

/* Tables ended by a NULL name; lent for ever. Both roles' common part is in them. */
const struct broker_property *broker_conf_defaults(enum broker_role role);
const struct broker_property *broker_conf_fixed(enum broker_role role);

enum { BROKER_NAME = 128, BROKER_VALUE = 4096 };
struct broker_line {
    char name[BROKER_NAME], value[BROKER_VALUE];
    bool secret; /* its value must never be logged */
};

/* The next line of `*text`, which moves on: 0, ERR_NOT_FOUND (no more), ERR_INVALID (no '=', an
 * empty name, too long; out->name holds what was there). Blank lines and those with # are skipped,
 * spaces around both parts cut; "\n" in a value (two characters) becomes a line end, for PEM. */
int broker_conf_next(const char **text, struct broker_line *out) must_use;

/* Give all layers to `set`, in order. group: a consumer's, else NULL. set returns 0, ERR_NOT_FOUND
 * (the library does not know the name) or ERR_INVALID (nor the value); that is logged, without the
 * value. 0, ERR_INVALID, ERR_NOMEM. */
typedef int broker_set_fn(void *arg, const char *name, const char *value);
int broker_conf_apply(enum broker_role role, const struct broker_settings *s, const char *group,
                      broker_set_fn *set, void *arg) must_use;

/* A line of the library's own log, at its syslog level, to ours. */
void broker_log(int level, const char *facility, const char *text);

/* Do the statistics of a producer (its JSON) say that it has the id without which nothing is
 * published? NULL: no. */
bool broker_stats_has_id(const char *json);

/* Take one configuration entry of a topic ("retention.ms"); others are left alone. */
void broker_topic_config(struct broker_topic *t, const char *name, const char *value);
