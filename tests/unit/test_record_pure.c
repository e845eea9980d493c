/* What of the record needs no server: packed headers, addresses, dates, statement texts, the schema
 * that is compiled in. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "common/clock.h"
#include "common/record_mysql.h"

/* ---- headers */

static void packed_headers_come_back_as_they_were(void **state)
{
    struct event_header in[] = {{"ce_id", "0190", 4}, {"x", NULL, 0}, {"bin", "\0\1\2", 3}}, out[3];
    struct buf b;
    size_t n = 0;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(record_headers_pack(in, 3, &b), 0);
    assert_int_equal(record_headers_unpack(b.data, b.len, out, 3, &n), 0);
    assert_int_equal(n, 3);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(out[i].name, in[i].name);
        assert_int_equal(out[i].len, in[i].len);
        if (in[i].len)
            assert_memory_equal(out[i].value, in[i].value, in[i].len);
    }
    assert_int_equal(record_headers_unpack(b.data, b.len, out, 2, &n), ERR_INVALID);
    buf_fini(&b);
}

static void no_headers_are_one_byte(void **state)
{
    struct buf b;
    size_t n = 9;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(record_headers_pack(NULL, 0, &b), 0);
    assert_int_equal(b.len, 1);
    assert_int_equal(record_headers_unpack(b.data, b.len, NULL, 0, &n), 0);
    assert_int_equal(n, 0);
    buf_fini(&b);
}

/* Every cut, and a wrong byte anywhere, is refused or read within bounds (ASan watches). */
static void broken_bytes_are_refused(void **state)
{
    struct event_header in[] = {{"ce_id", "0190", 4}, {"name", "value", 5}}, out[300];
    struct buf b;
    size_t n;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(record_headers_pack(in, 2, &b), 0);
    for (size_t cut = 0; cut < b.len; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, b.data, cut);
        char *exact = realloc(copy, cut ? cut : 1);
        assert_int_equal(record_headers_unpack(exact, cut, out, 300, &n), ERR_INVALID);
        free(exact);
    }
    for (size_t at = 0; at < b.len; at++) {
        char *copy = malloc(b.len);
        memcpy(copy, b.data, b.len);
        copy[at] = (char)(copy[at] ^ 0x55);
        if (record_headers_unpack(copy, b.len, out, 300, &n) == 0)
            for (size_t i = 0; i < n; i++)
                assert_true(strlen(out[i].name) < b.len);
        free(copy);
    }
    buf_add(&b, "x", 1); /* bytes too many */
    assert_int_equal(record_headers_unpack(b.data, b.len, out, 300, &n), ERR_INVALID);
    buf_fini(&b);
}

static void too_many_headers_are_refused(void **state)
{
    static struct event_header in[256];
    struct buf b;
    (void)state;
    for (size_t i = 0; i < 256; i++)
        in[i].name = "n";
    buf_init(&b, 0);
    assert_int_equal(record_headers_pack(in, 256, &b), ERR_TOO_LARGE);
    assert_int_equal(record_headers_pack(in, 255, &b), 0);
    buf_fini(&b);
}

/* The largest of each kind that fit come back; one byte more does not, and adds nothing. */
static void headers_fit_up_to_their_bounds(void **state)
{
    static char name[65536], value[1 << 20];
    struct event_header longest = {name, "v", 1}, out;
    struct event_header largest = {"n", value, sizeof value - 1 - 2 - 2 - 4};
    struct event_header *const both[] = {&longest, &largest};
    (void)state;
    memset(name, 'n', 65534);
    for (int i = 0; i < 2; i++) {
        struct buf b;
        size_t n;
        buf_init(&b, 0);
        assert_int_equal(record_headers_pack(both[i], 1, &b), 0);
        assert_int_equal(record_headers_unpack(b.data, b.len, &out, 1, &n), 0);
        assert_int_equal(out.len, both[i]->len);
        assert_string_equal(out.name, both[i]->name);
        buf_clear(&b);
        name[65534] = 'n';
        largest.len++;
        assert_int_equal(record_headers_pack(both[i], 1, &b), ERR_TOO_LARGE);
        assert_int_equal(b.len, 0);
        name[65534] = 0;
        largest.len--;
        buf_fini(&b);
    }
}

