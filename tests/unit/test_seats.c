/* seats.h on connections of loopback and a stepped clock: who is closed, who is not, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/seats.h"

enum { THREADS = 3, EACH = 2, MANY = 8, BELOW = 512 };
enum { LOOK_MS = 250, PRESSED_MS = 20, HEADER_MS = 10000, IDLE_MS = 75000 };

struct line { /* one connection */
    int client, served;
    char peer[16];
    struct socket_ends ends;
};
struct place {
    int listener, port;
    struct seats *seats;
    struct seat *seat[THREADS];
    struct line lines[MANY];
    unsigned n;
    int64_t now_us;
};

static bool find_ends(const void *connection, struct socket_ends *out)
{
    const struct line *l = connection;
    *out = l->ends;
    return l->ends.peer_port != 0;
}

static int open_place(void **state, unsigned per_address, int header_ms)
{
    struct place *p = calloc(1, sizeof *p);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    const struct seats_settings s = {.n = THREADS,
                                     .per_address = per_address,
                                     .below = BELOW,
                                     .ends = find_ends,
                                     .header_ms = header_ms,
                                     .idle_ms = header_ms ? IDLE_MS : 0};
    p->listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, len), 0);
    assert_int_equal(listen(p->listener, MANY), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    p->port = ntohs(at.sin_port);
    assert_int_equal(seats_new(&s, &p->seats), 0);
    for (unsigned i = 0; i < THREADS; i++)
        p->seat[i] = seats_at(p->seats, i);
    p->now_us = 1000000;
    *state = p;
    return 0;
}

static int setup(void **state)
{
    return open_place(state, EACH, 0);
}

static int setup_unlimited(void **state)
{
    return open_place(state, 0, 0);
}

static int setup_hasty(void **state)
{
    return open_place(state, 0, HEADER_MS);
}

static int teardown(void **state)
{
    struct place *p = *state;
    for (unsigned i = 0; i < p->n; i++) {
        close(p->lines[i].client);
        if (p->lines[i].served >= 0)
            close(p->lines[i].served);
    }
    close(p->listener);
    seats_free(p->seats);
    seats_free(NULL);
    free(p);
    return 0;
}

/* A client's socket, on another port than ours: both ends are in this process, and what is on our
 * port counts as served by us. */
static int client_from(const struct place *p, const char *from)
{
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, from, &at.sin_addr);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    if (ntohs(at.sin_port) != p->port)
        return fd;
    int other = client_from(p, from);
    close(fd);
    return other;
}

static struct line *dial(struct place *p, const char *from)
{
    struct line *l = &p->lines[p->n++];
    struct sockaddr_in at = {.sin_family = AF_INET};
    socklen_t len = sizeof at;
    l->client = client_from(p, from);
    at.sin_port = htons((uint16_t)p->port);
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(l->client, (struct sockaddr *)&at, len), 0);
    l->served = accept(p->listener, (struct sockaddr *)&at, &len);
    snprintf(l->peer, sizeof l->peer, "%s", from);
    l->ends = (struct socket_ends){l->peer, ntohs(at.sin_port), p->port};
    return l;
}

/* A connection gets this thread. */
static struct line *seated(struct place *p, unsigned i, const char *from)
{
    struct line *l = dial(p, from);
    seat_take(p->seat[i], l);
    return l;
}

/* The same, with a request that was answered. */
static struct line *idle(struct place *p, unsigned i, const char *from)
{
    struct line *l = seated(p, i, from);
    assert_true(seat_serve(p->seat[i], from));
    seat_wait(p->seat[i]);
    return l;
}

static void leaves(struct place *p, unsigned i, struct line *l)
{
    seat_leave(p->seat[i]);
    close(l->served);
    l->served = -1;
}

static int look(struct place *p, int after_ms)
{
    p->now_us += after_ms * 1000;
    return seats_look(p->seats, p->port, p->now_us);
}

