/* What all jobs of a shard share: facts of the flows, counters, the copy of a record. */
#include "common/metrics.h"
#include "worker/job_parts.h"
#include "worker/shard.h"
#include "worker/weight.h"

#include <stdlib.h>
#include <string.h>

enum { CALL_WEIGHT = 2048 };

static unsigned uses_of(const struct flow *f)
{
    unsigned uses = f->result ? expr_uses(f->result) : 0;
    if (f->pool.key)
        uses |= expr_uses(f->pool.key);
    if (f->cache.key)
        uses |= expr_uses(f->cache.key);
    for (size_t i = 0; i < f->calls_n; i++)
        uses |= flow_call_uses(&f->calls[i]);
    return uses | flow_sql_uses(f) | flow_emit_uses(f);
}

static void facts_init(struct flow_facts *facts, const struct flow *f)
{
    struct buf b;
    facts->uses = uses_of(f);
    budget_init(&facts->budget);
    buf_init(&b, 256);
    for (int s = JOB_SUCCEEDED; s <= JOB_EXPIRED; s++) {
        buf_clear(&b);
        buf_printf(&b, "flow=\"%s\",state=\"%s\"", f->name, job_state_name((enum job_state)s));
        facts->by_state[s - JOB_SUCCEEDED] =
            metrics_counter("offpath_jobs_finished_total", buf_str(&b),
                            "jobs by the final state that their workers gave them");
    }
    buf_clear(&b);
    buf_printf(&b, "flow=\"%s\"", f->name);
    facts->again = metrics_counter("offpath_jobs_again_total", buf_str(&b),
                                   "jobs that wait for a later round");
    facts->seconds =
        metrics_histogram("offpath_job_seconds", buf_str(&b), "from acceptance to the final state");
    buf_fini(&b);
}

void job_env_fill(struct job_env *env, const struct shard_settings *s, struct due *due)
{
    *env = (struct job_env){
        .calls = {.http = s->http,
                  .clock = s->loop->clock,
                  .cache = s->cache,
                  .due = due,
                  .rng = s->rng,
                  .calls_max = s->calls_max},
        .due = due,
        .loop = s->loop,
        .writer = s->writer,
        .databases = s->databases,
        .cache = s->cache,
        .watch = s->watch,
        .set = s->set,
        .relay = s->relay,
        .limits = s->limits,
        .retention_ms = s->retention_ms,
        .ahead_us = s->ahead_us,
    };
}

int job_env_open(struct job_env *env)
{
    static const char *const verdicts[] = {"verdict=\"run\"", "verdict=\"final\"",
                                           "verdict=\"stale\"", "verdict=\"conflict\"",
                                           "verdict=\"watch\""};
    size_t n = env->set->flows_n;
    env->facts = calloc(n ? n : 1, sizeof *env->facts);
    if (!env->facts)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        facts_init(&env->facts[i], &env->set->flows[i]);
    for (size_t i = 0; i < sizeof verdicts / sizeof verdicts[0]; i++)
        env->metrics.verdict[i] =
            metrics_counter("offpath_claims_total", verdicts[i], "claims by what the row said");
    env->metrics.bad =
        metrics_counter("offpath_bad_records_total", "", "records that could not be run");
    env->metrics.restarted = metrics_counter("offpath_jobs_restarted_total", "",
                                             "jobs claimed anew: lease lost or row changed");
    return 0;
}

void job_env_close(struct job_env *env)
{
    free(env->facts);
    env->facts = NULL;
}

int64_t job_run_bytes(const struct job_run *j)
{
    return (int64_t)(sizeof *j + j->record->bytes + j->record->tree +
                     j->claim.flow->calls_n * CALL_WEIGHT);
}

int64_t job_env_bytes(const struct job_env *env)
{
    return env->kept + env->calls.held;
}

int job_record_copy(const struct broker_record *r, struct job_record **out)
{
    struct buf headers;
    buf_init(&headers, 0);
    int err = record_headers_pack(r->headers, r->headers_n, &headers);
    if (err == ERR_TOO_LARGE)
        err = 0; /* without them */
    size_t key_len = r->key ? r->key_len : 0, topic_size = strlen(r->topic) + 1;
    size_t bytes = sizeof(struct job_record) + key_len + r->value_len + headers.len + topic_size;
    struct job_record *c = err ? NULL : malloc(bytes);
    if (c) {
        char *p = (char *)(c + 1);
        char *topic = p + key_len + r->value_len + headers.len;
        *c = (struct job_record){.topic = topic,
                                 .partition = r->partition,
                                 .offset = r->offset,
                                 .key = r->key ? p : NULL,
                                 .value = p + key_len,
                                 .headers = p + key_len + r->value_len,
                                 .key_len = key_len,
                                 .value_len = r->value_len,
                                 .headers_len = headers.len,
                                 .bytes = bytes,
                                 .tree = weight_of_text(r->value, r->value_len)};
        if (key_len)
            memcpy(p, r->key, key_len);
        if (r->value_len)
            memcpy(p + key_len, r->value, r->value_len);
        if (headers.len)
            memcpy(p + key_len + r->value_len, headers.data, headers.len);
        memcpy(topic, r->topic, topic_size);
        *out = c;
    }
    buf_fini(&headers);
    return c ? 0 : err ? err : ERR_NOMEM;
}
