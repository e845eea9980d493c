#include "gateway/options.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/demo.h"

const struct config_option options_table[] = {
    {"flows", CONFIG_TEXT, NULL, "DIR", "folder of flow files"},
    {"upstreams", CONFIG_TEXT, NULL, "FILE", "upstreams.yaml (default: beside the folder)"},
    {"secrets", CONFIG_TEXT, "/run/secrets", "DIR", "folder of ${file:name}"},
    {"kafka", CONFIG_TEXT, NULL, "HOST:PORT,...", "brokers"},
    {"kafka-properties", CONFIG_TEXT, NULL, "LINES", "librdkafka name=value lines (TLS, SASL)"},
    {"redis", CONFIG_TEXT, NULL, "URL", "redis://[user:pass@]host:port[/db]"},
    {"mysql", CONFIG_TEXT, NULL, "URL", "mysql://user:pass@host:port/db"},
    {"listen", CONFIG_TEXT, "127.0.0.1:8480", "HOST:PORT", "public port; 0: any free one"},
    {"admin", CONFIG_TEXT, "127.0.0.1:8481", "HOST:PORT", "/healthz /readyz /metrics"},
    {"ports-file", CONFIG_TEXT, NULL, "FILE", "JSON of pid and both addresses, written once ready"},
    {"public-url", CONFIG_TEXT, "", "URL", "before links and problem types; empty: relative"},
    {"id-secret-file", CONFIG_TEXT, NULL, "FILE", "16 random bytes or more; all share it for ever"},
    {"jwt-hs256-file", CONFIG_TEXT, NULL, "FILE", "secret of HS256 tokens, at least 32 bytes"},
    {"jwks", CONFIG_TEXT, NULL, "FILE|URL", "public keys of RS256 and ES256 tokens"},
    {"jwt-issuer", CONFIG_TEXT, NULL, "TEXT", "iss of every token; unset: any"},
    {"jwt-audience", CONFIG_TEXT, NULL, "TEXT", "must be in aud of every token; unset: any"},
    {"jwt-algorithms", CONFIG_TEXT, NULL, "NAME,...", "of tokens; unset: all that fit the keys"},
    {"jwt-issuers", CONFIG_TEXT, NULL, "LINES",
     "several: ISSUER jwks=URL audience=.. algorithms=.."},
    {"demo-users", CONFIG_TEXT, NULL, "NAME=SUB,...",
     "who may sign in without a token: at loopback only"},
    {"threads", CONFIG_NUMBER, "256", "N", "connections served at once, 16 to 2048"},
    {"connections-per-address", CONFIG_NUMBER, "0", "N",
     "of one client or ingress; 0: half of the threads"},
    {"trusted-proxies", CONFIG_TEXT, "", "NET,...", "their X-Forwarded-For names the client"},
    {"cors-origins", CONFIG_TEXT, "", "ORIGIN,...", "whose pages may call the API; without: none"},
    {"streams", CONFIG_NUMBER, "10000", "N", "live streams open at once, 0 to 100000"},
    {"streams-per-client", CONFIG_NUMBER, "0", "N", "of one client; 0: a tenth"},
    {"header-max", CONFIG_NUMBER, "32768", "BYTES", "a request's first line and headers"},
    {"header-deadline", CONFIG_DURATION, "10s", "TIME", "until a request's header is there"},
    {"body-deadline", CONFIG_DURATION, "30s", "TIME", "until its whole body is there"},
    {"keep-alive", CONFIG_DURATION, "75s", "TIME", "idle connections; over the ingress's own"},
    {"publish-deadline", CONFIG_DURATION, "10s", "TIME", "wait for Kafka's acknowledgement"},
    {"drain-wait", CONFIG_DURATION, "5s", "TIME", "serve on after SIGTERM, for load balancers"},
    {"gateways", CONFIG_NUMBER, "1", "N", "share a flow's limits while Redis is away"},
    {"overload-floor", CONFIG_NUMBER, "1000", "N", "waiting jobs of a flow that never shed"},
    {"log", CONFIG_TEXT, "text", "text|json", "form of log lines"},
    {"log-level", CONFIG_TEXT, "info", "debug|info|warn|error",
     "log lines of this level and above"},
    /* of single verbs (verbs.c says of which) */
    {"show", CONFIG_BOOL, "false", NULL, "print each setting, and where it is from"},
    {"user", CONFIG_TEXT, NULL, "NAME", "the token's user (sub)"},
    {"scope", CONFIG_TEXT, NULL, "NAMES", "its scopes, with a space between"},
    {"ttl", CONFIG_DURATION, "1h", "TIME", "until it ends, 1s to 30d"},
    {"url", CONFIG_TEXT, NULL, "URL", "the gateway (default: --public-url, else --listen)"},
    {"token", CONFIG_SECRET, NULL, "TOKEN", "who asks; without one, a guest"},
    {"key", CONFIG_TEXT, NULL, "KEY", "Idempotency-Key (default: a new one)"},
    {"no-wait", CONFIG_BOOL, "false", NULL, "end once the job is accepted; its id is the result"},
    {"dry-run", CONFIG_BOOL, "false", NULL, "say what would come of it, start nothing"},
    {"curl", CONFIG_BOOL, "false", NULL, "print the request as a curl command, send nothing"},
    {"flow", CONFIG_TEXT, NULL, "FLOW", "only jobs of this flow"},
    {"state", CONFIG_TEXT, NULL, "queued|running|succeeded|partial|failed|cancelled|expired",
     "only jobs in this state"},
    {"since", CONFIG_TEXT, NULL, "TIME", "only jobs since then: 2h, or 2026-11-28T09:00:00Z"},
    {"limit", CONFIG_NUMBER, "20", "N", "at most so many, 1 to 10000"},
    {"timeout", CONFIG_DURATION, "0s", "TIME", "give up waiting after it; 0s: never"},
    {"json", CONFIG_BOOL, "false", NULL, "one JSON document; JSON Lines for lists and events"},
    {"color", CONFIG_TEXT, "auto", "auto|always|never", "auto looks at NO_COLOR"},
    /* the worker's: both programs may share one file */
    {"shards", CONFIG_NUMBER, NULL, "N", NULL},
    {"only", CONFIG_TEXT, NULL, "FLOW,...", NULL},
    {"lease", CONFIG_DURATION, NULL, "TIME", NULL},
    {"drain", CONFIG_DURATION, NULL, "TIME", NULL},
};
const size_t options_n = sizeof options_table / sizeof options_table[0];

