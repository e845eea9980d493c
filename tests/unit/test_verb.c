/* verb.h, gateway/verbs.h: the command line says what is there, and nothing else. */
#include "tests/unit/verb_program.h"

#include "common/job.h"
#include "gateway/options.h"
#include "gateway/verbs.h"

/* line: words with a space between. */
static int check_line(const char *line, char why[512])
{
    char text[200], *argv[8] = {(char *)"offpath-gateway"};
    int argc = 1;
    struct verb_call call = {0};
    struct config *c = NULL;
    snprintf(text, sizeof text, "%s", line);
    for (char *save, *w = strtok_r(text, " ", &save); w; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    assert_int_equal(config_read(options_table, options_n, argc, argv, &c, why), 0);
    call.config = c;
    call.words_n = config_positionals(c, &call.words);
    int err = verb_check_flags(p, verb_find(p, argv[1]), &call, why);
    config_free(c);
    return err;
}

static int check(const char *verb, const char *flag, const char *value, char why[512])
{
    char line[200];
    snprintf(line, sizeof line, "%s %s %s", verb, flag, value ? value : "");
    return check_line(line, why);
}

static void refuses_flags_of_other_verbs(void **state)
{
    char why[512];
    (void)state;
    clearenv();
    assert_int_equal(check("run", "--key", "x", why), ERR_INVALID);
    assert_string_equal(why, "`run` knows no --key; `offpath-gateway run --help` lists its flags");
    assert_int_equal(check("flows", "--dry-run", NULL, why), ERR_INVALID);
    assert_int_equal(check("send", "--dry-run", NULL, why), 0);
    assert_int_equal(check("send", "--listen", "127.0.0.1:1", why), 0);
    assert_int_equal(check("check", "--show", NULL, why), 0);
    assert_int_equal(check("run", "--show", NULL, why), ERR_INVALID);
    setenv("OFFPATH_KEY", "of the environment", 1); /* for all verbs */
    assert_int_equal(check("run", "--listen", "127.0.0.1:1", why), 0);
    clearenv();
}

static void refuses_flags_of_other_words(void **state)
{
    char why[512];
    (void)state;
    clearenv();
    assert_int_equal(check_line("jobs show 3f9a2c41 --state failed", why), ERR_INVALID);
    assert_string_equal(why, "`jobs show` knows no --state; `jobs list` does");
    assert_int_equal(check_line("jobs cancel 3f9a2c41 --limit 3", why), ERR_INVALID);
    assert_int_equal(check_line("jobs --since 2h watch 3f9a2c41", why), ERR_INVALID);
    assert_int_equal(check_line("jobs watch 3f9a2c41 --json --timeout 3s", why), 0);
    assert_int_equal(check_line("jobs list --state failed", why), 0);
    assert_int_equal(check_line("jobs --state failed", why), 0);      /* which lists */
    assert_int_equal(check_line("jobs lsit --state failed", why), 0); /* there is no such word */
    setenv("OFFPATH_STATE", "failed", 1);
    assert_int_equal(check_line("jobs show 3f9a2c41", why), 0);
    clearenv();
}

static void knows_the_nearest_verb(void **state)
{
    char why[512];
    (void)state;
    verb_unknown(p, "jbos", why);
    assert_string_equal(why, "there is no \"jbos\"; did you mean `jobs`?");
    verb_unknown(p, "zzzzzz", why);
    assert_string_equal(why, "there is no \"zzzzzz\"; --help lists the verbs");
    assert_null(verb_find(p, "drain"));
}

static void keeps_secrets_out_of_flags(void **state)
{
    static const char *const kinds[] = {"bash", "zsh", "man"};
    struct buf out = {0};
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        buf_clear(&out);
        assert_int_equal(verb_print(p, kinds[k], &out), 0);
        assert_non_null(strstr(buf_str(&out), k == 2 ? "\\-\\-no\\-wait" : "--no-wait"));
        assert_null(strstr(buf_str(&out), "--token "));
        assert_null(strstr(buf_str(&out), "\\-\\-token"));
    }
    buf_fini(&out);
}

/* Shells offer the words of a placeholder: those that are taken. */
static void offers_the_states_of_jobs(void **state)
{
    struct buf out = {0};
    (void)state;
    for (int s = 0; s < 100; s++)
        if (strcmp(job_state_name((enum job_state)s), "?") != 0)
            buf_printf(&out, "%s%s", out.len ? "|" : "", job_state_name((enum job_state)s));
    for (size_t i = 0; i < options_n; i++)
        if (strcmp(options_table[i].name, "state") == 0)
            assert_string_equal(options_table[i].placeholder, buf_str(&out));
    buf_fini(&out);
}

int main(void)
{
    p = &gateway_program;
    const struct CMUnitTest tests[] = {
        VERB_PROGRAM_TESTS,
        cmocka_unit_test(refuses_flags_of_other_verbs),
        cmocka_unit_test(refuses_flags_of_other_words),
        cmocka_unit_test(knows_the_nearest_verb),
        cmocka_unit_test(keeps_secrets_out_of_flags),
        cmocka_unit_test(offers_the_states_of_jobs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