/* ---- addresses */

static void an_address_is_taken_apart(void **state)
{
    struct store_url u;
    char why[STORE_WHY];
    (void)state;
    assert_int_equal(store_url_parse("mysql://o%40x:p%3a%2fs@db.example:3307/off", &u, why), 0);
    assert_string_equal(u.user, "o@x");
    assert_string_equal(u.pass, "p:/s");
    assert_string_equal(u.host, "db.example");
    assert_int_equal(u.port, 3307);
    assert_string_equal(u.db, "off");
    assert_false(u.tls);
    assert_int_equal(store_url_parse("mysql://u@[::1]:99/d?tls=on&ca=/etc/ca.pem", &u, why), 0);
    assert_string_equal(u.host, "::1");
    assert_string_equal(u.pass, "");
    assert_int_equal(u.port, 99);
    assert_true(u.tls);
    assert_string_equal(u.ca, "/etc/ca.pem");
    assert_int_equal(store_url_parse("mysql://u:p@/d?socket=/run/s.sock", &u, why), 0);
    assert_string_equal(u.socket, "/run/s.sock");
    assert_int_equal(store_url_parse("mysql://h/d", &u, why), 0);
    assert_int_equal(u.port, 3306);
    assert_int_equal(store_url_parse("mysql://u:a@b@h/d", &u, why), 0); /* the last @ counts */
    assert_string_equal(u.pass, "a@b");
}

static void a_wrong_address_is_told_without_the_password(void **state)
{
    static const char *const wrong[] = {
        "postgres://h/d",    "mysql://u:secret@h", "mysql://u:secret@h/",     "mysql://h:x/d",
        "mysql://h:/d",      "mysql://h:70000/d",  "mysql://h:0/d",           "mysql://u:secret@/d",
        "mysql://u:%zz@h/d", "mysql://u:%00@h/d",  "mysql://h/d?tls=perhaps", "mysql://h/d?what=1",
        "mysql://[::1x/d",   "mysql://[::1]x/d",
    };
    struct store_url u = {.port = 7};
    char why[STORE_WHY], lang[1200];
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_int_equal(store_url_parse(wrong[i], &u, why), ERR_INVALID);
        assert_null(strstr(why, "secret"));
        assert_non_null(strstr(why, "mysql://user:password@host:port/db"));
    }
    memset(lang, 'x', sizeof lang);
    memcpy(lang, "mysql://", 8);
    memcpy(lang + sizeof lang - 3, "/d", 3);
    assert_int_equal(store_url_parse(lang, &u, why), ERR_INVALID);
    assert_int_equal(u.port, 7); /* untouched */
}

/* ---- dates */

static void dates_go_both_ways(void **state)
{
    static const struct {
        const char *text;
        int64_t us;
    } days[] = {
        {"1970-01-01T00:00:00.000000Z", 0},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2000-02-29T12:30:45.000001Z", 951827445000001},
        {"2026-11-24T22:45:00.123456Z", 1795560300123456},
        {"2100-03-01T00:00:00.000000Z", 4107542400000000},
    };
    char text[64];
    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct store_date d = store_date_of(days[i].us);
        snprintf(text, sizeof text, "%04d-%02u-%02uT%02u:%02u:%02u.%06luZ", d.year, d.month, d.day,
                 d.hour, d.minute, d.second, d.us);
        assert_string_equal(text, days[i].text);
        assert_int_equal(store_date_us(&d), days[i].us);
    }
    for (int64_t us = -62135596800000000; us < 250000000000000000; us += 86400000000 * 13 + 7) {
        struct store_date d = store_date_of(us);
        assert_int_equal(store_date_us(&d), us);
    }
}

/* ---- statements */

static void rows_are_repeated_with_what_stands_between(void **state)
{
    static const struct store_sql in = {"A (", "?", ")", NULL}, or = {"B ", "(?,?)", "", " OR "},
                                  one = {.head = "C"};
    struct buf b;
    (void)state;
    buf_init(&b, 0);
    assert_int_equal(store_sql_text(&in, 3, &b), 0);
    buf_char(&b, '|');
    assert_int_equal(store_sql_text(& or, 2, &b), 0);
    buf_char(&b, '|');
    assert_int_equal(store_sql_text(&one, 5, &b), 0);
    assert_string_equal(buf_str(&b), "A (?,?,?)|B (?,?) OR (?,?)|C");
    buf_fini(&b);
}

