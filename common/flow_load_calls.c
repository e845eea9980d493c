#include "common/flow_loader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADERS_MAX = 32, STATUSES_MAX = 32, HOUR_MS = 3600 * 1000 };

/* What a call's expressions see: before it is begun, beside `for_each`, and of its answer. */
static unsigned in_call(const struct flow_file *f)
{
    return yaml_get(f->call, "after") ? VARS_RUN | VAR_BIT(VAR_CALLS) : VARS_RUN;
}

static unsigned in_request(const struct flow_file *f)
{
    return in_call(f) | (yaml_get(f->call, "for_each") ? VARS_ITEM : 0);
}

static unsigned in_answer(const struct flow_file *f)
{
    return in_request(f) | VAR_BIT(VAR_STATUS) | VAR_BIT(VAR_HEADERS) | VAR_BIT(VAR_BODY);
}

static const struct upstream *read_upstream(struct flow_file *f, const struct yaml_node *call)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *n = yaml_get(call, "upstream");
    const char *name = value_text(l, n);
    const char *names[UPSTREAMS_MAX];
    if (!n)
        flow_key_missing(l, call, "upstream", "write `upstream: NAME`, an entry of upstreams.yaml");
    if (!name || l->upstreams_unread)
        return NULL;
    for (size_t i = 0; i < l->set->upstreams_n; i++) {
        names[i] = l->set->upstreams[i].name;
        if (names[i] && strcmp(names[i], name) == 0)
            return &l->set->upstreams[i];
    }
    const char *near = l->no_memory ? NULL : nearest_name(name, names, l->set->upstreams_n);
    if (near)
        findings_add(l->findings, yaml_place(n), FINDING_UPSTREAM,
                     "no upstream is named `%.80s`\ndid you mean `%s`?", name, near);
    else
        findings_add(l->findings, yaml_place(n), FINDING_UPSTREAM,
                     "no upstream is named `%.80s`\ndeclare it in upstreams.yaml", name);
    return NULL;
}

static char *read_method(struct flow_file *f, const struct yaml_node *request)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"};
    const struct yaml_node *n = yaml_get(request, "method");
    return value_copy(f->loader, methods[value_choice(f->loader, n, methods, 6, 0)]);
}

/* The whole character, as a URL writes it. */
static void path_misplaced(struct flow_file *f, const struct yaml_node *n, size_t at)
{
    char code[13] = "";
    size_t len = 0, i = at;
    do
        len += (size_t)snprintf(code + len, sizeof code - len, "%%%02X", (unsigned char)n->text[i]);
    while (((unsigned char)n->text[++i] & 0xc0) == 0x80 && len + 3 < sizeof code);
    findings_add(f->loader->findings, yaml_place_in(n, at), FINDING_VALUE,
                 "`path` holds `%.*s`, which no URL takes as it is\nwrite it percent-encoded: `%s`",
                 (int)(i - at), n->text + at, code);
}

static struct template *read_path(struct flow_file *f, const struct yaml_node *request)
{
    const struct yaml_node *n = yaml_get(request, "path");
    const char *text = value_text(f->loader, n);
    if (!n)
        flow_key_missing(f->loader, request, "path", "write `path: /...`");
    if (!n || !text)
        return NULL;
    if (text[0] != '/') {
        findings_add(
            f->loader->findings, yaml_place(n), FINDING_VALUE,
            "`path: %.60s` does not start with `/`\nwrite what follows the upstream's url, "
            "like `/v1/items`",
            text);
        return NULL;
    }
    size_t at = template_misplaced(text, TEMPLATE_PATH);
    if (at != SIZE_MAX)
        path_misplaced(f, n, at);
    return flow_template_read(f, n, TEMPLATE_PATH, in_request(f));
}

static struct template *read_header(struct flow_file *f, const struct yaml_node *m)
{
    if (!flow_header_name(f->loader, m, true))
        return NULL;
    size_t at = template_misplaced(m->text, TEMPLATE_HEADER);
    if (at != SIZE_MAX)
        findings_add(f->loader->findings, yaml_place_in(m, at), FINDING_VALUE,
                     "the header `%s` holds a control character\nremove line breaks and tabs",
                     m->key);
    return flow_template_read(f, m, TEMPLATE_HEADER, in_request(f));
}

