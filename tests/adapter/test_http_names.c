/* The curl client with upstreams that have names: no thread for one, and no waiting in the loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "common/http_client.h"
#include "tests/adapter/name_server.h"
#include "tests/adapter/paced_loop.h"

/* ---- an upstream: every block of headers is answered by an empty 200 */

enum { CONNECTIONS = 100 };
static struct {
    struct pollfd fds[CONNECTIONS + 1]; /* the first listens */
    nfds_t n;
    unsigned port;
    pthread_t thread;
    atomic_bool stop, mute; /* mute: it answers nothing */
    atomic_uint connections;
} upstream;

static void upstream_serve_one(struct pollfd *p)
{
    static const char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char text[4096];
    ssize_t n = recv(p->fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    if (n <= 0) {
        close(p->fd);
        *p = upstream.fds[--upstream.n];
    } else if (strstr(text, "\r\n\r\n") && !upstream.mute) {
        send(p->fd, reply, sizeof reply - 1, MSG_NOSIGNAL);
    }
}

static void *upstream_serve(void *unused)
{
    (void)unused;
    while (!upstream.stop) {
        if (poll(upstream.fds, upstream.n, 50) <= 0)
            continue;
        for (nfds_t i = upstream.n - 1; i > 0; i--)
            if (upstream.fds[i].revents)
                upstream_serve_one(&upstream.fds[i]);
        if (upstream.fds[0].revents && upstream.n <= CONNECTIONS) {
            int fd = accept(upstream.fds[0].fd, NULL, NULL);
            upstream.fds[upstream.n++] = (struct pollfd){.fd = fd, .events = POLLIN};
            upstream.connections++;
        }
    }
    return NULL;
}

static int upstream_start(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 128) != 0 ||
        getsockname(fd, (struct sockaddr *)&at, &size) != 0)
        return -1;
    upstream.port = ntohs(at.sin_port);
    upstream.fds[upstream.n++] = (struct pollfd){.fd = fd, .events = POLLIN};
    return pthread_create(&upstream.thread, NULL, upstream_serve, NULL);
}

static int upstream_stop(void **state)
{
    (void)state;
    upstream.stop = true;
    pthread_join(upstream.thread, NULL);
    for (nfds_t i = 0; i < upstream.n; i++)
        close(upstream.fds[i].fd);
    return 0;
}

/* ---- one client for each test */

enum { STILL_MS = 3000 }; /* busy machines; with curl's own resolver it was nine seconds */

struct world {
    struct name_server names;
    struct paced paced;
    struct http_client *client;
    size_t threads; /* at the begin */
};

struct seen {
    struct world *world;
    int called;
    enum call_code code;
    int64_t ms;
    bool sent;
    char why[128];
};

static void on_done(void *arg, struct http_response *r)
{
    struct seen *s = arg;
    s->called++;
    s->code = r->code;
    s->ms = r->ms;
    s->sent = r->sent;
    snprintf(s->why, sizeof s->why, "%s", r->why);
    paced_came(&s->world->paced);
}

static int setup(void **state)
{
    static struct world w;
    w = (struct world){0};
    paced_open(&w.paced);
    if (name_server_start(&w.names) ||
        http_client_curl_open(w.paced.loop, 64, HTTP_REST_MS, w.names.at, &w.client))
        return -1;
    w.threads = w.paced.threads_max = threads_now();
    *state = &w;
    return 0;
}

/* None of these tests may start a thread, or let the loop stand still. */
static int teardown(void **state)
{
    struct world *w = *state;
    int64_t before = loop_now_ms(w->paced.loop);
    http_client_close(w->client);
    assert_in_range(loop_now_ms(w->paced.loop) - before, 0, STILL_MS);
    paced_close(&w->paced);
    name_server_stop(&w->names);
    assert_int_equal(w->paced.threads_max, w->threads);
    assert_in_range(w->paced.gap_ms, 0, STILL_MS);
    return 0;
}

static struct http_exchange *start(struct world *w, const char *host, int64_t timeout_ms,
                                   struct seen *s)
{
    char url[128];
    struct http_exchange *x;
    snprintf(url, sizeof url, "http://%s:%u/", host, upstream.port);
    const struct http_request r = {.method = "GET",
                                   .url = url,
                                   .timeout_ms = timeout_ms,
                                   .response_max = 1000,
                                   .allow_private = true};
    *s = (struct seen){.world = w};
    w->paced.left++;
    assert_int_equal(http_start(w->client, &r, on_done, s, &x), 0);
    assert_int_equal(s->called, 0);
    return x;
}

static struct seen call(struct world *w, const char *host, int64_t timeout_ms)
{
    struct seen s;
    start(w, host, timeout_ms, &s);
    paced_run(&w->paced, 60000);
    assert_int_equal(s.called, 1);
    return s;
}

static void names_lead_to_their_addresses(void **state)
{
    static const char *const hosts[] = {"shop.test",      "SHOP.Test",  "shop.test.",
                                        "u:p@other.test", "shop6.test", "many.test"};
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct seen s = call(*state, hosts[i], 30000);
        assert_string_equal(s.why, "");
        assert_int_equal(s.code, CALL_OK);
    }
}

