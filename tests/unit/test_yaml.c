#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/yaml.h"

struct fixture {
    struct findings findings;
    struct yaml *yaml;
    struct yaml_node *root;
    int err;
};

static void parse(struct fixture *x, const char *text)
{
    findings_init(&x->findings);
    x->yaml = NULL;
    x->err = yaml_parse("t.yaml", text, strlen(text), &x->findings, &x->yaml);
    x->root = x->yaml ? yaml_root(x->yaml) : NULL;
}

static void done(struct fixture *x)
{
    findings_fini(&x->findings);
    yaml_close(x->yaml);
}

/* The text gives a tree (0) or none (ERR_INVALID) and exactly one finding, here. */
static void one_finding(const char *text, int err, const char *expected)
{
    struct fixture x;
    char line[400];
    parse(&x, text);
    findings_first(&x.findings, line, sizeof line);
    if (!strstr(line, expected) || x.findings.n != 1 || x.err != err)
        fail_msg("wanted `%s` (%d), got %zu findings, %d: %s", expected, err, x.findings.n, x.err,
                 line);
    assert_int_equal(x.findings.errors, 1);
    done(&x);
}

static const struct yaml_node *member(const struct fixture *x, const char *key)
{
    const struct yaml_node *m = yaml_get(x->root, key);
    if (!m)
        fail_msg("no member %s", key);
    return m;
}

static void only_json_words_and_numbers_are_typed(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "t: true\nf: false\nn: null\ni: -12\nd: 1.5e3\nz: 0\n"
              "no: no\ntilde: ~\nhex: 0x1F\nplus: +1\ndate: 2024-01-01\nunder: 1_000\nq: '12'\n"
              "True: True\ndot: .5\nminus: '-'\n");
    assert_int_equal(x.err, 0);
    assert_int_equal(x.findings.n, 0);
    assert_int_equal(member(&x, "t")->type, YAML_BOOL);
    assert_true(member(&x, "t")->truth);
    assert_int_equal(member(&x, "f")->type, YAML_BOOL);
    assert_false(member(&x, "f")->truth);
    assert_int_equal(member(&x, "n")->type, YAML_NULL);
    assert_int_equal(member(&x, "i")->type, YAML_NUMBER);
    assert_true(member(&x, "i")->number == -12);
    assert_true(member(&x, "d")->number == 1500);
    assert_int_equal(member(&x, "z")->type, YAML_NUMBER);
    const char *texts[] = {"no",    "tilde", "hex",  "plus", "date",
                           "under", "q",     "True", "dot",  "minus"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(member(&x, texts[i])->type, YAML_TEXT);
    assert_string_equal(member(&x, "d")->text, "1.5e3");
    done(&x);
}

static void every_value_and_key_knows_its_place(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "a: 1\nb:\n  - x\n  -   {c: é, d: y}\n");
    const struct yaml_node *list = member(&x, "b");
    assert_int_equal(list->type, YAML_LIST);
    assert_int_equal(list->n, 2);
    assert_int_equal(list->key_line, 2);
    assert_int_equal(list->line, 3);
    const struct yaml_node *map = list->first->next;
    assert_int_equal(map->line, 4);
    assert_int_equal(map->column, 7);
    struct finding_place key = yaml_place_key(yaml_get(map, "d"));
    assert_string_equal(key.file, "t.yaml");
    assert_int_equal(key.line, 4);
    assert_int_equal(key.column, 14); /* columns count characters, not bytes */
    assert_int_equal(yaml_place(yaml_get(map, "d")).column, 17);
    assert_null(yaml_get(map, "e"));
    assert_null(yaml_get(list, "c"));
    assert_int_equal(yaml_place_key(map).column, 7);
    done(&x);
}

static void a_block_keeps_its_last_newline_apart(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "a: |\n  x\n  y\nb: |+\n  x\n\nc: \"x\\n\"\nd: |-\n  x\n");
    assert_string_equal(member(&x, "a")->text, "x\ny");
    assert_string_equal(member(&x, "a")->whole, "x\ny\n");
    assert_string_equal(member(&x, "b")->text, "x\n");
    assert_string_equal(member(&x, "b")->whole, "x\n\n");
    assert_string_equal(member(&x, "c")->text, "x\n");
    assert_string_equal(member(&x, "d")->whole, "x");
    done(&x);
}

