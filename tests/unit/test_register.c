/* batcher.h, register.h, reader.h: rows reach MySQL behind the requests' backs, in order, bounded,
 * and again after it was away; reading shares few connections. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/metrics.h"
#include "common/record_fake.h"
#include "gateway/batcher.h"
#include "gateway/reader.h"
#include "gateway/register.h"

/* ---- batcher */

struct sink {
    pthread_mutex_t lock;
    int got[100];
    int64_t got_ms[100];
    size_t n, calls, take; /* take: at most so many of a batch */
    bool hold;             /* the function waits while this is set */
    pthread_cond_t change;
    size_t ticks;
};

static void sink_init(struct sink *s)
{
    *s = (struct sink){
        .lock = PTHREAD_MUTEX_INITIALIZER, .change = PTHREAD_COND_INITIALIZER, .take = 100};
}

static size_t take(void *arg, const void *items, size_t n)
{
    struct sink *s = arg;
    const int *list = items;
    pthread_mutex_lock(&s->lock);
    s->calls++;
    s->ticks += n == 0;
    pthread_cond_broadcast(&s->change);
    while (s->hold)
        pthread_cond_wait(&s->change, &s->lock);
    size_t done = n < s->take ? n : s->take;
    for (size_t i = 0; i < done; i++) {
        s->got_ms[s->n] = clock_mono_ms(clock_real());
        s->got[s->n++] = list[i];
    }
    pthread_mutex_unlock(&s->lock);
    return done;
}

static struct batcher *open_batcher(struct sink *s, size_t queue_max, size_t batch_max)
{
    struct batcher *b;
    struct batcher_settings settings = {.name = "test",
                                        .item_size = sizeof(int),
                                        .queue_max = queue_max,
                                        .batch_max = batch_max,
                                        .retry_ms = 1,
                                        .fn = take,
                                        .arg = s};
    assert_int_equal(batcher_open(&settings, &b), 0);
    return b;
}

static void put_range(struct batcher *b, int from, int to)
{
    for (int i = from; i < to; i++)
        assert_int_equal(batcher_put(b, &i), 0);
}

