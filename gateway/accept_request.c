#include "gateway/accept_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/job_value.h"
#include "common/token.h"

enum { IDEMPOTENCY_KEY_MAX = 255, DEPTH_MAX = 64 };

static int read_body(struct accept_run *t)
{
    struct json_error where = {0};
    const char *type = http_header(t->q, "content-type");
    char detail[128];
    if (type && !http_is_json(type))
        return accept_run_refuse_simply(t, ERR_MEDIA_TYPE, "Content-Type must be application/json");
    t->q->secret = t->flow->hash_n > 0;
    int err = t->q->read_body(t->q, t->flow->request_max, &t->body, &t->body_len);
    if (err == ERR_TOO_LARGE) {
        snprintf(detail, sizeof detail, "this flow takes at most %zu bytes", t->flow->request_max);
        return accept_run_refuse_simply(t, err, detail);
    }
    if (err)
        return accept_run_refuse_simply(t, err,
                                        err == ERR_BAD_REQUEST ? "the body was cut short" : NULL);
    err =
        json_parse(t->body, t->body_len,
                   &(struct json_limits){.size_max = t->flow->request_max, .depth_max = DEPTH_MAX},
                   &t->request, &where);
    if (!err)
        return 0;
    snprintf(detail, sizeof detail, "%s, at byte %zu", where.what ? where.what : err_text(err),
             where.offset);
    return accept_run_refuse(t, &(struct problem){.err = err, .detail = detail, .json = &where});
}

static int check_schema(struct accept_run *t)
{
    struct schema_report report;
    report.n = 0;
    if (!t->flow->schema || schema_check(t->flow->schema, t->request, &report) == 0)
        return 0;
    return accept_run_refuse(t, &(struct problem){.err = ERR_SCHEMA, .schema = &report});
}

/* Nothing but visible ASCII: it becomes part of an id, and of a log line. */
static bool is_key(const char *s)
{
    size_t n = strlen(s);
    if (n == 0 || n > IDEMPOTENCY_KEY_MAX)
        return false;
    for (; *s; s++)
        if (*s < 0x21 || *s > 0x7e)
            return false;
    return true;
}

static int take_key(struct accept_run *t)
{
    const char *key = http_header(t->q, "idempotency-key");
    struct job_id id;
    if (!key)
        return 0;
    if (!is_key(key))
        return accept_run_refuse_simply(t, ERR_BAD_KEY, "1 to 255 visible ASCII characters");
    if (owner_is_nobody(&t->user) && id_parse(key, &id) != 0)
        return accept_run_refuse_simply(t, ERR_GUEST_KEY, NULL);
    t->has_key = true;
    t->key.user = t->user;
    t->key.id = id_from_key(t->a->secret, &t->user, &t->owner, t->flow->name, key);
    id_mac(t->a->secret, t->body, t->body_len, t->key.mac);
    accept_run_set_id(t, &t->key.id);
    return 0;
}

static int refuse_field(struct accept_run *t, const char *field, const char *keyword,
                        const char *text)
{
    struct schema_report report = {.n = 1};
    struct schema_problem *p = &report.problems[0];
    snprintf(p->pointer, sizeof p->pointer, "/%s", field);
    snprintf(p->keyword, sizeof p->keyword, "%s", keyword);
    snprintf(p->text, sizeof p->text, "%s", text);
    return accept_run_refuse(t, &(struct problem){.err = ERR_SCHEMA, .schema = &report});
}

/* What the schema cannot say: a hash counts bytes. */
static int check_hashed(struct accept_run *t)
{
    for (size_t i = 0; i < t->flow->hash_n; i++) {
        const struct flow_hash_field *f = &t->flow->hash[i];
        const struct json *v = json_get(t->request, f->name);
        const char *text = json_text(v);
        char too_long[64];
        if (!v)
            continue;
        if (!text)
            return refuse_field(t, f->name, "type", "must be a string");
        if (!text[0])
            return refuse_field(t, f->name, "minLength", "must not be empty");
        snprintf(too_long, sizeof too_long, "must have at most %zu bytes", password_max(f->kind));
        if (strlen(text) > password_max(f->kind))
            return refuse_field(t, f->name, "maxLength", too_long);
    }
    return 0;
}

int accept_run_read(struct accept_run *t)
{
    int rc = read_body(t);
    if (!rc)
        rc = check_schema(t);
    if (!rc)
        rc = check_hashed(t);
    return rc ? rc : take_key(t);
}

/* ---- what the flow computes from it */

static void note_late(struct accept_run *t, int err, const char *what, const struct expr_error *e)
{
    if (!err || t->late_err)
        return;
    t->late_err = err;
    snprintf(t->late_detail, sizeof t->late_detail, "%s: %s", what, e->text);
}

