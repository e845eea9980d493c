/* http_server.h over civetweb, by raw sockets on loopback: what it answers, what it cuts off, and
 * how it stops. Needs no other server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/guard.h"
#include "gateway/problem.h"
#include "tests/adapter/http_place.h"

enum { BODY_MAX = 5000 };

static void take(void *arg, int fd)
{
    struct place *p = arg;
    pthread_mutex_lock(&p->lock);
    p->streams[p->streams_n++ % 8] = fd;
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
}

/* /stream becomes one, /echo answers with the body, /hold waits until it may go on, else a fixed
 * text. Behind it what the headers X held. */
static void handle(void *arg, struct http_request *q, struct http_reply *r)
{
    struct place *p = arg;
    char *body = NULL;
    const char *detail;
    size_t len = 0;
    int refused = guard_check(q, &detail);
    snprintf(q->id, sizeof q->id, "test");
    if (refused) {
        r->close = true;
        problem_simple(q, r, refused, detail);
        return;
    }
    if (strcmp(q->path, "/hold") == 0) {
        pthread_mutex_lock(&p->lock);
        p->held++;
        pthread_cond_broadcast(&p->change);
        while (p->hold)
            pthread_cond_wait(&p->change, &p->lock);
        pthread_mutex_unlock(&p->lock);
    }
    if (strcmp(q->path, "/stream") == 0) {
        r->status = 200;
        r->type = "text/event-stream";
        r->close = true;
        r->taker = take;
        r->taker_arg = p;
        return;
    }
    int err = strcmp(q->path, "/echo") == 0 ? q->read_body(q, BODY_MAX, &body, &len) : 0;
    if (err) {
        problem_simple(q, r, err, NULL);
        return;
    }
    r->status = 200;
    r->type = "text/plain";
    buf_text(&r->body, "got ");
    if (body)
        buf_add(&r->body, body, len);
    for (size_t i = 0; i < q->headers_n; i++)
        if (http_name_is(&q->headers[i], "x"))
            buf_printf(&r->body, "[%s]", q->headers[i].value);
}

static void begin(void *arg, const struct http_request *q, struct http_reply *r)
{
    (void)arg;
    http_reply_header(r, "Begun", q->path);
}

static int setup(void **state)
{
    return place_open(state, &(struct http_server_settings){.threads = 8,
                                                            .in_flight = 6,
                                                            .per_address = 7,
                                                            .header_ms = 30000,
                                                            .body_ms = 30000,
                                                            .keep_alive_ms = 30000,
                                                            .begin = begin,
                                                            .handler = handle});
}

static int dial(const struct place *p)
{
    return raw_dial(p->port);
}

static void keeps_a_connection_and_answers_in_order(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\none"
                 "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                 "2\r\ntw\r\n1\r\no\r\n0\r\n\r\n"
                 "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"
                 "GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    const char *got = raw_receive(fd, NULL);
    const char *one = strstr(got, "got one"), *two = strstr(got, "got two");
    raw_status_is(got, 200);
    assert_true(one && two && one < two);
    assert_non_null(strstr(got, "Request-Id: test\r\n"));
    assert_non_null(strstr(got, "\r\nDate: "));
    assert_non_null(strstr(two, "Content-Length: 4\r\n\r\nHTTP/1.1 200")); /* HEAD: no body */
    close(fd);
}

static void says_continue_before_it_reads(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\nExpect: "
                 "100-continue\r\n\r\n");
    assert_non_null(strstr(raw_receive(fd, "\r\n\r\n"), "100 Continue"));
    raw_send(fd, "yes");
    raw_status_is(raw_receive(fd, "got yes"), 200);
    close(fd);
}

