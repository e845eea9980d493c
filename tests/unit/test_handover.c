/* handover.h: a stream for which there is no thread is refused. (That a connection leaves the
 * server is tried over civetweb.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

/* ---- a thread carries the bytes */

enum { PARTS = 100 };

struct client { /* what the server's connection got */
    char got[20 * PARTS];
    size_t n;
    bool gone;
};

static int write_to(void *arg, const void *bytes, size_t len)
{
    struct client *c = arg;
    if (c->gone)
        return -1;
    assert_in_range(len, 1, sizeof c->got - c->n);
    memcpy(c->got + c->n, bytes, len);
    c->n += len;
    return (int)len;
}

/* A stream that is over at once. */
static void tell_and_end(void *arg, int fd)
{
    (void)arg;
    assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK); /* a slow reader stops no loop */
    for (int i = 0; i < PARTS; i++) {
        char part[20];
        int n = snprintf(part, sizeof part, "event: %d\n\n", i);
        assert_int_equal(send(fd, part, (size_t)n, MSG_NOSIGNAL), n);
    }
    close(fd);
}

/* One that goes on. */
static void tell_and_stay(void *arg, int fd)
{
    *(int *)arg = fd;
    assert_int_equal(send(fd, "a", 1, MSG_NOSIGNAL), 1);
}

static void give(struct handover *h, struct client *c, void (*taker)(void *, int), int *fd)
{
    const struct socket_ends none = {.peer = ""};
    const struct http_request q = {.method = "GET", .public_url = "", .id = "x"};
    struct http_reply r;
    http_reply_init(&r);
    begin(&r, fd);
    r.taker = taker;
    handover_admit(h, &q, &r);
    assert_int_equal(r.status, 200);
    handover_give(h, &none, write_to, c, &r);
    assert_int_equal(h->carriers, 0); /* there is room for the next */
    http_reply_fini(&r);
}

static void carries_what_the_taker_writes_until_it_ends(void **state)
{
    struct handover h;
    struct client c = {.n = 0};
    int fd = -1;
    (void)state;
    handover_init(&h, 4);
    for (int i = 0; i < 2; i++) {
        c.n = 0;
        give(&h, &c, tell_and_end, &fd);
        assert_memory_equal(c.got, "event: 0\n\nevent: 1\n\n", 20);
        assert_memory_equal(c.got + c.n - 11, "event: 99\n\n", 11);
        assert_int_equal(c.n, 10 * 10 + 90 * 11);
    }
}

static void a_client_that_leaves_ends_the_takers_stream(void **state)
{
    struct handover h;
    struct client c = {.gone = true};
    int fd = -1;
    char byte;
    (void)state;
    handover_init(&h, 4);
    give(&h, &c, tell_and_stay, &fd);
    assert_int_equal(send(fd, "b", 1, MSG_NOSIGNAL), -1);
    assert_int_equal(errno, EPIPE);
    assert_int_equal(read(fd, &byte, 1), 0);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_a_stream_and_keeps_what_any_answer_has),
        cmocka_unit_test(carries_what_the_taker_writes_until_it_ends),
        cmocka_unit_test(a_client_that_leaves_ends_the_takers_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
