/* Live hints: numbered, small enough, told to the owner alone, nothing without Redis. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_fake.h"
#include "common/loop_fake.h"
#include "common/live.h"

struct world {
    struct loop *loop;
    struct cache_fake *redis;
    struct cache_async *cache;
    struct job_id id;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_int_equal(loop_fake_open(0, &w->loop), 0);
    assert_int_equal(cache_fake_open(loop_fake_clock(w->loop), &w->redis), 0);
    assert_int_equal(cache_fake_async_view(w->redis, w->loop, &w->cache), 0);
    assert_int_equal(id_parse("0190a5b2-1111-7222-8333-444455556666", &w->id), 0);
    loop_fake_run_for(w->loop, 1);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    cache_async_close(w->cache);
    cache_fake_close(w->redis);
    loop_close(w->loop);
    free(w);
    return 0;
}

static void publish(struct world *w, uint32_t seq, size_t len)
{
    struct buf data;
    buf_init(&data, 1 << 20);
    buf_char(&data, '"');
    for (size_t i = 2; i < len; i++)
        buf_char(&data, 'x');
    buf_char(&data, '"');
    live_publish(w->cache, &w->id, seq, "call", &data);
    buf_fini(&data);
    loop_fake_run_for(w->loop, 1);
}

static void an_event_has_number_name_and_data(void **state)
{
    struct world *w = *state;
    const char *channel, *text;
    publish(w, 3, 4);
    text = cache_fake_published(w->redis, 0, &channel);
    assert_string_equal(channel, "op:j:0190a5b2-1111-7222-8333-444455556666");
    assert_string_equal(text, "{\"seq\":3,\"event\":\"call\",\"data\":\"xx\"}");
}

static void what_is_over_16_kb_is_a_number_only(void **state)
{
    struct world *w = *state;
    publish(w, 1, LIVE_DATA_MAX);
    publish(w, 2, LIVE_DATA_MAX + 1);
    assert_true(strlen(cache_fake_published(w->redis, 0, NULL)) > LIVE_DATA_MAX);
    assert_string_equal(cache_fake_published(w->redis, 1, NULL), "{\"seq\":2}");
}

static void an_owner_is_told_and_nobody_is_not(void **state)
{
    struct world *w = *state;
    struct owner anna = owner_of("", "anna"), nobody = {{0}};
    struct live_job j = {.id = &w->id,
                         .owner = &anna,
                         .flow = "f",
                         .title = "A \"title\"",
                         .state = JOB_FAILED,
                         .finished_us = 1000000};
    const char *channel;
    live_publish_job(w->cache, &j);
    j.owner = &nobody;
    live_publish_job(w->cache, &j);
    loop_fake_run_for(w->loop, 1);
    assert_string_equal(
        cache_fake_published(w->redis, 0, &channel),
        "{\"seq\":0,\"event\":\"job\",\"data\":{\"id\":\"0190a5b2-1111-7222-8333-"
        "444455556666\",\"flow\":\"f\",\"title\":\"A \\\"title\\\"\",\"state\":"
        "\"failed\",\"message\":null,\"finished\":\"1970-01-01T00:00:01.000000Z\"}}");
    assert_memory_equal(channel, "op:u:", 5);
    assert_int_equal(strlen(channel), 5 + 32);
    assert_null(cache_fake_published(w->redis, 1, NULL));
}

static void redis_away_is_no_error(void **state)
{
    struct world *w = *state;
    cache_fake_away(w->redis, true);
    publish(w, 1, 4);
    assert_null(cache_fake_published(w->redis, 0, NULL));
    struct buf none = {0};
    live_publish(NULL, &w->id, 1, "call", &none);
}

static void only_a_cancel_is_one(void **state)
{
    struct world *w = *state;
    struct job_id id;
    const char good[] = "cancel 0190a5b2-1111-7222-8333-444455556666";
    assert_int_equal(live_parse_cancel(good, sizeof good - 1, &id), 0);
    assert_true(id_equal(&id, &w->id));
    assert_int_equal(live_parse_cancel(good, sizeof good - 2, &id), ERR_INVALID);
    assert_int_equal(live_parse_cancel("reload", 6, &id), ERR_INVALID);
    char bad[sizeof good];
    memcpy(bad, good, sizeof bad);
    bad[9] = '!';
    assert_int_equal(live_parse_cancel(bad, sizeof bad - 1, &id), ERR_INVALID);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_event_has_number_name_and_data),
        CASE(what_is_over_16_kb_is_a_number_only),
        CASE(an_owner_is_told_and_nobody_is_not),
        CASE(redis_away_is_no_error),
        CASE(only_a_cancel_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
