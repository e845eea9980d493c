#include "worker/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common/flow_watch.h"
#include "common/log.h"
#include "common/metrics.h"
#include "worker/groups.h"

/* REST_MS: the writer, lease and cancels may still look at a loop whose shard has just ended. */
enum { RUNNING_MAX = 8, RETIRED_MAX = 64, REST_MS = 60000 };
enum { LEFT_MAX = 4, TOPIC_NAME = 250 };

struct retired {
    struct generation *generation;
    int64_t over_ms; /* 0: it still runs */
};

struct reload {
    struct reload_settings s;
    struct flow_load_settings load;
    struct flow_watch watch;
    struct retired retired[RETIRED_MAX];
    size_t retired_n;
    bool asked; /* to run what is there even if it is the same, and it does not yet */
    bool draining;
    struct metric *good, *failed;
    pthread_mutex_t lock; /* of what follows, for other threads */
    struct generation *now;
    int64_t retention_ms;            /* the longest there was */
    char refused[TOPIC_WARNING];     /* why the files as they are do not run; "": they do */
    char left[LEFT_MAX][TOPIC_NAME]; /* topics that flows had before; "": free */
};

/* ---- reading */

static void refuse(struct reload *r, const char *why)
{
    flow_watch_again(&r->watch);
    pthread_mutex_lock(&r->lock);
    snprintf(r->refused, sizeof r->refused, "reload-failed: %s", why);
    pthread_mutex_unlock(&r->lock);
    metrics_add(r->failed, 1);
    log_error("reload-failed", "why", why, "means",
              "the flows read before go on; mend this, it is read again every 15 s");
}

static int read_files(struct reload *r, struct generation_flows *out, char why[PREFLIGHT_WHY])
{
    struct findings findings;
    findings_init(&findings);
    int err = flow_load(&r->load, &findings, &out->set);
    if (err == ERR_INVALID)
        findings_first(&findings, why, PREFLIGHT_WHY);
    findings_fini(&findings);
    return err;
}

static int ask_servers(struct reload *r, struct generation_flows *out, char why[PREFLIGHT_WHY])
{
    int err = preflight_only(r->s.settings, out->set, why);
    if (!err)
        err = preflight_topics(&r->s.broker, out->set, &out->topics, why);
    return err ? err : preflight_databases(r->s.settings, out->set, NULL, why);
}

static void retire(struct reload *r)
{
    generation_retire(r->now);
    r->retired[r->retired_n++] = (struct retired){.generation = r->now};
}

/* With the lock, or alone. */
static void set_now(struct reload *r, struct generation *next)
{
    int64_t retention_ms = generation_flows_of(next)->topics.retention_ms;
    r->now = next;
    if (retention_ms > r->retention_ms)
        r->retention_ms = retention_ms;
}

/* ---- topics that are read no more: records wait there, and later rounds still go there */

static bool is_read(const struct reload *r, const struct flow_set *set, const char *topic)
{
    const struct shard_settings *s = &r->s.generation.thread.shard;
    for (size_t i = 0; i < set->flows_n; i++)
        if (groups_wants(&set->flows[i], s->only, s->only_n) &&
            strcmp(set->flows[i].topic.name, topic) == 0)
            return true;
    return false;
}

/* With the lock. Beyond LEFT_MAX the log alone says it. */
static void keep_left(struct reload *r, const char *topic)
{
    for (int i = 0; i < LEFT_MAX; i++) {
        if (r->left[i][0])
            continue;
        snprintf(r->left[i], TOPIC_NAME, "%s", topic);
        return;
    }
}

/* With the lock. */
static void find_left(struct reload *r, const struct flow_set *before, const struct flow_set *next)
{
    for (int i = 0; i < LEFT_MAX; i++)
        if (is_read(r, next, r->left[i]))
            r->left[i][0] = 0;
    for (size_t i = 0; i < before->flows_n; i++) {
        const struct flow *f = &before->flows[i];
        if (!is_read(r, before, f->topic.name) || is_read(r, next, f->topic.name))
            continue;
        keep_left(r, f->topic.name);
        log_warn("topic-left", "flow", f->name, "topic", f->topic.name, "means",
                 "what it and its .retry still hold, and later rounds of open jobs, are not read");
    }
}

static void replace(struct reload *r, struct generation *next)
{
    size_t flows = generation_flows_of(next)->set->flows_n;
    retire(r);
    pthread_mutex_lock(&r->lock);
    find_left(r, generation_flows_of(r->now)->set, generation_flows_of(next)->set);
    set_now(r, next);
    r->refused[0] = 0;
    pthread_mutex_unlock(&r->lock);
    r->asked = false;
    metrics_add(r->good, 1);
    log_info("reloaded", "flows", log_number((long long)flows));
}

/* Touched, written again as it was, or a mistake taken back: no rebalance for that. */
static bool is_running(const struct reload *r, const struct flow_set *set)
{
    return !r->asked && flow_set_same(generation_flows_of(r->now)->set, set);
}

static void keep(struct reload *r)
{
    pthread_mutex_lock(&r->lock);
    r->refused[0] = 0;
    pthread_mutex_unlock(&r->lock);
    metrics_add(r->good, 1);
    log_info("reload-same", "means", "the files are as those that run: all goes on");
}