static void compute_key(struct accept_run *t, const struct expr_vars *vars)
{
    struct expr_error error = {0};
    int err = flow_record_key(t->flow, t->id_text, vars, &t->record_key, &error);
    if (t->record_key.failed) {
        err = ERR_EXPRESSION;
        snprintf(error.text, sizeof error.text, "the key is longer than %d bytes",
                 ACCEPT_RUN_KEY_MAX);
    }
    note_late(t, err, "request.key", &error);
}

/* The fields of request.set, in place. */
static void compute_set(struct accept_run *t, const struct expr_vars *vars)
{
    struct expr_error error = {0};
    const char *field = "";
    char what[FLOW_NAME_MAX + 16];
    int err = flow_set_fields(t->flow, vars, t->request, &field, &error);
    snprintf(what, sizeof what, "request.set.%s", field);
    note_late(t, err, what, &error);
}

static unsigned uses_of(const struct flow *f, bool cached)
{
    unsigned uses = (f->key ? expr_uses(f->key) : 0) | (cached ? expr_uses(f->cache.key) : 0);
    for (size_t i = 0; i < f->set_n; i++)
        uses |= expr_uses(f->set[i].expr);
    return uses;
}

/* What `$user` and `$job` tell of it. */
static struct event event_of(const struct accept_run *t)
{
    struct event e = {.job = t->id, .created_us = t->created_us, .deadline_us = t->deadline_us};
    memcpy(e.sub, t->q->user->sub, sizeof e.sub);
    return e;
}

void accept_run_compute(struct accept_run *t)
{
    const struct flow *f = t->flow;
    struct expr_vars vars = {.value[VAR_REQUEST] = t->request, .created_us = t->created_us};
    struct expr_error error = {0};
    bool cached = f->cache.key && flow_caches_for(f, &t->owner);
    unsigned uses = uses_of(f, cached);
    if (uses & VAR_BIT(VAR_JOB))
        accept_run_need_id(t);
    const struct event e = event_of(t);
    struct json *user = uses & VAR_BIT(VAR_USER) ? job_value_user(&e) : NULL;
    struct json *job = uses & VAR_BIT(VAR_JOB) ? job_value(&e, f->name) : NULL;
    vars.value[VAR_USER] = user;
    vars.value[VAR_JOB] = job;
    if (f->set_n)
        compute_set(t, &vars);
    if (f->key && !t->late_err)
        compute_key(t, &vars);
    if (cached && !t->late_err) {
        int err = flow_cache_hash(f, f->rev, t->owner.b, &vars, t->hash, &error);
        note_late(t, err, "cache.key", &error);
        t->has_hash = !err;
    }
    json_free(user);
    json_free(job);
}

/* ---- request.hash */

/* The tree's own text is wiped and stands in no expression's way; what replaces it keeps its place
 * among the members. */
int accept_run_hide(struct accept_run *t)
{
    for (size_t i = 0; i < t->flow->hash_n; i++) {
        const char *name = t->flow->hash[i].name;
        struct json *v = (struct json *)(uintptr_t)json_get(t->request, name);
        if (!v)
            continue;
        t->plain[i] = strdup(json_text(v));
        json_wipe_text(v);
        if (!t->plain[i] || json_put(t->request, name, json_new_text("***")) != 0)
            return accept_run_refuse_simply(t, ERR_OVERLOADED, NULL);
    }
    if (t->flow->hash_n) {
        id_mac(t->a->secret, t->body, t->body_len, t->body_mac);
        explicit_bzero(t->body, t->body_len);
    }
    return 0;
}

int accept_run_hash(struct accept_run *t)
{
    for (size_t i = 0; i < t->flow->hash_n; i++) {
        char hash[PASSWORD_HASH];
        const struct flow_hash_field *f = &t->flow->hash[i];
        if (!t->plain[i])
            continue;
        int err = hasher_hash(t->a->hasher, f->kind, t->plain[i], hash);
        if (!err)
            err = json_put(t->request, f->name, json_new_text(hash));
        if (err)
            return err;
    }
    return 0;
}

int accept_run_value(struct accept_run *t)
{
    if (!t->flow->set_n && !t->flow->hash_n)
        return 0;
    buf_clear(&t->value);
    json_print(t->request, &t->value);
    return buf_ok(&t->value);
}

void accept_run_wipe(struct accept_run *t)
{
    if (!t->flow->hash_n)
        return;
    for (size_t i = 0; i < t->flow->hash_n; i++) {
        json_wipe_text((struct json *)(uintptr_t)json_get(t->request, t->flow->hash[i].name));
        if (t->plain[i])
            explicit_bzero(t->plain[i], strlen(t->plain[i]));
        free(t->plain[i]);
    }
    if (t->body)
        explicit_bzero(t->body, t->body_len);
}