static void few_sizes_of_statements_serve_all_numbers_of_rows(void **state)
{
    bool fills[STORE_ROWS_MAX + 1] = {false}, covers[STORE_ROWS_MAX + 1] = {false};
    size_t fills_n = 0, covers_n = 0;
    (void)state;
    for (size_t n = 1; n <= 300; n++) {
        size_t left = n, statements = 0;
        while (left) {
            size_t some = store_rows_fill(left);
            assert_in_range(some, 1, left);
            assert_true(some <= STORE_ROWS_MAX);
            fills_n += !fills[some];
            fills[some] = true;
            left -= some;
            statements++;
        }
        assert_true(n > 100 || statements <= 3);
    }
    for (size_t n = 1; n <= STORE_ROWS_MAX; n++) {
        size_t cover = store_rows_cover(n);
        assert_in_range(cover, n, STORE_ROWS_MAX);
        covers_n += !covers[cover];
        covers[cover] = true;
    }
    assert_true(fills_n <= 24);
    assert_int_equal(covers_n, 8);
}

/* ---- errors */

static void what_repeating_mends_is_told_from_what_it_does_not(void **state)
{
    static const struct {
        unsigned number;
        const char *sqlstate;
        int err;
    } rows[] = {
        {1213, "40001", ERR_CONFLICT},  {1205, "HY000", ERR_CONFLICT}, {1062, "23000", ERR_EXISTS},
        {1146, "42S02", ERR_SETUP},     {1142, "42000", ERR_SETUP},    {1406, "22001", ERR_REFUSED},
        {1366, "HY000", ERR_REFUSED},   {1064, "42000", ERR_REFUSED},  {1045, "28000", ERR_REFUSED},
        {1048, "23000", ERR_REFUSED},   {1203, "42000", ERR_IO},       {1290, "HY000", ERR_IO},
        {1114, "HY000", ERR_IO},        {2006, "HY000", ERR_IO},       {2013, "HY000", ERR_IO},
        {1053, "08S01", ERR_IO},        {1927, "70100", ERR_IO},       {1317, "70100", ERR_IO},
        {1153, "08S01", ERR_TOO_LARGE}, {2008, "HY000", ERR_NOMEM},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(store_err_of(rows[i].number, rows[i].sqlstate), rows[i].err);
}

static void of_a_users_statement_only_a_server_that_is_not_well_is_asked_again(void **state)
{
    static const unsigned again[] = {1021, 1026, 1030, 1114, 1290, 1053, 2006, 2013, 4031};
    static const unsigned never[] = {1048, 1064, 1146, 1153, 1264, 1366, 1452, 1644, 4025};
    (void)state;
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
        assert_int_equal(store_err_of_user(again[i], "HY000"), ERR_IO);
    for (size_t i = 0; i < sizeof never / sizeof *never; i++)
        assert_int_equal(store_err_of_user(never[i], "HY000"), ERR_REFUSED);
    assert_int_equal(store_err_of_user(1062, "23000"), ERR_EXISTS);
    assert_int_equal(store_err_of_user(1213, "40001"), ERR_CONFLICT);
}

static void a_value_that_an_error_quotes_is_in_no_log(void **state)
{
    static const struct {
        unsigned number;
        const char *text, *want;
    } rows[] = {
        {1062, "Duplicate entry 'ann@example.org' for key 'email'",
         "Duplicate entry '...' for key 'email'"},
        {1062, "Duplicate entry 'it's a' for key 'x' for key 'email'",
         "Duplicate entry '...' for key 'email'"},
        {1366, "Incorrect integer value: 'secret' for column `a`.`b`.`c` at row 1",
         "Incorrect integer value: '...' for column `a`.`b`.`c` at row 1"},
        {1292, "Truncated incorrect DOUBLE value: 'secret'",
         "Truncated incorrect DOUBLE value: '...'"},
        {1062, "Duplicate entry 'cut off in the mid", "Duplicate entry '...'"},
        {1062, "Doppelter Eintrag", "Doppelter Eintrag"},
        {1300, "Invalid utf8mb4 character string: '\\xE4ann'",
         "Invalid utf8mb4 character string: '...'"},
        {3854, "Cannot convert string 'ann\\xE4' from utf8mb4 to latin1",
         "Cannot convert string '...' from utf8mb4 to latin1"},
        {1918, "Encountered illegal value 'ann' when converting to DOUBLE",
         "Encountered illegal value '...' when converting to DOUBLE"},
        {1105, "XPATH syntax error: 'ann'", "XPATH syntax error: '...'"},
        {1526, "Table has no partition for value 1970", "Table has no partition for value ..."},
        {1054, "Unknown column 'mail' in 'field list'", "Unknown column 'mail' in 'field list'"},
    };
    char out[STORE_WHY];
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        store_hide_value(rows[i].number, rows[i].text, out, sizeof out);
        assert_string_equal(out, rows[i].want);
    }
    store_hide_value(1062, rows[0].text, out, 12);
    assert_string_equal(out, "Duplicate e");
}

