#include "worker/job_sql.h"

#include <stdlib.h>

enum { AGAIN_MIN_MS = 100, AGAIN_MAX_MS = 2000 };

static void done(void *arg)
{
    struct job_sql *s = arg;
    struct job_run *j = s->job;
    struct log_ids before = job_scope(j);
    j->writes--;
    if (j->phase != PHASE_DROPPED) {
        s->back(j, s);
    } else {
        if (s->too_late)
            s->too_late(j, s);
        job_dropped(j);
    }
    job_sql_free(s);
    log_scope_restore(&before);
}

struct job_sql *job_sql_new(struct job_run *j, enum sql_kind kind, job_sql_fn *back)
{
    struct job_sql *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->op.kind = kind;
    s->op.loop = j->env->loop;
    s->op.done = done;
    s->op.arg = s;
    s->op.step = -1;
    s->op.job = j->claim.event.job;
    s->job = j;
    s->back = back;
    return s;
}

void job_sql_put(struct job_sql *s)
{
    s->job->writes++;
    databases_put(s->job->env->databases, &s->op);
}

void job_sql_free(struct job_sql *s)
{
    json_free(s->op.rows);
    json_free(s->params);
    saves_put(s->saves);
    free(s);
}

bool job_sql_again(struct job_run *j, int status, due_fn *fn)
{
    if (status != ERR_IO && status != ERR_OUTCOME_UNKNOWN && status != ERR_CONFLICT &&
        status != ERR_NOMEM) {
        j->again_ms = 0;
        return false;
    }
    j->again_ms = j->again_ms ? j->again_ms * 2 : AGAIN_MIN_MS;
    if (j->again_ms > AGAIN_MAX_MS)
        j->again_ms = AGAIN_MAX_MS;
    j->again = (struct due_item){.fn = fn, .arg = j};
    return due_set(j->env->due, &j->again, loop_now_ms(j->env->loop) + j->again_ms) == 0;
}

static bool is_own(void *arg, const struct database *d)
{
    return databases_is_own(arg, d);
}

struct saves_world job_saves_world(const struct job_run *j)
{
    return (struct saves_world){.set = j->env->set, .is_own = is_own, .arg = j->env->databases};
}
