#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/config.h"
#include "common/log.h"

static const struct config_option table[] = {
    {"kafka", CONFIG_TEXT, "localhost:9092", "HOST:PORT,...", "Kafka servers"},
    {"mysql", CONFIG_SECRET, NULL, "URL", "MySQL"},
    {"shards", CONFIG_NUMBER, "1", "N", "loops"},
    {"lease", CONFIG_DURATION, "15s", "TIME", "lease"},
    {"yes", CONFIG_BOOL, NULL, NULL, "do not ask"},
    {"id-secret", CONFIG_SECRET, NULL, "TEXT", "secret of ids"},
    {"ports-file", CONFIG_TEXT, NULL, "FILE", "where to write the ports taken"},
    {"ports", CONFIG_TEXT, NULL, "LIST", "only to have a pair of names"},
    {"listen", CONFIG_TEXT, NULL, "HOST:PORT", NULL}, /* the other program's */
};
enum { N = sizeof table / sizeof table[0] };

static char why[512];
static char folder[] = "/tmp/offpath-config-XXXXXX";

static int read_args(struct config **c, int argc, const char *const *args)
{
    char *argv[16] = {(char *)(size_t) "program"};
    for (int i = 0; i < argc; i++)
        argv[i + 1] = (char *)(size_t)args[i];
    memset(why, 'x', sizeof why);
    return config_read(table, N, argc + 1, argv, c, why);
}

#define ARGS(...)                                                                        \
    (int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *const[]) \
    {                                                                                    \
        __VA_ARGS__                                                                      \
    }

static struct config *must_read(int argc, const char *const *args)
{
    struct config *c = NULL;
    if (read_args(&c, argc, args))
        fail_msg("%s", why);
    return c;
}

static void check_refused(const char *want, int argc, const char *const *args)
{
    struct config *c = NULL;
    assert_int_equal(read_args(&c, argc, args), ERR_INVALID);
    assert_string_equal(why, want);
    assert_null(c);
}

static const char *write_file(const char *name, const char *text)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
    return path;
}

static int clean(void **state)
{
    (void)state;
    static const char *const names[] = {"KAFKA", "KAFKA_FILE", "MYSQL",  "MYSQL_FILE", "SHARDS",
                                        "YES",   "PORTS_FILE", "CONFIG", "LEASE"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char name[64];
        snprintf(name, sizeof name, "OFFPATH_%s", names[i]);
        unsetenv(name);
    }
    return 0;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = must_read(0, NULL);
    assert_string_equal(config_text(c, "kafka"), "localhost:9092");
    assert_string_equal(config_origin(c, "kafka"), "default");
    assert_null(config_text(c, "mysql"));
    assert_int_equal(config_number(c, "shards"), 1);
    assert_int_equal(config_ms(c, "lease"), 15000);
    assert_false(config_bool(c, "yes"));
    assert_null(config_text(c, "nonsense"));
    assert_int_equal(config_number(c, "nonsense"), 0);
    config_free(c);
    config_free(NULL);
}

static void test_flags_stand_anywhere_among_positionals(void **state)
{
    (void)state;
    const char *const *rest;
    struct config *c = must_read(ARGS("topics", "--shards", "-4", "apply", "--yes", "--kafka=a:1=b",
                                      "-", "--", "--x", "last"));
    assert_int_equal(config_positionals(c, &rest), 5);
    static const char *const want[] = {"topics", "apply", "-", "--x", "last"};
    for (int i = 0; i < 5; i++)
        assert_string_equal(rest[i], want[i]);
    assert_int_equal(config_number(c, "shards"), -4);
    assert_true(config_bool(c, "yes"));
    assert_string_equal(config_text(c, "kafka"), "a:1=b");
    assert_string_equal(config_origin(c, "kafka"), "flag");
    config_free(c);
    c = must_read(ARGS("--yes=false", "--kafka", "a", "--kafka", "b", "--ports_file", "p"));
    assert_false(config_bool(c, "yes"));
    assert_string_equal(config_text(c, "kafka"), "b");
    assert_string_equal(config_text(c, "ports-file"), "p");
    config_free(c);
}