static int refuse(char why[OPTIONS_WHY], const char *name, const char *value, const char *what)
{
    char env[64] = "OFFPATH_";
    size_t n = strlen(env);
    for (const char *p = name; *p && n + 1 < sizeof env; p++)
        env[n++] = *p == '-' ? '_' : (char)(*p >= 'a' && *p <= 'z' ? *p - 'a' + 'A' : *p);
    env[n] = 0;
    if (value)
        snprintf(why, OPTIONS_WHY, "--%s (%s) is \"%.80s\"; %s", name, env, value, what);
    else
        snprintf(why, OPTIONS_WHY, "--%s (%s) is not set; %s", name, env, what);
    return ERR_INVALID;
}

/* As it was written, wherever. */
static int refuse_value(const struct config *c, const char *name, const char *what,
                        char why[OPTIONS_WHY])
{
    return refuse(why, name, config_text(c, name), what);
}

static int read_level(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    const char *form = config_text(c, "log"), *level = config_text(c, "log-level");
    o->log_json = strcmp(form, "json") == 0;
    if (!o->log_json && strcmp(form, "text") != 0)
        return refuse(why, "log", form, "write text or json");
    for (int i = 0; i < 4; i++)
        if (strcmp(level, names[i]) == 0) {
            o->log_level = (enum log_level)i;
            return 0;
        }
    return refuse(why, "log-level", level, "write debug, info, warn or error");
}

