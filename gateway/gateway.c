#include "gateway/gateway.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/cache_gather.h"
#include "common/files.h"
#include "common/flow_watch.h"
#include "common/ports_file.h"
#include "common/server_urls.h"
#include "gateway/admin.h"
#include "gateway/auth_setup.h"
#include "gateway/drain.h"
#include "gateway/http_server.h"
#include "gateway/producers.h"
#include "gateway/serving.h"
#include "gateway/waiting.h"

enum {
    PRODUCER_MS = 20000, /* a cluster just made needs seconds to give the first producer its id */
    REDIS_MS = 50,
    REDIS_TRIPS = 2, /* on their way at once: requests that come meanwhile share the next */
    REDIS_CONNECTIONS = 8,
    READERS = 8,
    OVERDUE_MS = 250,
    READ_WAIT_MS = 1000,
    READ_STUCK_MS = 250,
    MARKS_MS = 10,
    /* A row is for the list of jobs, which may wait 50 ms for it. Most jobs are claimed within a
     * few ms, and a claim that finds no row is one statement; so rows are in no hurry. */
    ROWS_MS = 15,
    MYSQL_RETRY_MS = 1000,
    MYSQL_TICK_MS = 3000,
    CONNECT_MS = 5000,
    IO_MS = 10000,
    ADMIN_THREADS = 8,
    OWN_LIMITS = 100000, /* who is counted without Redis */
    DRAIN_REQUESTS_MS = 20000,
    DRAIN_FLUSH_MS = 10000,
    DRAIN_STREAMS_MS = 2000
};

struct gateway {
    const struct options *o;
    unsigned streams;      /* that may be open: there are descriptors for them */
    struct serving *first; /* until it is in the box */
    struct serving_box box;
    bool boxed;
    struct flow_watch watch;
    struct flow_load_settings watched;
    struct id_secret secret;
    struct publisher *publisher;
    struct cache *cache;
    struct marks *marks;
    struct registrar *registrar;
    struct reader *reader;
    struct limits *limits;
    struct hasher *hasher;
    struct waiting *waiting;
    struct passages *passages;
    struct auth_setup *auth;
    struct serve serve; /* but what belongs to a set of flows */
    struct admin admin;
    struct http_server *public_server, *admin_server;
    _Atomic bool draining, lost;
    int (*pause)(void *arg, int ms);
};

/* ---- settings and flow files */

static int open_secret(struct gateway *g, char why[GATEWAY_WHY])
{
    const char *path = g->o->id_secret_file;
    int err = id_secret_load(path, &g->secret);
    if (!err)
        return EXIT_GOOD;
    snprintf(why, GATEWAY_WHY,
             err == ERR_NOT_FOUND ? "--id-secret-file %.200s cannot be read; make it with `head -c "
                                    "32 /dev/urandom > FILE`, and give every gateway the same"
                                  : "--id-secret-file %.200s holds less than 16 bytes; make it "
                                    "with `head -c 32 /dev/urandom > FILE`",
             path);
    return EXIT_USAGE;
}

int gateway_check(const struct options *o, bool json, char why[GATEWAY_WHY])
{
    struct gateway g = {.o = o};
    int rc = expr_start() ? EXIT_BUG : serving_check(o, json);
    why[0] = 0;
    int wrong = server_urls_check(o->redis, o->mysql, why) ? EXIT_USAGE : open_secret(&g, why);
    if (!wrong)
        wrong = auth_check(o, why);
    explicit_bzero(&g.secret, sizeof g.secret);
    return wrong ? wrong : rc;
}

/* ---- servers it needs */

static int open_record(void *arg, struct record **out, char *why)
{
    struct gateway *g = arg;
    struct record_settings s = {.url = g->o->mysql, .connect_ms = CONNECT_MS, .io_ms = IO_MS};
    return record_mysql_open(&s, out, why);
}

/* What can be known to be wrong is told now; a server that is away may come. */
static int check_record(struct gateway *g, char why[GATEWAY_WHY])
{
    struct record *record = NULL;
    char text[256] = "";
    int err = open_record(g, &record, text);
    if (record)
        record->ops->close(record);
    if (err == 0)
        return EXIT_GOOD;
    if (err == ERR_IO || err == ERR_TIMEOUT) {
        log_warn("mysql-away", "means", "jobs are accepted, but cannot be read or listed for now",
                 "why", text);
        return EXIT_GOOD;
    }
    snprintf(why, GATEWAY_WHY, "%s", text[0] ? text : err_text(err));
    return EXIT_DEPENDENCY;
}

