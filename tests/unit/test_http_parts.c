/* The parts of the HTTP client that need no network: loads, answers, watches. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/http_answer.h"
#include "common/http_end.h"
#include "common/http_loads.h"
#include "common/http_watch.h"
#include "common/loop_fake.h"

/* ---- ends */

static void an_end_has_its_code(void **state)
{
    static const struct {
        struct http_end end;
        enum call_code code;
        const char *why;
    } cases[] = {
        {{.kind = END_ANSWER, .sent = true, .text = ""}, CALL_OK, ""},
        {{.kind = END_LOST, .text = "refused"}, CALL_CONNECT, "refused"},
        {{.kind = END_LOST, .sent = true, .text = "lost"}, CALL_RESET, "lost"},
        {{.kind = END_TLS, .text = "bad"}, CALL_TLS, "bad"},
        {{.kind = END_TLS, .sent = true, .text = "bad"}, CALL_RESET, "bad"},
        {{.kind = END_LOST, .sent = true, .text = "tlsv13 alert certificate required"},
         CALL_TLS,
         "tlsv13 alert certificate required"},
        {{.kind = END_BROKEN, .sent = true, .text = "x"}, CALL_BAD_BODY, "x"},
        {{.kind = END_TIMEOUT, .sent = true, .text = "x"}, CALL_TIMEOUT, "x"},
        {{.kind = END_NO_NAME, .text = "x"}, CALL_DNS, "x"},
        {{.kind = END_LOST, .blocked = true, .text = "x"},
         CALL_BLOCKED_ADDRESS,
         "the address is private"},
        {{.kind = END_ANSWER, .blocked = true, .tried = true, .sent = true, .text = ""},
         CALL_OK,
         ""},
        {{.kind = END_ABORTED, .sent = true, .resent = true, .text = "x"},
         CALL_RESET,
         "the kept-alive connection was lost while the request was sent"},
        {{.kind = END_ABORTED, .too_big = true, .text = "x"}, CALL_TOO_BIG, "headers above 64 KB"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(http_end_code(&cases[i].end), cases[i].code);
        assert_string_equal(http_end_why(&cases[i].end), cases[i].why);
    }
}

/* ---- loads */

static void calls(struct http_loads *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t shard = http_loads_pick(l);
        assert_true(shard <= l->n && shard < HTTP_SHARDS_MAX);
        if (shard == l->n)
            l->n++;
        http_loads_call(l, shard, 1);
    }
}

static void shards_fill_one_after_the_other(void **state)
{
    struct http_loads l = {0};
    (void)state;
    calls(&l, HTTP_SHARD_FILL);
    assert_int_equal(l.n, 1);
    calls(&l, 1);
    assert_int_equal(l.n, 2);
    http_loads_call(&l, 0, -1);
    assert_int_equal(http_loads_pick(&l), 0);
    assert_int_equal(http_loads_least(&l), 1);
    calls(&l, 3);
    assert_int_equal(l.list[0].running, HTTP_SHARD_FILL);
    assert_int_equal(l.list[1].running, 3);
    assert_int_equal(l.all.running, HTTP_SHARD_FILL + 3);
}

static void full_shards_share_evenly(void **state)
{
    struct http_loads l = {0};
    (void)state;
    calls(&l, HTTP_SHARDS_MAX * (HTTP_SHARD_FILL + 5));
    assert_int_equal(l.n, HTTP_SHARDS_MAX);
    for (size_t i = 0; i < l.n; i++)
        assert_int_equal(l.list[i].running, HTTP_SHARD_FILL + 5);
}

static void idle_connections_are_limited_over_all(void **state)
{
    struct http_loads l = {.n = 2, .idle_max = 10};
    (void)state;
    for (int i = 0; i < 6; i++)
        http_loads_socket(&l, 1, 1); /* six rest in the other shard */
    http_loads_call(&l, 0, 1);
    http_loads_socket(&l, 0, 1);
    assert_int_equal(http_loads_connections(&l, 0), 1 + 4);
    assert_int_equal(http_loads_connections(&l, 1), 10);
    for (int i = 0; i < 6; i++)
        http_loads_socket(&l, 1, 1);
    assert_int_equal(http_loads_connections(&l, 0), 1);
    http_loads_call(&l, 0, -1);
    assert_int_equal(http_loads_connections(&l, 0), 1); /* never 0: no limit to curl */
    assert_int_equal(l.all.sockets, 13);
}

