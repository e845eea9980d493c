#include "common/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"
#include "common/digest.h"
#include "common/flow_load.h"
#include "common/json.h"

struct flow_set *flow_set_get(struct flow_set *s)
{
    s->refs++;
    return s;
}

bool flow_set_same(const struct flow_set *a, const struct flow_set *b)
{
    return memcmp(a->digest, b->digest, sizeof a->digest) == 0;
}

static void call_fini(struct flow_call *c)
{
    free(c->name);
    expr_free(c->when);
    free(c->after);
    expr_free(c->each.expr);
    json_free(c->each.list);
    free(c->method);
    template_free(c->path);
    for (size_t i = 0; i < c->headers_n; i++) {
        free(c->headers[i].name);
        template_free(c->headers[i].value);
    }
    free(c->headers);
    template_free(c->body);
    free(c->retry.statuses);
    expr_free(c->ok);
    expr_free(c->result);
}

static void sql_fini(struct flow *f)
{
    for (size_t i = 0; i < f->loads_n; i++) {
        free(f->loads[i].name);
        expr_free(f->loads[i].when);
        sql_template_free(f->loads[i].sql);
    }
    for (size_t i = 0; i < f->checks_n; i++) {
        expr_free(f->checks[i].when);
        expr_free(f->checks[i].that);
        template_free(f->checks[i].message);
    }
    for (size_t i = 0; i < f->saves_n; i++) {
        expr_free(f->saves[i].when);
        expr_free(f->saves[i].each.expr);
        json_free(f->saves[i].each.list);
        sql_template_free(f->saves[i].sql);
    }
    free(f->loads);
    free(f->checks);
    free(f->saves);
}

static void emit_fini(struct flow_emit *e)
{
    expr_free(e->when);
    expr_free(e->each.expr);
    json_free(e->each.list);
    free(e->topic);
    expr_free(e->key);
    template_free(e->value);
}

static void flow_fini(struct flow *f)
{
    free(f->title);
    free(f->token_scope);
    free(f->topic.name);
    free(f->topic.group);
    expr_free(f->topic.id);
    expr_free(f->topic.user);
    for (size_t i = 0; i < f->set_n; i++) {
        free(f->set[i].name);
        expr_free(f->set[i].expr);
    }
    free(f->set);
    for (size_t i = 0; i < f->hash_n; i++)
        free(f->hash[i].name);
    free(f->hash);
    free(f->limits);
    schema_free(f->schema);
    json_free(f->schema_source);
    expr_free(f->key);
    expr_free(f->cache.key);
    expr_free(f->pool.key);
    free(f->pool.topic);
    free(f->pool.group);
    for (size_t i = 0; i < f->pool.fields_n; i++)
        free(f->pool.fields[i]);
    free(f->pool.fields);
    schema_free(f->pool.schema);
    for (size_t i = 0; i < f->calls_n; i++)
        call_fini(&f->calls[i]);
    free(f->calls);
    sql_fini(f);
    expr_free(f->result);
    for (size_t i = 0; i < f->emits_n; i++)
        emit_fini(&f->emits[i]);
    free(f->emits);
    template_free(f->notify.done);
    template_free(f->notify.failed);
}

void credentials_free(struct credentials *c)
{
    for (struct credentials *older; c; c = older) {
        older = c->older;
        for (size_t i = 0; i < c->headers_n; i++) {
            free(c->headers[i].name);
            free(c->headers[i].value);
        }
        free(c->headers);
        free(c->sign.service);
        free(c->sign.region);
        free(c->sign.access_key);
        free(c->sign.secret_key);
        free(c->sign.session_token);
        free(c);
    }
}

const struct credentials *upstream_credentials(const struct upstream *u)
{
    static const struct credentials none;
    const struct credentials *c = u->credentials;
    return c ? c : &none;
}

static void upstream_fini(struct upstream *u)
{
    free(u->name);
    free(u->url);
    credentials_free(u->credentials);
    credentials_free(u->sources);
    free(u->tls.ca);
    free(u->tls.cert);
    free(u->tls.key);
}

const char *database_password(const struct database *d)
{
    const struct renewed_password *p = d->renewed;
    return p ? p->text : d->password;
}

static void database_fini(struct database *d)
{
    char *texts[] = {d->name, d->host, d->schema, d->user, d->password, d->password_source,
                     d->ca,   d->cert, d->key};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        free(texts[i]);
    for (struct renewed_password *p = d->renewed, *older; p; p = older) {
        older = p->older;
        free(p);
    }
}

void flow_set_put(struct flow_set *s)
{
    if (!s || --s->refs > 0)
        return;
    for (size_t i = 0; i < s->flows_n; i++)
        flow_fini(&s->flows[i]);
    for (size_t i = 0; i < s->upstreams_n; i++)
        upstream_fini(&s->upstreams[i]);
    for (size_t i = 0; i < s->databases_n; i++)
        database_fini(&s->databases[i]);
    free(s->flows);
    free(s->upstreams);
    free(s->databases);
    free(s);
}

const struct flow *flow_by_name(const struct flow_set *s, const char *name)
{
    for (size_t i = 0; i < s->flows_n; i++)
        if (strcmp(s->flows[i].name, name) == 0)
            return &s->flows[i];
    return NULL;
}

const char *flow_nearest(const struct flow_set *s, const char *name)
{
    const char *names[FLOWS_MAX];
    size_t n = s->flows_n < FLOWS_MAX ? s->flows_n : FLOWS_MAX;
    for (size_t i = 0; i < n; i++)
        names[i] = s->flows[i].name;
    return nearest_name(name, names, n);
}

