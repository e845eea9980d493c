#include "worker/shard.h"
#include "common/log.h"
#include "worker/due_timer.h"
#include "worker/groups.h"
#include "common/live.h"
#include "worker/shard_gauges.h"

#include <stdlib.h>

enum { TICK_MS = 1000, LEAVE_MS = 50, LAST_WRITES_MS = 5000 };

struct shard {
    struct shard_settings s;
    struct job_env env;
    struct due_timer due;
    struct loop_timer *tick, *drain;
    struct jobs jobs;
    int64_t bytes; /* of records and jobs */
    struct intake intake;
    struct consumer **consumers;
    size_t consumers_n;
    bool leaving, giving_back, gone;
    bool walking; /* over all jobs: none may be added */
    struct cancels_shard *cancels;
    struct metric *records;
    struct shard_gauges gauges;
};

/* ---- records in */

static void look_at_intake(struct shard *s)
{
    intake_jobs(&s->intake, (int64_t)s->jobs.n, s->bytes + job_env_bytes(&s->env));
    intake_rows(&s->intake, (int64_t)writer_waiting(s->s.writer),
                (int64_t)writer_waiting_bytes(s->s.writer));
    intake_calls(&s->intake, call_gates_fill(&s->env.calls, false),
                 call_gates_fill(&s->env.calls, true));
}

static bool is_shut(void *arg, bool refills)
{
    struct shard *s = arg;
    look_at_intake(s);
    return intake_shut(&s->intake, refills) || s->leaving;
}

static bool is_refills(void *arg, const char *topic)
{
    return groups_is_refill(((const struct shard *)arg)->s.set, topic);
}

static int begin(struct shard *s, const struct claim *c, struct partition *p,
                 const struct broker_record *r)
{
    struct job_run *j = NULL;
    int err = job_run_new(&s->env, c, p, r, &j);
    if (err)
        return err;
    if (jobs_add(&s->jobs, j)) {
        job_run_free(j);
        return ERR_NOMEM;
    }
    s->bytes += job_run_bytes(j);
    job_run_begin(j);
    return 0;
}

static int take(void *arg, struct partition *p, const struct broker_record *r)
{
    struct shard *s = arg;
    struct claim c;
    metrics_add(s->records, 1);
    if (claim_decode(s->s.set, r, &c)) {
        log_error("record-without-flow", "topic", r->topic);
        consumer_done(p, r->offset);
        return 0;
    }
    claim_foreign(&c, r, s->s.issuer);
    struct job_run *here = jobs_find(&s->jobs, &c.event.job, c.event.round);
    if (here)
        return job_run_join(here, &c, p, r->offset);
    return begin(s, &c, p, r);
}

/* ---- jobs out */

static void check_closed(struct shard *s);
static void leave_group(struct shard *s);

static void reopen(struct shard *s)
{
    if (intake_shut(&s->intake, true) && !is_shut(s, false))
        for (size_t i = 0; i < s->consumers_n; i++)
            consumer_adjust(s->consumers[i]);
}

/* Jobs may leave meanwhile. */
static void each_job(struct shard *s, void (*fn)(void *arg, struct job_run *j), void *arg)
{
    s->walking = true;
    jobs_each(&s->jobs, fn, arg);
    s->walking = false;
    reopen(s);
}

static void gone(void *arg, struct job_run *j, bool done)
{
    struct shard *s = arg;
    struct log_ids before = log_scope(NULL, NULL); /* other records may come in now */
    if (done)
        job_run_done(j);
    jobs_remove(&s->jobs, j);
    s->bytes -= job_run_bytes(j);
    if (!s->walking)
        reopen(s);
    check_closed(s);
    log_scope_restore(&before);
}

/* ---- partitions leave */

static void lose_place(void *arg, struct job_run *j)
{
    job_run_lose(j, arg);
}

static void partition_revoked(void *arg, struct partition *p)
{
    each_job(arg, lose_place, p);
}

static void consumer_fatal(void *arg, const char *why)
{
    struct shard *s = arg;
    s->s.fatal(s->s.arg, why);
}

/* ---- lease */

static bool may_start(void *arg)
{
    const struct shard *s = arg;
    return s->env.lease && lease_good(s->env.lease); /* a gate may look once more after the end */
}

static uint64_t whose(void *arg)
{
    return ((const struct shard *)arg)->s.signs->worker;
}

static void lease_held(void *arg, uint64_t worker)
{
    struct shard *s = arg;
    s->s.signs->worker = worker;
    call_gates_look(&s->env.calls, *s->s.shares); /* before its first call */
    log_info("lease-held", "worker", log_number((long long)worker));
    job_env_resume(&s->env);
}

