/* `load`, `check`, `save` and `databases`: what is read, and the statements with their parameters.
 */
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

#include "common/flow_load.h"
#include "common/log.h"

/* ---- sql_scan */

static void assert_scan(const char *text, enum sql_problem problem, size_t offset)
{
    struct sql_scan s;
    sql_scan(text, &s);
    if (s.problem != problem || s.offset != offset)
        fail_msg("`%s`: problem %d at %zu", text, (int)s.problem, s.offset);
}

static void assert_verb(const char *text, const char *verb)
{
    struct sql_scan s;
    sql_scan(text, &s);
    assert_int_equal(s.problem, SQL_FINE);
    assert_string_equal(s.verb, verb);
}

static void holes_stand_outside_of_quotes(void **state)
{
    (void)state;
    assert_scan("SELECT a FROM b WHERE c=\\($request.c)", SQL_FINE, 0);
    assert_scan("SELECT '\\(1)'", SQL_QUOTED_HOLE, 8);
    assert_scan("SELECT \"\\(1)\"", SQL_QUOTED_HOLE, 8);
    assert_scan("SELECT `\\(1)`", SQL_QUOTED_HOLE, 8);
    assert_scan("SELECT 1 # \\(1)", SQL_QUOTED_HOLE, 11);
    assert_scan("SELECT 1 -- \\(1)", SQL_QUOTED_HOLE, 12);
    assert_scan("SELECT /* \\(1) */ 1", SQL_QUOTED_HOLE, 10);
    assert_scan("SELECT /*/ \\(1) */ 1", SQL_QUOTED_HOLE, 11); /* not closed at once */
    assert_scan("SELECT 2--\\(1)", SQL_FINE, 0);               /* two minus signs */
    assert_scan("SELECT 'it''s', \\(1)", SQL_FINE, 0);         /* a doubled quote */
    assert_scan("SELECT 'it\\'s \\(1)'", SQL_QUOTED_HOLE, 14);
    assert_scan("SELECT 'a\\\\', \\(1)", SQL_FINE, 0); /* a backslash that is escaped */
    assert_scan("SELECT 'a\\\\(1)'", SQL_FINE, 0);     /* `\\(` writes `\(` */
    assert_scan("SELECT `a\\`, \\(1)", SQL_FINE, 0);   /* no escape in there */
    assert_scan("SELECT 'a', \\(\"it's )\") FROM b", SQL_FINE, 0);
    assert_scan("SELECT 1 -- it's\n, \\(1)", SQL_FINE, 0);
}

static void one_statement_stands_alone(void **state)
{
    (void)state;
    struct sql_scan s;
    assert_scan("SELECT 1; SELECT 2", SQL_SEVERAL, 10);
    assert_scan("SELECT ';' FROM `;`;  -- done", SQL_FINE, 0);
    assert_scan("SELECT 1;\\(1)", SQL_SEVERAL, 9);
    assert_scan("SELECT '", SQL_OPEN, 7);
    assert_scan("SELECT 1 /* more", SQL_OPEN, 9);
    assert_scan("SELECT ?", SQL_MARK, 7);
    assert_scan("SELECT '?', \\($request.a?)", SQL_FINE, 0);
    assert_scan(" -- nothing\n", SQL_EMPTY, 0);
    assert_scan("", SQL_EMPTY, 0);
    sql_scan("DELETE FROM a ; \n", &s);
    assert_int_equal(s.end, 14);
}

static void the_verb_is_the_statements_own(void **state)
{
    (void)state;
    assert_verb("/* a */ select 1", "SELECT");
    assert_verb("(SELECT 1) UNION (SELECT 2)", "SELECT");
    assert_verb("WITH a AS (SELECT 1) SELECT * FROM a", "SELECT");
    assert_verb("with a as (select 1) delete from b", "DELETE");
    assert_verb("insert into a select 1", "INSERT");
    assert_verb("SHOW TABLES", "SHOW");
}

/* ---- sql_template */

static void holes_become_parameters(void **state)
{
    (void)state;
    static const char request[] = "{\"s\":\"a'; DROP\",\"n\":1.5,\"t\":true,\"o\":{\"k\":[1]}}";
    struct sql_template *t = NULL;
    struct expr_error error = {0};
    struct json *r = NULL, *params = NULL;
    struct buf text = {0};
    assert_int_equal(json_parse(request, strlen(request), NULL, &r, NULL), 0);
    assert_int_equal(
        sql_template_compile("INSERT INTO a VALUES (\\($request.s), '\\\\(', \\($request.n), "
                             "\\($request.t), \\($request.o), \\($request.none));",
                             VAR_BIT(VAR_REQUEST), &t, &error),
        0);
    assert_string_equal(sql_template_text(t), "INSERT INTO a VALUES (?, '\\(', ?, ?, ?, ?)");
    assert_int_equal(sql_template_holes(t), 5);
    assert_int_equal(sql_template_uses(t), VAR_BIT(VAR_REQUEST));
    struct expr_vars vars = {.value = {[VAR_REQUEST] = r}};
    assert_int_equal(sql_template_render(t, &vars, &params, &error), 0);
    buf_init(&text, 0);
    json_print(params, &text);
    assert_string_equal(buf_str(&text), "[\"a'; DROP\",1.5,true,\"{\\\"k\\\":[1]}\",null]");
    buf_fini(&text);
    json_free(params);
    sql_template_free(t);
    assert_int_equal(sql_template_compile("DELETE FROM a WHERE b=\\($request.s | error)",
                                          VAR_BIT(VAR_REQUEST), &t, &error),
                     0);
    assert_int_equal(sql_template_render(t, &vars, &params, &error), ERR_EXPRESSION);
    sql_template_free(t);
    json_free(r);
}