static void connections_and_handles_of_a_peak_rest_for_the_next_one(void **state)
{
    struct http_loads l = {.n = 1, .idle_max = 10};
    (void)state;
    assert_int_equal(http_loads_spare(&l), 10);
    for (int i = 0; i < 50; i++) {
        http_loads_call(&l, 0, 1);
        http_loads_socket(&l, 0, 1);
    }
    assert_int_equal(http_loads_spare(&l), 0);
    for (int i = 0; i < 49; i++)
        http_loads_call(&l, 0, -1);
    assert_int_equal(http_loads_connections(&l, 0), 50);
    assert_int_equal(http_loads_spare(&l), 49);
    http_loads_rest(&l); /* the period after the peak */
    assert_int_equal(http_loads_connections(&l, 0), 50);
    http_loads_rest(&l);
    assert_int_equal(http_loads_connections(&l, 0), 1 + 10);
    assert_int_equal(http_loads_spare(&l), 10 - 1);
}

static void a_shard_is_unused_when_a_period_had_no_call(void **state)
{
    struct http_loads l = {.n = 1};
    (void)state;
    http_loads_call(&l, 0, 1);
    http_loads_rest(&l);
    assert_false(http_loads_is_unused(&l, 0)); /* one runs on */
    http_loads_call(&l, 0, -1);
    assert_false(http_loads_is_unused(&l, 0));
    http_loads_rest(&l);
    assert_true(http_loads_is_unused(&l, 0));
}

/* ---- answers */

static int init(struct http_answer *a, size_t max, http_part_fn *part, void *arg)
{
    return http_answer_init(a, &(struct http_request){.response_max = max, .part = part}, arg);
}

static bool head(struct http_answer *a, const char *line)
{
    char copy[256];
    strncpy(copy, line, sizeof copy - 1);
    return http_answer_on_head(copy, 1, strlen(line), a) == strlen(line);
}

static bool body(struct http_answer *a, const char *text)
{
    char copy[256];
    strncpy(copy, text, sizeof copy - 1);
    return http_answer_on_body(copy, 1, strlen(text), a) == strlen(text);
}

static void the_last_header_block_counts(void **state)
{
    struct http_answer a = {0};
    struct http_response r = {0};
    (void)state;
    assert_int_equal(init(&a, 100, NULL, NULL), 0);
    assert_true(head(&a, "HTTP/1.1 103 Hints\r\n") && head(&a, "X-Hint: 1\r\n") &&
                head(&a, "\r\n"));
    assert_true(head(&a, "HTTP/1.1 200 OK\r\n") && head(&a, "X-Real: 2\r\n") && head(&a, "\r\n"));
    assert_true(body(&a, "ab") && body(&a, "cd"));
    assert_true(head(&a, "X-Trailer: 3\r\n"));
    http_answer_finish(&a, true, &r);
    assert_int_equal(r.headers_n, 1);
    assert_string_equal(http_response_header(&r, "x-real"), "2");
    assert_string_equal(r.body, "abcd");
    assert_int_equal(r.body_len, 4);
    free(http_response_take_body(&r));
    assert_null(r.body);
    http_answer_fini(&a);
    http_answer_fini(&a);
}

static void there_is_always_a_body(void **state)
{
    struct http_answer a = {0};
    struct http_response r = {0};
    (void)state;
    assert_int_equal(init(&a, 3, NULL, NULL), 0);
    assert_true(body(&a, "abc"));
    assert_false(body(&a, "d"));
    assert_true(a.too_big);
    http_answer_finish(&a, false, &r);
    assert_string_equal(r.body, "");
    assert_int_equal(r.body_len, 0);
    assert_int_equal(r.headers_n, 0);
    free(r.body);
    http_answer_fini(&a);
}

static void on_part(void *arg, const char *bytes, size_t len)
{
    buf_add(arg, bytes, len);
}

static void parts_of_a_200_are_handed_on_and_not_kept(void **state)
{
    struct http_answer a = {0};
    struct http_response r = {0};
    struct buf got = {0};
    (void)state;
    assert_int_equal(init(&a, 3, on_part, &got), 0);
    assert_true(head(&a, "HTTP/2 200\r\n") && head(&a, "\r\n"));
    assert_true(body(&a, "ab") && body(&a, "cdef"));
    assert_string_equal(buf_str(&got), "abcdef");
    http_answer_finish(&a, true, &r);
    assert_int_equal(r.body_len, 0);
    free(r.body);
    http_answer_fini(&a);
    buf_clear(&got);
    assert_int_equal(init(&a, 3, on_part, &got), 0);
    assert_true(head(&a, "HTTP/1.1 200 OK\r\n") && head(&a, "\r\n"));
    assert_true(head(&a, "HTTP/1.1 2000\r\n") && head(&a, "HTTP/1.1 503 No\r\n"));
    assert_true(body(&a, "no"));
    assert_false(body(&a, "no"));
    assert_int_equal(got.len, 0);
    http_answer_fini(&a);
    buf_fini(&got);
}