static void hands_over_in_order(void **state)
{
    struct sink s;
    (void)state;
    sink_init(&s);
    struct batcher *b = open_batcher(&s, 7, 3); /* wraps around, several batches */
    for (int i = 0; i < 40; i += 5) {
        put_range(b, i, i + 5);
        assert_int_equal(batcher_flush(b, 5000), 0);
    }
    assert_int_equal(s.n, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(s.got[i], i);
    batcher_close(b);
}

static void drops_what_finds_it_full(void **state)
{
    struct sink s;
    int extra = 99;
    (void)state;
    sink_init(&s);
    s.hold = true;
    struct batcher *b = open_batcher(&s, 4, 4);
    put_range(b, 0, 1);
    pthread_mutex_lock(&s.lock);
    while (s.calls == 0)
        pthread_cond_wait(&s.change, &s.lock);
    pthread_mutex_unlock(&s.lock);
    put_range(b, 1, 4); /* the one in work counts until it is done */
    assert_int_equal(batcher_put(b, &extra), ERR_FULL);
    assert_int_equal(batcher_flush(b, 1), 4);
    pthread_mutex_lock(&s.lock);
    s.hold = false;
    pthread_cond_broadcast(&s.change);
    pthread_mutex_unlock(&s.lock);
    assert_int_equal(batcher_flush(b, 5000), 0);
    assert_int_equal(s.n, 4);
    batcher_close(b);
}

static void brings_back_what_was_not_done(void **state)
{
    struct sink s;
    (void)state;
    sink_init(&s);
    s.take = 2;
    struct batcher *b = open_batcher(&s, 50, 50);
    put_range(b, 0, 9);
    assert_int_equal(batcher_flush(b, 5000), 0);
    for (int i = 0; i < 9; i++)
        assert_int_equal(s.got[i], i);
    batcher_close(b);
}

/* Also what comes while a batch is in work, or while another one gathers. */
static void lets_each_item_wait(void **state)
{
    enum { GATHER_MS = 30 };
    struct sink s;
    struct batcher *b;
    int64_t put_ms[3];
    (void)state;
    sink_init(&s);
    s.hold = true;
    struct batcher_settings settings = {.name = "test",
                                        .item_size = sizeof(int),
                                        .queue_max = 8,
                                        .batch_max = 8,
                                        .gather_ms = GATHER_MS,
                                        .fn = take,
                                        .arg = &s};
    assert_int_equal(batcher_open(&settings, &b), 0);
    put_range(b, 0, 1);
    pthread_mutex_lock(&s.lock);
    while (s.calls == 0)
        pthread_cond_wait(&s.change, &s.lock);
    put_ms[1] = clock_mono_ms(clock_real());
    put_range(b, 1, 2);
    s.hold = false;
    pthread_cond_broadcast(&s.change);
    pthread_mutex_unlock(&s.lock);
    while (clock_mono_ms(clock_real()) < put_ms[1] + GATHER_MS / 2)
        sched_yield();
    put_ms[2] = clock_mono_ms(clock_real());
    put_range(b, 2, 3);
    assert_int_equal(batcher_flush(b, 5000), 0);
    assert_int_equal(s.n, 3);
    for (int i = 1; i < 3; i++)
        assert_true(s.got_ms[i] - put_ms[i] >= GATHER_MS - 1);
    batcher_close(b);
}

static void ticks_when_nothing_waits(void **state)
{
    struct sink s;
    struct batcher *b;
    (void)state;
    sink_init(&s);
    struct batcher_settings settings = {.name = "test",
                                        .item_size = sizeof(int),
                                        .queue_max = 4,
                                        .batch_max = 4,
                                        .tick_ms = 1,
                                        .fn = take,
                                        .arg = &s};
    assert_int_equal(batcher_open(&settings, &b), 0);
    pthread_mutex_lock(&s.lock);
    while (s.ticks < 3)
        pthread_cond_wait(&s.change, &s.lock);
    pthread_mutex_unlock(&s.lock);
    put_range(b, 0, 3);
    assert_int_equal(batcher_flush(b, 5000), 0);
    assert_int_equal(s.n, 3);
    batcher_close(b);
}

/* ---- registrar and reader, on a record in memory */

static struct clock_stepped now;
static struct flow flow = {.name = "f", .rev = {1, 2, 3}};

struct server { /* a record_fake that can also refuse to open */
    struct record_fake *fake;
    _Atomic int open_err;
    _Atomic unsigned opened;
};

static int open_fake(void *arg, struct record **out, char *why)
{
    struct server *s = arg;
    atomic_fetch_add(&s->opened, 1);
    int err = atomic_load(&s->open_err);
    if (why)
        snprintf(why, 256, "%s", err == ERR_SETUP ? "no tables; run `migrate`" : "");
    return err ? err : record_fake_open(s->fake, out, why);
}

static int setup(void **state)
{
    struct server *s = calloc(1, sizeof *s);
    clock_stepped_init(&now, 1000000LL * 1000000);
    metrics_reset();
    s->fake = record_fake_new(&now.clock);
    *state = s;
    return s->fake ? 0 : -1;
}

static int teardown(void **state)
{
    struct server *s = *state;
    record_fake_free(s->fake);
    free(s);
    return 0;
}

/* An attempt to connect is over for good when the next one begins. */
static void await_attempt(struct server *s)
{
    unsigned before = atomic_load(&s->opened);
    for (int i = 0; i < 20000 && atomic_load(&s->opened) < before + 2; i++)
        nanosleep(&(struct timespec){0, 500000}, NULL);
    assert_true(atomic_load(&s->opened) >= before + 2);
}

static struct registrar *open_registrar(struct server *s)
{
    struct registrar *r;
    struct registrar_settings settings = {
        .open = open_fake, .arg = s, .clock = &now.clock, .retry_ms = 1};
    assert_int_equal(registrar_open(&settings, &r), 0);
    return r;
}

static struct register_row row(uint8_t n, int64_t deadline_us)
{
    struct register_row r = {.id.b = {[15] = n},
                             .flow = &flow,
                             .mac = {n},
                             .created_us = clock_wall_us(&now.clock),
                             .deadline_us = deadline_us};
    return r;
}

static struct reader *open_reader(struct server *s, size_t connections)
{
    struct reader *r;
    struct reader_settings settings = {.open = open_fake,
                                       .arg = s,
                                       .connections = connections,
                                       .wait_ms = 20,
                                       .stuck_ms = 10,
                                       .rest_ms = 1000,
                                       .clock = &now.clock};
    assert_int_equal(reader_open(&settings, &r), 0);
    return r;
}

static int read_job(struct reader *r, uint8_t n, struct record_job *job)
{
    struct job_id id = {.b = {[15] = n}};
    struct record_call *calls = NULL;
    size_t calls_n = 0;
    int err = reader_read(r, &id, NULL, job, &calls, &calls_n);
    if (!err)
        free(calls);
    return err;
}

static void registers_what_the_row_needs(void **state)
{
    struct server *s = *state;
    struct registrar *r = open_registrar(s);
    struct reader *reader = open_reader(s, 1);
    int64_t deadline = clock_wall_us(&now.clock) + 12000000;
    struct register_row a = row(1, deadline), b = row(2, 0);
    struct record_job job;
    registrar_put(r, &a);
    registrar_put(r, &b);
    assert_int_equal(registrar_flush(r, 5000), 0);
    assert_true(registrar_up(r));
    assert_int_equal(read_job(reader, 1, &job), 0);
    assert_string_equal(job.flow, "f");
    assert_int_equal(job.state, JOB_QUEUED);
    assert_true(job.has_mac && job.has_rev);
    assert_int_equal(job.mac[0], 1);
    assert_int_equal(job.rev[1], 2);
    assert_int_equal(job.deadline_us, deadline);
    record_job_fini(&job);
    assert_int_equal(read_job(reader, 2, &job), 0);
    assert_int_equal(job.deadline_us, 0);
    record_job_fini(&job);
    assert_int_equal(read_job(reader, 3, &job), ERR_NOT_FOUND);
    reader_close(reader);
    registrar_close(r);
}

static void keeps_rows_while_mysql_is_away(void **state)
{
    struct server *s = *state;
    struct register_row a = row(1, 0);
    record_fake_down(s->fake, true);
    struct registrar *r = open_registrar(s);
    registrar_put(r, &a);
    assert_int_equal(registrar_flush(r, 20), 1);
    assert_false(registrar_up(r));
    record_fake_down(s->fake, false);
    assert_int_equal(registrar_flush(r, 5000), 0);
    assert_true(registrar_up(r));
    assert_true(record_fake_has(s->fake, &a.id));
    registrar_close(r);
}

static void says_why_mysql_cannot_be_used(void **state)
{
    struct server *s = *state;
    struct register_row a = row(1, 0);
    char why[256];
    atomic_store(&s->open_err, ERR_SETUP);
    struct registrar *r = open_registrar(s);
    registrar_refusal(r, why);
    assert_string_equal(why, "");
    registrar_put(r, &a);
    await_attempt(s);
    assert_int_equal(registrar_flush(r, 1), 1);
    registrar_refusal(r, why);
    assert_string_equal(why, "no tables; run `migrate`");
    atomic_store(&s->open_err, 0);
    assert_int_equal(registrar_flush(r, 5000), 0);
    registrar_refusal(r, why);
    assert_string_equal(why, "");
    registrar_close(r);
}

static void drops_and_counts_beyond_its_queue(void **state)
{
    struct server *s = *state;
    record_fake_down(s->fake, true);
    struct registrar *r = open_registrar(s);
    struct register_row a = row(1, 0);
    for (int i = 0; i < REGISTER_QUEUE + 5; i++)
        registrar_put(r, &a);
    assert_int_equal(registrar_flush(r, 1), REGISTER_QUEUE);
    assert_int_equal(metrics_value(metrics_counter("offpath_register_dropped_total", "", "")), 5);
    registrar_close(r);
}

static void skips_a_row_mysql_never_takes(void **state)
{
    struct server *s = *state;
    struct register_row a = row(1, 0), b = row(2, 0);
    record_fake_down(s->fake, true);
    struct registrar *r = open_registrar(s);
    registrar_put(r, &a);
    registrar_put(r, &b);
    record_fake_fail(s->fake, 1, ERR_REFUSED); /* the batch; then each alone */
    record_fake_down(s->fake, false);
    assert_int_equal(registrar_flush(r, 5000), 0);
    assert_true(record_fake_has(s->fake, &a.id));
    assert_true(record_fake_has(s->fake, &b.id));
    registrar_close(r);
}

/* ---- the server's clock */

static struct {
    int64_t ahead_us, way_us; /* of the server's clock; how long the question takes */
    _Atomic bool away;
    unsigned asked;
} far;

static int far_now(struct record *r, int64_t *us)
{
    (void)r;
    far.asked++;
    clock_step(&now, far.way_us);
    *us = now.boot + far.ahead_us;
    return 0;
}

static int far_register(struct record *r, struct record_register *rows, size_t n)
{
    (void)r;
    (void)rows;
    (void)n;
    return 0;
}

static void far_close(struct record *r)
{
    (void)r;
}

static int open_far(void *arg, struct record **out, char *why)
{
    static const struct record_ops ops = {
        .now = far_now, .register_jobs = far_register, .close = far_close};
    static struct record record = {&ops};
    (void)arg;
    (void)why;
    if (atomic_load(&far.away))
        return ERR_IO;
    *out = &record;
    return 0;
}

/* Without a tick: the registrar never has nothing to do. */
static struct registrar *open_busy(void)
{
    struct registrar *r;
    struct registrar_settings settings = {.open = open_far, .clock = &now.clock, .retry_ms = 1};
    far.ahead_us = 90000000;
    far.way_us = 0;
    far.asked = 0;
    assert_int_equal(registrar_open(&settings, &r), 0);
    return r;
}

static void register_one(struct registrar *r)
{
    struct register_row a = row(1, 0);
    registrar_put(r, &a);
    assert_int_equal(registrar_flush(r, 5000), 0);
}

static int64_t ahead(const struct registrar *r)
{
    return registrar_now_us(r) - clock_boot_us(&now.clock);
}

static void knows_the_clock_of_a_server_that_came_under_load(void **state)
{
    (void)state;
    atomic_store(&far.away, true);
    struct registrar *r = open_busy();
    struct register_row a = row(1, 0);
    registrar_put(r, &a);
    assert_int_equal(registrar_flush(r, 20), 1);
    clock_step_wall(&now, 5000000);
    assert_int_equal(ahead(r), 5000000); /* better the machine's than none */
    atomic_store(&far.away, false);
    assert_int_equal(registrar_flush(r, 5000), 0);
    assert_int_equal(ahead(r), 90000000);
    registrar_close(r);
}

static void looks_at_the_clock_every_minute_under_load(void **state)
{
    (void)state;
    struct registrar *r = open_busy();
    register_one(r);
    far.ahead_us = 70000000;
    clock_step(&now, 59000000);
    register_one(r);
    assert_int_equal(far.asked, 1);
    assert_int_equal(ahead(r), 90000000);
    clock_step(&now, 1000000);
    register_one(r);
    assert_int_equal(far.asked, 2);
    assert_int_equal(ahead(r), 70000000);
    registrar_close(r);
}

static void a_step_of_our_own_clock_moves_no_deadline(void **state)
{
    (void)state;
    struct registrar *r = open_busy();
    register_one(r);
    clock_step_wall(&now, INT64_C(3600) * 1000000);
    assert_int_equal(ahead(r), 90000000);
    registrar_close(r);
}

/* MySQL stood still for 10 s: the deadlines of all jobs must not move by 5. */
static void a_slow_answer_moves_no_deadline(void **state)
{
    (void)state;
    struct registrar *r = open_busy();
    register_one(r);
    far.way_us = 10000000;
    clock_step(&now, 60000000);
    register_one(r);
    assert_int_equal(far.asked, 2);
    assert_int_equal(ahead(r), 90000000);
    far.way_us = 4000;
    clock_step(&now, 1000000); /* asked again soon */
    register_one(r);
    assert_int_equal(far.asked, 3);
    assert_int_equal(ahead(r), 90002000);
    registrar_close(r);
}

static void reads_again_on_a_fresh_connection(void **state)
{
    struct server *s = *state;
    struct reader *reader = open_reader(s, 1);
    struct record_job job;
    assert_int_equal(read_job(reader, 1, &job), ERR_NOT_FOUND);
    record_fake_fail(s->fake, 1, ERR_IO); /* the idle connection was closed by the server */
    assert_int_equal(read_job(reader, 1, &job), ERR_NOT_FOUND);
    assert_int_equal(s->opened, 2);
    reader_close(reader);
}

static void answers_at_once_while_mysql_is_away(void **state)
{
    struct server *s = *state;
    struct reader *reader = open_reader(s, 2);
    struct record_job job;
    record_fake_down(s->fake, true);
    assert_int_equal(read_job(reader, 1, &job), ERR_UNAVAILABLE);
    unsigned tried = s->opened;
    assert_int_equal(read_job(reader, 1, &job), ERR_UNAVAILABLE);
    assert_int_equal(s->opened, tried); /* it rests */
    record_fake_down(s->fake, false);
    clock_step(&now, 1000000);
    assert_int_equal(read_job(reader, 1, &job), ERR_NOT_FOUND);
    reader_close(reader);
}

struct hang { /* a server that takes a connection and says nothing until it is let go */
    struct server *server;
    sem_t came, go;
};

static int open_hanging(void *arg, struct record **out, char *why)
{
    struct hang *h = arg;
    (void)out;
    (void)why;
    sem_post(&h->came);
    sem_wait(&h->go);
    return ERR_TIMEOUT;
}

static void *read_in_a_thread(void *arg)
{
    struct record_job job;
    return (void *)(intptr_t)read_job(arg, 1, &job);
}

static void lets_nobody_wait_while_mysql_hangs(void **state)
{
    struct hang h = {.server = *state};
    struct reader_settings settings = {.open = open_hanging,
                                       .arg = &h,
                                       .connections = 1,
                                       .wait_ms = 60000,
                                       .stuck_ms = 250,
                                       .clock = &now.clock};
    struct reader *reader;
    struct record_job job;
    pthread_t thread;
    void *result;
    sem_init(&h.came, 0, 0);
    sem_init(&h.go, 0, 0);
    assert_int_equal(reader_open(&settings, &reader), 0);
    assert_int_equal(pthread_create(&thread, NULL, read_in_a_thread, reader), 0);
    sem_wait(&h.came);
    clock_step(&now, 250 * 1000);
    assert_int_equal(read_job(reader, 2, &job), ERR_UNAVAILABLE); /* at once */
    sem_post(&h.go);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, ERR_UNAVAILABLE);
    reader_close(reader);
}