static void test_flags_that_are_wrong_say_what_to_do(void **state)
{
    (void)state;
    check_refused("unknown flag --kafak; did you mean --kafka?", ARGS("--kafak", "x"));
    check_refused("unknown flag --confg; did you mean --config?", ARGS("--confg=x"));
    check_refused("unknown flag --hlep; did you mean --help?", ARGS("--hlep"));
    check_refused("unknown flag --zzzzzz; --help lists them", ARGS("--zzzzzz"));
    check_refused("unknown flag -k; flags have two dashes, --help lists them", ARGS("-k"));
    check_refused("--kafka needs a value: --kafka HOST:PORT,...", ARGS("--kafka"));
    check_refused("--kafka needs a value: --kafka HOST:PORT,...", ARGS("--kafka", "--yes"));
    check_refused("--mysql is a secret and everybody can read flags; set OFFPATH_MYSQL_FILE to a "
                  "file that holds it",
                  ARGS("--mysql", "mysql://root:root@h/d"));
    check_refused("--shards: \"two\" is not a whole number", ARGS("--shards=two"));
    check_refused("--shards: \"9223372036854775808\" is not a whole number",
                  ARGS("--shards", "9223372036854775808"));
    check_refused("--yes: \"maybe\" is not true or false", ARGS("--yes=maybe"));
    check_refused("--lease: \"15\" is not a duration: 200ms, 3s, 5m, 2h or 30d",
                  ARGS("--lease", "15"));
}

static void test_environment_beats_default_and_flag_beats_it(void **state)
{
    (void)state;
    setenv("OFFPATH_KAFKA", "env:1", 1);
    setenv("OFFPATH_SHARDS", "7", 1);
    setenv("OFFPATH_YES", "true", 1);
    setenv("OFFPATH_LEASE", "", 1); /* empty: unset */
    struct config *c = must_read(ARGS("--shards", "9"));
    assert_string_equal(config_text(c, "kafka"), "env:1");
    assert_string_equal(config_origin(c, "kafka"), "OFFPATH_KAFKA");
    assert_int_equal(config_number(c, "shards"), 9);
    assert_string_equal(config_origin(c, "shards"), "flag");
    assert_true(config_bool(c, "yes"));
    assert_int_equal(config_ms(c, "lease"), 15000);
    config_free(c);
    setenv("OFFPATH_SHARDS", "many", 1);
    check_refused("OFFPATH_SHARDS: \"many\" is not a whole number", 0, NULL);
}

static void test_a_variable_may_name_a_file(void **state)
{
    (void)state;
    setenv("OFFPATH_MYSQL_FILE", write_file("url", "mysql://u:file-pw@h/d\n"), 1);
    struct config *c = must_read(0, NULL);
    assert_string_equal(config_text(c, "mysql"), "mysql://u:file-pw@h/d");
    assert_string_equal(config_origin(c, "mysql"), "OFFPATH_MYSQL_FILE");
    config_free(c);
    setenv("OFFPATH_MYSQL", "x", 1);
    check_refused("OFFPATH_MYSQL and OFFPATH_MYSQL_FILE are both set; unset one", 0, NULL);
    unsetenv("OFFPATH_MYSQL");
    setenv("OFFPATH_MYSQL_FILE", "/nonexistent/url", 1);
    check_refused("OFFPATH_MYSQL_FILE: /nonexistent/url cannot be read: No such file or directory",
                  0, NULL);
    unsetenv("OFFPATH_MYSQL_FILE");
    setenv("OFFPATH_PORTS_FILE", "/nonexistent/ports", 1); /* an option of its own: a path */
    c = must_read(0, NULL);
    assert_string_equal(config_text(c, "ports-file"), "/nonexistent/ports");
    assert_null(config_text(c, "ports"));
    config_free(c);
}

