#include "common/finding.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 1000 };

static const struct {
    const char *code;
    enum finding_severity severity;
    const char *title, *explanation;
} table[] = {
#define X(name, code, severity, title, explanation) {code, FINDING_##severity, title, explanation},
    FINDING_TABLE(X)
#undef X
};

void findings_init(struct findings *f)
{
    *f = (struct findings){0};
}

static void finding_free(struct finding *x)
{
    free(x->file);
    free(x->what);
    free(x->help);
}

void findings_fini(struct findings *f)
{
    for (size_t i = 0; i < f->n; i++)
        finding_free(&f->list[i]);
    free(f->list);
    findings_init(f);
}

static bool finding_equal(const struct finding *a, const struct finding *b)
{
    return a->line == b->line && a->column == b->column && a->code == b->code &&
           strcmp(a->file, b->file) == 0 && strcmp(a->what, b->what) == 0;
}

/* An aliased block is read once per alias and would complain as often. */
static bool findings_has(const struct findings *f, const struct finding *x)
{
    for (size_t i = 0; i < f->n; i++)
        if (finding_equal(&f->list[i], x))
            return true;
    return false;
}

static int findings_grow(struct findings *f)
{
    if (f->n >= FINDINGS_MAX)
        return ERR_FULL;
    if (f->n < f->cap)
        return 0;
    size_t cap = f->cap ? f->cap * 2 : 16;
    struct finding *list = realloc(f->list, cap * sizeof *list);
    if (!list)
        return ERR_NOMEM;
    f->list = list;
    f->cap = cap;
    return 0;
}

/* The last warning leaves, so that an error is told; NULL: there are errors only. */
static struct finding *place_of_warning(struct findings *f)
{
    for (size_t i = f->n; i-- > 0;)
        if (table[f->list[i].code].severity == FINDING_WARNING) {
            finding_free(&f->list[i]);
            return &f->list[i];
        }
    return NULL;
}

/* Where x is listed; NULL: nowhere. */
static struct finding *place_for(struct findings *f, const struct finding *x)
{
    int err = findings_grow(f);
    if (!err)
        return &f->list[f->n++];
    bool error = table[x->code].severity == FINDING_ERROR;
    return err == ERR_FULL && error ? place_of_warning(f) : NULL;
}

static void findings_take(struct findings *f, struct finding *x)
{
    bool whole = x->file && x->what && x->help;
    if (whole && findings_has(f, x)) {
        finding_free(x);
        return;
    }
    ++*(table[x->code].severity == FINDING_ERROR ? &f->errors : &f->warnings);
    struct finding *place = whole ? place_for(f, x) : NULL;
    if (place)
        *place = *x;
    else
        finding_free(x);
    f->dropped = f->errors + f->warnings - f->n;
}

static void text_clean(char *text)
{
    for (char *p = text; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f)
            *p = ' ';
}

void findings_add(struct findings *f, struct finding_place at, enum finding_code code,
                  const char *format, ...)
{
    char text[TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    char *help = strrchr(text, '\n');
    if (help)
        *help++ = 0;
    text_clean(text);
    if (help)
        text_clean(help);
    struct finding x = {.file = strdup(at.file ? at.file : "?"),
                        .line = at.line,
                        .column = at.column,
                        .code = code,
                        .what = strdup(text),
                        .help = strdup(help ? help : "")};
    findings_take(f, &x);
}

static int compare(const void *left, const void *right)
{
    const struct finding *a = left, *b = right;
    int file = strcmp(a->file, b->file);
    if (file != 0)
        return file;
    if (a->line != b->line)
        return a->line < b->line ? -1 : 1;
    if (a->column != b->column)
        return a->column < b->column ? -1 : 1;
    if (a->code != b->code)
        return a->code < b->code ? -1 : 1;
    return strcmp(a->what, b->what);
}

void findings_sort(struct findings *f)
{
    if (f->n)
        qsort(f->list, f->n, sizeof *f->list, compare);
}

const char *finding_code_text(enum finding_code c)
{
    return table[c].code;
}

enum finding_severity finding_code_severity(enum finding_code c)
{
    return table[c].severity;
}

int finding_explain(const char *code, const char **title, const char **explanation)
{
    for (size_t i = 0; i < FINDING_CODE_COUNT; i++)
        if (strcmp(table[i].code, code) == 0) {
            *title = table[i].title;
            *explanation = table[i].explanation;
            return 0;
        }
    return ERR_NOT_FOUND;
}

enum { NAME_MAX_LEN = 40 };

/* Edits (insert, delete, change, swap neighbours) between two short names. */
static unsigned distance(const char *a, size_t a_len, const char *b, size_t b_len)
{
    unsigned d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];
    for (unsigned i = 0; i <= a_len; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= b_len; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= a_len; i++)
        for (size_t j = 1; j <= b_len; j++) {
            unsigned best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best)
                best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best)
                best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best)
                best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    return d[a_len][b_len];
}

const char *nearest_name(const char *typed, const char *const *names, size_t n)
{
    size_t len = strlen(typed);
    const char *found = NULL;
    unsigned found_at = (unsigned)(len / 3 > 1 ? len / 3 : 1) + 1;
    if (len > NAME_MAX_LEN)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        size_t name_len = strlen(names[i]);
        if (name_len > NAME_MAX_LEN)
            continue;
        unsigned at = distance(typed, len, names[i], name_len);
        if (at < found_at && at < name_len) {
            found_at = at;
            found = names[i];
        }
    }
    return found;
}
