/* A shard's thread with its real loop and clients: it opens, or cannot and leaves nothing behind;
 * what others may see of it outlives the shard. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/flow_load.h"
#include "common/record_fake.h"
#include "worker/shard_thread.h"

enum { OPENS = 1, LEASE_MS = 15000 };

struct bench {
    struct flow_set *set;
    struct record_fake *db;
    struct writer *writer;
    struct lease *lease;
    struct watch *watch;
    struct cancels *cancels;
    struct topic_limits limits;
    _Atomic int64_t ahead_us;
    int can_open; /* consumers; the next one fails */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool opened, ended;
    int err;
};

/* ---- a consumer that is told nothing */

struct silent {
    struct broker_consumer consumer; /* first */
    int fd;
};

static int silent_fd(struct broker_consumer *c)
{
    return ((struct silent *)(void *)c)->fd;
}

static const struct broker_record *silent_poll(struct broker_consumer *c)
{
    (void)c;
    return NULL;
}

static void silent_pause(struct broker_consumer *c, const char *topic, int32_t partition,
                         bool pause)
{
    (void)c;
    (void)topic;
    (void)partition;
    (void)pause;
}

static int silent_commit(struct broker_consumer *c, const struct broker_partition *list, size_t n,
                         int wait_ms)
{
    (void)c;
    (void)list;
    (void)n;
    (void)wait_ms;
    return 0;
}

static void silent_close(struct broker_consumer *c)
{
    close(silent_fd(c));
    free(c);
}

static int open_consumer(void *arg, const char *group, const char *const *topics, size_t n,
                         const struct broker_consumer_events *events, struct broker_consumer **out)
{
    static const struct broker_consumer_ops ops = {silent_fd, silent_poll, silent_pause,
                                                   silent_commit, silent_close};
    struct bench *b = arg;
    (void)group;
    (void)topics;
    (void)n;
    (void)events;
    if (b->can_open-- <= 0)
        return ERR_IO;
    struct silent *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->consumer.ops = &ops;
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    *out = &s->consumer;
    return 0;
}

/* ---- */

static int bench_new(void **state)
{
    struct bench *b = calloc(1, sizeof *b);
    struct findings findings;
    const struct flow_load_settings flows = {.flows_dir = "tests/shops/flows"};
    assert_non_null(b);
    findings_init(&findings);
    assert_int_equal(flow_load(&flows, &findings, &b->set), 0);
    findings_fini(&findings);
    b->db = record_fake_new(clock_real());
    const struct writer_settings writer = {
        .open = record_fake_open, .open_arg = b->db, .threads = 1};
    const struct lease_settings lease = {.open = record_fake_open,
                                         .open_arg = b->db,
                                         .name = "test",
                                         .lease_ms = LEASE_MS,
                                         .shards = 1};
    const struct watch_settings watch = {
        .open = record_fake_open, .open_arg = b->db, .lease_ms = LEASE_MS};
    const struct cancels_settings cancels = {.open = record_fake_open, .open_arg = b->db};
    assert_int_equal(writer_start(&writer, &b->writer), 0);
    assert_int_equal(lease_start(&lease, &b->lease), 0);
    assert_int_equal(watch_start(&watch, &b->watch), 0);
    assert_int_equal(cancels_start(&cancels, &b->cancels), 0);
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->changed, NULL);
    *state = b;
    return 0;
}

static int bench_free(void **state)
{
    struct bench *b = *state;
    cancels_stop(b->cancels);
    watch_stop(b->watch);
    lease_stop(b->lease);
    writer_stop(b->writer, 0);
    record_fake_free(b->db);
    flow_set_put(b->set);
    pthread_cond_destroy(&b->changed);
    pthread_mutex_destroy(&b->lock);
    free(b);
    return 0;
}