static int open_hanging_once(void *arg, struct record **out, char *why)
{
    struct hang *h = arg;
    return sem_trywait(&h->came) == 0 ? open_fake(h->server, out, why)
                                      : open_hanging(arg, out, why);
}

static void *list_in_a_thread(void *arg)
{
    struct record_list l = {.max = 1};
    return (void *)(intptr_t)reader_list(arg, &l);
}

/* One list hangs on one of three connections: the next is refused, a read is not. */
static void lists_leave_connections_to_reads(void **state)
{
    struct hang h = {.server = *state};
    struct reader_settings settings = {.open = open_hanging_once,
                                       .arg = &h,
                                       .connections = 3,
                                       .wait_ms = 60000,
                                       .stuck_ms = 250,
                                       .clock = &now.clock};
    struct reader *reader;
    struct record_job job;
    struct record_list l = {.max = 1};
    pthread_t thread;
    void *result;
    sem_init(&h.came, 0, 0);
    sem_init(&h.go, 0, 0);
    assert_int_equal(reader_open(&settings, &reader), 0);
    assert_int_equal(pthread_create(&thread, NULL, list_in_a_thread, reader), 0);
    sem_wait(&h.came);
    sem_post(&h.came); /* who opens from now on does not hang */
    clock_step(&now, 250 * 1000);
    assert_int_equal(reader_list(reader, &l), ERR_UNAVAILABLE);
    assert_int_equal(read_job(reader, 1, &job), ERR_NOT_FOUND);
    sem_post(&h.go);
    pthread_join(thread, &result);
    assert_int_equal((intptr_t)result, ERR_UNAVAILABLE);
    reader_close(reader);
}

