#include "worker/job_emit.h"
#include "common/job_value.h"
#include "worker/each.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void job_emits_fini(struct job_emits *e)
{
    for (size_t i = 0; i < e->n; i++)
        free((void *)(uintptr_t)e->posts[i].value); /* one allocation with key and headers */
    free(e->posts);
    free(e->ids);
    *e = (struct job_emits){0};
}

/* Room grows at powers of two. */
static int grow(struct job_emits *e)
{
    if ((e->n & (e->n - 1)) != 0)
        return 0;
    size_t room = e->n ? e->n * 2 : 1;
    struct record_post *posts = realloc(e->posts, room * sizeof *posts);
    if (posts)
        e->posts = posts;
    uint64_t *ids = realloc(e->ids, room * sizeof *ids);
    if (ids)
        e->ids = ids;
    return posts && ids ? 0 : ERR_NOMEM;
}

int job_emits_add(struct job_emits *e, const struct emit_record *r)
{
    struct buf headers;
    buf_init(&headers, 1 << 20);
    int err = record_headers_pack(r->headers, r->headers_n, &headers);
    if (!err)
        err = grow(e);
    size_t key_len = r->key ? r->key_len : 0;
    char *p = err ? NULL : malloc(r->value_len + key_len + headers.len + 1);
    if (!p) {
        buf_fini(&headers);
        return err ? err : ERR_NOMEM;
    }
    if (r->value_len)
        memcpy(p, r->value, r->value_len);
    if (key_len)
        memcpy(p + r->value_len, r->key, key_len);
    if (headers.len)
        memcpy(p + r->value_len + key_len, headers.data, headers.len);
    e->ids[e->n] = 0;
    e->posts[e->n++] = (struct record_post){.job = r->job,
                                            .topic = r->topic,
                                            .value = p,
                                            .value_len = r->value_len,
                                            .key = r->key ? p + r->value_len : NULL,
                                            .key_len = key_len,
                                            .headers = p + r->value_len + key_len,
                                            .headers_len = headers.len};
    e->bytes += r->value_len + key_len + headers.len;
    buf_fini(&headers);
    return 0;
}

bool job_emits_is_too_large(const struct record_post *p, const struct topic_limits *limits)
{
    return p->key_len > RECORD_KEY_MAX || p->headers_len > RECORD_HEADERS_MAX ||
           p->key_len + p->value_len + p->headers_len > topic_limits_of(limits, p->topic);
}

/* ---- one record */

struct emitting {
    const struct emit_source *s;
    struct job_emits *out;
    char *why;
    const struct flow_emit *entry;
    uint32_t number; /* of the entry */
};

static int fail(const struct emitting *a, int err, const char *why)
{
    snprintf(a->why, EMIT_WHY, "emit %u: %.250s", a->number + 1, why);
    return err;
}

/* Owner and trace are the parent's, the rest is its own. */
static struct event child_of(const struct emitting *a, uint32_t item)
{
    const struct event *parent = a->s->event;
    const struct flow *to = a->entry->flow;
    struct event e = {.ours = true,
                      .job = id_child(&parent->job, "emit", a->number, item),
                      .created_us = a->s->now_us};
    memcpy(e.trace, parent->trace, sizeof e.trace);
    if (!to) { /* ce_source: who sends it */
        memcpy(e.flow, a->s->flow->name, sizeof a->s->flow->name);
        return e;
    }
    memcpy(e.flow, to->name, sizeof to->name);
    memcpy(e.request, parent->request, sizeof e.request);
    memcpy(e.rev, to->rev, sizeof e.rev);
    e.has_rev = true;
    if (to->deadline_ms)
        e.deadline_us = e.created_us + to->deadline_ms * 1000;
    if (to->cache.scope != SCOPE_SHARED) {
        e.owner = parent->owner;
        memcpy(e.sub, parent->sub, sizeof e.sub);
    }
    return e;
}

/* The key as the gateway would make it of this value. */
static int key_of_flow(const struct emitting *a, const struct event *child,
                       const struct json *value, struct buf *out)
{
    const struct flow *to = a->entry->flow;
    struct expr_error error = {0};
    char id[ID_TEXT];
    struct json *user = job_value_user(child), *job = job_value(child, to->name);
    struct expr_vars vars = {.created_us = child->created_us};
    id_format(&child->job, id);
    vars.value[VAR_REQUEST] = value;
    vars.value[VAR_USER] = user;
    vars.value[VAR_JOB] = job;
    int err = user && job ? flow_record_key(to, id, &vars, out, &error) : ERR_NOMEM;
    json_free(user);
    json_free(job);
    return err == ERR_EXPRESSION ? fail(a, err, expr_error_plain(&error)) : err;
}

static int key_of_topic(const struct emitting *a, const struct expr_vars *vars, struct buf *out)
{
    struct json *v = NULL;
    struct expr_error error = {0};
    if (!a->entry->key)
        return 0;
    int err = expr_eval(a->entry->key, vars, &v, &error);
    if (err)
        return err == ERR_EXPRESSION ? fail(a, err, expr_error_plain(&error)) : err;
    if (!json_print_scalar(v, out))
        err = fail(a, ERR_EXPRESSION, "the key must be a string, number or boolean");
    json_free(v);
    return err;
}

