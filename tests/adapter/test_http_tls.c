/* The curl client and TLS: an upstream's own authority, a client certificate,
 * HTTP/1.1 whatever is offered, one connection for many calls. The server is tls_server.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/http_client.h"

static struct {
    char dir[64];
    FILE *pipe; /* the server's standard input: it ends with it */
    int ports[3];
    struct loop *loop;
    struct http_client *http;
} t;
enum { BOTH, ONE, CLIENT }; /* ports: HTTP/2 offered, 1.1 alone, with a client certificate */

static struct {
    unsigned left;
    enum call_code code;
    char body[8][64];
    unsigned n;
} seen;

static int open_all(void **state)
{
    char command[300], path[100], line[64] = "";
    (void)state;
    snprintf(t.dir, sizeof t.dir, "/tmp/test_http_tls-XXXXXX");
    if (!mkdtemp(t.dir))
        return -1;
    snprintf(path, sizeof path, "%s/ports", t.dir);
    snprintf(command, sizeof command,
             "mkfifo %s && exec python3 tests/adapter/tls_server.py %s > %s", path, t.dir, path);
    t.pipe = popen(command, "we"); /* NOLINT(cert-env33-c): a command of ours */
    FILE *in = NULL;
    for (int i = 0; i < 1000 && !(in = fopen(path, "re")); i++)
        usleep(10000);
    if (!t.pipe || !in || !fgets(line, sizeof line, in))
        return -1;
    fclose(in);
    char *at = line;
    for (int i = 0; i < 3; i++)
        t.ports[i] = (int)strtol(at, &at, 10);
    return loop_uv_open(&t.loop) || http_client_curl_open(t.loop, 8, HTTP_REST_MS, NULL, &t.http)
               ? -1
               : 0;
}

static int close_all(void **state)
{
    char command[100];
    (void)state;
    http_client_close(t.http);
    loop_close(t.loop);
    pclose(t.pipe);
    snprintf(command, sizeof command, "rm -r %s", t.dir);
    return system(command); /* NOLINT(cert-env33-c): a path of ours */
}

static void done(void *arg, struct http_response *r)
{
    (void)arg;
    seen.code = r->code;
    if (seen.n < 8)
        snprintf(seen.body[seen.n++], 64, "%.60s", r->code == CALL_OK ? r->body : r->why);
    if (--seen.left == 0)
        loop_stop(t.loop);
}

static void start(int which, const struct upstream_tls *tls)
{
    char url[64];
    struct http_exchange *x;
    snprintf(url, sizeof url, "https://127.0.0.1:%d/x", t.ports[which]);
    const struct http_request q = {.method = "GET",
                                   .url = url,
                                   .timeout_ms = 20000,
                                   .response_max = 1000,
                                   .allow_private = true,
                                   .tls = tls};
    assert_int_equal(http_start(t.http, &q, done, NULL, &x), 0);
    seen.left++;
}

static enum call_code call(int which, const struct upstream_tls *tls)
{
    seen.n = seen.left = 0;
    start(which, tls);
    loop_run(t.loop);
    return seen.code;
}

/* NULL stays NULL. */
static char *file(char out[128], const char *name)
{
    snprintf(out, 128, "%s/%s", t.dir, name ? name : "");
    return name ? out : NULL;
}

#define FILES(ca_, cert_, key_)       \
    char a_[128], b_[128], c_[128];   \
    const struct upstream_tls tls = { \
        .ca = file(a_, ca_), .cert = file(b_, cert_), .key = file(c_, key_)}

static void an_authority_of_its_own_is_believed_and_no_other(void **state)
{
    (void)state;
    FILES("ca.pem", NULL, NULL);
    assert_int_equal(call(ONE, &tls), CALL_OK);
    assert_string_equal(seen.body[0], "http/1.1 1 -");
    assert_int_equal(call(ONE, NULL), CALL_TLS); /* not on the connection that stands */
    const struct upstream_tls other = {.ca = file(a_, "other.pem")};
    assert_int_equal(call(ONE, &other), CALL_TLS);
    const struct upstream_tls missing = {.ca = file(a_, "missing.pem")};
    assert_int_equal(call(ONE, &missing), CALL_TLS);
}

static void a_client_certificate_is_shown(void **state)
{
    (void)state;
    FILES("ca.pem", "client.pem", "client.key");
    assert_int_equal(call(CLIENT, &tls), CALL_OK);
    assert_non_null(strstr(seen.body[0], " client"));
    const struct upstream_tls none = {.ca = tls.ca};
    assert_int_equal(call(CLIENT, &none), CALL_TLS);
    char d_[128];
    const struct upstream_tls wrong_key = {tls.ca, file(d_, "other.pem"), tls.key};
    assert_int_equal(call(CLIENT, &wrong_key), CALL_TLS);
}

/* What lies in the folder under this name from now on. */
static void lay(const char *name, const char *as)
{
    char command[300];
    snprintf(command, sizeof command, "cp %s/%s %s/%s", t.dir, name, t.dir, as);
    assert_int_equal(system(command), 0);
}

static void files_that_change_are_read_again(void **state)
{
    (void)state;
    FILES("mine.pem", "mine-client.pem", "mine-client.key");
    lay("client.pem", "mine-client.pem");
    lay("other.key", "mine-client.key");
    lay("other.pem", "mine.pem");
    assert_int_equal(call(CLIENT, &tls), CALL_TLS); /* another authority */
    lay("ca.pem", "mine.pem");
    assert_int_equal(call(CLIENT, &tls), CALL_TLS); /* a key that fits no certificate */
    lay("client.key", "mine-client.key");
    assert_int_equal(call(CLIENT, &tls), CALL_OK);
}

static void calls_share_connections(void **state)
{
    (void)state;
    FILES("ca.pem", NULL, NULL);
    char first[64];
    assert_int_equal(call(ONE, &tls), CALL_OK);
    snprintf(first, sizeof first, "%s", seen.body[0]);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(call(ONE, &tls), CALL_OK);
        assert_string_equal(seen.body[0], first);
    }
}

static void http_2_is_not_taken_where_it_is_offered(void **state)
{
    (void)state;
    FILES("ca.pem", NULL, NULL);
    assert_int_equal(call(BOTH, &tls), CALL_OK);
    assert_memory_equal(seen.body[0], "http/1.1 ", 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_of_its_own_is_believed_and_no_other),
        cmocka_unit_test(a_client_certificate_is_shown),
        cmocka_unit_test(files_that_change_are_read_again),
        cmocka_unit_test(calls_share_connections),
        cmocka_unit_test(http_2_is_not_taken_where_it_is_offered),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