static int64_t slow_mono(const struct clock *c)
{
    (void)c;
    clock_step(&now, 1200 * 1000);
    return now.mono;
}

/* Asking a second time would only wait as long again. */
static void a_read_that_hung_is_not_made_again(void **state)
{
    struct server *s = *state;
    const struct clock slow = {.mono_us = slow_mono};
    struct reader_settings settings = {
        .open = open_fake, .arg = s, .connections = 1, .clock = &slow};
    struct reader *reader;
    struct record_job job;
    assert_int_equal(reader_open(&settings, &reader), 0);
    assert_int_equal(read_job(reader, 1, &job), ERR_NOT_FOUND);
    record_fake_fail(s->fake, 1, ERR_IO);
    assert_int_equal(read_job(reader, 1, &job), ERR_UNAVAILABLE);
    assert_int_equal(s->opened, 1);
    reader_close(reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hands_over_in_order),
        cmocka_unit_test(drops_what_finds_it_full),
        cmocka_unit_test(brings_back_what_was_not_done),
        cmocka_unit_test(lets_each_item_wait),
        cmocka_unit_test(ticks_when_nothing_waits),
        cmocka_unit_test_setup_teardown(registers_what_the_row_needs, setup, teardown),
        cmocka_unit_test_setup_teardown(keeps_rows_while_mysql_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(says_why_mysql_cannot_be_used, setup, teardown),
        cmocka_unit_test_setup_teardown(drops_and_counts_beyond_its_queue, setup, teardown),
        cmocka_unit_test_setup_teardown(skips_a_row_mysql_never_takes, setup, teardown),
        cmocka_unit_test_setup_teardown(knows_the_clock_of_a_server_that_came_under_load, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(looks_at_the_clock_every_minute_under_load, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_step_of_our_own_clock_moves_no_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(a_slow_answer_moves_no_deadline, setup, teardown),
        cmocka_unit_test_setup_teardown(reads_again_on_a_fresh_connection, setup, teardown),
        cmocka_unit_test_setup_teardown(answers_at_once_while_mysql_is_away, setup, teardown),
        cmocka_unit_test_setup_teardown(lets_nobody_wait_while_mysql_hangs, setup, teardown),
        cmocka_unit_test_setup_teardown(lists_leave_connections_to_reads, setup, teardown),
        cmocka_unit_test_setup_teardown(a_read_that_hung_is_not_made_again, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
