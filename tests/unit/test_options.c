/* options.h: settings say what is wrong and what to write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/options.h"

#define NEEDED                                                                                  \
    "--flows", "f", "--kafka", "k:1", "--redis", "redis://r:1", "--mysql", "mysql://u:p@m:1/d", \
        "--id-secret-file", "s"

static struct config *config;
static char why[OPTIONS_WHY];

static int read_flags(char **flags, size_t n, struct options *o)
{
    char *argv[40] = {"offpath-gateway", "run"};
    memcpy(argv + 2, flags, n * sizeof *flags);
    config_free(config);
    config = NULL;
    assert_int_equal(config_read(options_table, options_n, (int)n + 2, argv, &config, why), 0);
    return options_read(config, o, why);
}

#define READ(o, ...) \
    read_flags((char *[]){__VA_ARGS__}, sizeof((char *[]){__VA_ARGS__}) / sizeof(char *), o)

static int setup(void **state)
{
    (void)state;
    clearenv(); /* of the machine the test runs on */
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    config_free(config);
    config = NULL;
    return 0;
}

static void has_safe_defaults(void **state)
{
    struct options o;
    (void)state;
    assert_int_equal(READ(&o, NEEDED), 0);
    assert_string_equal(o.listen, "127.0.0.1:8480");
    assert_string_equal(o.admin, "127.0.0.1:8481");
    assert_string_equal(o.public_url, "");
    assert_int_equal(o.threads, 256);
    assert_int_equal(o.per_address, 128);
    assert_int_equal(o.header_max, 32768);
    assert_int_equal(o.header_ms, 10000);
    assert_int_equal(o.body_ms, 30000);
    assert_int_equal(o.publish_ms, 10000);
    assert_int_equal(o.drain_wait_ms, 5000);
    assert_int_equal(o.log_level, LOG_INFO);
    assert_false(o.log_json);
}

static void names_what_is_missing_and_what_to_write(void **state)
{
    struct options o;
    (void)state;
    assert_int_equal(READ(&o, "--kafka", "k:1"), ERR_INVALID);
    assert_string_equal(why,
                        "--flows (OFFPATH_FLOWS) is not set; name the folder of your flow files");
    assert_int_equal(READ(&o, "--flows", "f", "--kafka", "k:1", "--redis", "r", "--mysql", "m"),
                     ERR_INVALID);
    assert_non_null(strstr(why, "(OFFPATH_ID_SECRET_FILE) is not set"));
    assert_non_null(strstr(why, "head -c 32 /dev/urandom"));
}

