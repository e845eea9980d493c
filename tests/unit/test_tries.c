/* Tries: the last eight, oldest first, as the waterfall shows them. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "common/json.h"
#include "worker/tries.h"

static struct json *printed(const struct tries *t)
{
    struct buf b;
    struct json *v = NULL;
    buf_init(&b, 0);
    tries_print(t, &b);
    assert_int_equal(json_parse(b.data, b.len, NULL, &v, NULL), 0);
    buf_fini(&b);
    return v;
}

static void none_is_an_empty_list(void **state)
{
    (void)state;
    struct tries t = {0};
    struct json *v = printed(&t);
    assert_int_equal(json_size(v), 0);
    json_free(v);
}

static void each_says_when_why_and_how_it_ended(void **state)
{
    (void)state;
    struct tries t = {0};
    tries_add(&t, &(struct try){.start_us = 0, .ms = 80, .code = CALL_HTTP_5XX, .status = 503});
    tries_add(&t, &(struct try){.start_us = 1500000,
                                .wait_ms = 210,
                                .waited = TRY_BACKOFF,
                                .ms = 3,
                                .code = CALL_TIMEOUT});
    tries_add(&t, &(struct try){.wait_ms = 5, .waited = TRY_RETRY_AFTER, .status = 200});
    struct json *v = printed(&t);
    const struct json *a = json_at(v, 0), *b = json_at(v, 1), *c = json_at(v, 2);
    assert_string_equal(json_text(json_get(a, "start")), "1970-01-01T00:00:00.000000Z");
    assert_true(json_is(json_get(a, "waited"), JSON_NULL));
    assert_string_equal(json_text(json_get(a, "code")), "http-5xx");
    assert_int_equal(json_number(json_get(a, "status")), 503);
    assert_int_equal(json_number(json_get(a, "ms")), 80);
    assert_string_equal(json_text(json_get(b, "start")), "1970-01-01T00:00:01.500000Z");
    assert_string_equal(json_text(json_get(b, "waited")), "backoff");
    assert_int_equal(json_number(json_get(b, "wait_ms")), 210);
    assert_true(json_is(json_get(b, "status"), JSON_NULL));
    assert_string_equal(json_text(json_get(c, "waited")), "retry-after");
    assert_true(json_is(json_get(c, "code"), JSON_NULL));
    json_free(v);
}

static void only_the_last_eight_are_kept(void **state)
{
    (void)state;
    struct tries t = {0};
    for (uint32_t i = 0; i < 20; i++)
        tries_add(&t, &(struct try){.ms = i});
    struct json *v = printed(&t);
    assert_int_equal(t.made, 20);
    assert_int_equal(json_size(v), TRIES_KEPT);
    assert_int_equal(json_number(json_get(json_at(v, 0), "ms")), 12);
    assert_int_equal(json_number(json_get(json_at(v, 7), "ms")), 19);
    json_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(none_is_an_empty_list),
        cmocka_unit_test(each_says_when_why_and_how_it_ended),
        cmocka_unit_test(only_the_last_eight_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
