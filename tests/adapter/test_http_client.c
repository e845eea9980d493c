/* The curl client against a small misbehaving server: one thread for each connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/http_client.h"

/* ---- the server */

static struct {
    int fd;
    unsigned port;
    pthread_t thread;
    atomic_uint connections, open, requests;
} server;

/* 20,000 zeros, and {"price":12}, in gzip */
static const unsigned char bomb[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xed, 0xc1, 0x31, 0x01,
    0x00, 0x00, 0x00, 0xc2, 0xa0, 0xf5, 0x4f, 0x6d, 0x0d, 0x0f, 0xa0, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x78, 0x30, 0x02, 0x53, 0x2f, 0x97, 0x20, 0x4e, 0x00, 0x00};
static const unsigned char packed[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0xab, 0x56, 0x2a, 0x28, 0xca, 0x4c,
    0x4e, 0x55, 0xb2, 0x32, 0x34, 0xaa, 0x05, 0x00, 0xbf, 0x7a, 0xd8, 0x37, 0x0c, 0x00, 0x00, 0x00};
static const unsigned char deflated[] = {0x78, 0xda, 0xab, 0x56, 0x2a, 0x28, 0xca,
                                         0x4c, 0x4e, 0x55, 0xb2, 0x32, 0x34, 0xaa,
                                         0x05, 0x00, 0x1b, 0x09, 0x03, 0xed}; /* that, in deflate */

static void say(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        p += n;
        len -= (size_t)n;
    }
}

static void say_text(int fd, const char *text)
{
    say(fd, text, strlen(text));
}

static void say_body(int fd, const char *headers, const void *body, size_t len)
{
    char head[256];
    snprintf(head, sizeof head, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n%s\r\n", len, headers);
    say_text(fd, head);
    say(fd, body, len);
}

static bool gone(int fd, int wait_ms) /* has the client closed? */
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char c;
    return poll(&p, 1, wait_ms) > 0 && recv(fd, &c, 1, MSG_PEEK) <= 0;
}