/* A gateway that others can reach lets nobody in without a token. */
static void takes_users_of_a_demonstration_at_loopback_only(void **state)
{
    struct options o;
    (void)state;
#define DEMO NEEDED, "--demo-users", "alice,bob", "--jwt-hs256-file", "s"
    assert_int_equal(READ(&o, NEEDED), 0);
    assert_null(o.demo_users);
    assert_int_equal(READ(&o, DEMO), 0);
    assert_string_equal(o.demo_users, "alice,bob");
    assert_int_equal(READ(&o, DEMO, "--listen", "[::1]:0"), 0);
    assert_int_equal(READ(&o, DEMO, "--listen", "0.0.0.0:8480"), ERR_INVALID);
    assert_non_null(strstr(why, "--demo-users (OFFPATH_DEMO_USERS) is \"alice,bob\""));
    assert_non_null(strstr(why, "--listen must be at 127.0.0.1"));
    assert_int_equal(READ(&o, DEMO, "--listen", "10.0.0.1:8480"), ERR_INVALID);
    assert_int_equal(READ(&o, DEMO, "--public-url", "https://jobs.example"), ERR_INVALID);
    assert_int_equal(READ(&o, DEMO, "--trusted-proxies", "127.0.0.1"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--demo-users", "alice"), ERR_INVALID);
    assert_non_null(strstr(why, "set --jwt-hs256-file"));
    assert_int_equal(READ(&o, NEEDED, "--jwt-hs256-file", "s", "--demo-users", "Al"), ERR_INVALID);
#undef DEMO
}

static void refuses_what_is_out_of_range(void **state)
{
    struct options o;
    (void)state;
    assert_int_equal(READ(&o, NEEDED, "--threads", "15"), ERR_INVALID);
    assert_string_equal(why,
                        "--threads (OFFPATH_THREADS) is \"15\"; write a number from 16 to 2048");
    assert_int_equal(READ(&o, NEEDED, "--keep-alive", "5ms"), ERR_INVALID);
    assert_string_equal(why, "--keep-alive (OFFPATH_KEEP_ALIVE) is \"5ms\"; write at least 100ms");
    assert_int_equal(READ(&o, NEEDED, "--threads", "2049"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--threads", "2048"), 0);
    assert_int_equal(READ(&o, NEEDED, "--connections-per-address", "-1"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--connections-per-address", "257"), ERR_INVALID);
    assert_non_null(strstr(why, "--connections-per-address"));
    assert_int_equal(READ(&o, NEEDED, "--connections-per-address", "256"), 0);
    assert_int_equal(o.per_address, 256);
    assert_int_equal(READ(&o, NEEDED, "--trusted-proxies", "10.0.0.1/8"), ERR_INVALID);
    assert_non_null(strstr(why, "--trusted-proxies (OFFPATH_TRUSTED_PROXIES) is \"10.0.0.1/8\""));
    assert_non_null(strstr(why, "write 10.0.0.0/8"));
    assert_int_equal(READ(&o, NEEDED, "--trusted-proxies", "10.0.0.0/8,::1"), 0);
    assert_int_equal(o.proxies.n, 2);
    assert_int_equal(o.proxies.n, 2);
    assert_int_equal(READ(&o, NEEDED, "--cors-origins", "https://a.example *"), ERR_INVALID);
    assert_non_null(
        strstr(why, "--cors-origins (OFFPATH_CORS_ORIGINS) is \"https://a.example *\""));
    assert_non_null(strstr(why, "\"*\" would let any page read answers"));
    assert_int_equal(READ(&o, NEEDED, "--cors-origins", "https://a.example"), 0);
    assert_int_equal(o.cors.n, 1);
    assert_int_equal(READ(&o, NEEDED, "--header-max", "2047"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--header-max", "2048"), 0);
    assert_int_equal(o.header_max, 2048);
    assert_int_equal(READ(&o, NEEDED, "--overload-floor", "-1"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--body-deadline", "0s"), ERR_INVALID);
    assert_non_null(strstr(why, "--body-deadline"));
    assert_int_equal(READ(&o, NEEDED, "--header-deadline", "99ms"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--keep-alive", "0s"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--publish-deadline", "0s"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--publish-deadline", "100ms"), 0);
    assert_int_equal(READ(&o, NEEDED, "--public-url", "javascript:alert"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--public-url", "https://a\"b"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--public-url", "https://[::1]:8443/jobs"), 0);
    assert_int_equal(READ(&o, NEEDED, "--log", "xml"), ERR_INVALID);
    assert_string_equal(why, "--log (OFFPATH_LOG) is \"xml\"; write text or json");
    assert_int_equal(READ(&o, NEEDED, "--log-level", "loud"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--public-url", "https://o/"), ERR_INVALID);
    assert_int_equal(READ(&o, NEEDED, "--public-url", "https://o", "--log", "json"), 0);
    assert_true(o.log_json);
}

static void reads_the_environment(void **state)
{
    struct options o;
    (void)state;
    setenv("OFFPATH_LISTEN", "0.0.0.0:1", 1);
    setenv("OFFPATH_DRAIN_WAIT", "200ms", 1);
    assert_int_equal(READ(&o, NEEDED), 0);
    assert_string_equal(o.listen, "0.0.0.0:1");
    assert_int_equal(o.drain_wait_ms, 200);
    assert_int_equal(o.gateways, 1);
    setenv("OFFPATH_GATEWAYS", "3", 1);
    assert_int_equal(READ(&o, NEEDED), 0);
    assert_int_equal(o.gateways, 3);
    clearenv();
    assert_int_equal(READ(&o, NEEDED, "--gateways", "2"), 0);
    assert_int_equal(o.gateways, 2);
    assert_int_equal(READ(&o, NEEDED, "--gateways", "0"), ERR_INVALID);
    assert_non_null(strstr(why, "--gateways"));
}

/* One settings file may serve both programs. */
static void takes_the_workers_settings(void **state)
{
    struct options o;
    (void)state;
    assert_int_equal(
        READ(&o, NEEDED, "--shards", "2", "--only", "f", "--lease", "15s", "--drain", "9s"), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(has_safe_defaults),
        TEST(names_what_is_missing_and_what_to_write),
        TEST(takes_users_of_a_demonstration_at_loopback_only),
        TEST(refuses_what_is_out_of_range),
        TEST(reads_the_environment),
        TEST(takes_the_workers_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
