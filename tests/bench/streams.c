/* bench_streams - live streams as their readers meet them, in two ways:
 *   bench_streams watch HOST:PORT MYSQL REDIS SECRET STREAMS EVENTS RATE
 * opens STREAMS streams, each of a job of its own, and does a worker's part for them: EVENTS rows
 * of the ledger through worker/writer.h, RATE a second, and behind each commit its message, as
 * worker/job_ledger.c does. Timed is from the moment COMMIT was answered to the moment the event
 * was read from its stream. Then it keeps the streams open until its standard input ends.
 *   bench_streams first HOST:PORT COUNT RATE FIRST
 * POSTs COUNT price comparisons, RATE a second, of products FIRST and on. Timed is from when a POST
 * was due to when the first `call` was read from that job's stream, opened on the same connection.
 * Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/live.h"
#include "common/loop.h"
#include "worker/writer.h"

enum { STREAMS_MAX = 100000, TEXT_MAX = 8192, BATCH = 100, WAIT_S = 120 };

struct row { /* one event */
    struct writer_op op;
    int64_t put_us, committed_us, told_us;
    _Atomic int64_t read_us;
};

struct conn {
    int fd;
    struct job_id id;
    uint32_t seq;                            /* watch: of the newest row */
    unsigned *rows;                          /* watch: by seq - 1 */
    int64_t due_us, accepted_us, running_us; /* first */
    bool is_stream, over;                    /* first */
    size_t got;
    char text[TEXT_MAX];
};

