/* settings.h - the settings of the worker: one table for flags, environment, file and --help, and
 * what needs checking before anything starts. Main thread. */
#pragma once
#include "common/config.h"
#include "common/exit_code.h"
#include "common/log.h"

enum { SETTINGS_WHY = 512, SETTINGS_SHARDS_MAX = 64, SETTINGS_ONLY_MAX = 500 };

extern const struct config_option settings_table[];
extern const size_t settings_n;

struct settings {       /* text lent with the config */
    const char *issuer; /* the first of the gateways'; NULL: "" */
    const char *flows, *upstreams, *secrets;
    const char *kafka, *kafka_properties, *redis, *mysql;
    const char *admin, *ports_file;
    char *issuer_text; /* owned: what `issuer` points into, if it is one of several */
    char *only_text;   /* owned: what `only` points into */
    const char *only[SETTINGS_ONLY_MAX];
    size_t only_n;
    unsigned shards;
    int64_t lease_ms, drain_ms;
    bool log_json;
    enum log_level log_level;
};

/* Form of log lines alone, so that everything else can be logged. 0 or ERR_INVALID with why. */
int settings_read_log(const struct config *c, struct settings *out,
                      char why[SETTINGS_WHY]) must_use;
/* Where the flows and Kafka are: all that `topics` needs. As above. */
int settings_read_kafka(const struct config *c, struct settings *out,
                        char why[SETTINGS_WHY]) must_use;
/* All that `run` needs. 0; ERR_INVALID with why: which setting, and what to write; ERR_NOMEM. */
int settings_read(const struct config *c, struct settings *out, char why[SETTINGS_WHY]) must_use;
void settings_fini(struct settings *s);
