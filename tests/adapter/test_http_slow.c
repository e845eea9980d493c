/* Deadlines of http_server.h over civetweb: who sends slowly, or not at all, is told so and cut
 * off; who has nothing to say is not. */
#include "tests/adapter/http_place.h"

#include <poll.h>

#include "gateway/problem.h"

enum { HEADER_MS = 500, BODY_MS = 2000, STEP_MS = 100 };

static void handle(void *arg, struct http_request *q, struct http_reply *r)
{
    char *body = NULL;
    size_t len = 0;
    (void)arg;
    snprintf(q->id, sizeof q->id, "test");
    int err = strcmp(q->path, "/echo") == 0 ? q->read_body(q, 5000, &body, &len) : 0;
    if (err) {
        problem_simple(q, r, err, NULL);
        return;
    }
    r->status = 200;
    r->type = "text/plain";
    buf_text(&r->body, "got ");
    buf_add(&r->body, body ? body : "", len);
}

static int setup_with(void **state, int header_ms, int body_ms, int keep_alive_ms)
{
    return place_open(state, &(struct http_server_settings){.threads = 16,
                                                            .header_ms = header_ms,
                                                            .body_ms = body_ms,
                                                            .keep_alive_ms = keep_alive_ms,
                                                            .handler = handle});
}

static int setup(void **state)
{
    return setup_with(state, HEADER_MS, BODY_MS, 30000);
}

static int setup_patient(void **state)
{
    return setup_with(state, HEADER_MS, 20000, 30000);
}

static int setup_restless(void **state)
{
    return setup_with(state, 8000, BODY_MS, 1000);
}

/* What it is answered while it sends one byte after the other, until the end. */
static const char *receive_dripping(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    for (int i = 0; i < 100 && poll(&readable, 1, STEP_MS) == 0; i++)
        (void)send(fd, "x", 1, MSG_NOSIGNAL);
    return raw_receive(fd, NULL);
}

static void was_too_slow(const char *answer, const char *code)
{
    raw_status_is(answer, 408);
    assert_non_null(strstr(answer, code));
    assert_non_null(strstr(answer, "Connection: close\r\n"));
}

#define POST "POST /echo HTTP/1.1\r\nHost: h\r\n"
#define GET  "GET /one HTTP/1.1\r\nHost: h\r\n\r\n"

/* However much longer than a header it may take: a stall is no end. */
static void cuts_off_a_slow_body(void **state)
{
    static const char *const begun[] = {POST "Content-Length: 5000\r\n\r\n",
                                        POST "Content-Length: 5000\r\n\r\nx",
                                        POST "Transfer-Encoding: chunked\r\n\r\n",
                                        POST "Transfer-Encoding: chunked\r\n\r\n1388\r\nx"};
    const struct place *p = *state;
    for (size_t i = 0; i < sizeof begun / sizeof begun[0]; i++) {
        int fd = raw_dial(p->port);
        raw_send(fd, begun[i]);
        was_too_slow(raw_receive(fd, NULL), "\"code\":\"slow-body\"");
        close(fd);
        if (i == 2) /* what it drips is no chunk */
            continue;
        fd = raw_dial(p->port);
        raw_send(fd, begun[i]);
        was_too_slow(receive_dripping(fd), "\"code\":\"slow-body\"");
        close(fd);
    }
}

/* In time, though it paused for longer than civetweb waits for a header. */
static void waits_for_a_body_that_pauses(void **state)
{
    static const char *const halves[][2] = {
        {POST "Content-Length: 7\r\n\r\none", " two"},
        {POST "Transfer-Encoding: chunked\r\n\r\n7\r\none", " two\r\n0\r\n\r\n"}};
    const struct place *p = *state;
    for (size_t i = 0; i < 2; i++) {
        int fd = raw_dial(p->port);
        struct pollfd readable = {.fd = fd, .events = POLLIN};
        raw_send(fd, halves[i][0]);
        assert_int_equal(poll(&readable, 1, 3500), 0);
        raw_send(fd, halves[i][1]);
        raw_status_is(raw_receive(fd, "got one two"), 200);
        close(fd);
    }
}

static void cuts_off_a_slow_header(void **state)
{
    const struct place *p = *state;
    for (int drips = 0; drips < 2; drips++) {
        int fd = raw_dial(p->port);
        raw_send(fd, "GET / HT");
        was_too_slow(drips ? receive_dripping(fd) : raw_receive(fd, NULL),
                     "\"code\":\"slow-header\"");
        close(fd);
    }
}

/* Who sent nothing is told nothing. */
static void closes_who_sends_nothing(void **state)
{
    const struct place *p = *state;
    char c;
    int fd = raw_dial(p->port);
    assert_int_equal(recv(fd, &c, 1, 0), 0);
    close(fd);
}

