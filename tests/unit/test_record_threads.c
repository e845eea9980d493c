/* Lease, watch and cancels with threads and a real loop, for the thread sanitizer: shards join,
 * jobs are followed and forgotten while verdicts are on their way, everybody leaves. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/record_fake.h"
#include "worker/cancels.h"
#include "worker/watch.h"

enum { JOBS = 600, SHARDS = 3 };

struct bench;
struct shard {
    struct bench *bench;
    struct lease_shard *lease;
    struct cancels_shard *cancels;
    uint64_t worker;
    struct watched *watched[JOBS];
    size_t watched_n, decided, told;
};

struct bench {
    struct loop *loop;
    struct record_fake *db;
    struct lease *lease;
    struct watch *watch;
    struct cancels *cancels;
    struct loop_timer *timer;
    struct shard shards[SHARDS];
    int left;
    bool leaving;
};

static struct job_id id_of(size_t n)
{
    struct job_id id = {{1, 2}};
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

static void on_decided(void *arg, enum watch_verdict v, const struct record_watch *row)
{
    struct watched **slot = arg;
    (void)row;
    assert_int_equal(v, WATCH_CLAIM); /* there is no row */
    *slot = NULL;
}

/* Follows all, forgets every third at once: its verdict may be on its way already. */
static void on_held(void *arg, uint64_t worker)
{
    struct shard *s = arg;
    s->worker = worker;
    for (; s->watched_n < JOBS; s->watched_n++) {
        struct watched **slot = &s->watched[s->watched_n];
        struct watch_order o = {id_of(s->watched_n), 0, s->lease, s->bench->loop, on_decided, slot};
        assert_int_equal(watch_add(s->bench->watch, &o, slot), 0);
        if (s->watched_n % 3 == 0 && s->watched_n >= 30) {
            struct watched **old = &s->watched[s->watched_n - 30];
            if (*old)
                watch_remove(s->bench->watch, *old);
            *old = NULL;
        }
    }
}

static void on_late(void *arg, bool late)
{
    (void)arg;
    (void)late;
}

static void on_lost(void *arg, uint64_t worker)
{
    struct shard *s = arg;
    assert_int_equal(worker, s->worker);
}

static void on_cancels(void *arg, const struct job_id *ids, size_t n)
{
    struct shard *s = arg;
    struct job_id id = id_of(JOBS + 1);
    assert_int_equal(n, 1);
    assert_true(id_equal(&ids[0], &id));
    s->told++;
}

static void on_left(void *arg)
{
    struct bench *b = arg;
    if (++b->left == SHARDS)
        loop_stop(b->loop);
}

static bool follows(const struct bench *b)
{
    for (size_t i = 0; i < SHARDS; i++)
        for (size_t k = 0; k < JOBS; k++)
            if (b->shards[i].watched[k])
                return true;
    return false;
}

/* All decided and told: leave. */
static void on_tick(void *arg)
{
    struct bench *b = arg;
    for (size_t i = 0; i < SHARDS; i++)
        if (!b->shards[i].watched_n || !b->shards[i].told)
            return;
    if (follows(b) || b->leaving)
        return;
    b->leaving = true;
    for (size_t i = 0; i < SHARDS; i++) {
        cancels_leave(b->cancels, b->shards[i].cancels);
        lease_leave(b->shards[i].lease, on_left, b);
    }
}

static void all_of_it_with_threads(void **state)
{
    static struct bench b;
    struct owner owner = {{1}};
    struct job_id id = id_of(JOBS + 1);
    (void)state;
    memset(&b, 0, sizeof b);
    b.db = record_fake_new(clock_real());
    assert_int_equal(loop_uv_open(&b.loop), 0);
    struct lease_settings l = {record_fake_open, b.db, "h:1", 150, 1, NULL};
    struct watch_settings w = {record_fake_open, b.db, 150, NULL};
    struct cancels_settings c = {record_fake_open, b.db, NULL};
    assert_int_equal(record_fake_cancel(b.db, &id, &owner), 0);
    assert_int_equal(lease_start(&l, &b.lease), 0);
    assert_int_equal(watch_start(&w, &b.watch), 0);
    assert_int_equal(cancels_start(&c, &b.cancels), 0);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &b.shards[i];
        struct lease_events e = {s, on_held, on_late, on_lost};
        s->bench = &b;
        assert_int_equal(lease_join(b.lease, b.loop, &e, &s->lease), 0);
        assert_int_equal(cancels_join(b.cancels, b.loop, on_cancels, s, &s->cancels), 0);
    }
    b.timer = loop_timer_new(b.loop, on_tick, &b);
    loop_timer_set(b.loop, b.timer, 5, 5);
    loop_run(b.loop);
    loop_timer_free(b.loop, b.timer);
    assert_int_equal(b.left, SHARDS);
    for (size_t i = 0; i < SHARDS; i++)
        assert_int_equal(record_fake_worker(b.db, b.shards[i].worker), 1);
    loop_close(b.loop);
    cancels_stop(b.cancels);
    watch_stop(b.watch);
    lease_stop(b.lease);
    record_fake_free(b.db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(all_of_it_with_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