/* ---- files */

struct fixture {
    char dir[40], flow[80], upstreams[80];
    struct findings findings;
    struct flow_set *set;
};

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static int load(struct fixture *x, const char *flow, const char *databases)
{
    static const char head[] = "flow: one\ntitle: One\naccess: guests\n";
    char text[4000], dir[80];
    snprintf(x->dir, sizeof x->dir, "/tmp/test_flow_sql-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    snprintf(dir, sizeof dir, "%s/flows", x->dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(x->flow, sizeof x->flow, "%s/one.yaml", dir);
    snprintf(x->upstreams, sizeof x->upstreams, "%s/upstreams.yaml", x->dir);
    snprintf(text, sizeof text, "%s%s", head, flow);
    write_text(x->flow, text);
    snprintf(text, sizeof text, "upstreams:\n  up: {url: 'http://up'}\ndatabases:\n%s", databases);
    write_text(x->upstreams, text);
    x->set = NULL;
    findings_init(&x->findings);
    int err = flow_load(&(struct flow_load_settings){.flows_dir = dir, .secrets_dir = x->dir},
                        &x->findings, &x->set);
    unlink(x->flow);
    unlink(x->upstreams);
    rmdir(dir);
    rmdir(x->dir);
    return err;
}

static void done(struct fixture *x)
{
    findings_fini(&x->findings);
    flow_set_put(x->set);
}

static void assert_found(struct fixture *x, const char *expected)
{
    struct buf out;
    buf_init(&out, 0);
    findings_print(&x->findings, false, &out);
    if (!strstr(buf_str(&out), expected))
        fail_msg("no `%s` in:\n%s", expected, buf_str(&out));
    buf_fini(&out);
}

#define MEMBER "  member: {host: db.example, name: members, user: m}\n"

static const char whole[] =
    "load:\n"
    "  user: {database: member, sql: 'SELECT id FROM u WHERE mail=\\($request.mail)', max_rows: "
    "1}\n"
    "  shop:\n"
    "    when: $rows.user != []\n"
    "    database: member\n"
    "    sql: SELECT id FROM s WHERE u=\\($rows.user[0].id)\n"
    "check:\n"
    "  - {when: $job.refill | not, that: '$rows.user == []', else: '\\($request.mail) is taken'}\n"
    "calls:\n"
    "  get:\n"
    "    upstream: up\n"
    "    when: $rows.shop != []\n"
    "    for_each: $rows.shop\n"
    "    request: {path: '/\\($item.id)/\\($rows.user[0].id)'}\n"
    "result: '{n: ($rows.shop | length), calls: $calls.get}'\n"
    "save:\n"
    "  - when: $result.n > 0\n"
    "    for_each: $rows.shop\n"
    "    database: member\n"
    "    sql: INSERT INTO x VALUES (\\($item.id), \\($index), \\($calls.get[0].result));\n"
    "  - {database: member, sql: DELETE FROM y, optional: true, for_each: [1, 2]}\n";

static void a_flow_with_load_check_and_save_is_read_whole(void **state)
{
    (void)state;
    struct fixture x;
    if (load(&x, whole, MEMBER))
        assert_found(&x, "nothing");
    assert_int_equal(x.findings.n, 0);
    const struct flow *f = &x.set->flows[0];
    assert_int_equal(f->loads_n, 2);
    assert_string_equal(f->loads[0].name, "user");
    assert_int_equal(f->loads[0].max_rows, 1);
    assert_ptr_equal(f->loads[0].database, &x.set->databases[0]);
    assert_string_equal(sql_template_text(f->loads[0].sql), "SELECT id FROM u WHERE mail=?");
    assert_null(f->loads[0].when);
    assert_non_null(f->loads[1].when);
    assert_int_equal(f->loads[1].max_rows, 100);
    assert_int_equal(f->checks_n, 1);
    assert_non_null(f->checks[0].when);
    assert_string_equal(expr_source(f->checks[0].that), "$rows.user == []");
    assert_non_null(f->checks[0].message);
    assert_int_equal(f->saves_n, 2);
    assert_string_equal(sql_template_text(f->saves[0].sql), "INSERT INTO x VALUES (?, ?, ?)");
    assert_true(f->saves[0].when && f->saves[0].each.expr && !f->saves[0].optional);
    assert_true(f->saves[1].optional && json_size(f->saves[1].each.list) == 2);
    unsigned all = VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_JOB) | VAR_BIT(VAR_ROWS) |
                   VAR_BIT(VAR_CALLS) | VAR_BIT(VAR_RESULT) | VAR_BIT(VAR_ITEM) |
                   VAR_BIT(VAR_INDEX);
    assert_int_equal(flow_sql_uses(f), all);
    done(&x);
}