/* Nobody can go on from here but a new process: this one stops in order and says so. */
static void producer_lost(void *arg, const char *why)
{
    struct gateway *g = arg;
    if (atomic_exchange(&g->lost, true))
        return;
    log_error("producer-lost", "why", why, "means", "nothing can be accepted; ends with status 3");
    kill(getpid(), SIGTERM);
}

static int open_cache(struct gateway *g)
{
    struct cache_settings s = {g->o->redis, REDIS_MS, REDIS_CONNECTIONS};
    struct cache *redis = NULL;
    int err = cache_redis_open(&s, clock_real(), &redis);
    if (!err)
        err = cache_gather_open(redis, REDIS_TRIPS, &g->cache);
    if (!err)
        err = marks_open(g->cache, MARKS_MS, &g->marks);
    return err ? EXIT_BUG : EXIT_GOOD;
}

/* Waits and hashes hold threads, so that neither may have them all. */
static int open_accept(struct gateway *g)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct cache_settings redis = {g->o->redis, REDIS_MS, REDIS_CONNECTIONS};
    struct limits_settings s = {g->cache, clock_real(), g->o->gateways, OWN_LIMITS};
    if (limits_open(&s, &g->limits) != 0 ||
        hasher_open(cores > 1 ? (unsigned)cores : 1, g->o->threads / 4, &g->hasher) != 0 ||
        waiting_open(&(struct waiting_settings){.redis = &redis,
                                                .reader = g->reader,
                                                .waiters = g->o->threads / 2,
                                                .streams = g->streams,
                                                .streams_each = g->o->streams_each,
                                                .title = serving_title,
                                                .title_arg = &g->box},
                     &g->waiting) != 0)
        return EXIT_BUG;
    struct passages_settings way = {.marks = g->marks,
                                    .publisher = g->publisher,
                                    .clock = clock_real(),
                                    .wait_ms = g->o->publish_ms + PRODUCERS_GRACE_MS,
                                    .tick_ms = OVERDUE_MS,
                                    .errands = READERS,
                                    .enter = serving_enter,
                                    .leave = serving_leave,
                                    .arg = &g->box};
    return passages_open(&way, &g->passages) ? EXIT_BUG : EXIT_GOOD;
}

static int open_rest(struct gateway *g)
{
    struct registrar_settings rows = {.open = open_record,
                                      .arg = g,
                                      .clock = clock_real(),
                                      .gather_ms = ROWS_MS,
                                      .retry_ms = MYSQL_RETRY_MS,
                                      .tick_ms = MYSQL_TICK_MS};
    struct reader_settings reads = {.open = open_record,
                                    .arg = g,
                                    .connections = READERS,
                                    .wait_ms = READ_WAIT_MS,
                                    .stuck_ms = READ_STUCK_MS,
                                    .rest_ms = MYSQL_RETRY_MS,
                                    .clock = clock_real()};
    if (registrar_open(&rows, &g->registrar) != 0 || reader_open(&reads, &g->reader) != 0)
        return EXIT_BUG;
    return open_accept(g);
}

/* ---- HTTP */

static void look(void *arg, struct health_state *out)
{
    static _Thread_local char why[256];
    static _Thread_local struct topic_warnings warnings;
    struct gateway *g = arg;
    registrar_refusal(g->registrar, why);
    serving_warnings(&g->box, &warnings);
    *out = (struct health_state){.kafka = publisher_up(g->publisher),
                                 .redis = cache_up(g->cache),
                                 .mysql = registrar_up(g->registrar),
                                 .draining = atomic_load(&g->draining),
                                 .mysql_why = why,
                                 .warnings = &warnings};
}

static void fill_handlers(struct gateway *g)
{
    g->serve = (struct serve){.accept = {.publisher = g->publisher,
                                         .marks = g->marks,
                                         .registrar = g->registrar,
                                         .reader = g->reader,
                                         .limits = g->limits,
                                         .hasher = g->hasher,
                                         .waiters = waiting_waiters(g->waiting),
                                         .secret = &g->secret,
                                         .clock = clock_real(),
                                         .rng = rng_real(),
                                         .served = serve_metrics_new(),
                                         .passages = g->passages},
                              .jobs = {.reader = g->reader,
                                       .marks = g->marks,
                                       .cache = g->cache,
                                       .secret = &g->secret,
                                       .clock = clock_real()},
                              .auth = g->serve.auth,
                              .streams = waiting_streams(g->waiting),
                              .demo_users = g->o->demo_users,
                              .cors = g->o->cors.n ? &g->o->cors : NULL,
                              .rng = rng_real()};
    g->admin = (struct admin){look, g};
}

