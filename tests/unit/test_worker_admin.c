/* The admin port: three answers, and nothing a client sends hurts. On a real loop and loopback. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "worker/admin.h"

struct talk { /* one client in a thread, so that the loop serves it */
    struct loop *loop;
    int port;
    const char *say;
    size_t say_len;
    char heard[4096];
};

static int answer(void *arg, const char *path, struct buf *body, const char **type)
{
    (void)arg;
    *type = "application/json";
    if (strcmp(path, "/healthz") != 0)
        return strcmp(path, "/readyz") == 0 ? 503 : 404;
    buf_text(body, "{\"alive\":true}\n");
    return 200;
}

static int connect_to(int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    return fd;
}

static void *client(void *arg)
{
    struct talk *t = arg;
    int fd = connect_to(t->port);
    size_t n = 0;
    ssize_t got = send(fd, t->say, t->say_len, MSG_NOSIGNAL);
    while (got > 0 && n + 1 < sizeof t->heard &&
           (got = recv(fd, t->heard + n, sizeof t->heard - n - 1, 0)) > 0)
        n += (size_t)got;
    t->heard[n] = 0;
    close(fd);
    loop_stop(t->loop);
    return NULL;
}

static const char *ask(struct talk *t, const char *say, size_t len)
{
    struct admin *a = NULL;
    pthread_t thread;
    int fd;
    char why[ADMIN_WHY];
    assert_int_equal(loop_uv_open(&t->loop), 0);
    assert_int_equal(admin_listen("127.0.0.1:0", &fd, &t->port, why), 0);
    assert_int_equal(admin_open(t->loop, fd, answer, NULL, &a), 0);
    t->say = say;
    t->say_len = len;
    assert_int_equal(pthread_create(&thread, NULL, client, t), 0);
    loop_run(t->loop);
    pthread_join(thread, NULL);
    admin_close(a);
    loop_close(t->loop);
    return t->heard;
}

#define ASK(t, text) ask(t, text, sizeof text - 1)

static void answers_a_get(void **state)
{
    (void)state;
    struct talk t;
    const char *heard = ASK(&t, "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(strstr(heard, "HTTP/1.1 200 OK\r\n"));
    assert_non_null(strstr(heard, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(heard, "\r\n\r\n{\"alive\":true}\n"));
    assert_non_null(strstr(ASK(&t, "GET /healthz?x=1 HTTP/1.0\r\n\r\n"), "200 OK"));
}

static void the_status_is_the_answers(void **state)
{
    (void)state;
    struct talk t;
    assert_non_null(strstr(ASK(&t, "GET /readyz HTTP/1.1\r\n\r\n"), "503 Service Unavailable"));
    assert_non_null(strstr(ASK(&t, "GET /etc/passwd HTTP/1.1\r\n\r\n"), "404 Not Found"));
}

static void only_get_is_taken(void **state)
{
    (void)state;
    struct talk t;
    assert_non_null(strstr(ASK(&t, "POST /healthz HTTP/1.1\r\n\r\n"), "405"));
    assert_non_null(strstr(ASK(&t, "\x16\x03\x01 garbage\r\n\r\n"), "405"));
}

static void too_long_a_request_is_cut_off(void **state)
{
    (void)state;
    static char much[ADMIN_REQUEST_MAX + 2000];
    struct talk t;
    memset(much, 'a', sizeof much);
    assert_string_equal(ask(&t, much, sizeof much), "");
}

static void a_taken_port_and_a_bad_address_are_named(void **state)
{
    (void)state;
    int fd, port, other;
    char why[ADMIN_WHY], address[32];
    assert_int_equal(admin_listen("127.0.0.1:0", &fd, &port, why), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", port);
    assert_int_equal(admin_listen(address, &other, &port, why), ERR_EXISTS);
    assert_non_null(strstr(why, strchr(address, ':') + 1));
    close(fd);
    /* getaddrinfo takes a port modulo 65536 */
    static const char *const bad[] = {"nowhere",         "1.2.3.4.5:x",    ":80",
                                      "127.0.0.1:",      "h:123456789",    "",
                                      "127.0.0.1:65536", "127.0.0.1:99999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(admin_listen(bad[i], &other, &port, why), ERR_INVALID);
        assert_non_null(strstr(why, "host:port"));
    }
}

static void connections_are_bounded(void **state)
{
    (void)state;
    struct admin *a = NULL;
    struct loop *loop;
    int fd, port, clients[ADMIN_CONNECTIONS];
    char why[ADMIN_WHY];
    assert_int_equal(loop_uv_open(&loop), 0);
    assert_int_equal(admin_listen("127.0.0.1:0", &fd, &port, why), 0);
    assert_int_equal(admin_open(loop, fd, answer, NULL, &a), 0);
    for (int i = 0; i < ADMIN_CONNECTIONS; i++)
        clients[i] = connect_to(port);
    /* one more is closed without an answer, and the loop goes on */
    struct talk t = {
        .loop = loop, .port = port, .say = "GET /healthz HTTP/1.1\r\n\r\n", .say_len = 25};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, client, &t), 0);
    loop_run(loop);
    pthread_join(thread, NULL);
    assert_string_equal(t.heard, "");
    for (int i = 0; i < ADMIN_CONNECTIONS; i++)
        close(clients[i]);
    admin_close(a);
    loop_close(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_a_get),
        cmocka_unit_test(the_status_is_the_answers),
        cmocka_unit_test(only_get_is_taken),
        cmocka_unit_test(too_long_a_request_is_cut_off),
        cmocka_unit_test(a_taken_port_and_a_bad_address_are_named),
        cmocka_unit_test(connections_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
