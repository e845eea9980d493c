/* listen.h against a small server that answers each connection with the next script and keeps what
 * was asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/clock.h"
#include "gateway/listen.h"

#define STREAM "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"

struct world {
    int fd;
    pthread_t thread;
    const char *const *scripts; /* up to a NULL; one that ends in `~` is kept open */
    char asked[4][2048];
    unsigned asked_n;
    char url[64];
    struct listen *listen;
    struct buf heard;
    unsigned ticks;
};

static void answer(struct world *w, int fd, const char *script)
{
    size_t got = 0, len = strlen(script);
    char *text = w->asked[w->asked_n], byte;
    ssize_t n;
    while (!strstr(text, "\r\n\r\n") &&
           (n = recv(fd, text + got, sizeof w->asked[0] - 1 - got, 0)) > 0)
        got += (size_t)n;
    w->asked_n++;
    bool stays = len && script[len - 1] == '~';
    if (send(fd, script, len - stays, MSG_NOSIGNAL) > 0 && stays)
        while (recv(fd, &byte, 1, 0) > 0)
            continue;
    close(fd);
}

static void *serve(void *arg)
{
    struct world *w = arg;
    for (const char *const *s = w->scripts; *s; s++) {
        int fd = accept(w->fd, NULL, NULL);
        if (fd < 0)
            break;
        answer(w, fd, *s);
    }
    return NULL;
}

static void on_event(void *arg, const struct sse_event *e)
{
    struct world *w = arg;
    buf_printf(&w->heard, "%s:%s|", e->name, e->data);
}

static void on_tick(void *arg)
{
    struct world *w = arg;
    w->ticks++;
}

static int open_world(void **state)
{
    static struct world w;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    w = (struct world){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    assert_int_equal(bind(w.fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(w.fd, 8), 0);
    assert_int_equal(getsockname(w.fd, (struct sockaddr *)&a, &len), 0);
    snprintf(w.url, sizeof w.url, "http://127.0.0.1:%d", ntohs(a.sin_port));
    const struct listen_settings s = {w.url, "the-token", on_event, on_tick, &w};
    assert_int_equal(listen_open(&s, &w.listen), 0);
    *state = &w;
    return 0;
}

static void play(struct world *w, const char *const *scripts)
{
    w->scripts = scripts;
    assert_int_equal(pthread_create(&w->thread, NULL, serve, w), 0);
}

static int close_world(void **state)
{
    struct world *w = *state;
    listen_close(w->listen);
    shutdown(w->fd, SHUT_RDWR);
    if (w->scripts)
        pthread_join(w->thread, NULL);
    close(w->fd);
    buf_fini(&w->heard);
    return 0;
}

static enum listen_end hear(struct world *w)
{
    return listen_to(w->listen, "/v1/jobs/x/events", 60000, 120000);
}

static void it_goes_on_behind_the_last_whole_event(void **state)
{
    static const char *const scripts[] = {
        STREAM "id: 1\nevent: call\ndata: a\n\nid: 2\nevent: call\ndata: ha",
        STREAM "retry: 700\n\nid: 2\nevent: call\ndata: b\n\n", NULL};
    struct world *w = *state;
    play(w, scripts);
    assert_int_equal(hear(w), LISTEN_ENDED);
    assert_int_equal(listen_retry_ms(w->listen), -1);
    assert_int_equal(hear(w), LISTEN_ENDED);
    assert_int_equal(listen_retry_ms(w->listen), 700);
    assert_string_equal(buf_str(&w->heard), "call:a|call:b|");
    assert_non_null(strstr(w->asked[0], "GET /v1/jobs/x/events HTTP/1.1\r\n"));
    assert_non_null(strstr(w->asked[0], "Authorization: Bearer the-token\r\n"));
    assert_non_null(strstr(w->asked[0], "Accept: text/event-stream\r\n"));
    assert_null(strstr(w->asked[0], "Last-Event-ID"));
    assert_non_null(strstr(w->asked[1], "Last-Event-ID: 1\r\n"));
}

static void what_is_no_stream_is_refused(void **state)
{
    static const char *const scripts[] = {
        "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 11\r\n\r\ndata: no\r\n\r",
        NULL};
    struct world *w = *state;
    play(w, scripts);
    assert_int_equal(hear(w), LISTEN_REFUSED);
    assert_int_equal(hear(w), LISTEN_REFUSED);
}

static void a_connection_that_breaks_has_only_ended(void **state)
{
    static const char *const scripts[] = {"HTTP/1.1 200", NULL};
    struct world *w = *state;
    play(w, scripts);
    assert_int_equal(hear(w), LISTEN_ENDED);
    pthread_join(w->thread, NULL);
    w->scripts = NULL;
    shutdown(w->fd, SHUT_RDWR); /* nobody listens there any more */
    assert_int_equal(hear(w), LISTEN_ENDED);
}

/* A heartbeat is no event: the connection may stand and the worker be dead. */
static void silence_ends_it_and_ticks_go_on_meanwhile(void **state)
{
    static const char *const scripts[] = {STREAM "id: 4\ndata: a\n\n: hb\n\n~",
                                          STREAM "data: b\n\n~", NULL};
    struct world *w = *state;
    play(w, scripts);
    int64_t from = clock_mono_ms(clock_real());
    assert_int_equal(listen_to(w->listen, "/", LISTEN_TICK_MS * 3 / 2, 120000), LISTEN_ENDED);
    int64_t took = clock_mono_ms(clock_real()) - from;
    assert_true(took >= LISTEN_TICK_MS * 3 / 2);
    assert_true(w->ticks >= 2);
    from = clock_mono_ms(clock_real());
    assert_int_equal(listen_to(w->listen, "/", 60000, 2000), LISTEN_ENDED);
    assert_true(clock_mono_ms(clock_real()) - from >= 2000);
    assert_string_equal(buf_str(&w->heard), "message:a|message:b|");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(it_goes_on_behind_the_last_whole_event),
        T(what_is_no_stream_is_refused),
        T(a_connection_that_breaks_has_only_ended),
        T(silence_ends_it_and_ticks_go_on_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