static void refuses_what_is_too_large(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5001\r\n\r\nx");
    const char *got = raw_receive(fd, NULL);
    raw_status_is(got, 413);
    assert_non_null(strstr(got, "Connection: close"));
    close(fd);
    fd = dial(*state);
    raw_send(fd, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1389\r\n");
    for (int i = 0; i < 5001; i++)
        send(fd, "x", 1, MSG_NOSIGNAL);
    send(fd, "\r\n0\r\n\r\n", 7, MSG_NOSIGNAL);
    raw_status_is(raw_receive(fd, NULL), 413);
    close(fd);
}

static void refuses_a_body_cut_short(void **state)
{
    static const char *const bodies[] = {
        "Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n"};
    for (size_t i = 0; i < 3; i++) {
        int fd = dial(*state);
        char text[200];
        snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nHost: h\r\n%s", bodies[i]);
        raw_send(fd, text);
        shutdown(fd, SHUT_WR);
        const char *got = raw_receive(fd, NULL);
        raw_status_is(got, 400);
        assert_null(strstr(got, "got "));
        close(fd);
    }
}

static void answers_in_problems_what_it_cannot_read(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\nX:");
    for (int i = 0; i < 4000; i++)
        send(fd, "0123456789", 10, MSG_NOSIGNAL);
    const char *got = raw_receive(fd, NULL);
    raw_status_is(got, 400);
    assert_non_null(strstr(got, "application/problem+json"));
    assert_non_null(strstr(got, "Request-Id: "));
    assert_null(strstr(got, "\"request_id\":\"\""));
    close(fd);
}

/* civetweb ends such connections without a word. */
static void answers_what_is_not_for_a_path(void **state)
{
    static const char *const targets[] = {"GET http://h/one", "GET http://h:1/one", "OPTIONS *",
                                          "POST HTTPS://h/echo"};
    for (size_t i = 0; i < 2 * sizeof targets / sizeof targets[0]; i++) {
        char text[200];
        int fd = dial(*state);
        snprintf(text, sizeof text, "%s%s HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
                 i % 2 ? "GET /before HTTP/1.1\r\nHost: h\r\n\r\n" : "", targets[i / 2]);
        raw_send(fd, text);
        const char *got = raw_receive(fd, NULL), *last = strstr(got + 1, "HTTP/1.1 ");
        if (i % 2)
            raw_status_is(got, 200);
        else
            assert_null(last);
        raw_status_is(i % 2 ? last : got, 400);
        assert_non_null(strstr(got, "\"code\":\"bad-request\""));
        assert_non_null(strstr(got, "Request-Id: "));
        close(fd);
    }
    int fd = dial(*state); /* what is told is told once */
    raw_send(fd, "GET one HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *got = raw_receive(fd, NULL);
    raw_status_is(got, 400);
    assert_null(strstr(got + 1, "HTTP/1.1 "));
    close(fd);
}

/* Its body would be read from the wrong place, and its end be another request. */
static void takes_one_empty_line_before_a_request(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); /* its thread sees where requests begin */
    raw_status_is(raw_receive(fd, "got "), 200);
    raw_send(fd, "\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
    raw_status_is(raw_receive(fd, "got 12345"), 200);
    raw_send(fd, "\r\n\r\nPOST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n12345");
    raw_status_is(raw_receive(fd, NULL), 400);
    close(fd);
}

/* What the guard can refuse must reach it as it was sent: these would be two requests to others. */
static void lets_the_guard_see_what_was_sent(void **state)
{
    static const char *const heads[] = {"Content-Length : 5\r\n\r\n",
                                        "Content-Length\t: 5\r\n\r\n",
                                        "Content-Length: 5\r\nContent-Length: 6\r\n\r\n",
                                        "Content-Length: +5\r\n\r\n",
                                        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                                        "X: a\r\n b\r\nContent-Length: 5\r\n\r\n",
                                        "\xe9: a\r\nContent-Length: 5\r\n\r\n",
                                        ": a\r\nContent-Length: 5\r\n\r\n"};
    static const char *const lines[] = {"GET", "POST"};
    for (size_t i = 0; i < 2 * sizeof heads / sizeof heads[0]; i++) {
        int fd = dial(*state);
        char text[300];
        snprintf(text, sizeof text,
                 "%s /echo HTTP/1.1\r\nHost: h\r\n%s0\r\n\r\nGET /two HTTP/1.1\r\nHost: h\r\n\r\n",
                 lines[i % 2], heads[i / 2]);
        raw_send(fd, text);
        const char *got = raw_receive(fd, NULL);
        raw_status_is(got, 400);
        assert_null(strstr(got + 1, "HTTP/1.1")); /* one answer, then the end */
        close(fd);
    }
}

/* RFC 9110, 5.5: no part of it; whole requests follow on the connection. */
static void cuts_blanks_behind_a_header_value(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "GET / HTTP/1.1\r\nX:  a  b  \r\nHost: h \r\nX:   \r\nX:c \r\n\r\n");
    raw_status_is(raw_receive(fd, "got [a  b][][c]"), 200);
    raw_send(fd, "POST /echo HTTP/1.1\r\nX: d \r\nHost: h\r\nContent-Length: 5 \r\n\r\n12345");
    raw_status_is(raw_receive(fd, "got 12345[d]"), 200);
    close(fd);
}

static void takes_an_empty_header_value(void **state)
{
    int fd = dial(*state);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\nX:\r\nY: \r\nZ:z\r\n\r\n");
    raw_status_is(raw_receive(fd, "got "), 200);
    close(fd);
}

static void *hold_one(void *arg)
{
    struct place *p = arg;
    int fd = dial(p);
    raw_send(fd, "GET /hold HTTP/1.1\r\nHost: h\r\n\r\n");
    char got[512];
    size_t n = 0;
    ssize_t r;
    while (n < sizeof got - 1 && (r = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0) {
        n += (size_t)r;
        got[n] = 0;
        if (strstr(got, "got "))
            break;
    }
    close(fd);
    return n > 0 && strstr(got, "200 OK") ? arg : NULL;
}

static void hold(struct place *p, pthread_t *threads, unsigned n)
{
    p->hold = true;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hold_one, p), 0);
    pthread_mutex_lock(&p->lock);
    while (p->held < n)
        pthread_cond_wait(&p->change, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void let_go(struct place *p, pthread_t *threads, unsigned n)
{
    pthread_mutex_lock(&p->lock);
    p->hold = false;
    pthread_cond_broadcast(&p->change);
    pthread_mutex_unlock(&p->lock);
    for (unsigned i = 0; i < n; i++) {
        void *answered;
        pthread_join(threads[i], &answered);
        assert_ptr_equal(answered, p);
    }
}

static void sheds_beyond_its_limit(void **state)
{
    struct place *p = *state;
    pthread_t threads[6];
    hold(p, threads, 6);
    assert_int_equal(http_server_in_flight(p->server), 6);
    int fd = dial(p);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *got = raw_receive(fd, "}");
    raw_status_is(got, 503);
    assert_non_null(strstr(got, "\"code\":\"overloaded\""));
    assert_non_null(strstr(got, "Retry-After: "));
    assert_non_null(strstr(got, "Request-Id: "));
    assert_non_null(strstr(got, "Begun: /\r\n")); /* also of what no handler saw */
    let_go(p, threads, 6);
    raw_send(fd, "GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_status_is(raw_receive(fd, "got "), 200);
    close(fd);
}

/* Seven open connections are all that 127.0.0.2 may have; others are served meanwhile. */
static void leaves_room_beside_an_address_with_many_connections(void **state)
{
    static const char ask[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    struct place *p = *state;
    int many[7];
    for (int i = 0; i < 7; i++) {
        many[i] = raw_dial_from(p->port, "127.0.0.2");
        raw_send(many[i], ask);
        raw_status_is(raw_receive(many[i], "got "), 200);
    }
    raw_send(many[0], ask); /* what is open goes on */
    raw_status_is(raw_receive(many[0], "got "), 200);
    int more = raw_dial_from(p->port, "127.0.0.2"), other = raw_dial_from(p->port, "127.0.0.3");
    raw_send(more, ask);
    const char *got = raw_receive(more, NULL); /* it ends */
    raw_status_is(got, 503);
    assert_non_null(strstr(got, "\"code\":\"overloaded\""));
    assert_non_null(strstr(got, "too many connections from your address"));
    assert_non_null(strstr(got, "Request-Id: "));
    close(more);
    raw_send(other, ask);
    raw_status_is(raw_receive(other, "got "), 200);
    close(other);
    for (int i = 0; i < 7; i++)
        close(many[i]);
    bool served = false; /* as soon as the server has seen one of them end */
    for (int64_t until = clock_mono_ms(clock_real()) + 10000;
         !served && clock_mono_ms(clock_real()) < until;) {
        int fd = raw_dial_from(p->port, "127.0.0.2");
        raw_send(fd, ask);
        served = strstr(raw_receive(fd, "\r\n\r\n"), " 200 OK") != NULL;
        close(fd);
    }
    assert_true(served);
}

static void finishes_what_it_serves_and_takes_no_more(void **state)
{
    struct place *p = *state;
    pthread_t threads[2];
    hold(p, threads, 2);
    http_server_close_connections(p->server);
    http_server_refuse(p->server);
    struct timespec pause = {0, 50000000};
    int fd = -1;
    for (int i = 0; i < 400; i++) { /* civetweb polls its listeners every 2 s */
        fd = dial(p);
        if (fd < 0)
            break;
        close(fd);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(fd, -1);
    let_go(p, threads, 2);
}

static void tells_a_taken_port(void **state)
{
    struct place *p = *state;
    char listen[32], why[256] = "";
    struct http_server *other = NULL;
    snprintf(listen, sizeof listen, "127.0.0.1:%d", p->port);
    struct http_server_settings s = {.listen = listen,
                                     .threads = 2,
                                     .header_max = 2048,
                                     .handler = handle,
                                     .clock = clock_real(),
                                     .public_url = ""};
    assert_int_equal(http_server_start(&s, &other, why), ERR_EXISTS);
    assert_non_null(strstr(why, "is taken"));
    s.listen = "8480";
    assert_int_equal(http_server_start(&s, &other, why), ERR_INVALID);
    s.listen = "[::1]:8480";
    assert_int_equal(http_server_start(&s, &other, why), ERR_INVALID);
    s.listen = "127.0.0.1:99999";
    assert_int_equal(http_server_start(&s, &other, why), ERR_INVALID);
    s.listen = "192.0.2.1:0";
    assert_int_equal(http_server_start(&s, &other, why), ERR_NOT_FOUND);
    assert_null(other);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, place_close)

/* ---- streams, where no connection can be detached */

/* The n-th stream's end, which is the test's now. */
static int taken(struct place *p, unsigned n)
{
    struct timespec until = clock_until(10000);
    int late = 0;
    pthread_mutex_lock(&p->lock);
    while (!late && p->streams_n < n)
        late = pthread_cond_timedwait(&p->change, &p->lock, &until);
    int fd = p->streams[n - 1];
    pthread_mutex_unlock(&p->lock);
    assert_int_equal(late, 0);
    return fd;
}

/* A quarter of the threads carry one each; more are refused until one ends. */
static void carries_streams_in_few_of_its_threads(void **state)
{
    struct place *p = *state;
    int client[2], stream[2];
    for (unsigned i = 0; i < 2; i++) {
        client[i] = dial(p);
        raw_send(client[i], "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
        stream[i] = taken(p, i + 1);
        assert_true(stream[i] >= 0);
        raw_send(stream[i], "event: one\n\n");
        const char *got = raw_receive(client[i], "event: one");
        raw_status_is(got, 200);
        assert_non_null(strstr(got, "text/event-stream"));
    }
    int third = dial(p);
    raw_send(third, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    raw_status_is(raw_receive(third, "}"), 503);
    assert_int_equal(taken(p, 3), -1);
    raw_send(stream[0], "event: two\n\n");
    assert_non_null(strstr(raw_receive(client[0], "two"), "event: two\n\n"));
    close(stream[0]);
    assert_string_equal(raw_receive(client[0], NULL), ""); /* it ends with its stream */
    raw_send(third, "GET /stream HTTP/1.1\r\nHost: h\r\n\r\n");
    stream[0] = taken(p, 4);
    assert_true(stream[0] >= 0);
    for (unsigned i = 0; i < 2; i++) {
        close(stream[i]);
        close(client[i]);
    }
    close(third);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keeps_a_connection_and_answers_in_order),
        TEST(says_continue_before_it_reads),
        TEST(refuses_what_is_too_large),
        TEST(refuses_a_body_cut_short),
        TEST(answers_in_problems_what_it_cannot_read),
        TEST(answers_what_is_not_for_a_path),
        TEST(takes_one_empty_line_before_a_request),
        TEST(lets_the_guard_see_what_was_sent),
        TEST(cuts_blanks_behind_a_header_value),
        TEST(takes_an_empty_header_value),
        TEST(sheds_beyond_its_limit),
        TEST(leaves_room_beside_an_address_with_many_connections),
        TEST(finishes_what_it_serves_and_takes_no_more),
        TEST(tells_a_taken_port),
        TEST(carries_streams_in_few_of_its_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
