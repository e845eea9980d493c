/* The shards of the HTTP client, over a library that only counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/http_shard.h"
#include "common/loop_fake.h"

static struct {
    int opened, closed, acted, fd, events;
    bool refuse;
} seen;

static bool on_open(struct http_shard *s)
{
    s->multi = &seen;
    seen.opened += !seen.refuse;
    return !seen.refuse;
}

static void on_close(struct http_shard *s)
{
    assert_ptr_equal(s->multi, &seen);
    seen.closed++;
}

static void on_act(struct http_shard *s, int fd, int events)
{
    (void)s;
    seen.acted++;
    seen.fd = fd;
    seen.events = events;
}

static int setup(void **state)
{
    static struct http_shards all;
    seen.opened = seen.closed = seen.acted = seen.refuse = 0;
    all = (struct http_shards){.open = on_open, .close = on_close, .act = on_act};
    assert_int_equal(loop_fake_open(0, &all.loop), 0);
    *state = &all;
    return 0;
}

static int teardown(void **state)
{
    struct http_shards *all = *state;
    http_shards_fini(all);
    loop_close(all->loop);
    return seen.opened - seen.closed;
}

static void they_are_made_as_calls_fill_them_and_end_when_unused(void **state)
{
    struct http_shards *all = *state;
    for (int i = 0; i < HTTP_SHARD_FILL; i++) {
        struct http_shard *s = http_shards_pick(all);
        assert_ptr_equal(s, all->list[0]);
        http_loads_call(&all->loads, s->number, 1);
    }
    assert_int_equal(seen.opened, 1);
    struct http_shard *second = http_shards_pick(all);
    assert_int_equal(second->number, 1);
    http_shards_rest(all); /* a period in which the second had no call */
    assert_int_equal(all->loads.n, 1);
    assert_int_equal(seen.closed, 1);
}

static void without_memory_the_others_go_on(void **state)
{
    struct http_shards *all = *state;
    loop_fake_fail(all->loop, 1); /* its timer */
    assert_null(http_shards_pick(all));
    seen.refuse = true;
    assert_null(http_shards_pick(all));
    seen.refuse = false;
    for (int i = 0; i < HTTP_SHARD_FILL; i++)
        http_loads_call(&all->loads, http_shards_pick(all)->number, 1);
    seen.refuse = true;
    assert_ptr_equal(http_shards_pick(all), all->list[0]);
}

static void it_acts_when_its_time_has_come(void **state)
{
    struct http_shards *all = *state;
    struct http_shard *s = http_shards_pick(all);
    http_shard_wait(s, 100);
    loop_fake_run_for(all->loop, 99);
    assert_int_equal(seen.acted, 0);
    loop_fake_run_for(all->loop, 1);
    assert_int_equal(seen.acted, 1);
    assert_int_equal(seen.fd, -1);
    http_shard_wait(s, 100);
    http_shard_wait(s, -1);
    loop_fake_run_for(all->loop, 1000);
    assert_int_equal(seen.acted, 1);
}

static void its_sockets_are_counted_and_watched(void **state)
{
    struct http_shards *all = *state;
    struct http_shard *s = http_shards_pick(all);
    int fd = http_shard_socket(s, AF_UNIX, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(all->loads.list[0].sockets, 1);
    assert_int_equal(http_shard_watch(s, fd, LOOP_READ | LOOP_WRITE), 0);
    loop_fake_fire(all->loop, fd, LOOP_WRITE);
    assert_int_equal(seen.fd, fd);
    assert_int_equal(seen.events, LOOP_WRITE);
    assert_int_equal(http_shard_watch(s, fd, 0), 0); /* it rests, and stays ours */
    assert_non_null(http_watch_get(&all->watches, fd));
    assert_int_equal(http_shards_close_socket(all, fd), 0);
    assert_int_equal(all->loads.list[0].sockets, 0);
    assert_int_equal(loop_fake_watched(all->loop, fd), 0);
    assert_int_equal(http_shard_socket(s, AF_UNIX, 77, 0), -1);
    assert_int_equal(all->loads.list[0].sockets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_are_made_as_calls_fill_them_and_end_when_unused),
        TEST(without_memory_the_others_go_on),
        TEST(it_acts_when_its_time_has_come),
        TEST(its_sockets_are_counted_and_watched),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