static int need(const struct config *c, const char *name, const char *what, const char **out,
                char why[OPTIONS_WHY])
{
    *out = config_text(c, name);
    return *out && **out ? 0 : refuse(why, name, NULL, what);
}

static int read_needed(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    int err = need(c, "flows", "name the folder of your flow files", &o->flows, why);
    if (!err)
        err = need(c, "kafka", "name the brokers, host:port", &o->kafka, why);
    if (!err)
        err = need(c, "redis", "write redis://host:port", &o->redis, why);
    if (!err)
        err = need(c, "mysql", "write mysql://user:pass@host:port/db", &o->mysql, why);
    if (!err)
        err =
            need(c, "id-secret-file",
                 "make one with `head -c 32 /dev/urandom > FILE`, keep it, and give every gateway "
                 "the same",
                 &o->id_secret_file, why);
    return err;
}

enum { TIME_MIN_MS = 100, TIME_MAX_MS = 3600000 };

static int milliseconds(const struct config *c, const char *name)
{
    int64_t ms = config_ms(c, name);
    return ms > TIME_MAX_MS ? TIME_MAX_MS : (int)ms;
}

/* Said here, before any server is asked. */
static int check_address(const char *name, const char *text, char why[OPTIONS_WHY])
{
    const char *colon = strrchr(text, ':');
    size_t digits = colon ? strspn(colon + 1, "0123456789") : 0;
    if (!digits || colon[1 + digits] || digits > 5 || strtol(colon + 1, NULL, 10) > 65535)
        return refuse(why, name, text, "write HOST:PORT");
    return 0;
}

/* No time at all would cut off every request. */
static int check_times(const struct config *c, const struct options *o, char why[OPTIONS_WHY])
{
    static const char hint[] = "write at least 100ms";
    if (o->header_ms < TIME_MIN_MS)
        return refuse_value(c, "header-deadline", hint, why);
    if (o->body_ms < TIME_MIN_MS)
        return refuse_value(c, "body-deadline", hint, why);
    if (o->publish_ms < TIME_MIN_MS)
        return refuse_value(c, "publish-deadline", hint, why);
    return o->keep_alive_ms < TIME_MIN_MS ? refuse_value(c, "keep-alive", hint, why) : 0;
}

/* It stands in answers as it is. */
static int check_url(const char *url, char why[OPTIONS_WHY])
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  "-._~:/[]@%";
    bool scheme = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (url[0] && (!scheme || url[strspn(url, allowed)]))
        return refuse(why, "public-url", url, "write https://host, without a query");
    if (url[0] && url[strlen(url) - 1] == '/')
        return refuse(why, "public-url", url, "write it without the / at its end");
    return 0;
}

static int read_counts(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    int64_t threads = config_number(c, "threads"), header = config_number(c, "header-max");
    int64_t each = config_number(c, "connections-per-address");
    int64_t gateways = config_number(c, "gateways"), streams = config_number(c, "streams");
    int64_t streams_each = config_number(c, "streams-per-client");
    if (o->overload_floor < 0)
        return refuse_value(c, "overload-floor", "write 0 or more", why);
    if (threads < 16 || threads > 2048)
        return refuse_value(c, "threads", "write a number from 16 to 2048", why);
    if (each < 0 || each > threads)
        return refuse_value(c, "connections-per-address",
                            "write a number up to that of the threads; 0: half of them", why);
    if (gateways < 1 || gateways > 10000)
        return refuse_value(c, "gateways", "write a number from 1 to 10000", why);
    if (header < 2048 || header > 1 << 20)
        return refuse_value(c, "header-max", "write a number from 2048 to 1048576", why);
    if (streams < 0 || streams > 100000)
        return refuse_value(c, "streams", "write a number from 0 to 100000", why);
    if (streams_each < 0 || streams_each > 100000)
        return refuse_value(c, "streams-per-client",
                            "write a number from 1 to 100000; 0: a tenth of --streams", why);
    o->streams = (unsigned)streams;
    o->streams_each = (unsigned)streams_each;
    o->gateways = (unsigned)gateways;
    o->threads = (unsigned)threads;
    o->per_address = (unsigned)(each ? each : threads / 2);
    o->header_max = (unsigned)header;
    return 0;
}

