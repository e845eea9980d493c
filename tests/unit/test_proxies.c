/* proxies.h: X-Forwarded-For counts as far as our own proxies wrote it, and no further. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "gateway/http.h"
#include "gateway/proxies.h"

#define LONG "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:ddddd"

static const char ours[] = "10.0.0.0/8, 192.0.2.7 2001:db8:1::/48";

/* Who is counted; line, line2: X-Forwarded-For in the order of the head, NULL: none. */
static const char *client2(const char *proxies, const char *peer, const char *line,
                           const char *line2)
{
    static char text[PROXIES_ADDRESS];
    static struct proxies p;
    char why[PROXIES_WHY];
    struct http_header headers[4] = {{"Host", "h"}};
    struct http_request q = {.client = peer, .headers = headers, .headers_n = 1};
    assert_int_equal(proxies_read(proxies, &p, why), 0);
    if (line)
        headers[q.headers_n++] = (struct http_header){"X-Forwarded-For", line};
    headers[q.headers_n++] = (struct http_header){"Accept", "1.2.3.4"};
    if (line2)
        headers[q.headers_n++] = (struct http_header){"x-forwarded-FOR", line2};
    return proxies_client(&p, &q, text);
}

static const char *client(const char *peer, const char *line)
{
    return client2(ours, peer, line, NULL);
}