static void what_is_no_name_asks_nobody(void **state)
{
    struct world *w = *state;
    assert_int_equal(call(w, "127.0.0.1", 30000).code, CALL_OK);
    assert_int_equal(call(w, "2130706433", 30000).code, CALL_OK);
    assert_int_equal(call(w, "localhost", 30000).code, CALL_OK);
    assert_int_equal(w->names.questions, 0);
}

static void connections_are_kept_and_the_name_asked_once(void **state)
{
    struct world *w = *state;
    unsigned before = upstream.connections;
    for (int i = 0; i < 20; i++)
        assert_int_equal(call(w, "shop.test", 30000).code, CALL_OK);
    assert_int_equal(upstream.connections, before + 1);
    assert_int_equal(w->names.questions, 1);
}

static void fifty_calls_share_one_question(void **state)
{
    static struct seen seen[50];
    struct world *w = *state;
    for (int i = 0; i < 50; i++)
        start(w, "slow.test", 30000, &seen[i]);
    paced_run(&w->paced, 60000);
    for (int i = 0; i < 50; i++)
        assert_true(seen[i].called == 1 && seen[i].code == CALL_OK);
    assert_int_equal(w->names.questions, 1);
}

static void a_silent_name_server_costs_only_those_who_ask(void **state)
{
    static struct seen seen[50];
    struct world *w = *state;
    for (int i = 0; i < 50; i++)
        start(w, "mute.test", 1000, &seen[i]);
    assert_int_equal(call(w, "127.0.0.1", 30000).code, CALL_OK);
    paced_run(&w->paced, 60000);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(seen[i].code, CALL_TIMEOUT);
        assert_false(seen[i].sent);
        assert_in_range(seen[i].ms, 999, 20000);
    }
    assert_true(w->paced.ticks > 20);
}

/* The time that a call waited is gone from its own. */
static void waiting_counts(void **state)
{
    struct seen s = call(*state, "slow.test", 30000);
    assert_int_equal(s.code, CALL_OK);
    assert_in_range(s.ms, 390, 20000);
    upstream.mute = true;
    for (int i = 0; i < 5; i++) { /* the best of some: machines are busy */
        char host[32];
        snprintf(host, sizeof host, "slow.shop%d.test", i);
        s = call(*state, host, 1000);
        assert_int_equal(s.code, CALL_TIMEOUT);
        if (s.ms < 1390)
            break;
    }
    upstream.mute = false;
    assert_in_range(s.ms, 999, 1389); /* not 1000 more than it had waited */
}

static void cancelling_is_at_once(void **state)
{
    struct world *w = *state;
    struct seen s[3];
    struct http_exchange *x[3];
    for (int i = 0; i < 3; i++)
        x[i] = start(w, "mute.test", 30000, &s[i]);
    http_cancel(w->client, x[0]);
    paced_run(&w->paced, 100);
    int64_t before = loop_now_ms(w->paced.loop);
    http_cancel(w->client, x[1]);
    assert_in_range(loop_now_ms(w->paced.loop) - before, 0, STILL_MS);
    paced_run(&w->paced, 100);
    for (int i = 0; i < 3; i++) /* the third: closed by teardown */
        assert_int_equal(s[i].called, 0);
}

static void names_that_do_not_resolve_have_their_code(void **state)
{
    static const char *const hosts[] = {"none.test", "nodata.test", "fail.test"};
    for (size_t i = 0; i < 3; i++) {
        struct seen s = call(*state, hosts[i], 30000);
        assert_int_equal(s.code, CALL_DNS);
        assert_false(s.sent);
        assert_non_null(strstr(s.why, hosts[i]));
        s = call(*state, hosts[i], 30000); /* known by now */
        assert_int_equal(s.code, CALL_DNS);
    }
}

static void private_addresses_are_blocked_behind_names(void **state)
{
    struct world *w = *state;
    struct http_exchange *x;
    struct seen s = {.world = w};
    const struct http_request r = {
        .method = "GET", .url = "http://shop.test/", .timeout_ms = 30000, .response_max = 1000};
    w->paced.left++;
    assert_int_equal(http_start(w->client, &r, on_done, &s, &x), 0);
    paced_run(&w->paced, 60000);
    assert_int_equal(s.code, CALL_BLOCKED_ADDRESS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(names_lead_to_their_addresses),
        TEST(what_is_no_name_asks_nobody),
        TEST(connections_are_kept_and_the_name_asked_once),
        TEST(fifty_calls_share_one_question),
        TEST(a_silent_name_server_costs_only_those_who_ask),
        TEST(waiting_counts),
        TEST(cancelling_is_at_once),
        TEST(names_that_do_not_resolve_have_their_code),
        TEST(private_addresses_are_blocked_behind_names),
    };
    return cmocka_run_group_tests(tests, upstream_start, upstream_stop);
}
