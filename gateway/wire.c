#include "gateway/wire.h"

#include <string.h>

/* Where it wrote its zeros tells: one for the colon, or one more for each space before it. */
bool wire_has_gap(const char *name, const char *value)
{
    const char *end = name + strlen(name);
    return value > end + 1 && end[1] == 0;
}

/* Behind the last value: its line's end as one or two zeros, then the empty line. */
bool wire_ends_early(const char *value)
{
    const char *end = value + strlen(value) + 1;
    end += *end == 0;
    return *end != '\r' && *end != '\n';
}

bool wire_starts_late(const char **start, const char *line, size_t size)
{
    if (!*start || line < *start || (size_t)(line - *start) >= size)
        *start = line;
    return line - *start > 2 || (line > *start && **start != '\r');
}

void wire_cut_blanks(char *value)
{
    size_t n = strlen(value);
    while (n && (value[n - 1] == ' ' || value[n - 1] == '\t'))
        n--;
    value[n] = 0;
}
