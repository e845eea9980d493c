#include "gateway/serving.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/flow_load.h"
#include "common/log.h"
#include "common/metrics.h"

enum { DESCRIBE_MS = 10000, LAG_EVERY_MS = 5000 };

/* ---- reading */

static int load(const struct options *o, struct findings *f, struct flow_set **out)
{
    const struct flow_load_settings settings = {.flows_dir = o->flows,
                                                .upstreams_file = o->upstreams,
                                                .secrets_dir = o->secrets,
                                                .secrets_away = true}; /* it calls nobody */
    findings_init(f);
    int err = flow_load(&settings, f, out);
    return err == 0 ? EXIT_GOOD : err == ERR_INVALID ? EXIT_FINDINGS : EXIT_BUG;
}

int serving_load(const struct options *o, bool tell, struct flow_set **out, char why[SERVING_WHY])
{
    struct findings findings;
    struct buf text = {0};
    int rc = load(o, &findings, out);
    if (tell)
        findings_print(&findings, isatty(STDERR_FILENO), &text);
    fputs(buf_str(&text), stderr);
    if (tell)
        snprintf(why, SERVING_WHY, "the flow files in %.200s have errors, listed above", o->flows);
    else
        findings_first(&findings, why, SERVING_WHY);
    buf_fini(&text);
    findings_fini(&findings);
    return rc;
}

int serving_check(const struct options *o, bool json)
{
    struct findings findings;
    struct flow_set *flows = NULL;
    struct buf text = {0};
    int rc = load(o, &findings, &flows);
    if (json) {
        findings_print_json(&findings, &text);
    } else {
        findings_print(&findings, isatty(STDOUT_FILENO), &text);
        findings_print_sum(&findings, flows ? flows->flows_n : 0, &text);
    }
    fputs(buf_str(&text), stdout);
    buf_fini(&text);
    findings_fini(&findings);
    flow_set_put(flows);
    return rc;
}

static int check_topics(struct serving *s, const struct options *o, char why[SERVING_WHY])
{
    const struct broker_settings broker = {
        .servers = o->kafka, .client_id = "offpath-gateway", .properties = o->kafka_properties};
    size_t n = s->flows->flows_n;
    struct broker_topic *topics = calloc(n + 1, sizeof *topics);
    s->partitions = calloc(n + 1, sizeof *s->partitions);
    int rc = EXIT_BUG;
    if (!topics || !s->partitions)
        goto out;
    topics_name(s->flows, topics);
    int err = broker_describe(&broker, topics, n, DESCRIBE_MS);
    if (err == ERR_INVALID) {
        snprintf(why, SERVING_WHY, "--kafka or --kafka-properties is not valid, see above");
        rc = EXIT_USAGE;
    } else if (err) {
        snprintf(why, SERVING_WHY, "Kafka at %.200s did not answer; start it, or set --kafka",
                 o->kafka);
        rc = EXIT_DEPENDENCY;
    } else if (topics_check(s->flows, topics, &s->topics) != 0) {
        snprintf(why, SERVING_WHY, "%s", s->topics.why);
        rc = EXIT_DEPENDENCY;
    } else {
        rc = EXIT_GOOD;
    }
    for (size_t i = 0; i < n; i++)
        s->partitions[i] = topics[i].partitions;
out:
    free(topics);
    return rc;
}

int serving_read(const struct options *o, bool tell, struct serving **out, char why[SERVING_WHY])
{
    struct serving *s = calloc(1, sizeof *s);
    if (!s)
        return EXIT_BUG;
    int rc = serving_load(o, tell, &s->flows, why);
    if (!rc)
        rc = check_topics(s, o, why);
    if (rc)
        serving_close(s);
    else
        *out = s;
    return rc;
}

int serving_begin(struct serving *s, const struct options *o, const struct serve *base,
                  struct broker_producer *producer)
{
    const struct admission_settings lag = {.producer = producer,
                                           .cache = base->jobs.cache,
                                           .before = base->accept.admission,
                                           .flows = s->flows,
                                           .partitions = s->partitions,
                                           .clock = clock_real(),
                                           .floor = o->overload_floor,
                                           .every_ms = LAG_EVERY_MS,
                                           .wait_ms = LAG_EVERY_MS};
    if (admission_open(&lag, &s->admission) != 0)
        return EXIT_BUG;
    s->serve = *base;
    s->serve.accept.metrics = NULL; /* those are the other's */
    s->serve.accept.flows = s->serve.jobs.flows = s->flows;
    registrar_keep(s->serve.accept.registrar, s->topics.retention_ms);
    if (s->topics.retention_ms > s->serve.jobs.retention_ms)
        s->serve.jobs.retention_ms = s->topics.retention_ms;
    s->serve.jobs.admission = s->serve.accept.admission = s->admission;
    if (etas_open(s->serve.jobs.cache, clock_real(), s->flows, &s->etas) != 0)
        return EXIT_BUG;
    s->serve.jobs.etas = s->etas;
    s->serve.accept.metrics = accept_metrics_new(s->flows);
    return s->serve.accept.metrics ? EXIT_GOOD : EXIT_BUG;
}

