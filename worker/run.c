#include "worker/run.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/files.h"
#include "common/ports_file.h"
#include "worker/preflight.h"
#include "worker/relay.h"
#include "worker/server_clock.h"
#include "worker/reload.h"
#include "worker/sweep.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WRITER_THREADS = 2,
    WRITER_STOP_MS = 5000,
    CONNECT_MS = 5000,
    IO_MS = 10000,
    REDIS_WAIT_MS = 50,
    PRODUCER_TRIES = 500, /* of 10 ms */
    SILENT_MS = 20000,    /* a loop that did not tick for so long is stuck */
    NAME_MAX_ = 80,
    DATABASES_TOLD = 8, /* that are away, in /readyz */
    ADDRESS = 280       /* host:port */
};

struct worker {
    const struct run *run;
    struct broker_settings broker;
    struct record_settings record;
    char name[NAME_MAX_];
    int64_t retention_ms; /* of the first set */
    struct writer *writer;
    struct store_url record_url;
    struct lease *lease;
    struct watch *watch;
    struct server_clock *clock;
    struct cancels *cancels;
    struct sweep *sweep;
    struct relay *relay;
    struct broker_producer *producer; /* the relay's */
    _Atomic(struct reload *) reload;  /* NULL: no shard has opened yet */
    _Atomic bool draining, fatal;
};

static int open_record(void *arg, struct record **out, char *why)
{
    const struct worker *w = arg;
    return record_mysql_open(&w->record, out, why);
}

static int open_writers_record(void *arg, struct record **out, char *why)
{
    const struct worker *w = arg;
    struct record_settings s = w->record;
    s.two = true;
    return record_mysql_open(&s, out, why);
}

static int open_database(void *arg, const struct database *d, struct sql **out)
{
    static const struct sql_settings s = {CONNECT_MS, IO_MS};
    (void)arg;
    return sql_mysql_open(&s, d, out);
}

static int open_consumer(void *arg, const char *group, const char *const *topics, size_t n,
                         const struct broker_consumer_events *events, struct broker_consumer **out)
{
    const struct worker *w = arg;
    return broker_kafka_consumer_open(&w->broker, group, topics, n, events, out);
}

/* ---- admin answers, in the loop of the first shard */

static bool is_stuck(const struct generation *g)
{
    for (size_t i = 0; i < generation_shards(g); i++)
        if (shard_thread_silence_ms(generation_shard(g, i)) > SILENT_MS)
            return true;
    return false;
}

static int healthz(const struct generation *g, struct buf *body)
{
    bool stuck = is_stuck(g);
    buf_text(body, stuck ? "{\"alive\":false}\n" : "{\"alive\":true}\n");
    return stuck ? 503 : 200;
}

static const char *not_ready(const struct worker *w, const struct generation *g)
{
    if (w->draining)
        return "draining";
    if (!broker_producer_up(w->producer))
        return "kafka";
    if (!writer_up(w->writer) || !lease_up(w->lease))
        return "mysql";
    if (!w->reload)
        return "starting";
    for (size_t i = 0; i < generation_shards(g); i++) {
        const char *trouble = shard_thread_trouble(generation_shard(g, i));
        if (trouble)
            return trouble;
    }
    return NULL;
}

static void degraded(const struct generation *g, struct buf *body)
{
    const struct database *away[DATABASES_TOLD];
    const char *comma = "";
    if (!shard_thread_redis_up(generation_shard(g, 0))) {
        buf_text(body, "{\"name\":\"redis\",\"means\":\"no live events, cache or coalescing; each "
                       "shard takes its share of limits\"}");
        comma = ",";
    }
    size_t n = databases_away(generation_databases(g), away, DATABASES_TOLD);
    for (size_t i = 0; i < n; i++, comma = ",")
        buf_printf(body,
                   "%s{\"name\":\"database %s\",\"means\":\"jobs that load from it or save to it "
                   "wait; database-away in the log says why\"}",
                   comma, away[i]->name);
}

static int readyz(const struct worker *w, const struct generation *g, struct buf *body)
{
    const char *why = not_ready(w, g);
    struct topic_warnings warnings = {.n = 0};
    buf_printf(body, "{\"ready\":%s,", why ? "false" : "true");
    if (why)
        buf_printf(body, "\"reason\":\"%s\",", why);
    buf_text(body, "\"degraded\":[");
    degraded(g, body);
    buf_text(body, "],\"warnings\":");
    if (w->reload)
        reload_warnings(w->reload, &warnings);
    topic_warnings_print(&warnings, body);
    buf_text(body, "}\n");
    return why ? 503 : 200;
}