static void serve_current(void *arg, struct http_request *q, struct http_reply *r)
{
    struct gateway *g = arg;
    char client[PROXIES_ADDRESS];
    struct serving *s = serving_take(&g->box);
    q->client = proxies_client(&g->o->proxies, q, client);
    serve_request(&s->serve, q, r);
    serving_give(&g->box, s);
}

static void begin_reply(void *arg, const struct http_request *q, struct http_reply *r)
{
    cors_begin(&((struct gateway *)arg)->o->cors, q, r);
}

static int exit_of_listen(int err)
{
    return err == ERR_EXISTS ? EXIT_CONFLICT : err == ERR_NOMEM ? EXIT_DEPENDENCY : EXIT_USAGE;
}

static int listen_all(struct gateway *g, char why[GATEWAY_WHY])
{
    struct http_server_settings s = {.listen = g->o->admin,
                                     .threads = ADMIN_THREADS,
                                     .header_max = g->o->header_max,
                                     .header_ms = g->o->header_ms,
                                     .body_ms = g->o->body_ms,
                                     .keep_alive_ms = 5000,
                                     .handler = admin_request,
                                     .arg = &g->admin,
                                     .clock = clock_real(),
                                     .public_url = g->o->public_url};
    char text[256] = "";
    int err = http_server_start(&s, &g->admin_server, text);
    const char *which = "--admin";
    if (!err) {
        which = "--listen";
        s.listen = g->o->listen;
        s.threads = g->o->threads;
        s.in_flight = g->o->threads * 85 / 100;
        s.per_address = g->o->per_address;
        s.keep_alive_ms = g->o->keep_alive_ms;
        s.streams = true;
        s.handler = serve_current;
        s.begin = g->o->cors.n ? begin_reply : NULL;
        s.arg = g;
        err = http_server_start(&s, &g->public_server, text);
    }
    if (err)
        snprintf(why, GATEWAY_WHY, "%s: %s", which, text);
    return err ? exit_of_listen(err) : EXIT_GOOD;
}

/* ---- life */

/* Ready means that the first request is answered in milliseconds. */
static int await_producers(struct gateway *g, char why[GATEWAY_WHY])
{
    if (publisher_await(g->publisher, PRODUCER_MS) == 0)
        return EXIT_GOOD;
    snprintf(why, GATEWAY_WHY,
             "Kafka at %.200s answers, but lets nobody produce; look at its log, and whether this "
             "user may write (IdempotentWrite)",
             g->o->kafka);
    return EXIT_DEPENDENCY;
}

/* A stream too many is refused; without a descriptor it would begin and end at once. */
static void share_files(struct gateway *g, unsigned limit)
{
    unsigned threads = g->o->threads, groups = (unsigned)g->first->flows->flows_n;
    unsigned needed = files_for_connections(threads + g->o->streams, groups);
    g->streams = files_for_streams(limit, threads, groups, g->o->streams);
    if (limit < needed)
        log_warn(
            "few-descriptors", "limit", log_number(limit), "needed", log_number(needed), "streams",
            log_number(g->streams), "means",
            "so few may be open: raise the limit of open files (ulimit -n), or lower --streams "
            "or --threads");
}

/* What settings alone tell, before any server is asked. */
static int open_settings(struct gateway *g, char why[GATEWAY_WHY])
{
    if (server_urls_check(g->o->redis, g->o->mysql, why) || ports_file_check(g->o->ports_file, why))
        return EXIT_USAGE;
    return open_secret(g, why);
}

static int open_parts(struct gateway *g, char why[GATEWAY_WHY])
{
    unsigned limit = files_raise();
    int rc = open_settings(g, why);
    if (rc)
        return rc;
    rc = auth_setup(g->o, &g->serve.auth, &g->auth, why);
    if (rc)
        return rc;
    rc = expr_start() || expr_prove_threads() ? EXIT_BUG : serving_read(g->o, true, &g->first, why);
    if (rc)
        return rc;
    share_files(g, limit);
    rc = check_record(g, why);
    if (!rc)
        rc = producers_open(g->o, producer_lost, g, &g->publisher, why);
    if (!rc)
        rc = open_cache(g);
    if (!rc)
        rc = open_rest(g);
    if (rc)
        return rc;
    fill_handlers(g);
    rc = await_producers(g, why);
    if (!rc)
        rc = serving_begin(g->first, g->o, &g->serve, publisher_producer(g->publisher));
    if (rc || !g->serve.accept.served)
        return rc ? rc : EXIT_BUG;
    serving_box_init(&g->box, g->first);
    g->boxed = true;
    g->first = NULL;
    return listen_all(g, why);
}