static void believes_our_proxies_only(void **state)
{
    (void)state;
    assert_string_equal(client2("", "10.0.0.1", "203.0.113.5", NULL), "10.0.0.1");
    assert_string_equal(client2(NULL, "10.0.0.1", "203.0.113.5", NULL), "10.0.0.1");
    assert_string_equal(client("198.51.100.1", "203.0.113.5"), "198.51.100.1");
    assert_string_equal(client("11.0.0.1", "203.0.113.5"), "11.0.0.1");
    assert_string_equal(client("10.0.0.1", "203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("10.255.255.255", "203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("192.0.2.7", "203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("192.0.2.8", "203.0.113.5"), "192.0.2.8");
    assert_string_equal(client("2001:db8:1:2::3", "2001:db8:9::1"), "2001:db8:9::1");
    assert_string_equal(client("2001:db8:2::3", "2001:db8:9::1"), "2001:db8:2::3");
}

static void a_proxy_that_names_nobody_is_counted_itself(void **state)
{
    (void)state;
    assert_string_equal(client("10.0.0.1", NULL), "10.0.0.1");
    assert_string_equal(client("10.0.0.1", ""), "10.0.0.1");
    assert_string_equal(client("10.0.0.1", " , ,"), "10.0.0.1");
}

static void what_a_client_wrote_itself_stands_left_and_is_not_read(void **state)
{
    (void)state;
    assert_string_equal(client("10.0.0.1", "1.1.1.1, 10.9.9.9, 203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("10.0.0.1", "1.1.1.1,203.0.113.5 , 10.2.0.1,\t10.3.0.1"),
                        "203.0.113.5");
    assert_string_equal(client2(ours, "10.0.0.1", "1.1.1.1", "203.0.113.5, 10.0.0.2"),
                        "203.0.113.5");
    assert_string_equal(client2(ours, "10.0.0.1", "1.1.1.1, 203.0.113.5", "10.0.0.2"),
                        "203.0.113.5");
}

static void within_our_own_networks_the_leftmost_counts(void **state)
{
    struct buf many = {0};
    (void)state;
    assert_string_equal(client("10.0.0.1", "10.4.4.4, 10.0.0.2"), "10.4.4.4");
    buf_text(&many, "10.7.7.7");
    for (int i = 0; i < 1000; i++)
        buf_text(&many, ", 10.0.0.2");
    assert_string_equal(client("10.0.0.1", buf_str(&many)), "10.7.7.7");
    buf_fini(&many);
}

static void behind_what_is_no_address_nothing_is_believed(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "unknown",          "_hidden",         "203.0.113", "203.0.113.5.6",   "203.0.113.5:",
        "203.0.113.5:http", "[2001:db8::1",    "[]",        "[203.0.113.5]",   "[2001:db8::1]x",
        "2001:db8::1%eth0", "\"203.0.113.5\"", "0x7f.1",    "1.2.3.4 5.6.7.8", LONG};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char line[160];
        snprintf(line, sizeof line, "203.0.113.9, %s, 10.0.0.2", bad[i]);
        assert_string_equal(client("10.0.0.1", line), "10.0.0.2");
    }
    assert_string_equal(client("10.0.0.1", "unknown"), "10.0.0.1");
}

static void addresses_come_with_ports_and_in_several_forms(void **state)
{
    (void)state;
    assert_string_equal(client("10.0.0.1", "203.0.113.5:4711"), "203.0.113.5");
    assert_string_equal(client("10.0.0.1", "[2001:db8:9::1]:443"), "2001:db8:9::1");
    assert_string_equal(client("10.0.0.1", "[2001:db8:9::1]"), "2001:db8:9::1");
    assert_string_equal(client("10.0.0.1", "2001:DB8:9:0:0:0:0:1"), "2001:db8:9::1");
    assert_string_equal(client("::ffff:10.0.0.1", "203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("10.0.0.1", "203.0.113.5, ::ffff:10.0.0.2"), "203.0.113.5");
    assert_string_equal(client("10.0.0.1", "::ffff:203.0.113.5"), "203.0.113.5");
    assert_string_equal(client("10.0.0.1", "1.1.1.1, 203.0.113.5, [2001:db8:1::9]:80"),
                        "203.0.113.5");
}

static void a_network_of_one_family_holds_none_of_the_other(void **state)
{
    (void)state;
    assert_string_equal(client2("::/0", "10.0.0.1", "203.0.113.5", NULL), "10.0.0.1");
    assert_string_equal(client2("::/0", "fe80::1", "203.0.113.5", NULL), "203.0.113.5");
    assert_string_equal(client2("0.0.0.0/0", "fe80::1", "203.0.113.5", NULL), "fe80::1");
    assert_string_equal(client2("0.0.0.0/0", "10.0.0.1", "203.0.113.5", NULL), "203.0.113.5");
    assert_string_equal(client2("::ffff:10.0.0.0/104", "10.0.0.1", "203.0.113.5", NULL),
                        "203.0.113.5");
    assert_string_equal(client2("10.128.0.0/9", "10.127.0.1", "203.0.113.5", NULL), "10.127.0.1");
    assert_string_equal(client2("10.128.0.0/9", "10.129.0.1", "203.0.113.5", NULL), "203.0.113.5");
}

static void refuses_what_is_no_network(void **state)
{
    (void)state;
    static const struct {
        const char *text, *told;
    } bad[] = {{"10.0.0.0/8, ingress", "\"ingress\" is no address"},
               {"10.0.0.0/33", "\"10.0.0.0/33\" has no length"},
               {"10.0.0.0/", "has no length"},
               {"10.0.0.0/8/8", "has no length"},
               {"10.0.0.0/-1", "has no length"},
               {"10.0.0.0/0008", "has no length"},
               {"2001:db8::/129", "has no length"},
               {"10.1.2.3/8", "write 10.0.0.0/8"},
               {"2001:db8::1/32", "write 2001:db8::/32"},
               {"/8", "is no address"}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct proxies p = {.n = 7};
        char why[PROXIES_WHY] = "";
        assert_int_equal(proxies_read(bad[i].text, &p, why), ERR_INVALID);
        assert_non_null(strstr(why, bad[i].told));
        assert_int_equal(p.n, 7);
    }
}

static void takes_no_more_networks_than_it_holds(void **state)
{
    struct proxies p;
    struct buf text = {0};
    char why[PROXIES_WHY];
    (void)state;
    for (int i = 0; i < PROXIES_MAX; i++)
        buf_text(&text, "10.0.0.1\n");
    assert_int_equal(proxies_read(buf_str(&text), &p, why), 0);
    assert_int_equal(p.n, PROXIES_MAX);
    buf_text(&text, "10.0.0.2");
    assert_int_equal(proxies_read(buf_str(&text), &p, why), ERR_INVALID);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(believes_our_proxies_only),
        cmocka_unit_test(a_proxy_that_names_nobody_is_counted_itself),
        cmocka_unit_test(what_a_client_wrote_itself_stands_left_and_is_not_read),
        cmocka_unit_test(within_our_own_networks_the_leftmost_counts),
        cmocka_unit_test(behind_what_is_no_address_nothing_is_believed),
        cmocka_unit_test(addresses_come_with_ports_and_in_several_forms),
        cmocka_unit_test(a_network_of_one_family_holds_none_of_the_other),
        cmocka_unit_test(refuses_what_is_no_network),
        cmocka_unit_test(takes_no_more_networks_than_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
