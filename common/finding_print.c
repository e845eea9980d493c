#include "common/finding.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LINE_MAX_LEN = 400 };

static const char *severity_text(const struct finding *x)
{
    return finding_code_severity(x->code) == FINDING_ERROR ? "error" : "warning";
}

static void print_head(const struct finding *x, struct buf *out)
{
    buf_text(out, x->file);
    if (x->line)
        buf_printf(out, ":%u:%u", x->line, x->column);
    buf_printf(out, ": %s[%s]: %s", severity_text(x), finding_code_text(x->code), x->what);
}

static void print_line(const struct finding *x, struct buf *out)
{
    print_head(x, out);
    if (x->help[0])
        buf_printf(out, "; %s", x->help);
}

/* Line `number` of a file without its newline, cut to fit. */
static bool line_read(const char *file, unsigned number, char line[LINE_MAX_LEN])
{
    FILE *in = fopen(file, "re");
    if (!in)
        return false;
    unsigned at = 1;
    size_t len = 0;
    int c;
    while ((c = getc(in)) != EOF && at <= number) {
        if (c == '\n')
            at++;
        else if (at == number && len < LINE_MAX_LEN - 1)
            line[len++] = (char)(c < 0x20 ? ' ' : c);
    }
    fclose(in);
    line[len] = 0;
    if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0) /* no place counts it */
        memmove(line, line + 3, len - 2);
    return len > 0;
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* How many characters to underline: the word at the column (which counts characters). */
static unsigned word_width(const char *line, unsigned column)
{
    const char *p = line;
    for (unsigned i = 1; *p && i < column; i++)
        do
            p++;
        while (is_continuation(*p));
    unsigned width = 0;
    while (isalnum((unsigned char)*p) || (*p && strchr("_-$", *p))) {
        p++;
        width++;
    }
    return width ? width : 1;
}

static void print_repeat(struct buf *out, char c, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        buf_char(out, c);
}

/*    |
 * 52 | result: $calls.a-mart.result.price
 *    |                ^^^^^^
 *    = help: ... */
static void print_excerpt(const struct finding *x, struct buf *out)
{
    char line[LINE_MAX_LEN];
    unsigned gutter = (unsigned)snprintf(line, sizeof line, "%u", x->line);
    if (x->line && line_read(x->file, x->line, line)) {
        print_repeat(out, ' ', gutter);
        buf_printf(out, " |\n%u | %s\n", x->line, line);
        print_repeat(out, ' ', gutter);
        buf_text(out, " | ");
        print_repeat(out, ' ', x->column ? x->column - 1 : 0);
        print_repeat(out, '^', word_width(line, x->column));
        buf_char(out, '\n');
    }
    if (x->help[0]) {
        print_repeat(out, ' ', gutter);
        buf_printf(out, " = help: %s\n", x->help);
    }
}

void findings_print(const struct findings *f, bool excerpt, struct buf *out)
{
    for (size_t i = 0; i < f->n; i++) {
        if (excerpt)
            print_head(&f->list[i], out);
        else
            print_line(&f->list[i], out);
        buf_char(out, '\n');
        if (excerpt)
            print_excerpt(&f->list[i], out);
    }
    if (f->dropped)
        buf_printf(out, "... and %zu more\n", f->dropped);
}

void findings_first(const struct findings *f, char *out, size_t size)
{
    const struct finding *first = f->n ? &f->list[0] : NULL;
    for (size_t i = f->n; i-- > 0;)
        if (finding_code_severity(f->list[i].code) == FINDING_ERROR)
            first = &f->list[i];
    struct buf line;
    buf_init(&line, 0);
    if (first)
        print_line(first, &line);
    snprintf(out, size, "%s", buf_str(&line));
    buf_fini(&line);
}

static const char *plural(size_t n)
{
    return n == 1 ? "" : "s";
}

void findings_print_sum(const struct findings *f, size_t flows, struct buf *out)
{
    if (f->errors + f->warnings == 0)
        buf_printf(out, "%zu flow%s, no findings\n", flows, plural(flows));
    else
        buf_printf(out, "%zu error%s, %zu warning%s\n", f->errors, plural(f->errors), f->warnings,
                   plural(f->warnings));
}
