/* A job that runs again later (T7): may it, when, and the record that brings it back: what came,
 * with its new round. */
#include "worker/job_parts.h"

#include <stdio.h>
#include <string.h>

enum { HEADERS_MAX = 255 };

bool job_again_due(const struct job_run *j, int64_t *due_us)
{
    const struct event *e = &j->claim.event;
    const struct flow *f = j->claim.flow;
    if (e->round >= f->requeue_n || e->refill)
        return false;
    *due_us = job_env_now_us(j->env) + f->requeue_ms[e->round] * 1000;
    return !e->deadline_us || *due_us < e->deadline_us;
}

static bool is_ours(const char *name)
{
    return strncmp(name, "offpath-", 8) == 0 || strncmp(name, "ce_", 3) == 0 ||
           strcmp(name, "traceparent") == 0 || strcmp(name, "content-type") == 0;
}

/* Ours anew, and of the others what came. 0, ERR_INVALID; ERR_TOO_LARGE: more than come back. */
static int headers_of(const struct job_run *j, struct event_headers *own,
                      struct event_header list[HEADERS_MAX], size_t *n)
{
    struct event e = j->claim.event;
    struct event_header came[HEADERS_MAX];
    size_t came_n = 0;
    e.round++;
    memcpy(e.flow, j->claim.flow->name, sizeof j->claim.flow->name);
    int err = event_encode(&e, own);
    if (!err)
        err = record_headers_unpack(j->record->headers, j->record->headers_len, came, HEADERS_MAX,
                                    &came_n);
    for (*n = 0; !err && *n < own->n; (*n)++)
        list[*n] = own->list[*n];
    for (size_t i = 0; !err && i < came_n; i++) {
        if (is_ours(came[i].name))
            continue;
        if (*n == HEADERS_MAX)
            return ERR_TOO_LARGE;
        list[(*n)++] = came[i];
    }
    return err;
}

int job_again_prepare(struct job_run *j, struct job_ending *e, int64_t due_us)
{
    struct event_headers own;
    struct event_header list[HEADERS_MAX];
    const struct job_record *r = j->record;
    size_t n = 0;
    int err = headers_of(j, &own, list, &n);
    snprintf(e->topic, sizeof e->topic, "%s.retry", j->claim.flow->topic.name);
    const struct emit_record again = {.job = j->claim.event.job,
                                      .topic = e->topic,
                                      .headers = list,
                                      .headers_n = n,
                                      .key = r->key,
                                      .key_len = r->key_len,
                                      .value = r->value,
                                      .value_len = r->value_len};
    if (!err)
        err = job_emits_add(&e->emits, &again);
    if (!err && job_emits_is_too_large(&e->emits.posts[0], j->env->limits)) {
        job_emits_fini(&e->emits);
        err = ERR_TOO_LARGE;
    }
    if (err)
        return err;
    e->state = JOB_QUEUED;
    e->reason = REASON_NONE;
    e->due_us = due_us;
    return 0;
}
