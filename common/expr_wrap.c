#include "common/expr_wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAM_MAX = 16 << 20 };

/* expr_scan refuses the first names already, and tells of each `now`: this holds if it should miss
 * one. The others are functions that jq does badly for some values.
 * jq 1.6 looks through the whole program for each of its 200 functions, so each word here and in
 * print_part costs at start-up. */
static const char prelude[] =
    "def env: error(\"refused\"); def now: env; def input: env; def inputs: env; def debug: env; "
    "def debug(x): "
    "env; def stderr: env; def modulemeta: env; def halt: env; def halt_error: env; "
    "def halt_error(x): env; def input_filename: env; def input_line_number: env; "
    "def localtime: env; def strflocaltime(x): env; def get_search_list: env; "
    "def jn(a; b): env; def yn(a; b): env; "
    /* INT64_MIN % -1 is a signal; the sign of the divisor does not matter. */
    "def __mod($a; $b): $a % $b; def _mod(a; b): b as $b | a as $a | "
    "__mod($a; if ($b | type) == \"number\" and $b < 0 then -$b else $b end); "
    /* Beyond these years an assertion fails, and compiling the state again takes a while. */
    "def __time: if type == \"number\" and (. < -62135596800 or . >= 253402300800) then "
    "error(\"a time beyond the years 1 to 9999\") else . end; "
    "def __gmtime: gmtime; def gmtime: __time | __gmtime; "
    "def __strftime($f): strftime($f); def strftime(f): f as $f | __time | __strftime($f); "
    "def todateiso8601: strftime(\"%Y-%m-%dT%H:%M:%SZ\"); def todate: todateiso8601; "
    /* jq 1.6 looks for "" without end. */
    "def __indices($i): indices($i); "
    "def indices($i): if $i == \"\" and type == \"string\" then [] else __indices($i) end; "
    "def index($i): indices($i) | .[0]; def rindex($i): indices($i) | .[-1:][0]; "
    "{} as $ENV | ";

static void print_part(struct buf *b, const struct expr_part *part, size_t which, unsigned bits)
{
    unsigned at = bits;
    buf_printf(b, "def __%zu: ", which);
    for (unsigned v = 0; v < VAR_COUNT; v++) {
        if (part->scan.uses & VAR_BIT(v))
            buf_printf(b, ".[%u] as $%s | ", at++, expr_var_name((enum expr_var)v));
    }
    if (part->scan.uses_now)
        buf_printf(b, ".[%u] as $__now | def now: $__now; ", at);
    buf_printf(b, "null | (%s\n); ", part->text);
}

/* A tree of conditions on true and false: jq takes 1 us for a comparison. */
static void print_choice(struct buf *b, size_t from, unsigned bit, unsigned bits, size_t n)
{
    size_t half = (size_t)1 << (bits - bit) >> 1;
    if (bit == bits) {
        buf_printf(b, "__%zu", from);
    } else if (from + half >= n) {
        print_choice(b, from, bit + 1, bits, n);
    } else {
        buf_printf(b, "if .[%u] then ", bit);
        print_choice(b, from + half, bit + 1, bits, n);
        buf_text(b, " else ");
        print_choice(b, from, bit + 1, bits, n);
        buf_text(b, " end");
    }
}

unsigned expr_wrap_bits(size_t n)
{
    unsigned bits = 0;
    while ((size_t)1 << bits < n)
        bits++;
    return bits;
}

char *expr_wrap(const struct expr_part *parts, size_t n)
{
    struct buf b;
    buf_init(&b, PROGRAM_MAX);
    buf_text(&b, prelude);
    for (size_t i = 0; i < n; i++)
        print_part(&b, &parts[i], i, expr_wrap_bits(n));
    print_choice(&b, 0, 0, expr_wrap_bits(n), n);
    char *program = buf_take(&b, NULL);
    buf_fini(&b);
    return program;
}

/* "foo/0 is not defined": find foo on its line. */
static void place_name(const char *text, struct expr_error *error)
{
    const char *line = text;
    for (unsigned n = 1; line && n < error->line; n++) {
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    if (!line || !strstr(error->text, " is not defined"))
        return;
    size_t name = strcspn(error->text, "/ "), rest = strcspn(line, "\n");
    for (size_t i = 0; name > 0 && i + name <= rest; i++) {
        if (memcmp(line + i, error->text, name) == 0) {
            error->column = (unsigned)i + 1;
            return;
        }
    }
}

void expr_unwrap_complaint(const char *text, const char *complaint, struct expr_error *error)
{
    static const char prefix[] = "jq: error: ";
    static const char *const ends[] = {" (Unix shell", " (Windows cmd", " at <", "\n"};
    *error = (struct expr_error){0};
    const char *line = strstr(complaint, ", line ");
    if (line)
        error->line = (unsigned)strtoul(line + 7, NULL, 10);
    if (strncmp(complaint, prefix, sizeof prefix - 1) == 0)
        complaint += sizeof prefix - 1;
    snprintf(error->text, sizeof error->text, "%s", complaint);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        char *end = strstr(error->text, ends[i]);
        if (end)
            *end = 0;
    }
    place_name(text, error);
}