struct run {
    struct sockaddr_in to;
    char host[64];
    int epoll;
    struct conn *conns;
    long conns_n, events, rate, put, answered;
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

static int64_t now_us(void)
{
    return clock_mono_us(clock_real());
}

static void die(const char *what)
{
    fprintf(stderr, "bench_streams: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void need(int err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "bench_streams: %s: %s\n", what, err_text(err));
    exit(1);
}

static void connect_one(struct conn *c)
{
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&run.to, sizeof run.to) != 0)
        die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void say(const struct conn *c, const char *text, int len)
{
    if (send(c->fd, text, (size_t)len, MSG_NOSIGNAL) != len)
        die("send");
}

static void ask_events(const struct conn *c)
{
    char id[ID_TEXT], text[256];
    id_format(&c->id, id);
    say(c, text,
        snprintf(text, sizeof text, "GET /v1/jobs/%s/events HTTP/1.1\r\nHost: %s\r\n\r\n", id,
                 run.host));
}

static void listen_to(long i)
{
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
    if (epoll_ctl(run.epoll, EPOLL_CTL_ADD, run.conns[i].fd, &e) != 0)
        die("epoll");
}

/* false: the other end is gone. */
static bool more(struct conn *c)
{
    ssize_t n = recv(c->fd, c->text + c->got, TEXT_MAX - 1 - c->got, 0);
    c->got += n > 0 ? (size_t)n : 0;
    c->text[c->got] = 0;
    return n > 0;
}

static void drop(struct conn *c, const char *end)
{
    c->got -= (size_t)(end - c->text);
    memmove(c->text, end, c->got + 1);
}

/* ---- watch: the readers, a thread */

static void note_event(struct conn *c, const char *event, int64_t at_us)
{
    unsigned long seq = strncmp(event, "id: ", 4) == 0 ? strtoul(event + 4, NULL, 10) : 0;
    if (strstr(event, "event: state")) {
        atomic_fetch_add(&run.began, 1);
    } else if (strstr(event, "event: call") && seq > 0 && seq <= c->seq) {
        run.rows[c->rows[seq - 1]].read_us = at_us;
        atomic_fetch_add(&run.heard, 1);
    }
}

static void read_stream(struct conn *c)
{
    if (!more(c)) {
        fprintf(stderr, "bench_streams: a stream was ended: %.300s\n", c->text);
        exit(1);
    }
    int64_t at_us = now_us();
    for (char *end; (end = strstr(c->text, "\n\n")) != NULL; drop(c, end + 2)) {
        *end = 0;
        note_event(c, c->text, at_us);
    }
}

static void read_head(struct conn *c)
{
    char *end = NULL;
    while ((end = strstr(c->text, "\r\n\r\n")) == NULL)
        if (!more(c))
            break;
    if (!end || strncmp(c->text, "HTTP/1.1 200", 12) != 0) {
        fprintf(stderr, "bench_streams: no stream: %.300s\n", c->text);
        exit(1);
    }
    drop(c, end + 4);
}

static void *readers(void *arg)
{
    struct epoll_event events[256];
    for (;;) {
        int n = epoll_wait(run.epoll, events, 256, -1);
        for (int i = 0; i < n; i++)
            read_stream(&run.conns[events[i].data.u32]);
    }
    return arg;
}

static void wait_for(const _Atomic long *what, long n, const char *name)
{
    const struct timespec pause = {0, 2000000};
    for (int64_t until = now_us() + WAIT_S * 1000000LL; *what < n; nanosleep(&pause, NULL))
        if (now_us() > until) {
            fprintf(stderr, "bench_streams: %ld of %ld %s\n", (long)*what, n, name);
            exit(1);
        }
}

/* ---- watch: a worker's part */

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

static int open_record(void *arg, struct record **out)
{
    static struct record_ops ops;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const struct record_settings s = {
        .url = run.mysql, .connect_ms = 5000, .io_ms = 10000, .two = true};
    (void)arg;
    int err = record_mysql_open(&s, out, NULL);
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
    struct conn *c = &run.conns[run.put % run.conns_n];
    struct row *w = &run.rows[run.put];
    c->rows[c->seq] = (unsigned)run.put++;
    w->op = (struct writer_op){
        .kind = WRITE_LEDGER, .loop = run.loop, .done = committed, .arg = w, .bytes = 300};
    w->op.ledger.worker = run.fence;
    w->op.ledger.call = (struct record_call){.job = c->id,
                                             .seq = ++c->seq,
                                             .name = "step",
                                             .item = (int32_t)c->seq - 1,
                                             .outcome = OUTCOME_OK,
                                             .attempts = 1,
                                             .result = "{\"price\":18900}",
                                             .result_len = 15};
    memcpy(w->op.ledger.call.ckey, &c->seq, sizeof c->seq);
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
    for (long at = 0; at < run.conns_n;) {
        size_t n = 0;
        for (; n < BATCH && at < run.conns_n; n++, at++) {
            struct conn *c = &run.conns[at];
            c->id = id_new(&secret, &nobody, clock_real(), rng_real());
            c->rows = calloc((size_t)(run.events / run.conns_n + 1), sizeof *c->rows);
            claims[n] = (struct record_claim){.worker = run.fence, .part = -1};
            int64_t now = clock_wall_us(clock_real()), later = now + 3600 * 1000000LL;
            claims[n].job = (struct record_register){.id = c->id,
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

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static void print_spread(const char *name, int64_t *took, long n)
{
    qsort(took, (size_t)n, sizeof *took, by_size);
    printf(",\"%s\":{\"p50_us\":%lld,\"p99_us\":%lld,\"max_us\":%lld}", name,
           n ? (long long)took[n / 2] : 0, n ? (long long)took[n * 99 / 100] : 0,
           n ? (long long)took[n - 1] : 0);
}

static void report_watch(void)
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
    printf("{\"streams\":%ld,\"events\":%ld,\"heard\":%ld", run.conns_n, run.events,
           (long)run.heard);
    print_spread("commit", commit, run.events);
    print_spread("told", told, run.events);
    print_spread("read", heard, run.events);
    puts("}");
    fflush(stdout);
}

static void watch(char **argv) /* behind HOST:PORT */
{
    struct record *r;
    pthread_t thread;
    char byte;
    run.mysql = argv[0];
    run.conns_n = strtol(argv[3], NULL, 10);
    run.events = strtol(argv[4], NULL, 10);
    run.rate = strtol(argv[5], NULL, 10);
    if (run.conns_n < 1 || run.conns_n > STREAMS_MAX || run.rate < 1)
        die("STREAMS, RATE");
    run.conns = calloc((size_t)run.conns_n, sizeof *run.conns);
    run.rows = calloc((size_t)run.events + 1, sizeof *run.rows);
    if (!run.conns || !run.rows)
        die("memory");
    need(open_record(NULL, &r), "record");
    claim_all(r, argv[2]);
    for (long i = 0; i < run.conns_n; i++) {
        connect_one(&run.conns[i]);
        ask_events(&run.conns[i]);
        read_head(&run.conns[i]);
        listen_to(i);
    }
    if (pthread_create(&thread, NULL, readers, NULL) != 0)
        die("thread");
    wait_for(&run.began, run.conns_n, "streams began");
    open_worker(argv[1]);
    run.began_us = now_us() + 500000;
    loop_timer_set(run.loop, run.timer, 1, 1);
    loop_run(run.loop);
    report_watch();
    while (read(STDIN_FILENO, &byte, 1) > 0)
        continue;
}

/* ---- first: POST, then the stream, on one connection */

static void post(long i, long product)
{
    struct conn *c = &run.conns[i];
    char body[64], text[512];
    int b = snprintf(body, sizeof body, "{\"productId\":\"%ld\"}", product);
    connect_one(c);
    say(c, text,
        snprintf(text, sizeof text,
                 "POST /v1/flows/price-compare/jobs HTTP/1.1\r\nHost: %s\r\n"
                 "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                 run.host, b, body));
    listen_to(i);
}

/* The 202 came: the stream of its job. */
static void take_accept(struct conn *c)
{
    static const char before[] = "\"id\":\"";
    char id[ID_TEXT] = "", *at = strstr(c->text, before), *end = strstr(c->text, "\r\n\r\n");
    char *length = strcasestr(c->text, "\r\ncontent-length:");
    if (!end || !length ||
        c->got < (size_t)(end + 4 - c->text) +
                     strtoul(length + sizeof "\r\ncontent-length:" - 1, NULL, 10))
        return;
    if (at)
        strncat(id, at + sizeof before - 1, sizeof id - 1);
    if (strncmp(c->text, "HTTP/1.1 202", 12) != 0 || id_parse(id, &c->id) != 0) {
        fprintf(stderr, "bench_streams: not accepted: %.400s\n", c->text);
        exit(1);
    }
    c->accepted_us = now_us();
    c->is_stream = true;
    c->got = 0;
    c->text[0] = 0;
    ask_events(c);
}

struct spans { /* of `first`, by job, since its POST was due */
    int64_t *accepted, *running, *call;
};

static void take(struct conn *c, struct spans *took)
{
    if (!more(c))
        die("a connection ended");
    if (!c->is_stream) {
        take_accept(c);
        return;
    }
    if (!c->running_us && strstr(c->text, "\"running\""))
        c->running_us = now_us();
    if (!strstr(c->text, "event: call\n"))
        return;
    took->accepted[run.answered] = c->accepted_us - c->due_us;
    took->running[run.answered] = c->running_us - c->due_us;
    took->call[run.answered++] = now_us() - c->due_us;
    close(c->fd);
}

/* Until the next POST is due; with none left, until somebody must have answered. */
static struct timespec until_due(long sent, long count)
{
    int64_t us = sent < count ? run.began_us + sent * 1000000 / run.rate - now_us()
                              : WAIT_S * INT64_C(1000000);
    return us > 0 ? (struct timespec){us / 1000000, us % 1000000 * 1000} : (struct timespec){0};
}

static void first(char **argv)
{
    long count = strtol(argv[0], NULL, 10), product = strtol(argv[2], NULL, 10), sent = 0;
    struct epoll_event events[256];
    run.rate = strtol(argv[1], NULL, 10);
    if (count < 1 || count > STREAMS_MAX || run.rate < 1)
        die("COUNT, RATE");
    run.conns = calloc((size_t)count, sizeof *run.conns);
    int64_t *all = calloc((size_t)count * 3, sizeof *all);
    struct spans took = {all, all + count, all + 2 * count};
    if (!run.conns || !all)
        die("memory");
    run.began_us = now_us();
    while (run.answered < count) {
        for (; sent < count && run.began_us + sent * 1000000 / run.rate <= now_us(); sent++) {
            run.conns[sent].due_us = run.began_us + sent * 1000000 / run.rate;
            post(sent, product + sent);
        }
        struct timespec left = until_due(sent, count);
        int n = epoll_pwait2(run.epoll, events, 256, &left, NULL); /* epoll_wait knows ms only */
        if (n == 0 && sent == count)
            die("no more events");
        for (int i = 0; i < n; i++)
            take(&run.conns[events[i].data.u32], &took);
    }
    printf("{\"jobs\":%ld", count);
    print_spread("accepted", took.accepted, count);
    print_spread("running", took.running, count);
    print_spread("first", took.call, count);
    puts("}");
}

/* ---- */

static bool read_address(char *text)
{
    char *colon = strrchr(text, ':');
    snprintf(run.host, sizeof run.host, "%s", text);
    if (!colon)
        return false;
    *colon = 0;
    run.to.sin_family = AF_INET;
    run.to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    return inet_pton(AF_INET, text, &run.to.sin_addr) == 1;
}

int main(int argc, char **argv)
{
    run.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (argc == 9 && strcmp(argv[1], "watch") == 0 && read_address(argv[2])) {
        watch(argv + 3);
    } else if (argc == 6 && strcmp(argv[1], "first") == 0 && read_address(argv[2])) {
        first(argv + 3);
    } else {
        fputs("usage: bench_streams watch HOST:PORT MYSQL REDIS SECRET STREAMS EVENTS RATE\n"
              "       bench_streams first HOST:PORT COUNT RATE FIRST\n",
              stderr);
        return 2;
    }
    return 0;
}
