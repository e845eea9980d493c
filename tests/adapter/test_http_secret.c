/* http_server.h: of a body that holds a secret, nothing stays where it was read to, however it
 * ends. Needs no other server. */
#include "tests/adapter/http_place.h"

enum { LEN = 20 };
static const char SECRET[] = "correct horse";

static struct {       /* the handler's; read by the test once it has the answer */
    const char *body; /* the thread's memory, as a whole body told it */
    bool stayed;
} seen;

static void handle(void *arg, struct http_request *q, struct http_reply *r)
{
    char *body = NULL;
    size_t len = 0;
    (void)arg;
    snprintf(q->id, sizeof q->id, "test");
    q->secret = true;
    int err = q->read_body(q, LEN, &body, &len);
    if (err)
        seen.stayed = memmem(seen.body, LEN, SECRET, sizeof SECRET - 1) != NULL;
    else
        seen.body = body;
    r->status = err ? 400 : 200;
    r->type = "text/plain";
}

static int setup(void **state)
{
    return place_open(state, &(struct http_server_settings){.threads = 2,
                                                            .header_ms = 30000,
                                                            .body_ms = 600,
                                                            .keep_alive_ms = 30000,
                                                            .handler = handle});
}

/* A whole body, then on the same connection, so in the same thread, one that begins with the
 * secret and ends there. */
static void cut_off(const struct place *p, const char *head, const char *start, bool closed)
{
    char text[200];
    int fd = raw_dial(p->port);
    raw_send(fd, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n01234567890123456789");
    raw_status_is(raw_receive(fd, "\r\n\r\n"), 200);
    seen.stayed = true;
    snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: h\r\n%s\r\n\r\n%s%s", head, start,
             SECRET);
    raw_send(fd, text);
    if (closed)
        shutdown(fd, SHUT_WR);
    raw_status_is(raw_receive(fd, NULL), 400);
    assert_false(seen.stayed);
    close(fd);
}

static void wipes_a_body_that_does_not_end(void **state)
{
    static const char counted[] = "Content-Length: 20", chunked[] = "Transfer-Encoding: chunked";
    for (int closed = 0; closed <= 1; closed++) {
        cut_off(*state, counted, "", closed);
        cut_off(*state, chunked, "d\r\n", closed);
        cut_off(*state, chunked, "e\r\n", closed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(wipes_a_body_that_does_not_end, setup, place_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
