/* upstreams.yaml: what signs and secures calls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/expr.h"
#include "common/flow_load.h"
#include "common/flow_secrets.h"
#include "common/log.h"
#include "common/log_mask.h"

/* A folder of its own: flows/one.yaml, upstreams.yaml, secrets/. */
struct fixture {
    char dir[64];
    struct findings findings;
    struct flow_set *set;
};

static void put(const struct fixture *x, const char *name, const char *text)
{
    char path[160];
    snprintf(path, sizeof path, "%s/%s", x->dir, name);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int open_fixture(void **state)
{
    struct fixture *x = calloc(1, sizeof *x);
    char path[160];
    snprintf(x->dir, sizeof x->dir, "/tmp/test_flow_upstreams-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(path, sizeof path, "%s/flows", x->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/secrets", x->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    put(x, "flows/one.yaml",
        "flow: one\ntitle: One\naccess: guests\ncalls:\n  get:\n    upstream: s3\n"
        "    request: {path: /x}\nresult: $calls.get.result\n");
    findings_init(&x->findings);
    *state = x;
    return 0;
}

static int close_fixture(void **state)
{
    struct fixture *x = *state;
    char command[120];
    flow_set_put(x->set);
    findings_fini(&x->findings);
    snprintf(command, sizeof command, "rm -r %s", x->dir);
    int status = system(command); /* NOLINT(cert-env33-c): a path of ours */
    free(x);
    return status;
}

static int load_without_secrets(struct fixture *x, const char *upstreams, bool away)
{
    char flows[100], secrets[100];
    snprintf(flows, sizeof flows, "%s/flows", x->dir);
    snprintf(secrets, sizeof secrets, "%s/secrets", x->dir);
    const struct flow_load_settings s = {
        .flows_dir = flows, .secrets_dir = secrets, .secrets_away = away};
    findings_fini(&x->findings);
    findings_init(&x->findings);
    flow_set_put(x->set);
    x->set = NULL;
    put(x, "upstreams.yaml", upstreams);
    return flow_load(&s, &x->findings, &x->set);
}

static int load(struct fixture *x, const char *upstreams)
{
    return load_without_secrets(x, upstreams, false);
}

static void check_says(const struct fixture *x, const char *expected)
{
    struct buf out;
    buf_init(&out, 0);
    findings_print(&x->findings, false, &out);
    if (!strstr(buf_str(&out), expected))
        fail_msg("no `%s` in:\n%s", expected, buf_str(&out));
    buf_fini(&out);
}

#define S3 "upstreams:\n  s3:\n    url: http://s3:9000\n"
#define SIGN                                                                            \
    S3 "    sign:\n      type: aws-sigv4\n      service: s3\n      region: eu-west-1\n" \
       "      access_key: ${file:id}\n"

static void sign_is_read_with_its_secrets(void **state)
{
    struct fixture *x = *state;
    put(x, "secrets/id", "AKID\n");
    put(x, "secrets/key", "very/secret\n");
    assert_int_equal(load(x, SIGN "      secret_key: ${file:key}\n      session_token: ''\n"), 0);
    const struct sigv4_keys *k = &upstream_credentials(&x->set->upstreams[0])->sign;
    assert_string_equal(k->service, "s3");
    assert_string_equal(k->region, "eu-west-1");
    assert_string_equal(k->access_key, "AKID");
    assert_string_equal(k->secret_key, "very/secret");
    assert_null(k->session_token);
}

static void what_is_wrong_with_sign_is_found(void **state)
{
    static const char *const cases[][2] = {
        {S3 "    sign: {type: aws-sigv4}\n", ":4:5: error[F012]: `service` is missing"},
        {S3 "    sign: {service: s3}\n", ":4:5: error[F012]: `type` is missing"},
        {S3 "    sign: {type: hmac}\n", "error[F014]"},
        {S3 "    sign: aws-sigv4\n", "error[F013]: `sign` must be a map"},
        {S3 "    sign: {typ: aws-sigv4}\n", "did you mean `type`?"},
        {SIGN "      secret_key: a b\n", ":9:19: error[F014]: `secret_key` is empty, too long"},
        {SIGN "      secret_key: AbCdEf\n", ":9:19: warning[F054]"},
        {SIGN "      secret_key: ${file:key}\n    headers: {authorization: '${file:key}'}\n",
         "`sign` writes the header `authorization`"},
    };
    struct fixture *x = *state;
    put(x, "secrets/id", "AKID\n");
    put(x, "secrets/key", "very/secret\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        (void)!load(x, cases[i][0]);
        check_says(x, cases[i][1]);
    }
}

static void a_secret_is_read_again_when_its_file_changes(void **state)
{
    struct fixture *x = *state;
    struct flow_secrets *s = NULL;
    char dir[100], path[160];
    put(x, "secrets/id", "AKID\n");
    put(x, "secrets/key", "first\n");
    snprintf(dir, sizeof dir, "%s/secrets", x->dir);
    snprintf(path, sizeof path, "%s/key", dir);
    assert_int_equal(
        load(x, SIGN
             "      secret_key: ${file:key}\n    headers: {X-Key: 'a ${file:key} b', X-N: '1'}\n"),
        0);
    const struct upstream *u = &x->set->upstreams[0];
    const struct credentials *first = upstream_credentials(u);
    assert_int_equal(flow_secrets_open(x->set, dir, &s), 0);
    assert_int_equal(flow_secrets_look(s), 0);
    put(x, "secrets/key", "second,longer\n");
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "second,longer");
    assert_string_equal(upstream_credentials(u)->sign.access_key, "AKID");
    assert_string_equal(upstream_credentials(u)->headers[0].value, "a second,longer b");
    assert_string_equal(upstream_credentials(u)->headers[1].value, "1");
    assert_string_equal(first->sign.secret_key, "first"); /* a call may hold it still */
    assert_int_equal(flow_secrets_look(s), 0);

    assert_int_equal(unlink(path), 0); /* it vanishes: what was read stays */
    assert_int_equal(flow_secrets_look(s), 0);
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "second,longer");
    put(x, "secrets/key", "a line\nbreak\n"); /* cannot be sent */
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "second,longer");
    put(x, "secrets/key", "third\n");
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "third");
    flow_secrets_close(s);
}