static int answer(void *arg, const char *path, struct buf *body, const char **type)
{
    const struct generation *g = arg;
    *type = "application/json";
    if (strcmp(path, "/healthz") == 0)
        return healthz(g, body);
    if (strcmp(path, "/readyz") == 0)
        return readyz(generation_owner(g), g, body);
    *type = "text/plain; version=0.0.4; charset=utf-8";
    if (strcmp(path, "/metrics") != 0)
        return 404;
    metrics_print(body);
    return 200;
}

/* ---- what threads tell */

static void ended(void *arg)
{
    (void)arg;
    kill(getpid(), SIGUSR1); /* the main thread waits for signals */
}

static void lost(struct worker *w, const char *what, const char *why)
{
    log_error(what, "why", why, "means", "only a new process can go on; ends with status 3");
    w->fatal = true;
    kill(getpid(), SIGTERM);
}

static void fatal(void *arg, const char *why)
{
    lost(arg, "consumer-lost", why);
}

static void producer_lost(void *arg, const char *why)
{
    lost(arg, "producer-lost", why);
}

/* ---- start */

static int open_producer(void *arg, broker_report_fn *report, void *report_arg,
                         struct broker_producer **out)
{
    struct worker *w = arg;
    struct broker_settings s = w->broker;
    s.lost = producer_lost;
    s.lost_arg = w;
    int err = broker_kafka_producer_open(&s, report, report_arg, out);
    if (!err)
        w->producer = *out;
    return err;
}

/* Any of our ids will do to hold outbox rows with. */
static uint64_t some_worker(void *arg)
{
    const struct worker *w = arg;
    return w->reload ? reload_worker(w->reload) : 0;
}

static bool leases_are_settled(void *arg)
{
    const struct worker *w = arg;
    return lease_settled(w->lease);
}

static int64_t retention(void *arg)
{
    const struct worker *w = arg;
    return w->reload ? reload_retention_ms(w->reload) : w->retention_ms;
}

static int start_helpers(struct worker *w)
{
    const struct cancels_settings cancels = {.open = open_record, .open_arg = w};
    const struct sweep_settings sweep = {.open = open_record,
                                         .open_arg = w,
                                         .settled = leases_are_settled,
                                         .retention_ms = retention,
                                         .arg = w,
                                         .rng = rng_real()};
    const struct relay_settings relay = {.open = open_record,
                                         .open_arg = w,
                                         .producer = open_producer,
                                         .producer_arg = w,
                                         .worker = some_worker,
                                         .worker_arg = w,
                                         .rng = rng_real()};
    int err = server_clock_start(open_record, w, NULL, &w->clock);
    if (!err)
        err = cancels_start(&cancels, &w->cancels);
    if (!err)
        err = sweep_start(&sweep, &w->sweep);
    if (!err)
        err = relay_start(&relay, &w->relay);
    return err;
}

static int start_record(struct worker *w)
{
    const int64_t lease_ms = w->run->settings->lease_ms;
    const struct writer_settings writer = {.open = open_writers_record,
                                           .open_saver = open_record,
                                           .open_arg = w,
                                           .threads = WRITER_THREADS};
    const struct lease_settings lease = {.open = open_record,
                                         .open_arg = w,
                                         .name = w->name,
                                         .lease_ms = lease_ms,
                                         .shards = w->run->settings->shards};
    const struct watch_settings watch = {.open = open_record, .open_arg = w, .lease_ms = lease_ms};
    char why[STORE_WHY];
    int err = store_url_parse(w->record.url, &w->record_url, why);
    if (!err)
        err = writer_start(&writer, &w->writer);
    if (!err)
        err = lease_start(&lease, &w->lease);
    if (!err)
        err = watch_start(&watch, &w->watch);
    if (!err)
        err = start_helpers(w);
    return err;
}

static void stop_record(struct worker *w)
{
    relay_stop(w->relay);
    sweep_stop(w->sweep);
    cancels_stop(w->cancels);
    server_clock_stop(w->clock);
    if (w->watch)
        watch_stop(w->watch);
    if (w->lease)
        lease_stop(w->lease);
    writer_stop(w->writer, WRITER_STOP_MS);
}