static void test_a_file_too_large_for_a_variable_is_refused(void **state)
{
    (void)state;
    char *big = calloc(1, 70000), want[400];
    memset(big, 'x', 69999);
    const char *path = write_file("big", big);
    setenv("OFFPATH_KAFKA_FILE", path, 1);
    snprintf(want, sizeof want, "OFFPATH_KAFKA_FILE: %s is no text file of at most 64 KB", path);
    check_refused(want, 0, NULL);
    free(big);
}

static void test_file_beats_default_and_environment_beats_it(void **state)
{
    (void)state;
    const char *path = write_file("a.yaml", "# settings\nkafka: file:1\nshards: 3\nlease: 2m\n"
                                            "yes: true\nlisten: :80\nports_file: null\n"
                                            "mysql: mysql://u:yaml-pw@h/d\n");
    char origin[300];
    setenv("OFFPATH_SHARDS", "5", 1);
    struct config *c = must_read(ARGS("--config", path, "--lease=1h"));
    assert_string_equal(config_text(c, "kafka"), "file:1");
    snprintf(origin, sizeof origin, "%s:2", path);
    assert_string_equal(config_origin(c, "kafka"), origin);
    assert_string_equal(config_text(c, "config"), path);
    assert_int_equal(config_number(c, "shards"), 5);
    assert_int_equal(config_ms(c, "lease"), 3600000);
    assert_true(config_bool(c, "yes"));
    assert_null(config_text(c, "ports-file"));
    assert_string_equal(config_text(c, "mysql"), "mysql://u:yaml-pw@h/d");
    config_free(c);
    setenv("OFFPATH_CONFIG", path, 1);
    c = must_read(0, NULL);
    assert_string_equal(config_text(c, "kafka"), "file:1");
    config_free(c);
}

static void check_file_refused(const char *text, const char *want_behind_path)
{
    const char *path = write_file("b.yaml", text);
    char want[600];
    snprintf(want, sizeof want, "%s%s", path, want_behind_path);
    check_refused(want, ARGS("--config", path));
}

static void test_files_that_are_wrong_say_where(void **state)
{
    (void)state;
    struct config *c = NULL;
    check_file_refused("\n\nkafak: x\n", ":3: unknown setting `kafak`; did you mean `kafka`?");
    check_file_refused("qqqqqqq: x\n", ":1: unknown setting `qqqqqqq`");
    check_file_refused("kafka: [a, b]\n", ":1: kafka must be one value");
    check_file_refused("shards: many\n", ":1: shards: \"many\" is not a whole number");
    check_file_refused("config: other.yaml\n", ":1: config cannot stand in the file itself");
    check_file_refused("- kafka\n", ": a map of settings must stand here, `name: value`");
    assert_int_equal(read_args(&c, ARGS("--config", "/nonexistent/x.yaml")), ERR_INVALID);
    assert_non_null(strstr(why, "/nonexistent/x.yaml"));
    const char *path = write_file("c.yaml", "kafka: a\nkafka: b\n");
    assert_int_equal(read_args(&c, ARGS("--config", path)), ERR_INVALID);
    assert_non_null(strstr(why, "c.yaml:2"));
}

