/* debt.h on a connection of loopback: what it owes, to whom it says no, whom it cuts off. Its way
 * through the HTTP server: tests/adapter/test_http_late.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
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
    debt_init(&p.debt, &(struct debt_terms){&p.in_flight, &p.closing, 1024, 10000, NULL});
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
    return debt_take(&p->debt, &p->ends, &p->q);
}

static void owes_from_the_second_request_on(void **state)
{
    struct place *p = *state;
    char got[500] = "";
    (void)debt_settle(&p->debt);
    assert_null(take(p));
    (void)debt_settle(&p->debt);
    struct http_due *due = take(p);
    assert_non_null(due);
    p->in_flight = 1;
    due->reply.status = 202;
    due->pay(due);
    assert_int_equal(p->in_flight, 0);
    (void)debt_settle(&p->debt); /* returns: nothing is owed */
    assert_true(recv(p->client, got, sizeof got - 1, 0) > 0);
    assert_non_null(strstr(got, "HTTP/1.1 202 Accepted\r\n"));
    debt_end(&p->debt);
    (void)debt_settle(&p->debt);
    assert_null(take(p)); /* the next connection begins anew */
}

static void owes_nothing_on_a_connection_it_cannot_find(void **state)
{
    struct place *p = *state;
    (void)debt_settle(&p->debt);
    (void)debt_settle(&p->debt);
    p->ends.peer_port ^= 1;
    assert_null(take(p));
    p->ends.peer_port ^= 1;
    assert_null(take(p)); /* and does not look again for this one */
    debt_end(&p->debt);
    (void)debt_settle(&p->debt);
    (void)debt_settle(&p->debt);
    struct http_due *due = take(p);
    assert_non_null(due);
    due->reply.status = 204;
    due->pay(due);
}

enum { LOT = 24 << 20 }; /* more than the kernel holds */

static void pay_a_lot(struct place *p)
{
    (void)debt_settle(&p->debt);
    (void)debt_settle(&p->debt);
    struct http_due *due = take(p);
    assert_non_null(due);
    due->reply.status = 200;
    due->reply.type = "text/plain";
    for (int i = 0; i < LOT / 16; i++)
        buf_add(&due->reply.body, "0123456789abcdef", 16);
    due->pay(due); /* and does not wait */
}

static void *read_all(void *arg)
{
    static char got[1 << 16];
    size_t *n = arg;
    for (ssize_t r; (r = recv((int)n[1], got, sizeof got, 0)) > 0;)
        n[0] += (size_t)r;
    return NULL;
}

static void sends_what_the_kernel_did_not_take_at_the_end(void **state)
{
    struct place *p = *state;
    size_t got[2] = {0, (size_t)p->client};
    pthread_t reader;
    pay_a_lot(p);
    assert_int_equal(pthread_create(&reader, NULL, read_all, got), 0);
    assert_false(debt_settle(&p->debt)); /* nothing more is served */
    debt_end(&p->debt);
    shutdown(p->server, SHUT_WR);
    pthread_join(reader, NULL);
    assert_true(got[0] > LOT);
    assert_true(debt_settle(&p->debt)); /* the next connection's first */
}

static void cuts_off_who_reads_nothing(void **state)
{
    struct place *p = *state;
    size_t got[2] = {0, (size_t)p->client};
    p->debt.terms.stall_ms = 1;
    pay_a_lot(p);
    debt_end(&p->debt);
    read_all(got); /* to the end */
    assert_true(got[0] < LOT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(owes_from_the_second_request_on),
        TEST(owes_nothing_on_a_connection_it_cannot_find),
        TEST(sends_what_the_kernel_did_not_take_at_the_end),
        TEST(cuts_off_who_reads_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
