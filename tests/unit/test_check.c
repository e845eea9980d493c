#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/json.h"
#include "worker/check.h"
#include "worker/explain.h"

enum { OUTPUT_MAX = 256 * 1024 };
static char output[OUTPUT_MAX];

static const char *no_env(void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return NULL;
}

static void read_back(FILE *out)
{
    rewind(out);
    output[fread(output, 1, sizeof output - 1, out)] = 0;
    fclose(out);
}

static int check(struct check_settings s, const char *dir)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    s.dirs = &dir;
    s.dirs_n = dir ? 1 : 0;
    s.load.getenv = no_env;
    int code = check_run(&s, out);
    read_back(out);
    return code;
}

static void good_flows_are_counted(void **state)
{
    (void)state;
    assert_int_equal(check((struct check_settings){.json = false}, "tests/shops/flows"), 0);
    assert_string_equal(output, "1 flow, no findings\n");
    assert_int_equal(check((struct check_settings){.json = true}, "tests/shops/flows"), 0);
    assert_string_equal(output, "");
}

/* Secrets are on the machine that runs, not on the one that checks a change. */
static void secrets_are_wanted_unless_nothing_is_called(void **state)
{
    (void)state;
    struct check_settings s = {.load = {.secrets_dir = "/nowhere"}};
    assert_int_equal(check(s, "deploy/flows"), 1);
    assert_non_null(strstr(output, "error[F007]: `/nowhere/llm_key` cannot be read"));
    assert_null(strstr(output, "plain text"));
    s.load.secrets_away = true;
    assert_int_equal(check(s, "deploy/flows"), 0);
    assert_string_equal(output, "8 flows, no findings\n");
}

static void several_folders_add_up(void **state)
{
    (void)state;
    const char *const dirs[] = {"tests/shops/flows", "tests/shops/flows"};
    const struct check_settings s = {.dirs = dirs, .dirs_n = 2, .load = {.getenv = no_env}};
    FILE *out = tmpfile();
    assert_int_equal(check_run(&s, out), 0);
    read_back(out);
    assert_string_equal(output, "2 flows, no findings\n");
}