int gateway_open(const struct options *o, struct gateway **out, char why[GATEWAY_WHY])
{
    struct gateway *g = calloc(1, sizeof *g);
    if (!g)
        return EXIT_BUG;
    g->o = o;
    snprintf(why, GATEWAY_WHY, "out of memory");
    g->watched = (struct flow_load_settings){
        .flows_dir = o->flows, .upstreams_file = o->upstreams, .secrets_dir = o->secrets};
    flow_watch_init(&g->watch, &g->watched);
    int rc = open_parts(g, why);
    if (rc) {
        gateway_close(g);
        return rc;
    }
    *out = g;
    return EXIT_GOOD;
}

int gateway_announce(struct gateway *g, char why[GATEWAY_WHY])
{
    const char *listen = http_server_address(g->public_server);
    const char *admin = http_server_address(g->admin_server);
    log_info("ready", "listen", listen, "admin", admin);
    return ports_file_write(g->o->ports_file, listen, admin, why) ? EXIT_USAGE : EXIT_GOOD;
}

/* ---- reload */

void gateway_reload(struct gateway *g)
{
    flow_watch_mark(&g->watch);
    if (!serving_reload(&g->box, g->o, publisher_producer(g->publisher)))
        flow_watch_again(&g->watch);
}

void gateway_tick(struct gateway *g)
{
    serving_collect(&g->box);
    if (flow_watch_changed(&g->watch))
        gateway_reload(g);
}

/* ---- drain */

static void unready(void *arg)
{
    struct gateway *g = arg;
    atomic_store(&g->draining, true);
    http_server_close_connections(g->public_server);
    waiters_stop(waiting_waiters(g->waiting)); /* who waits for a result asks again elsewhere */
    log_info("draining");
}

static int pause_drain(void *arg, int ms)
{
    struct gateway *g = arg;
    return g->pause(NULL, ms);
}

static void refuse(void *arg)
{
    struct gateway *g = arg;
    http_server_refuse(g->public_server);
    streams_stop(waiting_streams(g->waiting), DRAIN_STREAMS_MS);
}

static unsigned in_flight(void *arg)
{
    return http_server_in_flight(((struct gateway *)arg)->public_server);
}

static size_t flush(void *arg, int wait_ms)
{
    struct gateway *g = arg;
    size_t left = publisher_flush(g->publisher, wait_ms);
    (void)marks_flush(g->marks, wait_ms / 10); /* only a convenience */
    if (registrar_up(g->registrar))
        left += registrar_flush(g->registrar, wait_ms / 2);
    return left;
}

int gateway_drain(struct gateway *g, int (*pause)(void *arg, int ms))
{
    struct drain_steps steps = {g, unready, pause_drain, refuse, in_flight, flush};
    struct drain_limits limits = {g->o->drain_wait_ms, DRAIN_REQUESTS_MS, DRAIN_FLUSH_MS};
    g->pause = pause;
    struct drain_result left = drain_run(&steps, &limits);
    if (left.requests || left.unflushed)
        log_warn("drained", "requests-cut", log_number(left.requests), "unflushed",
                 log_number((long long)left.unflushed));
    else
        log_info("drained");
    return atomic_load(&g->lost) ? EXIT_DEPENDENCY : EXIT_GOOD;
}

void gateway_close(struct gateway *g)
{
    if (!g)
        return;
    http_server_stop(g->public_server);
    http_server_stop(g->admin_server);
    auth_teardown(g->auth);
    waiting_close(g->waiting);
    limits_close(g->limits);
    hasher_close(g->hasher);
    if (g->boxed)
        serving_box_fini(&g->box);
    serving_close(g->first);
    reader_close(g->reader);
    registrar_close(g->registrar);
    marks_close(g->marks);
    cache_close(g->cache);
    publisher_close(g->publisher);
    passages_close(g->passages);
    free(g->serve.accept.served);
    free(g);
}
