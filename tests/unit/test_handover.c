/* handover.h: a stream for which there is no thread is refused. (That a connection leaves the
 * server is tried over civetweb.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>

#include "gateway/handover.h"

static void take(void *arg, int fd)
{
    *(int *)arg = fd;
}

static void begin(struct http_reply *r, int *fd)
{
    http_reply_clear(r);
    http_reply_header(r, "Access-Control-Allow-Origin", "https://app.example");
    r->status = 200;
    r->type = "text/event-stream";
    r->close = true;
    r->taker = take;
    r->taker_arg = fd;
}

static void refuses_a_stream_and_keeps_what_any_answer_has(void **state)
{
    struct http_request q = {.method = "GET", .path = "/v1/events", .public_url = "", .id = "x"};
    struct http_reply r;
    struct handover h;
    int first = 7, second = 7;
    (void)state;
    http_reply_init(&r);
    handover_init(&h, 4); /* one stream at most */
    begin(&r, &first);
    handover_admit(&h, &q, &r);
    assert_int_equal(r.status, 200);
    assert_int_equal(first, 7);
    begin(&r, &second);
    handover_admit(&h, &q, &r);
    assert_int_equal(second, -1);
    assert_int_equal(r.status, 503);
    assert_null(r.taker);
    assert_false(r.close);
    assert_non_null(strstr(buf_str(&r.headers), "Access-Control-Allow-Origin: "));
    assert_non_null(strstr(buf_str(&r.headers), "Retry-After: "));
    http_reply_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_stream_and_keeps_what_any_answer_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
