/* bench_first - how long a person waits for the first partial result:
 *   bench_first HOST:PORT COUNT RATE FIRST
 * POSTs COUNT price comparisons, RATE a second, of products FIRST and on, on connections that are
 * kept, as browsers and services keep them. Timed is from when a POST was due to when the first
 * `call` was read from that job's stream, a connection of its own.
 * Prints one line of JSON; `firsts` has each job's: product, call, us. */
#include <time.h>

#include "tests/bench/streaming.h"

enum { POSTERS = 64 };

struct job {
    struct conn stream;
    struct job_id id;
    long product;
    char first[32]; /* name of the call that was heard first */
    int64_t due_us, accepted_us, running_us, first_us;
};

struct poster {
    struct conn c;
    struct job *job; /* whose answer it waits for */
};

static struct client client;
static struct poster posters[POSTERS];
static struct job *jobs;
static long jobs_n, answered;

/* ---- POST, then the stream. Tags of connections: jobs, and behind them those that POST */

/* One that waits for no answer; opened where it is not. */
static struct poster *free_poster(void)
{
    for (long i = 0; i < POSTERS; i++) {
        struct poster *p = &posters[i];
        if (p->job)
            continue;
        if (!p->c.fd) {
            conn_open(&client, &p->c);
            conn_listen(&client, &p->c, jobs_n + i);
        }
        return p;
    }
    return NULL;
}

static void post(struct job *job)
{
    struct poster *p = free_poster();
    char body[64], text[512];
    int b = snprintf(body, sizeof body, "{\"productId\":\"%ld\"}", job->product);
    if (!p)
        die("too many POSTs without an answer");
    p->job = job;
    conn_say(&p->c, text,
             snprintf(text, sizeof text,
                      "POST /v1/flows/price-compare/jobs HTTP/1.1\r\nHost: %s\r\n"
                      "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
                      client.host, b, body));
}

static bool answer_is_whole(const struct conn *c)
{
    static const char name[] = "\r\ncontent-length:";
    const char *end = strstr(c->text, "\r\n\r\n"), *length = strcasestr(c->text, name);
    return end && length &&
           c->got >= (size_t)(end + 4 - c->text) + strtoul(length + sizeof name - 1, NULL, 10);
}

/* The 202 came: the stream of its job. */
static void take_accept(struct poster *p)
{
    static const char before[] = "\"id\":\"";
    struct job *j = p->job;
    char id[ID_TEXT] = "", *at = strstr(p->c.text, before);
    if (!answer_is_whole(&p->c))
        return;
    if (at)
        strncat(id, at + sizeof before - 1, sizeof id - 1);
    if (strncmp(p->c.text, "HTTP/1.1 202", 12) != 0 || id_parse(id, &j->id) != 0) {
        fprintf(stderr, "bench: not accepted: %.400s\n", p->c.text);
        exit(1);
    }
    j->accepted_us = now_us();
    p->job = NULL;
    p->c.got = 0;
    conn_open(&client, &j->stream);
    conn_listen(&client, &j->stream, j - jobs);
    conn_ask_events(&client, &j->stream, &j->id);
}

static void take_answer(struct poster *p)
{
    if (conn_more(&p->c)) {
        take_accept(p);
        return;
    }
    if (p->job)
        die("a connection ended");
    close(p->c.fd); /* the gateway lets connections go that ask nothing */
    p->c.fd = 0;
}

static void take_events(struct job *j)
{
    static const char before[] = "\"name\":\"";
    if (!conn_more(&j->stream))
        die("a stream ended");
    if (!j->running_us && strstr(j->stream.text, "\"running\""))
        j->running_us = now_us();
    const char *call = strstr(j->stream.text, "event: call\n");
    const char *name = call ? strstr(call, before) : NULL;
    if (!name || !strchr(name, '\n'))
        return;
    name += sizeof before - 1;
    snprintf(j->first, sizeof j->first, "%.*s", (int)strcspn(name, "\""), name);
    j->first_us = now_us();
    answered++;
    close(j->stream.fd);
}

static void take(uint32_t tag)
{
    if (tag < jobs_n)
        take_events(&jobs[tag]);
    else
        take_answer(&posters[tag - jobs_n]);
}

/* Until the next POST is due; with none left, until somebody must have answered. */
static struct timespec until(int64_t due_us)
{
    int64_t us = due_us ? due_us - now_us() : WAIT_S * INT64_C(1000000);
    return us > 0 ? (struct timespec){us / 1000000, us % 1000000 * 1000} : (struct timespec){0};
}

static void post_all(long rate, long product)
{
    struct epoll_event events[256];
    int64_t began_us = now_us();
    for (long sent = 0; answered < jobs_n;) {
        int64_t due_us = 0;
        for (; sent < jobs_n; sent++) {
            due_us = began_us + sent * 1000000 / rate;
            if (due_us > now_us())
                break;
            jobs[sent].due_us = due_us;
            jobs[sent].product = product + sent;
            post(&jobs[sent]);
        }
        const struct timespec left = until(sent < jobs_n ? due_us : 0);
        int n = epoll_pwait2(client.epoll, events, 256, &left, NULL); /* epoll_wait knows ms only */
        if (n == 0 && sent == jobs_n)
            die("no more events");
        for (int i = 0; i < n; i++)
            take(events[i].data.u32);
    }
}

/* ---- */

static void report(void)
{
    int64_t *took = calloc((size_t)jobs_n * 3, sizeof *took);
    int64_t *running = took + jobs_n, *call = running + jobs_n;
    if (!took)
        die("memory");
    for (long i = 0; i < jobs_n; i++) {
        const struct job *j = &jobs[i];
        took[i] = j->accepted_us - j->due_us;
        running[i] = j->running_us - j->due_us;
        call[i] = j->first_us - j->due_us;
    }
    printf("{\"jobs\":%ld", jobs_n);
    spread_print("accepted", took, jobs_n);
    spread_print("running", running, jobs_n);
    spread_print("first", call, jobs_n);
    printf(",\"firsts\":[");
    for (long i = 0; i < jobs_n; i++)
        printf("%s[\"%ld\",\"%s\",%lld]", i ? "," : "", jobs[i].product, jobs[i].first,
               (long long)(jobs[i].first_us - jobs[i].due_us));
    puts("]}");
    free(took);
}

int main(int argc, char **argv)
{
    if (argc != 5) {
        fputs("usage: bench_first HOST:PORT COUNT RATE FIRST\n", stderr);
        return 2;
    }
    client_init(&client, argv[1]);
    jobs_n = strtol(argv[2], NULL, 10);
    long rate = strtol(argv[3], NULL, 10);
    if (jobs_n < 1 || jobs_n > STREAMS_MAX || rate < 1)
        die("COUNT, RATE");
    jobs = calloc((size_t)jobs_n, sizeof *jobs);
    if (!jobs)
        die("memory");
    post_all(rate, strtol(argv[4], NULL, 10));
    report();
    return 0;
}
