/* debt.h over civetweb: replies that another thread makes, while the connection's thread reads on.
 */
#include "tests/adapter/http_place.h"

static void keep(struct place *p, struct http_due *due)
{
    assert_null(p->due); /* one is owed at most */
    p->due = due;
}

static void handle(void *arg, struct http_request *q, struct http_reply *r)
{
    place_handle(arg, q, r, keep);
}

static int setup(void **state)
{
    return place_open(state, &(struct http_server_settings){.threads = 4,
                                                            .header_ms = 30000,
                                                            .body_ms = 30000,
                                                            .keep_alive_ms = 30000,
                                                            .handler = handle});
}

/* Wait until the n-th reply is owed, and take it. */
static struct http_due *owed(struct place *p, unsigned n)
{
    struct timespec until = clock_until(10000);
    int late = 0;
    pthread_mutex_lock(&p->lock);
    while (!late && (p->owed < n || !p->due))
        late = pthread_cond_timedwait(&p->change, &p->lock, &until);
    struct http_due *due = p->due;
    p->due = NULL;
    pthread_mutex_unlock(&p->lock);
    if (late)
        fail_msg("reply %u was not left", n);
    return due;
}

static void pay(struct http_due *due, const char *text)
{
    due->reply.status = 202;
    due->reply.type = "text/plain";
    buf_text(&due->reply.body, text);
    due->pay(due);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"

static void answers_a_connections_first_request_itself(void **state)
{
    struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/late"));
    assert_non_null(strstr(raw_receive(fd, "now"), "now /late"));
    raw_send(fd, GET("/late"));
    pay(owed(p, 1), "paid");
    const char *got = raw_receive(fd, "paid");
    raw_status_is(got, 202);
    assert_non_null(strstr(got, "Request-Id: test\r\n"));
    assert_non_null(strstr(got, "Content-Length: 4\r\n\r\npaid"));
    close(fd);
}

static void keeps_the_order_of_what_is_sent_ahead(void **state)
{
    struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late") GET("/two") GET("/late") GET("/three"));
    struct http_due *first = owed(p, 1);
    assert_non_null(strstr(raw_receive(fd, "now"), "now /one"));
    assert_int_equal(http_server_in_flight(p->server), 1);
    pay(first, "first paid");
    pay(owed(p, 2), "second paid");
    const char *got = raw_receive(fd, "now /three");
    const char *one = strstr(got, "first paid"), *two = strstr(got, "now /two");
    const char *second = strstr(got, "second paid"), *three = strstr(got, "now /three");
    assert_true(one && two && second && three && one < two && two < second && second < three);
    close(fd);
}

/* The client says no more and waits: the connection does not end before its answer. */
static void pays_who_has_hung_up_his_end(void **state)
{
    struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late"));
    shutdown(fd, SHUT_WR);
    pay(owed(p, 1), "paid");
    assert_non_null(strstr(raw_receive(fd, NULL), "paid")); /* then the end */
    assert_int_equal(http_server_in_flight(p->server), 0);
    close(fd);
}

/* Who is gone is owed nothing that could reach another. */
static void survives_a_client_that_is_gone(void **state)
{
    struct place *p = *state;
    struct linger reset = {1, 0};
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late"));
    struct http_due *due = owed(p, 1);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    close(fd);
    int next = raw_dial(p->port);
    raw_send(next, GET("/next"));
    assert_non_null(strstr(raw_receive(next, "now"), "now /next"));
    pay(due, "paid");
    raw_send(next, GET("/last"));
    const char *got = raw_receive(next, "now /last");
    raw_status_is(got, 200);
    assert_null(strstr(got, "paid"));
    close(next);
}

static void ends_the_connection_where_the_reply_says_so(void **state)
{
    struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late") GET("/two"));
    struct http_due *due = owed(p, 1);
    http_server_close_connections(p->server);
    pay(due, "paid");
    const char *got = raw_receive(fd, NULL);
    const char *late = strstr(got, "HTTP/1.1 202");
    assert_non_null(late);
    assert_non_null(strstr(late, "Connection: close\r\n"));
    assert_null(strstr(late, "now /two")); /* the client was told that nothing follows */
    close(fd);
}

/* Also where what follows is answered at the connection's end. */
static void keeps_the_order_to_the_end(void **state)
{
    struct place *p = *state;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late") GET("http://h/"));
    pay(owed(p, 1), "paid");
    const char *got = raw_receive(fd, NULL), *paid = strstr(got, "paid");
    assert_non_null(paid);
    assert_non_null(strstr(paid, "HTTP/1.1 400 "));
    close(fd);
}

static void *pay_later(void *due)
{
    pay(due, "paid");
    return NULL;
}

static void stops_when_all_is_paid(void **state)
{
    struct place *p = *state;
    pthread_t payer;
    int fd = raw_dial(p->port);
    raw_send(fd, GET("/one") GET("/late"));
    assert_non_null(strstr(raw_receive(fd, "now"), "now /one"));
    assert_int_equal(pthread_create(&payer, NULL, pay_later, owed(p, 1)), 0);
    http_server_stop(p->server); /* whichever is first: it waits for the other */
    p->server = NULL;
    pthread_join(payer, NULL);
    raw_status_is(raw_receive(fd, NULL), 202);
    close(fd);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, place_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(answers_a_connections_first_request_itself),
        TEST(keeps_the_order_of_what_is_sent_ahead),
        TEST(pays_who_has_hung_up_his_end),
        TEST(survives_a_client_that_is_gone),
        TEST(ends_the_connection_where_the_reply_says_so),
        TEST(keeps_the_order_to_the_end),
        TEST(stops_when_all_is_paid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
