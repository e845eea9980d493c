/* options.h - the settings of the gateway: one table for flags, environment, file and --help, and
 * the few that need checking before anything starts. */
#pragma once
#include "common/config.h"
#include "common/exit_code.h"
#include "common/log.h"
#include "gateway/cors.h"
#include "gateway/proxies.h"

extern const struct config_option options_table[];
extern const size_t options_n;

enum { OPTIONS_WHY = 512 };

/* What is set, as numbers and text; text lent with the config. */
struct options {
    const char *flows, *upstreams, *secrets;
    const char *kafka, *kafka_properties, *redis, *mysql;
    const char *listen, *admin, *ports_file, *public_url, *id_secret_file;
    const char *jwt_hs256_file, *jwks, *jwt_issuer, *jwt_audience, *jwt_algorithms;
    const char *jwt_issuers; /* instead of the five above */
    const char *demo_users;  /* NULL: none */
    bool log_json;
    enum log_level log_level;
    unsigned threads, per_address, header_max, gateways;
    unsigned streams, streams_each; /* each: of one client; 0: a share */
    int header_ms, body_ms, keep_alive_ms, drain_wait_ms, publish_ms;
    int64_t overload_floor;
    struct proxies proxies; /* whose X-Forwarded-For is believed */
    struct cors cors;       /* whose pages may read answers */
};

/* 0; ERR_INVALID with why: which setting is missing or out of range, and what to write. */
int options_read(const struct config *c, struct options *out, char why[OPTIONS_WHY]) must_use;