/* Would its thread read the end? */
static bool is_closed(const struct line *l)
{
    char c;
    return recv(l->served, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

static void closes_the_silent_beyond_their_limit(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        l[i] = seated(p, i, "127.0.0.2");
    assert_int_equal(look(p, 0), PRESSED_MS);
    assert_false(is_closed(l[0]));
    assert_false(is_closed(l[1]));
    assert_true(is_closed(l[2]));
    assert_true(seat_is_ended(p->seat[2]));
    leaves(p, 2, l[2]);
    assert_int_equal(look(p, 1000), LOOK_MS);
    struct line *other = seated(p, 2, "127.0.0.3");
    assert_int_equal(look(p, 1000), LOOK_MS);
    assert_false(is_closed(other));
    leaves(p, 1, l[1]); /* and so its place is another's */
    leaves(p, 2, other);
    struct line *next = seated(p, 1, "127.0.0.2");
    assert_int_equal(look(p, 1000), LOOK_MS);
    assert_false(is_closed(next));
}

static void counts_each_connection_once(void **state)
{
    struct place *p = *state;
    for (unsigned i = 0; i < EACH; i++) {
        seated(p, i, "127.0.0.2");
        (void)look(p, 250); /* counted */
        for (int j = 0; j < 3; j++) {
            assert_true(seat_serve(p->seat[i], "127.0.0.2"));
            seat_wait(p->seat[i]);
            (void)look(p, 250);
        }
    }
    seated(p, 2, "127.0.0.2"); /* asks before the watch has seen it */
    assert_false(seat_serve(p->seat[2], "127.0.0.2"));
    for (unsigned i = 0; i < THREADS; i++)
        seat_leave(p->seat[i]);
    for (unsigned i = 0; i < EACH; i++) {
        seated(p, i, "127.0.0.2");
        assert_true(seat_serve(p->seat[i], "127.0.0.2"));
    }
}

/* It is read, and answered like any other that is one too many. */
static void leaves_to_its_thread_who_has_sent_something(void **state)
{
    struct place *p = *state;
    struct line *l = NULL;
    for (unsigned i = 0; i < THREADS; i++)
        l = seated(p, i, "127.0.0.2");
    assert_int_equal(send(l->client, "G", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(look(p, 0), LOOK_MS);
    assert_false(seat_is_ended(p->seat[2]));
    assert_false(seat_serve(p->seat[2], "127.0.0.2"));
}

static void leaves_alone_whose_ends_are_not_known_yet(void **state)
{
    struct place *p = *state;
    for (unsigned i = 0; i < THREADS; i++)
        seated(p, i, "127.0.0.2")->ends.peer_port = 0;
    dial(p, "127.0.0.3");
    assert_int_equal(look(p, 0), PRESSED_MS);
    assert_int_equal(look(p, 60), PRESSED_MS);
    for (unsigned i = 0; i < THREADS; i++)
        assert_false(seat_is_ended(p->seat[i]));
}

static void closes_nobody_while_nobody_waits(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        l[i] = idle(p, i, "127.0.0.2");
    leaves(p, 2, l[2]);
    seated(p, 2, "127.0.0.3");
    for (int i = 0; i < 100; i++)
        assert_int_equal(look(p, 1000), LOOK_MS);
    assert_false(is_closed(l[0]));
    assert_false(seat_is_ended(p->seat[2]));
    assert_false(seat_gives_way(p->seat[0]));
}

static void makes_room_by_the_longest_idle(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    l[1] = idle(p, 1, "127.0.0.2");
    (void)look(p, 0);
    l[0] = idle(p, 0, "127.0.0.2");
    (void)look(p, 250);
    l[2] = idle(p, 2, "127.0.0.3");
    dial(p, "127.0.0.4");
    assert_int_equal(look(p, 240), PRESSED_MS); /* 490 ms: nobody is idle enough */
    assert_false(is_closed(l[1]));
    assert_int_equal(look(p, 20), PRESSED_MS);
    assert_true(is_closed(l[1]));
    assert_false(is_closed(l[0])); /* one waits: one is closed */
    assert_false(is_closed(l[2]));
}

static void counts_on_who_is_just_leaving(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        l[i] = idle(p, i, "127.0.0.2");
    dial(p, "127.0.0.3");
    (void)look(p, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(look(p, 600), PRESSED_MS);
    assert_true(is_closed(l[0])); /* its thread has not seen it yet */
    assert_false(is_closed(l[1]));
    assert_false(is_closed(l[2]));
    dial(p, "127.0.0.4");
    assert_int_equal(look(p, 20), PRESSED_MS);
    assert_true(is_closed(l[1]));
    assert_false(is_closed(l[2]));
}

static void closes_the_silent_before_the_idle(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    l[0] = idle(p, 0, "127.0.0.2");
    l[1] = idle(p, 1, "127.0.0.3");
    (void)look(p, 0);
    (void)look(p, 1000);
    l[2] = seated(p, 2, "127.0.0.4");
    assert_int_equal(look(p, 10), LOOK_MS);
    dial(p, "127.0.0.5");
    assert_int_equal(look(p, 60), PRESSED_MS);
    assert_true(is_closed(l[2]));
    assert_false(is_closed(l[0]));
    assert_false(is_closed(l[1]));
}

static void asks_the_busy_to_end_with_an_answer(void **state)
{
    struct place *p = *state;
    for (unsigned i = 0; i < THREADS; i++) {
        seated(p, i, "127.0.0.2");
        assert_int_equal(seat_serve(p->seat[i], "127.0.0.2"), i < EACH);
    }
    dial(p, "127.0.0.3");
    assert_int_equal(look(p, 10000), PRESSED_MS); /* however long it is served */
    assert_true(seat_gives_way(p->seat[0]));
    assert_false(seat_gives_way(p->seat[1])); /* one waits: one is asked */
    assert_int_equal(look(p, 20), PRESSED_MS);
    assert_false(seat_gives_way(p->seat[1])); /* has not gone yet */
    assert_int_equal(look(p, 250), PRESSED_MS);
    assert_true(seat_gives_way(p->seat[1]));
    assert_int_equal(look(p, 250), PRESSED_MS);
    seat_leave(p->seat[0]); /* a thread is free: nobody needs to go any more */
    assert_int_equal(look(p, 20), LOOK_MS);
    assert_false(seat_gives_way(p->seat[1]));
}

/* What it had sent before it was closed may still be read: then it is answered, as the last. */
static void serves_what_came_before_the_end(void **state)
{
    struct place *p = *state;
    struct line *l[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        l[i] = idle(p, i, "127.0.0.2");
    dial(p, "127.0.0.3");
    (void)look(p, 0);
    assert_int_equal(look(p, 600), PRESSED_MS);
    assert_true(is_closed(l[0]));
    assert_true(seat_serve(p->seat[0], "127.0.0.2"));
    assert_true(seat_gives_way(p->seat[0]));
    assert_int_equal(send(l[0]->served, "x", 1, MSG_NOSIGNAL), 1); /* it can be written to */
    seat_wait(p->seat[0]);
    assert_true(seat_is_ended(p->seat[0]));
    seat_leave(p->seat[0]);
    seat_take(p->seat[0], l[0]);
    assert_false(seat_is_ended(p->seat[0]));
}

/* ---- deadlines */

/* It sends this, and its thread has read it. */
static void sends(const struct line *l, const char *text)
{
    char got[64];
    ssize_t n = (ssize_t)strlen(text);
    assert_int_equal(send(l->client, text, (size_t)n, MSG_NOSIGNAL), n);
    for (ssize_t left = n; left > 0;) {
        ssize_t some = recv(l->served, got, sizeof got, 0);
        assert_true(some > 0);
        left -= some;
    }
}

/* Looks each quarter of a second, for so long. */
static void pass(struct place *p, int ms)
{
    for (; ms > 0; ms -= LOOK_MS)
        assert_int_equal(look(p, LOOK_MS), LOOK_MS);
}

/* One whose requests so far were `first`. */
static struct line *asked(struct place *p, unsigned i, const char *first)
{
    struct line *l = seated(p, i, "127.0.0.2");
    sends(l, first);
    assert_true(seat_serve(p->seat[i], "127.0.0.2"));
    seat_read(p->seat[i], strlen(first));
    seat_wait(p->seat[i]);
    return l;
}

static void was_late(const struct place *p, unsigned i, const struct line *l)
{
    assert_true(is_closed(l));
    assert_true(seat_is_ended(p->seat[i]));
    assert_true(seat_is_late(p->seat[i]));
}

static void ends_a_first_header_in_its_time(void **state)
{
    struct place *p = *state;
    struct line *drips = seated(p, 0, "127.0.0.2"), *silent = seated(p, 1, "127.0.0.2");
    (void)look(p, 0);
    pass(p, HEADER_MS - LOOK_MS);
    sends(drips, "G"); /* it counts from the connection's beginning on */
    assert_false(seat_is_ended(p->seat[0]) || seat_is_ended(p->seat[1]));
    pass(p, LOOK_MS);
    was_late(p, 0, drips);
    assert_true(is_closed(silent));
    assert_false(seat_is_late(p->seat[1])); /* it is told nothing */
}

static void ends_a_later_header_in_the_same_time(void **state)
{
    struct place *p = *state;
    struct line *l = asked(p, 0, "first");
    (void)look(p, 0);
    pass(p, 3 * HEADER_MS); /* idle */
    sends(l, "n");
    pass(p, HEADER_MS);
    assert_false(seat_is_ended(p->seat[0]));
    sends(l, "ext"); /* more of it does not help */
    pass(p, LOOK_MS);
    was_late(p, 0, l);
}

static void ends_what_came_with_the_request_before(void **state)
{
    struct place *p = *state;
    struct line *l = seated(p, 0, "127.0.0.2");
    sends(l, "firstn");
    assert_true(seat_serve(p->seat[0], "127.0.0.2"));
    seat_read(p->seat[0], 2);
    seat_read(p->seat[0], 3);
    seat_wait(p->seat[0]);
    (void)look(p, 0);
    pass(p, HEADER_MS);
    assert_false(seat_is_ended(p->seat[0]));
    pass(p, LOOK_MS);
    was_late(p, 0, l);
}

static void gives_each_header_its_own_time(void **state)
{
    struct place *p = *state;
    struct line *l = asked(p, 0, "first");
    (void)look(p, 0);
    for (int i = 0; i < 4; i++) {
        sends(l, "ne");
        pass(p, HEADER_MS - LOOK_MS);
        assert_false(seat_is_ended(p->seat[0]));
        sends(l, "xt");
        assert_true(seat_serve(p->seat[0], "127.0.0.2"));
        seat_read(p->seat[0], 4);
        seat_wait(p->seat[0]);
    }
    assert_false(is_closed(l));
}

static void ends_what_is_idle_too_long(void **state)
{
    struct place *p = *state;
    struct line *l = asked(p, 0, "first"), *other = asked(p, 1, "first");
    (void)look(p, 0);
    pass(p, IDLE_MS - LOOK_MS);
    sends(other, "n");
    pass(p, HEADER_MS);
    assert_true(is_closed(l));
    assert_false(seat_is_late(p->seat[0]));
    assert_false(seat_is_ended(p->seat[1])); /* its header began in time */
}

/* What its requests were is not known: then only what comes while it waits tells. */
static void sees_a_header_begin_where_it_cannot_count(void **state)
{
    struct place *p = *state;
    struct line *l = asked(p, 0, "first");
    assert_true(seat_serve(p->seat[0], "127.0.0.2"));
    seat_read(p->seat[0], 0);
    seat_read(p->seat[0], 7); /* never again, of this connection */
    seat_wait(p->seat[0]);
    (void)look(p, 0);
    pass(p, 3 * HEADER_MS);
    assert_false(seat_is_ended(p->seat[0]));
    sends(l, "n");
    pass(p, HEADER_MS + LOOK_MS);
    was_late(p, 0, l);
    leaves(p, 0, l);
    l = asked(p, 0, "first"); /* the next connection is another */
    assert_false(seat_is_late(p->seat[0]));
    (void)look(p, 0);
    pass(p, 3 * HEADER_MS);
    assert_false(is_closed(l));
}

#define TEST(name)           cmocka_unit_test_setup_teardown(name, setup, teardown)
#define TEST_UNLIMITED(name) cmocka_unit_test_setup_teardown(name, setup_unlimited, teardown)
#define TEST_HASTY(name)     cmocka_unit_test_setup_teardown(name, setup_hasty, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(closes_the_silent_beyond_their_limit),
        TEST(counts_each_connection_once),
        TEST(leaves_to_its_thread_who_has_sent_something),
        TEST(leaves_alone_whose_ends_are_not_known_yet),
        TEST_UNLIMITED(closes_nobody_while_nobody_waits),
        TEST_UNLIMITED(makes_room_by_the_longest_idle),
        TEST_UNLIMITED(counts_on_who_is_just_leaving),
        TEST_UNLIMITED(closes_the_silent_before_the_idle),
        TEST(asks_the_busy_to_end_with_an_answer),
        TEST_UNLIMITED(serves_what_came_before_the_end),
        TEST_HASTY(ends_a_first_header_in_its_time),
        TEST_HASTY(ends_a_later_header_in_the_same_time),
        TEST_HASTY(ends_what_came_with_the_request_before),
        TEST_HASTY(gives_each_header_its_own_time),
        TEST_HASTY(ends_what_is_idle_too_long),
        TEST_HASTY(sees_a_header_begin_where_it_cannot_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