static bool say_chunks(int fd, int wait_ms) /* until nobody listens */
{
    static const char chunk[] = "400\r\n%01024d\r\n";
    char text[1100];
    snprintf(text, sizeof text, chunk, 7);
    say_text(fd, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (!gone(fd, wait_ms))
        say(fd, text, wait_ms ? 1 : strlen(text));
    return false;
}

static bool say_headers(int fd)
{
    say_text(fd, "HTTP/1.1 200 OK\r\n");
    for (int i = 0; i < 80 && !gone(fd, 0); i++) {
        char line[1100];
        snprintf(line, sizeof line, "X-Long-%d: %01024d\r\n", i, 7);
        say_text(fd, line);
    }
    say_text(fd, "Content-Length: 0\r\n\r\n");
    return false;
}

static bool say_long_header(int fd)
{
    static char value[200 * 1024];
    memset(value, 'x', sizeof value);
    say_text(fd, "HTTP/1.1 200 OK\r\nX-Long: ");
    for (size_t at = 0; at < sizeof value && !gone(fd, 0); at += 10 * 1024)
        say(fd, value + at, 10 * 1024);
    say_text(fd, "\r\nContent-Length: 0\r\n\r\n");
    return false;
}

static bool hang(int fd)
{
    while (!gone(fd, 100))
        ;
    return false;
}

static bool is(const char *request, const char *path)
{
    const char *at = strchr(request, ' ');
    return at && strncmp(at + 1, path, strlen(path)) == 0 && strchr(" ?/", at[1 + strlen(path)]);
}

/* Answer one request; false: close the connection. */
static bool answer_badly(int fd, const char *request, unsigned nth)
{
    if (is(request, "/garbage"))
        say_text(fd, "what do you want from me?\r\n\r\n");
    else if (is(request, "/endless"))
        return say_chunks(fd, 0);
    else if (is(request, "/drip"))
        return say_chunks(fd, 500);
    else if (is(request, "/early"))
        say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{\"price\":");
    else if (is(request, "/hang"))
        return hang(fd);
    else if (is(request, "/headers"))
        return say_headers(fd);
    else if (is(request, "/header"))
        return say_long_header(fd);
    else if (is(request, "/once") && nth == 1)
        return say_body(fd, "", "one", 3), true;
    else if (is(request, "/once"))
        return false; /* a kept-alive connection that dies while it is used again */
    else if (!is(request, "/close"))
        say_text(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
    return false;
}

static bool answer(int fd, const char *request, unsigned nth)
{
    if (strncmp(request, "HEAD", 4) == 0)
        say_text(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    else if (is(request, "/ok"))
        say_body(fd, "Content-Type: application/json\r\nX-Two:  a b \r\n", "{\"price\":12}", 12);
    else if (is(request, "/echo"))
        say_body(fd, "", request, strlen(request));
    else if (is(request, "/lie")) /* some programs print what their proxy said to them */
        say_text(fd, "HTTP/2 200 OK\r\nContent-Length: 3\r\n\r\nlie");
    else if (is(request, "/bomb"))
        say_body(fd, "Content-Encoding: gzip\r\n", bomb, sizeof bomb);
    else if (is(request, "/packed"))
        say_body(fd, "Content-Encoding: gzip\r\n", packed, sizeof packed);
    else if (is(request, "/unasked"))
        say_body(fd, "Content-Encoding: deflate\r\n", deflated, sizeof deflated);
    else if (is(request, "/badzip"))
        say_body(fd, "Content-Encoding: gzip\r\n", "no gzip at all", 14);
    else if (is(request, "/redirect"))
        say_text(fd, "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n");
    else if (is(request, "/busy"))
        say_text(fd, "HTTP/1.1 429 Busy\r\nRetry-After: 7\r\nContent-Length: 4\r\n\r\nbusy");
    else if (is(request, "/hints"))
        say_text(fd, "HTTP/1.1 103 Early Hints\r\nX-Hint: no\r\n\r\n"
                     "HTTP/1.1 201 Made\r\nX-Real: yes\r\nTransfer-Encoding: chunked\r\n\r\n"
                     "2\r\nab\r\n0\r\nX-Trailer: no\r\n\r\n");
    else
        return answer_badly(fd, request, nth);
    return true;
}

/* Read one request into text. */
static bool hear(int fd, char *text, size_t size)
{
    size_t len = 0, want = 0;
    while (len + 1 < size) {
        ssize_t n = recv(fd, text + len, size - 1 - len, 0);
        if (n <= 0)
            return false;
        text[len += (size_t)n] = 0;
        if (text[0] == 0x16) { /* a TLS hello */
            say_text(fd, "HTTP/1.1 400 Plain text please\r\n\r\n");
            return false;
        }
        const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
        if (!end)
            continue;
        want = (size_t)(end + 4 - text) + (length ? strtoul(length + 15, NULL, 10) : 0);
        if (len >= want)
            return true;
    }
    return false;
}

static void *serve_one(void *arg)
{
    int fd = (int)(intptr_t)arg;
    char *text = calloc(1, 65536);
    for (unsigned nth = 1; text && hear(fd, text, 65536); nth++) {
        server.requests++;
        if (!answer(fd, text, nth))
            break;
    }
    free(text);
    close(fd);
    server.open--;
    return NULL;
}

static void *serve(void *arg)
{
    for (int fd; (fd = accept(server.fd, NULL, NULL)) >= 0;) {
        pthread_t thread;
        server.connections++;
        server.open++;
        if (pthread_create(&thread, NULL, serve_one, (void *)(intptr_t)fd) == 0)
            pthread_detach(thread);
    }
    return arg;
}

static int server_start(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    (void)state;
    server.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(server.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(server.fd, 512), 0);
    getsockname(server.fd, (struct sockaddr *)&at, &len);
    server.port = ntohs(at.sin_port);
    setenv("http_proxy", "http://127.0.0.1:1", 1); /* must not be obeyed */
    return pthread_create(&server.thread, NULL, serve, NULL);
}

static int server_stop(void **state)
{
    (void)state;
    shutdown(server.fd, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.fd);
    while (server.open > 0)
        usleep(1000);
    return 0;
}

/* ---- one client for each test */

struct seen {
    struct world *world;
    bool called, ended, early; /* early: a part came before the end */
    size_t parts_len;
    unsigned calls;
    enum call_code code;
    int status;
    char *body;
    size_t body_len, headers_n;
    char retry_after[32], content_type[64], hint[8], real[8], trailer[8], two[8], why[200];
    bool sent;
    int64_t ms;
};

struct world {
    struct loop *loop;
    struct http_client *client;
    struct loop_timer *guard;
    size_t left;
};

static void on_guard(void *arg)
{
    loop_stop(((struct world *)arg)->loop);
}

static int setup_with(void **state, unsigned connections, int64_t rest_ms)
{
    static struct world w;
    w = (struct world){0};
    assert_int_equal(loop_uv_open(&w.loop), 0);
    assert_int_equal(http_client_curl_open(w.loop, connections, rest_ms, NULL, &w.client), 0);
    w.guard = loop_timer_new(w.loop, on_guard, &w);
    *state = &w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, 64, 30000);
}

static int teardown(void **state)
{
    struct world *w = *state;
    loop_timer_free(w->loop, w->guard);
    http_client_close(w->client);
    loop_close(w->loop);
    return 0;
}

static void keep(char *out, size_t size, const struct http_response *r, const char *name)
{
    const char *value = http_response_header(r, name);
    snprintf(out, size, "%s", value ? value : "");
}

static void on_done(void *arg, struct http_response *r)
{
    struct seen *s = arg;
    s->calls++;
    s->ended = r->body && strlen(r->body) <= r->body_len && r->body[r->body_len] == 0;
    s->called = true;
    s->code = r->code;
    s->status = r->status;
    s->body_len = r->body_len;
    s->headers_n = r->headers_n;
    s->sent = r->sent;
    s->ms = r->ms;
    keep(s->retry_after, sizeof s->retry_after, r, "retry-after");
    keep(s->content_type, sizeof s->content_type, r, "content-type");
    keep(s->hint, sizeof s->hint, r, "x-hint");
    keep(s->real, sizeof s->real, r, "x-real");
    keep(s->trailer, sizeof s->trailer, r, "x-trailer");
    keep(s->two, sizeof s->two, r, "x-two");
    snprintf(s->why, sizeof s->why, "%s", r->why);
    s->body = http_response_take_body(r);
    s->ended = s->ended && !r->body;
    if (--s->world->left == 0)
        loop_stop(s->world->loop);
}

static const char *url(const char *path)
{
    static char text[256];
    snprintf(text, sizeof text, "http://127.0.0.1:%u%s", server.port, path);
    return text;
}

static struct http_request request(const char *path)
{
    return (struct http_request){.method = "GET",
                                 .url = path[0] == '/' ? url(path) : path,
                                 .timeout_ms = 60000, /* valgrind is slow */
                                 .response_max = 1000,
                                 .allow_private = true};
}

static struct http_exchange *start(struct world *w, const struct http_request *r, struct seen *s)
{
    struct http_exchange *x = NULL;
    *s = (struct seen){.world = w};
    assert_int_equal(http_start(w->client, r, on_done, s, &x), 0);
    assert_false(s->called);
    w->left++;
    return x;
}

static void run(struct world *w, int64_t at_most_ms)
{
    loop_timer_set(w->loop, w->guard, at_most_ms, 0);
    loop_run(w->loop);
    loop_timer_stop(w->loop, w->guard);
}

/* One whole exchange. The body is to be freed. */
static struct seen call(struct world *w, const struct http_request *r)
{
    struct seen s;
    start(w, r, &s);
    run(w, 90000);
    assert_true(s.called && s.ended);
    assert_int_equal(s.calls, 1);
    return s;
}

static void expect(struct world *w, const char *path, enum call_code code, int status, bool sent)
{
    struct http_request r = request(path);
    struct seen s = call(w, &r);
    if (s.code != code)
        fail_msg("%s: %s, %s", path, call_code(s.code), s.why);
    assert_int_equal(s.status, status);
    assert_int_equal(s.sent, sent);
    assert_true(code == CALL_OK || (s.why[0] && s.body_len == 0));
    free(s.body);
}

static void a_good_answer_comes_with_status_headers_and_body(void **state)
{
    struct http_request r = request("/ok");
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_OK);
    assert_int_equal(s.status, 200);
    assert_string_equal(s.body, "{\"price\":12}");
    assert_int_equal(s.body_len, 12);
    assert_string_equal(s.content_type, "application/json");
    assert_string_equal(s.two, "a b");
    assert_int_equal(s.headers_n, 3);
    assert_true(s.sent && s.ms >= 0 && s.ms < 60000);
    free(s.body);
}

static void the_request_is_what_was_asked(void **state)
{
    struct header headers[] = {
        {"X-Key", "s3cret"}, {"X-Empty", ""}, {"Content-Type", "application/json"}};
    char body[] = "{\"q\":1}trailing";
    struct http_request r = request("/echo/a/../b?x=%20y");
    r.method = "PATCH";
    r.headers = headers;
    r.headers_n = 3;
    r.body = body;
    r.body_len = 7;
    struct seen s;
    start(*state, &r, &s);
    memset(body, 'X', sizeof body - 1); /* borrowed during start only */
    headers[0].value = headers[1].value = NULL;
    run(*state, 90000);
    assert_int_equal(s.code, CALL_OK);
    assert_non_null(strstr(s.body, "PATCH /echo/a/../b?x=%20y HTTP/1.1\r\n"));
    assert_non_null(strstr(s.body, "X-Key: s3cret\r\n"));
    assert_non_null(strstr(s.body, "X-Empty:\r\n"));
    assert_non_null(strstr(s.body, "Content-Length: 7\r\n"));
    assert_non_null(strstr(s.body, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(s.body, "\r\n\r\n{\"q\":1}"));
    assert_null(strstr(s.body, "Expect"));
    assert_null(strstr(s.body, "trailing"));
    const char *accepts = strstr(s.body, "Accept-Encoding: gzip\r\n");
    assert_non_null(accepts);
    assert_null(strcasestr(accepts + 1, "accept-encoding"));
    free(s.body);
}

static void nothing_of_a_call_stays_for_the_next(void **state)
{
    struct header header = {"X-Key", "s3cret"};
    struct http_request r = request("/echo");
    r.method = "POST";
    r.headers = &header;
    r.headers_n = 1;
    r.body = "abc";
    r.body_len = 3;
    struct seen s = call(*state, &r);
    assert_null(strstr(s.body, "Content-Type")); /* curl's own is not sent */
    free(s.body);
    static const char *const methods[] = {"GET", "HEAD", "DELETE", "POST", "GET"};
    for (size_t i = 0; i < 5; i++) {
        r = request("/echo");
        r.method = methods[i];
        s = call(*state, &r);
        assert_int_equal(s.code, CALL_OK);
        if (strcmp(methods[i], "HEAD") != 0)
            assert_memory_equal(s.body, methods[i], strlen(methods[i]));
        assert_null(strstr(s.body, "X-Key"));
        assert_null(strstr(s.body, "abc"));
        assert_int_equal(strstr(s.body, "Content-Length: 0") != NULL, i == 3);
        free(s.body);
    }
}

static void any_status_is_a_complete_answer(void **state)
{
    struct http_request r = request("/busy");
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_OK);
    assert_int_equal(s.status, 429);
    assert_string_equal(s.retry_after, "7");
    assert_string_equal(s.body, "busy");
    free(s.body);
    expect(*state, "/nowhere", CALL_OK, 404, true);
}

static void redirects_are_not_followed(void **state)
{
    unsigned before = server.requests;
    expect(*state, "/redirect", CALL_OK, 302, true);
    assert_int_equal(server.requests, before + 1);
}

static void hints_and_trailers_are_not_headers(void **state)
{
    struct http_request r = request("/hints");
    struct seen s = call(*state, &r);
    assert_int_equal(s.status, 201);
    assert_string_equal(s.real, "yes");
    assert_string_equal(s.hint, "");
    assert_string_equal(s.trailer, "");
    assert_string_equal(s.body, "ab");
    free(s.body);
}

static void bytes_are_counted_after_decompression(void **state)
{
    static const char *const paths[] = {"/packed", "/unasked"}; /* only gzip was asked for */
    for (size_t i = 0; i < 2; i++) {
        struct http_request r = request(paths[i]);
        struct seen s = call(*state, &r);
        assert_string_equal(s.body, "{\"price\":12}");
        free(s.body);
    }
    expect(*state, "/bomb", CALL_TOO_BIG, 200, true);
    expect(*state, "/badzip", CALL_BAD_BODY, 200, true);
}

static void too_much_is_cut(void **state)
{
    expect(*state, "/endless", CALL_TOO_BIG, 200, true);
    expect(*state, "/headers", CALL_TOO_BIG, 200, true);
    expect(*state, "/header", CALL_TOO_BIG, 200, true); /* one that curl takes no part of */
    struct http_request r = request("/ok");
    r.response_max = 12;
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_OK);
    free(s.body);
    r.response_max = 11;
    s = call(*state, &r);
    assert_int_equal(s.code, CALL_TOO_BIG);
    free(s.body);
}