static int read_proxies(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    const char *text = config_text(c, "trusted-proxies");
    char what[PROXIES_WHY];
    return proxies_read(text, &o->proxies, what) ? refuse(why, "trusted-proxies", text, what) : 0;
}

static int read_cors(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    const char *text = config_text(c, "cors-origins");
    char what[CORS_WHY];
    return cors_read(text, &o->cors, what) ? refuse(why, "cors-origins", text, what) : 0;
}

/* Whoever reaches the port may be these users: so nobody else may reach it, and no token of others
 * counts here. */
static int read_demo(const struct config *c, struct options *o, char why[OPTIONS_WHY])
{
    const char *users = config_text(c, "demo-users"), *what = NULL;
    if (!users || !users[0])
        return 0;
    if (!demo_is_list(users))
        what = "write names of a-z, 0-9 and -, like alice=1,bob=2";
    else if (strncmp(o->listen, "127.0.0.1:", 10) != 0 && strncmp(o->listen, "[::1]:", 6) != 0)
        what = "they sign in without a token, so --listen must be at 127.0.0.1";
    else if (o->public_url[0] || o->proxies.n)
        what = "they sign in without a token: unset --public-url and --trusted-proxies";
    else if (!o->jwt_hs256_file)
        what = "their tokens are signed here: set --jwt-hs256-file, not --jwks";
    if (what)
        return refuse(why, "demo-users", users, what);
    o->demo_users = users;
    return 0;
}

int options_read(const struct config *c, struct options *out, char why[OPTIONS_WHY])
{
    struct options o = {.upstreams = config_text(c, "upstreams"),
                        .secrets = config_text(c, "secrets"),
                        .kafka_properties = config_text(c, "kafka-properties"),
                        .listen = config_text(c, "listen"),
                        .admin = config_text(c, "admin"),
                        .ports_file = config_text(c, "ports-file"),
                        .public_url = config_text(c, "public-url"),
                        .jwt_hs256_file = config_text(c, "jwt-hs256-file"),
                        .jwks = config_text(c, "jwks"),
                        .jwt_issuer = config_text(c, "jwt-issuer"),
                        .jwt_audience = config_text(c, "jwt-audience"),
                        .jwt_algorithms = config_text(c, "jwt-algorithms"),
                        .jwt_issuers = config_text(c, "jwt-issuers"),
                        .header_ms = milliseconds(c, "header-deadline"),
                        .body_ms = milliseconds(c, "body-deadline"),
                        .keep_alive_ms = milliseconds(c, "keep-alive"),
                        .drain_wait_ms = milliseconds(c, "drain-wait"),
                        .publish_ms = milliseconds(c, "publish-deadline"),
                        .overload_floor = config_number(c, "overload-floor")};
    int err = read_level(c, &o, why);
    if (!err)
        err = read_needed(c, &o, why);
    if (!err)
        err = check_address("listen", o.listen, why);
    if (!err)
        err = check_address("admin", o.admin, why);
    if (!err)
        err = check_times(c, &o, why);
    if (!err)
        err = check_url(o.public_url, why);
    if (!err)
        err = read_counts(c, &o, why);
    if (!err)
        err = read_proxies(c, &o, why);
    if (!err)
        err = read_cors(c, &o, why);
    if (!err)
        err = read_demo(c, &o, why);
    if (!err)
        *out = o;
    return err;
}