static void lease_late(void *arg, bool late)
{
    struct shard *s = arg;
    log_warn(late ? "lease-late" : "lease-renewed");
    if (!late)
        job_env_resume(&s->env);
}

static void restart(void *arg, struct job_run *j)
{
    (void)arg;
    job_run_restart(j);
}

static void lease_lost(void *arg, uint64_t worker)
{
    struct shard *s = arg;
    s->s.signs->worker = 0;
    log_error("lease-lost", "worker", log_number((long long)worker));
    each_job(s, restart, s);
}

/* ---- every second */

static void show(struct shard *s)
{
    struct consumer_numbers n = {0};
    for (size_t i = 0; i < s->consumers_n; i++)
        consumer_count(s->consumers[i], &n);
    shard_gauges_show(&s->gauges, GAUGE_JOBS, (int64_t)s->jobs.n);
    shard_gauges_show(&s->gauges, GAUGE_BYTES, s->bytes + job_env_bytes(&s->env));
    shard_gauges_show(&s->gauges, GAUGE_PARTITIONS, n.partitions);
    shard_gauges_show(&s->gauges, GAUGE_PAUSED, n.paused);
    shard_gauges_show(&s->gauges, GAUGE_UNFINISHED, n.unfinished);
}

static void tick(void *arg)
{
    struct shard *s = arg;
    s->s.signs->beat_ms = loop_now_ms(s->s.loop);
    if (s->leaving && s->consumers_n)
        leave_group(s);
    const char *trouble = NULL;
    for (size_t i = 0; i < s->consumers_n; i++) {
        consumer_tick(s->consumers[i]);
        trouble = trouble ? trouble : consumer_trouble(s->consumers[i]);
    }
    s->s.signs->trouble = trouble;
    call_gates_look(&s->env.calls, *s->s.shares);
    if (s->env.held.head && !s->leaving && lease_good(s->env.lease))
        job_env_resume(&s->env);
    else if (!s->gone)
        call_gates_pump(&s->env.calls); /* the lease was late for a moment, and nobody noticed */
    show(s);
}

static void asked_to_cancel(void *arg, const struct job_id *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        shard_cancel(arg, &ids[i]);
}

static void control(void *arg, const char *channel, const char *message, size_t len)
{
    struct job_id id;
    (void)channel;
    if (message && live_parse_cancel(message, len, &id) == 0)
        shard_cancel(arg, &id);
}

void shard_cancel(struct shard *s, const struct job_id *id)
{
    struct job_run *j;
    while ((j = jobs_find_uncancelled(&s->jobs, id)) != NULL)
        job_run_cancel(j);
}

/* ---- open */

static int open_group(struct shard *s, const struct group *g)
{
    const struct consumer_settings c = {
        .group = g->name,
        .topics = (const char *const *)g->topics,
        .topics_n = g->topics_n,
        .open = s->s.open,
        .open_arg = s->s.open_arg,
        .loop = s->s.loop,
        .events = {.arg = s,
                   .take = take,
                   .revoked = partition_revoked,
                   .is_refills = is_refills,
                   .shut = is_shut,
                   .fatal = consumer_fatal},
    };
    int err = consumer_open(&c, &s->consumers[s->consumers_n]);
    if (!err)
        s->consumers_n++;
    return err;
}

static int open_consumers(struct shard *s)
{
    struct groups groups;
    int err = groups_init(&groups, s->s.set, s->s.only, s->s.only_n);
    if (err)
        return err;
    s->consumers = calloc(groups.n ? groups.n : 1, sizeof(struct consumer *));
    err = s->consumers ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < groups.n && !err; i++)
        err = open_group(s, &groups.list[i]);
    groups_fini(&groups);
    return err;
}

static int open_timers(struct shard *s)
{
    s->tick = loop_timer_new(s->s.loop, tick, s);
    if (!s->tick)
        return ERR_NOMEM;
    loop_timer_set(s->s.loop, s->tick, TICK_MS, TICK_MS);
    return due_timer_init(&s->due, s->s.loop);
}

static void fill_env(struct shard *s)
{
    job_env_fill(&s->env, &s->s, &s->due.due);
    s->env.calls.may_start = may_start;
    s->env.calls.worker = whose;
    s->env.calls.arg = s;
    s->env.gone = gone;
    s->env.jobs = &s->jobs;
    s->env.arg = s;
}

