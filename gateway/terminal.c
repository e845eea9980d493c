#include "gateway/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static bool is_terminal(FILE *f)
{
    return isatty(fileno(f)) == 1;
}

/* https://no-color.org: any value that is not empty. */
static bool wants_colour(FILE *f)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return is_terminal(f) && !(no && *no) && !(term && strcmp(term, "dumb") == 0);
}

bool terminal_open(struct terminal *t, FILE *out, FILE *err, const char *colour)
{
    bool always = strcmp(colour, "always") == 0, automatic = strcmp(colour, "auto") == 0;
    struct winsize size = {0};
    if (!always && !automatic && strcmp(colour, "never") != 0)
        return false;
    *t = (struct terminal){.out = out, .err = err, .live = is_terminal(err)};
    t->colour = always || (automatic && wants_colour(err));
    t->colour_out = always || (automatic && wants_colour(out));
    if (is_terminal(out))
        t->columns = ioctl(fileno(out), TIOCGWINSZ, &size) == 0 && size.ws_col ? size.ws_col : 80;
    return true;
}

static bool has_colour(const struct terminal *t, const FILE *stream)
{
    return stream == t->out ? t->colour_out : t->colour;
}

const char *terminal_tone(const struct terminal *t, const FILE *stream, enum terminal_tone tone)
{
    static const char *const codes[] = {"", "\033[32m", "\033[33m", "\033[31m", "\033[2m"};
    return has_colour(t, stream) ? codes[tone] : "";
}

const char *terminal_plain(const struct terminal *t, const FILE *stream)
{
    return has_colour(t, stream) ? "\033[0m" : "";
}

void terminal_renew(struct terminal *t, const char *text)
{
    if (!t->live)
        return;
    fprintf(t->err, "\r\033[K%s", text);
    fflush(t->err);
    t->shown = true;
}

void terminal_clear(struct terminal *t)
{
    if (t->shown)
        fputs("\r\033[K", t->err);
    fflush(t->err);
    t->shown = false;
}

/* ---- text of others */

/* Of U+2000..207F, whose bytes are e2 and these two: of no width, separators of lines, and what
 * overrides or isolates the direction. */
static bool turns_or_hides(unsigned char middle, unsigned char last)
{
    if (middle == 0x81)
        return last >= 0xa0 && last <= 0xaf;
    return middle == 0x80 && ((last >= 0x8b && last <= 0x8f) || (last >= 0xa8 && last <= 0xae));
}

/* A whole character of n bytes that must not reach a terminal. */
static bool is_bad(const unsigned char *s, size_t n)
{
    if (n == 2 && s[0] == 0xc2) /* C1: ESC [ in one */
        return s[1] < 0xa0;
    if (n == 2 && s[0] == 0xd8) /* U+061C: turns, too */
        return s[1] == 0x9c;
    if (n == 3 && s[0] == 0xef) /* U+FEFF: of no width */
        return s[1] == 0xbb && s[2] == 0xbf;
    if (n == 3 && s[0] == 0xe2)
        return turns_or_hides(s[1], s[2]);
    return s[0] < 0x20 || s[0] == 0x7f || (s[0] >= 0x80 && s[0] < 0xc2) || s[0] > 0xf4;
}

/* Bytes of a character that begins so. */
static size_t length_of(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

/* Bytes of the character at s, from 1; *bad: it must not reach a terminal. */
static size_t character(const unsigned char *s, bool *bad)
{
    size_t n = length_of(s[0]);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) {
            *bad = true;
            return i;
        }
    }
    *bad = is_bad(s, n);
    return n;
}

void terminal_clean(const char *text, int width, char *out, size_t size)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t used = 0;
    for (int n = 0; *s; n++) {
        bool bad;
        size_t len = character(s, &bad);
        bool last = width > 0 && n == width - 1 && s[len];
        const char *as = last ? "…" : bad ? "?" : (const char *)s;
        size_t as_len = last ? strlen("…") : bad ? 1 : len;
        if (used + as_len >= size)
            break;
        memcpy(out + used, as, as_len);
        used += as_len;
        if (last)
            break;
        s += len;
    }
    out[used] = 0;
}

/* Those that are bad have at most three bytes. */
static unsigned code_of(const unsigned char *s, size_t n)
{
    return n == 1   ? s[0]
           : n == 2 ? (s[0] & 0x1fU) << 6 | (s[1] & 0x3fU)
                    : (s[0] & 0x0fU) << 12 | (s[1] & 0x3fU) << 6 | (s[2] & 0x3fU);
}

void terminal_json(FILE *stream, const char *json)
{
    const unsigned char *s = (const unsigned char *)json;
    while (*s) {
        bool bad;
        size_t n = character(s, &bad);
        if (*s == '\n' || *s == '\t' || *s == '\r')
            fputc(*s == '\r' ? ' ' : *s, stream);
        else if (!bad)
            fwrite(s, 1, n, stream);
        else if (n == length_of(*s) && n < 4) /* whole */
            fprintf(stream, "\\u%04x", code_of(s, n));
        else
            fputc('?', stream);
        s += n;
    }
    fputc('\n', stream);
}

static int characters(const char *text, size_t len)
{
    int n = 0;
    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

void terminal_words(const struct terminal *t, FILE *stream, const char *text, int indent)
{
    int at = indent;
    for (size_t word; *text; text += word) {
        size_t gap = strspn(text, " ");
        word = gap + strcspn(text + gap, " ");
        int width = characters(text, word);
        if (t->columns && at > indent && at + width > t->columns) {
            fprintf(stream, "\n%*s", indent, "");
            at = indent;
            width -= (int)gap;
            fprintf(stream, "%.*s", (int)(word - gap), text + gap);
        } else {
            fprintf(stream, "%.*s", (int)word, text);
        }
        at += width;
    }
    fputc('\n', stream);
}

void terminal_took(int64_t ms, char *out, size_t size)
{
    if (ms < 0)
        ms = 0;
    if (ms < 1000)
        snprintf(out, size, "%d ms", (int)ms);
    else if (ms < 10000)
        snprintf(out, size, "%d,%03d ms", (int)(ms / 1000), (int)(ms % 1000));
    else if (ms < 100000)
        snprintf(out, size, "%d.%d s", (int)(ms / 1000), (int)(ms % 1000 / 100));
    else
        snprintf(out, size, "%lld min %d s", (long long)(ms / 60000), (int)(ms / 1000 % 60));
}