static void on_part(void *arg, const char *bytes, size_t len)
{
    struct seen *s = arg;
    s->early = s->early || (!s->called && memchr(bytes, '{', len));
    s->parts_len += len;
}

static void parts_come_before_the_end_and_without_a_limit(void **state)
{
    struct http_request r = request("/early");
    r.part = on_part;
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_RESET);
    assert_true(s.early);
    assert_int_equal(s.parts_len, strlen("{\"price\":"));
    free(s.body);
    r = request("/endless");
    r.part = on_part;
    r.timeout_ms = 1000;
    s = call(*state, &r);
    assert_int_equal(s.code, CALL_TIMEOUT);
    assert_true(s.parts_len > r.response_max);
    assert_int_equal(s.body_len, 0);
    free(s.body);
    r = request("/busy"); /* no 200: its body is an answer as any other */
    r.part = on_part;
    s = call(*state, &r);
    assert_int_equal(s.parts_len, 0);
    assert_int_equal(s.status, 429);
    assert_string_equal(s.body, "busy");
    free(s.body);
}

static void broken_answers_have_their_codes(void **state)
{
    expect(*state, "/garbage", CALL_BAD_BODY, 0, true);
    expect(*state, "/early", CALL_RESET, 200, true);
    expect(*state, "/close", CALL_RESET, 0, true);
}