static void databases_are_read_whole(void **state)
{
    (void)state;
    struct fixture x;
    assert_int_equal(
        load(&x, "result: 1\n",
             "  full: {host: db, port: 3307, name: n, user: u, password: '${env:NO:-}',"
             " connections: 9, tls: {ca: LICENSE, cert: README.md, key: CMakeLists.txt}}\n"
             "  short: {host: '::1', name: n, user: u, tls: true}\n" MEMBER),
        0);
    assert_int_equal(x.findings.n, 0);
    const struct database *d = &x.set->databases[0];
    assert_int_equal(x.set->databases_n, 3);
    assert_string_equal(d->name, "full");
    assert_string_equal(d->host, "db");
    assert_string_equal(d->schema, "n");
    assert_string_equal(d->user, "u");
    assert_string_equal(d->password, "");
    assert_int_equal(d->port, 3307);
    assert_int_equal(d->connections, 9);
    assert_true(d->tls && d->ca && d->cert);
    assert_string_equal(d->key, "CMakeLists.txt");
    d = &x.set->databases[1];
    assert_int_equal(d->port, 3306);
    assert_int_equal(d->connections, 4);
    assert_true(d->tls && !d->ca && !d->password);
    assert_int_equal(d->index, 1);
    assert_false(x.set->databases[2].tls);
    done(&x);
}

static void wrong_databases_are_findings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"  a: {name: n, user: u}\n", ":4:3: error[F012]: `host` is missing"},
        {"  a: {host: h, user: u}\n", ":4:3: error[F012]: `name` is missing"},
        {"  a: {host: h, name: n}\n", ":4:3: error[F012]: `user` is missing"},
        {"  a: {host: '', name: n, user: u}\n", ":4:13: error[F014]: `host` is empty"},
        {"  a: {host: h, name: n, user: u, port: 0}\n", "error[F014]: `port: 0` is out of range"},
        {"  a: {host: h, name: n, user: u, connections: 0}\n", "error[F014]: `connections: 0`"},
        {"  a: {host: h, name: n, user: u, tls: yes}\n", "`tls` must be true or false"},
        {"  a: {host: h, name: n, user: u, tls: {cert: /c}}\n", "`cert` and `key` belong together"},
        {"  a: {host: h, name: n, user: u, tls: {crt: /c}}\n", "did you mean `cert`?"},
        {"  a: {host: h, name: n, user: u, tls: {ca: /none}}\n",
         ":4:44: error[F014]: `ca`: the file `/none` cannot be read"},
        {"  a: {hots: h, name: n, user: u}\n", "did you mean `host`?"},
        {"  a b: {host: h, name: n, user: u}\n", "error[F015]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture x;
        assert_int_equal(load(&x, "result: 1\n", cases[i].text), ERR_INVALID);
        assert_found(&x, cases[i].expected);
        done(&x);
    }
}

static void a_password_in_plain_text_is_a_warning(void **state)
{
    (void)state;
    struct fixture x;
    assert_int_equal(load(&x, "result: 1\n", "  a: {host: h, name: n, user: u, password: p}\n"), 0);
    assert_int_equal(x.findings.warnings, 1);
    assert_found(&x, ":4:44: warning[F054]");
    done(&x);
}

static void assert_too_many(const char *head, const char *entry, const char *expected)
{
    struct fixture x;
    struct buf text;
    buf_init(&text, 0);
    buf_text(&text, head);
    for (int i = 0; i <= 64; i++)
        buf_text(&text, entry);
    assert_int_equal(load(&x, buf_str(&text), MEMBER), ERR_INVALID);
    assert_found(&x, expected);
    buf_fini(&text);
    done(&x);
}

static void too_many_entries_are_refused(void **state)
{
    (void)state;
    assert_too_many("check:\n", "  - {that: true, else: x}\n",
                    "error[F006]: more than 64 entries in `check`");
    assert_too_many("save:\n", "  - {database: member, sql: DELETE FROM a}\n",
                    "error[F006]: more than 64 entries in `save`");
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(holes_stand_outside_of_quotes),
        cmocka_unit_test(one_statement_stands_alone),
        cmocka_unit_test(the_verb_is_the_statements_own),
        cmocka_unit_test(holes_become_parameters),
        cmocka_unit_test(a_flow_with_load_check_and_save_is_read_whole),
        cmocka_unit_test(databases_are_read_whole),
        cmocka_unit_test(wrong_databases_are_findings),
        cmocka_unit_test(a_password_in_plain_text_is_a_warning),
        cmocka_unit_test(too_many_entries_are_refused),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