/* With the one that was added last. */
static int fits(const struct emitting *a)
{
    const struct record_post *last = &a->out->posts[a->out->n - 1];
    if (last->key_len > RECORD_KEY_MAX)
        return fail(a, ERR_TOO_LARGE, "a key is longer than 1 KB");
    if (job_emits_is_too_large(last, a->s->limits))
        return fail(a, ERR_TOO_LARGE, "a record is larger than its topic takes");
    if (a->out->bytes > EMIT_ALL_MAX)
        return fail(a, ERR_TOO_LARGE, "more than 8 MB of records");
    if (a->out->n > FLOW_ITEMS_MAX)
        return fail(a, ERR_TOO_LARGE, "more than 1000 records");
    return 0;
}

static int add(const struct emitting *a, const struct event *child, const struct buf *key,
               const struct buf *value)
{
    struct event_headers headers;
    const struct flow *to = a->entry->flow;
    int err = to ? event_encode(child, &headers) : event_encode_foreign(child, &headers);
    const struct emit_record r = {.job = child->job,
                                  .topic = to ? to->topic.name : a->entry->topic,
                                  .headers = headers.list,
                                  .headers_n = headers.n,
                                  .key = to || a->entry->key ? (key->data ? key->data : "") : NULL,
                                  .key_len = key->len,
                                  .value = value->data,
                                  .value_len = value->len};
    if (!err)
        err = job_emits_add(a->out, &r);
    return err ? err : fits(a);
}

static int check_schema(const struct emitting *a, const struct json *v)
{
    struct schema_report report = {.n = 0};
    const struct flow *to = a->entry->flow;
    char text[EMIT_WHY];
    if (!to || !to->schema || schema_check(to->schema, v, &report) == 0)
        return 0;
    snprintf(text, sizeof text, "breaks the schema of `%s`: %.80s %.100s", to->name,
             report.n ? report.problems[0].pointer : "", report.n ? report.problems[0].text : "");
    return fail(a, ERR_EXPRESSION, text);
}

static int emit_one(const struct emitting *a, const struct expr_vars *vars, uint32_t item)
{
    struct json *v = NULL;
    struct expr_error error = {0};
    struct buf key, value;
    struct event child = child_of(a, item);
    buf_init(&key, 1 << 20);
    buf_init(&value, EMIT_ALL_MAX);
    int err = template_render(a->entry->value, vars, &v, &error);
    if (err == ERR_EXPRESSION)
        err = fail(a, err, expr_error_plain(&error));
    if (!err)
        err = check_schema(a, v);
    if (!err) {
        json_print(v, &value);
        err = a->entry->flow ? key_of_flow(a, &child, v, &key) : key_of_topic(a, vars, &key);
    }
    if (!err)
        err = buf_ok(&value) || buf_ok(&key);
    if (!err)
        err = add(a, &child, &key, &value);
    json_free(v);
    buf_fini(&key);
    buf_fini(&value);
    return err;
}

/* ---- entries */

static int emit_each(const struct emitting *a, const struct json *list)
{
    struct expr_vars vars = *a->s->vars;
    uint32_t at = 0;
    int err =
        json_size(list) > FLOW_ITEMS_MAX ? fail(a, ERR_TOO_LARGE, "more than 1000 records") : 0;
    for (const struct json *e = json_first(list); e && !err; e = json_next(e), at++) {
        struct json *index = json_new_number(at);
        vars.value[VAR_ITEM] = e;
        vars.value[VAR_INDEX] = index;
        err = index ? emit_one(a, &vars, at) : ERR_NOMEM;
        json_free(index);
    }
    return err;
}

static int emit_entry(const struct emitting *a)
{
    const struct flow_each *each = &a->entry->each;
    const struct json *list = NULL;
    struct json *owned = NULL;
    struct expr_error error = {0};
    bool wanted = true;
    int err = each_wanted(a->entry->when, a->s->vars, &wanted, &error);
    if (!err && !wanted)
        return 0;
    bool once = !each->expr && !each->list;
    if (!err && !once)
        err = each_list(each, a->s->vars, &list, &owned, &error);
    if (err == ERR_EXPRESSION)
        (void)fail(a, err, expr_error_plain(&error));
    if (!err)
        err = once ? emit_one(a, a->s->vars, 0) : emit_each(a, list);
    json_free(owned);
    return err;
}

int job_emit_compute(const struct emit_source *s, struct job_emits *out, char why[EMIT_WHY])
{
    int err = 0;
    why[0] = 0;
    for (size_t i = 0; i < s->flow->emits_n && !err; i++) {
        const struct emitting a = {s, out, why, &s->flow->emits[i], (uint32_t)i};
        err = emit_entry(&a);
    }
    return err;
}

void job_emits_publish(const struct job_emits *e, struct relay *relay)
{
    for (size_t i = 0; relay && i < e->n; i++)
        if (e->ids[i])
            relay_put(relay, &e->posts[i], e->ids[i]);
}