static void test_show_has_values_origins_and_no_secret(void **state)
{
    (void)state;
    setenv("OFFPATH_MYSQL", "mysql://u:pw@h/d", 1);
    struct config *c = must_read(ARGS("--shards", "2"));
    struct buf out;
    buf_init(&out, 0);
    config_show(c, &out);
    assert_string_equal(buf_str(&out), "kafka       localhost:9092                  default\n"
                                       "mysql       ***                             OFFPATH_MYSQL\n"
                                       "shards      2                               flag\n"
                                       "lease       15s                             default\n"
                                       "yes         (unset)                         default\n"
                                       "id-secret   (unset)                         default\n"
                                       "ports-file  (unset)                         default\n"
                                       "ports       (unset)                         default\n");
    buf_clear(&out);
    config_show_json(c, &out);
    assert_string_equal(
        buf_str(&out),
        "{\"setting\":\"kafka\",\"value\":\"localhost:9092\",\"origin\":\"default\"}\n"
        "{\"setting\":\"mysql\",\"value\":\"***\",\"origin\":\"OFFPATH_MYSQL\"}\n"
        "{\"setting\":\"shards\",\"value\":\"2\",\"origin\":\"flag\"}\n"
        "{\"setting\":\"lease\",\"value\":\"15s\",\"origin\":\"default\"}\n"
        "{\"setting\":\"yes\",\"value\":null,\"origin\":\"default\"}\n"
        "{\"setting\":\"id-secret\",\"value\":null,\"origin\":\"default\"}\n"
        "{\"setting\":\"ports-file\",\"value\":null,\"origin\":\"default\"}\n"
        "{\"setting\":\"ports\",\"value\":null,\"origin\":\"default\"}\n");
    buf_fini(&out);
    config_free(c);
}

static void shows(const char *value, const char *masked)
{
    setenv("OFFPATH_KAFKA", value, 1);
    struct config *c = must_read(ARGS("--shards", "2"));
    struct buf out;
    buf_init(&out, 0);
    config_show(c, &out);
    assert_non_null(strstr(buf_str(&out), masked));
    assert_null(strstr(buf_str(&out), "pa55"));
    buf_fini(&out);
    config_free(c);
}

static void test_show_masks_passwords_in_texts(void **state)
{
    (void)state;
    shows("mysql://user:pa55@host:1/db", "mysql://user:***@host:1/db ");
    shows("redis://:pa55@word@host", "redis://:***@host ");
    shows("a=1\nsasl.password=pa55 word\nssl.key.password=pa55", "a=1\nsasl.password=***\nssl");
    shows("sasl.oauthbearer.client.secret=abc\nb=2", "sasl.oauthbearer.client.secret=***\nb=2 ");
    shows("ssl.key.pem=-----BEGIN\\nabc=", "ssl.key.pem=*** ");
    shows("sasl.oauthbearer.config=principal=me", "sasl.oauthbearer.config=*** ");
    shows("sasl.jaas.config=x user=\"u\" password=\"p\"", "=x user=\"u\" password=*** ");
    shows("sasl.password=pa55\na.url=https://idp:8443/t\nb=c@d",
          "sasl.password=***\na.url=https://idp:8443/t\nb=c@d ");
    shows("sasl.password=ab://c:d@e", "sasl.password=*** ");
    shows("sasl.password: pa55", "sasl.password:*** ");
    shows("secret.key", "secret.key ");
    shows("user@host:1,b:2", "user@host:1,b:2 ");
    shows("http://host:1/a", "http://host:1/a ");
}

static void test_help_lists_each_option(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 0);
    config_help(table, N, &out);
    const char *text = buf_str(&out);
    assert_memory_equal(text, "  --kafka HOST:PORT,...           Kafka servers (localhost:9092)\n",
                        65);
    assert_non_null(strstr(text, "\n  OFFPATH_MYSQL_FILE              MySQL\n"));
    assert_non_null(strstr(text, "\n  --yes                           do not ask\n"));
    assert_null(strstr(text, "--listen"));
    assert_null(strstr(text, "--mysql"));
    buf_fini(&out);
}