static int start_shards(struct worker *w)
{
    const struct settings *s = w->run->settings;
    const struct reload_settings r = {
        .settings = s,
        .broker = w->broker,
        .generation = {
            .thread = {.shard = {.only = s->only,
                                 .only_n = s->only_n,
                                 .writer = w->writer,
                                 .lease = w->lease,
                                 .watch = w->watch,
                                 .cancels = w->cancels,
                                 .relay = w->relay,
                                 .issuer = s->issuer,
                                 .open = open_consumer,
                                 .open_arg = w,
                                 .ahead_us = server_clock_ahead_us(w->clock),
                                 .shares = lease_shares(w->lease),
                                 .calls_max = files_for_calls(files_raise(), s->shards)},
                       .redis = {.url = s->redis, .wait_ms = REDIS_WAIT_MS, .connections = 1},
                       .answer = answer},
            .databases = {.open = open_database, .record = &w->record_url},
            .shards = s->shards,
            .secrets = s->secrets,
            .admin_fd = w->run->admin_fd,
            .owner = w,
            .fatal = fatal,
            .ended = ended}};
    struct reload *reload = NULL;
    int err = reload_start(&r, w->run->flows, &reload);
    w->reload = reload;
    return err;
}

/* So that "started" means ready; if it takes longer, /readyz tells. */
static void await_producer(const struct worker *w)
{
    struct timespec pause = {0, 10 * 1000000L};
    for (int i = 0; i < PRODUCER_TRIES && !broker_producer_up(w->producer); i++)
        nanosleep(&pause, NULL);
}

/* As it was set, with the port that was taken. */
static void admin_address(const struct run *r, char out[ADDRESS])
{
    const char *set = r->settings->admin;
    snprintf(out, ADDRESS, "%.*s:%d", (int)(strrchr(set, ':') - set), set, r->admin_port);
}

static int write_ports(const struct worker *w)
{
    char admin[ADDRESS], why[PORTS_FILE_WHY];
    admin_address(w->run, admin);
    if (ports_file_write(w->run->settings->ports_file, NULL, admin, why) == 0)
        return 0;
    log_error("ports-file", "why", why);
    return ERR_IO;
}

/* ---- until the end */

static void drain(struct worker *w, int64_t drain_ms)
{
    w->draining = true;
    log_info("draining", "ms", log_number(drain_ms));
    if (w->reload)
        reload_drain(w->reload, drain_ms);
}

static void signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

void run_block_signals(void)
{
    sigset_t set;
    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
}

static void wait_for_end(struct worker *w)
{
    const struct timespec second = {1, 0};
    sigset_t set;
    signals(&set);
    while (!reload_is_over(w->reload)) {
        int number = sigtimedwait(&set, NULL, &second);
        if (number == SIGHUP)
            reload_read(w->reload);
        else if (number == SIGTERM || number == SIGINT)
            drain(w, w->draining ? 0 : w->run->settings->drain_ms);
        else
            reload_tick(w->reload);
    }
}

static void name_process(struct worker *w)
{
    char host[64] = "worker";
    if (gethostname(host, sizeof host))
        host[0] = 0;
    host[sizeof host - 1] = 0;
    snprintf(w->name, sizeof w->name, "%.60s:%ld", host, (long)getpid());
}

int run_worker(const struct run *r)
{
    const struct settings *s = r->settings;
    struct worker w = {.run = r,
                       .broker = {.servers = s->kafka,
                                  .client_id = "offpath-worker",
                                  .properties = s->kafka_properties},
                       .retention_ms = r->flows->topics.retention_ms,
                       .record = {.url = s->mysql, .connect_ms = CONNECT_MS, .io_ms = IO_MS}};
    const size_t flows = r->flows->set->flows_n;
    name_process(&w);
    int err = start_record(&w);
    if (!err)
        err = start_shards(&w);
    if (!err)
        await_producer(&w);
    if (!err)
        err = write_ports(&w);
    if (err) {
        log_error("start", "why", err_text(err));
        drain(&w, 0);
    } else {
        char admin[ADDRESS];
        admin_address(r, admin);
        log_info("started", "admin", admin, "shards", log_number((long long)s->shards), "flows",
                 log_number((long long)flows));
    }
    if (w.reload) {
        wait_for_end(&w);
        reload_join(w.reload);
    }
    stop_record(&w);
    reload_free(w.reload);
    close(r->admin_fd);
    log_info("stopped");
    return err || w.fatal ? EXIT_DEPENDENCY : EXIT_GOOD;
}