static void on_opened(void *arg, int err)
{
    struct bench *b = arg;
    pthread_mutex_lock(&b->lock);
    b->opened = true;
    b->err = err;
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

static void on_ended(void *arg)
{
    struct bench *b = arg;
    pthread_mutex_lock(&b->lock);
    b->ended = true;
    pthread_mutex_unlock(&b->lock);
}

static void on_fatal(void *arg, const char *why)
{
    (void)arg;
    fail_msg("consumer: %s", why);
}

static int answer(void *arg, const char *path, struct buf *body, const char **type)
{
    (void)arg;
    (void)path;
    (void)body;
    (void)type;
    return 404;
}

static struct shard_thread *start(struct bench *b, int admin_fd)
{
    const struct shard_thread_settings s = {
        .shard = {.set = b->set,
                  .writer = b->writer,
                  .lease = b->lease,
                  .watch = b->watch,
                  .cancels = b->cancels,
                  .limits = &b->limits,
                  .open = open_consumer,
                  .open_arg = b,
                  .ahead_us = &b->ahead_us,
                  .shares = lease_shares(b->lease),
                  .retention_ms = 86400000},
        .redis = {.url = "redis://127.0.0.1:1", .wait_ms = 50, .connections = 1},
        .admin_fd = admin_fd,
        .answer = answer,
        .opened = on_opened,
        .ended = on_ended,
        .fatal = on_fatal,
        .arg = b};
    struct shard_thread *t = NULL;
    b->opened = b->ended = false;
    assert_int_equal(shard_thread_start(&s, &t), 0);
    pthread_mutex_lock(&b->lock);
    while (!b->opened)
        pthread_cond_wait(&b->changed, &b->lock);
    pthread_mutex_unlock(&b->lock);
    return t;
}

static int descriptors(void)
{
    DIR *d = opendir("/proc/self/fd");
    int n = 0;
    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static unsigned registered(struct bench *b)
{
    struct record *eyes = NULL;
    unsigned n = 0;
    assert_int_equal(record_fake_open(b->db, &eyes, NULL), 0);
    assert_int_equal(eyes->ops->workers(eyes, &n), 0);
    eyes->ops->close(eyes);
    return n;
}

static void one_that_cannot_open_leaves_nothing_behind(void **state)
{
    struct bench *b = *state;
    int before = 0, port;
    char why[ADMIN_WHY];
    for (int round = 0; round < 3; round++) {
        int fd;
        assert_int_equal(admin_listen("127.0.0.1:0", &fd, &port, why), 0);
        b->can_open = 0;
        struct shard_thread *t = start(b, fd);
        assert_int_equal(b->err, ERR_IO);
        shard_thread_join(t);
        assert_true(b->ended);
        shard_thread_free(t);
        if (round == 0) /* libuv keeps two for ever */
            before = descriptors();
        assert_int_equal(descriptors(), before);
        assert_int_equal(registered(b), 0);
    }
}

struct reader {
    const struct shard_thread *of;
    atomic_bool joined;
    bool wrong;
};

static void *read_signs(void *arg)
{
    struct reader *r = arg;
    while (!r->joined) {
        r->wrong |= shard_thread_worker(r->of) > 1 || shard_thread_trouble(r->of);
        r->wrong |= shard_thread_silence_ms(r->of) > 60000;
        sched_yield();
    }
    return NULL;
}

static void what_others_see_of_it_outlives_the_shard(void **state)
{
    struct bench *b = *state;
    int before = descriptors();
    pthread_t thread;
    b->can_open = OPENS;
    struct shard_thread *t = start(b, -1);
    assert_int_equal(b->err, 0);
    struct reader reader = {.of = t};
    assert_int_equal(pthread_create(&thread, NULL, read_signs, &reader), 0);
    while (!shard_thread_worker(t))
        sched_yield();
    shard_thread_drain(t, 0);
    shard_thread_join(t);
    reader.joined = true;
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_false(reader.wrong);
    assert_int_equal(shard_thread_worker(t), 0);
    assert_true(b->ended);
    assert_int_equal(shard_thread_silence_ms(t), 0);
    shard_thread_drain(t, 0); /* too late, and no harm */
    shard_thread_free(t);
    assert_int_equal(descriptors(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_cannot_open_leaves_nothing_behind, bench_new,
                                        bench_free),
        cmocka_unit_test_setup_teardown(what_others_see_of_it_outlives_the_shard, bench_new,
                                        bench_free),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