static void no_connection_means_nothing_was_sent(void **state)
{
    char text[64];
    expect(*state, "http://127.0.0.1:1/", CALL_CONNECT, 0, false);
    expect(*state, "http://no-such-host.invalid/", CALL_DNS, 0, false);
    snprintf(text, sizeof text, "https://127.0.0.1:%u/ok", server.port);
    expect(*state, text, CALL_TLS, 0, false);
    expect(*state, "http://127.0.0.1:99999/", CALL_CONNECT, 0, false);
}

static void the_timeout_is_for_the_whole_exchange(void **state)
{
    static const char *const paths[] = {"/hang", "/drip"};
    for (size_t i = 0; i < 2; i++) {
        struct http_request r = request(paths[i]);
        r.timeout_ms = 1000; /* enough to send it, also where others are busy */
        struct seen s = call(*state, &r);
        assert_int_equal(s.code, CALL_TIMEOUT);
        assert_true(s.sent);
        assert_in_range(s.ms, 999, 20000);
        free(s.body);
    }
}

static void private_addresses_are_blocked_where_they_resolve(void **state)
{
    static const char *const hosts[] = {"127.0.0.1",  "localhost",          "[::1]",
                                        "2130706433", "[::ffff:127.0.0.1]", "169.254.169.254",
                                        "10.1.2.3"};
    unsigned before = server.connections;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "http://%s:%u/ok", hosts[i], server.port);
        struct http_request r = request(text);
        r.allow_private = false;
        struct seen s = call(*state, &r);
        assert_int_equal(s.code, CALL_BLOCKED_ADDRESS);
        assert_false(s.sent);
        free(s.body);
    }
    assert_int_equal(server.connections, before);
}