static int find_room(const struct reload *r, char why[PREFLIGHT_WHY])
{
    size_t running = 0;
    for (size_t i = 0; i < r->retired_n; i++)
        running += r->retired[i].over_ms == 0;
    if (running >= RUNNING_MAX)
        snprintf(why, PREFLIGHT_WHY, "jobs of %d sets before still run", RUNNING_MAX);
    else if (r->retired_n == RETIRED_MAX)
        snprintf(why, PREFLIGHT_WHY, "%d sets were replaced within a minute", RETIRED_MAX);
    else
        return 0;
    return ERR_FULL;
}

static void collect(struct reload *r);

static void read_again(struct reload *r)
{
    struct generation_flows flows = {0};
    struct generation *next = NULL;
    char why[PREFLIGHT_WHY] = "";
    if (r->draining)
        return;
    collect(r);
    flow_watch_mark(&r->watch);
    int err = read_files(r, &flows, why);
    if (!err && is_running(r, flows.set)) {
        generation_flows_fini(&flows);
        keep(r);
        return;
    }
    if (!err)
        err = find_room(r, why);
    if (!err)
        err = ask_servers(r, &flows, why);
    if (err)
        generation_flows_fini(&flows);
    else
        err = generation_start(&r->s.generation, &flows, &next);
    if (!err) {
        replace(r, next);
        return;
    }
    if (next) /* some of its shards had begun: it rests as those before */
        r->retired[r->retired_n++] =
            (struct retired){.generation = next, .over_ms = clock_mono_ms(clock_real())};
    refuse(r, why[0] ? why : err_text(err));
}

void reload_read(struct reload *r)
{
    r->asked = true;
    read_again(r);
}

/* ---- those before */

static void collect(struct reload *r)
{
    int64_t now = clock_mono_ms(clock_real());
    size_t kept = 0;
    for (size_t i = 0; i < r->retired_n; i++) {
        struct retired *one = &r->retired[i];
        if (!one->over_ms && generation_is_over(one->generation)) {
            generation_join(one->generation);
            one->over_ms = now;
            log_info("retired");
        }
        if (one->over_ms && now - one->over_ms > REST_MS)
            generation_free(one->generation);
        else
            r->retired[kept++] = *one;
    }
    r->retired_n = kept;
}

void reload_tick(struct reload *r)
{
    if (r->draining)
        return;
    collect(r);
    generation_look(r->now);
    for (size_t i = 0; i < r->retired_n; i++)
        if (!r->retired[i].over_ms)
            generation_look(r->retired[i].generation);
    if (flow_watch_changed(&r->watch))
        read_again(r);
}

/* ---- life */

int reload_start(const struct reload_settings *s, struct generation_flows *flows,
                 struct reload **out)
{
    struct reload *r = calloc(1, sizeof *r);
    if (!r) {
        generation_flows_fini(flows);
        return ERR_NOMEM;
    }
    r->s = *s;
    r->load = (struct flow_load_settings){.flows_dir = s->settings->flows,
                                          .upstreams_file = s->settings->upstreams,
                                          .secrets_dir = s->settings->secrets};
    pthread_mutex_init(&r->lock, NULL);
    flow_watch_init(&r->watch, &r->load);
    r->good = metrics_counter("offpath_reloads_total", "result=\"ok\"", "sets of files read again");
    r->failed =
        metrics_counter("offpath_reloads_total", "result=\"failed\"", "sets of files read again");
    struct generation *first = NULL;
    int err = generation_start(&s->generation, flows, &first);
    if (err) {
        r->now = first;
        reload_free(r);
        return err;
    }
    set_now(r, first);
    *out = r;
    return 0;
}

void reload_drain(struct reload *r, int64_t drain_ms)
{
    r->draining = true;
    generation_drain(r->now, drain_ms);
    for (size_t i = 0; i < r->retired_n; i++)
        generation_drain(r->retired[i].generation, drain_ms);
}

bool reload_is_over(struct reload *r)
{
    bool over = generation_is_over(r->now);
    for (size_t i = 0; i < r->retired_n; i++)
        over &= generation_is_over(r->retired[i].generation);
    return over;
}

void reload_join(struct reload *r)
{
    generation_join(r->now);
    for (size_t i = 0; i < r->retired_n; i++)
        if (!r->retired[i].over_ms)
            generation_join(r->retired[i].generation);
}

void reload_free(struct reload *r)
{
    if (!r)
        return;
    generation_free(r->now);
    for (size_t i = 0; i < r->retired_n; i++)
        generation_free(r->retired[i].generation);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

/* ---- for other threads */

void reload_warnings(struct reload *r, struct topic_warnings *out)
{
    pthread_mutex_lock(&r->lock);
    *out = generation_flows_of(r->now)->topics.warnings;
    for (int i = 0; i < LEFT_MAX; i++) {
        char text[TOPIC_WARNING];
        snprintf(text, sizeof text, "topic-left: nobody here reads %.80s any more, nor its .retry",
                 r->left[i]);
        if (r->left[i][0])
            topic_warnings_say(out, text);
    }
    if (r->refused[0])
        topic_warnings_say(out, r->refused);
    pthread_mutex_unlock(&r->lock);
}

int64_t reload_retention_ms(struct reload *r)
{
    pthread_mutex_lock(&r->lock);
    int64_t ms = r->retention_ms;
    pthread_mutex_unlock(&r->lock);
    return ms;
}

uint64_t reload_worker(struct reload *r)
{
    pthread_mutex_lock(&r->lock);
    uint64_t worker = shard_thread_worker(generation_shard(r->now, 0));
    pthread_mutex_unlock(&r->lock);
    return worker;
}
