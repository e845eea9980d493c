#include "worker/trial_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/job_value.h"

enum { KEY_LEN = FLOW_NAME_MAX + FLOW_POOL_KEY_MAX + ID_TEXT + 16 };

/* As job_pool.c finds it. */
static int find_key(struct trial_pool *p, const struct event *e, const char *request)
{
    struct json *v[3] = {NULL, job_value_user(e), job_value(e, p->flow->name)};
    struct expr_vars vars = {.created_us = e->created_us};
    struct buf key;
    buf_init(&key, 0);
    int err = json_parse(request, strlen(request), NULL, &v[0], NULL);
    vars.value[VAR_REQUEST] = v[0];
    vars.value[VAR_USER] = v[1];
    vars.value[VAR_JOB] = v[2];
    if (!err)
        err = v[1] && v[2] ? flow_pool_key(p->flow, &vars, &key, NULL) : ERR_NOMEM;
    if (!err)
        p->key = buf_take(&key, NULL);
    for (size_t i = 0; i < 3; i++)
        json_free(v[i]);
    buf_fini(&key);
    return err == ERR_NOMEM ? err : 0;
}

/* of: "qrd" names three keys, `t` is one of a job. */
static int ask(struct trial_pool *p, struct cache_command *c, const char *of, const char *job,
               const char *const *words, size_t n, struct cache_reply *out)
{
    char keys[3][KEY_LEN];
    for (; *of; of++) {
        char *key = keys[c->keys++];
        snprintf(key, KEY_LEN, "op:{p:%s:%s}:%c%s%s", p->flow->name, p->key, *of,
                 *of == 't' ? ":" : "", *of == 't' ? job : "");
        cache_arg_text(c, key);
    }
    for (size_t i = 0; i < n; i++)
        cache_arg_text(c, words[i]);
    return cache_call(p->cache, c, 1, out);
}

/* Another name for each item: who made it, or who takes it. */
static const char *job_name(char out[ID_TEXT], size_t n)
{
    snprintf(out, ID_TEXT, "00000000-0000-8000-8000-%012zx", n & 0xffff);
    return out;
}

static int put_item(struct trial_pool *p, const char *item, size_t n)
{
    char job[ID_TEXT], size[24], ttl[24];
    struct cache_command c = {.script = SCRIPT_POOL_PUT};
    struct cache_reply reply;
    snprintf(size, sizeof size, "%u", p->flow->pool.size);
    snprintf(ttl, sizeof ttl, "%lld", (long long)p->flow->pool.ttl_ms);
    const char *words[] = {job_name(job, n), item, size, ttl};
    int err = ask(p, &c, "qrd", "", words, 4, &reply);
    if (!err)
        cache_reply_fini(&reply);
    return err;
}

int trial_pool_begin(struct trial_pool *p, const struct event *e, const struct trial_job *job)
{
    if (!p->flow->pool.topic)
        return 0;
    int err = cache_fake_view(p->redis, &p->cache);
    if (!err)
        err = find_key(p, e, job->request);
    for (size_t i = 0; i < job->items_n && p->key && !err; i++)
        err = put_item(p, job->items[i], i);
    return err;
}

/* NULL: there is none, or no memory. */
static struct json *take_item(struct trial_pool *p, size_t n)
{
    const struct json_limits limits = {.size_max = 16 << 20, .depth_max = JSON_DEPTH_KEPT};
    char job[ID_TEXT];
    struct cache_command c = {.script = SCRIPT_POOL_TAKE};
    struct cache_reply reply;
    struct json *item = NULL;
    if (ask(p, &c, "qt", job_name(job, n), NULL, 0, &reply))
        return NULL;
    const char *first = reply.type == REPLY_TEXT ? strchr(reply.text, '|') : NULL;
    const char *second = first ? strchr(first + 1, '|') : NULL;
    if (second && json_parse(second + 1, strlen(second + 1), &limits, &item, NULL))
        item = NULL;
    cache_reply_fini(&reply);
    return item;
}

int trial_pool_end(struct trial_pool *p, struct json **items)
{
    if (!p->flow->pool.topic)
        return 0;
    struct json *list = json_new_array(), *item;
    int err = list ? 0 : ERR_NOMEM;
    for (size_t n = 0; p->key && !err && (item = take_item(p, n)) != NULL; n++)
        err = json_push(list, item);
    if (err)
        json_free(list);
    else
        *items = list;
    return err;
}

void trial_pool_fini(struct trial_pool *p)
{
    cache_close(p->cache);
    free(p->key);
}
