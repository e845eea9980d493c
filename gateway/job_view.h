/* job_view.h - a job as clients see it (JSON), made from its row, its ledger and what the flow
 * declares. Pure; any thread. */
#pragma once
#include "common/buf.h"
#include "common/flow.h"
#include "common/record.h"
#include "gateway/etas.h"

struct job_view {
    const struct record_job *job;
    const struct record_call *calls; /* its ledger, in any order */
    size_t calls_n;
    const struct flow *flow;   /* NULL: no such flow is loaded any more */
    const char *public_url;    /* before links; "" for relative ones */
    bool tries;                /* ?include=attempts: each call has tries[] */
    const struct eta_now *eta; /* of an open job; NULL: not known */
};

/* {id, flow, flow_version, state, reason, message, created, deadline, started, finished, calls,
 * result, links}, eta if it is known, and retry_at of a job that will run again. An open job's
 * calls: what the ledger has finished; each declared call without such an entry once, `running` or,
 * as long as one of its `after` has none either, `waiting`. A final job's: its stored list, results
 * from the ledger. max_attempts is of the flow as it is loaded, and left out when it has no such
 * call. Check out with buf_ok. ERR_BUG: the stored list is no JSON. */
int job_view_print(const struct job_view *v, struct buf *out) must_use;
/* One finished call as in calls[], from its row of the ledger. */
void job_view_print_call(const struct record_call *c, struct buf *out);
/* Is it over as far as can be told? What may be retried is, until the job's next round. */
bool job_view_is_finished(const struct record_job *job, const struct record_call *c);
/* Of a final job: each call of its stored list without a finished row (skipped, ended by the end of
 * the job, not recorded). entry: lent until fn returns. A list that is none has no such calls. */
typedef void job_view_entry_fn(void *arg, const char *entry, size_t len);
void job_view_unrecorded(const struct record_job *job, const struct record_call *calls, size_t n,
                         job_view_entry_fn *fn, void *arg);
/* A row of a list: the same without calls; result_bytes: the length of a result that is left out
 * (job->result is NULL). */
void job_view_print_row(const struct record_job *job, const char *public_url, struct buf *out);
/* A job that is accepted but has no row yet: queued, null for what only the row knows. */
void job_view_unregistered(const struct job_id *id, const char *public_url, struct buf *out);
/* {id, flow, state, links} of a 202. */
void job_view_accepted(const struct job_id *id, const char *flow, enum job_state state,
                       const char *public_url, struct buf *out);

/* queued and round > 0 is shown as running: it will be retried. */
enum job_state job_view_state(const struct record_job *job);

enum { JOB_VIEW_ETAG = 35 };
/* Strong entity tag of a body, quotes included. */
void job_view_etag(const void *body, size_t len, char out[JOB_VIEW_ETAG]);
