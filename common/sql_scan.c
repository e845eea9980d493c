#include "common/sql_scan.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "common/expr_scan.h"

struct walk {
    const char *text;
    size_t at;
    unsigned depth; /* parentheses open */
    bool ended;     /* behind the `;` */
    struct sql_scan *out;
};

static void problem(struct walk *w, enum sql_problem p, size_t offset)
{
    if (w->out->problem)
        return;
    w->out->problem = p;
    w->out->offset = offset;
}

static bool is_hole(const char *s)
{
    return s[0] == '\\' && s[1] == '(';
}

/* `\\(` of a template is one backslash before a parenthesis. */
static size_t escaped(const char *s)
{
    return s[0] == '\\' && s[1] == '\\' && s[2] == '(' ? 3 : s[0] == '\\' && s[1] ? 2 : 0;
}

/* Behind the quote that opened: up to the one that ends it. A doubled one begins the next. */
static void quoted(struct walk *w, char quote)
{
    size_t start = w->at++;
    for (const char *s; *(s = w->text + w->at); w->at++) {
        if (is_hole(s)) {
            problem(w, SQL_QUOTED_HOLE, w->at);
            w->at++;
        } else if (quote != '`' && escaped(s)) {
            w->at += escaped(s) - 1;
        } else if (*s == quote) {
            w->at++;
            return;
        }
    }
    problem(w, SQL_OPEN, start);
}

/* Up to `end`; a comment of one line may also end with the text. */
static void comment(struct walk *w, const char *end)
{
    size_t start = w->at;
    const char *from = w->text + w->at, *found = strstr(from + (*end == '*' ? 2 : 1), end);
    size_t len = found ? (size_t)(found - from) + strlen(end) : strlen(from);
    if (!found && *end == '*')
        problem(w, SQL_OPEN, start);
    for (size_t i = 0; i + 1 < len; i++)
        if (is_hole(from + i))
            problem(w, SQL_QUOTED_HOLE, start + i);
    w->at += len;
}

static void hole(struct walk *w)
{
    struct expr_error error;
    size_t len = 0;
    if (expr_scan_hole(w->text + w->at + 2, &len, &error)) {
        w->at += strlen(w->text + w->at); /* jq's to complain about */
        return;
    }
    w->at += len + 3;
}

static bool is_statement(const char *word)
{
    static const char *const verbs[] = {"SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(word, verbs[i]) == 0)
            return true;
    return false;
}

static void word(struct walk *w)
{
    char upper[SQL_VERB] = "";
    size_t len = 0;
    const char *s = w->text + w->at;
    for (; isalnum((unsigned char)s[len]) || s[len] == '_' || s[len] == '$'; len++)
        if (len < sizeof upper - 1)
            upper[len] = (char)toupper((unsigned char)s[len]);
    bool behind_with = strcmp(w->out->verb, "WITH") == 0 && w->depth == 0 && is_statement(upper);
    if (!w->out->verb[0] || behind_with) {
        memcpy(w->out->verb, upper, sizeof upper);
        w->out->verb_offset = w->at;
    }
    w->at += len;
}

static bool is_comment(const char *s)
{
    return *s == '#' || (s[0] == '/' && s[1] == '*') ||
           (s[0] == '-' && s[1] == '-' && (!s[2] || isspace((unsigned char)s[2])));
}

static void punctuation(struct walk *w)
{
    char c = w->text[w->at];
    if (c == '(')
        w->depth++;
    else if (c == ')' && w->depth > 0)
        w->depth--;
    else if (c == '?')
        problem(w, SQL_MARK, w->at);
    else if (c == ';' && !w->ended) {
        w->ended = true;
        w->out->end = w->at;
    }
    w->at++;
}

static void step(struct walk *w)
{
    const char *s = w->text + w->at;
    if (is_comment(s)) {
        comment(w, *s == '/' ? "*/" : "\n");
        return;
    }
    if (w->ended && !isspace((unsigned char)*s) && *s != ';')
        problem(w, SQL_SEVERAL, w->at);
    if (is_hole(s))
        hole(w);
    else if (*s == '\'' || *s == '"' || *s == '`')
        quoted(w, *s);
    else if (isalnum((unsigned char)*s) || *s == '_' || *s == '$')
        word(w);
    else
        punctuation(w);
}

void sql_scan(const char *text, struct sql_scan *out)
{
    *out = (struct sql_scan){.end = strlen(text)};
    struct walk w = {.text = text, .out = out};
    while (text[w.at])
        step(&w);
    if (!out->verb[0])
        problem(&w, SQL_EMPTY, 0);
}
