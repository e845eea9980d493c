#include "gateway/accept_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "gateway/job_view.h"

enum { WAIT_MAX_MS = 30000 };

void accept_run_location(struct accept_run *t)
{
    struct buf *b = &t->r->headers;
    buf_text(b, "Location: ");
    buf_text(b, t->q->public_url);
    buf_text(b, "/v1/jobs/");
    buf_add(b, t->id_text, ID_TEXT - 1);
    buf_add(b, "\r\n", 2);
}

int accept_run_accepted(struct accept_run *t, enum job_state state, enum accept_outcome o)
{
    t->r->status = 202;
    t->r->type = "application/json";
    accept_run_location(t);
    job_view_accepted(&t->id, t->flow->name, state, t->q->public_url, &t->r->body);
    return accept_run_finish(t, o);
}

int accept_run_cached(struct accept_run *t, struct mark *mark)
{
    t->r->status = 200;
    t->r->type = "application/json";
    buf_add(&t->r->body, mark->value, mark->value_len);
    free(mark->value);
    return accept_run_finish(t, CACHED);
}

static void free_calls(struct record_call *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        record_call_fini(&calls[i]);
    free(calls);
}

static int answer_job(struct accept_run *t, const struct record_job *job,
                      const struct record_call *calls, size_t n, enum accept_outcome o)
{
    struct job_view view = {job, calls, n, t->flow, t->q->public_url, false, NULL};
    t->r->status = 200;
    t->r->type = "application/json";
    accept_run_location(t);
    if (job_view_print(&view, &t->r->body) != 0)
        problem_simple(t->q, t->r, ERR_BUG, NULL);
    return accept_run_finish(t, o);
}

int accept_run_known(struct accept_run *t)
{
    struct record_job job;
    struct record_call *calls = NULL;
    size_t n = 0;
    http_reply_header(t->r, "Idempotent-Replayed", "true");
    if (reader_read(t->a->reader, &t->id, NULL, &job, &calls, &n) != 0)
        return accept_run_accepted(t, JOB_QUEUED, KNOWN);
    int rc;
    if (strcmp(job.reason, "gone") == 0) {
        rc =
            accept_run_refuse_simply(t, ERR_KEY_REUSED, "its job is kept no longer; use a new key");
    } else if (!job_is_final(job.state)) {
        accept_run_listen(t);
        rc = accept_run_settle(t, job_view_state(&job), KNOWN);
    } else {
        rc = answer_job(t, &job, calls, n, KNOWN);
    }
    free_calls(calls, n);
    record_job_fini(&job);
    return rc;
}

/* ---- waiting for the end */

/* wait=N among the preferences; -1: it is not there. */
static int64_t preferred_ms(const char *value)
{
    while (*value) {
        value += strspn(value, " ,;\t");
        size_t n = strcspn(value, ",;");
        if (n > 5 && strncasecmp(value, "wait=", 5) == 0) {
            size_t digits = strspn(value + 5, "0123456789");
            size_t rest = strspn(value + 5 + digits, " \t");
            if (digits > 0 && digits + rest == n - 5)
                return digits > 4 ? WAIT_MAX_MS : strtoll(value + 5, NULL, 10) * 1000;
        }
        value += n;
    }
    return -1;
}

void accept_run_read_wait(struct accept_run *t)
{
    t->wait_ms = t->flow->wait_ms;
    for (size_t i = 0; i < t->q->headers_n; i++) {
        if (!http_name_is(&t->q->headers[i], "prefer"))
            continue;
        int64_t ms = preferred_ms(t->q->headers[i].value);
        if (ms < 0)
            continue;
        t->wait_ms = ms < WAIT_MAX_MS ? ms : WAIT_MAX_MS;
        t->prefers = true;
        return;
    }
}

/* Where too many wait nobody is kept: 202, as without the wish. */
void accept_run_listen(struct accept_run *t)
{
    if (t->wait_ms > 0 && waiter_begin(t->a->waiters, &t->id, &t->waiter) != 0)
        t->prefers = false;
}

/* true: it is final, and answered. */
static bool answer_final(struct accept_run *t, enum job_state *state, enum accept_outcome o)
{
    struct record_job job;
    struct record_call *calls = NULL;
    size_t n = 0;
    if (reader_read(t->a->reader, &t->id, NULL, &job, &calls, &n) != 0)
        return false;
    bool final = job_is_final(job.state) && strcmp(job.reason, "gone") != 0;
    if (final)
        (void)answer_job(t, &job, calls, n, o);
    else if (!job_is_final(job.state))
        *state = job_view_state(&job);
    free_calls(calls, n);
    record_job_fini(&job);
    return final;
}

int accept_run_settle(struct accept_run *t, enum job_state state, enum accept_outcome o)
{
    int64_t end_ms = clock_mono_ms(t->a->clock) + t->wait_ms;
    bool final = false;
    int err = t->waiter ? 0 : ERR_TIMEOUT;
    if (t->prefers) {
        char applied[32];
        snprintf(applied, sizeof applied, "wait=%lld", (long long)t->wait_ms / 1000);
        http_reply_header(t->r, "Preference-Applied", applied);
    }
    while (!err && !final) {
        err = waiter_sleep(t->waiter, end_ms - clock_mono_ms(t->a->clock));
        final = err != ERR_CLOSED && answer_final(t, &state, o);
    }
    return final ? ACCEPT_RUN_DONE : accept_run_accepted(t, state, o);
}
