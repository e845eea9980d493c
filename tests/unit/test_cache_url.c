/* Which Redis URLs are taken, and as what. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include "common/cache_url.h"
#include "common/server_urls.h"

static void good_urls_are_taken_apart(void **state)
{
    (void)state;
    static const struct {
        const char *url, *host;
        int port, db;
        const char *user, *password;
        bool tls;
    } good[] = {
        {"redis://h", "h", 6379, 0, "", "", false},
        {"redis://127.0.0.1:7000", "127.0.0.1", 7000, 0, "", "", false},
        {"redis://h/", "h", 6379, 0, "", "", false},
        {"redis://h:1/12", "h", 1, 12, "", "", false},
        {"redis://:pw@h", "h", 6379, 0, "", "pw", false},
        {"redis://ann:p%40%3a%2F@h:9", "h", 9, 0, "ann", "p@:/", false},
        {"redis://ann:a@b@h", "h", 6379, 0, "ann", "a@b", false},
        {"redis://ann@h", "h", 6379, 0, "ann", "", false},
        {"redis://[::1]:7000/1", "::1", 7000, 1, "", "", false},
        {"redis://[fe80::2]", "fe80::2", 6379, 0, "", "", false},
        {"rediss://h", "h", 6379, 0, "", "", true},
        {"redis://u:p%41@h", "h", 6379, 0, "u", "pA", false},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct cache_address a;
        const char *what;
        if (cache_url_parse(good[i].url, &a, &what))
            fail_msg("%s: %s", good[i].url, what);
        assert_string_equal(a.host, good[i].host);
        assert_int_equal(a.port, good[i].port);
        assert_int_equal(a.db, good[i].db);
        assert_string_equal(a.user, good[i].user);
        assert_string_equal(a.password, good[i].password);
        assert_int_equal(a.tls, good[i].tls);
    }
}

static void bad_urls_are_refused_with_a_reason(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"", "redis://"},
        {"127.0.0.1:6379", "redis://"},
        {"http://h", "redis://"},
        {"redis://", "host or port"},
        {"redis://:6379", "host or port"},
        {"redis://h:", "host or port"},
        {"redis://h:x", "host or port"},
        {"redis://h:70000", "host or port"},
        {"redis://h:99999999999", "host or port"},
        {"redis://[::1", "host or port"},
        {"redis://[::1]x", "host or port"},
        {"redis://[]", "host or port"},
        {"redis://h/x", "database"},
        {"redis://h/1/2", "database"},
        {"redis://h/-1", "database"},
        {"redis://u:%4@h", "user or password"},
        {"redis://u:%zz@h", "user or password"},
        {"redis://u:%00@h", "user or password"},
        {"redis://u:p%@h", "user or password"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cache_address a = {.port = 5};
        const char *what = "";
        assert_int_equal(cache_url_parse(bad[i][0], &a, &what), ERR_INVALID);
        if (!strstr(what, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], what);
        assert_int_equal(a.port, 5);
    }
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    char url[600];
    struct cache_address a;
    const char *what;
    snprintf(url, sizeof url, "redis://%0300d", 0);
    assert_int_equal(cache_url_parse(url, &a, &what), ERR_INVALID);
    snprintf(url, sizeof url, "redis://u:%0300d@h", 0);
    assert_int_equal(cache_url_parse(url, &a, &what), ERR_INVALID);
}

static void an_address_without_tls_is_asked_for_by_this_build(void **state)
{
    (void)state;
    struct cache_address a = {.port = 5};
    const char *what = "";
    assert_int_equal(cache_url_check("rediss://h", &a, &what), ERR_INVALID);
    assert_non_null(strstr(what, "without TLS"));
    assert_int_equal(a.port, 5);
    assert_int_equal(cache_url_check("redis://h:7", &a, &what), 0);
    assert_int_equal(a.port, 7);
    assert_int_equal(cache_url_check("h:7", &a, &what), ERR_INVALID);
}

static void a_wrong_address_is_told_with_its_setting(void **state)
{
    (void)state;
    char why[SERVER_URLS_WHY];
    assert_int_equal(server_urls_check("redis://r", "mysql://u:secret@m/db", why), 0);
    assert_int_equal(server_urls_check("redis://r/x", "mysql://u:secret@m/db", why), ERR_INVALID);
    assert_non_null(strstr(why, "--redis (OFFPATH_REDIS): after the host there may only be "));
    assert_int_equal(server_urls_check("rediss://r", "mysql://u:secret@m/db", why), ERR_INVALID);
    assert_non_null(strstr(why, "--redis (OFFPATH_REDIS): this program was built without TLS"));
    assert_int_equal(server_urls_check("redis://r", "mysql:/u:secret@m", why), ERR_INVALID);
    assert_non_null(strstr(why, "--mysql (OFFPATH_MYSQL): "));
    assert_null(strstr(why, "secret"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_urls_are_taken_apart),
        cmocka_unit_test(bad_urls_are_refused_with_a_reason),
        cmocka_unit_test(parts_that_do_not_fit_are_refused),
        cmocka_unit_test(an_address_without_tls_is_asked_for_by_this_build),
        cmocka_unit_test(a_wrong_address_is_told_with_its_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
