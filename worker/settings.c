#include "worker/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct config_option settings_table[] = {
    {"flows", CONFIG_TEXT, NULL, "DIR", "folder of flow files"},
    {"upstreams", CONFIG_TEXT, NULL, "FILE", "upstreams.yaml (default: beside the folder)"},
    {"secrets", CONFIG_TEXT, "/run/secrets", "DIR", "folder of ${file:name}"},
    {"kafka", CONFIG_TEXT, NULL, "HOST:PORT,...", "brokers"},
    {"kafka-properties", CONFIG_TEXT, NULL, "LINES", "librdkafka name=value lines (TLS, SASL)"},
    {"redis", CONFIG_TEXT, NULL, "URL", "redis://[user:pass@]host:port[/db]"},
    {"mysql", CONFIG_TEXT, NULL, "URL", "mysql://user:pass@host:port/db"},
    {"admin", CONFIG_TEXT, "127.0.0.1:8482", "HOST:PORT", "/healthz /readyz /metrics; 0: any port"},
    {"ports-file", CONFIG_TEXT, NULL, "FILE", "JSON of pid and admin address, written once ready"},
    {"jwt-issuer", CONFIG_TEXT, NULL, "TEXT", "of the users that topic.user finds in records"},
    {"jwt-issuers", CONFIG_TEXT, NULL, "LINES", "as the gateways': the first issuer is that one"},
    {"shards", CONFIG_NUMBER, "1", "N", "loop threads in this process, 1 to 64"},
    {"only", CONFIG_TEXT, NULL, "FLOW,...", "consume these flows only"},
    {"lease", CONFIG_DURATION, "15s", "TIME", "silence after which a worker counts as dead"},
    {"drain", CONFIG_DURATION, "100s", "TIME", "finish jobs for so long after SIGTERM"},
    {"log", CONFIG_TEXT, "text", "text|json", "form of log lines"},
    {"log-level", CONFIG_TEXT, "info", "debug|info|warn|error",
     "log lines of this level and above"},
    /* of single verbs (verbs.c says of which) */
    {"yes", CONFIG_BOOL, "false", NULL, "apply without asking"},
    {"show", CONFIG_BOOL, "false", NULL, "print each setting, and where it is from"},
    {"offline", CONFIG_BOOL, "false", NULL, "ask no server, need no secrets"},
    {"deny-warnings", CONFIG_BOOL, "false", NULL, "a warning counts as an error"},
    {"json", CONFIG_BOOL, "false", NULL, "JSON Lines"},
    {"request", CONFIG_TEXT, NULL, "JSON|@FILE", "the request (default: the first example)"},
    {"replies", CONFIG_TEXT, NULL, "JSON|@FILE", "of calls: {CALL: {status, headers, body}}"},
    {"rows", CONFIG_TEXT, NULL, "JSON|@FILE", "what `load` gives: {NAME: [..]}"},
    {"user", CONFIG_TEXT, NULL, "NAME", "$user.id (default: a guest)"},
    /* the gateway's: both programs may share one file */
    {"listen", CONFIG_TEXT, NULL, "HOST:PORT", NULL},
    {"public-url", CONFIG_TEXT, NULL, "URL", NULL},
    {"id-secret-file", CONFIG_TEXT, NULL, "FILE", NULL},
    {"threads", CONFIG_NUMBER, NULL, "N", NULL},
    {"streams", CONFIG_NUMBER, NULL, "N", NULL},
    {"streams-per-client", CONFIG_NUMBER, NULL, "N", NULL},
    {"connections-per-address", CONFIG_NUMBER, NULL, "N", NULL},
    {"trusted-proxies", CONFIG_TEXT, NULL, "NET,...", NULL},
    {"cors-origins", CONFIG_TEXT, NULL, "ORIGIN,...", NULL},
    {"demo-users", CONFIG_TEXT, NULL, "NAME,...", NULL},
    {"header-max", CONFIG_NUMBER, NULL, "BYTES", NULL},
    {"header-deadline", CONFIG_DURATION, NULL, "TIME", NULL},
    {"body-deadline", CONFIG_DURATION, NULL, "TIME", NULL},
    {"keep-alive", CONFIG_DURATION, NULL, "TIME", NULL},
    {"publish-deadline", CONFIG_DURATION, NULL, "TIME", NULL},
    {"drain-wait", CONFIG_DURATION, NULL, "TIME", NULL},
    {"gateways", CONFIG_NUMBER, NULL, "N", NULL},
    {"overload-floor", CONFIG_NUMBER, NULL, "N", NULL},
    {"jwt-hs256-file", CONFIG_TEXT, NULL, "FILE", NULL},
    {"jwks", CONFIG_TEXT, NULL, "FILE|URL", NULL},
    {"jwt-audience", CONFIG_TEXT, NULL, "TEXT", NULL},
    {"jwt-algorithms", CONFIG_TEXT, NULL, "NAME,...", NULL},
};
const size_t settings_n = sizeof settings_table / sizeof settings_table[0];