static void read_headers(struct flow_file *f, const struct yaml_node *map, struct flow_call *call)
{
    if (!value_is(f->loader, map, YAML_MAP))
        return;
    if (map->n > HEADERS_MAX) {
        findings_add(f->loader->findings, yaml_place(map), FINDING_LIMIT,
                     "more than 32 headers\nremove some");
        return;
    }
    call->headers = value_array(f->loader, map->n, sizeof *call->headers);
    for (const struct yaml_node *m = map->first; m && call->headers; m = m->next) {
        if (!m->text) {
            value_text(f->loader, m);
            continue;
        }
        struct template *value = read_header(f, m);
        if (value)
            call->headers[call->headers_n++] =
                (struct header_template){.name = value_copy(f->loader, m->key), .value = value};
    }
}

static void read_request(struct flow_file *f, const struct yaml_node *map, struct flow_call *call)
{
    const struct yaml_node *request = yaml_get(map, "request");
    if (!request)
        flow_key_missing(f->loader, map, "request", "write `request: {path: /...}`");
    if (!flow_keys_check(f->loader, request, MAP_CALL_REQUEST)) {
        call->method = value_copy(f->loader, "GET");
        return;
    }
    call->method = read_method(f, request);
    call->path = read_path(f, request);
    read_headers(f, yaml_get(request, "headers"), call);
    call->body = flow_template_read(f, yaml_get(request, "body"), TEMPLATE_BODY, in_request(f));
}

/* ---- retry */

static const struct {
    const char *name;
    uint32_t codes;
} retry_names[] = {
    {"connect", 1u << CALL_CONNECT | 1u << CALL_DNS | 1u << CALL_TLS},
    {"timeout", 1u << CALL_TIMEOUT},
    {"bad-body", 1u << CALL_BAD_BODY},
    {"reset", 1u << CALL_RESET},
    {"5xx", 1u << CALL_HTTP_5XX},
};

static void retry_status(struct retry_policy *r, unsigned status)
{
    r->statuses[r->statuses_n++] = (uint16_t)status;
    if (status == 429)
        r->codes |= 1u << CALL_HTTP_429;
}

static void read_retry_on(struct flow_loader *l, const struct yaml_node *n, struct retry_policy *r)
{
    for (size_t i = 0; n->text && i < sizeof retry_names / sizeof *retry_names; i++)
        if (strcmp(retry_names[i].name, n->text) == 0) {
            r->codes |= retry_names[i].codes;
            return;
        }
    double status = 0;
    bool number = value_is_number(n, &status);
    if (number && status >= 300 && status <= 599 && status == (unsigned)status) {
        retry_status(r, (unsigned)status);
        return;
    }
    findings_add(l->findings, yaml_place(n), FINDING_VALUE,
                 "`%.40s` is nothing a retry can be on\n%s", n->text ? n->text : "this",
                 value_is_quoted_number(n)
                     ? "write a status without quotes"
                     : "write connect, timeout, bad-body, reset, 5xx or a status from 300 to 599");
}

static void read_retry_list(struct flow_loader *l, const struct yaml_node *list,
                            struct retry_policy *r)
{
    size_t n = list ? list->n : 2;
    if (n > STATUSES_MAX) {
        findings_add(l->findings, yaml_place(list), FINDING_LIMIT,
                     "more than 32 entries\nremove some");
        return;
    }
    r->statuses = value_array(l, n, sizeof *r->statuses);
    if (!r->statuses)
        return;
    if (!list) { /* the default repeats only work that was not begun */
        r->codes = retry_names[0].codes;
        retry_status(r, 429);
        retry_status(r, 503);
        return;
    }
    for (const struct yaml_node *c = list->first; c; c = c->next)
        read_retry_on(l, c, r);
}

static void read_retry(struct flow_loader *l, const struct yaml_node *map, struct retry_policy *r)
{
    *r = (struct retry_policy){.attempts = 3, .backoff_ms = 200, .max_ms = 5000};
    const struct yaml_node *on = NULL;
    if (flow_keys_check(l, map, MAP_RETRY)) {
        const struct value_range wait = {1, HOUR_MS, 0};
        struct value_range backoff = wait, max = wait;
        backoff.fallback = r->backoff_ms;
        max.fallback = r->max_ms;
        r->attempts =
            (unsigned)value_number(l, yaml_get(map, "attempts"), (struct value_range){1, 100, 3});
        r->backoff_ms = value_duration(l, yaml_get(map, "backoff"), backoff);
        r->max_ms = value_duration(l, yaml_get(map, "max"), max);
        on = yaml_get(map, "on");
        if (on && !value_is(l, on, YAML_LIST))
            on = NULL;
    }
    read_retry_list(l, on, r);
}

/* ---- when, for_each */

