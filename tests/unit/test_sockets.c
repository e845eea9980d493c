/* sockets.h: the descriptor of a connection is found by its ends, among the numbers that may be it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/sockets.h"

enum { FAR = 600 }; /* some looks away from the first number */

struct place {
    int listener, client, served;
    struct socket_ends ends;
};

static int port_of(int fd)
{
    struct sockaddr_in a = {0};
    socklen_t len = sizeof a;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    return ntohs(a.sin_port);
}

static int setup(void **state)
{
    static struct place p;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    p.listener = socket(AF_INET, SOCK_STREAM, 0);
    p.client = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p.listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(p.listener, 1), 0);
    a.sin_port = htons((uint16_t)port_of(p.listener));
    assert_int_equal(connect(p.client, (struct sockaddr *)&a, sizeof a), 0);
    p.served = accept(p.listener, NULL, NULL);
    p.ends = (struct socket_ends){"127.0.0.1", port_of(p.client), port_of(p.listener)};
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    close(p->listener);
    close(p->client);
    close(p->served);
    return 0;
}

static void finds_the_one_that_serves_the_peer(void **state)
{
    struct place *p = *state;
    int fd = -1;
    assert_int_equal(socket_of_peer_below(&p->ends, FAR, &fd), 0);
    assert_int_equal(fd, p->served);
    assert_int_equal(socket_of_peer(&p->ends, &fd), 0);
    assert_int_equal(fd, p->served);
    p->ends.peer_port ^= 1;
    assert_int_equal(socket_of_peer_below(&p->ends, FAR, &fd), ERR_NOT_FOUND);
}

static void looks_at_every_number_below_and_at_no_other(void **state)
{
    struct place *p = *state;
    int fd = -1, far = fcntl(p->served, F_DUPFD, FAR - 1);
    assert_int_equal(far, FAR - 1);
    assert_int_equal(socket_of_peer_below(&p->ends, FAR, &fd), ERR_NOT_FOUND); /* two of them */
    close(p->served);
    p->served = far;
    assert_int_equal(socket_of_peer_below(&p->ends, FAR - 1, &fd), ERR_NOT_FOUND);
    assert_int_equal(socket_of_peer_below(&p->ends, FAR, &fd), 0);
    assert_int_equal(fd, far);
}

static void finds_it_where_fewer_may_be_open_than_it_asks_for(void **state)
{
    struct place *p = *state;
    struct rlimit was, few;
    int fd = -1;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
    few = (struct rlimit){64, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0); /* poll refuses a longer list */
    int err = socket_of_peer_below(&p->ends, FAR, &fd);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
    assert_int_equal(err, 0);
    assert_int_equal(fd, p->served);
}

static void lists_the_connections_to_a_port(void **state)
{
    struct place *p = *state;
    struct socket_peer list[4];
    assert_int_equal(sockets_of_port(p->ends.local_port, FAR, list, 4), 1); /* not the listener */
    assert_int_equal(list[0].fd, p->served);
    assert_int_equal(list[0].port, p->ends.peer_port);
    assert_string_equal(list[0].address, "127.0.0.1");
    assert_int_equal(sockets_of_port(p->ends.local_port, p->served, list, 4), 0);
    assert_int_equal(sockets_of_port(p->ends.peer_port, FAR, list, 4), 1); /* the other end */
    assert_int_equal(list[0].fd, p->client);
    int more = fcntl(p->served, F_DUPFD, 3);
    assert_int_equal(sockets_of_port(p->ends.local_port, FAR, list, 4), 2);
    assert_int_equal(sockets_of_port(p->ends.local_port, FAR, list, 1), 1);
    assert_int_equal(sockets_of_port(p->ends.local_port, FAR, list, 0), 0);
    close(more);
}

static void knows_whether_it_is_still_that_connection(void **state)
{
    struct place *p = *state;
    assert_true(socket_is_of(p->served, &p->ends));
    assert_false(socket_is_of(p->client, &p->ends));
    assert_false(socket_is_of(p->listener, &p->ends));
    assert_false(socket_is_of(-1, &p->ends));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finds_the_one_that_serves_the_peer),
        TEST(looks_at_every_number_below_and_at_no_other),
        TEST(finds_it_where_fewer_may_be_open_than_it_asks_for),
        TEST(lists_the_connections_to_a_port),
        TEST(knows_whether_it_is_still_that_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