static void a_database_password_is_read_again(void **state)
{
    struct fixture *x = *state;
    struct flow_secrets *s = NULL;
    char dir[100], path[160], longer[300];
    put(x, "secrets/shop", "first\n");
    snprintf(dir, sizeof dir, "%s/secrets", x->dir);
    snprintf(path, sizeof path, "%s/shop", dir);
    assert_int_equal(load(x, S3
                          "databases:\n  d: {host: h, name: n, user: u, password: '${file:shop}'}\n"
                          "  e: {host: h, name: n, user: u}\n"),
                     0);
    const struct database *d = &x->set->databases[0];
    const char *first = database_password(d);
    assert_string_equal(first, "first");
    assert_int_equal(flow_secrets_open(x->set, dir, &s), 0);
    assert_int_equal(flow_secrets_look(s), 0);
    put(x, "secrets/shop", "second one\n");
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(database_password(d), "second one");
    assert_string_equal(first, "first"); /* a connection may be opening with it */
    assert_null(database_password(&x->set->databases[1]));
    assert_int_equal(flow_secrets_look(s), 0);

    put(x, "secrets/shop", ""); /* about to be written */
    assert_int_equal(flow_secrets_look(s), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(flow_secrets_look(s), 0);
    memset(longer, 'x', 161);
    longer[161] = 0;
    put(x, "secrets/shop", longer); /* start-up refuses it */
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(database_password(d), "second one");
    put(x, "secrets/shop", "third\n");
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(database_password(d), "third");
    flow_secrets_close(s);
}

/* What start-up would refuse does not get in later. */
static void a_secret_that_cannot_be_one_is_not_taken(void **state)
{
    static const char *const broken[] = {"\n", "two words\n", "tab\tbed\n", "caf\xc3\xa9\n"};
    struct fixture *x = *state;
    struct flow_secrets *s = NULL;
    char dir[100], longer[300];
    put(x, "secrets/id", "AKID\n");
    put(x, "secrets/key", "first\n");
    put(x, "secrets/token", "one\n");
    snprintf(dir, sizeof dir, "%s/secrets", x->dir);
    assert_int_equal(load(x, SIGN "      secret_key: ${file:key}\n"
                                  "      session_token: ${file:token}\n"),
                     0);
    const struct upstream *u = &x->set->upstreams[0];
    assert_int_equal(flow_secrets_open(x->set, dir, &s), 0);
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        put(x, "secrets/key", broken[i]);
        assert_int_equal(flow_secrets_look(s), 0);
    }
    memset(longer, 'x', 201);
    longer[201] = 0;
    put(x, "secrets/key", longer);
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "first");
    put(x, "secrets/key", "second\n");
    put(x, "secrets/token", "\n"); /* as at start-up: there is none */
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "second");
    assert_null(upstream_credentials(u)->sign.session_token);
    flow_secrets_close(s);
}

