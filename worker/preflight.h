/* preflight.h - what must be there before a worker starts: settings that can be read, flows without
 * errors, topics, tables. Each miss is one line that says what to do. Main thread; blocks. */
#pragma once
#include <stdio.h>
#include "common/broker.h"
#include "common/flow.h"
#include "common/record.h"
#include "common/topic_warnings.h"
#include "worker/settings.h"
#include "worker/topic_limits.h"

enum { PREFLIGHT_WHY = 1024 };

/* Load the flows; findings are printed on stderr. *out: owned (flow_set_put). 0 or ERR_INVALID,
 * ERR_NOMEM. expr_start must have run. */
int preflight_flows(const struct settings *s, struct flow_set **out,
                    char why[PREFLIGHT_WHY]) must_use;
/* Are the flows of `only` among them? ERR_INVALID with why. */
int preflight_only(const struct settings *s, const struct flow_set *set,
                   char why[PREFLIGHT_WHY]) must_use;

struct preflight_topics {
    int64_t retention_ms; /* the longest, 90 days if unlimited */
    struct topic_warnings warnings;
    struct topic_limits limits; /* owned: topic_limits_fini */
};
/* All topics of the flows, and those of others that they write to, exist; ours take their bodies.
 * 0; ERR_SETUP with why: missing ones, or no broker. */
int preflight_topics(const struct broker_settings *b, const struct flow_set *set,
                     struct preflight_topics *out, char why[PREFLIGHT_WHY]) must_use;
/* The record answers and its tables fit. 0; ERR_SETUP with why. */
int preflight_record(const struct record_settings *r, char why[PREFLIGHT_WHY]) must_use;

/* The databases that flows use are there, with offpath_applied where it is needed; one that is away
 * is only told: away, NULL: not. 0; ERR_SETUP with why. */
int preflight_databases(const struct settings *s, const struct flow_set *set, FILE *away,
                        char why[PREFLIGHT_WHY]) must_use;

/* For `check`: one line (server_line.h) per server that is set, and one for the topics of the flows
 * if Kafka is. set: NULL: none are known. 0, or ERR_SETUP when one does not answer or a topic is
 * not as run needs it. */
int preflight_servers(const struct config *c, const struct flow_set *set, bool json,
                      FILE *out) must_use;