static void test_secrets_are_masked_in_the_log(void **state)
{
    (void)state;
    setenv("OFFPATH_MYSQL", "mysql://user:pass:w@rd@host/db", 1);
    config_free(must_read(0, NULL));
    char line[512];
    int old = dup(STDERR_FILENO), pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    dup2(pipe_ends[1], STDERR_FILENO);
    log_info("x", "a", "mysql://user:pass:w@rd@host/db", "b", "wrong: pass:w@rd");
    dup2(old, STDERR_FILENO);
    ssize_t n = read(pipe_ends[0], line, sizeof line - 1);
    line[n > 0 ? n : 0] = 0;
    close(old);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_non_null(strstr(line, " a=*** b=\"wrong: ***\""));
}

static void test_durations(void **state)
{
    (void)state;
    int64_t ms = -7;
    assert_int_equal(config_parse_duration("200ms", &ms), 0);
    assert_int_equal(ms, 200);
    assert_int_equal(config_parse_duration("3s", &ms), 0);
    assert_int_equal(ms, 3000);
    assert_int_equal(config_parse_duration("5m", &ms), 0);
    assert_int_equal(ms, 300000);
    assert_int_equal(config_parse_duration("2h", &ms), 0);
    assert_int_equal(ms, 7200000);
    assert_int_equal(config_parse_duration("30d", &ms), 0);
    assert_int_equal(ms, 2592000000);
    assert_int_equal(config_parse_duration("0s", &ms), 0);
    assert_int_equal(ms, 0);
    ms = -7;
    static const char *const bad[] = {"",
                                      "5",
                                      "s",
                                      "5 s",
                                      " 5s",
                                      "5S",
                                      "-5s",
                                      "1.5s",
                                      "1h30m",
                                      "05s",
                                      "5ss",
                                      "0x5s",
                                      "5s ",
                                      "+5s",
                                      "9223372036854775807s",
                                      "99999999999999999999ms"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(config_parse_duration(bad[i], &ms), ERR_INVALID);
    assert_int_equal(ms, -7);
}

static void test_sizes(void **state)
{
    (void)state;
    size_t bytes = 7;
    assert_int_equal(config_parse_size("100B", &bytes), 0);
    assert_int_equal(bytes, 100);
    assert_int_equal(config_parse_size("16KB", &bytes), 0);
    assert_int_equal(bytes, 16384);
    assert_int_equal(config_parse_size("1MB", &bytes), 0);
    assert_int_equal(bytes, 1048576);
    assert_int_equal(config_parse_size("2GB", &bytes), 0);
    assert_int_equal(bytes, 2147483648);
    bytes = 7;
    static const char *const bad[] = {"",    "16",   "KB",    "16kb", "16 KB",
                                      "16K", "-1KB", "16MiB", "01KB", "9223372036854775807KB"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(config_parse_size(bad[i], &bytes), ERR_INVALID);
    assert_int_equal(bytes, 7);
}

static int make_folder(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    static const char *const names[] = {"url", "big", "a.yaml", "b.yaml", "c.yaml"};
    char path[256];
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_defaults, clean),
        cmocka_unit_test_setup(test_flags_stand_anywhere_among_positionals, clean),
        cmocka_unit_test_setup(test_flags_that_are_wrong_say_what_to_do, clean),
        cmocka_unit_test_setup(test_environment_beats_default_and_flag_beats_it, clean),
        cmocka_unit_test_setup(test_a_variable_may_name_a_file, clean),
        cmocka_unit_test_setup(test_a_file_too_large_for_a_variable_is_refused, clean),
        cmocka_unit_test_setup(test_file_beats_default_and_environment_beats_it, clean),
        cmocka_unit_test_setup(test_files_that_are_wrong_say_where, clean),
        cmocka_unit_test_setup(test_show_has_values_origins_and_no_secret, clean),
        cmocka_unit_test_setup(test_show_masks_passwords_in_texts, clean),
        cmocka_unit_test_setup(test_help_lists_each_option, clean),
        cmocka_unit_test_setup(test_secrets_are_masked_in_the_log, clean),
        cmocka_unit_test_setup(test_durations, clean),
        cmocka_unit_test_setup(test_sizes, clean),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