/* Emptied before it is written anew: for that moment it is as if it had vanished. */
static void a_file_that_is_emptied_is_about_to_be_written(void **state)
{
    struct fixture *x = *state;
    struct flow_secrets *s = NULL;
    char dir[100];
    put(x, "secrets/id", "AKID\n");
    put(x, "secrets/key", "first\n");
    put(x, "secrets/token", "one\n");
    put(x, "secrets/none", "");
    snprintf(dir, sizeof dir, "%s/secrets", x->dir);
    assert_int_equal(load(x,
                          SIGN "      secret_key: ${file:key}\n"
                               "      session_token: ${file:token}\n"
                               "    headers: {X-Key: 'a ${file:key}', X-None: '${file:none}'}\n"),
                     0);
    const struct upstream *u = &x->set->upstreams[0];
    assert_int_equal(flow_secrets_open(x->set, dir, &s), 0);
    put(x, "secrets/token", "");
    assert_int_equal(flow_secrets_look(s), 0);
    put(x, "secrets/id", "KIDA\n"); /* its fellow stays with it */
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(upstream_credentials(u)->sign.session_token, "one");
    assert_string_equal(upstream_credentials(u)->sign.access_key, "AKID");
    put(x, "secrets/token", "two\n");
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(upstream_credentials(u)->sign.session_token, "two");
    assert_string_equal(upstream_credentials(u)->sign.access_key, "KIDA");
    put(x, "secrets/key", "");
    assert_int_equal(flow_secrets_look(s), 0);
    assert_string_equal(upstream_credentials(u)->sign.secret_key, "first");
    assert_string_equal(upstream_credentials(u)->headers[0].value, "a first");
    put(x, "secrets/key", "second\n");
    put(x, "secrets/none", "some\n"); /* it was empty from the start */
    assert_int_equal(flow_secrets_look(s), 1);
    assert_string_equal(upstream_credentials(u)->headers[0].value, "a second");
    assert_string_equal(upstream_credentials(u)->headers[1].value, "some");
    flow_secrets_close(s);
}

/* What stands on stderr when these three are logged. */
static void log_all(const char *a, const char *b, const char *c, char text[1000])
{
    fflush(stderr);
    int old = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    log_error("secrets", "a", a, "b", b, "c", c);
    dup2(old, STDERR_FILENO);
    ssize_t n = pread(file, text, 999, 0);
    text[n > 0 ? n : 0] = 0;
    close(file);
    close(old);
}

static void secrets_are_masked_however_often_one_is_renewed(void **state)
{
    enum { RENEWALS = LOG_SECRETS_MAX + 100 };
    struct fixture *x = *state;
    struct flow_secrets *s = NULL;
    char dir[100], path[160], key[40] = "first", seen[1000];
    put(x, "secrets/id", "AKID-of-ours\n");
    put(x, "secrets/key", "first\n");
    put(x, "secrets/other", "other-key\n");
    put(x, "secrets/password", "pass-word\n");
    snprintf(dir, sizeof dir, "%s/secrets", x->dir);
    snprintf(path, sizeof path, "%s/other", dir);
    assert_int_equal(
        load(x,
             SIGN "      secret_key: ${file:key}\n"
                  "  other:\n    url: http://x\n    headers: {X-Key: '${file:other}'}\n"
                  "databases:\n  d: {host: h, name: n, user: u, password: '${file:password}'}\n"),
        0);
    assert_int_equal(flow_secrets_open(x->set, dir, &s), 0);
    assert_int_equal(unlink(path), 0); /* what was read of it stays in use */
    for (int i = 0; i < RENEWALS; i++) {
        snprintf(key, sizeof key, "%d-renewed", 10000 + i * 7);
        put(x, "secrets/key", key);
        assert_int_equal(flow_secrets_look(s), 1);
    }
    log_all(key, "other-key", "pass-word", seen);
    if (!strstr(seen, "a=*** b=*** c=***"))
        fail_msg("%s", seen);
    flow_secrets_close(s);
}

#define TLS "upstreams:\n  s3:\n    url: https://s3:9000\n"

