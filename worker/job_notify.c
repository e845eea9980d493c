/* The text of `notify`: for the owner's stream, and the job's message. */
#include "common/log.h"
#include "worker/job_parts.h"

#include <stdlib.h>

enum { NOTICE_MAX = 16 << 10 }; /* the record keeps 500 characters */

/* `$error` */
static struct json *error_value(const struct job_ending *e)
{
    const char *message = e->detail ? e->detail : reason_for_user(e->reason);
    struct json *v = json_new_object();
    if (v && (json_put(v, "code", json_new_text(reason_code(e->reason))) ||
              json_put(v, "message", json_new_text(message)))) {
        json_free(v);
        return NULL;
    }
    return v;
}

static char *render(const struct job_run *j, struct template *t, const struct expr_vars *vars)
{
    struct expr_error error = {0};
    struct buf text;
    buf_init(&text, NOTICE_MAX);
    int err = template_render_text(t, vars, &text, &error);
    if (err)
        log_warn("notify", "flow", j->claim.flow->name, "error",
                 err == ERR_EXPRESSION ? expr_error_plain(&error) : err_text(err));
    char *out = err ? NULL : buf_take(&text, NULL);
    buf_fini(&text);
    return out;
}

/* Of a job that did not end well the calls may still be as they were. */
static struct json *calls_value(struct job_run *j, struct template *t)
{
    struct json *calls = NULL;
    bool used = template_uses(t) & VAR_BIT(VAR_CALLS);
    if (used && j->calls && outcome_variable(j->claim.flow, j->calls, &calls))
        return NULL;
    return calls;
}

void job_notify_compute(struct job_run *j, struct job_ending *e)
{
    bool well = e->state == JOB_SUCCEEDED || e->state == JOB_PARTIAL;
    const struct flow *f = j->claim.flow;
    struct template *t = well ? f->notify.done : f->notify.failed;
    if (!t || e->notice || j->claim.event.refill)
        return;
    struct expr_vars vars = j->vars;
    struct json *error = well ? NULL : error_value(e), *calls = well ? NULL : calls_value(j, t);
    vars.value[VAR_ERROR] = error;
    if (!well)
        vars.value[VAR_CALLS] = calls;
    e->notice = render(j, t, &vars);
    json_free(error);
    json_free(calls);
}
