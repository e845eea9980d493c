#include "common/flow_loader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { HEADERS_MAX = 32, TLS_PATH_MAX = 4095, DAY_MS = 24 * 3600 * 1000 };

static void finding(struct flow_loader *l, const struct yaml_node *n, enum finding_code code,
                    const char *text)
{
    findings_add(l->findings, yaml_place(n), code, "%s", text);
}

/* What follows the scheme: host, [v6] or host, then :port if any, up to the first `/`. */
static bool host_is_good(const char *host)
{
    size_t len = strcspn(host, "/");
    const char *port = host + strcspn(host, ":/");
    if (host[0] == '[') {
        const char *end = memchr(host, ']', len);
        port = end ? end + 1 : host;
    }
    if (port == host || *port != ':')
        return port == host + len && len > 0;
    char *end;
    long number = strtol(port + 1, &end, 10);
    return end == host + len && end > port + 1 && number > 0 && number < 65536;
}

/* http(s)://host[:port][/path]: no user, query, fragment, space or control character. */
static bool url_is_good(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    for (const char *p = url; *p; p++)
        if ((unsigned char)*p <= 0x20 || (unsigned char)*p >= 0x7f || strchr("?#@\\\"<>", *p))
            return false;
    return scheme > 0 && host_is_good(url + scheme);
}

static char *read_url(struct flow_loader *l, const struct yaml_node *map)
{
    const struct yaml_node *n = yaml_get(map, "url");
    const char *text = value_text(l, n);
    if (!n)
        flow_key_missing(l, map, "url", "write `url: https://host/path`");
    if (!text)
        return NULL;
    if (!url_is_good(text)) {
        finding(l, n, FINDING_VALUE,
                "`url` is no http(s) address without user, query and fragment\n"
                "write it like `https://host:8443/path`");
        return NULL;
    }
    char *url = value_copy(l, text);
    for (size_t len = url ? strlen(url) : 0; len && url[len - 1] == '/';)
        url[--len] = 0;
    return url;
}

/* HTTP sees no difference in case, so of two one would be left out. NULL: this is the first. */
static const struct yaml_node *header_before(const struct yaml_node *m)
{
    const struct yaml_node *other = m->parent ? m->parent->first : NULL;
    while (other && other != m && strcasecmp(other->key, m->key) != 0)
        other = other->next;
    return other != m ? other : NULL;
}

static bool header_is_ours(const char *name, bool flow_file)
{
    static const char *const ours[] = {"Host", "Content-Length", "Transfer-Encoding", "Connection",
                                       "Idempotency-Key"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (strcasecmp(name, ours[i]) == 0)
            return true;
    return flow_file && strcasecmp(name, "Authorization") == 0;
}

bool flow_header_name(struct flow_loader *l, const struct yaml_node *m, bool flow_file)
{
    bool bad = m->key[0] == 0 || strlen(m->key) > 100;
    for (const char *p = m->key; *p; p++)
        if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~",
                    *p))
            bad = true;
    if (bad) {
        findings_add(l->findings, yaml_place_key(m), FINDING_NAME,
                     "`%.60s` is no header name\nuse letters, digits and `-`", m->key);
        return false;
    }
    const struct yaml_node *before = header_before(m);
    if (before)
        findings_add(l->findings, yaml_place_key(m), FINDING_DUPLICATE,
                     "the header `%s` stands twice (first in line %u)\nremove one", m->key,
                     before->key_line);
    bad = header_is_ours(m->key, flow_file);
    if (bad)
        findings_add(l->findings, yaml_place_key(m), FINDING_VALUE,
                     "the header `%s` cannot be set here\n%s", m->key,
                     strcasecmp(m->key, "Authorization") == 0
                         ? "put it into the upstream's `headers`, out of sight of expressions"
                         : "remove it; it is set for each call");
    return !bad && !before;
}