static void tls_is_read_and_its_files_are_there(void **state)
{
    struct fixture *x = *state;
    char text[600];
    put(x, "secrets/ca.pem", "x");
    put(x, "secrets/key.pem", "x");
    snprintf(text, sizeof text,
             TLS
             "    tls: {ca: %s/secrets/ca.pem, cert: %s/secrets/ca.pem, key: %s/secrets/key.pem}\n",
             x->dir, x->dir, x->dir);
    assert_int_equal(load(x, text), 0);
    assert_non_null(strstr(x->set->upstreams[0].tls.ca, "/secrets/ca.pem"));
    assert_non_null(strstr(x->set->upstreams[0].tls.cert, "/secrets/ca.pem"));
    assert_non_null(strstr(x->set->upstreams[0].tls.key, "/secrets/key.pem"));
    assert_int_equal(load(x, TLS "    tls: {ca: /none/ca.pem}\n"), ERR_INVALID);
    check_says(x, ":4:15: error[F014]: `ca`: the file `/none/ca.pem` cannot be read");
    /* on the machine that checks a change there are no keys */
    assert_int_equal(load_without_secrets(x, TLS "    tls: {ca: /none/ca.pem}\n", true), 0);
    assert_string_equal(x->set->upstreams[0].tls.ca, "/none/ca.pem");
    assert_int_equal(load_without_secrets(x, TLS "    tls: {ca: ''}\n", true), ERR_INVALID);
    assert_int_equal(
        load_without_secrets(x,
                             TLS "databases:\n  d: {host: h, name: n, user: u, tls: {cert: /no/c, "
                                 "key: /no/k}}\n",
                             true),
        0);
    assert_string_equal(x->set->databases[0].cert, "/no/c");
    snprintf(text, sizeof text, TLS "    tls: {cert: %s/secrets/ca.pem}\n", x->dir);
    assert_int_equal(load(x, text), ERR_INVALID);
    check_says(x, ":4:5: error[F012]: `cert` and `key` belong together");
    snprintf(text, sizeof text, S3 "    tls: {ca: %s/secrets/ca.pem}\n", x->dir);
    assert_int_equal(load(x, text), ERR_INVALID);
    check_says(x, ":4:5: error[F014]: `tls` is for an upstream with https");
}

/* ---- tests/upstreams-bad/NAME.yaml, one mistake each, begins with `# expect: L:C CODE; HELP`.
 * tests/check_flow_schema.py holds the editors' schema against the same files. */

static bool is_as_expected(const char *path, const struct findings *f)
{
    char line[300], got[400] = "# expect: ";
    FILE *in = fopen(path, "re");
    assert_non_null(in);
    assert_non_null(fgets(line, sizeof line, in));
    fclose(in);
    for (size_t i = 0; i < f->n; i++)
        if (strcmp(f->list[i].file, path) == 0 || f->list[i].line == 0)
            snprintf(got + strlen(got), sizeof got - strlen(got), "%s%u:%u %s; %s", i ? " + " : "",
                     f->list[i].line, f->list[i].column, finding_code_text(f->list[i].code),
                     f->list[i].help);
    line[strcspn(line, "\n")] = 0;
    if (strcmp(line, got) != 0)
        print_message("%s: wanted %s, got %s\n", path, line, got);
    return strcmp(line, got) == 0;
}

static void each_wrong_file_has_its_finding_at_its_place(void **state)
{
    struct fixture *x = *state;
    struct dirent **list = NULL;
    int n = scandir("tests/upstreams-bad", &list, NULL, alphasort), wrong = 0, seen = 0;
    put(x, "flows/one.yaml", "flow: one\ntitle: One\n");
    for (int i = 0; i < n; i++) {
        char path[300], flows[100];
        snprintf(path, sizeof path, "tests/upstreams-bad/%s", list[i]->d_name);
        snprintf(flows, sizeof flows, "%s/flows", x->dir);
        const struct flow_load_settings s = {.flows_dir = flows, .upstreams_file = path};
        bool file = strstr(path, ".yaml") != NULL;
        free(list[i]);
        if (!file)
            continue;
        findings_fini(&x->findings);
        assert_int_equal(flow_load(&s, &x->findings, &x->set), ERR_INVALID);
        wrong += !is_as_expected(path, &x->findings);
        seen++;
    }
    free(list);
    assert_true(seen > 20);
    assert_int_equal(wrong, 0);
}

static void every_value_may_be_filled_in(void **state)
{
    struct fixture *x = *state;
    const struct flow_load_settings s = {.flows_dir = "tests/filled/flows"};
    int err = flow_load(&s, &x->findings, &x->set);
    for (size_t i = 0; i < x->findings.n; i++)
        print_message("%u: %s\n", x->findings.list[i].line, x->findings.list[i].what);
    assert_int_equal(err, 0);
    assert_int_equal(x->findings.n, 0);
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int end(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)
    const struct CMUnitTest tests[] = {
        TEST(sign_is_read_with_its_secrets),
        TEST(what_is_wrong_with_sign_is_found),
        TEST(a_secret_is_read_again_when_its_file_changes),
        TEST(a_database_password_is_read_again),
        TEST(a_secret_that_cannot_be_one_is_not_taken),
        TEST(a_file_that_is_emptied_is_about_to_be_written),
        TEST(secrets_are_masked_however_often_one_is_renewed),
        TEST(tls_is_read_and_its_files_are_there),
        TEST(each_wrong_file_has_its_finding_at_its_place),
        TEST(every_value_may_be_filled_in),
    };
    return cmocka_run_group_tests(tests, start, end);
}