static void a_kept_connection_is_checked_too(void **state)
{
    expect(*state, "/ok", CALL_OK, 200, true);
    unsigned before = server.requests;
    struct http_request r = request("/ok");
    r.allow_private = false;
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_BLOCKED_ADDRESS);
    assert_false(s.sent);
    assert_int_equal(server.requests, before);
    free(s.body);
}

static void bad_requests_are_refused_at_once(void **state)
{
    struct world *w = *state;
    static const char *const urls[] = {"",           "/ok",         "ftp://host/", "http://",
                                       "http:///x",  "http://a/ b", "http://a/\n", "file:///etc",
                                       "http://a/ü", "http://?x=1"};
    struct http_exchange *x;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        struct http_request r = request("/ok");
        r.url = urls[i];
        assert_int_equal(http_start(w->client, &r, on_done, NULL, &x), ERR_INVALID);
    }
    struct http_request r = request("/ok");
    r.method = "GET / HTTP/1.1\r\nX: y";
    assert_int_equal(http_start(w->client, &r, on_done, NULL, &x), ERR_INVALID);
    struct header bad = {"X-Key", "a\r\nX-Other: b"};
    r = request("/ok");
    r.headers = &bad;
    r.headers_n = 1;
    assert_int_equal(http_start(w->client, &r, on_done, NULL, &x), ERR_INVALID);
}

