#include "common/expr_wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRAM_MAX = 1 << 20 };

/* expr_scan refuses these names already: this holds if it should miss one. */
static const char prelude[] =
    "def env: error(\"refused\"); def input: env; def inputs: env; def debug: env; def debug(x): "
    "env; def stderr: env; def modulemeta: env; def halt: env; def halt_error: env; "
    "def halt_error(x): env; def input_filename: env; def input_line_number: env; "
    "def localtime: env; def strflocaltime(x): env; def get_search_list: env; {} as $ENV | ";

char *expr_wrap(const char *text, const struct expr_scan *scan)
{
    struct buf b;
    buf_init(&b, PROGRAM_MAX);
    buf_text(&b, prelude);
    buf_text(&b, ". as [");
    for (unsigned v = 0; v < VAR_COUNT; v++) {
        if (scan->uses & VAR_BIT(v))
            buf_printf(&b, "$%s, ", expr_var_name((enum expr_var)v));
    }
    buf_printf(&b, "$__now] | def now: $__now; null | (%s\n)", text);
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
