#include "gateway/cancel.h"

#include <stdlib.h>
#include <string.h>

#include "common/cache.h"
#include "common/live.h"
#include "common/log.h"
#include "gateway/job_view.h"
#include "gateway/problem.h"

struct wish { /* one cancel on its way */
    struct jobs *j;
    const struct http_request *q;
    struct http_reply *r;
    struct record_cancel cancel;
    const struct flow *flow; /* NULL: not known */
    char id[ID_TEXT], name[RECORD_FLOW];
};

static void refuse(struct wish *w, int err, const char *detail)
{
    problem_simple(w->q, w->r, err, detail);
}

/* ---- hints: to its worker, to who listens to the job, to who listens to the user */

static void add_publish(struct cache_command *c, const char *channel, const struct buf *message)
{
    *c = (struct cache_command){.script = SCRIPT_NONE};
    cache_arg_text(c, "PUBLISH");
    cache_arg_text(c, channel);
    cache_arg(c, buf_str(message), message->len);
}

static void print_done(const struct wish *w, struct buf *out)
{
    struct buf data = {0};
    live_print_state(JOB_CANCELLED, &data);
    live_print(w->cancel.seq + 1, "done", &data, out);
    buf_fini(&data);
}

static void print_job(const struct wish *w, struct buf *out)
{
    live_print_job(&(struct live_job){.id = &w->cancel.id,
                                      .owner = &w->cancel.owner,
                                      .flow = w->name,
                                      .title = w->flow ? w->flow->title : w->name,
                                      .state = JOB_CANCELLED,
                                      .finished_us = clock_wall_us(w->j->clock)},
                   out);
}

/* Redis away: the worker looks into op_cancel every 2 s, listeners read the record. */
static void tell(const struct wish *w)
{
    struct cache_command commands[3];
    struct cache_reply replies[3] = {{0}};
    struct buf control = {0}, done = {0}, job = {0};
    char channel[LIVE_CHANNEL], user[LIVE_CHANNEL];
    bool ended = w->cancel.before != JOB_RUNNING;
    size_t n = 0;
    buf_text(&control, "cancel ");
    buf_text(&control, w->id);
    print_done(w, &done);
    print_job(w, &job);
    live_channel(&w->cancel.id, channel);
    live_channel_of_user(&w->cancel.owner, user);
    add_publish(&commands[n++], "op:ctl", &control);
    if (ended)
        add_publish(&commands[n++], channel, &done);
    if (ended && !owner_is_nobody(&w->cancel.owner))
        add_publish(&commands[n++], user, &job);
    if (cache_call(w->j->cache, commands, n, replies) == 0)
        for (size_t i = 0; i < n; i++)
            cache_reply_fini(&replies[i]);
    buf_fini(&control);
    buf_fini(&done);
    buf_fini(&job);
}

/* ---- the cancel */

static void ask(struct wish *w)
{
    int err = reader_cancel(w->j->reader, &w->cancel);
    if (err == ERR_CONFLICT) {
        refuse(w, ERR_FINAL, NULL);
    } else if (err == ERR_NOT_FOUND) {
        refuse(w, ERR_NO_JOB, NULL);
    } else if (err) {
        refuse(w, ERR_UNAVAILABLE, "ask again: perhaps it is cancelled already");
    } else {
        log_info("cancel", "flow", w->name);
        tell(w);
        w->r->status = 202;
        w->r->type = "application/json";
        job_view_accepted(&w->cancel.id, w->name,
                          w->cancel.before == JOB_RUNNING ? JOB_RUNNING : JOB_CANCELLED,
                          w->q->public_url, &w->r->body);
    }
}

/* Guests' jobs and shared ones are both nobody's; the flow tells them apart. */
static bool is_shared(const struct wish *w)
{
    return owner_is_nobody(&w->cancel.owner) && (!w->flow || w->flow->cache.scope == SCOPE_SHARED);
}

static void decide(struct wish *w, const struct record_job *job)
{
    memcpy(w->name, job->flow, sizeof w->name);
    w->flow = flow_by_name(w->j->flows, job->flow);
    w->cancel.owner = job->owner;
    if (!jobs_may_read(w->j, w->q->user, job))
        refuse(w, ERR_NO_JOB, NULL);
    else if (is_shared(w))
        refuse(w, ERR_NOT_ALLOWED, "others may wait for the same job");
    else if (job_is_final(job->state))
        refuse(w, ERR_FINAL, NULL);
    else
        ask(w);
}

/* The row comes with its registration or claim; cancelled first, it is final when they come. */
static void decide_without_row(struct wish *w)
{
    static const struct owner nobody;
    const struct owner *user = &w->q->user->owner;
    int64_t born_ms = id_created_ms(&w->cancel.id);
    if (!owner_is_nobody(user) && jobs_may_exist(w->j, user, &w->cancel.id)) {
        w->cancel.owner = *user;
        w->cancel.created_us = born_ms > 0 ? born_ms * 1000 : 0;
        ask(w);
    } else if (jobs_may_exist(w->j, &nobody, &w->cancel.id)) {
        refuse(w, ERR_UNAVAILABLE, "it is not registered yet; ask again");
    } else {
        refuse(w, ERR_NO_JOB, NULL);
    }
}

void cancel_job(struct jobs *j, const struct http_request *q, struct http_reply *r,
                const char *text)
{
    struct wish w = {.j = j, .q = q, .r = r};
    struct record_job job;
    if (id_parse(text, &w.cancel.id) != 0) {
        refuse(&w, ERR_NO_JOB, "an id is a UUID");
        return;
    }
    id_format(&w.cancel.id, w.id);
    log_scope(w.id, q->id);
    int err = reader_look(j->reader, &w.cancel.id, &job);
    if (!err) {
        decide(&w, &job);
    } else if (err == ERR_NOT_FOUND) {
        decide_without_row(&w);
    } else {
        refuse(&w, ERR_UNAVAILABLE, "the job goes on meanwhile");
    }
    log_scope(NULL, q->id);
}
