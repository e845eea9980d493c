/* debt.h on a connection of loopback: what it owes, to whom it says no, whom it cuts off. Its way
 * through the HTTP server: tests/adapter/test_http_late.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/debt.h"

struct place {
    int client, server;
    char peer[32];
    struct socket_ends ends;
    struct debt debt;
    _Atomic unsigned in_flight;
    _Atomic bool closing;
    struct http_request q;
};

static struct debt_terms terms(struct place *p)
{
    return (struct debt_terms){&p->in_flight, &p->closing, 1024};
}

static int setup(void **state)
{
    static struct place p;
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    p = (struct place){.client = socket(AF_INET, SOCK_STREAM, 0)};
    assert_int_equal(bind(listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(connect(p.client, (struct sockaddr *)&at, len), 0);
    p.ends.local_port = ntohs(at.sin_port);
    p.server = accept(listener, (struct sockaddr *)&at, &len);
    assert_true(p.server >= 0);
    close(listener);
    p.ends.peer = "127.0.0.1";
    p.ends.peer_port = ntohs(at.sin_port);
    snprintf(p.q.id, sizeof p.q.id, "test");
    p.q.public_url = "";
    debt_init(&p.debt);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    debt_fini(&p->debt);
    close(p->client);
    close(p->server);
    return 0;
}

static struct http_due *take(struct place *p)
{
    struct debt_terms t = terms(p);
    return debt_take(&p->debt, &t, &p->ends, &p->q);
}

static void owes_from_the_second_request_on(void **state)
{
    struct place *p = *state;
    char got[500] = "";
    debt_settle(&p->debt);
    assert_null(take(p));
    debt_settle(&p->debt);
    struct http_due *due = take(p);
    assert_non_null(due);
    p->in_flight = 1;
    due->reply.status = 202;
    due->pay(due);
    assert_int_equal(p->in_flight, 0);
    debt_settle(&p->debt); /* returns: nothing is owed */
    assert_true(recv(p->client, got, sizeof got - 1, 0) > 0);
    assert_non_null(strstr(got, "HTTP/1.1 202 Accepted\r\n"));
    debt_end(&p->debt);
    debt_settle(&p->debt);
    assert_null(take(p)); /* the next connection begins anew */
}

static void owes_nothing_on_a_connection_it_cannot_find(void **state)
{
    struct place *p = *state;
    debt_settle(&p->debt);
    debt_settle(&p->debt);
    p->ends.peer_port ^= 1;
    assert_null(take(p));
    p->ends.peer_port ^= 1;
    struct http_due *due = take(p);
    assert_non_null(due);
    due->reply.status = 204;
    due->pay(due);
}

static void cuts_off_who_reads_nothing(void **state)
{
    struct place *p = *state;
    static char got[1 << 16], lot[1 << 20];
    debt_settle(&p->debt);
    debt_settle(&p->debt);
    struct http_due *due = take(p);
    assert_non_null(due);
    due->reply.status = 200;
    due->reply.type = "text/plain";
    memset(lot, 'x', sizeof lot);
    for (int i = 0; i < 24; i++) /* more than the kernel holds */
        buf_add(&due->reply.body, lot, sizeof lot);
    due->pay(due); /* and does not wait */
    size_t n = 0;
    for (ssize_t r; (r = recv(p->client, got, sizeof got, 0)) > 0;)
        n += (size_t)r;
    assert_true(n < 24u << 20); /* then the end */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(owes_from_the_second_request_on),
        TEST(owes_nothing_on_a_connection_it_cannot_find),
        TEST(cuts_off_who_reads_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