static bool looks_secret(const char *name)
{
    static const char *const words[] = {"authorization", "key",      "token",
                                        "secret",        "password", "cookie"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

char *flow_source(struct flow_loader *l, const struct yaml_node *n)
{
    return n && n->source && strstr(n->source, "${file:") ? value_copy(l, n->source) : NULL;
}

void flow_lint_secret(struct flow_loader *l, const struct yaml_node *n)
{
    if (!strstr(n->text, "${") && !n->filled)
        finding(l, n, FINDING_W_SECRET,
                "this looks like a secret in plain text\nput it into a file and write "
                "`${file:name}`");
}

bool flow_header_is_good(const char *value)
{
    for (const char *p = value; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            return false;
    return true;
}

static void read_header(struct flow_loader *l, const struct yaml_node *m, struct upstream *u)
{
    const char *value = value_text(l, m);
    if (!flow_header_name(l, m, false) || !value)
        return;
    if (!flow_header_is_good(value)) {
        finding(l, m, FINDING_VALUE,
                "a header holds a control character\nremove line breaks and tabs");
        return;
    }
    if (looks_secret(m->key))
        flow_lint_secret(l, m);
    struct credentials *c = u->credentials;
    c->headers[c->headers_n++] =
        (struct header){.name = value_copy(l, m->key), .value = value_copy(l, value)};
    u->sources->headers[u->sources->headers_n++].value = flow_source(l, m);
}

static void read_headers(struct flow_loader *l, const struct yaml_node *map, struct upstream *u)
{
    if (!value_is(l, map, YAML_MAP))
        return;
    if (map->n > HEADERS_MAX) {
        finding(l, map, FINDING_LIMIT, "more than 32 headers\nremove some");
        return;
    }
    struct credentials *c = u->credentials, *sources = u->sources;
    c->headers = value_array(l, map->n, sizeof *c->headers);
    sources->headers = value_array(l, map->n, sizeof *sources->headers);
    for (const struct yaml_node *m = map->first; m && c->headers && sources->headers; m = m->next)
        read_header(l, m, u);
}

/* `100/s`, `30/m`, `5/h`, as calls per second; 0 = none. */
static double read_rate(struct flow_loader *l, const struct yaml_node *n)
{
    static const char todo[] = "write it like `100/s`, `30/m` or `5/h`, or `none`";
    const char *text = value_text_like(l, n, todo);
    char *end = NULL;
    if (!text || strcmp(text, "none") == 0)
        return 0;
    double count = text[strspn(text, "0123456789.")] == '/' ? strtod(text, &end) : 0;
    double per = !end                     ? 0
                 : strcmp(end, "/s") == 0 ? 1
                 : strcmp(end, "/m") == 0 ? 60
                 : strcmp(end, "/h") == 0 ? 3600
                                          : 0;
    if (per > 0 && count > 0 && isfinite(count) && count <= 1e6)
        return count / per;
    findings_add(l->findings, yaml_place(n), FINDING_VALUE, "`rate: %.40s` is no rate\n%s", text,
                 todo);
    return 0;
}

static unsigned read_percent(struct flow_loader *l, const struct yaml_node *n, unsigned fallback)
{
    static const char todo[] = "write it like `50%`, from 1% to 100%";
    const char *text = value_text_like(l, n, todo);
    if (!text)
        return fallback;
    size_t digits = strspn(text, "0123456789");
    long percent = digits > 0 && digits <= 3 ? strtol(text, NULL, 10) : 0;
    if (strcmp(text + digits, "%") == 0 && text[0] != '0' && percent >= 1 && percent <= 100)
        return (unsigned)percent;
    findings_add(l->findings, yaml_place(n), FINDING_VALUE, "`failures: %.40s` is no share\n%s",
                 text, todo);
    return fallback;
}

static struct breaker_policy read_breaker(struct flow_loader *l, const struct yaml_node *n)
{
    struct breaker_policy b = {.on = true, .failures_percent = 50, .of = 20, .open_ms = 10000};
    if (n && n->text && strcmp(n->text, "off") == 0) {
        b.on = false;
        return b;
    }
    if (n && n->type != YAML_MAP) {
        finding(l, n, FINDING_KIND,
                "`breaker` must be a map or `off`\nwrite `{failures: 50%, of: 20, open: 10s}`");
        return b;
    }
    if (!flow_keys_check(l, n, MAP_BREAKER))
        return b;
    b.failures_percent = read_percent(l, yaml_get(n, "failures"), b.failures_percent);
    b.of =
        (unsigned)value_number(l, yaml_get(n, "of"), (struct value_range){1, BREAKER_OF_MAX, b.of});
    b.open_ms =
        value_duration(l, yaml_get(n, "open"), (struct value_range){100, DAY_MS, b.open_ms});
    return b;
}

static void read_tls(struct flow_loader *l, const struct yaml_node *map, struct upstream *u)
{
    bool there = flow_load_tls(l, map, TLS_PATH_MAX, &u->tls);
    if (there && u->url && strncmp(u->url, "https://", 8) != 0)
        findings_add(l->findings, yaml_place_key(map), FINDING_VALUE,
                     "`tls` is for an upstream with https\nwrite `url: https://...`, or remove it");
}

static void read_upstream(struct flow_loader *l, const struct yaml_node *m)
{
    struct upstream *u = &l->set->upstreams[l->set->upstreams_n];
    *u = (struct upstream){.name = value_copy(l, m->key), .index = (unsigned)l->set->upstreams_n};
    l->set->upstreams_n++;
    if (!value_name(l, m, false) || !flow_keys_check(l, m, MAP_UPSTREAM))
        return;
    u->url = read_url(l, m);
    u->credentials = value_array(l, 1, sizeof(struct credentials));
    u->sources = value_array(l, 1, sizeof *u->sources);
    if (!u->credentials || !u->sources)
        return;
    read_headers(l, yaml_get(m, "headers"), u);
    u->concurrency =
        (unsigned)value_number(l, yaml_get(m, "concurrency"), (struct value_range){1, 100000, 64});
    u->queue =
        (unsigned)value_number(l, yaml_get(m, "queue"), (struct value_range){1, 1000000, 10000});
    u->rate = read_rate(l, yaml_get(m, "rate"));
    u->breaker = read_breaker(l, yaml_get(m, "breaker"));
    flow_load_sign(l, yaml_get(m, "sign"), u);
    read_tls(l, yaml_get(m, "tls"), u);
    u->allow_private = value_bool(l, yaml_get(m, "allow_private"), false);
}

static void read_all(struct flow_loader *l, struct yaml *y)
{
    size_t len;
    const void *bytes = yaml_bytes(y, &len);
    flow_digest_add(l, bytes, len);
    flow_env_fill(l, y, true);
    if (!flow_keys_check(l, yaml_root(y), MAP_UPSTREAMS))
        return;
    flow_load_databases(l, yaml_get(yaml_root(y), "databases"));
    const struct yaml_node *map = yaml_get(yaml_root(y), "upstreams");
    l->upstreams_unread = map && (map->type != YAML_MAP || map->n > UPSTREAMS_MAX);
    if (!map || !value_is(l, map, YAML_MAP))
        return;
    if (l->upstreams_unread) {
        finding(l, map, FINDING_LIMIT, "more than 500 upstreams\nremove some");
        return;
    }
    l->set->upstreams = value_array(l, map->n, sizeof *l->set->upstreams);
    for (const struct yaml_node *m = map->first; m && l->set->upstreams; m = m->next)
        read_upstream(l, m);
}

void flow_load_upstreams(struct flow_loader *l, const char *path)
{
    struct yaml *y = NULL;
    int err = yaml_read(path, l->findings, &y);
    l->upstreams_unread = l->databases_unread = true;
    if (err == ERR_NOMEM)
        l->no_memory = true;
    if (err == 0)
        read_all(l, y);
    yaml_close(y);
}
