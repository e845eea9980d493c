#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <arpa/inet.h>
#include <cmocka.h>

#include "common/http_address.h"

struct address {
    const char *text;
    bool private;
};

static const struct address addresses[] = {
    {"8.8.8.8", false},
    {"1.1.1.1", false},
    {"172.15.255.255", false},
    {"172.32.0.0", false},
    {"100.63.255.255", false},
    {"100.128.0.0", false},
    {"192.167.255.255", false},
    {"198.17.255.255", false},
    {"198.20.0.0", false},
    {"223.255.255.255", false},
    {"11.0.0.0", false},
    {"0.0.0.0", true},
    {"0.1.2.3", true},
    {"10.0.0.1", true},
    {"10.255.255.255", true},
    {"100.64.0.0", true},
    {"100.127.255.255", true},
    {"127.0.0.1", true},
    {"127.255.255.254", true},
    {"169.254.169.254", true},
    {"172.16.0.0", true},
    {"172.31.255.255", true},
    {"192.0.0.192", true},
    {"192.168.1.1", true},
    {"198.18.0.0", true},
    {"198.19.255.255", true},
    {"224.0.0.1", true},
    {"239.255.255.255", true},
    {"240.0.0.1", true},
    {"255.255.255.255", true},
    {"2a00:1450:4001::1", false},
    {"2606:4700::1111", false},
    {"::ffff:8.8.8.8", false},
    {"64:ff9b::8.8.8.8", false},
    {"2002:0808:0808::1", false},
    {"::", true},
    {"::1", true},
    {"::127.0.0.1", true},
    {"::ffff:127.0.0.1", true},
    {"::ffff:10.0.0.1", true},
    {"::ffff:169.254.169.254", true},
    {"64:ff9b::10.0.0.1", true},
    {"2002:7f00:0001::1", true},
    {"fc00::1", true},
    {"fdff:ffff::1", true},
    {"fe80::1", true},
    {"febf::1", true},
    {"fec0::1", true},
    {"ff02::1", true},
};

static void addresses_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        uint8_t bytes[16];
        size_t len = strchr(addresses[i].text, ':') ? 16 : 4;
        assert_int_equal(inet_pton(len == 4 ? AF_INET : AF_INET6, addresses[i].text, bytes), 1);
        if (http_address_is_private(bytes, len) != addresses[i].private ||
            http_address_text_is_private(addresses[i].text) != addresses[i].private)
            fail_msg("%s", addresses[i].text);
    }
}

static void what_is_no_address_is_private(void **state)
{
    (void)state;
    assert_true(http_address_is_private((const uint8_t *)"\x08\x08\x08\x08\x08", 5));
    assert_true(http_address_is_private((const uint8_t *)"", 0));
    assert_true(http_address_text_is_private(""));
    assert_true(http_address_text_is_private("8.8.8"));
    assert_true(http_address_text_is_private("example.com"));
}