/* However the request before it came, and also where it came in one piece with that. */
static void gives_a_later_header_no_more_time(void **state)
{
    static const struct {
        const char *first, *answer, *next;
    } rows[] = {{GET, "got ", "G"},
                {GET "GET / HT", "got ", ""},
                {"\r\n" GET "\r\nGET / HT", "got ", ""},
                {POST "Content-Length: 3\r\n\r\none", "got one", "GET / HTTP/1.1\r\nX: "},
                {POST "Content-Length: 3\r\n\r\noneP", "got one", ""}};
    const struct place *p = *state;
    for (size_t i = 0; i < 2 * sizeof rows / sizeof rows[0]; i++) {
        int fd = raw_dial(p->port);
        raw_send(fd, GET); /* its thread sees where requests begin */
        raw_status_is(raw_receive(fd, "got "), 200);
        raw_send(fd, rows[i / 2].first);
        raw_status_is(raw_receive(fd, rows[i / 2].answer), 200);
        raw_send(fd, rows[i / 2].next);
        was_too_slow(i % 2 ? receive_dripping(fd) : raw_receive(fd, NULL),
                     "\"code\":\"slow-header\"");
        close(fd);
    }
}

/* Of chunks it is not known how long they were on the wire. */
static void sees_a_header_drip_behind_chunks(void **state)
{
    const struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, POST "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n");
    raw_status_is(raw_receive(fd, "got one"), 200);
    was_too_slow(receive_dripping(fd), "\"code\":\"slow-header\"");
    close(fd);
}

static void leaves_an_idle_connection_open(void **state)
{
    static const char *const asked[] = {
        GET,
        GET "\r\n" GET,
        GET GET,
        "HEAD /one HTTP/1.1\r\nHost: h\r\nX:\r\nY: \r\nZ:z\r\n\r\n",
        "GET /one HTTP/1.1\r\nHost:h \r\nX:  a b  \r\n\r\n",
        "GET /one HTTP/1.1\nHost: h\r\n\r\n",
        POST "Content-Length: 0\r\n\r\n",
        POST "Content-Length: 3\r\n\r\none",
        POST "Transfer-Encoding: chunked\r\n\r\n3\r\none\r\n0\r\n\r\n" GET};
    enum { ASKED = sizeof asked / sizeof asked[0] };
    const struct place *p = *state;
    struct pollfd idle[ASKED];
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < ASKED; i++) {
            idle[i] = round ? idle[i] : (struct pollfd){.fd = raw_dial(p->port), .events = POLLIN};
            raw_send(idle[i].fd, asked[i]);
            raw_status_is(raw_receive(idle[i].fd, "\r\n\r\n"), 200);
            while (poll(&idle[i], 1, STEP_MS) > 0) /* the rest */
                assert_true(recv(idle[i].fd, (char[512]){0}, 512, 0) > 0);
        }
        if (poll(idle, ASKED, 3 * HEADER_MS) != 0)
            for (size_t i = 0; i < ASKED; i++)
                if (idle[i].revents)
                    fail_msg("ended: %s", asked[i]);
    }
    for (size_t i = 0; i < ASKED; i++)
        close(idle[i].fd);
}

static void ends_what_is_idle_for_too_long(void **state)
{
    const struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET);
    raw_status_is(raw_receive(fd, "got "), 200);
    assert_string_equal(raw_receive(fd, NULL), "");
    close(fd);
}

/* What began in time has its own time. */
static void waits_for_a_header_that_began_while_idle(void **state)
{
    const struct place *p = *state;
    int fd = raw_dial(p->port);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    raw_send(fd, GET);
    raw_status_is(raw_receive(fd, "got "), 200);
    raw_send(fd, "GET / HTTP/1.1\r\nHos");
    assert_int_equal(poll(&readable, 1, 2500), 0); /* over what it may be idle for */
    raw_send(fd, "t: h\r\n\r\n");
    raw_status_is(raw_receive(fd, "got "), 200);
    close(fd);
}

#define TEST(name)          cmocka_unit_test_setup_teardown(name, setup, place_close)
#define TEST_RESTLESS(name) cmocka_unit_test_setup_teardown(name, setup_restless, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(cuts_off_a_slow_body),
        cmocka_unit_test_setup_teardown(waits_for_a_body_that_pauses, setup_patient, place_close),
        TEST(cuts_off_a_slow_header),
        TEST(closes_who_sends_nothing),
        TEST(gives_a_later_header_no_more_time),
        TEST(sees_a_header_drip_behind_chunks),
        TEST(leaves_an_idle_connection_open),
        TEST_RESTLESS(ends_what_is_idle_for_too_long),
        TEST_RESTLESS(waits_for_a_header_that_began_while_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