/* The handle has another call's URL, and is used again. */
static void a_url_that_does_not_parse_fails_its_own_call(void **state)
{
    struct http_request r = {
        .method = "GET", .url = "http://127.0.0.1:99999/x", .timeout_ms = 5000};
    expect(*state, "/ok", CALL_OK, 200, true);
    unsigned before = server.requests;
    struct seen s = call(*state, &r);
    assert_int_equal(server.requests, before);
    assert_int_equal(s.code, CALL_CONNECT);
    assert_false(s.sent);
    assert_non_null(strcasestr(s.why, "url"));
    free(s.body);
    expect(*state, "/ok", CALL_OK, 200, true);
}

static void connections_are_kept_and_used_again(void **state)
{
    unsigned before = server.connections;
    for (int i = 0; i < 20; i++)
        expect(*state, "/ok", CALL_OK, 200, true);
    assert_int_equal(server.connections, before + 1);
}

/* curl took such a host for one that multiplexes, and wrote requests on connections whose answers
 * were not there yet: calls got one another's. */
static void who_says_http_2_gets_one_request_at_a_time(void **state)
{
    enum { AT_ONCE = 8 };
    struct world *w = *state;
    struct seen seen[AT_ONCE];
    struct http_request lie = request("/lie");
    struct seen lied = call(w, &lie); /* 8.14 refuses it, 7.88 takes it as it is */
    assert_true(lied.code == CALL_OK || lied.code == CALL_BAD_BODY);
    free(lied.body);
    for (int i = 0; i < AT_ONCE; i++) {
        char path[32];
        snprintf(path, sizeof path, "/echo/%d", i);
        struct http_request r = request(path);
        r.timeout_ms = 20000;
        start(w, &r, &seen[i]);
    }
    run(w, 90000);
    for (int i = 0; i < AT_ONCE; i++) {
        char line[32];
        int n = snprintf(line, sizeof line, "GET /echo/%d HTTP/1.1", i);
        assert_int_equal(seen[i].code, CALL_OK);
        assert_memory_equal(seen[i].body, line, (size_t)n);
        free(seen[i].body);
    }
}

static void a_lost_kept_connection_repeats_only_reading(void **state)
{
    expect(*state, "/once", CALL_OK, 200, true);
    unsigned before = server.requests;
    expect(*state, "/once", CALL_OK, 200, true); /* GET: anew, behind the scenes */
    assert_int_equal(server.requests, before + 2);
    struct http_request r = request("/once");
    r.method = "POST";
    r.body = "{}";
    r.body_len = 2;
    struct seen s = call(*state, &r);
    assert_int_equal(s.code, CALL_RESET);
    assert_true(s.sent);
    assert_int_equal(server.requests, before + 3);
    free(s.body);

    expect(*state, "/once", CALL_OK, 200, true);
    struct http_request get = request("/once");
    get.once = true; /* reading too, if the caller says so */
    s = call(*state, &get);
    assert_int_equal(s.code, CALL_RESET);
    assert_int_equal(server.requests, before + 5);
    free(s.body);
}

/* However often in the life of a client: nothing of a call that was sent again stays for others. */
static void every_lost_kept_connection_is_replaced(void **state)
{
    struct http_request post = request("/once");
    post.method = "POST";
    post.body = "{}";
    post.body_len = 2;
    unsigned before = server.requests;
    for (int i = 0; i < 20; i++)
        expect(*state, "/once", CALL_OK, 200, true);
    assert_int_equal(server.requests, before + 39);
    for (int i = 0; i < 10; i++) {
        struct seen s = call(*state, &post);
        assert_int_equal(s.code, CALL_RESET);
        free(s.body);
        before = server.requests;
        expect(*state, "/once", CALL_OK, 200, true);
        assert_int_equal(server.requests, before + 1);
    }
    before = server.requests;
    expect(*state, "/once", CALL_OK, 200, true);
    assert_int_equal(server.requests, before + 2);
}

