#include "common/flow_scan.h"

#include <ctype.h>
#include <string.h>

void flow_scan_init(struct flow_scan *s, const char *text, bool template)
{
    *s = (struct flow_scan){.text = text, .template = template, .in_string = template};
}

static bool is_name_start(char c)
{
    return isalpha((unsigned char)c) || c == '_';
}

static size_t name_length(const char *p)
{
    size_t n = 0;
    if (is_name_start(*p))
        while (isalnum((unsigned char)p[n]) || p[n] == '_')
            n++;
    return n;
}

static void name_copy(char out[SCAN_NAME], const char *text, size_t len)
{
    if (len >= SCAN_NAME)
        len = SCAN_NAME - 1;
    memcpy(out, text, len);
    out[len] = 0;
}

/* jq takes blanks, line breaks and comments between most of what it reads. */
static size_t skip_blank(const char *text, size_t at)
{
    while (isspace((unsigned char)text[at]) || text[at] == '#')
        at += text[at] == '#' ? strcspn(text + at, "\n") : 1;
    return at;
}

/* A name in quotes at p, and in a bracket the `]` behind it: the byte behind all that; 0: it is
 * none, or one that is computed. */
static size_t quoted_read(const char *text, size_t p, bool bracket, size_t *start, size_t *len)
{
    if (text[p] != '"')
        return 0;
    *start = ++p;
    *len = strcspn(text + p, "\"\\");
    p += *len;
    if (text[p++] != '"' || *len == 0)
        return 0;
    if (!bracket)
        return p;
    p = skip_blank(text, p);
    return text[p] == ']' ? p + 1 : 0;
}

/* `.name`, `."name"`, `["name"]` or `.["name"]` at *at or, in code, behind blanks: its text and
 * length, and *at moved behind it. */
static bool field_read(const char *text, bool code, size_t *at, size_t *start, size_t *len)
{
    size_t p = code ? skip_blank(text, *at) : *at;
    bool dot = text[p] == '.';
    p += dot;
    *len = dot ? name_length(text + p) : 0;
    *start = p;
    if (*len) {
        p += *len;
    } else {
        p = skip_blank(text, p);
        bool bracket = text[p] == '[';
        if (!dot && !bracket)
            return false;
        p = quoted_read(text, bracket ? skip_blank(text, p + 1) : p, bracket, start, len);
    }
    if (p == 0)
        return false;
    size_t mark = skip_blank(text, p);
    *at = text[mark] == '?' ? mark + 1 : p;
    return true;
}

/* start: of its name. */
static void ref_read(struct flow_scan *s, size_t start, struct flow_ref *out)
{
    size_t len = name_length(s->text + start);
    *out = (struct flow_ref){.offset = s->at, .bare = s->in_string, .bound = s->after_as};
    name_copy(out->name, s->text + start, len);
    size_t at = start + len;
    while (out->fields < SCAN_FIELDS && field_read(s->text, !s->in_string, &at, &start, &len)) {
        name_copy(out->field[out->fields], s->text + start, len);
        out->field_offset[out->fields++] = start;
    }
    out->end = at;
    s->at = at;
}

/* A hole `\(` opens in a string; at the top of a template `\\(` is text. */
static void scan_escape(struct flow_scan *s)
{
    const char *p = s->text + s->at;
    if (p[1] == '(' && s->level < SCAN_NESTING) {
        s->paren[s->level++] = 0;
        s->in_string = false;
        s->at += 2;
    } else {
        s->at += p[1] ? 2 : 1;
    }
}

/* One character of code. */
static void scan_code(struct flow_scan *s)
{
    char c = s->text[s->at++];
    unsigned *paren = s->level ? &s->paren[s->level - 1] : NULL;
    if (c == '"') {
        s->in_string = true;
    } else if (c == '#') {
        s->at += strcspn(s->text + s->at, "\n");
    } else if (c == '(' && paren) {
        ++*paren;
    } else if (c == ')' && paren) {
        if (*paren) {
            --*paren;
        } else {
            s->level--;
            s->in_string = true;
        }
    }
}

static void scan_word(struct flow_scan *s)
{
    size_t len = name_length(s->text + s->at);
    s->after_as = len == 2 && memcmp(s->text + s->at, "as", 2) == 0;
    s->at += len;
}

static bool is_template_text(const struct flow_scan *s)
{
    return s->template && s->level == 0;
}

/* Where the name of the `$` begins that stands here; 0: it is no variable. */
static size_t name_behind(const struct flow_scan *s)
{
    size_t at = s->at + 1;
    if (!s->in_string)
        at = skip_blank(s->text, at);
    else if (!is_template_text(s))
        return 0;
    return is_name_start(s->text[at]) ? at : 0;
}

bool flow_scan_next(struct flow_scan *s, struct flow_ref *out)
{
    while (s->text[s->at]) {
        char c = s->text[s->at];
        size_t name = c == '$' ? name_behind(s) : 0;
        if (name) {
            ref_read(s, name, out);
            s->after_as = false;
            return true;
        }
        if (s->in_string && c == '\\') {
            scan_escape(s);
        } else if (s->in_string) {
            s->at++;
            if (c == '"' && !is_template_text(s))
                s->in_string = false;
        } else if (is_name_start(c)) {
            scan_word(s);
        } else {
            scan_code(s);
            if (!isspace((unsigned char)c) && c != '#')
                s->after_as = false;
        }
    }
    return false;
}
