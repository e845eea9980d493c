/* sse_read.h: what a gateway prints, and what else the standard allows, in pieces of any size. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/sse.h"
#include "gateway/sse_read.h"

struct world {
    struct sse_read read;
    struct buf got; /* "name:data|" each */
};

static void on_event(void *arg, const struct sse_event *e)
{
    struct world *w = arg;
    assert_int_equal(strlen(e->data), e->len);
    buf_printf(&w->got, "%s:%s|", e->name, e->data);
}

static int open_world(void **state)
{
    static struct world w;
    w = (struct world){0};
    sse_read_init(&w.read, on_event, &w);
    *state = &w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    sse_read_fini(&w->read);
    buf_fini(&w->got);
    return 0;
}

static void feed(struct world *w, const char *text)
{
    sse_read_bytes(&w->read, text, strlen(text));
}

static void expect(struct world *w, const char *events, const char *last)
{
    assert_string_equal(buf_str(&w->got), events);
    assert_string_equal(w->read.last, last);
}

static void reads_what_a_gateway_prints_byte_by_byte(void **state)
{
    struct world *w = *state;
    struct buf text = {0};
    sse_event(&text, 0, "state", "{\"state\":\"running\"}", 19);
    sse_beat(&text);
    sse_event(&text, 12, "call", "{\"a\":\n1}", 8);
    sse_retry(&text, 1500);
    for (size_t i = 0; i < text.len; i++)
        sse_read_bytes(&w->read, text.data + i, 1);
    expect(w, "state:{\"state\":\"running\"}|call:{\"a\": 1}|", "12");
    assert_int_equal(w->read.retry_ms, 1500);
    buf_fini(&text);
}

static void takes_lines_as_the_standard_says(void **state)
{
    struct world *w = *state;
    feed(w, "\xef\xbb\xbf"
            "data: a\rdata\r\ndata:  b\n\r\n");
    feed(w, "event: x\n\n");              /* without data: nothing */
    feed(w, "data:c\nother: 1\n: d\n\n"); /* its name is forgotten */
    feed(w, "data: half");
    expect(w, "message:a\n\n b|message:c|", "");
}

static void an_id_counts_with_its_event_only(void **state)
{
    struct world *w = *state;
    feed(w, "id: 7\ndata: a\n\nid: 8\ndata: cut");
    expect(w, "message:a|", "7");
    sse_read_again(&w->read);
    feed(w, "data: b\n\n");
    expect(w, "message:a|message:b|", "7");
    feed(w, "id: 9\n\n"); /* alone, as a user's stream says the time */
    expect(w, "message:a|message:b|", "9");
}

static void ids_that_no_gateway_gives_are_left_out(void **state)
{
    struct world *w = *state;
    feed(w, "id: 5\n\n");
    feed(w, "id: -1\n\nid: 5x\n\nid\n\nid: 1234567890123456789\n\nid: \x01\n\nretry: soon\n\n");
    expect(w, "", "5");
    assert_int_equal(w->read.retry_ms, -1);
}

static void names_are_cut_and_data_is_whole(void **state)
{
    struct world *w = *state;
    feed(w, "event: 0123456789012345678901234567890123456789\ndata: 1\n\n");
    expect(w, "0123456789012345678901234567890:1|", "");
}

static void too_much_ends_it_until_the_next_time(void **state)
{
    struct world *w = *state;
    buf_fini(&w->read.data);
    buf_init(&w->read.data, 8);
    feed(w, "data: 123456789\n\ndata: 2\n\n");
    assert_true(w->read.too_big);
    sse_read_again(&w->read);
    feed(w, "data: 3\n\n");
    expect(w, "message:3|", "");
    assert_false(w->read.too_big);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(reads_what_a_gateway_prints_byte_by_byte), T(takes_lines_as_the_standard_says),
        T(an_id_counts_with_its_event_only),         T(ids_that_no_gateway_gives_are_left_out),
        T(names_are_cut_and_data_is_whole),          T(too_much_ends_it_until_the_next_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