static void an_alias_is_a_copy_with_the_anchors_lines(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "a: &r {n: 3}\nb: *r\n");
    assert_int_equal(x.err, 0);
    const struct yaml_node *b = member(&x, "b");
    assert_int_equal(b->type, YAML_MAP);
    assert_int_equal(b->key_line, 2);
    assert_int_equal(b->line, 1);
    assert_true(yaml_get(b, "n")->number == 3);
    assert_ptr_not_equal(yaml_get(b, "n"), yaml_get(member(&x, "a"), "n"));
    assert_null(b->next);
    done(&x);
}

static void what_yaml_allows_and_we_do_not_is_a_finding_with_a_tree(void **state)
{
    (void)state;
    one_finding("a: 1\nb: 2\na: 3\n", 0, "t.yaml:3:1: error[F003]: `a` stands twice");
    one_finding("a: {x: 1}\nb:\n  <<: x\n", 0, "t.yaml:3:3: error[F004]: merge keys");
    one_finding("a: !!str 1\n", 0, "t.yaml:1:4: error[F004]: tags");
    one_finding("a: !x {b: c}\n", 0, "t.yaml:1:4: error[F004]: tags");
    one_finding("a: !x [b]\n", 0, "t.yaml:1:4: error[F004]: tags");
    one_finding("a: 1\n---\nb: 2\n", 0, "t.yaml:2:1: error[F004]: a second document");
    one_finding("{[a]: 1}", 0, "t.yaml:1:2: error[F004]: a key must be plain text");
    one_finding("? [a]: 1\n: 2\nb: 3\n", 0, "t.yaml:1:3: error[F004]: a key must be plain text");
    one_finding("a: 0755\n", 0, "t.yaml:1:4: error[F005]: `0755` has a leading zero");
    one_finding("a: -00.5\n", 0, "t.yaml:1:4: error[F005]: `-00.5` has a leading zero");
    one_finding("a: 9007199254740993\n", 0,
                "t.yaml:1:4: error[F005]: `9007199254740993` is beyond");
    one_finding("a: 1e999\n", 0, "t.yaml:1:4: error[F005]: `1e999` is beyond");
    one_finding("a:\nb: 1\n", 0, "error[F013]: a value is missing");
    one_finding("a: \"x\\0y\"\n", 0, "t.yaml:1:4: error[F004]: text holds a NUL");
    one_finding("\"a\\0\": 1\n", 0, "t.yaml:1:1: error[F004]: a key holds a NUL");
    one_finding("?\n: 1\n", 0, "error[F004]: a key is missing");
}

static void all_findings_come_in_one_run(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "a: 01\nb: !x 1\na: 02\n");
    assert_int_equal(x.err, 0);
    assert_int_equal(x.findings.errors, 4);
    findings_sort(&x.findings);
    assert_int_equal(x.findings.list[0].line, 1);
    assert_int_equal(x.findings.list[3].line, 3);
    done(&x);
}

static void broken_yaml_says_where_and_what_to_do(void **state)
{
    (void)state;
    one_finding("a: [1\nb: 2\n", ERR_INVALID, "t.yaml:2:2: error[F002]: did not find expected");
    one_finding("a: x: y\n", ERR_INVALID, "t.yaml:1:5: error[F002]: mapping values");
    one_finding("a: \"\\(x)\"\n", ERR_INVALID, "use single quotes");
    one_finding("a: 1\n\tb: 2\n", ERR_INVALID, "t.yaml:2:1: error[F002]");
    one_finding("a: 'x\n", ERR_INVALID, "close the quote");
    one_finding("a: \xff\n", ERR_INVALID, "t.yaml:1:4: error[F002]");
    one_finding("", ERR_INVALID, "t.yaml:1:1: error[F002]: the file is empty");
    one_finding("# only a comment\n", ERR_INVALID, "the file is empty");
    one_finding("a: *b\n", ERR_INVALID, "t.yaml:1:4: error[F002]: `*b` names no anchor");
    one_finding("a: &b [*b]\n", ERR_INVALID, "t.yaml:1:8: error[F004]: `*b` stands inside");
}

static void bombs_end_at_the_limits(void **state)
{
    (void)state;
    one_finding("a: &a [x,x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
                "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
                "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
                ERR_INVALID, "error[F006]: more than 20,000 nodes");
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = 0;
    one_finding(deep, ERR_INVALID, "t.yaml:1:66: error[F006]: more than 64 levels");
    deep[164] = 0;
    struct fixture x;
    parse(&x, deep + 36); /* 64 brackets and back */
    assert_int_equal(x.err, 0);
    done(&x);
}