static void findings_are_printed_and_fail(void **state)
{
    (void)state;
    const struct check_settings s = {.load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    assert_int_equal(check(s, "tests/flows-bad"), 1);
    assert_non_null(strstr(output, "tests/flows-bad/jq-dash.yaml:10:16: error[F031]: "));
    assert_non_null(strstr(output, " errors, 14 warnings\n"));
    assert_null(strstr(output, "= help"));
}

static void a_terminal_gets_the_line_and_a_caret(void **state)
{
    (void)state;
    struct check_settings s = {.load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    s.excerpt = true;
    assert_int_equal(check(s, "tests/flows-bad"), 1);
    assert_non_null(strstr(output, "10 | result: $calls.a-mart.result\n"
                                   "   |                ^^^^^^\n"
                                   "   = help: a name with `-` needs quotes"));
}

static void json_gives_one_document_per_line(void **state)
{
    (void)state;
    struct check_settings s = {.load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    s.json = true;
    assert_int_equal(check(s, "tests/flows-bad"), 1);
    size_t lines = 0;
    for (char *line = output, *end; (end = strchr(line, '\n')); line = end + 1) {
        lines++;
        struct json *v = NULL;
        assert_int_equal(json_parse(line, (size_t)(end - line), NULL, &v, NULL), 0);
        assert_non_null(json_text(json_get(v, "code")));
        json_free(v);
    }
    assert_true(lines > 60);
}

static void a_missing_folder_is_a_finding_and_none_is_misuse(void **state)
{
    (void)state;
    const struct check_settings s = {.load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    assert_int_equal(check(s, "/nowhere"), 1);
    assert_non_null(strstr(output, "/nowhere: error[F001]: No such file or directory"));
    assert_int_equal(check(s, NULL), 2);
}

static void warnings_fail_only_when_denied(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_check-XXXXXX", file[64];
    assert_non_null(mkdtemp(dir));
    snprintf(file, sizeof file, "%s/one.yaml", dir);
    FILE *out = fopen(file, "we");
    assert_non_null(out);
    fputs("flow: one\ntitle: One\naccess: guests\ncalls:\n  get:\n    upstream: a-mart\n"
          "    request: {path: /x}\n",
          out);
    fclose(out);
    struct check_settings s = {.load = {.upstreams_file = "tests/shops/upstreams.yaml"}};
    assert_int_equal(check(s, dir), 0);
    assert_non_null(strstr(output, "one.yaml:5:3: warning[F051]"));
    assert_non_null(strstr(output, "\n0 errors, 1 warning\n"));
    s.deny_warnings = true;
    assert_int_equal(check(s, dir), 1);
    unlink(file);
    rmdir(dir);
}

static int servers(void *arg, FILE *out)
{
    ++*(int *)arg;
    fputs("kafka does not answer\n", out);
    return 3;
}

static void servers_are_tried_when_the_flows_are_good(void **state)
{
    (void)state;
    int asked = 0;
    struct check_settings s = {.servers = servers, .servers_arg = &asked};
    assert_int_equal(check(s, "tests/shops/flows"), 3);
    assert_int_equal(asked, 1);
    assert_non_null(strstr(output, "kafka does not answer\n"));
    assert_int_equal(check(s, "/nowhere"), 1);
    assert_int_equal(asked, 1);
}

static int explain_as(const char *code, bool json)
{
    FILE *out = tmpfile();
    assert_non_null(out);
    int status = explain_run(code, json, out);
    read_back(out);
    return status;
}

static int explain(const char *code)
{
    return explain_as(code, false);
}

static void codes_are_explained(void **state)
{
    (void)state;
    assert_int_equal(explain("F034"), 0);
    assert_non_null(strstr(output, "F034 (finding): `$name` outside"));
    assert_int_equal(explain("need-not-met"), 0);
    assert_non_null(strstr(output, "need-not-met (reason of a job): "));
    assert_int_equal(explain("http-5xx"), 0);
    assert_non_null(strstr(output, "http-5xx (error of a call): "));
    assert_int_equal(explain("deadline"), 0); /* both */
    assert_non_null(strstr(output, "(reason of a job)"));
    assert_non_null(strstr(output, "(error of a call)"));
    assert_int_equal(explain("nonsense"), 2);
    assert_string_equal(output, "");
    assert_int_equal(explain(""), 2);
}

static void codes_are_explained_as_json(void **state)
{
    struct json *v = NULL;
    (void)state;
    assert_int_equal(explain_as("F034", true), 0);
    assert_int_equal(json_parse(output, strlen(output), NULL, &v, NULL), 0);
    assert_string_equal(json_text(json_get(v, "code")), "F034");
    assert_string_equal(json_text(json_get(v, "kind")), "finding");
    assert_non_null(json_text(json_get(v, "title")));
    assert_non_null(json_text(json_get(v, "help")));
    json_free(v);
    assert_int_equal(explain_as("deadline", true), 0); /* both, a line each */
    assert_non_null(strstr(output, "}\n{\"code\":\"deadline\",\"kind\":\"error of a call\""));
    assert_int_equal(explain_as(NULL, true), 0);
    assert_memory_equal(output, "{\"code\":\"F001\"", 14);
    assert_null(strstr(output, "\nfinding"));
}

static void all_codes_are_listed(void **state)
{
    (void)state;
    assert_int_equal(explain(NULL), 0);
    assert_non_null(strstr(output, "  F001 "));
    assert_non_null(strstr(output, "  crashed-worker "));
    assert_non_null(strstr(output, "  breaker-open "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_flows_are_counted),
        cmocka_unit_test(secrets_are_wanted_unless_nothing_is_called),
        cmocka_unit_test(several_folders_add_up),
        cmocka_unit_test(findings_are_printed_and_fail),
        cmocka_unit_test(a_terminal_gets_the_line_and_a_caret),
        cmocka_unit_test(json_gives_one_document_per_line),
        cmocka_unit_test(a_missing_folder_is_a_finding_and_none_is_misuse),
        cmocka_unit_test(warnings_fail_only_when_denied),
        cmocka_unit_test(servers_are_tried_when_the_flows_are_good),
        cmocka_unit_test(codes_are_explained),
        cmocka_unit_test(codes_are_explained_as_json),
        cmocka_unit_test(all_codes_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
