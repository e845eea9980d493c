/* Signing for AWS: the published vectors, and what they leave open. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/sigv4.h"
#include "common/sigv4_canon.h"
#include "sigv4_vectors.h"

#define AT_2015 (INT64_C(1440938160) * 1000000) /* 2015-08-30 12:36:00 UTC */
#define AT_2013 (INT64_C(1369353600) * 1000000) /* 2013-05-24 00:00:00 UTC */

static char *text(const char *t)
{
    return (char *)(uintptr_t)t;
}

static const char *value_of(const struct sigv4 *s, const char *name)
{
    for (size_t i = 0; i < s->headers_n; i++)
        if (strcmp(s->headers[i].name, name) == 0)
            return s->headers[i].value;
    return NULL;
}

static void check_vector(const struct sigv4_vector *v)
{
    const struct sigv4_keys keys = {text("service"), text("us-east-1"), text("AKIDEXAMPLE"),
                                    text("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
                                    text(v->token)};
    char url[600];
    struct header headers[4];
    struct sigv4_request r = {.method = v->method,
                              .url = url,
                              .headers = headers,
                              .body = v->body,
                              .body_len = strlen(v->body)};
    snprintf(url, sizeof url, "https://example.amazonaws.com%s", v->target);
    for (size_t i = 0; i < 8 && v->headers[i]; i += 2)
        headers[r.headers_n++] = (struct header){text(v->headers[i]), text(v->headers[i + 1])};
    struct sigv4 s;
    assert_int_equal(sigv4_sign(&keys, &r, AT_2015, &s), 0);
    if (strcmp(value_of(&s, "Authorization"), v->authorization) != 0)
        fail_msg("%s: %s", v->name, value_of(&s, "Authorization"));
    assert_string_equal(value_of(&s, "x-amz-date"), "20150830T123600Z");
    assert_int_equal(value_of(&s, "x-amz-security-token") != NULL, v->token[0] != 0);
    sigv4_fini(&s);
}

static void the_published_vectors_hold(void **state)
{
    (void)state;
    size_t n = sizeof vectors / sizeof *vectors;
    assert_true(n > 30);
    for (size_t i = 0; i < n; i++)
        check_vector(&vectors[i]);
}

static void check_s3(const struct sigv4_request *r, const char *names, const char *signature)
{
    const struct sigv4_keys keys = {text("s3"), text("us-east-1"), text("AKIAIOSFODNN7EXAMPLE"),
                                    text("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), NULL};
    char want[600];
    struct sigv4 s;
    snprintf(want, sizeof want,
             "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
             "SignedHeaders=%s, Signature=%s",
             names, signature);
    assert_int_equal(sigv4_sign(&keys, r, AT_2013, &s), 0);
    assert_string_equal(value_of(&s, "Authorization"), want);
    assert_non_null(value_of(&s, "x-amz-content-sha256"));
    sigv4_fini(&s);
}

#define S3_HOST "https://examplebucket.s3.amazonaws.com"

/* Amazon S3 API Reference, "Signature Calculations for the Authorization Header", the four
 * examples. */
static void the_examples_of_s3_hold(void **state)
{
    (void)state;
    struct header range[] = {{text("Range"), text("bytes=0-9")}};
    struct header put[] = {{text("Date"), text("Fri, 24 May 2013 00:00:00 GMT")},
                           {text("x-amz-storage-class"), text("REDUCED_REDUNDANCY")}};
    check_s3(&(struct sigv4_request){"GET", S3_HOST "/test.txt", range, 1, NULL, 0},
             "host;range;x-amz-content-sha256;x-amz-date",
             "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
    check_s3(&(struct sigv4_request){"PUT", S3_HOST "/test%24file.text", put, 2,
                                     "Welcome to Amazon S3.", 21},
             "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
             "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
    check_s3(&(struct sigv4_request){"GET", S3_HOST "/?lifecycle", NULL, 0, NULL, 0},
             "host;x-amz-content-sha256;x-amz-date",
             "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    check_s3(&(struct sigv4_request){"GET", S3_HOST "/?prefix=J&max-keys=2", NULL, 0, NULL, 0},
             "host;x-amz-content-sha256;x-amz-date",
             "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

static void a_path_is_written_as_its_service_reads_it(void **state)
{
    static const struct {
        const char *path;
        bool s3;
        const char *want;
    } cases[] = {
        {"", true, "/"},
        {"", false, "/"},
        {"/a%20b/%2f$", true, "/a%20b//%24"},   /* once, whatever the spelling */
        {"/a%20b", false, "/a%2520b"},          /* once more */
        {"/a/../b//./c", true, "/a/../b//./c"}, /* names of objects */
        {"/a/../b//./c", false, "/b/c"},
        {"/../..", false, "/"},
        {"/a/.", false, "/a/"},
        {"/a/..b/...", false, "/a/..b/..."},
        {"/100%", true, "/100%25"},
        {"/%zz%4", true, "/%25zz%254"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 0);
        sigv4_path(cases[i].path, strlen(cases[i].path), cases[i].s3, &b);
        assert_string_equal(buf_str(&b), cases[i].want);
        buf_fini(&b);
    }
}

static void a_query_is_sorted_and_encoded_anew(void **state)
{
    static const char *const cases[][2] = {
        {"b=2&a=1&a=0", "a=0&a=1&b=2"},
        {"x=a+b&&y", "x=a%20b&y="},
        {"x=%2a%7E", "x=%2A~"},
        {"q=a=b", "q=a%3Db"},
        {"", ""},
        {"&", ""},
        {"a-=1&a=2&a%2D=0", "a=2&a-=0&a-=1"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct buf b;
        buf_init(&b, 0);
        assert_int_equal(sigv4_query(cases[i][0], strlen(cases[i][0]), &b), 0);
        assert_string_equal(buf_str(&b), cases[i][1]);
        buf_fini(&b);
    }
}

static void the_host_is_what_curl_sends(void **state)
{
    static const char *const cases[][2] = {
        {"http://h/x", "h"},          {"http://h:80/x?y", "h"},  {"http://h:8080", "h:8080"},
        {"https://h:443#x", "h"},     {"https://h:80/", "h:80"}, {"http://[::1]:9?q", "[::1]:9"},
        {"HTTPS://h:8443/", "h:8443"}};
    struct sigv4_url u;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(sigv4_url_split(cases[i][0], &u));
        assert_int_equal(u.host_len, strlen(cases[i][1]));
        assert_memory_equal(u.host, cases[i][1], u.host_len);
    }
    assert_false(sigv4_url_split("ftp://h/", &u));
    assert_false(sigv4_url_split("http:///x", &u));
}

static const struct sigv4_keys s3_keys = {(char[]){"s3"}, (char[]){"r"}, (char[]){"A"},
                                          (char[]){"S"}, (char[]){"T"}};

static void what_others_may_change_is_not_signed(void **state)
{
    struct header list[] = {{text("traceparent"), text("00-1")},
                            {text("X-Amz-Copy-Source"), text("/b/a b")},
                            {text("Authorization"), text("old")}};
    const struct sigv4_request r = {"PUT", "https://h/k", list, 3, NULL, 0};
    struct sigv4 s;
    (void)state;
    assert_int_equal(sigv4_sign(&s3_keys, &r, AT_2013, &s), 0);
    assert_non_null(strstr(value_of(&s, "Authorization"),
                           "SignedHeaders=host;x-amz-content-sha256;x-amz-copy-source;x-amz-date;"
                           "x-amz-security-token,"));
    assert_string_equal(value_of(&s, "x-amz-security-token"), "T");
    sigv4_fini(&s);
    assert_true(sigv4_owns("X-Amz-Date") && sigv4_owns("authorization"));
    assert_false(sigv4_owns("x-amz-content-sha256"));
}

static void a_hash_of_the_flow_stands(void **state)
{
    struct header list[] = {{text("X-Amz-Content-Sha256"), text("UNSIGNED-PAYLOAD")}};
    const struct sigv4_request r = {"PUT", "https://h/k", list, 1, "x", 1};
    const struct sigv4_request other = {"PUT", "https://h/k", list, 1, "y", 1};
    struct sigv4 a, b;
    (void)state;
    assert_int_equal(sigv4_sign(&s3_keys, &r, AT_2013, &a), 0);
    assert_int_equal(sigv4_sign(&s3_keys, &other, AT_2013, &b), 0);
    assert_null(value_of(&a, "x-amz-content-sha256")); /* the request has it */
    assert_string_equal(value_of(&a, "Authorization"), value_of(&b, "Authorization"));
    sigv4_fini(&a);
    sigv4_fini(&b);
}

static void what_cannot_be_signed_is_refused(void **state)
{
    static struct header many[SIGV4_HEADERS_MAX + 1];
    struct sigv4 s;
    (void)state;
    for (size_t i = 0; i <= SIGV4_HEADERS_MAX; i++)
        many[i] = (struct header){text("a"), text("b")};
    assert_int_equal(
        sigv4_sign(&s3_keys, &(struct sigv4_request){"GET", "x", NULL, 0, NULL, 0}, 0, &s),
        ERR_INVALID);
    sigv4_fini(&s);
    assert_int_equal(sigv4_sign(&s3_keys,
                                &(struct sigv4_request){"GET", "http://h/", many,
                                                        SIGV4_HEADERS_MAX + 1, NULL, 0},
                                0, &s),
                     ERR_INVALID);
    sigv4_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_published_vectors_hold),
        cmocka_unit_test(the_examples_of_s3_hold),
        cmocka_unit_test(a_path_is_written_as_its_service_reads_it),
        cmocka_unit_test(a_query_is_sorted_and_encoded_anew),
        cmocka_unit_test(the_host_is_what_curl_sends),
        cmocka_unit_test(what_others_may_change_is_not_signed),
        cmocka_unit_test(a_hash_of_the_flow_stands),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