static int refuse(char why[SETTINGS_WHY], const char *name, const char *value, const char *what)
{
    if (value)
        snprintf(why, SETTINGS_WHY, "--%s is \"%.80s\"; %s", name, value, what);
    else
        snprintf(why, SETTINGS_WHY, "--%s is not set; %s", name, what);
    return ERR_INVALID;
}

int settings_read_log(const struct config *c, struct settings *out, char why[SETTINGS_WHY])
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *form = config_text(c, "log"), *level = config_text(c, "log-level");
    if (strcmp(form, "text") != 0 && strcmp(form, "json") != 0)
        return refuse(why, "log", form, "write text or json");
    for (int i = 0; i < 4; i++) {
        if (strcmp(level, levels[i]) == 0) {
            out->log_json = strcmp(form, "json") == 0;
            out->log_level = (enum log_level)i;
            return 0;
        }
    }
    return refuse(why, "log-level", level, "write debug, info, warn or error");
}

static int need(const struct config *c, const char *name, const char *what, const char **out,
                char why[SETTINGS_WHY])
{
    *out = config_text(c, name);
    return *out && **out ? 0 : refuse(why, name, NULL, what);
}

int settings_read_kafka(const struct config *c, struct settings *s, char why[SETTINGS_WHY])
{
    s->upstreams = config_text(c, "upstreams");
    s->secrets = config_text(c, "secrets");
    s->kafka_properties = config_text(c, "kafka-properties");
    int err = need(c, "flows", "name the folder of your flow files", &s->flows, why);
    return err ? err : need(c, "kafka", "name the brokers, host:port", &s->kafka, why);
}

static int read_needed(const struct config *c, struct settings *s, char why[SETTINGS_WHY])
{
    int err = settings_read_kafka(c, s, why);
    if (!err)
        err = need(c, "redis", "write redis://host:port", &s->redis, why);
    if (!err)
        err = need(c, "mysql", "write mysql://user:pass@host:port/db", &s->mysql, why);
    return err;
}

/* "a,b" in place */
static int read_only(const struct config *c, struct settings *s, char why[SETTINGS_WHY])
{
    const char *text = config_text(c, "only");
    if (!text || !*text)
        return 0;
    s->only_text = strdup(text);
    if (!s->only_text)
        return ERR_NOMEM;
    for (char *at = s->only_text, *next; at; at = next) {
        next = strchr(at, ',');
        if (next)
            *next++ = 0;
        if (!*at || s->only_n == SETTINGS_ONLY_MAX)
            return refuse(why, "only", text, "write flow names with commas between them");
        s->only[s->only_n++] = at;
    }
    return 0;
}

static int read_numbers(const struct config *c, struct settings *s, char why[SETTINGS_WHY])
{
    int64_t shards = config_number(c, "shards");
    s->lease_ms = config_ms(c, "lease");
    s->drain_ms = config_ms(c, "drain");
    if (shards < 1 || shards > SETTINGS_SHARDS_MAX)
        return refuse(why, "shards", config_text(c, "shards"), "write a number from 1 to 64");
    if (s->lease_ms < 1000 || s->lease_ms > 600000)
        return refuse(why, "lease", config_text(c, "lease"), "write a time from 1s to 10m");
    s->shards = (unsigned)shards;
    return 0;
}

/* The first word of the first line that says something. */
static int read_issuer(const struct config *c, struct settings *s)
{
    const char *at = config_text(c, "jwt-issuers");
    if (s->issuer || !at)
        return 0;
    at += strspn(at, " \t\r\n");
    while (*at == '#') {
        at += strcspn(at, "\n");
        at += strspn(at, " \t\r\n");
    }
    s->issuer = s->issuer_text = strndup(at, strcspn(at, " \t\r\n"));
    return s->issuer ? 0 : ERR_NOMEM;
}

int settings_read(const struct config *c, struct settings *out, char why[SETTINGS_WHY])
{
    struct settings s = {.issuer = config_text(c, "jwt-issuer"),
                         .admin = config_text(c, "admin"),
                         .ports_file = config_text(c, "ports-file")};
    int err = settings_read_log(c, &s, why);
    if (!err)
        err = read_needed(c, &s, why);
    if (!err)
        err = read_numbers(c, &s, why);
    if (!err)
        err = read_only(c, &s, why);
    if (!err)
        err = read_issuer(c, &s);
    if (err)
        settings_fini(&s);
    else
        *out = s;
    return err;
}

void settings_fini(struct settings *s)
{
    free(s->issuer_text);
    free(s->only_text);
    s->issuer_text = s->only_text = NULL;
    s->only_n = 0;
}