static void headers_are_limited(void **state)
{
    struct http_answer a = {0};
    size_t lines = 0;
    (void)state;
    assert_int_equal(init(&a, 3, NULL, NULL), 0);
    while (lines < 10000 && head(&a, "X-Some: 0123456789 0123456789 0123456789 0123456789\r\n"))
        lines++;
    assert_true(a.too_big);
    assert_int_equal(lines, HTTP_HEAD_MAX / 53);
    http_answer_fini(&a);
}

/* ---- watches */

struct world {
    struct loop *loop;
    struct http_watches all;
    int events;
};

static void on_events(void *arg, int events)
{
    struct http_watch *w = arg;
    ((struct world *)w->owner)->events = events;
}

static struct http_watch *watch(struct world *w, int fd, bool ours)
{
    struct http_watch *made = http_watch_new(
        &w->all,
        &(struct http_watch){.loop = w->loop, .owner = w, .fd = fd, .ours = ours, .fn = on_events});
    assert_non_null(made);
    return made;
}

static void a_resting_watch_stays_armed_until_it_fires(void **state)
{
    struct world w = {0};
    (void)state;
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    assert_null(http_watch_get(&w.all, 200));
    struct http_watch *one = watch(&w, 200, true);
    assert_ptr_equal(http_watch_get(&w.all, 200), one);
    assert_int_equal(http_watch_set(one, LOOP_READ), 0);
    loop_fake_fire(w.loop, 200, LOOP_READ);
    assert_int_equal(w.events, LOOP_READ);
    w.events = 0;
    http_watch_rest(&w.all, one);
    assert_int_equal(loop_fake_watched(w.loop, 200), LOOP_READ);
    loop_fake_fire(w.loop, 200, LOOP_READ);
    assert_int_equal(w.events, 0); /* nobody asked */
    assert_int_equal(loop_fake_watched(w.loop, 200), 0);
    assert_int_equal(http_watch_set(one, LOOP_READ | LOOP_WRITE), 0);
    assert_int_equal(loop_fake_watched(w.loop, 200), LOOP_READ | LOOP_WRITE);
    http_watch_free(&w.all, one);
    assert_null(http_watch_get(&w.all, 200));
    http_watches_fini(&w.all);
    loop_close(w.loop);
}

static void a_foreign_watch_is_freed_when_it_rests(void **state)
{
    struct world w = {0};
    (void)state;
    assert_int_equal(loop_fake_open(0, &w.loop), 0);
    struct http_watch *one = watch(&w, 3, false);
    assert_int_equal(http_watch_set(one, LOOP_READ), 0);
    http_watch_rest(&w.all, one);
    assert_null(http_watch_get(&w.all, 3));
    assert_int_equal(loop_fake_watched(w.loop, 3), 0);
    http_watch_rest(&w.all, NULL);
    one = watch(&w, 3, true);
    loop_fake_fail(w.loop, 1);
    assert_int_equal(http_watch_set(one, LOOP_READ), ERR_NOMEM);
    http_watch_free(&w.all, one);
    http_watches_fini(&w.all);
    loop_close(w.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_end_has_its_code),
        cmocka_unit_test(shards_fill_one_after_the_other),
        cmocka_unit_test(full_shards_share_evenly),
        cmocka_unit_test(idle_connections_are_limited_over_all),
        cmocka_unit_test(connections_and_handles_of_a_peak_rest_for_the_next_one),
        cmocka_unit_test(a_shard_is_unused_when_a_period_had_no_call),
        cmocka_unit_test(the_last_header_block_counts),
        cmocka_unit_test(there_is_always_a_body),
        cmocka_unit_test(parts_of_a_200_are_handed_on_and_not_kept),
        cmocka_unit_test(headers_are_limited),
        cmocka_unit_test(a_resting_watch_stays_armed_until_it_fires),
        cmocka_unit_test(a_foreign_watch_is_freed_when_it_rests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