/* ---- schema */

static void schema_file(struct buf *out)
{
    char chunk[4096];
    size_t n;
    buf_init(out, 0);
    FILE *f = fopen("deploy/sql/001-record.sql", "r");
    assert_non_null(f);
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0)
        buf_add(out, chunk, n);
    fclose(f);
}

static void the_schema_compiled_in_is_the_file(void **state)
{
    struct buf mine, file;
    (void)state;
    buf_init(&mine, 0);
    schema_file(&file);
    for (const char *const *q = record_schema_versions[0]; *q; q++)
        buf_printf(&mine, "%s%s\n", q == record_schema_versions[0] ? "" : "\n", *q);
    assert_string_equal(buf_str(&mine), buf_str(&file));
    buf_fini(&mine);
    buf_fini(&file);
}

/* The word in small letters that follows `start` of a line, up to 0 characters: none. */
static int word_after(const char *line, const char *start, const char **word)
{
    size_t len = strlen(start);
    *word = line + len;
    return strncmp(line, start, len) ? 0 : (int)strspn(*word, "abcdefghijklmnopqrstuvwxyz_");
}

/* A column's name stands two blanks in; keys are in capitals. */
static void the_tables_looked_for_are_those_of_the_schema(void **state)
{
    struct buf file, mine, theirs;
    const char *word;
    int n;
    (void)state;
    schema_file(&file);
    buf_init(&mine, 0);
    buf_init(&theirs, 0);
    for (const struct record_table *t = record_tables; t->name; t++)
        buf_printf(&mine, "%s: %s\n", t->name, t->columns);
    for (char *rest = file.data, *line; (line = strsep(&rest, "\n"));) {
        if ((n = word_after(line, "CREATE TABLE ", &word)) > 0) {
            buf_printf(&theirs, "%.*s:", n, word);
        } else if ((n = word_after(line, "  ", &word)) > 0) {
            buf_printf(&theirs, " %.*s", n, word);
        } else if (line[0] == ')') {
            buf_char(&theirs, '\n');
        }
    }
    assert_string_equal(buf_str(&mine), buf_str(&theirs));
    buf_fini(&file);
    buf_fini(&mine);
    buf_fini(&theirs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packed_headers_come_back_as_they_were),
        cmocka_unit_test(no_headers_are_one_byte),
        cmocka_unit_test(broken_bytes_are_refused),
        cmocka_unit_test(too_many_headers_are_refused),
        cmocka_unit_test(headers_fit_up_to_their_bounds),
        cmocka_unit_test(an_address_is_taken_apart),
        cmocka_unit_test(a_wrong_address_is_told_without_the_password),
        cmocka_unit_test(dates_go_both_ways),
        cmocka_unit_test(rows_are_repeated_with_what_stands_between),
        cmocka_unit_test(few_sizes_of_statements_serve_all_numbers_of_rows),
        cmocka_unit_test(a_value_that_an_error_quotes_is_in_no_log),
        cmocka_unit_test(what_repeating_mends_is_told_from_what_it_does_not),
        cmocka_unit_test(of_a_users_statement_only_a_server_that_is_not_well_is_asked_again),
        cmocka_unit_test(the_schema_compiled_in_is_the_file),
        cmocka_unit_test(the_tables_looked_for_are_those_of_the_schema),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
