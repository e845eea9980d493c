/* bench_streams - live streams as their readers meet them:
 *   bench_streams HOST:PORT MYSQL REDIS SECRET STREAMS EVENTS RATE
 * opens STREAMS streams, each of a job of its own, and does a worker's part for them: EVENTS rows
 * of the ledger through worker/writer.h, RATE a second, and behind each commit its message, as
 * worker/job_ledger.c does. Timed is from the moment COMMIT was answered to the moment the event
 * was read from its stream. Then it keeps the streams open until its standard input ends.
 * Prints one line of JSON. */
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "common/live.h"
#include "common/loop.h"
#include "tests/bench/streaming.h"
#include "worker/writer.h"

enum { BATCH = 100 };

struct row { /* one event */
    struct writer_op op;
    int64_t put_us, committed_us, told_us;
    _Atomic int64_t read_us;
};

struct stream {
    struct conn c;
    struct job_id id;
    uint32_t seq;   /* of the newest row */
    unsigned *rows; /* by seq - 1 */
};

struct run {
    struct client client;
    struct stream *streams;
    long streams_n, events, rate, put;
    struct row *rows;
    _Atomic long began, heard;
    uint64_t fence;
    struct loop *loop;
    struct cache_async *cache;
    struct writer *writer;
    struct loop_timer *timer;
    int64_t began_us;
    const char *mysql;
};

static struct run run; /* one per process: what stamps commits gets no argument */
static int (*ledger)(struct record *, struct record_ledger **, size_t n);

static void need(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "bench: %s: %s\n", what, err_text(err));
    exit(1);
}

/* ---- the readers, a thread */

static void note_event(struct stream *s, const char *event, int64_t at_us)
{
    unsigned long seq = strncmp(event, "id: ", 4) == 0 ? strtoul(event + 4, NULL, 10) : 0;
    if (strstr(event, "event: state")) {
        atomic_fetch_add(&run.began, 1);
    } else if (strstr(event, "event: call") && seq > 0 && seq <= s->seq) {
        run.rows[s->rows[seq - 1]].read_us = at_us;
        atomic_fetch_add(&run.heard, 1);
    }
}

static void read_stream(struct stream *s)
{
    if (!conn_more(&s->c)) {
        fprintf(stderr, "bench: a stream was ended: %.300s\n", s->c.text);
        exit(1);
    }
    int64_t at_us = now_us();
    for (char *end; (end = strstr(s->c.text, "\n\n")) != NULL; conn_drop(&s->c, end + 2)) {
        *end = 0;
        note_event(s, s->c.text, at_us);
    }
}

static void read_head(struct conn *c)
{
    char *end = NULL;
    while ((end = strstr(c->text, "\r\n\r\n")) == NULL)
        if (!conn_more(c))
            break;
    if (!end || strncmp(c->text, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "bench: no stream: %.300s\n", c->text);
        exit(1);
    }
    conn_drop(c, end + 4);
}

static void *readers(void *arg)
{
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(run.client.epoll, events, 256, -1);
        for (int i = 0; i < n; i++)
            read_stream(&run.streams[events[i].data.u32]);
    }
    return arg;
}

static void wait_for(const _Atomic long *what, long n, const char *name)
{
    const struct timespec pause = {0, 2000000};
    for (int64_t until = now_us() + WAIT_S * 1000000LL; *what < n; nanosleep(&pause, NULL))
        if (now_us() > until) {
            fprintf(stderr, "bench: %ld of %ld %s\n", (long)*what, n, name);
            exit(1);
        }
}

/* ---- a worker's part */

static int stamp(struct record *r, struct record_ledger **rows, size_t n)
{
    int err = ledger(r, rows, n);
    int64_t at_us = now_us();
    for (size_t i = 0; i < n; i++) {
        struct writer_op *op = (void *)((char *)rows[i] - offsetof(struct writer_op, ledger));
        ((struct row *)op->arg)->committed_us = at_us;
    }
    return err;
}

static int open_record(void *arg, struct record **out, char *why)
{
    static struct record_ops ops;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct record_settings s = {
        .url = run.mysql, .connect_ms = 5000, .io_ms = 10000, .two = true};
    (void)arg;
    int err = record_mysql_open(&s, out, why);
    if (err)
        return err;
    pthread_mutex_lock(&lock);
    ledger = (*out)->ops->ledger;
    ops = *(*out)->ops;
    ops.ledger = stamp;
    (*out)->ops = &ops;
    pthread_mutex_unlock(&lock);
    return 0;
}

static void committed(void *arg)
{
    static const char result[] = "{\"shop\":\"a-mart\",\"price\":18900}";
    struct row *w = arg;
    const struct record_call *c = &w->op.ledger.call;
    struct buf data = {0};
    need(w->op.ledger.status, "a row of the ledger");
    buf_printf(&data,
               "{\"name\":\"%s\",\"item\":%d,\"state\":\"succeeded\",\"result\":%s,\"error\":null,"
               "\"attempts\":1,\"ms\":1}",
               c->name, (int)c->item, result);
    live_publish(run.cache, &c->job, c->seq, "call", &data);
    w->told_us = now_us();
    buf_fini(&data);
}

