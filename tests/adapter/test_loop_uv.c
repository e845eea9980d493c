#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/loop.h"

struct trace {
    struct loop *loop;
    struct loop_timer *timer;
    struct loop_io *io;
    int fd;
    char order[64];
    int64_t from, after_ms[64]; /* the loop's time at the start; of each note since then */
    size_t n, stop_at;
};

static void note(struct trace *t, char name)
{
    assert_true(t->n < sizeof t->order - 1);
    t->after_ms[t->n] = loop_now_ms(t->loop) - t->from;
    t->order[t->n++] = name;
    if (t->n == t->stop_at)
        loop_stop(t->loop);
}

static int setup(void **state)
{
    static struct trace t;
    t = (struct trace){0};
    assert_int_equal(loop_uv_open(&t.loop), 0);
    *state = &t;
    return 0;
}

static int teardown(void **state)
{
    loop_close(((struct trace *)*state)->loop);
    return 0;
}

static void on_a(void *arg)
{
    note(arg, 'a');
}

static void on_b(void *arg)
{
    note(arg, 'b');
}

/* Not in which order: where the machine stands still, one that repeats is late, and the next later
 * still. The fourth b is due behind a in any case. */
static void timers_fire_again_and_not_before_their_time(void **state)
{
    struct trace *t = *state;
    struct loop_timer *a = loop_timer_new(t->loop, on_a, t), *b = loop_timer_new(t->loop, on_b, t);
    t->from = loop_now_ms(t->loop);
    loop_timer_set(t->loop, a, 30, 0);
    loop_timer_set(t->loop, b, 5, 10);
    t->stop_at = 4;
    loop_run(t->loop);
    loop_timer_free(t->loop, a);
    loop_timer_free(t->loop, b);
    int a_seen = 0, b_seen = 0;
    for (size_t i = 0; i < t->n; i++)
        if (t->order[i] == 'a')
            assert_true(a_seen++ == 0 && t->after_ms[i] >= 30);
        else
            assert_true(t->after_ms[i] >= 5 + 10 * b_seen++);
    assert_true(a_seen == 1 && b_seen == 3);
}

static void on_rearm(void *arg)
{
    struct trace *t = arg;
    note(t, 'r');
    loop_timer_set(t->loop, t->timer, 0, 0);
    note(t, '.'); /* nothing ran inside the call */
}

static void on_read(void *arg, int events)
{
    struct trace *t = arg;
    char c;
    assert_int_equal(events, LOOP_READ);
    assert_int_equal(read(t->fd, &c, 1), 1);
    note(t, c);
}

static void a_timer_of_no_time_does_not_starve_descriptors(void **state)
{
    struct trace *t = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    t->fd = pair[0];
    t->timer = loop_timer_new(t->loop, on_rearm, t);
    t->io = loop_io_new(t->loop, pair[0], on_read, t);
    loop_io_set(t->loop, t->io, LOOP_READ);
    assert_int_equal(write(pair[1], "x", 1), 1);
    loop_timer_set(t->loop, t->timer, 0, 0);
    t->stop_at = 3;
    loop_run(t->loop);
    assert_non_null(strchr(t->order, 'x'));
    loop_timer_free(t->loop, t->timer);
    loop_io_free(t->loop, t->io);
    close(pair[0]);
    close(pair[1]);
}

static void on_free_self(void *arg)
{
    struct trace *t = arg;
    loop_timer_free(t->loop, t->timer);
    note(t, 'f');
}

static void a_timer_may_free_itself(void **state)
{
    struct trace *t = *state;
    for (int64_t ms = 0; ms < 2; ms++) {
        t->timer = loop_timer_new(t->loop, on_free_self, t);
        loop_timer_set(t->loop, t->timer, ms, 1);
        t->stop_at = t->n + 1;
        loop_run(t->loop);
    }
    assert_string_equal(t->order, "ff");
}

