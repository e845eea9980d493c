/* body_read.h: whole bodies in pieces, and each way they can end too early or too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/body_read.h"

struct wire { /* gives its text `step` bytes at a time, then `end` */
    const char *text;
    size_t step;
    int end;
};

static int read_wire(void *arg, void *to, size_t n)
{
    struct wire *w = arg;
    size_t left = strlen(w->text), take = left < w->step ? left : w->step;
    take = take < n ? take : n;
    if (take == 0)
        return w->end;
    memcpy(to, w->text, take);
    w->text += take;
    return (int)take;
}

static void reads_what_was_told(void **state)
{
    (void)state;
    for (size_t step = 1; step < 8; step++) {
        struct buf b = {0};
        struct wire w = {"seven77", step, 0};
        const struct body_source s = {read_wire, &w, false};
        buf_add(&b, "0123456789", 10);
        buf_clear(&b);
        assert_int_equal(body_read_counted(&s, &b, 7), 0);
        assert_int_equal(b.len, 7);
        assert_memory_equal(b.data, "seven77", 7);
        buf_fini(&b);
    }
}

static void tells_a_body_that_was_cut_short(void **state)
{
    (void)state;
    for (int end = -1; end <= 0; end++) {
        struct buf b = {0};
        struct wire w = {"six666", 4, end};
        const struct body_source s = {read_wire, &w, false};
        buf_add(&b, "0123456789", 10);
        buf_clear(&b);
        assert_int_equal(body_read_counted(&s, &b, 7), ERR_BAD_REQUEST);
        buf_fini(&b);
    }
}

static void reads_chunks_up_to_a_bound(void **state)
{
    static const struct {
        size_t max;
        int end, err;
    } rows[] = {{7, 0, 0}, {8, 0, 0}, {6, 0, ERR_TOO_LARGE}, {7, -1, ERR_BAD_REQUEST}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf b = {0};
        struct wire w = {"seven77", 3, rows[i].end};
        const struct body_source s = {read_wire, &w, true};
        assert_int_equal(body_read_chunked(&s, &b, rows[i].max), rows[i].err);
        if (!rows[i].err)
            assert_memory_equal(b.data, "seven77", 7);
        buf_fini(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_told),
        cmocka_unit_test(tells_a_body_that_was_cut_short),
        cmocka_unit_test(reads_chunks_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