static void urls_are_checked(void **state)
{
    static const char *const good[] = {"http://a", "HTTPS://a.example:8443/x?y#z", "http://[::1]/",
                                       "http://user:word@host/%20"};
    static const char *const bad[] = {"",           "http://",    "http:///x",   "http://?x",
                                      "http://:80", "ftp://a",    "//a",         "http:/a",
                                      "http://a b", "http://a\t", "http://\xc3", "http://a\x7f"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(http_url_is_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(http_url_is_valid(bad[i]));
}

static void methods_are_upper_case_words(void **state)
{
    (void)state;
    assert_true(http_method_is_valid("GET"));
    assert_true(http_method_is_valid("PROPFIND"));
    assert_false(http_method_is_valid(""));
    assert_false(http_method_is_valid("get"));
    assert_false(http_method_is_valid("GET "));
    assert_false(http_method_is_valid("AAAAAAAAAAAAAAAAA"));
}

static void methods_are_told_apart(void **state)
{
    (void)state;
    assert_true(http_method_is_safe("GET") && http_method_is_safe("HEAD"));
    assert_false(http_method_is_safe("POST") || http_method_is_safe("PUT"));
    assert_true(http_method_has_body("POST") && http_method_has_body("PUT"));
    assert_true(http_method_has_body("PATCH"));
    assert_false(http_method_has_body("GET") || http_method_has_body("DELETE"));
}

static void socket_addresses_are_checked(void **state)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr other = {.sa_family = AF_UNIX};
    (void)state;
    assert_int_equal(inet_pton(AF_INET, "8.8.8.8", &v4.sin_addr), 1);
    assert_false(http_sockaddr_is_private((struct sockaddr *)&v4));
    assert_int_equal(inet_pton(AF_INET, "10.8.8.8", &v4.sin_addr), 1);
    assert_true(http_sockaddr_is_private((struct sockaddr *)&v4));
    assert_true(http_sockaddr_is_private((struct sockaddr *)&v6));
    assert_int_equal(inet_pton(AF_INET6, "2606:4700::1111", &v6.sin6_addr), 1);
    assert_false(http_sockaddr_is_private((struct sockaddr *)&v6));
    assert_true(http_sockaddr_is_private(&other));
}

static void lines_are(const struct http_request *r, const char *expected)
{
    struct buf line, all;
    buf_init(&line, 1000);
    buf_init(&all, 1000);
    for (size_t i = 0; http_request_line(r, i, &line); i++) {
        buf_text(&all, buf_str(&line));
        buf_text(&all, "|");
    }
    assert_string_equal(buf_str(&all), expected);
    buf_fini(&line);
    buf_fini(&all);
}

static void header_lines_are_curls(void **state)
{
    static char x[] = "X", type[] = "content-TYPE", coding[] = "accept-Encoding", value[] = "a b",
                none[] = "";
    struct header two[] = {{x, value}, {x, none}}, typed[] = {{type, value}, {coding, value}};
    (void)state;
    struct http_request r = {.method = "GET", .headers = two, .headers_n = 2};
    lines_are(&r, "X: a b|X;|Accept-Encoding: gzip|");
    r.method = "POST";
    lines_are(&r, "X: a b|X;|Accept-Encoding: gzip|Content-Type:|");
    r.body = "{}";
    r.body_len = 1 << 20;
    lines_are(&r, "X: a b|X;|Accept-Encoding: gzip|Content-Type:|Expect:|");
    r.headers = typed;
    r.headers_n = 2;
    lines_are(&r, "content-TYPE: a b|accept-Encoding: a b|Expect:|");
}

static bool header(const char *name, const char *value)
{
    struct header h = {(char *)(uintptr_t)name, (char *)(uintptr_t)value};
    return http_header_is_valid(&h);
}

static void headers_cannot_carry_others(void **state)
{
    (void)state;
    assert_true(header("X-Key", "a b\tc"));
    assert_true(header("x_1!#$%&'*+.^`|~", ""));
    assert_true(header("X", "h\xc3\xa4"));
    assert_false(header("", "a"));
    assert_false(header("X Y", "a"));
    assert_false(header("X:", "a"));
    assert_false(header("X\r\nY", "a"));
    assert_false(header("X", "a\r\nY: b"));
    assert_false(header("X", "a\nb"));
    assert_false(header("X", "\x7f"));
}

static void header_blocks_are_split(void **state)
{
    char block[] = "HTTP/1.1 200 OK\r\n"
                   "Content-Type:  text/plain; a=B \r\n"
                   "X-Empty:\r\n"
                   "X-Colon: a:b\n"
                   " folded: line\r\n"
                   ": nameless\r\n"
                   "no header at all\r\n"
                   "SET-Cookie: 1\r\n"
                   "\r\n"
                   "X-Cut: without an end";
    struct header h[16];
    (void)state;
    assert_in_range(http_headers_split(block, NULL), 4, 16);
    assert_int_equal(http_headers_split(block, h), 4);
    assert_string_equal(h[0].name, "content-type");
    assert_string_equal(h[0].value, "text/plain; a=B");
    assert_string_equal(h[1].name, "x-empty");
    assert_string_equal(h[1].value, "");
    assert_string_equal(h[2].value, "a:b");
    assert_string_equal(h[3].name, "set-cookie");
    struct http_response r = {.headers = h, .headers_n = 4};
    assert_string_equal(http_response_header(&r, "set-cookie"), "1");
    assert_null(http_response_header(&r, "Set-Cookie"));
    assert_null(http_response_header(&r, "retry-after"));
}

static void hosts_that_are_names_are_found(void **state)
{
    static const struct {
        const char *url, *name;
        unsigned port;
    } cases[] = {
        {"http://shop/", "shop", 80},
        {"https://Shop.Example.com", "shop.example.com", 443},
        {"HTTPS://shop?q=a@b:1", "shop", 443},
        {"http://user:pass@a_b-c.d.:8080/x:1@2", "a_b-c.d.", 8080},
        {"http://7up:65535#x", "7up", 65535},
        {"http://1.2.3.4.example", "1.2.3.4.example", 80},
        {"http://mylocalhost/", "mylocalhost", 80},
    };
    struct http_host host;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(http_url_host(cases[i].url, &host));
        assert_string_equal(host.name, cases[i].name);
        assert_int_equal(host.port, cases[i].port);
    }
}

static void other_hosts_are_left_alone(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/",    "http://127.1:80/",   "http://2130706433", "http://0x7F.1/",
        "http://127.0.0.1./",   "http://[::1]:8080/", "http://localhost/", "http://a.LocalHost:1/",
        "http://sh%6fp/",       "http://a@b@c/",      "http://shop:/",     "http://shop:65536/",
        "http://shop:0000080/", "http://shop:8x/",    "http://@/",         "http://shop\\x/"};
    struct http_host host;
    char url[600] = "http://";
    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++)
        if (http_url_host(urls[i], &host))
            fail_msg("%s is %s", urls[i], host.name);
    memset(url + 7, 'a', 254);
    assert_false(http_url_host(url, &host));
    url[7 + 253] = 0;
    assert_true(http_url_host(url, &host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_told_apart),
        cmocka_unit_test(what_is_no_address_is_private),
        cmocka_unit_test(urls_are_checked),
        cmocka_unit_test(methods_are_upper_case_words),
        cmocka_unit_test(methods_are_told_apart),
        cmocka_unit_test(socket_addresses_are_checked),
        cmocka_unit_test(header_lines_are_curls),
        cmocka_unit_test(headers_cannot_carry_others),
        cmocka_unit_test(header_blocks_are_split),
        cmocka_unit_test(hosts_that_are_names_are_found),
        cmocka_unit_test(other_hosts_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