void serving_close(struct serving *s)
{
    if (!s)
        return;
    admission_close(s->admission);
    etas_close(s->etas);
    free(s->serve.accept.metrics);
    free(s->partitions);
    flow_set_put(s->flows);
    free(s);
}

/* ---- the current one */

void serving_box_init(struct serving_box *b, struct serving *first)
{
    *b = (struct serving_box){.now = first};
    admission_show(first->admission);
    pthread_mutex_init(&b->lock, NULL);
    b->good =
        metrics_counter("offpath_reloads_total", "result=\"ok\"", "Sets of files read again.");
    b->failed =
        metrics_counter("offpath_reloads_total", "result=\"failed\"", "Sets of files read again.");
}

void serving_box_fini(struct serving_box *b)
{
    for (size_t i = 0; i < b->old_n; i++)
        serving_close(b->old[i]);
    serving_close(b->now);
    pthread_mutex_destroy(&b->lock);
}

struct serving *serving_take(struct serving_box *b)
{
    pthread_mutex_lock(&b->lock);
    struct serving *s = b->now;
    s->users++;
    pthread_mutex_unlock(&b->lock);
    return s;
}

void serving_give(struct serving_box *b, struct serving *s)
{
    pthread_mutex_lock(&b->lock);
    s->users--;
    pthread_mutex_unlock(&b->lock);
}

static struct serving *of_accept(const struct accept *a)
{
    return (struct serving *)((char *)(uintptr_t)a - offsetof(struct serving, serve.accept));
}

void serving_enter(void *arg, const struct accept *a)
{
    struct serving_box *b = arg;
    pthread_mutex_lock(&b->lock);
    of_accept(a)->users++;
    pthread_mutex_unlock(&b->lock);
}

void serving_leave(void *arg, const struct accept *a)
{
    serving_give(arg, of_accept(a));
}

void serving_title(void *arg, const char *flow, char out[FEED_TITLE])
{
    struct serving *s = serving_take(arg);
    const struct flow *f = flow_by_name(s->flows, flow);
    snprintf(out, FEED_TITLE, "%s", f && f->title ? f->title : "");
    serving_give(arg, s);
}

void serving_warnings(struct serving_box *b, struct topic_warnings *out)
{
    pthread_mutex_lock(&b->lock);
    *out = b->now->topics.warnings;
    if (b->refused[0])
        topic_warnings_say(out, b->refused);
    pthread_mutex_unlock(&b->lock);
}

/* ---- reload */

static void refuse(struct serving_box *b, const char *why)
{
    pthread_mutex_lock(&b->lock);
    snprintf(b->refused, sizeof b->refused, "reload-failed: %s", why);
    pthread_mutex_unlock(&b->lock);
    metrics_add(b->failed, 1);
    log_error("reload-failed", "why", why, "means",
              "the flows read before go on; mend this, it is read again every 15 s");
}

static void replace(struct serving_box *b, struct serving *next)
{
    admission_stop(b->now->admission); /* over by the time that its last request is */
    b->old[b->old_n++] = b->now;
    pthread_mutex_lock(&b->lock);
    b->now = next;
    b->refused[0] = 0;
    pthread_mutex_unlock(&b->lock);
    admission_show(next->admission); /* only now: a set that is refused has none */
    metrics_add(b->good, 1);
    log_info("reloaded", "flows", log_number((long long)next->flows->flows_n));
}

bool serving_reload(struct serving_box *b, const struct options *o,
                    struct broker_producer *producer)
{
    struct serving *next = NULL;
    char why[SERVING_WHY] = "out of memory";
    serving_collect(b);
    if (b->old_n == SERVING_OLD_MAX) {
        refuse(b, "requests still hold sets that were replaced before");
        return false;
    }
    int rc = serving_read(o, false, &next, why);
    if (!rc)
        rc = serving_begin(next, o, &b->now->serve, producer);
    if (!rc) {
        replace(b, next);
        return true;
    }
    serving_close(next);
    refuse(b, why);
    return false;
}

void serving_collect(struct serving_box *b)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->old_n; i++) {
        pthread_mutex_lock(&b->lock);
        bool held = b->old[i]->users > 0;
        pthread_mutex_unlock(&b->lock);
        if (held)
            b->old[kept++] = b->old[i];
        else
            serving_close(b->old[i]);
    }
    b->old_n = kept;
}
