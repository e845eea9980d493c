/* worker/verbs.h: the worker's command line says what is there, and nothing else. */
#include "tests/unit/verb_program.h"

#include "worker/settings.h"
#include "worker/verbs.h"

static void asks_for_no_more_than_a_verb_needs(void **state)
{
    char *argv[] = {(char[]){"offpath-worker"}, (char[]){"topics"},  (char[]){"plan"},
                    (char[]){"--flows"},        (char[]){"nowhere"}, (char[]){"--kafka"},
                    (char[]){"k:9092"}};
    struct settings s = {0};
    struct config *c = NULL;
    char why[SETTINGS_WHY];
    (void)state;
    clearenv();
    assert_int_equal(config_read(settings_table, settings_n, 7, argv, &c, why), 0);
    assert_int_equal(settings_read_kafka(c, &s, why), 0); /* topics: no Redis, no MySQL */
    assert_string_equal(s.kafka, "k:9092");
    assert_string_equal(s.secrets, "/run/secrets");
    assert_int_equal(
        verb_check_flags(p, verb_find(p, "topics"), &(struct verb_call){.config = c}, why), 0);
    config_free(c);
}

static void refuses_flags_of_other_verbs(void **state)
{
    char *argv[] = {(char[]){"offpath-worker"}, (char[]){"run"}, (char[]){"--yes"}};
    struct config *c = NULL;
    char why[512];
    (void)state;
    clearenv();
    assert_int_equal(config_read(settings_table, settings_n, 3, argv, &c, why), 0);
    assert_int_equal(
        verb_check_flags(p, verb_find(p, "run"), &(struct verb_call){.config = c}, why),
        ERR_INVALID);
    assert_string_equal(why, "`run` knows no --yes; `offpath-worker run --help` lists its flags");
    config_free(c);
}

static void knows_the_nearest_verb(void **state)
{
    char why[512];
    (void)state;
    verb_unknown(p, "topcis", why);
    assert_string_equal(why, "there is no \"topcis\"; did you mean `topics`?");
    assert_null(verb_find(p, "simulate"));
}

int main(void)
{
    p = &worker_program;
    const struct CMUnitTest tests[] = {
        VERB_PROGRAM_TESTS,
        cmocka_unit_test(asks_for_no_more_than_a_verb_needs),
        cmocka_unit_test(refuses_flags_of_other_verbs),
        cmocka_unit_test(knows_the_nearest_verb),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