static void an_alias_cannot_go_deeper_than_the_limit(void **state)
{
    (void)state;
    char text[400];
    int n = snprintf(text, sizeof text, "a: &a ");
    for (int i = 0; i < 40; i++)
        text[n++] = '[';
    for (int i = 0; i < 40; i++)
        text[n++] = ']';
    n += snprintf(text + n, sizeof text - (size_t)n, "\nb: ");
    for (int i = 0; i < 40; i++)
        text[n++] = '[';
    n += snprintf(text + n, sizeof text - (size_t)n, "*a");
    for (int i = 0; i < 40; i++)
        text[n++] = ']';
    text[n] = 0;
    one_finding(text, ERR_INVALID, "more than 64 levels");
}

static void too_many_keys_anchors_or_bytes_are_refused(void **state)
{
    (void)state;
    static char text[YAML_SIZE_MAX + 2];
    size_t n = 0;
    for (int i = 0; i < 2001; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "k%d: 1\n", i);
    one_finding(text, ERR_INVALID, "t.yaml:2001:1: error[F006]: more than 2,000 keys");
    n = 0;
    for (int i = 0; i < 1001; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "- &a%d 1\n", i);
    one_finding(text, ERR_INVALID, "t.yaml:1001:3: error[F006]: more than 1,000 anchors");
    memset(text, ' ', sizeof text - 1);
    one_finding(text, ERR_INVALID, "t.yaml: error[F006]: the file is larger than 1 MB");
}

static void place_in(const char *text, size_t offset, unsigned line, unsigned column)
{
    struct fixture x;
    parse(&x, text);
    struct finding_place at = yaml_place_in(member(&x, "a"), offset);
    if (at.line != line || at.column != column)
        fail_msg("`%s` byte %zu: wanted %u:%u, got %u:%u", text, offset, line, column, at.line,
                 at.column);
    done(&x);
}

static void a_place_inside_text_is_found_in_the_file(void **state)
{
    (void)state;
    place_in("a: $x.y\n", 3, 1, 7);
    place_in("a: '$x.y'\n", 3, 1, 8);
    place_in("a: 'it''s z'\n", 5, 1, 11);          /* it's z: the z is at 5 */
    place_in("a: \"q\\\"\\u00e9 z\"\n", 5, 1, 15); /* q"é z */
    place_in("a: é z\n", 3, 1, 6);
    place_in("a: |\n  one\n  two\n", 4, 3, 3);
    place_in("a: |\n  one\n    two\n", 6, 3, 5);
    place_in("a: | # note\n\n  one\n", 1, 3, 3);
    place_in("a: >\n  one\n  two\n", 5, 3, 4);
    place_in("a: one\n  two\n", 4, 2, 3);
    place_in("a: one\n", 99, 1, 7);
}

/* As editors of another system write it. */
static void a_byte_order_mark_counts_for_nothing(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "\xef\xbb\xbf"
              "a: $x.y\n");
    assert_int_equal(x.err, 0);
    assert_int_equal(x.findings.n, 0);
    assert_int_equal(member(&x, "a")->key_column, 1);
    assert_int_equal(yaml_place_in(member(&x, "a"), 3).column, 7);
    done(&x);
    one_finding("\xef\xbb\xbf"
                "a: \xff\n",
                ERR_INVALID, "t.yaml:1:4: error[F002]");
}

static void a_refused_key_is_in_no_map(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "? [a]\n: 1\n? {b: c}\n: {d: e}\nf: 1\n");
    assert_int_equal(x.findings.n, 2);
    assert_int_equal(x.root->n, 1);
    assert_string_equal(x.root->first->key, "f");
    done(&x);
}

static void a_node_knows_its_parent_and_its_place_there(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "é: &a [x, 'y']\nb: *a\n");
    const struct yaml_node *b = member(&x, "b"), *y = b->last;
    assert_null(x.root->parent);
    assert_ptr_equal(b->parent, x.root);
    assert_int_equal(b->index, 1);
    assert_ptr_equal(y->parent, b);
    assert_int_equal(y->index, 1);
    assert_true(y->quoted && !b->first->quoted);
    assert_int_equal(y->at, 11); /* bytes: é has two */
    done(&x);
}