static unsigned uses_of(const struct expr *e)
{
    return e ? expr_uses(e) : 0;
}

unsigned flow_call_uses(const struct flow_call *c)
{
    unsigned uses = uses_of(c->when) | uses_of(c->each.expr) | uses_of(c->ok) | uses_of(c->result);
    uses |= template_uses(c->path);
    uses |= c->body ? template_uses(c->body) : 0;
    for (size_t i = 0; i < c->headers_n; i++)
        uses |= template_uses(c->headers[i].value);
    return uses;
}

unsigned flow_sql_uses(const struct flow *f)
{
    unsigned uses = 0;
    for (size_t i = 0; i < f->loads_n; i++)
        uses |= uses_of(f->loads[i].when) | sql_template_uses(f->loads[i].sql);
    for (size_t i = 0; i < f->checks_n; i++)
        uses |= uses_of(f->checks[i].when) | uses_of(f->checks[i].that) |
                template_uses(f->checks[i].message);
    for (size_t i = 0; i < f->saves_n; i++)
        uses |= uses_of(f->saves[i].when) | uses_of(f->saves[i].each.expr) |
                sql_template_uses(f->saves[i].sql);
    return uses;
}

unsigned flow_emit_uses(const struct flow *f)
{
    unsigned uses = f->notify.done ? template_uses(f->notify.done) : 0;
    uses |= f->notify.failed ? template_uses(f->notify.failed) : 0;
    for (size_t i = 0; i < f->emits_n; i++) {
        const struct flow_emit *e = &f->emits[i];
        uses |= uses_of(e->when) | uses_of(e->each.expr) | uses_of(e->key);
        uses |= e->value ? template_uses(e->value) : 0;
    }
    return uses;
}

const struct flow_call *flow_call_of(const struct flow *f, const char *name)
{
    for (size_t i = 0; i < f->calls_n; i++)
        if (strcmp(f->calls[i].name, name) == 0)
            return &f->calls[i];
    return NULL;
}

static bool topic_is_of(const struct flow *f, const char *topic)
{
    size_t len = f->topic.name ? strlen(f->topic.name) : 0;
    if (f->pool.topic && strcmp(f->pool.topic, topic) == 0)
        return true;
    return len && strncmp(f->topic.name, topic, len) == 0 &&
           (topic[len] == 0 || strcmp(topic + len, ".retry") == 0);
}

const struct flow *flow_by_topic(const struct flow_set *s, const char *topic)
{
    for (size_t i = 0; i < s->flows_n; i++)
        if (topic_is_of(&s->flows[i], topic))
            return &s->flows[i];
    return NULL;
}

static bool is_scalar(const struct json *v)
{
    return json_is(v, JSON_STRING) || json_is(v, JSON_NUMBER) || json_is(v, JSON_BOOL);
}

static int wrong_key(struct expr_error *error, const char *text)
{
    if (error) {
        *error = (struct expr_error){0};
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return ERR_EXPRESSION;
}

/* Text of the cache key; members of objects have no fixed order, so objects are no keys. */
static int cache_key(const struct flow *f, const struct expr_vars *vars, struct buf *out,
                     struct expr_error *error)
{
    struct json *v = NULL;
    int err = expr_eval(f->cache.key, vars, &v, error);
    if (err)
        return err;
    bool good = is_scalar(v);
    if (json_is(v, JSON_ARRAY)) {
        good = true;
        for (const struct json *e = json_first(v); e; e = json_next(e))
            good = good && is_scalar(e);
    }
    if (good)
        json_print(v, out);
    else
        err = wrong_key(error, "the key must be a string, number or boolean, or an array of them");
    json_free(v);
    return err ? err : buf_ok(out) ? ERR_NOMEM : 0;
}

bool flow_caches_for(const struct flow *f, const struct owner *owner)
{
    return f->cache.scope == SCOPE_SHARED ||
           (f->cache.scope == SCOPE_USER && !owner_is_nobody(owner));
}

int flow_cache_hash(const struct flow *f, const uint8_t rev[8], const uint8_t owner[16],
                    const struct expr_vars *vars, char out[65], struct expr_error *error)
{
    static const uint8_t nobody[16];
    struct buf key, hex;
    uint8_t digest[DIGEST_SIZE];
    bool shared = f->cache.scope == SCOPE_SHARED;
    buf_init(&key, 0);
    buf_init(&hex, 0);
    int err = cache_key(f, vars, &key, error);
    if (err == 0) {
        const struct digest_part parts[] = {{f->name, strlen(f->name) + 1},
                                            {rev, 8},
                                            {shared ? "s" : "u", 1},
                                            {shared ? nobody : owner, 16},
                                            {key.data, key.len}};
        digest_sha256(parts, sizeof parts / sizeof *parts, digest);
        buf_hex(&hex, digest, sizeof digest);
        err = buf_ok(&hex) ? ERR_NOMEM : 0;
    }
    if (err == 0)
        memcpy(out, hex.data, 65);
    buf_fini(&hex);
    buf_fini(&key);
    return err;
}

int flow_record_key(const struct flow *f, const char *id, const struct expr_vars *vars,
                    struct buf *out, struct expr_error *error)
{
    struct json *v = NULL;
    if (!f->key) {
        buf_text(out, id);
        return buf_ok(out) ? ERR_NOMEM : 0;
    }
    int err = expr_eval(f->key, vars, &v, error);
    if (err)
        return err;
    if (!json_print_scalar(v, out))
        err = wrong_key(error, "the key must be a string, number or boolean");
    json_free(v);
    return err ? err : buf_ok(out) ? ERR_NOMEM : 0;
}