static void a_stopped_timer_is_silent(void **state)
{
    struct trace *t = *state;
    struct loop_timer *a = loop_timer_new(t->loop, on_a, t), *b = loop_timer_new(t->loop, on_b, t);
    struct loop_timer *gone = loop_timer_new(t->loop, on_a, t);
    loop_timer_set(t->loop, a, 0, 0);
    loop_timer_set(t->loop, gone, 0, 0);
    loop_timer_set(t->loop, b, 2, 0);
    loop_timer_stop(t->loop, a);
    loop_timer_free(t->loop, gone);
    t->stop_at = 1;
    loop_run(t->loop);
    assert_string_equal(t->order, "b");
    loop_timer_free(t->loop, a);
    loop_timer_free(t->loop, b);
}

enum { POSTS = 20000, POSTERS = 2 };
struct parcel;
struct poster {
    struct trace *trace;
    struct parcel *parcels;
    unsigned next, seen;
};
struct parcel {
    struct poster *from;
    unsigned number;
};
static struct parcel parcels[POSTERS][POSTS];
static unsigned arrived;

static void on_parcel(void *arg)
{
    struct parcel *p = arg;
    assert_int_equal(p->number, p->from->seen);
    p->from->seen++;
    if (++arrived == POSTERS * POSTS)
        loop_stop(p->from->trace->loop);
}

static void *post_all(void *arg)
{
    struct poster *p = arg;
    for (; p->next < POSTS; p->next++) {
        p->parcels[p->next] = (struct parcel){p, p->next};
        if (loop_post(p->trace->loop, on_parcel, &p->parcels[p->next]) != 0)
            break;
    }
    return NULL;
}

static void posts_of_several_threads_arrive_all_and_in_order(void **state)
{
    struct poster posters[POSTERS] = {{.trace = *state, .parcels = parcels[0]},
                                      {.trace = *state, .parcels = parcels[1]}};
    pthread_t threads[POSTERS];
    arrived = 0;
    for (int i = 0; i < POSTERS; i++)
        pthread_create(&threads[i], NULL, post_all, &posters[i]);
    loop_run(((struct trace *)*state)->loop);
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(posters[i].seen, POSTS);
    }
}

static void *stop_from_outside(void *arg)
{
    loop_stop(arg);
    return NULL;
}

static void stop_works_from_another_thread_and_before_the_run(void **state)
{
    struct trace *t = *state;
    pthread_t thread;
    pthread_create(&thread, NULL, stop_from_outside, t->loop);
    loop_run(t->loop);
    pthread_join(thread, NULL);
    loop_stop(t->loop);
    loop_run(t->loop);
    assert_int_equal(loop_post(t->loop, on_a, t), 0);
    t->stop_at = 1;
    loop_run(t->loop); /* it is usable again */
    assert_string_equal(t->order, "a");
}

static void posted_but_never_run_is_freed_by_close(void **state)
{
    struct trace *t = *state;
    assert_int_equal(loop_post(t->loop, on_a, t), 0);
    assert_int_equal(t->n, 0);
}

static void on_any(void *arg, int events)
{
    struct trace *t = arg;
    note(t, (char)('0' + events));
    loop_io_set(t->loop, t->io, 0);
}

static void a_descriptor_reports_what_was_asked_for(void **state)
{
    struct trace *t = *state;
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    t->io = loop_io_new(t->loop, pair[0], on_any, t);
    assert_null(loop_io_new(t->loop, -1, on_any, t));
    loop_io_set(t->loop, t->io, LOOP_WRITE);
    t->stop_at = 1;
    loop_run(t->loop);
    assert_string_equal(t->order, "2");
    close(pair[1]);
    loop_io_set(t->loop, t->io, LOOP_READ);
    t->stop_at = 2;
    loop_run(t->loop);
    assert_true(t->order[1] & LOOP_READ);
    loop_io_free(t->loop, t->io);
    close(pair[0]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(timers_fire_again_and_not_before_their_time),
        TEST(a_timer_of_no_time_does_not_starve_descriptors),
        TEST(a_timer_may_free_itself),
        TEST(a_stopped_timer_is_silent),
        TEST(posts_of_several_threads_arrive_all_and_in_order),
        TEST(stop_works_from_another_thread_and_before_the_run),
        TEST(posted_but_never_run_is_freed_by_close),
        TEST(a_descriptor_reports_what_was_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