static double cpu_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Findings by the thousand, in one long text and in many short ones behind each other. */
static void places_are_found_in_the_time_of_one_walk(void **state)
{
    (void)state;
    struct fixture x;
    static char text[YAML_SIZE_MAX];
    double begin = cpu_s();
    memset(text, 'x', sizeof text);
    memcpy(text, "a: '", 4);
    memcpy(text + sizeof text - 3, "'\n", 3);
    parse(&x, text);
    const struct yaml_node *a = member(&x, "a");
    for (size_t i = 0; i + 8 < sizeof text; i += 8)
        assert_int_equal(yaml_place_in(a, i).column, i + 5);
    done(&x);
    size_t n = 0;
    for (int i = 0; i < 19000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "- %040d.\n", i);
    parse(&x, text);
    unsigned line = 1;
    for (const struct yaml_node *c = x.root->first; c; c = c->next)
        assert_int_equal(yaml_place_in(c, 40).line, line++);
    done(&x);
    assert_true(cpu_s() - begin < 10); /* a walk from the start for each took minutes */
}

static void filled_text_has_the_nodes_place(void **state)
{
    (void)state;
    struct fixture x;
    parse(&x, "a: 12\n");
    struct yaml_node *a = x.root->first;
    assert_int_equal(yaml_set_text(x.yaml, a, "longer text"), 0);
    assert_int_equal(a->type, YAML_TEXT);
    assert_string_equal(a->text, "longer text");
    assert_true(a->filled);
    assert_int_equal(yaml_place_in(a, 8).column, 4);
    static char big[8 * 1024 * 1024];
    memset(big, 'x', sizeof big - 1);
    assert_int_equal(yaml_set_text(x.yaml, a, big), 0);
    assert_int_equal(yaml_set_text(x.yaml, a, big), ERR_TOO_LARGE);
    assert_int_equal(strlen(a->text), sizeof big - 1);
    done(&x);
}

static int read_text(const char *name, const char *text, struct fixture *x)
{
    char path[200];
    snprintf(path, sizeof path, "/tmp/test_yaml-%d-%s", (int)getpid(), name);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    findings_init(&x->findings);
    x->yaml = NULL;
    int err = yaml_read(path, &x->findings, &x->yaml);
    unlink(path);
    return err;
}

static void json_files_are_yaml_with_surrogate_pairs(void **state)
{
    (void)state;
    struct fixture x;
    assert_int_equal(read_text("a.json", "{\"a\":\"\\ud83d\\ude00 \\\\ud83d\", \"b\"\t:1}", &x), 0);
    assert_string_equal(yaml_get(yaml_root(x.yaml), "a")->text, "\xf0\x9f\x98\x80 \\ud83d");
    assert_int_equal(yaml_get(yaml_root(x.yaml), "b")->type, YAML_NUMBER);
    size_t len;
    assert_non_null(yaml_bytes(x.yaml, &len));
    assert_true(len > 10);
    done(&x);
    assert_int_equal(read_text("b.json", "{\"a\":\"\\ud83d\"}", &x), ERR_INVALID);
    assert_int_equal(x.findings.errors, 1);
    done(&x);
}

static void a_missing_file_and_a_folder_are_findings(void **state)
{
    (void)state;
    struct fixture x = {0};
    findings_init(&x.findings);
    assert_int_equal(yaml_read("/nowhere/x.yaml", &x.findings, &x.yaml), ERR_NOT_FOUND);
    assert_int_equal(yaml_read("/tmp", &x.findings, &x.yaml), ERR_INVALID);
    assert_null(x.yaml);
    assert_int_equal(x.findings.errors, 2);
    assert_int_equal(x.findings.list[0].code, FINDING_READ);
    done(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_json_words_and_numbers_are_typed),
        cmocka_unit_test(every_value_and_key_knows_its_place),
        cmocka_unit_test(a_block_keeps_its_last_newline_apart),
        cmocka_unit_test(an_alias_is_a_copy_with_the_anchors_lines),
        cmocka_unit_test(what_yaml_allows_and_we_do_not_is_a_finding_with_a_tree),
        cmocka_unit_test(all_findings_come_in_one_run),
        cmocka_unit_test(broken_yaml_says_where_and_what_to_do),
        cmocka_unit_test(bombs_end_at_the_limits),
        cmocka_unit_test(an_alias_cannot_go_deeper_than_the_limit),
        cmocka_unit_test(too_many_keys_anchors_or_bytes_are_refused),
        cmocka_unit_test(a_place_inside_text_is_found_in_the_file),
        cmocka_unit_test(a_byte_order_mark_counts_for_nothing),
        cmocka_unit_test(a_refused_key_is_in_no_map),
        cmocka_unit_test(a_node_knows_its_parent_and_its_place_there),
        cmocka_unit_test(places_are_found_in_the_time_of_one_walk),
        cmocka_unit_test(filled_text_has_the_nodes_place),
        cmocka_unit_test(json_files_are_yaml_with_surrogate_pairs),
        cmocka_unit_test(a_missing_file_and_a_folder_are_findings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
