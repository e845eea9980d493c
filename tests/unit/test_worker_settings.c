/* Settings of the worker: what `run` needs, and the line that says what is wrong. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "worker/preflight.h"
#include "worker/settings.h"

static char why[SETTINGS_WHY];

/* argv behind the program's name and the four settings that must be there */
static int read_with(const char *flag, const char *value, struct settings *out, struct config **c)
{
    char *argv[] = {(char[]){"worker"},      (char[]){"run"},
                    (char[]){"--flows"},     (char[]){"tests/shops/flows"},
                    (char[]){"--kafka"},     (char[]){"k:9092"},
                    (char[]){"--redis"},     (char[]){"redis://r"},
                    (char[]){"--mysql"},     (char[]){"mysql://u:secret@m/db"},
                    (char *)(uintptr_t)flag, (char *)(uintptr_t)value};
    why[0] = 0;
    assert_int_equal(config_read(settings_table, settings_n, flag ? 12 : 10, argv, c, why), 0);
    return settings_read(*c, out, why);
}

static void defaults_are_good(void **state)
{
    (void)state;
    struct settings s;
    struct config *c;
    assert_int_equal(read_with(NULL, NULL, &s, &c), 0);
    assert_int_equal(s.shards, 1);
    assert_int_equal(s.lease_ms, 15000);
    assert_int_equal(s.drain_ms, 100000);
    assert_int_equal(s.only_n, 0);
    assert_false(s.log_json);
    settings_fini(&s);
    config_free(c);
}

static void refuse(const char *flag, const char *value, const char *says)
{
    struct settings s = {.shards = 99};
    struct config *c;
    assert_int_equal(read_with(flag, value, &s, &c), ERR_INVALID);
    assert_int_equal(s.shards, 99); /* untouched */
    assert_non_null(strstr(why, says));
    config_free(c);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    refuse("--shards", "0", "shards");
    refuse("--shards", "65", "1 to 64");
    refuse("--lease", "10ms", "lease");
    refuse("--log", "xml", "text or json");
    refuse("--log-level", "loud", "log-level");
    refuse("--only", "a,,b", "only");
}

static void needed_ones_are_asked_for(void **state)
{
    (void)state;
    char *argv[] = {(char[]){"worker"}, (char[]){"run"}};
    struct config *c;
    struct settings s;
    assert_int_equal(config_read(settings_table, settings_n, 2, argv, &c, why), 0);
    assert_int_equal(settings_read(c, &s, why), ERR_INVALID);
    assert_non_null(strstr(why, "--flows is not set"));
    config_free(c);
}

static void only_is_a_list(void **state)
{
    (void)state;
    struct settings s;
    struct config *c;
    assert_int_equal(read_with("--only", "digest,price-compare", &s, &c), 0);
    assert_int_equal(s.only_n, 2);
    assert_string_equal(s.only[0], "digest");
    assert_string_equal(s.only[1], "price-compare");
    char text[PREFLIGHT_WHY];
    struct flow f = {.name = "digest"};
    const struct flow_set set = {.flows = &f, .flows_n = 1};
    assert_int_equal(preflight_only(&s, &set, text), ERR_INVALID);
    assert_non_null(strstr(text, "price-compare"));
    s.only[1] = "digset";
    assert_int_equal(preflight_only(&s, &set, text), ERR_INVALID);
    assert_non_null(strstr(text, "there is no flow \"digset\" in "));
    assert_non_null(strstr(text, "; did you mean `digest`?"));
    settings_fini(&s);
    config_free(c);
}

/* One settings file may serve both programs. */
static void the_gateways_settings_are_known(void **state)
{
    (void)state;
    struct settings s;
    struct config *c;
    assert_int_equal(read_with("--gateways", "3", &s, &c), 0);
    assert_null(s.issuer);
    settings_fini(&s);
    config_free(c);
    assert_int_equal(
        read_with("--jwt-issuers", "# ours\n\n https://a jwks=k\nhttps://b jwks=l\n", &s, &c), 0);
    assert_string_equal(s.issuer, "https://a");
    settings_fini(&s);
    config_free(c);
    assert_int_equal(read_with("--jwt-issuer", "https://c", &s, &c), 0);
    assert_string_equal(s.issuer, "https://c");
    settings_fini(&s);
    config_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_good),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(needed_ones_are_asked_for),
        cmocka_unit_test(only_is_a_list),
        cmocka_unit_test(the_gateways_settings_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
