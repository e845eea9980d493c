#include "gateway/wire.h"

#include <string.h>

/* Where it wrote its zeros tells: one for the colon, or one more for each space before it. */
static bool has_gap(const struct http_header *h)
{
    const char *end = h->name + strlen(h->name);
    return h->value > end + 1 && end[1] == 0;
}

/* Behind the last value: its line's end as one or two zeros, then the empty line. */
static const char *empty_line(const struct http_header *last)
{
    const char *end = last->value + strlen(last->value) + 1;
    return end + (*end == 0);
}

void wire_mark(struct http_header *headers, size_t n, size_t kept_max)
{
    bool early = false;
    if (n && n < kept_max) {
        const char *end = empty_line(&headers[n - 1]);
        early = *end != '\r' && *end != '\n';
    }
    for (size_t i = 0; i < n; i++)
        if (has_gap(&headers[i]) || (early && i + 1 == n))
            headers[i].name = " ";
}

/* Of the empty line's own end civetweb overwrites the last character. */
size_t wire_head_size(const char *start, const struct http_header *headers, size_t n)
{
    const char *end = n ? empty_line(&headers[n - 1]) : "";
    return end[0] == '\r' && end[1] == 0 ? (size_t)(end + 2 - start) : 0;
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
