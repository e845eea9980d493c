/* terminal.h: what others wrote cannot move the cursor; times read well; colour has its rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/terminal.h"

static const char *clean(const char *text, int width)
{
    static char out[64];
    terminal_clean(text, width, out, sizeof out);
    return out;
}

static void shows_what_could_move_the_cursor_as_a_question_mark(void **state)
{
    (void)state;
    assert_string_equal(clean("plain", 0), "plain");
    assert_string_equal(clean("가격 비교", 0), "가격 비교");
    assert_string_equal(clean("a\033[31mb\nc\rd\x7f", 0), "a?[31mb?c?d?");
    assert_string_equal(clean("\xc2\x9b"
                              "31m",
                              0),
                        "?31m"); /* CSI in one character */
    assert_string_equal(clean("a\xe2\x80\xae"
                              "b",
                              0),
                        "a?b"); /* right-to-left override */
    assert_string_equal(clean("a\xe2\x80\x8b\xe2\x81\xa6"
                              "b",
                              0),
                        "a??b");                                       /* no width; isolate */
    assert_string_equal(clean("\xff\xc3", 0), "??");                   /* no UTF-8 */
    assert_string_equal(clean("a\xe2\x80\x94\xe2\x80\xa6", 0), "a—…"); /* a dash, an ellipsis */
}

static const char *shown(const char *json)
{
    static char text[200];
    FILE *file = tmpfile();
    terminal_json(file, json);
    rewind(file);
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* It means the same, and moves nothing. */
static void escapes_in_json_what_could_move_the_cursor(void **state)
{
    (void)state;
    assert_string_equal(shown("{\"가격\": [1, \"a—…\"]}"), "{\"가격\": [1, \"a—…\"]}\n");
    assert_string_equal(shown("\"\xc2\x9b"
                              "31m\x7f\""),
                        "\"\\u009b31m\\u007f\"\n");
    assert_string_equal(shown("\"\xe2\x80\xae\xe2\x81\xa6\xe2\x80\x8b\""),
                        "\"\\u202e\\u2066\\u200b\"\n");
    assert_string_equal(shown("\"\xd8\x9c\xef\xbb\xbf\""), "\"\\u061c\\ufeff\"\n");
    assert_string_equal(shown("\"\\u009b \xf0\x9f\x98\x80\""), "\"\\u009b \xf0\x9f\x98\x80\"\n");
    assert_string_equal(shown("[1,\r\n\t2]"), "[1, \n\t2]\n");            /* only between values */
    assert_string_equal(shown("\033\xff\xe2\x80_\xc3"), "\\u001b??_?\n"); /* that is no JSON */
}

static void cuts_at_a_character(void **state)
{
    char small[4];
    (void)state;
    assert_string_equal(clean("abcdef", 4), "abc…");
    assert_string_equal(clean("abcd", 4), "abcd");
    assert_string_equal(clean("가나다", 2), "가…");
    terminal_clean("가나", 0, small, sizeof small);
    assert_string_equal(small, "가");
}

static const char *took(int64_t ms)
{
    static char out[32];
    terminal_took(ms, out, sizeof out);
    return out;
}

static void writes_times_for_people(void **state)
{
    (void)state;
    assert_string_equal(took(0), "0 ms");
    assert_string_equal(took(999), "999 ms");
    assert_string_equal(took(2043), "2,043 ms");
    assert_string_equal(took(35210), "35.2 s");
    assert_string_equal(took(725000), "12 min 5 s");
    assert_string_equal(took(-3), "0 ms");
}

static void has_colour_only_where_it_is_wanted(void **state)
{
    struct terminal t;
    FILE *file = tmpfile(); /* no terminal */
    (void)state;
    assert_true(terminal_open(&t, file, file, "auto"));
    assert_string_equal(terminal_tone(&t, t.err, TONE_BAD), "");
    assert_string_equal(terminal_plain(&t, t.err), "");
    assert_false(t.live);
    assert_int_equal(t.columns, 0);
    assert_true(terminal_open(&t, file, file, "always"));
    assert_string_equal(terminal_tone(&t, t.out, TONE_BAD), "\033[31m");
    assert_true(terminal_open(&t, file, file, "never"));
    assert_string_equal(terminal_tone(&t, t.out, TONE_BAD), "");
    assert_false(terminal_open(&t, file, file, "sometimes"));
    fclose(file);
}

static const char *words(int columns, const char *text, int indent)
{
    static char written[200];
    struct terminal t = {.columns = columns};
    FILE *file = tmpfile();
    assert_non_null(file);
    terminal_words(&t, file, text, indent);
    rewind(file);
    size_t n = fread(written, 1, sizeof written - 1, file);
    written[n] = 0;
    fclose(file);
    return written;
}

static void breaks_lines_between_words(void **state)
{
    (void)state;
    assert_string_equal(words(0, "one two three", 4), "one two three\n"); /* a pipe: as it is */
    assert_string_equal(words(20, "one two three", 4), "one two three\n");
    assert_string_equal(words(17, "one two three", 4), "one two three\n");
    assert_string_equal(words(16, "one two three", 4), "one two\n    three\n");
    assert_string_equal(words(8, "one two three", 4), "one\n    two\n    three\n");
    assert_string_equal(words(8, "a-word-too-long is", 4), "a-word-too-long\n    is\n");
    assert_string_equal(words(7, "\xea\xb0\x80\xea\xb0\x80 b", 3), "\xea\xb0\x80\xea\xb0\x80 b\n");
    assert_string_equal(words(9, "", 4), "\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shows_what_could_move_the_cursor_as_a_question_mark),
        cmocka_unit_test(escapes_in_json_what_could_move_the_cursor),
        cmocka_unit_test(cuts_at_a_character),
        cmocka_unit_test(writes_times_for_people),
        cmocka_unit_test(has_colour_only_where_it_is_wanted),
        cmocka_unit_test(breaks_lines_between_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
