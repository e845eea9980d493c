/* bench_produce - the least an accept can cost: publish a record, wait for the acknowledgement of
 * all replicas, and nothing else. The floor that the gateway's accept is held against.
 *   bench_produce BROKERS TOPIC COUNT WINDOW RATE
 * WINDOW: how many wait for their acknowledgement at once; RATE: per second, 0 = as fast as it
 * goes. Prints one line of JSON: cpu_s is of this process. */
#include <librdkafka/rdkafka.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

struct run {
    long count, window, rate, sent, done, failed;
    int64_t began_us;
    uint32_t *took_us;
};

static int64_t now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static double cpu_s(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
           (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

static void on_report(rd_kafka_t *k, const rd_kafka_message_t *m, void *arg)
{
    (void)k;
    struct run *r = arg;
    if (m->err)
        r->failed++;
    int64_t due = (int64_t)(intptr_t)m->_private;
    r->took_us[r->done++] = (uint32_t)(now_us() - r->began_us - due);
}

static void set(rd_kafka_conf_t *c, const char *name, const char *value)
{
    char why[256];
    if (rd_kafka_conf_set(c, name, value, why, sizeof why) != RD_KAFKA_CONF_OK) {
        fprintf(stderr, "bench_produce: %s\n", why);
        exit(1);
    }
}

static rd_kafka_t *open_producer(const char *brokers, struct run *r)
{
    char why[256];
    rd_kafka_conf_t *c = rd_kafka_conf_new();
    set(c, "bootstrap.servers", brokers);
    set(c, "acks", "all");
    set(c, "enable.idempotence", "true");
    set(c, "linger.ms", "0");
    set(c, "socket.nagle.disable", "true");
    rd_kafka_conf_set_opaque(c, r);
    rd_kafka_conf_set_dr_msg_cb(c, on_report);
    rd_kafka_t *k = rd_kafka_new(RD_KAFKA_PRODUCER, c, why, sizeof why);
    if (!k) {
        fprintf(stderr, "bench_produce: %s\n", why);
        exit(1);
    }
    return k;
}

static void send_one(rd_kafka_topic_t *topic, struct run *r, int64_t due)
{
    char key[24], value[64];
    int kn = snprintf(key, sizeof key, "%ld", r->sent);
    int vn = snprintf(value, sizeof value, "{\"productId\":\"%ld\"}", r->sent);
    if (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, value, (size_t)vn, key,
                         (size_t)kn, (void *)(intptr_t)due) != 0) {
        fprintf(stderr, "bench_produce: %s\n", rd_kafka_err2str(rd_kafka_last_error()));
        exit(1);
    }
    r->sent++;
}

static void work(rd_kafka_t *k, rd_kafka_topic_t *topic, struct run *r)
{
    r->began_us = now_us();
    while (r->done < r->count) {
        int64_t now = now_us() - r->began_us;
        while (r->sent < r->count && r->sent - r->done < r->window) {
            int64_t due = r->rate ? r->sent * 1000000 / r->rate : now;
            if (due > now)
                break;
            send_one(topic, r, due);
        }
        rd_kafka_poll(k, r->rate && r->sent < r->count ? 0 : 10);
        if (r->rate) {
            struct timespec nap = {.tv_nsec = 20000};
            nanosleep(&nap, NULL);
        }
    }
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fputs("usage: bench_produce BROKERS TOPIC COUNT WINDOW RATE\n", stderr);
        return 2;
    }
    struct run r = {.count = strtol(argv[3], NULL, 10),
                    .window = strtol(argv[4], NULL, 10),
                    .rate = strtol(argv[5], NULL, 10)};
    if (r.count < 1 || r.count > 10000000 || r.window < 1)
        return 2;
    r.took_us = calloc((size_t)r.count, sizeof *r.took_us);
    if (!r.took_us)
        return 1;
    rd_kafka_t *k = open_producer(argv[1], &r);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(k, argv[2], NULL);
    /* the first record pays for the connection and the topic's metadata */
    long count = r.count;
    r.count = 1;
    work(k, topic, &r);
    r.sent = r.done = 0;
    r.count = count;
    double cpu = cpu_s();
    work(k, topic, &r);
    cpu = cpu_s() - cpu;
    double s = (double)(now_us() - r.began_us) / 1e6;
    qsort(r.took_us, (size_t)r.done, sizeof *r.took_us, by_size);
    printf("{\"sent\":%ld,\"failed\":%ld,\"seconds\":%.3f,\"per_s\":%.0f,\"cpu_s\":%.3f,"
           "\"p50_us\":%u,\"p99_us\":%u}\n",
           r.done, r.failed, s, (double)r.done / s, cpu, r.took_us[r.done / 2],
           r.took_us[r.done * 99 / 100]);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(k);
    return 0;
}
