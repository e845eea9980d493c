#include "gateway/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/job_view.h"
#include "common/token.h"
#include "gateway/problem.h"

static const struct owner nobody;
static const int64_t DAY_MS = 86400000;

/* 1: with the attempts of each call; 0: as it is; ERR_INVALID: asks for what there is not. */
static int read_include(const char *query)
{
    char text[16];
    int given = http_query_text(query, "include", text, sizeof text);
    return given == 1 && strcmp(text, "attempts") != 0 ? ERR_INVALID : given;
}

static void send_body(const struct http_request *q, struct http_reply *r)
{
    char etag[JOB_VIEW_ETAG];
    const char *known = http_header(q, "if-none-match");
    job_view_etag(r->body.data, r->body.len, etag);
    http_reply_header(r, "ETag", etag);
    http_reply_header(r, "Cache-Control", "private, no-cache");
    r->type = "application/json";
    r->status = known && http_etag_matches(known, etag) ? 304 : 200;
}

/* Made from a key, it has no date: its mark tells, or nobody can. */
bool jobs_may_exist(struct jobs *j, const struct owner *owner, const struct job_id *id)
{
    int64_t born_ms = id_created_ms(id);
    if (!id_is_of(j->secret, id, owner))
        return false;
    if (born_ms >= 0)
        return clock_wall_us(j->clock) / 1000 - born_ms < j->retention_ms + DAY_MS;
    return marks_exists(j->marks, owner, id) != ERR_NOT_FOUND;
}

/* A shared job is nobody's, but the mark of its key is its user's. */
static bool may_exist(struct jobs *j, const struct owner *user, const struct job_id *id)
{
    return jobs_may_exist(j, user, id) || jobs_may_exist(j, &nobody, id) ||
           (id_is_of(j->secret, id, &nobody) && id_created_ms(id) < 0 &&
            marks_exists(j->marks, user, id) != ERR_NOT_FOUND);
}

bool jobs_may_read(const struct jobs *j, const struct token_user *user,
                   const struct record_job *job)
{
    const struct owner *o = &job->owner;
    bool mine = owner_is_nobody(o) ? id_is_of(j->secret, &job->id, &nobody)
                                   : memcmp(o, &user->owner, sizeof *o) == 0;
    return mine && strcmp(job->reason, "gone") != 0;
}

int jobs_may_follow(struct jobs *j, const struct token_user *user, const struct job_id *id)
{
    struct record_job row;
    int err = reader_look(j->reader, id, &row);
    if (!err)
        return jobs_may_read(j, user, &row) ? 0 : ERR_NOT_FOUND;
    return err == ERR_NOT_FOUND && may_exist(j, &user->owner, id) ? 0 : err;
}

struct asker {
    const struct jobs *j;
    const struct token_user *user;
    bool there; /* there is a row, whoever may read it */
};

static bool may_read(void *arg, const struct record_job *row)
{
    struct asker *a = arg;
    a->there = true;
    return jobs_may_read(a->j, a->user, row);
}

static void show(struct jobs *j, const struct http_request *q, struct http_reply *r,
                 const struct job_view *read)
{
    struct job_view v = *read;
    struct eta_now eta;
    v.flow = flow_by_name(j->flows, v.job->flow);
    v.public_url = q->public_url;
    if (!job_is_final(v.job->state) && etas_get(j->etas, v.flow, &eta)) {
        if (job_view_state(v.job) == JOB_QUEUED && j->admission)
            eta.ahead = admission_lag(j->admission, v.flow);
        v.eta = &eta;
    }
    if (job_view_print(&v, &r->body) != 0)
        problem_simple(q, r, ERR_BUG, NULL);
    else
        send_body(q, r);
}

void jobs_get(struct jobs *j, const struct http_request *q, struct http_reply *r, const char *text)
{
    struct job_id id;
    struct record_job job;
    struct record_call *calls = NULL;
    size_t n = 0;
    int tries = read_include(q->query);
    if (id_parse(text, &id) != 0) {
        problem_simple(q, r, ERR_NO_JOB, "an id is a UUID");
        return;
    }
    if (tries < 0) {
        problem_simple(q, r, ERR_BAD_PARAMETER, "include is attempts, or left out");
        return;
    }
    struct asker asker = {j, q->user, false};
    int err =
        reader_read(j->reader, &id, &(struct reader_guard){may_read, &asker}, &job, &calls, &n);
    if (!err) {
        show(j, q, r,
             &(struct job_view){.job = &job, .calls = calls, .calls_n = n, .tries = tries == 1});
        for (size_t i = 0; i < n; i++)
            record_call_fini(&calls[i]);
        free(calls);
        record_job_fini(&job);
    } else if (err != ERR_NOT_FOUND) {
        problem_simple(q, r, ERR_UNAVAILABLE, "the job goes on meanwhile");
    } else if (!asker.there && may_exist(j, &q->user->owner, &id)) {
        job_view_unregistered(&id, q->public_url, &r->body);
        send_body(q, r);
    } else {
        problem_simple(q, r, ERR_NO_JOB, NULL);
    }
}