static void check_alone(struct flow_file *f, const char *key)
{
    const struct yaml_node *n = yaml_get(f->call, key);
    if (n && !yaml_get(f->call, "for_each"))
        findings_add(f->loader->findings, yaml_place_key(n), FINDING_VALUE,
                     "`%s` without `for_each`: this is one call\nleave it out", key);
}

static void read_each(struct flow_file *f, struct flow_call *call)
{
    const struct yaml_node *n = yaml_get(f->call, "for_each");
    flow_each_read(f, f->call, in_call(f), &call->each);
    if (call->each.list && n->n > call->max_items)
        findings_add(f->loader->findings, yaml_place(n), FINDING_LIMIT,
                     "%zu elements, and `max_items` is %u\nraise `max_items` (at most %d)", n->n,
                     call->max_items, FLOW_ITEMS_MAX);
}

static void read_order(struct flow_file *f, struct flow_call *call)
{
    struct flow_loader *l = f->loader;
    const struct yaml_node *m = f->call;
    const struct value_range items = {1, FLOW_ITEMS_MAX, 100};
    const struct value_range parallel = {1, 100000,
                                         call->upstream ? call->upstream->concurrency : 1};
    flow_load_after(f, yaml_get(m, "after"), call);
    call->when = flow_when_read(f, m, in_call(f));
    call->max_items = (unsigned)value_number(l, yaml_get(m, "max_items"), items);
    call->parallel = (unsigned)value_number(l, yaml_get(m, "parallel"), parallel);
    check_alone(f, "max_items");
    check_alone(f, "parallel");
    read_each(f, call);
}

/* ---- repeat, ledger */

static void read_record(struct flow_file *f, struct flow_call *call)
{
    static const char *const repeats[] = {"allowed", "never"};
    struct flow_loader *l = f->loader;
    const struct yaml_node *ledger = yaml_get(f->call, "ledger");
    call->never_again = value_choice(l, yaml_get(f->call, "repeat"), repeats, 2, 0) == 1;
    call->unrecorded = !value_bool(l, ledger, true);
    if (call->unrecorded && call->method && strcmp(call->method, "GET") != 0)
        findings_add(l->findings, yaml_place(ledger), FINDING_VALUE,
                     "`ledger: false` is for GET, this is a %s\nleave `ledger` out", call->method);
    else if (call->unrecorded && call->never_again)
        findings_add(l->findings, yaml_place(ledger), FINDING_VALUE,
                     "`repeat: never` is kept by the ledger\nleave `ledger: false` out");
}

/* ---- calls */

static void read_call(struct flow_file *f, struct flow_call *call)
{
    static const char *const responses[] = {"json", "text", "none"};
    struct flow_loader *l = f->loader;
    const struct yaml_node *m = f->call;
    *call = (struct flow_call){.name = value_copy(l, m->key)};
    if (!flow_keys_check(l, m, MAP_CALL))
        return;
    call->upstream = read_upstream(f, m);
    read_order(f, call);
    read_request(f, m, call);
    call->timeout_ms = value_duration(l, yaml_get(m, "timeout"),
                                      (struct value_range){1, 24 * (int64_t)HOUR_MS, 30000});
    read_retry(l, yaml_get(m, "retry"), &call->retry);
    call->response =
        (enum response_kind)value_choice(l, yaml_get(m, "response"), responses, 3, RESPONSE_JSON);
    call->response_max = (size_t)value_size(l, yaml_get(m, "max_response"),
                                            (struct value_range){1, 64 << 20, 1 << 20});
    call->ok = flow_expr_read(f, yaml_get(m, "ok"), "ok", in_answer(f));
    call->result = flow_expr_read(f, yaml_get(m, "result"), "result", in_answer(f));
    call->optional = value_bool(l, yaml_get(m, "optional"), false);
    read_record(f, call);
}

void flow_load_calls(struct flow_file *f)
{
    if (!value_is(f->loader, f->calls, YAML_MAP))
        return;
    if (f->calls->n > FLOW_CALLS_MAX) {
        findings_add(f->loader->findings, yaml_place_key(f->calls), FINDING_LIMIT,
                     "more than %d calls\nsplit the flow", FLOW_CALLS_MAX);
        return;
    }
    f->flow->calls = value_array(f->loader, f->calls->n, sizeof *f->flow->calls);
    for (const struct yaml_node *m = f->calls->first; m && f->flow->calls; m = m->next) {
        value_name(f->loader, m, false);
        f->call = m;
        read_call(f, &f->flow->calls[f->flow->calls_n++]);
    }
    f->call = NULL;
    flow_lint_after(f);
}
