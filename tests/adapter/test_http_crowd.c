/* seats.h over civetweb: more connections than threads, and who of them is closed. */
#include "tests/adapter/http_place.h"

#include <poll.h>

enum { THREADS = 4, EACH = 3, SILENT = 12, SOON_MS = 10000 };

static struct http_due *dues[THREADS]; /* with the place's lock */

static void keep(struct place *p, struct http_due *due)
{
    dues[p->owed] = due;
}

static void handle(void *arg, struct http_request *q, struct http_reply *r)
{
    place_handle(arg, q, r, keep);
}

static int setup(void **state)
{
    return place_open(state, &(struct http_server_settings){.threads = THREADS,
                                                            .per_address = EACH,
                                                            .header_ms = 30000,
                                                            .body_ms = 30000,
                                                            .keep_alive_ms = 30000,
                                                            .handler = handle});
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static int ask_from(const struct place *p, const char *address)
{
    int fd = raw_dial_from(p->port, address);
    raw_send(fd, GET("/"));
    raw_status_is(raw_receive(fd, "now /"), 200);
    return fd;
}

/* Those of them that came to their end; there are at least so many, or that does not come soon. */
static unsigned ended(const int *fds, unsigned n, unsigned at_least)
{
    struct pollfd list[SILENT];
    int64_t until = clock_mono_ms(clock_real()) + SOON_MS;
    struct timespec pause = {0, 10000000};
    unsigned found;
    for (;;) {
        found = 0;
        for (unsigned i = 0; i < n; i++)
            list[i] = (struct pollfd){.fd = fds[i], .events = POLLRDHUP};
        (void)poll(list, n, 0);
        for (unsigned i = 0; i < n; i++)
            found += list[i].revents != 0;
        if (found >= at_least || clock_mono_ms(clock_real()) > until)
            return found;
        nanosleep(&pause, NULL);
    }
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static void closes_the_silent_beyond_their_limit(void **state)
{
    struct place *p = *state;
    int silent[SILENT];
    for (int i = 0; i < SILENT; i++)
        silent[i] = raw_dial_from(p->port, "127.0.0.2");
    close(ask_from(p, "127.0.0.3"));
    assert_true(ended(silent, SILENT, SILENT - EACH) >= SILENT - EACH);
    close_all(silent, SILENT);
}

static void tells_who_has_begun_to_ask(void **state)
{
    struct place *p = *state;
    int counted[EACH];
    for (int i = 0; i < EACH; i++)
        counted[i] = ask_from(p, "127.0.0.2");
    const char *got = "";
    for (int i = 0; i < 20 && !*got; i++) { /* the watch may be quicker than its first byte */
        int fd = raw_dial_from(p->port, "127.0.0.2");
        raw_send(fd, "GET / HTT");
        got = raw_receive(fd, NULL); /* it ends */
        close(fd);
    }
    raw_status_is(got, 503);
    assert_non_null(strstr(got, "\"code\":\"overloaded\""));
    close_all(counted, EACH);
}

static void lets_the_idle_make_room(void **state)
{
    struct place *p = *state;
    int idle[THREADS];
    for (int i = 0; i < THREADS; i++)
        idle[i] = ask_from(p, i % 2 ? "127.0.0.2" : "127.0.0.3");
    close(ask_from(p, "127.0.0.4"));
    assert_int_equal(ended(idle, THREADS, 1), 1);
    close_all(idle, THREADS);
}

/* Connections that have all threads, and wait for answers that others make. */
static void owe_all(struct place *p, int busy[THREADS])
{
    for (int i = 0; i < THREADS; i++) {
        busy[i] = ask_from(p, i % 2 ? "127.0.0.2" : "127.0.0.3");
        raw_send(busy[i], GET("/late"));
    }
    pthread_mutex_lock(&p->lock);
    while (p->owed < THREADS)
        pthread_cond_wait(&p->change, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

static void pay_all(void)
{
    for (int i = 0; i < THREADS; i++) {
        dues[i]->reply.status = 202;
        dues[i]->reply.type = "text/plain";
        buf_text(&dues[i]->reply.body, "paid");
        dues[i]->pay(dues[i]);
    }
}

static void lets_those_make_room_whose_answer_another_made(void **state)
{
    struct place *p = *state;
    int idle[THREADS];
    owe_all(p, idle);
    pay_all();
    for (int i = 0; i < THREADS; i++)
        raw_status_is(raw_receive(idle[i], "paid"), 202);
    close(ask_from(p, "127.0.0.4"));
    assert_int_equal(ended(idle, THREADS, 1), 1);
    close_all(idle, THREADS);
}

/* However long the answers take, none of them is idle. */
static void ends_the_busy_with_a_whole_answer(void **state)
{
    struct place *p = *state;
    int busy[THREADS];
    owe_all(p, busy);
    int fd = raw_dial_from(p->port, "127.0.0.4");
    struct pollfd answered = {.fd = fd, .events = POLLIN};
    raw_send(fd, GET("/new"));
    assert_int_equal(poll(&answered, 1, 1500), 0); /* held */
    assert_int_equal(ended(busy, THREADS, 0), 0);
    pay_all();
    raw_status_is(raw_receive(fd, "now /new"), 200);
    unsigned last = 0;
    for (int i = 0; i < THREADS; i++) {
        const char *got = raw_receive(busy[i], "paid");
        raw_status_is(got, 202);
        last += strstr(got, "Connection: close\r\n") != NULL;
    }
    assert_int_equal(last, 1);
    close(fd);
    close_all(busy, THREADS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closes_the_silent_beyond_their_limit),
        TEST(tells_who_has_begun_to_ask),
        TEST(lets_the_idle_make_room),
        TEST(lets_those_make_room_whose_answer_another_made),
        TEST(ends_the_busy_with_a_whole_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