static void a_cancelled_exchange_is_silent(void **state)
{
    struct world *w = *state;
    struct seen hanging[3];
    struct http_exchange *x[3];
    struct http_request r = request("/hang");
    for (int i = 0; i < 3; i++)
        x[i] = start(w, &r, &hanging[i]);
    http_cancel(w->client, x[0]); /* before it began */
    run(w, 50);
    http_cancel(w->client, x[1]); /* under way */
    run(w, 50);
    w->left = 0;
    expect(w, "/ok", CALL_OK, 200, true);
    for (int i = 0; i < 3; i++)
        assert_false(hanging[i].called); /* the third: closed by teardown */
}

enum { MANY = 300 };
static void on_chain(void *arg, struct http_response *r)
{
    struct seen *s = arg;
    struct http_request again = request("/ok");
    struct http_exchange *x;
    s->called = s->called || r->code != CALL_OK; /* no assertion may jump out of the loop */
    if (s->status++ < 3 && http_start(s->world->client, &again, on_chain, s, &x) == 0)
        return;
    if (--s->world->left == 0)
        loop_stop(s->world->loop);
}

static void many_run_at_once_and_start_others(void **state)
{
    static struct seen seen[MANY];
    struct world *w = *state;
    struct http_exchange *x;
    unsigned before = server.connections;
    for (int i = 0; i < MANY; i++) {
        struct http_request r = request("/ok");
        seen[i] = (struct seen){.world = w};
        assert_int_equal(http_start(w->client, &r, on_chain, &seen[i], &x), 0);
        w->left++;
    }
    run(w, 90000);
    assert_int_equal(w->left, 0);
    for (int i = 0; i < MANY; i++)
        assert_true(!seen[i].called && seen[i].status == 4);
    assert_in_range(server.connections - before, 1, MANY * 2); /* of four times as many calls */
}

static int setup_few(void **state)
{
    return setup_with(state, 4, 50);
}

static void burst(struct world *w)
{
    static struct seen seen[40];
    for (int i = 0; i < 40; i++) {
        struct http_request r = request("/ok");
        start(w, &r, &seen[i]);
    }
    run(w, 90000);
    for (int i = 0; i < 40; i++)
        free(seen[i].body);
}

static void a_second_burst_finds_the_connections_of_the_first(void **state)
{
    unsigned before = server.connections;
    burst(*state);
    burst(*state);
    assert_int_equal(server.connections - before, 40);
}

static void what_only_a_peak_needed_is_let_go(void **state)
{
    struct world *w = *state;
    burst(w);
    for (int i = 0; i < 1000 && server.open > 0; i++)
        run(w, 20); /* the loop turns for so long: nothing is asked for */
    assert_int_equal(server.open, 0);
    expect(w, "/ok", CALL_OK, 200, true);
    assert_in_range(server.open, 0, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_answer_comes_with_status_headers_and_body),
        TEST(the_request_is_what_was_asked),
        TEST(nothing_of_a_call_stays_for_the_next),
        TEST(any_status_is_a_complete_answer),
        TEST(redirects_are_not_followed),
        TEST(hints_and_trailers_are_not_headers),
        TEST(bytes_are_counted_after_decompression),
        TEST(too_much_is_cut),
        TEST(parts_come_before_the_end_and_without_a_limit),
        TEST(broken_answers_have_their_codes),
        TEST(no_connection_means_nothing_was_sent),
        TEST(the_timeout_is_for_the_whole_exchange),
        TEST(private_addresses_are_blocked_where_they_resolve),
        TEST(a_kept_connection_is_checked_too),
        TEST(bad_requests_are_refused_at_once),
        TEST(a_url_that_does_not_parse_fails_its_own_call),
        TEST(connections_are_kept_and_used_again),
        TEST(who_says_http_2_gets_one_request_at_a_time),
        TEST(a_lost_kept_connection_repeats_only_reading),
        TEST(every_lost_kept_connection_is_replaced),
        TEST(a_cancelled_exchange_is_silent),
        TEST(many_run_at_once_and_start_others),
        TEST(a_second_burst_finds_the_connections_of_the_first),
        cmocka_unit_test_setup_teardown(what_only_a_peak_needed_is_let_go, setup_few, teardown),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
