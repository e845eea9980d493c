/* The verb `migrate` against a real server. */
#include "tests/adapter/record_db.h"
#include "worker/migrate.h"

struct run {
    int code;
    char out[20000], err[1000];
};

static void read_back(FILE *f, char *to, size_t size)
{
    rewind(f);
    size_t n = fread(to, 1, size - 1, f);
    to[n] = 0;
    fclose(f);
}

static struct run *run(const char *url, const char *verb, bool yes, const char *typed)
{
    static struct run r;
    struct record_settings s = {.url = url, .connect_ms = 1000, .io_ms = 10000};
    struct operator_io io = {
        .out = tmpfile(), .err = tmpfile(), .in = tmpfile(), .terminal = typed != NULL, .yes = yes};
    assert_true(io.out && io.err && io.in);
    if (typed)
        fputs(typed, io.in);
    rewind(io.in);
    r.code = migrate_run(&s, NULL, verb, &io);
    read_back(io.out, r.out, sizeof r.out);
    read_back(io.err, r.err, sizeof r.err);
    fclose(io.in);
    return &r;
}

static void a_plan_is_printed_and_nothing_done_unconfirmed(void **state)
{
    struct db *d = *state;
    struct run *r = run(d->url, "status", false, NULL);
    assert_int_equal(r->code, 1);
    r = run(d->url, "plan", false, NULL);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "CREATE TABLE op_job"));
    r = run(d->url, "apply", false, NULL);
    assert_int_equal(r->code, 5);
    assert_non_null(strstr(r->out, "CREATE TABLE op_job")); /* the plan first */
    assert_non_null(strstr(r->err, "--yes"));
    r = run(d->url, "apply", false, "no\n");
    assert_int_equal(r->code, 5);
    assert_int_equal(run(d->url, "status", false, NULL)->code, 1);
}

static void yes_applies_once(void **state)
{
    struct db *d = *state;
    assert_int_equal(run(d->url, "apply", true, NULL)->code, 0);
    struct run *r = run(d->url, "status", false, NULL);
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "version 1"));
    r = run(d->url, "apply", false, NULL); /* nothing to confirm */
    assert_int_equal(r->code, 0);
    assert_non_null(strstr(r->out, "nothing to do"));
}

static void a_terminal_may_say_yes(void **state)
{
    struct db *d = *state;
    assert_int_equal(run(d->url, "apply", false, "yes\n")->code, 0);
    assert_int_equal(run(d->url, "status", false, NULL)->code, 0);
}

static void what_goes_wrong_is_said_in_a_line(void **state)
{
    (void)state;
    struct run *r = run("mysql://127.0.0.1:1/x", "plan", false, NULL);
    assert_int_equal(r->code, 3);
    assert_true(strlen(r->err) > 10 && strchr(r->err, '\n') == r->err + strlen(r->err) - 1);
    assert_memory_equal(r->err, "migrate: MySQL at 127.0.0.1:1: 2", 32);
    assert_non_null(strstr(r->err, "; start it, or mend --mysql\n"));
    r = run("mysql:/127", "plan", false, NULL);
    assert_int_equal(r->code, 3);
    r = run("mysql://127.0.0.1:1/x", "remove", true, NULL);
    assert_int_equal(r->code, 2);
    assert_non_null(strstr(r->err, "remove"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup, db_teardown)
        T(a_plan_is_printed_and_nothing_done_unconfirmed),
        T(yes_applies_once),
        T(a_terminal_may_say_yes),
        T(what_goes_wrong_is_said_in_a_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