static void give_up(struct shard *s)
{
    for (size_t i = 0; i < s->consumers_n; i++)
        consumer_close(s->consumers[i]);
    shard_free(s);
}

int shard_open(const struct shard_settings *settings, struct shard **out)
{
    struct shard *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->s = *settings;
    s->s.signs->beat_ms = loop_now_ms(settings->loop);
    intake_init(&s->intake, settings->jobs_max ? settings->jobs_max : SHARD_JOBS,
                settings->bytes_max ? settings->bytes_max : SHARD_BYTES);
    s->records = metrics_counter("offpath_records_total", "", "records taken from Kafka");
    shard_gauges_init(&s->gauges);
    fill_env(s);
    const struct lease_events events = {
        .arg = s, .held = lease_held, .late = lease_late, .lost = lease_lost};
    int err = open_timers(s);
    if (!err)
        err = call_gates_open(&s->env.calls, s->s.set, *s->s.shares);
    if (!err)
        err = job_env_open(&s->env);
    if (!err)
        err = cancels_join(s->s.cancels, s->s.loop, asked_to_cancel, s, &s->cancels);
    if (!err)
        err = open_consumers(s);
    if (!err) /* last: it is not left without the loop */
        err = lease_join(s->s.lease, s->s.loop, &events, &s->env.lease);
    if (!err && s->s.cache && cache_subscribe(s->s.cache, "op:ctl", control, s))
        log_warn("no-control-channel"); /* cancels are read from the record as well */
    if (err)
        give_up(s);
    else
        *out = s;
    return err;
}

/* ---- drain */

static void left(void *arg)
{
    struct shard *s = arg;
    s->env.lease = NULL;
    s->s.closed(s->s.arg, s);
}

static void check_closed(struct shard *s)
{
    if (!s->leaving || s->gone || s->jobs.n || s->consumers_n)
        return;
    s->gone = true;
    loop_timer_stop(s->s.loop, s->drain);
    lease_leave(s->env.lease, left, s);
}

static void release(void *arg, struct job_run *j)
{
    (void)arg;
    job_run_release(j);
}

static void forget_all(void *arg, struct job_run *j)
{
    (void)arg;
    log_warn("job-left-behind", "job", job_run_id(j)); /* its last write never came back */
}

static void abandon(void *arg, struct job_run *j)
{
    (void)arg;
    job_run_abandon(j);
}

/* One at a time: without a broker each takes seconds, and the lease is renewed between them. */
static void leave_group(struct shard *s)
{
    consumer_close(s->consumers[--s->consumers_n]);
    if (s->consumers_n) {
        loop_timer_set(s->s.loop, s->tick, LEAVE_MS, TICK_MS);
        return;
    }
    each_job(s, abandon, s);
    check_closed(s);
}

static void drain_over(void *arg)
{
    struct shard *s = arg;
    while (s->consumers_n)
        leave_group(s);
    if (s->gone)
        return;
    if (!s->giving_back) {
        s->giving_back = true;
        log_info("drain-over", "jobs", log_number((long long)s->jobs.n));
        loop_timer_set(s->s.loop, s->drain, LAST_WRITES_MS, 0);
        each_job(s, release, s);
    } else {
        jobs_each(&s->jobs, forget_all, s);
        s->gone = true;
        lease_leave(s->env.lease, left, s);
    }
}

void shard_drain(struct shard *s, int64_t drain_ms)
{
    if (!s->drain)
        s->drain = loop_timer_new(s->s.loop, drain_over, s);
    if (!s->drain || s->gone)
        return;
    loop_timer_set(s->s.loop, s->drain, drain_ms, 0);
    if (s->leaving)
        return;
    s->leaving = true;
    s->env.draining = true;
    for (size_t i = 0; i < s->consumers_n; i++)
        consumer_adjust(s->consumers[i]); /* nothing comes in any more */
    if (s->consumers_n)
        leave_group(s);
    else
        check_closed(s);
}

void shard_free(struct shard *s)
{
    if (!s)
        return;
    if (s->s.cache)
        cache_unsubscribe(s->s.cache, "op:ctl", control, s);
    if (s->cancels)
        cancels_leave(s->s.cancels, s->cancels);
    shard_gauges_clear(&s->gauges);
    loop_timer_free(s->s.loop, s->drain);
    loop_timer_free(s->s.loop, s->tick);
    call_gates_close(&s->env.calls);
    job_env_close(&s->env);
    due_timer_fini(&s->due);
    free(s->consumers);
    jobs_fini(&s->jobs);
    free(s);
}

size_t shard_jobs(const struct shard *s)
{
    return s->jobs.n;
}