static void put_one(void)
{
    struct stream *s = &run.streams[run.put % run.streams_n];
    struct row *w = &run.rows[run.put];
    s->rows[s->seq] = (unsigned)run.put++;
    w->op = (struct writer_op){
        .kind = WRITE_LEDGER, .loop = run.loop, .done = committed, .arg = w, .bytes = 300};
    w->op.ledger.worker = run.fence;
    w->op.ledger.call = (struct record_call){.job = s->id,
                                             .seq = ++s->seq,
                                             .name = "step",
                                             .item = (int32_t)s->seq - 1,
                                             .outcome = OUTCOME_OK,
                                             .attempts = 1,
                                             .result = "{\"price\":18900}",
                                             .result_len = 15};
    memcpy(w->op.ledger.call.ckey, &s->seq, sizeof s->seq);
    w->put_us = now_us();
    writer_put(run.writer, &w->op);
}

static void put_due(void *arg)
{
    (void)arg;
    while (run.put < run.events && run.began_us + run.put * 1000000 / run.rate <= now_us())
        put_one();
    if (atomic_load(&run.heard) == run.events || now_us() - run.began_us > WAIT_S * 1000000LL)
        loop_stop(run.loop);
}

/* Jobs that run, in the record. */
static void claim_all(struct record *r, const char *secret_file)
{
    static struct record_claim claims[BATCH];
    struct record_claim *list[BATCH];
    struct id_secret secret;
    const struct owner nobody = {{0}};
    need(id_secret_load(secret_file, &secret), secret_file);
    need(r->ops->worker_start(r, "bench", WAIT_S * 10000, &run.fence), "worker_start");
    for (long at = 0; at < run.streams_n;) {
        size_t n = 0;
        for (; n < BATCH && at < run.streams_n; n++, at++) {
            struct stream *s = &run.streams[at];
            s->id = id_new(&secret, &nobody, clock_real(), rng_real());
            s->rows = calloc((size_t)(run.events / run.streams_n + 1), sizeof *s->rows);
            claims[n] = (struct record_claim){.worker = run.fence, .part = -1};
            int64_t now = clock_wall_us(clock_real()), later = now + 3600 * 1000000LL;
            claims[n].job = (struct record_register){.id = s->id,
                                                     .flow = "bench",
                                                     .created_us = now,
                                                     .deadline_us = later,
                                                     .sweep_at_us = later};
            list[n] = &claims[n];
        }
        need(r->ops->claim(r, list, n), "claim");
        for (size_t i = 0; i < n; i++) {
            need(claims[i].status, "a claim");
            record_claim_fini(&claims[i]);
        }
    }
}

static void open_worker(const char *redis)
{
    const struct cache_settings cache = {redis, 50, 1};
    const struct writer_settings s = {.open = open_record, .threads = 2};
    need(loop_uv_open(&run.loop), "loop");
    need(cache_redis_async_open(run.loop, &cache, &run.cache), "redis");
    need(writer_start(&s, &run.writer), "writer");
    run.timer = loop_timer_new(run.loop, put_due, NULL);
}

static void report(void)
{
    int64_t *commit = calloc((size_t)run.events + 1, sizeof *commit);
    int64_t *told = calloc((size_t)run.events + 1, sizeof *told);
    int64_t *heard = calloc((size_t)run.events + 1, sizeof *heard);
    for (long i = 0; i < run.events; i++) {
        const struct row *w = &run.rows[i];
        commit[i] = w->committed_us - w->put_us;
        told[i] = w->told_us - w->committed_us;
        heard[i] = w->read_us - w->committed_us;
    }
    printf("{\"streams\":%ld,\"events\":%ld,\"heard\":%ld", run.streams_n, run.events,
           (long)run.heard);
    spread_print("commit", commit, run.events);
    spread_print("told", told, run.events);
    spread_print("read", heard, run.events);
    puts("}");
    fflush(stdout);
}

static void open_streams(void)
{
    for (long i = 0; i < run.streams_n; i++) {
        struct stream *s = &run.streams[i];
        conn_open(&run.client, &s->c);
        conn_ask_events(&run.client, &s->c, &s->id);
        read_head(&s->c);
        conn_listen(&run.client, &s->c, i);
    }
}

static void watch(const char *redis, const char *secret_file)
{
    struct record *r;
    pthread_t thread;
    char byte;
    need(open_record(NULL, &r, NULL), "record");
    claim_all(r, secret_file);
    open_streams();
    if (pthread_create(&thread, NULL, readers, NULL) != 0)
        die("thread");
    wait_for(&run.began, run.streams_n, "streams began");
    open_worker(redis);
    run.began_us = now_us() + 500000;
    loop_timer_set(run.loop, run.timer, 1, 1);
    loop_run(run.loop);
    report();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

int main(int argc, char **argv)
{
    if (argc != 8) {
        fputs("usage: bench_streams HOST:PORT MYSQL REDIS SECRET STREAMS EVENTS RATE\n", stderr);
        return 2;
    }
    client_init(&run.client, argv[1]);
    run.mysql = argv[2];
    run.streams_n = strtol(argv[5], NULL, 10);
    run.events = strtol(argv[6], NULL, 10);
    run.rate = strtol(argv[7], NULL, 10);
    if (run.streams_n < 1 || run.streams_n > STREAMS_MAX || run.rate < 1)
        die("STREAMS, RATE");
    run.streams = calloc((size_t)run.streams_n, sizeof *run.streams);
    run.rows = calloc((size_t)run.events + 1, sizeof *run.rows);
    if (!run.streams || !run.rows)
        die("memory");
    watch(argv[3], argv[4]);
    return 0;
}
